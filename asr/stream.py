"""A stream: samples in, segments out, of one speaker or microphone, for as long as it lasts.

The sound is read in steps of one length, so that nothing depends on how it was cut into blocks. What a step costs
does not depend on how long the stream has run: of the past there is the network's state and the running segment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, Resampler, as_float, as_mono
from asr.decoders import SPELLING
from asr.endpoint import SILENT_DB, Detector, EndedBy, Endpoint, Rule, levels
from asr.errors import AsrError, StreamError
from asr.greedy import collapse
from asr.network import BLANK
from asr.preview import read_ahead
from asr.reading import (
    Ended,
    Model,
    Read,
    Reader,
    SecondReading,
    Wanted,
    alternatives,
    checked_hotwords,
    make_segment,
    restored_words,
)
from asr.results import Segment, Word
from asr.running import OVERHANG_FRAMES, Overhang, Running, written_ahead
from asr.snapshot import Parts, number, pack, unpack, whole

Floats = NDArray[np.float32]

PIECE_SECONDS = 10  # longer blocks are taken in pieces, so that they cost no more memory than they bring


@dataclass(frozen=True)
class Options:
    """How a stream reads; fixed for its life."""

    step_seconds: float = 0.08  # a whole number of network frames: short for live sound, about 1 s for files
    second_reading: SecondReading | None = "background"  # None: the first reading decides
    endpoint: Endpoint = field(default_factory=Endpoint)
    nbest: int = 1  # readings that a segment may have
    context_seconds: float = 1.0  # what the second reading hears on each side of a segment without reading it

    def __post_init__(self) -> None:
        if self.second_reading not in (*get_args(SecondReading), None):
            raise StreamError(f"There is no second reading {self.second_reading!r}: take inline, background or None.")
        if not 1 <= self.nbest <= 1000:
            raise StreamError(f"A segment may have 1 to 1000 readings, not {self.nbest}.")
        if not 0 <= self.context_seconds <= 10:
            raise StreamError(f"A segment may hear 0 to 10 s of what is around it, not {self.context_seconds:g}.")

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Options:
        """Of a snapshot's header. Raises `ValueError` and its like for what is damaged."""
        endpoint = Endpoint(**{name: number(value) for name, value in stored["endpoint"].items()})
        nbest, context = whole(stored["nbest"]), number(stored["context_seconds"])
        return cls(number(stored["step_seconds"]), stored["second_reading"], endpoint, nbest, context)


