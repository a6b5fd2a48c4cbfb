"""What the parent snapshot has, and what of it a backup may build upon."""

from __future__ import annotations

import logging
from operator import itemgetter
from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.node import PAYLOAD, TYPE, NodeType, Row
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_rows
from holdfast.primitives.ids import BlobId
from holdfast.store import Rehearsal, Writer

_log = logging.getLogger(__name__)

GRANULARITY = 2_000_000_000
"""Nanoseconds in which a file may change unnoticed, on file systems with the coarsest times."""

_DIRECTORY = int(NodeType.DIRECTORY)
_name = itemgetter(0)


class Before(NamedTuple):
    """What the parent snapshot has in a directory: its entries in order, and its tree's blobs."""

    rows: list[Row]
    by_name: dict[bytes, Row]
    pages: list[BlobId]

    def tree(self, name: bytes) -> object:
        """The tree of a directory in it; None when it has none of that name."""
        row = self.by_name.get(name)
        return row[PAYLOAD] if row is not None and row[TYPE] == _DIRECTORY else None


NOTHING = Before([], {}, [])


def load_before(tree: object, loader: BlobLoader) -> Before:
    """What the parent snapshot has in the directory of that tree; nothing when it is None."""
    if not isinstance(tree, bytes):
        return NOTHING
    try:
        rows, pages = load_rows(BlobId(tree), loader)
    except DamagedRepository as error:
        # Nothing is lost by reading files anew that the parent has no good record of.
        _log.warning("the parent snapshot is damaged: %s", error)
        return NOTHING
    return Before(rows, dict(zip(map(_name, rows), rows, strict=True)), pages)


def is_stored(row: Row, writer: Writer | Rehearsal, loader: BlobLoader) -> bool:
    """Whether all blobs of a file are where this backup may build upon them."""
    content = row[PAYLOAD]
    if isinstance(content, bytes):
        return writer.has((BlobId(content),))
    if not isinstance(content, tuple):
        return content is None
    try:
        return writer.has([blob for _, blob in references(content, loader)])
    except DamagedRepository as error:
        _log.warning("the parent snapshot is damaged: %s", error)
        return False


def trusted_before(parent: Snapshot | None) -> int:
    """Files with later times may have changed unnoticed after the parent read them."""
    if parent is None:
        return 0
    started = parent.how.get("started")
    return (started if isinstance(started, int) else parent.time_ns) - GRANULARITY
