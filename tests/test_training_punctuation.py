"""From written text to tagged words, and to segments as a recognizer ends them."""

from __future__ import annotations

import numpy as np
import pytest

from asr.punctuation import (
    COMMA,
    CONTEXT_MARK,
    CONTEXT_WORDS,
    ENDED,
    MARKS,
    NONE,
    PADDING,
    QUESTION,
    STOP,
    UPPER,
    WORD_FEATURES,
)
from asr.training.punctuation_data import (
    Tagged,
    Vocabulary,
    fixed_spellings,
    is_prose,
    tag_line,
    tag_lines,
    without_emphasis,
)

torch = pytest.importorskip("torch", reason="training needs the train extra")

from asr.training.punctuation import (
    ALIGNED,
    ENDS,
    IGNORED,
    STARTS,
    Edges,
    Simulation,
    best_bias,
    documents,
    f1_scores,
    fitted_table,
    simulate,
    simulated_pauses,
    word_counts,
    word_habits,
)


def shown(line: str) -> str:
    """Spoken words with marks and case: ^ before a capitalized word, ^^ before one in upper case."""
    vocabulary = Vocabulary()
    tagged = tag_line(line, vocabulary)
    words = list(vocabulary.numbers)
    return " ".join("^" * case + words[number] + MARKS[mark] for number, mark, case in tagged)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"Yes," he said, "I saw Mr. Lee!"', "^yes, he said, ^i saw ^mister ^lee."),
        ('"Go!" he cried.', "^go, he cried."),
        ('"Where are you?" asked Anna; nobody knew.', "^where are you? asked ^anna, nobody knew."),
        ("It was he--my friend--who came", "^it was he, my friend, who came."),
        ("We have 23 cats in the USA, e.g. twenty-three", "^we have twenty three cats in the ^^usa, e g twenty three."),
        ("J. R. Smith came at 5:30 p.m.", "^j ^r ^smith came at five thirty p m."),
        ("McDonald,who knew it... left", "^mcdonald, who knew it, left."),
        ("[Applause] A _great_ day: yes?", "^a great day, yes?"),
    ],
)
def test_tagged(line: str, expected: str) -> None:
    assert shown(line) == expected


@pytest.mark.parametrize(
    ("line", "prose"),
    [
        ("This is a line.", True),
        ("“Is it?”", True),
        ("what is the weather today", False),
        ("What is the weather today", False),
        ("CHAPTER THE FIRST. OF MANY THINGS.", False),
    ],
)
def test_what_is_learned_from(line: str, prose: bool) -> None:
    assert is_prose(line) is prose


def text_of(*lines: str) -> Tagged:
    vocabulary = Vocabulary()
    words, tags = tag_lines(lines, vocabulary)
    return Tagged(words, tags, list(vocabulary.numbers))


def test_copies_are_read_once() -> None:
    seen: set[bytes] = set()
    vocabulary = Vocabulary()
    assert len(tag_lines(["He came.", "He came.", "Привет."], vocabulary, seen)[0]) == 2
    assert len(tag_lines(["He came.", "He left."], vocabulary, seen)[0]) == 2


def test_emphasis_is_no_upper_case() -> None:
    text = without_emphasis(text_of("I do NOT know much of the USA.", "I do not.", "It is not so.", "The USA won."))
    upper = {text.vocabulary[number] for number in text.words[text.cases == UPPER]}
    assert upper == {"usa"}


def test_spellings_of_most_of_the_text() -> None:
    vocabulary = Vocabulary()
    tag_lines(["McDonald sat by McDonald."] * 3 + ["Anna and IPhone, iPhone or iPhone, an iPhone, iPhone."], vocabulary)
    assert fixed_spellings(vocabulary) == {"mcdonald": "McDonald", "iphone": "iPhone"}


LINES = ("Where is she?", "He went to London, and she stayed.", "It rained all day long.", "So what?", "They left.")


def test_edges_of_segments() -> None:
    text = text_of(*(LINES * 30))
    edges, random = Edges(text), np.random.default_rng(0)
    marks = text.marks
    for _ in range(50):
        start = edges.draw(ALIGNED, 10, random)
        assert marks[start - 1] >= STOP and marks[start + 9] >= STOP
        assert marks[edges.draw(STARTS, 7, random) - 1] >= STOP
        assert marks[edges.draw(ENDS, 7, random) + 6] >= STOP


