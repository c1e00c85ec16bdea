"""Decoding weights and confidence, fitted on speech whose text is known and judged on other speakers.

The speakers of a manifest are dealt into two halves. Weights are searched for the fewest word errors on the first half,
on average over its corpora (or a large one would decide for all); confidences are calibrated there, and the doubt that
speech may leave is found. Every figure is given for both halves.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.again import Limits, find_limits, speaking_rate
from asr.audio import read_audio
from asr.beam import DecoderOptions
from asr.confidence import Calibration, Evidence, calibration_error, features, fit, normalized_cross_entropy
from asr.datasets.manifest import Utterance
from asr.decoder import Decoder
from asr.decoders import SPELLING, load_decoders
from asr.errors import AsrError, TextError
from asr.evaluate.scores import Score, align, score_words
from asr.network import BLANK, Network, read_config
from asr.posteriors import Reading, utterance_log_probs
from asr.rejection import FIELD, doubt, find_most_doubt
from asr.text import normalize

READINGS: tuple[Reading, ...] = ("first", "second")
STEPS = {"lm_weight": 0.2, "word_bonus": 0.6, "blank_penalty": 0.6, "prior_weight": 0.3, "spelling_weight": 0.2}
BINS = 10  # of a reliability diagram

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TuneOptions:
    rounds: int = 3  # of the search; steps are halved after each
    search_minutes: float = 30.0  # speech of the first half that weights are searched on
    seed: int = 1


@dataclass(frozen=True)
class Spoken:
    """An utterance with its normalized text and the log-probs [frames, tokens] of both readings."""

    text: str
    speaker: str
    seconds: float
    log_probs: Mapping[Reading, NDArray[np.float32]]
    spelling: Mapping[Reading, NDArray[np.float16]] = field(default_factory=dict)  # where another head has a say
    corpus: str = ""


@dataclass(frozen=True)
class Confidences:
    """How confidences of words and their being right go together on one half of the speakers."""

    error: float  # expected calibration error
    entropy: float  # normalized cross-entropy
    diagram: tuple[tuple[float, float, int], ...]  # mean confidence, share that is right, words: of each tenth


@dataclass(frozen=True)
class Tuned:
    """What was found for one reading; figures are for the half that was tuned on and for the other."""

    options: DecoderOptions
    calibration: Calibration
    untuned: tuple[Score, Score]
    words: tuple[Score, Score]
    confidences: tuple[Confidences, Confidences]
    most_doubt: float  # that speech may leave, see `asr.rejection`
    real_time_factor: float  # of the search alone, in this process
    tried: list[tuple[dict[str, float], float]] = field(default_factory=list, repr=False)  # weights, word errors


def hear(
    network: Network, utterances: Iterable[Utterance], head: str, progress: Progress = lambda _: None
) -> list[Spoken]:
    """Log-probs of utterances, all at once: some 60 MB for an hour and reading where there is a spelling head besides.

    Utterances whose text cannot be normalized or is empty are left out.
    """
    material = []
    for number, utterance in enumerate(utterances):
        try:
            text = normalize(utterance.text)
        except TextError:
            continue
        if not text:
            continue
        samples = read_audio(utterance.audio)
        log_probs, spelling = {}, {}
        for reading in READINGS:
            heard = utterance_log_probs(network, samples, reading)
            log_probs[reading] = heard[head]
            if head != SPELLING and SPELLING in heard:
                spelling[reading] = heard[SPELLING].astype(np.float16)
        speaker = utterance.speaker or str(utterance.audio)
        material.append(Spoken(text, speaker, len(samples) / 16000, log_probs, spelling, utterance.corpus))
        if number % 50 == 49:
            progress(f"heard {number + 1} utterances")
    return material


class _Voice(Protocol):
    """Speech of somebody."""

    @property
    def speaker(self) -> str: ...

    @property
    def seconds(self) -> float: ...


Voice = TypeVar("Voice", bound=_Voice)


def halves(material: Sequence[Voice], seed: int = 1) -> tuple[list[Voice], list[Voice]]:
    """Speakers dealt into two halves of about the same amount of speech, by chance that the seed decides."""
    seconds: dict[str, float] = {}
    for one in material:
        seconds[one.speaker] = seconds.get(one.speaker, 0.0) + one.seconds
    order = sorted(seconds)
    np.random.default_rng(seed).shuffle(order)
    order.sort(key=lambda speaker: -seconds[speaker])  # the largest first, ties by chance
    sides: tuple[set[str], set[str]] = (set(), set())
    for speaker in order:
        lighter = min((0, 1), key=lambda side: sum(seconds[one] for one in sides[side]))
        sides[lighter].add(speaker)
    first, second = ([one for one in material if one.speaker in side] for side in sides)
    if not first or not second:
        raise AsrError(
            "Tuning needs speech of at least two speakers: half of them judge what the others were tuned on."
        )
    return first, second


def decode(decoder: Decoder, material: Sequence[Spoken], reading: Reading) -> list[list[tuple[str, Evidence]]]:
    """The words of each utterance with their evidence."""
    return [
        decoder.evidence(decoder.step(decoder.start(), one.log_probs[reading]), one.spelling.get(reading))
        for one in material
    ]


def log_priors(material: Sequence[Spoken], reading: Reading) -> tuple[float, ...]:
    """How likely each token is in speech, as natural logarithms, shifted to 0 on average; 0 for the blank."""
    total = np.sum([np.exp(one.log_probs[reading], dtype=np.float64).sum(axis=0) for one in material], axis=0)
    priors = np.log(np.maximum(total[1:], 1e-6))
    return (0.0, *np.round(priors - priors.mean(), 4).tolist())


def word_errors(found: Sequence[Sequence[tuple[str, Evidence]]], material: Sequence[Spoken]) -> Score:
    """Errors of decoded words against the texts."""
    texts = [" ".join(word for word, _ in words) for words in found]
    return Score.sum(score_words(one.text, text) for one, text in zip(material, texts, strict=True))


def mean_rate(found: Sequence[Sequence[tuple[str, Evidence]]], material: Sequence[Spoken]) -> float:
    """The word error rate on average over the corpora."""
    rates = []
    for corpus in sorted({one.corpus for one in material}):
        places = [place for place, one in enumerate(material) if one.corpus == corpus]
        rates.append(word_errors([found[place] for place in places], [material[place] for place in places]).rate)
    return float(np.mean(rates))


def search(
    errors: Callable[[dict[str, float]], float],
    start: Mapping[str, float],
    steps: Mapping[str, float],
    rounds: int = 3,
) -> tuple[dict[str, float], list[tuple[dict[str, float], float]]]:
    """Pattern search (Hooke and Jeeves, 1961): each number up or down a step as long as errors fall, then all of them
    on in the direction that they took together, as long as that helps; then half the steps.

    Gives the best point and all that was tried.
    """
    best = dict(start)
    known: dict[tuple[float, ...], float] = {}
    tried: list[tuple[dict[str, float], float]] = []

    def rate(point: dict[str, float]) -> float:
        key = tuple(round(value, 6) for value in point.values())
        if key not in known:
            known[key] = errors(point)
            tried.append((dict(point), known[key]))
        return known[key]

    for halving in range(rounds):
        improved = True
        while improved:
            improved, before = False, best
            for name, step in steps.items():
                for direction in (1, -1):
                    point = {**best, name: round(best[name] + direction * step / 2**halving, 6)}
                    while rate(point) < rate(best):
                        best, improved = point, True
                        point = {**best, name: round(best[name] + direction * step / 2**halving, 6)}
            ahead = {name: round(2 * best[name] - before[name], 6) for name in best}
            while improved and rate(ahead) < rate(best):
                before, best = best, ahead
                ahead = {name: round(2 * best[name] - before[name], 6) for name in best}
    return best, tried


def rated_words(
    found: Sequence[Sequence[tuple[str, Evidence]]], material: Sequence[Spoken]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The regression's inputs [words, features] of all decoded words, and which are right."""
    inputs: list[NDArray[np.float64]] = []
    right: list[bool] = []
    for words, one in zip(found, material, strict=True):
        pairs = align(one.text.split(), [word for word, _ in words])
        right += [not pair.wrong for pair in pairs if pair.hypothesis is not None]
        inputs += [features(evidence) for _, evidence in words]
    return np.array(inputs).reshape(len(right), -1), np.array(right, bool)


