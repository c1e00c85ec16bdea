"""From text as it was written to tagged words: spoken words, the mark behind each and its case, as small arrays."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.errors import TextError
from asr.punctuation import CAPITALIZED, COMMA, LOWER, NONE, QUESTION, STOP, UPPER
from asr.text import normalize

MARK_BITS, CASE_SHIFT = 3, 2  # a tag: mark | case << 2

_ABBREVIATED = re.compile(
    r"(?i:mr|mrs|ms|dr|st|jr|sr|prof|capt|col|gen|lieut|lt|sgt|rev|gov|sen|hon|messrs|mme|mlle|vs|viz|esq|no|vol|fig|"
    r"p|pp|cf|[a-z]|[a-z]\.[a-z]|ph\.d|u\.s\.a)\."
)
_DASH = re.compile(r"\s*(?:--+|—|―| [-–](?= ))\s*")
_GLUED = re.compile(r"(?<=[a-z])([,;?!])(?=[A-Za-z])|(?<=[a-z]{2})\.(?=[A-Z][a-z])")
_NOTE = re.compile(r"\[[^\]]*\]|_|\*|\{[^}]*\}")
_TOKEN = re.compile(r"^[\"'“”‘’(\[«`]*(.*?)([.,;:?!…—\"'“”’)\]»]*)$")
_ENDS = re.compile(r"[.?!…][\"'”’)\]]*$")


@dataclass(frozen=True)
class Tagged:
    """A text of many words."""

    words: NDArray[np.int32]  # [words]: number in `vocabulary`
    tags: NDArray[np.uint8]  # [words]: mark | case << 2
    vocabulary: list[str]

    @property
    def marks(self) -> NDArray[np.uint8]:
        return (self.tags & MARK_BITS).astype(np.uint8)

    @property
    def cases(self) -> NDArray[np.uint8]:
        return (self.tags >> CASE_SHIFT).astype(np.uint8)


class Vocabulary:
    """Numbers words as they come, and remembers how each was written."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.uses: Counter[str] = Counter()  # of each written token
        self._read: dict[str, tuple[tuple[tuple[int, int], ...], int]] = {}

    def token(self, raw: str) -> tuple[tuple[tuple[int, int], ...], int]:
        """The spoken words of a written token, (number, case) each, and the mark behind it. Raises `TextError`."""
        self.uses[raw] += 1
        found = self._read.get(raw)
        if found is None:
            found = self._read[raw] = self._token(raw)
        return found

    def _token(self, raw: str) -> tuple[tuple[tuple[int, int], ...], int]:
        match = _TOKEN.match(raw)
        assert match is not None
        core, closing = match.groups()
        if _ABBREVIATED.fullmatch(core + "."):
            closing = closing.replace(".", "", 1)
            core += "."
        words: list[tuple[int, int]] = []
        for part in core.split("-"):
            spoken = normalize(part).split()
            figures = any(character.isdigit() for character in part)
            for word in spoken:
                case = LOWER if figures else case_of(part.rstrip("."))
                number = self.numbers.setdefault(word, len(self.numbers))
                words.append((number, case))
        return tuple(words), mark_of(closing)


def case_of(written: str) -> int:
    """Lower, upper, or something between, which counts as capitalized: Anna, McDonald, iPhone."""
    large = [character.isupper() for character in written if character.isalpha()]
    if not any(large):
        return LOWER
    return UPPER if len(large) > 1 and all(large) else CAPITALIZED


def mark_of(closing: str) -> int:
    """`!` counts as a full stop, `;` `:` and dashes as commas, dots in a row as a full stop."""
    if "?" in closing:
        return QUESTION
    if "." in closing or "!" in closing or "…" in closing:
        return STOP
    return COMMA if any(mark in closing for mark in ",;:—") else NONE


