"""Text out of Project Gutenberg's books: what is read aloud somewhere, and what is no text, stays out."""

import subprocess
import sys
from pathlib import Path

from asr.ngram.counts import lines

TOOL = Path(__file__).parents[1] / "tools" / "books.py"

OPENING = """The Project Gutenberg eBook of Something

*** START OF THE PROJECT GUTENBERG EBOOK SOMETHING ***

CHAPTER ONE, IN WHICH NOTHING HAPPENS TO ANYBODY AT ALL
"""
END = """
*** END OF THE PROJECT GUTENBERG EBOOK SOMETHING ***

The licence of the publisher says a great many things in long sentences.
"""
HILL = "Mr. Grey went up the hill in the rain,\nand his dog ran on before him [1]. It was late in the year.\n"
RIVER = "The river was high that week, and it was said that the bridge to the mill would not hold.\n"
READ = "She told him that the boat was in the cave and that it was ready to sail with the tide."


def run(folder: Path, *arguments: str) -> list[str]:
    output = folder / "out.txt.xz"
    command = [sys.executable, str(TOOL), str(folder / "books"), "-o", str(output), "--processes", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in lines(output)]


def book(folder: Path, name: str, *parts: str) -> None:
    (folder / "books").mkdir(exist_ok=True)
    (folder / "books" / f"{name}.txt").write_text(OPENING + "\n" + "\n".join(parts) + END, encoding="utf-8")


def test_sentences_come_out_once_and_without_the_publisher(tmp_path: Path) -> None:
    book(tmp_path, "one", HILL, RIVER)
    book(tmp_path, "two", "Another beginning, in the words of a man who was there with us.\n", HILL)
    found = run(tmp_path)
    assert sorted(found) == [
        "another beginning in the words of a man who was there with us",
        "it was late in the year",
        "mister grey went up the hill in the rain and his dog ran on before him",
        "the river was high that week and it was said that the bridge to the mill would not hold",
    ]


def test_what_a_protected_text_says_is_left_out(tmp_path: Path) -> None:
    said = tmp_path / "test.txt"
    said.write_text("nobody knew the boat was in the cave and that it was ready\n", encoding="utf-8")
    book(tmp_path, "one", HILL, f"{READ} Nobody answered her, and the night was dark.\n")
    assert any("boat" in line for line in run(tmp_path))
    found = run(tmp_path, "--protect", str(said))
    assert not any("boat" in line for line in found)
    assert "nobody answered her and the night was dark" in found


def test_a_book_that_was_read_aloud_is_left_out_as_a_whole(tmp_path: Path) -> None:
    said = tmp_path / "test.txt"
    sentences = [
        f"In the {n} of the house there was a box that nobody had opened for a year." for n in ("hall", "roof")
    ]
    sentences += [f"To the {n} of the town went all of the people that had a horse to ride." for n in ("east", "west")]
    said.write_text("\n".join(sentences), encoding="utf-8")
    book(tmp_path, "read", HILL, *(f"{sentence}\n" for sentence in sentences))
    book(tmp_path, "other", RIVER, *(f"{sentence}\n" for sentence in sentences[:1]))
    found = run(tmp_path, "--protect", str(said))
    assert found == ["the river was high that week and it was said that the bridge to the mill would not hold"]


def test_books_in_another_language_are_left_out(tmp_path: Path) -> None:
    book(tmp_path, "deutsch", "Der Fluss war hoch in dieser Woche, und niemand wagte sich auf die Brücke.\n")
    book(tmp_path, "english", RIVER)
    assert len(run(tmp_path)) == 1
