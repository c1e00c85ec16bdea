"""Marks and capitals for recognized words: a bidirectional LSTM that says what follows each word and how it is written.

The vocabulary is open: a word goes in as hashed whole, beginning and endings (hash embeddings: Svenstrup et al., 2017),
so that there is no word list and an unknown word is read by its letters. After Tilk and Alumäe (2016), with what a
recognizer knows besides: the marks already written before, the pauses, and what ended the segment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from asr.endpoint import EndedBy
from asr.errors import ModelError
from asr.network import open_session
from asr.numerals import write_numbers
from asr.results import Word

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Ids = NDArray[np.int64]
Numbers = Literal["digits", "words"]

FILE = "tagger.onnx"
FORMAT = 1
MARKS = ("", ",", ".", "?")  # what may follow a word
NONE, COMMA, STOP, QUESTION = range(4)
LOWER, CAPITALIZED, UPPER = range(3)  # how a word is written
CONTEXT_WORDS = 20  # words before the segment that the network sees, padding where there are fewer

# A word is the sum of the vectors of these ids: 0 is nothing, then what is known besides letters, then hashes.
PADDING = 0
CONTEXT_MARK = 1  # + mark behind a word of the context; + 4: a word of the context whose mark is not known
ENDED = {"pause": 6, "length": 7, "key": 8, "end": 9}  # at the last word
PAUSE = 10  # + bucket of the pause behind a word
PAUSE_BOUNDS = (0.06, 0.15, 0.3, 0.5, 0.8, 1.2)  # seconds
HASHES = 32  # the first hashed id
WORD_FEATURES = 6
FEATURES = WORD_FEATURES + 3  # and mark, end, pause

_ALWAYS = {"i": "I", "i'm": "I'm", "i'll": "I'll", "i've": "I've", "i'd": "I'd"}
# Names that are written in one way only, whatever the network says; what its text has learned comes beside them.
_NAMES = {
    name.lower(): name
    for name in (
        "iPhone iPad iPod iMac iOS iTunes iCloud macOS MacBook AirPods FaceTime eBay YouTube YouTuber LinkedIn GitHub "
        "JavaScript TypeScript PowerPoint WhatsApp TikTok PayPal OpenAI ChatGPT PlayStation WordPress MySQL FedEx "
        "DreamWorks DeepMind SpaceX WiFi PhD TV"
    ).split()
}
_ENDINGS = ("", "'s", "s'", "s")  # of a name: possessive and plural
_SHORTEST_MC = 5  # letters of "mcgee"; shorter ones are abbreviations
_LONGEST_ACRONYM = 6  # letters: UNESCO; longer words in capitals are names on a title page
_TITLES = {"mister": "Mr.", "missus": "Mrs.", "doctor": "Dr."}  # before a name
_SAID = frozenset("said asked cried exclaimed replied answered inquired demanded whispered shouted".split())


@lru_cache(maxsize=4096)
def word_features(word: str, buckets: int) -> tuple[int, ...]:
    """The `WORD_FEATURES` ids of a lower-case word: the whole word by two hashes, its beginning, its endings."""
    parts = ("a" + word, "b" + word, "<" + word[:3], word[-2:] + ">", word[-3:] + ">", word[-4:] + ">")
    return tuple(HASHES + crc32(part.encode()) % (buckets - HASHES) for part in parts)


def pause_bucket(seconds: float) -> int:
    return PAUSE + sum(seconds >= bound for bound in PAUSE_BOUNDS)


@dataclass(frozen=True)
class Reading:
    """What the network says of a segment's words."""

    marks: NDArray[np.float32]  # [words, 4]: log-probs of `MARKS` behind each
    cases: NDArray[np.float32]  # [words, 3]: log-probs of lower, capitalized and upper case within a sentence


