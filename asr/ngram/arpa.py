"""The ARPA format, in which other tools publish n-gram models: log10 values and words as text, plain or packed."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from asr.errors import ModelError
from asr.ngram.counts import SPECIAL_WORDS, Report, lines, open_text
from asr.ngram.model import Array, NGrams, from_lists, grams

_LOG_10 = np.log(10.0)
_NO_PROB = -99.0  # how the format writes the log of 0
_SIZE = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)\s*$")


def read_arpa(path: Path, order: int | None = None, report: Report = lambda _: None) -> NGrams:
    """A model from an ARPA file, at most its n-grams up to `order`; `ModelError` where it breaks the format."""
    numbers: dict[str, int] = {}
    tables = []
    numbered = enumerate(lines(path), 1)
    sizes = _header(path, numbered)
    order = min(order or len(sizes), len(sizes))
    for length, size in enumerate(sizes[:order], 1):
        report(f"{path.name}: {size} {length}-grams")
        words, probs, backoffs = array("i"), array("d"), array("d")
        for number, line in _entries(path, numbered, size):
            fields = line.split()
            try:
                grams_words = fields[1 : length + 1]
                if length == 1:
                    numbers.setdefault(_special(grams_words[0]), len(numbers))
                words.extend([numbers[_special(word)] for word in grams_words])
                probs.append(float(fields[0]))
                backoffs.append(float(fields[length + 1]) if len(fields) == length + 2 else 0.0)
                if not length + 1 <= len(fields) <= length + 2:
                    raise ValueError
            except (ValueError, IndexError, KeyError) as error:
                raise ModelError(
                    f"{path}, line {number}: {line.strip()!r} is no {length}-gram of this model"
                ) from error
            if not probs[-1] + backoffs[-1] < math.inf:
                raise ModelError(
                    f"{path}, line {number}: {line.strip()!r} has a probability that is no number; make the file again"
                )
        prob, backoff = (np.maximum(np.frombuffer(values), _NO_PROB) * _LOG_10 for values in (probs, backoffs))
        tables.append((np.frombuffer(words, np.int32).reshape(-1, length), prob, backoff))
    for special in SPECIAL_WORDS:
        if special not in numbers:
            if special != "<unk>":
                raise ModelError(f"{path} has no unigram {special}: it was made without marks for sentences")
            numbers[special] = len(numbers)  # its probability stays what `missing` says
    return _sorted(numbers, tables)


def _special(word: str) -> str:
    return word.lower() if word in ("<UNK>", "<S>", "</S>") else word


def _sorted(numbers: dict[str, int], tables: list[tuple[Array, Array, Array]]) -> NGrams:
    """The model with its words in this project's order: special ones first, then by alphabet; capitals made small where
    all words are written in capitals, as those of LibriSpeech's models."""
    if all(word in SPECIAL_WORDS or word == word.upper() for word in numbers):
        numbers = {word.lower(): number for word, number in numbers.items()}
    words = [*SPECIAL_WORDS, *sorted(word for word in numbers if word not in SPECIAL_WORDS)]
    new = np.empty(len(words), np.int64)
    new[[numbers[word] for word in words]] = np.arange(len(words))
    first, *longer = [(new[table[0]], *table[1:]) for table in tables]
    if len(first[0]) < len(words):  # no <unk>: a word that never comes
        first = (
            np.concatenate((first[0], [[0]])),
            np.concatenate((first[1], [_NO_PROB * _LOG_10])),
            np.concatenate((first[2], [0.0])),
        )
    return from_lists(words, [first, *longer])


def _header(path: Path, numbered: Iterator[tuple[int, str]]) -> list[int]:
    sizes: list[int] = []
    for number, line in numbered:
        if match := _SIZE.match(line):
            if int(match[1]) != len(sizes) + 1:
                raise ModelError(f"{path}, line {number}: the sizes of an ARPA file go from 1 up, one a line")
            sizes.append(int(match[2]))
        elif sizes and not line.strip():
            return sizes
    raise ModelError(f"{path} is no ARPA file: it has no `ngram 1=...` after a line \\data\\")


def _entries(path: Path, numbered: Iterator[tuple[int, str]], size: int) -> Iterator[tuple[int, str]]:
    """The lines of one section, which must be `size`."""
    found = 0
    started = False
    for number, line in numbered:
        if line.startswith("\\"):
            started = True
        elif line.strip():
            found += 1
            yield number, line
            if found == size:
                return
        if started and found and not line.strip():
            break
    if found != size or not started:
        raise ModelError(f"{path} ends early: a section should have {size} n-grams and has {found}; get the file again")


def write_arpa(model: NGrams, path: Path) -> None:
    """Write a model as an ARPA file, packed where the name ends in .gz, .bz2 or .xz."""
    with open_text(path, "wt") as file:
        file.write("\\data\\\n")
        for length, size in enumerate(model.sizes, 1):
            file.write(f"ngram {length}={size}\n")
        for length, words in enumerate(grams(model), 1):
            file.write(f"\n\\{length}-grams:\n")
            level = model.levels[length - 1]
            name: Callable[[int], str] = model.words.__getitem__
            probs = np.maximum(level.log_prob / _LOG_10, _NO_PROB)
            with_backoff = length < model.order
            for numbers, prob, backoff in zip(words, probs.tolist(), (level.backoff / _LOG_10).tolist(), strict=True):
                gram = " ".join(map(name, numbers))
                file.write(f"{prob:.7g}\t{gram}\t{backoff:.7g}\n" if with_backoff else f"{prob:.7g}\t{gram}\n")
        file.write("\n\\end\\\n")
