"""Words and phrases that a user expects: a bonus that grows with each sound that fits and is taken back on a mismatch.

A phrase matcher in the manner of Aho and Corasick (1975) runs over whole words; inside a word, the nodes of the
lexicon's tree that lead to an expected word carry a share of its bonus in advance. The matcher's state is part of what
two hypotheses must share to be merged, so a bonus never leaks from one history into another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, TextError
from asr.lexicon import Lexicon
from asr.text import normalize, read_lines

DEFAULT_BONUS = 5.0  # natural log
LARGEST_BONUS = 50.0


@dataclass(frozen=True, slots=True)
class Hotword:
    """A phrase to favour; `sounds_like` holds known words that sound like it, where its spelling does not tell."""

    phrase: str  # normalized
    bonus: float  # natural log, for the whole phrase
    sounds_like: str | None = None
    initials: frozenset[str] = frozenset()  # words that were given in capitals: perhaps spoken letter by letter


def read_hotwords(hotwords: Mapping[str, float], kind: str = "hotword") -> tuple[Hotword, ...]:
    """Phrases, or `word=sounds like`, with their bonuses; `AsrError` says which one cannot be understood.

    `kind` is what it calls them.
    """
    read = []
    for key, bonus in hotwords.items():
        written, equals, sound = key.partition("=")
        try:
            phrase, sounds_like = normalize(written), normalize(sound)
        except TextError as error:
            raise AsrError(f"The {kind} {key!r} has to be written as it is spoken, in letters.") from error
        if not phrase or (equals and (not sounds_like or " " in phrase)):
            raise AsrError(f"The {kind} {key!r} is neither a phrase nor word=sounds like.")
        if not -LARGEST_BONUS <= bonus <= LARGEST_BONUS:
            raise AsrError(
                f"The bonus of the {kind} {key!r} has to be between -{LARGEST_BONUS:g} and {LARGEST_BONUS:g}."
            )
        capitals = frozenset(word.lower() for word in re.findall(r"\b[A-Z]{2,}\b", written))
        read.append(Hotword(phrase, float(bonus), sounds_like or None, capitals))
    return tuple(read)


def parse_hotwords(text: str) -> dict[str, float]:
    """`"lstm:6,new york,hochreiter=hoke writer:8"` as phrases and bonuses (5 where none is given)."""
    hotwords = {}
    for entry in re.split(r"[,\n]", text):
        phrase, colon, bonus = entry.strip().rpartition(":")
        if not entry.strip() or entry.strip().startswith("#"):
            continue
        try:
            hotwords[phrase.strip() if colon else entry.strip()] = float(bonus) if colon else DEFAULT_BONUS
        except ValueError as error:
            raise AsrError(f"The bonus of the hotword {entry.strip()!r} is not a number.") from error
    return hotwords


def read_hotwords_file(path: Path) -> dict[str, float]:
    """One hotword a line, as in `parse_hotwords`; lines that begin with # are remarks."""
    return parse_hotwords("\n".join(read_lines(path)))


