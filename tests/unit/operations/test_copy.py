"""Copies between repositories: what arrives, what travels, and what is read for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import holdfast
from holdfast.backend import Backend, Faulty, MemoryBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.model.content import blob_ids, iter_items, list_blobs
from holdfast.model.node import NodeType
from holdfast.model.snapshot import Snapshot, encode_snapshot
from holdfast.model.walk import file_content, walk
from holdfast.operations.copy.known import KnownIds
from holdfast.operations.copy.transplant import Transplant
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.progress import Progress
from holdfast.store import BlobSet, Settings, Store, create_store
from holdfast.testing.content import noise
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, SETTINGS, new_store, reopened
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

pytestmark = pytest.mark.usefixtures("cheap_passwords")

OTHER = Settings(ChunkerParams("pyfastcdc", 512, 2048, 8192), 2 << 20, 9)
"""A target whose chunker, packs and compression differ."""


def repository(store: Store) -> Repository:
    return Repository(store, SYSTEM_CLOCK)


def like(store: Store, backend: Backend | None = None, settings: Settings = SETTINGS) -> Store:
    backend = backend or MemoryBackend()
    return create_store(backend, PASSWORD, settings, QUICK_KDF, SYSTEM_CLOCK, None, store)


KINDS: dict[str, Callable[[Store], Store]] = {
    "equal ids": like,
    "equal ids, other settings": lambda source: like(source, settings=OTHER),
    "other ids": lambda _: new_store(),
    "other ids, other settings": lambda _: new_store(settings=OTHER),
}
kinds = pytest.mark.parametrize("kind", KINDS)


class Saver:
    """Writes trees into a session."""

    def __init__(self, store: Store) -> None:
        self.writer = store.writer({})
        self.page_key = self.writer.page_key

    def save_tree(self, data: bytes) -> BlobId:
        return self.writer.save_tree(data)

    def add(self, data: bytes) -> BlobId:
        return self.writer.save_data(memoryview(data), ("small", 0))


def commit(store: Store, root: Entry | BlobId, time: int = 10**18, **more: object) -> Snapshot:
    """A snapshot of a tree that is written down."""
    saver = Saver(store)
    with saver.writer as writer:
        tree = save_tree(root, saver) if isinstance(root, Entry) else root
        snapshot = Snapshot(id=writer.id, tree=tree, time_ns=time, end_ns=time + 1, host="h")
        snapshot = replace(snapshot, paths=("/",), **more)  # type: ignore[arg-type]  # by name
        writer.flush()
        assert writer.confirm()
        writer.commit(encode_snapshot(snapshot))
    return snapshot


def sample(seed: int = 0) -> Entry:
    """A tree with one of everything."""
    return directory(
        {
            b"big": file(*[noise(1000, seed + n) for n in range(30)]),
            b"empty": file(),
            b"hole": file(5000, noise(2000, seed + 100), 7000),
            b"only hole": file(123_456),
            b"small": file(b"some text", mode=0o600),
            b"same": file(b"some text"),
            b"link": symlink(b"../elsewhere"),
            b"pipe": fifo(),
            b"one": file(b"linked").but(group=7),
            b"two": file(b"linked").but(group=7),
            b"\xff odd": directory(mode=0o700),
            b"sub": directory({b"deeper": directory({b"file": file(noise(3000, seed + 200))})}),
        }
    )


def restored(store: Store, snapshot: str, place: Path) -> Mapping[bytes, object]:
    result = repository(store).restore(snapshot, place)
    assert not result.errors_total, result.errors
    return observed(place)


def data_packs(store: Store) -> set[str]:
    """The objects that hold blobs of files."""
    rows = store.catalog.refresh().pack_rows()
    return {store.pack_object(row.name) for row in rows if row.header[12] == 1}


@kinds
def test_a_copy_restores_identically(kind: str, tmp_path: Path) -> None:
    source = new_store()
    tree = sample()
    original = commit(source, tree, label="x", tags=("a", "b"), utc_offset=3600)
    target = KINDS[kind](source)
    result = repository(source).copy(repository(target))
    (copied,) = repository(target).snapshots()
    assert restored(target, copied.id, tmp_path / "a") == expected(tree)
    one, two = tmp_path / "a/one", tmp_path / "a/two"
    assert one.stat().st_ino == two.stat().st_ino
    assert repository(target).check(read_data=True).valid
    assert result.copied[0].snapshot == copied
    assert copied.original == original.id
    assert copied.id != original.id
    assert (copied.tree == original.tree) == kind.startswith("equal")
    same = replace(
        copied, id=original.id, tree=original.tree, how={}, original=None, summary=original.summary
    )
    assert same == original
    assert copied.summary.data_added > 35_000
    assert result.data_stored == copied.summary.data_stored > 0


@kinds
def test_a_copy_of_a_copy_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    source = new_store()
    tree = sample(5)
    original = commit(source, tree)
    middle = KINDS[kind](source)
    repository(source).copy(repository(middle))
    last = like(source)
    repository(middle).copy(repository(last))
    (end,) = repository(last).snapshots()
    assert end.tree == original.tree
    assert restored(last, end.id, tmp_path / "x") == expected(tree)


@kinds
def test_what_is_there_is_not_copied_again(kind: str) -> None:
    source = new_store()
    commit(source, sample())
    target = KINDS[kind](source)
    first = repository(source).copy(repository(target))
    again = repository(source).copy(repository(target))
    assert (len(first.copied), first.skipped) == (1, 0)
    assert (again.copied, again.skipped) == ((), 1)
    back = repository(target).copy(repository(source))
    assert (back.copied, back.skipped) == ((), 1), "what came from there need not go back"


@kinds
def test_a_copy_that_was_changed_does_go_back(kind: str) -> None:
    source = new_store()
    commit(source, sample())
    target = KINDS[kind](source)
    repository(source).copy(repository(target))
    repository(target).rewrite("latest", host="other", forget=True)
    back = repository(target).copy(repository(source))
    assert [each.snapshot.host for each in back.copied if each.snapshot] == ["other"]
    again = repository(source).copy(repository(target), host="h")
    assert (again.copied, again.skipped) == ((), 1), "what was rewritten there counts as there"


@kinds
@pytest.mark.parametrize("where", ["here", "there"])
def test_what_was_brought_back_is_not_copied_again(kind: str, where: str) -> None:
    source = new_store()
    first = commit(source, sample(), tags=("a",))
    target = KINDS[kind](source)
    here, there = repository(source), repository(target)
    here.copy(there)
    changed = here if where == "here" else there
    changed.forget("latest", force=True)
    back = changed.undelete("latest")
    assert back.original != first.id or where == "here"
    for one, other in ((here, there), (there, here)):
        again = one.copy(other)
        assert (again.copied, again.skipped) == ((), 1)
    child = commit(source, sample(), 2 * 10**18, parent=here.snapshot("latest").id)
    (copied,) = here.copy(there).copied
    assert copied.original.id == child.id
    assert copied.snapshot is not None
    assert copied.snapshot.parent == there.snapshot("latest~1").id


def test_what_was_brought_back_and_changed_is_copied_again() -> None:
    source = new_store()
    commit(source, sample())
    here, there = repository(source), repository(like(source))
    here.copy(there)
    there.forget("latest", force=True)
    there.undelete("latest")
    there.rewrite("latest", exclude="small", forget=True)
    assert len(here.copy(there).copied) == 1


def grown(tree: Entry) -> tuple[Entry, int]:
    """A tree after a file came and another one changed in the middle, and the bytes of that."""
    sub = directory({**tree.entries[b"sub"].entries, b"new": file(noise(700, 999))})
    big = tree.entries[b"big"]
    pieces = [*big.pieces[:10], noise(1000, 888), *big.pieces[11:]]
    return tree.but(entries={**tree.entries, b"sub": sub, b"big": big.but(pieces=pieces)}), 1700


@kinds
def test_a_second_copy_sends_and_reads_only_what_is_new(kind: str, tmp_path: Path) -> None:
    objects = MemoryBackend()
    source = new_store(objects)
    tree = sample()
    commit(source, tree)
    target = KINDS[kind](source)
    repository(source).copy(repository(target))
    there = {info.name for info in target.backend.list("data/")}
    old_data = data_packs(source)
    assert old_data

    after, new_bytes = grown(tree)
    commit(source, after, 2 * 10**18)
    counted = Faulty(objects, NoFault())
    result = repository(reopened(counted)).copy(repository(reopened(target.backend)))
    assert (len(result.copied), result.skipped) == (1, 1)
    copied = result.copied[0].snapshot
    assert copied is not None
    assert copied.parent is None

    read = {call.name for call in counted.calls if call.verb == "get"}
    assert not read & old_data, "data of the first snapshot was read again"
    assert read & data_packs(source)
    trees = 5000  # the root and `sub`
    assert new_bytes < copied.summary.data_added < new_bytes + trees
    sent = sum(info.size for info in target.backend.list("data/") if info.name not in there)
    assert new_bytes < sent < new_bytes + trees
    assert restored(target, copied.id, tmp_path / "x") == expected(after)


@kinds
def test_what_an_earlier_copy_has_lost_is_sent_again(kind: str, tmp_path: Path) -> None:
    """Its directories are all there; a file that they name is not."""
    source = new_store()
    commit(source, sample())
    target = KINDS[kind](source)
    repository(source).copy(repository(target))
    for pack in data_packs(target):
        target.backend.delete(pack)
    repository(reopened(target.backend)).repair_index(dry_run=False)
    commit(source, sample(), 2 * 10**18)
    result = repository(source).copy(repository(reopened(target.backend)))
    assert (len(result.copied), result.skipped) == (1, 1)
    after = reopened(target.backend)
    assert restored(after, "latest", tmp_path / "x") == expected(sample())


def test_what_is_missing_can_be_told_before_anything_is_copied() -> None:
    """So that other processes can begin with it."""
    source, target = new_store(), new_store()
    snapshot = commit(source, sample())
    with source.loader() as here, target.loader() as there, target.writer({}) as writer:
        table = target.catalog.load()
        transplant = Transplant(
            here, there, writer, KnownIds(), lambda: BlobSet(table), Progress(None)
        )
        seen = BlobSet(source.catalog.refresh())
        missing = [each.blob for each in transplant.missing(snapshot.tree, None, seen)]
        blobs = {
            blob
            for _, node in walk(snapshot.tree, here)
            if node.type == NodeType.FILE
            for blob in blob_ids(file_content(node), here)
        }
        assert len(missing) == len(set(missing)) > 30
        assert set(missing) <= blobs
        assert list(transplant.missing(snapshot.tree, None, seen)) == []
        transplant.run(snapshot.tree, None)
        again = BlobSet(source.catalog.refresh())
        assert list(transplant.missing(snapshot.tree, None, again)) == []


@kinds
def test_a_copy_says_what_it_was_copied_from(kind: str) -> None:
    """Whatever version makes the next copy finds it by that name."""
    source = new_store()
    original = commit(source, sample())
    target = KINDS[kind](source)
    repository(source).copy(repository(target))
    (copied,) = repository(target).snapshots()
    assert copied.how["copied"] == (original.tree, copied.tree)


def test_a_copy_reads_nothing_of_a_file_that_the_target_has() -> None:
    """With other ids, in one run: the second snapshot has the data of the first elsewhere."""
    objects = MemoryBackend()
    source = new_store(objects)
    commit(source, sample())
    data = data_packs(source)
    moved = directory({b"moved": directory(sample().entries), b"again": sample()})
    commit(source, moved, 2 * 10**18)
    counted = Faulty(objects, NoFault())
    target = new_store()
    repository(reopened(counted)).copy(repository(target))
    assert {info.name for info in objects.list("data/")} >= data
    gets = [call.name for call in counted.calls if call.verb == "get" and call.name in data]
    assert len(gets) == sum(1 for _ in segments(source, data))


def segments(store: Store, packs: set[str]) -> set[tuple[int, int]]:
    """The segments of these packs."""
    return {
        (location.pack, location.ordinal)
        for _, location in store.catalog.refresh().rows()
        if store.pack_object(store.catalog.table.pack(location.pack).name) in packs
    }


@kinds
def test_a_long_file_has_its_lists_renamed(kind: str, tmp_path: Path) -> None:
    """More blobs than an entry holds, so that the ids are in list blobs."""
    source = new_store()
    pieces: list[bytes | int] = [n.to_bytes(4, "big") * 5 for n in range(6000)]
    pieces[100:200] = [1000]
    tree = directory({b"long": file(*pieces)})
    original = commit(source, tree)
    target = KINDS[kind](source)
    first = repository(source).copy(repository(target)).copied[0].snapshot
    assert first is not None
    with source.loader() as here, target.loader() as there:
        ((_, old),) = walk(original.tree, here)
        ((_, new),) = walk(first.tree, there)
        assert isinstance(old.payload, tuple)
        assert isinstance(new.payload, tuple)
        assert old.payload[0] > 0
        assert (old.payload == new.payload) == kind.startswith("equal")
        cuts = [
            [(at, item if isinstance(item, int) else item[1]) for at, item in found]
            for found in (
                iter_items(file_content(old), old.size, here),
                iter_items(file_content(new), new.size, there),
            )
        ]
        assert cuts[0] == cuts[1]
    assert restored(target, first.id, tmp_path / "x") == expected(tree)
    longer = directory({b"long": file(*pieces, b"and an end")})
    commit(source, longer, 2 * 10**18)
    second = repository(source).copy(repository(target)).copied[0].snapshot
    assert second is not None
    with target.loader() as there:
        ((_, newer),) = walk(second.tree, there)
        before, after = (set(list_blobs(file_content(node), there)) for node in (new, newer))
    assert len(after - before) <= 1 < len(after)  # wherever the ids, which are random, cut it
    assert second.summary.data_added < first.summary.data_added
    assert restored(target, second.id, tmp_path / "y") == expected(longer)


@pytest.mark.fault(39)
@kinds
def test_a_deep_tree_is_copied(kind: str) -> None:
    source = new_store()
    saver = Saver(source)
    with saver.writer as writer:
        tree = save_tree(directory({b"bottom": file(b"reached"), b"rest": file()}), saver)
        for _ in range(3000):
            tree = save_tree(directory({b"d": Entry(NodeType.DIRECTORY, 0o755, tree=tree)}), saver)
        writer.flush()
    commit(source, tree)
    target = KINDS[kind](source)
    copied = repository(source).copy(repository(target)).copied[0].snapshot
    assert copied is not None
    with target.loader() as there:
        paths = [path for path, _ in walk(copied.tree, there)]
    assert len(paths) == 3002
    assert paths[-2:] == [b"/d" * 3000 + b"/bottom", b"/d" * 3000 + b"/rest"]
    again = repository(source).rewrite(None, exclude="bottom", dry_run=True)
    assert [each.files_removed for each in again.snapshots] == [1]


@kinds
def test_a_directory_of_many_pages_is_copied(kind: str) -> None:
    source = new_store()
    entries = {b"%05d" % n: file(b"%d" % (n % 7)) for n in range(6000)}
    tree = directory({b"many": directory(entries)})
    commit(source, tree)
    target = KINDS[kind](source)
    repository(source).copy(repository(target))
    entries[b"03000"] = file(b"changed")
    commit(source, directory({b"many": directory(entries)}), 2 * 10**18)
    copied = repository(source).copy(repository(target)).copied[0].snapshot
    assert copied is not None
    assert copied.summary.data_added < 800_000, "more than the page that changed"
    found = repository(target)
    names = [entry.name for entry in found.listdir(copied.id, "/many")]
    assert names == [f"{n:05}" for n in range(6000)]
    with found.open_file(copied.id, "/many/03000") as opened:
        assert opened.read() == b"changed"
    with found.open_file(copied.id, "/many/05999") as opened:
        assert opened.read() == b"0"


def test_several_targets_get_the_same_and_a_common_group() -> None:
    source = new_store()
    commit(source, sample())
    targets = [new_store(), like(source)]
    result = repository(source).copy([repository(each) for each in targets])
    groups = {repository(each).snapshot("latest").group for each in targets}
    assert len(result.copied) == 2
    assert len(groups) == 1
    assert None not in groups


def test_what_a_snapshot_came_after_is_named_as_it_is_there() -> None:
    source = new_store()
    first = commit(source, sample())
    second = commit(source, sample(1), 2 * 10**18, parent=first.id, group="g")
    third = commit(source, sample(2), 3 * 10**18, parent=SnapshotId("0" * 32), replaces=second.id)
    target = new_store()
    result = repository(source).copy(repository(target))
    copies = [each.snapshot for each in result.copied if each.snapshot]
    assert [each.original for each in copies] == [first.id, second.id, third.id]
    assert [each.parent for each in copies] == [None, copies[0].id, None]
    assert [each.replaces for each in copies] == [None, None, copies[1].id]
    assert copies[1].group == "g"


def test_tags_that_came_later_are_copied_and_holds_are_not() -> None:
    source = new_store()
    snapshot = commit(source, sample(), tags=("old",))
    repo = repository(source)
    repo.tag(snapshot.id, add=["new"], hold="a reason")
    copied = repo.copy(repository(target := new_store())).copied[0].snapshot
    assert copied is not None
    assert set(copied.tags) == {"old", "new"}
    assert copied == repository(target).snapshot("latest")
    assert not copied.holds


def test_snapshots_are_chosen_by_name_or_filter() -> None:
    source = new_store()
    one = commit(source, sample(), host="a", tags=("x",))
    two = commit(source, sample(1), 2 * 10**18, host="b")
    repo = repository(source)

    def chosen(**options: object) -> list[str]:
        result = repo.copy(repository(new_store()), dry_run=True, **options)  # type: ignore[arg-type]
        return [each.original.id for each in result.copied]

    assert chosen() == [one.id, two.id]
    assert chosen(host="b") == [two.id]
    assert chosen(tags="x") == [one.id]
    assert chosen(paths=["/"]) == [one.id, two.id]
    assert chosen(paths=["/other"]) == []
    assert chosen(snapshots=["latest", two.short_id]) == [two.id]
    with pytest.raises(holdfast.UsageError, match="not both"):
        chosen(snapshots="latest", host="a")
    with pytest.raises(holdfast.SnapshotNotFound):
        chosen(snapshots="01234567")


def test_a_dry_run_writes_nothing() -> None:
    source = new_store()
    commit(source, sample())
    target = MemoryBackend()
    store = new_store(target)
    before = list(target.list(""))
    result = repository(source).copy(repository(store), dry_run=True)
    assert list(target.list("")) == before
    assert [each.snapshot for each in result.copied] == [None]
    assert result.dict()["dry_run"] is True


def test_what_makes_no_sense_is_refused() -> None:
    source = new_store()
    repo = repository(source)
    for to in ([], repo, [repository(source)], [one := repository(new_store()), one]):
        with pytest.raises(holdfast.UsageError):
            repo.copy(to)


def spoilt(objects: MemoryBackend, names: set[str]) -> None:
    for name in names:
        data = bytearray(objects.get(name))
        data[150:-200:7] = bytes(len(data[150:-200:7]))
        objects.put(name, bytes(data))


@kinds
def test_a_damaged_snapshot_does_not_keep_others_from_being_copied(kind: str) -> None:
    objects = MemoryBackend()
    source = new_store(objects)
    first = commit(source, sample())
    before = data_packs(source)
    good = directory({b"fine": file(b"of no need")})
    bad = directory({b"top": directory({b"a": file(b""), b"bad": file(noise(500, 77))})})
    damaged = commit(source, bad, 2 * 10**18)
    packs = data_packs(source) - before
    last = commit(source, good, 3 * 10**18)
    spoilt(objects, packs)
    target = KINDS[kind](source)
    with pytest.raises(holdfast.CopyIncomplete) as failure:
        repository(reopened(objects)).copy(repository(target))
    result = failure.value.result
    assert [each.original.id for each in result.copied] == [first.id, last.id]
    (failed,) = result.failures
    assert (failed.snapshot, failed.target) == (damaged.id, "memory")
    assert isinstance(failed.error, holdfast.DamagedRepository)
    assert f"needed by /top/bad of snapshot {damaged.short_id}" in str(failed.error)
    assert str(failed.error) in str(failure.value)
    found = repository(target)
    assert [each.original for each in found.snapshots()] == [first.id, last.id]
    assert found.check(read_data=True).valid


def test_a_damaged_snapshot_object_is_a_failure_too() -> None:
    objects = MemoryBackend()
    source = new_store(objects)
    bad = commit(source, sample())
    commit(source, sample(1), 2 * 10**18)
    objects.put(f"snapshots/{bad.id}", b"HFOBJECT" + bytes(200))
    with pytest.raises(holdfast.CopyIncomplete) as failure:
        repository(source).copy(repository(new_store()))
    result = failure.value.result
    assert [each.snapshot for each in result.failures] == [bad.id]
    assert len(result.copied) == 1
    assert result.dict()["failures"] == [
        {
            "target": "",
            "snapshot_id": bad.id,
            "type": "DamagedRepository",
            "message": str(result.failures[0].error),
        }
    ]


def test_known_ids_forget_and_never_mix_up() -> None:
    known = KnownIds(rows=8)
    ids = [BlobId(noise(32, n)) for n in range(200)]
    news = [BlobId(noise(32, 1000 + n)) for n in range(200)]
    for old, new in zip(ids, news, strict=True):
        known.put(old, new)
        assert known.get(old) == new
    found = [known.get(old) for old in ids]
    assert 1 <= sum(each is not None for each in found) <= 8
    assert all(each in {None, new} for each, new in zip(found, news, strict=True))