def tag_line(line: str, vocabulary: Vocabulary) -> list[tuple[int, int, int]]:
    """(word, mark, case) of a line of prose. Raises `TextError` where something cannot be spoken.

    A full stop within quotes before a small letter ("Go!" he cried) is a comma, as one would write it without quotes.
    """
    words: list[tuple[int, int, int]] = []
    line = _GLUED.sub(lambda match: (match[1] or ".") + " ", _DASH.sub(" — ", _NOTE.sub(" ", line)))
    for raw in line.split():
        if raw in "—–-":
            spoken: tuple[tuple[int, int], ...] = ()
            mark = COMMA
        else:
            spoken, mark = vocabulary.token(raw)
        if spoken and words and words[-1][1] == STOP and raw.lstrip("\"'“‘(")[:1].islower():
            words[-1] = (words[-1][0], COMMA, words[-1][2])
        if not spoken:
            if words and mark > words[-1][1]:
                words[-1] = (words[-1][0], mark, words[-1][2])
            continue
        words += [(number, NONE, case) for number, case in spoken[:-1]]
        words.append((spoken[-1][0], mark, spoken[-1][1]))
    if words and words[-1][1] in (NONE, COMMA):
        words[-1] = (words[-1][0], STOP, words[-1][2])
    return words


def is_prose(line: str) -> bool:
    """Whether a line has capitals and marks as it should: begins large, ends with a mark, is no heading."""
    letters = line.lstrip("\"'“‘(").lstrip()[:1]
    if not letters.isupper() or not _ENDS.search(line.rstrip()):
        return False
    words = line.split()
    large = sum(word[:1].isupper() for word in words)
    shouted = sum(word.isupper() and len(word) > 1 for word in words)
    return shouted <= 0.3 * len(words) and (len(words) < 8 or large <= 0.6 * len(words))


def tag_lines(lines: Iterable[str], vocabulary: Vocabulary, seen: set[bytes] | None = None) -> tuple[
    NDArray[np.int32], NDArray[np.uint8]
]:  # fmt: skip
    """All prose among `lines` as one running text; lines in `seen` are left out, and new ones added to it."""
    words: list[NDArray[np.int32]] = []
    tags: list[NDArray[np.uint8]] = []
    for line in lines:
        if not is_prose(line):
            continue
        if seen is not None:
            key = hashlib.blake2b(line.lower().encode(), digest_size=8).digest()
            if key in seen:
                continue
            seen.add(key)
        try:
            tagged = np.array(tag_line(line, vocabulary), np.int32).reshape(-1, 3)
        except TextError:
            continue
        words.append(tagged[:, 0].copy())
        tags.append((tagged[:, 1] | tagged[:, 2] << CASE_SHIFT).astype(np.uint8))
    if not words:
        return np.zeros(0, np.int32), np.zeros(0, np.uint8)
    return np.concatenate(words), np.concatenate(tags)


def without_emphasis(text: Tagged) -> Tagged:
    """Upper case only where a word is usually written so: USA stays, "I do NOT" becomes small."""
    size = len(text.vocabulary)
    cases = text.cases
    upper = np.bincount(text.words[cases == UPPER], minlength=size)
    share = upper / np.maximum(1, np.bincount(text.words, minlength=size))
    emphasis = (cases == UPPER) & (share[text.words] < 0.5)
    return Tagged(
        text.words, np.where(emphasis, text.marks | LOWER << CASE_SHIFT, text.tags).astype(np.uint8), text.vocabulary
    )


def fixed_spellings(vocabulary: Vocabulary, at_least: int = 4, share: float = 0.6) -> dict[str, str]:
    """Words with capitals inside, as most of the text writes them: McDonald, iPhone."""
    forms: dict[str, Counter[str]] = {}
    for raw, uses in vocabulary.uses.items():
        match = _TOKEN.match(raw.replace("’", "'"))
        written = match[1] if match else raw
        forms.setdefault(written.lower(), Counter())[written] += uses
    spellings = {}
    for word, counts in forms.items():
        written, count = counts.most_common(1)[0]
        if word not in vocabulary.numbers:
            continue
        inside = any(character.isupper() for character in written[1:]) and not written.isupper()
        if inside and count >= at_least and count >= share * counts.total() and written.lower() == word:
            spellings[word] = written
    return spellings


