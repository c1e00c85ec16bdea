"""Word n-gram counts of large texts in bounded memory: encode, sort runs, merge them.

An n-gram is kept as its words read backwards, three in a 64-bit number (two numbers for orders 4 to 6), so that sorting
puts n-grams that end alike together: the order in which Kneser-Ney's counts of left neighbours can be read off.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, TextError
from asr.text import normalize

UNKNOWN, BEGIN, END = 0, 1, 2  # ids of the words that every model has
SPECIAL_WORDS = ("<unk>", "<s>", "</s>")
MAX_ORDER = 6
WORD_BITS = 21  # bits of a word in a packed n-gram
Report = Callable[[str], None]
_BUFFER = 1 << 20  # ids held in memory while a text is read
_PREFERENCE = 3  # how much more often a preferred word seems to have been seen

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_END_OF_SENTENCE = re.compile(r"""[.!?…]["'”’)\]]*\s+(?=["'“‘(\[_]*[A-Z0-9])""")
_NO_END = re.compile(
    r"(?:^|[\s\"'“‘(])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|Messrs|Prof|Rev|Capt|Col|Gen|Lieut|Lt|Sgt|Hon|No|Vol|vs)$"
)


@dataclass(frozen=True)
class CountOptions:
    """How n-grams are counted."""

    order: int = 4
    run_rows: int = 4_000_000  # n-grams sorted at once; some 200 bytes of memory each


def open_text(path: Path, mode: str = "rt") -> IO[str]:
    """A text file, packed or not by the end of its name (.gz, .bz2, .xz); `TextError` where it cannot be opened."""
    try:
        file: IO[str] = _OPENERS.get(path.suffix, open)(path, mode, encoding="utf-8")
        return file
    except OSError as error:
        raise TextError(f"cannot open {path}: {error.strerror}; check the path") from error


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file, packed or not; `TextError` for a damaged one."""
    with open_text(path) as file:
        try:
            yield from file
        except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
            raise TextError(f"cannot read {path}: {error}; it should be UTF-8 text, packed as its name says") from error


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph: cut after a mark before a capital, but not after `Mr.` or an initial."""
    parts = []
    begin = 0
    for match in _END_OF_SENTENCE.finditer(paragraph):
        if paragraph[match.start()] != "." or not _NO_END.search(paragraph, max(0, match.start() - 10), match.start()):
            parts.append(paragraph[begin : match.end()])
            begin = match.end()
    parts.append(paragraph[begin:])
    return parts


def sentences(path: Path) -> Iterator[list[str] | None]:
    """The words of each sentence of a text file, normalized; None for one whose spoken form is not known."""
    for line in lines(path):
        for sentence in split_sentences(line):
            try:
                words = normalize(sentence).split()
            except TextError:
                yield None
                continue
            if words:
                yield words


@dataclass
class Corpus:
    """One text, normalized and encoded: sentences as `<s> words </s>` in a scratch file of 32-bit ids."""

    file: IO[bytes]
    tokens: int = 0  # without <s>
    dropped: int = 0  # sentences whose spoken form is not known

    def blocks(self, size: int) -> Iterator[NDArray[np.uint32]]:
        """The ids, in blocks that end with a sentence and have about `size` ids."""
        self.file.seek(0)
        rest = np.empty(0, np.uint32)
        while data := self.file.read(4 * size):
            ids = np.concatenate((rest, np.frombuffer(data, np.uint32)))
            ends = np.flatnonzero(ids == END)
            cut = int(ends[-1]) + 1 if len(ends) else 0
            yield ids[:cut]
            rest = ids[cut:]

    def renumber(self, new_ids: NDArray[np.uint32]) -> None:
        """Give every word its number in `new_ids`."""
        scratch = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the corpus)
        for block in self.blocks(1 << 22):
            new_ids[block].tofile(scratch)
        self.file.close()
        self.file = scratch


@dataclass
class Encoder:
    """Gives words numbers as they come; several texts share one encoder."""

    ids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbered: defaultdict[str, int] = defaultdict()
        numbered.default_factory = numbered.__len__
        for word in (*SPECIAL_WORDS, *self.ids):
            numbered[word]
        self.ids = numbered

    def encode(self, paths: Sequence[Path], report: Report = lambda _: None) -> Corpus:
        """Read texts as one corpus."""
        corpus = Corpus(tempfile.TemporaryFile())  # noqa: SIM115
        buffer = array("I")
        number = self.ids.__getitem__
        for path in paths:
            for words in sentences(path):
                if words is None:
                    corpus.dropped += 1
                    continue
                buffer.append(BEGIN)
                buffer.extend(map(number, words))
                buffer.append(END)
                corpus.tokens += len(words) + 1
                if len(buffer) > _BUFFER:
                    buffer.tofile(corpus.file)
                    buffer = array("I")
                    report(f"{path.name}: {corpus.tokens / 1e6:.1f} million words")
            report(f"{path.name}: {corpus.tokens / 1e6:.1f} million words, {corpus.dropped} sentences dropped")
        buffer.tofile(corpus.file)
        if not corpus.tokens:
            raise TextError(f"no sentence of {', '.join(map(str, paths))} can be used; check the text")
        return corpus


def word_counts(corpus: Corpus, size: int) -> NDArray[np.int64]:
    """How often each of `size` words occurs."""
    counts = np.zeros(size, np.int64)
    for block in corpus.blocks(1 << 22):
        counts += np.bincount(block, minlength=size)
    return counts


