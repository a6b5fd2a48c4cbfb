"""Repaired snapshots: all that is left of the old ones, and nothing that is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.backend import MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import DamagedRepository, SnapshotNotFound
from holdfast.model.node import NodeType
from holdfast.model.snapshot import Problem, Snapshot, encode_snapshot
from holdfast.model.tree import load_directory, save_directory
from holdfast.model.walk import directory_tree, lookup
from holdfast.operations.repair.snapshots import REPAIR
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.store import Kind
from holdfast.testing.layouts import node
from holdfast.testing.repositories import new_store, reopened


class Losing:
    """Saves trees, and loses some of them: those of the given numbers."""

    def __init__(self, store_id: MemoryBackend, numbers: set[int]) -> None:
        self.backend = store_id
        self.store = reopened(store_id)
        self.writer = self.store.writer({})
        self.page_key = self.writer.page_key
        self._numbers = numbers
        self._saved = 0

    def save_tree(self, data: bytes) -> BlobId:
        """Save a tree, or only say that it was."""
        self._saved += 1
        if self._saved in self._numbers:
            return self.store.rehearsal().save_tree(data)
        return self.writer.save_tree(data)

    def commit(self, tree: BlobId) -> SnapshotId:
        """Make a snapshot of it."""
        with self.writer as writer:
            writer.flush()
            assert writer.confirm()
            snapshot = Snapshot(
                id=writer.id,
                tree=tree,
                time_ns=1,
                end_ns=2,
                host="h",
                tags=("t",),
                problems=(Problem("/other", "open", "denied"),),
                problem_count=1,
            )
            return writer.commit(encode_snapshot(snapshot))


def opened(backend: MemoryBackend) -> Repository:
    return Repository(reopened(backend), SYSTEM_CLOCK)


@pytest.fixture
def backend() -> MemoryBackend:
    backend = MemoryBackend()
    new_store(backend)
    return backend


@pytest.mark.fault(11)
def test_of_a_directory_in_pages_what_can_be_read_stays(backend: MemoryBackend) -> None:
    saver = Losing(backend, {3})
    names = [b"%05d" % number for number in range(9000)]
    big = save_directory([node(name, NodeType.FIFO, None) for name in names], saver)
    top = save_directory(
        [node(b"big", NodeType.DIRECTORY, big), node(b"fifo", NodeType.FIFO, None)], saver
    )
    old = saver.commit(top)
    repository = opened(backend)
    (repair,) = repository.repair_snapshots(dry_run=False).snapshots
    assert (repair.snapshot, repair.paths, repair.lost, repair.problem) == (old, ("/big",), 1, "")
    assert repair.new is not None
    new = repository.snapshot(repair.new)
    with repository._store.loader() as loader:
        below = lookup(new.tree, b"/big", loader)
        left = [each.name for each in load_directory(directory_tree(below), loader)]
        lost: list[DamagedRepository] = []
        readable = [each.name for each in load_directory(big, loader, on_damage=lost.append)]
    assert len(lost) == 1
    assert left == readable
    assert 0 < len(left) < len(names)
    assert below.extra == {"incomplete": True}
    assert [entry.path for entry in repository.walk(repair.new)][-1] == "/fifo"
    # It says what it is made of, and is otherwise as the old one.
    before = repository.snapshot(old)
    assert (new.replaces, new.original, new.host, new.tags) == (old, old, "h", ("t",))
    assert (new.time_ns, new.end_ns) == (1, 2)
    assert new.problems[0] == before.problems[0]
    assert [(each.path, each.operation) for each in new.problems[1:]] == [("/big", REPAIR)]
    assert new.problem_count == 2
    assert not opened(backend).repair_snapshots([new.id]).snapshots


@pytest.mark.fault(11)
def test_a_lost_directory_is_left_out_wherever_it_is(backend: MemoryBackend) -> None:
    """The same directory is in two places, and deep below another."""
    saver = Losing(backend, {1})
    lost = save_directory([node(b"fifo", NodeType.FIFO, None)], saver)
    tree = save_directory(
        [node(b"lost", NodeType.DIRECTORY, lost), node(b"kept", NodeType.FIFO, None)], saver
    )
    for _ in range(200):
        tree = save_directory([node(b"d", NodeType.DIRECTORY, tree)], saver)
    twice = [node(name, NodeType.DIRECTORY, tree) for name in (b"a", b"b")]
    old = saver.commit(save_directory([*twice, node(b"z", NodeType.DIRECTORY, lost)], saver))
    repository = opened(backend)
    (repair,) = repository.repair_snapshots(dry_run=False).snapshots
    deep = "/d" * 200
    assert set(repair.paths) == {f"/a{deep}/lost", f"/b{deep}/lost", "/z"}
    assert (repair.lost, repair.snapshot) == (3, old)
    assert repair.new is not None
    fifos = [each.path for each in repository.walk(repair.new) if each.type == "fifo"]
    assert fifos == [f"/a{deep}/kept", f"/b{deep}/kept"]
    assert repository.check([repair.new], read_data=True).valid


def test_damaged_data_is_found_by_reading_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(b"content")
    (tmp_path / "data/link").symlink_to("file")
    backend = MemoryBackend()
    store = new_store(backend)
    snapshot = Repository(store, SYSTEM_CLOCK).backup(tmp_path / "data").snapshot
    assert snapshot is not None
    for row in store.catalog.refresh().pack_rows():
        if store.pack_header(row).kind is Kind.DATA:
            where = store.pack_object(row.name)
            backend.put(where, bytes(backend.stat(where)))
    assert opened(backend).repair_snapshots().snapshots == ()
    (repair,) = opened(backend).repair_snapshots(read_data=True).snapshots
    assert repair.paths == (f"{tmp_path}/data/file",)
    assert (repair.new, repair.made) == (None, False)


def test_holds_and_notes_are_carried_over(backend: MemoryBackend) -> None:
    saver = Losing(backend, {1})
    lost = save_directory([], saver)
    old = saver.commit(save_directory([node(b"lost", NodeType.DIRECTORY, lost)], saver))
    opened(backend).tag([old], add=["later"], hold="a case", note="seen")
    (repair,) = opened(backend).repair_snapshots(dry_run=False).snapshots
    assert repair.new is not None
    new = opened(backend).snapshot(repair.new)
    assert set(new.tags) == {"t", "later"}
    assert [hold.reason for hold in new.holds] == ["a case"]
    assert new.notes == ("seen",)


def test_a_snapshot_there_is_not_is_refused(backend: MemoryBackend) -> None:
    with pytest.raises(SnapshotNotFound):
        opened(backend).repair_snapshots(["12345678"])