# The shared text, cut into what is learned from and what is measured on.


@dataclass(frozen=True)
class HeldOut:
    """What no training sees: the last books of a file, and whole sources of everyday text (a part of their name)."""

    books: tuple[tuple[str, int], ...] = (("books-1", 12), ("books-2", 8))  # file, number of books
    sources: tuple[str, ...] = ("Taskmaster", "jf99", "Topical-Chat", "inaugural", "pro.gadget", "ajaydee", "reinhart")
    margin_lines: int = 300  # left out beside every cut, since ranges and counts are from before lines were removed


def book_parts(folder: Path, file: str, books: int, margin_lines: int) -> tuple[list[str], list[str]]:
    """The lines of a file of books to learn from, and those of its last `books` books."""
    rows = [row.split("\t") for row in (folder / "BOOKS.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    wanted = sum(int(row[3]) for row in [row for row in rows if row[0] == file][-books:])
    lines = list(read_lines(folder / f"{file}.txt.xz"))
    cut = len(lines)
    while cut > 0 and wanted > 0:  # from the end: counts drift less than from the beginning
        cut -= 1
        wanted -= len(lines[cut].split())
    return lines[: max(0, cut - 2 * margin_lines)], lines[cut + margin_lines :]


def everyday_parts(folder: Path, held_out: HeldOut) -> tuple[list[str], dict[str, list[str]]]:
    """The lines of everyday.txt.xz to learn from, and those of each held-out source."""
    rows = [row.split("\t") for row in (folder / "EVERYDAY.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    lines = list(read_lines(folder / "everyday.txt.xz"))
    kept: list[str] = []
    held: dict[str, list[str]] = {}
    for row in rows:
        first, last = int(row[4]) - 1, int(row[5])
        name = next((name for name in held_out.sources if name in row[0] + " " + row[1]), None)
        if name is None:
            kept += lines[first:last]
        else:
            inner = min(held_out.margin_lines, (last - first) // 10)
            held.setdefault(name, []).extend(lines[first + inner : last - inner])
    return kept, held


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a .txt.xz file."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


def prepare(folder: Path, cache: Path, held_out: HeldOut) -> dict[str, Tagged]:
    """Tagged words of each part ("books", "everyday", "held out: ..."), from `cache` (.npz) if it is there."""
    if not cache.exists():
        vocabulary = Vocabulary()
        seen: set[bytes] = set()
        texts: dict[str, list[str]] = {"everyday": [], "books": []}
        for file, books in held_out.books:
            kept, held = book_parts(folder, file, books, held_out.margin_lines)
            texts[f"held out: {file}"] = held
            texts["books"] += kept
        texts["everyday"], sources = everyday_parts(folder, held_out)
        texts |= {f"held out: {name}": lines for name, lines in sources.items()}
        arrays: dict[str, NDArray[np.generic]] = {}
        for name in sorted(texts, key=lambda name: not name.startswith("held out")):  # first: no copy is learned from
            words, tags = tag_lines(texts.pop(name), vocabulary, seen)
            arrays |= {f"words {name}": words, f"tags {name}": tags}
        arrays["vocabulary"] = np.array("\n".join(vocabulary.numbers))
        arrays["spellings"] = np.array(json.dumps(fixed_spellings(vocabulary)))
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(".part.npz")
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(cache)
    with np.load(cache) as arrays_read:
        known = str(arrays_read["vocabulary"]).split("\n")
        names = [name.removeprefix("words ") for name in arrays_read.files if name.startswith("words ")]
        return {
            name: without_emphasis(Tagged(arrays_read[f"words {name}"], arrays_read[f"tags {name}"], known))
            for name in names
        }


def cached_spellings(cache: Path) -> dict[str, str]:
    with np.load(cache) as arrays:
        spellings: dict[str, str] = json.loads(str(arrays["spellings"]))
    return spellings
