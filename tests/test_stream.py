"""The contract of a stream, point by point; see `Stream`. On a small network with random weights, which talks a lot."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.again import Limits
from asr.audio import Resampler
from asr.endpoint import EndedBy, Endpoint
from asr.errors import AsrError, AudioError, StreamError
from asr.greedy import Greedy, GreedyState, collapse
from asr.network import BLANK, FirstReading, Network, State
from asr.reading import Ended, Model, Reader, SecondReading, Wanted
from asr.recognizer import Recognizer
from asr.results import Segment, Word
from asr.running import written_ahead
from asr.snapshot import Arrays, pack, unpack
from asr.stream import Options, Stream

Samples = NDArray[np.float32]
MODES: list[SecondReading | None] = ["inline", "background", None]
CUTS = st.lists(st.integers(0, 20 * 16000), max_size=8)


def blocks(samples: Samples, cuts: Sequence[int]) -> Iterator[Samples]:
    yield from np.split(samples, sorted(cut for cut in cuts if cut < len(samples)))


def run(stream: Stream, parts: Iterator[Samples], rate: int = 16000) -> list[Segment]:
    found = [segment for part in parts for segment in stream.feed(part, rate)]
    return found + stream.finish()


@pytest.fixture(scope="module", params=["heard once", "heard again"])
def tiny(tiny_model: Path, request: pytest.FixtureRequest) -> Recognizer:
    """The small network with greedy decoding: a beam search has far more to do for a network that is never sure.

    Segments are listened to again, slower and without echo, or never."""
    recognizer = Recognizer(tiny_model)
    greedy = Greedy(recognizer.network.heads["spelling"])
    again = Limits(4.0, 4.5, -1.0) if request.param == "heard again" else Limits()
    recognizer._model = replace(
        recognizer._model, first_decoder=greedy, second_decoder=greedy, preview_decoder=greedy, again=again
    )
    return recognizer


@pytest.fixture(scope="module")
def talk(speech: Samples) -> Samples:
    """40 s with speech, pauses, digital silence and more speech than a segment may hold."""
    return np.concatenate([speech, np.zeros(48000, np.float32), speech])[: 40 * 16000]


# 1. Segments do not depend on how the sound was cut into blocks


@given(cuts=CUTS, mode=st.sampled_from(MODES), step=st.sampled_from([0.04, 0.08, 1.0]))
@settings(max_examples=20)
def test_any_blocks_give_the_same_segments(
    tiny: Recognizer, talk: Samples, cuts: list[int], mode: SecondReading | None, step: float
) -> None:
    samples = talk[: 20 * 16000]
    expected = run(tiny.stream(step_seconds=step, second_reading="inline" if mode else None), iter([samples]))
    assert len(expected) > 1
    assert run(tiny.stream(step_seconds=step, second_reading=mode), blocks(samples, cuts)) == expected


@given(cuts=CUTS, rate=st.sampled_from([8000, 22050, 44100, 48000]))
@settings(max_examples=10)
def test_at_any_rate(tiny: Recognizer, talk: Samples, cuts: list[int], rate: int) -> None:
    samples = talk[: 12 * rate]
    expected = run(tiny.stream(second_reading="inline"), iter([samples]), rate)
    assert run(tiny.stream(), blocks(samples, cuts), rate) == expected


def test_resampled_sound_is_read_as_sound_at_16_khz(tiny: Recognizer, talk: Samples) -> None:
    resampler = Resampler(48000, chunk_seconds=0.08)
    resampled = np.concatenate([resampler.feed(talk), resampler.tail()])
    assert run(tiny.stream(), iter([talk]), 48000) == run(tiny.stream(), iter([resampled]))


def test_types_and_channels(tiny: Recognizer, talk: Samples) -> None:
    whole = (talk[:160000] * 32767).astype(np.int16)
    stereo = np.stack([whole, whole], axis=1)
    expected = run(tiny.stream(), iter([whole]))
    assert run(tiny.stream(), iter([stereo])) == run(tiny.stream(), iter([whole / np.float32(32768)])) == expected
    stream = tiny.stream()
    left = stream.feed(np.stack([whole, 0 * whole], axis=1), channel=0)
    assert left + stream.finish() == expected


# What the second reading gets


def hidden_states(network: Network, samples: Samples, step: int) -> Samples:
    """Of all of `samples`, whole steps, read as a stream reads them."""
    state, found = network.initial_state(), []
    for part in np.split(samples, range(step, len(samples), step)):
        reading = network.first(part, state)
        state = reading.state
        found.append(reading.hidden)
    return np.concatenate(found)


def ended_segments(stream: Stream, samples: Samples) -> list[Ended]:
    ended: list[Ended] = []
    stream._reader.submit = ended.append  # type: ignore[assignment,method-assign]
    run(stream, iter([samples]))
    return ended


@pytest.mark.parametrize(("longest", "search", "context"), [(15.0, 5.0, 25), (3.0, 1.5, 25), (3.0, 1.5, 0)])
def test_segments_leave_no_frame_out_and_hear_what_is_around_them(
    tiny: Recognizer, talk: Samples, longest: float, search: float, context: int
) -> None:
    endpoint = Endpoint(longest=longest, search=search)
    options = Options(1.0, "inline", endpoint, context_seconds=context * 0.04)
    ended = ended_segments(Stream(tiny._model, options), talk)
    hidden = hidden_states(tiny.network, talk, 16000)
    position = 0
    assert len(ended) >= 40 / longest
    for segment in ended:
        assert segment.first_frame == position
        position += len(segment.log_probs)
        assert segment.before == min(segment.first_frame, context)
        begin = segment.first_frame - segment.before
        assert np.array_equal(segment.hidden, hidden[begin : begin + len(segment.hidden)])
        assert len(segment.hidden) - segment.before - len(segment.log_probs) <= context
    assert position == len(hidden)
    assert len(ended[-1].hidden) == ended[-1].before + len(ended[-1].log_probs)
    assert max(len(segment.hidden) - segment.before - len(segment.log_probs) for segment in ended) > 5 or not context


def test_context_is_heard_and_not_read(tiny: Recognizer, talk: Samples) -> None:
    """The log-probs of a segment's own frames are those of the longer stretch that the second reading heard."""
    model, network = replace(tiny._model, again=Limits()), tiny.network
    hidden = hidden_states(network, talk[:96000], 96000)  # 6 s
    log_probs = np.zeros((50, len(network.heads["spelling"])), np.float32)
    reader = Reader(model, "inline")
    for before, after in ((0, 0), (25, 0), (0, 25), (20, 30)):
        stretch = hidden[40 - before : 90 + after]
        reader.submit(Ended(40, before, stretch, np.zeros(0, np.float32), log_probs, 0, "key", Wanted()))
        (read,) = reader.collect(wait=True)
        own = network.second(stretch)["spelling"][before : before + 50]
        assert read.tokens == collapse(own.argmax(axis=1)) != []


