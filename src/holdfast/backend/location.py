"""From the place that a user names to a backend."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from holdfast.backend.access import Access
from holdfast.backend.local import LocalBackend
from holdfast.backend.retry import Retrying
from holdfast.backend.throttle import Throttled
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.backend.base import Backend

_PLAIN = Access()
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SIGNED = re.compile(r"(?i)(^|&)(sig|signature|[a-z-]*(token|secret|key|password)[a-z-]*)=")
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
    if protocol == "file":
        return _limited(LocalBackend(_file_path(rest)), access, clock)
    from holdfast.backend.remote import open_remote  # noqa: PLC0415 - what local ones need not load

    backend = open_remote(text, protocol, access.options)
    return Retrying(_limited(backend, access, clock), clock)


def _limited(backend: Backend, access: Access, clock: Clock) -> Backend:
    if access.upload is None and access.download is None:
        return backend
    return Throttled(backend, access.upload, access.download, clock)


def _refuse_secrets(protocol: str, rest: str) -> None:
    """Refuse a location that would show a secret in process lists, logs and messages."""
    user = rest.partition("/")[0].rpartition("@")[0]
    query = rest.partition("?")[2]
    # The part before an @ may be a user, or an Azure container, but a key has no place there.
    if ":" in user or (user and protocol in _NO_USERS) or _SIGNED.search(query):
        raise UsageError(
            f"a {protocol}:// location must not hold a password, a key or a signature: it would "
            "show in process lists and logs; set the driver's environment variables, or give it "
            "with --storage-option"
        )


def _local_path(text: str) -> str:
    # As rsync and borg do: `host:/path` or `s3:bucket` must not become a directory of that name.
    if ":" in text.partition("/")[0]:
        raise UsageError(
            "a colon before the first slash of a location stands for a kind of storage that this "
            "version does not support; write a directory of such a name with its absolute path"
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
