"""Subtitles that people can read: where cues and lines break, and how long each stays.

The usual rules (BBC, Netflix and EBU guidelines agree on them): two lines of 42 characters, 1 to 7 s, 20 characters a
second where speech leaves the time, no word alone, breaks where a clause ends. Among all ways to cut a transcript the
one that breaks the fewest is found by dynamic programming, as lines of a paragraph are (Knuth and Plass, 1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from asr.results import Segment


@dataclass(frozen=True)
class Rules:
    """What a subtitle may be."""

    line_length: int = 42  # characters
    lines: int = 2
    shortest: float = 1.0  # seconds
    longest: float = 7.0
    characters_a_second: float = 20.0
    longest_silence: float = 1.0  # within a cue, seconds


@dataclass(frozen=True)
class Cue:
    """A subtitle: one or two lines for a while."""

    start: float
    end: float
    text: str
    label: str = ""  # of its channel


@dataclass(frozen=True)
class _Unit:
    """What is written as one: a word, or a number of several words."""

    text: str
    start: float
    end: float
    pause: float  # silence behind it


# After these a line or a cue must not break: they belong to what follows.
_LEANING = frozenset(
    "a an the my your his her its our their this these those some any no every each of to in on at by for with from "
    "into about than as and or but nor if because that which who when where while is are was were be been am will "
    "would can could shall should may might must do does did has have had not very so too mr. mrs. dr. i we he she "
    "they it".split()
)
# Before these it may break well: they open a clause or a phrase.
_OPENING = frozenset(
    "and or but nor if because that which who when where while although though unless until since so then to of in on "
    "at by for with from into about than as".split()
)
_TITLES = frozenset("mr. mrs. ms. dr. st.".split())  # their full stop ends no sentence
_FORBIDDEN = 1e6


def cues(segments: Sequence[Segment], rules: Rules | None = None) -> list[Cue]:
    """Segments cut into subtitles, in the order of time; segments of one channel may share a cue."""
    rules = rules or Rules()
    found: list[Cue] = []
    ordered = sorted(segments, key=lambda segment: (-1 if segment.channel is None else segment.channel, segment.start))
    for channel, group in groupby(ordered, key=lambda segment: segment.channel):
        label = "" if channel is None else f"Channel {channel + 1}: "
        units = _units(list(group))
        if not units:
            continue
        first_line = rules.line_length - len(label)
        cut = _cut(units, rules, first_line)
        parts = [units[start:stop] for start, stop in pairwise(cut)]
        starts = [part[0].start for part in parts]
        for part, following in zip(parts, [*starts[1:], float("inf")], strict=True):
            text = "\n".join(_lines(part, rules, first_line)[0])
            end = _shown_until(part, following, rules, len(text))
            found.append(Cue(part[0].start, end, text, label))
    return sorted(found, key=lambda cue: cue.start)


def broken_rules(found: Sequence[Cue], rules: Rules | None = None) -> list[str]:
    """What is wrong with subtitles of one channel, a sentence for each rule that a cue breaks, with its number."""
    rules = rules or Rules()
    wrong: list[str] = []
    for number, cue in enumerate(found, 1):
        lines = cue.text.split("\n")
        words = cue.text.split()
        after = found[number].start if number < len(found) else float("inf")
        before = found[number - 2] if number > 1 else None
        seconds = cue.end - cue.start
        characters = len(cue.text.replace("\n", " "))
        checks = {
            "a line is too long": any(
                len(line) + (len(cue.label) if line is lines[0] else 0) > rules.line_length and " " in line
                for line in lines
            ),
            "too many lines": len(lines) > rules.lines,
            "shorter than it may be": seconds < rules.shortest - 1e-3,
            "longer than it may be": seconds > rules.longest + 1e-3,
            "too fast, and there was time": characters > rules.characters_a_second * seconds + 1
            and after - cue.end > 0.1
            and seconds < rules.longest - 0.1,
            "runs into the next": cue.end > after + 1e-3,
            "a line of one word": len(lines) > 1 and len(words) > 3 and any(" " not in line for line in lines),
            "a word alone": len(words) == 1
            and not (words[0][-1] in ".?" and (before is None or before.text[-1] in ".?"))
            and (after - cue.end < 1.0 or (before is not None and cue.start - before.end < 1.0)),
            "a line breaks behind a word that leans on the next": any(_leans(line) for line in lines[:-1]),
            "breaks behind a word that leans on the next": _leans(cue.text) and after - cue.end < 1.0,
        }
        wrong += [f"cue {number}: {rule}" for rule, broken in checks.items() if broken]
    return wrong


def _leans(text: str) -> bool:
    return text.rsplit(maxsplit=1)[-1].lower() in _LEANING


def _ends_sentence(text: str) -> bool:
    return text[-1] in ".?!" and text.lower() not in _TITLES


def _units(segments: Sequence[Segment]) -> list[_Unit]:
    units: list[_Unit] = []
    for segment in segments:
        for word in segment.words:
            text = word.text if word.written is None else word.written
            if text:
                units.append(_Unit(text, word.start, word.end, 0.0))
            elif units:
                units[-1] = replace(units[-1], end=word.end)
    pauses = [max(0.0, following.start - unit.end) for unit, following in pairwise(units)] + [10.0] * bool(units)
    return [replace(unit, pause=pause) for unit, pause in zip(units, pauses, strict=True)]


def _break_cost(unit: _Unit, following: _Unit | None) -> float:
    """How bad it is to break behind a unit: nothing at a sentence's end, a lot within a phrase."""
    if following is None or _ends_sentence(unit.text):
        return 0.0
    if unit.text[-1] in ",;:":
        return 0.3
    if unit.text.lower() in _LEANING and unit.pause < 1.0:
        return 5.0  # worse than a cue more
    if unit.pause > 0.5:
        return 0.4
    return 0.7 if following.text.lower() in _OPENING else 1.0


