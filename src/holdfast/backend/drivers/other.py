"""Any other store that fsspec, or the application that registered it there, has a driver for.

Nothing is known of such a store but what fsspec promises of all: that it keeps files in folders.
So an object is written under a temporary name and renamed if its driver can rename, its size is
compared, folders are listed one by one so that none that cannot be read looks empty, and nobody
relies on being the only one to create an object. Connections are made when they are needed, used
by one thread at a time, and made anew when one failed.
"""

from __future__ import annotations

import errno
import posixpath
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, Self

import fsspec
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.registry import known_implementations, registry

from holdfast.backend.base import Leftover
from holdfast.backend.drivers.answers import is_transport
from holdfast.backend.drivers.driver import SLOWEST, TIMEOUT, Driver, Options
from holdfast.backend.drivers.objects import nanoseconds
from holdfast.backend.drivers.pool import Pool
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import BackendError, HoldfastError, UsageError
from holdfast.overrides import override

_TEMPORARY: Final = ".tmp-"
_CONNECTIONS: Final = 4
_LARGE: Final = 64 << 20
"""Bytes of a part that there should be first."""
_TIMES: Final = ("mtime", "last_modified", "modified", "LastModified", "updated", "created")
_HARMLESS = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    PermissionError,
)

_ARCHIVE = "it is a file of another file system: put the repository into a folder of that"
_WRAPPER = "it shows another file system in another way: name that one itself"
_READ_ONLY = "nothing can be written there"
_NO_STORES: Mapping[str, str] = {
    "async_wrapper": _WRAPPER,
    "asynclocal": _WRAPPER,
    "asyncwrapper": _WRAPPER,
    "blockcache": _WRAPPER,
    "cached": _WRAPPER,
    "dask": _WRAPPER,
    "data": _READ_ONLY,
    "dir": _WRAPPER,
    "filecache": _WRAPPER,
    "ftp": "fsspec's driver takes a folder that it fails to read for an empty one: use sftp://",
    "generic": _WRAPPER,
    "gist": _READ_ONLY,
    "git": _READ_ONLY,
    "http": _READ_ONLY,
    "https": _READ_ONLY,
    "libarchive": _ARCHIVE,
    "reference": _WRAPPER,
    "simplecache": _WRAPPER,
    "tar": _ARCHIVE,
    "zip": _ARCHIVE,
}


def check_protocol(protocol: str, own: Iterable[str]) -> None:
    """Refuse a kind of store that nobody knows, or that is none.

    Args:
        protocol: the part of a URI before ``://``.
        own: those that need no look at what fsspec knows.

    Raises:
        UsageError: it is refused.
    """
    if protocol in _NO_STORES:
        raise UsageError(f"a {protocol}:// location is no store: {_NO_STORES[protocol]}")
    known = {*known_implementations, *registry}
    if protocol not in known:
        there_are = sorted({*known, *own} - _NO_STORES.keys() - {"local"})
        raise UsageError(
            f"{protocol}:// locations are not supported: there are a directory's path, "
            f"file:///path, {', '.join(f'{name}://' for name in there_are if name != 'file')}"
        )


class _AstrayError(BackendError):
    """An object that was to be replaced has another name now, and so has the new one."""


