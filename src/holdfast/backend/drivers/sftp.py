"""Folders of SSH servers, through paramiko.

An object is written to a temporary file beside its final name, synced, and only then given that
name: by a rename that replaces (`put`), or by a hard link, which fails if the name is taken
(`create`). The plain rename does not serve for that: OpenSSH's, and others', may look first and
then replace. Then the folder is synced. What a crashed writer leaves is a file whose name
begins with ``.tmp-``: it is never listed, and `leftovers` tells of it.
"""

from __future__ import annotations

import posixpath
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import unquote

from holdfast.backend.base import Leftover
from holdfast.backend.drivers.driver import Driver, Options, UnconditionalError
from holdfast.backend.drivers.pool import Pool
from holdfast.backend.drivers.sftp_names import Unlinkable, claim, publish, sync_folder
from holdfast.backend.drivers.sftp_options import SECRETS, split_location, target_of
from holdfast.backend.drivers.sftp_packets import (
    CONNECTION_LOST,
    CREATE,
    FAILURE,
    FILE_EXISTS,
    IS_A_DIRECTORY,
    NO_CONNECTION,
    NO_SPACE,
    NO_SUCH_FILE,
    PERMISSION_DENIED,
    QUOTA,
    STATVFS,
    WRITE_PROTECTED,
    Attributes,
    Entry,
    Garbled,
    Refused,
    is_file,
)
from holdfast.backend.drivers.sftp_session import Session
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectUnreadable,
    StorageFull,
    StorageUnavailable,
    UsageError,
)
from holdfast.overrides import override

_TEMPORARY: Final = ".tmp-"
_ALWAYS: Final = frozenset({"/", "."})
"""Folders that nobody has to make."""
_CONNECTIONS: Final = 4
"""At once; a server that is set up as usual drops some of more than ten that log in at once."""
_FOLDERS: Final = 32
"""Whose listings are read together."""
_FIRST: Final = 255 << 10
"""Bytes of an object that are asked for together with its size."""
_ROOM: Final = 64 << 10
"""Bytes that a file needs besides its own."""

_FULL = "no space is left, or a quota is reached"
_KINDS: Mapping[int, tuple[type[BackendError], str]] = {
    PERMISSION_DENIED: (AccessDenied, "see who owns the repository's folder on the server"),
    IS_A_DIRECTORY: (ObjectNotFound, "no such object: what is there is a folder"),
    WRITE_PROTECTED: (AccessDenied, "the file system is mounted read-only"),
    FILE_EXISTS: (ObjectExists, "the object there stays as it is"),
    NO_SPACE: (StorageFull, _FULL),
    QUOTA: (StorageFull, _FULL),
    NO_CONNECTION: (StorageUnavailable, "the server is not connected to its storage"),
    CONNECTION_LOST: (StorageUnavailable, "the server lost its storage"),
}


