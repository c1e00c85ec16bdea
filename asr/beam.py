"""One frame of the search: all hypotheses at once, as parallel arrays.

Prefix search over CTC outputs (Graves and Jaitly, 2014; Hannun et al., 2014) in a pronunciation tree with word-model
scores at word ends: a hypothesis is a position in the tree, a state of the word model and one of the hotwords, and
holds the mass of all alignments that end in a blank and of those that end in its last token. Hypotheses that agree in
these three are one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.history import NOTHING, History
from asr.hotwords import Matcher
from asr.lexicon import Lexicon
from asr.word_model import UNKNOWN_WORD, Vocabulary, WordModel

_HASH = np.array([[0x9E3779B97F4A7C15], [0xC2B2AE3D27D4EB4F], [0x165667B19E3779F9]], np.uint64)
_ROOM = 1.5  # times the beam: candidates for which the words that they end are looked up
_MEETING_SHARE = float(np.log(0.01))  # lighter paths into a meeting are forgotten


@dataclass(frozen=True)
class DecoderOptions:
    """Weights and limits of the search; part of a model's configuration. Scores are natural logarithms."""

    beam: int = 150  # hypotheses kept after a frame
    beam_score: float = 12.0  # worse ones than the best by more than this are dropped
    token_score: float = -4.5  # tokens less likely than this in a frame are not tried
    blank_skip: float = 0.95  # frames whose blank is likelier than this only age the hypotheses; 1: none
    lm_weight: float = 0.9
    word_bonus: float = 0.5  # for each word
    unknown_word_score: float = -10.0  # for words that the language model does not know, besides its score for such
    blank_penalty: float = 0.0  # taken from the blank's log-prob in each frame
    prior_weight: float = 0.0  # how much of `log_priors` is taken from the log-probs of each frame
    log_priors: tuple[float, ...] = ()  # of the tokens in speech, 0 for the blank and on average for the others
    partial_agreement: float = 0.9  # share of the hypotheses' mass that a new word needs to be shown before it is final
    partial_stay: float = 0.4  # the same for a word that is shown already: what comes and goes is hard to read
    partial_wait: int = 12  # frames after a word's end in which what it needs falls from the one to the other
    start_shift: float = 0.0  # frames from the first token of a word to where the word begins
    end_shift: float = 0.0  # frames from the end of its last token to where the word ends
    spelling_weight: float = 0.5  # of the spelling head's log-prob of a whole reading, where it has a say; 0: none
    word_lstm_share: float = 0.5  # of the word LSTM, where there is one, when whole readings are judged; 0: none
    rescored: int = 20  # readings among which the spelling head and the word LSTM choose
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


POSITION, MODEL, MATCH, START, RECORD = range(5)  # rows of `Beam.states`
BLANK, TOKEN = range(2)  # rows of `Beam.mass`


@dataclass
class Beam:
    """The hypotheses after a frame; each is a column of both arrays. Scores hold all bonuses, look-ahead included.

    States: position in the tree, state of the word model and of the hotword matcher, frame of the first token of the
    running word, record of the history (what was said before). Mass: of the alignments that end in a blank, and of
    those that end in the last token; natural logarithms over an offset that grows with the frames.
    """

    states: NDArray[np.int64]  # [5, hypotheses]
    mass: NDArray[np.float64]  # [2, hypotheses]

    @classmethod
    def begin(cls, model_state: int) -> Beam:
        return cls(np.array([[0], [model_state], [0], [0], [NOTHING]], np.int64), np.array([[0.0], [-np.inf]]))

    def __len__(self) -> int:
        return int(self.states.shape[1])


def age(beam: Beam, options: DecoderOptions) -> None:
    """A frame that is surely blank: every alignment now ends in a blank (its log-prob goes to the offset)."""
    combine = np.maximum if options.maximum else np.logaddexp
    beam.mass = np.stack([combine(beam.mass[BLANK], beam.mass[TOKEN]), np.full(len(beam), -np.inf)])


