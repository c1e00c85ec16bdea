"""Kaldi data directories (Povey et al., 2011): `wav.scp`, `text`, `utt2spk`, `spk2utt`, and `segments` if need be."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from asr.datasets.clips import Span, cut
from asr.datasets.corpus import UNMEASURED, keyed_lines, measure
from asr.datasets.manifest import Utterance
from asr.errors import AsrError, AudioError

_KALDI_READS = (".wav",)


def read_kaldi(folder: Path, clips: Path | None = None, jobs: int = 2) -> list[Utterance]:
    """The utterances of a Kaldi data directory that have text, in the order of `text`.

    Those that `segments` cuts out of longer recordings are written to `clips`. Commands in `wav.scp` are never run:
    `flac -c -d -s FILE |`, `cat FILE |` and the ffmpeg command of `write_kaldi` are understood, others raise
    `AsrError`. Relative paths start, as for Kaldi, at the current folder, or else at the data directory or the one
    above it.
    """
    if not (folder / "wav.scp").is_file():
        raise AsrError(f"{folder}: holds no wav.scp; is it a Kaldi data directory?")
    recordings = {key: _audio(value, folder) for key, value in keyed_lines(folder / "wav.scp")}
    texts = dict(keyed_lines(folder / "text"))
    speakers = dict(keyed_lines(folder / "utt2spk")) if (folder / "utt2spk").is_file() else {}

    def utterance(key: str, recording: str) -> Utterance:
        if recording not in recordings:
            raise AsrError(f"{folder}: {key} has no recording {recording} in wav.scp; run Kaldi's fix_data_dir.sh")
        name = folder.absolute().name
        return Utterance(recordings[recording], texts[key], UNMEASURED, speakers.get(key), name, name, {"id": key})

    if (folder / "segments").is_file():
        spans = []
        for key, value in keyed_lines(folder / "segments"):
            if key in texts:
                try:
                    recording, start, end = value.split()
                    times = float(start), float(end)
                except ValueError:
                    raise AsrError(
                        f"{folder / 'segments'}: {value!r} is not recording, start, end; correct it"
                    ) from None
                spans.append(Span(utterance(key, recording), key, times[0], times[1] if times[1] >= 0 else None))
        return cut(spans, clips)
    measured, problems = measure([utterance(key, key) for key in texts], jobs)
    if problems:
        raise AudioError(problems[0])
    return measured


def write_kaldi(folder: Path, utterances: Iterable[Utterance]) -> None:
    """Write a Kaldi data directory: sorted as Kaldi wants it, every utterance's name beginning with its speaker.

    Kaldi reads WAV itself; for other sound `wav.scp` holds an ffmpeg command that decodes it to 16 kHz mono.
    """
    named: dict[str, Utterance] = {}
    speakers: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        given = str(utterance.extra.get("id", utterance.audio.stem))
        speaker = "_".join((utterance.speaker or given).split())
        stem = "_".join(given.split())
        name = stem if stem.startswith(speaker) else f"{speaker}-{stem}"
        number = 1
        while name in named:
            number += 1
            name = f"{stem if stem.startswith(speaker) else f'{speaker}-{stem}'}-{number}"
        named[name] = replace(utterance, speaker=speaker)
        speakers[speaker].append(name)
    order = sorted(named, key=str.encode)
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "wav.scp": [f"{name} {_command(named[name].audio)}" for name in order],
        "text": [f"{name} {' '.join(named[name].text.split())}" for name in order],
        "utt2spk": [f"{name} {named[name].speaker}" for name in order],
        "utt2dur": [f"{name} {named[name].duration:.4f}" for name in order],
        "spk2utt": [
            f"{speaker} {' '.join(sorted(speakers[speaker], key=str.encode))}"
            for speaker in sorted(speakers, key=str.encode)
        ],
    }
    for table, rows in tables.items():
        (folder / table).write_text("".join(row + "\n" for row in rows), encoding="utf-8")


def _audio(value: str, folder: Path) -> Path:
    path = _decoded(value) if value.endswith("|") else value
    if path is None:
        raise AsrError(
            f"{folder / 'wav.scp'}: {value!r} is a command, and commands of others are not run; "
            f"write WAV files first (Kaldi: wav-copy)"
        )
    candidates = [Path(path), folder / path, folder.parent / path]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[1]).absolute()


def _decoded(command: str) -> str | None:
    """The file that a command decodes; None for a command that does, or might do, anything else."""
    try:
        words = shlex.split(command[:-1])
    except ValueError:  # a quotation without end
        return None
    if len(words) > 4 and command == _command(Path(words[4])):
        return words[4]
    files = [word for word in words[1:] if not word.startswith("-")]
    simple = words and Path(words[0]).name in ("flac", "cat") and len(files) == 1 and "|" not in command[:-1]
    return files[0] if simple else None


def _command(audio: Path) -> str:
    if audio.suffix.lower() in _KALDI_READS:
        return str(audio)
    return f"ffmpeg -v error -i {shlex.quote(str(audio))} -ac 1 -ar 16000 -f wav - |"
