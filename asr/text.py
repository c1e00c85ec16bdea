"""Text as it is spoken: the one normalization used for training, for language models and for scoring."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from asr.errors import TextError

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "ʼ": "'"})
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
_ABBREVIATIONS = {  # with a full stop behind them
    "mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint", "jr": "junior", "sr": "senior",
    "messrs": "messieurs", "prof": "professor", "capt": "captain", "col": "colonel", "gen": "general",
    "lieut": "lieutenant", "lt": "lieutenant", "sgt": "sergeant", "cpl": "corporal", "maj": "major", "adm": "admiral",
    "rev": "reverend", "gov": "governor", "sen": "senator", "hon": "honorable", "mme": "madame",
    "mlle": "mademoiselle", "etc": "et cetera", "vs": "versus", "viz": "namely", "esq": "esquire", "co": "company",
    "ltd": "limited", "inc": "incorporated", "bros": "brothers", "dept": "department", "approx": "approximately",
    "ave": "avenue", "blvd": "boulevard", "mt": "mount", "ft": "fort", "lb": "pound", "lbs": "pounds", "oz": "ounces",
    "hrs": "hours", "mins": "minutes",
}  # fmt: skip
_BARE_ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "dr": "doctor", "messrs": "messieurs", "mme": "madame", "mlle": "mademoiselle",
    "etc": "et cetera", "vs": "versus", "lbs": "pounds", "hrs": "hours", "ok": "okay", "pm": "p m",
}  # fmt: skip
_ABBREVIATION = re.compile(r"\b([a-z]{2,6})\.(?=\W|$)")
_STREET = re.compile(r"\b([A-Z][a-z]+ )St(?:\.|\b)(?= *(?:$|[,;:?!)])| [a-z])")
_ROMAN = re.compile(r"\b(?:[IVXLC]{2,}|[VX]|(?<=[a-z] )I(?='s\b|[.,;:]| of\b|\W*$))\b")
_FIGURES = re.compile(r"[0-9$£€¢°½¼¾⅓⅔⅛⅜⅝⅞]")
_SYMBOLS = {"&": " and ", "%": " percent ", "@": " at ", "+": " plus ", "=": " equals "}
_UNKNOWN = re.compile(r"[$£€¢°]")
_UNREADABLE = re.compile(r"[^\W_a-z]")  # letters and figures but for a-z
_UNSPOKEN = re.compile(r"[^a-z0-9' ]+")
_STRAY_APOSTROPHE = re.compile(r"(?<![a-z])'+(?!(?:em|tis|twas|til|cause|bout|round|n)\b)|'+(?![a-z])(?<!s')")
_QUOTED = re.compile(r"(?<![a-z])'([^']*[^s'])'(?![a-z])")


def normalize(text: str) -> str:
    """Text as it is spoken: words of a-z and apostrophe, one space between them.

    Case, marks and accents are removed; common abbreviations, numbers, dates, times, money, units and Roman numerals
    behind a name are written out. Normalized text stays as it is. Raises `TextError` for figures, signs of currencies
    and letters outside the Latin alphabet whose spoken form is not known.
    """
    spoken = text.translate(_APOSTROPHES)
    if _FIGURES.search(spoken) or (_ROMAN.search(spoken) and not spoken.isupper()):
        from asr import figures

        spoken = figures.spell_roman(figures.spell_out(spoken))
        if _UNKNOWN.search(spoken):
            raise TextError(f"cannot tell how this is spoken: {text.strip()!r}")
    if "St" in spoken:
        spoken = _STREET.sub(r"\1street", spoken)
    spoken = spoken.lower().translate(_LETTERS)
    if not spoken.isascii():
        spoken = unicodedata.normalize("NFKD", spoken)
        spoken = "".join(c for c in spoken if not unicodedata.combining(c))
    if "." in spoken:
        spoken = _ABBREVIATION.sub(lambda match: _ABBREVIATIONS.get(match[1], match[1]) + " ", spoken)
    for symbol, word in _SYMBOLS.items():
        if symbol in spoken:
            spoken = spoken.replace(symbol, word)
    if _UNREADABLE.search(spoken):
        raise TextError(f"cannot tell how this is spoken: {text.strip()!r}")
    spoken = _UNSPOKEN.sub(" ", spoken)
    if "'" in spoken:
        spoken = _STRAY_APOSTROPHE.sub(" ", _QUOTED.sub(r" \1 ", spoken))
    return " ".join(_BARE_ABBREVIATIONS.get(word, word) for word in spoken.split())


def is_normalized(text: str) -> bool:
    """Whether normalization leaves a text as it is."""
    try:
        return normalize(text) == text
    except TextError:
        return False


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, with or without a byte order mark. Raises `TextError`."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TextError(f"{path} is not text in UTF-8: save it so (iconv -f latin1 -t utf-8 {path.name}).") from error
