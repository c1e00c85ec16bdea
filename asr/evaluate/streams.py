"""Utterances joined to streams of half an hour: does it hear as well after long listening as at the start?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.audio import SAMPLE_RATE, Samples, read_audio
from asr.evaluate.outcome import StreamResult, StreamUtterance, UtteranceResult
from asr.evaluate.scores import Pair, Score, align
from asr.stream import Stream

PAUSE_SECONDS = 0.6
PAUSE_DB = -60.0  # of the noise in the pauses, below full scale


@dataclass(frozen=True, slots=True)
class Joined:
    """The utterances of one stream, in order."""

    utterances: list[UtteranceResult]
    seed: int  # of the noise between them

    def blocks(self) -> Iterator[tuple[Samples, float]]:
        """An utterance with the pause after it, [n] at 16 kHz, and the second of the stream at which it begins."""
        noise = np.random.default_rng(self.seed)
        samples = 0
        for utterance in self.utterances:
            pause = noise.standard_normal(round(PAUSE_SECONDS * SAMPLE_RATE), np.float32) * np.float32(
                10 ** (PAUSE_DB / 20)
            )
            block = np.concatenate([read_audio(utterance.audio), pause])
            yield block, samples / SAMPLE_RATE
            samples += len(block)


def join(utterances: Sequence[UtteranceResult], minutes: float, seed: int) -> list[Joined]:
    """All utterances in an order that follows from `seed`, in streams of about `minutes`, all about equally long."""
    order = np.random.default_rng(seed).permutation(len(utterances))
    lengths = np.array([utterances[index].duration + PAUSE_SECONDS for index in order])
    count = max(1, round(float(lengths.sum()) / (60 * minutes)))
    middles = np.cumsum(lengths) - lengths / 2
    numbers = np.minimum((middles / lengths.sum() * count).astype(int), count - 1)  # which stream, of each
    return [Joined([utterances[index] for index in order[numbers == number]], seed + number) for number in range(count)]


def evaluate_streams(
    new_stream: Callable[[], Stream],
    utterances: Sequence[UtteranceResult],
    minutes: float,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[StreamResult]:
    """Recognize `utterances` in long streams; each gets the errors of its words in the stream's alignment.

    What was heard of the utterances alone is joined and aligned in the same way: a long alignment is kinder, since an
    insertion beside a deletion of the next utterance becomes one substitution.
    """
    if not utterances:
        return []
    results, done = [], 0
    for joined in join(utterances, minutes, seed):
        stream, words, starts = new_stream(), [], []
        end = 0.0
        for block, start in joined.blocks():
            starts.append(start)
            end = start + len(block) / SAMPLE_RATE
            words += [word.text for segment in stream.feed(block) for word in segment.words]
            done += 1
            if progress is not None:
                progress("in streams", done, len(utterances))
        words += [word.text for segment in stream.finish() for word in segment.words]
        references = [utterance.reference.split() for utterance in joined.utterances]
        heard_alone = [word for utterance in joined.utterances for word in utterance.hypothesis.split()]
        scores, alone = share_errors(references, words), share_errors(references, heard_alone)
        members = [
            StreamUtterance(utterance.id, start / end, *both)
            for utterance, start, *both in zip(joined.utterances, starts, scores, alone, strict=True)
        ]
        results.append(StreamResult(end, members))
    return results


def share_errors(references: Sequence[Sequence[str]], hypothesis: Sequence[str]) -> list[Score]:
    """The score of each reference in the alignment of their concatenation with `hypothesis`.

    Words inserted between two references count for the one before.
    """
    owners = [index for index, reference in enumerate(references) for _ in reference]
    shared: list[list[Pair]] = [[] for _ in references]
    position, owner = 0, owners[0] if owners else 0
    pairs = align([word for reference in references for word in reference], hypothesis)
    for pair in pairs:
        if pair.reference is not None:
            owner = owners[position]
            position += 1
        shared[owner].append(pair)
    return [Score.of(members) for members in shared]
