"""What spoken numbers are made of: words and their values, read from a phrase."""

from __future__ import annotations

from collections.abc import Sequence

ONES = {word: n for n, word in enumerate("one two three four five six seven eight nine".split(), 1)}
TEENS = {
    word: n
    for n, word in enumerate(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), 10
    )
}
TENS = {word: 10 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
SCALES = {"thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
DIGITS = {"zero": "0", "oh": "0", "o": "0", **{word: str(n) for word, n in ONES.items()}}
ORDINAL_ONES = {
    word: n for n, word in enumerate("first second third fourth fifth sixth seventh eighth ninth".split(), 1)
}
ORDINALS = {
    **ORDINAL_ONES,
    "tenth": 10, "eleventh": 11, "twelfth": 12, **{word + "th": n for word, n in TEENS.items() if n > 12},
    **{word[:-1] + "ieth": n for word, n in TENS.items()},
}  # fmt: skip
ORDINAL_SCALES = {"hundredth": 100, "thousandth": 1000, "millionth": 10**6}
NUMBER_WORDS = {*ONES, *TEENS, *TENS}
UNITS = frozenset(
    "mile miles kilometer kilometers kilometre kilometres meter meters metre metres centimeter centimeters centimetre "
    "centimetres millimeter millimeters inch inches feet yards acres hectares pound pounds kilogram kilograms kilos "
    "gram grams milligrams ounce ounces ton tons liter liters litre litres milliliters gallon gallons degrees volts "
    "watts kilowatts hertz megahertz gigahertz kilobytes megabytes gigabytes terabytes pixels decibels knots cups "
    "tablespoons tablespoon teaspoons teaspoon".split()
)

CODE_CUES = frozenset(
    "room flight highway route interstate bus number extension code apartment suite area page pin zip gate".split()
)

# What may be followed by "is" and then its number.
ASSIGNED = frozenset("room number extension code pin zip gate".split())

NUMBERED = CODE_CUES | frozenset(
    "chapter channel level grade section part volume verse version step phase figure table act scene episode season "
    "unit track lane platform exit size type model apollo windows article paragraph appendix stage class lesson "
    "age aged".split()
)
STREETS = frozenset("street avenue road drive boulevard lane way court place square".split())
_NO_STREET = frozenset(["", *"the and or but of in on at to is are was were".split()])  # are not in its name
CURRENCIES = {
    "dollar": "$", "dollars": "$", "euro": "€", "euros": "€", "yen": "¥", "rupee": "₹", "rupees": "₹",
}  # fmt: skip


_BEFORE_POINT = ("", "is", "was", "about", "of", "to", "by", "than", "nearly", "only", "minus")


def suffix(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def grouped(number: int) -> str:
    """A number in figures, with a comma at every thousand."""
    return f"{number:,}"


class NumberWords:
    """Words and the readers that find numbers among them; a reader gives None or what it read and where it ended."""

    def __init__(self, words: Sequence[str], marks: Sequence[str]) -> None:
        self.words = words
        self.marks = marks
        self.figures_end = -1  # where the last number written in figures ended

    def __getitem__(self, index: int) -> str:
        return self.words[index] if 0 <= index < len(self.words) else ""

    def after(self, index: int, comma: bool = False) -> str:
        """The word behind the `index`-th, "" if a mark stands between (a comma may, if `comma`)."""
        if index >= len(self.words):
            return ""
        joined = index < 0 or self.marks[index] == "" or (comma and self.marks[index] == ",")
        return self[index + 1] if joined else ""

    def before(self, index: int) -> str:
        return self[index - 1] if index > 0 and self.marks[index - 1] == "" else ""

    def is_code(self, index: int) -> bool:
        """Whether a code begins here: "room three oh five", "the extension is three oh six"."""
        said = self.before(index) in ("is", "was") and self.before(index - 1) in ASSIGNED
        return said or self.before(index) in CODE_CUES

    def below_hundred(self, i: int) -> tuple[int, int] | None:
        word = self[i]
        if word in TENS:
            ones = ONES.get(self.after(i))
            return (TENS[word] + ones, i + 2) if ones else (TENS[word], i + 1)
        value = TEENS.get(word) or ONES.get(word)
        return (value, i + 1) if value else None

    def below_thousand(self, i: int) -> tuple[int, int] | None:
        if self[i] == "a" and self.after(i) == "hundred":
            head: tuple[int, int] | None = (1, i + 1)
        else:
            head = self.below_hundred(i)
        if head is None:
            return None
        value, end = head
        if self.after(end - 1) != "hundred":
            return head
        value, end = value * 100, end + 1
        tail = self.remainder(end, refused=("hundred",))
        return (value + tail[0], tail[1]) if tail else (value, end)

    def remainder(self, end: int, refused: Sequence[str] = ("hundred", *SCALES)) -> tuple[int, int] | None:
        """What may follow a hundred or a thousand: "and five", "twenty"."""
        start = end
        if self.after(end - 1) == "and":
            start = end + 1
        if self.after(start - 1) not in NUMBER_WORDS:
            return None
        tail = self.below_hundred(start)
        if tail is None or self.after(tail[1] - 1) in refused:
            return None
        return None if start > end and self.in_between(end) else tail

    def in_between(self, index: int) -> bool:
        """Whether the "and" at `index` belongs to a "between"."""
        return "between" in self.words[max(0, index - 6) : index] and "and" not in self.words[index + 1 : index + 6]

    def cardinal(self, i: int) -> tuple[int, int] | None:
        """A whole number; "a hundred" alone is none, "a hundred and five" is."""
        total, end, smallest = 0, i, 10**15
        while True:
            start = end
            if end > i and self.after(end - 1) == "and":
                tail = self.remainder(end)
                return (total + tail[0], tail[1]) if tail else (total, end)
            group: tuple[int, int] | None = None
            if end == i or self.after(end - 1) in NUMBER_WORDS:
                group = self.below_thousand(end)
            if end == i and group is None and self[i] == "a" and self.after(i) in SCALES:
                group = (1, i + 1)
            if group is None:
                break
            value, end = group
            scale = SCALES.get(self.after(end - 1), 1)
            if scale >= smallest:
                end = start
                break
            total, smallest = total + value * scale, scale
            if scale == 1:
                break
            end += 1
        alone = self[i] == "a" and end <= i + 2
        return None if total == 0 or alone else (total, end)

    def decimal(self, i: int) -> tuple[str, int] | None:
        """A number with digits behind a point: "three point one four"."""
        whole = ("0", i + 1) if self[i] in ("zero", "oh", "nought") else self.plain(i)
        if self[i] == "point" and self.before(i) in _BEFORE_POINT and self.after(i) in DIGITS:
            decimals = self.run_of_digits(i + 1)
            unit = self.after(decimals[1] - 1) if decimals else ""
            sure = unit in ("", *SCALES) or self.amount_behind(decimals[1] if decimals else i)
            return (f"0.{decimals[0]}", decimals[1]) if decimals and sure else None
        if whole is None or self.after(whole[1] - 1) != "point":
            return None
        decimals = self.run_of_digits(whole[1] + 1) if self.after(whole[1]) else None
        if decimals is None:
            return None
        text, end = f"{whole[0]}.{decimals[0]}", decimals[1]
        while self.after(end - 1) == "point" and (more := self.run_of_digits(end + 1)):  # a version
            text, end = f"{text}.{more[0]}", more[1]
        return text, end

    def plain(self, i: int) -> tuple[str, int] | None:
        number = self.cardinal(i)
        return (grouped(number[0]), number[1]) if number else None

    def run_of_digits(self, i: int) -> tuple[str, int] | None:
        """What follows a point: digits one by one, or a number below a hundred."""
        digits, end = "", i
        while end == i or self.after(end - 1):
            if self[end] not in DIGITS:
                break
            digits, end = digits + DIGITS[self[end]], end + 1
        if not digits and (pair := self.below_hundred(i)):
            return str(pair[0]), pair[1]
        return (digits, end) if digits else None

    def rank(self, i: int) -> tuple[int, int] | None:
        """An ordinal: "twenty first", "one hundred and fifth"."""
        if self[i] in ORDINALS:
            return ORDINALS[self[i]], i + 1
        if self[i] in TENS and self.after(i) in ORDINAL_ONES:
            return TENS[self[i]] + ORDINAL_ONES[self.after(i)], i + 2
        head = (1, i) if self[i] == "hundred" and self.before(i) == "the" else self.below_hundred(i)
        if head and self.after(head[1] - 1) in ORDINAL_SCALES:
            return head[0] * ORDINAL_SCALES[self.after(head[1] - 1)], head[1] + 1
        for size, name in ((1000, "thousand"), (100, "hundred")):
            if head and self.after(head[1] - 1) == name:
                start = head[1] + 1 + (self.after(head[1]) == "and")
                tail = self.rank(start) if self.after(start - 1) else None
                return (head[0] * size + tail[0], tail[1]) if tail and tail[0] < 100 else None
        return None

    def year_value(self, i: int) -> tuple[int, int] | None:
        """A year said as one: "nineteen eighty four", "twenty oh five", "nineteen hundred and two", "two thousand"."""
        century = TEENS.get(self[i]) or (20 if self[i] == "twenty" else None)
        if century:
            behind = self.after(i)
            if behind in ("oh", "o") and self.after(i + 1) in ONES:
                return century * 100 + ONES[self.after(i + 1)], i + 3
            if behind in TEENS or behind in TENS:
                tail = self.below_hundred(i + 1)
                if tail and self.after(tail[1] - 1) not in ("hundred", *SCALES):
                    return century * 100 + tail[0], tail[1]
        number = self.cardinal(i)
        return number if number and 1000 <= number[0] < 2100 and self[i] != "a" else None

    def is_address(self, end: int) -> bool:
        """Whether the number of a house ends here: "sixteen hundred pennsylvania avenue"."""
        for place in range(end, end + 3):
            word = self.after(place - 1)
            if word in STREETS:
                return place > end
            if word in _NO_STREET:
                return False
        return False

    def amount_behind(self, i: int) -> bool:
        return self.after(i - 1) in ("percent", "percentage", "per", "cents", *CURRENCIES, *UNITS)
