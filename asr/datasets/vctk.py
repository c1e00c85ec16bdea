"""VCTK 0.92 (Yamagishi, Veaux, MacDonald, 2019): 44 hours of 110 speakers of English, CC BY 4.0.

Layout: `wav48_silence_trimmed/p225/p225_001_mic1.flac` (48 kHz, two microphones) and `txt/p225/p225_001.txt`, below
`VCTK-Corpus-0.92`. The text of speaker p315 was lost, so that speaker is left out. The first microphone is taken: the
second has no recordings of p280. There is no official split: everything is the part `0.92`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, missing, read_text, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance

ARCHIVES = {
    "0.92": Archive(
        "https://datashare.is.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",
        "sha256:f96258be9fdc2cbff6559541aae7ea4f59df3fcaf5cf963aae5ca647357e359c",
        folder="VCTK-Corpus-0.92",
    )
}
PARTS = ("0.92",)


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The utterances below `root` that have both text and sound."""
    wanted(parts, PARTS)
    folder = root / "VCTK-Corpus-0.92"
    sounds = folder / "wav48_silence_trimmed"
    if not sounds.is_dir():
        raise missing(sounds, "vctk")
    utterances = []
    for text in sorted((folder / "txt").glob("*/*.txt")):
        audio = sounds / text.parent.name / f"{text.stem}_mic1.flac"
        if audio.is_file():
            speaker = f"vctk-{text.parent.name}"
            utterances.append(Utterance(audio, read_text(text), UNMEASURED, speaker, "vctk", "0.92"))
    return {"0.92": utterances}
