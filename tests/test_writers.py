"""Transcripts as text: what is written can be read back, and follows its format."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.results import Alternative, Segment, Transcript, Word
from asr.writers import WRITERS, from_json, write_file

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=14)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    segments, at = [], 0.0
    separate = draw(st.booleans())
    for number in range(draw(st.integers(0, 4))):
        words = []
        for text in draw(st.lists(WORDS, min_size=1, max_size=30)):
            start = at + draw(st.integers(0, 40)) / 25
            at = start + draw(st.integers(1, 30)) / 25
            written = draw(st.one_of(st.none(), st.just(""), WORDS))
            words.append(Word(text, round(start, 3), round(at, 3), draw(st.integers(0, 1000)) / 1000, written))
        text = " ".join(filter(None, (word.text if word.written is None else word.written for word in words)))
        channel = draw(st.integers(0, 1)) if separate else None
        alternatives = tuple(Alternative(text, -number / 2) for text in draw(st.lists(WORDS, max_size=2)))
        segments.append(Segment(number, text, words[0].start, at, tuple(words), True, channel, alternatives))
    return Transcript(" ".join(s.text for s in segments), tuple(segments), round(at + 0.5, 3), "english-small 0.1.0")


EXAMPLE = Transcript(
    "Hello, Dr. Smith. I owe you $10.",
    (
        Segment(
            0,
            "Hello, Dr. Smith.",
            0.4,
            1.8,
            (
                Word("hello", 0.4, 0.8, 0.91, "Hello,"),
                Word("doctor", 1.0, 1.32, 0.8, "Dr."),
                Word("smith", 1.32, 1.8, 0.75, "Smith."),
            ),
            True,
        ),
        Segment(
            1,
            "I owe you $10.",
            3661.0,
            3662.5,
            (
                Word("i", 3661.0, 3661.1, 1.0, "I"),
                Word("owe", 3661.1, 3661.4, 0.9, None),
                Word("you", 3661.4, 3661.6, 0.9, None),
                Word("ten", 3661.6, 3662.0, 0.9, "$10."),
                Word("dollars", 3662.0, 3662.5, 0.9, ""),
            ),
            True,
        ),
    ),
    3663.0,
    "english-small 0.1.0",
)


def test_txt() -> None:
    assert WRITERS["txt"](EXAMPLE, "talk") == "Hello, Dr. Smith.\nI owe you $10.\n"


def test_srt() -> None:
    assert WRITERS["srt"](EXAMPLE, "talk") == (
        "1\n00:00:00,400 --> 00:00:01,800\nHello, Dr. Smith.\n\n2\n01:01:01,000 --> 01:01:02,500\nI owe you $10.\n"
    )


def test_vtt_escapes_and_names_channels() -> None:
    segment = Segment(0, "<a & b>", 0.0, 1.5, (Word("<a", 0.0, 0.5, 1.0), Word("& b>", 0.5, 1.5, 1.0)), True, channel=1)
    found = WRITERS["vtt"](Transcript("", (segment,), 2.0, "m 1"), "talk")
    assert found == "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n<v Channel 2>&lt;a &amp; b&gt;\n"


def test_tsv() -> None:
    lines = WRITERS["tsv"](EXAMPLE, "talk").splitlines()
    assert lines == ["start\tend\ttext", "0.400\t1.800\tHello, Dr. Smith.", "3661.000\t3662.500\tI owe you $10."]


def test_ctm_has_words_as_spoken() -> None:
    lines = WRITERS["ctm"](EXAMPLE, "my talk").splitlines()
    assert lines[0] == "my_talk 1 0.400 0.400 hello 0.910"
    assert lines[-1] == "my_talk 1 3662.000 0.500 dollars 0.900"


@given(transcripts())
def test_json_round_trip(transcript: Transcript) -> None:
    assert from_json(WRITERS["json"](transcript, "talk")) == transcript


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"text": "a", "segments": [{}]}', "WEBVTT"])
def test_what_is_no_transcript(text: str) -> None:
    with pytest.raises(AsrError, match="not a transcript"):
        from_json(text)


@given(transcripts())
def test_textgrid_tiers_have_no_gaps(transcript: Transcript) -> None:
    grid = WRITERS["textgrid"](transcript, "talk")
    for tier in grid.split("item [")[2:]:
        times = [float(value) for value in re.findall(r"^            x(?:min|max) = ([\d.]+)$", tier, re.MULTILINE)]
        starts, ends = times[::2], times[1::2]
        assert not starts or (starts[0] == 0 and ends[:-1] == starts[1:])
        assert all(start < end for start, end in zip(starts, ends, strict=True))
        assert f"size = {len(starts)}" in tier
    texts = re.findall(r'^            text = "(.+)"$', grid, re.MULTILINE)
    assert len(texts) == len(transcript.words)


@given(transcripts())
def test_every_writer_takes_every_transcript(transcript: Transcript) -> None:
    for writer in WRITERS.values():
        assert writer(transcript, "a name").isprintable() or "\n" in writer(transcript, "a name")


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    write_file(tmp_path / "new" / "a.txt", "text\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"text\n"
    write_file(tmp_path / "new" / "a.txt", "no text: \udcff")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"no text: \\udcff"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(AsrError, match="cannot be written"):
        write_file(tmp_path / "file" / "a.txt", "text")
