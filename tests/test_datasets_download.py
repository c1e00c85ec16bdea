"""Downloads against a real server that breaks off, forgets ranges and serves damaged files; hostile archives."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.datasets.download import Archive, Patience, download
from asr.datasets.extract import extract
from asr.errors import AsrError
from tests.web import Site, serve

CONTENT = bytes(range(256)) * 400
FAST = Patience(attempts=3, wait_seconds=0.0, timeout_seconds=5.0, block_bytes=4096)


def archive(site: Site, content: bytes | None = CONTENT) -> Archive:
    return Archive(f"{site.address}/a.tar", content and f"sha256:{hashlib.sha256(content).hexdigest()}")


def test_whole(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serve({"/a.tar": CONTENT}) as site:
        path = download(archive(site), tmp_path / "new/a.tar", progress=lambda *at: seen.append(at), patience=FAST)
        assert path.read_bytes() == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        download(archive(site), path, patience=FAST)  # already there: not asked for again
        assert site.requests == [""]
    assert [p.name for p in path.parent.iterdir()] == ["a.tar"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(break_after=st.integers(0, len(CONTENT) - 1), breaks=st.integers(1, 4), known=st.booleans())
def test_broken_connections_are_taken_up_where_they_broke(
    tmp_path_factory: pytest.TempPathFactory, break_after: int, breaks: int, known: bool
) -> None:
    path = tmp_path_factory.mktemp("d") / "a.tar"
    with serve({"/a.tar": CONTENT}) as site:
        site.break_after, site.breaks = break_after, breaks if break_after else min(breaks, 2)
        download(archive(site, CONTENT if known else None), path, patience=FAST)
        assert path.read_bytes() == CONTENT
        if break_after:
            assert site.requests[1] == f"bytes={break_after}-"


def test_a_later_run_goes_on_with_the_part(tmp_path: Path) -> None:
    with serve({"/a.tar": CONTENT}) as site:
        site.break_after, site.breaks = 1000, 1

        def then_refuse(done: int, total: int | None) -> None:
            site.answers = [503]

        with pytest.raises(AsrError, match=r"1,000 bytes are kept, run it again"):
            download(archive(site), tmp_path / "a.tar", progress=then_refuse, patience=Patience(attempts=1))
        assert (tmp_path / "a.tar.part").stat().st_size == 1000
        assert not (tmp_path / "a.tar").exists()
        site.requests.clear()
        download(archive(site), tmp_path / "a.tar", patience=FAST)
        assert site.requests == ["bytes=1000-"]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(tmp_path: Path) -> None:
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:500])
    with serve({"/a.tar": CONTENT}) as site:
        site.ranges = False
        download(archive(site), tmp_path / "a.tar", patience=FAST)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more", b"another version" * 100])
def test_a_part_that_is_whole_too_long_or_of_another_version(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "a.tar.part").write_bytes(left)
    with serve({"/a.tar": CONTENT}) as site:
        download(archive(site), tmp_path / "a.tar", patience=FAST)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_damaged_file_is_refused_and_not_kept(tmp_path: Path) -> None:
    with serve({"/a.tar": CONTENT[:-1] + b"?"}) as site:
        for left in (None, CONTENT[:10]):
            if left is not None:
                (tmp_path / "a.tar.part").write_bytes(left)
            with pytest.raises(AsrError, match="does not have the published checksum sha256:"):
                download(archive(site), tmp_path / "a.tar", patience=FAST)
            assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_on_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"damaged")
    with serve({}) as site, pytest.raises(AsrError, match=r"a\.tar: .*delete it"):
        download(archive(site), tmp_path / "a.tar", patience=FAST)


def test_servers_that_refuse(tmp_path: Path) -> None:
    with serve({"/a.tar": CONTENT}) as site:
        site.answers = [503, 429]
        download(archive(site), tmp_path / "a.tar", patience=FAST)  # passing troubles
        with pytest.raises(AsrError, match="404"):
            download(Archive(f"{site.address}/b.tar", None), tmp_path / "b.tar", patience=FAST)
        site.answers = [503] * 3
        with pytest.raises(AsrError, match="503"):
            download(archive(site), tmp_path / "c.tar", patience=FAST)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/a.tar"
        with pytest.raises(AsrError, match=r"refused \(3 attempts\)"):
            download(Archive(address, None), tmp_path / "d.tar", patience=FAST)


def tar(*members: tarfile.TarInfo, mode: str = "w:gz", content: bytes = b"x" * 1000) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:  # type: ignore[call-overload]
        for member in members:
            member.size = len(content) if member.isreg() else 0
            file.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return buffer.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path: Path, mode: str) -> None:
    file = write(tmp_path / "a", tar(info("C/x/a.wav"), info("C/b.txt"), mode=mode))
    for _ in range(2):  # again over what is there
        extract(file, tmp_path / "out")
    assert (tmp_path / "out/C/x/a.wav").read_bytes() == b"x" * 1000


@pytest.mark.parametrize(
    "member",
    [
        info("../escaped"),
        info("C/../../escaped"),
        info("/tmp/escaped"),
        info("C/link", tarfile.SYMTYPE, "../../outside"),
        info("C/link", tarfile.SYMTYPE, "/etc"),
        info("C/link", tarfile.LNKTYPE, "../../outside"),
        info("C/pipe", tarfile.FIFOTYPE),
        info("C/device", tarfile.CHRTYPE),
    ],
    ids=lambda member: f"{member.name} {member.linkname}",
)
def test_tar_that_would_escape(tmp_path: Path, member: tarfile.TarInfo) -> None:
    (tmp_path / "outside").write_text("untouched")
    file = write(tmp_path / "a.tar.gz", tar(member, info("C/later")))
    with pytest.raises(AsrError, match=r"a\.tar\.gz: .*not unpacked"):
        extract(file, tmp_path / "deep/out")
    assert not (tmp_path / "deep/out/C/later").exists()
    assert sorted(p.name for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "deep/out")) == [
        "a.tar.gz", "deep", "outside",
    ]  # fmt: skip


def test_tar_that_writes_through_its_own_link(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tar", tar(info("C", tarfile.SYMTYPE, "."), info("C/../../escaped"), mode="w"))
    with pytest.raises(AsrError, match="not unpacked"):
        extract(file, tmp_path / "deep/out")
    assert not list(tmp_path.rglob("escaped"))


def make_zip(*names: str, mode: int = 0o100644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            file.writestr(member, b"y" * 1000)
    return buffer.getvalue()


def test_zip(tmp_path: Path) -> None:
    extract(write(tmp_path / "a.zip", make_zip("C/a.wav", "b.txt")), tmp_path / "out")
    assert (tmp_path / "out/C/a.wav").read_bytes() == b"y" * 1000


def test_tar_that_ends_with_a_zip(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tar", tar(info("last.zip"), mode="w", content=make_zip("inner")))
    extract(file, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["last.zip"]


@pytest.mark.parametrize("name", ["../escaped", "C/../../escaped", "/tmp/escaped", "..\\escaped", "C:/escaped"])
def test_zip_that_would_escape(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "a.zip", make_zip("C/fine", name))
    with pytest.raises(AsrError, match=r"a\.zip: .*not unpacked"):
        extract(file, tmp_path / "out")
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))


def test_zip_with_a_link(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="a link or a device"):
        extract(write(tmp_path / "a.zip", make_zip("link", mode=0o120777)), tmp_path / "out")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_tar(tmp_path: Path, mode: str, damage: str) -> None:
    noise = hashlib.shake_128(b"noise").digest(20_000)  # does not compress: the flip hits content
    content = tar(info("a.wav"), info("b.wav"), mode=mode, content=noise)
    middle = len(content) // 2
    broken = (
        content[:middle] if damage == "cut" else content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    )
    with pytest.raises(AsrError, match=r"a\.tar: .*download it again"):
        extract(write(tmp_path / "a.tar", broken), tmp_path / "out")


def test_damaged_zip_and_no_archive(tmp_path: Path) -> None:
    content = make_zip("a.wav")
    broken = content[:40] + bytes([content[40] ^ 255]) + content[41:]
    for name, bad in (("a.zip", broken), ("cut.zip", content[:60]), ("page.zip", b"<html>log in</html>")):
        with pytest.raises(AsrError, match=f"{name}: .*download it again"):
            extract(write(tmp_path / name, bad), tmp_path / "out")
    with pytest.raises(AsrError, match="no such file"):
        extract(tmp_path / "none.zip", tmp_path / "out")


def test_tar_with_a_broken_header_in_the_middle(tmp_path: Path) -> None:
    content = bytearray(tar(info("a.wav"), info("b.wav"), mode="w"))
    content[512 + 1024 : 512 + 1024 + 100] = b"\xff" * 100  # the second header
    with pytest.raises(AsrError, match="damaged"):
        extract(write(tmp_path / "a.tar", bytes(content)), tmp_path / "out")
