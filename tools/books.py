"""Text for a language model out of folders of Project Gutenberg's books, without what the test speech says.

    python tools/books.py BOOKS... -o books.txt.xz --protect data/manifests/valid.jsonl --protect test-clean.txt

BOOKS are folders with one .txt a book. Out come the sentences, normalized, one a line. Licences, headings, notes, books
in other languages and paragraphs that another book had already (collections overlap) are left out. Sentences that share
eight words in a row with a protected text are left out too, and books with four or more of them as a whole: somebody
read the book aloud for a test set. Protected texts are manifests (.jsonl), or files with an utterance a line.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asr.datasets.manifest import read_manifest
from asr.errors import TextError
from asr.ngram.counts import lines, open_text, split_sentences
from asr.text import normalize

SHARED = 8  # words in a row that make a sentence that of the test speech
PIECE, STRIDE = 4, 5  # of any eight words in a row, one piece of four begins at a multiple of five
MOST_SHARED = 3  # sentences of a book; one with more was read aloud
LEAST_LETTERS = 40  # of a paragraph: shorter ones are headings or found in many books
ENGLISH = frozenset({"the", "and", "of", "to", "a", "in", "that", "he", "was", "it", "his", "i", "with", "is", "for"})
LEAST_ENGLISH = 0.15  # share of these words in a book
AT_ONCE = 32  # books on their way
SEED = 1  # of the order

_START = re.compile(r"^.{0,8}\*\*\* ?START OF .*$|^.*\*END[ *]+THE SMALL PRINT.*$", re.M | re.I)
_END = re.compile(r"^.{0,8}\*\*\* ?END OF .*$|^End of (?:the |this )?Project Gutenberg.*$", re.M | re.I)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_BRACKETS = re.compile(r"\[[^\]]{0,300}\]|\{[^}]{0,40}\}")
_LETTERS = re.compile(r"[^a-z]+")


@dataclass(frozen=True)
class Cleaned:
    """The sentences of a book, normalized, and how many there were that a protected text shares."""

    sentences: list[str]
    shared: int
    english: bool


def body(text: str) -> str:
    """A book without the publisher's words before and behind it."""
    starts = list(_START.finditer(text, 0, len(text) // 2))
    text = text[starts[-1].end() :] if starts else text
    end = _END.search(text, len(text) // 2)
    return text[: end.start()] if end else text


def paragraphs(path: Path) -> Iterator[str]:
    """The paragraphs of a book, each in one line, without notes in brackets."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    for part in _PARAGRAPH.split(body(text.replace("\r\n", "\n"))):
        line = " ".join(_BRACKETS.sub(" ", part).replace("_", "").split())
        if line and not line.isupper():
            yield line


def new_paragraphs(path: Path, seen: set[int]) -> list[str]:
    """Those that no book before had; adds them to what was `seen`."""
    found = []
    for line in paragraphs(path):
        letters = _LETTERS.sub("", line.lower())
        if len(letters) < LEAST_LETTERS:
            continue
        key = hash(letters)
        if key not in seen:
            seen.add(key)
            found.append(line)
    return found


def runs(words: list[str], length: int = SHARED, stride: int = 1) -> Iterator[str]:
    return (" ".join(words[begin : begin + length]) for begin in range(0, len(words) - length + 1, stride))


@dataclass(frozen=True)
class Protected:
    """Runs of eight words, and the shorter pieces that they are found by."""

    runs: frozenset[str]
    pieces: frozenset[str]

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Protected:
        """Manifests, and text files with an utterance a line."""
        whole, pieces = set[str](), set[str]()
        for path in paths:
            texts = (one.text for one in read_manifest(path)) if path.suffix == ".jsonl" else lines(path)
            for text in texts:
                try:
                    words = normalize(text).split()
                except TextError:
                    continue
                whole.update(runs(words))
                pieces.update(runs(words, PIECE))
        return cls(frozenset(whole), frozenset(pieces))

    def shared(self, words: list[str]) -> bool:
        """Whether eight of these words in a row are protected."""
        return any(piece in self.pieces for piece in runs(words, PIECE, STRIDE)) and any(
            run in self.runs for run in runs(words)
        )


def clean(found: list[str], protected: Protected) -> Cleaned:
    """Normalize a book's sentences and take out those that a protected text shares."""
    kept, shared, english, every = list[str](), 0, 0, 0
    for line in found:
        for sentence in split_sentences(line):
            try:
                text = normalize(sentence)
            except TextError:
                continue
            words = text.split()
            every += len(words)
            english += sum(word in ENGLISH for word in words)
            if protected.shared(words):
                shared += 1
            elif words:
                kept.append(text)
    return Cleaned(kept, shared, english >= LEAST_ENGLISH * max(1, every))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", nargs="+", type=Path, help="folders, searched for .txt")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--protect", type=Path, action="append", default=[], help="what test speech says")
    parser.add_argument("--million-words", type=float, help="stop after so many; files come in a random order")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    paths = sorted(path for folder in arguments.books for path in folder.rglob("*.txt"))
    random.Random(SEED).shuffle(paths)
    seen: set[int] = set()
    read_aloud, foreign, books, words, sentences = list[str](), 0, 0, 0, 0
    work = partial(clean, protected=Protected.read(arguments.protect))
    with ProcessPoolExecutor(arguments.processes) as pool, open_text(arguments.output, "wt") as output:
        waiting: deque[tuple[Path, Future[Cleaned]]] = deque()
        for number, path in enumerate(paths):
            waiting.append((path, pool.submit(work, new_paragraphs(path, seen))))
            while len(waiting) > (AT_ONCE if number + 1 < len(paths) else 0):
                done, future = waiting.popleft()
                book = future.result()
                if book.shared > MOST_SHARED:
                    read_aloud.append(done.stem)
                elif not book.english:
                    foreign += 1
                elif book.sentences:
                    output.write("\n".join(book.sentences) + "\n")
                    books, sentences = books + 1, sentences + len(book.sentences)
                    words += sum(1 + text.count(" ") for text in book.sentences)
            if number % 100 == 99:
                print(f"{number + 1} of {len(paths)} files: {books} books, {words / 1e6:.1f} million words", flush=True)
            if arguments.million_words and words > 1e6 * arguments.million_words:
                pool.shutdown(cancel_futures=True)
                break
    print(f"{sentences:,} sentences of {books:,} books, {words:,} words; {foreign} books not English or all known")
    print(f"{len(read_aloud)} books left out because a protected text was read from them: {'; '.join(read_aloud)}")


if __name__ == "__main__":
    main()
