"""Text as it is spoken: the one normalization used for training, for language models and for scoring."""

from __future__ import annotations

import re
import unicodedata

from asr.errors import TextError

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "ʼ": "'"})
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
_ABBREVIATIONS = {
    "mr.": "mister", "mrs.": "missus", "dr.": "doctor", "st.": "saint", "jr.": "junior", "sr.": "senior",
    "messrs.": "messieurs", "prof.": "professor", "capt.": "captain", "col.": "colonel", "gen.": "general",
    "lieut.": "lieutenant", "lt.": "lieutenant", "sgt.": "sergeant", "hon.": "honorable", "etc.": "et cetera",
    "vs.": "versus", "esq.": "esquire",
}  # fmt: skip
_BARE_ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "dr": "doctor"}
_ABBREVIATION = re.compile(
    r"\b(?:" + "|".join(re.escape(word) for word in sorted(_ABBREVIATIONS, key=len, reverse=True)) + r")(?=\W|$)"
)
_SYMBOLS = {"&": " and ", "%": " percent ", "@": " at ", "+": " plus ", "=": " equals "}
_UNSPOKEN = re.compile(r"[^a-z0-9' ]+")
_STRAY_APOSTROPHE = re.compile(r"(?<![a-z])'+(?!(?:em|tis|twas|til|cause|bout|round|n)\b)|'+(?![a-z])(?<!s')")
_QUOTED = re.compile(r"(?<![a-z])'([^']*[^s'])'(?![a-z])")


def normalize(text: str) -> str:
    """Text as it is spoken: words of a-z and apostrophe, one space between them.

    Case, marks and accents are removed, common abbreviations written out. Raises `TextError` for digits and for
    letters outside the Latin alphabet, whose spoken form is not known.
    """
    spoken = text.lower().translate(_APOSTROPHES).translate(_LETTERS)
    if not spoken.isascii():
        spoken = unicodedata.normalize("NFKD", spoken)
        spoken = "".join(c for c in spoken if not unicodedata.combining(c))
    spoken = _ABBREVIATION.sub(lambda match: _ABBREVIATIONS[match.group()], spoken)
    for symbol, word in _SYMBOLS.items():
        if symbol in spoken:
            spoken = spoken.replace(symbol, word)
    if any(c.isalnum() and not ("a" <= c <= "z") for c in spoken):
        raise TextError(f"cannot tell how this is spoken: {text.strip()!r}")
    spoken = _UNSPOKEN.sub(" ", spoken)
    if "'" in spoken:
        spoken = _STRAY_APOSTROPHE.sub(" ", _QUOTED.sub(r" \1 ", spoken))
    return " ".join(_BARE_ABBREVIATIONS.get(word, word) for word in spoken.split())