def judge(calibration: Calibration, inputs: NDArray[np.float64], right: NDArray[np.bool_]) -> Confidences:
    """How good a calibration is on words that it may not have seen."""
    confidence = calibration.confidences(inputs)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    diagram = tuple(
        (float(confidence[place == one].mean()), float(right[place == one].mean()), int((place == one).sum()))
        for one in range(BINS)
        if (place == one).any()
    )
    return Confidences(calibration_error(confidence, right, BINS), normalized_cross_entropy(confidence, right), diagram)


def tune_reading(
    decoder: Decoder,
    sides: tuple[Sequence[Spoken], Sequence[Spoken]],
    reading: Reading,
    options: TuneOptions,
    progress: Progress = lambda _: None,
) -> Tuned:
    """Search weights, then calibrate, on the first of two sides."""
    searched = _minutes(sides[0], options.search_minutes)
    useless = {
        name for name, used in (("lm_weight", decoder.has_model), ("spelling_weight", decoder.speller)) if not used
    }
    steps = {name: step for name, step in STEPS.items() if name not in useless}

    def errors(point: dict[str, float]) -> float:
        tried = decoder.with_options(replace(decoder.options, **point))  # type: ignore[arg-type]
        rate = mean_rate(decode(tried, searched, reading), searched)
        progress(
            f"{reading} reading: {rate:.2%} with " + ", ".join(f"{name} {value:g}" for name, value in point.items())
        )
        return rate

    decoder = decoder.with_options(replace(decoder.options, log_priors=log_priors(searched, reading)))
    untuned = tuple(word_errors(decode(decoder, side, reading), side) for side in sides)
    best, tried = search(errors, {name: getattr(decoder.options, name) for name in steps}, steps, options.rounds)
    tuned = decoder.with_options(replace(decoder.options, **best))  # type: ignore[arg-type]
    begin = time.process_time()
    found = [decode(tuned, side, reading) for side in sides]
    factor = (time.process_time() - begin) / sum(one.seconds for side in sides for one in side)
    rated = [rated_words(words, side) for words, side in zip(found, sides, strict=True)]
    calibration = fit(*rated[0])
    doubts = [doubt(one.log_probs[reading][:, BLANK]) for one in sides[0]]
    of_words = np.repeat(doubts, [len(words) for words in found[0]])
    return Tuned(
        tuned.options,
        calibration,
        (untuned[0], untuned[1]),
        (word_errors(found[0], sides[0]), word_errors(found[1], sides[1])),
        (judge(calibration, *rated[0]), judge(calibration, *rated[1])),
        find_most_doubt(of_words[rated[0][1]]),
        factor,
        tried,
    )


