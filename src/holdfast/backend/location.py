"""From the place that a user names to a backend."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from holdfast.backend.access import Access, Address
from holdfast.backend.foreign import RemoteObjects
from holdfast.backend.local import LocalBackend
from holdfast.backend.retry import Retrying
from holdfast.backend.throttle import Throttled
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.backend.base import Backend

_PLAIN = Access()
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_LOCAL = frozenset({"file", "local"})
_CHAINED = re.compile(r"::[A-Za-z0-9+.-]+://")
_HOST = re.compile(r"\[[^\]]*\](:[0-9]*)?|[^:]*(:[0-9]*)?")
_USER_OR_PORT = re.compile(r"[^\[\]:]*:[0-9]*")
_PARAMETER = re.compile(r";[^=]*=")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_SECRET = re.compile(
    r"(?i)(^|[?&;#])([^=&;]*(sig|token|secret|key|pass|pwd|credential|auth)[^=&;]*|sas)="
)
_NO_USERS = frozenset({"s3", "s3a", "gs", "gcs"})


def open_backend(
    location: str | os.PathLike[str], access: Access = _PLAIN, clock: Clock = SYSTEM_CLOCK
) -> Backend:
    """The backend for a location; nothing is read or written yet.

    Args:
        location: a directory's path (``~`` and ``~user`` are expanded), ``file:///path``, or
            the URI of a store that fsspec has a driver for, such as ``s3://bucket/prefix``.
        access: how a store is to be used.
        clock: for time-outs and limits.

    Raises:
        UsageError: the location makes no sense, names a kind of storage that is not known or
            whose driver is not installed, or holds a secret. Messages never repeat a location
            in which there may be one.
    """
    text = os.fspath(location)
    if not text or "\0" in text:
        raise UsageError("a repository's location is empty or holds a NUL character")
    match = _URI.match(text)
    if match is None:
        return _limited(LocalBackend(_local_path(text)), access, clock)
    protocol, rest = match[1].lower(), match[2]
    _refuse_secrets(protocol, rest)
    if protocol in _LOCAL:
        return _limited(LocalBackend(_file_path(rest)), access, clock)
    from holdfast.backend.remote import open_remote  # noqa: PLC0415 - what local ones need not load

    backend = open_remote(text, protocol, access.options)
    return Retrying(_limited(backend, access, clock), clock)


def open_objects(
    location: str, access: Access = _PLAIN, clock: Clock = SYSTEM_CLOCK
) -> RemoteObjects:
    """What is in a folder of a store, to be backed up or restored to; nothing is read yet.

    Args:
        location: a URI; see `open_backend`.
        access: how the store is to be used; its limits are those of repositories.
        clock: for time-outs.

    Raises:
        UsageError: as for `open_backend`, or it names no folder of a store.
    """
    match = _URI.match(location)
    if match is None or match[1].lower() in _LOCAL or "\0" in location:
        raise UsageError(f"{location!r} is no location in a store: give the path of a directory")
    protocol, rest = match[1].lower(), match[2]
    _refuse_secrets(protocol, rest)
    if not rest.strip("/"):
        raise UsageError(f"{protocol}:// names no bucket: write {protocol}://bucket/folder")
    from holdfast.backend.drivers.others import objects_at  # noqa: PLC0415 - as above

    address = Address(location, access)
    return RemoteObjects(objects_at(location, protocol, access.options), clock, address)


def is_uri(location: object) -> bool:
    """Whether that is text such as ``s3://bucket/folder``."""
    return isinstance(location, str) and _URI.match(location) is not None


def address_of(backend: Backend) -> Address | None:
    """What another process needs to use a backend of `open_backend`; None for any other."""
    match backend:
        case LocalBackend():
            return Address(str(backend.path), _PLAIN)
        case Retrying():
            return address_of(backend.backend)
        case Throttled():
            inner = address_of(backend.backend)
            return inner and inner._replace(
                access=replace(inner.access, upload=backend.upload, download=backend.download)
            )
        case _:
            address: object = getattr(backend, "address", None)  # of a RemoteBackend, not loaded
            return address if isinstance(address, Address) else None


def _limited(backend: Backend, access: Access, clock: Clock) -> Backend:
    if access.upload is None and access.download is None:
        return backend
    return Throttled(backend, access.upload, access.download, clock)


def _refuse_secrets(protocol: str, rest: str) -> None:
    """Refuse a location that would show a secret in process lists, logs and messages."""
    host, slash, path = rest.partition("/")
    has_parameter = _PARAMETER.search(unquote(host))  # `user;password=…`, as some write
    user, _, host = unquote(host).rpartition("@")
    # The part before an @ may be a user, or an Azure container, but a key has no place there. A
    # password with a slash in it looks as if a host ended there, with a port that is none, or may
    # be one if no user stands before it.
    is_port = _HOST.fullmatch(host) and (user or not _USER_OR_PORT.fullmatch(host))
    is_cut = slash and "@" in path and not is_port
    has_key = ":" in user or (user and protocol in _NO_USERS) or is_cut or has_parameter
    if has_key or _SECRET.search(unquote("".join(_QUERY.findall(rest)))):
        raise UsageError(
            f"a {protocol}:// location must not hold a password, a key or a signature: it would "
            "show in process lists and logs; set the driver's environment variables, or give it "
            "with --storage-option; an @ in a folder's name is written as %40"
        )
    if _CHAINED.search(rest):
        raise UsageError("a location is one URI, not several joined by ::")


def _local_path(text: str) -> str:
    # As rsync and borg do: `host:/path` or `s3:bucket` must not become a directory of that name.
    if ":" in text.partition("/")[0]:
        raise UsageError(
            "a colon before the first slash of a location is the mark of a URI, such as "
            "s3://bucket/folder or sftp://user@host/folder; write a directory of such a name with "
            "its absolute path"
        )
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        raise UsageError(
            f"{text}: no home directory is known; write ./{text} for a directory of that name"
        ) from error


def _file_path(rest: str) -> str:
    """The path of a file URI (RFC 8089), after ``file://``."""
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise UsageError("a file:// location is on this machine: write file:///absolute/path")
    decoded = unquote(slash + path, errors="surrogateescape")
    if "\0" in decoded:
        raise UsageError("a repository's location holds a NUL character")
    return decoded
