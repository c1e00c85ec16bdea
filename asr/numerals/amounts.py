"""Numbers of things: money, percentages, measures, fractions, ranks."""

from __future__ import annotations

from asr.numerals.words import (
    CURRENCIES,
    NUMBER_WORDS,
    NUMBERED,
    ONES,
    SCALES,
    TENS,
    UNITS,
    NumberWords,
    grouped,
    suffix,
)

_FRACTIONS = {"third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
              "tenth": 10, "twelfth": 12, "sixteenth": 16}  # fmt: skip
# "a five mile run", but not "five mile of", "six foot tall", "ten year ago".
_COMPOUND_UNITS = frozenset(
    "mile kilometer kilometre meter metre centimeter centimetre millimeter inch foot yard pound kilogram gram ounce "
    "ton liter litre gallon".split()
)
_COMPOUND_WORDS = frozenset("minute hour day week month year page story bedroom lane person part bit".split())
_DIMENSIONS = frozenset("tall wide long deep high".split())
_NO_COMPOUND = _DIMENSIONS | frozenset(
    "a the of and or but to in on at by for from with per than that is was are were has had i he she it we they you "
    "more less later earlier ago before after old olds away".split()
)
_GAME_CUES = frozenset(
    "score win wins won lose loses lost beat beats beaten lead leads led tie tied trail trailing defeated game match "
    "final victory defeat".split()
)
_AFTER_SCORE = frozenset(
    "in on at against over and but after before with by for yesterday today tonight last this so when".split()
)
_PRONOUNS = frozenset("them us you those these".split())


