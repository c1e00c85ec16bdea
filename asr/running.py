"""What a stream holds of the segment that has not ended, and of what was said before a key was released."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoders import SPELLING
from asr.endpoint import Detector
from asr.network import BLANK, Network, State
from asr.results import Word
from asr.snapshot import Arrays, Parts, whole

Floats = NDArray[np.float32]

OVERHANG_FRAMES = 8  # how long after a cut the first reading may still come to what the final text already has


@dataclass
class Overhang:
    """What the first reading may still say of sound whose text is already final, after a key was released.

    The released segment was read with silence after the cut, the stream goes on with what was really said: the last
    frames come again, and so may tokens that the final text has.
    """

    skip: int = 0  # frames to come that were read and decided before the cut
    left: int = 0  # frames after them in which the expected tokens are swallowed
    expected: list[int] = field(default_factory=list)
    previous: int = BLANK  # the last frame's token: its repetition is no new one

    def swallows(self, token: int) -> bool:
        """Whether the next frame, of best token `token`, belongs to what was said before the cut."""
        if self.skip:
            self.skip -= 1
            return True
        if not self.left:
            return False
        if token == self.previous != BLANK:
            return True
        self.previous = token
        self.left -= 1
        if token == BLANK:
            return False
        if self.expected and token == self.expected[0]:
            del self.expected[0]
            return True
        self.left = 0
        return False

    @classmethod
    def restored(cls, stored: dict[str, Any], tokens: int) -> Overhang:
        """Raises `ValueError` and its like for what no overhang can be, over a head of so many tokens."""
        expected = [whole(token, most=tokens - 1) for token in stored["expected"]]
        previous = whole(stored["previous"], most=tokens - 1)
        return cls(whole(stored["skip"]), whole(stored["left"]), expected, previous)


def written_ahead(real: list[tuple[int, int]], final: list[tuple[int, int]], end: int) -> list[int]:
    """The tokens that the final reading of a cut segment has and the first reading has not come to by frame `end`.

    Both as (frame, token). Counted from the last token that both have; only those near the cut.
    """
    begin = max(0, end - OVERHANG_FRAMES)
    if real and (same := [i for i, (frame, token) in enumerate(final) if token == real[-1][1] and frame >= begin]):
        final = final[same[-1] + 1 :]
    elif real:
        final = [(frame, token) for frame, token in final if frame > real[-1][0]]
    return [token for frame, token in final if frame >= begin]


@dataclass
class Running:
    """The network's state and the segment that has not ended."""

    state: State
    detector: Detector
    levels: Floats  # dB of the frames whose output lags behind: the look-ahead
    context: int  # frames before the segment that the second reading hears too, at most
    spells: bool  # whether the first reading's spelling head has a say, too
    sound_samples: int  # that are kept of each frame, to listen to it again; 0 or all
    overhang: Overhang = field(default_factory=Overhang)
    outputs: int = 0  # frames that have come out of the network in all
    before: list[Floats] = field(default_factory=list)  # hidden states of the frames before the segment: [width]
    hidden: list[Floats] = field(default_factory=list)  # of each frame of the segment: [width]
    sound_before: list[Floats] = field(default_factory=list)  # samples of the frames before it: [sound_samples]
    sound: list[Floats] = field(default_factory=list)  # of each frame of the segment: [sound_samples]
    log_probs: list[Floats] = field(default_factory=list)  # [tokens], of the head that the first decoder reads
    spelling: list[Floats] = field(default_factory=list)  # of the spelling head, if it has a say
    decoding: Any = None  # state of the decoder of what is shown, over `decoded` frames of the segment
    decoded: int = 0
    shown: tuple[int, tuple[Word, ...]] | None = None  # `decoded` when somebody looked, and what was to be seen

    @property
    def first_output(self) -> int:
        return self.outputs - len(self)

    def __len__(self) -> int:
        return len(self.log_probs)

    def copy(self) -> Running:
        return dataclasses.replace(
            self,
            detector=self.detector.copy(),
            overhang=dataclasses.replace(self.overhang, expected=list(self.overhang.expected)),
            before=list(self.before),
            hidden=list(self.hidden),
            sound_before=list(self.sound_before),
            sound=list(self.sound),
            log_probs=list(self.log_probs),
            spelling=list(self.spelling),
            decoding=None,
            decoded=0,
            shown=None,
        )

    def drop(self, frames: int) -> None:
        """Forgets the first frames of the segment: now they are what was before it."""
        self.remember(self.hidden[:frames], self.sound[:frames])
        self.detector.drop(frames)
        del self.hidden[:frames], self.sound[:frames], self.log_probs[:frames], self.spelling[:frames]
        self.forget_decoding()

    def remember(self, hidden: Sequence[Floats], sound: Sequence[Floats]) -> None:
        """Frames that belong to no segment any more."""
        kept = slice(-self.context, None) if self.context else slice(0)
        self.before = [*self.before, *hidden][kept]
        self.sound_before = [*self.sound_before, *sound][kept]

    def forget_decoding(self) -> None:
        self.decoding, self.decoded, self.shown = None, 0, None

    def store(self, network: Network, head: str) -> tuple[dict[str, object], Arrays]:
        """All of it for `restore`, as parts of a snapshot; `head` is what the first decoder reads."""
        header: dict[str, object] = {"outputs": self.outputs, "overhang": dataclasses.asdict(self.overhang)}
        arrays: Arrays = {
            "levels": self.levels,
            "detector": self.detector.to_array(),
            "before": rows(self.before, network.width),
            "hidden": rows(self.hidden, network.width),
            "sound_before": rows(self.sound_before, self.sound_samples),
            "sound": rows(self.sound, self.sound_samples),
            "log_probs": rows(self.log_probs, len(network.heads[head])),
            **{f"state.{name}": array for name, array in self.state.items()},
        }
        if self.spells:
            arrays["spelling"] = rows(self.spelling, len(network.heads[SPELLING]))
        if self.decoding is not None:
            header["decoded"] = self.decoded
            arrays |= {f"decoding.{name}": array for name, array in self.decoding.to_arrays().items()}
        return header, arrays

    def restore(self, parts: Parts, network: Network, head: str) -> None:
        """Goes on from what `store` gave, but for the decoding. Raises `ValueError` and its like."""
        self.state = {name: parts.array(f"state.{name}", *array.shape) for name, array in self.state.items()}
        stored = parts.array("detector", -1, 3, dtype=np.float64, shortest=1)
        self.detector = Detector.from_array(self.detector.options, network.frame_seconds, stored)
        frames = len(self.detector)
        self.levels = parts.array("levels", network.look_ahead_frames)
        self.overhang = Overhang.restored(parts.header["overhang"], len(network.heads[head]))
        self.outputs = whole(parts.header["outputs"], least=frames)
        self.hidden = list(parts.array("hidden", frames, network.width))
        self.sound = list(parts.array("sound", frames, self.sound_samples))
        self.log_probs = list(parts.array("log_probs", frames, len(network.heads[head])))
        if self.spells:
            self.spelling = list(parts.array("spelling", frames, len(network.heads[SPELLING])))
        before = parts.array("before", -1, network.width)
        self.remember(list(before), list(parts.array("sound_before", len(before), self.sound_samples)))


def rows(frames: Sequence[Floats], width: int) -> Floats:
    return np.stack(frames) if frames else np.zeros((0, width), np.float32)
