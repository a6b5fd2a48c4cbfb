"""What all kinds of stores have in common, by way of fsspec; each kind overrides what differs."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar, Self, TypeAlias, TypeVar
from urllib.parse import quote, quote_plus, unquote

import fsspec
from fsspec.asyn import AsyncFileSystem, sync

from holdfast.backend.base import Leftover
from holdfast.backend.drivers.answers import Answer, answer_in, is_transport
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
    UsageError,
)

_log = logging.getLogger(__name__)

Options: TypeAlias = Mapping[str, object]
_Found = TypeVar("_Found")

TIMEOUT = 120.0
"""Seconds that a request may take, besides what its bytes take."""
SLOWEST = 16 << 10
"""Bytes a second below which a request is thought to have stalled."""
SILENT = 60
"""Seconds without a byte after which a request is given up, besides what its bytes take."""
WHOLE = 64 << 20
"""Bytes of the largest object that is read whole, for which there must be time."""

_REFUSED = frozenset({401, 403})
_BUSY = frozenset({408, 409, 425, 429})
_FAILED = 500
"""RFC 9110, section 15.6: from this status on the store, or what is before it, has failed; one that
is not known, as those of content delivery networks, means the same."""
_CANNOT = frozenset({501, 505, 506, 507, 508, 510, 511})
"""Of these, what will fail again."""
_PLAIN: Mapping[int, tuple[type[BackendError], str]] = {
    404: (ObjectNotFound, "no such object"),
    412: (ObjectExists, "the object there stays as it is"),
    507: (StorageFull, "no space is left, or a quota is reached"),
}
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], type[BackendError], str], ...]
_KINDS = (
    (FileExistsError, ObjectExists, "the object there stays as it is"),
    ((FileNotFoundError, NotADirectoryError, IsADirectoryError), ObjectNotFound, "no such object"),
)
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
"""What file systems of fsspec call the time when an object was stored."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_WAIT = frozenset({errno.EBUSY, errno.EAGAIN, errno.EREMOTEIO})
_SIGNED = re.compile(
    r"(?i)(\b(?:sig|signature|x-amz-[a-z-]+|x-goog-[a-z-]+|awsaccesskeyid|accountkey|"
    r"sharedaccesskey|token|password|secret)\s*[=:]\s*)[^\s&;,\"']+"
)
_SECRET = re.compile(r"(?i)key|secret|token|password|passphrase|credential|connection_string|sas")
_SHORT = 4
"""Characters of a value that is not looked for in messages: it would be anywhere."""


def silence_after(size: int) -> float:
    """Seconds that a store may be silent after the last of so many bytes was handed over.

    All of them may still be on their way: in buffers of this machine, or of what is in between.
    """
    return SILENT + size / SLOWEST


class UnconditionalError(BackendError):
    """The store does not know requests that depend on a condition."""


