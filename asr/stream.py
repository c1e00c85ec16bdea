"""A stream: samples in, segments out, of one speaker or microphone, for as long as it lasts.

The sound is read in steps of one length, so that nothing depends on how it was cut into blocks. What a step costs
does not depend on how long the stream has run: of the past there is the network's state and the running segment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, Resampler, as_float, as_mono
from asr.decoders import SPELLING
from asr.endpoint import SILENT_DB, Detector, EndedBy, Endpoint, Rule, levels
from asr.errors import StreamError
from asr.greedy import collapse
from asr.network import BLANK, State
from asr.reading import Ended, Model, Read, Reader, SecondReading, Wanted, alternatives, make_segment
from asr.results import Alternative, Segment, Word
from asr.snapshot import pack, unpack

Floats = NDArray[np.float32]

OVERHANG_FRAMES = 8  # how long after a cut the first reading may still come to what the final text already has
PIECE_SECONDS = 10  # longer blocks are taken in pieces, so that they cost no more memory than they bring


@dataclass(frozen=True)
class Options:
    """How a stream reads; fixed for its life."""

    step_seconds: float = 0.08  # a whole number of network frames: short for live sound, about 1 s for files
    second_reading: SecondReading | None = "background"  # None: the first reading decides
    endpoint: Endpoint = field(default_factory=Endpoint)
    nbest: int = 1  # readings that a segment may have
    context_seconds: float = 1.0  # what the second reading hears on each side of a segment without reading it


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


@dataclass
class Running:
    """The network's state and the segment that has not ended."""

    state: State
    detector: Detector
    levels: Floats  # dB of the frames whose output lags behind: the look-ahead
    overhang: Overhang = field(default_factory=Overhang)
    outputs: int = 0  # frames that have come out of the network in all
    before: list[Floats] = field(default_factory=list)  # hidden states of the frames before the segment: [width]
    hidden: list[Floats] = field(default_factory=list)  # of each frame of the segment: [width]
    log_probs: list[Floats] = field(default_factory=list)  # [tokens]
    spelling: list[Floats] = field(default_factory=list)  # the same of the spelling head, if it has a say
    decoding: Any = None  # the first decoder's state, over `decoded` frames of the segment
    decoded: int = 0

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
            log_probs=list(self.log_probs),
            spelling=list(self.spelling),
            decoding=None,
            decoded=0,
        )

    def drop(self, frames: int, context: int) -> None:
        """Ends the segment after its first frames, of which at most `context` are kept for the next one's sake."""
        self.detector.drop(frames)
        self.before = [*self.before, *self.hidden[:frames]][-context:] if context else []
        del self.hidden[:frames], self.log_probs[:frames], self.spelling[:frames]
        self.decoding, self.decoded = None, 0