class OtherDriver(Driver):
    """A folder of a store that is known by its driver of fsspec only."""

    conditional = False

    @override
    @classmethod
    def at(cls, location: str, options: Options) -> Self:
        """See `Driver.at`."""
        protocol = location.partition("://")[0].lower()
        try:
            fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise _not_installed(location, error) from None
        try:
            return super().at(location, options)
        except ValueError as error:
            raise UsageError(f"{location.partition('?')[0]}: {error}") from None

    @override
    def put(self, path: str, data: bytes) -> None:
        """See `Driver.put`; where nothing can be renamed the driver sees that it is whole."""
        with self._pool.use() as fs:
            if not can_rename(fs):
                _write(fs, path, data)
                return
            temporary = posixpath.join(posixpath.dirname(path), _TEMPORARY + secrets.token_hex(8))
            try:
                _write(fs, temporary, data)
                replace(fs, temporary, path)
            except Exception as error:
                if not is_transport(error) and not isinstance(error, _AstrayError):
                    with suppress(Exception):  # the first failure is told
                        _call(fs, "rm_file", temporary)
                raise

    @override
    def read(self, path: str, part: tuple[int, int] | None) -> bytes:
        """See `Driver.read`; a driver may allocate what it is asked for, so that is bounded."""
        if part is not None and part[1] - part[0] > _LARGE:
            size = self.size(path)
            if size is None:
                raise FileNotFoundError(path)
            part = min(part[0], size), min(part[1], size)
        return super().read(path, part)

    @override
    def files(self, folder: str) -> Iterable[tuple[str, int]]:
        """See `Driver.files`; the store is asked for a size that a listing lacks."""
        listed = [(path, info.get("size")) for path, info in self._below(folder)]
        sizes = ((path, self._told(path, size)) for path, size in listed if not _is_temporary(path))
        return [(path, size) for path, size in sizes if size is not None]

    @override
    def has_root(self) -> bool:
        """See `Driver.has_root`."""
        with self._pool.use() as fs:
            return _is_folder(fs, self.root)

    @override
    def remove(self, path: str) -> None:
        """See `Driver.remove`; some drivers would delete a folder with all that is in it."""
        if self.size(path) is None:
            raise FileNotFoundError(path)
        super().remove(path)

    @override
    def leftovers(self) -> Iterable[Leftover]:
        """See `Driver.leftovers`; where no times are told each may be written right now."""
        found = []
        for path, info in self._below(self.root):
            if _is_temporary(path):
                size = info.get("size")
                times = filter(None, (nanoseconds(info.get(name)) for name in _TIMES))
                modified = next(times, SYSTEM_CLOCK.now_ns())
                found.append(Leftover(path, size if isinstance(size, int) else 0, modified))
        return found

    @override
    def close(self) -> None:
        """See `Driver.close`."""
        self._pool.close()

    @override
    def explain(self, verb: str, name: str, error: Exception) -> BackendError | None:
        """See `Driver.explain`."""
        if isinstance(error, HoldfastError) and not isinstance(error, BackendError):
            return None  # a connection is made late, so an option that makes no sense shows late
        if isinstance(error, NotImplementedError):
            return BackendError(name, f"{self.location}: its driver cannot {verb} ({error})")
        return super().explain(verb, name, error)

    @override
    def _connect(self, protocol: str, options: Options) -> Pool[fsspec.AbstractFileSystem]:
        self._protocol = protocol
        self._options = options
        self._pool: Pool[fsspec.AbstractFileSystem] = Pool(
            _CONNECTIONS, self.connect, lambda _: True, end, _HARMLESS
        )
        return self._pool

    def connect(self) -> fsspec.AbstractFileSystem:
        """A file system of fsspec, with connections of its own."""
        try:
            fs = fsspec.filesystem(self._protocol, skip_instance_cache=True, **self._options)
        except ImportError as error:
            raise _not_installed(self.location, error) from None
        except (TypeError, KeyError, ValueError) as error:
            text = self.redacted(str(error))
            raise UsageError(f"{self.location}: a storage option makes no sense: {text}") from None
        # As an argument some drivers would hand it on to who does not know it.
        fs.dircache.use_listings_cache = False
        return fs

    @override
    def _run(self, method: str, *args: object, size: int = 0, **named: object):  # type: ignore[no-untyped-def]  # noqa: ANN202 - as of `Driver`
        with self._pool.use() as fs:
            return _call(fs, method, *args, size=size, **named)

    def _told(self, path: str, size: object) -> int | None:
        """The size of a listed file; None when it is gone. One of no size must not seem gone."""
        if not isinstance(size, int):
            try:
                info: Mapping[str, object] = self._run("info", path)
            except FileNotFoundError:
                return None
            size = info.get("size")
        if not isinstance(size, int):
            raise BackendError("", f"{self.location}: it does not tell the size of {path}")
        return size

    def _below(self, folder: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Every file in a folder and below, by path; its folder cannot be read: an error."""
        with self._pool.use() as fs:
            fs.invalidate_cache()
            folders = [folder]
            while folders:
                parent = folders.pop()
                for path, info in _entries(fs, parent):
                    if info.get("type") == "directory":
                        folders.append(path)
                    elif info.get("type") == "file":
                        yield path, info


def _entries(
    fs: fsspec.AbstractFileSystem, folder: str
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """What is right in a folder; nothing when there is no such folder."""
    try:
        found: Iterable[Mapping[str, object]] = _call(fs, "ls", folder, detail=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        if _is_folder(fs, folder):
            raise ConnectionError(f"a folder that is there was not found ({error})") from None
        return
    for info in found:
        name = str(info["name"]).strip("/")
        # Of a file, and by some of a folder, the listing has itself. Drivers differ in how they
        # begin paths, so only the end of one is believed.
        if name != folder.strip("/"):
            yield posixpath.join(folder, posixpath.basename(name)), info


def _is_folder(fs: fsspec.AbstractFileSystem, path: str) -> bool:
    # Not by `isdir` or `exists` of fsspec, to which any error means that nothing is there.
    try:
        info: Mapping[str, object] = _call(fs, "info", path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return info.get("type") == "directory"


def _write(fs: fsspec.AbstractFileSystem, path: str, data: bytes) -> None:
    try:
        _call(fs, "pipe_file", path, data, size=len(data))
    except Exception as error:
        if is_transport(error):
            raise
        # Most likely its folder is not there, which each driver says in words of its own.
        _call(fs, "makedirs", posixpath.dirname(path), exist_ok=True)
        _call(fs, "pipe_file", path, data, size=len(data))
    info: Mapping[str, object] = _call(fs, "info", path)
    if info.get("size") != len(data):
        raise ConnectionError(f"{info.get('size')} of {len(data)} bytes are there")


def replace(fs: fsspec.AbstractFileSystem, temporary: str, path: str) -> None:
    """Rename a file over whatever file has that name.

    Raises:
        _AstrayError: neither the old nor the new file has that name, but both are there.
    """
    try:
        fs.mv(temporary, path)
    except OSError as error:
        if not _is_taken(error):
            raise
    else:
        return
    # It renames to free names only. For a moment there is no such object, never part of one.
    folder, name = posixpath.split(path)
    aside = posixpath.join(folder, f"{_TEMPORARY}{name}.{secrets.token_hex(8)}")
    try:
        fs.mv(path, aside)
        fs.mv(temporary, path)
    except BaseException as error:
        is_there = _put_back(fs, aside, path)
        if is_there or not isinstance(error, Exception) or is_transport(error):
            raise
        why = type(error).__name__  # its text may hold a secret
        problem = f"it was not replaced ({why}), but renamed to {aside}: rename it to {path}"
        raise _AstrayError(name, problem) from None
    with suppress(Exception):  # it is in nobody's way, and is swept one day
        fs.rm_file(aside)


def _put_back(fs: fsspec.AbstractFileSystem, aside: str, path: str) -> bool:
    """Undo a rename if there is need and it can be done; whether there is a file of that name."""
    try:
        if not fs.exists(path):
            fs.mv(aside, path)
    except Exception:  # noqa: BLE001 - of whichever library; what failed before is told
        return False
    return True


def _is_taken(error: OSError) -> bool:
    return isinstance(error, FileExistsError) or error.errno == errno.EEXIST


def can_rename(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether its driver does not do it by copying, as fsspec does for those that cannot."""
    inherited = type(fs).mv is fsspec.AbstractFileSystem.mv
    return not inherited and not isinstance(fs, AsyncFileSystem)


def _call(  # type: ignore[no-untyped-def]  # noqa: ANN202 - as untyped as fsspec
    fs: fsspec.AbstractFileSystem, method: str, *args: object, size: int = 0, **named: object
):
    if not isinstance(fs, AsyncFileSystem):
        return getattr(fs, method)(*args, **named)
    timeout = TIMEOUT + size / SLOWEST
    return sync(fs.loop, getattr(fs, f"_{method}"), *args, timeout=timeout, **named)


def end(fs: fsspec.AbstractFileSystem) -> None:
    """Close the connections of a file system, if its driver can."""
    close: object = getattr(fs, "close", None)
    if callable(close):
        with suppress(Exception):  # it may be what failed
            close()


def _is_temporary(path: str) -> bool:
    return posixpath.basename(path).startswith(_TEMPORARY)


def _not_installed(location: str, error: ImportError) -> UsageError:
    return UsageError(f"{location}: its driver is not installed ({error})")
