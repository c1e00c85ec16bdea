"""Speech Commands 0.02 (Warden, 2018): 105,829 clips of a second, 35 English words, CC BY 4.0.

Layout: `<word>/<speaker>_nohash_<take>.wav` below `SpeechCommands/speech_commands_v0.02`; `validation_list.txt` and
`testing_list.txt` name the official splits, the rest is for training. `_background_noise_` is no speech.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, lines, missing, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance

_FOLDER = "SpeechCommands/speech_commands_v0.02"
_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
ARCHIVES = {
    "0.02": Archive(
        "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        folder=_FOLDER,
    )
}
PARTS = ("train", "valid", "test")


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The clips below `root` as `train`, `valid` and `test`."""
    folder = root / _FOLDER
    part_of: dict[str, str] = {}
    for part, name in _LISTS.items():
        if not (folder / name).is_file():
            raise missing(folder / name, "speech_commands")
        part_of.update((line.strip(), part) for line in lines(folder / name))
    found: Parts = {part: [] for part in wanted(parts, PARTS)}
    for audio in sorted(folder.glob("[!_]*/*.wav")):
        word = audio.parent.name
        part = part_of.get(f"{word}/{audio.name}", "train")
        if part in found:
            speaker = f"sc-{audio.stem.partition('_nohash_')[0]}"
            found[part].append(Utterance(audio, word, UNMEASURED, speaker, "speech_commands", part))
    return found
