"""A corpus from its archives to manifests: download, unpack, find the utterances, measure them, write."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

from asr.datasets import CORPORA
from asr.datasets.corpus import Parts, measure, wanted
from asr.datasets.download import Archive, Patience, checksum, download
from asr.datasets.extract import extract
from asr.datasets.folder import left_out
from asr.datasets.manifest import Utterance, write_manifest
from asr.errors import AsrError

_BY_HAND = {
    "common_voice": "Common Voice needs an account: log in at https://datacollective.mozillafoundation.org, download "
    "the archive of your language, and pass it with --archive FILE",
    "folder": "a folder of your own recordings is not downloaded: put x.wav and x.txt below --root",
}


class Corpus(Protocol):
    """What a module of this package offers for its corpus."""

    ARCHIVES: Mapping[str, Archive]  # by part, or one for all parts; none where they are fetched by hand
    PARTS: Collection[str]  # what `find` gives; none where only the unpacked corpus tells

    def find(self, root: Path, parts: Collection[str] = ()) -> Parts:
        """The utterances of the unpacked corpus below `root`, their durations unmeasured."""


@dataclass
class Prepared:
    """The manifests that were written, and sentences about the recordings that could not be used."""

    manifests: dict[Path, list[Utterance]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


Progress = Callable[[str, int, int | None], None]  # what, done, in all


def corpus(name: str) -> Corpus:
    """The module of the corpus called `name`."""
    return cast(Corpus, importlib.import_module(f"asr.datasets.{wanted([name], CORPORA)[0]}"))


def prepare(
    name: str,
    root: Path,
    parts: Collection[str] = (),
    *,
    archives: Collection[Path] = (),
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write `root/manifests/<name>_<part>.jsonl` for the corpus below `root`, after unpacking `archives` there.

    Recordings that cannot be used are left out and named in the result. Raises `AsrError` where the corpus is not
    found, an archive is damaged, or a part is not known.
    """
    root = root.absolute()
    source = corpus(name)
    if source.PARTS:
        wanted(parts, source.PARTS)
    for file in archives:
        _unpack_given(source, file, root)
    prepared = Prepared(problems=left_out(root) if name == "folder" else [])
    for part, utterances in source.find(root, parts).items():
        measured, problems = measure(utterances, jobs, _about(progress, part))
        path = root / "manifests" / f"{name}_{part}.jsonl"
        write_manifest(path, measured)
        prepared.manifests[path] = measured
        prepared.problems += problems
    return prepared


def fetch(
    name: str,
    root: Path,
    parts: Collection[str] = (),
    *,
    mirror: str | None = None,
    patience: Patience = Patience(),  # noqa: B008 (immutable)
    progress: Progress | None = None,
) -> None:
    """Download the archives of `parts` (all, if empty) to `root/downloads` and unpack them below `root`.

    What is already unpacked is not fetched again, what was interrupted is continued. `mirror` is the address of a
    folder that holds files of the same names.
    """
    root = root.absolute()
    source = corpus(name)
    if not source.ARCHIVES:
        raise AsrError(_BY_HAND[name])
    by_part = len(source.ARCHIVES) > 1
    chosen = wanted(parts, source.ARCHIVES if by_part else source.PARTS)
    for key in chosen if by_part else source.ARCHIVES:
        archive = source.ARCHIVES[key]
        done = root / "downloads" / f"{archive.name}.unpacked"
        if done.exists():
            continue
        if mirror is not None:
            archive = replace(archive, url=f"{mirror.rstrip('/')}/{archive.name}")
        path = root / "downloads" / archive.name
        download(archive, path, progress=_about(progress, archive.name), patience=patience)
        extract(path, root / archive.folder)
        done.touch()


def _unpack_given(source: Corpus, file: Path, root: Path) -> None:
    """Unpack a file that the user brought: where its archive belongs, and with its checksum if it is a known one."""
    known = {archive.name: archive for archive in source.ARCHIVES.values()}
    archive = known.get(file.name)
    if archive is not None and archive.checksum is not None and file.is_file():
        found = checksum(file, archive.checksum)
        if found != archive.checksum:
            raise AsrError(f"{file}: is damaged: it has {found}, published is {archive.checksum}; download it again")
    folder = archive.folder if archive is not None else next((a.folder for a in known.values()), "")
    extract(file, root / folder)


def _about(progress: Progress | None, what: str) -> Callable[[int, int | None], None] | None:
    return None if progress is None else lambda done, total: progress(what, done, total)
