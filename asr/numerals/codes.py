"""Digits and letters said one by one, and numbers side by side."""

from __future__ import annotations

from itertools import pairwise

from asr.numerals.words import DIGITS, NUMBER_WORDS, ONES, SCALES, NumberWords

_LETTER_WORDS = frozenset("aio")
_KNOWN = {
    "usa": "USA", "cia": "CIA", "api": "API", "iq": "IQ", "ira": "IRA", "iou": "IOU", "la": "LA", "ok": "OK",
    "phd": "PhD", "aka": "aka", "ipo": "IPO", "id": "ID", "aaa": "AAA", "ioc": "IOC", "oecd": "OECD", "aarp": "AARP",
    "po": "P.O.",
}  # fmt: skip
_ACRONYMS = frozenset("tv cd dvd pdf pc dj id gps ceo cv ad mp pr dna vip suv url pin usb ufo us uk".split())


class Codes(NumberWords):
    """Readers of telephone numbers, codes and abbreviations."""

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
        counting = "123456789".startswith(digits) and not self.is_code(i)
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
        if mixed := self.mixed(i):
            return mixed
        run = "".join(self.words[i:end])
        number = self.below_hundred(end) if run and self.after(end - 1) in NUMBER_WORDS else None
        if number and self.after(number[1] - 1) in {*NUMBER_WORDS, "oh"}:  # a time, or a row of numbers
            number = None
        if len(run) < 2:
            if number is None or self.amount_behind(number[1]):
                return None
            if run == "i" and (self.before(i) in ("the", "on") or i == 0) and number[0] > 9:
                return f"I-{number[0]}", number[1]  # an interstate
            return (f"{run.upper()}{number[0]}", number[1]) if run not in _LETTER_WORDS else None
        if self.before(i) in ("spelled", "spelt", "spell", "spelling"):
            return "-".join(run.upper()), end
        if run in _KNOWN:
            return _KNOWN[run], end
        if run[0] in _LETTER_WORDS and run[1:] in (*_ACRONYMS, *_KNOWN):
            return "", i + 1
        if run[-1] in _LETTER_WORDS and run[:-1] in _ACRONYMS:
            run, end, number = run[:-1], end - 1, None
        if len(run.strip("aio")) < 2 and set(run) & _LETTER_WORDS and len(run) < 4 and self.before(i) != "an":
            return "", end
        if run in ("eg", "ie", "am", "pm"):
            return f"{run[0]}.{run[1]}.", end
        return (f"{run.upper()}{number[0]}", number[1]) if number else (run.upper(), end)

    def mixed(self, i: int) -> tuple[str, int] | None:
        """Letters and digits in turn: "r two d two" R2D2, "five g" 5G."""
        if self[i] in ONES and self.after(i) in ("d", "g", "k") and len(self.after(i + 1)) != 1:
            return f"{ONES[self[i]]}{self[i + 1].upper()}", i + 2
        end, text = i, ""
        while end == i or self.after(end - 1):
            if len(self[end]) == 1 and self[end].isalpha() and (end > i or self[end] not in _LETTER_WORDS):
                text += self[end].upper()
            elif end > i and self[end] in ONES:
                text += str(ONES[self[end]])
            else:
                break
            end += 1
        turns = sum(one.isalpha() != other.isalpha() for one, other in pairwise(text))
        return (text, end) if turns > 1 else None

    def code(self, i: int) -> tuple[str, int] | None:
        """Numbers side by side after what they number: "flight two twenty", "room three oh five"."""
        parts = self.side_by_side(i) if self.is_code(i) else None
        return ("".join(parts[0]), parts[1]) if parts else None

    def house(self, i: int) -> tuple[str, int] | None:
        """ "two twenty one b baker street" 221B; other numbers of houses are read as numbers."""
        parts = self.side_by_side(i) if self.before(i) not in ("in", "since", "until") else None
        if parts is None:
            return None
        text, end = "".join(parts[0]), parts[1]
        if len(text) > 5:
            return None
        if len(self.after(end - 1)) == 1 and self[end] not in _LETTER_WORDS and self.is_address(end + 1):
            return text + self[end].upper(), end + 1
        return (text, end) if self.is_address(end) else None

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
        while self.after(end - 1) in {*NUMBER_WORDS, "oh"} and self.rank(end) is None:
            part = self.below_hundred(end)
            parts.append(str(part[0]) if part else "0")
            end = part[1] if part else end + 1
        return (parts, end) if len(parts) > 1 else None
