"""Tuning: the search by itself, and a whole model directory whose speech is known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from oracle import DICTIONARY, PHONES, speak, write_oracle

from asr.again import Limits, limits_of
from asr.beam import DecoderOptions
from asr.cli import main
from asr.confidence import Calibration
from asr.datasets.manifest import Utterance, write_manifest
from asr.decoder import Decoder
from asr.decoders import load_decoders
from asr.errors import AsrError
from asr.lexicon import Lexicon, read_pronunciations
from asr.network import Network
from asr.rejection import Rejection
from asr.tune import Spoken, TuneOptions, halves, search, store, tune_reading


def test_the_search_finds_the_bottom_of_a_valley() -> None:
    best, tried = search(
        lambda point: abs(point["a"] - 1.3) + 2 * abs(point["b"] + 0.6), {"a": 0.0, "b": 0.0}, {"a": 0.4, "b": 0.4}, 3
    )
    assert best == {"a": pytest.approx(1.3, abs=0.1), "b": pytest.approx(-0.6, abs=0.1)}
    assert len(tried) == len({tuple(point.values()) for point, _ in tried})


def silent(speaker: str, seconds: float) -> Spoken:
    return Spoken("a", speaker, seconds, {})


def test_halves_share_no_speaker_and_are_about_equal() -> None:
    material = [silent(f"speaker {number % 7}", 1.0 + number % 7) for number in range(70)]
    first, second = halves(material)
    assert not {one.speaker for one in first} & {one.speaker for one in second}
    assert len(first) + len(second) == 70
    assert sum(one.seconds for one in first) == pytest.approx(sum(one.seconds for one in second), rel=0.2)
    assert halves(material) == (first, second)
    with pytest.raises(AsrError, match="two speakers"):
        halves([silent("one", 2.0)] * 3)


def test_tuning_takes_errors_and_overconfidence_away() -> None:
    """Words that a bonus of 3 for each word would invent; posteriors that know nothing of a hard half of the words."""
    tokens = ("<blank>", "A", "B", "C", "D")
    random = np.random.default_rng(0)
    lexicon = Lexicon.build([("ay", (1,)), ("bee", (2,)), ("see", (3,)), ("aye", (1, 4)), ("dee", (4,))], tokens)
    sounds = {"ay": (1,), "bee": (2,), "see": (3,), "aye": (1, 4), "dee": (4,)}

    def utterance(number: int) -> Spoken:
        words = [str(word) for word in random.choice(sorted(sounds), 6)]
        rows = []
        for word in words:
            for token in sounds[word]:
                logits = random.normal(0, 1.5, 5)
                logits[token] += random.choice([1.0, 7.0])
                rows += [logits, np.array([3.0, *random.normal(0, 1, 4)])]
        stacked = np.array(rows)
        log_probs = (stacked - np.log(np.exp(stacked).sum(axis=1, keepdims=True))).astype(np.float32)
        return Spoken(" ".join(words), f"speaker {number % 4}", 3.0, {"second": log_probs})

    sides = halves([utterance(number) for number in range(80)])
    decoder = Decoder(tokens, lexicon, None, DecoderOptions(beam=30, word_bonus=3.0, blank_skip=1.0))
    tuned = tune_reading(decoder, sides, "second", TuneOptions(rounds=1, search_minutes=0.8))
    assert tuned.options.word_bonus < 3.0
    assert tuned.words[1].rate < tuned.untuned[1].rate
    assert tuned.confidences[1].error < 0.1
    assert tuned.confidences[1].entropy > 0.1
    assert sum(count for *_, count in tuned.confidences[1].diagram) > 150
    assert "lm_weight" not in tuned.tried[0][0]
    assert 0 < tuned.most_doubt < 2


def test_a_new_configuration_renews_its_checksum(tmp_path: Path) -> None:
    model = write_oracle(tmp_path / "model")
    for sums in (None, "0  first.onnx\n0  model.json\n0 *other-model.json\n"):
        if sums:
            (model / "SHA256SUMS").write_text(sums)
        store(model, {})
        assert (model / "SHA256SUMS").exists() == bool(sums)
    digest = hashlib.sha256((model / "model.json").read_bytes()).hexdigest()
    assert (model / "SHA256SUMS").read_text() == f"0  first.onnx\n{digest}  model.json\n0 *other-model.json\n"


def test_the_command_tunes_a_model_directory(tmp_path: Path) -> None:
    model = write_oracle(tmp_path / "model")
    (tmp_path / "dictionary").write_text(DICTIONARY, encoding="utf-8")
    known = read_pronunciations(tmp_path / "dictionary", PHONES)
    Lexicon.build([(word, way) for word, ways in known.items() for way in ways], PHONES).save(model / "words.lexicon")
    utterances = []
    for number, text in enumerate(["one two threes two one", "two two", "three ones two one", "slip one"]):
        audio = tmp_path / f"{number}.wav"
        utterances.append(Utterance(audio, text, speak(audio, text), f"speaker {number % 2}", "oracle"))
    write_manifest(tmp_path / "valid.jsonl", utterances)
    arguments = ["tune", str(tmp_path / "valid.jsonl"), "--model", str(model), "--rounds", "1"]
    arguments += ["--diagram", str(tmp_path / "d.svg")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "calibration error" in result.output
    assert (tmp_path / "d.svg").read_text(encoding="utf-8").count("<svg") == 1
    config = json.loads((model / "model.json").read_text(encoding="utf-8"))
    assert set(config["calibration"]) == {"first", "second"} == set(config["decoding"]) - {"again"}
    limits = limits_of(Network.load(model))
    assert limits.ever and f"listens again: over {limits.fast_rate} tokens" in result.output
    assert 0 < limits.usual_rate < limits.fast_rate < 25  # one token in a frame of 40 ms is the most
    store(model, {}, Limits())
    assert "again" not in json.loads((model / "model.json").read_text(encoding="utf-8"))["decoding"]
    first, second = load_decoders(Network.load(model))
    assert first.options.beam == second.options.beam == DecoderOptions().beam
    assert first.calibration == Calibration.of(config["calibration"]["first"]) != Calibration()
    assert Rejection.of(config["decoding"]).second == config["decoding"]["second"]["most_doubt"] < 1
