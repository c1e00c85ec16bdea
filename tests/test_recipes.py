"""Every page of recipes/: the commands at its top, run on a small corpus in the real layout, to a model in use."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import soundfile
import soxr
from click.testing import CliRunner

pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

from asr.audio import read_audio
from asr.cli import main
from asr.datasets import Utterance
from asr.errors import AsrError
from asr.text import normalize
from asr.training.config import load_recipe
from asr.training.corpus import Spoken, hold_out, read_sounds
from asr.training.curves import draw_curves, figures, losses
from asr.training.loop import Options
from asr.training.recall import RecallTask, Shown
from asr.training.recognizer import RecognizerRecipe
from asr.training.run import Trial, train_recipe

ROOT = Path(__file__).resolve().parent.parent
CLIPS = Path(__file__).parent / "data"
TINY = (
    "epochs=1 streaming_layers=1 streaming_width=16 second_layers=1 second_width=12 batch_seconds=20 warmup_steps=1 "
    "half_precision=false"
).split()
TEXTS = {
    row["audio"].removesuffix(".opus"): row["text"]
    for row in map(json.loads, (CLIPS / "clips.jsonl").read_text(encoding="utf-8").splitlines())
}
SHORT = ("prisoners", "monday", "wagon", "tennis")


def record(path: Path, clip: str, seconds: float | None = None, rate: int = 16000) -> None:
    """A clip, or its beginning, in the format that the name asks for."""
    samples = read_audio(CLIPS / f"{clip}.opus")
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = soxr.resample(samples[: None if seconds is None else round(seconds * 16000)], 16000, rate)
    soundfile.write(path, samples, rate)


def librispeech(data: Path, *speakers_of_parts: tuple[str, tuple[str, ...]]) -> None:
    for part, speakers in speakers_of_parts:
        for speaker in speakers:
            chapter = data / "LibriSpeech" / part / speaker / "77"
            lines = []
            for number, clip in enumerate(SHORT[:2]):
                key = f"{speaker}-77-{number:04d}"
                record(chapter / f"{key}.flac", clip)
                lines.append(f"{key} {TEXTS[clip].upper()}\n")
            (chapter / f"{speaker}-77.trans.txt").write_text("".join(lines))


def dictionary(data: Path, *more: str) -> None:
    """All words of the clips, and more, in CMUdict's form. How they sound is of no importance here."""
    words = sorted({word for text in TEXTS.values() for word in normalize(text).split()} | set(more))
    (data / "lists").mkdir()
    (data / "lists" / "cmudict.dict").write_text("".join(f"{word} AH0 T S\n" for word in words))


def yesno(data: Path) -> None:
    for number, clip in enumerate(SHORT):
        record(data / "waves_yesno" / f"0_1_0_0_1_0_1_{number % 2}{'_0' * (number // 2)}.wav", clip, rate=8000)


def speech_commands(data: Path) -> None:
    folder = data / "SpeechCommands" / "speech_commands_v0.02"
    nine = "down eight five go left one right up zero".split()
    for word in ("bed", *nine):
        for speaker, clip in zip("abcd", SHORT, strict=True):
            record(folder / word / f"{speaker}_nohash_0.wav", clip, 1.0)
    record(folder / "_background_noise_" / "running_tap.wav", "cabin", 3.0)
    (folder / "validation_list.txt").write_text("down/c_nohash_0.wav\nbed/c_nohash_0.wav\ngo/c_nohash_0.wav\n")
    (folder / "testing_list.txt").write_text("down/d_nohash_0.wav\nbed/d_nohash_0.wav\ngo/d_nohash_0.wav\n")
    dictionary(data, *nine)


def mini_librispeech(data: Path) -> None:
    recipe = load_recipe(ROOT / "recipes" / "mini_librispeech.py")
    assert isinstance(recipe, RecognizerRecipe)
    held_out = [speaker.removeprefix("libri-") for speaker in recipe.held_out]
    librispeech(data, ("train-clean-5", ("1088", *held_out)), ("dev-clean-2", ("1272",)))
    dictionary(data)


def librispeech_100h(data: Path) -> None:
    librispeech(
        data, *((part, (speaker,)) for part, speaker in LIBRISPEECH.items() if "0" not in part or "100" in part)
    )
    dictionary(data)


def librispeech_960h(data: Path) -> None:
    librispeech(data, *((part, (speaker,)) for part, speaker in LIBRISPEECH.items()))
    dictionary(data)


LIBRISPEECH = {
    "train-clean-100": "19", "train-clean-360": "14", "train-other-500": "20", "dev-clean": "1272",
    "dev-other": "116", "test-clean": "61", "test-other": "367",
}  # fmt: skip


