"""`asr lm` as a user calls it."""

from __future__ import annotations

import gzip
import lzma
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asr.cli import main

MADE_UP = Path(__file__).parent / "data" / "lm" / "made_up.txt"


def lm(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["lm", *map(str, arguments)])


def ok(*arguments: str | Path) -> str:
    result = lm(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "words.lm"
    ok("train", MADE_UP, "-o", path, "--order", "3")
    return path


def number(text: str) -> float:
    return float(text.split(",")[0].split()[0])


def test_train_says_what_it_made(tmp_path: Path) -> None:
    output = tmp_path / "words.lm"
    result = lm("train", MADE_UP, "-o", output, "--prune", "0,1,2,3")
    assert result.exit_code == 0
    assert result.stdout == f"{output}: 122 + 454 + 122 + 2 n-grams, {output.stat().st_size / 1e6:.2f} MB\n"
    assert "made_up.txt: 0.0 million words" in result.stderr


def test_packed_text_is_text(tmp_path: Path, model: Path) -> None:
    packed = tmp_path / "made_up.txt.xz"
    packed.write_bytes(lzma.compress(MADE_UP.read_bytes()))
    ok("train", packed, "-o", tmp_path / "again.lm", "--order", "3")
    assert (tmp_path / "again.lm").read_bytes() == model.read_bytes()


def test_score(tmp_path: Path, model: Path) -> None:
    (tmp_path / "text.txt").write_text("Rabe kibut!\nrabe xylophone\n")
    first, second = (line.split("\t") for line in ok("score", model, tmp_path / "text.txt").splitlines())
    assert first[1:] == ["0", "rabe kibut"]
    assert second[1:] == ["1", "rabe xylophone"]
    words = ok("score", "--each-word", model, tmp_path / "text.txt").split("\n\n")
    assert [line.split("\t")[1] for line in words[0].splitlines()] == ["rabe", "kibut", "</s>"]
    assert words[1].splitlines()[1].endswith("\txylophone (unknown)")
    assert sum(float(line.split("\t")[0]) for line in words[0].splitlines()) == pytest.approx(float(first[0]), abs=2e-4)


def test_perplexity_falls_with_the_order(tmp_path: Path, model: Path) -> None:
    ok("train", MADE_UP, "-o", tmp_path / "one.lm", "--order", "1")
    low, high = ok("perplexity", model, MADE_UP), ok("perplexity", tmp_path / "one.lm", MADE_UP)
    assert 2 < number(low) < number(high) / 2
    assert "420 sentences, 2,580 words, 0 unknown (0.00%)" in low


def test_export_and_import(tmp_path: Path, model: Path) -> None:
    ok("export", model, "-o", tmp_path / "words.arpa.gz")
    with gzip.open(tmp_path / "words.arpa.gz", "rt") as file:
        assert file.readline() == "\\data\\\n"
    ok("import", tmp_path / "words.arpa.gz", "-o", tmp_path / "back.lm")
    assert ok("perplexity", tmp_path / "back.lm", MADE_UP) == ok("perplexity", model, MADE_UP)


def test_import_to_a_size_and_an_order(tmp_path: Path, model: Path) -> None:
    ok("export", model, "-o", tmp_path / "words.arpa")
    said = ok("import", tmp_path / "words.arpa", "-o", tmp_path / "small.lm", "--order", "2", "--megabytes", "0.01")
    assert re.search(r"122 \+ \d+ n-grams, 0.01 MB", said)
    assert (tmp_path / "small.lm").stat().st_size <= 10_000


def test_training_writes_arpa_by_name(tmp_path: Path) -> None:
    ok("train", MADE_UP, "-o", tmp_path / "words.arpa", "--order", "2")
    lines = (tmp_path / "words.arpa").read_text().splitlines()
    assert lines[:3] == ["\\data\\", "ngram 1=122", "ngram 2=1029"]


def test_mixes_for_a_held_out_text(tmp_path: Path) -> None:
    """A model for one speaker's words prefers their text; texts joined by a comma count as one."""
    for name, text in {
        "a": "sun moon sun\n",
        "b": "moon star\n",
        "c": "one two three\n",
        "held": "one two three\none three\n",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text * 20)
    texts = f"{tmp_path / 'a.txt'},{tmp_path / 'b.txt'}", tmp_path / "c.txt"
    result = lm("train", *texts, "--heldout", tmp_path / "held.txt", "-o", tmp_path / "mixed.lm", "--order", "2")
    assert result.exit_code == 0, result.output
    weights = re.search(r"weights a.txt ([\d.]+), c.txt ([\d.]+)", result.stderr)
    assert weights
    assert float(weights[2]) > 0.9


def test_words_given(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("rabe\nkibut\n")
    ok("train", MADE_UP, "-o", tmp_path / "few.lm", "--words", tmp_path / "words.txt", "--order", "2")
    assert ok("words", tmp_path / "few.lm") == "kibut\nrabe\n"
    assert "2,580 words, 2,5" in ok("perplexity", tmp_path / "few.lm", MADE_UP)


def test_words_given_are_normalized(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# animals\nRABE 7\nKíbut\nnew york\n")
    result = lm("train", MADE_UP, "-o", tmp_path / "few.lm", "--words", tmp_path / "words.txt", "--order", "1")
    assert "several words are left out, 1 of them, for example 'new york'" in result.stderr
    assert ok("words", tmp_path / "few.lm") == "kibut\nrabe\n"
    (tmp_path / "words.txt").write_text("\n")
    result = lm("train", MADE_UP, "-o", tmp_path / "none.lm", "--words", tmp_path / "words.txt")
    assert result.exit_code == 1 and "holds no words" in result.stderr


def test_import_counts_words_that_no_text_has(tmp_path: Path, model: Path) -> None:
    ok("export", model, "-o", tmp_path / "words.arpa")
    assert "never" not in lm("import", tmp_path / "words.arpa", "-o", tmp_path / "back.lm").stderr
    text = (tmp_path / "words.arpa").read_text()
    (tmp_path / "mixed.arpa").write_text(re.sub(r"\bkibut\b", "Kibut", text))
    result = lm("import", tmp_path / "mixed.arpa", "-o", tmp_path / "mixed.lm")
    assert result.exit_code == 0
    assert "1 of its 119 words will never be found, for example Kibut: texts are normalized" in result.stderr


def test_perplexity_of_nothing(tmp_path: Path, model: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    result = lm("perplexity", model, tmp_path / "empty.txt")
    assert (result.exit_code, result.stderr[:29]) == (1, "Error: the text has no senten")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "none.txt", "-o", "x.lm"), "Error: cannot open none.txt"),
        (("train", MADE_UP, "-o", "x.lm", "--prune", "1,a"), "'1,a' is not a list of counts"),
        (("train", MADE_UP, "-o", "x.lm", "--prune", "0,3,1"), "Error: cannot prune by 0,3,1"),
        (("perplexity", MADE_UP, MADE_UP), "is not a language model of `asr lm`"),
        (("import", MADE_UP, "-o", "x.lm"), "is no ARPA file"),
        (("train", MADE_UP, "-o", "none/x.lm"), "the folder none does not exist"),
        (("export", "none.lm", "-o", "x.arpa"), "Error: cannot open a language model of `asr lm` none.lm"),
    ],
)
def test_errors_are_one_sentence(tmp_path: Path, arguments: tuple[str | Path, ...], message: str) -> None:
    with CliRunner().isolated_filesystem(tmp_path):
        result = lm(*arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.output