class Amounts(NumberWords):
    """Readers of numbers that count."""

    def fraction(self, i: int) -> tuple[str, int] | None:
        """ "two and a half" 2 1/2, "two and a half million" 2.5 million, "two thirds" two-thirds."""
        number = self.cardinal(i)
        if number is None:
            return None
        value, end = number
        if self.after(end - 1) == "and" and self.after(end) == "a" and self.after(end + 1) in ("half", "quarter"):
            half = self[end + 2] == "half"
            if self.after(end + 2) in SCALES:
                text, end = f"{value}.{'5' if half else '25'} {self[end + 3]}", end + 4
            else:
                text, end = f"{grouped(value)} {'1/2' if half else '1/4'}", end + 3
                if self.after(end - 1) == "percent":
                    return f"{grouped(value)}.{'5' if half else '25'}%", end + 1
            money = CURRENCIES.get(self.after(end - 1))
            return (f"{money}{text}", end + 1) if money and "/" not in text else (text, end)
        if self.after(end - 1) == "and" and self.after(end) == "one" and self.after(end + 1) in ("half", *_FRACTIONS):
            under = _FRACTIONS.get(self[end + 2], 2)
            return f"{grouped(value)} 1/{under}", end + 3
        named = self.after(end + 1).removesuffix("s")
        if self.after(end - 1) == "and" and self.after(end) in ONES and named in _FRACTIONS:
            over, under = ONES[self[end + 1]], _FRACTIONS[named]
            return (f"{grouped(value)} {over}/{under}", end + 3) if 1 < over < under else None
        part = self.after(end - 1)
        name = part.removesuffix("s")
        if value == 1 and (part == "half" or (part in _FRACTIONS and self.after(end) in ("of", ""))):
            return f"one-{part}", end + 1
        if 1 < value < _FRACTIONS.get(name, 0) and part.endswith("s"):
            return f"{self[i]}-{part}", end + 1
        return None

    def ordinal(self, i: int) -> tuple[str, int] | None:
        rank = self.rank(i)
        if rank is None:
            return None
        if self[rank[1] - 1] == "second" and rank[1] - i == 2 and self.before(i) in ("a", "every", "another"):
            return f"{TENS[self[i]]}-second", rank[1]
        return (f"{grouped(rank[0])}{suffix(rank[0])}", rank[1]) if rank[0] > 9 else ("", rank[1])

    def amount(self, i: int) -> tuple[str, int] | None:
        """A number with what it counts: money, percent, units, ages, and "two million"."""
        sign, start = ("-", i + 1) if self[i] in ("minus", "negative") and self.after(i) else ("", i)
        if sign and (self.before(i) in NUMBER_WORDS or len(self.before(i)) == 1 or self[start] == "a"):
            return None
        number = self.round_number(start) or self.decimal(start) or self.plain(start) or self.nothing(start)
        if number is None:
            return self.one(i)
        text, end = number
        unit = self.after(end - 1)
        if unit in CURRENCIES:
            return self.cents(f"{sign}{CURRENCIES[unit]}{text}", end + 1)
        if unit in ("pound", "pounds") and self.after(end) == "sterling":
            return f"{sign}£{text}", end + 2
        if unit in ("pounds", "pound") and "." not in text and self.pence(end + 1):
            return self.cents(f"£{text}", end + 1)
        if unit == "percent":
            return f"{sign}{text}%", end + 1
        if unit == "percentage" and self.after(end).startswith("point"):
            return f"{sign}{text}", end
        if unit == "per" and self.after(end) == "cent":
            return f"{sign}{text}%", end + 2
        if unit == "year" and self.after(end) in ("old", "olds"):
            return f"{text}-year-{self[end + 1]}", end + 2
        if unit == "years" and self.after(end) == "old":
            return text, end
        if sign and self[i] == "minus" and unit in ("degree", "degrees"):
            return f"minus {text}", end
        if self.before(i) in ("apartment", "suite", "gate", "unit") and len(unit) == 1 and unit not in "aio":
            return f"{text}{unit.upper()}", end + 1
        counted = unit in UNITS or unit in ("cents", "cent") or self.before(i) in NUMBERED
        if self.before(i) in NUMBERED and unit == "of" and self.after(end) in _PRONOUNS:
            counted = False
        if unit == "foot" and self.after(end) in {*NUMBER_WORDS, *_DIMENSIONS}:
            counted = True
        if unit in ("foot", "feet") and text == "1":
            counted = False
        if self.before(i) in ("foot", "feet") and self.figures_end == i - 1:
            counted = True
        large = "." in text or " " in text or bool(sign)
        return (f"{sign}{text}", end) if counted or large else None

    def compound(self, i: int) -> tuple[str, int] | None:
        """ "a five mile run" 5-mile, "a two hour delay" two-hour."""
        number = self.cardinal(i)
        if number is None or number[0] < 2:
            return None
        value, end = number
        unit, behind = self.after(end - 1), self.after(end)
        if not behind or behind in _NO_COMPOUND or behind in NUMBER_WORDS or len(behind) == 1:
            return None
        if unit in _COMPOUND_UNITS or (unit in _COMPOUND_WORDS and value > 9):
            return f"{grouped(value)}-{unit}", end + 1
        return (f"{self[i]}-{unit}", end + 1) if unit in _COMPOUND_WORDS else None

    def score(self, i: int) -> tuple[str, int] | None:
        """ "they won three to one" 3-1."""
        first = self.cardinal(i)
        if first is None or self.after(first[1] - 1) != "to" or not self.after(first[1]) or self.before(i) == "at":
            return None
        second = self.cardinal(first[1] + 1)
        start = i
        while start > max(0, i - 6) and self.before(start):
            start -= 1
        if second is None or not _GAME_CUES & set(self.words[start:i]):
            return None
        behind = self.after(second[1] - 1)
        return (f"{first[0]}-{second[0]}", second[1]) if behind == "" or behind in _AFTER_SCORE else None

    def nothing(self, i: int) -> tuple[str, int] | None:
        return ("0", i + 1) if self[i] == "zero" and self.amount_behind(i + 1) else None

    def one(self, i: int) -> tuple[str, int] | None:
        """ "a hundred dollars", "a million dollars", "a hundred percent", "a dollar fifty"."""
        if self[i] != "a" or self.before(i) == "half":
            return None
        unit = self.after(i)
        if unit in ("dollar", "euro"):
            money, end = self.cents(f"{CURRENCIES[unit]}1", i + 2)
            return (money, end) if end > i + 2 else None
        text = {"hundred": "100", "thousand": "1,000", "million": "1 million", "billion": "1 billion"}.get(unit)
        counted = self.after(i + 1) if text else ""
        if counted in CURRENCIES:
            return f"{CURRENCIES[counted]}{text}", i + 3
        return (f"{text}%", i + 3) if counted == "percent" else None

    def round_number(self, i: int) -> tuple[str, int] | None:
        """ "two million", "three point five billion"."""
        count = self.decimal(i) or (None if self[i] == "a" else self.small(i))
        if count and self.after(count[1] - 1) in ("million", "billion", "trillion"):
            end = count[1] + 1
            if self.after(end - 1) not in {*NUMBER_WORDS, *SCALES} and not self.remainder(end):
                return f"{count[0]} {self[end - 1]}", end
        return None

    def small(self, i: int) -> tuple[str, int] | None:
        number = self.below_thousand(i)
        return (str(number[0]), number[1]) if number else None

    def pence(self, i: int) -> tuple[int, int] | None:
        start = i + 1 if self.after(i - 1) == "and" else i
        if self.after(start - 1) not in NUMBER_WORDS:
            return None
        number = self.below_hundred(start)
        if number and self.after(number[1] - 1) in ("cents", "cent", "pence"):
            return number[0], number[1] + 1
        return number if number and start == i and number[0] > 9 else None

    def cents(self, money: str, end: int) -> tuple[str, int]:
        small = self.pence(end) if "." not in money and " " not in money else None
        return (f"{money}.{small[0]:02}", small[1]) if small else (money, end)

    def number(self, i: int) -> tuple[str, int] | None:
        """A number of ten and more; of less in a range with one of ten and more: "five to ten"."""
        number = self.cardinal(i)
        if number is None:
            return None
        value, end = number
        if self.after(end - 1) == "past" and self.after(end) in NUMBER_WORDS:
            return "", (self.below_hundred(end + 1) or number)[1]
        if self.before(i) in ("to", "past") and self.before(i - 1) in ("quarter", "half"):
            return "", end
        if self.is_time_to(i, value, end):
            return "", end + 2
        if money := self.range_of_money(i, value, end):
            return money
        if scaled := self.shared_scale(i, value, end):
            return scaled
        if value > 9 or self.in_range(i, end):
            return (str(value) if self.is_address(end) else grouped(value)), end
        return "", end

    def is_time_to(self, i: int, value: int, end: int) -> bool:
        """Whether this is said of a clock: "it is ten to nine"."""
        said = self.before(i) in ("is", "it's", "at", "was") and value in (5, 10, 20, 25)
        hour = self.below_hundred(end + 1) if said and self.after(end - 1) == "to" and self.after(end) else None
        return hour is not None and hour[0] <= 12 and not self.after(hour[1] - 1).endswith("s")

    def range_of_money(self, i: int, value: int, end: int) -> tuple[str, int] | None:
        """ "five to ten dollars" is $5 to $10, "two to three million dollars" $2 million to $3 million."""
        if self.after(end - 1) not in ("to", "or", "and") or not self.after(end):
            return None
        if self.after(end - 1) == "and" and self.before(i) != "between":
            return None
        other = self.cardinal(end + 1)
        sign = CURRENCIES.get(self.after(other[1] - 1)) if other else None
        if other is None or sign is None or value >= other[0]:
            return None
        scale = SCALES.get(self[other[1] - 1], 100 if self[other[1] - 1] == "hundred" else 1)
        if scale < 10**6 or other[0] % scale:
            return f"{sign}{grouped(value * scale if value * scale <= other[0] else value)}", end
        return f"{sign}{value} {self[other[1] - 1]}", end

    def shared_scale(self, i: int, value: int, end: int) -> tuple[str, int] | None:
        """ "five or six hundred" is 500 or 600."""
        joint = self.after(end - 1)
        if not (joint in ("to", "or") or (joint == "and" and self.before(i) == "between")) or not self.after(end):
            return None
        other = self.cardinal(end + 1)
        if other is None or value % 100 == 0:
            return None
        scale = {"hundred": 100, "thousand": 1000}.get(self[other[1] - 1], 0)
        return (grouped(value * scale), end) if scale and value * scale <= other[0] else None

    def in_range(self, i: int, end: int) -> bool:
        """Whether a small number stands with one in figures: "five to ten", "ten or so to nine", "nine out of ten"."""
        joint = self.after(end - 1)
        start = end + 2 if joint == "out" and self.after(end) == "of" else end + 1
        joined = (
            joint in ("to", "or")
            or (joint == "in" and self.before(i) != "the")
            or start > end + 1
            or (joint == "and" and self.before(i) == "between")
        )
        other = self.cardinal(start) if joined and self.after(start - 1) else None
        if (
            other
            and (other[0] > 9 or self.amount_behind(other[1]))
            and self.after(other[1] - 1) not in ("past", "point")
        ):
            return True
        return self.before(i) in ("to", "or") and self.figures_end == i - 1
