"""What the decoder is worth: errors against greedy spelling, its cost, hotwords, commands, words that change.

    python tools/decoding.py --data data [--model DIR] [--json FILE] [errors changes hotwords commands]

Each utterance is read as a whole, without endpoints. Word errors stand apart for the half of the speakers that
`asr tune valid.jsonl` tunes on and for the other. The hotwords are 50 words that occur in the validation speech and are
taken out of lexicon and language model. Words that change are counted as `tools/latency.py` does, which plays the
speech in real time: here a stream is fed 80 ms after 80 ms, and somebody looks each time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, read_audio
from asr.datasets.manifest import Utterance, read_manifest
from asr.decoder import Decoder
from asr.decoders import LANGUAGE_MODEL, SPELLING, load_decoders, load_pronunciations
from asr.evaluate.scores import Score, score_words
from asr.greedy import Greedy
from asr.hotwords import DEFAULT_BONUS
from asr.language_model import LanguageModel
from asr.latency import common
from asr.lexicon import Lexicon
from asr.network import Network
from asr.posteriors import Reading
from asr.recognizer import Recognizer, find_model
from asr.results import Segment
from asr.tune import READINGS, Spoken, halves, hear

COMMANDS = ("down", "eight", "five", "go", "left", "one", "right", "up", "zero")
HIDDEN = 50
LEAST_LETTERS = 5
MOST_OFTEN = 5  # a hidden word occurs at most so often
LOOK_SECONDS = 0.08  # of sound between two looks at what is shown
Figures = dict[str, float]


@dataclass(frozen=True)
class Bench:
    """A model and the speech to try it on."""

    network: Network
    manifests: Path

    @cached_property
    def decoders(self) -> dict[Reading, Decoder]:
        return dict(zip(READINGS, load_decoders(self.network), strict=True))

    @cached_property
    def valid(self) -> list[Utterance]:
        return read_manifest(self.manifests / "valid.jsonl")

    @cached_property
    def tuned_on(self) -> set[str]:
        """The speakers that `asr tune valid.jsonl` tunes on."""
        everybody = [Spoken("", one.speaker or str(one.audio), one.duration, {}) for one in self.valid]
        return {one.speaker for one in halves(everybody)[0]}

    @cached_property
    def heard(self) -> list[Spoken]:
        """The LibriSpeech part."""
        return self.hear(one for one in self.valid if one.corpus == "librispeech")

    def hear(self, utterances: Iterable[Utterance]) -> list[Spoken]:
        return hear(self.network, utterances, self.decoders["second"].head)


def read(
    decoder: Decoder,
    material: Sequence[Spoken],
    reading: Reading,
    hotwords: Mapping[str, float] | None = None,
    grammar: Sequence[str] | None = None,
) -> tuple[list[str], float]:
    """The text of each utterance, and the processor seconds for a second of sound."""
    decoder.start(hotwords, grammar)  # what is done once for a stream is not counted
    begin = time.process_time()
    found = []
    for one in material:
        state = decoder.step(decoder.start(hotwords, grammar), one.log_probs[reading])
        found.append(decoder.best(state, 1, one.spelling.get(reading))[0])
    factor = (time.process_time() - begin) / sum(one.seconds for one in material)
    return [" ".join(word.text for word in one.words) for one in found], factor


def spelled(bench: Bench, material: Sequence[Spoken], reading: Reading) -> list[str]:
    """The greedy reading of the spelling head."""
    greedy = Greedy(bench.network.heads[SPELLING])
    tables = [np.asarray(one.spelling.get(reading, one.log_probs[reading]), np.float32) for one in material]
    found = [greedy.best(greedy.step(greedy.start(), table))[0] for table in tables]
    return [" ".join(word.text for word in one.words) for one in found]


def rate(found: Sequence[str], material: Sequence[Spoken], among: set[str] | None = None) -> float:
    """Word errors, of some speakers alone if asked."""
    pairs = [(one.text, text) for one, text in zip(material, found, strict=True) if not among or one.speaker in among]
    return float(Score.sum(score_words(*pair) for pair in pairs).rate or 0.0)


def errors(bench: Bench) -> Figures:
    """Word errors of both readings, against greedy spelling, and what the search costs."""
    material = bench.heard
    others = {one.speaker for one in material} - bench.tuned_on
    figures: Figures = {}
    for reading in READINGS:
        found, factor = read(bench.decoders[reading], material, reading)
        figures[f"{reading} reading, word errors"] = rate(found, material)
        figures[f"{reading} reading, speakers tuned on"] = rate(found, material, bench.tuned_on)
        figures[f"{reading} reading, other speakers"] = rate(found, material, others)
        if SPELLING in bench.network.heads:
            greedy = rate(spelled(bench, material, reading), material)
            figures[f"{reading} reading, greedy spelling"] = greedy
            figures[f"{reading} reading, fraction of greedy"] = figures[f"{reading} reading, word errors"] / greedy
        figures[f"{reading} reading, real-time factor of the search"] = factor
    return figures


def changes(bench: Bench, most: int = 60) -> Figures:
    """Words that were shown and later changed, of all that were shown; and how many of the final words came early."""
    material = [one for one in bench.valid if one.corpus == "librispeech"]
    recognizer = Recognizer(bench.network.directory, plain=True)
    step = round(LOOK_SECONDS * SAMPLE_RATE)
    new = changed = early = words = 0
    for one in material[:: max(1, len(material) // most)]:
        samples, stream = read_audio(one.audio, SAMPLE_RATE), recognizer.stream(second_reading="inline")
        final, views = list[str](), list[list[str]]()
        for begin in range(0, len(samples), step):
            final += texts(stream.feed(samples[begin : begin + step]))
            views.append([*final, *texts([stream.partial])])
        final += texts(stream.finish())
        before, seen = list[str](), set[int]()
        for shown in views:
            there = common(final, shown)
            known = common(before, shown)
            fresh = [place for place in range(len(shown)) if place not in known]
            new, changed = new + len(fresh), changed + sum(place not in there for place in fresh)
            seen |= set(there.values())
            before = shown
        words, early = words + len(final), early + len(seen)
    return {"shown words that change": changed / max(new, 1), "final words shown before the end": early / max(words, 1)}


def texts(segments: Iterable[Segment]) -> list[str]:
    return [word.text for segment in segments for word in segment.words]


class Censored:
    """A language model that does not know some words."""

    def __init__(self, model: LanguageModel, hidden: set[str]) -> None:
        self._model, self._hidden = model, hidden
        self.start, self.score, self.end_score = model.start, model.score, model.end_score

    def word_ids(self, words: Iterable[str]) -> NDArray[np.int64]:
        return self._model.word_ids("<unk>" if word in self._hidden else word for word in words)


def choose_hidden(material: Sequence[Spoken], lexicon: Lexicon, seed: int = 1) -> set[str]:
    """Rare words of the speech that the lexicon has."""
    counts: dict[str, int] = {}
    for word in " ".join(one.text for one in material).split():
        counts[word] = counts.get(word, 0) + 1
    rare = sorted(word for word, count in counts.items() if len(word) >= LEAST_LETTERS and count <= MOST_OFTEN)
    rare = [word for word in rare if lexicon.find(word) is not None]
    return set(np.random.default_rng(seed).choice(rare, HIDDEN, replace=False).tolist())


def censor(network: Network, decoder: Decoder, hidden: set[str]) -> Decoder:
    """The decoder with words taken out of its lexicon and language model, and nobody asked about whole readings."""
    lexicon, g2p = load_pronunciations(network)
    assert lexicon is not None, "hotwords are measured with a lexicon"
    model = LanguageModel.load(network.directory / LANGUAGE_MODEL)
    entries = [(word, sounds) for word, sounds in lexicon.entries() if word not in hidden]
    known = sorted({word for word, _ in entries})
    scores = dict(zip(known, model.unigram(model.word_ids(known)).tolist(), strict=True))
    smaller = Lexicon.build(entries, lexicon.tokens, scores)
    return Decoder(decoder.tokens, smaller, Censored(model, hidden), decoder.options, decoder.head, g2p)


def judge_hotwords(
    material: Sequence[Spoken], without: Sequence[str], found: Sequence[str], hidden: set[str]
) -> Figures:
    """What the hotwords did to texts that were found `without` them."""
    said = heard = false = 0
    for one, text in zip(material, found, strict=True):
        for word in hidden & {*one.text.split(), *text.split()}:
            here, there = one.text.split().count(word), text.split().count(word)
            said, heard, false = said + here, heard + min(here, there), false + max(0, there - here)
    elsewhere = [number for number, one in enumerate(material) if not hidden & set(one.text.split())]
    rates = [
        rate([texts[number] for number in elsewhere], [material[number] for number in elsewhere])
        for texts in (without, found)
    ]
    return {
        "hidden words said": said,
        "recall": heard / said,
        "false insertions an hour": 3600 * false / sum(one.seconds for one in material),
        "word errors elsewhere without hotwords": rates[0],
        "word errors elsewhere with them": rates[1],
    }


def hotwords(bench: Bench) -> Figures:
    """Fifty words that lexicon and language model do not know, expected with the bonus that is the default."""
    decoder, material = bench.decoders["second"], bench.heard
    assert decoder.lexicon is not None, "hotwords are measured with a lexicon"
    hidden = choose_hidden(material, decoder.lexicon)
    censored = censor(bench.network, decoder, hidden)
    without, _ = read(censored, material, "second")
    found, _ = read(censored, material, "second", dict.fromkeys(sorted(hidden), DEFAULT_BONUS))
    return judge_hotwords(material, without, found, hidden)


def commands(bench: Bench) -> Figures:
    """Single words with a grammar of nine, and with one more for any other speech."""
    material = bench.hear(read_manifest(bench.manifests / "commands_test.jsonl"))
    found, factor = read(bench.decoders["second"], material, "second", grammar=COMMANDS)
    right = sum(text == one.text for text, one in zip(found, material, strict=True))
    return {"commands right": right / len(material), "real-time factor with the grammar": factor}


STEPS = {"errors": errors, "changes": changes, "hotwords": hotwords, "commands": commands}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds manifests/valid.jsonl")
    parser.add_argument("--model", help="model directory  [default: the shipped one]")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    arguments = parser.parse_args()
    if unknown := set(arguments.steps) - set(STEPS):
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    bench = Bench(Network.load(find_model(arguments.model)), arguments.data / "manifests")
    figures: Figures = {}
    for step in arguments.steps or STEPS:
        figures |= (found := STEPS[step](bench))
        for name, value in found.items():
            print(f"{name:48} {value:9.4f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
