"""One frame of the search: all hypotheses at once, as parallel arrays.

Prefix search over CTC outputs (Graves and Jaitly, 2014; Hannun et al., 2014) in a pronunciation tree with word-model
scores at word ends: a hypothesis is a position in the tree, a state of the word model and one of the hotwords, and
holds the mass of all alignments that end in a blank and of those that end in its last token. Hypotheses that agree in
these three are one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.history import NOTHING, History
from asr.hotwords import Matcher
from asr.lexicon import Lexicon
from asr.word_model import UNKNOWN_WORD, Vocabulary, WordModel

_HASH = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_MEETING_SHARE = float(np.log(0.01))  # lighter paths into a meeting are forgotten


@dataclass(frozen=True)
class DecoderOptions:
    """Weights and limits of the search; part of a model's configuration. Scores are natural logarithms."""

    beam: int = 150  # hypotheses kept after a frame
    beam_score: float = 12.0  # worse ones than the best by more than this are dropped
    token_score: float = -7.0  # tokens less likely than this in a frame are not tried
    blank_skip: float = 0.98  # frames whose blank is likelier than this only age the hypotheses; 1: none
    lm_weight: float = 0.9
    word_bonus: float = 0.5  # for each word
    unknown_word_score: float = -4.0  # for words that the language model does not know, besides its score for such
    blank_penalty: float = 0.0  # taken from the blank's log-prob in each frame
    partial_agreement: float = 0.6  # share of the hypotheses' mass that a word needs to be shown before it is final
    start_shift: float = 0.0  # frames from the first token of a word to where the word begins
    end_shift: float = 0.0  # frames from the end of its last token to where the word ends
    maximum: bool = False  # the best alignment instead of the sum over alignments


@dataclass(frozen=True)
class Search:
    """What stays the same while a stream is decoded: shared and read-only, except that `word_ids` fills up."""

    lexicon: Lexicon
    model: WordModel
    word_ids: NDArray[np.int64]  # [lexicon words] the word model's numbers
    extra: NDArray[np.float64]  # [lexicon words] added to the score of each word
    look_ahead: NDArray[np.float64]  # [positions] weighted
    matcher: Matcher | None
    lm_weight: float
    options: DecoderOptions
    vocabulary: Vocabulary | None = None  # where `word_ids` come from

    def model_words(self, words: NDArray[np.int32]) -> NDArray[np.int64]:
        """The word model's numbers of lexicon words, looked up once each."""
        numbers = self.word_ids[words]
        if self.vocabulary is not None and numbers.min(initial=0) < 0:
            new = np.unique(words[numbers < 0])
            found = self.vocabulary.word_ids(self.lexicon.word(word) for word in new.tolist())
            self.extra[new[found == UNKNOWN_WORD]] = self.options.word_bonus + self.options.unknown_word_score
            self.word_ids[new] = found
            numbers = self.word_ids[words]
        return numbers