class Tagger:
    """Reads `tagger.onnx` of a model directory; immutable, shared by all streams."""

    def __init__(self, session: InferenceSession, numbers: Numbers = "digits") -> None:
        about = session.get_modelmeta().custom_metadata_map
        try:
            settings: Mapping[str, Any] = json.loads(about["tagger"])
            if settings["format"] != FORMAT:
                raise ModelError(f"{FILE} has format {settings['format']}, this program reads {FORMAT}: update one.")
            self._buckets = int(settings["buckets"])
            self._spellings: dict[str, str] = {
                word: text
                for word, text in settings["spellings"].items()
                if not text.endswith("'S")  # of a headline: ALEX'S
            }
            self._bias = np.array(settings["bias"], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{FILE} is no tagger of this program: export it again.") from error
        self._session = session
        self.numbers = numbers

    @classmethod
    def load(cls, directory: Path, numbers: Numbers = "digits") -> Tagger | None:
        """The tagger of a model directory, None if it has none. Raises `ModelError` for a damaged one."""
        return cls(open_session(directory / FILE), numbers) if (directory / FILE).exists() else None

    def read(
        self,
        words: Sequence[str],
        context: Sequence[tuple[str, int]] = (),
        pauses: Sequence[float] | None = None,
        ended_by: EndedBy = "end",
    ) -> Reading:
        """Log-probs of marks and cases for lower-case words; `context`: the words before and the mark behind each."""
        ids = encode(words, context, pauses, ended_by, self._buckets)
        marks, cases = self._session.run(["marks", "cases"], {"words": ids[None]})
        return Reading(marks[0, CONTEXT_WORDS:] + self._bias, cases[0, CONTEXT_WORDS:])

    def write(
        self, words: Sequence[Word], context: Sequence[Word], pauses: Sequence[float] | None, ended_by: EndedBy
    ) -> list[str]:
        """How each word of a final segment stands in its text: with its mark and capitals, numbers in figures.

        `context` are the words before it as they were written, `pauses` the seconds between each word and what
        follows, if they are known.
        A word that the one before it contains, as in numbers, is "".
        """
        before = marks_behind(context)
        reading = self.read([word.text for word in words], before, pauses, ended_by)
        marks = [int(mark) for mark in reading.marks.argmax(1)]
        starts = not before or before[-1][1] in (STOP, QUESTION)
        texts = self.spell([word.text for word in words], marks, reading.cases, starts)
        written = [
            replace(word, written=text + MARKS[mark]) for word, text, mark in zip(words, texts, marks, strict=True)
        ]
        if self.numbers == "digits":
            written = list(write_numbers(written, pauses))
        return [word.text if word.written is None else word.written for word in written]

    def spell(
        self, words: Sequence[str], marks: Sequence[int], cases: NDArray[np.float32], starts: bool = True
    ) -> list[str]:
        """Words in their case, given the mark behind each; `starts`: the first word begins a sentence."""
        chosen = cases.argmax(1)
        texts: list[str] = []
        for i, word in enumerate(words):
            if i > 0:
                starts = marks[i - 1] == STOP or (marks[i - 1] == QUESTION and not self._says(words, i))
            if fixed := fixed_spelling(word):
                text = fixed
            elif word in self._spellings and chosen[i] != LOWER:
                text = self._spellings[word]
            elif chosen[i] == UPPER and 1 < len(word) <= _LONGEST_ACRONYM:
                text = word.upper()
            else:
                text = capitalized(word) if starts or chosen[i] != LOWER else word
            if starts and not text[1:2].isupper():  # an iPhone is one at the start, too
                text = text[:1].upper() + text[1:]
            texts.append(text)
        for i, word in enumerate(words[:-1]):
            if word in _TITLES and marks[i] == NONE and texts[i + 1][:1].isupper() and len(words[i + 1]) > 1:
                texts[i] = _TITLES[word]
        return texts

    @staticmethod
    def _says(words: Sequence[str], i: int) -> bool:
        """Whether a question is reported here: "what is it? he asked"."""
        return words[i] in _SAID or (
            i + 1 < len(words) and words[i + 1] in _SAID and words[i] in ("he", "she", "i", "they")
        )


def fixed_spelling(word: str) -> str | None:
    """How a lower-case word is always written: "i'm" I'm, "iphone's" iPhone's, "mcdonald" McDonald; None: not known."""
    if word in _ALWAYS:
        return _ALWAYS[word]
    for ending in _ENDINGS:
        if word.endswith(ending) and (name := _NAMES.get(word.removesuffix(ending))):
            return name + ending
    if word.startswith("mc") and len(word) >= _SHORTEST_MC:  # not "mac": machine
        return "Mc" + capitalized(word[2:])
    return None


def capitalized(word: str) -> str:
    """With the first letter large: "'em" 'Em, "o'brien" O'Brien."""
    start = 1 if word.startswith("'") else 0
    text = word[:start] + word[start : start + 1].upper() + word[start + 1 :]
    return text[:2] + text[2:3].upper() + text[3:] if text.startswith("O'") and word != "o'clock" else text


def marks_behind(written: Sequence[Word]) -> list[tuple[str, int]]:
    """Written words with the mark behind each; the mark of a number in figures stands behind its last word."""
    behind: list[tuple[str, int]] = []
    mark = NONE
    for word in written:
        if word.written == "" and behind:
            behind[-1] = (behind[-1][0], NONE)
        else:
            last = (word.written or "")[-1:]
            mark = MARKS.index(last) if last in MARKS[1:] and word.written not in _TITLES.values() else NONE
        behind.append((word.text, mark))
    return behind


def encode(
    words: Sequence[str],
    context: Sequence[tuple[str, int]],
    pauses: Sequence[float] | None,
    ended_by: EndedBy,
    buckets: int,
) -> Ids:
    """The network's input [CONTEXT_WORDS + words, FEATURES]: the context padded in front, then the segment."""
    ids = np.full((CONTEXT_WORDS + len(words), FEATURES), PADDING, np.int64)
    context = context[-CONTEXT_WORDS:]
    for row, (word, mark) in enumerate(context, CONTEXT_WORDS - len(context)):
        ids[row, :WORD_FEATURES] = word_features(word, buckets)
        ids[row, WORD_FEATURES] = CONTEXT_MARK + mark
    for row, word in enumerate(words, CONTEXT_WORDS):
        ids[row, :WORD_FEATURES] = word_features(word, buckets)
    ids[-1, WORD_FEATURES + 1] = ENDED[ended_by]
    if pauses is not None:
        ids[CONTEXT_WORDS:, WORD_FEATURES + 2] = [pause_bucket(pause) for pause in pauses]
    return ids