def _lines(units: Sequence[_Unit], rules: Rules, first_line: int) -> tuple[list[str], float]:
    """The units in one line or two, and how bad that is; `_FORBIDDEN` where they do not fit."""
    whole = " ".join(unit.text for unit in units)
    if len(whole) <= first_line or len(units) == 1:
        return [whole], 0.0
    best: tuple[list[str], float] = ([whole], _FORBIDDEN)
    for cut in range(1, len(units)):
        above, below = (" ".join(unit.text for unit in part) for part in (units[:cut], units[cut:]))
        if len(above) > first_line or len(below) > rules.line_length or rules.lines < 2:
            continue
        cost = _break_cost(units[cut - 1], units[cut]) + abs(len(above) - len(below)) / rules.line_length
        cost += 2.0 * (len(units) > 3 and (cut == 1 or cut == len(units) - 1))
        if cost < best[1]:
            best = [above, below], cost
    return best


def _shown_until(units: Sequence[_Unit], following: float, rules: Rules, characters: int) -> float:
    """A cue stays as long as it is spoken, and longer for who reads, if the next one leaves the time."""
    start, end = units[0].start, units[-1].end
    wanted = max(end, start + rules.shortest, start + characters / rules.characters_a_second)
    return max(min(wanted, following, start + rules.longest), min(end, following))


def _cut(units: Sequence[_Unit], rules: Rules, first_line: int) -> list[int]:
    """Where cues begin, and the end: the cheapest way to cut the units."""
    best: list[tuple[float, int]] = [(0.0, 0)]  # of the units before each place: cost, where the last cue began
    for stop in range(1, len(units) + 1):
        following = units[stop] if stop < len(units) else None
        options: list[tuple[float, int]] = []
        for start in range(stop - 1, -1, -1):
            cost = _cue_cost(units[start:stop], following, rules, first_line)
            alone = stop - start == 1
            if cost >= _FORBIDDEN and not alone:
                if sum(len(unit.text) + 1 for unit in units[start:stop]) > first_line + rules.line_length + 1:
                    break
                continue
            if alone and not _stands_alone(units, start):
                cost += 4.0
            options.append((best[start][0] + cost, start))
        best.append(min(options))
    places = [len(units)]
    while places[-1] > 0:
        places.append(best[places[-1]][1])
    return places[::-1]


def _stands_alone(units: Sequence[_Unit], index: int) -> bool:
    """Whether a single word is a sentence, or far from everything."""
    sentence = _ends_sentence(units[index].text) and (index == 0 or _ends_sentence(units[index - 1].text))
    return sentence or (units[index].pause > 2.0 and (index == 0 or units[index - 1].pause > 2.0))


def _cue_cost(units: Sequence[_Unit], following: _Unit | None, rules: Rules, first_line: int) -> float:
    lines, cost = _lines(units, rules, first_line)
    seconds = units[-1].end - units[0].start
    if cost >= _FORBIDDEN or seconds > rules.longest or any(u.pause > rules.longest_silence for u in units[:-1]):
        return _FORBIDDEN
    available = min(rules.longest, following.start - units[0].start if following else rules.longest)
    characters = sum(map(len, lines)) + len(lines) - 1
    cost += 1.0 + 2.0 * _break_cost(units[-1], following)
    cost += 0.3 * sum(_ends_sentence(unit.text) for unit in units[:-1])  # rather a cue for a sentence
    cost += 6.0 * max(0.0, rules.shortest - available) + 5.0 * (available < rules.shortest)
    return cost + 2.0 * max(0.0, characters / rules.characters_a_second / max(available, 0.1) - 1.0)