def _minutes(material: Sequence[Spoken], minutes: float) -> list[Spoken]:
    """Evenly chosen utterances of at most so much speech in all."""
    total = sum(one.seconds for one in material)
    stride = max(1.0, total / (60 * minutes))
    return [material[int(place)] for place in np.arange(0, len(material), stride)]


def tune(
    model: Path,
    utterances: Iterable[Utterance],
    options: TuneOptions | None = None,
    progress: Progress = lambda _: None,
) -> tuple[dict[Reading, Tuned], Limits]:
    """Tune both readings of a model directory, and when it listens again, which figures and confidences leave out.

    Raises `AsrError` where the speech is of fewer than two speakers.
    """
    options = options or TuneOptions()
    network = Network.load(model)
    decoders = dict(zip(READINGS, load_decoders(network), strict=True))
    material = hear(network, utterances, decoders["second"].head, progress)
    sides = halves(material, options.seed)
    tuned = {reading: tune_reading(decoders[reading], sides, reading, options, progress) for reading in READINGS}
    tables = [one.log_probs["second"] for one in sides[0]]
    rates = np.array([speaking_rate(table, network.frame_seconds) for table in tables])
    return tuned, find_limits(rates, np.array([doubt(table[:, BLANK]) for table in tables]))


def store(model: Path, tuned: Mapping[Reading, Tuned], again: Limits | None = None) -> None:
    """Write weights, calibration and, if given, when to listen again into the directory's `model.json`."""
    config = read_config(model)
    decoding, calibration = config.setdefault("decoding", {}), config.setdefault("calibration", {})
    for reading, found in tuned.items():
        decoding[reading] = vars(found.options) | {FIELD: found.most_doubt}
        calibration[reading] = found.calibration.to_config()
    if again is not None:
        decoding.pop("again", None)
        if again.ever:
            decoding["again"] = vars(again)
    write_config(model, config)


def write_config(model: Path, config: Mapping[str, object]) -> None:
    """Write a directory's `model.json`, all of it or nothing, and its line in SHA256SUMS where there are checksums."""
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    _replace(model / "model.json", text)
    sums = model / "SHA256SUMS"
    if sums.is_file():
        digest = hashlib.sha256(text.encode()).hexdigest()
        lines = sums.read_text(encoding="utf-8", errors="surrogateescape")
        _replace(sums, re.sub(r"^\w+(?= [ *]model\.json$)", digest, lines, flags=re.MULTILINE))


def _replace(path: Path, text: str) -> None:
    scratch = path.with_suffix(".part")
    scratch.write_bytes(text.encode(errors="surrogateescape"))
    scratch.replace(path)


def draw_diagram(path: Path, tuned: Mapping[Reading, Tuned]) -> None:
    """The reliability diagrams of the half that was not tuned on, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(tuned), figsize=(4.5 * len(tuned), 4.5), squeeze=False, layout="constrained")
    for axis, (reading, found) in zip(axes[0], tuned.items(), strict=True):
        judged = found.confidences[1]
        confidence, right, _ = zip(*judged.diagram, strict=True)
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axis.bar(confidence, right, width=0.08, color="#4477aa", alpha=0.85)
        for place, share, count in judged.diagram:
            axis.annotate(f"{count}", (place, share), ha="center", va="bottom", fontsize=7)
        axis.set(
            title=f"{reading} reading: calibration error {judged.error:.3f}, cross-entropy {judged.entropy:.2f}",
            xlabel="confidence",
            ylabel="share of words that are right",
            xlim=(0, 1),
            ylim=(0, 1.05),
        )
        axis.title.set_fontsize(9)
    figure.savefig(path)
    pyplot.close(figure)
