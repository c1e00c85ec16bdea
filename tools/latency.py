"""How late words appear when they are spoken into a microphone.

    python tools/latency.py data/manifests/valid.jsonl --number 30      # a sample of a manifest
    python tools/latency.py talk.flac other.wav --endpoint fast         # recordings, with their .txt where there is one

Every recording is played in real time through a virtual microphone (PulseAudio's null sink, PortAudio's `pulse`
device), so N minutes of speech take N minutes and two seconds for each recording.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from asr.audio import read_audio
from asr.datasets.manifest import read_manifest
from asr.errors import AsrError
from asr.evaluate.scores import score_words
from asr.latency import RATE, LatencyOptions, measure
from asr.portaudio import quiet_native_errors
from asr.recognizer import Recognizer
from asr.text import normalize


def recordings_of(paths: list[Path], number: int | None, seed: int) -> list[tuple[Path, str | None]]:
    """Recordings with their texts: those of manifests, and files with a .txt beside them."""
    found: list[tuple[Path, str | None]] = []
    for path in paths:
        if path.suffix == ".jsonl":
            found += [(utterance.audio, utterance.text) for utterance in read_manifest(path)]
        else:
            text = path.with_suffix(".txt")
            found.append((path, text.read_text(encoding="utf-8") if text.exists() else None))
    return random.Random(seed).sample(found, min(number, len(found))) if number else found


def accuracy(recognizer: Recognizer, recordings: list[tuple[Path, str | None]], heard: list[str], endpoint: str) -> str:
    """Word errors of what was heard, and of the same recordings as one file (with the pauses) by `asr transcribe`."""
    pause = np.zeros(round(LatencyOptions().pause_seconds * RATE), np.float32)
    joined = np.concatenate([part for path, _ in recordings for part in (read_audio(path, RATE), pause)])
    words = [word.text for word in recognizer.transcribe(joined, rate=RATE, endpoint=endpoint).words]
    if any(text is None for _, text in recordings):
        score = score_words(" ".join(words), " ".join(heard))
        return f"words that differ from the file's    {score.rate:6.1%} of {score.length}"
    said = " ".join(normalize(text or "") for _, text in recordings)
    live, file = score_words(said, " ".join(heard)), score_words(said, " ".join(words))
    return f"word errors, live and from a file  {live.rate:6.1%} {file.rate:6.1%} of {live.length}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="recordings or manifests (.jsonl)")
    parser.add_argument("--number", type=int, help="a random sample of so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model")
    parser.add_argument("--endpoint", default="normal")
    parser.add_argument("--step", type=float, default=0.08, help="seconds")
    parser.add_argument("--no-second-reading", action="store_true", help="the first reading decides")
    parser.add_argument("--json", type=Path, help="keep every single value here")
    arguments = parser.parse_args()
    recordings = recordings_of(arguments.paths, arguments.number, arguments.seed)
    recognizer = Recognizer(arguments.model)
    options = LatencyOptions(arguments.step, not arguments.no_second_reading)
    with quiet_native_errors():
        latency = measure(recognizer, recordings, arguments.endpoint, options)
    print(
        f"{recognizer.model}, {len(recordings)} recordings, endpoint {arguments.endpoint}, step {arguments.step} s, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(latency.report())
    print(accuracy(recognizer, recordings, latency.texts, arguments.endpoint))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(latency)), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except AsrError as error:
        sys.exit(f"Error: {error}")
