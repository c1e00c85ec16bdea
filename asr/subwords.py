"""Words in subwords: byte-pair encoding, by the list of tokens alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import lru_cache

from asr.errors import AsrError
from asr.network import WORD_START

_KEPT = 4096  # words whose pieces are remembered: a recognizer that listens for days must not grow


class Subwords:
    """Byte-pair encoding of words (Sennrich et al., 2016); a token's place in the list is the rank of its merge."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(tokens)  # without the blank
        self._rank = {token: rank for rank, token in enumerate(self.tokens)}
        self._encode_word = lru_cache(_KEPT)(self._merged)

    def encode(self, text: str) -> list[int]:
        """Token numbers of normalized text, counted from 1, since 0 is the blank. Raises `AsrError` on a letter
        outside the alphabet."""
        return [number for word in text.split() for number in self._encode_word(word)]

    def _merged(self, word: str) -> tuple[int, ...]:
        pieces = [WORD_START + word[0], *word[1:]]
        while len(pieces) > 1:
            ranks = [self._rank.get(a + b, len(self._rank)) for a, b in itertools.pairwise(pieces)]
            best = min(ranks)
            if best == len(self._rank):
                break
            pieces = merge(pieces, self.tokens[best])
        if unknown := [piece for piece in pieces if piece not in self._rank]:
            raise AsrError(f"{word!r} holds {unknown[0].strip(WORD_START)!r}, which is not in the alphabet")
        return tuple(self._rank[piece] + 1 for piece in pieces)


def merge(pieces: list[str], token: str) -> list[str]:
    """Every neighbouring pair that makes `token` joined, from left to right."""
    merged: list[str] = []
    position = 0
    while position < len(pieces):
        if position + 1 < len(pieces) and pieces[position] + pieces[position + 1] == token:
            merged.append(token)
            position += 2
        else:
            merged.append(pieces[position])
            position += 1
    return merged
