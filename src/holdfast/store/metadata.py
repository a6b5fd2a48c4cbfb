"""Copies of metadata on this machine, so that a far storage is not asked for it again.

What is kept are whole small objects, and segments of packs of trees, exactly as they are stored:
sealed. Whoever reads one opens it as if it came from the storage. So a copy that is damaged, old or
forged is one that does not open: it is dropped, and the storage is read. Whether an object is there
at all only the storage says.

Every copy is a file that appears whole or not at all. Any number of processes may use one folder
without a word to each other, and it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import NamedTuple, TypeVar

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository
from holdfast.primitives.crypto import Buffer
from holdfast.primitives.hashing import digest
from holdfast.store.objects import read_object
from holdfast.store.pack import Kind, PackInfo, object_name

_log = logging.getLogger(__name__)

METADATA_LIMIT = 1 << 30
"""Bytes of metadata that are kept of a repository unless somebody says otherwise."""

_SHARE = 8
"""A copy has at most this part of the limit, and as much is put between two looks at the folder."""

_BLOCK = 4096
"""A file takes a multiple of this on the disk."""

_T = TypeVar("_T")


class CacheFolder(NamedTuple):
    """Where this machine keeps what makes repositories quicker to use.

    Attributes:
        path: a folder; each repository has one of its own in it.
        metadata: bytes of metadata that are kept of each.
    """

    path: Path
    metadata: int = METADATA_LIMIT


class MetadataCache:
    """The copies of one repository's metadata. Safe to use from several threads.

    Args:
        folder: where they are; None when nothing is kept.
        limit: bytes in all. The copies that were not used for longest make room for others.
    """

    def __init__(self, folder: Path | None, limit: int = METADATA_LIMIT) -> None:
        self._folder = folder if limit > 0 else None
        self._limit = limit
        self._lock = threading.Lock()
        self._room = 0
        self._has_failed = self._is_quiet = False

    @classmethod
    def of(cls, cache: CacheFolder | None, repository: bytes, backend: Backend) -> MetadataCache:
        """That of a repository; it keeps nothing of a storage that is as near as the cache."""
        if cache is None or backend.capabilities().local:
            return NO_METADATA
        return cls(cache.path / repository.hex() / "metadata", cache.metadata)

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._folder is not None

    def read_object(
        self,
        backend: Backend,
        name: str,
        decode: Callable[[str, bytes], _T],
        size: int,
        *,
        keep: bool = True,
    ) -> _T:
        """Read and decode a small object that is there; see `read_object` of `objects`.

        Args:
            backend: where it is.
            name: its name.
            decode: makes something of its name and bytes, and tells whether they are good.
            size: in bytes, as the storage has just told it.
            keep: whether to keep a copy, if there is none.
        """
        copy = self._use(name, 0, size, FileIO.readall)
        if copy is not None:
            try:
                return decode(name, copy)
            except DamagedRepository as error:
                self._drop_bad(name, 0, error)

        def decode_and_keep(name: str, data: bytes) -> _T:
            decoded = decode(name, data)
            if keep:
                self.put(name, 0, data)
            return decoded

        return read_object(backend, name, decode_and_keep, size=size)

    def read_part(
        self, name: str, offset: int, sealed: memoryview, opened: Callable[[memoryview], _T]
    ) -> _T | None:
        """Read and decode a part of an object; None when there is no good copy of just that part.

        Args:
            name: of the object.
            offset: where the part begins.
            sealed: memory of the size of the part, to read it into.
            opened: makes something of it, or raises DamagedRepository.
        """
        if self._use(name, offset, len(sealed), lambda file: file.readinto(sealed)) is None:
            return None
        try:
            return opened(sealed)
        except DamagedRepository as error:
            self._drop_bad(name, offset, error)
            return None

    def _use(self, name: str, offset: int, size: int, read: Callable[[FileIO], _T]) -> _T | None:
        """What is read of a copy of that size, which was used last then; None without one."""
        if self._folder is None:
            return None
        try:
            with self._path(self._folder, name, offset).open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != size:
                    return None
                found = read(file)
                with contextlib.suppress(OSError):  # who may only read does not tell of its use
                    os.utime(file.fileno())
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain("read", error)
            return None
        return found

    def _drop_bad(self, name: str, offset: int, error: DamagedRepository) -> None:
        _log.debug("a copy is of no use, the storage is read: %s", error)
        self.drop(name, offset)

    def put(self, name: str, offset: int, data: Buffer) -> None:
        """Keep a copy of a part of an object, as it is stored."""
        size = _on_disk(len(data))
        if self._folder is None or self._has_failed or size > self._limit // _SHARE:
            return
        try:
            self._make_room(self._folder, size)
            self._write(self._path(self._folder, name, offset), data)
        except OSError as error:
            self._has_failed = True  # a full disk would only be tried again and again
            self._complain("written", error)

    def put_trees(self, pack: PackInfo, data: memoryview) -> None:
        """Keep the segments of a pack that has just been stored, if they hold trees."""
        if self.is_on and pack.kind is Kind.TREE:
            for part in pack.segments:
                sealed = data[part.offset : part.offset + part.stored]
                self.put(object_name(pack.name), part.offset, sealed)

    def has(self, name: str, offset: int) -> bool:
        """Whether there is a copy of a part of an object."""
        return self._folder is not None and self._path(self._folder, name, offset).exists()

    def drop(self, name: str, offset: int) -> None:
        """Keep no copy any more; there may be none."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._path(self._folder, name, offset).unlink()

    @staticmethod
    def _path(folder: Path, name: str, offset: int) -> Path:
        return folder / f"{digest(name.encode())[:16].hex()}-{offset}"

    def _write(self, path: Path, data: Buffer) -> None:
        try:
            _replace(path, data)
        except FileNotFoundError:  # it is the first one, or somebody has deleted the cache
            with contextlib.suppress(FileNotFoundError):  # and does so again: let them
                path.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.parent.mkdir(exist_ok=True, mode=0o700)
                _replace(path, data)

    def _make_room(self, folder: Path, size: int) -> None:
        """See to it that so many bytes more are within the limit; mostly without a look."""
        with self._lock:
            if size > self._room:
                self._evict(folder)
                self._room = self._limit // _SHARE
            self._room -= size

    def _evict(self, folder: Path) -> None:
        """Leave a share of the limit free, and two once there is less."""
        share = self._limit // _SHARE
        copies = _copies(folder)
        used = sum(size for _, size, _ in copies)
        if used <= self._limit - share:
            return
        for _, size, path in sorted(copies):
            if used <= self._limit - 2 * share:
                break
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()
            used -= size

    def _complain(self, verb: str, error: OSError) -> None:
        """Say once that it does not work, which only costs time."""
        with self._lock:
            is_first, self._is_quiet = not self._is_quiet, True
        if is_first:
            _log.warning("the metadata cache %s cannot be %s: %s", self._folder, verb, error)


def _copies(folder: Path) -> list[tuple[int, int, str]]:
    """When each file was used last, what it takes on the disk, and where it is."""
    found: list[tuple[int, int, str]] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                found.append((about.st_mtime_ns, _on_disk(about.st_size), entry.path))
    return found


def _on_disk(size: int) -> int:
    return (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _replace(path: Path, data: Buffer) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


NO_METADATA = MetadataCache(None)
"""Keeps nothing."""