@pytest.mark.parametrize("mode", ["finish", "key", "nothing said"])
def test_what_the_first_reading_takes_for_silence_is_read_again(
    tiny: Recognizer, talk: Samples, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    real = tiny.network
    network = type(real)(real.directory, real.config, real._first, real._second)

    def deaf(audio: Samples, state: State, *hop: int) -> FirstReading:
        reading = real.first(audio, state, *hop)
        silence = {head: np.full_like(table, -50.0) for head, table in reading.log_probs.items()}
        for table in silence.values():
            table[:, BLANK] = 0.0
        return replace(reading, log_probs=silence)

    monkeypatch.setattr(network, "first", deaf)
    samples = talk[64000:144000]  # 5 s: after so long without a word the stream gives up
    stream = Stream(replace(tiny._model, network=network, again=Limits()), Options(0.2, "inline"))
    if mode == "nothing said":
        found = stream.feed(samples)
    else:
        found = stream.feed(samples[:-640])
        assert found == []
        found += stream.finish() if mode == "finish" else stream.end_segment()
    heard = hidden_states(real, samples, 3200)
    greedy = tiny._model.second_decoder
    whole = greedy.best(greedy.step(greedy.start(), real.second(heard)["spelling"]))[0].words
    same = [word.text for segment in found for word in segment.words]
    assert len(same) > 3 and same[:-2] == [word.text for word in whole][: len(same) - 2]


LETTERS = ("<blank>", "▁c", "a", "r", "y", "i", "n", "g")


def spelled(*words: str, pause: int = 25) -> list[int]:
    """The best token of each frame: two frames a letter, a blank after each, and a pause after each word."""
    frames = [BLANK] * 5
    for word in words:
        pieces = [word[0].join(("▁", "")), *word[1:]]
        frames += [token for piece in pieces for token in (*[LETTERS.index(piece)] * 2, BLANK)] + [BLANK] * pause
    return frames


@pytest.mark.parametrize("how", ["pause", "key"])
def test_an_endpoint_resets_nothing(tiny: Recognizer, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The network's state goes on over a pause and a released key: here it is the place in what is being said, so
    that a stream which began anew would hear the first word again, and a word like the one before loses no letter."""
    real = tiny.network
    network = type(real)(real.directory, real.config, real._first, real._second)
    said = np.array(spelled("car", "carrying"))

    def first(audio: Samples, state: State) -> FirstReading:
        place, frames = int(state["place"][0]), len(audio) // network.frame_samples
        heard = np.resize(said, max(len(said), place + frames))[place : place + frames]
        table = np.full((frames, len(real.heads["spelling"])), -20.0, np.float32)
        table[np.arange(frames), heard] = 0.0
        hidden = np.zeros((frames, int(real.config["hidden"])), np.float32)
        return FirstReading(hidden, {"spelling": table}, {"place": state["place"] + frames})

    monkeypatch.setattr(network, "first", first)
    monkeypatch.setattr(network, "initial_state", lambda: {"place": np.zeros(1, np.float32)})
    letters = Greedy([*LETTERS, *"?" * (len(real.heads["spelling"]) - len(LETTERS))])
    model = Model(network, letters, letters)
    stream = Stream(model, Options(second_reading=None))
    sound = np.zeros((len(said) - network.look_ahead_frames) * network.frame_samples, np.float32)
    cut = 14 * network.frame_samples if how == "key" else 0
    found = stream.feed(sound[:cut]) + (stream.end_segment() if how == "key" else [])
    found += stream.feed(sound[cut:]) + stream.finish()
    assert [[word.text for word in segment.words] for segment in found] == [["car"], ["carrying"]]


# 2. Save and restore anywhere change nothing


@given(cuts=CUTS, mode=st.sampled_from(MODES), rate=st.sampled_from([16000, 44100]))
@settings(max_examples=15)
def test_save_and_restore_change_nothing(
    tiny: Recognizer, talk: Samples, cuts: list[int], mode: SecondReading | None, rate: int
) -> None:
    samples = talk[: 20 * 16000]
    stream = tiny.stream(second_reading=mode)
    expected = run(tiny.stream(second_reading="inline" if mode else None), iter([samples]), rate)
    found: list[Segment] = []
    for part in blocks(samples, cuts):
        found += stream.feed(part, rate)
        copy = tiny.restore(stream.save())
        assert copy.partial == stream.partial or mode == "background"  # there a segment may become final any moment
        stream = copy
    assert found + stream.finish() == expected


@given(cuts=st.lists(st.integers(0, 64000), max_size=4), mode=st.sampled_from(MODES), look=st.booleans())
@settings(max_examples=5)
def test_the_same_with_a_beam_search(
    tiny_model: Path, talk: Samples, cuts: list[int], mode: SecondReading | None, look: bool
) -> None:
    recognizer, samples = Recognizer(tiny_model), talk[64000:128000]
    stream = recognizer.stream(second_reading=mode)
    expected = run(recognizer.stream(second_reading="inline" if mode else None), iter([samples]))
    found: list[Segment] = []
    for part in blocks(samples, cuts):
        found += stream.feed(part)
        if look:
            assert stream.partial.text is not None
        stream = recognizer.restore(stream.save())
    assert found + stream.finish() == expected != []


@dataclass(frozen=True)
class HeldBack(Greedy):
    """A decoder that waits until it may go on."""

    tokens: tuple[str, ...]
    go: threading.Event = field(default_factory=threading.Event)

    def start(self, hotwords: object = None, grammar: object = None, words: object = None) -> GreedyState:
        self.go.wait()
        return super().start()


@pytest.fixture
def held(tiny: Recognizer) -> Iterator[tuple[HeldBack, Stream]]:
    """A stream whose second reading is not done before `go` is set."""
    decoder = HeldBack(tiny.network.heads["spelling"])
    yield decoder, Stream(replace(tiny._model, second_decoder=decoder), Options())
    decoder.go.set()


def test_a_snapshot_holds_segments_that_wait_for_their_second_reading(
    tiny: Recognizer, talk: Samples, held: tuple[HeldBack, Stream]
) -> None:
    _, stream = held
    expected = run(tiny.stream(second_reading="inline"), iter([talk]))
    assert stream.feed(talk[: 30 * 16000]) == []
    restored = tiny.restore(stream.save())
    assert restored.partial == stream.partial
    found = run(restored, iter([talk[30 * 16000 :]]))
    assert found == expected


def test_a_snapshot_after_a_released_key(tiny: Recognizer, talk: Samples) -> None:
    one, other = tiny.stream(), tiny.stream()
    first = one.feed(talk[:50000]) + one.end_segment()
    assert first == other.feed(talk[:50000]) + other.end_segment()
    other = tiny.restore(other.save())
    assert run(one, iter([talk[50000:]])) == run(other, iter([talk[50000:]]))


@given(data=st.data())
@settings(max_examples=60)
def test_a_damaged_snapshot_is_refused_in_one_sentence(tiny: Recognizer, talk: Samples, data: st.DataObject) -> None:
    stream = tiny.stream(step_seconds=1.0)
    stream.feed(talk[:20000], 44100)
    snapshot = bytearray(stream.save())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(snapshot) - 1))
        snapshot[place] ^= data.draw(st.integers(1, 255))
    del snapshot[data.draw(st.integers(0, len(snapshot))) :]
    with pytest.raises(AsrError, match="napshot"):
        tiny.restore(bytes(snapshot))


def test_a_snapshot_may_not_unfold_into_something_large(tiny: Recognizer) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, header=np.zeros(10**7, np.uint8))
    with pytest.raises(StreamError, match="no snapshot"):
        tiny.restore(file.getvalue())


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every single value of a header, and to every list and table in it."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from leaves(value[key], (*path, key))


HOSTILE = [np.inf, np.nan, -1, 10**400, 0.5, True, None, "x", [], {}]


def test_a_strangers_snapshot_is_refused_or_read(
    tiny: Recognizer, talk: Samples, held: tuple[HeldBack, Stream]
) -> None:
    """Whatever stands in it: one sentence, or a stream that works."""
    model = replace(tiny._model, second_decoder=held[0])
    stream = Stream(model, Options(endpoint=Endpoint(longest=1.0, search=0.5)))
    stream.feed(talk[60000:150000], 22050)
    assert stream.partial.words and stream.waiting
    good = unpack(stream.save())
    header = dict(good.header)

    def refused(header: dict[str, Any], arrays: Arrays) -> bool:
        try:
            again = tiny.restore(pack(header, arrays))
        except StreamError as error:
            assert "napshot" in str(error)
            return True
        again.feed(talk[:4000], again.rate or 22050)
        assert again.partial.text is not None and again.end_segment() is not None
        again.finish()
        return False

    assert not refused(header, dict(good.arrays))
    paths = [path for path in leaves(header) if path and path[0] not in ("model", "version")]
    assert len(paths) > 60
    count = 0  # of those refused
    for path in paths:
        for value in HOSTILE:
            broken = json.loads(json.dumps(header))
            place = broken
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            count += refused(broken, dict(good.arrays))
    assert count > len(paths) * len(HOSTILE) * 0.8  # a time or a confidence may be another, a hotword's bonus too
    for name, array in good.arrays.items():
        nan = np.full(array.shape, np.nan, array.dtype if array.dtype.kind == "f" else np.float64)
        for other in (array[:0], nan, array[None], array.astype("U1")):
            if name.startswith(("state.", "detector", "log_probs")):
                assert refused(header, good.arrays | {name: other}), name
            elif array.size:
                refused(header, good.arrays | {name: other})
        assert refused(header, {key: value for key, value in good.arrays.items() if key != name})


@pytest.mark.parametrize("text", ["[]", "1", '{"version": NaN}', "[" * 100_000, "{}", "\xff"])
def test_what_is_no_header(tiny: Recognizer, text: str) -> None:
    file = io.BytesIO()
    np.savez(file, header=np.frombuffer(text.encode("latin-1"), np.uint8))
    with pytest.raises(StreamError, match="napshot"):
        tiny.restore(file.getvalue())


@pytest.mark.parametrize("snapshot", [b"", b"\x80\x04N.", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_what_is_no_snapshot(tiny: Recognizer, snapshot: bytes) -> None:
    with pytest.raises(StreamError, match="no snapshot"):
        tiny.restore(snapshot)


def test_another_models_snapshot_is_refused(tiny: Recognizer) -> None:
    network = tiny.network
    config = network.config | {"fingerprint": "other", "name": "other"}
    other = type(network)(network.directory, config, network._first, network._second)
    snapshot = Stream(replace(tiny._model, network=other), Options()).save()
    with pytest.raises(StreamError, match=r"other 0.*another model"):
        tiny.restore(snapshot)


# 3. Causal


@given(at=st.integers(0, 10 * 16000 - 1), step=st.sampled_from([0.08, 1.0]))
@settings(max_examples=15)
def test_a_sample_changes_nothing_in_earlier_steps(tiny: Recognizer, talk: Samples, at: int, step: float) -> None:
    size = round(step * 16000)
    step_of_change = at // size
    changed = talk[: 10 * 16000].copy()
    changed[at] += 0.5
    before, after = (tiny.stream(step_seconds=step, second_reading=None) for _ in range(2))
    for i in range(step_of_change):
        part = slice(i * size, (i + 1) * size)
        assert before.feed(talk[part]) == after.feed(changed[part])
    assert before.partial == after.partial
    assert before.save() == after.save()


# 4. Time and memory of a step do not depend on how long the stream has run


@pytest.mark.parametrize("kind", ["speech", "noise", "silence"])
def test_the_state_does_not_grow(tiny: Recognizer, talk: Samples, kind: str) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, len(talk)).astype(np.float32)
    heard = {"speech": talk, "noise": noise, "silence": np.zeros_like(talk)}[kind]
    stream = tiny.stream(step_seconds=1.0, second_reading="inline")
    sizes = []
    segments: list[Segment] = []
    for _ in range(6):  # 4 minutes
        for part in np.split(heard, 40):
            segments += stream.feed(part)
            sizes.append(len(stream.save()))
    longest = round((15 + 5) / 0.04) + 2 * 25  # speech, silence before it, a step, context
    sound = stream._running.sound_samples
    frame = 4 * (tiny.network.width + len(tiny.network.heads["spelling"]) + sound) + 24
    assert max(sizes) < longest * frame + 100_000
    assert max(sizes[len(sizes) // 2 :]) <= max(sizes[: len(sizes) // 2]) * 1.05
    assert all(segment.end - segment.start <= 15.1 for segment in segments)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_contract_holds_for_the_int8_network(shipped: Recognizer, speech: Samples, rate: int) -> None:
    resampler = Resampler(16000, rate)
    samples = np.concatenate([resampler.feed(speech[: 9 * 16000]), resampler.tail()])
    expected = run(shipped.stream(second_reading="inline"), iter([samples]), rate)
    stream, found = shipped.stream(), []
    for part in blocks(samples, range(0, len(samples), 7919)):
        found += stream.feed(part, rate)
        stream = shipped.restore(stream.save())
    assert found + stream.finish() == expected != []
    with ThreadPoolExecutor(3) as executor:
        assert list(executor.map(lambda _: run(shipped.stream(), iter([samples]), rate), range(3))) == [expected] * 3


def test_speech_without_a_pause_is_cut(shipped: Recognizer, speech: Samples) -> None:
    nonstop = np.concatenate([speech[64000 : 64000 + 13 * 16000]] * 4)
    found = run(shipped.stream(second_reading="inline"), iter([nonstop]))
    assert len(found) >= 4
    assert all(segment.end - segment.start <= 15 for segment in found)


# 5. Many streams in threads


def test_streams_in_threads(tiny: Recognizer, talk: Samples) -> None:
    parts = [talk[i * 80000 : i * 80000 + 320000] for i in range(4)]
    expected = [run(tiny.stream(second_reading="inline"), blocks(part, range(0, 320000, 4001))) for part in parts]
    with ThreadPoolExecutor(4) as executor:
        found = executor.map(lambda part: run(tiny.stream(), blocks(part, range(0, 320000, 1999))), parts * 2)
    assert list(found) == expected * 2


# 6. No block stalls


def test_the_second_reading_never_holds_up_a_block(talk: Samples, held: tuple[HeldBack, Stream]) -> None:
    decoder, stream = held
    shown = []
    for part in np.split(talk, 100):
        assert stream.feed(part) == []  # returns although no second reading ever ends
        shown.append(stream.partial)
    texts = [segment.text.split() for segment in shown]
    assert len(texts[-1]) > 10 and not shown[-1].final
    final = [word for word in shown[60].words if word.end < shown[60].words[-1].end - 15.1]
    assert shown[-1].words[: len(final)] == tuple(final)  # what has ended stays as it was shown
    decoder.go.set()
    later = stream.end_segment()  # this one waits
    assert len(later) > 2 and all(segment.final for segment in later)
    assert [segment.id for segment in later] == list(range(len(later)))
    assert stream.partial.text == ""


def test_what_is_read_in_the_background_comes_with_a_later_block(
    tiny: Recognizer, talk: Samples, held: tuple[HeldBack, Stream]
) -> None:
    decoder, stream = held
    assert stream.feed(talk[: 20 * 16000]) == []
    decoder.go.set()
    stream._reader._waiting[-1][1].result()  # the last one is read
    found = stream.feed(talk[:0])
    expected = tiny.stream(second_reading="inline").feed(talk[: 20 * 16000])
    assert found == expected != []


def test_an_error_in_the_background_is_not_lost(tiny: Recognizer, talk: Samples) -> None:
    class Broken(Greedy):
        def step(self, state: GreedyState, log_probs: Samples) -> GreedyState:
            raise AsrError("broken on purpose")

    stream = Stream(replace(tiny._model, second_decoder=Broken(tiny.network.heads["spelling"])), Options())
    with pytest.raises(AsrError, match="on purpose"):
        run(stream, iter([talk]))


# What is shown before it is final


def test_without_a_second_reading_what_was_shown_is_what_comes(tiny: Recognizer, talk: Samples) -> None:
    """Words are shown when they are complete: but for the last one, which may go on after a break, they stay."""
    stream = tiny.stream(second_reading=None)
    shown: list[list[str]] = []
    found: list[Segment] = []
    for part in np.split(talk[: 14 * 16000], 70):
        found += stream.feed(part)
        shown.append([word.text for segment in [*found, stream.partial] for word in segment.words])
    found += stream.finish()
    words = [word.text for segment in found for word in segment.words]
    assert len(shown[60]) > 5
    assert all(view[:-1] == words[: len(view) - 1] for view in shown if view)


def test_looking_changes_nothing(tiny: Recognizer, talk: Samples) -> None:
    stream, found = tiny.stream(second_reading=None), []
    for part in np.split(talk, 100):
        found += stream.feed(part)
        assert stream.partial == stream.partial
    assert found + stream.finish() == run(tiny.stream(second_reading=None), iter([talk]))


# Ending


def tokens(segments: Sequence[Segment]) -> str:
    return "".join(word.text for segment in segments for word in segment.words)


@given(frames=st.integers(1, 240))
@settings(max_examples=25)
def test_a_cut_between_frames_loses_and_repeats_nothing(tiny: Recognizer, talk: Samples, frames: int) -> None:
    samples, cut = talk[: 10 * 16000], frames * 640
    stream = tiny.stream(second_reading=None)
    found = stream.feed(samples[:cut]) + stream.end_segment()
    assert stream.partial.text == ""
    found += stream.feed(samples[cut:]) + stream.finish()
    assert tokens(found) == tokens(run(tiny.stream(second_reading=None), iter([samples])))


def test_ending_twice_gives_nothing_the_second_time(tiny: Recognizer, talk: Samples) -> None:
    stream = tiny.stream()
    found = stream.feed(talk[:40123])
    assert [*found, *stream.end_segment()]
    assert stream.end_segment() == []
    assert tiny.stream().end_segment() == []


def test_a_released_key_gives_all_the_text_at_once(tiny: Recognizer, talk: Samples) -> None:
    for mode in MODES:
        stream = tiny.stream(second_reading=mode)
        found = stream.feed(talk[:44444], 48000) + stream.end_segment()
        assert tokens(found) and all(segment.final for segment in found)


@pytest.mark.parametrize("mode", MODES)
def test_on_real_speech_a_cut_in_mid_word_repeats_nothing(
    shipped: Recognizer, speech: Samples, mode: SecondReading | None
) -> None:
    """Every 0.33 s of an utterance: the letters of both pieces, joined, against those of the whole.

    Both pieces are read with silence where the cut is, and a language model completes what it can: a letter or two.
    """
    samples = speech[64000 : 64000 + 8 * 16000]
    whole = tokens(run(shipped.stream(second_reading=mode), iter([samples])))
    longer = []
    for cut in range(8000, len(samples) - 8000, 5280):
        stream = shipped.stream(second_reading=mode)
        found = stream.feed(samples[:cut]) + stream.end_segment() + stream.feed(samples[cut:]) + stream.finish()
        longer.append(len(tokens(found)) - len(whole))
    assert abs(np.mean(longer)) < 2  # letters a cut


def test_on_real_speech_the_first_reading_goes_on_over_a_cut(shipped: Recognizer, speech: Samples) -> None:
    greedy = Greedy(shipped.network.heads["spelling"])
    model = Model(shipped.network, greedy, greedy)
    samples = speech[64000 : 64000 + 8 * 16000]
    whole = tokens(run(Stream(model, Options(second_reading=None)), iter([samples])))
    cuts = range(8000, len(samples) - 8000, 3331)
    differing = 0
    for cut in cuts:
        stream = Stream(model, Options(second_reading=None))
        found = stream.feed(samples[:cut]) + stream.end_segment() + stream.feed(samples[cut:]) + stream.finish()
        differing += tokens(found) != whole
    # in mid-word the silence behind a cut may be heard as another token than the speech that goes on
    assert differing <= 0.1 * len(cuts)


def test_on_real_speech_a_cut_in_a_pause_changes_no_later_word(shipped: Recognizer, speech: Samples) -> None:
    cut = 3 * 16000 + 8000  # half a second into the first pause
    for mode in ("inline", None):
        whole = run(shipped.stream(second_reading=mode), iter([speech]))
        stream = shipped.stream(second_reading=mode)
        found = stream.feed(speech[:cut]) + stream.end_segment() + stream.feed(speech[cut:]) + stream.finish()
        assert [word.text for s in found for word in s.words] == [word.text for s in whole for word in s.words]


def test_written_ahead() -> None:
    real = [(2, 5), (9, 7)]
    assert written_ahead(real, [(2, 5), (9, 7), (11, 3)], 12) == [3]
    assert written_ahead(real, [(2, 5), (8, 7), (10, 7), (11, 3)], 12) == [3]
    assert written_ahead(real, [(2, 5), (10, 4), (11, 3)], 12) == [4, 3]
    assert written_ahead(real, [(2, 5), (9, 7)], 12) == []
    assert written_ahead(real, [(2, 5), (9, 7), (11, 3)], 40) == []
    assert written_ahead([], [(11, 3)], 12) == [3]


def test_a_finished_stream_refuses(tiny: Recognizer, talk: Samples) -> None:
    stream = tiny.stream()
    stream.feed(talk[:1000])
    stream.finish()
    for call in (lambda: stream.feed(talk), stream.finish, stream.end_segment, stream.save):
        with pytest.raises(StreamError, match="finished"):
            call()


def test_the_tail_is_read_through_the_warm_state(tiny: Recognizer, talk: Samples) -> None:
    """Speech that ends within a step is read to its last sample, as if silence followed."""
    samples = talk[: 3 * 16000 + 700]
    stream = tiny.stream(second_reading=None, step_seconds=1.0)
    padded = np.concatenate([samples, np.zeros(-len(samples) % 640, np.float32)])
    assert tokens(run(stream, iter([samples]))) == tokens(run(tiny.stream(second_reading=None), iter([padded])))


# Marks


@dataclass
class Recorder:
    """A tagger that capitalizes a segment's first word, ends it by its cause, and remembers what it was told."""

    calls: list[tuple[list[str], list[str | None], list[float], EndedBy]] = field(default_factory=list)

    def write(
        self, words: Sequence[Word], context: Sequence[Word], pauses: Sequence[float], ended_by: EndedBy
    ) -> list[str]:
        self.calls.append(([w.text for w in words], [w.written for w in context], list(pauses), ended_by))
        marks = {"pause": ".", "end": ".", "key": ";", "length": ""}
        texts = [word.text for word in words]
        return [texts[0].capitalize(), *texts[1:-1], texts[-1] + marks[ended_by]] if len(texts) > 1 else texts


@pytest.mark.parametrize("mode", MODES)
def test_a_tagger_writes_final_text(tiny: Recognizer, talk: Samples, mode: SecondReading | None) -> None:
    tagger = Recorder()
    stream = Stream(replace(tiny._model, tagger=tagger), Options(second_reading=mode))
    found = stream.feed(talk[: 30 * 16000]) + stream.end_segment() + stream.feed(talk[30 * 16000 :]) + stream.finish()
    assert [call[3] for call in tagger.calls][-1] == "end" and "key" in [call[3] for call in tagger.calls]
    plain = [word.text for segment in found for word in segment.words]
    for segment, (words, context, pauses, _) in zip(found, tagger.calls, strict=True):
        assert [word.text for word in segment.words] == words
        assert segment.text == " ".join(str(word.written) for word in segment.words)
        assert len(pauses) == len(words) and min(pauses) >= 0
        start = sum(len(s.words) for s in found[: segment.id])
        assert len(context) == min(20, start)
        assert [text and text.lower().rstrip(".;") for text in context] == plain[max(0, start - 20) : start]
    assert stream.partial.text == ""


def test_a_tagger_sees_the_same_after_a_restore(tiny: Recognizer, talk: Samples) -> None:
    one, other = Recorder(), Recorder()
    models = [replace(tiny._model, tagger=tagger) for tagger in (one, other)]
    expected = run(Stream(models[0], Options()), iter([talk]))
    stream, found = Stream(models[1], Options()), []
    for part in np.split(talk, 16):
        found += stream.feed(part)
        stream = Stream.restored(models[1], stream.save())
    assert found + stream.finish() == expected


# Refusals


def test_a_rate_is_for_life(tiny: Recognizer, talk: Samples) -> None:
    stream = tiny.stream()
    stream.feed(talk[:1000], 44100)
    with pytest.raises(StreamError, match="44100 Hz"):
        stream.feed(talk[:1000], 16000)


@pytest.mark.parametrize("bad", [np.array([np.nan], np.float32), np.zeros((2, 2, 2), np.float32), np.array([1e6])])
def test_what_is_no_sound_leaves_the_stream_as_it_was(tiny: Recognizer, talk: Samples, bad: Samples) -> None:
    stream = tiny.stream()
    found = stream.feed(talk[:100000])
    with pytest.raises(AudioError):
        stream.feed(bad)
    assert run(stream, iter([talk[100000:]])) == run(tiny.stream(), iter([talk]))[len(found) :]


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.1, -0.08, 1000.0, np.inf, np.nan])
def test_a_step_is_whole_frames(tiny: Recognizer, seconds: float) -> None:
    with pytest.raises(StreamError, match=r"multiple of 0\.04"):
        tiny.stream(step_seconds=seconds)