def common_voice(data: Path) -> None:
    folder = data / "cv-corpus-21.0-2025-03-14" / "en"
    for split, clips in (("train", SHORT[:2]), ("dev", SHORT[2:]), ("test", SHORT[:1])):
        rows = ["client_id\tpath\tsentence\tup_votes\n"]
        for clip in clips:
            record(folder / "clips" / f"{split}_{clip}.mp3", clip, rate=32000)
            rows.append(f"{clip * 20}\t{split}_{clip}.mp3\t{TEXTS[clip]}\t2\n")
        (folder / f"{split}.tsv").write_text("".join(rows), encoding="utf-8")


def finetune(data: Path) -> None:
    for number in range(8):
        clip = SHORT[number % 4]
        for take in range(5):
            record(data / "mine" / f"{number}-{take}.wav", clip, 3.0)
            (data / "mine" / f"{number}-{take}.txt").write_text("we took our three")
    dictionary(data)


CORPORA: dict[str, Callable[[Path], None]] = {
    corpus.__name__: corpus
    for corpus in (
        yesno, speech_commands, mini_librispeech, librispeech_100h, librispeech_960h, common_voice, finetune,
    )
}  # fmt: skip


def commands(page: Path) -> Iterator[str]:
    """What a page tells the reader to type, lines that go on in the next joined."""
    text = re.search(r'"""(.*?)"""', page.read_text(encoding="utf-8"), re.DOTALL)
    assert text
    yield from re.findall(r"^    (\S.*)$", re.sub(r"\\\n\s*", "", text[1]), re.MULTILINE)


def run(line: str) -> str:
    """Runs a command of the documents here: the corpus is there already, and there is neither GPU nor time."""
    words = shlex.split(re.sub(r" --download| --archive \S+| --set device=\S+", "", line), comments=True)
    if words[0] == "torchrun":
        words = ["asr", "train", *words[words.index("asr.training") + 1 :]]
    if words[0] != "asr":
        subprocess.run(["bash", "-euc", line], check=True)
        return ""
    if words[1] == "train":
        words += [part for setting in TINY for part in ("--set", setting)]
    result = CliRunner().invoke(main, words[1:], catch_exceptions=False)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPORA)
def test_a_recipe_from_its_corpus_to_a_transcript(
    name: str, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    data = tmp_path / "data"
    CORPORA[name](data)
    said = ""
    for line in commands(tmp_path / "recipes" / f"{name}.py"):
        if "recipes/g2p.py" not in line:  # the dictionary knows every word
            told = run(line.replace("--from english-small", f"--from {tiny_model}"))
            said = told if "recipes/" in line else said
    folder = tmp_path / "runs" / load_recipe(ROOT / "recipes" / f"{name}.py").name
    assert "million parameters" in said and "an epoch takes about" in said
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["shape"]["second_layers"] == 1 and config["packages"]["torch"].startswith("2.")
    assert "no GPU" in config["hardware"] and str(os.cpu_count()) in config["hardware"]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")

    export, *evaluations = said.partition("what to do with it:\n")[2].splitlines()
    run(export)
    assert evaluations
    for evaluate in evaluations:
        assert "errors" in run(evaluate)
    run(f"asr transcribe {CLIPS / 'monday.opus'} --model {folder / 'model'}")


@pytest.mark.slow
def test_three_kinds_of_memory_listen_to_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    mini_librispeech(tmp_path / "data")
    said = [run(line) for line in commands(ROOT / "recipes" / "memory_speech.py") if "recipes/g2p.py" not in line]
    folder = tmp_path / "runs" / "memory-speech"
    sizes = []
    for cell in ("lstm", "rnn", "none"):
        settings = json.loads((folder / cell / "config.json").read_text())["settings"]
        sizes.append(settings["shape"]["streaming_width"])
        assert settings["shape"]["cell"] == cell and (folder / cell / "best.pt").exists()
        run(f"asr export {folder / cell / 'best.pt'} {folder / cell / 'model'}")
        run(f"asr transcribe {CLIPS / 'monday.opus'} --model {folder / cell / 'model'}")
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    assert (folder / "speech.png").read_bytes().startswith(b"\x89PNG") and str(folder.name) in said[-1]
    measured = json.loads((folder / "speech.json").read_text())
    assert list(measured) == ["lstm", "rnn", "none"] and "plain RNN" in said[-1]
    assert all(figures["second phones"] > 0 for figures in measured.values())


def test_every_page_is_a_recipe_and_in_the_table() -> None:
    table = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "recipes").glob("*.py")):
        assert load_recipe(page).name
        assert f"]({page.name})" in table, f"{page.name}: missing in recipes/README.md"


def test_a_forecast() -> None:
    trial = Trial(examples=8, loading=1.0, computing=2.0, memory=1.5)
    said = trial.forecast(batches=30, options=Options(epochs=4, prefetch=0))
    assert said == "largest batch: 8 examples, 3 s a step, 1.5 GB of memory; an epoch takes about 90 s, all of it 6 min"


