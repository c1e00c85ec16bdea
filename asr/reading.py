"""How a segment becomes final: second reading, decoder, marks; at once, or off the audio path in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from numbers import Real
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from asr.again import Heard, Limits, listen_again, manner
from asr.decoders import SPELLING
from asr.endpoint import EndedBy
from asr.errors import AsrError
from asr.greedy import DecodedWord, Decoder, Hypothesis, collapse
from asr.network import BLANK, Network
from asr.rejection import Rejection, doubt
from asr.results import Alternative, Segment, Word
from asr.snapshot import Arrays, Parts, number, text, whole

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Floats = NDArray[np.float32]
SecondReading = Literal["inline", "background"]

CONTEXT_WORDS = 20  # what a tagger sees of the segments before


class Tagger(Protocol):
    """Writes recognized words with marks and capitals."""

    def write(
        self, words: Sequence[Word], context: Sequence[Word], pauses: Sequence[float], ended_by: EndedBy
    ) -> Sequence[str]:
        """How each of `words`, those of a segment that becomes final, stands in its text.

        `context` are the last words before it, as written; `pauses` the seconds of silence after each word, the last
        one up to the end of the segment. "" is a word that the one before it contains, as in numbers.
        """
        ...


@dataclass(frozen=True)
class Model:
    """What a model directory holds, loaded: immutable, shared by all streams of a recognizer."""

    network: Network
    first_decoder: Decoder[Any]  # where the first reading decides
    second_decoder: Decoder[Any]  # for what is final
    tagger: Tagger | None = None
    rejection: Rejection = field(default_factory=Rejection)  # of what is no speech
    preview_decoder: Decoder[Any] | None = None  # for what is shown before that; None: the second one
    again: Limits = field(default_factory=Limits)  # of what is listened to again before it is final

    @property
    def preview(self) -> Decoder[Any]:
        """The decoder of what is shown before it is final; it reads the second reading's log-probs."""
        return self.preview_decoder or self.second_decoder

    def is_speech(self, blank: Sequence[float] | Floats, reading: Literal["first", "second"]) -> bool:
        """Whether a reading takes frames for speech; `blank`: log-probs [frames] of its decoder's head."""
        return doubt(blank) <= (self.rejection.first if reading == "first" else self.rejection.second)

    def words(self, hypothesis: Sequence[DecodedWord], first_frame: float, pace: float = 1.0) -> tuple[Word, ...]:
        """Decoded words with times in seconds, `first_frame` being the stream's frame that their count starts from;
        each of the frames they count takes `pace` of the stream's."""
        seconds = self.network.frame_seconds
        return tuple(
            Word(
                word.text,
                round(max(0.0, (first_frame + word.start_frame * pace) * seconds), 3),
                round(max(0.0, (first_frame + word.end_frame * pace) * seconds), 3),
                round(word.confidence, 4),
            )
            for word in hypothesis
        )


@dataclass(frozen=True)
class Wanted:
    """What a user told a stream to expect."""

    hotwords: Mapping[str, float] = field(default_factory=dict)  # words and phrases with their bonus
    grammar: tuple[str, ...] | None = None  # nothing but these phrases
    words: tuple[str, ...] = ()  # that the lexicon may not have

    @classmethod
    def of(
        cls, hotwords: Mapping[str, float] | None, grammar: str | Iterable[str] | None, words: Iterable[str]
    ) -> Wanted:
        """What a program asks for; a grammar may be one string with | between phrases. Raises `AsrError`."""
        phrases = grammar.split("|") if isinstance(grammar, str) else grammar
        return cls(
            checked_hotwords(hotwords),
            None if phrases is None else _listed(phrases, "The phrases", 'grammar=["yes", "no"] or grammar="yes|no"'),
            _listed(words, "The new words", 'words=["hochreiter"]'),
        )

    def start(self, decoder: Decoder[Any]) -> Any:
        """The decoder's state before a segment. Raises `AsrError` for what it cannot use."""
        return decoder.start(self.hotwords, self.grammar, self.words)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Wanted:
        """Of a snapshot's header. Raises `ValueError` and its like for what is damaged."""
        hotwords = {text(phrase): number(bonus) for phrase, bonus in stored["hotwords"].items()}
        grammar = stored["grammar"]
        phrases = None if grammar is None else tuple(map(text, grammar))
        return cls(hotwords, phrases, tuple(map(text, stored["words"])))


