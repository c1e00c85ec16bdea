"""The search behind forced alignment, from log-probs and words to frames.

First the text is read along with the sound by the beam search (maxima instead of sums): its words are the lexicon,
and the "language model" is the place in the text, which may jump ahead at a price; any other speech is one more word.
So a missing page or an unread aside costs what it costs, and nothing after it shifts. A search knows the next few
hundred words only, since in all words of a book there are some for any sound; after a minute another goes on from
where the first was some time ago. A word or two fit somewhere into any sound: those far from the text's other words
are moved or given up. Then the sounds of the words that were found are placed by the Viterbi algorithm, stretch by
stretch, pauses between them as the stretches' ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.beam import DecoderOptions
from asr.decoder import Decoder
from asr.errors import AsrError
from asr.g2p import GraphemeToPhone, Pronouncer
from asr.grammar import UNKNOWN
from asr.greedy import DecodedWord
from asr.lexicon import Lexicon, Pronunciation
from asr.network import BLANK
from asr.word_model import UNKNOWN_WORD, States

Floats = NDArray[np.floating[Any]]


_SEARCH = DecoderOptions(
    beam=300,
    beam_score=25.0,
    token_score=-9.0,
    blank_skip=0.98,
    lm_weight=1.0,
    word_bonus=0.0,
    unknown_word_score=0.0,
    maximum=True,
)


@dataclass(frozen=True)
class AlignOptions:
    """Prices of what does not fit, as natural logarithms, and limits."""

    search: DecoderOptions = _SEARCH
    jump: float = -12.0  # for leaving out a piece of the text
    jump_word: float = -0.02  # besides, for each word of it
    other_sound: float = -2.2  # for each sound that is not in the text
    lone_words: int = 2  # so many words or fewer, cut off from the others
    lone_frames: int = 25  # by so much sound that is not in the text or more, go back to the others
    lone_loss: float = 5.0  # if they fit there nearly as well, worse by this at most;
    lone_gain: float = 10.0  # amid such sound they are given up unless they fit better than it by this
    least_frames: int = 12  # sound without text shorter than this is not reported
    pause_frames: int = 8  # a stretch may end in a pause of this length
    window_frames: int = 1500  # so much sound is searched at once,
    window_words: int = 800  # in so much text; twice as much after a window in which nothing of it was found
    overlap_frames: int = 400  # at the end of a window, which the next one hears again
    stretch_frames: int = 750  # longest piece whose sounds are placed at once, where there are pauses


@dataclass(frozen=True, slots=True)
class AlignedSound:
    """A token of the model, such as a phone; times are frames."""

    token: str
    start: int
    end: int  # one past the last
    log_prob: float  # mean over its frames


@dataclass(frozen=True, slots=True)
class AlignedWord:
    index: int  # of the word in the text
    text: str
    sounds: tuple[AlignedSound, ...]

    @property
    def start(self) -> int:
        return self.sounds[0].start

    @property
    def end(self) -> int:
        return self.sounds[-1].end

    @property
    def confidence(self) -> float:
        """Geometric mean of the sounds' probabilities."""
        return float(np.exp(sum(sound.log_prob for sound in self.sounds) / len(self.sounds)))


@dataclass(frozen=True)
class Alignment:
    """What belongs together, and what does not."""

    words: tuple[AlignedWord, ...]
    unheard: tuple[
        tuple[int, int], ...
    ]  # stretches of the text, as word indices [begin, end), that are not in the sound
    unread: tuple[tuple[int, int], ...]  # stretches of the sound, as frames [begin, end), that are not in the text


