"""Training that starts from a model: its weights compute what its networks compute, and what cannot fit starts anew."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")
pytest.importorskip("onnx", reason="reads networks' weights: pip install '.[plot]'")

import asr
from asr.cli.export import export
from asr.cli.train import train
from asr.errors import AsrError
from asr.memory.cells import trace
from asr.memory.weights import read_weights
from asr.network import Network
from asr.recognizer import Recognizer
from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.export import write_config, write_networks
from asr.training.features import FrontEnd, log_mel
from asr.training.from_model import read_start, recipe_from, start_from, start_subwords
from asr.training.loop import Options
from asr.training.model import AcousticModel, Shape
from asr.training.recognizer import RecognizerRecipe, Targets

DATA = Path(__file__).parent / "data"
LogProbs = tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]  # first and second reading


def network_of(source: Path) -> AcousticModel:
    weights, description = read_start(source)
    model = AcousticModel(Shape(**description["shape"]), {n: len(t) for n, t in description["heads"].items()})
    model.load_state_dict(weights)
    return model.eval()


def in_torch(model: AcousticModel, samples: NDArray[np.float32]) -> LogProbs:
    features = model.streaming.normalize(log_mel(torch.from_numpy(samples), FrontEnd()))[None]
    with torch.inference_mode():
        lengths = torch.tensor([features.shape[1] // model.shape.stack])
        first, second, _ = model(features, lengths, model.streaming.initial_state(1))
    return tuple({head: found[0].numpy() for head, found in reading.items()} for reading in (first, second))


def in_onnx(network: Network, samples: NDArray[np.float32]) -> LogProbs:
    reading = network.first(samples, network.initial_state())
    return reading.log_probs, network.second(reading.hidden)


def furthest(one: LogProbs, other: LogProbs) -> float:
    """The largest difference of log-probs."""
    return max(float(np.abs(a[head] - b[head]).max()) for a, b in zip(one, other, strict=True) for head in b)


@pytest.fixture(scope="module")
def clip(clips: Path) -> NDArray[np.float32]:
    samples = asr.audio.read_audio(clips / "prisoners.opus")
    return samples[: len(samples) // 640 * 640]


def test_float_weights_compute_the_same(tiny_model: Path, tiny: Recognizer, clip: NDArray[np.float32]) -> None:
    assert furthest(in_torch(network_of(tiny_model), clip), in_onnx(tiny.network, clip)) < 1e-3


def test_int8_weights_are_multiplied_out_exactly(tiny_model: Path, tmp_path: Path, clip: NDArray[np.float32]) -> None:
    """Quantized again they are what they were: a network that was read and exported is the network that was read."""
    original, again = tmp_path / "original", tmp_path / "again"
    description = json.loads((tiny_model / "model.json").read_text())
    for source, directory in ((tiny_model, original), (original, again)):
        directory.mkdir()
        model = network_of(source)
        write_networks(model, FrontEnd(), tmp_path, directory, int8=True)
        write_config(directory, model, description, "0.0.1")
    assert all(layer.int8 for layer in read_weights(original).streaming)
    assert furthest(in_onnx(Network.load(again), clip), in_onnx(Network.load(original), clip)) < 1e-4


def test_the_shipped_networks_in_torch(shipped: Recognizer, clip: NDArray[np.float32]) -> None:
    """Its int8 layers also round what they read, which torch does not: without that, hidden states are the same;
    with it, log-probs are the same to 0.07 on average, and so is nearly every best token."""
    directory = shipped.network.directory
    model = network_of(directory)
    weights = read_weights(directory)
    unrounded = replace(weights, streaming=tuple(replace(layer, int8=False) for layer in weights.streaming))
    features = model.streaming.normalize(log_mel(torch.from_numpy(clip), FrontEnd()))[None]
    with torch.inference_mode():
        hidden, _ = model.streaming(features, model.streaming.initial_state(1))
    expected_hidden = trace(unrounded, clip, shipped.network.initial_state()).hidden
    np.testing.assert_allclose(hidden[0].numpy(), expected_hidden, atol=1e-3)
    expected, found = in_onnx(shipped.network, clip), in_torch(model, clip)
    for reading in (0, 1):
        for head, log_probs in expected[reading].items():
            assert np.abs(found[reading][head] - log_probs).mean() < 0.07
            assert (found[reading][head].argmax(1) == log_probs.argmax(1)).mean() > 0.95


def test_the_shipped_networks_exported_in_float_compute_what_they_compute_in_torch(
    shipped: Recognizer, tmp_path: Path, clip: NDArray[np.float32]
) -> None:
    """Without int8 there is no rounding left: every log-prob is within 0.05, in fact within rounding of floats."""
    directory, exported = shipped.network.directory, tmp_path / "exported"
    exported.mkdir()
    model = network_of(directory)
    write_networks(model, FrontEnd(), tmp_path, exported, int8=False)
    write_config(exported, model, json.loads((directory / "model.json").read_text()), "0.0.1")
    expected, found = in_torch(model, clip), in_onnx(Network.load(exported), clip)
    assert [set(reading) for reading in found] == [set(reading) for reading in expected]
    assert furthest(expected, found) < 0.05


def test_a_head_with_another_alphabet_starts_anew(tiny_model: Path) -> None:
    weights, description = read_start(tiny_model)
    heads = description["heads"] | {"spelling": ["<blank>", "▁a", "b"]}
    model = AcousticModel(Shape(**description["shape"]), {name: len(tokens) for name, tokens in heads.items()})
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    lines = start_from(model, description | {"heads": heads}, tiny_model)
    assert any("spelling" in line for line in lines) and not any("phones" in line for line in lines)
    for name, value in model.state_dict().items():
        expected = fresh if "_heads.spelling" in name else weights
        assert torch.equal(value, expected[name]), name


def test_a_checkpoint_is_a_start_too(tiny_model: Path, tmp_path: Path) -> None:
    weights, description = read_start(tiny_model)
    path = tmp_path / "best.pt"
    kept = {key: description[key] for key in ("shape", "front_end", "heads", "name")}
    torch.save({"network": weights, "description": {"kind": "recognizer", **kept}}, path)
    model = AcousticModel(Shape(**description["shape"]), {n: len(t) for n, t in description["heads"].items()})
    assert len(start_from(model, description, path)) == 1
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_layers_on_top_change_little_of_what_is_said(tiny_model: Path) -> None:
    _, description = read_start(tiny_model)
    shape = Shape(**description["shape"])
    heads = {name: len(tokens) for name, tokens in description["heads"].items()}
    plain, grown = (
        AcousticModel(shape, heads),
        AcousticModel(replace(shape, streaming_layers=shape.streaming_layers + 2), heads),
    )
    start_from(plain, description, tiny_model)
    wider = description | {"shape": asdict(grown.shape)}
    assert "2 more" in start_from(grown, wider, tiny_model, 2)[1]
    features = torch.randn(1, 200, shape.bands, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([200 // shape.stack])
    before, after = (
        model.eval()(features, lengths, model.streaming.initial_state(1))[0]["phones"] for model in (plain, grown)
    )
    changed = (before.exp() - after.exp()).abs().mean()
    varies = (before.exp() - before.exp().mean(dim=1, keepdim=True)).abs().mean()
    assert 0 < changed < varies / 4
    with pytest.raises(AsrError, match="streaming_layers"):
        start_from(grown, wider, tiny_model, 1)


TINY = RecognizerRecipe(
    name="tiny",
    train=(("clips.jsonl", 1.0),),
    valid=("clips.jsonl",),
    subwords=64,
    mixture=Mixture(batch_seconds=40),
    augmentation=Augmentation(),
    training=Options(epochs=1, prefetch=0, half_precision=False),
)


def test_a_recipe_takes_the_shape_and_the_alphabet(tiny_model: Path) -> None:
    shape = json.loads((tiny_model / "model.json").read_text())["shape"]
    recipe = recipe_from(replace(TINY, shape=replace(TINY.shape, dropout=0.7)), tiny_model)
    assert asdict(recipe.shape) == shape | {"dropout": 0.7}
    subwords = start_subwords(str(tiny_model), ["bada fugi"])
    assert subwords is None  # the alphabet's letters do not stand alone
    assert start_subwords("", ["bada"]) is None


def test_the_shipped_alphabet_is_kept(shipped: Recognizer) -> None:
    source = str(shipped.network.directory)
    subwords = start_subwords(source, ["the tide was reversed"])
    assert subwords is not None and ("<blank>", *subwords.tokens) == shipped.network.heads["spelling"]
    assert "".join(subwords.tokens[n - 1] for n in subwords.encode("the tide")) == "▁the▁tide"
    assert start_subwords(source, ["größe"]) is None


def test_another_alphabet_where_it_is_asked_for(shipped: Recognizer, tmp_path: Path) -> None:
    recipe = replace(TINY, start=str(shipped.network.directory))
    texts = ["up down", "down"]
    assert len(Targets(recipe, DATA, texts).heads["spelling"]) == len(shipped.network.heads["spelling"])
    own = Targets(replace(recipe, keep_subwords=False), DATA, texts)
    assert [len(own(word)["spelling"]) for word in ("up", "down")] == [1, 1]


def test_an_adapted_model_takes_the_words_of_the_one_it_came_from(
    tiny_model: Path, shipped: Recognizer, tmp_path: Path
) -> None:
    weights, description = read_start(tiny_model)
    torch.save({"network": weights, "description": {"kind": "recognizer", **description}}, tmp_path / "best.pt")
    directory = shipped.network.directory
    done = CliRunner().invoke(export, [str(tmp_path / "best.pt"), str(tmp_path / "model"), "--like", str(directory)])
    assert done.exit_code == 0, done.output
    for name in ("words.lm", "words.lexicon", "tagger.onnx", "g2p.onnx"):
        assert (tmp_path / "model" / name).read_bytes() == (directory / name).read_bytes()
    config, origin = (json.loads((folder / "model.json").read_text()) for folder in (tmp_path / "model", directory))
    assert config["decoding"] == origin["decoding"] and config["heads"] == description["heads"]


def test_from_the_command_line(tiny_model: Path, tmp_path: Path) -> None:
    page = tmp_path / "recipe.py"
    page.write_text(
        "from asr.training.recognizer import RecognizerRecipe\n"
        "recipe = RecognizerRecipe(name='own', train=(('clips.jsonl', 1.0),), valid=('clips.jsonl',), subwords=64)\n"
    )
    arguments = [str(page), "--data", str(DATA), "--folder", str(tmp_path / "run"), "--dry-run"]
    done = CliRunner().invoke(train, [*arguments, "--from", str(tiny_model)])
    assert done.exit_code == 0, done.output
    assert f"starts from {tiny_model}" in done.output and "spelling head starts anew" in done.output
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings["start"] == str(tiny_model) and settings["shape"]["streaming_width"] == 32
    with pytest.raises(AsrError, match="no model directory"):
        CliRunner().invoke(train, [*arguments, "--from", str(tmp_path / "none")], catch_exceptions=False)


def test_what_cannot_be_a_start(tiny_model: Path, tmp_path: Path) -> None:
    description = read_start(tiny_model)[1]
    wider = description | {"shape": description["shape"] | {"streaming_width": 64}}
    with pytest.raises(AsrError, match=r"--set shape.streaming_width=32"):
        start_from(torch.nn.Linear(1, 1), wider, tiny_model)
    torch.save({"network": {}, "description": {"kind": "g2p"}}, tmp_path / "g2p.pt")
    with pytest.raises(AsrError, match="not the checkpoint of a recognizer"):
        read_start(tmp_path / "g2p.pt")
    from asr.training.g2p import G2pRecipe

    with pytest.raises(AsrError, match="only the training of a recognizer"):
        recipe_from(G2pRecipe("g2p", "cmudict.dict"), tiny_model)