class SftpDriver(Driver):
    """A folder of a server, made by the first put.

    Symbolic links are followed on the way to the root and to an object, not below a folder that
    is listed.

    Attributes:
        pool: connections to the server.
    """

    extra = "sftp"

    def __init__(self, location: str, protocol: str, path: str, options: Options) -> None:
        self._target = target_of(location, options)
        secret = {name: value for name, value in options.items() if name in SECRETS}
        super().__init__(location, protocol, path, secret)
        self._durable = set(_ALWAYS)
        self._made: list[str] = []

    @override
    @classmethod
    def at(cls, location: str, options: Options) -> Self:
        """See `Driver.at`; a path that begins with ``/~/`` is in the user's home directory."""
        parts = split_location(location)
        path = unquote(parts.path, errors="surrogateescape")
        if not path or parts.query or parts.fragment or "\0" in path:
            raise UsageError(f"{location}: write sftp://user@host/folder")
        told: dict[str, object] = {}
        if parts.port is not None:
            told["port"] = parts.port
        if parts.username is not None:
            told["username"] = unquote(parts.username)
        root = path[3:] if path.startswith("/~/") else "/" + path.strip("/")
        return cls(location, "sftp", root.rstrip("/") or root or ".", {**told, **options})

    @override
    def put(self, path: str, data: bytes) -> None:
        """See `Driver.put`."""
        self._store(path, data, publish)

    @override
    def create(self, path: str, data: bytes) -> None:
        """See `Driver.create`."""
        self._store(path, data, claim)

    @override
    def read(self, path: str, part: tuple[int, int] | None) -> bytes:
        """See `Driver.read`."""
        start, end = part or (0, None)
        with self.pool.use() as session:
            try:
                with session.reading(path) as handle:
                    return _read(session, handle, start, end)
            except Refused as error:
                raise _named(session, path, error) from error

    @override
    def size(self, path: str) -> int | None:
        """See `Driver.size`."""
        with self.pool.use() as session:
            found = session.stat(path)
        return None if found is None or not is_file(found) else found.size

    @override
    def files(self, folder: str) -> Iterable[tuple[str, int]]:
        """See `Driver.files`."""
        return [
            (path, _size_of(path, found))
            for path, found in self._below(folder)
            if not _is_temporary(path)
        ]

    @override
    def has_root(self) -> bool:
        """See `Driver.has_root`."""
        with self.pool.use() as session:
            return session.stat(self.root) is not None

    @override
    def remove(self, path: str) -> None:
        """See `Driver.remove`."""
        # Not synced: only what nobody needs is deleted, so a name that a power cut brings back
        # is garbage and goes with the next sweep.
        with self.pool.use() as session:
            try:
                session.remove(path)
            except Refused as error:
                raise _named(session, path, error) from error

    @override
    def modified(self, path: str) -> datetime | None:
        """See `Driver.modified`."""
        with self.pool.use() as session:
            found = session.stat(path)
        if found is None:
            raise FileNotFoundError(path)
        return None if found.modified is None else datetime.fromtimestamp(found.modified, UTC)

    @override
    def remove_folders(self) -> None:
        """See `Driver.remove_folders`; only those that it made, also above the root."""
        self._durable = set(_ALWAYS)
        with self.pool.use() as session:
            for folder in sorted(set(self._made), reverse=True):
                with suppress(Refused):  # something is in it, or it was never made
                    session.remove_folder(folder)
        self._made = []

    @override
    def leftovers(self) -> Iterable[Leftover]:
        """See `Driver.leftovers`; one whose time is not told may be written right now."""
        now = SYSTEM_CLOCK.now_ns()
        return [
            Leftover(
                path, found.size or 0, now if found.modified is None else found.modified * 10**9
            )
            for path, found in self._below(self.root)
            if _is_temporary(path)
        ]

    @override
    def close(self) -> None:
        """See `Driver.close`."""
        self.pool.close()

    @override
    def explain(self, verb: str, name: str, error: Exception) -> BackendError | None:
        """See `Driver.explain`."""
        if isinstance(error, Garbled):
            return BackendError(name, f"{self.location}: the server does not speak SFTP: {error}")
        if isinstance(error, Unlinkable):
            return UnconditionalError(name, f"{self.location}: there are no hard links")
        if isinstance(error, Refused):
            return self._refused(verb, name, error)
        return super().explain(verb, name, error)

    def _refused(self, verb: str, name: str, error: Refused) -> BackendError:
        if error.status in _KINDS:
            kind, problem = _KINDS[error.status]
            return kind(name, f"{self.location}: {problem} ({error})")
        if error.status == NO_SUCH_FILE and verb != "put":
            return ObjectNotFound(name, "no such object")
        if error.status == FAILURE and verb == "get":
            problem = f"the server cannot read it ({error}): look at its disk and its log"
            return ObjectUnreadable(name, problem)
        return BackendError(name, f"{self.location}: the server refuses to {verb} it: {error}")

    @override
    def _connect(self, protocol: str, options: Options) -> Pool[Session]:  # noqa: ARG002 - as of all drivers
        try:
            from holdfast.backend.drivers.ssh import (  # noqa: PLC0415 - paramiko may be missing
                Server,
            )
        except ImportError:
            raise self._not_installed(self.location) from None
        self.pool = Pool(
            _CONNECTIONS,
            Server(self._target).connect,
            lambda session: session.is_alive(),
            lambda session: session.end(),
            (Refused,),
        )
        return self.pool

    @contextmanager
    def writing(self, path: str, size: int = 0) -> Iterator[Session]:
        """A connection to write a file of so many bytes by; its folder is there.

        What the server says when it cannot is made as clear as can be.
        """
        folder = posixpath.dirname(path)
        with self.pool.use() as session:
            try:
                self._prepare(session, folder)
                yield session
            except Refused as error:
                if error.status == NO_SUCH_FILE:  # somebody has removed a folder since
                    self._durable = set(_ALWAYS)
                raise _cause(session, folder, size, error) from error

    def _store(self, path: str, data: bytes, give: Callable[[Session, str, str], None]) -> None:
        try:
            self._store_once(path, data, give)
        except Refused as error:
            if error.status != NO_SUCH_FILE:
                raise
            self._store_once(path, data, give)  # which makes its folder anew

    def _store_once(
        self, path: str, data: bytes, give: Callable[[Session, str, str], None]
    ) -> None:
        temporary = temporary_beside(path)
        with self.writing(path, len(data)) as session:
            try:
                session.store(temporary, CREATE, data)
                give(session, temporary, path)
            except Refused:
                with suppress(Refused):
                    session.remove(temporary)
                raise

    def _prepare(self, session: Session, folder: str) -> None:
        """Make a folder unless it is there, and sync the way to it.

        Once per folder even if it is there: whoever made it may have crashed before syncing it.
        """
        if folder in self._durable:
            return
        parent = posixpath.dirname(folder) or "."
        if folder != self.root:
            self._prepare(session, parent)
        if session.stat(folder) is None:
            self._made.append(folder)
            self._make(session, folder, parent)
        sync_folder(session, parent)
        self._durable.add(folder)

    def _make(self, session: Session, folder: str, parent: str) -> None:
        try:
            session.make_folder(folder)
        except Refused as error:
            if error.status == NO_SUCH_FILE and parent not in {folder, ".", "/"}:
                self._prepare(session, parent)
                session.make_folder(folder)
            elif session.stat(folder) is None:
                raise

    def _below(self, folder: str) -> Iterator[tuple[str, Attributes]]:
        """Every file in a folder and below."""
        with self.pool.use() as session:
            folders = [folder]
            while folders:
                some, folders = folders[:_FOLDERS], folders[_FOLDERS:]
                for parent, found in session.folders(some).items():
                    for path, attributes in entries(session, parent, found):
                        if _is_folder(attributes):
                            folders.append(path)
                        elif is_file(attributes):
                            yield path, attributes


