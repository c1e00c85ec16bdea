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

from asr.number_words import DIGITS, NUMBER_WORDS, ONES, SCALES, TEENS, TENS, NumberWords, grouped
from asr.results import Word

_DECADES = {word[:-1] + "ies": n for word, n in TENS.items()}
_MONTHS = frozenset("january february march april may june july august september october november december".split())
_VERB_MONTHS = ("may", "march")
_FRACTIONS = {"third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "tenth": 10}
_YEAR_CUES = frozenset("in since of by until till from before after during year circa around early late mid".split())
_TIME_CUES = frozenset(
    "at by around about until till before after from since between to is it's its was nearly almost past".split()
)
_CODE_CUES = frozenset(
    "room flight highway route interstate bus number extension code apartment suite area page pin zip gate".split()
)
_NUMBERED = _CODE_CUES | frozenset(
    "chapter channel level grade section part volume verse version step phase figure table act scene episode season "
    "unit track lane platform exit size type model apollo windows article paragraph appendix stage class lesson".split()
)
_UNITS = frozenset(
    "mile miles kilometer kilometers kilometre kilometres meter meters metre metres centimeter centimeters centimetre "
    "centimetres millimeter millimeters inch inches feet yards acres hectares pound pounds kilogram kilograms kilos "
    "gram grams milligrams ounce ounces ton tons liter liters litre litres milliliters gallon gallons degrees volts "
    "watts kilowatts hertz megahertz gigahertz kilobytes megabytes gigabytes terabytes pixels decibels knots".split()
)
_CURRENCIES = {
    "dollar": "$", "dollars": "$", "euro": "€", "euros": "€", "yen": "¥", "rupee": "₹", "rupees": "₹",
}  # fmt: skip
_ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 9: "IX", 10: "X", 11: "XI",
          12: "XII", 13: "XIII", 14: "XIV", 15: "XV", 16: "XVI", 17: "XVII", 18: "XVIII"}  # fmt: skip
_RULERS = frozenset(
    "henry louis charles george edward richard elizabeth napoleon pius frederick benedict leo gregory ramses".split()
)
_AFTER_RULER = frozenset("of was and had in is who died became king queen".split())
_IDIOMS = {
    ("nine", "eleven"): "9/11", ("twenty", "four", "seven"): "24/7", ("fifty", "fifty"): "50-50",
    ("twenty", "twenty", "vision"): "20/20 vision",
}  # fmt: skip
_LETTER_WORDS = frozenset("aio")
_ACRONYMS = frozenset("tv cd dvd pdf pc dj id gps ceo cv ad mp pr dna vip suv url pin usb ufo us uk".split())
_PRONOUNS = frozenset("them us you those these".split())


@dataclass(frozen=True, slots=True)
class Written:
    """Words `start` to `end` (exclusive) of a phrase, written as `text`."""

    start: int
    end: int
    text: str


