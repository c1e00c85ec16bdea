"""Words and how they sound, compiled into a prefix tree of flat arrays.

The tree is what the decoder walks: an edge is a token (a phone, or a subword where a language has no dictionary), a
path from the root is a pronunciation, and the words that sound so hang at its end, homophones side by side. Each node
knows the best language-model score of the words below it, the look-ahead (Ortmanns, Ney, Eiden, 1996).

Nodes are numbered breadth first, so the children of a node are a range. A *position* is what a hypothesis holds: the
first `len(tokens)` positions are copies of the root, one for each token that may have been the last one heard (CTC
needs it to tell a repeated token from a new one; 0, the blank, at the start), the others are the inner nodes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, ModelError, TextError
from asr.flatfile import map_arrays, write_arrays
from asr.text import is_normalized, normalize

Pronunciation = tuple[int, ...]
_MAGIC = b"ASRLEX01"


@dataclass(frozen=True)
class Tree:
    """The arrays of a prefix tree, indexed by position (see the module's text); P positions, T tokens."""

    token: NDArray[np.int32]  # [P] the last token on the way here; of a root copy its own number
    child_begin: NDArray[np.int32]  # [P] row of the node's children in `children`; root copies have none here
    child_count: NDArray[np.int32]  # [P]
    children: NDArray[np.int32]  # [edges] positions
    root_child: NDArray[np.int32]  # [T] the child of every root copy by token, -1 for none
    word_begin: NDArray[np.int32]  # [P] row of the words that end here in `word_ids`
    word_count: NDArray[np.int32]  # [P]
    word_ids: NDArray[np.int32]  # [pronunciations]
    look_ahead: NDArray[np.float32]  # [P] best natural-log score of a word at or below the node; 0 at the root


@dataclass(frozen=True)
class WordList:
    """Sorted words in one block of UTF-8: about ten bytes a word, and none becomes a Python string until asked for."""

    block: NDArray[np.uint8]
    ends: NDArray[np.uint32]  # [words] where each word ends in the block

    @classmethod
    def of(cls, words: Iterable[str]) -> WordList:
        encoded = sorted(word.encode() for word in set(words))
        ends = np.cumsum([len(word) for word in encoded], dtype=np.uint32)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def _bytes(self, index: int) -> bytes:
        begin = int(self.ends[index - 1]) if index else 0
        return self.block[begin : int(self.ends[index])].tobytes()

    def __getitem__(self, index: int) -> str:
        return self._bytes(index).decode()

    def find(self, word: str) -> int | None:
        target = word.encode()
        index = bisect_left(range(len(self)), target, key=self._bytes)
        return index if index < len(self) and self._bytes(index) == target else None


@dataclass(frozen=True)
class Lexicon:
    """Words, pronunciations and their tree; immutable, shared by all streams. `extend` gives a larger one."""

    tokens: tuple[str, ...]  # names of the tokens that pronunciations are made of; token 0 is the blank
    base: WordList
    tree: Tree
    stored: Tree  # the tree without what `extend` added
    added: tuple[str, ...] = ()  # words of `extend`, numbered after those of `base`
    extensions: tuple[tuple[str, Pronunciation], ...] = field(default=(), repr=False)

    # Building and storing

    @classmethod
    def build(
        cls,
        entries: Iterable[tuple[str, Sequence[int]]],
        tokens: Sequence[str],
        scores: dict[str, float] | None = None,
    ) -> Lexicon:
        """Compile (word, token numbers) pairs; a word may come many times and words may sound alike.

        `scores` holds natural-log unigram probabilities for the look-ahead; words without one get the lowest.
        Raises `AsrError` for an empty pronunciation or a token that does not exist.
        """
        unique = sorted({(tuple(pronunciation), word) for word, pronunciation in entries})
        for pronunciation, word in unique:
            if not pronunciation or not all(0 < token < len(tokens) for token in pronunciation):
                raise AsrError(f"the pronunciation of {word!r} is empty or uses a sound that is not in the model")
        words = WordList.of(word for _, word in unique)
        index = {words[number]: number for number in range(len(words))}
        ids = np.array([index[word] for _, word in unique], np.int32)
        lowest = min(scores.values(), default=0.0) if scores else 0.0
        known = np.array([(scores or {}).get(word, lowest) for _, word in unique], np.float32)
        arrays = _breadth_first([pronunciation for pronunciation, _ in unique], ids, known)
        tree = _tree(arrays, len(tokens))
        return cls(tuple(tokens), words, tree, tree)

    def save(self, path: Path) -> None:
        """Write the lexicon, without what `extend` added, as one file."""
        if self.extensions:
            raise ValueError("an extended lexicon is not stored; build one of all its words")
        roots, tree = len(self.tokens), self.tree
        first_level = np.count_nonzero(tree.root_child >= 0)
        arrays: dict[str, NDArray[Any]] = {
            "word_block": self.base.block,
            "word_ends": self.base.ends,
            "token": tree.token[roots:].astype(np.uint8 if roots <= 256 else np.uint16),
            "child_count": np.concatenate([[first_level], tree.child_count[roots:]]).astype(np.uint16),
            "word_count": tree.word_count[roots:].astype(np.uint16),
            "word_ids": tree.word_ids,
            "look_ahead": tree.look_ahead[roots:].astype(np.float16),
        }
        for name in ("child_count", "word_count"):
            if arrays[name].max(initial=0) < 256:
                arrays[name] = arrays[name].astype(np.uint8)
        write_arrays(path, _MAGIC, arrays, {"tokens": list(self.tokens)})

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        """Map a file that `save` wrote; `ModelError` where it is missing or damaged."""
        arrays, about = map_arrays(path, _MAGIC, "a lexicon")
        try:
            tokens = tuple(str(token) for token in about["tokens"])
            words = WordList(arrays["word_block"], arrays["word_ends"])
            tree = _tree(arrays, len(tokens))
            sound = (
                len(tree.children)
                == len(arrays["token"])
                == len(arrays["child_count"]) - 1
                == len(arrays["word_count"])
                and int(arrays["word_count"].sum()) == len(tree.word_ids)
                and (not len(words) or int(words.ends[-1]) == len(words.block))
            )
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(f"{path} is damaged; build the lexicon again") from error
        if not sound:
            raise ModelError(f"{path} is damaged; build the lexicon again")
        return cls(tokens, words, tree, tree)

    # Words

    def __len__(self) -> int:
        return len(self.base) + len(self.added)

    def word(self, number: int) -> str:
        return self.base[number] if number < len(self.base) else self.added[number - len(self.base)]

    def find(self, word: str) -> int | None:
        """The number of a word, None where the lexicon has it not."""
        number = self.base.find(word)
        return self._added_numbers.get(word) if number is None else number

    @cached_property
    def _added_numbers(self) -> dict[str, int]:
        return {word: len(self.base) + index for index, word in enumerate(self.added)}

    def pronunciations(self, word: str) -> tuple[Pronunciation, ...]:
        """All ways in which a word of the lexicon is spoken, as token numbers; empty for other words."""
        found = {pronunciation for one, pronunciation in self.extensions if one == word}
        number = self.base.find(word)
        if number is not None:
            found |= {self._path(int(row)) for row in np.flatnonzero(self.stored.word_ids == number)}
        return tuple(sorted(found))

    def _path(self, row: int) -> Pronunciation:
        """The tokens down to the owner of a row of words in the stored tree, where rows follow each other."""
        tree, path = self.stored, []
        position = int(np.searchsorted(tree.word_begin, row, "right")) - 1
        while position >= len(self.tokens):
            path.append(int(tree.token[position]))
            position = int(np.searchsorted(tree.child_begin, position - len(self.tokens), "right")) - 1
        return tuple(reversed(path))

    def entries(self) -> Iterator[tuple[str, Pronunciation]]:
        """All words with their pronunciations, as `build` takes them."""
        tree = self.tree
        waiting: list[tuple[int, Pronunciation]] = [(int(child), ()) for child in tree.root_child if child >= 0]
        while waiting:
            position, path = waiting.pop()
            path = (*path, int(tree.token[position]))
            begin, count = int(tree.word_begin[position]), int(tree.word_count[position])
            for number in tree.word_ids[begin : begin + count].tolist():
                yield self.word(number), path
            begin, count = int(tree.child_begin[position]), int(tree.child_count[position])
            waiting += [(child, path) for child in tree.children[begin : begin + count].tolist()]

    # A user's own words

    def extend(self, entries: Iterable[tuple[str, Sequence[int]]], score: float = 0.0) -> Lexicon:
        """A lexicon with more words or more pronunciations, in about a millisecond: the old tree is not rebuilt.

        Positions and word numbers of this lexicon mean the same in the new one: rows that change are written anew at
        the end of their arrays. `score` is the look-ahead of the new words (natural log).
        """
        new = tuple((word, tuple(int(token) for token in pronunciation)) for word, pronunciation in entries)
        if not new:
            return self
        for word, pronunciation in new:
            if not pronunciation or not all(0 < token < len(self.tokens) for token in pronunciation):
                raise AsrError(f"the pronunciation of {word!r} is empty or uses a sound that is not in the model")
        added = list(self.added)
        numbers = dict(self._added_numbers)
        growth = _Growth(self.tree)
        for word, pronunciation in new:
            number = self.base.find(word)
            if number is None and word not in numbers:
                numbers[word] = len(self.base) + len(added)
                added.append(word)
            growth.add(pronunciation, numbers[word] if number is None else number, score)
        extensions = self.extensions + new
        return replace(self, tree=growth.tree(), added=tuple(added), extensions=extensions)


class _Growth:
    """New nodes, rows and look-aheads over a tree that stays as it is."""

    def __init__(self, tree: Tree) -> None:
        self._old = tree
        self._tokens: list[int] = []  # of the new nodes
        self._children: dict[int, list[int]] = {}  # rows that differ from the old tree
        self._words: dict[int, list[int]] = {}
        self._raised: dict[int, float] = {}
        self._root = tree.root_child.copy()

    def add(self, pronunciation: Pronunciation, word: int, score: float) -> None:
        position = 0
        for depth, token in enumerate(pronunciation):
            position = self._child(position, token, at_root=depth == 0)
            before = self._raised.get(position)
            if before is None:
                before = float(self._old.look_ahead[position]) if position < len(self._old.token) else -np.inf
            self._raised[position] = max(before, score)
        words = self._row(self._words, position, self._old.word_begin, self._old.word_count, self._old.word_ids)
        if word not in words:
            words.append(word)

    def _child(self, position: int, token: int, at_root: bool) -> int:
        size = len(self._old.token)
        if at_root:
            if self._root[token] < 0:
                self._root[token] = size + len(self._tokens)
                self._tokens.append(token)
            return int(self._root[token])
        row = self._row(self._children, position, self._old.child_begin, self._old.child_count, self._old.children)
        for child in row:
            if (self._old.token[child] if child < size else self._tokens[child - size]) == token:
                return child
        row.append(size + len(self._tokens))
        self._tokens.append(token)
        return row[-1]

    def _row(
        self,
        rows: dict[int, list[int]],
        position: int,
        begin: NDArray[np.int32],
        count: NDArray[np.int32],
        values: NDArray[np.int32],
    ) -> list[int]:
        if position not in rows:
            old = position < len(self._old.token)
            rows[position] = values[begin[position] : begin[position] + count[position]].tolist() if old else []
        return rows[position]

    def tree(self) -> Tree:
        old, more = self._old, len(self._tokens)
        child_begin, child_count, children = _patched(
            old.child_begin, old.child_count, old.children, self._children, more
        )
        word_begin, word_count, word_ids = _patched(old.word_begin, old.word_count, old.word_ids, self._words, more)
        look_ahead = np.concatenate([old.look_ahead, np.zeros(more, np.float32)])
        look_ahead[list(self._raised)] = list(self._raised.values())
        token = np.concatenate([old.token, np.array(self._tokens, np.int32)])
        return Tree(token, child_begin, child_count, children, self._root, word_begin, word_count, word_ids, look_ahead)


def _patched(
    begin: NDArray[np.int32],
    count: NDArray[np.int32],
    values: NDArray[np.int32],
    rows: dict[int, list[int]],
    more: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The arrays with `more` rows, and with the given rows replaced."""
    begin = np.concatenate([begin, np.zeros(more, np.int32)])
    count = np.concatenate([count, np.zeros(more, np.int32)])
    tail: list[int] = []
    for position, row in rows.items():
        begin[position] = len(values) + len(tail)
        count[position] = len(row)
        tail += row
    return begin, count, np.concatenate([values, np.array(tail, np.int32)])


def _breadth_first(
    pronunciations: list[Pronunciation], words: NDArray[np.int32], scores: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """The stored arrays of the tree of sorted pronunciations; nodes without the root, but its number of children."""
    count = len(pronunciations)
    lengths = np.array([len(pronunciation) for pronunciation in pronunciations], np.int64)
    longest = int(lengths.max(initial=0))
    table = np.full((count, longest), -1, np.int64)  # [pronunciations, depth]
    for row, pronunciation in enumerate(pronunciations):
        table[row, : len(pronunciation)] = pronunciation
    differs = np.ones((count, longest), bool)
    if count > 1:
        differs[1:] = np.logical_or.accumulate(table[1:] != table[:-1], axis=1)
    tokens, parents, heights = [], [], []
    parent = np.zeros(count, np.int64)  # node of each pronunciation at the depth above; node 0 is the root
    nodes, last = 0, np.zeros(count, np.int64)
    for depth in range(longest):
        alive = lengths > depth
        first = differs[:, depth] & alive
        node = nodes + np.cumsum(first)
        tokens.append(table[first, depth])
        parents.append(parent[first])
        best = np.full(int(first.sum()), -np.inf, np.float32)
        np.maximum.at(best, node[alive] - nodes - 1, scores[alive])
        heights.append(best)
        parent = np.where(alive, node, parent)
        last = np.where(alive, node, last)
        nodes += len(best)
    order = np.argsort(last, kind="stable")
    return {
        "token": np.concatenate([np.zeros(0, np.int64), *tokens]),
        "child_count": np.bincount(np.concatenate([np.zeros(0, np.int64), *parents]), minlength=nodes + 1),
        "word_count": np.bincount(last, minlength=nodes + 1)[1:] if count else np.zeros(0, np.int64),
        "word_ids": words[order],
        "look_ahead": np.concatenate([np.zeros(0, np.float32), *heights]),
    }


def _tree(arrays: dict[str, NDArray[Any]], tokens: int) -> Tree:
    """Positions from stored nodes: copies of the root in front, counts added up to rows."""
    roots = np.zeros(tokens, np.int32)
    first_level = int(arrays["child_count"][0])
    child_count = np.concatenate([roots, arrays["child_count"][1:]], dtype=np.int32)
    word_count = np.concatenate([roots, arrays["word_count"]], dtype=np.int32)
    edges = np.arange(tokens, tokens + len(arrays["token"]), dtype=np.int32)
    root_child = np.full(tokens, -1, np.int32)
    root_child[arrays["token"][:first_level]] = edges[:first_level]
    return Tree(
        token=np.concatenate([np.arange(tokens, dtype=np.int32), arrays["token"]], dtype=np.int32),
        child_begin=(np.cumsum(child_count) - child_count + first_level).astype(np.int32),
        child_count=child_count,
        children=edges,
        root_child=root_child,
        word_begin=(np.cumsum(word_count) - word_count).astype(np.int32),
        word_count=word_count,
        word_ids=np.asarray(arrays["word_ids"], np.int32),
        look_ahead=np.concatenate([roots, arrays["look_ahead"]], dtype=np.float32),
    )


def read_dictionary(path: Path, phones: Collection[str] | None = None) -> dict[str, list[tuple[str, ...]]]:
    """The sounds of each word of a file in CMUdict's form, `word(2) W ER1 D # remark`, without stress, in its order.

    Raises `AsrError` where the file cannot be read, and for a line without sounds or with others than `phones`.
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in _lines(path, "dictionary"):
        word, *sounds = line.split("#")[0].split()
        said = tuple(sound.rstrip("012") for sound in sounds)
        if not said or (phones is not None and not set(said) <= set(phones)):
            raise AsrError(f"{path}: {line.strip()!r} is not a word and its sounds")
        known = found.setdefault(word.lower().partition("(")[0], [])
        if said not in known:
            known.append(said)
    return found


def read_pronunciations(path: Path, tokens: Sequence[str]) -> dict[str, list[Pronunciation]]:
    """The pronunciations of a dictionary as numbers of `tokens`; raises `AsrError` where there are none.

    Words that the project's normalization would change (abbreviations, marks) are skipped, as are those with sounds
    that `tokens` lack.
    """
    numbers = {token: number for number, token in enumerate(tokens) if number}
    found: dict[str, list[Pronunciation]] = {}
    for word, ways in read_dictionary(path).items():
        known = [tuple(numbers[sound] for sound in way) for way in ways if numbers.keys() >= set(way)]
        if known and is_normalized(word):
            found[word] = known
    if not found:
        raise AsrError(f"{path} holds no pronunciation made of the model's sounds; use a file in CMUdict's form")
    return found


def read_words(path: Path) -> tuple[list[str], list[str]]:
    """The words of a file, one a line and perhaps its count, normalized, each once; and the lines with several words.

    Raises `AsrError` where it cannot be read.
    """
    words: dict[str, None] = {}
    several = []
    for line in _lines(path, "list of words"):
        word, *numbers = line.split()
        if not all(map(_is_number, numbers)):
            several.append(line.strip())
            continue
        try:
            words.update(dict.fromkeys(normalize(word).split()))
        except TextError as error:
            raise AsrError(f"{path}: {error}") from error
    return list(words), several


def _lines(path: Path, what: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AsrError(f"cannot read the {what} {path}: {error}; check the path") from error
    return [line for line in text.splitlines() if line.strip() and not line.startswith((";;;", "#"))]


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
