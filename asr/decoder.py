"""The beam search as a stream uses it: `start`, `step`, `partial`, `best`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.beam import MATCH, MODEL, POSITION, RECORD, Beam, DecoderOptions, Search, advance, age
from asr.confidence import Calibration, Evidence
from asr.errors import AsrError, StreamError
from asr.expected import Settings, matcher_of, read_settings
from asr.g2p import GraphemeToPhone
from asr.grammar import UNKNOWN, Grammar, GrammarOptions
from asr.greedy import DecodedWord, Hypothesis
from asr.history import History, SaidWord
from asr.lexicon import Lexicon
from asr.network import WORD_START
from asr.rescoring import Speller
from asr.word_lstm import WordLstm
from asr.word_model import UNKNOWN_WORD, NoWordModel, PrefixModel, Vocabulary, WordModel

_KEPT = 8  # sets of hotwords, grammar and words whose sounds and search are kept for the next segment or stream
_RECORDS = 20_000  # of a history before what is not needed is forgotten
_LATTICE_FRAMES = 750  # how long a history keeps alternatives for certain
Floats = NDArray[np.floating[Any]]
Opinion = Callable[[Sequence[str]], NDArray[np.float64]]  # scores of texts, natural logs
_LEAST = -100.0  # log-probs below are taken for this
_PARTIAL_WEIGHT = 0.02  # hypotheses lighter than this have no say in what is shown


class LanguageModel(WordModel, Vocabulary, Protocol):
    """A word model with a vocabulary."""


@dataclass
class DecoderState:
    """A segment's search so far; owned by one stream and changed in place by `Decoder.step`."""

    settings: Settings
    search: Search
    beam: Beam
    history: History
    frames: int = 0
    offset: float = 0.0  # of all scores, natural log
    aged: bool = True  # no hypothesis ends in a token: a surely blank frame changes nothing
    clarity: list[float] = field(default_factory=list)  # log-prob of the likeliest token of each frame
    shown: list[int] = field(default_factory=list)  # the words of the last `Decoder.partial`, as the lexicon's numbers

    def copy(self) -> DecoderState:
        """An independent state, to look ahead with."""
        return replace(
            self,
            beam=copy.copy(self.beam),
            history=self.history.copy(),
            clarity=list(self.clarity),
            shown=list(self.shown),
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The state as plain arrays for `Decoder.restore`."""
        return {
            "settings": np.frombuffer(self.settings.to_json().encode(), np.uint8),
            "counts": np.array([self.frames, self.aged], np.int64),
            "offset": np.array([self.offset]),
            "clarity": np.array(self.clarity, np.float64),
            "shown": np.array(self.shown, np.int64),
            "states": self.beam.states,
            "mass": self.beam.mass,
            **self.history.to_arrays(),
        }


class Decoder:
    """Beam search over the log-probs of one head; immutable, shared by any number of streams and threads.

    With a lexicon it finds words; without one, `tokens` are strung together as they come (open vocabulary).
    """

    def __init__(
        self,
        tokens: Sequence[str],
        lexicon: Lexicon | None = None,
        model: LanguageModel | None = None,
        options: DecoderOptions | None = None,
        head: str = "phones",
        g2p: GraphemeToPhone | None = None,
        calibration: Calibration | None = None,
        grammar: GrammarOptions | None = None,
        speller: Speller | None = None,
        word_lstm: WordLstm | None = None,
    ) -> None:
        """`tokens`: of the head, blank first. Raises `ValueError` where the lexicon was made for other tokens, or the
        word LSTM's share is none."""
        self.tokens = tuple(tokens)
        if options is not None and not 0 <= options.word_lstm_share <= 1:
            raise ValueError(f"word_lstm_share is {options.word_lstm_share}, and should be from 0 to 1")
        if lexicon is not None and lexicon.tokens != self.tokens:
            raise ValueError("the lexicon is made of other tokens than the head has")
        self.head = head
        self.options = options or DecoderOptions()
        self.calibration = calibration or Calibration()
        self.grammar_options = grammar or GrammarOptions()
        self.speller = speller
        self.word_lstm = word_lstm
        self.lexicon = lexicon
        self._model = model
        self._g2p = g2p
        self._settings = lru_cache(_KEPT)(self._read_settings)
        self._kept_search = lru_cache(_KEPT)(self._search)
        self._plain = self._search(Settings())

    @property
    def has_model(self) -> bool:
        """Whether a language model guides the search."""
        return self._model is not None

    def with_options(self, options: DecoderOptions, grammar: GrammarOptions | None = None) -> Decoder:
        """The same decoder with other weights and limits."""
        return Decoder(
            self.tokens,
            self.lexicon,
            self._model,
            options,
            self.head,
            self._g2p,
            self.calibration,
            grammar or self.grammar_options,
            self.speller,
            self.word_lstm,
        )

    # Settings

    def settings(
        self,
        hotwords: Mapping[str, float] | None = None,
        grammar: str | Sequence[str] | None = None,
        words: Sequence[str] = (),
    ) -> Settings:
        """Read a user's hotwords (phrase, or word=sounds like, to bonus), phrases of a grammar and new words.

        Raises `AsrError` for what cannot be understood or pronounced.
        """
        allowed = grammar if grammar is None or isinstance(grammar, str) else tuple(grammar)
        return self._settings(tuple((hotwords or {}).items()), allowed, tuple(words))

    def _read_settings(
        self, hotwords: tuple[tuple[str, float], ...], grammar: str | tuple[str, ...] | None, words: tuple[str, ...]
    ) -> Settings:
        return read_settings(self.lexicon, self._g2p, self.tokens, hotwords, grammar, words)

    def _search(self, settings: Settings) -> Search:
        options = self.options
        if settings.grammar:
            special = self.grammar_options
            options = replace(
                options,
                beam_score=special.beam_score,
                token_score=special.token_score,
                blank_skip=1.0,
                blank_penalty=options.blank_penalty + special.blank_penalty,
            )
            lexicon = Lexicon.build(settings.entries, self.tokens)
            model: WordModel = Grammar(settings.grammar, lexicon, special)
            numbers, extra = np.arange(len(lexicon), dtype=np.int64), np.zeros(len(lexicon))
            lm_weight = 1.0
        elif self.lexicon is None:
            lexicon = Lexicon.build(
                [(token, (number,)) for number, token in enumerate(self.tokens) if number], self.tokens
            )
            model, lm_weight = PrefixModel(), 0.0
            numbers, extra = np.arange(len(lexicon), dtype=np.int64), np.zeros(len(lexicon))
        else:
            model, lm_weight = self._model or NoWordModel(), options.lm_weight
            lexicon = self.lexicon.extend(settings.entries, self._new_word_score())
            numbers = np.full(len(lexicon), -1 if self._model else 0, np.int64)
            extra = np.full(len(lexicon), options.word_bonus)
        return Search(
            lexicon=lexicon,
            model=model,
            word_ids=numbers,
            extra=extra,
            look_ahead=lm_weight * lexicon.tree.look_ahead.astype(np.float64),
            matcher=matcher_of(settings.phrases, lexicon, self.lexicon is None and not settings.grammar),
            lm_weight=lm_weight,
            options=options,
            vocabulary=self._model if self.lexicon is not None and not settings.grammar else None,
        )

    def _new_word_score(self) -> float:
        """Look-ahead of words that only the user knows."""
        if self._model is None:
            return 0.0
        start, unknown = np.array([self._model.start], np.int64), np.array([UNKNOWN_WORD], np.int64)
        unknown_score = self.options.unknown_word_score / max(self.options.lm_weight, 1e-3)  # is weighted, too
        return float(self._model.score(start, unknown)[0][0]) + unknown_score

    # Decoding

    def start(
        self,
        hotwords: Mapping[str, float] | None = None,
        grammar: str | Sequence[str] | None = None,
        words: Sequence[str] = (),
    ) -> DecoderState:
        """The state before the first frame of a segment; see `settings` for the arguments and errors."""
        if not hotwords and grammar is None and not words:
            return self._begin(Settings())
        return self._begin(self.settings(hotwords, grammar, words))

    def _begin(self, settings: Settings) -> DecoderState:
        search = self._plain if settings == Settings() else self._kept_search(settings)
        return DecoderState(settings, search, Beam.begin(search.model.start), History())

    def step(self, state: DecoderState, log_probs: NDArray[np.floating[Any]]) -> DecoderState:
        """Read more frames, [frames, tokens] natural logs. Changes `state` and returns it.

        However the frames are cut into calls, the result is the same.
        """
        search, options = state.search, state.search.options
        frames = np.maximum(log_probs, _LEAST, dtype=np.float64)
        clarity = frames.max(axis=1).tolist()
        offsets = np.zeros(len(frames))
        if options.blank_penalty or (options.prior_weight and options.log_priors):
            frames[:, 0] -= options.blank_penalty
            if options.log_priors:
                frames -= options.prior_weight * np.array(options.log_priors)
            offsets = np.logaddexp.reduce(frames, axis=1)
            frames -= offsets[:, None]  # thresholds mean probabilities as the weights make them
        sure = frames[:, 0] > np.log(options.blank_skip) if options.blank_skip < 1 else np.zeros(len(frames), bool)
        for frame, skip, clear, offset in zip(frames, sure.tolist(), clarity, offsets.tolist(), strict=True):
            state.offset += offset
            if skip:
                state.offset += float(frame[0])
                if not state.aged:
                    age(state.beam, options)
            else:
                state.beam = advance(state.beam, state.history, state.frames, frame, search)
            state.aged = skip
            state.frames += 1
            state.clarity.append(clear)
        if state.history.size > _RECORDS:
            states = state.beam.states.copy()
            states[RECORD] = state.history.collect(states[RECORD], state.frames - _LATTICE_FRAMES)
            state.beam.states = states
        return state

    def _totals(self, state: DecoderState) -> NDArray[np.float64]:
        combine = np.maximum if self.options.maximum else np.logaddexp
        return np.asarray(combine(*state.beam.mass), np.float64)

    def partial(self, state: DecoderState) -> tuple[DecodedWord, ...]:
        """Completed words of the likeliest hypothesis, as far as most of the others agree; cheap, confidences rough.

        A word needs the less agreement the longer ago it was said, and least if it was there the last time, so `state`
        remembers what was shown.
        """
        totals = self._totals(state)
        weights = np.exp(totals - totals.max())
        weights /= weights.sum()
        best = int(totals.argmax())
        said = state.history.path(int(state.beam.states[RECORD, best]))
        shares = [0.0] * len(said)
        paths: dict[int, float] = {}
        for row in np.flatnonzero(weights > _PARTIAL_WEIGHT).tolist():
            record = int(state.beam.states[RECORD, row])
            paths[record] = paths.get(record, 0.0) + float(weights[row])
        for record, weight in paths.items():
            for place, (one, other) in enumerate(zip(said, state.history.path(record), strict=False)):
                if one.word != other.word:
                    break
                shares[place] += weight
        agreed = 0
        standing = [*state.shown, *[-1] * len(said)]
        for one, share, before in zip(said, shares, standing, strict=False):
            if share <= self._agreement(one.word == before, state.frames - one.end):
                break
            agreed += 1
        state.shown = [one.word for one in said[:agreed]]
        rated = [replace(one, posterior=min(share, 1.0)) for one, share in zip(said, shares, strict=True)]
        return self._words(rated[:agreed], state)

    def _agreement(self, shown: bool, waited: int) -> float:
        """The share that a word must have to be shown, said so many frames ago."""
        options = self.options
        over = 1.0 if shown else min(1.0, waited / max(1, options.partial_wait))
        return options.partial_agreement + over * (options.partial_stay - options.partial_agreement)

    def best(self, state: DecoderState, n: int = 1, spelling: Floats | None = None) -> list[Hypothesis]:
        """At most n readings of all frames so far, taken as the whole segment, the best first; never none.

        With the log-probs [frames, tokens] of the spelling head for the same frames, that head has its say, and so has
        the word LSTM where there is one.
        """
        return [Hypothesis(self._words(said, state), score) for said, score in self._readings(state, n, spelling)]

    def evidence(self, state: DecoderState, spelling: Floats | None = None) -> list[tuple[str, Evidence]]:
        """The words of the best reading and what their confidences are made of, for calibration."""
        ((said, _),) = self._readings(state, 1, spelling)
        return [(text, self._evidence(text, pieces, state)) for text, pieces in self._groups(said, state)]

    def _readings(self, state: DecoderState, n: int, spelling: Floats | None) -> list[tuple[list[SaidWord], float]]:
        """The best readings with their scores."""
        if state.settings.grammar and not self._may_end(state):
            return [([], float(state.offset))]
        said, score, weights, total = self._final(state)
        opinions = [] if state.settings.grammar else self._opinions(spelling, state.search.lm_weight)
        count = max(n, self.options.rescored) if opinions else n
        if count == 1:
            return [(state.history.with_posteriors(said, weights), score)]
        texts, readings = [self._text(said, state)], [(said, score)]
        for other, probability in state.history.alternatives(weights, count):
            if probability <= 0:
                break
            text, score = self._text(other, state), total + float(np.log(probability))
            if text == texts[0]:
                readings[0] = said, score
            else:
                texts.append(text)
                readings.append((other, score))
        scores = np.array([score for _, score in readings])
        for weight, opinion in opinions:
            scores += weight * opinion(texts)
        readings = [(readings[place][0], float(scores[place])) for place in np.argsort(-scores, kind="stable")]
        first, score = readings[0]
        return [(state.history.with_posteriors(first, weights), score), *readings[1:n]]

    def _opinions(self, spelling: Floats | None, lm_weight: float) -> list[tuple[float, Opinion]]:
        """Who is asked about whole readings, and the weight of what they say."""
        options, speller, lstm = self.options, self.speller, self.word_lstm
        found: list[tuple[float, Opinion]] = []
        if options.spelling_weight and speller is not None and spelling is not None and len(spelling):
            found.append((options.spelling_weight, lambda texts: _spelled(speller, spelling, texts)))
        if options.word_lstm_share and lstm is not None:
            found.append((lm_weight, lambda texts: lstm.advantage(texts, options.word_lstm_share)))
        return found

    def _may_end(self, state: DecoderState) -> bool:
        """Whether a hypothesis stands where its phrase is complete."""
        positions, models = state.beam.states[POSITION], state.beam.states[MODEL]
        ended = models[positions < len(self.tokens)]
        return bool((state.search.model.end_score(ended) > -np.inf).any())

    def _text(self, said: list[SaidWord], state: DecoderState) -> str:
        return " ".join(text for text, _ in self._groups(said, state))

    def _final(self, state: DecoderState) -> tuple[list[SaidWord], float, dict[int, float], float]:
        """The best hypothesis's words and score, the probability of each final record, the score of all together."""
        search, beam = state.search, state.beam
        totals = self._totals(state)
        rows = np.flatnonzero(beam.states[POSITION] < len(self.tokens))
        final = totals[rows] + search.lm_weight * search.model.end_score(beam.states[MODEL, rows])
        if search.matcher is not None:
            final -= search.matcher.owed[beam.states[MATCH, rows]]
        if not len(rows) or final.max() == -np.inf:  # no hypothesis is at the end of a word: leave the last one out
            rows, final = np.arange(len(beam)), totals
        top = int(final.argmax())
        mass = np.exp(final - final[top])
        weights: dict[int, float] = {}
        for record, weight in zip(beam.states[RECORD, rows].tolist(), (mass / mass.sum()).tolist(), strict=True):
            weights[record] = weights.get(record, 0.0) + weight
        said = state.history.path(int(beam.states[RECORD, rows[top]]))
        score = float(state.offset + final[top])
        return said, score, weights, score + float(np.log(mass.sum()))

    def _words(self, said: list[SaidWord], state: DecoderState) -> tuple[DecodedWord, ...]:
        words = []
        for text, pieces in self._groups(said, state):
            confidence = self.calibration.confidence(self._evidence(text, pieces, state))
            words.append(DecodedWord(text, pieces[0].start, pieces[-1].end + 1, confidence))
        return timed(words, state.frames, self.options.start_shift, self.options.end_shift)

    def _groups(self, said: list[SaidWord], state: DecoderState) -> list[tuple[str, list[SaidWord]]]:
        """Words of the output and what they are made of: a word of the lexicon, spelling tokens, or unknown sounds."""
        spelled = (
            self.lexicon is None and not state.settings.grammar and any(WORD_START in token for token in self.tokens)
        )
        groups: list[tuple[str, list[SaidWord]]] = []
        for one in said:
            text = state.search.lexicon.word(one.word)
            if spelled and groups and not text.startswith(WORD_START):
                groups[-1] = (groups[-1][0] + text, [*groups[-1][1], one])
            elif text == UNKNOWN and groups and groups[-1][0] == UNKNOWN:
                groups[-1][1].append(one)
            else:
                groups.append((text, [one]))
        if not spelled:
            return groups
        words = [(text.replace(WORD_START, ""), pieces) for text, pieces in groups]
        return [(text, pieces) for text, pieces in words if text]

    def _evidence(self, text: str, pieces: list[SaidWord], state: DecoderState) -> Evidence:
        heard = state.clarity[pieces[0].start : pieces[-1].end + 1] or [0.0]
        return Evidence(
            posterior=min(piece.posterior for piece in pieces),
            clarity=sum(heard) / len(heard),
            haze=min(heard),
            letters=max(1, len(text)),
        )

    # Storing

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> DecoderState:
        """The state that `DecoderState.to_arrays` gave; of the same model and options. Raises `StreamError`."""
        try:
            settings = Settings.from_json(arrays["settings"].tobytes().decode())
            state = self._begin(settings)
            state.beam = Beam(np.array(arrays["states"], np.int64), np.array(arrays["mass"], np.float64))
            state.history = History.from_arrays(arrays)
            state.frames, state.aged = int(arrays["counts"][0]), bool(arrays["counts"][1])
            state.offset = float(arrays["offset"][0])
            state.clarity = [float(value) for value in arrays["clarity"]]
            state.shown = [int(word) for word in arrays["shown"]]
        except (KeyError, ValueError, TypeError, IndexError, AsrError) as error:
            raise StreamError("This decoder state is damaged or another model's: start a new stream.") from error
        search, states = state.search, state.beam.states
        matches = 1 if search.matcher is None else len(search.matcher.owed)
        if (
            states.shape != (5, len(state.beam))
            or state.beam.mass.shape != (2, len(state.beam))
            or not len(state.beam)
            or not np.isfinite([state.beam.mass.max(), state.offset]).all()
            or not _inside(states[POSITION], 0, len(search.lexicon.tree.token))
            or not _inside(states[MATCH], 0, matches)
            or not _inside(states[RECORD], -1, state.history.size)
            or not _inside(np.array([word.word for word in state.history.committed]), 0, len(search.lexicon))
            or state.history.largest_word >= len(search.lexicon)
        ):
            raise StreamError("This decoder state is damaged or another model's: start a new stream.")
        return state


def timed(words: Sequence[DecodedWord], frames: float, start_shift: float, end_shift: float) -> tuple[DecodedWord, ...]:
    """Words of a sound of so many frames, from the first and the last token of each to where it begins and ends.

    CTC's tokens stand somewhere in their sounds, so constants are added (in frames). A word ends where the next one
    begins at the latest: in running speech the next word tells more about an end than the last token does.
    """
    if not start_shift and not end_shift:
        return tuple(words)
    starts = [max(0.0, word.start_frame + start_shift) for word in words]
    found = []
    for word, start, limit in zip(words, starts, [*starts, float(frames)][1:], strict=True):
        end = min(word.end_frame + end_shift, limit)
        found.append(replace(word, start_frame=start, end_frame=max(end, min(start + 1, limit))))
    return tuple(found)


def _spelled(speller: Speller, log_probs: Floats, texts: Sequence[str]) -> NDArray[np.float64]:
    """The spelling head's scores; none where its letters cannot write a text, or its frames none of them."""
    try:
        scores = speller.score(log_probs, texts)
    except AsrError:
        return np.zeros(len(texts))
    return scores if scores.max() > -np.inf else np.zeros(len(texts))


def _inside(values: NDArray[Any], least: int, end: int) -> bool:
    return bool(((values >= least) & (values < end)).all())
