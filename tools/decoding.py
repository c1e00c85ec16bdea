"""What the decoder is worth: errors against greedy spelling, its cost, hotwords, and commands with a grammar.

    python tools/decoding.py --data data [--model DIR] [errors hotwords commands]

Each utterance is read as a whole, without endpoints. Word errors are those of the weights in the model's `model.json`
(`asr tune` gives them apart for the half of the speakers that they were tuned on). The hotwords are 50 words that occur
in the validation speech and are taken out of lexicon and language model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio import read_audio
from asr.datasets.manifest import read_manifest
from asr.decoder import Decoder
from asr.decoders import LANGUAGE_MODEL, SPELLING, load_decoders, load_pronunciations
from asr.evaluate.scores import Score, score_words
from asr.greedy import Greedy
from asr.language_model import LanguageModel
from asr.lexicon import Lexicon
from asr.network import Network
from asr.posteriors import Reading, utterance_log_probs
from asr.recognizer import find_model
from asr.text import normalize
from asr.tune import READINGS, Spoken, hear

COMMANDS = ("down", "eight", "five", "go", "left", "one", "right", "up", "zero")
HIDDEN = 50
LEAST_LETTERS = 5
MOST_OFTEN = 5  # a hidden word occurs at most so often


class Censored:
    """A language model that does not know some words."""

    def __init__(self, model: LanguageModel, hidden: set[str]) -> None:
        self._model, self._hidden = model, hidden
        self.start, self.score, self.end_score = model.start, model.score, model.end_score

    def word_ids(self, words: Iterable[str]) -> NDArray[np.int64]:
        return self._model.word_ids("<unk>" if word in self._hidden else word for word in words)


def texts(decoder: Any, material: Sequence[Spoken], reading: Reading, **wanted: Any) -> tuple[list[str], float]:
    """What is heard in each utterance, and the processor seconds for a second of sound."""
    decoder.start(**wanted)  # what is done once for a stream is not counted
    begin = time.process_time()
    found = [decoder.best(decoder.step(decoder.start(**wanted), one.log_probs[reading]))[0] for one in material]
    factor = (time.process_time() - begin) / sum(one.seconds for one in material)
    return [" ".join(word.text for word in one.words) for one in found], factor


def errors_of(found: Sequence[str], material: Sequence[Spoken]) -> Score:
    return Score.sum(score_words(one.text, text) for one, text in zip(material, found, strict=True))


def errors(network: Network, data: Path) -> None:
    decoders = dict(zip(READINGS, load_decoders(network), strict=True))
    utterances = [one for one in read_manifest(data / "manifests" / "valid.jsonl") if one.corpus == "librispeech"]
    material = hear(network, utterances, decoders["second"].head)
    spelled = hear(network, utterances, SPELLING) if SPELLING in network.heads else []
    for reading, decoder in decoders.items():
        found, factor = texts(decoder, material, reading)
        rate = errors_of(found, material).rate
        line = f"{reading} reading: word errors {rate:.2%}, real-time factor of the search {factor:.4f}"
        if spelled:
            greedy = errors_of(texts(Greedy(network.heads[SPELLING]), spelled, reading)[0], spelled).rate
            line += f"; greedy spelling {greedy:.2%}, fraction {rate / greedy:.2f}"
        print(line)


def hotwords(network: Network, data: Path, bonus: float = 6.0) -> None:
    lexicon, g2p = load_pronunciations(network)
    assert lexicon is not None, "hotwords are measured with a lexicon"
    decoder = load_decoders(network)[1]
    utterances = [one for one in read_manifest(data / "manifests" / "valid.jsonl") if one.corpus == "librispeech"]
    material = hear(network, utterances, decoder.head)
    counts: dict[str, int] = {}
    for word in " ".join(one.text for one in material).split():
        counts[word] = counts.get(word, 0) + 1
    rare = sorted(word for word, count in counts.items() if len(word) >= LEAST_LETTERS and count <= MOST_OFTEN)
    rare = [word for word in rare if lexicon.find(word) is not None]
    hidden = set(np.random.default_rng(1).choice(rare, HIDDEN, replace=False).tolist())
    model = LanguageModel.load(network.directory / LANGUAGE_MODEL)
    entries = [(word, sounds) for word, sounds in lexicon.entries() if word not in hidden]
    known = sorted({word for word, _ in entries})
    scores = dict(zip(known, model.unigram(model.word_ids(known)).tolist(), strict=True))
    smaller = Lexicon.build(entries, lexicon.tokens, scores)
    censored = Decoder(decoder.tokens, smaller, Censored(model, hidden), decoder.options, decoder.head, g2p)
    expected = {word: bonus for word in hidden}
    without, _ = texts(censored, material, "second")
    found, _ = texts(censored, material, "second", hotwords=expected)
    said = heard = false = 0
    for one, text in zip(material, found, strict=True):
        for word in hidden:
            here, there = one.text.split().count(word), text.split().count(word)
            said, heard, false = said + here, heard + min(here, there), false + max(0, there - here)
    elsewhere = [number for number, one in enumerate(material) if not hidden & set(one.text.split())]
    rates = [
        errors_of([some[number] for number in elsewhere], [material[number] for number in elsewhere]).rate
        for some in (without, found)
    ]
    hours = sum(one.seconds for one in material) / 3600
    print(
        f"{HIDDEN} hidden words with bonus {bonus:g}: recall {heard / said:.1%} of {said},"
        f" {false / hours:.1f} false insertions an hour,"
        f" word errors elsewhere {rates[0]:.2%} without and {rates[1]:.2%} with them"
    )


def commands(network: Network, data: Path) -> None:
    decoder = load_decoders(network)[1]
    utterances = read_manifest(data / "manifests" / "commands_test.jsonl")
    right = 0
    for one in utterances:
        log_probs = utterance_log_probs(network, read_audio(one.audio))[decoder.head]
        words = decoder.best(decoder.step(decoder.start(grammar=COMMANDS), log_probs))[0].words
        right += " ".join(word.text for word in words) == normalize(one.text)
    print(f"commands with a grammar of {len(COMMANDS)} words: {right / len(utterances):.1%} of {len(utterances)} right")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = {"errors": errors, "hotwords": hotwords, "commands": commands}
    parser.add_argument("steps", nargs="*", choices=list(steps), default=list(steps))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds manifests/valid.jsonl")
    parser.add_argument("--model", help="model directory  [default: the shipped one]")
    arguments = parser.parse_args()
    network = Network.load(find_model(arguments.model))
    for step in arguments.steps:
        steps[step](network, arguments.data)


if __name__ == "__main__":
    main()
