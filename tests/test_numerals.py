"""Spoken numbers as they are written: exact cases by hand, traps, and what must hold for any words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.figures import cardinal, ordinal, year
from asr.numerals import in_figures, write_numbers
from asr.results import Word
from asr.text import normalize

CASES = {
    # cardinals
    "twenty three": "23",
    "seven hundred and forty seven": "747",
    "two thousand five hundred people": "2,500 people",
    "two hundred and fifty thousand": "250,000",
    "six million three hundred thousand": "6,300,000",
    "three million people": "3 million people",
    "a hundred and five dogs": "105 dogs",
    "between one hundred and two hundred": "between 100 and 200",
    "five to ten people": "5 to 10 people",
    "nine out of ten": "9 out of 10",
    "minus five degrees": "minus 5 degrees",
    "minus five": "-5",
    # years and decades
    "nineteen eighty four": "1984",
    "in two thousand and five": "in 2005",
    "twenty twenty four was good": "2024 was good",
    "in ten sixty six": "in 1066",
    "nineteen oh five": "1905",
    "two thousand eight": "2008",
    "two thousand eight people": "2,008 people",
    "born in nineteen hundred and two": "born in 1902",
    "the nineteen eighties": "the 1980s",
    "the late nineties": "the late '90s",
    "in her twenties": "in her 20s",
    "in his mid forties": "in his mid-40s",
    "the mid nineteen eighties": "the mid-1980s",
    "the summer of sixty nine": "the summer of '69",
    # decimals, fractions, percent
    "three point one four": "3.14",
    "zero point five percent": "0.5%",
    "two and a half years": "2 1/2 years",
    "two and three quarters": "2 3/4",
    "one and three quarter inches": "1 3/4 inches",
    "version two point one point three": "version 2.1.3",
    "two thirds of them": "two-thirds of them",
    "five per cent": "5%",
    "between two and three percent": "between 2 and 3%",
    "ten and a half percent": "10.5%",
    "point five percent": "0.5%",
    "zero degrees": "0 degrees",
    "five percentage points": "5 percentage points",
    # ordinals and dates
    "the twenty first century": "the 21st century",
    "the hundred and first visitor": "the 101st visitor",
    "the hundred and five": "the hundred and five",
    "one hundred and first street": "101st street",
    "may third nineteen eighty four": "May 3, 1984",
    "the third of may": "the 3rd of May",
    "we met may first nineteen ninety": "we met May 1, 1990",
    "july fourth": "July 4",
    "june ten nineteen eighty": "June 10, 1980",
    "april twenty twenty four": "April 2024",
    "august the fifth": "August 5",
    "friday the thirteenth": "friday the 13th",
    # times
    "five thirty p m": "5:30 p.m.",
    "at five a m": "at 5 a.m.",
    "at twelve fifteen": "at 12:15",
    "meet me at nine oh five": "meet me at 9:05",
    "five o'clock": "5 o'clock",
    "fourteen hundred hours": "1400 hours",
    "ten past five": "ten past five",
    "quarter to ten": "quarter to ten",
    # money
    "ten dollars": "$10",
    "one dollar": "$1",
    "nineteen dollars and ninety nine cents": "$19.99",
    "two point five million dollars": "$2.5 million",
    "two and a half million dollars": "$2.5 million",
    "a hundred dollars": "$100",
    "a dollar fifty": "$1.50",
    "a ten dollar bill": "a $10 bill",
    "five pounds fifty": "£5.50",
    "ten pounds of flour": "10 pounds of flour",
    "fifty cents": "50 cents",
    "twenty euros": "€20",
    "five to ten dollars": "$5 to $10",
    "two to three million dollars": "$2 million to $3 million",
    "ten to fifteen thousand dollars": "$10,000 to $15,000",
    "five or six hundred people": "500 or 600 people",
    # what is counted or numbered
    "five miles": "5 miles",
    "six foot two": "6 foot 2",
    "a five year old boy": "a 5-year-old boy",
    "a five mile run": "a 5-mile run",
    "a twelve foot wall": "a 12-foot wall",
    "a ten minute walk": "a 10-minute walk",
    "a two hour delay": "a two-hour delay",
    "a two bedroom flat on a sixty four bit machine": "a two-bedroom flat on a 64-bit machine",
    "six foot tall": "6 foot tall",
    "at two twenty one b baker street": "at 221B baker street",
    "at five twenty oak street": "at 520 oak street",
    "at fifteen seventeen twenty first street": "at 1517 21st street",
    "ten fifty west ball road": "1050 west ball road",
    "they won three to one": "they won 3-1",
    "the final score was twenty one to fourteen in berlin": "the final score was 21-14 in berlin",
    "he is six years old": "he is 6 years old",
    "chapter four page one of the book": "chapter 4 page 1 of the book",
    "flight two twenty": "flight 220",
    "room three oh five": "room 305",
    "the extension is three oh six": "the extension is 306",
    "the pin is one two three": "the pin is 123",
    # digits and letters
    "call five five five one two one two": "call 555-1212",
    "four one five five five five one two one two": "415-555-1212",
    "two one two five five five one two one two and the place": "212-555-1212 and the place",
    "nine one one": "911",
    "double oh seven": "007",
    "u s a and f b i": "USA and FBI",
    "a t v": "a TV",
    "m p three": "MP3",
    "vitamin b twelve": "vitamin B12",
    "his name is spelled s m i t h": "his name is spelled S-M-I-T-H",
    "the c i a has a p i access": "the CIA has API access",
    "r two d two and a five g phone": "R2D2 and a 5G phone",
    "b two b": "B2B",
    "she has a p h d": "she has a PhD",
    # names
    "henry the eighth": "Henry VIII",
    "world war two": "World War II",
}

STAYS = [
    "one of them", "a second", "oh", "oh i see", "no one knows", "the one", "just a second please", "one another",
    "a hundred people", "first of all", "on second thought", "you may first want to sit", "they march second",
    "one two three go", "i have two cats and three dogs", "for one thing", "a million reasons", "hundreds of people",
    "what is the point", "at this point five people left", "half a dozen", "i am", "oh a b", "is it i or a",
    "charles the first time i saw him", "nine to five", "seconds", "a quarter", "o captain", "two or three",
    "the game lasts two to three hours", "they lost two to three games", "three week old", "one day trips",
    "the hundredth time", "i won one and you won two",
]  # fmt: skip


@pytest.mark.parametrize("spoken", CASES)
def test_written(spoken: str) -> None:
    assert in_figures(spoken) == CASES[spoken]


@pytest.mark.parametrize("spoken", STAYS)
def test_what_is_no_number_stays(spoken: str) -> None:
    assert in_figures(spoken) == spoken


def test_the_table_that_was_written_without_looking_at_the_code() -> None:
    table = Path(__file__).parent / "data" / "numbers.tsv"
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if "\t" in line]
    right = [in_figures(spoken).lower() == written.lower() for spoken, written in rows]
    assert len(rows) == 200 and sum(right) >= 0.98 * len(rows)


@given(st.integers(10, 10**12))
def test_every_whole_number(number: int) -> None:
    people = f"{cardinal(number)} people"
    written = in_figures(people)
    assert any(character.isdigit() for character in written)
    assert normalize(written) == people


@given(st.integers(10, 9999), st.integers(1100, 1999))
def test_every_rank_and_year(rank: int, date: int) -> None:
    assert normalize(in_figures(ordinal(rank))) == ordinal(rank)
    assert in_figures(f"in {year(date)}") == f"in {date}"


def words_of(text: str) -> list[Word]:
    """Words from text in which marks stand: the mark goes to `written`, the bare word to `text`."""
    return [Word(word.lower().rstrip(".,?"), i / 2, i / 2 + 0.4, 0.9, word) for i, word in enumerate(text.split())]


def test_marks_are_kept_and_not_crossed() -> None:
    def written(text: str) -> str:
        return " ".join(word.written or "" for word in write_numbers(words_of(text)) if word.written)

    assert written("I have twenty three, you have ten.") == "I have 23, you have 10."
    assert written("I am twenty. Three of us stay.") == "I am 20. Three of us stay."
    assert written("On May third, nineteen eighty four, it rained.") == "On May 3, 1984, it rained."
    assert written("It was five p m. We left.") == "It was 5 p.m. We left."
    assert written("Was it five p m?") == "Was it 5 p.m.?"


ONE_OR_TWO = {  # with a comma: as one number (no pause), and as two (a pause), where that makes a difference
    "At ten, fifteen a m we left.": ("At 10:15 a.m. we left.", "At 10:15 a.m. we left."),
    "At ten, fifteen, a m, we left.": ("At 10:15 a.m., we left.", "At 10:15 a.m., we left."),
    "At nine, oh five p m.": ("At 9:05 p.m.", "At 9:05 p.m."),
    "At ten, eleven a m.": ("At 10:11 a.m.", "At 10, 11 a.m."),
    "At five, thirty we left.": ("At 5:30 we left.", "At five, 30 we left."),
    "At ten, fifteen people left.": ("At 10, 15 people left.", "At 10, 15 people left."),
    "In nineteen ninety, five people came.": ("In 1990, five people came.", "In 1990, five people came."),
    "In two thousand, five hundred people came.": ("In 2000, 500 people came.", "In 2000, 500 people came."),
    "In nineteen, eighty four, it rained.": ("In 1984, it rained.", "In 19, 84, it rained."),
    "About two thousand, five hundred people.": ("About 2,500 people.", "About 2,000, 500 people."),
    "One hundred twenty five, thousand dollars.": ("$125,000.", "$125,000."),
    "Twenty, five people.": ("25 people.", "20, five people."),
    "Call four one five, five five five, one two one two.": ("Call 415-555-1212.", "Call 415-555-1212."),
    "Three, point one four.": ("3.14.", "Three, 0.14."),
    "Nineteen dollars, and ninety nine cents.": ("$19.99.", "$19, and 99 cents."),
    "Ten, twenty, thirty.": ("10, 20, 30.", "10, 20, 30."),
    "Two, three hundred people.": ("Two, 300 people.", "Two, 300 people."),
    "In fifteen, twenty minutes.": ("In 15, 20 minutes.", "In 15, 20 minutes."),
}


@pytest.mark.parametrize("text", ONE_OR_TWO)
def test_a_comma_in_a_number_said_as_one_goes(text: str) -> None:
    for pause, expected in zip((0.0, 0.5), ONE_OR_TWO[text], strict=True):
        words = words_of(text)
        written = write_numbers(words, [pause] * len(words))
        assert " ".join(word.written for word in written if word.written) == expected


def test_a_comma_in_a_number_where_pauses_are_not_known() -> None:
    written = write_numbers(words_of("In nineteen ninety, five came at ten, fifteen a m or twenty, five."))
    assert " ".join(word.written or "" for word in written if word.written) == (
        "In 1990, five came at 10:15 a.m. or 20, five."
    )


def test_a_capital_at_the_start_stays() -> None:
    assert [word.written for word in write_numbers(words_of("Two thirds left."))] == ["Two-thirds", "", "left."]


NUMBERS = st.sampled_from(
    "one two five ten twelve twenty thirty hundred thousand million and a oh point half third second first may june "
    "the of p m dollars cents percent o'clock to in at past double nineteen minus page spelled henry eighties".split()
)


@given(st.lists(NUMBERS, max_size=12), st.lists(st.sampled_from(["", "", "", ",", "."]), min_size=12, max_size=12))
def test_nothing_spoken_is_lost(spoken: list[str], marks: list[str]) -> None:
    words = [Word(word, i, i + 1, 0.5, word + mark) for i, (word, mark) in enumerate(zip(spoken, marks, strict=False))]
    result = write_numbers(words)
    assert [(word.text, word.start, word.end) for word in result] == [
        (word.text, word.start, word.end) for word in words
    ]
    assert all(word.written is not None for word in result)
    assert not result or result[0].written
    assert sum((word.written or "").endswith(".") for word in result) >= sum(
        (word.written or "").endswith(".") for word in words
    )