def histories(sentences: NDArray[np.uint32], order: int) -> list[NDArray[np.int64]]:
    """For each word but <s>: the word itself, the word before it, and so on; -1 before the start of the sentence."""
    ids = sentences.astype(np.int64)
    predicted = np.flatnonzero(ids != BEGIN)
    columns = [ids[predicted]]
    for back in range(1, order):
        earlier = ids[np.maximum(predicted - back, 0)]
        earlier[(columns[-1] == BEGIN) | (columns[-1] < 0)] = -1
        columns.append(earlier)
    return columns


@dataclass(frozen=True)
class Rows:
    """Distinct packed n-grams, sorted, and how often each occurs."""

    keys: tuple[NDArray[np.uint64], ...]  # one or two columns; a word is stored plus one, 0 stands before <s>
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    def word(self, back: int) -> NDArray[np.int64]:
        """The word `back` places before the last one, -1 where there is none."""
        shift = np.uint64(WORD_BITS * (2 - back % 3))
        mask = np.uint64((1 << WORD_BITS) - 1)
        return ((self.keys[back // 3] >> shift) & mask).astype(np.int64) - 1

    @classmethod
    def of(cls, columns: Sequence[NDArray[np.int64]]) -> Rows:
        keys = []
        for first in range(0, len(columns), 3):
            key = np.zeros(len(columns[0]), np.uint64)
            for place, column in enumerate(columns[first : first + 3]):
                key |= (column + 1).astype(np.uint64) << np.uint64(WORD_BITS * (2 - place))
            keys.append(key)
        return combine([cls(tuple(keys), np.ones(len(columns[0]), np.int64))])


def combine(runs: Sequence[Rows]) -> Rows:
    """Runs as one: sorted, with the counts of equal n-grams added."""
    keys = [np.concatenate(column) for column in zip(*(run.keys for run in runs), strict=True)]
    counts = np.concatenate([run.counts for run in runs])
    rank = np.lexsort(keys[::-1]) if len(keys) > 1 else np.argsort(keys[0], kind="stable")
    keys = [column[rank] for column in keys]
    new = np.ones(len(counts), bool)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in keys])
    begins = np.flatnonzero(new)
    return Rows(
        tuple(column[begins] for column in keys),
        np.add.reduceat(counts[rank], begins) if len(begins) else counts,
    )


def count(corpus: Corpus, options: CountOptions, report: Report = lambda _: None) -> Rows:
    """Count the n-grams of the given order, and the shorter ones at the start of a sentence.

    Runs are sorted in memory and kept on disk; they are merged part by part, each part a range of last words.
    """
    columns = -(-options.order // 3)
    dtype = np.dtype([("key", np.uint64, (columns,)), ("count", np.int64)])
    with tempfile.TemporaryDirectory() as folder:
        runs: list[NDArray[Any]] = []
        seen = 0
        for block in corpus.blocks(options.run_rows):
            if not len(block):
                continue
            rows = Rows.of(histories(block, options.order))
            packed = np.empty(len(rows), dtype)
            packed["key"] = np.stack(rows.keys, axis=1)
            packed["count"] = rows.counts
            path = Path(folder) / f"run{len(runs)}"
            packed.tofile(path)
            runs.append(np.memmap(path, dtype, "r"))
            seen += len(block)
            report(f"counted {seen / 1e6:.0f} million words, {len(runs)} runs")
        merged = [combine(parts) for parts in _parts(runs, options.run_rows)]
    keys = tuple(np.concatenate([part.keys[column] for part in merged]) for column in range(columns))
    return Rows(keys, np.concatenate([part.counts for part in merged]))


def _parts(runs: Sequence[NDArray[Any]], size: int) -> Iterator[list[Rows]]:
    """Slices of all runs that cover the same range of first keys, about `size` rows in all."""
    total = sum(map(len, runs))
    sample = np.sort(np.concatenate([run["key"][:: max(1, len(run) // 1000), 0] for run in runs]))
    pieces = max(1, -(-total // size))
    limits = np.unique(sample[np.arange(1, pieces) * len(sample) // pieces])
    places = [[0, *np.searchsorted(np.ascontiguousarray(run["key"][:, 0]), limits).tolist(), len(run)] for run in runs]
    for part in range(len(limits) + 1):
        slices = [run[place[part] : place[part + 1]] for run, place in zip(runs, places, strict=True)]
        yield [
            Rows(
                tuple(np.array(rows["key"][:, column]) for column in range(rows["key"].shape[1])),
                np.array(rows["count"]),
            )
            for rows in slices
        ]


def choose_vocabulary(
    counts: Sequence[NDArray[np.int64]], words: Sequence[str], size: int, preferred: Collection[str] = ()
) -> list[str]:
    """The `size` words that are most frequent, each text counting as much as any other, in alphabetical order.

    `preferred` words, such as those whose pronunciation is known, count as if they were more frequent.
    """
    share = np.sum([count / count.sum() for count in counts], axis=0)
    share[: len(SPECIAL_WORDS)] = 0
    share *= [_PREFERENCE if word in preferred else 1 for word in words]
    best = np.argsort(-share, kind="stable")[:size]
    return sorted(words[i] for i in best if share[i] > 0)


def vocabulary_ids(words: Iterable[str], vocabulary: Sequence[str]) -> NDArray[np.uint32]:
    """For each of `words` its number in a model with this vocabulary (special words first), 0 where it is unknown."""
    numbers = {word: i for i, word in enumerate((*SPECIAL_WORDS, *vocabulary))}
    if len(numbers) != len(vocabulary) + len(SPECIAL_WORDS):
        raise AsrError("the vocabulary holds a word twice, or one of <unk>, <s>, </s>; remove it")
    if len(numbers) >= 1 << WORD_BITS:
        raise AsrError(f"a vocabulary of {len(numbers)} words is too large; at most {(1 << WORD_BITS) - 1}")
    return np.array([numbers.get(word, UNKNOWN) for word in words], np.uint32)
