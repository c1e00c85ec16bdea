"""How late words appear: a recording is played through a virtual microphone, and each update is timed.

The end of a word is where forced alignment puts it in the recording; the recording is found in what was captured, and
PortAudio says when each block was captured. So the figures hold everything from the microphone on: blocks, queue,
steps, look-ahead, the network's own hesitation and the decoder's. A word appears when it, or another one in its place
that is corrected later, is to be seen for the first time; how many of the shown words were others is counted in the
same run. Which of them is right is decided by the final text; words that are not in the known text are not timed.
"""

from __future__ import annotations

import difflib
import resource
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.align import align_file
from asr.audio import Resampler, as_float, read_audio, write_wav
from asr.endpoint import Endpoint
from asr.errors import AsrError
from asr.live import ListenOptions, Update, listen
from asr.loopback import Loopback
from asr.microphone import Microphone, Notice, to_mono
from asr.portaudio import Block, refresh
from asr.recognizer import Recognizer
from asr.results import Word
from asr.stream import Stream

RATE = 16000
PLAYED_RATE = 48000  # the virtual microphone's own


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    step_seconds: float = 0.08
    second_reading: bool = True
    pause_seconds: float = 2.0  # after each recording, for its last sentence to end
    hotwords: Mapping[str, float] | None = None
    grammar: str | Sequence[str] | None = None
    words: Sequence[str] = ()


@dataclass(slots=True)
class Latency:
    """Seconds, a value for each word or sentence."""

    first_shown: list[float] = field(default_factory=list)  # from the end of the word: something stands in its place
    first_right: list[float] = field(default_factory=list)  # the word itself
    settled: list[float] = field(default_factory=list)  # to its last change, or that of one before it
    final: list[float] = field(default_factory=list)  # to its final form
    sentence: list[float] = field(default_factory=list)  # from the end of the last word to the final text
    endpoint: list[float] = field(default_factory=list)  # from the endpoint to the final text
    shown_words: int = 0
    changed_words: int = 0
    processor_share: float = 0.0  # of one core while listening
    texts: list[str] = field(default_factory=list)  # final, as spoken, of each recording
    notices: list[str] = field(default_factory=list)

    def report(self) -> str:
        """A table of p50 and p95."""
        rows = [
            ("end of word to first appearance", self.first_shown),
            ("end of word to its right form", self.first_right),
            ("end of word to last change", self.settled),
            ("end of word to final form", self.final),
            ("end of last word to final text", self.sentence),
            ("endpoint to final text", self.endpoint),
        ]
        lines = [f"{'milliseconds':34} {'p50':>6} {'p95':>6} {'number':>7}"]
        for name, values in rows:
            if values:
                middle, high = (1000 * float(np.percentile(values, share)) for share in (50, 95))
                lines.append(f"{name:34} {middle:6.0f} {high:6.0f} {len(values):7d}")
        changed = self.changed_words / max(1, self.shown_words)
        lines.append(f"shown words that later changed     {changed:6.1%} of {self.shown_words}")
        lines.append(f"processor, of one core             {self.processor_share:6.1%}")
        return "\n".join([*lines, *self.notices])


def measure(
    recognizer: Recognizer,
    recordings: Sequence[tuple[Path, str | None]],
    endpoint: str | Endpoint = "normal",
    options: LatencyOptions | None = None,
) -> Latency:
    """Plays each recording in real time through one microphone into one stream, then works out what came when.

    With its text, the words of that text are timed (those that were recognized); without, the recognized ones.
    Raises LoopbackError where no virtual microphone can be made, AudioError for what is no recording.
    """
    with tempfile.TemporaryDirectory(prefix="asr-latency-") as folder:
        playable = [to_wav(path, Path(folder) / f"{i}.wav") for i, (path, _) in enumerate(recordings)]
        return _measure(recognizer, recordings, playable, endpoint, options or LatencyOptions())


def to_wav(recording: Path, wav: Path) -> Path:
    """Any recording as one that every player plays: mono, 16 bits, `PLAYED_RATE`. Raises AudioError."""
    write_wav(wav, read_audio(recording, PLAYED_RATE), PLAYED_RATE)
    return wav


def _measure(
    recognizer: Recognizer,
    recordings: Sequence[tuple[Path, str | None]],
    playable: Sequence[Path],
    endpoint: str | Endpoint,
    options: LatencyOptions,
) -> Latency:
    latency = Latency()
    stream = recognizer.stream(
        hotwords=options.hotwords,
        grammar=options.grammar,
        words=options.words,
        endpoint=endpoint,
        step_seconds=options.step_seconds,
        second_reading="background" if options.second_reading else None,
    )
    with Loopback() as loopback:
        refresh()
        with _Witness(stream) as microphone:
            used, began = _processor_seconds(), time.monotonic()
            heard = list(_play_all(stream, microphone, loopback, playable, options, latency))
            latency.processor_share = (_processor_seconds() - used) / (time.monotonic() - began)
    for (path, text), one in zip(recordings, heard, strict=True):
        latency.texts.append(" ".join(word.text for word in one.words))
        try:
            ends = _word_ends(recognizer.network.directory, path, text, one)
        except AsrError as error:  # a word whose sound nobody knows, say
            latency.notices.append(f"{path} is left out: {error}")
        else:
            _add(latency, one, ends)
    return latency


@dataclass(frozen=True, slots=True)
class _Shown:
    """The words to be seen at one moment."""

    at: float  # time.monotonic()
    words: tuple[Word, ...]
    finals: int  # how many of them are final


