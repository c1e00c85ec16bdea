"""Spoken words to written text: "comma" becomes a mark, "scratch that" takes back, the user's replacements apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from asr.results import Word

AUTOMATIC_MARKS = ".,?!;:"  # what a punctuation model may have put behind a word
SENTENCE_ENDS = (".", "?", "!")
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
    """`text` to write after the last `taken` of the earlier pieces have been taken back."""

    taken: int
    text: str


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
    text = _join(parts, "".join(pieces[: max(0, len(pieces) - taken)]))
    if phrases.hook and text:
        spaces = len(text) - len(text.lstrip(" "))
        text = text[:spaces] + phrases.hook(text[spaces:])
    return Rendered(taken, text)


def _table(phrases: Phrases) -> dict[tuple[str, ...], Mark | str | None]:
    """Phrases as tuples of words; None takes back. The user's replacements come first."""
    table: dict[tuple[str, ...], Mark | str | None] = {SCRATCH: None}
    table |= {tuple(phrase.lower().split()): mark for phrase, mark in phrases.marks.items() if mark.text}
    table |= {tuple(phrase.lower().split()): text for phrase, text in phrases.replacements.items()}
    return table


def _join(parts: Sequence[_Part], before: str) -> str:
    text = ""
    space = bool(before) and not before[-1].isspace()
    capital = before.rstrip(" ").endswith((*SENTENCE_ENDS, "\n"))
    ended_automatically = False  # the words of the last mark were taken for the end of a sentence
    for i, part in enumerate(parts):
        if part.mark:
            text += " " + part.mark.text if space and part.mark.before else part.mark.text
            space = part.mark.after
            capital = part.mark.text.endswith((*SENTENCE_ENDS, "\n"))
            ended_automatically = part.written.endswith(SENTENCE_ENDS)
            continue
        written = part.written
        following = parts[i + 1].mark if i + 1 < len(parts) else None
        if following and not (following.before and not following.after):  # no opening bracket or quote
            written = written.rstrip(AUTOMATIC_MARKS) or written
        if capital:
            written = written[:1].upper() + written[1:]
        elif ended_automatically and written == part.spoken.capitalize():
            written = part.spoken
        text += " " + written if space else written
        space, capital, ended_automatically = True, False, False
    return text
