"""Common Voice (Ardila et al., 2020): sentences that volunteers read, in over a hundred languages, CC0.

Layout: `cv-corpus-<version>-<date>/<language>/`, with `clips/*.mp3` and a table for each official split: `train.tsv`,
`dev.tsv`, `test.tsv`. Archives of what is new in a version ("delta") have no splits; of them `validated.tsv` is taken.
Downloading needs an account at Mozilla Data Collective, so that the archive is fetched by hand.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, missing, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance
from asr.errors import AsrError

ARCHIVES: dict[str, Archive] = {}
PARTS = ()  # only the corpus itself tells its languages
_SPLITS = ("train", "dev", "test")
_SPEAKER_DIGITS = 16  # of the 128 in a client_id


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The clips below `root`, for each language as `<language>_train`, `_dev` and `_test`, or `_validated`.

    `parts` chooses languages (`de`) or splits of a language (`de_test`). Raises `AsrError` where one of them is there
    in two releases: a training clip of the one may be a test clip of the other.
    """
    folders = sorted(path.parent for path in root.glob("cv-corpus-*/*/clips"))
    if not folders:
        raise missing(root / "cv-corpus-*" / "<language>" / "clips", "common_voice", "--archive FILE")
    tables: dict[str, list[Path]] = {}
    for folder in folders:
        splits = [folder / f"{split}.tsv" for split in _SPLITS if (folder / f"{split}.tsv").is_file()]
        for table in splits or [folder / "validated.tsv"]:
            tables.setdefault(f"{folder.name}_{table.stem}", []).append(table)
    languages = [name.rpartition("_")[0] for name in tables]
    chosen = wanted(parts, [*tables, *languages])
    chosen_languages = {name.partition("_")[0] for name in chosen}
    _refuse_two_releases(folder for folder in folders if folder.name in chosen_languages)
    return {
        name: [utterance for table in files for utterance in _clips(table)]
        for name, files in tables.items()
        if name in chosen or name.rpartition("_")[0] in chosen
    }


def _refuse_two_releases(folders: Iterable[Path]) -> None:
    """What a delta adds is no release of its own."""
    releases: dict[str, Path] = {}
    for folder in folders:
        release = folder.parent
        if "-delta-" not in release.name and (other := releases.setdefault(folder.name, release)) != release:
            raise AsrError(
                f"{release.parent}: holds two releases of {folder.name}, {other.name} and {release.name}, and training "
                f"clips of the one can be test clips of the other; move one of them elsewhere"
            )


def _clips(table: Path) -> list[Utterance]:
    part = table.parent.parent.name.removeprefix("cv-corpus-")  # version and date
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as error:
        raise AsrError(f"{table}: cannot be read: {error.strerror}; extract the archive again") from None
    if rows and not {"client_id", "path", "sentence"} <= rows[0].keys():
        raise AsrError(f"{table}: has no columns client_id, path and sentence; is it a Common Voice table?")
    return [
        Utterance(
            table.parent / "clips" / (row["path"] if row["path"].endswith(".mp3") else row["path"] + ".mp3"),
            row["sentence"].strip(),
            UNMEASURED,
            f"cv-{row['client_id'][:_SPEAKER_DIGITS]}",
            "common_voice",
            part,
        )
        for row in rows
        if row["path"] and row["sentence"]
    ]