@dataclass(slots=True)
class _Heard:
    """One recording as it went through."""

    words: tuple[Word, ...] = ()  # in the end
    segment_ends: list[int] = field(default_factory=list)  # number of words up to the end of each segment
    shown: list[_Shown] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class _Witness(Microphone):
    """A microphone that remembers what it gave, and looks at the stream whenever it is asked for more."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        self._stream = stream
        self._ended: list[float] = []  # when each segment that is not final yet ended

    def read(self, timeout: float = 0.1) -> Block | Notice | None:
        waiting = self._stream.waiting
        self._ended += [time.monotonic()] * (waiting - len(self._ended))
        del self._ended[: len(self._ended) - waiting]  # those without words
        event = super().read(timeout)
        if isinstance(event, Block):
            self.blocks.append(event)
        return event

    def since_endpoint(self, finals: int, at: float) -> list[float]:
        """How long ago the segments ended that are final now; 0 for those that ended with the very last block."""
        ended = self._ended[:finals]
        del self._ended[:finals]
        return [at - one for one in ended] + [0.0] * (finals - len(ended))


def _play_all(
    stream: Stream,
    microphone: _Witness,
    loopback: Loopback,
    recordings: Sequence[Path],
    options: LatencyOptions,
    latency: Latency,
) -> Iterator[_Heard]:
    stop = threading.Event()
    updates = listen(stream, microphone, ListenOptions(), stop)
    for recording in recordings:
        player = loopback.play(recording)
        heard, finals, silent_since = _Heard(), list[Word](), 0.0
        microphone.blocks = heard.blocks
        for event in updates:
            if isinstance(event, Notice):
                latency.notices.append(event.text)
            if not isinstance(event, Update):
                continue
            latency.endpoint += microphone.since_endpoint(len(event.finals), event.at)
            for segment in event.finals:
                finals += segment.words
                heard.segment_ends.append(len(finals))
            partial = event.partial.words if event.partial else ()
            heard.shown.append(_Shown(event.at, (*finals, *partial), len(finals)))
            if player.poll() is None:
                silent_since = event.at
            elif event.at - silent_since > options.pause_seconds and not stream.waiting and not partial:
                break
        heard.words = tuple(finals)
        yield heard
    stop.set()
    for _ in updates:
        pass


def _word_ends(model: Path, recording: Path, text: str | None, heard: _Heard) -> dict[int, float]:
    """For each final word (by its place) that was really said: time.monotonic() when it had been said."""
    if not heard.words:
        return {}
    with tempfile.TemporaryDirectory(prefix="asr-latency-") as folder:
        file = Path(folder) / "text.txt"
        file.write_text(" ".join(_texts(heard.words)) if text is None else text, encoding="utf-8")
        aligned = align_file(model, recording, file)
    said = [(aligned.text[index].spoken, word.end) for index, word in aligned.words]
    clock = _Clock(heard.blocks, read_audio(recording, RATE))
    same = common([word for word, _ in said], _texts(heard.words))
    return {place: clock.at(said[index][1]) for place, index in same.items()}


class _Clock:
    """When each moment of a recording was captured."""

    def __init__(self, blocks: Sequence[Block], recording: NDArray[np.float32]) -> None:
        rate = blocks[0].rate
        resampler = Resampler(rate, RATE)
        samples = as_float(np.concatenate([to_mono(block.samples) for block in blocks]))
        captured = np.concatenate([resampler.feed(samples), resampler.tail()])
        size = 1 << (len(captured) + len(recording)).bit_length()
        match = np.fft.irfft(np.fft.rfft(captured, size) * np.conj(np.fft.rfft(recording, size)))
        self._start = float(np.argmax(match[: len(captured)])) / RATE
        self._seconds = np.cumsum([len(block.samples) / rate for block in blocks])
        self._times = np.array([block.captured for block in blocks])

    def at(self, seconds: float) -> float:
        """time.monotonic() when this moment of the recording was captured."""
        return float(np.interp(self._start + seconds, self._seconds, self._times))


def _add(latency: Latency, heard: _Heard, ends: dict[int, float]) -> None:
    final = _texts(heard.words)
    first: dict[int, float] = {}
    right: dict[int, float] = {}
    changed_at = dict.fromkeys(range(len(final)), 0.0)  # the first moment after its last change
    became_final: dict[int, float] = {}
    before: list[str] = []
    for shown in heard.shown:
        words = _texts(shown.words)
        there = common(final, words)
        for place in there.values():
            right.setdefault(place, shown.at)
        for place, word in enumerate(heard.words):
            if place in right or any(one.start < word.end and word.start < one.end for one in shown.words):
                first.setdefault(place, shown.at)
        known = common(before, words)
        new = [i for i in range(len(words)) if i not in known]
        latency.shown_words += len(new)
        latency.changed_words += sum(i not in there for i in new)
        for place in range(len(final)):
            if words[: place + 1] != final[: place + 1]:
                changed_at[place] = float("inf")
            elif changed_at[place] in (0.0, float("inf")):
                changed_at[place] = shown.at
        for place in range(shown.finals):
            became_final.setdefault(place, shown.at)
        before = words
    for place, end in ends.items():
        latency.first_shown.append(first[place] - end)
        latency.first_right.append(right[place] - end)
        latency.settled.append(changed_at[place] - end)
        latency.final.append(became_final[place] - end)
    latency.sentence += [became_final[n - 1] - ends[n - 1] for n in heard.segment_ends if n - 1 in ends]


def common(one: list[str], other: list[str]) -> dict[int, int]:
    """Words that both have in the same order: place in `other` -> place in `one`."""
    blocks = difflib.SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return {b + i: a + i for a, b, size in blocks for i in range(size)}


def _texts(words: Sequence[Word]) -> list[str]:
    return [word.text for word in words]


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