def test_simulated_segments() -> None:
    """Targets are those of the segment and nothing of it is given away by the input."""
    text = text_of(*(LINES * 30))
    random = np.random.default_rng(0)
    rows = CONTEXT_WORDS + 12
    starts = random.integers(1, len(text.words) - rows, 200)
    words = np.stack([text.words[start : start + rows] for start in starts])
    tags = np.stack([text.tags[start - 1 : start + rows] for start in starts])
    features = np.repeat(words[:, :, None] + 100, WORD_FEATURES, axis=2).astype(np.int32)
    simulation = Simulation(no_context=0.3, unknown_marks=0.5, unknown_words=0.0)
    batch = simulate(features, tags, 12, simulation, 4096, random)
    ids, marks, cases = batch.ids.numpy(), batch.marks.numpy(), batch.cases.numpy()
    reference = (tags & 3)[:, 1:]
    assert (marks[:, CONTEXT_WORDS:] == reference[:, CONTEXT_WORDS:]).all()
    assert (ids[:, CONTEXT_WORDS:, WORD_FEATURES] == PADDING).all()
    without = (ids[:, :CONTEXT_WORDS] == PADDING).all((1, 2))
    assert 0.15 < without.mean() < 0.45
    learned = marks[:, :CONTEXT_WORDS] != IGNORED
    given = ids[:, :CONTEXT_WORDS, WORD_FEATURES]
    assert not (learned & (given >= CONTEXT_MARK) & (given < CONTEXT_MARK + len(MARKS))).any()
    assert not learned[without].any()
    assert (cases[:, CONTEXT_WORDS + 1 :][reference[:, CONTEXT_WORDS:-1] >= STOP] == IGNORED).all()
    cut = ids[:, -1, WORD_FEATURES + 1]
    assert set(cut) <= set(ENDED.values())
    assert (cut[reference[:, -1] == NONE] == ENDED["length"]).mean() > (
        cut[reference[:, -1] >= STOP] == ENDED["length"]
    ).mean()


def test_simulated_pauses_are_those_that_the_recognizer_hears() -> None:
    """A CTC network's last phone comes before the word's end: 0.06 s between words say nothing, 0.3 s say something."""
    marks = np.tile([NONE, COMMA, STOP], (5000, 1))
    none, comma, stop = (simulated_pauses(marks, np.random.default_rng(0)) > 0.06).mean(0)
    assert 0.4 < none < 0.6 and comma > 0.75 and stop > 0.85
    none, comma, stop = (simulated_pauses(marks, np.random.default_rng(1)) > 0.3).mean(0)
    assert none < 0.06 and 0.2 < comma < 0.4 and stop > 0.5


def test_documents_begin_and_end_with_sentences() -> None:
    found = documents([text_of(*(LINES * 100))], 1000)
    assert sum(len(document.words) for document in found) > 800
    assert all(document.marks[-1] >= STOP for document in found)


def test_scores_by_hand() -> None:
    reference = np.array([NONE, COMMA, STOP, QUESTION, STOP])
    said = np.array([COMMA, COMMA, STOP, STOP, NONE])
    assert f1_scores(reference, said).tolist() == [2 / 3, 0.5, 0.0]


def test_bias_helps() -> None:
    random = np.random.default_rng(1)
    reference = random.integers(0, 4, 400)
    log_probs = np.log(np.full((400, 4), 0.1, np.float32) + 0.6 * np.eye(4, dtype=np.float32)[reference])
    log_probs[:, COMMA] -= 2.5
    bias = np.array(best_bias(log_probs, reference), np.float32)
    before, after = (f1_scores(reference, scores.argmax(1)).mean() for scores in (log_probs, log_probs + bias))
    assert before < 0.7 and after == 1.0


def test_the_table_begins_with_what_was_counted() -> None:
    text = text_of(*(LINES * 20))
    habits, counts = word_habits([text]), word_counts([text])
    london, it = text.vocabulary.index("london"), text.vocabulary.index("it")
    assert habits[london, 5] > habits[it, 5]  # stands large within a sentence
    features = np.arange(len(counts), dtype=np.int32)[:, None] + np.array([[1, 40]], np.int32)
    table = fitted_table(features, habits, counts, 128)
    error = np.abs(table[features].sum(1) - habits).mean()
    assert error < 0.5 * np.abs(habits).mean()
