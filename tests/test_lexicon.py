"""Lexicons: what is compiled comes back, and words added at run time leave the old tree as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.cli import main
from asr.errors import AsrError, ModelError
from asr.g2p import PHONES
from asr.lexicon import Lexicon, Tree, read_pronunciations
from asr.recognizer import Recognizer

TOKENS = ("<blank>", "A", "B", "C", "D")
ENTRIES = [("ab", (1, 2)), ("abe", (1, 2)), ("a", (1,)), ("bad", (2, 1, 4)), ("bad", (2, 1, 1, 4))]

DICTIONARY = """
;;; a remark
read R EH1 D
read(2) R IY1 D # tense
red R EH1 D
mr. M IH1 S T ER0
bush B UH1 SH
odd XX
"""

entries_of_any_kind = st.lists(
    st.tuples(
        st.text(st.sampled_from("abc'é"), min_size=1, max_size=4),
        st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple),
    ),
    max_size=25,
)


def spelled(tree: Tree, tokens: int) -> dict[int, set[tuple[int, ...]]]:
    """All words of a tree with their pronunciations, found by walking it."""
    found: dict[int, set[tuple[int, ...]]] = {}

    def walk(position: int, path: tuple[int, ...]) -> None:
        path = (*path, int(tree.token[position]))
        begin = tree.word_begin[position]
        for word in tree.word_ids[begin : begin + tree.word_count[position]]:
            found.setdefault(int(word), set()).add(path)
        begin = tree.child_begin[position]
        for child in tree.children[begin : begin + tree.child_count[position]]:
            walk(int(child), path)

    for token in range(tokens):
        assert tree.token[token] == token
        assert tree.child_count[token] == 0
        if tree.root_child[token] >= 0:
            walk(int(tree.root_child[token]), ())
    return found


def by_word(entries: list[tuple[str, tuple[int, ...]]]) -> dict[str, set[tuple[int, ...]]]:
    expected: dict[str, set[tuple[int, ...]]] = {}
    for word, sounds in entries:
        expected.setdefault(word, set()).add(sounds)
    return expected


@given(entries_of_any_kind)
@settings(deadline=None)
def test_what_is_compiled_is_in_the_tree(entries: list[tuple[str, tuple[int, ...]]]) -> None:
    lexicon = Lexicon.build(entries, TOKENS)
    expected = by_word(entries)
    found = {lexicon.word(word): ways for word, ways in spelled(lexicon.tree, len(TOKENS)).items()}
    assert found == expected
    assert len(lexicon) == len(expected)
    assert sorted(lexicon.entries()) == sorted(set(entries))
    for word, ways in expected.items():
        assert set(lexicon.pronunciations(word)) == ways
        assert lexicon.word(lexicon.find(word) or 0) == word
    assert lexicon.pronunciations("zebra") == ()
    prefixes = {sounds[:end] for _, sounds in entries for end in range(1, len(sounds) + 1)}
    assert len(lexicon.tree.token) == len(TOKENS) + len(prefixes)


@given(entries_of_any_kind, entries_of_any_kind, entries_of_any_kind)
@settings(deadline=None)
def test_added_words_are_found_and_old_positions_stay(
    entries: list[tuple[str, tuple[int, ...]]],
    more: list[tuple[str, tuple[int, ...]]],
    later: list[tuple[str, tuple[int, ...]]],
) -> None:
    old = Lexicon.build(entries, TOKENS)
    before = spelled(old.tree, len(TOKENS))
    new = old.extend(more).extend(later)
    assert spelled(old.tree, len(TOKENS)) == before
    assert {new.word(word): ways for word, ways in spelled(new.tree, len(TOKENS)).items()} == by_word(
        entries + more + later
    )
    size = len(old.tree.token)
    assert np.array_equal(new.tree.token[:size], old.tree.token)
    for word, ways in by_word(entries + more + later).items():
        assert set(new.pronunciations(word)) == ways


def test_a_stored_lexicon_is_the_same(tmp_path: Path) -> None:
    scores = {"ab": -1.5, "abe": -0.25, "bad": -3.0}
    built = Lexicon.build(ENTRIES, TOKENS, scores)
    built.save(tmp_path / "words.lexicon")
    loaded = Lexicon.load(tmp_path / "words.lexicon")
    assert loaded.tokens == TOKENS
    for name, array in vars(built.tree).items():
        assert np.array_equal(getattr(loaded.tree, name), array), name
    assert [loaded.word(number) for number in range(len(loaded))] == ["a", "ab", "abe", "bad"]


def test_look_ahead_is_the_best_word_below() -> None:
    lexicon = Lexicon.build(ENTRIES, TOKENS, {"ab": -1.5, "abe": -0.25, "bad": -3.0})
    tree = lexicon.tree
    first = tree.root_child[1]
    assert tree.look_ahead[first] == -0.25
    assert tree.look_ahead[tree.root_child[2]] == -3.0
    assert (tree.look_ahead[: len(TOKENS)] == 0).all()
    louder = lexicon.extend([("bab", (2, 1, 2))], score=-2.0).tree
    assert louder.look_ahead[louder.root_child[2]] == -2.0


@pytest.mark.parametrize("damage", ["magic", "cut", "header", "missing"])
def test_a_damaged_lexicon_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "words.lexicon"
    Lexicon.build(ENTRIES, TOKENS).save(path)
    content = path.read_bytes()
    changed = {
        "magic": b"x" + content[1:],
        "cut": content[: len(content) // 2],
        "header": content[:12] + b"[" + content[13:],
        "missing": b"",
    }
    path.write_bytes(changed[damage])
    with pytest.raises(ModelError, match=r"words\.lexicon"):
        Lexicon.load(path)
    with pytest.raises(ModelError):
        Lexicon.load(tmp_path / "nowhere")


def test_a_pronunciation_of_unknown_sounds_is_refused() -> None:
    for sounds in ((), (0,), (9,)):
        with pytest.raises(AsrError, match="bad"):
            Lexicon.build([("bad", sounds)], TOKENS)
        with pytest.raises(AsrError, match="bad"):
            Lexicon.build(ENTRIES, TOKENS).extend([("bad", sounds)])


def test_dictionaries_are_read_without_stress_and_abbreviations(tmp_path: Path) -> None:
    path = tmp_path / "dictionary"
    path.write_text(DICTIONARY, encoding="utf-8")
    tokens = ("<blank>", *PHONES)
    found = read_pronunciations(path, tokens)
    names = {word: [" ".join(tokens[token] for token in way) for way in ways] for word, ways in found.items()}
    assert names == {"read": ["R EH D", "R IY D"], "red": ["R EH D"], "bush": ["B UH SH"]}
    with pytest.raises(AsrError, match="nothing"):
        read_pronunciations(tmp_path / "nothing", tokens)


def test_the_command_builds_and_shows(tmp_path: Path) -> None:
    dictionary, words, output = tmp_path / "dictionary", tmp_path / "words", tmp_path / "words.lexicon"
    dictionary.write_text(DICTIONARY, encoding="utf-8")
    words.write_text("Read 12\nreads 3\nbush's 2\nxyzzy 1\n", encoding="utf-8")
    arguments = ["lexicon", "build", "--words", str(words), "--dictionary", str(dictionary), "-o", str(output)]
    result = CliRunner().invoke(main, [*arguments, "--g2p", "none"])
    assert result.exit_code == 0, result.output
    assert "3 words, 5 pronunciations" in result.output
    assert "xyzzy" in result.output
    result = CliRunner().invoke(main, ["lexicon", "show", str(output), "bush's", "read"])
    assert result.output.splitlines() == ["bush's B UH SH IH Z", "read R EH D", "read R IY D"]
    result = CliRunner().invoke(main, ["lexicon", "show", str(output), "xyzzy"])
    assert result.exit_code == 1
    assert "xyzzy" in result.output
    assert CliRunner().invoke(main, ["lexicon", "show", str(output), "Büsh’s!"]).output == "bush's B UH SH IH Z\n"


def test_what_the_dictionary_lacks_is_pronounced_by_a_model(tmp_path: Path, shipped: Recognizer) -> None:
    dictionary, words, output = tmp_path / "dictionary", tmp_path / "words", tmp_path / "words.lexicon"
    dictionary.write_text(DICTIONARY, encoding="utf-8")
    words.write_text("xyzzy\n", encoding="utf-8")
    arguments = ["lexicon", "build", "--words", str(words), "--dictionary", str(dictionary), "-o", str(output)]
    model = shipped.network.directory
    for g2p in ([], ["--g2p", "english-small"], ["--g2p", str(model)], ["--g2p", str(model / "g2p.onnx")]):
        result = CliRunner().invoke(main, [*arguments, *g2p])
        assert result.exit_code == 0 and "1 words, 1 pronunciations" in result.output, result.output
    result = CliRunner().invoke(main, [*arguments, "--g2p", "nowhere"])
    assert result.exit_code == 1 and "no model directory nowhere" in result.stderr


def test_lines_with_several_words_are_left_out_and_counted(tmp_path: Path) -> None:
    dictionary, words, output = tmp_path / "dictionary", tmp_path / "words", tmp_path / "words.lexicon"
    dictionary.write_text(DICTIONARY, encoding="utf-8")
    words.write_text("Réad 12\nred bush\nbush 3 0.5\nnew york\n", encoding="utf-8")
    arguments = ["lexicon", "build", "--words", str(words), "--dictionary", str(dictionary), "-o", str(output)]
    result = CliRunner().invoke(main, [*arguments, "--g2p", "none"])
    assert "2 words, 3 pronunciations" in result.stdout
    assert "several words are left out, 2 of them, for example 'red bush'" in result.stderr
    words.write_text("new york\n", encoding="utf-8")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and "holds no words" in result.stderr
