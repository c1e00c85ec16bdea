"""Decoding without lexicon or language model: the best token of every frame of the spelling head.

What a decoder is to a stream is said here too, see `Decoder`; the stream knows no more of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, StreamError
from asr.network import BLANK, WORD_START

Floats = NDArray[np.float32]


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


class StoredState(Protocol):
    """A decoder's state over the frames of a segment."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The state as plain arrays for `Decoder.restore`."""
        ...


S = TypeVar("S", bound=StoredState)


class Decoder(Protocol[S]):
    """Log-probs of one head to words. Immutable; whatever a segment needs is in a state of type S.

    The result must not depend on how the frames are cut into steps.
    """

    head: str  # the head whose log-probs `step` wants

    def start(
        self,
        hotwords: Mapping[str, float] | None = None,
        grammar: Sequence[str] | None = None,
        words: Sequence[str] = (),
    ) -> S:
        """The state before the first frame of a segment; `words` are new to the decoder.

        Raises `AsrError` for what the decoder cannot use.
        """
        ...

    def step(self, state: S, log_probs: Floats) -> S:
        """The state after more frames, [frames, tokens] natural logs. The state that was given is spent."""
        ...

    def best(self, state: S, n: int = 1, spelling: Floats | None = None) -> list[Hypothesis]:
        """At most n readings of all frames so far, taken as the whole segment, the best first; never none.

        `spelling`: the spelling head's log-probs [frames, tokens] of the same frames, for a decoder that reads another.
        """
        ...

    def partial(self, state: S) -> tuple[DecodedWord, ...]:
        """What may be shown of a segment that goes on: completed words."""
        ...

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> S:
        """The state that `to_arrays` gave. Raises `StreamError` for a damaged one."""
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

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "tokens": np.array([self.tokens, self.starts, self.ends], np.int64),
            "scores": np.array([*self.log_probs, self.score], np.float64),
            "counts": np.array([self.last, self.frames], np.int64),
        }


class Greedy:
    """Best path (Graves et al., 2006): the likeliest token of every frame, repetitions and blanks taken out."""

    head = "spelling"
    complete_frames = 6  # of silence, after which the last word is shown as complete

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)

    def start(
        self,
        hotwords: Mapping[str, float] | None = None,
        grammar: Sequence[str] | None = None,
        words: Sequence[str] = (),
    ) -> GreedyState:
        if hotwords or grammar is not None or words:
            raise AsrError("Greedy decoding knows no hotwords, grammars or new words.")
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

    def best(self, state: GreedyState, n: int = 1, spelling: Floats | None = None) -> list[Hypothesis]:
        words: list[DecodedWord] = []
        begins = [i for i, token in enumerate(state.tokens) if i == 0 or self.tokens[token].startswith(WORD_START)]
        for begin, end in pairwise([*begins, len(state.tokens)]):
            text = "".join(self.tokens[token] for token in state.tokens[begin:end]).replace(WORD_START, "")
            if text:
                confidence = float(np.exp(np.mean(state.log_probs[begin:end])))
                words.append(DecodedWord(text, state.starts[begin], state.ends[end - 1], confidence))
        return [Hypothesis(tuple(words), state.score)]

    def partial(self, state: GreedyState) -> tuple[DecodedWord, ...]:
        words = self.best(state)[0].words
        return words[:-1] if words and words[-1].end_frame > state.frames - self.complete_frames else words

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> GreedyState:
        try:
            tokens, starts, ends = (row.tolist() for row in arrays["tokens"])
            *log_probs, score = arrays["scores"].tolist()
            last, frames = arrays["counts"].tolist()
            kinds = [(arrays[name].dtype.kind, arrays[name].ndim) for name in ("tokens", "scores", "counts")]
            if kinds != [("i", 2), ("f", 1), ("i", 1)]:
                raise ValueError("types")
            if len(tokens) != len(log_probs) or not all(0 <= token < len(self.tokens) for token in tokens):
                raise ValueError("lengths")
        except (KeyError, ValueError, TypeError) as error:
            raise StreamError("This decoder state is damaged: start a new stream.") from error
        return GreedyState(tokens, starts, ends, log_probs, last, frames, score)
