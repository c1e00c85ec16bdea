"""The tagger at run time: what the network is given, how words are spelled, and a small tagger from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import read_audio
from asr.cli import main
from asr.errors import ModelError
from asr.punctuation import (
    CAPITALIZED,
    COMMA,
    CONTEXT_MARK,
    CONTEXT_WORDS,
    ENDED,
    FEATURES,
    HASHES,
    LOWER,
    MARKS,
    NONE,
    PADDING,
    PAUSE,
    QUESTION,
    STOP,
    UPPER,
    WORD_FEATURES,
    Tagger,
    capitalized,
    encode,
    marks_behind,
    word_features,
)
from asr.recognizer import Recognizer
from asr.results import Word

BUCKETS = 512


class Oracle(Tagger):
    """A tagger whose spelling can be tested without a network."""

    def __init__(self, spellings: dict[str, str]) -> None:
        self._spellings = spellings


def cases_of(*cases: int) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[list(cases)]


def spelled(words: str, marks: dict[str, int], cases: dict[str, int], starts: bool = True) -> str:
    split = words.split()
    tagger = Oracle({"mcdonald": "McDonald", "iphone": "iPhone", "i": "I", "i'm": "I'm"})
    behind = [marks.get(word, NONE) for word in split]
    texts = tagger.spell(split, behind, cases_of(*(cases.get(word, LOWER) for word in split)), starts)
    return " ".join(text + MARKS[mark] for text, mark in zip(texts, behind, strict=True))


def test_sentences_begin_large() -> None:
    marks = {"well": COMMA, "stop": STOP, "why": QUESTION}
    assert spelled("well then stop why now", marks, {}) == "Well, then stop. Why? Now"
    assert spelled("and on it went", {}, {}, starts=False) == "and on it went"


def test_case_and_fixed_spellings() -> None:
    cases = {"tom": CAPITALIZED, "usa": UPPER, "mcdonald": CAPITALIZED, "iphone": CAPITALIZED}
    assert spelled("so i told tom in the usa i'm mcdonald with an iphone", {}, cases) == (
        "So I told Tom in the USA I'm McDonald with an iPhone"
    )


def test_names_that_are_written_in_one_way_only() -> None:
    said = "mcdonald's sold the mcgillicuddys iphones on ebay and youtube with wifi and a macaroni machine for phds"
    assert spelled(said, {}, {}) == (
        "McDonald's sold the McGillicuddys iPhones on eBay and YouTube with WiFi and a macaroni machine for PhDs"
    )
    assert spelled("iphone users mci", {}, {"mci": CAPITALIZED}) == "iPhone users Mci"


def test_a_title_before_a_name() -> None:
    cases = {"smith": CAPITALIZED, "mister": CAPITALIZED, "doctor": CAPITALIZED}
    assert spelled("then doctor smith met mister smith", {}, cases) == "Then Dr. Smith met Mr. Smith"
    assert spelled("see a doctor now", {}, {}) == "See a doctor now"
    assert spelled("thank you doctor smith said", {"doctor": COMMA}, cases) == "Thank you Doctor, Smith said"


def test_who_asked_stays_small() -> None:
    assert spelled("who is it he asked", {"it": QUESTION}, {}) == "Who is it? he asked"
    assert spelled("who is it he is tall", {"it": QUESTION}, {}) == "Who is it? He is tall"


@pytest.mark.parametrize(
    ("word", "written"),
    [("'em", "'Em"), ("o'brien", "O'Brien"), ("o'clock", "O'clock"), ("a", "A"), ("dogs'", "Dogs'")],
)
def test_capitalized(word: str, written: str) -> None:
    assert capitalized(word) == written


def test_features_are_hashes_of_letters_alone() -> None:
    assert word_features("house", BUCKETS) == word_features("house", BUCKETS)
    one, other = word_features("walking", BUCKETS), word_features("talking", BUCKETS)
    assert one[3:6] == other[3:6] and one[:3] != other[:3]  # the same endings
    assert all(HASHES <= number < BUCKETS for number in one)


def test_what_the_network_is_given() -> None:
    context = [(f"w{i}", STOP) for i in range(30)]
    ids = encode(["one", "two"], context, [0.0, 0.9], "length", BUCKETS)
    assert ids.shape == (CONTEXT_WORDS + 2, FEATURES)
    assert tuple(ids[0, :WORD_FEATURES]) == word_features("w10", BUCKETS)
    assert set(ids[:CONTEXT_WORDS, WORD_FEATURES]) == {CONTEXT_MARK + STOP}
    assert list(ids[CONTEXT_WORDS:, WORD_FEATURES + 1]) == [PADDING, ENDED["length"]]
    assert list(ids[CONTEXT_WORDS:, WORD_FEATURES + 2]) == [PAUSE, PAUSE + 5]
    assert (encode(["one"], [], None, "end", BUCKETS)[:CONTEXT_WORDS] == PADDING).all()


def test_marks_of_the_context_as_it_was_written() -> None:
    words = [
        Word("mister", 0, 1, 1, "Mr."), Word("smith", 1, 2, 1, "Smith,"), Word("ten", 2, 3, 1, "$10."),
        Word("dollars", 3, 4, 1, ""), Word("right", 4, 5, 1, "Right?"), Word("so", 5, 6, 1),
    ]  # fmt: skip
    assert [mark for _, mark in marks_behind(words)] == [NONE, COMMA, NONE, STOP, QUESTION, NONE]


def test_a_model_without_tagger(tmp_path: Path) -> None:
    assert Tagger.load(tmp_path) is None
    (tmp_path / "tagger.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="tagger"):
        Tagger.load(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    """A tagger trained for some seconds on a few sentences, through the recipe, the loop and the export."""
    pytest.importorskip("torch", reason="training needs the train extra")
    from asr.training.loop import Options, Trainer
    from asr.training.punctuation import Simulation, TaggerRecipe, TaggerShape
    from asr.training.punctuation_data import HeldOut
    from asr.training.punctuation_export import export_tagger

    folder = tmp_path_factory.mktemp("tagger")
    write_text(folder / "text")
    recipe = TaggerRecipe(
        name="tiny", text="text", epoch_words=12_000, batch_words=1024, tuning=("books-1", "chats"), tuning_words=400,
        held_out=HeldOut((("books-1", 1),), ("chats",), 0),
        shape=TaggerShape(buckets=2048, embedding=24, width=32, layers=1, dropout=0.0),
        simulation=Simulation(lengths=((8, 0.3), (30, 0.7)), unknown_words=0.0),
        training=Options(epochs=4, learning_rate=2e-2, warmup_steps=5, averaging=0.8, half_precision=False),
    )  # fmt: skip
    task = recipe.task(folder, folder / "run")
    figures = Trainer(task, recipe.training, folder / "run").run()
    assert figures["missing to macro F1 of 1"] < 0.3
    path = export_tagger(folder / "run" / "best.pt", folder / "model")
    assert path.stat().st_size < 200_000
    tagger = Tagger.load(folder / "model")
    assert tagger is not None
    return tagger


SENTENCES = (
    "Where is Anna?", "I saw her in London, but she went home.", "We have twenty three apples.", "Is it cold?",
    "The old house stands on a hill, and nobody lives there.", "Do you know Tom McDonald?", "He came at noon.",
)  # fmt: skip


def write_text(folder: Path) -> None:
    """Books and everyday text in the form of the shared data, made of a few sentences in random order."""
    import lzma

    chance = np.random.default_rng(3)
    folder.mkdir()
    for file in ("books-1", "everyday"):
        lines = [" ".join(chance.choice(SENTENCES, 4)) for _ in range(400)]
        with lzma.open(folder / f"{file}.txt.xz", "wt", encoding="utf-8") as target:
            target.write("\n".join(dict.fromkeys(lines)) + "\n")
    count = len(dict.fromkeys(lines))
    books = (
        "part\tauthor\ttitle\twords\tlicence\tsource\n"
        + "books-1\tA\tOne\t9000\tfree\tx\nbooks-1\tB\tTwo\t900\tfree\tx\n"
    )
    (folder / "BOOKS.tsv").write_text(books, encoding="utf-8")
    rows = [("talks", 1, count - 60), ("chats", count - 59, count)]
    table = ["repo\tpart\tsentences\twords\tfirst\tlast\tlicence"]
    table += [f"{name}\t{name}.txt\t0\t0\t{first}\t{last}\tfree" for name, first, last in rows]
    (folder / "EVERYDAY.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")


def words_of(text: str) -> list[Word]:
    return [Word(word, i * 0.4, i * 0.4 + 0.3, 0.9) for i, word in enumerate(text.split())]


def written(tagger: Tagger, text: str, context: list[Word] | None = None, ended_by: str = "end") -> list[str]:
    words = words_of(text)
    return tagger.write(words, context or [], [0.1] * len(words), ended_by)  # type: ignore[arg-type]


def test_learned_to_write(trained: Tagger) -> None:
    spoken = "where is anna i saw her in london but she went home we have twenty three apples do you know tom mcdonald"
    text = " ".join(filter(None, written(trained, spoken)))
    assert text == "Where is Anna? I saw her in London, but she went home. We have 23 apples. Do you know Tom McDonald?"


def test_a_sentence_goes_on_in_the_next_segment(trained: Tagger) -> None:
    first = written(trained, "he came at noon i saw her in", ended_by="length")
    assert first[-1] == "in"
    context = [
        Word(word.text, word.start, word.end, 0.9, text)
        for word, text in zip(words_of("he came at noon i saw her in"), first, strict=True)
    ]
    assert written(trained, "london but she went home", context)[-1] == "home."
    assert not written(trained, "her in london", context)[0][0].isupper()


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyz'", min_size=1, max_size=9), min_size=1, max_size=30))
def test_any_words(words: list[str]) -> None:
    ids = encode(words, [(word, NONE) for word in words], [0.2] * len(words), "key", BUCKETS)
    assert ids.shape == (CONTEXT_WORDS + len(words), FEATURES)
    assert ids.min() >= PADDING and ids.max() < BUCKETS


def test_settings_are_in_the_file(trained: Tagger) -> None:
    about = trained._session.get_modelmeta().custom_metadata_map
    assert json.loads(about["tagger"])["spellings"] == {"mcdonald": "McDonald"}


@pytest.fixture(scope="module")
def bare_model(tmp_path_factory: pytest.TempPathFactory, shipped: Recognizer) -> Path:
    """The shipped model's directory without its tagger, as one of another alphabet would be."""
    directory = tmp_path_factory.mktemp("bare")
    for file in shipped.network.directory.iterdir():
        if file.name not in ("tagger.onnx", "SHA256SUMS"):
            (directory / file.name).symlink_to(file)
    return directory


