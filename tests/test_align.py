"""`asr align` on recordings whose sounds are known."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from oracle import DICTIONARY, PHONES, speak, write_oracle

from asr.align import AlignedFile, align_file, read_text, sound_edges
from asr.aligner import AlignedSound
from asr.audio import read_audio
from asr.cli import main
from asr.errors import AsrError
from asr.lexicon import Lexicon, read_pronunciations
from asr.recognizer import Recognizer, find_model
from asr.writers import from_json, to_textgrid


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
    words, _ = read_text(text(tmp_path, "Twenty-two men — at 5 %\n"))
    assert [word.spoken for word in words] == ["twenty", "two", "men", "at", "five", "percent"]
    assert [word.written for word in words][:3] == ["Twenty-two", "", "men"]


def test_a_line_that_cannot_be_spoken_is_reported_and_shifts_nothing(
    model: Path, recording: Path, tmp_path: Path
) -> None:
    written = text(tmp_path, "One threes\n日本 £\nTwo one\n")
    arguments = ["align", str(recording), str(written), "--model", str(model)]
    result = CliRunner().invoke(main, [*arguments, "-t", "txt"], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, "One threes\nTwo one\n")
    assert result.stderr == "cannot be spoken: line 2: 日本 £\n"
    text(tmp_path, f"One threes two one\n{'日本' * 500}")
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.stderr == f"cannot be spoken: line 2: {'日本' * 30}…\n"
    text(tmp_path, "日本 £\n\n…\n")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith(f"Error: {written}, line 1: cannot tell how this is spoken")


def test_a_missing_folder_is_refused_before_the_work(model: Path, recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "missing" / "folder" / "out.ctm"
    arguments = ["align", str(recording), str(text(tmp_path, "one")), "--model", str(model), "-o", str(output)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert f"the folder {output.parent} does not exist; make it first" in result.stderr
    assert not (tmp_path / "missing").exists()


@pytest.fixture(scope="module")
def ferdinand(shipped: Recognizer, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> AlignedFile:
    written = text(tmp_path_factory.mktemp("text"), said(clips, "ferdinand"))
    return align_file(find_model(None), clips / "ferdinand.opus", written)


def said(clips: Path, name: str) -> str:
    rows = map(json.loads, (clips / "clips.jsonl").read_text(encoding="utf-8").splitlines())
    return next(str(row["text"]) for row in rows if row["audio"] == f"{name}.opus")


def test_every_sound_lasts_and_none_overlap(ferdinand: AlignedFile) -> None:
    sounds = [sound for _, sound in ferdinand.sounds]
    assert len(sounds) > 130
    assert all(sound.end - sound.start > 0.02 for sound in sounds)
    assert all(one.end <= after.start for one, after in pairwise(sounds))
    for index, word in ferdinand.words:
        own = [sound for of, sound in ferdinand.sounds if of == index]
        assert (own[0].start, own[-1].end) == (word.start, word.end)
    grid = to_textgrid(ferdinand.transcript(sounds=True))
    assert [found for found in re.findall(r'text = "(.*)"', grid) if found] == [sound.text for sound in sounds]


def test_sounds_share_a_word_that_is_cut_short() -> None:
    sounds = [AlignedSound("AA", 10, 11, 0.0), AlignedSound("B", 12, 13, 0.0), AlignedSound("S", 15, 16, 0.0)]
    assert sound_edges(sounds, 8.0, 15.0) == [8.0, 10.0, 13.0, 15.0]
    assert sound_edges(sounds, 8.0, 11.0) == [8.0, 9.0, 10.5, 11.0]


def test_a_passage_that_is_not_in_the_text_gets_none_of_its_words(
    shipped: Recognizer, clips: Path, tmp_path: Path
) -> None:
    parts = [read_audio(clips / f"{name}.opus") for name in ("ferdinand", "cabin", "monday")]
    soundfile.write(tmp_path / "sound.wav", np.concatenate(parts), 16000)
    written = text(tmp_path, f"{said(clips, 'ferdinand')}\n{said(clips, 'monday')}\n")
    aligned = align_file(find_model(None), tmp_path / "sound.wav", written)
    begin, end = len(parts[0]) / 16000, (len(parts[0]) + len(parts[1])) / 16000
    first, second = aligned.transcript().segments
    assert (second.text, aligned.unheard) == (said(clips, "monday"), ())
    assert first.end < begin and end < second.start < end + 1
    ((start, stop),) = aligned.unread
    assert start == pytest.approx(begin, abs=1.2) and stop == pytest.approx(end, abs=1.2)
