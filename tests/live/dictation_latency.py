"""How fast dictation answers, measured with the real stack.

    python tests/live/dictation_latency.py --rounds 20

Says sentences of tones to `asr dictate` in push-to-talk: from `begin` (microphone closed before) to the first sample
that is captured, and from `end` to the last typed character, as the dictation itself times them.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from live.room import WORDS, room_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--words", type=int, default=8, help="of a sentence")
    arguments = parser.parse_args()
    choose = random.Random(0)
    times: dict[str, list[float]] = {"begin": [], "end": []}
    with tempfile.TemporaryDirectory() as folder, room_in(Path(folder)) as room, room.dictation():
        for _ in range(arguments.rounds):
            times["begin"].append(float(str(room.command("begin")["milliseconds"])))
            room.say(
                " ".join(choose.choices([word for word in WORDS if word not in ("scratch", "that")], k=arguments.words))
            )
            times["end"].append(float(str(room.command("end")["milliseconds"])))
    for name, values in times.items():
        what = {"begin": "`begin` to first sample", "end": "`end` to last typed character"}[name]
        print(f"{what:32} p50 {np.percentile(values, 50):4.0f} ms  p95 {np.percentile(values, 95):4.0f} ms")


if __name__ == "__main__":
    main()