def test_options_out_of_bounds() -> None:
    with pytest.raises(StreamError, match="inline, background"):
        Options(second_reading="later")  # type: ignore[arg-type]
    for nbest in (0, 2000):
        with pytest.raises(StreamError, match=f"1 to 1000 readings, not {nbest}"):
            Options(nbest=nbest)
    for seconds in (-1.0, np.nan):
        with pytest.raises(StreamError, match="around"):
            Options(context_seconds=seconds)


def test_hotwords_that_the_model_cannot_use_are_refused(tiny: Recognizer) -> None:
    with pytest.raises(AsrError, match="hotwords"):
        tiny.stream(hotwords={"hochreiter": 6.0})
    stream = tiny.stream()
    with pytest.raises(AsrError, match="hotwords"):
        stream.hotwords = {"schmidhuber": 6.0}
    assert stream.hotwords == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("words", "hochreiter"),
        ("words", [1]),
        ("words", None),
        ("grammar", 7),
        ("grammar", ["yes", None]),
        ("hotwords", "lstm:6"),
        ("hotwords", ["lstm"]),
        ("hotwords", {"lstm": "a"}),
        ("hotwords", {7: 6.0}),
    ],
)
def test_what_is_expected_has_to_be_of_the_kind(tiny: Recognizer, name: str, value: object) -> None:
    with pytest.raises(AsrError, match=f"given .*{name}=.*, not as {re.escape(repr(value))}"):
        tiny.stream(**{name: value})
    if name == "hotwords":
        with pytest.raises(AsrError, match="not as"):
            tiny.stream().hotwords = value  # type: ignore[assignment]
