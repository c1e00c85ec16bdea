"""LJSpeech 1.1 (Ito and Johnson, 2017): 24 hours of one woman reading English non-fiction, public domain.

Layout: `LJSpeech-1.1/metadata.csv`, a line `name|text|text with numbers written out`, and `LJSpeech-1.1/wavs/`.
There is no official split: everything is the part `1.1`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, lines, missing, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance
from asr.errors import AsrError

ARCHIVES = {
    "1.1": Archive(
        "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
        "sha256:be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
    )
}
PARTS = ("1.1",)


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The utterances below `root`."""
    wanted(parts, PARTS)
    folder = root / "LJSpeech-1.1"
    if not (folder / "metadata.csv").is_file():
        raise missing(folder / "metadata.csv", "ljspeech")
    utterances = []
    for line in lines(folder / "metadata.csv"):
        name, *texts = line.split("|")
        if not texts:
            raise AsrError(f"{folder / 'metadata.csv'}: {line!r} is not name|text|text; download the corpus again")
        text = texts[-1] or texts[0]
        utterances.append(Utterance(folder / "wavs" / f"{name}.wav", text, UNMEASURED, "lj", "ljspeech", "1.1"))
    return {"1.1": utterances}
