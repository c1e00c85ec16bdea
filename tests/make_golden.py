"""Writes tests/data/golden.json anew: what the shipped model makes of the clips. Run after each new model."""

from __future__ import annotations

import json
from pathlib import Path

from asr.audio import read_audio
from asr.recognizer import Recognizer

DATA = Path(__file__).parent / "data"
FRAMES = 40  # of which the best log-prob is kept


def main() -> None:
    recognizer = Recognizer()
    network = recognizer.network
    clips = {}
    for line in (DATA / "clips.jsonl").read_text(encoding="utf-8").splitlines():
        name = json.loads(line)["audio"]
        samples = read_audio(DATA / name)
        reading = network.first(samples[: FRAMES * network.frame_samples], network.initial_state())
        first = {head: reading.log_probs[head].max(axis=1).round(4).tolist() for head in network.heads}
        clips[name] = {"text": recognizer.transcribe(samples, rate=16000).text, "first": first}
    golden = {"model": recognizer.model, "fingerprint": network.fingerprint, "clips": clips}
    (DATA / "golden.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
