"""From the place that a user names to a backend."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from holdfast.backend.local import LocalBackend
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.backend.base import Backend

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[^/]*:[^/]*@")


def open_backend(location: str | os.PathLike[str]) -> Backend:
    """The backend for a location; nothing is read or written yet.

    Args:
        location: a directory's path (``~`` and ``~user`` are expanded) or ``file:///path``.

    Raises:
        UsageError: the location makes no sense, names a kind of storage that this version does
            not support, or holds a password. Messages never repeat a location in which
            there may be one.
    """
    text = os.fspath(location)
    if not text or "\0" in text:
        raise UsageError("a repository's location is empty or holds a NUL character")
    match = _URI.match(text)
    if match is None:
        return LocalBackend(_local_path(text))
    protocol, rest = match[1].lower(), match[2]
    if _PASSWORD.match(rest):
        raise UsageError(
            f"a {protocol}:// location must not hold a password: "
            "it would show in process lists and logs"
        )
    if protocol == "file":
        return LocalBackend(_file_path(rest))
    # Remote storages (fsspec) come in here: protocol -> backend.
    raise UsageError(
        f"{protocol}:// locations are not supported yet: this version takes a directory's path "
        "or file:///path"
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
