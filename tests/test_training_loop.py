"""Training on six real clips: it learns them, goes on exactly where it was killed, and refuses what cannot be."""

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

import asr
from asr.datasets import read_manifest
from asr.errors import AsrError
from asr.evaluate import Settings, evaluate
from asr.training.augment import Augmentation
from asr.training.config import load_recipe, override_setting
from asr.training.corpus import Mixture
from asr.training.export import export_model, log_prob_difference
from asr.training.loop import Options, Trainer, autocast, lacks_half_precision, learning_rate
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

DATA = Path(__file__).parent / "data"
PLAIN = Augmentation(
    speeds=(1.0,), room=0, noise=0, gain=0, telephone=0, frequency_masks=0, time_masks_per_second=0
)  # fmt: skip
TINY = RecognizerRecipe(
    name="tiny",
    train=(("clips.jsonl", 1.0),),
    valid=("clips.jsonl",),
    subwords=64,
    shape=Shape(streaming_layers=1, streaming_width=128, second_layers=1, second_width=96, dropout=0.0),
    mixture=Mixture(batch_seconds=100, joined=0, noise=0, cut=0),
    augmentation=PLAIN,
    training=Options(
        epochs=160, learning_rate=5e-3, warmup_steps=10, hold=0.7, weight_decay=0, averaging=0.9, prefetch=0,
        half_precision=False,
    ),
)  # fmt: skip


def trainer(recipe: RecognizerRecipe, folder: Path) -> Trainer:  # type: ignore[type-arg]
    torch.manual_seed(recipe.training.seed)
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(recipe.task(DATA, folder), recipe.training, folder)


def log(folder: Path) -> list[dict[str, float]]:
    timing = {"seconds", "per second", "waiting", "memory"}
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in timing} for line in lines]


@pytest.mark.slow
def test_it_learns_three_clips_by_heart_and_the_exported_model_reads_them(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (DATA / "clips.jsonl").read_text().splitlines()]
    rows = sorted(rows, key=lambda row: float(row["duration"]))[:3]
    manifest = tmp_path / "clips.jsonl"
    manifest.write_text("".join(json.dumps(row | {"audio": str(DATA / row["audio"])}) + "\n" for row in rows))
    recipe = replace(TINY, train=((str(manifest), 1.0),), valid=(str(manifest),))
    figures = trainer(recipe, tmp_path / "run").run()
    assert figures["second spelling"] == 0
    export_model(tmp_path / "run" / "checkpoint.pt", tmp_path / "model", version="0.0.1", int8=False)
    model = asr.Recognizer(tmp_path / "model")
    result = evaluate(model, read_manifest(manifest), Settings(decoding="greedy"))
    wrong = [one for one in result.utterances if one.hypothesis != one.reference]
    assert sum(len(one.reference.split()) - one.words.hits for one in wrong) == 0


HARD = replace(
    TINY,
    mixture=Mixture(batch_seconds=30, joined=0.3, noise=0.3, cut=0.5, noise_seconds=(1.0, 2.0)),
    augmentation=Augmentation(),
    shape=replace(TINY.shape, streaming_width=24, second_width=16, dropout=0.3),
    training=replace(TINY.training, epochs=3, warmup_steps=2, prefetch=1, checkpoint_minutes=0),
)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("steps", [1, 4])
def test_a_run_that_was_killed_and_resumed_gives_the_same_losses(tmp_path: Path, steps: int) -> None:
    def watched(folder: str, losses: list[dict[str, float]], last: int = 10**9) -> Trainer:  # type: ignore[type-arg]
        run = trainer(HARD, tmp_path / folder)
        ordinary: Callable[..., dict[str, float]] = run._step

        def step(*arguments: object) -> dict[str, float]:
            if run.position.step == last:
                raise KilledError
            losses.append(ordinary(*arguments))
            return losses[-1]

        run._step = step  # type: ignore[method-assign]
        return run

    expected: list[dict[str, float]] = []
    whole = watched("whole", expected)
    whole.run()
    assert len(expected) == whole.position.step == 9
    found: list[dict[str, float]] = []
    with pytest.raises(KilledError):
        watched("broken", found, steps).run()
    again = watched("broken", found)
    again.resume()
    assert again.position.step == steps
    again.run()
    assert found == expected
    assert log(tmp_path / "whole")[-1]["second spelling"] == log(tmp_path / "broken")[-1]["second spelling"]
    for name, value in whole.task.network.state_dict().items():
        assert torch.equal(value, again.task.network.state_dict()[name]), name
    for name, value in whole.averaged.items():
        assert torch.equal(value, again.averaged[name]), name


