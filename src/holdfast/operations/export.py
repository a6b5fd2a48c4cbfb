"""A file of a snapshot as plain bytes, or a directory as one archive, straight to a stream.

Nothing is written to disk on the way and the stream is never sought, so it may be a pipe.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tarfile
import zipfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import BinaryIO, ClassVar, Literal, TypeAlias, cast

from holdfast.errors import UsageError
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path, printable, split_path
from holdfast.model.roles import BlobLoader
from holdfast.model.walk import directory_tree, lookup, walk
from holdfast.overrides import override
from holdfast.present import Column, Kind, Row, Table, columns
from holdfast.primitives.ids import BlobId

ArchiveFormat: TypeAlias = Literal["tar", "zip"]

_PIECE = 1 << 20
_AHEAD = 64
_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DEVICE = 8**7 - 1
"""Largest major or minor number that a tar header has room for."""

_ZIP_FIRST, _ZIP_LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
_ZIP_LONGEST = (1 << 16) - 2
_ZIP_UNIX = 3
_ZIP_DIRECTORY = 0x10
_ZIP_TIME = struct.Struct("<HHBi")
_ZIP_TIME_TAG = 0x5455
"""The extended timestamp: seconds since the epoch, where the entry's own time has no zone."""

_TAR_TYPES = {
    NodeType.FILE: tarfile.REGTYPE,
    NodeType.DIRECTORY: tarfile.DIRTYPE,
    NodeType.SYMLINK: tarfile.SYMTYPE,
    NodeType.FIFO: tarfile.FIFOTYPE,
    NodeType.CHARACTER_DEVICE: tarfile.CHRTYPE,
    NodeType.BLOCK_DEVICE: tarfile.BLKTYPE,
}
_ZIP_TYPES = {
    NodeType.FILE: stat.S_IFREG,
    NodeType.DIRECTORY: stat.S_IFDIR,
    NodeType.SYMLINK: stat.S_IFLNK,
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to write a directory.

    Attributes:
        archive: ``tar`` (POSIX pax: owners, times, links, devices, extended attributes) or
            ``zip`` (files, directories and symbolic links; its directory of contents is kept in
            memory until the end). A file is written as it is, whatever this says.
    """

    archive: ArchiveFormat = "tar"


@dataclass(slots=True)
class ExportResult(Row):
    """What was written.

    Attributes:
        files: regular files.
        bytes: bytes of their content.
        skipped: (path, reason) of what the archive cannot hold.
    """

    files: int = 0
    bytes: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @override
    def _caption(self) -> str:
        return "Export"

    @override
    def _parts(self) -> tuple[Table, ...]:
        if not self.skipped:
            return ()
        return (Table(columns(path=Kind.PATH, reason=Kind.TEXT), self.skipped, "Left out"),)

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(files=Kind.COUNT, bytes=Kind.BYTES)


def export(
    tree: BlobId,
    path: bytes,
    loader: BlobLoader,
    output: BinaryIO,
    options: ExportOptions | None = None,
) -> ExportResult:
    """Write what is at a path of a tree: a file as it is, a directory as an archive.

    The names in an archive begin with the directory's own; the root has none.

    Args:
        tree: the root of a snapshot.
        path: what to write.
        loader: where blobs are.
        output: written in order, never sought and not closed.
        options: how to write a directory.

    Raises:
        PathNotFound: there is no such path.
        UsageError: it is neither a file nor a directory.
        DamagedRepository: something cannot be read; what was written by then is not complete.
    """
    node = lookup(tree, path, loader)
    if node.type == NodeType.FILE:
        shutil.copyfileobj(SnapshotFile(node, loader), output, _PIECE)
        return ExportResult(files=1, bytes=node.size)
    if node.type != NodeType.DIRECTORY:
        raise UsageError(f"{printable(path)}: neither a file nor a directory")
    name = b"".join(split_path(path)[-1:])
    own = [(name, node)] if name else []
    entries = chain(own, walk(directory_tree(node), loader, join_path(ROOT, name)))
    announced = _announced(entries, loader)
    if options is not None and options.archive == "zip":
        return _write_zip(announced, loader, output)
    return _write_tar(announced, loader, output)


def _announced(
    entries: Iterator[tuple[bytes, Node]], loader: BlobLoader
) -> Iterator[tuple[bytes, Node]]:
    """The entries, the blobs of small files announced some entries before they are wanted."""
    waiting: deque[tuple[bytes, Node]] = deque()
    for path, node in entries:
        if node.type == NodeType.FILE and isinstance(node.payload, bytes):
            loader.prefetch([BlobId(node.payload)])
        waiting.append((path.lstrip(b"/"), node))
        if len(waiting) > _AHEAD:
            yield waiting.popleft()
    yield from waiting


def _write_tar(
    entries: Iterator[tuple[bytes, Node]], loader: BlobLoader, output: BinaryIO
) -> ExportResult:
    result = ExportResult()
    links: dict[tuple[int, int], str] = {}
    with tarfile.open(
        fileobj=output,
        mode="w|",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        for path, node in entries:
            info = _tar_info(path, node)
            if isinstance(info, str):
                result.skipped.append((printable(path), info))
                continue
            if node.type == NodeType.FILE and node.filesystem is not None:
                first = links.setdefault((node.filesystem, node.inode), info.name)
                if first != info.name:
                    info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
            archive.addfile(info, SnapshotFile(node, loader) if info.isreg() else None)
            # The archive would keep every entry for a reader's sake.
            archive.getmembers().clear()
            result.files += node.type == NodeType.FILE
            result.bytes += info.size
    return result


def _tar_info(path: bytes, node: Node) -> tarfile.TarInfo | str:
    """The header of an entry; or why there can be none."""
    kind = _TAR_TYPES.get(NodeType(node.type))
    if kind is None:
        return "a socket has no place in a tar archive"
    info = tarfile.TarInfo(_text(path))
    info.type = kind
    info.mode, info.uid, info.gid = node.mode, node.uid, node.gid
    info.uname, info.gname = node.user or "", node.group or ""
    info.mtime = node.mtime // _SECOND
    info.pax_headers = {"mtime": _decimal(node.mtime)}
    for name, value in node.xattrs:
        info.pax_headers[f"SCHILY.xattr.{_keyword(name)}"] = _text(value)
    if node.type == NodeType.FILE:
        info.size = node.size
    elif isinstance(node.payload, int):
        info.devmajor, info.devminor = os.major(node.payload), os.minor(node.payload)
        if max(info.devmajor, info.devminor) > _MOST_DEVICE:
            return "a device number that is too large for a tar archive"
    elif isinstance(node.payload, bytes) and node.type == NodeType.SYMLINK:
        info.linkname = _text(node.payload)
    return info


def _text(raw: bytes) -> str:
    """What the archive writes as these very bytes."""
    return raw.decode("utf-8", "surrogateescape")


def _keyword(name: bytes) -> str:
    """An attribute's name as a keyword, which has no "=" and, unlike values, is UTF-8."""
    escaped = _text(name.replace(b"%", b"%25").replace(b"=", b"%3D"))
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in escaped)


