"""What a user told a decoder to expect, understood: hotwords, grammars and new words as entries of a lexicon."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from asr.g2p import GraphemeToPhone, Pronouncer, spellings
from asr.grammar import grammar_entries, read_grammar
from asr.hotwords import Hotword, Matcher, read_hotwords
from asr.lexicon import Lexicon, Pronunciation


@dataclass(frozen=True)
class Settings:
    """What a search is made of, besides the model: plain values, so that a state can be stored and come back."""

    entries: tuple[tuple[str, Pronunciation], ...] = ()  # words that the lexicon has not
    phrases: tuple[tuple[str, float], ...] = ()  # hotwords and their bonuses
    grammar: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps([self.entries, self.phrases, self.grammar])

    @classmethod
    def from_json(cls, text: str) -> Settings:
        entries, phrases, grammar = json.loads(text)
        return cls(
            tuple((str(word), tuple(int(token) for token in tokens)) for word, tokens in entries),
            tuple((str(phrase), float(bonus)) for phrase, bonus in phrases),
            tuple(str(phrase) for phrase in grammar),
        )


def read_settings(
    lexicon: Lexicon | None,
    g2p: GraphemeToPhone | None,
    tokens: Sequence[str],
    hotwords: tuple[tuple[str, float], ...],
    grammar: str | tuple[str, ...] | None,
    words: tuple[str, ...],
) -> Settings:
    """What a decoder over `tokens` needs for hotwords with their bonuses, the phrases of a grammar and new words.

    Raises `AsrError` for what cannot be understood or pronounced.
    """
    expected = read_hotwords(dict(hotwords))
    new = read_hotwords(dict.fromkeys(words, 0.0), "word")
    phrases = tuple((hotword.phrase, hotword.bonus) for hotword in expected)
    if lexicon is None:
        return _open_settings(tokens, phrases, grammar, new)
    entries: list[tuple[str, Pronunciation]] = []
    told = [hotword for hotword in expected if hotword.sounds_like is not None]
    larger = lexicon
    for part in (new, told, expected):  # later ones may use words of earlier ones
        pronouncer = Pronouncer(larger, g2p)
        more = [entry for hotword in part for entry in _entries(hotword, pronouncer, larger)]
        entries += dict.fromkeys(more)
        larger = lexicon.extend(entries)
    if grammar is None:
        return Settings(tuple(entries), phrases)
    pronouncer = Pronouncer(larger, g2p)
    allowed = read_grammar(grammar)
    return Settings(grammar_entries(allowed, pronouncer, tokens), phrases, allowed)


def _open_settings(
    tokens: Sequence[str],
    phrases: tuple[tuple[str, float], ...],
    grammar: str | Sequence[str] | None,
    new: tuple[Hotword, ...],
) -> Settings:
    """Without a lexicon: hotwords are sequences of spelling tokens, a grammar's words are spelled."""
    pronouncer = Pronouncer(Lexicon.build([], tokens))
    if grammar is not None:
        allowed = read_grammar(grammar)
        return Settings(grammar_entries(allowed, pronouncer, tokens), phrases, allowed)
    for hotword in new:
        pronouncer.pronounce(hotword.phrase)
    return Settings((), phrases)


def _entries(hotword: Hotword, pronouncer: Pronouncer, lexicon: Lexicon) -> list[tuple[str, Pronunciation]]:
    """The pronunciations of a hotword's words that the lexicon has not."""
    if hotword.sounds_like is not None:
        found = [(hotword.phrase, sound) for sound in pronouncer.sounds_like(hotword.sounds_like)]
    else:
        found = [
            (word, sound)
            for word in hotword.phrase.split()
            if word in hotword.initials or lexicon.find(word) is None
            for sound in pronouncer.pronounce(word, letter_names=word in hotword.initials)
        ]
    return [(word, sound) for word, sound in found if sound not in lexicon.pronunciations(word)]


def matcher_of(phrases: Sequence[tuple[str, float]], lexicon: Lexicon, spelled: bool) -> Matcher | None:
    """The hotword matcher over the lexicon's words; where these are spelling tokens, over all ways to spell."""
    numbered: list[tuple[list[int], float]] = []
    for phrase, bonus in phrases:
        choices = [spellings(word, lexicon.tokens) for word in phrase.split()] if spelled else []
        ways = [[lexicon.tokens[token] for part in way for token in part] for way in product(*choices)]
        for words in ways if spelled else [phrase.split()]:
            numbers = [number for word in words if (number := lexicon.find(word)) is not None]
            if len(numbers) == len(words):  # a grammar may lack some of them
                numbered.append((numbers, bonus))
    return Matcher(numbered, lexicon) if numbered else None