class _Place:
    """The place in the text as the state of a word model: how many of its words are over."""

    start = 0

    def __init__(self, words: Sequence[str], options: AlignOptions, whole: bool = True) -> None:
        """`words` may be `whole`, or more text may follow that does not count here."""
        self._numbers = {word: number for number, word in enumerate(dict.fromkeys([UNKNOWN, *words]))}
        text = self.word_ids(words)
        self._radix = len(text) + 1
        self._sorted = np.sort(text * self._radix + np.arange(len(text)))  # word by word, its places in order
        self._options = options
        self._whole = whole

    def word_ids(self, words: Iterable[str]) -> NDArray[np.int64]:
        return np.array([self._numbers[word] for word in words], np.int64)

    def next_place(self, place: int, word: str) -> int:
        """Where a word comes next in the text at or after a place."""
        return int(self._next(np.array([place], np.int64), self.word_ids([word]))[0])

    def _next(self, states: States, words: NDArray[Any]) -> States:
        """The next place of each word at or after each state; -1 for none."""
        if not len(self._sorted):
            return np.full(len(words), -1)
        row = np.searchsorted(self._sorted, words * self._radix + states)
        found = self._sorted[np.minimum(row, len(self._sorted) - 1)]
        there = (row < len(self._sorted)) & (found // self._radix == words)
        return np.where(there, found % self._radix, -1)

    def score(self, states: States, words: NDArray[Any]) -> tuple[NDArray[Any], States]:
        place = self._next(states, words)
        scores = np.where(place < 0, -np.inf, self._price(place - states))
        other = words == UNKNOWN_WORD
        scores[other] = self._options.other_sound
        return scores, np.where(other, states, place + 1)

    def end_score(self, states: States) -> NDArray[Any]:
        return self._price(self._radix - 1 - states) if self._whole else np.zeros(len(states))

    def _price(self, left_out: NDArray[Any]) -> NDArray[Any]:
        """Of leaving out words of the text."""
        return np.where(left_out > 0, self._options.jump + self._options.jump_word * left_out, 0.0)


class Aligner:
    """Aligns texts with log-probs of one head; immutable."""

    def __init__(
        self,
        tokens: Sequence[str],
        lexicon: Lexicon | None = None,
        g2p: GraphemeToPhone | None = None,
        options: AlignOptions | None = None,
    ) -> None:
        """Pronunciations come from `lexicon` and `g2p`; without both, the head's tokens spell the words."""
        self.tokens = tuple(tokens)
        self._pronouncer = Pronouncer(lexicon or Lexicon.build([], tokens), g2p)
        self.options = options or AlignOptions()

    def align(self, log_probs: Iterable[Floats], words: Sequence[str]) -> Alignment:
        """Find normalized `words` in log-probs [frames, tokens] that come in pieces.

        Holds the log-probs (15 MB an hour) and the running search. Raises `AsrError` for a text without words and for
        a word that nothing tells how to pronounce.
        """
        if not words:
            raise AsrError("The text to align has no words.")
        spoken = {word: self._pronouncer.pronounce(word) for word in dict.fromkeys(words)}
        pieces = [np.zeros((0, len(self.tokens)), np.float32)]
        search = _Search(self.tokens, words, spoken, self.options)
        for piece in log_probs:
            pieces.append(np.asarray(piece, np.float32))
            search.step(pieces[-1])
        heard, places = search.finish()
        frames = np.concatenate(pieces)
        found, other = _Gathering(frames, words, spoken, self.options).gather(places, _other_sound(heard, len(frames)))
        others = _stretches_of(other)
        stretches = _stretches(found, others, len(frames), self.options)
        aligned = [one for stretch in stretches for one in self._place_sounds(frames, stretch, words, spoken)]
        least = self.options.least_frames
        return Alignment(
            tuple(aligned),
            _gaps([word.index for word in found], len(words)),
            tuple((begin, end) for begin, end in others if end - begin >= least),
        )

    def _place_sounds(
        self,
        frames: NDArray[np.float32],
        stretch: _Stretch,
        words: Sequence[str],
        spoken: Mapping[str, Sequence[Pronunciation]],
    ) -> list[AlignedWord]:
        """The sounds of a stretch's words, of each word the pronunciation that fits its frames best."""
        chosen = []
        for word in stretch.words:
            ways = spoken[words[word.index]]
            fits = [_fit(frames[word.start : word.end], way) for way in ways] if len(ways) > 1 else [0.0]
            chosen.append(ways[int(np.argmax(fits))])
        log_probs = frames[stretch.begin : stretch.end]
        spans = ctc_align(log_probs, [token for way in chosen for token in way])
        aligned, place = [], 0
        for word, way in zip(stretch.words, chosen, strict=True):
            sounds = tuple(
                AlignedSound(
                    self.tokens[token],
                    stretch.begin + begin,
                    stretch.begin + end,
                    float(log_probs[begin:end, token].mean()),
                )
                for token, (begin, end) in zip(way, spans[place : place + len(way)], strict=True)
            )
            aligned.append(AlignedWord(word.index, words[word.index], sounds))
            place += len(way)
        return aligned


class _Search:
    """What of a text is heard and where, window by window."""

    def __init__(
        self,
        tokens: Sequence[str],
        words: Sequence[str],
        spoken: Mapping[str, Sequence[Pronunciation]],
        options: AlignOptions,
    ) -> None:
        self._tokens, self._words, self._spoken, self._options = tokens, words, spoken, options
        self._heard: list[DecodedWord] = []  # what earlier windows have decided
        self._found: list[_Found] = []
        self._reach = options.window_words
        self._open(0, 0, [])

    def _open(self, frame: int, index: int, pieces: list[Floats]) -> None:
        """A window from a frame and a word of the text on; `pieces` are the frames that are known already."""
        self._frame, self._index, self._pieces = frame, index, pieces
        self._part = self._words[index : index + self._reach]
        entries = [(word, sounds) for word in dict.fromkeys(self._part) for sounds in self._spoken[word]]
        entries += [(UNKNOWN, (token,)) for token in range(1, len(self._tokens))]
        self._place = _Place(self._part, self._options, index + len(self._part) == len(self._words))
        lexicon = Lexicon.build(entries, self._tokens)
        self._decoder = Decoder(self._tokens, lexicon, self._place, self._options.search)
        self._state = self._decoder.start()
        for piece in pieces:
            self._decoder.step(self._state, piece)

    def step(self, piece: Floats) -> None:
        self._pieces.append(piece)
        self._decoder.step(self._state, piece)
        if self._state.frames > self._options.window_frames + self._options.overlap_frames:
            self._close(self._state.frames - self._options.overlap_frames)

    def finish(self) -> tuple[list[DecodedWord], list[_Found]]:
        """What was heard, and the words of the text among it."""
        self._decide(self._decoder.best(self._state)[0].words)
        return self._heard, self._found

    def _close(self, limit: int) -> None:
        """Decide what was heard before frame `limit` of the window, as far as it is sure, and go on after it."""
        heard = [word for word in self._decoder.best(self._state)[0].words if word.end_frame <= limit]
        sure = _last_sure(_places(heard, self._place, self._part))
        if sure is None:
            heard, cut, self._reach = [DecodedWord(UNKNOWN, 0, limit, 0.0)], limit, 2 * self._reach
        else:
            heard, cut, self._reach = [one for one in heard if one.end_frame <= sure], sure, self._options.window_words
        self._decide(heard)
        index = self._found[-1].index + 1 if self._found else 0
        self._open(self._frame + cut, index, [np.concatenate(self._pieces)[cut:]])

    def _decide(self, heard: Sequence[DecodedWord]) -> None:
        self._found += [
            _Found(one.index + self._index, one.start + self._frame, one.end + self._frame)
            for one in _places(heard, self._place, self._part)
        ]
        self._heard += [
            replace(word, start_frame=word.start_frame + self._frame, end_frame=word.end_frame + self._frame)
            for word in heard
        ]


@dataclass(frozen=True, slots=True)
class _Found:
    index: int  # of the word in the text
    start: int  # frames, by the beam search
    end: int


@dataclass(frozen=True)
class _Stretch:
    begin: int
    end: int
    words: tuple[_Found, ...]


def _last_sure(found: Sequence[_Found]) -> int | None:
    """Where the last three words end that follow each other in the text, but for one at most."""
    for first, last in zip(found[-3::-1], found[::-1], strict=False):
        if last.index - first.index <= 3:
            return last.end
    return None


def _places(heard: Sequence[DecodedWord], place: _Place, words: Sequence[str]) -> list[_Found]:
    """Where in the text the words that were heard stand.

    The search takes the next place of a word that fits. Where it then jumps, a lone word before the jump belongs right
    before what follows, if the text has it there too.
    """
    found, state = [], 0
    for word in heard:
        if word.text != UNKNOWN:
            index = place.next_place(state, word.text)
            found.append(_Found(index, int(word.start_frame), int(word.end_frame)))
            state = index + 1
    for number in range(len(found) - 2, -1, -1):
        index, before = found[number].index, found[number - 1].index if number else -1
        closer = found[number + 1].index - 1
        if index < closer and words[closer] == words[index] and before + 1 < index:
            found[number] = replace(found[number], index=closer)
    return found


@dataclass(frozen=True)
class _Gathering:
    """Gives lone words that the search has put into sound that is not in the text back to the others."""

    frames: Floats
    words: Sequence[str]
    spoken: Mapping[str, Sequence[Pronunciation]]
    options: AlignOptions

    def gather(self, found: Sequence[_Found], other: NDArray[np.bool_]) -> tuple[list[_Found], NDArray[np.bool_]]:
        """The words, and the frames that are not in the text, when lone words are where they belong or given up."""
        runs = _runs(found, self.options.lone_frames)
        other = other.copy()
        gathered: list[list[_Found]] = []  # from the last run to the first
        while runs:
            run = runs.pop()
            before = runs[-1][-1] if runs else None
            after = gathered[-1][0] if gathered else None
            if len(run) <= self.options.lone_words and (before or after):
                run = self._gather_run(run, before, after, other)
            if run:
                gathered.append(run)
        return list(chain.from_iterable(reversed(gathered))), other

    def _gather_run(
        self, run: list[_Found], before: _Found | None, after: _Found | None, other: NDArray[np.bool_]
    ) -> list[_Found]:
        """A run of words, where it is, moved, or empty; `other` changes with it."""
        first, last, least = run[0].start, run[-1].end, self.options.lone_frames
        left, right = before.end if before else 0, after.start if after else len(other)
        foreign = other[left:first].sum() >= least, other[last:right].sum() >= least
        width = least + last - first
        spans = [(left, end) for end in range(left + 1, min(first, left + width) + 1) if before and foreign[0]]
        spans += [(begin, right) for begin in range(max(last, right - width), right) if after and foreign[1]]
        gains = {span: self._gain(run, *span) for span in spans}
        begin, end = max(gains, key=lambda span: gains[span], default=(first, last))
        here = self._gain(run, first, last)
        if gains and gains[begin, end] > here - self.options.lone_loss:
            self._hand_over(other, first, last, left, right)
            other[max(begin - 1, 0) : end + 1] = False  # a frame more, since like sounds need a blank between them
            return self._moved(run, begin, end)
        if all(foreign) and here < self.options.lone_gain:
            self._hand_over(other, first, last, left, right)
            return []
        return run

    def _hand_over(self, other: NDArray[np.bool_], first: int, last: int, left: int, right: int) -> None:
        """Frames [first, last) become part of the other sound near them, if it is within [left, right)."""
        left, right = max(left, first - self.options.pause_frames), min(right, last + self.options.pause_frames)
        other[first:last] = True
        near = left + np.flatnonzero(other[left:right])
        other[near[0] : near[-1]] = True

    def _ways(self, run: Sequence[_Found]) -> list[tuple[Pronunciation, ...]]:
        return list(product(*(self.spoken[self.words[word.index]] for word in run)))

    def _gain(self, run: Sequence[_Found], begin: int, end: int) -> float:
        """How much better words fit frames [begin, end) than sound that is not in the text."""
        frames = self.frames[begin:end]
        likeliest = frames.argmax(axis=1)
        sounds = np.count_nonzero((likeliest != BLANK) & (np.diff(likeliest, prepend=BLANK) != 0))
        other = float(frames.max(axis=1).sum()) + self.options.other_sound * sounds
        return max(_fit(frames, tuple(chain(*ways))) for ways in self._ways(run)) - other

    def _moved(self, run: Sequence[_Found], begin: int, end: int) -> list[_Found]:
        """Words that fill frames [begin, end), each up to the next."""
        frames = self.frames[begin:end]
        ways = max(self._ways(run), key=lambda ways: _fit(frames, tuple(chain(*ways))))
        spans = ctc_align(frames, tuple(chain(*ways)))
        starts = [begin, *(begin + spans[sum(map(len, ways[:number]))][0] for number in range(1, len(run))), end]
        return [replace(word, start=start, end=stop) for word, (start, stop) in zip(run, pairwise(starts), strict=True)]


def _other_sound(heard: Sequence[DecodedWord], frames: int) -> NDArray[np.bool_]:
    """Of each frame, whether it is sound that is not in the text."""
    other = np.zeros(frames, bool)
    for word in heard:
        if word.text == UNKNOWN:
            other[int(word.start_frame) : int(word.end_frame)] = True
    return other


def _stretches_of(other: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The stretches [begin, end) of true frames."""
    edges = np.flatnonzero(np.diff(other, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _runs(found: Sequence[_Found], least: int) -> list[list[_Found]]:
    """Words that follow each other with fewer than `least` frames between them."""
    cuts = [number for number, (one, after) in enumerate(pairwise(found), 1) if after.start - one.end >= least]
    return [list(found[begin:end]) for begin, end in pairwise([0, *cuts, len(found)]) if begin < end]


def _stretches(
    found: Sequence[_Found], others: Sequence[tuple[int, int]], frames: int, options: AlignOptions
) -> list[_Stretch]:
    """Words in stretches that end in pauses or in sound that is not in the text."""
    stretches: list[_Stretch] = []
    begin, group = 0, list[_Found]()
    for number, word in enumerate(found):
        group.append(word)
        following = found[number + 1] if number + 1 < len(found) else None
        limit = frames if following is None else following.start
        between = [other for other in others if word.end <= other[0] and other[1] <= limit]
        pause = limit - word.end
        long = limit - begin > options.stretch_frames
        if following is None or between or pause >= options.pause_frames or long:
            middle = frames if following is None else word.end + pause // 2
            end, again = (between[0][0], between[-1][1]) if between else (middle, middle)
            stretches.append(_Stretch(begin, end, tuple(group)))
            begin, group = again, []
    return _after_others(stretches, others)


def _after_others(stretches: list[_Stretch], others: Sequence[tuple[int, int]]) -> list[_Stretch]:
    """The first stretch begins after sound that comes before the text."""
    if not stretches:
        return []
    first = stretches[0].words[0].start
    begin = max((end for _, end in others if end <= first), default=0)
    return [replace(stretches[0], begin=begin), *stretches[1:]]


def _gaps(indices: Sequence[int], length: int) -> tuple[tuple[int, int], ...]:
    """The runs of numbers below `length` that ascending `indices` leave out."""
    edges = [-1, *indices, length]
    return tuple((before + 1, after) for before, after in pairwise(edges) if after - before > 1)


def _fit(log_probs: Floats, way: Pronunciation) -> float:
    """How well a pronunciation fits frames, minus infinity where it does not fit into them."""
    try:
        spans = ctc_align(log_probs, way)
    except ValueError:
        return -np.inf
    score = 0.0
    at = 0
    for token, (begin, end) in zip(way, spans, strict=True):
        score += float(log_probs[at:begin, BLANK].sum() + log_probs[begin:end, token].sum())
        at = end
    return score + float(log_probs[at:, BLANK].sum())


def ctc_align(log_probs: Floats, tokens: Sequence[int]) -> list[tuple[int, int]]:
    """The frames [begin, end) of each token on the likeliest CTC path (Viterbi) through [frames, tokens] log-probs.

    Raises `ValueError` where the tokens need more frames than there are.
    """
    count, size = len(log_probs), 2 * len(tokens) + 1
    labels = np.full(size, BLANK)
    labels[1::2] = tokens
    skips = np.zeros(size, bool)  # from the token before, over the blank between
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    if count < len(tokens) + int(np.count_nonzero(~skips[3::2])):
        raise ValueError("fewer frames than tokens")
    if not tokens:
        return []
    scores = np.full(size, -np.inf)
    scores[:2] = log_probs[0, labels[:2]]
    back = np.zeros((count, size), np.int8)
    choices = np.full((3, size), -np.inf)
    for frame in range(1, count):
        choices[0] = scores
        choices[1, 1:] = scores[:-1]
        choices[2, 2:] = np.where(skips[2:], scores[:-2], -np.inf)
        back[frame] = choices.argmax(axis=0)
        scores = choices.max(axis=0) + log_probs[frame, labels]
    state = size - 1 if scores[-1] >= scores[-2] else size - 2
    path = np.empty(count, np.int64)
    for frame in range(count - 1, -1, -1):
        path[frame] = state
        state -= int(back[frame, state])
    starts = np.searchsorted(path, np.arange(1, size, 2), "left")
    ends = np.searchsorted(path, np.arange(1, size, 2), "right")
    return list(zip(starts.tolist(), ends.tolist(), strict=True))
