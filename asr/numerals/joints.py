"""Commas inside a number: which of them no one writes, since what stands on both sides was said as one number or time.

What can be nothing but one number ("five, thousand", "ten, fifteen, a m") is one. What could be two as well is one if
it was said without a pause; where pauses are not known, the likelier of both ("in nineteen ninety, five people came").
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from asr.numerals.calendar import AFTER_YEAR, MONTHS, YEAR_CUES
from asr.numerals.words import CURRENCIES, DIGITS, NUMBER_WORDS, ONES, ORDINALS, SCALES, TEENS, TENS, NumberWords

CLOSE_SECONDS = 0.2  # a shorter pause does not part what may be one number
_TELEPHONE = ((3, 4), (3, 3, 4), (1, 3, 3, 4))  # digits between the commas
_CENTURIES = {*TEENS, "twenty"}
_SPOKEN = {*NUMBER_WORDS, *DIGITS, "hundred", *SCALES}
_NEEDS_NUMBER = {"hundred", *SCALES, *CURRENCIES, "percent"}
_UNCOUNTED = {"", *AFTER_YEAR, "this", "tomorrow", "tonight", "today"}  # what follows is not what the number counts


def without_commas(words: Sequence[str], marks: Sequence[str], pauses: Sequence[float] | None = None) -> list[str]:
    """`marks` but for the commas inside numbers; `marks[i]` and the pause `pauses[i]`, in seconds, are behind word `i`.

    A comma may go that is in no number after all: it parts nothing that the grammar would read as one.
    """
    commas = [i for i, mark in enumerate(marks[:-1]) if mark == ","]
    if not commas:
        return list(marks)
    joints = _Joints(words, ["" if mark == "," else mark for mark in marks], marks, pauses)
    gone = {i for i in commas if joints.is_sure(i) or joints.is_likely(i)}
    return ["" if i in gone else mark for i, mark in enumerate(marks)]


class _Joints(NumberWords):
    """A phrase whose commas are looked at one by one; `marks` has none of them, `given` has all."""

    def __init__(
        self, words: Sequence[str], marks: Sequence[str], given: Sequence[str], pauses: Sequence[float] | None
    ) -> None:
        super().__init__(words, marks)
        self.given = given
        self.pauses = pauses

    def is_sure(self, i: int) -> bool:
        """Whether what stands beside the comma behind word `i` can be nothing but one number or time."""
        left, right = self[i], self.after(i)
        if left in ("a", "p") and right == "m":
            return self.before(i) in NUMBER_WORDS
        if left in _SPOKEN and (right in _NEEDS_NUMBER or self.is_half_day(i + 1)):
            return True
        if (minutes := self.minutes_behind(i)) and (minutes[0] > 12 or right not in NUMBER_WORDS):
            return self.is_half_day(minutes[1])
        return self.is_telephone(i)

    def is_likely(self, i: int) -> bool:
        """Whether it is one number if it was said as one."""
        if (self.pauses is not None and not self.is_close(i)) or self.is_list(i):
            return False
        left, right = self[i], self.after(i)
        if right == "point" or left == "point":
            return (self.before(i) if left == "point" else left) in _SPOKEN
        if left in CURRENCIES:
            small = self.below_hundred(i + 2 if right == "and" else i + 1)
            return small is not None and self.after(small[1] - 1) in ("cent", "cents")
        return self.is_time(i) or self.is_rest(i) or self.is_year(i)

    def is_time(self, i: int) -> bool:
        minutes = self.minutes_behind(i)
        if minutes is None or self.is_half_day(minutes[1]):
            return minutes is not None
        at = self.before(i) in ("at", "until", "till") and self.after(minutes[1] - 1) in _UNCOUNTED
        return at and self.is_close(i)

    def is_rest(self, i: int) -> bool:
        """Whether the number before the comma goes on: "two million, three hundred thousand", "twenty, five"."""
        start, rest = self.first(i), self.cardinal(i + 1)
        century = self.words[start:i] == ["two"] and self.before(start) in YEAR_CUES
        if rest is None or century or self.before(i) in _CENTURIES:  # "in nineteen ninety, five people came"
            return False
        if self[i] in SCALES:
            return rest[0] < SCALES[self[i]] and (rest[0] >= 100 or self.is_close(i))
        return (rest[0] < 100 if self[i] == "hundred" else self[i] in TENS and rest[0] < 10) and self.is_close(i)

    def is_year(self, i: int) -> bool:
        """Whether a year goes on: "in nineteen, eighty four"."""
        last = self.below_hundred(i + 1)
        if self[i] not in _CENTURIES or last is None or last[0] < 10:
            return False
        dated = self.before(i) in {*YEAR_CUES, *MONTHS, *ORDINALS}
        return dated and self.after(last[1] - 1) in _UNCOUNTED

    def minutes_behind(self, i: int) -> tuple[int, int] | None:
        """Minutes that follow an hour which ends with word `i`, and where they end."""
        hour = ONES.get(self[i]) or TEENS.get(self[i], 13)
        if hour > 12 or self.before(i) in {*NUMBER_WORDS, "hundred"}:
            return None
        if self.after(i) in ("oh", "o"):
            return (ONES[self.after(i + 1)], i + 3) if self.after(i + 1) in ONES else None
        minutes = self.below_hundred(i + 1) if self.after(i) else None
        return minutes if minutes and 9 < minutes[0] < 60 else None

    def is_half_day(self, i: int) -> bool:
        return self.after(i - 1) in ("a", "p") and self.after(i) == "m"

    def is_telephone(self, i: int) -> bool:
        """Whether the comma is one of those in a telephone number."""
        start, end = i, i + 1
        while start > 0 and self.before(start) in DIGITS:
            start -= 1
        while self.after(end - 1) in DIGITS:
            end += 1
        ends = [place for place in range(start, end) if self.given[place] == "," or place == end - 1]
        return tuple(one - other for other, one in pairwise([start - 1, *ends])) in _TELEPHONE

    def is_list(self, i: int) -> bool:
        """Whether numbers are told off: one more comma between numbers, and no scale before it."""
        start, end = self.first(i), i + 1
        while self[end] in _SPOKEN and self[end + 1] in _SPOKEN and not self.given[end]:
            end += 1
        before = start > 0 and self.given[start - 1] == "," and self[start - 1] in _SPOKEN - {*SCALES}
        behind = self[end] in _SPOKEN - {*SCALES} and self.given[end] == "," and self.after(end) in NUMBER_WORDS
        return before or behind

    def first(self, i: int) -> int:
        """The first of the number words without a mark that end with word `i`."""
        while i > 0 and self[i - 1] in _SPOKEN and not self.given[i - 1]:
            i -= 1
        return i

    def is_close(self, i: int) -> bool:
        """Whether it is known that there is no pause behind word `i`."""
        return self.pauses is not None and self.pauses[i] < CLOSE_SECONDS