def checked_hotwords(hotwords: Mapping[str, float] | None) -> dict[str, float]:
    """Hotwords as a program gives them. Raises `AsrError` for what is no mapping of phrases to numbers."""
    given = {} if hotwords is None else hotwords
    if not isinstance(given, Mapping) or not all(
        isinstance(phrase, str) and isinstance(bonus, Real) for phrase, bonus in given.items()
    ):
        raise AsrError(f'Hotwords are given with their bonus, hotwords={{"lstm": 6.0}}, not as {shortened(given)}.')
    return {phrase: float(bonus) for phrase, bonus in given.items()}


def _listed(given: Iterable[str], what: str, example: str) -> tuple[str, ...]:
    """The texts of a list. Raises `AsrError` for one text, whose letters would be taken for a list."""
    is_list = isinstance(given, Iterable) and not isinstance(given, str)
    found = tuple(given) if is_list else ()
    if not is_list or not all(isinstance(one, str) for one in found):
        raise AsrError(f"{what} are given as a list of texts, {example}, not as {shortened(given)}.")
    return found


@dataclass
class Ended:
    """A segment whose end is decided, its words not yet."""

    first_frame: int  # counted from the start of the stream's sound
    before: int  # frames of context in front of the segment, in `hidden` and `sound` alone
    hidden: Floats  # [before + frames + context behind it, width]
    sound: Floats  # the samples of the same frames; [0] where nothing is listened to again
    log_probs: Floats  # [frames, tokens] of the first reading, the head that its decoder reads
    pause: int  # frames of silence that followed
    ended_by: EndedBy
    wanted: Wanted
    decided: tuple[tuple[Word, ...], tuple[Alternative, ...]] | None = None  # no second reading: the first one's words
    shown: tuple[Word, ...] | None = None  # the words before they are final, once somebody has asked for them

    def store(self, name: str) -> tuple[dict[str, object], Arrays]:
        """What `restored` takes, the arrays under names that begin with `name`."""
        header: dict[str, object] = {
            "first_frame": self.first_frame,
            "before": self.before,
            "pause": self.pause,
            "ended_by": self.ended_by,
            "wanted": asdict(self.wanted),
            "shown": self.shown and list(map(astuple, self.shown)),
            "decided": self.decided and [list(map(astuple, part)) for part in self.decided],
        }
        return header, {
            f"{name}.hidden": self.hidden,
            f"{name}.sound": self.sound,
            f"{name}.log_probs": self.log_probs,
        }

    @classmethod
    def restored(cls, parts: Parts, name: str, header: Mapping[str, Any], model: Model, sound_samples: int) -> Ended:
        """What `store` gave. Raises `ValueError` and its like for what is damaged."""
        network = model.network
        tokens = len(network.heads[model.first_decoder.head])
        log_probs = parts.array(f"{name}.log_probs", -1, tokens, shortest=1)
        hidden = parts.array(f"{name}.hidden", -1, network.width)
        sound = parts.array(f"{name}.sound", len(hidden) * sound_samples)
        before = whole(header["before"], most=len(hidden) - len(log_probs))
        if header["ended_by"] not in get_args(EndedBy):
            raise ValueError("ended_by")
        decided = header["decided"]
        if decided is not None:
            words, others = decided
            decided = restored_words(words), tuple(Alternative(text(said), number(score)) for said, score in others)
        return cls(
            whole(header["first_frame"], least=-(1 << 20)),
            before,
            hidden,
            sound,
            log_probs,
            whole(header["pause"]),
            header["ended_by"],
            Wanted.restored(header["wanted"]),
            decided,
            None if header["shown"] is None else restored_words(header["shown"]),
        )


@dataclass(frozen=True)
class Read:
    """The final words of an ended segment, and the tokens that the deciding reading saw: (frame, token)."""

    words: tuple[Word, ...]
    alternatives: tuple[Alternative, ...]
    tokens: list[tuple[int, int]]


