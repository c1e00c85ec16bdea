"""Figures as they are spoken: numbers, years, ordinals, dates, times, money, units and Roman numerals.

Rules run one after the other, the most particular first. Where a figure can be read in several ways, the reading is
American (no "and" in numbers) and the commonest one; where none can be told, the figure stays, for
`asr.text.normalize` to refuse. The inverse, from spoken words to figures, is `asr.numerals`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_LARGEST = 10**15 - 1
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 8: "eighth", 10: "tenth", 16: "sixteenth"}
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}
_MONTHS = (
    "January February March April May June July August September October November December "
    "Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
).split()
_FULL_MONTHS = {month[:3]: month.lower() for month in _MONTHS[:12]}
_CURRENCIES = {"$": ("dollar", "cent"), "£": ("pound", "pence"), "€": ("euro", "cent")}
_MAGNITUDES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
_UNITS = {
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "mi": "mile", "ft": "foot", "yd": "yard",
    "yds": "yard", "kg": "kilogram", "kgs": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound", "lbs": "pound",
    "oz": "ounce", "ml": "milliliter", "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz",
    "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte", "mph": "mile an hour",
    "km/h": "kilometer an hour", "kmh": "kilometer an hour", "kph": "kilometer an hour", "hr": "hour", "hrs": "hour",
    "min": "minute", "mins": "minute", "sec": "second", "secs": "second", "yr": "year", "yrs": "year", "°": "degree",
    "°c": "degree celsius", "°f": "degree fahrenheit", "kw": "kilowatt", "kwh": "kilowatt hour",
}  # fmt: skip
_CUES = {"no": "number", "nos": "numbers", "p": "page", "pp": "pages", "vol": "volume", "fig": "figure",
         "figs": "figures", "ch": "chapter", "chap": "chapter", "#": "number"}  # fmt: skip
_TEAMS = {"49ers": "forty niners", "76ers": "seventy sixers", "24/7": "twenty four seven", "9/11": "nine eleven"}


def cardinal(number: int) -> str:
    """The words of a whole number: 1984 is "one thousand nine hundred eighty four"."""
    if number < 20:
        return _ONES[number]
    for size, name in _SCALES:
        if number >= size:
            count, rest = divmod(number, size)
            return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f" {_ONES[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """The words of a rank: 21 is "twenty first"."""
    head, _, last = cardinal(number).rpartition(" ")
    last = _ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return f"{head} {last}".lstrip()


def year(number: int) -> str:
    """A number of four digits as a year: 1984 is "nineteen eighty four", 1905 "nineteen oh five"."""
    century, rest = divmod(number, 100)
    if not 10 <= century <= 20 or (century in (10, 20) and rest < 10):
        return cardinal(number)
    return f"{cardinal(century)} {_two_digits(rest) if rest else 'hundred'}"


def spell_out(text: str) -> str:
    """`text` with its figures written as words; figures whose reading is not known stay as they are."""
    for pattern, reading in _RULES:
        text = pattern.sub(reading, text)
    return text.replace(" 's ", "'s ")


def spell_roman(text: str) -> str:
    """`text` with Roman numerals after a ruler's name ("the fourth") or a part's ("chapter four") written as words.

    Of the others, those that can be nothing else become digits, which `asr.text.normalize` refuses.
    """
    return _ROMAN.sub(_roman, text)


def _two_digits(number: int) -> str:
    return f"oh {_ONES[number]}" if number < 10 else cardinal(number)


def _each_digit(digits: str) -> str:
    return " ".join("oh" if digit == "0" else _ONES[int(digit)] for digit in digits if digit.isdigit())


def _plural(word: str, number: str) -> str:
    first, _, rest = word.partition(" ")
    if number != "1" and first not in ("pence", "hertz"):
        first = {"foot": "feet"}.get(first, first + "s")
    return f"{first} {rest}".rstrip()


def _number(digits: str, years: bool = False) -> str:
    """A number with thousands commas or a decimal point; `years`: four digits alone are a year."""
    whole, point, fraction = digits.replace(",", "").partition(".")
    if point:
        decimals = " ".join(_ONES[int(digit)] for digit in fraction)
        return f"{_number(whole)} point {decimals}" if whole else f"point {decimals}"
    if len(whole) > 1 and whole[0] == "0":
        return _each_digit(whole)
    if years and len(digits) == 4 and digits.isdigit() and (digits < "2100"):
        return year(int(digits))
    if years and digits.isdigit() and len(digits) > 4 and not digits.endswith("00"):
        return _each_digit(digits)
    return cardinal(int(whole)) if int(whole) <= _LARGEST else _each_digit(whole)


def _clock(hours: str, minutes: str | None, half: str | None) -> str | None:
    if int(hours) > 24:
        return None
    suffix = f" {half.lower()} m" if half else ""
    if minutes is None or int(minutes) == 0:
        return cardinal(int(hours)) + (suffix or (" o'clock" if 0 < int(hours) < 13 else " hundred hours"))
    return f"{cardinal(int(hours))} {_two_digits(int(minutes))}{suffix}"


def _sterling(match: re.Match[str]) -> str:
    spoken = (
        f"{_number(match[1])} {_plural('pound', match[1])} {cardinal(int(match[2]))} {_plural('shilling', match[2])}"
    )
    return spoken + (f" {cardinal(int(match[3]))} pence" if match[3] else "")


def _money(match: re.Match[str]) -> str:
    sign, amount, magnitude, hyphen = match.groups()
    unit, small = _CURRENCIES[sign]
    if magnitude:
        magnitude = _MAGNITUDES.get(magnitude.lower(), magnitude)
        adjective = hyphen or f"{amount}-" in match[0]
        return f"{_number(amount)} {magnitude} {unit if adjective else unit + 's'}"
    whole, _, cents = amount.partition(".")
    if len(cents) != 2:
        return f"{_number(amount)} {unit if hyphen else _plural(unit, amount)}"
    spoken = [] if int(whole.replace(",", "")) == 0 else [f"{_number(whole)} {_plural(unit, whole)}"]
    if int(cents):
        spoken.append(f"{cardinal(int(cents))} {_plural(small, cents.lstrip('0'))}")
    return " and ".join(spoken) or f"zero {unit}s"


def _date(month: str, day: str) -> tuple[str, str] | None:
    return (_FULL_MONTHS[month[:3]], ordinal(int(day))) if 0 < int(day) < 32 else None


def _month_day(match: re.Match[str]) -> str | None:
    date = _date(match[1], match[2])
    return f"{date[0]} {date[1]}" if date else None


def _day_month(match: re.Match[str]) -> str | None:
    date = _date(match[2], match[1])
    return f"the {date[1]} of {date[0]}" if date else None


def _decade(match: re.Match[str]) -> str:
    head, _, last = _number(match[1], years=True).rpartition(" ")
    return f"{head} {last[:-1] + 'ies' if last.endswith('y') else last + 's'}"


def _fraction(match: re.Match[str]) -> str | None:
    whole, over, under = match[1], int(match[2]), int(match[3])
    if not 0 < over < under or under not in _PARTS:
        return None
    part = _PARTS[under] if over == 1 else ("halve" if under == 2 else _PARTS[under]) + "s"
    if whole:
        return f"{_number(whole)} and {'a' if over == 1 else cardinal(over)} {part}"
    return f"{cardinal(over)} {part}"


def _measure(match: re.Match[str]) -> str:
    sign, quantity, hyphen, unit = match.groups()
    name = _UNITS[unit.lower()]
    adjective = hyphen == "-" or match.string[match.end() : match.end() + 1] == "-"
    return f"{'minus ' if sign else ''}{_number(quantity)} {name if adjective else _plural(name, quantity)}"


def _range(match: re.Match[str]) -> str:
    low, high = match.groups()
    two = len(low) == 4 and len(high) == 2 and high[0] != "0"
    return f"{_number(low, years=True)} to {cardinal(int(high)) if two else _number(high, years=True)}"


def _roman(match: re.Match[str]) -> str:
    head, numeral, ending = match.groups()
    if not _ROMAN_NUMBER.fullmatch(numeral):
        return match.group()
    values = [_ROMAN_VALUES[letter] for letter in numeral]
    value = sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
    name = (head or "").lower()
    known = head and head[0].isupper()
    if known and name in _RULERS and (numeral != "I" or ending is not None):
        return f"{head} the {ordinal(value)}"
    if name in _NUMBERED and (known or len(numeral) > 1):
        return f"{head} {cardinal(value)}"
    return match.group().replace(numeral, str(value)) if numeral in _PLAINLY_ROMAN else match.group()


_I = r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+"
_N = rf"(?:(?:{_I})(?:\.[0-9]+)?)"  # a number
_BEFORE = r"(?<![\w.,:/$£€])"  # nothing that makes what follows a part of something longer
_AFTER = r"(?![\w/%]|[:.,][0-9])"
_MONTH = "|".join(re.escape(month) for month in sorted(_MONTHS, key=len, reverse=True))
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))

_Reading = Callable[[re.Match[str]], str | None]


def _rule(pattern: str, reading: _Reading) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    def spaced(match: re.Match[str]) -> str:
        spoken = reading(match)
        return match.group() if spoken is None else f" {spoken} "

    return re.compile(pattern), spaced


_RULES = [
    _rule("[" + "".join(_VULGAR) + "]", lambda m: _VULGAR[m[0]]),
    _rule("(?<!\\w)(?:" + "|".join(_TEAMS) + ")(?![\\w/])", lambda m: _TEAMS[m[0]]),
    _rule(rf"(?i:\b({'|'.join(_CUES)})\. ?|(#) ?)(?=[0-9])", lambda m: _CUES[(m[1] or m[2]).lower()]),
    _rule(rf"£ ?({_I}) ([0-9]{{1,2}})s\b\.?(?: ([0-9]{{1,2}})d\b\.?)?", _sterling),
    _rule(
        rf"(?:\b(?:US|AU?|CA?|NZ|HK))?([$£€]) ?({_N})"
        r"(?:[ -]?(hundred|thousand|million|billion|trillion|(?i:k|mn?|bn?))\b)?"
        r"(?![0-9A-Za-z]|[.,][0-9])(-(?=[a-z]))?",
        _money,
    ),
    _rule(rf"{_BEFORE}([0-9]{{1,2}})s\. ([0-9]{{1,2}})d\b\.?", lambda m: f"{_number(m[1])} and {_number(m[2])} pence"),
    _rule(rf"{_BEFORE}({_I}) ?¢", lambda m: f"{_number(m[1])} {_plural('cent', m[1])}"),
    _rule(
        r"(?<![\w:.,/$£€-])([0-9]{1,2}):([0-5][0-9])(?![\w:] ?|:)(?:(?<=[0-9]) ?([AaPp])\.? ?[Mm]\b\.?)?",
        lambda m: _clock(m[1], m[2], m[3]),
    ),
    _rule(
        r"(?<![\w:.,/$£€-])([0-9]{1,2})(?:[:.]([0-5][0-9]))? ?([AaPp])\.? ?[Mm]\b\.?",
        lambda m: _clock(m[1], m[2], m[3]),
    ),
    _rule(rf"\b({_MONTH}) ([0-9]{{1,2}})(?:st|nd|rd|th)?(?![\w:/%°]|[.,][0-9]|-[a-z0-9])", _month_day),
    _rule(rf"(?:\b[Tt]he )?(?<![\w.,:/$£€-])([0-9]{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?!\w)", _day_month),
    _rule(
        rf"{_BEFORE}({_I})(?i:st|nd|rd|th)(s?)\b",
        lambda m: ordinal(int(m[1].replace(",", ""))) + m[2] if len(m[1]) < 16 else None,
    ),
    _rule(r"(?<=[Tt]he )([0-9]*[23])d\b", lambda m: ordinal(int(m[1]))),
    _rule(r"(?<![\w.,:/$£€])'?([1-9][0-9]{0,2}0)'?s\b", _decade),
    _rule(r"(?<!\w)'([0-9]{2})(?!['\w])", lambda m: _two_digits(int(m[1])) if m[1] != "00" else None),
    _rule(
        r"(?<![\w.,-])(?:\+?1[-. ])?(?:\(?[0-9]{3}\)?[-. ] ?)?[0-9]{3}[-.][0-9]{4}(?![\w-])",
        lambda m: _each_digit(m[0]),
    ),
    _rule(rf"{_BEFORE}(?:({_I})(?: +|-| and ))?([0-9]{{1,2}})/([0-9]{{1,2}})(?![\w/])", _fraction),
    _rule(
        r"(?<![\w.])([3-8])' ?([0-9]|1[01])(?:\"|''|\b)(?!\w)",
        lambda m: f"{cardinal(int(m[1]))} foot {cardinal(int(m[2]))}",
    ),
    _rule(rf"((?<![\w.,])[-−](?=[0-9]))?{_BEFORE}({_N})([- ]?)((?i:{_UNIT}))(?![\w/'])", _measure),
    _rule(rf"(?<![\w.,:/-])({_N})(?:-| ?– ?)({_N})(?![\w/-]|[.,:][0-9])", _range),
    _rule(rf"{_BEFORE}({_N})[kK]\b", lambda m: f"{_number(m[1])} thousand"),
    _rule(r"(?<![\w.,])([A-Za-z]{1,2})-?([1-9][0-9]?)(?!\w|[:/.,][0-9])", lambda m: f"{m[1]} {cardinal(int(m[2]))}"),
    _rule(rf"{_BEFORE}([1-9][0-9]?)([A-Z])(?!\w)", lambda m: f"{cardinal(int(m[1]))} {m[2]}"),
    _rule(
        rf"{_BEFORE}([0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{2,}})(?!\w)",
        lambda m: " point ".join(_number(part) for part in m[1].split(".")),
    ),
    _rule(
        rf"((?<![\w.,)'-])[-−](?=\.?[0-9]))?{_BEFORE}({_N}|\.[0-9]+)(?![\w/]|[:.,][0-9])",
        lambda m: f"{'minus ' if m[1] else ''}{_number(m[2], years=True)}",
    ),
]

_RULERS = frozenset(
    "adrian alexander alfonso alphonso amadeus baldwin benedict boniface catherine charles christian clement david "
    "edward elizabeth ferdinand francis frederick george gregory gustav gustavus henry humbert innocent ivan james "
    "john julius karl leo leopold louis mary napoleon nicholas otto paul peter philip philippe pius ptolemy "
    "rameses ramses richard robert sixtus stephen urban victor wilhelm william".split()
)
_NUMBERED = frozenset(
    "act apollo article book canto chapter class episode figure grade mark part phase plate psalm rocky scene section "
    "stage table title type volume war".split()
)
_ROMAN = re.compile(r"(?:\b([A-Za-z]+) )?\b([IVXLC]+)\b(?!['’](?!s\b)|-[A-Za-z]|\.[A-Z])(?=('s\b|[.,;:]| of\b|\W*$)?)")
_ROMAN_NUMBER = re.compile(r"(C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_PLAINLY_ROMAN = frozenset("II III VII VIII IX XII XIII XIV XV XVI XVII XVIII XIX XXI XXII XXIII XXIV".split())
