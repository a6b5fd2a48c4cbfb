"""Handing an open repository over to another process on this machine, in plain values.

Tasks for executors are pickled; this goes through a pipe, to a process that we have started.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias, cast

from holdfast.backend import Access, Address, Limit, address_of, open_backend
from holdfast.clock import Clock
from holdfast.errors import UsageError
from holdfast.primitives import codec
from holdfast.store.keys import Keys, KeysRow
from holdfast.store.metadata import CacheFolder
from holdfast.store.opening import open_with_keys
from holdfast.store.store import Store

_Parts: TypeAlias = tuple[tuple[int, int, int], ...] | None
_Row: TypeAlias = tuple[bytes, dict[str, object], _Parts, _Parts, KeysRow, tuple[bytes, int] | None]


def hand_over(store: Store) -> bytes:
    """All that it takes to open a repository without its password. It is a secret.

    Raises:
        UsageError: only this process can use its storage.
    """
    address = address_of(store.backend)
    if address is None:
        raise UsageError(
            f"{store.backend.location}: another process cannot open this storage: it was not "
            "opened by its location"
        )
    access, cache = address.access, store._cache  # noqa: SLF001 - one package
    try:
        return codec.pack(
            (
                os.fsencode(address.location),
                dict(access.options),
                access.upload and access.upload.parts,
                access.download and access.download.parts,
                store.keys.row(),
                cache and (os.fsencode(cache.path), cache.metadata),
            )
        )
    except TypeError:
        raise UsageError(
            f"{store.backend.location}: another process cannot open this storage: its options "
            "are more than text, numbers, lists and mappings"
        ) from None


def take_over(handed: bytes, clock: Clock) -> Store:
    """Open the repository that `hand_over` has handed over.

    Raises:
        RepositoryError, BackendError: it cannot be opened.
    """
    row = cast("_Row", codec.unpack_rows(handed))
    location, options, upload, download, keys, cache = row
    access = Access(
        options,
        None if upload is None else Limit(upload),
        None if download is None else Limit(download),
    )
    address = Address(os.fsdecode(location), access)
    folder = cache and CacheFolder(Path(os.fsdecode(cache[0])), cache[1])
    return open_with_keys(open_backend(*address, clock), Keys.of_row(keys), clock, folder)
