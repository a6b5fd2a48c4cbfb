"""What can be asked of a storage without a repository in it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from holdfast.backend import open_backend
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.engine.connect import access_by

if TYPE_CHECKING:
    from holdfast.operations.storage_test import StorageReport


def test_storage(
    location: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, object] | None = None,
    limit_upload: int | str | None = None,
    limit_download: int | str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> StorageReport:
    """Find out what a storage can and cannot do, and what it is fit for.

    Some megabytes are stored in a folder ``holdfast-test-…`` of the location, read, listed,
    replaced and deleted again. It takes neither a repository nor a password, and harms neither.
    With credentials that may not store, what is there is read; with some that may not delete, the
    report says what is left.

    Args:
        location: where a repository is or may be, as for `open`.
        storage_options: for the storage's driver; never shown.
        limit_upload: KiB a second that may be sent, as for `open`.
        limit_download: KiB a second that may be fetched.
        clock: for measurements.

    Raises:
        UsageError: an argument makes no sense, or the driver is not installed.
        BackendError: nothing at all can be done there.
    """
    from holdfast.operations.storage_test import probe_storage

    access = access_by(storage_options, limit_upload, limit_download)
    folder = f"holdfast-test-{secrets.token_hex(8)}"
    inside = _below(os.fspath(location), folder)
    with closing(open_backend(location, access, clock)) as place:
        return probe_storage(place, folder, lambda: open_backend(inside, access, clock), clock)


def _below(location: str, name: str) -> str:
    """The location of a folder in a location."""
    scheme, mark, rest = location.rpartition("://")
    path, question, query = rest.partition("?") if mark else (rest, "", "")
    return f"{scheme}{mark}{path.rstrip('/')}/{name}{question}{query}"
