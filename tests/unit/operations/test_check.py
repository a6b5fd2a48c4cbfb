"""Check: findings say what is wrong, and whom it hurts."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from holdfast.backend import LocalBackend, MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import UsageError
from holdfast.model.content import blob_ids
from holdfast.model.node import NodeType
from holdfast.model.snapshot import Snapshot, encode_snapshot
from holdfast.model.tree import save_directory
from holdfast.model.walk import directory_tree, file_content, lookup
from holdfast.operations.carry import carry
from holdfast.operations.check import CheckReport, Finding, FindingKind, ReadData
from holdfast.operations.hurt import MAX_PATHS
from holdfast.overrides import override
from holdfast.primitives.ids import BlobId, PackName, SnapshotId
from holdfast.progress import Progress, ProgressEvent
from holdfast.store import BlobSet, Writer
from holdfast.store.rotation import begin_rotation, finish_rotation
from holdfast.store.slots import Maker
from holdfast.testing.layouts import node
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, copied, new_store, reopened

# How much is read


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (False, ReadData()),
        (True, ReadData(share=1.0)),
        ("10%", ReadData(share=0.1)),
        ("0%", ReadData()),
        ("100%", ReadData(share=1.0)),
        ("2.5%", ReadData(share=0.025)),
        ("3/10", ReadData(part=3, parts=10)),
        ("1/1", ReadData(part=1, parts=1)),
    ],
)
def test_shares_and_parts_are_understood(value: bool | str, expected: ReadData) -> None:
    assert ReadData.parse(value) == expected


@pytest.mark.parametrize(
    "value", ["", "10", "101%", "-1%", "0/10", "11/10", "1/0", "x/y", "1/10/2", "%", " 10%", "ten%"]
)
def test_other_shares_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="share such as 10%"):
        ReadData.parse(value)


PACKS = [PackName(f"{number * 7919 % (1 << 32):08x}" + "0" * 56) for number in range(100)]


def test_parts_are_disjoint_and_make_up_the_whole() -> None:
    parts = [ReadData(part=part, parts=7).choose(PACKS) for part in range(1, 8)]
    assert sorted(pack for part in parts for pack in part) == sorted(PACKS)
    assert all(part == ReadData(part=at, parts=7).choose(PACKS) for at, part in enumerate(parts, 1))


@pytest.mark.parametrize(
    ("share", "count", "expected"),
    [(1.0, 100, 100), (0.0, 100, 0), (0.1, 100, 10), (0.1, 1, 1), (0.1, 11, 2), (0.5, 0, 0)],
)
def test_a_share_is_rounded_up(share: float, count: int, expected: int) -> None:
    chosen = ReadData(share=share).choose(PACKS[:count])
    assert len(chosen) == len(set(chosen)) == expected
    assert set(chosen) <= set(PACKS)


def test_a_share_is_drawn_anew() -> None:
    drawn = Counter(pack for _ in range(40) for pack in ReadData(share=0.3).choose(PACKS))
    assert len(drawn) > 90


# A repository


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> MemoryBackend:
    """Two snapshots: of `shared/…` and `first`, and of `shared/…` and `second/…`."""
    place = tmp_path_factory.mktemp("source") / "data"
    (place / "shared").mkdir(parents=True)
    (place / "shared/file").write_bytes(b"shared")
    (place / "shared/large").write_bytes(os.urandom(200_000))
    (place / "first").write_bytes(b"first")
    backend = MemoryBackend()
    repository = Repository(new_store(backend), SYSTEM_CLOCK)
    repository.backup(place)
    (place / "first").unlink()
    (place / "second/deep").mkdir(parents=True)
    for number in range(MAX_PATHS + 20):
        (place / f"second/deep/{number:03}").write_bytes(b"%d" % number)
    repository.backup(place)
    return backend


def opened(backend: MemoryBackend) -> Repository:
    return Repository(reopened(backend), SYSTEM_CLOCK)


def packs(repository: Repository, snapshot: int, path: str) -> set[str]:
    """The packs that hold a file of a snapshot, or its directory."""
    store = repository._store
    chosen = repository.snapshots()[snapshot]
    found = set()
    with store.loader() as loader:
        node = lookup(chosen.tree, path.encode(), loader)
        blobs = (
            [directory_tree(node)]
            if node.type == NodeType.DIRECTORY
            else list(blob_ids(file_content(node), loader))
        )
        for blob in blobs:
            for location in store.catalog.load().locate(blob):
                found.add(store.pack_object(store.catalog.table.pack(location.pack).name))
    return found


def source_of(repository: Repository) -> str:
    return repository.snapshots()[0].paths[0]


def by_object(report: CheckReport) -> dict[str, Finding]:
    return {finding.object: finding for finding in report.findings}


@pytest.mark.parametrize("read_data", [False, True, "50%", "1/2"])
@pytest.mark.parametrize("full", [False, True])
def test_a_good_repository_is_valid(
    original: MemoryBackend, read_data: bool | str, *, full: bool
) -> None:
    events: list[ProgressEvent] = []
    report = opened(original).check(read_data=read_data, full=full, progress=events.append)
    assert report.valid
    assert report.findings == ()
    assert (report.snapshots, report.packs) == (2, len(list(original.list("data/"))))
    assert report.blobs > 100
    if read_data is True:
        assert report.packs_read == report.packs
        assert report.bytes_read == sum(info.size for info in original.list("data/"))
    assert events[-1].percent == 100
    assert json.loads(json.dumps(report.dict())) == {
        "valid": True,
        "errors": [],
        "findings": [],
        "snapshots": 2,
        "packs": report.packs,
        "blobs": report.blobs,
        "packs_read": report.packs_read,
        "bytes_read": report.bytes_read,
    }


def test_a_lost_pack_names_whom_it_hurts(original: MemoryBackend) -> None:
    """Two snapshots share a file: the finding names both, and what of them is hurt."""
    backend = copied(original)
    source = source_of(opened(backend))
    (pack,) = packs(opened(backend), 0, f"{source}/first")
    backend.delete(pack)
    report = opened(backend).check()
    assert not report.valid
    finding = by_object(report)[pack]
    assert finding.kind == FindingKind.MISSING_PACK
    first, second = opened(backend).snapshots()
    hurts = {hurt.snapshot: set(hurt.paths) for hurt in finding.hurts}
    assert f"{source}/first" in hurts[first.id]
    assert f"{source}/shared/file" in hurts[first.id] & hurts[second.id]
    assert [finding.object for finding in report.errors] == [pack]


def test_paths_are_counted_beyond_those_that_are_named(original: MemoryBackend) -> None:
    backend = copied(original)
    source = source_of(opened(backend))
    (pack,) = packs(opened(backend), 1, f"{source}/second/deep/000")
    backend.delete(pack)
    finding = by_object(opened(backend).check())[pack]
    (hurt,) = [hurt for hurt in finding.hurts if hurt.count > MAX_PATHS]
    assert hurt.count == MAX_PATHS + 20
    assert len(hurt.paths) == MAX_PATHS
    assert set(hurt.paths) <= {f"{source}/second/deep/{number:03}" for number in range(200)}


def test_a_lost_directory_hurts_its_path(original: MemoryBackend) -> None:
    backend = copied(original)
    source = source_of(opened(backend))
    (pack,) = packs(opened(backend), 1, f"{source}/second")
    backend.delete(pack)
    report = opened(backend).check()
    finding = by_object(report)[pack]
    second = opened(backend).snapshots()[1]
    (hurt,) = [hurt for hurt in finding.hurts if hurt.snapshot == second.id]
    assert hurt.paths == ("/",)  # all its trees were in that pack


def test_only_the_asked_snapshots_are_checked(original: MemoryBackend) -> None:
    backend = copied(original)
    source = source_of(opened(backend))
    first, second = opened(backend).snapshots()
    (pack,) = packs(opened(backend), 1, f"{source}/second")
    backend.delete(pack)
    report = opened(backend).check([first.id])
    assert report.valid
    assert report.findings == ()
    assert report.snapshots == 1
    report = opened(backend).check([second.id])
    assert [hurt.snapshot for hurt in by_object(report)[pack].hurts] == [second.id]


def test_a_pack_that_no_index_knows_is_harmless(original: MemoryBackend) -> None:
    backend = copied(original)
    other = MemoryBackend()
    for info in original.list(""):
        other.put(info.name, original.get(info.name))
    with reopened(other).writer({}) as writer:
        writer.save_data(memoryview(b"new"), ("small", 0))
        writer.flush()
    (new,) = {info.name for info in other.list("data/")} - {
        info.name for info in backend.list("data/")
    }
    backend.put(new, other.get(new))
    report = opened(backend).check(read_data=True, full=True)
    assert report.valid
    assert [(finding.object, finding.kind) for finding in report.findings] == [
        (new, FindingKind.UNINDEXED)
    ]


def test_a_lost_index_object_loses_blobs(original: MemoryBackend) -> None:
    for info in list(original.list("index/")):
        backend = copied(original)
        backend.delete(info.name)
        report = opened(backend).check()
        assert not report.valid
        kinds = {finding.kind for finding in report.findings}
        assert kinds == {FindingKind.UNINDEXED, FindingKind.BLOB}
        (lost,) = report.errors
        assert lost.hurts


def test_damaged_data_is_found_by_reading_it(original: MemoryBackend) -> None:
    backend = copied(original)
    source = source_of(opened(backend))
    for pack in packs(opened(backend), 0, f"{source}/shared/large"):
        data = bytearray(backend.get(pack))
        data[150] ^= 1
        backend.put(pack, bytes(data))
        assert opened(backend).check(full=True).valid
        report = opened(backend).check(read_data=True)
        assert by_object(report)[pack].kind == FindingKind.PACK
        assert by_object(report)[pack].hurts
        backend.put(pack, original.get(pack))


def test_packs_are_read_several_at_a_time(original: MemoryBackend) -> None:
    class Waiting(MemoryBackend):
        """A pack is given as soon as another one is asked for too."""

        def __init__(self) -> None:
            super().__init__()
            self.at_work = 0
            self.together = threading.Event()

        @override
        def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
            """See `Backend.get`."""
            if name.startswith("data/") and offset == 0:
                self.at_work += 1
                if self.at_work > 1:
                    self.together.set()
                self.together.wait(60)
                self.at_work -= 1
            return super().get(name, offset, length)

    backend = Waiting()
    for info in original.list(""):
        backend.put(info.name, original.get(info.name))
    report = opened(backend).check(read_data=True)
    assert report.packs_read > 1
    assert backend.together.is_set()


def test_damaged_trailers_are_found_by_a_full_check(original: MemoryBackend) -> None:
    for info in list(original.list("data/")):
        backend = copied(original)
        data = bytearray(backend.get(info.name))
        data[-1] ^= 1
        backend.put(info.name, bytes(data))
        assert opened(backend).check().valid
        report = opened(backend).check(full=True)
        assert [finding.object for finding in report.errors] == [info.name]


def test_a_rotation_that_is_not_finished_is_told(original: MemoryBackend) -> None:
    backend = copied(original)
    begun = begin_rotation(reopened(backend), [PASSWORD], QUICK_KDF, Maker(), drop_others=True)
    report = opened(backend).check()
    assert report.valid
    finding = by_object(report)["config/1"]
    assert finding.kind == FindingKind.ROTATION
    assert "holdfast key rotate --finish" in finding.message
    assert finish_rotation(begun, {}, wait=False, expire_after=1e9).finished
    assert "config/2" not in by_object(opened(backend).check())


def test_what_another_copy_heals_hurts_nobody(tmp_path: Path) -> None:
    """A damaged pack is an error all the same, but no snapshot is hurt."""
    source = tmp_path / "data"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    backend = MemoryBackend()
    store = new_store(backend)
    snapshot = Repository(store, SYSTEM_CLOCK).backup(source).snapshot
    assert snapshot is not None
    packs = list(store.list_packs().packs)
    with store.writer({}, avoid=packs) as writer, store.loader() as loader:
        carry(snapshot.tree, loader, writer, BlobSet(store.catalog.load()), Progress(None))
        writer.flush()
    first = {store.pack_object(pack) for pack in packs}
    for name in first:
        backend.put(name, bytes(backend.stat(name)))
    report = opened(backend).check(read_data=True)
    assert {finding.object for finding in report.errors} == first
    assert all(finding.hurts == () for finding in report.errors)
    opened(backend).restore("latest", tmp_path / "restored")
    assert (tmp_path / "restored" / str(source)[1:] / "file").read_bytes() == b"content"


def test_a_directory_that_is_hurt_is_looked_at_once_however_often_it_is() -> None:
    """A tree in which every level has two names for the next: 2^40 paths, 40 directories."""
    backend = MemoryBackend()
    store = new_store(backend)
    lost = BlobId(bytes(32))
    with store.writer({}) as writer:
        tree = save_directory([node(b"lost", NodeType.FILE, lost, 5)], writer)
        for _ in range(40):
            tree = save_directory(
                [node(name, NodeType.DIRECTORY, tree) for name in (b"a", b"b")], writer
            )
        writer.flush()
        assert writer.confirm()
        snapshot = Snapshot(id=SnapshotId(writer.id), tree=tree, time_ns=1, end_ns=1)
        writer.commit(encode_snapshot(snapshot))
    report = opened(backend).check()
    (finding,) = report.errors
    (hurt,) = finding.hurts
    assert hurt.count == 1 << 40
    assert len(hurt.paths) == MAX_PATHS
    assert hurt.paths[0] == "/a" * 40 + "/lost"


def committed(tree: BlobId, writer: Writer) -> None:
    writer.flush()
    assert writer.confirm()
    snapshot = Snapshot(id=SnapshotId(writer.id), tree=tree, time_ns=1, end_ns=1)
    writer.commit(encode_snapshot(snapshot))


def kinds(report: CheckReport) -> dict[str, FindingKind]:
    return {finding.object: finding.kind for finding in report.findings}


def test_a_missing_pack_that_nothing_needs_is_harmless(original: MemoryBackend) -> None:
    backend = copied(original)
    repository = opened(backend)
    with repository._store.writer({}) as writer:
        writer.save_data(memoryview(b"what no snapshot needs"), ("small", 0))
        writer.flush()
        digits = writer.id[:8]
    (stale,) = [info.name for info in backend.list("data/") if info.name.endswith(digits)]
    backend.delete(stale)
    report = opened(backend).check()
    assert report.valid
    assert kinds(report) == {stale: FindingKind.STALE}
    # While a directory cannot be read nobody knows what needs it.
    for name in packs(repository, 1, f"{source_of(repository)}/second"):
        backend.delete(name)
    assert kinds(opened(backend).check())[stale] == FindingKind.MISSING_PACK


def test_what_a_reclaim_deletes_is_harmless(original: MemoryBackend) -> None:
    backend = copied(original)
    repository = opened(backend)
    with repository._store.writer({}) as writer:
        writer.save_data(memoryview(b"what no snapshot needs"), ("small", 0))
        writer.flush()
        digits = writer.id[:8]
    (name,) = [info.name for info in backend.list("data/") if info.name.endswith(digits)]
    pack = PackName(name.rpartition("/")[2])
    reclaim = opened(backend)._store.reclaim({}, 1800.0)
    reclaim.condemn([pack])
    assert opened(backend).check(read_data=True, full=True).findings == ()
    good = backend.get(name)
    backend.put(name, good[:-1])
    assert kinds(opened(backend).check(read_data=True)) == {name: FindingKind.CONDEMNED}
    backend.delete(name)
    assert opened(backend).check().valid
    backend.put(name, good)
    reclaim.remove([pack])
    report = opened(backend).check(read_data=True, full=True)
    assert kinds(report) == {name: FindingKind.CONDEMNED}
    assert report.valid
    backend.delete(name)
    assert opened(backend).check(read_data=True, full=True).findings == ()


def test_a_condemned_pack_that_is_needed_and_damaged_is_an_error(original: MemoryBackend) -> None:
    backend = copied(original)
    repository = opened(backend)
    (name,) = packs(repository, 0, f"{source_of(repository)}/first")
    pack = PackName(name.rpartition("/")[2])
    repository._store.reclaim({}, 1800.0).condemn([pack])
    assert opened(backend).check(read_data=True).findings == ()
    backend.put(name, bytes(backend.stat(name)))
    report = opened(backend).check(read_data=True)
    assert kinds(report) == {name: FindingKind.PACK}
    assert report.findings[0].hurts


def test_a_damaged_announcement_is_an_error(original: MemoryBackend) -> None:
    for suffix in ("", ".waits"):
        backend = copied(original)
        name = f"gc/{'7' * 32}{suffix}"
        backend.put(name, b"damaged")
        assert kinds(opened(backend).check()) == {name: FindingKind.OBJECT}


@pytest.mark.parametrize("listed", [False, True])
def test_an_entry_whose_size_is_not_that_of_its_content_is_named(*, listed: bool) -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    with store.writer({}) as writer:
        blob = writer.save_data(memoryview(b"five."), ("small", 0))
        wrong = (0, ((blob, 7), 3)) if listed else blob
        right = (0, ((blob, 5), 3)) if listed else blob
        entries = [
            node(b"right", NodeType.FILE, right, 8 if listed else 5),
            node(b"wrong", NodeType.FILE, wrong, 10 if listed else 7),
        ]
        below = save_directory(entries, writer)
        tree = save_directory([node(b"below", NodeType.DIRECTORY, below)], writer)
        committed(tree, writer)
    (finding,) = opened(backend).check().findings
    assert (finding.object, finding.kind) == (f"tree {below.hex()}", FindingKind.TREE)
    (hurt,) = finding.hurts
    assert (hurt.snapshot, hurt.paths, hurt.count) == (writer.id, ("/below/wrong",), 1)


@pytest.mark.parametrize("extra", [0, 1])
def test_directories_too_deep_to_follow_are_named(
    extra: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = 40  # the limit is far above, and a tree that deep takes long to make
    for module in ("holdfast.operations.check.trees", "holdfast.model.descent"):
        monkeypatch.setattr(sys.modules[module], "MAX_DEPTH", depth)
    backend = MemoryBackend()
    store = new_store(backend)
    with store.writer({}) as writer:
        tree = lowest = save_directory([], writer)
        for _ in range(depth - 1 + extra):
            tree = save_directory([node(b"d", NodeType.DIRECTORY, tree)], writer)
        committed(tree, writer)
    report = opened(backend).check()
    if not extra:
        assert report.findings == ()
        return
    (finding,) = report.findings
    assert (finding.object, finding.kind) == (f"tree {lowest.hex()}", FindingKind.TREE)
    (hurt,) = finding.hurts
    assert (hurt.count, hurt.paths) == (1, ("/d" * depth,))


def test_a_lost_page_of_a_directory_hurts_it_once() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    with store.writer({}) as writer, store.rehearsal() as nowhere:
        lost: list[BlobId] = []

        class Losing:
            """Loses the second page."""

            page_key = writer.page_key

            def save_tree(self, data: bytes) -> BlobId:
                lost.append(nowhere.save_tree(data))
                return lost[-1] if len(lost) == 2 else writer.save_tree(data)

        names = [b"%05d" % number for number in range(9000)]
        big = save_directory([node(name, NodeType.FIFO, None) for name in names], Losing())
        tree = save_directory([node(b"big", NodeType.DIRECTORY, big)], writer)
        committed(tree, writer)
    assert len(lost) >= 4  # three pages at least, wherever the random key cuts them, and their list
    (finding,) = opened(backend).check().errors
    assert finding.kind == FindingKind.BLOB
    (hurt,) = finding.hurts
    assert (hurt.paths, hurt.count) == (("/big",), 1)


def test_what_killed_writers_left_is_told(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "repo")
    store = new_store(backend)
    (tmp_path / "repo/index").mkdir(exist_ok=True)
    (tmp_path / "repo/index/.tmp-0123456789abcdef").write_bytes(b"half of")
    report = Repository(store, SYSTEM_CLOCK).check()
    assert kinds(report) == {"index/.tmp-0123456789abcdef": FindingKind.STRAY}
    assert report.valid
