"""What a recognizer gives back: words in segments in a transcript, all immutable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word.

    `text` is the word as spoken, `written` as it stands in the segment's text with its marks and capitals ("" where
    several spoken words became one written number: the first of them holds it). Times are seconds from the start of
    the stream.
    """

    text: str
    start: float
    end: float
    confidence: float  # 0 to 1
    written: str | None = None  # None: the same as `text`


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another reading of a segment, as spoken."""

    text: str
    score: float  # natural log, to compare with those of the same segment


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech between two endpoints. The text of a final segment never changes."""

    id: int
    text: str
    start: float  # seconds
    end: float
    words: tuple[Word, ...]
    final: bool
    channel: int | None = None
    alternatives: tuple[Alternative, ...] = ()  # where asked for: the best readings, that of `words` first


@dataclass(frozen=True, slots=True)
class Transcript:
    """All segments of one recording, in order."""

    text: str
    segments: tuple[Segment, ...]
    duration: float  # seconds
    model: str  # name and version

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for segment in self.segments for word in segment.words)