def _read(session: Session, handle: bytes, start: int, end: int | None) -> bytes:
    size = _FIRST if end is None else end - start
    attributes, first = session.look(handle, start, size)
    if not is_file(attributes) or attributes.size is None:
        raise Refused(IS_A_DIRECTORY, "")
    end = attributes.size if end is None else min(end, attributes.size)
    if start + len(first) >= end:
        return first[: max(0, end - start)]
    return first + session.read(handle, start + len(first), end)


def _cause(session: Session, folder: str, size: int, error: Refused) -> Refused:
    """What stands behind a failure to write: version 3 has one word for most."""
    if error.status != FAILURE or STATVFS not in session.extensions:
        return error
    try:
        room = session.room(folder)
    except Refused:
        return error
    if room.read_only:
        return Refused(WRITE_PROTECTED, "")
    if room.free < size + _ROOM or room.files == 0:
        return Refused(NO_SPACE, "")
    return error


def _named(session: Session, path: str, error: Refused) -> Refused:
    """The error, or that it was no file."""
    if error.status == NO_SUCH_FILE:
        return error
    found = session.stat(path)
    return error if found is None or is_file(found) else Refused(IS_A_DIRECTORY, "")


def entries(
    session: Session, folder: str, found: list[Entry] | Refused
) -> Iterator[tuple[str, Attributes]]:
    """What is in a folder, by paths; nothing when it is none."""
    if isinstance(found, Refused):
        if found.status == NO_SUCH_FILE:  # when it was asked for: another client may make it now
            return
        is_there = session.stat(folder)
        if is_there is None or not _is_folder(is_there):
            return
        raise found
    for name, told in found:
        if name in {".", ".."}:
            continue
        path = posixpath.join(folder, name)
        is_known = told.mode is not None and (told.size is not None or not is_file(told))
        attributes = told if is_known else session.stat(path)
        if attributes is not None:
            yield path, attributes


def temporary_beside(path: str) -> str:
    """A free name in the folder of a file."""
    return posixpath.join(posixpath.dirname(path), _TEMPORARY + secrets.token_hex(8))


def _size_of(path: str, found: Attributes) -> int:
    if found.size is None:
        raise Garbled(f"it does not tell the size of {path}")
    return found.size


def _is_folder(attributes: Attributes) -> bool:
    return attributes.mode is not None and stat.S_ISDIR(attributes.mode)


def _is_temporary(path: str) -> bool:
    return posixpath.basename(path).startswith(_TEMPORARY)