def test_batches_that_other_processes_prepare_are_the_same(tmp_path: Path) -> None:
    for folder, workers in (("thread", 0), ("processes", 2)):
        recipe = replace(HARD, training=replace(HARD.training, workers=workers))
        trainer(recipe, tmp_path / folder).run()
    assert log(tmp_path / "thread") == log(tmp_path / "processes")


def test_only_some_epochs_are_validated_and_the_last_one_is(tmp_path: Path) -> None:
    trainer(replace(HARD, training=replace(HARD.training, epochs_between_validations=2)), tmp_path / "run").run()
    assert ["second spelling" in line for line in log(tmp_path / "run")] == [False, True, True]
    assert (tmp_path / "run" / "curves.png").stat().st_size > 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(0.1 < line["memory"] < 100 for line in lines)  # GB: torch alone takes more than the first


@pytest.mark.parametrize("change", ["seed", "mixture", "corpus"])
def test_a_run_goes_on_with_its_own_batches_alone(tmp_path: Path, change: str) -> None:
    trainer(HARD, tmp_path / "run").save()
    if change == "corpus":
        rows = (DATA / "clips.jsonl").read_text().splitlines()[1:]
        fewer = [json.loads(row) for row in rows]
        manifest = tmp_path / "clips.jsonl"
        manifest.write_text("".join(json.dumps(row | {"audio": str(DATA / row["audio"])}) + "\n" for row in fewer))
        other = replace(HARD, train=((str(manifest), 1.0),))
    elif change == "mixture":
        other = replace(HARD, mixture=replace(HARD.mixture, batch_seconds=40))
    else:
        other = replace(HARD, training=replace(HARD.training, seed=2))
    trainer(HARD, tmp_path / "run").resume()
    with pytest.raises(AsrError, match="other batches"):
        trainer(other, tmp_path / "run").resume()


@pytest.mark.parametrize("fast", [{"speeds": (3.0,)}, {"tempos": (3.0,)}])
def test_no_speech_is_made_too_fast_for_its_text(fast: dict[str, tuple[float, ...]], tmp_path: Path) -> None:
    recipe = replace(TINY, mixture=replace(TINY.mixture, cut=1.0), augmentation=replace(PLAIN, **fast))
    task = recipe.task(DATA, tmp_path)
    shares = []
    for item in (item for batch in task.plan(1) for item in batch):
        batch = task.load([item], [0], 1)
        (targets,) = batch.targets["spelling"]
        assert int(batch.lengths[0]) >= len(targets) + sum(a == b for a, b in itertools.pairwise(targets))
        shares.append(int(batch.lengths[0]) / (task._durations[item.pieces[0]] / 0.04))
    assert min(shares) < 0.4 and max(shares) > 0.6  # three times as fast where that fits, or not at all


def test_a_loss_that_is_not_finite_is_skipped_and_counted(tmp_path: Path) -> None:
    run = trainer(replace(HARD, training=replace(HARD.training, prefetch=0)), tmp_path / "run")
    task = run.task
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    items = task.plan(0)[0]
    batch = task.load(items, range(len(items)), 0)
    parts = run._step([replace(batch, features=batch.features * float("nan"))], 1e-3)
    assert parts["skipped"] == 1 and run.position.skipped == 1
    assert all(torch.equal(value, before[name]) for name, value in task.network.state_dict().items())
    assert not any(value.isnan().any() for value in task.carried().values()), "a broken state must not be handed on"
    assert "skipped" not in run._step([batch], 1e-3)


def test_half_precision_is_only_used_where_the_processor_has_it(tmp_path: Path) -> None:
    recipe = replace(TINY, training=replace(TINY.training, half_precision=True))
    run = trainer(recipe, tmp_path / "run")
    with autocast(recipe.training):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.float32 if lacks_half_precision(recipe.training) else torch.bfloat16)
    items = run.task.plan(0)[0]
    assert "skipped" not in run._step([run.task.load(items, range(len(items)), 0)], 1e-3)


def test_what_is_exported_computes_what_was_trained(tmp_path: Path, speech) -> None:  # type: ignore[no-untyped-def]
    run = trainer(replace(HARD, training=replace(HARD.training, epochs=1)), tmp_path / "run")
    run.run()
    export_model(tmp_path / "run" / "best.pt", tmp_path / "float", int8=False)
    export_model(tmp_path / "run" / "best.pt", tmp_path / "int8")
    assert log_prob_difference(tmp_path / "run" / "best.pt", tmp_path / "float", speech) < 1e-3
    assert 1e-6 < log_prob_difference(tmp_path / "run" / "best.pt", tmp_path / "int8", speech) < 0.2


