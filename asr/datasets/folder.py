"""A plain folder of recordings, each with its text beside it: `x.wav` and `x.txt`, in any depth.

The first folder below the top names the speaker, where there is one. There is no split: everything is the part `all`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, read_text, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance
from asr.errors import AsrError

ARCHIVES: dict[str, Archive] = {}
_SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The recordings below `root` that have a text beside them."""
    wanted(parts, ("all",))
    utterances = []
    for text in sorted(root.rglob("*.txt")):
        audio = next((path for ending in _SOUNDS if (path := text.with_suffix(ending)).is_file()), None)
        if audio is not None:
            folders = text.relative_to(root).parts[:-1]
            speaker = folders[0] if folders else None
            utterances.append(Utterance(audio, read_text(text), UNMEASURED, speaker, root.name, "all"))
    if not utterances:
        raise AsrError(f"{root}: holds no recording with its text beside it (x.wav and x.txt)")
    return {"all": utterances}