def test_the_forecast_looks_at_the_longest_sequences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every batch has 64 sequences, of 1 to 10 steps in the first epoch and of 1 to 200 in the last."""
    tried: list[int] = []
    load = RecallTask.load

    def watched(task: RecallTask, items: Sequence[Shown], places: Sequence[int], epoch: int) -> object:
        tried.append(items[0].distance)
        return load(task, items, places, epoch)

    monkeypatch.setattr(RecallTask, "load", watched)
    page = tmp_path / "recipe.py"
    page.write_text("from asr.training.recall import RecallRecipe\nrecipe = RecallRecipe('recall')\n")
    train_recipe(page, tmp_path, tmp_path / "run", dry_run=True)
    assert min(tried) > 150
    assert re.search(r"largest batch: 64 examples, .* s a step, [\d.]+ GB of memory; an epoch", capsys.readouterr().err)


def test_a_device_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(AsrError, match="no GPU here that torch can use; leave out --set device=cuda"):
        train_recipe(ROOT / "recipes" / "yesno.py", tmp_path, overrides=["device=cuda"])
    with pytest.raises(AsrError, match="device=gpu: no such device"):
        train_recipe(ROOT / "recipes" / "yesno.py", tmp_path, overrides=["device=gpu"])


@pytest.mark.parametrize(
    "page, override, instead",
    [
        ("memory", "learning_rate=0.1", "learning_rates=(('lstm', 0.01), "),
        ("memory", "seed=4", "seeds=(1, 2, 3)"),
        ("memory", "cell=rnn", "learning_rates="),
        ("memory", "initialization=long", "initializations="),
        ("memory", "recall.name=other", "name=memory"),
        ("memory_speech", "learning_rate=0.1", "learning_rates="),
        ("memory_speech", "cell=rnn", "learning_rates="),
    ],
)
def test_what_a_comparison_compares_is_not_set_for_all_alike(page: str, override: str, instead: str) -> None:
    with pytest.raises(AsrError) as caught:
        load_recipe(ROOT / "recipes" / f"{page}.py", [override])
    advice = shlex.split(str(caught.value).partition("set them all: ")[2])
    assert advice[0] == "--set" and advice[1].startswith(instead)
    assert load_recipe(ROOT / "recipes" / f"{page}.py", [advice[1]]) == load_recipe(ROOT / "recipes" / f"{page}.py")


def test_commands_are_quoted() -> None:
    recipe = load_recipe(ROOT / "recipes" / "yesno.py")
    assert isinstance(recipe, RecognizerRecipe)
    export, evaluate = recipe.afterwards(Path("my data"), Path("run sp"))
    assert shlex.split(export) == ["asr", "export", "run sp/best.pt", "run sp/model"]
    assert shlex.split(evaluate)[2:] == ["my data/manifests/yesno_test.jsonl", "--model", "run sp/model"]


def test_what_cannot_be_held_out_or_heard(tmp_path: Path) -> None:
    spoken = [Spoken(Utterance(CLIPS / "monday.opus", "monday", 1.0, "ann"), "monday", 1.0)]
    assert hold_out(spoken, ["ann"]) == ([], spoken)
    with pytest.raises(AsrError, match="in no training manifest: bob"):
        hold_out(spoken, ["ann", "bob"])
    with pytest.raises(AsrError, match="holds no sounds"):
        read_sounds(tmp_path)
    record(tmp_path / "a" / "noise.wav", "monday", 0.5)
    assert [len(sound) for sound in read_sounds(tmp_path)] == [8000]
    (tmp_path / "SOURCES.tsv").write_text("file\tuse\na/noise.wav\ttest\n")
    assert [len(sound) for sound in read_sounds(tmp_path, use="test")] == [8000]
    with pytest.raises(AsrError, match="holds no sounds"):
        read_sounds(tmp_path)


def test_curves(tmp_path: Path) -> None:
    lines = [
        {
            "epoch": epoch, "step": 10 * epoch, "skipped": 0, "learning rate": 1e-3 / epoch,
            "loss first phones": 3 / epoch, "seconds": 1.0, "per second": 9.0, "waiting": 0.0, "memory": 1.0,
            "second phones": 50 / epoch, "second phones librispeech": 40 / epoch, "first phones": 60 / epoch,
        }
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    assert losses(lines) == ["loss first phones"]
    assert figures(lines) == ["second phones", "first phones"]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw_curves(log, tmp_path / "curves.png")
    first = (tmp_path / "curves.png").read_bytes()
    log.write_text(log.read_text() + json.dumps(lines[-1]) + "\n")  # an epoch that was written twice
    draw_curves(log, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes() == first
    draw_curves(log, tmp_path / "curves.svg")
    assert "<svg" in (tmp_path / "curves.svg").read_text()
