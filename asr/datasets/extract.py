"""Archives unpacked: tar (any compression Python knows) and zip, nothing outside the folder they are unpacked into."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from asr.errors import AsrError

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)


def extract(archive: Path, folder: Path) -> None:
    """Unpack `archive` into `folder`. Files that are there already are written again.

    Raises `AsrError` for an archive that is damaged or no archive, and for one that would write outside `folder`,
    link outside it or make a device: such a one is not trusted with anything that follows.
    """
    if not archive.is_file():
        raise AsrError(f"{archive}: there is no such file")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if tarfile.is_tarfile(archive):  # first: a tar may end with a zip, which looks like one then
            _extract_tar(archive, folder)
        elif zipfile.is_zipfile(archive):
            _extract_zip(archive, folder)
        else:
            raise AsrError(f"{archive}: neither a tar nor a zip archive, or damaged; download it again")
    except tarfile.FilterError as error:
        raise AsrError(f"{archive}: {error}; an archive that writes outside its folder is not unpacked") from None
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise AsrError(f"{error.filename}: cannot be written: {error.strerror}") from None
        raise AsrError(f"{archive}: damaged ({error or 'it ends early'}); delete it and download it again") from None


def _extract_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith("/"):  # the filter would quietly make it relative
                raise tarfile.AbsolutePathError(member)
            tar.extract(member, folder, filter="data")
        # tarfile takes a broken header for the end, and a compressed file's own checksum is at its very end
        while rest := tar.fileobj.read(1 << 20) if tar.fileobj else b"":
            if any(rest):
                raise tarfile.ReadError("unreadable in the middle")


def _extract_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        for member in members:
            name = member.filename.replace("\\", "/")
            path = PurePosixPath(name)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if path.is_absolute() or ".." in path.parts or (path.parts[:1] and path.parts[0].endswith(":")):
                raise AsrError(f"{archive}: it holds {member.filename!r}, outside its folder; it is not unpacked")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise AsrError(f"{archive}: it holds {member.filename!r}, a link or a device; it is not unpacked")
        size, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
        if size > free:
            raise AsrError(f"{folder}: unpacked it has {size:,} bytes and {free:,} are free; choose another --root")
        file.extractall(folder)
