"""yesno (OpenSLR 1): 60 recordings of one man saying "yes" and "no" in Hebrew, eight words each.

Layout: `waves_yesno/0_0_1_1_0_0_1_0.wav`, 1 for yes and 0 for no. In the order of their names every second recording
is for testing, as in icefall (Kaldi's recipe takes the second half instead).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, missing, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance

_WORDS = {"0": "no", "1": "yes"}
ARCHIVES = {
    "all": Archive(
        "https://www.openslr.org/resources/1/waves_yesno.tar.gz",
        "sha256:c3f49e0cca421f96b75b41640749167b52118f232498667ca7a5f9416aef8e73",
    )
}
PARTS = ("train", "test")


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The recordings below `root` as `train` and `test`."""
    recordings = sorted(path for path in (root / "waves_yesno").glob("*.wav") if set(path.stem) <= set("01_"))
    if not recordings:
        raise missing(root / "waves_yesno", "yesno")
    found: Parts = {part: [] for part in wanted(parts, PARTS)}
    for index, audio in enumerate(recordings):
        part = "test" if index % 2 else "train"
        if part in found:
            text = " ".join(_WORDS[digit] for digit in audio.stem.split("_"))
            found[part].append(Utterance(audio, text, UNMEASURED, "yesno", "yesno", part))
    return found