class Stream:
    """Made by `Recognizer.stream` and `Recognizer.restore`. Used by one thread at a time."""

    def __init__(self, model: Model, options: Options, wanted: Wanted | None = None) -> None:
        network = model.network
        frames = options.step_seconds / network.frame_seconds
        if not 0.5 < frames < 1000.5 or abs(frames - round(frames)) > 1e-6:
            raise StreamError(f"A step must be a multiple of {network.frame_seconds:g} s, not {options.step_seconds}.")
        self._model = model
        self._options = options
        self._shown_by = model.first_decoder if options.second_reading is None else model.preview
        self._wanted = wanted or Wanted()
        self._wanted.start(self._shown_by)  # refuses what it cannot use
        self._step_samples = round(frames) * network.frame_samples
        self._head = model.first_decoder.head
        self._running = Running(
            network.initial_state(),
            Detector(options.endpoint, network.frame_seconds),
            np.full(network.look_ahead_frames, SILENT_DB, np.float32),
            round(options.context_seconds / network.frame_seconds),
            spells=options.second_reading is None and self._head != SPELLING and SPELLING in network.heads,
            sound_samples=network.frame_samples if options.second_reading and model.again.ever else 0,
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
                state, _ = self._read_ahead(ended.wanted.start(self._shown_by), list(ended.hidden), ended.before, 0)
                ended.shown = self._shown(state, len(ended.log_probs), ended.first_frame)
            if self._model.is_speech(ended.log_probs[:, BLANK], "first"):
                words += ended.shown
        running = self._running
        if len(running) and self._model.is_speech([row[BLANK] for row in running.log_probs], "first"):
            state = self._decode(running, len(running))
            if running.shown is None or running.shown[0] != running.decoded:
                first_frame = running.first_output - self._model.network.look_ahead_frames
                running.shown = running.decoded, self._shown(state, len(running), first_frame)
            words += running.shown[1]
        return make_segment(self._next_id, tuple(words), final=False)

    @property
    def hotwords(self) -> dict[str, float]:
        """Words and phrases with their bonus. Setting them takes effect with the next block, on text not yet final."""
        return dict(self._wanted.hotwords)

    @hotwords.setter
    def hotwords(self, hotwords: Mapping[str, float] | None) -> None:
        wanted = dataclasses.replace(self._wanted, hotwords=checked_hotwords(hotwords))
        wanted.start(self._shown_by)  # refuses what it cannot use
        self._wanted = wanted
        self._running.forget_decoding()

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
        real.drop(len(real))
        return self._segments(reads)

    def finish(self) -> list[Segment]:
        """Ends the stream: reads the tail through the warm state and returns all that was not final."""
        self._refuse_if_finished()
        self._advance(self._padded(self._pending()))
        self._submit(self._running, len(self._running), "end")
        self._running.drop(len(self._running))
        self._finished = True
        reads = self._reader.collect(wait=True)
        self._reader.close()
        return self._segments(reads)

    # Saving

    def save(self) -> bytes:
        """All of the stream as bytes, at any moment, for `Recognizer.restore`: plain arrays and a JSON header."""
        self._refuse_if_finished()
        network = self._model.network
        running, arrays = self._running.store(network, self._head)
        waiting = []
        for i, ended in enumerate(self._reader.waiting):
            about, more = ended.store(f"waiting.{i}")
            waiting.append(about)
            arrays |= more
        arrays["samples"] = self._samples
        if self._resampler:
            arrays["resampler"] = self._resampler.samples
        header = {
            "fingerprint": network.fingerprint,
            "model": network.name,
            "options": dataclasses.asdict(self._options),
            "wanted": dataclasses.asdict(self._wanted),
            "rate": self._resampler.rate if self._resampler else None,
            "next_id": self._next_id,
            "context": [dataclasses.astuple(word) for word in self._reader.context],
            "waiting": waiting,
            **running,
        }
        return pack(header, arrays)

    @classmethod
    def restored(cls, model: Model, snapshot: bytes) -> Stream:
        """The stream that `save` was called on. Raises `StreamError` for another model's or a damaged snapshot."""
        parts = unpack(snapshot)
        if parts.header.get("fingerprint") != model.network.fingerprint:
            raise StreamError(f"This snapshot was made with {parts.header.get('model')}, another model than this one.")
        try:
            return cls._from_parts(model, parts)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, AsrError) as error:
            raise StreamError("This snapshot is damaged: start a new stream.") from error

    @classmethod
    def _from_parts(cls, model: Model, parts: Parts) -> Stream:
        network, header = model.network, parts.header
        stream = cls(model, Options.restored(header["options"]), Wanted.restored(header["wanted"]))
        stream._next_id = whole(header["next_id"])
        stream._samples = parts.array("samples", -1)
        if header["rate"] is not None:
            stream._resampler = Resampler(whole(header["rate"]), SAMPLE_RATE, stream._options.step_seconds)
            stream._resampler.samples = parts.array("resampler", -1, shortest=len(stream._resampler.samples))
        options, running = stream._options, stream._running
        running.restore(parts, network, stream._head)
        if "decoded" in header:
            running.decoding = stream._shown_by.restore(parts.below("decoding."))
            running.decoded = whole(header["decoded"], most=len(running))
        stream._reader = Reader(model, options.second_reading, options.nbest, restored_words(header["context"]))
        for i, about in enumerate(header["waiting"]):
            ended = Ended.restored(parts, f"waiting.{i}", about, model, running.sound_samples)
            ended.wanted.start(model.second_decoder)  # refuses here, not in the background
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
        sound = audio.reshape(-1, network.frame_samples)[:, : running.sound_samples].copy()
        for i in range(len(log_probs)):
            running.outputs += 1
            if running.overhang.swallows(int(best[i])):
                running.drop(len(running))
                running.remember([reading.hidden[i]], [sound[i]])
                continue
            running.hidden.append(reading.hidden[i])
            running.sound.append(sound[i])
            running.log_probs.append(log_probs[i])
            if running.spells:
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
        running.drop(cut)

    def _submit(self, running: Running, stop: int, ended_by: EndedBy) -> bool:
        """Hands the segment's frames up to `stop` to the reader, if there are any.

        Whether they hold speech is for the deciding reading to say: the first one misses some.
        """
        if not stop:
            return False
        first_frame = running.first_output - self._model.network.look_ahead_frames
        frames = slice(stop + running.context)
        hidden = np.stack([*running.before, *running.hidden[frames]])
        sound = np.concatenate([*running.sound_before, *running.sound[frames]])
        log_probs = np.stack(running.log_probs[:stop])
        pause = 0 if ended_by == "length" else len(running.detector) - stop
        ended = Ended(first_frame, len(running.before), hidden, sound, log_probs, pause, ended_by, self._wanted)
        if self._options.second_reading is None:
            spelling = np.stack(running.spelling[:stop]) if running.spells else None
            hypotheses = self._model.first_decoder.best(self._decode(running, stop), self._options.nbest, spelling)
            ended.decided = self._model.words(hypotheses[0].words, first_frame), alternatives(hypotheses)
        elif running.decoding is not None:  # somebody looks on: what is decoded already need not be decoded again
            ended.shown = self._shown(self._decode(running, len(running)), stop, first_frame)
        self._reader.submit(ended)
        return True

    def _decode(self, running: Running, frames: int) -> object:
        """The state, over the segment's first frames, of the decoder of what is shown; from where it stands if that
        is possible. With a second reading that is as far as it can be read ahead of its time."""
        if running.decoding is None or running.decoded > frames:
            running.decoding, running.decoded = self._wanted.start(self._shown_by), 0
        if self._options.second_reading is not None:
            hidden = [*running.before, *running.hidden]
            found = self._read_ahead(running.decoding, hidden, len(running.before), running.decoded)
            running.decoding, running.decoded = found
        elif running.decoded < frames:
            rows = np.stack(running.log_probs[running.decoded : frames])
            running.decoding, running.decoded = self._shown_by.step(running.decoding, rows), frames
        return running.decoding

    def _read_ahead(self, state: object, hidden: Sequence[Floats], first: int, done: int) -> tuple[object, int]:
        return read_ahead(self._model.network, self._shown_by, state, hidden, first, done)

    def _shown(self, state: object, frames: int, first_frame: int) -> tuple[Word, ...]:
        """What may be shown of a segment's first frames, decoded so far."""
        found = self._shown_by.partial(state)
        return self._model.words([word for word in found if word.end_frame <= frames], first_frame)

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