def test_final_text_is_written_and_words_stay_as_spoken(shipped: Recognizer, clips: Path, bare_model: Path) -> None:
    written, plain, bare = (
        recognizer.transcribe(clips / "monday.opus")
        for recognizer in (shipped, Recognizer(plain=True), Recognizer(bare_model))
    )
    assert written.text[0].isupper() and written.text[-1] in ".?" and "monday" not in written.text
    assert plain.text == bare.text == " ".join(word.text for word in written.words)
    assert all(word.written is None for word in (*plain.words, *bare.words))
    assert " ".join(word.written for word in written.words if word.written) == written.text
    assert [(word.text, word.start, word.end) for word in written.words] == [
        (word.text, word.start, word.end) for word in plain.words
    ]


def test_tentative_text_does_not_flicker(shipped: Recognizer, clips: Path) -> None:
    """What is shown while somebody speaks is bare; marks and capitals come with the final text."""
    stream = shipped.stream(second_reading="inline")
    samples = read_audio(clips / "monday.opus")
    shown = set()
    for start in range(0, len(samples), 4000):
        assert not stream.feed(samples[start : start + 4000], rate=16000) or start > 32000
        shown.add(stream.partial.text)
    assert len(shown) > 3 and all(text == text.lower() and not set(text) & set(",.?") for text in shown)
    assert all(word.written for segment in stream.finish() for word in segment.words)


@pytest.mark.parametrize("command", ["transcribe", "listen", "dictate"])
def test_every_command_that_writes_can_be_plain(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"]).output
    assert "--plain" in shown and "--numbers" in shown


def test_plain_on_the_command_line(clips: Path, shipped: Recognizer) -> None:
    plain = CliRunner().invoke(main, ["transcribe", "--plain", str(clips / "monday.opus")]).stdout
    assert plain.strip() == " ".join(word.text for word in shipped.transcribe(clips / "monday.opus").words)
