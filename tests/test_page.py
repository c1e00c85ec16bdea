"""Pages are well formed, escape what they are given, and count what they draw."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from asr.page import histogram, page, player, table

_ALONE = {"meta", "rect", "line"}  # written without an end


class Nesting(HTMLParser):
    """Fails where tags do not close in the order in which they were opened; keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _ALONE or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(html: str) -> Nesting:
    nesting = Nesting()
    nesting.feed(html)
    nesting.close()
    assert nesting.open == []
    return nesting


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\x00")),
    st.lists(st.just(float("nan")) | st.floats(-1e12, 1e12) | st.integers(0, 9)),
)
def test_any_text_and_numbers(text: str, values: list[float]) -> None:
    rows = [[text, 12345, 1.25], ["b", 0, float("nan")]]
    html = page(text, [table([text, "count", "share"], rows), histogram(values, text, "s")])
    found = parsed(html)
    assert "".join(found.text).count(text) >= 3
    assert "12,345" in found.text and "1.25" in found.text


def test_histogram_counts_everything() -> None:
    svg = histogram([*range(1000), float("nan"), float("inf")], "numbers", "units", bins=10)
    assert sum(int(count.replace(",", "")) for count in re.findall(r": ([\d,]+)</title>", svg)) == 1000
    assert "median 500 units, from 0 to 999" in svg
    assert "nothing to show" in histogram([float("nan")], "x", "y")
    assert histogram([2.0, 2.0], "same", "s").count("<rect") == 40


def test_player_names_the_sound_from_the_page(tmp_path: Path) -> None:
    audio = tmp_path / "sound/a b & <c>.wav"
    audio.parent.mkdir()
    audio.touch()
    (address,) = re.findall(r'src="([^"]*)"', player(audio, tmp_path / "reports/x/page.html"))
    assert not address.startswith("/")
    (tmp_path / "reports/x").mkdir(parents=True)
    assert (tmp_path / "reports/x" / unquote(address)).samefile(audio)
