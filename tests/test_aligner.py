"""Alignment: the Viterbi path of torchaudio, and texts and sounds that do not quite belong together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.aligner import Aligner, ctc_align
from asr.errors import AsrError
from asr.g2p import PHONES
from asr.lexicon import Lexicon

TOKENS = ("<blank>", *PHONES)
DICTIONARY = {
    "the": ["DH AH", "DH IY"], "ship": ["SH IH P"], "sailed": ["S EY L D"], "north": ["N AO R TH"],
    "at": ["AE T"], "dawn": ["D AO N"], "and": ["AE N D", "AH N D"], "nobody": ["N OW B AA D IY"],
    "saw": ["S AO"], "a": ["AH", "EY"], "light": ["L AY T"], "upon": ["AH P AA N"], "shore": ["SH AO R"],
    "captain": ["K AE P T AH N"], "slept": ["S L EH P T"],
}  # fmt: skip
LEXICON = Lexicon.build(
    [(word, tuple(TOKENS.index(phone) for phone in way.split())) for word, ways in DICTIONARY.items() for way in ways],
    TOKENS,
)
TEXT = "the ship sailed north at dawn and nobody saw a light upon the shore the captain slept".split()


def random_log_probs(seed: int, frames: int, tokens: int) -> NDArray[np.float32]:
    logits = 2 * np.random.default_rng(seed).normal(size=(frames, tokens))
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def say(words: list[str], seed: int = 0, noise: float = 1.0) -> tuple[NDArray[np.float32], list[int]]:
    """Noisy log-probs of words, a pause after each, and the frame in which each word begins."""
    random = np.random.default_rng(seed)
    frames, starts = [], []
    for word in words:
        sounds = DICTIONARY[word][0].split() if word in DICTIONARY else word.split("-")
        for number, sound in enumerate(sounds):
            if number == 0:
                starts.append(len(frames))
            logits = random.normal(0, noise, len(TOKENS))
            logits[TOKENS.index(sound)] += 6
            blank = random.normal(0, noise, len(TOKENS))
            blank[0] += 7
            frames += [logits, blank]
    stacked = np.array(frames).reshape(-1, len(TOKENS))
    return (stacked - np.log(np.exp(stacked).sum(axis=1, keepdims=True))).astype(np.float32), starts


@given(st.integers(0, 10_000), st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_the_path_is_that_of_torchaudio(seed: int, tokens: list[int], spare: int) -> None:
    torchaudio = pytest.importorskip("torchaudio", reason="torchaudio is the oracle")
    import torch

    repeats = sum(first == second for first, second in itertools.pairwise(tokens))
    log_probs = random_log_probs(seed, len(tokens) + repeats + spare, 5)
    path, scores = torchaudio.functional.forced_align(torch.from_numpy(log_probs)[None], torch.tensor([tokens]))
    found = np.zeros(len(log_probs), int)
    for token, (begin, end) in zip(tokens, ctc_align(log_probs, tokens), strict=True):
        found[begin:end] = token
    assert log_probs[range(len(log_probs)), found].sum() == pytest.approx(float(scores.sum()), abs=1e-3)
    assert found.tolist() == path[0].tolist()


def test_tokens_that_do_not_fit_are_refused() -> None:
    assert ctc_align(random_log_probs(0, 3, 3), [1, 1]) == [(0, 1), (2, 3)]
    with pytest.raises(ValueError, match="frames"):
        ctc_align(random_log_probs(0, 2, 3), [1, 1])


def test_every_word_and_sound_of_a_text_is_placed() -> None:
    log_probs, starts = say(TEXT)
    alignment = Aligner(TOKENS, LEXICON).align([log_probs], TEXT)
    assert [word.text for word in alignment.words] == TEXT
    assert [word.start for word in alignment.words] == starts
    assert (alignment.unheard, alignment.unread) == ((), ())
    ship = alignment.words[1]
    assert [sound.token for sound in ship.sounds] == ["SH", "IH", "P"]
    assert [sound.start for sound in ship.sounds] == [starts[1], starts[1] + 2, starts[1] + 4]
    assert 0.5 < ship.confidence <= 1


def test_the_pronunciation_that_was_said_is_chosen() -> None:
    log_probs, _ = say(["DH-IY", "ship"])
    alignment = Aligner(TOKENS, LEXICON).align([log_probs], ["the", "ship"])
    assert [sound.token for sound in alignment.words[0].sounds] == ["DH", "IY"]


def test_pieces_of_any_length_give_the_same() -> None:
    log_probs, _ = say(TEXT)
    aligner = Aligner(TOKENS, LEXICON)
    assert aligner.align(np.array_split(log_probs, 17), TEXT) == aligner.align([log_probs], TEXT)


def test_text_that_was_not_said_is_reported_and_shifts_nothing() -> None:
    said = TEXT[:6] + TEXT[10:]
    log_probs, starts = say(said)
    alignment = Aligner(TOKENS, LEXICON).align([log_probs], TEXT)
    assert alignment.unheard == ((6, 10),)
    assert [word.index for word in alignment.words] == [*range(6), *range(10, len(TEXT))]
    assert [word.start for word in alignment.words] == starts
    assert alignment.unread == ()


def test_sound_that_is_not_in_the_text_is_reported_and_shifts_nothing() -> None:
    aside = ["F-L-OW-T-IH-NG", "K-EY-B-AH-L-Z", "JH-IH-NG-G-AH-L"]
    log_probs, starts = say([*TEXT[:6], *aside, *TEXT[6:]])
    alignment = Aligner(TOKENS, LEXICON).align([log_probs], TEXT)
    assert [word.start for word in alignment.words] == starts[:6] + starts[9:]
    ((begin, end),) = alignment.unread
    assert abs(begin - starts[6]) <= 2
    assert abs(end - starts[9]) <= 2
    assert alignment.unheard == ()


FOREIGN = ["F-L-OW-T-IH-NG", "K-EY-B-AH-L-Z", "JH-IH-NG-G-AH-L", "W-UH-V-ER-Y-UW"]  # longer than a second


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lone", [["at"], ["at", "dawn"]])
def test_a_lone_word_amid_other_sound_goes_to_the_words_beside_it(lone: list[str], seed: int) -> None:
    """The words are said twice, in an aside and after it, or before it."""
    aside = [*FOREIGN, "-".join(DICTIONARY[word][0].replace(" ", "-") for word in lone), *FOREIGN]
    before, after = TEXT[: TEXT.index("at")], TEXT[TEXT.index("at") + len(lone) :]
    for said in (
        [*before, *aside, *lone, *after],
        [*before, *lone, *aside, *after],
    ):
        log_probs, starts = say(said, seed)
        alignment = Aligner(TOKENS, LEXICON).align([log_probs], [*before, *lone, *after])
        expected = [start for word, start in zip(said, starts, strict=True) if word in DICTIONARY]
        assert [word.start for word in alignment.words] == pytest.approx(expected, abs=1)
        assert alignment.unheard == ()
        begin, end = alignment.unread[0][0], alignment.unread[-1][1]
        assert starts[said.index(FOREIGN[0])] <= begin < end <= starts[-len(after)]


@pytest.mark.parametrize("seed", range(4))
def test_a_lone_word_that_is_not_said_beside_its_neighbours_is_given_up_unless_it_fits_well(seed: int) -> None:
    before, after = TEXT[: TEXT.index("at")], TEXT[TEXT.index("at") + 1 :]
    log_probs, _ = say([*before, *FOREIGN, "AE-T", *FOREIGN, *after], seed)
    alignment = Aligner(TOKENS, LEXICON).align([log_probs], TEXT)
    assert alignment.unheard == ((4, 5),)
    assert len(alignment.unread) == 1
    before, after = TEXT[: TEXT.index("captain")], TEXT[TEXT.index("slept") :]
    log_probs, starts = say([*before, *FOREIGN, "captain", *FOREIGN, *after], seed)
    alignment = Aligner(TOKENS, LEXICON).align([log_probs], TEXT)
    captain = [word for word in alignment.words if word.text == "captain"]
    assert [word.start for word in captain] == [starts[len(before) + len(FOREIGN)]]


def test_nothing_fits() -> None:
    log_probs, _ = say(["F-L-OW-T-IH-NG", "K-EY-B-AH-L-Z", "JH-IH-NG-G-AH-L"])
    alignment = Aligner(TOKENS, LEXICON).align([log_probs], TEXT)
    assert len(alignment.words) <= 2
    assert alignment.unread
    silent = Aligner(TOKENS, LEXICON).align([], TEXT)
    assert (silent.words, silent.unheard) == ((), ((0, len(TEXT)),))


def test_a_long_text_with_a_missing_page_and_an_unread_one_stays_in_place() -> None:
    random = np.random.default_rng(3)
    words = ["-".join(random.choice(PHONES, random.integers(2, 6), replace=False)) for _ in range(300)]
    lexicon = Lexicon.build([(word, [TOKENS.index(phone) for phone in word.split("-")]) for word in words], TOKENS)
    text = [str(word) for word in random.choice(words, 1500)]
    others = ["-".join(random.choice(PHONES, 5, replace=False)) for _ in range(60)]
    said = [*text[:300], *others, *text[300:600], *text[900:]]
    log_probs, starts = say(said, noise=1.5)
    alignment = Aligner(TOKENS, lexicon).align(np.array_split(log_probs, 40), text)
    begin = dict(zip([*range(300), *range(-60, 0), *range(300, 600), *range(900, 1500)], starts, strict=True))
    right = sum(begin.get(word.index) == word.start for word in alignment.words)
    assert right > 0.95 * 1200


def test_texts_that_cannot_be_aligned_are_refused() -> None:
    with pytest.raises(AsrError, match="no words"):
        Aligner(TOKENS, LEXICON).align([], [])
    with pytest.raises(AsrError, match="hochreiter"):
        Aligner(TOKENS, LEXICON).align([], ["hochreiter"])