def advance(beam: Beam, history: History, frame: int, log_probs: NDArray[np.float64], search: Search) -> Beam:
    """The hypotheses after one more frame of log-probs [tokens]; new words go into the history."""
    options, tree = search.options, search.lexicon.tree
    combine = np.maximum if options.maximum else np.logaddexp
    held = len(beam)
    position = beam.states[POSITION]
    last = tree.token[position]
    total = combine(beam.mass[BLANK], beam.mass[TOKEN])

    # Stay: a blank, or the last token once more.
    stay_blank = total + log_probs[0]
    stay_token = beam.mass[TOKEN] + log_probs[last]
    stay = combine(stay_blank, stay_token)

    # Enter a child node: of a running word, or the first of a new one.
    row, child, opened = _children(position, log_probs, search)
    tokens = tree.token[child]
    entry = np.where(tokens == last[row], beam.mass[BLANK][row], total[row])
    entry += log_probs[tokens]
    entry += search.look_ahead[child]
    entry -= search.look_ahead[position][row]
    if search.matcher is not None:
        match = beam.states[MATCH]
        now = search.matcher.ahead(match, position)
        entry += search.matcher.ahead(match[row], child) - now[row]
    floor = max(stay.max(), entry.max(initial=-np.inf)) - options.beam_score
    spare = held + len(entry) - int(_ROOM * options.beam)
    if spare > 0:  # what is not among these will not be kept, however good its words are
        floor = max(floor, np.partition(np.concatenate([stay, entry]), spare - 1)[spare - 1])
    keep = (entry > floor).nonzero()[0]
    row, child, entry = row[keep], child[keep], entry[keep]
    start = beam.states[START][row]
    start[keep >= opened] = frame

    # End words: the same mass goes on from the root, once for each homophone.
    ended, word, word_score, model, match = _word_ends(beam, row, child, entry, floor, search)
    inner = tree.child_count[child].nonzero()[0]
    count = held + len(inner)
    states = np.empty((5, count + len(ended)), np.int64)
    states[:, :held] = beam.states
    states[:, held:count] = beam.states.take(row[inner], axis=1)
    states[POSITION, held:count] = child[inner]
    states[START, held:count] = start[inner]
    states[POSITION, count:] = tree.token[child[ended]]
    states[MODEL, count:] = model
    states[MATCH, count:] = match
    states[START, count:] = start[ended]
    states[RECORD, count:] = beam.states[RECORD][row[ended]]
    token_mass = np.concatenate([stay_token, entry[inner], word_score])
    return _merge(states, token_mass, stay_blank, stay, word, history, frame, options)


def _children(
    position: NDArray[np.int64], log_probs: NDArray[np.float64], search: Search
) -> tuple[NDArray[np.intp], NDArray[np.int32], int]:
    """All (hypothesis, child position) pairs whose token is worth trying, and where the first tokens of words begin."""
    tree, least = search.lexicon.tree, search.options.token_score
    count = tree.child_count[position]
    ends = count.cumsum()
    row = np.arange(len(position)).repeat(count)
    edge = (tree.child_begin[position] - ends + count).repeat(count)
    edge += np.arange(len(row))
    child = tree.children[edge]
    likely = (log_probs[tree.token[child]] > least).nonzero()[0]
    opening = tree.root_child[1:][log_probs[1:] > least]
    opening = opening[opening >= 0]
    at_root = (position < len(tree.root_child)).nonzero()[0]
    return (
        np.concatenate([row[likely], at_root.repeat(len(opening))]),
        np.concatenate([child[likely], opening[None].repeat(len(at_root), axis=0).ravel()]),
        len(likely),
    )


