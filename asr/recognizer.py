"""A recognizer: a model directory, loaded once, that makes streams and transcribes files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from asr.again import limits_of
from asr.audio import Audio
from asr.decoders import load_decoders, preview_of
from asr.endpoint import Endpoint, endpoint_options
from asr.errors import AudioError, ModelError
from asr.network import Network
from asr.punctuation import Tagger
from asr.reading import Model, SecondReading, Wanted
from asr.rejection import Rejection
from asr.results import Segment, Transcript
from asr.stream import Options, Stream

SHIPPED_MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = "english-small"
FILE_STEP_SECONDS = 1.0  # the step of files; live sound is read in 80 ms steps


class StreamOptions(TypedDict, total=False):
    """The options of `Recognizer.stream`, which says what they mean."""

    hotwords: Mapping[str, float] | None
    grammar: str | Sequence[str] | None
    words: Sequence[str]
    endpoint: str | Endpoint
    nbest: int
    step_seconds: float
    second_reading: SecondReading | None


def find_model(model: str | Path | None = None) -> Path:
    """The directory of a model: given as such, or by the name of one that is shipped. Raises `ModelError`."""
    if model is None:
        model = DEFAULT_MODEL
    if Path(model).is_dir():
        return Path(model)
    shipped = SHIPPED_MODELS / str(model)
    if Path(str(model)).name == str(model) and shipped.is_dir():
        return shipped
    names = ", ".join(sorted(path.name for path in SHIPPED_MODELS.glob("*/"))) or "none"
    raise ModelError(f"There is no model directory {model} (shipped with this program: {names}).")


class Recognizer:
    """Immutable; any number of streams, in any threads, may use it at once."""

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        threads: int = 1,
        plain: bool = False,
        numbers: Literal["digits", "words"] = "digits",
        every_sound: bool = False,
    ) -> None:
        """Loads a model directory, the shipped one if none is named. `threads` is how many processor cores one step
        may use. Final text has marks, capitals and, unless `numbers` is "words", figures, if the model can write
        them; `plain`: bare words. Segments that are probably no speech have no words, if the model knows how to tell;
        `every_sound` gives theirs too. Raises `ModelError` for a directory that is missing, damaged or of another
        format."""
        network = Network.load(find_model(model), threads)
        tagger = None if plain else Tagger.load(network.directory, numbers)
        rejection = Rejection() if every_sound else Rejection.of(network.config.get("decoding", {}))
        first, second = load_decoders(network)
        self._model = Model(network, first, second, tagger, rejection, preview_of(second), limits_of(network))

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._model.network.name

    @property
    def network(self) -> Network:
        return self._model.network

    def stream(
        self,
        *,
        hotwords: Mapping[str, float] | None = None,
        grammar: str | Sequence[str] | None = None,
        words: Sequence[str] = (),
        endpoint: str | Endpoint = "normal",
        nbest: int = 1,
        step_seconds: float = 0.08,
        second_reading: SecondReading | None = "background",
    ) -> Stream:
        """A stream for one speaker or microphone.

        `hotwords` are words and phrases to expect, with their bonus; `grammar` the only phrases that may be said (a
        list, or one string with | between them); `words` what the lexicon may lack. `endpoint` is a preset ("fast",
        "normal", "patient") or an `Endpoint`. With `nbest` over 1 segments have that many `alternatives` at most.
        `step_seconds` is a whole number of network frames. The second reading makes segments final: off the audio
        path ("background"), within `feed` ("inline"), or not at all (None: the first reading decides). Raises
        `AsrError` for what the model cannot do.
        """
        wanted = Wanted.of(hotwords, grammar, words)
        return Stream(self._model, Options(step_seconds, second_reading, endpoint_options(endpoint), nbest), wanted)

    def restore(self, snapshot: bytes) -> Stream:
        """The stream whose `save` gave `snapshot`. Raises `StreamError` for another model's or a damaged one."""
        return Stream.restored(self._model, snapshot)

    def transcribe(
        self,
        audio: str | Path | IO[bytes] | Audio | NDArray[np.generic],
        *,
        rate: int | None = None,
        channel: int | Literal["separate"] | None = None,
        **options: Unpack[StreamOptions],
    ) -> Transcript:
        """A whole recording: a file, an open `Audio`, or samples [n] or [n, channels] at `rate` Hz.

        Channels are mixed, one is picked (from 0), or each is transcribed by itself ("separate": the segments of all,
        in the order of time, say which). The other options are those of `stream`. Raises `AudioError`.
        """
        new_stream = partial(self._file_stream, options)
        if isinstance(audio, np.ndarray):
            if rate is None:
                raise AudioError("Samples need their rate: transcribe(samples, rate=16000).")
            channels = audio.shape[1] if audio.ndim == 2 else 1
            segments = list(read_segments(iter([audio]), rate, channels, channel, new_stream))
            return make_transcript(segments, len(audio) / rate, self.model)
        with audio if isinstance(audio, Audio) else Audio(audio) as source:
            segments = list(read_segments(source.blocks(), source.rate, source.channels, channel, new_stream))
            return make_transcript(segments, source.position, self.model)

    def segments(
        self,
        audio: Audio,
        *,
        channel: int | Literal["separate"] | None = None,
        heard: Callable[[float], None] | None = None,
        **options: Unpack[StreamOptions],
    ) -> Iterator[Segment]:
        """The segments of an open recording, each as soon as it is final; options as in `transcribe`.

        `heard` is called with the seconds of sound that have been read, about once a second of sound. Where the
        recording is damaged, the segments up to there come before the `AudioError`.
        """
        new_stream = partial(self._file_stream, options)
        return read_segments(audio.blocks(), audio.rate, audio.channels, channel, new_stream, heard)

    def _file_stream(self, options: StreamOptions) -> Stream:
        defaults = StreamOptions(step_seconds=FILE_STEP_SECONDS, second_reading="inline")
        defaults.update(options)
        return self.stream(**defaults)


def read_segments(
    blocks: Iterator[NDArray[np.generic]],
    rate: int,
    channels: int,
    channel: int | Literal["separate"] | None,
    new_stream: Callable[[], Stream],
    heard: Callable[[float], None] | None = None,
) -> Iterator[Segment]:
    """The segments of a recording's blocks; see `Recognizer.segments`."""
    if isinstance(channel, int) and not 0 <= channel < channels:
        raise AudioError(f"There is no channel {channel + 1}: the recording has {channels}.")
    picks = list(range(channels)) if channel == "separate" else [channel]
    streams = [(new_stream(), pick, pick if channel == "separate" else None) for pick in picks]
    ids = count()  # one row for all channels

    def labelled(segments: list[Segment], label: int | None) -> Iterator[Segment]:
        return (replace(segment, id=next(ids), channel=label) for segment in segments)

    frames, damage = 0, None
    while True:
        try:
            block = next(blocks, None)
        except AudioError as error:
            block, damage = None, error
        if block is None:
            break
        for stream, pick, label in streams:
            yield from labelled(stream.feed(block, rate, pick), label)
        frames += len(block)
        if heard:
            heard(frames / rate)
    for stream, _, label in streams:
        yield from labelled(stream.finish(), label)
    if damage:
        raise damage


def make_transcript(segments: Sequence[Segment], duration: float, model: str) -> Transcript:
    """Segments of one recording, in any order of channels, as a transcript."""
    ordered = tuple(sorted(segments, key=lambda segment: segment.start))
    text = " ".join(segment.text for segment in ordered)
    return Transcript(text, ordered, round(duration, 3), model)
