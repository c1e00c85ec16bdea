"""`asr align` on recordings whose sounds are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from oracle import DICTIONARY, PHONES, speak, write_oracle

from asr.align import align_file, read_text
from asr.cli import main
from asr.errors import AsrError
from asr.lexicon import Lexicon, read_pronunciations
from asr.writers import from_json


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = write_oracle(tmp_path_factory.mktemp("model"))
    dictionary = directory / "dictionary"
    dictionary.write_text(DICTIONARY, encoding="utf-8")
    known = read_pronunciations(dictionary, PHONES)
    Lexicon.build([(word, way) for word, ways in known.items() for way in ways], PHONES).save(
        directory / "words.lexicon"
    )
    return directory


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    speak(tmp_path / "sound.wav", "one threes two one")
    return tmp_path / "sound.wav"


def text(folder: Path, content: str) -> Path:
    path = folder / "text.txt"
    path.write_text(content, encoding="utf-8")
    return path


def test_words_are_as_written_and_a_line_is_a_segment(model: Path, recording: Path, tmp_path: Path) -> None:
    aligned = align_file(model, recording, text(tmp_path, "One, Threes!\n\nTwo one.\n"))
    transcript = aligned.transcript()
    assert [segment.text for segment in transcript.segments] == ["One, Threes!", "Two one."]
    # Five frames of silence, then three for a word (or five with an s) and three of silence.
    starts = [5 * 0.04, 11 * 0.04, 19 * 0.04, 25 * 0.04]
    assert [word.start for word in transcript.words] == pytest.approx(starts, abs=0.001)
    assert [word.end for word in transcript.words] == pytest.approx([0.28, 0.60, 0.84, 1.08], abs=0.001)
    assert all(word.confidence > 0.9 for word in transcript.words)
    assert (aligned.unheard, aligned.unread) == ((), ())


def test_the_command_writes_what_was_asked_for(model: Path, recording: Path, tmp_path: Path) -> None:
    written = text(tmp_path, "one threes slip slip two one")
    arguments = ["align", str(recording), str(written), "--model", str(model)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[4] for line in lines] == ["one", "threes", "two", "one"]
    assert lines[1].split()[:4] == ["sound", "1", "0.440", "0.160"]
    assert "not said: words 3 to 4: slip slip" in result.stderr
    output = tmp_path / "out.json"
    CliRunner().invoke(main, [*arguments, "-t", "json", "-o", str(output), "--sounds"], catch_exceptions=False)
    sounds = [word.text for word in from_json(output.read_text(encoding="utf-8")).words]
    assert sounds == ["AA", "CH", "S", "B", "AA"]
    for kind in ("srt", "textgrid", "vtt"):
        result = CliRunner().invoke(main, [*arguments, "-t", kind], catch_exceptions=False)
        assert "threes" in result.stdout


def test_texts_that_cannot_be_aligned(model: Path, recording: Path, tmp_path: Path) -> None:
    for content in ("", "…\n"):
        with pytest.raises(AsrError, match="no words"):
            read_text(text(tmp_path, content))
    with pytest.raises(AsrError, match=r"There is no text file .*nowhere: write"):
        read_text(tmp_path / "nowhere")
    result = CliRunner().invoke(
        main, ["align", str(recording), str(text(tmp_path, "hochreiter")), "--model", str(model)]
    )
    assert result.exit_code == 1
    assert "hochreiter" in result.output


def test_standard_input(model: Path, recording: Path, tmp_path: Path) -> None:
    written = str(text(tmp_path, "one threes two one"))
    arguments = ["align", "-", written, "--model", str(model)]
    result = CliRunner().invoke(main, arguments, input=recording.read_bytes(), catch_exceptions=False)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0 and [line[4] for line in lines] == ["one", "threes", "two", "one"]
    assert {line[0] for line in lines} == {"stdin"}
    result = CliRunner().invoke(main, ["align", str(recording), "-", "--model", str(model)])
    assert result.exit_code == 2 and "only AUDIO may be - (standard input)" in result.stderr


def test_a_recording_that_breaks_off_is_aligned_as_far_as_it_goes(model: Path, recording: Path, tmp_path: Path) -> None:
    written = text(tmp_path, "one threes two one")
    whole = recording.read_bytes()
    recording.write_bytes(whole[: -len(whole) // 2])  # before the second "one"
    arguments = ["align", str(recording), str(written), "--model", str(model)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 1 and [line.split()[4] for line in result.stdout.splitlines()][:2] == ["one", "threes"]
    assert f"Error: {recording} ends after" in result.stderr
    assert result.stderr.endswith("what comes before was aligned.\n")
    result = CliRunner().invoke(main, [*arguments, "--channel", "2"])
    assert result.exit_code == 1 and result.stderr == f"Error: {recording} has no channel 2: it has 1.\n"


def test_figures_and_hyphens_are_spoken_words(tmp_path: Path) -> None:
    words = read_text(text(tmp_path, "Twenty-two men — at 5 %\n"))
    assert [word.spoken for word in words] == ["twenty", "two", "men", "at", "five", "percent"]
    assert [word.written for word in words][:3] == ["Twenty-two", "", "men"]
