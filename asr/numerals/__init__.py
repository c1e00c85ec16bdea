"""Spoken numbers as they are written: "nineteen eighty four" 1984, "five thirty p m" 5:30 p.m., "ten dollars" $10.

The rules are those of American news style: zero to nine and first to ninth stay words except with units, money,
percentages, times, dates and after nouns that number things (page 5); a thousand has a comma and a year has none;
"two million" is 2 million; fractions below one get a hyphen. What could be no number ("one of them", "a second", "oh")
stays as it is. The inverse, from figures to spoken words, is `asr.figures`.

Own grammar: text2num 3.1 knows no times, dates, money or years (it writes 19 84), text2digits 0.1.2 writes "a second"
as "a 2", word2number 1.1 finds no numbers in a sentence, and NeMo's text processing brings 165 MB of pynini.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from asr.numerals.amounts import Amounts
from asr.numerals.calendar import Calendar
from asr.numerals.codes import Codes
from asr.numerals.joints import without_commas
from asr.results import Word

__all__ = ["Written", "find_numbers", "in_figures", "write_numbers"]

_IDIOMS = {
    ("nine", "eleven"): "9/11", ("twenty", "four", "seven"): "24/7", ("fifty", "fifty"): "50-50",
    ("covid", "nineteen"): "COVID-19", ("one", "oh", "one"): "101",
    ("twenty", "twenty", "vision"): "20/20 vision",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """Words `start` to `end` (exclusive) of a phrase, written as `text`."""

    start: int
    end: int
    text: str


def write_numbers(words: Sequence[Word], pauses: Sequence[float] | None = None) -> tuple[Word, ...]:
    """The words with every number as it is written: its first word holds it, the others hold "".

    Marks and capitals that `written` has already are kept; no number crosses a mark, apart from a comma before the
    year of a date and those that part a number said as one: `pauses`, in seconds behind each word, help to tell.
    `Word.text` and times stay, so that nothing is lost.
    """
    texts = [word.text.lower() for word in words]
    marks = ["" if word.written is None else word.written[len(word.written.rstrip(".,?!;:")) :] for word in words]
    result = list(words)
    for span in find_numbers(texts, without_commas(texts, marks, pauses)):
        text = span.text + _closing(span.text, marks[span.end - 1])
        if (words[span.start].written or "")[:1].isupper():
            text = text[0].upper() + text[1:]
        result[span.start] = replace(words[span.start], written=text)
        for index in range(span.start + 1, span.end):
            result[index] = replace(words[index], written="")
    return tuple(result)


def find_numbers(words: Sequence[str], marks: Sequence[str] | None = None) -> list[Written]:
    """The numbers among lower-case spoken words, in order; `marks[i]` stands behind word `i`, if anything does."""
    phrase = _Phrase(words, marks or [""] * len(words))
    return list(phrase.numbers())


def in_figures(spoken: str) -> str:
    """A line of spoken words with its numbers written."""
    words = spoken.split()
    for span in reversed(find_numbers(words)):
        words[span.start : span.end] = [span.text]
    return " ".join(words)


def _closing(text: str, mark: str) -> str:
    return mark[1:] if text.endswith(".") and mark.startswith(".") else mark


class _Phrase(Calendar, Codes, Amounts):
    """A phrase whose readers find numbers; a reader gives None, or what it read and where it ended."""

    def numbers(self) -> Iterator[Written]:
        readers: tuple[Callable[[int], tuple[str, int] | None], ...] = (
            self.idiom, self.mixed, self.house, self.date, self.time, self.digits, self.letters, self.ruler,
            self.decade, self.year, self.fraction, self.ordinal, self.code, self.compound, self.score, self.amount,
            self.juxtaposed, self.number,
        )  # fmt: skip
        index = 0
        while index < len(self.words):
            for reader in readers:
                found = reader(index)
                if found is not None:
                    text, end = found
                    if text:
                        self.figures_end = end
                        yield Written(index, end, text)
                    index = end
                    break
            else:
                index += 1

    def idiom(self, i: int) -> tuple[str, int] | None:
        for words, text in _IDIOMS.items():
            end = i + len(words)
            if tuple(self.words[i:end]) == words and not any(self.marks[i : end - 1]) and not self.amount_behind(end):
                return text, end
        return None