def test_a_phone_head_needs_a_way_to_pronounce_every_word(tmp_path: Path) -> None:
    (tmp_path / "few.dict").write_text("the DH AH0\n")
    with pytest.raises(AsrError, match=r"lacks \d+ words, .*g2p=english-small"):
        trainer(replace(TINY, dictionary=str(tmp_path / "few.dict")), tmp_path / "run")


def test_a_missing_file_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (DATA / "clips.jsonl").read_text().splitlines()
    rows = [json.loads(line) | {"audio": str(DATA / json.loads(line)["audio"])} for line in lines]
    rows[0]["audio"] = "gone.opus"
    rows[1]["text"] = "nothing that 4711 could be"
    rows[2]["text"] = "far too many words for so short a clip " * 40
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run").mkdir()
    TINY.task(tmp_path, tmp_path / "run")
    said = capsys.readouterr().err
    assert "gone.opus" in said and "too short for their text" in said
    listed = (tmp_path / "run" / "left_out.tsv").read_text().splitlines()
    assert sorted({line.split("\t")[0] for line in listed}) == ["that cannot be decoded", "too short for their text"]


def test_a_corpus_is_carried_as_its_manifest_and_its_cache(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(DATA, here, ignore=shutil.ignore_patterns("*.json"))
    recipe = replace(TINY, cache=str(there / "cache"))
    (tmp_path / "run").mkdir()
    task = replace(recipe, cache=str(here / "cache")).task(here, tmp_path / "run")
    here.rename(there)
    for sound in there.glob("*.opus"):
        sound.unlink()
    carried = recipe.task(there, tmp_path / "run")
    assert carried.plan(1) == task.plan(1) and len(carried._train) == 6
    assert all(np.array_equal(carried._audio(number), task._audio(number)) for number in range(6))


def test_where_all_texts_are_too_long_for_their_sound_that_is_told(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (DATA / "clips.jsonl").read_text().splitlines()]
    rows = [row | {"audio": str(DATA / row["audio"]), "text": "far too many words " * 99} for row in rows]
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(AsrError, match="learnt from: 6 too short for their text"):
        TINY.task(tmp_path, tmp_path)


def test_a_batch_in_pieces_trains_what_it_trains_whole(tmp_path: Path) -> None:
    """States that are handed on lie behind the padding, which differs between the pieces: none are here."""
    runs = []
    for pieces in (1, 2):
        recipe = replace(
            HARD,
            mixture=replace(HARD.mixture, from_memory=0.0),
            shape=replace(HARD.shape, dropout=0.0),
            training=replace(HARD.training, accumulate=pieces),
        )
        runs.append(trainer(recipe, tmp_path / str(pieces)))
        runs[-1].run()
    whole, split = ([log(tmp_path / name)[-1][f"loss {reading} spelling"] for reading in ("first", "second")]
                    for name in ("1", "2"))  # fmt: skip
    assert split == pytest.approx(whole, rel=1e-3)
    for name, value in runs[0].task.network.state_dict().items():
        torch.testing.assert_close(runs[1].task.network.state_dict()[name], value, atol=1e-4, rtol=1e-3)


def test_learning_rate() -> None:
    options = Options(learning_rate=1.0, warmup_steps=10, hold=0.5)
    assert learning_rate(options, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(options, 50, 0.4) == 1.0
    assert learning_rate(options, 50, 0.75) == pytest.approx(0.5)
    assert learning_rate(options, 50, 1.0) == 0.0


def test_overrides_are_typed_and_unknown_keys_are_refused() -> None:
    assert override_setting(TINY, "epochs=3").training.epochs == 3.0
    assert override_setting(TINY, "shape.cell=rnn").shape.cell == "rnn"
    assert override_setting(TINY, "speeds=0.9,1.1").augmentation.speeds == (0.9, 1.1)
    assert override_setting(TINY, "half_precision=true").training.half_precision is True
    assert override_setting(TINY, "valid=('a.jsonl',)").valid == ("a.jsonl",)
    with pytest.raises(AsrError, match="did you mean 'epochs'"):
        override_setting(TINY, "epoch=3")
    with pytest.raises(AsrError, match="subwords is of type int"):
        override_setting(TINY, "subwords=many")
    with pytest.raises(AsrError, match="cell is one of lstm, rnn, none"):
        override_setting(TINY, "cell=gru")
    with pytest.raises(AsrError, match="could be"):
        override_setting(TINY, "noise=0.1")


def test_a_recipe_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="no such recipe"):
        load_recipe(tmp_path / "gone.py")
    (tmp_path / "other.py").write_text("recipe = 3\n")
    with pytest.raises(AsrError, match="no object called `recipe`"):
        load_recipe(tmp_path / "other.py")