def write_numbers(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words with every number as it is written: its first word holds it, the others hold "".

    Marks and capitals that `written` has already are kept; no number crosses a mark, apart from a comma before the
    year of a date. `Word.text` and times stay, so that nothing is lost.
    """
    texts = [word.text.lower() for word in words]
    marks = ["" if word.written is None else word.written[len(word.written.rstrip(".,?!;:")) :] for word in words]
    result = list(words)
    for span in find_numbers(texts, marks):
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


def _suffix(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


class _Phrase(NumberWords):
    """A phrase whose readers find numbers; a reader gives None, or what it read and where it ended."""

    def __init__(self, words: Sequence[str], marks: Sequence[str]) -> None:
        super().__init__(words, marks)
        self.figures_end = -1  # where the last number written in figures ended

    def numbers(self) -> Iterator[Written]:
        readers: tuple[Callable[[int], tuple[str, int] | None], ...] = (
            self.idiom, self.date, self.time, self.digits, self.letters, self.ruler, self.decade, self.year,
            self.fraction, self.ordinal, self.code, self.amount, self.juxtaposed, self.number,
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

    # The readers, from the particular to the general.

    def idiom(self, i: int) -> tuple[str, int] | None:
        for words, text in _IDIOMS.items():
            end = i + len(words)
            if tuple(self.words[i:end]) == words and not any(self.marks[i : end - 1]) and not self.amount_behind(end):
                return text, end
        return None

    def date(self, i: int) -> tuple[str, int] | None:
        """ "may third nineteen eighty four", "the third of may", "june two thousand five"."""
        if self[i] in _MONTHS and self.after(i):
            month = self[i].capitalize()
            year = self.year_value(i + 1)
            day = self.rank(i + 2) if self.after(i) == "the" and self.after(i + 1) else self.rank(i + 1)
            if day is None and self[i] not in _VERB_MONTHS and not (year and year[0] >= 1100):
                day = self.below_hundred(i + 1)
            if day and day[0] < 32 and self.is_day(i):
                return self.with_year(f"{month} {day[0]}", day[1], ", ")
            return (f"{month} {year[0]}", year[1]) if year else None
        day = self.rank(i)
        if day and day[0] < 32 and self.after(day[1] - 1) == "of" and self.after(day[1]) in _MONTHS:
            text = f"{day[0]}{_suffix(day[0])} of {self[day[1] + 1].capitalize()}"
            return self.with_year(text, day[1] + 2, " ")
        return None

    def is_day(self, month: int) -> bool:
        """Whether "may first" is a day and no verb: "you may first want to"."""
        if self[month] not in _VERB_MONTHS or self[month + 1] not in ("first", "second"):
            return True
        before = self.before(month)
        return before in _YEAR_CUES or before in ("", "on", "through", "to") or before.endswith("day")

    def with_year(self, date: str, end: int, joint: str) -> tuple[str, int]:
        if self.after(end - 1, comma=True):
            year = self.year_value(end)
            if year:
                return f"{date}{joint}{year[0]}", year[1]
        return date, end

    def time(self, i: int) -> tuple[str, int] | None:
        """ "five thirty p m", "five o'clock", "fourteen hundred hours", and "at five thirty"."""
        hour = self.below_hundred(i)
        if self[i] in ("zero", "oh") and self.after(i) in ONES and self.after(i + 1) == "hundred":
            return (f"0{ONES[self[i + 1]]}00", i + 3) if self.after(i + 2) == "hours" else None
        if hour is None or hour[0] > 24:
            return None
        hours, end = hour
        if self.after(end - 1) == "hundred" and self.after(end) == "hours":
            return f"{hours:02}00", end + 1
        if self.after(end - 1) == "o'clock":
            return str(hours), end
        minute = self.minutes(end)
        half = self.half_day(minute[1] if minute else end)
        if half and hours < 13:
            return f"{hours}:{minute[0]:02} {half}" if minute else f"{hours} {half}", (minute[1] if minute else end) + 2
        if minute is None or self.before(i) in _CODE_CUES or self.amount_behind(minute[1]):
            return None
        cued = self.before(i) in _TIME_CUES or self.in_day(minute[1])
        plain = minute[0] in (15, 30, 45) or self[end] in ("oh", "o") or hours > 9
        plain = plain and not (hours > 9 and self.before(i) == "in")  # a year
        if (cued and (hours < 13 or self.before(i) == "at")) or (hours < 13 and plain):
            return f"{hours}:{minute[0]:02}", minute[1]
        return None

    def minutes(self, i: int) -> tuple[int, int] | None:
        if not self.after(i - 1):
            return None
        if self[i] in ("oh", "o") and self.after(i) in ONES:
            return None if self.after(i + 1) in DIGITS else (ONES[self[i + 1]], i + 2)
        if self[i] not in TEENS and self[i] not in TENS:
            return None
        minute = self.below_hundred(i)
        more = minute and self.after(minute[1] - 1) in ("hundred", *SCALES, *DIGITS)
        return minute if minute and minute[0] < 60 and not more else None

    def half_day(self, i: int) -> str | None:
        if self.after(i - 1) in ("a", "p") and self.after(i) == "m":
            return f"{self[i]}.m."
        return None

    def in_day(self, i: int) -> bool:
        return self.after(i - 1) in ("in", "at", "this", "tomorrow") and bool(
            {"morning", "afternoon", "evening", "night", "tomorrow"} & set(self.words[i : i + 3])
        )

    def amount_behind(self, i: int) -> bool:
        return self.after(i - 1) in ("percent", "per", "cents", *_CURRENCIES, *_UNITS)

    def digits(self, i: int) -> tuple[str, int] | None:
        """Digits one by one, three and more: telephone numbers, codes, "double oh seven"; no counting from one."""
        digits, end = "", i
        while end == i or self.after(end - 1):
            word, times = self[end], 1
            if word in ("double", "triple") and self.after(end) in DIGITS:
                times, end = (2 if word == "double" else 3), end + 1
                word = self[end]
            if word == "hundred" and 0 < len(digits) < 3 and self.after(end) in DIGITS:
                digits, end = digits + "00", end + 1
                continue
            if word not in DIGITS:
                break
            digits, end = digits + DIGITS[word] * times, end + 1
        if "hundred" in self.words[i:end] and len(digits) < 10:
            return None
        if self.after(end - 1) in ("hundred", "point", *SCALES) and end > i:
            return None
        counting = "123456789".startswith(digits) and self.before(i) not in _CODE_CUES
        if len(digits) < 3 or counting or (self[i] in ("oh", "o") and len(digits) < 4 and end - i < 4):
            return None
        if len(digits) == 7:
            return f"{digits[:3]}-{digits[3:]}", end
        if len(digits) in (10, 11) and (len(digits) == 10 or digits[0] == "1"):
            country = "1-" if len(digits) == 11 else ""
            return f"{country}{digits[-10:-7]}-{digits[-7:-4]}-{digits[-4:]}", end
        return digits, end

    def letters(self, i: int) -> tuple[str, int] | None:
        """Letters one by one: "f b i" FBI, "m p three" MP3, and S-M-I-T-H after "spelled"."""
        end = i
        while len(self[end]) == 1 and self[end].isalpha() and (end == i or self.after(end - 1)):
            end += 1
        run = "".join(self.words[i:end])
        number = self.below_hundred(end) if run and self.after(end - 1) in NUMBER_WORDS else None
        if len(run) < 2:
            if number is None or self.amount_behind(number[1]):
                return None
            if run == "i" and self.before(i) in ("the", "on") and number[0] > 9:
                return f"I-{number[0]}", number[1]  # an interstate
            return (f"{run.upper()}{number[0]}", number[1]) if run not in _LETTER_WORDS else None
        if self.before(i) in ("spelled", "spelt", "spell", "spelling"):
            return "-".join(run.upper()), end
        if run[0] in _LETTER_WORDS and run[1:] in _ACRONYMS:
            return "", i + 1
        if run[-1] in _LETTER_WORDS and run[:-1] in _ACRONYMS and run != "usa":
            run, end, number = run[:-1], end - 1, None
        if len(run.strip("aio")) < 2 and set(run) & _LETTER_WORDS and len(run) < 4 and self.before(i) != "an":
            return ("USA", end) if run == "usa" else ("", end)
        if run in ("eg", "ie", "am", "pm"):
            return f"{run[0]}.{run[1]}.", end
        return (f"{run.upper()}{number[0]}", number[1]) if number else (run.upper(), end)

    def ruler(self, i: int) -> tuple[str, int] | None:
        """ "henry the eighth", "world war two"."""
        if self[i] == "world" and self.after(i) == "war" and self.after(i + 1) in ("one", "two"):
            return f"World War {_ROMAN[ONES[self[i + 2]]]}", i + 3
        if self[i] not in _RULERS or self.after(i) != "the" or not self.after(i + 1):
            return None
        rank = self.rank(i + 2)
        if rank is None or rank[0] not in _ROMAN:
            return None
        following = self.after(rank[1] - 1)
        if rank[0] < 4 and following and following not in _AFTER_RULER:
            return None
        return f"{self[i].capitalize()} {_ROMAN[rank[0]]}", rank[1]

    def decade(self, i: int) -> tuple[str, int] | None:
        """ "the nineteen eighties", "the nineties", "her twenties"."""
        century = TEENS.get(self[i]) or (20 if self[i] == "twenty" else None)
        if century and self.after(i) == "hundreds":
            return f"{century}00s", i + 2
        if century and self.after(i) in _DECADES:
            return f"{century}{_DECADES[self[i + 1]]}s", i + 2
        if self[i] in _DECADES:
            before = self.before(i)
            owner = self.before(i - 1) if before in ("early", "mid", "late") else before
            if owner == "the":
                return f"'{_DECADES[self[i]]}s", i + 1
            if owner in ("his", "her", "their", "my", "our", "your"):
                return f"{_DECADES[self[i]]}s", i + 1
        return None

    def year(self, i: int) -> tuple[str, int] | None:
        if self[i] in TENS and self.before(i) == "of" and self.before(i - 1) in ("class", "summer", "spirit", "winter"):
            short = self.below_hundred(i)
            return (f"'{short[0]}", short[1]) if short else None
        year = self.year_value(i)
        if year is None or self.amount_behind(year[1]) or self.after(year[1] - 1) == "point":
            return None
        said = self.words[i : year[1]]
        said_as_year = "thousand" not in said and (said[1] != "hundred" or (len(said) > 2 and said[0] in TEENS))
        counts = "hundred" in said or "thousand" in said
        if counts and self.after(year[1] - 1).endswith("s") and self.after(year[1] - 1) not in ("was", "is", "has"):
            return None
        cued = self.before(i) in _YEAR_CUES
        return (str(year[0]), year[1]) if said_as_year or cued else None

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
            money = _CURRENCIES.get(self.after(end - 1))
            return (f"{money}{text}", end + 1) if money and "/" not in text else (text, end)
        if self.after(end - 1) == "and" and self.after(end) in ONES and self.after(end + 1)[:-1] in _FRACTIONS:
            over, under = ONES[self[end + 1]], _FRACTIONS[self[end + 2][:-1]]
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
        return (f"{grouped(rank[0])}{_suffix(rank[0])}", rank[1]) if rank[0] > 9 else ("", rank[1])

    def amount(self, i: int) -> tuple[str, int] | None:
        """A number with what it counts: money, percent, units, ages, and "two million"."""
        sign, start = ("-", i + 1) if self[i] in ("minus", "negative") and self.after(i) else ("", i)
        if sign and (self.before(i) in NUMBER_WORDS or len(self.before(i)) == 1 or self[start] == "a"):
            return None
        number = self.round_number(start) or self.decimal(start) or self.plain(start)
        if number is None:
            return self.one(i)
        text, end = number
        unit = self.after(end - 1)
        if unit in _CURRENCIES:
            return self.cents(f"{sign}{_CURRENCIES[unit]}{text}", end + 1)
        if unit in ("pound", "pounds") and self.after(end) == "sterling":
            return f"{sign}£{text}", end + 2
        if unit in ("pounds", "pound") and "." not in text and self.pence(end + 1):
            return self.cents(f"£{text}", end + 1)
        if unit == "percent":
            return f"{sign}{text}%", end + 1
        if unit == "per" and self.after(end) == "cent":
            return f"{sign}{text}%", end + 2
        if unit == "year" and self.after(end) in ("old", "olds"):
            return f"{text}-year-{self[end + 1]}", end + 2
        if unit == "years" and self.after(end) == "old":
            return text, end
        counted = unit in _UNITS or unit in ("cents", "cent") or self.before(i) in _NUMBERED
        if self.before(i) in _NUMBERED and unit == "of" and self.after(end) in _PRONOUNS:
            counted = False
        if unit == "foot" and self.after(end) in NUMBER_WORDS:
            counted = True
        if unit in ("foot", "feet") and text == "1":
            counted = False
        if self.before(i) in ("foot", "feet") and self.figures_end == i - 1:
            counted = True
        large = "." in text or " " in text or bool(sign)
        return (f"{sign}{text}", end) if counted or large else None

    def one(self, i: int) -> tuple[str, int] | None:
        """ "a hundred dollars", "a million dollars", "a hundred percent", "a dollar fifty"."""
        if self[i] != "a" or self.before(i) == "half":
            return None
        unit = self.after(i)
        if unit in ("dollar", "euro"):
            money, end = self.cents(f"{_CURRENCIES[unit]}1", i + 2)
            return (money, end) if end > i + 2 else None
        text = {"hundred": "100", "thousand": "1,000", "million": "1 million", "billion": "1 billion"}.get(unit)
        counted = self.after(i + 1) if text else ""
        if counted in _CURRENCIES:
            return f"{_CURRENCIES[counted]}{text}", i + 3
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

    def code(self, i: int) -> tuple[str, int] | None:
        """Numbers side by side after what they number: "flight two twenty", "room three oh five"."""
        parts = self.side_by_side(i) if self.before(i) in _CODE_CUES else None
        return ("".join(parts[0]), parts[1]) if parts else None

    def juxtaposed(self, i: int) -> tuple[str, int] | None:
        """ "one fifty" 150; other numbers side by side stay as they are."""
        found = self.side_by_side(i)
        if found is None:
            return None
        parts, end = found
        hundreds = len(parts) == 2 and len(parts[0]) == 1 and 20 <= int(parts[1]) < 100
        return ("".join(parts) if hundreds else "", end)

    def side_by_side(self, i: int) -> tuple[list[str], int] | None:
        first = self.cardinal(i)
        if first is None:
            return None
        parts, end = [str(first[0])], first[1]
        while self.after(end - 1) in {*NUMBER_WORDS, "oh"}:
            part = self.below_hundred(end)
            parts.append(str(part[0]) if part else "0")
            end = part[1] if part else end + 1
        return (parts, end) if len(parts) > 1 else None

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
        if value > 9 or self.in_range(i, end):
            return grouped(value), end
        return "", end

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
