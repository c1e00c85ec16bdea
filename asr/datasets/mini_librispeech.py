"""Mini LibriSpeech: 5 hours of LibriSpeech to train on and 2 to test on, for short experiments, CC BY 4.0.

The layout is LibriSpeech's, the official splits are its two parts.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import Parts, wanted
from asr.datasets.download import Archive
from asr.datasets.librispeech import find_parts

_URL = "https://www.openslr.org/resources/31"
ARCHIVES = {
    "train-clean-5": Archive(f"{_URL}/train-clean-5.tar.gz", "md5:5df7d4e78065366204ca6845bb08f490"),
    "dev-clean-2": Archive(f"{_URL}/dev-clean-2.tar.gz", "md5:6d7ab67ac6a1d2c993d050e16d61080d"),
}
PARTS = tuple(ARCHIVES)


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The utterances below `root`, by part."""
    return find_parts(root, wanted(parts, PARTS), "mini_librispeech", complete=bool(parts))
