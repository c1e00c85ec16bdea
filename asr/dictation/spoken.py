"""Spoken words to written text: "comma" becomes a mark, "scratch that" takes back, the user's replacements apply."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from asr.results import Word

AUTOMATIC_MARKS = ".,?"  # what a punctuation model may have put behind a word
SENTENCE_ENDS = (".", "?", "!")
_GOES_ON = (",", ";", ":", "-", "(")  # spoken at the end of a segment: what comes next begins no sentence
_CLOSING = frozenset(')]}"”')
_ABBREVIATED = re.compile(r"\b(?:[A-Za-z]\.){2,}$")
SCRATCH = ("scratch", "that")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a spoken phrase writes, and whether a space stands before and after it."""

    text: str
    before: bool = False
    after: bool = True

    @classmethod
    def of(cls, text: str) -> Mark:
        """A user's mark: spaces at its ends say where spaces stand; without any it is set like a comma."""
        if text.strip(" ") == text:
            return cls(text)
        return cls(text.strip(" "), text.startswith(" "), text.endswith(" "))

    @property
    def opens(self) -> bool:
        return self.before and not self.after

    @property
    def closes(self) -> bool:
        return self.text in _CLOSING and not self.before

    @property
    def breaks(self) -> bool:
        return self.text.isspace()

    @property
    def replaces(self) -> bool:
        """Whether it stands in the place of an automatic mark; a bracket, a quote or a new line stands beside it."""
        return not (self.opens or self.closes or self.breaks)


MARKS = {
    "comma": Mark(","),
    "full stop": Mark("."),
    "question mark": Mark("?"),
    "exclamation mark": Mark("!"),
    "colon": Mark(":"),
    "semicolon": Mark(";"),
    "open bracket": Mark("(", before=True, after=False),
    "close bracket": Mark(")"),
    "open quote": Mark('"', before=True, after=False),
    "close quote": Mark('"'),
    "dash": Mark("-", before=True),
    "hyphen": Mark("-", after=False),
    "new line": Mark("\n", after=False),
    "new paragraph": Mark("\n\n", after=False),
}


@dataclass(frozen=True, slots=True)
class Phrases:
    """What spoken phrases stand for."""

    marks: Mapping[str, Mark] = field(default_factory=lambda: MARKS)
    replacements: Mapping[str, str] = field(default_factory=dict)  # written as words are, with spaces around
    hook: Callable[[str], str] | None = None  # the user's own last word on each text


@dataclass(frozen=True, slots=True)
class Rendered:
    """`text` to write after the last `taken` of the earlier pieces have been taken back.

    And then the last `erased` characters of those that stay: an automatic mark in whose place a spoken one comes.
    """

    taken: int
    text: str
    erased: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """Something to write: a word as it is spoken and written, or a mark."""

    written: str
    spoken: str = ""
    mark: Mark | None = None


def render(words: Sequence[Word], pieces: Sequence[str], phrases: Phrases) -> Rendered:
    """The text of newly recognized words, given the pieces that were written before them.

    `pieces` are the texts of earlier segments at whose end the cursor is, [] where that is not known. A mark that was
    spoken wins over one that was set automatically at the same place. What the user's hook raises passes through.
    """
    table = _table(phrases)
    longest = max(map(len, table))
    spoken = tuple(word.text.lower() for word in words)
    taken = 0
    parts: list[_Part] = []
    i = 0
    while i < len(words):
        sizes = range(min(longest, len(words) - i), 0, -1)
        size = next((size for size in sizes if spoken[i : i + size] in table), 0)
        if not size:
            written = words[i].text if words[i].written is None else words[i].written
            if written:  # "": a part of a number that another word holds
                parts.append(_Part(written, words[i].text))
        elif (entry := table[spoken[i : i + size]]) is None:
            taken += not parts
            parts.clear()
        elif isinstance(entry, Mark):
            parts.append(_Part(words[i + size - 1].written or "", mark=entry))
        else:
            parts.append(_Part(entry))
        i += max(size, 1)
    kept = pieces[: max(0, len(pieces) - taken)]
    automatic = _automatic(kept[-1]) if kept and parts and (mark := parts[0].mark) and mark.replaces else ""
    before = "".join(kept).removesuffix(automatic)
    text, erased = _join(parts, before), len(automatic)
    if automatic and text.startswith(automatic):  # the same mark
        text, erased = text[erased:], 0
    if phrases.hook and text:
        spaces = len(text) - len(text.lstrip(" "))
        text = text[:spaces] + phrases.hook(text[spaces:])
    return Rendered(taken, text, erased)


def _table(phrases: Phrases) -> dict[tuple[str, ...], Mark | str | None]:
    """Phrases as tuples of words; None takes back. The user's replacements come first."""
    table: dict[tuple[str, ...], Mark | str | None] = {SCRATCH: None}
    table |= {tuple(phrase.lower().split()): mark for phrase, mark in phrases.marks.items() if mark.text}
    table |= {tuple(phrase.lower().split()): text for phrase, text in phrases.replacements.items()}
    return table


def _automatic(written: str) -> str:
    """The marks that were set automatically behind a word; none where there is no word, and "a.m." has its own dot."""
    bare = written.rstrip(AUTOMATIC_MARKS)
    if _is_abbreviated(bare + "."):
        bare += "."
    return written[len(bare) :] if bare.strip() else ""


def _is_abbreviated(text: str) -> bool:
    """Whether it ends like "a.m."."""
    return _ABBREVIATED.search(text) is not None


def _join(parts: Sequence[_Part], before: str) -> str:
    text = before
    space = bool(before) and not before[-1].isspace()
    capital = before.rstrip(" ").endswith((*SENTENCE_ENDS, "\n"))
    goes_on = before.rstrip(" ").endswith(_GOES_ON)  # no sentence begins, even if the words of a mark seemed to end one
    for i, part in enumerate(parts):
        following = parts[i + 1].mark if i + 1 < len(parts) else None
        automatic = _automatic(part.written)
        if following and (following.replaces or (following.closes and automatic == ",")):
            automatic = ""
        if mark := part.mark:
            previous = parts[i - 1].mark if i else None
            if not i or (previous and not previous.closes) or text.endswith(tuple(AUTOMATIC_MARKS)):
                automatic = ""  # there is one, or nothing that it could stand behind
            if mark.breaks and automatic != ",":
                text += automatic
            starts = mark.opens and (capital or (text.endswith(SENTENCE_ENDS) and not _is_abbreviated(text)))
            if not (mark.text == "." and _is_abbreviated(text)):
                text += " " + mark.text if space and mark.before else mark.text
            if mark.closes:
                text += automatic
            space = mark.after
            capital = starts or mark.text.endswith((*SENTENCE_ENDS, "\n"))
            goes_on = (mark.replaces or mark.opens) and part.written.endswith(SENTENCE_ENDS)
            continue
        written = part.written.removesuffix(_automatic(part.written)) + automatic
        if capital:
            written = written[:1].upper() + written[1:]
        elif goes_on:
            written = _small(written, part.spoken)
        text += " " + written if space else written
        space, capital, goes_on = True, False, False
    return text[len(before) :]


def _small(written: str, spoken: str) -> str:
    """Without the capital of the first word in a sentence; others than the first letter say that it is a name."""
    first = re.split("[-.,?]", written, maxsplit=1)[0]
    large = first != spoken.capitalize() or spoken.partition("'")[0] == "i"
    return written if large else written.replace(first, spoken, 1)
