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
from asr.sources import AUDIO_ENDINGS

ARCHIVES: dict[str, Archive] = {}
PARTS = ("all",)
_LOSSLESS = (".wav", ".flac")  # they count first, where one text has several recordings


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The recordings below `root` that have a text beside them."""
    wanted(parts, PARTS)
    utterances, problems = _find(root)
    if not utterances:
        nothing = f"{root}: holds no recording with its text beside it (x.wav and x.txt)"
        raise AsrError("; ".join([nothing, *problems]))
    return {"all": utterances}


def left_out(root: Path) -> list[str]:
    """A sentence for each reason why `find` leaves out recordings below `root`."""
    return _find(root)[1]


def _find(root: Path) -> tuple[list[Utterance], list[str]]:
    utterances: list[Utterance] = []
    textless, doubled, unreadable = [], [], []
    texts, sounds = _files(root)
    for stem, (audio, *others) in sounds.items():
        if stem not in texts:
            textless += [audio, *others]
            continue
        doubled += others
        folders = stem.relative_to(root).parts[:-1]
        try:
            text = read_text(texts[stem])
        except AsrError as error:
            unreadable.append(error)
            continue
        utterances.append(Utterance(audio, text, UNMEASURED, folders[0] if folders else None, root.name, "all"))
    problems = []
    if textless:
        problems.append(f"{len(textless):,} recordings without a .txt beside them, the first is {textless[0]}")
    if doubled:
        problems.append(f"{len(doubled):,} recordings beside another of the same name, the first is {doubled[0]}")
    if unreadable:
        problems.append(f"{len(unreadable):,} recordings whose text cannot be read, the first is {unreadable[0]}")
    return utterances, problems


def _files(root: Path) -> tuple[dict[Path, Path], dict[Path, list[Path]]]:
    """Texts and recordings by their paths without ending; endings may be in capitals."""
    texts: dict[Path, Path] = {}
    sounds: dict[Path, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        ending = path.suffix.lower()
        if ending == ".txt":
            texts.setdefault(path.with_suffix(""), path)
        elif ending in AUDIO_ENDINGS and path.is_file():
            sounds.setdefault(path.with_suffix(""), []).append(path)
    for found in sounds.values():
        found.sort(key=lambda path: path.suffix.lower() not in _LOSSLESS)
    return texts, sounds
