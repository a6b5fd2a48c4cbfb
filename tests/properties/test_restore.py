"""A restore onto whatever is there gives what the policy says, worked out here on plain records."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.model.node import NodeType
from holdfast.operations.restore import Overwrite, RestoreOptions, restore
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import (
    BLOB,
    TIME,
    Entry,
    Seen,
    directory,
    expected,
    fifo,
    file,
    observed,
    save_tree,
    symlink,
)

NAMES = st.sampled_from([b"a", b"b", b"c", b"\xff"])
TIMES = st.sampled_from([TIME - 1, TIME, TIME + 1])
PIECES = st.sampled_from([b"x", b"y", b"x" * BLOB, b"y" * BLOB, bytes(BLOB), 1, 5000])


def _content(pieces: list[bytes | int]) -> list[bytes | int]:
    """No two runs of zeros side by side, as content has it."""
    return [p for i, p in enumerate(pieces) if i == 0 or isinstance(p, bytes) or pieces[i - 1] != p]


FILES = st.builds(
    lambda pieces, mode, mtime: file(*_content(pieces), mode=mode, mtime=mtime),
    st.lists(PIECES, max_size=5),
    st.sampled_from([0o644, 0o400]),
    TIMES,
)
LINKS = st.builds(
    lambda target, mtime: symlink(target, mtime=mtime),
    st.sampled_from([b"a", b"b", b"..", b"../a/b", b"/nowhere"]),
    TIMES,
)
LEAVES = FILES | LINKS | st.builds(fifo)
TREES = st.recursive(
    LEAVES,
    lambda below: st.builds(
        lambda entries, mode, mtime: directory(entries, mode=mode, mtime=mtime),
        st.dictionaries(NAMES, below, max_size=4),
        st.sampled_from([0o755, 0o500]),
        TIMES,
    ),
    max_leaves=12,
)
ROOTS = st.dictionaries(NAMES, TREES, max_size=4).map(directory)


def make(root: Entry, path: bytes) -> None:
    """Create a tree by the simplest means."""
    for name, entry in root.entries.items():
        below = path + b"/" + name
        if entry.type is NodeType.SYMLINK:
            os.symlink(entry.target, below)  # noqa: PTH211 - bytes
        elif entry.type is NodeType.FIFO:
            os.mkfifo(below)
        elif entry.type is NodeType.FILE:
            Path(os.fsdecode(below)).write_bytes(entry.data)
        else:
            os.mkdir(below)  # noqa: PTH102 - bytes
            make(entry, below)
        if entry.type is not NodeType.SYMLINK:
            os.chmod(below, entry.mode)  # noqa: PTH101 - bytes
        os.utime(below, ns=(entry.mtime, entry.mtime), follow_symlinks=False)


def merged(there: Entry, snapshot: Entry, overwrite: Overwrite, *, delete: bool) -> Entry:
    """What a directory of the target becomes."""
    entries = {} if delete else dict(there.entries)
    for name, entry in snapshot.entries.items():
        found = there.entries.get(name)
        if found is None:
            entries[name] = entry
        else:
            entries[name] = _met(found, entry, overwrite, delete=delete)
    return there.but(entries=entries)


def _met(found: Entry, entry: Entry, overwrite: Overwrite, *, delete: bool) -> Entry:
    protected = overwrite is Overwrite.NEVER or (
        overwrite is Overwrite.IF_NEWER and found.mtime >= entry.mtime
    )
    if found.type is entry.type is NodeType.DIRECTORY:
        inside = merged(found, entry, overwrite, delete=delete)
        # Whether its mtime changes depends on what is done in it: -1 stands for any.
        return inside.but(mtime=-1) if protected else entry.but(entries=inside.entries)
    if protected or (found.entries and not delete):
        return found
    if overwrite is Overwrite.IF_CHANGED and found.type is entry.type:
        sizes = {len(e.data) + len(e.target) for e in (found, entry)}
        if len(sizes) == 1 and found.mtime == entry.mtime:
            return entry.but(pieces=found.pieces, target=found.target)
    return entry


def comparable(seen: dict[bytes, Seen], wild: set[bytes]) -> dict[bytes, Seen]:
    return {
        path: (kind, mode, -1 if path in wild else mtime, content)
        for path, (kind, mode, mtime, content) in seen.items()
    }


@settings(max_examples=examples(150))
@given(ROOTS, ROOTS, st.sampled_from(Overwrite), st.booleans(), st.booleans())
def test_restore_onto_anything(
    there: Entry,
    snapshot: Entry,
    overwrite: Overwrite,
    delete: bool,
    sparse: bool,
) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(snapshot, blobs)
    options = RestoreOptions(overwrite=overwrite, delete=delete, sparse=sparse)
    outcome = expected(merged(there, snapshot, overwrite, delete=delete))
    wild = {path for path, seen in outcome.items() if seen[2] == -1}
    with tempfile.TemporaryDirectory() as target:
        make(there, os.fsencode(target))
        for number in range(2):
            result = restore(tree, b"/", target, blobs, options)
            assert comparable(observed(target), wild) == outcome
            assert {problem.operation for problem in result.errors} <= {"create"}
            if number:
                assert (result.bytes_written, result.deleted) == (0, 0)
