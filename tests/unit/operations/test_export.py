from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from holdfast.errors import DamagedRepository, PathNotFound, UsageError
from holdfast.model.content import ContentBuilder
from holdfast.model.node import NodeType
from holdfast.operations.export import ExportOptions, export
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import directory_node, file_node, link_node, node, save_layout

ZIP = ExportOptions(archive="zip")


class Pipe:
    """A stream that can only be written, one byte after another."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def flush(self) -> None:
        pass


def sparse(blobs: MemoryBlobs) -> tuple[bytes, BlobId]:
    builder = ContentBuilder(blobs)
    builder.add_blob(blobs.add(b"begin"), 5)
    builder.add_zeros(3 << 20)
    builder.add_blob(blobs.add(b"end"), 3)
    size, content = builder.finish()
    entry = node(b"sparse", NodeType.FILE, content, size)
    tree = save_layout(blobs, {b"sparse": entry})
    return b"begin" + bytes(3 << 20) + b"end", tree


def every_kind(blobs: MemoryBlobs) -> BlobId:
    linked = file_node(blobs, b"hard1", b"linked")._replace(filesystem=0, inode=7)
    return save_layout(
        blobs,
        {
            b"d": {
                b"file": file_node(blobs, b"file", b"content")._replace(
                    mode=0o4755, xattrs=((b"user.a=b%", b"\xff\0\n"),)
                ),
                b"deep": {b"\xff\xfe": b"odd name"},
                b"hard1": linked,
                b"hard2": linked._replace(name=b"hard2"),
                b"sym": link_node(b"sym", b"../\xfftarget"),
                b"fifo": node(b"fifo", NodeType.FIFO, None),
                b"null": node(b"null", NodeType.CHARACTER_DEVICE, os.makedev(1, 3)),
                b"disk": node(b"disk", NodeType.BLOCK_DEVICE, os.makedev(8, 1)),
                b"huge": node(b"huge", NodeType.BLOCK_DEVICE, (1 << 64) - 1),
                b"sock": node(b"sock", NodeType.SOCKET, None),
                b"old": file_node(blobs, b"old", b"1")._replace(mtime=-1_500_000_000),
                b"far": file_node(blobs, b"far", b"1")._replace(mtime=1 << 80, uid=(1 << 32) - 1),
                b"n" * 255: b"",
            },
            b"other": b"not wanted",
        },
    )


def test_a_file_as_it_is() -> None:
    blobs = MemoryBlobs()
    whole, tree = sparse(blobs)
    out = Pipe()
    result = export(tree, b"/sparse", blobs, cast("BinaryIO", out))
    assert out.data == whole
    assert (result.files, result.bytes, result.skipped) == (1, len(whole), [])


def test_what_can_not_be_exported() -> None:
    blobs = MemoryBlobs()
    tree = every_kind(blobs)
    with pytest.raises(PathNotFound):
        export(tree, b"/x", blobs, io.BytesIO())
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        export(tree, b"/d/fifo", blobs, io.BytesIO())


def tar_of(blobs: MemoryBlobs, tree: BlobId, path: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    out = Pipe()
    result = export(tree, path, blobs, cast("BinaryIO", out))
    return bytes(out.data), result.skipped


def test_a_directory_as_tar() -> None:
    blobs = MemoryBlobs()
    data, skipped = tar_of(blobs, every_kind(blobs), b"/d")
    assert [path for path, _ in skipped] == ["d/huge", "d/sock"]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive}
        assert archive.extractfile("d/file").read() == b"content"  # type: ignore[union-attr]
    assert list(members)[:3] == ["d", "d/deep", "d/deep/\udcff\udcfe"]
    assert len(members) == 13
    assert members["d"].isdir()
    file = members["d/file"]
    assert (file.mode, file.uid, file.gid, file.uname, file.gname) == (
        0o4755,
        1000,
        100,
        "anna",
        "users",
    )
    assert file.pax_headers["mtime"] == "1700000000.123456789"
    assert file.pax_headers["SCHILY.xattr.user.a%3Db%25"] == "\udcff\0\n"
    assert members["d/sym"].linkname == "../\udcfftarget"
    assert members["d/hard1"].isreg()
    assert members["d/hard2"].islnk()
    assert members["d/hard2"].linkname == "d/hard1"
    assert members["d/fifo"].isfifo()
    assert (members["d/null"].devmajor, members["d/null"].devminor) == (1, 3)
    assert members["d/disk"].isblk()
    assert members["d/old"].mtime == -1.5
    assert members["d/far"].mtime == float((1 << 80) / 10**9)
    assert members["d/far"].uid == (1 << 32) - 1


def test_the_root_as_tar_has_no_name_of_its_own() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": {b"b": b"1"}, b"c": b""})
    data, _ = tar_of(blobs, tree, b"/")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["a", "a/b", "c"]
    empty, _ = tar_of(blobs, save_layout(blobs, {}), b"/")
    with tarfile.open(fileobj=io.BytesIO(empty)) as archive:
        assert archive.getnames() == []


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs the tar program")
def test_tar_programs_agree(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    linked = file_node(blobs, b"hard1", b"linked")._replace(filesystem=0, inode=7)
    whole, inner = sparse(blobs)
    tree = save_layout(
        blobs,
        {
            b"d": {
                b"\xff\n": b"odd",
                b"hard1": linked,
                b"hard2": linked._replace(name=b"hard2"),
                b"sym": link_node(b"sym", b"nowhere\xff"),
                b"old": file_node(blobs, b"old", b"1")._replace(mtime=-1_500_000_000),
                b"n" * 255: b"",
                b"inner": node(b"inner", NodeType.DIRECTORY, inner),
            }
        },
    )
    data, _ = tar_of(blobs, tree, b"/d")
    subprocess.run(["tar", "-x", "--no-same-owner"], input=data, cwd=tmp_path, check=True)
    here = os.fsencode(tmp_path)
    names = os.listdir(here + b"/d")  # noqa: PTH208 - of bytes
    assert set(names) == {b"\xff\n", b"hard1", b"hard2", b"inner", b"n" * 255, b"old", b"sym"}
    assert os.readlink(here + b"/d/sym") == b"nowhere\xff"  # noqa: PTH115 - of bytes
    assert os.stat(here + b"/d/hard1").st_ino == os.stat(here + b"/d/hard2").st_ino  # noqa: PTH116 - of bytes
    assert (tmp_path / "d/old").stat().st_mtime_ns == -1_500_000_000
    assert (tmp_path / "d/hard1").stat().st_mtime_ns == linked.mtime
    assert (tmp_path / "d/inner/sparse").read_bytes() == whole


def test_a_directory_as_zip() -> None:
    blobs = MemoryBlobs()
    out = Pipe()
    result = export(every_kind(blobs), b"/d", blobs, cast("BinaryIO", out), ZIP)
    assert [path for path, _ in result.skipped] == [
        "d/disk",
        "d/fifo",
        "d/huge",
        "d/null",
        "d/sock",
    ]
    assert result.skipped[0][1] == "a block device has no place in a zip archive"
    with zipfile.ZipFile(io.BytesIO(out.data)) as archive:
        assert archive.testzip() is None
        infos = {info.filename: info for info in archive.infolist()}
        assert archive.read("d/file") == b"content"
        assert archive.read("d/hard2") == b"linked"
        assert archive.read("d/sym") == b"../\xfftarget"
    assert "d/deep/\\xff\\xfe" in infos
    assert infos["d/"].is_dir()
    assert stat.S_ISDIR(infos["d/"].external_attr >> 16)
    assert stat.S_ISLNK(infos["d/sym"].external_attr >> 16)
    assert stat.S_IMODE(infos["d/file"].external_attr >> 16) == 0o4755
    assert infos["d/file"].date_time == (2023, 11, 14, 22, 13, 20)
    assert infos["d/old"].date_time == (1980, 1, 1, 0, 0, 0)
    assert infos["d/far"].date_time == (2107, 12, 31, 23, 59, 58)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs the unzip program")
def test_unzip_agrees(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": {b"b": b"1" * 5000}, b"c": b"", b"s": link_node(b"s", b"c")})
    archive = tmp_path / "x.zip"
    with archive.open("wb") as file:
        export(tree, b"/", blobs, file, ZIP)
    subprocess.run(["unzip", "-q", archive], cwd=tmp_path, check=True)
    assert (tmp_path / "a/b").read_bytes() == b"1" * 5000
    assert (tmp_path / "a/b").stat().st_mtime == 1_700_000_000
    assert (tmp_path / "s").is_symlink()


def test_small_files_are_announced_ahead() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"%03d" % number: b"%d" % number for number in range(300)})
    tar_of(blobs, tree, b"/")
    assert len(blobs.hinted) == 300
    assert blobs.hinted == blobs.loaded[1:]


def test_a_tar_archive_takes_no_memory_for_its_entries() -> None:
    blobs = MemoryBlobs()
    inner = save_layout(blobs, {b"%03d" % number: b"" for number in range(300)})
    outer = {b"%02d" % number: directory_node(b"%02d" % number, inner) for number in range(10)}
    tree = save_layout(blobs, outer)
    with Path(os.devnull).open("wb") as nowhere:
        tracemalloc.start()
        export(tree, b"/", blobs, nowhere)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 << 20


@pytest.mark.parametrize("options", [None, ZIP])
def test_damage_is_an_error(options: ExportOptions | None) -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": b"1", b"b": b"2"})
    del blobs.blobs[blobs.add(b"2")]
    with pytest.raises(DamagedRepository):
        export(tree, b"/", blobs, io.BytesIO(), options)


def test_a_zip_archive_that_is_cut_off_does_not_look_whole() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": b"first", b"b": b"second", b"c": b"third"})
    lost = next(blob for blob, data in blobs.blobs.items() if data == b"second")
    del blobs.blobs[lost]
    out = Pipe()
    with pytest.raises(DamagedRepository):
        export(tree, b"/", blobs, cast("BinaryIO", out), ZIP)
    assert b"first" in out.data or out.data.startswith(b"PK")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(out.data))
