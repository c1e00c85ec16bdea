"""The one normalization: exact cases by hand, and what must hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import TextError
from asr.figures import cardinal, ordinal
from asr.text import normalize

CASES = {
    # words, marks, accents
    "Hello, World!  It's me.": "hello world it's me",
    "Café naïve Æsop Straße": "cafe naive aesop strasse",
    "well-known—indeed... yes": "well known indeed yes",
    # apostrophes stay where they are spoken and go where they quote
    "The dogs' bowls, 'em and 'tis; don’t": "the dogs' bowls 'em and 'tis don't",
    "She said 'come here' and \"go\".": "she said come here and go",
    # abbreviations
    "Mr. Smith, Mrs Jones and Dr. Who": "mister smith missus jones and doctor who",
    "St. Paul lives on Main St. in town, the St. is old": "saint paul lives on main street in town the saint is old",
    "Apples, pears, etc. vs. plums": "apples pears et cetera versus plums",
    "The U.S.A. is OK": "the u s a is okay",
    "R & D, 50% @ home": "r and d fifty percent at home",
    # whole numbers, years, decimals
    "I have 3 cats and 12,500 fleas": "i have three cats and twelve thousand five hundred fleas",
    "in 1984, 1905, 1900, 2005, 2012 and 1066": "in nineteen eighty four nineteen oh five nineteen hundred "
    "two thousand five twenty twelve and ten sixty six",
    "the 1980s, '90s and her 80s": "the nineteen eighties nineties and her eighties",
    "1914-18 and 10-12": "nineteen fourteen to eighteen and ten to twelve",
    "3.14, .5 and 0.05": "three point one four point five and zero point zero five",
    "-5 and a 7-day trip": "minus five and a seven day trip",
    "version 1.2.3": "version one point two point three",
    "agent 007 at 90210": "agent oh oh seven at nine oh two one oh",
    "call 555-1212": "call five five five one two one two",
    # ranks and fractions
    "the 1st, 22nd and 101st": "the first twenty second and one hundred first",
    "on the 2d of July": "on the second of july",
    "1/2, 3/4 and 5 1/2 or 2½": "one half three quarters and five and a half or two and a half",
    # dates and times
    "May 3, 1984": "may third nineteen eighty four",
    "3 May and the 4th of July": "the third of may and the fourth of july",
    "5:30 pm, 9 a.m., 17:05, 5:00": "five thirty p m nine a m seventeen oh five five o'clock",
    # money and units
    "$10, $19.99, $1.5 million, $5k": "ten dollars nineteen dollars and ninety nine cents "
    "one point five million dollars five thousand dollars",
    "£1 and £2.50, €3, 50¢": "one pound and two pounds and fifty pence three euros fifty cents",
    "£5 10s. 6d.": "five pounds ten shillings six pence",
    "a $5-million deal": "a five million dollar deal",
    "1 kg, 2 km, 70°F, 60mph": "one kilogram two kilometers seventy degrees fahrenheit sixty miles an hour",
    "6'2\" tall": "six foot two tall",
    "No. 5 on p. 7, #9": "number five on page seven number nine",
    # Roman numerals
    "Louis XIV. and Henry VIII's wives": "louis the fourteenth and henry the eighth's wives",
    "Charles I, king; Charles I think": "charles the first king charles i think",
    "World War II, Chapter IX. was": "world war two chapter nine was",
    "an IV and a CD; Malcolm X": "an iv and a cd malcolm x",
}


@pytest.mark.parametrize("written", CASES)
def test_normalize(written: str) -> None:
    assert normalize(written) == CASES[written]


@pytest.mark.parametrize(
    "written", ["R2D2 and C3PO", "Привет", "Ke$ha", "it is 5x hotter", "12/25/1984", "Boyz III Xs"]
)
def test_what_cannot_be_read_is_refused(written: str) -> None:
    with pytest.raises(TextError, match="how this is spoken"):
        normalize(written)


@given(st.text(alphabet="abIVXsdt 0123456789'.,:-/$£%&°#éßñ’\"pmPM", max_size=40) | st.text(max_size=40))
def test_normalized_text_stays_as_it_is(text: str) -> None:
    try:
        spoken = normalize(text)
    except TextError:
        return
    assert normalize(spoken) == spoken
    assert set(spoken) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_numbers_count_up() -> None:
    assert [cardinal(n) for n in (0, 13, 40, 99, 100, 1984)] == [
        "zero", "thirteen", "forty", "ninety nine", "one hundred", "one thousand nine hundred eighty four",
    ]  # fmt: skip
    assert [ordinal(n) for n in (1, 12, 20, 43, 100)] == [
        "first",
        "twelfth",
        "twentieth",
        "forty third",
        "one hundredth",
    ]
    assert len({cardinal(n) for n in range(30000)}) == 30000
