"""The word LSTM: trained through the loop, exported, and asked about whole readings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the train extra")

import torch

from asr.beam import DecoderOptions
from asr.decoder import Decoder
from asr.errors import AsrError, ModelError
from asr.language_model import LanguageModel
from asr.lexicon import Lexicon
from asr.ngram.table import write
from asr.ngram.train import TrainOptions, train
from asr.training.loop import Options, Trainer, read_checkpoint
from asr.training.word_lstm import Text, WordLstm, WordLstmRecipe, WordLstmShape, padded
from asr.training.word_lstm_export import export_word_lstm
from asr.word_lstm import WordLstm as Rescorer

FILLERS = "very old man in the house on hill near that river with many rare stones".split()


def sentence(chance: np.random.Generator) -> str:
    """Its last word depends on the first one alone, further away than any n-gram reaches."""
    first, last = (("anna", "sings"), ("bruno", "sleeps"))[chance.integers(2)]
    middle = " ".join(chance.choice(FILLERS[:8], 5))
    return f"{first} {middle} {last}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, a word n-gram model of them, and a word LSTM trained on them for some seconds and exported, in float."""
    folder = tmp_path_factory.mktemp("word_lstm")
    chance = np.random.default_rng(1)
    lines = [sentence(chance) for _ in range(1500)]
    (folder / "text.txt").write_text("\n".join([*lines, *(" ".join(FILLERS) for _ in range(5))]) + "\n")
    (folder / "held_out.txt").write_text("\n".join(sentence(chance) for _ in range(100)) + "\n")
    write(train([[folder / "text.txt"]], TrainOptions(order=3)), folder / "words.lm")
    recipe = made(folder)
    figures = Trainer(recipe.task(folder, folder / "run"), recipe.training, folder / "run").run()
    assert figures["perplexity"] < 6  # 8 fillers, and what is certain
    assert figures["held_out as scored"] == pytest.approx(figures["held_out perplexity"], rel=0.1)
    export_word_lstm(folder / "run" / "best.pt", folder, int8=False)
    return folder


def made(folder: Path, **changes: object) -> WordLstmRecipe:
    settings: dict[str, object] = {
        "texts": (Text("text.txt"),), "held_out": ("held_out.txt",), "batch_words": 150, "frequent": 6, "others": 4,
        "normalizing": 1.0,
    }  # fmt: skip
    return WordLstmRecipe(
        name="tiny",
        shape=WordLstmShape(words=14, embedding=16, width=32, dropout=0.0),
        training=Options(epochs=10, learning_rate=1e-2, warmup_steps=5, averaging=0.9, weight_decay=0.0),
        **(settings | changes),  # type: ignore[arg-type]
    )


def rescorer(folder: Path) -> Rescorer:
    found = Rescorer.load(folder, LanguageModel.load(folder / "words.lm"))
    assert found is not None
    return found


def test_a_text_is_compared_with_what_the_ngrams_say(folder: Path) -> None:
    texts = ["anna very old man in the sings", "bruno rare stones sleeps", "", "a stranger sings"]
    saved = read_checkpoint(folder / "run" / "best.pt")
    network = WordLstm(WordLstmShape(**saved["description"]["shape"]))
    network.load_state_dict(saved["network"])
    network.eval()
    vocabulary: list[str] = saved["description"]["vocabulary"]
    assert len(vocabulary) == 14 and vocabulary[:3] == ["<unk>", "<s>", "</s>"] and "stones" not in vocabulary
    ngrams = LanguageModel.load(folder / "words.lm")
    rare = [word for word in ngrams.vocabulary if word not in vocabulary[1:]]  # <unk> among them
    shares = dict(zip(rare, ngrams.unigram(ngrams.word_ids(rare)), strict=True))
    of_all = np.logaddexp.reduce(list(shares.values()))
    expected = []
    for text in texts:
        numbers = [vocabulary.index(word) if word in vocabulary else 0 for word in text.split()]
        words, _ = padded([np.array(numbers, np.int64)])
        with torch.inference_mode():
            scores = network.scores(network(words[:, :-1])[0], words[0, 1:]).tolist()
        total, state = 0.0, np.array([ngrams.start])
        for word, score in zip([*text.split(), "</s>"], scores, strict=True):
            share = shares.get(word, shares["<unk>"]) - of_all if word not in vocabulary else 0.0
            log_prob, state = ngrams.score(state, 2 if word == "</s>" else ngrams.word_ids([word]))
            total += np.log(0.3 * np.exp(score + share) + 0.7 * np.exp(log_prob[0])) - log_prob[0]
        expected.append(total)
    assert rescorer(folder).advantage(texts, 0.3) == pytest.approx(expected, abs=0.1)
    assert rescorer(folder).advantage(texts[1:2], 0.3) == pytest.approx(expected[1:2], abs=0.1)


def test_it_remembers_what_no_ngram_reaches(folder: Path) -> None:
    right, wrong = rescorer(folder).advantage(["anna old in on old very sings", "anna old in on old very sleeps"], 0.5)
    assert right - wrong > 1


def test_in_eight_bits_it_says_nearly_the_same(folder: Path, tmp_path: Path) -> None:
    export_word_lstm(folder / "run" / "best.pt", tmp_path)
    texts = ["anna old in on old very sings", "bruno old in on old very sleeps"]
    whole = rescorer(folder).advantage(texts, 0.5)
    small = Rescorer(tmp_path / "rescorer.onnx", LanguageModel.load(folder / "words.lm")).advantage(texts, 0.5)
    assert small == pytest.approx(whole, abs=0.5)


def test_the_sentence_decides_between_words_that_sound_alike(folder: Path) -> None:
    words = ("anna", "bruno", "old", "in", "on", "very", "sings", "sleeps")
    sounds = {word: (number + 1,) for number, word in enumerate(words)} | {"sleeps": (7,)}
    tokens = ("<blank>", *"ABCDEFG")
    lexicon = Lexicon.build(list(sounds.items()), tokens)
    ngrams = LanguageModel.load(folder / "words.lm")

    def heard(first: str, share: float) -> str:
        said = [first, "old", "in", "on", "old", "very", "sings"]
        frames = np.full((2 * len(said), len(tokens)), 0.001)
        frames[1::2, 0] = 1.0
        frames[range(0, 2 * len(said), 2), [sounds[word][0] for word in said]] = 1.0
        options = DecoderOptions(lstm_share=share, blank_skip=1.0)
        decoder = Decoder(tokens, lexicon, ngrams, options, word_lstm=rescorer(folder))
        return decoder.best(decoder.step(decoder.start(), np.log(frames)))[0].words[-1].text

    assert heard("anna", 0.0) == heard("bruno", 0.0)  # the n-grams know no better
    assert [heard("anna", 0.5), heard("bruno", 0.5)] == ["sings", "sleeps"]


def test_what_is_no_word_lstm(folder: Path, tmp_path: Path) -> None:
    ngrams = LanguageModel.load(folder / "words.lm")
    assert Rescorer.load(tmp_path, ngrams) is None
    (tmp_path / "rescorer.onnx").write_bytes(b"no network")
    broken = Rescorer.load(tmp_path, ngrams)
    assert broken is not None
    with pytest.raises(ModelError, match="rescorer"):
        broken.advantage(["anna"], 0.5)


def test_no_text(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n \n")
    with pytest.raises(AsrError, match="no sentence"):
        made(tmp_path).task(tmp_path, tmp_path / "run")
