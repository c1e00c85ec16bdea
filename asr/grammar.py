"""A short list of phrases that may be said, instead of a language: for commands and forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, TextError
from asr.g2p import Pronouncer
from asr.lexicon import Lexicon, Pronunciation
from asr.text import normalize
from asr.word_model import States

UNKNOWN = "[unk]"  # in a grammar: any other speech
_LARGEST = 50_000  # states


@dataclass(frozen=True)
class GrammarOptions:
    """What is different where phrases are all that may be said; natural logarithms, in a model's configuration."""

    nothing: float = -3.0  # for no phrase at all
    next_phrase: float = -10.0  # for each after the first; keeps noise from becoming a string of short commands
    unknown_sound: float = -2.8  # for each sound of unknown speech: what the grammar's words have to beat
    blank_penalty: float = 1.7  # besides the reading's own: so little can be meant that faint sounds tell it
    beam_score: float = 30.0
    token_score: float = -20.0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> GrammarOptions:
        """From a model's configuration; what this version does not know is left out."""
        return cls(**{field.name: float(config[field.name]) for field in fields(cls) if field.name in config})


def read_grammar(grammar: str | Sequence[str]) -> tuple[str, ...]:
    """The phrases of `"yes|no|turn the light on|[unk]"` or of a list, normalized, each once."""
    phrases: dict[str, None] = {}
    for phrase in grammar.split("|") if isinstance(grammar, str) else grammar:
        try:
            parts = [normalize(part) for part in phrase.lower().split(UNKNOWN)]
        except TextError as error:
            raise AsrError(f"The phrase {phrase.strip()!r} has to be written as it is spoken, in letters.") from error
        spoken = f" {UNKNOWN} ".join(parts).strip()
        if spoken:
            phrases[spoken] = None
    if not phrases:
        raise AsrError("The grammar holds no phrase: write phrases with | between them, as in yes|no.")
    return tuple(phrases)


def grammar_entries(
    phrases: Sequence[str], pronouncer: Pronouncer, tokens: Sequence[str]
) -> tuple[tuple[str, Pronunciation], ...]:
    """The words of the phrases and how they sound; unknown speech is one word for each token."""
    entries: list[tuple[str, Pronunciation]] = []
    for word in sorted({word for phrase in phrases for word in phrase.split()}):
        sounds = [(token,) for token in range(1, len(tokens))] if word == UNKNOWN else pronouncer.pronounce(word)
        entries += [(word, sound) for sound in sounds]
    return tuple(entries)


class Grammar:
    """The phrases as a deterministic automaton over the words of their lexicon; one phrase may follow another."""

    start = 0

    def __init__(self, phrases: Sequence[str], lexicon: Lexicon, options: GrammarOptions | None = None) -> None:
        options = options or GrammarOptions()
        children: list[dict[int, int]] = [{}]
        complete = {0}
        for phrase in phrases:
            node = 0
            for word in phrase.split():
                number = lexicon.find(word)
                assert number is not None, "the lexicon is made of the phrases"
                if number not in children[node]:
                    children[node][number] = len(children)
                    children.append({number: len(children)} if word == UNKNOWN else {})
                node = children[node][number]
            complete.add(node)
        unknown = lexicon.find(UNKNOWN)
        choice = -math.log(len(phrases))
        # Subset construction: a word may go on with one phrase and begin another.
        indices = {frozenset([0]): 0}
        queue = [frozenset([0])]
        rows: list[dict[int, tuple[int, float]]] = []
        for nodes in queue:
            row: dict[int, tuple[int, float]] = {}
            ends = bool(nodes & complete)
            inside = {number for node in nodes for number in children[node]}
            for number in inside | (set(children[0]) if ends else set()):
                reached = {children[node][number] for node in nodes if number in children[node]}
                if ends and number in children[0] and number != unknown:
                    reached.add(children[0][number])
                after = frozenset(reached or {children[0][number]})
                if after not in indices:
                    indices[after] = len(queue)
                    queue.append(after)
                score = options.unknown_sound if number == unknown else 0.0
                if nodes == {0}:
                    score += choice
                elif number not in inside:
                    score += choice + options.next_phrase
                row[number] = (indices[after], score)
            rows.append(row)
            if len(queue) > _LARGEST:
                raise AsrError("The grammar's phrases overlap in too many ways: give fewer or more distinct ones.")
        self._next = np.zeros((len(rows), len(lexicon)), np.int64)
        self._scores = np.full((len(rows), len(lexicon)), -np.inf)
        for state, row in enumerate(rows):
            for number, (target, score) in row.items():
                self._next[state, number] = target
                self._scores[state, number] = score
        self._ends = np.array([0.0 if nodes & complete else -np.inf for nodes in queue])
        self._ends[0] = options.nothing

    def score(self, states: States, words: NDArray[Any]) -> tuple[NDArray[Any], States]:
        return self._scores[states, words], self._next[states, words]

    def end_score(self, states: States) -> NDArray[Any]:
        return self._ends[states]
