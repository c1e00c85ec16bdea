"""speechocean762 (Zhang et al., 2021, OpenSLR 101): 5,000 English sentences of 250 Mandarin speakers, half children.

Layout: `speechocean762/{train,test}/` are Kaldi data directories (`wav.scp`, `text`, `utt2spk`) whose sound lies in
`speechocean762/WAVE/`. They are the official splits; no speaker is in both. OpenSLR publishes no checksum.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, keyed_lines, missing, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance

ARCHIVES = {"all": Archive("https://www.openslr.org/resources/101/speechocean762.tar.gz", None)}
PARTS = ("train", "test")


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The utterances below `root` as `train` and `test`."""
    folder = root / "speechocean762"
    found: Parts = {}
    for part in wanted(parts, PARTS):
        if not (folder / part / "wav.scp").is_file():
            raise missing(folder / part / "wav.scp", "speechocean762")
        texts = dict(keyed_lines(folder / part / "text"))
        speakers = dict(keyed_lines(folder / part / "utt2spk"))
        found[part] = [
            Utterance(folder / path, texts[key], UNMEASURED, f"so-{speakers[key]}", "speechocean762", part)
            for key, path in keyed_lines(folder / part / "wav.scp")
            if key in texts and key in speakers
        ]
    return found
