"""What the heads are taught: phones from a pronunciation dictionary, and subwords of the spelling."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

from asr.errors import AsrError
from asr.network import WORD_START

BLANK = "<blank>"
Pronunciation = tuple[str, ...]


class Subwords:
    """Byte-pair encoding of words (Sennrich et al., 2016); a token's place in the list is the rank of its merge."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(tokens)  # without the blank
        self._rank = {token: rank for rank, token in enumerate(self.tokens)}
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Token numbers of normalized text, counted from 1, since 0 is the blank. Raises `AsrError` on a letter
        outside the alphabet."""
        return [number for word in text.split() for number in self._encode_word(word)]

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._known:
            pieces = [WORD_START + word[0], *word[1:]]
            while len(pieces) > 1:
                ranks = [self._rank.get(a + b, len(self._rank)) for a, b in itertools.pairwise(pieces)]
                best = min(ranks)
                if best == len(self._rank):
                    break
                pieces = _merge(pieces, self.tokens[best])
            unknown = [piece for piece in pieces if piece not in self._rank]
            if unknown:
                raise AsrError(f"{word!r} holds {unknown[0].strip(WORD_START)!r}, which is not in the alphabet")
            self._known[word] = [self._rank[piece] + 1 for piece in pieces]
        return self._known[word]


def _merge(pieces: list[str], token: str) -> list[str]:
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


def learn_subwords(texts: Iterable[str], size: int) -> Subwords:
    """A list of `size` tokens: all letters, alone and at a word's start, then the most frequent merges.

    Raises `AsrError` if the alphabet alone is larger.
    """
    counts = Counter(word for text in texts for word in text.split())
    letters = sorted({letter for word in counts for letter in word})
    tokens = letters + [WORD_START + letter for letter in letters]
    if len(tokens) > size:
        raise AsrError(f"{size} subwords are fewer than the alphabet's {len(tokens)} letters; ask for more")
    words = {word: [WORD_START + word[0], *word[1:]] for word in counts}
    while len(tokens) < size:
        pairs: Counter[str] = Counter()
        for word, pieces in words.items():
            for first, second in itertools.pairwise(pieces):
                pairs[first + second] += counts[word]
        if not pairs:
            break
        token = max(pairs, key=lambda pair: (pairs[pair], pair))
        tokens.append(token)
        for word, pieces in words.items():
            if token in word or token[1:] in word:
                words[word] = _merge(pieces, token)
    return Subwords(tokens)