def _decimal(nanoseconds: int) -> str:
    seconds, rest = divmod(abs(nanoseconds), _SECOND)
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{seconds}.{rest:09}" if rest else f"{sign}{seconds}"


class _Cuttable:
    """A stream that swallows everything once it is cut."""

    def __init__(self, output: BinaryIO) -> None:
        self.is_cut = False
        self._output = output

    def write(self, data: bytes | bytearray | memoryview) -> int:
        if not self.is_cut:
            self._output.write(data)
        return len(data)

    def flush(self) -> None:
        self._output.flush()


def _write_zip(
    entries: Iterator[tuple[bytes, Node]], loader: BlobLoader, output: BinaryIO
) -> ExportResult:
    result = ExportResult()
    cuttable = _Cuttable(output)
    with zipfile.ZipFile(cast("BinaryIO", cuttable), "w", zipfile.ZIP_DEFLATED) as archive:
        try:
            for path, node in entries:
                info = _zip_info(path, node)
                if isinstance(info, str):
                    result.skipped.append((printable(path), info))
                else:
                    _add_to_zip(archive, info, node, loader)
                    result.files += node.type == NodeType.FILE
                    result.bytes += node.size if node.type == NodeType.FILE else 0
        except BaseException:
            # Else the archive would end itself, and look whole.
            cuttable.is_cut = True
            raise
    return result


def _add_to_zip(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, node: Node, loader: BlobLoader
) -> None:
    with archive.open(info, "w") as member:
        if node.type == NodeType.FILE:
            shutil.copyfileobj(SnapshotFile(node, loader), member, _PIECE)
        elif isinstance(node.payload, bytes) and node.type == NodeType.SYMLINK:
            member.write(node.payload)


def _zip_info(path: bytes, node: Node) -> zipfile.ZipInfo | str:
    """The header of an entry; or why there can be none."""
    kind = _ZIP_TYPES.get(NodeType(node.type))
    name = path.decode("utf-8", "backslashreplace")
    if kind is None:
        what = NodeType(node.type).name.lower().replace("_", " ")
        return f"a {what} has no place in a zip archive"
    if len(name.encode()) > _ZIP_LONGEST:
        return "a path that is too long for a zip archive"
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = _ZIP_UNIX
    info.external_attr = (kind | node.mode) << 16
    info.file_size = node.size
    if node.type == NodeType.DIRECTORY:
        info.filename += "/"
        info.external_attr |= _ZIP_DIRECTORY
        info.compress_type = zipfile.ZIP_STORED
    seconds = node.mtime // _SECOND
    info.date_time = _zip_time(seconds)
    if -(1 << 31) <= seconds < 1 << 31:
        info.extra = _ZIP_TIME.pack(_ZIP_TIME_TAG, _ZIP_TIME.size - 4, 1, seconds)
    return info


def _zip_time(seconds: int) -> tuple[int, int, int, int, int, int]:
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return _ZIP_FIRST if seconds < 0 else _ZIP_LAST
    fields = moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second
    return min(max(fields, _ZIP_FIRST), _ZIP_LAST)