class Driver:
    """A folder of a store, by paths of its own: no names of ours are known here.

    Args:
        location: in the user's words, without secrets.
        protocol: fsspec's name for the kind of store.
        path: of the folder, as ``bucket/prefix``.
        options: for the file system of fsspec; may hold secrets.

    Attributes:
        location: as given.
        root: path of the folder.
        conditional: whether the store itself may refuse to create what is there, all at once.

    Raises:
        UsageError: the driver is not installed, or an option means nothing to it.
    """

    extra = ""
    """What `pip install holdfast[…]` installs it by."""
    names: ClassVar[Mapping[str, str]] = {}
    """Protocols of URIs that fsspec calls otherwise."""
    conditional = True
    has_folders = False
    """Whether folders stay behind when the objects in them are gone."""
    gone = frozenset({"NoSuchBucket", "ContainerNotFound"})
    """The store's words for a bucket that does not exist."""
    advice: ClassVar[Mapping[str, str]] = {}
    """What it takes to be allowed each verb."""
    credentials = "the user and the password or key"
    """Where the store's drivers look for credentials."""

    def __init__(self, location: str, protocol: str, path: str, options: Options) -> None:
        self.location = location
        self.root = path
        self._secrets: list[str] = []
        for name, value in _flat(options):
            if _SECRET.search(name):
                self._hide(str(value))
        self._fs = self._connect(protocol, options)

    def _connect(self, protocol: str, options: Options) -> fsspec.AbstractFileSystem:
        try:
            return fsspec.filesystem(
                protocol, skip_instance_cache=True, use_listings_cache=False, **options
            )
        except ImportError:
            raise self._not_installed(self.location) from None
        except (TypeError, KeyError, ValueError) as error:
            text = self.redacted(str(error))
            raise UsageError(f"{self.location}: a storage option makes no sense: {text}") from None

    @classmethod
    def at(cls, location: str, options: Options) -> Self:
        """The driver for a URI; options that the URI holds give way to those that are given."""
        protocol, _, rest = location.partition("://")
        protocol = cls.names.get(protocol.lower(), protocol.lower())
        uri = f"{protocol}://{rest}"
        try:
            kind = fsspec.get_filesystem_class(protocol)
        except ImportError:
            raise cls._not_installed(location) from None
        try:
            told: Mapping[str, object] = kind._get_kwargs_from_urls(uri)  # noqa: SLF001 - as fsspec.core does
            path: str = kind._strip_protocol(uri)  # noqa: SLF001 - as above
        except ValueError as error:  # such as a [ that is not closed
            raise UsageError(f"{location.partition('?')[0]}: it is no URI: {error}") from None
        return cls(location.partition("?")[0], protocol, path, {**told, **options})

    @classmethod
    def _not_installed(cls, location: str) -> UsageError:
        extra = cls.extra and f": pip install 'holdfast[{cls.extra}]'"
        return UsageError(f"{location}: its driver is not installed{extra}")

    # The verbs

    def put(self, path: str, data: bytes) -> None:
        """Store an object whole, or not at all."""
        self._run("pipe_file", path, data, size=len(data))

    def create(self, path: str, data: bytes) -> None:
        """As `put`, but raise if there is an object of that path."""
        self._run("pipe_file", path, data, mode="create", size=len(data))

    def read(self, path: str, part: tuple[int, int] | None) -> bytes:
        """An object, or its bytes from the first to before the second number, or fewer."""
        start, end = part or (None, None)
        size = WHOLE if part is None else part[1] - part[0]
        try:
            found: bytes = self._run("cat_file", path, start=start, end=end, size=size)
        except Exception as error:
            told = answer_in(error)
            if part is not None and told is not None and told.status == 416:  # noqa: PLR2004 - RFC 9110: the range begins after the end
                return b""
            raise
        return bytes(found)

    def size(self, path: str) -> int | None:
        """Bytes of an object; None when that is no object."""
        try:
            info: Mapping[str, object] = self._run("info", path)
        except FileNotFoundError as error:
            self._refuse_gone(error)
            return None
        size = info.get("size")
        return size if info.get("type") == "file" and isinstance(size, int) else None

    def _is_there(self, path: str) -> bool:
        """Whether there is an object of a path, as far as this may be asked."""
        try:
            return self.size(path) is not None
        except Exception:  # noqa: BLE001 - of whichever library; what was wrong before is told
            return False

    def files(self, folder: str) -> Iterable[tuple[str, int]]:
        """Path and size of every object in a folder and below; none when there is no folder."""
        try:
            found: Mapping[str, Mapping[str, object]] = self._run("find", folder, detail=True)
        except FileNotFoundError as error:
            self._refuse_gone(error)
            return []
        return [
            (path, size)
            for path, info in found.items()
            if info.get("type") == "file" and isinstance(size := info.get("size"), int)
        ]

    def has_root(self) -> bool:
        """Whether the folder itself is there, where that can be told from an empty one."""
        return True

    def remove(self, path: str) -> None:
        """Delete an object; a store that would not say that it is missing may say nothing."""
        self._run("rm_file", path)

    def leftovers(self) -> Iterable[Leftover]:
        """What killed writers left below the root, by paths; only where they may leave anything."""
        return ()

    def modified(self, path: str) -> datetime | None:
        """When an object was stored, by the store's clock; None when it does not tell."""
        info: Mapping[str, object] = self._run("info", path)
        told = next((info[name] for name in _TIMES if info.get(name)), None)
        try:
            when = datetime.fromisoformat(told) if isinstance(told, str) else told
        except ValueError:
            return None
        if not isinstance(when, datetime):
            return None
        return when if when.tzinfo else when.replace(tzinfo=UTC)

    def remove_folders(self) -> None:
        """Remove the folder and those below it, as far as nothing is in them."""
        if not self.has_folders:
            return
        with suppress(FileNotFoundError):
            found = self._fs.find(self.root, withdirs=True, detail=True)
            below = [path for path, info in found.items() if info.get("type") == "directory"]
            for path in [*sorted(below, reverse=True), self.root]:
                with suppress(OSError):  # something is in it
                    self._fs.rmdir(path)

    def close(self) -> None:
        """Let go of connections."""

    # Errors

    def explain(self, verb: str, name: str, error: Exception) -> BackendError | None:
        """What an error of fsspec or of a library below it means; None if nothing was wrong there.

        Args:
            verb: ``put``, ``get``, ``stat``, ``list`` or ``delete``.
            name: what it was about, in our words.
            error: what was raised.
        """
        if isinstance(error, BackendError):
            return error
        if isinstance(error, MemoryError | AssertionError | NameError):
            return None
        text = self.redacted(f"{type(error).__name__}: {error}")
        _log.debug("%s %s: %s", verb, name, text)
        told = answer_in(error)
        if told is not None:
            return self._answered(verb, name, told, text)
        return self._unanswered(verb, name, error, text)

    def redacted(self, text: str) -> str:
        """A text without any secret that this driver was given, or that a signed address holds."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _SIGNED.sub(r"\1***", text)[:500]

    def _hide(self, secret: str) -> None:
        """Have it left out of texts, and what stands for it in addresses."""
        forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), unquote(secret)}
        found = {*self._secrets, *(form for form in forms if len(form) > _SHORT)}
        self._secrets = sorted(found, key=len, reverse=True)  # one may hold another

    def _answered(self, verb: str, name: str, told: Answer, text: str) -> BackendError:
        """What an answer of the store means; its own words before its status."""
        if told.code in self.gone:
            return self._no_bucket(name)
        if told.status in _REFUSED:
            needed = self.advice.get(verb, "")
            return AccessDenied(name, f"{self.location} refuses to {verb} it ({text}){needed}")
        if told.status in _BUSY or (told.status >= _FAILED and told.status not in _CANNOT):
            return StorageUnavailable(name, f"{self.location}: {text}", told.retry_after)
        kind, problem = _PLAIN.get(told.status, (BackendError, f"{self.location}: {text}"))
        return kind(name, problem)

    def _unanswered(self, verb: str, name: str, error: Exception, text: str) -> BackendError:
        """What an error means that no answer of a store came with."""
        for kinds, meant, problem in _KINDS:
            if isinstance(error, kinds):
                return meant(name, problem)
        code = error.errno if isinstance(error, OSError) else None
        if isinstance(error, PermissionError):
            return AccessDenied(name, f"{self.location} refuses to {verb} it ({text})")
        if "credential" in text.lower():
            problem = f"no usable credentials ({text}): set {self.credentials}"
            return AccessDenied(name, f"{self.location}: {problem}")
        if code in _FULL:
            return StorageFull(name, f"{self.location}: no space is left, or a quota is reached")
        if code in _WAIT or is_transport(error):
            return StorageUnavailable(name, f"{self.location} does not answer ({text})")
        return BackendError(name, f"{self.location}: {text}")

    def _refuse_gone(self, error: FileNotFoundError) -> None:
        """A missing bucket is not an empty folder."""
        told = answer_in(error)
        if told is not None and told.code in self.gone:
            raise self._no_bucket("") from None

    def _no_bucket(self, name: str) -> BackendError:
        bucket = self.root.partition("/")[0]
        return BackendError(name, f"{self.location}: there is no bucket {bucket}: create it first")

    def _run(self, method: str, *args: object, size: int = 0, **named: object):  # type: ignore[no-untyped-def]  # noqa: ANN202 - as untyped as fsspec
        """Call a method of the file system, for at most as long as so many bytes may take."""
        fs = self._fs
        if not isinstance(fs, AsyncFileSystem):
            return getattr(fs, method)(*args, **named)
        timeout = TIMEOUT + size / SLOWEST
        return sync(fs.loop, getattr(fs, f"_{method}"), *args, timeout=timeout, **named)

    def _wait(self, work: Callable[[], Awaitable[_Found]], size: int = 0) -> _Found:
        """Let the file system's loop work, for at most as long as so many bytes may take."""
        found: _Found = sync(self._fs.loop, work, timeout=TIMEOUT + size / SLOWEST)
        return found


def _flat(options: Options) -> Iterable[tuple[str, object]]:
    """Names and values, those inside of others too."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield name, value
