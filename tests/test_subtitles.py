"""Subtitles: exact small cases, what holds for any transcript, and how many cues of a long talk break a rule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from asr.results import Segment, Word
from asr.subtitles import Cue, Rules, broken_rules, cues

TALK = """
Good morning, everyone. Today we look at how a small boat finds its way across the open sea when nothing but water can
be seen. The old sailors had no instruments at all, and yet they came home. How did they do that? They watched the
stars, of course, but the stars are hidden for weeks at a time in some parts of the world, and the sun moves. Right.
What they could always feel was the swell, which runs under the boat from the same side for days, because the wind that
made it blew far away and long ago. Mr. Lewis, who crossed the ocean that way in a boat of thirty feet, said that he
slept on the floor so that his back could read the water. Yes. It is a matter of attention. If you take one thing home
from this lecture, then let it be that: the world tells you where you are, as long as you know what to listen for, and
nobody who has learned to listen gets lost for long. Are there any questions? Then we meet again on Thursday.
"""


def speech(text: str, seed: int = 0, pace: float = 1.0) -> list[Segment]:
    """Segments of words said at a natural pace, cut where a pause is long."""
    chance = random.Random(seed)
    at, segments, words = 0.5, [], []
    tokens = text.split()
    for token in tokens:
        end = at + (0.06 * len(token) + 0.07) * chance.uniform(0.8, 1.25) / pace
        words.append(Word(token.lower().strip(".,?:"), at, end, 0.9, token))
        pauses = {".": (0.3, 0.5, 0.8, 3.0), "?": (0.5, 1.2), ",": (0.02, 0.1, 0.3, 0.6)}.get(token[-1], (0.02,))
        at = end + chance.choice(pauses)
        if at - end >= 0.6 or len(words) == len(tokens):
            segments.append(segment_of(words, len(segments)))
            words = []
    return [*segments, segment_of(words, len(segments))] if words else segments


def segment_of(words: Sequence[Word], number: int = 0, channel: int | None = None) -> Segment:
    text = " ".join(word.written or word.text for word in words if word.written != "")
    return Segment(number, text, words[0].start, words[-1].end, tuple(words), True, channel)


def said(text: str, seconds: float, start: float = 0.0, channel: int | None = None) -> Segment:
    tokens = text.split()
    each = seconds / len(tokens)
    words = [
        Word(token.lower(), start + i * each, start + (i + 1) * each, 1.0, token) for i, token in enumerate(tokens)
    ]
    return segment_of(words, channel=channel)


def test_breaks_at_clauses() -> None:
    found = cues([said("When the rain had stopped, we went out into the garden and looked for the cat.", 5.0)])
    assert [cue.text for cue in found] == [
        "When the rain had stopped,\nwe went out into the garden",
        "and looked for the cat.",
    ] or [cue.text for cue in found] == [
        "When the rain had stopped, we went out\ninto the garden and looked for the cat."
    ]  # fmt: skip


def test_rather_a_cue_more_than_a_line_that_ends_in_mid_phrase() -> None:
    assert broken_rules(cues([said("Might have indicated that he was to the great American statesmen.", 3.4)])) == []
    hesitant = [Word(word, i, i + 0.3, 1.0, word) for i, word in enumerate("Then they came to the old".split())]
    hesitant += [Word(word, 6.8 + i, 7.1 + i, 1.0, word) for i, word in enumerate("house of stone again.".split())]
    assert broken_rules(cues([segment_of(hesitant)])) == []


def test_short_speech_stays_a_second_and_long_enough_to_read() -> None:
    assert cues([said("Yes.", 0.3)]) == [Cue(0.0, 1.0, "Yes.")]
    hurried = cues([said("Nobody could have said it faster than he did.", 1.2)])
    assert hurried[0].end == 45 / 20


def test_no_cue_runs_into_the_next() -> None:
    found = cues([said("Yes.", 0.3), said("No.", 0.3, start=9.0), said("Why?", 0.3, start=10.5)])
    assert [(cue.start, cue.end) for cue in found] == [(0.0, 1.0), (9.0, 10.0), (10.5, 11.5)]


def test_numbers_keep_the_time_of_their_words() -> None:
    words = [Word("ten", 0.0, 0.4, 1.0, "$10."), Word("dollars", 0.4, 2.9, 1.0, "")]
    assert cues([segment_of(words)]) == [Cue(0.0, 2.9, "$10.")]


def test_channels_are_apart() -> None:
    found = cues([said("Hello there, who is speaking?", 2.0, channel=0), said("Me.", 1.0, start=1.0, channel=1)])
    assert [(cue.label, cue.text) for cue in found] == [
        ("Channel 1: ", "Hello there, who is speaking?"),
        ("Channel 2: ", "Me."),
    ]


def test_a_talk_breaks_no_rule() -> None:
    for seed, pace in ((1, 1.0), (2, 1.0), (3, 1.3), (4, 0.8)):
        assert broken_rules(cues(speech(TALK, seed, pace))) == []


def test_the_checker_sees_what_is_wrong() -> None:
    wrong = [
        Cue(0.0, 0.4, "of"),
        Cue(0.5, 9.0, "This line is a good deal longer than forty-two characters."),
        Cue(8.0, 9.0, "one\ntwo\nthree"),
        Cue(10.0, 11.0, "Far too much text for a single second\nof time that was free"),
        Cue(20.0, 22.0, "What they saw was the\nend of it all."),
    ]
    rules = {line.split(": ")[1] for line in broken_rules(wrong)}
    assert len(rules) >= 8


@st.composite
def segments(draw: st.DrawFn) -> list[Segment]:
    found, at = [], 0.0
    for number in range(draw(st.integers(0, 4))):
        words = []
        for _ in range(draw(st.integers(1, 25))):
            start = at + draw(st.sampled_from([0.0, 0.02, 0.4, 2.0]))
            at = start + draw(st.integers(1, 30)) / 25
            text = draw(st.sampled_from(["a", "the", "house", "extraordinary", "of", "Mr.", "x" * 60]))
            mark = draw(st.sampled_from(["", "", "", ",", ".", "?"]))
            words.append(Word(text, start, at, 1.0, draw(st.sampled_from([text + mark, text + mark, ""]))))
        found.append(segment_of(words, number))
    return found


@given(segments())
@settings(max_examples=40)
def test_any_transcript(spoken: list[Segment]) -> None:
    rules = Rules()
    found = cues(spoken, rules)
    for cue in found:
        lines = cue.text.split("\n")
        assert len(lines) <= rules.lines
        assert all(len(line) <= rules.line_length or " " not in line for line in lines)
        assert cue.end - cue.start <= rules.longest + 1e-6 or len(cue.text.split()) == 1
        assert cue.end > cue.start
    assert all(one.end <= other.start + 1e-6 for one, other in pairwise(found))
    shown = " ".join(cue.text for cue in found).split()
    assert shown == [word.written for segment in spoken for word in segment.words if word.written]
