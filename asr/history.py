"""What the hypotheses of a search have said: words with their times, where paths met, and how much each path weighed.

A *record* is a word after an earlier record, or a *meeting*: the place where hypotheses that said different things
became one, because nothing that follows can tell them apart. A meeting remembers the share of the mass that each path
brought, so that the whole is a lattice: word posteriors and N-best lists are read off it (Ney and Ortmanns, 1999).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOTHING = -1  # the record before the first word; also the "word" of a meeting
_Path = tuple[float, int, int, float, tuple[Any, ...]]  # less the better, number, record, probability, words after it
_FIELDS = ("parent", "word", "start", "end")
_PATHS = 8  # followed at most for each alternative asked for
_NEGLIGIBLE = 0.1  # of the last alternative's probability: paths lighter than this add nothing that counts


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word of the lexicon by number, with the frames of its first and last token and its posterior."""

    word: int
    start: int
    end: int
    posterior: float = 1.0


class History:
    """A growing table of records, and the edges of its meetings; earlier records have smaller numbers."""

    def __init__(self, capacity: int = 256) -> None:
        self.committed: list[SaidWord] = []  # words that all hypotheses share and that were taken out of the table
        self.size = 0
        self.edges = 0
        self._table = np.empty((4, capacity), np.int32)
        self._edge_ids = np.empty((2, capacity), np.int32)  # owner (a meeting), record
        self._edge_shares = np.empty(capacity, np.float32)

    def words(
        self,
        parent: NDArray[np.integer[Any]],
        word: NDArray[np.integer[Any]],
        start: NDArray[np.integer[Any]],
        end: int,
    ) -> NDArray[np.int32]:
        """New records for words that ended in frame `end`; gives their numbers."""
        return self._append(parent, word, start, end)

    def meetings(
        self,
        parent: NDArray[np.integer[Any]],
        owner: NDArray[np.intp],
        record: NDArray[np.integer[Any]],
        share: NDArray[np.floating[Any]],
    ) -> NDArray[np.int32]:
        """New meetings with their heaviest records; edge i brings `record[i]` to meeting `owner[i]` of the new ones."""
        numbers = self._append(parent, NOTHING, 0, 0)
        more = self.edges + len(owner)
        if more > len(self._edge_shares):
            self._edge_ids = _grown(self._edge_ids, more)
            self._edge_shares = _grown(self._edge_shares, more)
        self._edge_ids[0, self.edges : more] = numbers[owner]
        self._edge_ids[1, self.edges : more] = record
        self._edge_shares[self.edges : more] = share
        self.edges = more
        return numbers

    def _append(self, parent: NDArray[Any], *values: NDArray[Any] | int) -> NDArray[np.int32]:
        more = self.size + len(parent)
        if more > self._table.shape[1]:
            self._table = _grown(self._table, more)
        block = self._table[:, self.size : more]
        block[0] = parent
        for row, value in enumerate(values, start=1):
            block[row] = value
        numbers = np.arange(self.size, more, dtype=np.int32)
        self.size = more
        return numbers

    def same(self, first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Whether pairs of records say the same: the same record, or the same word after the same record."""
        parent, word = self._table[0], self._table[1]
        alike = (parent[first] == parent[second]) & (word[first] == word[second]) & (word[first] != NOTHING)
        known = (first != NOTHING) & (second != NOTHING)
        return np.asarray((first == second) | (alike & known))

    @property
    def largest_word(self) -> int:
        return int(self._table[1, : self.size].max(initial=NOTHING))

    # Reading

    def path(self, record: int) -> list[SaidWord]:
        """The words up to a record along the heaviest paths, the committed ones first."""
        parent, word, start, end = self._table
        said = []
        while record != NOTHING:
            if word[record] != NOTHING:
                said.append(SaidWord(int(word[record]), int(start[record]), int(end[record])))
            record = int(parent[record])
        return self.committed + said[::-1]

    def posteriors(self, weights: dict[int, float]) -> list[float]:
        """The probability of each record, from those of the records that the last hypotheses hold (summing to 1)."""
        mass = [0.0] * (self.size + 1)  # the last one is that of NOTHING
        for record, weight in weights.items():
            mass[record] += weight
        parent, word = self._table[0, : self.size].tolist(), self._table[1, : self.size].tolist()
        meetings = self._meetings()
        for record in range(self.size - 1, -1, -1):
            if mass[record] < 1e-7:
                continue
            if word[record] != NOTHING:
                mass[parent[record]] += mass[record]
            else:
                for other, share in meetings[record]:
                    mass[other] += share * mass[record]
        return mass[: self.size]

    def with_posteriors(self, said: list[SaidWord], weights: dict[int, float]) -> list[SaidWord]:
        """The same words with their posteriors: the mass of all records of the word that overlap it in time."""
        mass = np.array(self.posteriors(weights))
        alive = np.flatnonzero(mass > 1e-7)
        _, word, start, end = self._table[:, alive]
        mass = mass[alive]
        rated = []
        for one in said[len(self.committed) :]:
            same = (word == one.word) & (start <= one.end) & (end >= one.start)
            rated.append(SaidWord(one.word, one.start, one.end, float(min(1.0, mass[same].sum()))))
        return self.committed + rated

    def alternatives(self, weights: dict[int, float], count: int) -> list[tuple[list[SaidWord], float]]:
        """The `count` most probable word sequences with their probabilities, best first (A*, exact bounds)."""
        table = self._table[:, : self.size].tolist()
        parent, word, start, end = table
        meetings = self._meetings()
        bound = [0.0] * self.size + [1.0]  # most probable way from each record back to the start
        for record in range(self.size):
            if word[record] != NOTHING:
                bound[record] = bound[parent[record]]
            else:
                ways = meetings[record]
                ways.sort(key=lambda way: -way[1] * bound[way[0]])
                bound[record] = ways[0][1] * bound[ways[0][0]]
        heap: list[_Path] = [
            (-weight * bound[record], number, record, weight, ())
            for number, (record, weight) in enumerate(weights.items())
        ]
        heapq.heapify(heap)
        found: dict[tuple[int, ...], tuple[list[SaidWord], float]] = {}
        pushed, enough = len(heap), 0.0
        for _ in range(_PATHS * count):
            if not heap or -heap[0][0] < enough:
                break
            _, _, record, weight, tail = heapq.heappop(heap)
            while record != NOTHING:  # back to the start by the best way; what leaves it waits in the heap
                if word[record] != NOTHING:
                    tail = (record, tail)
                    record = parent[record]
                    continue
                (record, share), *others = meetings[record]
                for other, part in others:
                    heapq.heappush(heap, (-weight * part * bound[other], pushed, other, weight * part, tail))
                    pushed += 1
                weight *= share
            said = []
            while tail:
                number, tail = tail
                said.append(SaidWord(word[number], start[number], end[number]))
            key = tuple(one.word for one in said)
            before, mass = found.get(key, (self.committed + said, 0.0))
            found[key] = (before, mass + weight)
            if len(found) == count and not enough:  # go on for more ways to say the same
                enough = _NEGLIGIBLE * weight
        return sorted(found.values(), key=lambda entry: -entry[1])[:count]

    def _meetings(self) -> dict[int, list[tuple[int, float]]]:
        owners, records = self._edge_ids[:, : self.edges].tolist()
        meetings: dict[int, list[tuple[int, float]]] = {}
        for owner, record, share in zip(owners, records, self._edge_shares[: self.edges].tolist(), strict=True):
            meetings.setdefault(owner, []).append((record, share))
        return meetings

    # Bounded memory

    def collect(self, held: NDArray[np.integer[Any]], before: int) -> NDArray[np.int32]:
        """Forget what no hypothesis needs; gives the new numbers of the `held` records.

        Meetings whose heaviest path ended before frame `before` keep only that path, and the words that all
        hypotheses then share are committed.
        """
        parent, word, _, end = (row[: self.size].copy() for row in self._table)
        old = np.zeros(self.size, bool)
        for meeting in np.flatnonzero(word == NOTHING):  # in order: a meeting after a meeting
            above = int(parent[meeting])
            end[meeting] = end[above] if above != NOTHING else 0
            old[meeting] = end[meeting] < before
        instead = np.arange(self.size + 1, dtype=np.int32)  # what replaces each record; NOTHING is its own
        instead[NOTHING] = NOTHING
        for meeting in np.flatnonzero(old):
            instead[meeting] = instead[parent[meeting]]
        parent = instead[parent]
        held = instead[held]
        kept_edges = ~old[self._edge_ids[0, : self.edges]]
        owner = self._edge_ids[0, : self.edges][kept_edges]
        record = instead[self._edge_ids[1, : self.edges][kept_edges]]
        share = self._edge_shares[: self.edges][kept_edges]
        needed = np.zeros(self.size + 1, bool)
        needed[held] = True
        for number in range(self.size - 1, -1, -1):
            if needed[number]:
                needed[parent[number]] = True
                if word[number] == NOTHING:
                    low, high = np.searchsorted(owner, (number, number + 1))
                    needed[record[low:high]] = True
        needed[NOTHING] = False
        shared = self._commit(needed, parent, word, {*held.tolist(), *record[needed[owner]].tolist()})
        numbers = np.cumsum(needed, dtype=np.int32) - 1
        numbers[~needed] = NOTHING
        numbers[shared] = NOTHING
        live = np.flatnonzero(needed)
        table = self._table[:, live].copy()
        table[0] = numbers[parent[live]]
        self._table, self.size = table, len(live)
        alive = needed[owner]
        self._edge_ids = np.stack([numbers[owner[alive]], numbers[record[alive]]])
        self._edge_shares = share[alive].copy()
        self.edges = int(alive.sum())
        kept: NDArray[np.int32] = numbers[held]
        return kept

    def _commit(
        self, needed: NDArray[np.bool_], parent: NDArray[np.int32], word: NDArray[np.int32], ends: set[int]
    ) -> list[int]:
        """Take the common beginning of all paths out of `needed`; paths begin at the records `ends`."""
        live = np.flatnonzero(needed)
        heirs = np.bincount(parent[live] + 1, minlength=self.size + 1)
        only = {int(parent[number]): int(number) for number in live}
        shared: list[int] = []
        last = NOTHING
        while last not in ends and heirs[last + 1] == 1 and word[only[last]] != NOTHING:
            last = only[last]
            shared.append(last)
        if last in ends and shared:
            shared.pop()  # somebody still holds it
        for number in shared:
            _, said, start, end = (int(value) for value in self._table[:, number])
            self.committed.append(SaidWord(said, start, end))
            needed[number] = False
        return shared

    # Storing

    def copy(self) -> History:
        other = History(0)
        other.committed = list(self.committed)
        other.size, other.edges = self.size, self.edges
        other._table = self._table[:, : max(self.size, 1)].copy()
        other._edge_ids = self._edge_ids[:, : self.edges].copy()
        other._edge_shares = self._edge_shares[: self.edges].copy()
        return other

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        said = [[one.word for one in self.committed], [one.start for one in self.committed],
                [one.end for one in self.committed]]  # fmt: skip
        return {
            "records": self._table[:, : self.size].copy(),
            "edges": self._edge_ids[:, : self.edges].copy(),
            "shares": self._edge_shares[: self.edges].copy(),
            "committed": np.array(said, np.int32).reshape(3, -1),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> History:
        """The inverse of `to_arrays`; `ValueError` for tables that no search can have written."""
        history = cls(0)
        records = np.array(arrays["records"], np.int32)
        edges, shares = np.array(arrays["edges"], np.int32), np.array(arrays["shares"], np.float32)
        committed = np.array(arrays["committed"], np.int32)
        size = records.shape[-1]
        if records.shape != (4, size) or edges.shape != (2, len(shares)) or committed.shape != (3, committed.shape[-1]):
            raise ValueError("the tables do not fit together")
        earlier = (records[0] >= NOTHING) & (records[0] < np.arange(size))
        inside = (edges[0] >= 0) & (edges[0] < size) & (edges[1] >= NOTHING) & (edges[1] < edges[0])
        owners = np.isin(np.flatnonzero(records[1] == NOTHING), edges[0])
        if not (earlier.all() and inside.all() and owners.all() and (records[1] >= NOTHING).all()):
            raise ValueError("records refer to records that do not exist")
        history._table, history.size = np.pad(records, ((0, 0), (0, 1))), size  # never without a column
        history._edge_ids, history._edge_shares, history.edges = edges, shares, len(shares)
        history.committed = [SaidWord(*(int(value) for value in column)) for column in committed.T]
        return history


def _grown(array: NDArray[Any], least: int) -> NDArray[Any]:
    """A copy with room for at least `least` entries along the last axis, and twice as many as before."""
    grown = np.empty((*array.shape[:-1], max(least, 2 * array.shape[-1], 64)), array.dtype)
    grown[..., : array.shape[-1]] = array
    return grown
