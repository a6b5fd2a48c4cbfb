"""How much is in a batch: its bounds are those of its memory and of its descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.model.node import Node, NodeType
from holdfast.operations.restore import RestoreOptions
from holdfast.operations.restore.batch import (
    MAX_BYTES,
    MAX_DIRECTORIES,
    MAX_ENTRIES,
    Batch,
    OpenDirectory,
)
from holdfast.operations.restore.entries import Context, EntryRestorer, Surroundings
from holdfast.operations.restore.helper import Helper
from holdfast.operations.restore.result import Tally
from holdfast.operations.restore.scope import Place, Scope
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import node


@pytest.mark.parametrize(
    ("shares", "entries", "size"),
    [
        (MAX_DIRECTORIES, 1, 0),
        (2, MAX_ENTRIES // 2, 0),
        (1, MAX_ENTRIES, 0),
        (2, 1, MAX_BYTES // 2),
        (1, 1, MAX_BYTES),
    ],
)
def test_a_batch_is_full_at_each_of_its_bounds(
    tmp_path: Path, shares: int, entries: int, size: int
) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    context = Context(
        fd, MemoryBlobs(), RestoreOptions(), Tally(), None, lambda *_: None, lambda: False
    )
    with Helper(None, fd) as helper:
        batch = Batch(EntryRestorer(context), context, helper)
        told = []
        for _ in range(shares):
            directory = OpenDirectory(
                Surroundings(Place(None, b""), Scope(None, None), is_new=True, inherits=True),
                None,
                None,
            )
            directory.waiting = waiting(entries)
            directory.waiting_bytes = size
            batch.add(directory, os.dup(fd))
            told.append(batch.is_full)
        batch.close()
    os.close(fd)
    assert told == [False] * (shares - 1) + [True]


def waiting(count: int) -> list[Node]:
    return [node(b"%d" % number, NodeType.FIFO, None) for number in range(count)]