class Reader:
    """Reads ended segments in order. One for each stream."""

    def __init__(
        self, model: Model, mode: SecondReading | None, nbest: int = 1, context: tuple[Word, ...] = ()
    ) -> None:
        self._model = model
        self._nbest = nbest
        self._background = mode == "background"
        self._executor: ThreadPoolExecutor | None = None
        self._waiting: deque[tuple[Ended, Read | Future[Read]]] = deque()
        self._context = context  # of the next segment to be read
        self.context = context  # after the last segment that was collected

    @property
    def waiting(self) -> list[Ended]:
        """Segments that have ended and were not collected yet."""
        return [ended for ended, _ in self._waiting]

    def submit(self, ended: Ended) -> None:
        if not self._background:
            self._waiting.append((ended, self._read(ended)))
            return
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(1, "second-reading")  # one: segments are read in order
        self._waiting.append((ended, self._executor.submit(self._read, ended)))

    def collect(self, wait: bool) -> list[Read]:
        """What has become final since the last call; everything, if it may `wait`."""
        ready = []
        while self._waiting:
            _, read = self._waiting[0]
            if not isinstance(read, Read):
                if not wait and not read.done():
                    break
                read = read.result()
            self._waiting.popleft()
            self.context = (*self.context, *read.words)[-CONTEXT_WORDS:]
            ready.append(read)
        return ready

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False)

    def _read(self, ended: Ended) -> Read:
        model = self._model
        words, others, tokens = self._decide(ended)
        if model.tagger is not None and words and ended.wanted.grammar is None:  # a grammar's phrases stay as given
            end = (ended.first_frame + len(ended.log_probs) + ended.pause) * model.network.frame_seconds
            nexts = [*(word.start for word in words[1:]), end]
            pauses = [max(0.0, start - word.end) for word, start in zip(words, nexts, strict=True)]
            written = model.tagger.write(words, self._context, pauses, ended.ended_by)
            words = tuple(replace(word, written=text) for word, text in zip(words, written, strict=True))
        self._context = (*self._context, *words)[-CONTEXT_WORDS:]
        return Read(words, others, tokens)

    def _decide(self, ended: Ended) -> tuple[tuple[Word, ...], tuple[Alternative, ...], list[tuple[int, int]]]:
        """What the reading that decides has heard, nothing where that is no speech, and its tokens: (frame, token)."""
        model, decoder = self._model, self._model.second_decoder
        if ended.decided is not None:
            words, others = ended.decided if model.is_speech(ended.log_probs[:, BLANK], "first") else ((), ())
            return words, others, collapse(ended.log_probs.argmax(axis=1))
        own = slice(ended.before, ended.before + len(ended.log_probs))  # the rest is context
        heads = {head: table[own] for head, table in model.network.second(ended.hidden).items()}
        log_probs = heads[decoder.head]
        if not model.is_speech(log_probs[:, BLANK], "second"):
            return (), (), collapse(log_probs.argmax(axis=1))
        heard = Heard(heads, 0.0, 1.0)
        size = model.network.frame_samples
        sound = ended.sound[own.start * size : own.stop * size]
        if how := manner(model.network, model.again, log_probs, sound):
            begin = ended.first_frame + model.network.look_ahead_frames - ended.before
            heard = listen_again(model.network, ended.sound, begin, ended.before, log_probs, how)
        log_probs = heard.log_probs[decoder.head]
        state = decoder.step(ended.wanted.start(decoder), log_probs)
        hypotheses = decoder.best(state, self._nbest, heard.log_probs.get(SPELLING))
        words = model.words(hypotheses[0].words, ended.first_frame + heard.begin, heard.pace)
        path = collapse(log_probs.argmax(axis=1))
        tokens = [(round(heard.begin + frame * heard.pace), token) for frame, token in path]
        return words, alternatives(hypotheses), tokens


def restored_words(stored: Sequence[Sequence[Any]]) -> tuple[Word, ...]:
    """Words of a snapshot's header. Raises `ValueError` and its like for what is damaged."""
    return tuple(
        Word(text(said), number(start), number(end), number(confidence), None if written is None else text(written))
        for said, start, end, confidence, written in stored
    )


def alternatives(hypotheses: Sequence[Hypothesis]) -> tuple[Alternative, ...]:
    """Several readings, if several were asked for."""
    if len(hypotheses) < 2:
        return ()
    return tuple(
        Alternative(" ".join(word.text for word in hypothesis.words), round(hypothesis.score, 3))
        for hypothesis in hypotheses
    )


def make_segment(number: int, words: tuple[Word, ...], final: bool) -> Segment:
    """Words as a segment; its text is how they are written."""
    written = (word.text if word.written is None else word.written for word in words)
    text = " ".join(text for text in written if text)
    return Segment(number, text, words[0].start if words else 0.0, words[-1].end if words else 0.0, words, final)
