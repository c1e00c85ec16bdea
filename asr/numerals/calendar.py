"""Dates, times, years and decades, and what is counted as years are: kings and wars."""

from __future__ import annotations

from asr.numerals.words import DIGITS, ONES, SCALES, TEENS, TENS, NumberWords, suffix

MONTHS = frozenset("january february march april may june july august september october november december".split())
_VERB_MONTHS = ("may", "march")
_DECADES = {word[:-1] + "ies": n for word, n in TENS.items()}
YEAR_CUES = frozenset("in since of by until till from before after during year circa around early late mid".split())
TIME_CUES = frozenset(
    "at by around about until till before after from since between to is it's its was nearly almost past".split()
)
_ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 9: "IX", 10: "X", 11: "XI",
          12: "XII", 13: "XIII", 14: "XIV", 15: "XV", 16: "XVI", 17: "XVII", 18: "XVIII"}  # fmt: skip
_RULERS = frozenset(
    "henry louis paul charles george edward richard elizabeth napoleon pius frederick benedict leo gregory "
    "ramses".split()
)
AFTER_YEAR = frozenset(
    "was is were had has will would and but or the a an it there when we he she they i you in on at for with as that "
    "to so because".split()
)
_AFTER_RULER = frozenset("of was and had in is who died became king queen".split())


class Calendar(NumberWords):
    """Readers of dates and times."""

    def date(self, i: int) -> tuple[str, int] | None:
        """ "may third nineteen eighty four", "the third of may", "june two thousand five"."""
        if self[i] in MONTHS and self.after(i):
            month = self[i].capitalize()
            year = self.year_value(i + 1)
            day = self.rank(i + 2) if self.after(i) == "the" and self.after(i + 1) else self.rank(i + 1)
            if day is None and self[i] not in _VERB_MONTHS and self[i + 1] != "one" and not (year and year[0] >= 1100):
                day = self.below_hundred(i + 1)
            dated = day is not None and bool(self.after(day[1] - 1)) and self.year_value(day[1]) is not None
            if day and day[0] < 32 and (dated or self.is_day(i)):
                return self.with_year(f"{month} {day[0]}", day[1], ", ")
            return (f"{month} {year[0]}", year[1]) if year else None
        day = self.rank(i)
        if day and day[0] < 32 and self.after(day[1] - 1) == "of" and self.after(day[1]) in MONTHS:
            text = f"{day[0]}{suffix(day[0])} of {self[day[1] + 1].capitalize()}"
            return self.with_year(text, day[1] + 2, " ")
        return None

    def is_day(self, month: int) -> bool:
        """Whether "may first" is a day and no verb: "you may first want to"."""
        if self[month] not in _VERB_MONTHS or self[month + 1] not in ("first", "second"):
            return True
        before = self.before(month)
        return before in YEAR_CUES or before in ("", "on", "through", "to") or before.endswith("day")

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
        if minute is None or self.is_code(i) or self.amount_behind(minute[1]):
            return None
        cued = self.before(i) in TIME_CUES or self.in_day(minute[1])
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

    def decade(self, i: int) -> tuple[str, int] | None:
        """ "the nineteen eighties", "the nineties", "her twenties"."""
        if self[i] == "mid" and self.after(i):
            middle = self.decade(i + 1)
            return (f"mid-{middle[0]}", middle[1]) if middle else None
        century = TEENS.get(self[i]) or (20 if self[i] == "twenty" else None)
        if self[i] == "two" and self.after(i) == "thousands" and self.before(i) in ("the", "early", "mid", "late"):
            return "2000s", i + 2
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
        cued = self.before(i) in YEAR_CUES
        behind = self.after(year[1] - 1)
        recent = 2000 < year[0] < 2040 or (said[1:] == ["hundred"] and year[0] >= 1700)
        recent = recent and (behind == "" or behind in AFTER_YEAR)
        return (str(year[0]), year[1]) if said_as_year or cued or recent else None

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
