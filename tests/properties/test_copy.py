"""Whatever a tree is: its copies restore exactly, and a second copy is the first one's equal."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.backend import MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.model.snapshot import Snapshot, encode_snapshot
from holdfast.primitives.ids import BlobId
from holdfast.store import Store, Writer, create_store
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, SETTINGS, new_store
from holdfast.testing.trees import (
    Entry,
    directory,
    expected,
    fifo,
    file,
    observed,
    save_tree,
    symlink,
)

NAMES = st.sampled_from([b"a", b"b", b"c d", b"\xff", "ä".encode(), b"x" * 60])
PIECES = st.lists(
    st.one_of(
        st.integers(1, 9000),
        st.integers(0, 5).map(lambda seed: bytes([seed]) * 700),
        st.binary(min_size=1, max_size=2500),
    ),
    max_size=6,
)
LEAVES = st.one_of(
    PIECES.map(lambda pieces: file(*pieces)),
    st.sampled_from([symlink(b"there"), symlink(b"\xfe"), fifo()]),
)
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4).map(directory),
    lambda below: st.dictionaries(NAMES, st.one_of(LEAVES, below), max_size=4).map(directory),
    max_leaves=12,
)


class Saver:
    """Writes trees into a session."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.page_key = writer.page_key

    def save_tree(self, data: bytes) -> BlobId:
        return self._writer.save_tree(data)

    def add(self, data: bytes) -> BlobId:
        return self._writer.save_data(memoryview(data), ("small", 0))


def commit(store: Store, root: Entry, time: int) -> None:
    with store.writer({}) as writer:
        tree = save_tree(root, Saver(writer))
        writer.flush()
        assert writer.confirm()
        writer.commit(encode_snapshot(Snapshot(id=writer.id, tree=tree, time_ns=time, end_ns=time)))


def assert_holds(store: Store, trees: list[Entry]) -> None:
    repo = Repository(store, SYSTEM_CLOCK)
    place = Path(tempfile.mkdtemp(prefix="holdfast-copy-"))
    try:
        for number, (snapshot, tree) in enumerate(zip(repo.snapshots(), trees, strict=True)):
            result = repo.restore(snapshot.id, place / str(number))
            assert not result.errors_total
            assert observed(place / str(number)) == expected(tree)
    finally:
        shutil.rmtree(place)
    assert repo.check(read_data=True).valid


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow])
@given(trees=st.lists(TREES, min_size=1, max_size=3), is_alike=st.booleans(), at_once=st.booleans())
def test_copies_restore_as_the_originals(trees: list[Entry], is_alike: bool, at_once: bool) -> None:
    """One snapshot after the other, or all in one run; and then on to a third repository."""
    store = new_store()
    like = store if is_alike else None
    target, third = (
        create_store(MemoryBackend(), PASSWORD, SETTINGS, QUICK_KDF, SYSTEM_CLOCK, None, other)
        for other in (like, store)
    )
    repo = Repository(store, SYSTEM_CLOCK)
    for number, tree in enumerate(trees):
        commit(store, tree, 10**18 + number)
        if not at_once:
            assert len(repo.copy(Repository(target, SYSTEM_CLOCK)).copied) == 1
    repo.copy(Repository(target, SYSTEM_CLOCK))
    assert_holds(target, trees)
    Repository(target, SYSTEM_CLOCK).copy(Repository(third, SYSTEM_CLOCK))
    originals = [snapshot.tree for snapshot in repo.snapshots()]
    returned = [each.tree for each in Repository(third, SYSTEM_CLOCK).snapshots()]
    assert returned == originals, "named back, all is as it was"
