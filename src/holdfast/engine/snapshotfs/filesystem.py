"""Snapshots as a file system of fsspec, which pandas, pyarrow, DuckDB and many others read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractBufferedFile
from fsspec.utils import isfilelike

from holdfast.engine.snapshotfs.about import Info, info_of, infos_of, time_of
from holdfast.engine.snapshotfs.handle import SnapshotStream
from holdfast.engine.snapshotfs.ranges import Ranges, limits
from holdfast.engine.snapshotfs.reading import Errors, FileReader
from holdfast.engine.snapshotfs.view import Item, LinkLoop, View
from holdfast.errors import PathNotFound, UsageError
from holdfast.model.node import NodeType
from holdfast.model.path import join_path
from holdfast.overrides import override

if TYPE_CHECKING:
    from holdfast.engine.connection import Connection

REFRESH = 5.0
"""Seconds after which the list of snapshots is read again."""

_COPIED = 1 << 20
_HOW_TO_WRITE = "a snapshot cannot be changed: restore what you need, and change that"

_HOW_TO_SEND = (
    "a file system of an open repository cannot be sent to another process: make one there by "
    'fsspec.filesystem("holdfast", repository=…, password_file=…)'
)


class SnapshotFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The snapshots of an open repository, or one of them, to be read by fsspec's interface.

    Paths are text such as ``latest/data/sales.csv``, or ``data/sales.csv`` in one snapshot; a slash
    in front of them makes no difference. Names that are not UTF-8 are as `os.fsdecode` has them.
    Safe to use from several threads.

    What is not there raises FileNotFoundError, what is a directory or none IsADirectoryError or
    NotADirectoryError, and what would change something OSError (EROFS). What is wrong with the
    repository or its storage raises a `HoldfastError`.
    """

    protocol = "holdfast"
    root_marker = ""
    cachable = False

    def __init__(
        self,
        repository: Connection,
        snapshot: str | None = None,
        *,
        errors: Errors = "raise",
        refresh: float = REFRESH,
    ) -> None:
        """Look into an open repository, which has to stay open.

        Args:
            repository: an open repository.
            snapshot: name of a snapshot, with ``:/path`` for a directory in it; None for all.
            errors: ``skip`` to read zeros where the repository is damaged, unless something else is
                said when a file is opened.
            refresh: seconds after which the list of snapshots is read again.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: it is no directory.
        """
        super().__init__()
        self._errors: Errors = errors
        self._open_view = View(repository, snapshot, refresh=refresh)

    @property
    def view(self) -> View:
        """What it shows."""
        return self._open_view

    @override
    def __reduce__(self) -> tuple[object, ...]:
        raise UsageError(_HOW_TO_SEND)

    def to_dict(self, *, include_password: bool = True) -> dict[str, object]:  # noqa: ARG002 - fsspec's
        """Refused: what it takes to open the repository is not known here (UsageError)."""
        raise UsageError(_HOW_TO_SEND)

    @property
    def fsid(self) -> str:
        """What tells this from other file systems, on any machine."""
        return f"holdfast-{self.view.id}"

    def invalidate_cache(self, path: str | None = None) -> None:
        """Read the list of snapshots again when it is asked for next."""
        super().invalidate_cache(path)
        self.view.refresh()

    @classmethod
    def _strip_protocol(cls, path: object) -> object:
        if isinstance(path, list):
            return [cls._plain(each) for each in path]
        return cls._plain(path)

    @classmethod
    def _plain(cls, path: object) -> str:
        """A path without the protocol, and without slashes around it."""
        return str(super()._strip_protocol(path)).lstrip("/")

    # Metadata

    def info(self, path: str, **_: object) -> Info:
        """All that is known of what is at a path; of a link itself, not of what it leads to.

        Returns:
            ``name``, ``size`` in bytes, ``type`` (``file``, ``directory``, ``link`` or
            ``other``), ``mode`` with the bits of the type, ``uid``, ``gid``, ``user``, ``group``,
            ``mtime`` and ``created`` (aware; None for a year before 1 or after 9999), ``mtime_ns``,
            ``ctime_ns``, ``ino``, ``islink``, ``destination`` of a link, and ``snapshot``, the id.
        """
        path = self._plain(path)
        return info_of(path, self._item(path))

    def ls(self, path: str, detail: bool = True, **_: object) -> list[Info] | list[str]:  # noqa: FBT001, FBT002 - fsspec's
        """The entries of a directory, by name; of a file, itself."""
        path = self._plain(path)
        item = self._item(path)
        if item.node.type == NodeType.SYMLINK:
            item = self._followed(path)
        if item.node.type != NodeType.DIRECTORY:
            return [self.info(path)] if detail else [path]
        base = f"{path}/" if path else ""
        with _translated(path):
            if detail and item.snapshot is not None:
                return infos_of(base, self.view.nodes(item.snapshot, item.node), item.snapshot)
            items = self.view.items(item.path)
        named = ((base + os.fsdecode(each.node.name), each) for each in items)
        return [info_of(*each) for each in named] if detail else [name for name, _ in named]

    def exists(self, path: str, **_: object) -> bool:
        """Whether there is something at a path, and if that is a link, where it leads to."""
        return self._type(path) is not None

    def lexists(self, path: str, **_: object) -> bool:
        """Whether there is something at a path, be it a link that leads nowhere."""
        try:
            self._item(self._plain(path))
        except OSError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Whether there is a directory, also by a link."""
        return self._type(path) == NodeType.DIRECTORY

    def isfile(self, path: str) -> bool:
        """Whether there is a regular file, also by a link."""
        return self._type(path) == NodeType.FILE

    def size(self, path: str) -> int:
        """The size of a file in bytes, also by a link."""
        return self._followed(self._plain(path)).node.size

    def du(
        self,
        path: str,
        total: bool = True,  # noqa: FBT001, FBT002 - fsspec's
        maxdepth: int | None = None,
        withdirs: bool = False,  # noqa: FBT001, FBT002 - fsspec's
        **kwargs: object,
    ) -> int | dict[str, int]:
        """Bytes of all files below a path, holes counted; each one's if not `total`."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
        sizes: dict[str, int] = {name: about["size"] for name, about in found.items()}
        return sum(sizes.values()) if total else sizes

    def modified(self, path: str) -> datetime | None:
        """When it was last modified, in UTC."""
        return time_of(self._followed(self._plain(path)).node.mtime)

    def created(self, path: str) -> datetime | None:
        """When its metadata was last changed, in UTC: when it was created is not known."""
        return time_of(self._followed(self._plain(path)).node.ctime)

    def ukey(self, path: str) -> str:
        """The same as long as a file's content, or all in a directory, is the same."""
        node = self._followed(self._plain(path)).node
        made_of = node.payload or node.mtime
        return sha256(repr((node.type, node.size, made_of)).encode()).hexdigest()

    def checksum(self, path: str) -> int:
        """The same, as a number."""
        return int(self.ukey(path), 16)

    # Content

    def _open(  # noqa: PLR0913 - fsspec's
        self,
        path: str,
        mode: str = "rb",
        *,
        block_size: int | None = None,
        autocommit: bool = True,
        cache_type: str | None = None,
        cache_options: dict[str, object] | None = None,
        size: int | None = None,
        errors: Errors | None = None,
    ) -> SnapshotStream | AbstractBufferedFile:
        """Open a file; see `open` of fsspec.

        Args:
            path: of the file; links are followed.
            mode: ``rb``.
            block_size: of the cache, if one is asked for.
            autocommit: of no meaning here.
            cache_type: one of fsspec's caches, to read through that.
            cache_options: for it.
            size: of no meaning here.
            errors: ``skip`` to read zeros where the repository is damaged.
        """
        del autocommit, size
        if mode != "rb":
            self._refuse(path)
        reader = self._reader(path, errors)
        if cache_type is None:
            return SnapshotStream(reader, path)
        how = {"cache_type": cache_type, "cache_options": cache_options}
        return _CachedStream(self, path, reader, block_size=block_size or "default", **how)

    def cat_file(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        *,
        errors: Errors | None = None,
    ) -> bytes:
        """The bytes of a file, or some of them; negative places count from its end."""
        reader = self._reader(self._plain(path), errors)
        begin, stop = limits(start, end, reader.size)
        return reader.read_at(begin, stop - begin)

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        *,
        errors: Errors | None = None,
    ) -> list[bytes | Exception]:
        """Many ranges of files, read in parallel and each blob once.

        Args:
            paths: a path for each range.
            starts: where each begins, or all do.
            ends: where each ends, or all do.
            max_gap: of no meaning: what is read is whole blobs.
            on_error: ``return`` to get errors in the place of bytes; else they are raised.
            errors: as for `open`.
        """
        del max_gap
        if not isinstance(paths, list):
            raise TypeError("give a list of paths")
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("there are not as many starts and ends as paths")
        stripped = [self._plain(path) for path in paths]
        ranges = Ranges(
            list(zip(stripped, starts, ends, strict=True)), lambda path: self._reader(path, errors)
        )
        with closing(ranges):
            return ranges.read(raises=on_error != "return")

    def cat(
        self,
        path: str | list[str],
        recursive: bool = False,  # noqa: FBT001, FBT002 - fsspec's
        on_error: str = "raise",
        *,
        errors: Errors | None = None,
    ) -> bytes | dict[str, bytes | Exception]:
        """The bytes of one file, or of many by their paths, which are read in parallel."""
        paths = self.expand_path(path, recursive=recursive)
        if not isinstance(path, list) and paths == [self._plain(path)]:
            return self.cat_file(paths[0], errors=errors)
        if recursive:
            paths = [each for each in paths if not self.isdir(each)]
        how = "raise" if on_error == "raise" else "return"
        found = self.cat_ranges(paths, None, None, on_error=how, errors=errors)
        return {
            name: data
            for name, data in zip(paths, found, strict=True)
            if on_error != "omit" or isinstance(data, bytes)
        }

    def get_file(
        self,
        rpath: str,
        lpath: str | BinaryIO | None = None,
        callback: Callback = DEFAULT_CALLBACK,
        outfile: BinaryIO | None = None,
        *,
        errors: Errors | None = None,
    ) -> None:
        """Copy a file, without its metadata, or make a directory; see `get` of fsspec.

        Links to files are copied as these files. What is neither file nor directory, and links to
        directories, raise OSError: nothing is left out in silence, and a restore makes these.
        """
        rpath = self._plain(rpath)
        item = self._followed(rpath)
        is_link = self._item(rpath).node.type == NodeType.SYMLINK
        if item.node.type == NodeType.DIRECTORY and not is_link and not isfilelike(lpath):
            os.makedirs(str(lpath), exist_ok=True)  # noqa: PTH103 - fsspec's paths are text
            return
        if item.node.type != NodeType.FILE:
            what = "it is a link to a directory" if is_link else "it is no regular file"
            raise OSError(errno.EINVAL, f"{what}: restore it instead", rpath)
        reader = self.view.reader(item, errors or self._errors)
        if outfile is None and isfilelike(lpath):
            outfile = cast("BinaryIO", lpath)
        if outfile is not None:
            _copy(reader, outfile, callback)
            return
        folder = os.path.dirname(str(lpath))  # noqa: PTH120 - as above
        if folder:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - as above
        with open(str(lpath), "wb") as file:  # noqa: PTH123 - as above
            _copy(reader, file, callback)

    # Nothing can be changed

    def _refuse(self, path: object = "", *_: object, **__: object) -> NoReturn:
        """Refused: snapshots are read-only (OSError, EROFS)."""
        raise OSError(errno.EROFS, _HOW_TO_WRITE, str(path))

    mkdir = makedirs = mkdirs = rmdir = touch = _refuse
    pipe = pipe_file = put = put_file = upload = write_text = write_bytes = _refuse
    rm = rm_file = _rm = delete = mv = move = rename = cp = copy = cp_file = _refuse

    # What is where

    def _reader(self, path: str, errors: Errors | None) -> FileReader:
        item = self._followed(path)
        if item.node.type == NodeType.DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if item.node.type != NodeType.FILE:
            raise OSError(errno.EINVAL, "it is no regular file, and has no content", path)
        return self.view.reader(item, errors or self._errors)

    def _type(self, path: str) -> int | None:
        """What is at a path, links followed; None when there is nothing."""
        try:
            return self._followed(self._plain(path)).node.type
        except OSError:
            return None

    def _item(self, path: str) -> Item:
        """What is at a path; links on the way are followed, not one at its end."""
        with _translated(path):
            inside = b"/" + os.fsencode(path)
            try:
                return self.view.item(inside)
            except PathNotFound:
                above, _, name = inside.rstrip(b"/").rpartition(b"/")
                found = self.view.follow(above)
                if found.path.rstrip(b"/") == above:
                    raise
                return self.view.item(join_path(found.path, name))

    def _followed(self, path: str) -> Item:
        """What is at a path, links followed."""
        with _translated(path):
            return self.view.follow(b"/" + os.fsencode(path))


class _CachedStream(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file that is read through one of fsspec's caches."""

    def __init__(
        self, fs: SnapshotFileSystem, path: str, reader: FileReader, **how: object
    ) -> None:
        self._reader = reader
        super().__init__(fs, path, "rb", size=reader.size, **how)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._reader.read_at(start, end - start)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """What fsspec's users expect to be raised for what is not there."""
    try:
        yield
    except LinkLoop as error:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from error
    except (PathNotFound, UnicodeEncodeError) as error:  # or text that is no name at all
        raise FileNotFoundError(errno.ENOENT, str(error), path) from error


def _copy(reader: FileReader, output: BinaryIO, callback: Callback) -> None:
    callback.set_size(reader.size)
    buffer = memoryview(bytearray(min(_COPIED, reader.size)))
    offset = 0
    while offset < reader.size:
        count = reader.read_into(offset, buffer)
        output.write(buffer[:count])
        callback.relative_update(count)
        offset += count
