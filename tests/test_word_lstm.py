"""The word LSTM: trained through the loop, exported, and asked about whole readings."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

pytest.importorskip("torch", reason="training needs the train extra")

import torch

from asr.beam import DecoderOptions
from asr.cli import main
from asr.decoder import Decoder
from asr.decoders import load_decoders
from asr.errors import AsrError, ModelError
from asr.language_model import LanguageModel
from asr.lexicon import Lexicon
from asr.network import Network
from asr.ngram.table import write
from asr.ngram.train import TrainOptions, train
from asr.recognizer import Recognizer, find_model
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
    """Texts, a word n-gram model of them, and a word LSTM trained on them for some seconds and exported."""
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


def made(folder: Path, **changes: Any) -> WordLstmRecipe:
    recipe = WordLstmRecipe(
        name="tiny", texts=(Text("text.txt"),), held_out=("held_out.txt",), batch_words=150, frequent=6, others=4,
        normalizing=1.0, shape=WordLstmShape(words=14, embedding=16, width=32, dropout=0.0),
        training=Options(epochs=10, learning_rate=1e-2, warmup_steps=5, averaging=0.9, weight_decay=0.0),
    )  # fmt: skip
    return replace(recipe, **changes)


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
    small = Rescorer(tmp_path / "word_lstm.onnx", LanguageModel.load(folder / "words.lm")).advantage(texts, 0.5)
    assert small == pytest.approx(whole, abs=0.3)
    assert small[0] - small[1] == pytest.approx(whole[0] - whole[1], abs=0.3)


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
        options = DecoderOptions(word_lstm_share=share, blank_skip=1.0)
        decoder = Decoder(tokens, lexicon, ngrams, options, word_lstm=rescorer(folder))
        return decoder.best(decoder.step(decoder.start(), np.log(frames)))[0].words[-1].text

    assert heard("anna", 0.0) == heard("bruno", 0.0)  # the n-grams know no better
    assert [heard("anna", 0.5), heard("bruno", 0.5)] == ["sings", "sleeps"]


def test_a_model_directory_with_a_word_lstm(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(find_model(None), model)
    (model / "SHA256SUMS").unlink()
    (model / "word_lstm.onnx").unlink(missing_ok=True)
    assert load_decoders(Network.load(model))[1].word_lstm is None
    clip = Path(__file__).parent / "data" / "monday.opus"
    plain = Recognizer(model).transcribe(clip)
    done = CliRunner().invoke(main, ["export", str(folder / "run" / "best.pt"), str(model)])
    assert done.exit_code == 0 and "word_lstm.onnx" in done.output
    decoder = load_decoders(Network.load(model))[1]
    assert decoder.word_lstm is not None and decoder.with_options(decoder.options).word_lstm is decoder.word_lstm
    asked: list[str] = []

    def misjudge(texts: Sequence[str], share: float) -> NDArray[np.float64]:
        asked.extend(texts)
        return np.array([-1000.0 * (text == texts[0]) for text in texts])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rescorer, "advantage", lambda _, texts, share: misjudge(texts, share))
        assert Recognizer(model).transcribe(clip).text != plain.text  # never the first reading
        assert asked
        asked.clear()
        Recognizer(model).transcribe(clip, grammar=["monday", "tuesday"])
        assert not asked
    copied = tmp_path / "copied"
    description = json.loads((model / "model.json").read_text(encoding="utf-8"))
    description["decoding"]["second"]["word_lstm_share"] = 1.5
    shutil.copytree(model, copied)
    (copied / "model.json").write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ModelError, match="from 0 to 1"):
        Recognizer(copied)


def test_perplexity_of_the_mixture(folder: Path) -> None:
    files = [str(folder / "words.lm"), str(folder / "held_out.txt")]
    lstm = ["--word-lstm", str(folder / "word_lstm.onnx")]

    def measured(*options: str) -> tuple[float, float]:
        output = CliRunner().invoke(main, ["lm", "perplexity", *files, *lstm, *options]).output
        alone, mixed = re.findall(r"([\d.]+)(?=:| with unknown words, where)", output)
        return float(alone), float(mixed)

    alone, mixed = measured()
    assert mixed < alone
    assert measured("--share", "0.0001")[1] == pytest.approx(alone, rel=0.01)
    assert measured("--share", "1")[1] != pytest.approx(mixed, rel=0.001)


def test_what_is_no_word_lstm(folder: Path, tmp_path: Path) -> None:
    ngrams = LanguageModel.load(folder / "words.lm")
    assert Rescorer.load(tmp_path, ngrams) is None
    (tmp_path / "word_lstm.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="word_lstm"):
        Rescorer.load(tmp_path, ngrams)
    shutil.copyfile(find_model(None) / "g2p.onnx", tmp_path / "word_lstm.onnx")
    with pytest.raises(ModelError, match="no word LSTM"):
        Rescorer.load(tmp_path, ngrams)
    torch.save({"network": {}, "description": {"kind": "g2p"}}, tmp_path / "other.pt")
    with pytest.raises(AsrError, match="holds a g2p"):
        export_word_lstm(tmp_path / "other.pt", tmp_path)


def test_texts_that_cannot_be_learnt_from(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n \n")
    with pytest.raises(AsrError, match="no sentence"):
        made(tmp_path).task(tmp_path, tmp_path / "run")
    (tmp_path / "text.txt").write_text("one two three\n")
    (tmp_path / "held_out.txt").write_text("one two three\n")
    with pytest.raises(AsrError, match="6 words; --set frequent="):
        made(tmp_path).task(tmp_path, tmp_path / "run")
    with pytest.raises(AsrError, match="below 65536"):
        made(tmp_path, shape=WordLstmShape(words=70_000)).task(tmp_path, tmp_path / "run")


def test_one_word_lstm_and_two_threads(folder: Path) -> None:
    shared = rescorer(folder)
    texts = [["anna old in on old very sings", "bruno"], ["bruno old man", "anna very old man's", "anna"]] * 20
    alone = [shared.advantage(one, 0.5) for one in texts]
    with ThreadPoolExecutor(2) as pool:
        for expected, found in zip(alone, pool.map(lambda one: shared.advantage(one, 0.5), texts), strict=True):
            assert found == pytest.approx(expected, abs=1e-4)