class Matcher:
    """The automaton of all phrases over word numbers, and the advance that each tree node gives.

    A hypothesis in matcher state `a` at a node holds, besides the bonuses of the phrases it has completed, `owed[a]`
    for the words of a phrase that it has begun, and `ahead(a, node)` for the word it is in.
    """

    def __init__(self, phrases: Sequence[tuple[Sequence[int], float]], lexicon: Lexicon) -> None:
        """`phrases`: numbers of lexicon words, with a bonus in natural log."""
        children: list[dict[int, int]] = [{}]
        finished, promised = [0.0], [0.0]
        for phrase, bonus in phrases:
            state = 0
            for depth, word in enumerate(phrase, start=1):
                if word not in children[state]:
                    children[state][word] = len(children)
                    children.append({})
                    finished.append(0.0)
                    promised.append(0.0)
                state = children[state][word]
                if depth < len(phrase):
                    promised[state] = max(promised[state], bonus * depth / len(phrase))
            finished[state] = bonus
        vocabulary = sorted({word for state in children for word in state})
        self._words = np.array([*vocabulary, np.iinfo(np.int64).max], np.int64)
        self._follow(children, np.array(finished), np.array(promised))
        self._size = len(lexicon.tree.token)
        self._roots = len(lexicon.tokens)
        self._keys, self._values = self._advances(lexicon)

    def _follow(
        self, children: list[dict[int, int]], earned: NDArray[np.float64], promised: NDArray[np.float64]
    ) -> None:
        """Fill the transitions breadth first: where a phrase breaks, its longest end that begins another goes on.

        A state in which nothing can go on is that other one, so that a thousand single words need one state.
        """
        column = {int(word): number for number, word in enumerate(self._words[:-1])}
        fallback, same = [0] * len(children), list(range(len(children)))
        number: dict[int, int] = {}  # of the states that are kept
        following: dict[int, NDArray[np.int64]] = {}  # [words], the last one: any other word
        queue = [0]
        for state in queue:
            if state:
                earned[state] += earned[fallback[state]]
                promised[state] = max(promised[state], promised[fallback[state]])
                if not children[state]:
                    same[state] = same[fallback[state]]
                    continue
            number[state] = len(number)
            before = following[same[fallback[state]]] if state else np.zeros(len(self._words), np.int64)
            following[state] = before.copy()
            for word, child in children[state].items():
                fallback[child] = int(before[column[word]])
                following[state][column[word]] = child
                queue.append(child)
        reached = np.stack(list(following.values()))
        kept = np.array(list(following))
        self.owed = promised[kept]
        # [states, words]: what a word adds when it ends
        self._gain = earned[reached] + promised[reached] - self.owed[:, None]
        self._next = np.array([number[one] for one in same], np.int32)[reached]

    def _advances(self, lexicon: Lexicon) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Sorted keys (state, position) and the advance there: the best gain below, by the share of sounds heard.

        A state has keys only for words with which its phrase goes on; for the others the first state has them.
        """
        tree = lexicon.tree
        best: dict[int, float] = {}
        special = (self._next != self._next[0]) | ~np.isclose(self._gain + self.owed[:, None], self._gain[0])
        special[0] = True
        for column, word in enumerate(self._words[:-1].tolist()):
            states = special[:, column].nonzero()[0].tolist()
            for pronunciation in lexicon.pronunciations(lexicon.word(word)):
                position = 0
                for depth, token in enumerate(pronunciation, start=1):
                    position = _child(tree.root_child, tree, position, token, depth == 1)
                    for state in states:
                        gain = float(self._gain[state, column])
                        if gain > -self.owed[state]:
                            key = state * self._size + position
                            share = gain * depth / len(pronunciation) if gain > 0 else gain
                            best[key] = max(best.get(key, -np.inf), share)
        for key in best:
            state, position = divmod(key, self._size)
            if state and position in best:
                best[key] = max(best[key], best[position] - float(self.owed[state]))
        keys = sorted(best)
        return np.array([*keys, np.iinfo(np.int64).max]), np.array([*(best[key] for key in keys), 0.0])

    def step(
        self, states: NDArray[np.int32], words: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The states after a word each, and what the words add to the score (the advance inside the word aside)."""
        column = np.searchsorted(self._words, words)
        column[self._words[column] != words] = len(self._words) - 1
        return self._next[states, column], self._gain[states, column]

    def ahead(self, states: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float64]:
        """The advance at tree positions: 0 at a root, minus what is owed where the state's phrase cannot go on."""
        plain = self._look_up(positions.astype(np.int64))
        off = np.where(positions < self._roots, 0.0, np.nan_to_num(plain) - self.owed[states])
        if len(self.owed) == 1:  # single words alone
            return off
        special = self._look_up(states.astype(np.int64) * self._size + positions)
        return np.where(np.isnan(special), off, special)

    def _look_up(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values of keys; not a number where there is none."""
        row = np.searchsorted(self._keys, keys)
        return np.where(self._keys[row] == keys, self._values[row], np.nan)


def _child(root_child: NDArray[np.int32], tree: Any, position: int, token: int, at_root: bool) -> int:
    if at_root:
        return int(root_child[token])
    begin = int(tree.child_begin[position])
    row = tree.children[begin : begin + int(tree.child_count[position])]
    return int(row[tree.token[row] == token][0])
