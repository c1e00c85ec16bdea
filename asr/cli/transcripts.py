"""Where the transcripts of recordings go, and which of them are there already."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.errors import AsrError
from asr.sources import AUDIO_ENDINGS, RAW_ENDINGS

STDIN = Path("-")


@dataclass
class Work:
    """A recording, what is to be written of it, and how far it is."""

    path: Path
    name: str  # of the files that are written, without type
    targets: dict[str, Path] = field(default_factory=dict)  # by type
    seconds: float | None = None
    position: float = 0.0


def find_recordings(paths: Sequence[Path], problems: list[str], raw: bool = False) -> list[Path]:
    """The recordings that paths name, each once; folders are searched, hidden files aside. What is wrong goes to
    `problems`."""
    endings = RAW_ENDINGS if raw else AUDIO_ENDINGS
    found: dict[Path, Path] = {}  # by absolute path
    for path in paths:
        inside = [path]
        if path != STDIN and path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in endings
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
                and file.is_file()
            ]
            if not inside:
                problems.append(f"There is no recording in {path} (looked for {' '.join(sorted(endings))}).")
        for file in inside:
            found.setdefault(file if file == STDIN else file.absolute(), file)
    return list(found.values())


class Ledger:
    """What this program has written into a folder, and of which recordings: a file in it, a line for each.

    A recording is done if the same file (place, size, time of its last change) has been transcribed to its end with
    the same model and options, and its transcripts are still there. `request` stands for model and options.
    """

    file_name = ".asr-transcripts.jsonl"

    def __init__(self, folder: Path, request: str) -> None:
        self._folder, self._request = folder, request
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}  # of files without type, in lower case -> recording
        self._known: dict[str, str] = {}  # recording -> name of its files
        self._stamps: dict[str, str | None] = {}  # file -> what it was made of; None: not finished
        self._times: dict[str, int | None] = {}  # file -> when it was written; None: perhaps not at all
        try:
            lines = (folder / self.file_name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                entry = json.loads(line)
                name, recording, stamp, files = (entry[key] for key in ("name", "recording", "stamp", "files"))
                self._enter(str(name), str(recording), stamp, dict(files))
            except (ValueError, KeyError, TypeError):  # half a line, after a power failure
                continue

    def _enter(self, name: str, recording: str, stamp: str | None, files: Mapping[str, int | None]) -> None:
        self._names[name.lower()] = recording
        self._known[recording] = name
        self._stamps.update(dict.fromkeys(files, stamp))
        self._times.update(files)

    def prepare(self) -> None:
        """Makes the folder. Raises `AsrError` if nothing can be written there, before time is spent on recordings."""
        path = self._folder / self.file_name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
        except OSError as error:
            why = f"{self._folder} cannot be written to ({error.strerror})"
            raise AsrError(f"{why}: choose another folder with -o.") from error

    def name_of(self, path: Path) -> str | None:
        """The name under which the transcripts of a recording were written."""
        return None if path == STDIN else self._known.get(str(path.absolute()))

    def names(self) -> set[str]:
        """Names that belong to some recording, in lower case: file systems may not tell case apart."""
        return set(self._names)

    def missing(self, work: Work) -> dict[str, Path]:
        """Those of the targets that are not there yet, or were made of something else."""
        stamp = self._stamp(work.path)
        return {
            kind: target
            for kind, target in work.targets.items()
            if stamp is None or not target.exists() or self._stamps.get(target.name) != stamp
        }

    def foreign(self, work: Work) -> Path | None:
        """A file in the way that is somebody's own: not written here, or changed since."""
        for target in work.targets.values():
            if target.exists():
                time = self._times.get(target.name, -1)
                if time is not None and time != target.stat().st_mtime_ns:
                    return target
        return None

    def write(self, work: Work, texts: dict[str, str], whole: bool, write: Callable[[Path, str], None]) -> None:
        """Writes texts by type; the recording is done if they are of the `whole` of it. Raises `AsrError`."""
        stamp = self._stamp(work.path)
        self._add(work, None, dict.fromkeys(target.name for target in work.targets.values()))
        for kind, text in texts.items():
            write(work.targets[kind], text)
        times = {target.name: target.stat().st_mtime_ns for target in work.targets.values()}
        self._add(work, stamp if whole else None, times)

    def _add(self, work: Work, stamp: str | None, files: Mapping[str, int | None]) -> None:
        recording = str(work.path if work.path == STDIN else work.path.absolute())
        line = json.dumps({"name": work.name, "recording": recording, "stamp": stamp, "files": files})
        path = self._folder / self.file_name
        try:
            with self._lock, path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise AsrError(f"{path} cannot be written: {error.strerror}.") from error

    def _stamp(self, path: Path) -> str | None:
        """What a transcript is made of: a recording as it is now, the model and the options."""
        try:
            status = path.stat()
        except OSError:  # standard input, or not there
            return None
        return digest([str(path.absolute()), status.st_size, status.st_mtime_ns, self._request])


def digest(value: object) -> str:
    """A short fingerprint of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def plan(recordings: Sequence[Path], types: Iterable[str], output: Path | None, ledger: Ledger | None) -> list[Work]:
    """Where the text of each recording goes: `output`/stem.type.

    A recording keeps the name that the ledger has for it. Others of one stem keep their endings, then their folders,
    apart from each other and from what is there, and at last get numbers.
    """
    forms: list[Callable[[Path], str]] = [
        lambda path: path.name,
        lambda path: "-".join(path.parts[-2:]),
        lambda path: "-".join(path.absolute().parts[1:]),
    ]
    known = {path: name for path in recordings if ledger and (name := ledger.name_of(path))}
    taken = (ledger.names() if ledger else set()) | {name.lower() for name in known.values()}
    new = {path: "stdin" if path == STDIN else path.stem for path in recordings if path not in known}
    for form in forms:
        count = Counter(name.lower() for name in new.values())
        new |= {
            path: form(path)
            for path, name in new.items()
            if path != STDIN and (count[name.lower()] > 1 or name.lower() in taken)
        }
    work = []
    for path in recordings:
        name = known.get(path) or new[path]
        if path not in known:
            number, base = 1, name
            while name.lower() in taken:
                number += 1
                name = f"{base}-{number}"
            taken.add(name.lower())
        work.append(Work(path, name, {kind: output / f"{name}.{kind}" for kind in types} if output else {}))
    return work


def still_to_do(work: Sequence[Work], ledger: Ledger, problems: list[str]) -> list[Work]:
    """The work that has targets left, those that are missing; what cannot be written goes to `problems`."""
    todo = []
    for item in work:
        item.targets = ledger.missing(item)
        if target := ledger.foreign(item):
            what = f"{target} was not written by this program, or was changed since"
            problems.append(f"{what}: {item.path} was left out; move the file, or --force writes over it.")
        elif item.targets:
            todo.append(item)
    return todo
