"""Error rates by hand: a network that hears what the sound says, references that differ from it on purpose."""

from __future__ import annotations

import json
import re
import wave
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE, read_audio
from asr.cli import main
from asr.datasets import Utterance, write_manifest
from asr.errors import AsrError
from asr.evaluate import (
    Evaluation,
    Score,
    Settings,
    UtteranceResult,
    align,
    compare,
    evaluate,
    groups,
    load_evaluation,
    save_evaluation,
)
from asr.evaluate.outcome import StreamResult, StreamUtterance, stream_quotients
from asr.evaluate.phones import ReferencePhones
from asr.evaluate.report import comparison_notes, comparison_rows, notes, summary_rows, text_table
from asr.evaluate.scores import score_characters, score_words
from asr.evaluate.streams import PAUSE_SECONDS, join, share_errors
from asr.lexicon import Lexicon
from asr.recognizer import Recognizer
from tests.oracle import DICTIONARY, PHONES, speak, write_oracle

# What is in the sound, what the reference claims, and who speaks: (corpus, part, speaker)
SAID = [
    ("one two three", "One, two, three!", ("a", "dev", "ann")),
    ("one slip", "one one", ("a", "dev", "ann")),  # the second reading hears it right
    ("ones two", "one two twos", ("a", "test", "bob")),  # one substituted, one deleted
    ("three three", "three", ("b", "dev", None)),  # one inserted
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_oracle(tmp_path_factory.mktemp("oracle"))


@pytest.fixture
def corpus(tmp_path: Path) -> list[Utterance]:
    utterances = []
    for number, (sound, text, (name, part, speaker)) in enumerate(SAID):
        path = tmp_path / f"audio/{number}.wav"
        utterances.append(Utterance(path, text, speak(path, sound), speaker, name, part))
    return utterances


def words(evaluation: Evaluation, group: str = "all") -> Score:
    return Score.sum(utterance.words for utterance in groups(evaluation.utterances)[group])


def test_error_rates(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    corpus.append(replace(corpus[0], text="Привет"))
    found = evaluate(Recognizer(model), corpus, root=tmp_path)
    assert [u.hypothesis for u in found.utterances] == ["one two three", "one one", "ones two", "three three"]
    assert [u.id for u in found.utterances] == [f"audio/{number}.wav" for number in range(4)]
    assert [u.words for u in found.utterances] == [Score(3), Score(2), Score(1, 1, 1), Score(1, 0, 0, 1)]
    assert found.utterances[2].characters == score_characters("one two twos", "ones two")
    assert found.utterances[3].characters == Score(5, 0, 0, 6)  # a space is a character
    assert list(groups(found.utterances)) == ["a dev", "a test", "a", "b dev", "all"]
    assert words(found, "a").rate == 2 / 8
    assert words(found).rate == 3 / 9
    assert found.audio_seconds == pytest.approx(sum(u.duration for u in corpus[:4]))
    assert 0 < found.real_time_factor < 1
    assert len(found.left_out) == 1 and "0.wav" in found.left_out[0]


def test_the_first_reading(model: Path, corpus: list[Utterance]) -> None:
    found = evaluate(Recognizer(model), corpus, Settings(reading="first", decoding="greedy", step_seconds=0.08, jobs=2))
    assert [u.hypothesis for u in found.utterances] == ["one two three", "one slip", "ones two", "three three"]


def test_beam_search_on_either_head(corpus: list[Utterance], tmp_path: Path) -> None:
    directory = write_oracle(tmp_path / "model")
    entries = [line.split() for line in DICTIONARY.splitlines()]
    sounds = {
        word: [PHONES.index(phone) for phone in phones] for word, *phones in reversed(entries)
    }  # the first counts
    Lexicon.build(sounds.items(), PHONES).save(directory / "words.lexicon")
    recognizer = Recognizer(directory)
    for head in ("spelling", "phones", None):
        found = evaluate(recognizer, corpus, Settings(decoding="beam", head=head))
        assert [u.hypothesis for u in found.utterances] == ["one two three", "one one", "ones two", "three three"]
    found = evaluate(recognizer, corpus, Settings(reading="first", decoding="beam"))
    assert found.utterances[1].hypothesis == "one slip"


def test_phone_errors(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    dictionary = tmp_path / "dictionary"
    dictionary.write_text(DICTIONARY)
    recognizer = Recognizer(model)
    corpus.append(replace(corpus[0], text="one unpronounceable"))
    found = evaluate(recognizer, corpus, phones=ReferencePhones(recognizer.network, dictionary))
    assert [u.phones for u in found.utterances] == [
        {"first": Score(3), "second": Score(3)},
        {"first": Score(1, 1), "second": Score(2)},  # AA Z heard first; AA AA said
        {"first": Score(2, 1, 1), "second": Score(2, 1, 1)},  # AA B B S said, AA S B heard
        {"first": Score(1, 0, 0, 1), "second": Score(1, 0, 0, 1)},
        {},
    ]
    with pytest.raises(AsrError, match="--dictionary"):
        ReferencePhones(recognizer.network)


def test_a_recording_without_a_sample(model: Path, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
    dictionary = tmp_path / "dictionary"
    dictionary.write_text(DICTIONARY)
    recognizer = Recognizer(model)
    phones = ReferencePhones(recognizer.network, dictionary)
    evaluation = evaluate(recognizer, [Utterance(tmp_path / "empty.wav", "one", 0.0)], phones=phones)
    assert not any("factor" in note for note in notes(evaluation))
    (found,) = evaluation.utterances
    assert (found.hypothesis, found.words, found.phones["second"]) == ("", Score(0, 0, 1), Score(0, 0, 1))


def test_nothing_to_score(model: Path, corpus: list[Utterance]) -> None:
    with pytest.raises(AsrError, match=r"dev\.jsonl: holds nothing to score: it is empty"):
        evaluate(Recognizer(model), [], manifest="dev.jsonl")
    with pytest.raises(AsrError, match=r"no text can be normalized, the first is .*0\.wav"):
        evaluate(Recognizer(model), [replace(corpus[0], text="Привет")])


def test_settings_that_a_model_cannot_serve(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    recognizer = Recognizer(model)
    with pytest.raises(AsrError, match="greedy decoding gives text from the spelling head"):
        evaluate(recognizer, corpus, Settings(decoding="greedy", head="phones"))
    with pytest.raises(AsrError, match=r"words\.lexicon.*--head spelling"):
        evaluate(recognizer, corpus, Settings(decoding="beam", head="phones"))
    corpus[1].audio.unlink()
    with pytest.raises(AsrError, match=r"1\.wav"):
        evaluate(recognizer, corpus)


def test_streams(model: Path, corpus: list[Utterance]) -> None:
    many = corpus * 5
    found = evaluate(Recognizer(model), many, Settings(stream_minutes=0.3))
    total = sum(u.duration + PAUSE_SECONDS for u in many)
    assert len(found.streams) == round(total / 18)
    assert sum(stream.duration for stream in found.streams) == pytest.approx(total)
    members = [utterance for stream in found.streams for utterance in stream.utterances]
    assert sorted(u.id for u in members) == sorted(u.id for u in found.utterances)
    # Nothing wears off in this network: the stream hears what the utterances alone give
    assert [u.words for u in members] == [u.alone for u in members]
    assert Score.sum(u.words for u in members).errors <= words(found).errors == 15
    assert stream_quotients(found)["all"] == 1


def test_joined_streams(corpus: list[Utterance], model: Path) -> None:
    found = evaluate(Recognizer(model), corpus * 3).utterances
    streams = join(found, 0.2, seed=1)
    assert [[u.id for u in s.utterances] for s in streams] == [
        [u.id for u in s.utterances] for s in join(found, 0.2, 1)
    ]
    assert [u.id for s in streams for u in s.utterances] != [u.id for s in join(found, 0.2, 2) for u in s.utterances]
    lengths = [sum(u.duration + PAUSE_SECONDS for u in s.utterances) for s in streams]
    assert max(lengths) - min(lengths) < 2 * max(u.duration + PAUSE_SECONDS for u in found)
    (block, start), (_, second), *_ = streams[0].blocks()
    alone = read_audio(streams[0].utterances[0].audio)
    pause = block[len(alone) :]
    assert (start, second) == (0, len(block) / SAMPLE_RATE)
    assert np.array_equal(block[: len(alone)], alone)
    assert len(pause) == 0.6 * SAMPLE_RATE
    assert 20 * np.log10(pause.std()) == pytest.approx(-60, abs=0.5)


def test_quotients_by_thirds() -> None:
    def member(position: float, errors: int, alone: int) -> StreamUtterance:
        return StreamUtterance("x", position, Score(0, errors), Score(0, alone))

    stream = StreamResult(1800, [member(0.0, 2, 2), member(0.3, 1, 2), member(0.5, 7, 1), member(0.9, 3, 2)])
    evaluation = Evaluation("m", "", Settings(), [], [], 0.0, [stream])
    assert stream_quotients(evaluation) == {
        "all": 13 / 7, "first third": 3 / 4, "last third": 3 / 2, "last over first": 2.0,
    }  # fmt: skip


tokens = st.lists(st.sampled_from(["a", "b", "c"]), max_size=7)


@given(tokens, tokens)
def test_alignment_is_whole_and_cheapest(reference: list[str], hypothesis: list[str]) -> None:
    pairs = align(reference, hypothesis)
    assert [pair.reference for pair in pairs if pair.reference is not None] == reference
    assert [pair.hypothesis for pair in pairs if pair.hypothesis is not None] == hypothesis
    score = Score.of(pairs)
    assert score.length == len(reference)
    assert score.errors == distance(tuple(reference), tuple(hypothesis))


def distance(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """By the definition."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        row, before = [i], row
        for j, right in enumerate(b, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right)))
    return row[-1]


@given(st.lists(tokens, min_size=1, max_size=5), tokens)
def test_errors_of_a_stream_are_shared_out(references: list[list[str]], hypothesis: list[str]) -> None:
    shared = share_errors(references, hypothesis)
    assert [score.length for score in shared] == [len(reference) for reference in references]
    joined = [word for reference in references for word in reference]
    assert sum(score.errors for score in shared) == Score.of(align(joined, hypothesis)).errors


def test_errors_of_a_stream_stay_where_they_are() -> None:
    shared = share_errors([["a", "b"], ["c", "d"], ["e"]], ["a", "b", "x", "c", "e"])
    assert shared == [Score(2, 0, 0, 1), Score(1, 0, 1), Score(1)]
    assert share_errors([[], ["a"]], ["a"]) == [Score(), Score(1)]


def result(number: int, errors: int, length: int = 10) -> UtteranceResult:
    score = Score(length - errors, errors)
    reference = " ".join(["word"] * length)
    return UtteranceResult(f"{number}.wav", f"/{number}.wav", "s", "c", "dev", 2.0, reference, "", score, score)


def evaluation(errors: list[int]) -> Evaluation:
    return Evaluation("m", "dev.jsonl", Settings(), [result(i, e) for i, e in enumerate(errors)], [], 1.0)


def test_comparison_with_itself() -> None:
    (same,) = compare(evaluation([1, 2, 3] * 7), evaluation([1, 2, 3] * 7))
    assert (same.difference, same.low, same.high, same.better, same.p_value) == (0, 0, 0, 0.5, 1)


def test_comparison_of_two() -> None:
    ours, theirs = [1, 2, 0, 3] * 50, [2, 2, 1, 3] * 50
    (found,) = compare(evaluation(ours), evaluation(theirs))
    assert (found.utterances, found.words) == (200, 2000)
    assert (found.ours, found.theirs) == (0.15, 0.2)
    assert found.difference == pytest.approx(-0.05)
    # Each utterance differs by 0 or 1 error with equal probability: the mean of 200 such is known
    deviation = 0.5 / np.sqrt(200) / 10
    assert found.low == pytest.approx(-0.05 - 1.96 * deviation, abs=3e-4)
    assert found.high == pytest.approx(-0.05 + 1.96 * deviation, abs=3e-4)
    assert found.better == 1.0 and found.p_value < 0.001
    (mirrored,) = compare(evaluation(theirs), evaluation(ours))
    assert mirrored.better == 0.0 and mirrored.p_value < 0.001
    (undecided,) = compare(evaluation([1, 2, 0, 3] * 5), evaluation([2, 1, 0, 3] * 5))
    assert undecided.p_value > 0.5


@pytest.mark.parametrize("count", [2, 19, 20])
def test_few_utterances_do_not_tell(count: int) -> None:
    found = compare(evaluation([0] * count), evaluation([1] * count))
    few = count < 20
    assert np.isnan(found[0].p_value) == few
    assert comparison_rows(found)[1][0][-1] == ("-" if few else "0.0001")
    assert bool(comparison_notes(found)) == few


def test_comparison_needs_the_same_utterances() -> None:
    with pytest.raises(AsrError, match="share no utterance"):
        compare(evaluation([1]), replace(evaluation([]), utterances=[result(7, 1)]))
    with pytest.raises(AsrError, match=r"0\.wav: .*different references"):
        compare(evaluation([1]), replace(evaluation([]), utterances=[result(0, 1, length=5)]))
    (found,) = compare(evaluation([1, 2, 3]), evaluation([1, 2]))
    assert found.utterances == 2


def test_groups_without_phones_keep_their_columns(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    dictionary = tmp_path / "dictionary"
    dictionary.write_text("one AA\ntwo B\nthree CH\n")
    recognizer = Recognizer(model)
    found = evaluate(recognizer, corpus, phones=ReferencePhones(recognizer.network, dictionary))
    lines = text_table(*summary_rows(found)).splitlines()
    assert lines[-4].split()[-2:] == ["-", "-"]  # "a test" holds "twos"
    assert lines[-1].split()[-1] == "16.67"
    assert "1 utterances hold words that nothing pronounces" in "".join(notes(found))


def test_json_round_trip(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    found = evaluate(Recognizer(model), corpus, Settings(stream_minutes=1), manifest="dev.jsonl", root=tmp_path)
    path = tmp_path / "results/dev.json"
    save_evaluation(path, found)
    assert load_evaluation(path) == found
    content = json.loads(path.read_text())
    assert content["summary"]["all"]["words"]["rate"] == 3 / 9
    assert content["stream_quotients"]["all"] == 1
    for text in ("", "[]", "{}", '{"format": "asr evaluation 1"}'):
        path.write_text(text)
        with pytest.raises(AsrError, match=r"dev\.json: is not a result"):
            load_evaluation(path)
    with pytest.raises(AsrError, match="cannot be read"):
        load_evaluation(tmp_path / "none.json")


def test_scores_without_reference() -> None:
    assert np.isnan(score_words("", "").rate)
    assert score_words("", "a").rate == float("inf")
    assert score_words("a", "") == Score(0, 0, 1)


def test_command(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    manifest, dictionary = tmp_path / "dev.jsonl", tmp_path / "dictionary"
    write_manifest(manifest, corpus)
    dictionary.write_text(DICTIONARY)
    html, text, first, second = (tmp_path / name for name in ("out/r.html", "r.txt", "first.json", "second.json"))

    def run(*arguments: str | Path) -> str:
        done = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
        assert done.exit_code == 0, done.output
        return done.output

    options: list[str | Path] = ["--model", model, "--dictionary", dictionary]
    output = run(manifest, *options, "--json", second, "--report", html, "--streams", "1")
    row = next(line for line in output.splitlines() if line.startswith("all"))
    assert row.split() == ["all", "4", "9", "33.33", "11.11", "11.11", "11.11", "29.73", "40.00", "30.00"]
    assert "oracle 1 on dev.jsonl: second reading; 4 utterances" in output
    assert "real-time factor" in output and "joined to 1 streams" in output

    output = run(manifest, *options, "--reading", "first", "--json", first, "--against", second, "--report", text)
    row = next(line for line in output.split("\nA: ")[1].splitlines() if line.startswith("all"))
    assert row.split()[:6] == ["all", "4", "9", "44.44", "33.33", "+11.11"]
    output = run(second, "--against", second)  # results alone, without a model
    assert output.count("+0.00") == 3 * 5 and "fewer than 20 utterances are too few" in output
    assert run(second.rename(tmp_path / "second.result")) == output.split("\nA: ")[0]  # whatever its name
    done = CliRunner().invoke(main, ["evaluate", str(tmp_path / "none.json")])
    assert done.exit_code == 1 and "there is no such manifest" in done.output

    page = html.read_text()
    assert "2 errors in 3 words" in page
    assert page.index("2 errors in 3 words") < page.index("1 errors in 1 words")
    addresses = re.findall(r'<audio [^>]*src="([^"]+)"', page)
    assert len(addresses) == 2 and all((html.parent / unquote(address)).is_file() for address in addresses)
    assert "<h2>Character errors</h2>" in page and "<h2>Phone errors, second reading</h2>" in page
    assert "(not named)" in page and "real-time factor" in page
    assert "  said  one  two twos\n  heard ones two ****\n        S        D" in text.read_text()
    done = CliRunner().invoke(main, ["evaluate", str(manifest), "--model", str(tmp_path / "none")])
    assert done.exit_code == 1 and "Error: " in done.output


def test_a_grammar(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    found = evaluate(Recognizer(model), corpus, Settings(grammar=("one", "three")))
    assert {word for u in found.utterances for word in u.hypothesis.split()} == {"one", "three"}
    save_evaluation(tmp_path / "found.json", found)
    assert load_evaluation(tmp_path / "found.json") == found
    manifest = tmp_path / "dev.jsonl"
    write_manifest(manifest, corpus)
    arguments = ["evaluate", str(manifest), "--model", str(model), "--grammar", "one|three"]
    assert "second reading, grammar of 2 phrases; 4 utterances" in CliRunner().invoke(main, arguments).output


def test_every_and_root(model: Path, corpus: list[Utterance], tmp_path: Path) -> None:
    manifest = tmp_path / "elsewhere/dev.jsonl"
    write_manifest(manifest, corpus, root=tmp_path)
    arguments = ["evaluate", str(manifest), "--model", str(model), "--root", str(tmp_path), "--every", "3"]
    output = CliRunner().invoke(main, arguments).output
    assert "2 utterances" in output