def _word_ends(
    beam: Beam,
    row: NDArray[np.intp],
    child: NDArray[np.int32],
    entry: NDArray[np.float64],
    floor: float,
    search: Search,
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Index of the entry that each word ends, the word, its score, and the states after it."""
    tree = search.lexicon.tree
    count = tree.word_count[child]
    ended = np.arange(len(child)).repeat(count)
    place = (tree.word_begin[child] - count.cumsum() + count).repeat(count)
    place += np.arange(len(ended))
    word = tree.word_ids[place]
    source = row[ended]
    probability, model = search.model.score(beam.states[MODEL][source], search.model_words(word))
    score = entry[ended] - search.look_ahead[child[ended]]
    score += search.lm_weight * probability
    score += search.extra[word]
    match = beam.states[MATCH][source]
    if search.matcher is not None:
        advance = search.matcher.ahead(match, child[ended])
        match, gain = search.matcher.step(match, word)
        score += gain - advance
    keep = (score > floor).nonzero()[0]
    return ended[keep], word[keep], score[keep], model[keep], match[keep]


def _merge(
    states: NDArray[np.int64],
    token_mass: NDArray[np.float64],
    stay_blank: NDArray[np.float64],
    stay: NDArray[np.float64],
    word: NDArray[np.int32],
    history: History,
    frame: int,
    options: DecoderOptions,
) -> Beam:
    """Sum what agrees, keep the best. Candidates are first those that stayed, last those that ended a `word`."""
    combine = np.maximum if options.maximum else np.logaddexp
    keys = states[:START].view(np.uint64) * _HASH
    key = keys[0] + keys[1] + keys[2]
    order = key.argsort()
    key = key[order]
    new = np.ones(len(key) + 1, bool)  # and one for the end
    np.not_equal(key[1:], key[:-1], out=new[1:-1])
    bounds = new.nonzero()[0]
    first = bounds[:-1]
    token = combine.reduceat(token_mass[order], first)
    group = np.empty(len(order), np.intp)
    group[order] = new[:-1].cumsum() - 1
    blank = np.full(len(first), -np.inf)
    blank[group[: len(stay)]] = stay_blank  # those that stayed differ from each other
    total = combine(blank, token)
    kept = (total > total.max() - options.beam_score).nonzero()[0]
    if len(kept) > options.beam:
        kept = kept[total[kept].argpartition(-options.beam)[-options.beam :]]
        kept.sort()

    # The members of each group; the best of them says what was said.
    size = bounds[kept + 1] - first[kept]
    group = np.arange(len(kept)).repeat(size)
    place = (first[kept] - size.cumsum() + size).repeat(size)
    place += np.arange(len(group))
    member = order[place]
    score = token_mass[member]
    stayed = (member < len(stay)).nonzero()[0]
    score[stayed] = stay[member[stayed]]
    rising = score.argsort(kind="stable")
    best = np.empty(len(kept), np.intp)
    best[group[rising]] = rising  # the last one counts: the highest score
    kept_states = states.take(member[best], axis=1)
    ending = member - (len(token_mass) - len(word))
    share = score - total[kept][group]
    kept_states[RECORD] = _records(
        history, states[RECORD][member], group, ending, share, best, word, states[START][member], frame
    )
    mass = np.empty((2, len(kept)))
    mass[BLANK], mass[TOKEN] = blank[kept], token[kept]
    return Beam(kept_states, mass)


def _records(
    history: History,
    record: NDArray[np.int64],
    group: NDArray[np.intp],
    ending: NDArray[np.intp],
    share: NDArray[np.float64],
    best: NDArray[np.intp],
    word: NDArray[np.int32],
    start: NDArray[np.int64],
    frame: int,
) -> NDArray[np.int64]:
    """What the groups have said: new records for words that end, and meetings where weighty members differ.

    Of each member: its record before the frame, its group, the index of the `word` it ends (negative: none), its share
    of the group's mass (natural log), the start of its word. `best` is the first member of each group.
    """
    weighty = share > _MEETING_SHARE
    weighty[best] = True
    ends = (weighty & (ending >= 0)).nonzero()[0]
    if len(ends):
        record[ends] = history.words(record[ends], word[ending[ends]], start[ends], frame)
    leader = record[best]
    if len(group) == len(best):
        return leader
    other = (weighty & ~history.same(record, leader[group])).nonzero()[0]
    if len(other):
        owner = group[other]  # ascending
        new = np.ones(len(owner), bool)
        np.not_equal(owner[1:], owner[:-1], out=new[1:])
        met = owner[new]
        owners = np.concatenate([np.arange(len(met)), new.cumsum() - 1])
        members = np.concatenate([best[met], other])
        shares = np.exp(share[members])
        shares /= np.bincount(owners, shares)[owners]
        by_owner = owners.argsort(kind="stable")
        owners, members, shares = owners[by_owner], members[by_owner], shares[by_owner]
        leader[met] = history.meetings(leader[met], owners, record[members], shares)
    return leader
