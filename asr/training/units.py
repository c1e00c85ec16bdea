"""What the heads are taught: phones from a pronunciation dictionary, and subwords of the spelling."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

from asr.errors import AsrError
from asr.network import WORD_START
from asr.subwords import Subwords, merge

BLANK = "<blank>"
Pronunciation = tuple[str, ...]


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
    pairs: Counter[str] = Counter()
    for word, pieces in words.items():
        _count_pairs(pairs, pieces, counts[word])
    while len(tokens) < size:
        token = max(pairs, key=lambda pair: (pairs[pair], pair), default="")
        if not pairs[token]:
            break
        tokens.append(token)
        for word, pieces in words.items():
            if (token in word or token[1:] in word) and len(merged := merge(pieces, token)) < len(pieces):
                _count_pairs(pairs, pieces, -counts[word])
                _count_pairs(pairs, merged, counts[word])
                words[word] = merged
    return Subwords(tokens)


def _count_pairs(pairs: Counter[str], pieces: list[str], count: int) -> None:
    for first, second in itertools.pairwise(pieces):
        pairs[first + second] += count
