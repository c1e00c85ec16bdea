"""Decoding without lexicon or language model: the best token of every frame of the spelling head.

What a decoder is to a stream is said here too: `start`, `step`, `best` (see `Decoder`). The stream and its tests know
no more than this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.network import BLANK, WORD_START

Floats = NDArray[np.float32]
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class DecodedWord:
    """A word and the frames in which it was heard, counted from the first frame that the decoder was given."""

    text: str
    start_frame: float
    end_frame: float  # one past the last
    confidence: float  # 0 to 1


@dataclass(frozen=True, slots=True)
class Hypothesis:
    words: tuple[DecodedWord, ...]
    score: float  # natural log


class Decoder(Protocol[S]):
    """Log-probs of one head to words. Immutable; whatever a segment needs is in a state of type S.

    The result must not depend on how the frames are cut into steps.
    """

    head: str  # the head whose log-probs `step` wants

    def start(self, hotwords: Mapping[str, float] | None = None, grammar: Sequence[str] | None = None) -> S:
        """The state before the first frame of a segment. Raises `AsrError` for what the decoder cannot use."""
        ...

    def step(self, state: S, log_probs: Floats) -> S:
        """The state after more frames, [frames, tokens] natural logs. The state that was given is spent."""
        ...

    def best(self, state: S, n: int = 1) -> list[Hypothesis]:
        """At most n readings of all frames so far, the best first; never none."""
        ...


def collapse(path: NDArray[np.intp], previous: int = BLANK) -> list[tuple[int, int]]:
    """Where new tokens begin in the best token of each frame: (frame, token), without blanks and repetitions."""
    before = np.concatenate([[previous], path[:-1]])
    return [(int(frame), int(path[frame])) for frame in np.flatnonzero((path != before) & (path != BLANK))]


@dataclass
class GreedyState:
    tokens: list[int]
    starts: list[int]  # the frame where each token begins
    ends: list[int]  # one past its last
    log_probs: list[float]  # the highest in its frames
    last: int = BLANK  # the best token of the last frame
    frames: int = 0
    score: float = 0.0


class Greedy:
    """Best path (Graves et al., 2006): the likeliest token of every frame, repetitions and blanks taken out."""

    head = "spelling"

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)

    def start(self, hotwords: Mapping[str, float] | None = None, grammar: Sequence[str] | None = None) -> GreedyState:
        if hotwords or grammar is not None:
            raise AsrError("Hotwords and grammars need a model with a lexicon (words.lexicon); this one has none.")
        return GreedyState([], [], [], [])

    def step(self, state: GreedyState, log_probs: Floats) -> GreedyState:
        path = log_probs.argmax(axis=1)
        for token, log_prob in zip(path.tolist(), log_probs[np.arange(len(path)), path].tolist(), strict=True):
            state.frames += 1
            state.score += log_prob
            if token == BLANK:
                pass
            elif token == state.last:
                state.ends[-1] = state.frames
                state.log_probs[-1] = max(state.log_probs[-1], log_prob)
            else:
                state.tokens.append(token)
                state.starts.append(state.frames - 1)
                state.ends.append(state.frames)
                state.log_probs.append(log_prob)
            state.last = token
        return state

    def best(self, state: GreedyState, n: int = 1) -> list[Hypothesis]:
        words: list[DecodedWord] = []
        begins = [i for i, token in enumerate(state.tokens) if i == 0 or self.tokens[token].startswith(WORD_START)]
        for begin, end in pairwise([*begins, len(state.tokens)]):
            text = "".join(self.tokens[token] for token in state.tokens[begin:end]).replace(WORD_START, "")
            if text:
                confidence = float(np.exp(np.mean(state.log_probs[begin:end])))
                words.append(DecodedWord(text, state.starts[begin], state.ends[end - 1], confidence))
        return [Hypothesis(tuple(words), state.score)]
