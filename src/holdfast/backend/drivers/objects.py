"""A store as others filled it: what its objects are called and how they change is their business.

The driver of a repository knows its own objects only. Here objects have any names, versions that
are told apart by what the store says of them, and any size; they are read and written in pieces.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Protocol, TypeAlias

from fsspec import AbstractFileSystem

from holdfast.backend.drivers.driver import Driver
from holdfast.backend.foreign import UNSIZED, Listed, Upload
from holdfast.errors import BackendError, ObjectNotFound

PIECE: Final = 8 << 20
"""Bytes of the pieces of a large object that is written; a smaller one is written at once."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TAGS: Final = ("generation", "ETag", "etag", "content_md5", "md5", "checksum")
_TIMES: Final = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")

Info: TypeAlias = Mapping[str, object]


class Objects:
    """The folder of a driver, whatever is in it; see `holdfast.backend.foreign.Store`."""

    is_flat: ClassVar[bool] = False
    is_exact: ClassVar[bool] = False

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.location = driver.location
        self.root = driver.root
        self._run = driver._run  # noqa: SLF001 - the other half of a driver
        self._fs = driver._fs  # noqa: SLF001 - as above

    def close(self) -> None:
        """Let go of connections."""
        self.driver.close()

    def explain(self, verb: str, path: str, error: Exception) -> BackendError | None:
        """See `Driver.explain`."""
        return self.driver.explain(verb, path, error)

    def folder(self, path: str) -> list[Listed]:
        """What is right in a folder, in any order; an error when there is no such folder."""
        found: Iterable[Info] = self._run("ls", path, detail=True)
        return [self._sized(_below(path, _listed(info))) for info in found]

    def status(self, path: str) -> Listed | None:
        """What there is of that name; None for nothing."""
        try:
            info: Info = self._run("info", path)
        except FileNotFoundError as error:
            self.driver._refuse_gone(error)  # noqa: SLF001 - as above
            return None
        return _listed(info)._replace(path=path)

    def probe(self) -> None:
        """Raise if the store as a whole fails, or there is neither a folder nor a file."""
        found = self.status(self.root)
        if found is None or found.kind not in {"directory", "file", UNSIZED}:
            raise ObjectNotFound("", "there is no such folder")

    def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:  # noqa: ARG002 - for those that can
        """Bytes of an object from the first to before the second number, or fewer.

        Raises:
            Changed: its tag is not this one; "" stands for any.
        """
        return self.driver.read(path, part)

    def upload(self, path: str, size: int) -> Upload:
        """Begin to write an object of so many bytes, over the one that is there."""
        if size <= PIECE:
            return Whole(self.driver, path)
        return Renamed(self._fs, path)

    def _sized(self, listed: Listed) -> Listed:
        """The same, or what the store says when it is asked for a size that a listing lacks."""
        return (listed.kind == UNSIZED and self.status(listed.path)) or listed


class Whole:
    """A small object."""

    def __init__(self, driver: Driver, path: str) -> None:
        self._driver = driver
        self._path = path
        self._data = b""
        self.piece = PIECE
        self.is_repeatable = True

    def send(self, piece: bytes) -> None:
        """See `Upload.send`."""
        self._data = piece

    def finish(self) -> None:
        """See `Upload.finish`."""
        self._driver.put(self._path, self._data)

    def abandon(self) -> None:
        """See `Upload.abandon`; nothing was sent."""


class _File(Protocol):
    """A file that is open for writing, as fsspec has it."""

    def write(self, data: bytes, /) -> object:
        """Write."""

    def close(self) -> None:
        """Complete it."""


class _Files(Protocol):
    """A file system of fsspec."""

    def open(self, path: str, mode: str) -> _File:
        """Open a file."""

    def info(self, path: str) -> Info:
        """What there is to know of a file."""

    def makedirs(self, path: str, *, exist_ok: bool) -> None:
        """Make a folder and those above it."""

    def mv(self, source: str, target: str) -> None:
        """Rename."""

    def cp_file(self, source: str, target: str) -> None:
        """Copy a file, by names that are taken as they are."""

    def rm_file(self, path: str) -> None:
        """Delete."""


class Renamed:
    """A large file of a file system, which has another name until it is complete.

    Where fsspec's driver cannot rename, it is copied to its name then: not in one step.
    """

    def __init__(self, fs: _Files, path: str) -> None:
        self.piece = PIECE
        self._fs = fs
        self.is_repeatable = False
        self._path = path
        self._temporary = f"{path}.holdfast-{secrets.token_hex(8)}"
        folder = path.rpartition("/")[0]
        if folder:
            fs.makedirs(folder, exist_ok=True)
        self._file = fs.open(self._temporary, "wb")
        self._sent = 0

    def send(self, piece: bytes) -> None:
        """See `Upload.send`."""
        self._file.write(piece)
        self._sent += len(piece)

    def finish(self) -> None:
        """See `Upload.finish`."""
        self._file.close()
        size = self._fs.info(self._temporary).get("size")
        if isinstance(size, int) and size != self._sent:
            raise ConnectionError(f"{size} of {self._sent} bytes are there")
        self._rename()

    def _rename(self) -> None:
        if getattr(type(self._fs), "mv", None) is not AbstractFileSystem.mv:
            self._fs.mv(self._temporary, self._path)
            return
        # What all inherit copies too, but would take the names for patterns.
        self._fs.cp_file(self._temporary, self._path)
        self._fs.rm_file(self._temporary)

    def abandon(self) -> None:
        """See `Upload.abandon`."""
        try:
            self._file.close()
        finally:
            with suppress(FileNotFoundError):
                self._fs.rm_file(self._temporary)


def _below(folder: str, listed: Listed) -> Listed:
    """The same with a path that begins as the folder's: drivers differ in how they begin them."""
    top, path = folder.strip("/"), listed.path.lstrip("/")
    if path.rstrip("/") == top:
        return listed._replace(path=folder + path[len(top) :])
    if path.startswith(f"{top}/"):
        return listed._replace(path=f"{folder}/{path[len(top) + 1 :]}")
    name = path.rstrip("/").rpartition("/")[2]
    return listed._replace(path=f"{folder}/{name}")


def _listed(info: Info) -> Listed:
    size, kind = info.get("size"), str(info.get("type"))
    has_size = isinstance(size, int) and size >= 0
    return Listed(
        path=str(info["name"]),
        kind=UNSIZED if kind == "file" and not has_size else kind,
        size=size if isinstance(size, int) and has_size else 0,
        mtime=next(filter(None, (nanoseconds(info.get(name)) for name in _TIMES)), None),
        tag=next((str(info[name]) for name in _TAGS if info.get(name)), ""),
    )


def nanoseconds(time: object) -> int | None:
    """Nanoseconds since the epoch, of a time as drivers write it; None for what is none."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if isinstance(time, datetime):
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1) * 1000
    # Of a float no more than microseconds is right.
    return round(time * 10**6) * 1000 if isinstance(time, int | float) else None
