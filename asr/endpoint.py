"""When a segment ends: three rules with plain names, decided frame by frame from blank probability and energy.

An endpoint resets nothing but the frames counted for the segment: the network's state, the level of speech and the
noise floor live as long as the stream.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError

Floats = NDArray[np.float32]

EndedBy = Literal["pause", "length", "key", "end"]  # what ended a segment; the last two are the caller's doing
Rule = Literal["pause", "length", "nothing"]


@dataclass(frozen=True)
class Endpoint:
    """When a segment ends. All times are seconds of sound."""

    nothing_said: float = 5.0  # without a word: what was kept is read a last time and dropped
    silence_after_words: float = 0.6  # a pause this long ends the segment; loud frames without words count half
    longest: float = 15.0  # from half of this on, shorter and shorter pauses do; without any, a segment is cut ...
    search: float = 5.0  # ... at its least speech-like point of this much before the limit
    lead_in: float = 0.4  # what a segment gets of the silence before it, at most
    speech: float = 0.5  # a frame whose blank probability is below this holds speech

    def __post_init__(self) -> None:
        if not 0 < self.silence_after_words <= 60:
            raise AsrError(
                f"A pause (--silence-after-words) must lie between 0 and 60 s, not {self.silence_after_words:g}."
            )
        if not 0 < self.nothing_said <= 60:
            raise AsrError(
                f"The time without a word (--nothing-said) must lie between 0 and 60 s, not {self.nothing_said:g}."
            )
        if not 0 < self.lead_in < self.nothing_said:
            raise AsrError(f"lead_in ({self.lead_in:g} s) must lie between 0 and nothing_said.")
        if not 1 <= self.longest <= 60:
            raise AsrError(f"The longest segment (--longest) must lie between 1 and 60 s, not {self.longest:g}.")
        if not 0 < self.search <= self.longest / 2:
            raise AsrError(f"search ({self.search:g} s) must lie between 0 and half of the longest segment.")
        if not 0 < self.speech < 1:
            raise AsrError("The blank probability below which a frame holds speech must lie between 0 and 1.")

    def __str__(self) -> str:
        return (
            f"silence after words {self.silence_after_words:g} s (twice that where it is loud), "
            f"nothing said {self.nothing_said:g} s, longest {self.longest:g} s"
        )


PRESETS = {
    "fast": Endpoint(silence_after_words=0.35),
    "normal": Endpoint(),
    "patient": Endpoint(silence_after_words=1.2, nothing_said=10.0),
}


def endpoint_options(choice: str | Endpoint, **changes: float) -> Endpoint:
    """A preset by its name, or options as they are; `changes` replace single values. Raises `AsrError`.

    What nobody named fits itself to what was: `search` to half of `longest`, `lead_in` to half of `nothing_said`.
    """
    if isinstance(choice, str):
        if choice not in PRESETS:
            raise AsrError(f"There is no endpoint preset {choice!r}: take one of {', '.join(PRESETS)}.")
        choice = PRESETS[choice]
    search = min(choice.search, changes.get("longest", choice.longest) / 2)
    lead_in = min(choice.lead_in, changes.get("nothing_said", choice.nothing_said) / 2)
    return dataclasses.replace(choice, **{"search": search, "lead_in": lead_in} | changes)


SILENT_DB = -100.0  # the level of digital silence
FLOOR_RISE = 0.05  # dB a frame: how fast the noise floor forgets a quiet moment
SPEECH_RATE = 0.1  # weight of a frame of speech in the running level of speech
SHORT_PAUSE = 0.2  # seconds: enough of a pause where a segment has become as long as it may
SMOOTH = 5  # frames over which a point of the signal is called speech-like or not


def levels(audio: Floats, frame_samples: int) -> Floats:
    """Level in dB (full scale: 0) of each frame of `audio` [frames * frame_samples]."""
    frames = audio.reshape(-1, frame_samples)
    power = np.einsum("ij,ij->i", frames, frames) / frame_samples
    return np.asarray(10 * np.log10(power + 10 ** (SILENT_DB / 10)), np.float32)


class Detector:
    """The rules at work on the frames of one running segment."""

    def __init__(self, options: Endpoint, frame_seconds: float) -> None:
        self.options = options
        self.frame_seconds = frame_seconds
        self.levels = [0.0, -25.0]  # dB: noise floor and speech, over the whole stream
        self.blank: list[float] = []  # of each frame of the segment: blank probability,
        self.silence: list[float] = []  # seconds that count as silence (0: speech),
        self.loudness: list[float] = []  # level between noise floor (0) and speech (1)

    def __len__(self) -> int:
        return len(self.blank)

    @property
    def first(self) -> int:
        """A frame a little before the segment's first speech: from there its length counts."""
        speech = next((i for i, seconds in enumerate(self.silence) if seconds == 0), len(self))
        return max(0, speech - self._frames(self.options.lead_in))

    def frame(self, blank: float, level: float) -> Rule | None:
        """Takes the next frame: its blank probability and level in dB. Says by which rule the segment ends with it."""
        floor, speech_level = self.levels
        floor = min(level, floor + FLOOR_RISE)
        is_speech = blank < self.options.speech
        if is_speech:
            speech_level += SPEECH_RATE * (level - speech_level)
        self.levels = [floor, speech_level]
        loudness = min(1.0, max(0.0, (level - floor) / max(speech_level - floor, 1.0)))
        weight = 0.0 if is_speech else (0.5 if loudness > 0.5 else 1.0)
        self.blank.append(blank)
        self.silence.append(weight * self.frame_seconds)
        self.loudness.append(loudness)
        return self._rule()

    def _rule(self) -> Rule | None:
        slack = self.frame_seconds / 4  # sums of 0.04 are not exact
        silence = 0.0
        for seconds in reversed(self.silence):
            if seconds == 0:
                break
            silence += seconds
        else:
            return "nothing" if len(self) * self.frame_seconds >= self.options.nothing_said - slack else None
        length = (len(self) - self.first) * self.frame_seconds
        if silence >= self._pause(length) - slack:
            return "pause"
        return "length" if length >= self.options.longest - slack else None

    def _pause(self, length: float) -> float:
        """The pause, in seconds, that ends a segment of this length in seconds."""
        late = max(0.0, 2 * length / self.options.longest - 1)  # 0 up to half of the longest, 1 at the longest
        longest = self.options.silence_after_words
        return longest - late * (longest - min(longest, SHORT_PAUSE))

    def quietest(self) -> int:
        """The least speech-like frame of the last `search` seconds: where to cut what has no pause."""
        window = np.ones(SMOOTH) / SMOOTH
        speech = np.convolve(1 - np.array(self.blank), window, "same")
        cost = speech + np.convolve(np.array(self.loudness), window, "same")
        start = len(self) - self._frames(self.options.search)
        stop = len(self) - SMOOTH // 2
        return start + int(np.argmin(cost[start:stop]))

    def divide(self) -> int:
        """The frame in the silence at the end where the next segment begins: each gets its part of the silence."""
        silence = len(self) - self._spoken()
        return len(self) - min(silence // 2, self._frames(self.options.lead_in))

    def drop(self, frames: int) -> None:
        """Forgets the first frames: they belong to a segment that has ended."""
        del self.blank[:frames], self.silence[:frames], self.loudness[:frames]

    def copy(self) -> Detector:
        return Detector.from_array(self.options, self.frame_seconds, self.to_array())

    def to_array(self) -> NDArray[np.float64]:
        """All of the state, [frames + 1, 3]."""
        rows = [(*self.levels, 0.0), *zip(self.blank, self.silence, self.loudness, strict=True)]
        return np.array(rows, np.float64)

    @classmethod
    def from_array(cls, options: Endpoint, frame_seconds: float, array: NDArray[np.float64]) -> Detector:
        if (array[1:] < 0).any():
            raise ValueError("probabilities and seconds below 0")
        detector = cls(options, frame_seconds)
        detector.levels = [float(level) for level in array[0, :2]]
        detector.blank, detector.silence, detector.loudness = (array[1:, i].tolist() for i in range(3))
        return detector

    def _spoken(self) -> int:
        """The number of frames up to and with the last one of speech."""
        for i in range(len(self) - 1, -1, -1):
            if self.silence[i] == 0:
                return i + 1
        return 0

    def _frames(self, seconds: float) -> int:
        return round(seconds / self.frame_seconds)
