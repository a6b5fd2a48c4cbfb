"""Objects as files below a directory of this machine.

An object is written to a temporary file beside its final name, synced, and only then given that
name: by a rename (`put`) or by a hard link, which fails if the name is taken (`put_if_absent`).
Then the folder is synced, so that the name survives a power cut too.

Everything is reached from one descriptor of the root. A storage that is unmounted meanwhile
therefore gives errors, or goes on working, but never looks like an empty repository, and nothing
is written to what lies under its mount point.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from holdfast.backend.base import Buffer, Capabilities, Leftover, ObjectInfo
from holdfast.backend.durable import (
    FOLDER,
    claim,
    make_directory,
    replace,
    sync_folder,
    sync_folder_at,
    write_file,
)
from holdfast.backend.names import check_name, check_prefix, check_range
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectTruncated,
    ObjectUnreadable,
    StorageFull,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_Found = TypeVar("_Found")

_TEMPORARY = ".tmp-"
# A fifo that someone put there must not make us wait for a writer.
_READ = os.O_RDONLY | os.O_NONBLOCK

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

_PERMISSION = "check who owns the repository's files, and run as that user"
_ROOM = "free some space, then run this again"
_KINDS: dict[int, tuple[type[BackendError], str]] = {
    errno.EEXIST: (ObjectExists, "the object there stays as it is"),
    errno.EACCES: (AccessDenied, _PERMISSION),
    errno.EPERM: (AccessDenied, _PERMISSION),
    errno.EROFS: (AccessDenied, "mount it for writing, or use another repository"),
    errno.ENOSPC: (StorageFull, _ROOM),
    errno.EDQUOT: (StorageFull, _ROOM),
}


_MAY_COME_BACK: Final = frozenset({"data", "gc", "index", "sessions"})
"""Folders of what is deleted when nobody needs it: what a power cut brings back there is garbage,
and goes another time. Anything else is gone once its deletion was reported, such as a key slot."""


class LocalBackend:
    """A directory as storage, made by the first put. See `Backend` for the verbs.

    Files are readable by their owner only. Symbolic links are followed on the way to the root
    and to an object, not below a folder that is listed. What a crashed writer leaves is a file
    whose name begins with ``.tmp-``; it is never listed, and `sweep` deletes it.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._location = os.fspath(root)
        self._path = Path(root).absolute()
        self._lock = threading.Lock()
        self._root: tuple[int, weakref.finalize[[int], LocalBackend]] | None = None
        self._durable = {""}
        self._exclusive = True
        self._made: list[Path] = []

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._location

    @property
    def path(self) -> Path:
        """The directory, as an absolute path."""
        return self._path

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        self._store(name, data, replace)

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`.

        Raises:
            ObjectExists: the name is taken.
            BackendError: the file system can neither link nor rename without replacing.
        """
        try:
            self._store(name, data, claim)
        except NotImplementedError as error:
            self._exclusive = False
            raise BackendError(
                name,
                "this file system has neither hard links nor a rename that replaces nothing; "
                "use a repository on another file system",
            ) from error

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        check_name(name)
        with _reading(name, _OBJECT_KINDS):
            file = os.open(name, _READ, dir_fd=self._open_root())
            try:
                size = _object_size(name, os.fstat(file))
                return _read(file, name, offset, check_range(name, size, offset, length))
            finally:
                os.close(file)

    def get_into(self, name: str, offset: int, out: memoryview) -> None:
        """See `Direct.get_into`."""
        check_name(name)
        with _reading(name, _OBJECT_KINDS):
            file = os.open(name, _READ, dir_fd=self._open_root())
            try:
                check_range(name, _object_size(name, os.fstat(file)), offset, len(out))
                _fill(file, name, offset, out)
            finally:
                os.close(file)

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        check_name(name)
        with _reading(name):
            return _object_size(name, os.stat(name, dir_fd=self._open_root()))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        check_prefix(prefix)
        return _files_below(prefix, self._open_root, _object, self._location)

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        check_name(name)
        with _reading(name):
            os.unlink(name, dir_fd=self._open_root())
        folder, _, _ = name.rpartition("/")
        if folder.partition("/")[0] not in _MAY_COME_BACK:
            with _writing(name):
                sync_folder_at(folder or ".", self._open_root())

    def leftovers(self) -> Iterator[Leftover]:
        """See `Sweepable.leftovers`."""
        return _files_below("", self._open_root, _leftover, self._location)

    def sweep(self, before_ns: int) -> int:
        """See `Sweepable.sweep`."""
        swept = 0
        for name, _, modified_ns in list(self.leftovers()):
            if modified_ns >= before_ns:
                continue
            with _reading(name), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._open_root())
                swept += 1
        return swept

    def modified_ns(self, name: str) -> int | None:
        """See `Dated.modified_ns`."""
        check_name(name)
        with _reading(name):
            return os.stat(name, dir_fd=self._open_root()).st_mtime_ns

    def remove_folders(self) -> None:
        """See `Foldered.remove_folders`; only those that it made, also above the root."""
        self.close()
        for folder in sorted(set(self._made), reverse=True):
            with suppress(OSError):  # something is in it
                folder.rmdir()
        self._made = []
        self._durable = {""}

    def capabilities(self) -> Capabilities:
        """What the file system can do, as far as it has shown: `put_if_absent` until it failed."""
        return Capabilities(put_if_absent=self._exclusive, local=True)

    def close(self) -> None:
        """See `Backend.close`."""
        with self._lock:
            if self._root is not None:
                self._root[1]()
                self._root = None

    def _open_root(self, *, make: bool = False) -> int:
        with self._lock:
            if self._root is None:
                if make:
                    self._made += make_directory(self._path)
                descriptor = os.open(self._path, FOLDER)
                self._root = descriptor, weakref.finalize(self, os.close, descriptor)
            return self._root[0]

    def _store(self, name: str, data: Buffer, publish: Callable[[str, str, int], None]) -> None:
        check_name(name)
        path, _, leaf = name.rpartition("/")
        temporary = _TEMPORARY + secrets.token_hex(8)
        with _writing(name):
            folder = self._open_folder(name, path)
            try:
                try:
                    write_file(temporary, data, folder)
                    publish(temporary, leaf, folder)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                    raise
                sync_folder(folder)
            finally:
                os.close(folder)

    def _open_folder(self, name: str, path: str) -> int:
        root = self._open_root(make=True)
        try:
            if path not in self._durable:
                self._make_durable(root, path)
            return os.open(path or ".", FOLDER, dir_fd=root)
        except _ABSENT as error:
            raise BackendError(
                name, "its folder is gone or is no folder; see if the storage is still mounted"
            ) from error

    def _make_durable(self, root: int, path: str) -> None:
        """Make a folder unless it is there, and sync the way to it.

        Once per folder even if it is there: whoever made it may have crashed before syncing it.
        """
        parent = ""
        for part in path.split("/"):
            folder = f"{parent}/{part}" if parent else part
            if folder not in self._durable:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o700, dir_fd=root)
                    self._made.append(self._path / folder)
                sync_folder_at(parent or ".", root)
                self._durable.add(folder)
            parent = folder


_OBJECT_KINDS = _KINDS | {
    errno.EIO: (ObjectUnreadable, "the disk or the file system fails; look at the system's log")
}


@contextmanager
def _reading(
    name: str, kinds: Mapping[int, tuple[type[BackendError], str]] = _KINDS
) -> Iterator[None]:
    """Turns errors of the operating system into ours; what is not there is `ObjectNotFound`."""
    try:
        yield
    except _ABSENT as error:
        raise ObjectNotFound(name, "no such object") from error
    except OSError as error:
        raise _explain(name, error, kinds) from error


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """Turns errors of the operating system into ours."""
    try:
        yield
    except OSError as error:
        raise _explain(name, error, _KINDS) from error


def _explain(
    name: str, error: OSError, kinds: Mapping[int, tuple[type[BackendError], str]]
) -> BackendError:
    code = error.errno or 0
    reason = f"{os.strerror(code)} ({errno.errorcode.get(code, code)})"
    kind, advice = kinds.get(code, (BackendError, ""))
    return kind(name, f"{reason}; {advice}" if advice else reason)


def _object_size(name: str, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise ObjectNotFound(name, "no such object: what is there is not a regular file")
    return status.st_size


def _files_below(
    prefix: str,
    open_root: Callable[[], int],
    take: Callable[[str, os.DirEntry[str]], _Found | None],
    location: str,
) -> Iterator[_Found]:
    """What is made of the files in a folder and below; None of one leaves it out."""
    folders = [prefix]
    while folders:
        folder = folders.pop()
        with _reading(folder or location):
            files, below = _scan(folder, open_root, take)
        folders += below
        yield from files


def _scan(
    folder: str,
    open_root: Callable[[], int],
    take: Callable[[str, os.DirEntry[str]], _Found | None],
) -> tuple[list[_Found], list[str]]:
    """The files right in a folder, and the folders in it; neither if there is no folder."""
    files: list[_Found] = []
    below: list[str] = []
    try:
        descriptor = os.open(folder or ".", FOLDER, dir_fd=open_root())
    except (FileNotFoundError, NotADirectoryError):
        return files, below
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(f"{folder}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    # Another client may delete it between the two calls.
                    with suppress(FileNotFoundError):
                        found = take(folder, entry)
                        if found is not None:
                            files.append(found)
    finally:
        os.close(descriptor)
    return files, below


def _object(folder: str, entry: os.DirEntry[str]) -> ObjectInfo | None:
    if entry.name.startswith(_TEMPORARY):
        return None
    return ObjectInfo(folder + entry.name, entry.stat(follow_symlinks=False).st_size)


def _leftover(folder: str, entry: os.DirEntry[str]) -> Leftover | None:
    if not entry.name.startswith(_TEMPORARY):
        return None
    status = entry.stat(follow_symlinks=False)
    return Leftover(folder + entry.name, status.st_size, status.st_mtime_ns)


def _read(file: int, name: str, offset: int, count: int) -> bytes:
    pieces = []
    while count:
        piece = os.pread(file, count, offset)
        if not piece:
            raise ObjectTruncated(name, f"ends at byte {offset}, before it should")
        pieces.append(piece)
        offset += len(piece)
        count -= len(piece)
    return b"".join(pieces)


def _fill(file: int, name: str, offset: int, out: memoryview) -> None:
    done = 0
    while done < len(out):
        count = os.preadv(file, [out[done:]], offset + done)
        if not count:
            raise ObjectTruncated(name, f"ends at byte {offset + done}, before it should")
        done += count