@dataclass
class Beam:
    """The hypotheses after a frame, as arrays of one length; scores hold all bonuses, look-ahead included."""

    position: NDArray[np.int32]
    model: NDArray[np.int64]  # state of the word model
    match: NDArray[np.int32]  # state of the hotword matcher
    start: NDArray[np.int32]  # frame of the first token of the running word
    record: NDArray[np.int32]  # what was said before, in the history
    blank: NDArray[np.float64]  # mass of the alignments that end in a blank, over the frame-wise offset
    token: NDArray[np.float64]  # mass of those that end in the last token

    @classmethod
    def begin(cls, model_state: int) -> Beam:
        zero = np.zeros(1, np.int32)
        return cls(
            zero, np.array([model_state], np.int64), zero, zero, zero + NOTHING, np.zeros(1), np.full(1, -np.inf)
        )

    def take(self, rows: NDArray[Any]) -> Beam:
        return Beam(*(getattr(self, field.name)[rows] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.position)


def age(beam: Beam, options: DecoderOptions) -> None:
    """A frame that is surely blank: every alignment now ends in a blank (its log-prob goes to the offset)."""
    combine = np.maximum if options.maximum else np.logaddexp
    beam.blank = combine(beam.blank, beam.token)
    beam.token = np.full(len(beam), -np.inf)


def advance(beam: Beam, history: History, frame: int, log_probs: NDArray[np.float64], search: Search) -> Beam:
    """The hypotheses after one more frame of log-probs [tokens]; new words go into the history."""
    options, tree = search.options, search.lexicon.tree
    combine = np.maximum if options.maximum else np.logaddexp
    held = len(beam)
    total = combine(beam.blank, beam.token)
    last = tree.token[beam.position]

    # Stay: a blank, or the last token once more.
    stay_blank = total + log_probs[0]
    stay_token = beam.token + log_probs[last]
    stay = combine(stay_blank, stay_token)

    # Enter a child node: of a running word, or the first of a new one.
    row, child = _children(beam.position, log_probs, search)
    tokens = tree.token[child]
    entry = np.where(tokens == last[row], beam.blank[row], total[row]) + log_probs[tokens]
    entry += search.look_ahead[child] - search.look_ahead[beam.position][row]
    if search.matcher is not None:
        now = search.matcher.ahead(beam.match, beam.position)
        entry += search.matcher.ahead(beam.match[row], child) - now[row]
    floor = max(stay.max(), entry.max(initial=-np.inf)) - options.beam_score
    keep = np.flatnonzero(entry > floor)
    row, child, entry = row[keep], child[keep], entry[keep]
    start = beam.start[row]
    start[beam.position[row] < len(tree.root_child)] = frame

    # End words: the same mass goes on from the root, once for each homophone.
    ended, word, word_score, model, match = _word_ends(beam, row, child, entry, floor, search)
    inner = np.flatnonzero(tree.child_count[child])
    row_ended = row[ended]
    row, last_child = row[inner], tree.token[child[ended]]
    child = child[inner]
    candidates = Beam(
        np.concatenate([beam.position, child, last_child]),
        np.concatenate([beam.model, beam.model[row], model]),
        np.concatenate([beam.match, beam.match[row], match]),
        np.concatenate([beam.start, start[inner], start[ended]]),
        np.concatenate([beam.record, beam.record[row], beam.record[row_ended]]),
        np.concatenate([stay_blank, np.full(len(inner) + len(ended), -np.inf)]),
        np.concatenate([stay_token, entry[inner], word_score]),
    )
    score = np.concatenate([stay, candidates.token[held:]])
    return _merge(candidates, score, word, history, frame, options)


def _children(
    position: NDArray[np.int32], log_probs: NDArray[np.float64], search: Search
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """All (hypothesis, child position) pairs whose token is worth trying."""
    tree, least = search.lexicon.tree, search.options.token_score
    count = tree.child_count[position]
    ends = np.cumsum(count)
    row = np.repeat(np.arange(len(position)), count)
    child = tree.children[np.arange(len(row)) + np.repeat(tree.child_begin[position] - ends + count, count)]
    likely = np.flatnonzero(log_probs[tree.token[child]] > least)
    opening = tree.root_child[1:][log_probs[1:] > least]
    opening = opening[opening >= 0]
    at_root = np.flatnonzero(position < len(tree.root_child))
    return (
        np.concatenate([row[likely], np.repeat(at_root, len(opening))]),
        np.concatenate([child[likely], np.tile(opening, len(at_root))]),
    )


def _word_ends(
    beam: Beam,
    row: NDArray[np.intp],
    child: NDArray[np.int32],
    entry: NDArray[np.float64],
    floor: float,
    search: Search,
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float64], NDArray[np.int64], NDArray[np.int32]]:
    """Index of the entry that each word ends, the word, its score, and the states after it."""
    tree = search.lexicon.tree
    count = tree.word_count[child]
    ended = np.repeat(np.arange(len(child)), count)
    ends = np.cumsum(count)
    word = tree.word_ids[np.arange(len(ended)) + np.repeat(tree.word_begin[child] - ends + count, count)]
    source = row[ended]
    probability, model = search.model.score(beam.model[source], search.model_words(word))
    score = entry[ended] - search.look_ahead[child[ended]] + search.lm_weight * probability + search.extra[word]
    match = beam.match[source]
    if search.matcher is not None:
        advance = search.matcher.ahead(match, child[ended])
        match, gain = search.matcher.step(match, word)
        score += gain - advance
    keep = np.flatnonzero(score > floor)
    return ended[keep], word[keep], score[keep], model[keep], match[keep]


def _merge(
    candidates: Beam, score: NDArray[np.float64], word: NDArray[np.int32], history: History, frame: int,
    options: DecoderOptions,
) -> Beam:  # fmt: skip
    """Sum what agrees, keep the best; `word` belongs to the last candidates, the others have ended none."""
    combine = np.maximum if options.maximum else np.logaddexp
    key = candidates.position.astype(np.uint64) * _HASH[0]
    key += candidates.model.astype(np.uint64) * _HASH[1]
    key += candidates.match.astype(np.uint64) * _HASH[2]
    order = np.lexsort((-score, key))  # the best of each group comes first
    ordered = key[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    token = combine.reduceat(candidates.token[order], first)
    blank = np.maximum.reduceat(candidates.blank[order], first)  # one at most is not minus infinity
    total = combine(blank, token)
    kept = np.flatnonzero(total > total.max() - options.beam_score)
    if len(kept) > options.beam:
        kept = kept[np.argpartition(-total[kept], options.beam - 1)[: options.beam]]
        kept.sort()
    size = np.diff(first, append=len(order))[kept]
    best = order[first[kept]]
    beam = candidates.take(best)
    beam.blank, beam.token = blank[kept], token[kept]

    # What was said: new records for the words of the best and of all other weighty members of each group.
    group = np.repeat(np.arange(len(kept)), size)
    place = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
    member = order[first[kept][group] + place]
    weighty = np.flatnonzero((place == 0) | (score[member] > total[kept][group] + _MEETING_SHARE))
    group, place, member = group[weighty], place[weighty], member[weighty]
    record = candidates.record[member]
    plain = len(score) - len(word)
    ends = np.flatnonzero(member >= plain)
    if len(ends):
        ending = member[ends]
        record[ends] = history.words(record[ends], word[ending - plain], candidates.start[ending], frame)
    leader = record[np.flatnonzero(place == 0)]
    other = np.flatnonzero(~history.same(record, leader[group]))
    if len(other):
        met, owner = np.unique(group[other], return_inverse=True)
        share = np.exp(score[member] - total[kept][group])
        leading = np.flatnonzero(place == 0)[met]
        owners = np.concatenate([np.arange(len(met)), owner])
        records = np.concatenate([record[leading], record[other]])
        shares = np.concatenate([share[leading], share[other]])
        shares /= np.bincount(owners, shares)[owners]
        by_owner = np.argsort(owners, kind="stable")
        leader[met] = history.meetings(
            leader[met], owners[by_owner], records[by_owner], shares[by_owner].astype(np.float32)
        )
    beam.record = leader
    return beam
