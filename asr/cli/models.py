"""`asr models`: the models that are here, whether they are whole, and what they are."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import click

from asr.errors import AsrError, ModelError
from asr.network import read_config
from asr.recognizer import SHIPPED_MODELS, Recognizer, find_model


@click.group()
def models() -> None:
    """The models that are shipped, and model directories."""


@models.command(name="list")
def list_models() -> None:
    """The models that are shipped with this program: name, version, size, place."""
    directories = sorted(path for path in SHIPPED_MODELS.glob("*") if path.is_dir())
    if not directories:
        click.echo(
            f"No model is shipped in {SHIPPED_MODELS}: export one (asr export) and name it with --model.", err=True
        )
    for directory in directories:
        try:
            version = read_config(directory)["version"]
        except ModelError as error:
            click.echo(f"{directory.name}  damaged: {error}")
            continue
        click.echo(f"{directory.name}  {version}  {_megabytes(_size(directory))}  {directory}")


@models.command()
@click.argument("model", required=False)
def info(model: str | None) -> None:
    """What a model is: MODEL is a directory or a shipped name."""
    directory = find_model(model)
    config = read_config(directory)
    heads = ", ".join(f"{head} ({len(tokens)} tokens)" for head, tokens in config["heads"].items())
    frame = config["frame_samples"] / config["sample_rate"]
    rows = {
        "name": f"{config['name']} {config['version']}",
        "place": directory,
        "size": _megabytes(_size(directory)),
        "heads": heads,
        "sound": f"{config['sample_rate']} Hz, frames of {1000 * frame:g} ms, "
        f"look-ahead {1000 * frame * config['look_ahead_frames']:g} ms",
        "fingerprint": config["fingerprint"],
    }
    for key in ("decoding", "calibration", "training"):
        rows |= {f"{key}, {name}": value for name, value in config.get(key, {}).items() if not isinstance(value, dict)}
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name:{width}}  {value}")
    for licence in config.get("licences", []):
        click.echo(
            f"{'licence':{width}}  {licence if isinstance(licence, str) else ', '.join(map(str, licence.values()))}"
        )
    if (directory / "card.md").is_file():
        click.echo(f"{'card':{width}}  {directory / 'card.md'}")


@models.command()
@click.argument("model", required=False)
def verify(model: str | None) -> None:
    """Check the checksums of a model's files, load it, and transcribe its self-test clip."""
    directory = find_model(model)
    problems = _checksums(directory)
    try:
        problems += _selftest(directory)
    except AsrError as error:
        problems.append(str(error))
    if problems:
        for problem in problems:
            click.echo(f"Error: {problem}", err=True)
        click.echo(f"Error: {directory} is damaged: install it or export the model again.", err=True)
        sys.exit(1)
    click.echo(f"{directory} is whole.")


def _checksums(directory: Path) -> list[str]:
    sums = directory / "SHA256SUMS"
    if not sums.is_file():
        return [f"{sums} is missing: there is nothing to check the files against."]
    problems = []
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        expected, _, name = line.partition(" ")
        path = directory / name.lstrip(" *")
        if not path.is_file():
            problems.append(f"{path} is missing.")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            problems.append(f"{path} is not the file that was published.")
    return problems


def _selftest(directory: Path) -> list[str]:
    recognizer = Recognizer(directory)
    clip, text = directory / "selftest.flac", directory / "selftest.txt"
    if not clip.is_file() or not text.is_file():
        return []
    expected, found = text.read_text(encoding="utf-8").split(), recognizer.transcribe(clip).text.split()
    return [] if found == expected else [f"{clip} is read as {' '.join(found)!r}, not as {' '.join(expected)!r}."]


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