class Stream:
    """Made by `Recognizer.stream` and `Recognizer.restore`. Used by one thread at a time."""

    def __init__(self, model: Model, options: Options, wanted: Wanted | None = None) -> None:
        network = model.network
        frames = options.step_seconds / network.frame_seconds
        if not 1 <= round(frames) <= 1000 or abs(frames - round(frames)) > 1e-6:
            raise StreamError(f"A step must be a multiple of {network.frame_seconds:g} s, not {options.step_seconds}.")
        self._model = model
        self._options = options
        self._wanted = wanted or Wanted()
        self._wanted.start(model.first_decoder)  # refuses what it cannot use
        self._step_samples = round(frames) * network.frame_samples
        self._head = model.first_decoder.head
        self._spells = options.second_reading is None and self._head != SPELLING and SPELLING in network.heads
        self._context_frames = round(options.context_seconds / network.frame_seconds)
        self._running = Running(
            network.initial_state(),
            Detector(options.endpoint, network.frame_seconds),
            np.full(network.look_ahead_frames, SILENT_DB, np.float32),
        )
        self._reader = Reader(model, options.second_reading, options.nbest)
        self._resampler: Resampler | None = None
        self._samples: Floats = np.zeros(0, np.float32)  # 16 kHz, less than a step
        self._next_id = 0
        self._finished = False

    # Listening

    @property
    def rate(self) -> int | None:
        """The rate in Hz of the sound it takes; None before the first block."""
        return self._resampler.rate if self._resampler else None

    @property
    def position(self) -> float:
        """Seconds of sound that were fed so far."""
        seconds = self._running.outputs * self._model.network.frame_seconds + len(self._samples) / SAMPLE_RATE
        return seconds + (self._resampler.waiting / self._resampler.rate if self._resampler else 0.0)

    @property
    def waiting(self) -> int:
        """How many segments have ended whose text is not final yet."""
        return len(self._reader.waiting)

    def feed(self, block: NDArray[np.generic], rate: int = SAMPLE_RATE, channel: int | None = None) -> list[Segment]:
        """Takes the next samples, [n] or [n, channels], float in [-1, 1] or int16, at one rate for the whole stream.

        Several channels are mixed, or `channel` is picked (from 0). Returns the segments that have become final,
        each once and in order. Raises `AudioError` for samples that are not sound (the stream stays as it was) and
        `StreamError` after `finish` or where the rate changes.
        """
        self._refuse_if_finished()
        samples = as_mono(as_float(np.asarray(block)), channel)
        if self._resampler is None:
            self._resampler = Resampler(rate, SAMPLE_RATE, self._options.step_seconds)
        if rate != self._resampler.rate:
            raise StreamError(
                f"The stream began at {self._resampler.rate} Hz and cannot go on at {rate}: start another."
            )
        for start in range(0, len(samples), PIECE_SECONDS * rate):
            resampled = self._resampler.feed(samples[start : start + PIECE_SECONDS * rate])
            waiting = np.concatenate([self._samples, resampled])
            steps = len(waiting) // self._step_samples
            for i in range(steps):
                self._advance(waiting[i * self._step_samples : (i + 1) * self._step_samples])
            self._samples = waiting[steps * self._step_samples :].copy()
        return self._segments(self._reader.collect(wait=False))

    @property
    def partial(self) -> Segment:
        """Everything that is not final yet: ended segments that wait for their second reading, and the running one,
        of which only completed words."""
        words: list[Word] = []
        for ended in self._reader.waiting:
            if ended.shown is None:
                decoder = self._model.first_decoder
                state = decoder.step(ended.wanted.start(decoder), ended.log_probs)
                ended.shown = self._model.words(decoder.best(state)[0].words, ended.first_frame)
            if self._model.is_speech(ended.log_probs[:, BLANK], "first"):
                words += ended.shown
        running = self._running
        if len(running) and self._model.is_speech([row[BLANK] for row in running.log_probs], "first"):
            found = self._model.first_decoder.partial(self._decode(running, len(running)))
            words += self._model.words(found, running.first_output - self._model.network.look_ahead_frames)
        return make_segment(self._next_id, tuple(words), final=False)

    @property
    def hotwords(self) -> dict[str, float]:
        """Words and phrases with their bonus. Setting them takes effect with the next block, on text not yet final."""
        return dict(self._wanted.hotwords)

    @hotwords.setter
    def hotwords(self, hotwords: Mapping[str, float] | None) -> None:
        wanted = dataclasses.replace(self._wanted, hotwords=dict(hotwords or {}))
        wanted.start(self._model.first_decoder)  # refuses what it cannot use
        self._wanted = wanted
        self._running.decoding, self._running.decoded = None, 0

    # Ending

    def end_segment(self) -> list[Segment]:
        """Ends the running segment now (a key was released) and returns all that was not final; the stream goes on.

        The last sound is read with silence after it, on a copy of the state.
        """
        self._refuse_if_finished()
        real, pending = self._running, self._pending()
        certain = len(pending) // self._model.network.frame_samples  # frames that will come again just as they are
        if not len(real) and certain <= real.overhang.skip:  # less than a frame since the last time
            return self._segments(self._reader.collect(wait=True))
        flushed = real.copy()
        self._advance(self._padded(pending), flushed, rules=False)
        submitted = self._submit(flushed, len(flushed), "key")
        reads = self._reader.collect(wait=True)
        end = max(0, real.outputs + certain - flushed.first_output)  # the frames of `flushed` that are certain
        path = np.array([row.argmax() for row in flushed.log_probs[:end]], np.intp)
        final = reads[-1].tokens if submitted else []
        real.overhang = Overhang(
            skip=max(real.overhang.skip, certain),
            left=OVERHANG_FRAMES + self._model.network.look_ahead_frames,
            expected=written_ahead(collapse(path), final, end),
            previous=int(path[-1]) if len(path) else real.overhang.previous,
        )
        real.drop(len(real), self._context_frames)
        return self._segments(reads)

    def finish(self) -> list[Segment]:
        """Ends the stream: reads the tail through the warm state and returns all that was not final."""
        self._refuse_if_finished()
        self._advance(self._padded(self._pending()))
        self._submit(self._running, len(self._running), "end")
        self._running.drop(len(self._running), 0)
        self._finished = True
        reads = self._reader.collect(wait=True)
        self._reader.close()
        return self._segments(reads)

    # Saving

    def save(self) -> bytes:
        """All of the stream as bytes, at any moment, for `Recognizer.restore`: plain arrays and a JSON header."""
        self._refuse_if_finished()
        running = self._running
        header: dict[str, object] = {
            "fingerprint": self._model.network.fingerprint,
            "model": self._model.network.name,
            "options": dataclasses.asdict(self._options),
            "wanted": dataclasses.asdict(self._wanted),
            "rate": self._resampler.rate if self._resampler else None,
            "next_id": self._next_id,
            "context": [dataclasses.astuple(word) for word in self._reader.context],
            "outputs": running.outputs,
            "overhang": dataclasses.asdict(running.overhang),
            "waiting": [
                {
                    "first_frame": ended.first_frame,
                    "before": ended.before,
                    "pause": ended.pause,
                    "ended_by": ended.ended_by,
                    "wanted": dataclasses.asdict(ended.wanted),
                    "shown": ended.shown and list(map(dataclasses.astuple, ended.shown)),
                    "decided": ended.decided and [list(map(dataclasses.astuple, part)) for part in ended.decided],
                }
                for ended in self._reader.waiting
            ],
        }
        arrays: dict[str, NDArray[Any]] = {
            "samples": self._samples,
            "levels": running.levels,
            "detector": running.detector.to_array(),
            "before": rows(running.before),
            "hidden": rows(running.hidden),
            "log_probs": rows(running.log_probs),
            "spelling": rows(running.spelling),
        }
        if running.decoding is not None:
            header["decoded"] = running.decoded
            arrays |= {f"decoding.{name}": array for name, array in running.decoding.to_arrays().items()}
        if self._resampler:
            arrays["resampler"] = self._resampler.samples
        arrays |= {f"state.{name}": array for name, array in running.state.items()}
        for i, ended in enumerate(self._reader.waiting):
            arrays |= {f"waiting.{i}.hidden": ended.hidden, f"waiting.{i}.log_probs": ended.log_probs}
        return pack(header, arrays)

    @classmethod
    def restored(cls, model: Model, snapshot: bytes) -> Stream:
        """The stream that `save` was called on. Raises `StreamError` for another model's or a damaged snapshot."""
        header, arrays = unpack(snapshot)
        if header.get("fingerprint") != model.network.fingerprint:
            raise StreamError(f"This snapshot was made with {header.get('model')}, another model than this one.")
        try:
            return cls._from_arrays(model, header, arrays)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise StreamError("This snapshot is damaged: start a new stream.") from error

    @classmethod
    def _from_arrays(cls, model: Model, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Stream:
        network = model.network
        head = model.first_decoder.head
        tokens, width = len(network.heads[head]), int(network.config["hidden"])

        def take(name: str, *shape: int, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
            array = arrays[name]
            fits = len(array.shape) == len(shape) and all(w in (-1, n) for n, w in zip(array.shape, shape, strict=True))
            if array.dtype != dtype or not (fits or array.size == 0):
                raise ValueError(name)
            return array

        options = dict(header["options"])
        options["endpoint"] = Endpoint(**options["endpoint"])
        stream = cls(model, Options(**options), wanted_from(header["wanted"]))
        if header["rate"] is not None:
            stream._resampler = Resampler(int(header["rate"]), SAMPLE_RATE, stream._options.step_seconds)
            stream._resampler.samples = take("resampler", -1)
        stream._samples = take("samples", -1)
        stream._next_id = int(header["next_id"])
        running = stream._running
        running.state = {name: take(f"state.{name}", *a.shape) for name, a in network.initial_state().items()}
        running.levels = take("levels", network.look_ahead_frames)
        array = take("detector", -1, 3, dtype=np.float64)
        running.detector = Detector.from_array(stream._options.endpoint, network.frame_seconds, array)
        running.outputs = int(header["outputs"])
        running.overhang = Overhang(**header["overhang"])
        running.before = list(take("before", -1, width))
        if len(running.detector):
            running.hidden = list(take("hidden", len(running.detector), width))
            running.log_probs = list(take("log_probs", len(running.detector), tokens))
            if stream._spells:
                running.spelling = list(take("spelling", len(running.detector), len(network.heads[SPELLING])))
        if "decoded" in header:
            prefix = "decoding."
            stored = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            running.decoding, running.decoded = model.first_decoder.restore(stored), int(header["decoded"])
        context = tuple(Word(*fields) for fields in header["context"])
        stream._reader = Reader(model, stream._options.second_reading, stream._options.nbest, context)
        for i, about in enumerate(header["waiting"]):
            log_probs = take(f"waiting.{i}.log_probs", -1, tokens)
            hidden = take(f"waiting.{i}.hidden", -1, width)
            wanted = wanted_from(about["wanted"])
            first_frame, before, pause = (int(about[name]) for name in ("first_frame", "before", "pause"))
            if not 0 <= before <= len(hidden) - len(log_probs):
                raise ValueError("before")
            ended = Ended(first_frame, before, hidden, log_probs, pause, about["ended_by"], wanted)
            if about["shown"] is not None:
                ended.shown = tuple(Word(*fields) for fields in about["shown"])
            if about["decided"] is not None:
                words, others = about["decided"]
                ended.decided = tuple(Word(*fields) for fields in words), tuple(Alternative(*other) for other in others)
            stream._reader.submit(ended)
        return stream

    # Inside

    def _advance(self, audio: Floats, running: Running | None = None, rules: bool = True) -> None:
        """Reads `audio`, whole frames, and applies the endpoint rules frame by frame."""
        network = self._model.network
        running = self._running if running is None else running
        reading = network.first(audio, running.state)
        running.state = reading.state
        loud = np.concatenate([running.levels, levels(audio, network.frame_samples)])
        running.levels = loud[len(loud) - network.look_ahead_frames :]
        log_probs = reading.log_probs[self._head]
        best = log_probs.argmax(axis=1)
        blank = np.exp(
            np.min([table[:, BLANK] for table in reading.log_probs.values()], axis=0)
        )  # no head hears speech
        for i in range(len(log_probs)):
            running.outputs += 1
            swallowed = running.overhang.swallows(int(best[i]))
            running.hidden.append(reading.hidden[i])
            if swallowed:
                running.drop(len(running.hidden), self._context_frames)
                continue
            running.log_probs.append(log_probs[i])
            if self._spells:
                running.spelling.append(reading.log_probs[SPELLING][i])
            rule = running.detector.frame(float(blank[i]), float(loud[i]))
            if rule and rules:
                self._end(rule)
        if rules and self._options.second_reading is None:
            self._decode(running, len(running))

    def _end(self, rule: Rule) -> None:
        running, detector = self._running, self._running.detector
        cut = detector.quietest() if rule == "length" else detector.divide()
        self._submit(running, cut, "pause" if rule == "nothing" else rule)
        running.drop(cut, self._context_frames)

    def _submit(self, running: Running, stop: int, ended_by: EndedBy) -> bool:
        """Hands the segment's frames up to `stop` to the reader, if there are any.

        Whether they hold speech is for the deciding reading to say: the first one misses some.
        """
        if not stop:
            return False
        sound = running.first_output - self._model.network.look_ahead_frames
        hidden = rows([*running.before, *running.hidden[: stop + self._context_frames]])
        log_probs = rows(running.log_probs[:stop])
        pause = 0 if ended_by == "length" else len(running.detector) - stop
        ended = Ended(sound, len(running.before), hidden, log_probs, pause, ended_by, self._wanted)
        if self._options.second_reading is None:
            spelling = rows(running.spelling[:stop]) if self._spells else None
            hypotheses = self._model.first_decoder.best(self._decode(running, stop), self._options.nbest, spelling)
            ended.decided = self._model.words(hypotheses[0].words, sound), alternatives(hypotheses)
        elif running.decoding is not None:  # somebody looks on: what is decoded already need not be decoded again
            state = self._decode(running, max(stop, running.decoded))
            found = self._model.first_decoder.best(state)[0].words
            ended.shown = self._model.words([word for word in found if word.end_frame <= stop], sound)
        self._reader.submit(ended)
        return True

    def _decode(self, running: Running, frames: int) -> object:
        """The first decoder's state over the segment's first frames, from where it stands if that is possible."""
        decoder = self._model.first_decoder
        if running.decoding is None or running.decoded > frames:
            running.decoding, running.decoded = self._wanted.start(decoder), 0
        if running.decoded < frames:
            running.decoding = decoder.step(running.decoding, rows(running.log_probs[running.decoded : frames]))
            running.decoded = frames
        return running.decoding

    def _segments(self, reads: Sequence[Read]) -> list[Segment]:
        segments = []
        for read in reads:
            if read.words:
                segment = make_segment(self._next_id, read.words, final=True)
                segments.append(dataclasses.replace(segment, alternatives=read.alternatives))
                self._next_id += 1
        return segments

    def _pending(self) -> Floats:
        """Samples at 16 kHz that no step has read yet."""
        tail = [self._resampler.tail()] if self._resampler else []
        return np.concatenate([self._samples, *tail])

    def _padded(self, samples: Floats) -> Floats:
        """Zeros after the last sample: up to a whole frame, and the look-ahead."""
        size = self._model.network.frame_samples
        frames = -(-len(samples) // size) + self._model.network.look_ahead_frames
        return np.concatenate([samples, np.zeros(frames * size - len(samples), np.float32)])

    def _refuse_if_finished(self) -> None:
        if self._finished:
            raise StreamError("This stream is finished: make a new one from the recognizer.")


def wanted_from(stored: Mapping[str, Any]) -> Wanted:
    grammar = stored["grammar"]
    return Wanted(dict(stored["hotwords"]), None if grammar is None else tuple(grammar), tuple(stored["words"]))


def rows(frames: Sequence[Floats]) -> Floats:
    return np.stack(frames) if frames else np.zeros((0, 0), np.float32)


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
