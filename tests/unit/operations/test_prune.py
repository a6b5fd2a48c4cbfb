"""Giving space back: what goes, what stays, and when nothing may go at all."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast import PruneResult
from holdfast.backend import Backend, Buffer, MemoryBackend, ObjectInfo
from holdfast.backend.faulty import Call, Fail, Faulty, NoFault, nth
from holdfast.engine.repository import Repository
from holdfast.errors import (
    AccessDenied,
    BackendError,
    DamagedRepository,
    StorageFull,
    UsageError,
)
from holdfast.operations.prune.repack import Repack
from holdfast.overrides import override
from holdfast.progress import Progress
from holdfast.store import Kind, Store, Writer
from holdfast.store.index import decode_index
from holdfast.testing.repositories import ManualClock, attached, copied, new_store

if TYPE_CHECKING:
    from tests.length import Stride

pytestmark = pytest.mark.usefixtures("cheap_passwords")

Contents = dict[str, bytes]


class World:
    """A repository in memory, a tree to back up, and what every snapshot should hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tree"
        self.folder.mkdir()
        self.random = random.Random(7)  # noqa: S311 - to be the same each time
        self.clock = ManualClock()
        self.backend = MemoryBackend()
        self.store: Store = new_store(self.backend, clock=self.clock)
        self.repo = Repository(self.store, self.clock)
        self.held: dict[str, Contents] = {}

    def write(self, *numbers: int) -> None:
        """Give files new contents."""
        for number in numbers:
            size = self.random.randrange(1, 6000)
            (self.folder / f"{number:02}").write_bytes(self.random.randbytes(size))

    def back_up(self) -> str:
        self.clock.advance(1)
        snapshot = self.repo.backup(self.folder).snapshot
        assert snapshot is not None
        self.held[snapshot.id] = {
            str(path): path.read_bytes() for path in self.folder.iterdir() if path.is_file()
        }
        return snapshot.id

    def forget(self, *ids: str) -> None:
        self.repo.forget(list(ids), force=True)
        for id_ in ids:
            del self.held[id_]

    def history(self, count: int, change: int = 5) -> list[str]:
        """Snapshots of 20 files, of which so many change each time."""
        self.write(*range(20))
        ids = [self.back_up()]
        for _ in range(count - 1):
            self.write(*self.random.sample(range(20), change))
            ids.append(self.back_up())
        return ids


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def opened(world: World, backend: Backend) -> Repository:
    """The repository on another storage, without the price of a password."""
    return Repository(attached(world.store, backend, clock=world.clock), world.clock)


def contents(repo: Repository, id_: str) -> Contents:
    """All files of a snapshot."""
    found: Contents = {}
    for entry in repo.walk(id_):
        if entry.type == "file":
            with repo.open_file(id_, entry.path) as file:
                found[entry.path] = file.read()
    return found


def expect_whole(world: World, backend: Backend | None = None) -> None:
    """Every snapshot is there and holds what it should, and nothing is damaged."""
    repo = opened(world, backend or world.backend)
    assert {each.id for each in repo.snapshots()} == world.held.keys()
    for id_, expected in world.held.items():
        assert contents(repo, id_) == expected
    assert repo.check(read_data=True).errors == ()


def names(backend: Backend, folder: str) -> set[str]:
    return {info.name for info in backend.list(folder)}


def stored(backend: Backend) -> int:
    return sum(info.size for info in backend.list("data/"))


def prune(world: World, **options: bool | str | float | None) -> PruneResult:
    asked: dict[str, bool | str | float | None] = {"max_unused": 0, "force": True, **options}
    return opened(world, world.backend).prune(**asked)  # type: ignore[arg-type]


# What goes and what stays


def test_what_only_forgotten_snapshots_needed_goes(world: World) -> None:
    ids = world.history(6)
    before = stored(world.backend)
    world.forget(*ids[:4])
    result = prune(world)
    assert result.packs_deleted > 0
    assert result.bytes_freed == before - stored(world.backend) > before // 4
    assert result.packs_pending == 0
    expect_whole(world)
    assert not names(world.backend, "gc/")
    assert not names(world.backend, "sessions/")
    assert not names(world.backend, "forgotten/")


def test_afterwards_there_is_nothing_unneeded_and_nothing_to_do(world: World) -> None:
    ids = world.history(6)
    world.forget(*ids[::2])
    prune(world)
    kept = names(world.backend, "data/")
    again = prune(world)
    assert (again.unused, again.packs_deleted, again.packs_condemned) == (0, 0, 0)
    assert names(world.backend, "data/") == kept


def test_a_prune_of_what_is_all_needed_changes_nothing_but_the_index(world: World) -> None:
    world.history(3)
    before = {
        info for info in world.backend.list("") if not info.name.startswith(("index/", "sessions/"))
    }
    result = world.repo.prune()
    assert result.packs_deleted == 0
    after = {
        info for info in world.backend.list("") if not info.name.startswith(("index/", "sessions/"))
    }
    assert after == before
    expect_whole(world)


def test_a_dry_run_tells_the_same_and_writes_nothing(world: World) -> None:
    ids = world.history(6)
    world.forget(*ids[:3])
    before = {info.name: world.backend.get(info.name) for info in world.backend.list("")}
    told = prune(world, dry_run=True)
    assert {info.name: world.backend.get(info.name) for info in world.backend.list("")} == before
    done = prune(world)
    same = ("snapshots", "packs", "bytes", "used", "unused", "packs_unneeded", "packs_repacked")
    assert [getattr(told, name) for name in same] == [getattr(done, name) for name in same]
    assert told.bytes_freed == pytest.approx(done.bytes_freed, rel=0.3)
    assert (told.packs_deleted, told.packs_condemned) == (0, 0)


def test_a_little_that_is_not_needed_may_stay(world: World) -> None:
    ids = world.history(6, change=1)
    world.forget(*ids[:2])
    kept = names(world.backend, "data/")
    result = prune(world, max_unused="unlimited")
    assert result.packs_repacked == 0
    assert 0 < result.unused_left <= result.unused
    assert names(world.backend, "data/") <= kept
    expect_whole(world)


def test_no_more_is_stored_anew_than_asked_and_the_next_run_goes_on(world: World) -> None:
    ids = world.history(12, change=3)
    world.forget(*ids[1::2])
    whole = prune(world, dry_run=True)
    room = whole.bytes_repacked // 3
    first = prune(world, max_repack_size=room)
    assert 0 < first.bytes_repacked <= room
    assert first.packs_repacked < whole.packs_repacked
    for _ in range(12):
        prune(world, max_repack_size=room)
    assert prune(world, dry_run=True).unused_left == 0
    expect_whole(world)


def test_many_small_packs_become_few(world: World) -> None:
    world.history(12, change=1)
    before = len(names(world.backend, "data/"))
    prune(world)
    assert len(names(world.backend, "data/")) <= 4 < before
    expect_whole(world)


def test_what_is_stored_anew_at_another_level_is_so_once(world: World) -> None:
    (world.folder / "text").write_bytes(b"all work and no play " * 5000)
    world.back_up()
    plain = Repository(
        Store(
            world.backend,
            world.store.keys,
            world.store.settings.__class__(world.store.settings.chunker, 1 << 20, 0),
            (world.store._config_name, world.store._config),
            world.clock,
            None,
        ),
        world.clock,
    )
    before = stored(world.backend)
    result = plain.prune(recompress=True, force=True)
    assert result.packs_repacked == 2
    assert stored(world.backend) > 2 * before
    again = plain.prune(recompress=True, force=True)
    assert again.packs_repacked == 0
    expect_whole(world)


@pytest.mark.fault(2)
def test_left_overs_of_a_dead_backup_go(world: World) -> None:
    world.history(2)
    writer = world.store.writer({"kind": "backup"})
    writer.save_data(memoryview(b"x" * 3000), ("small", 0))
    writer.flush()
    kept = names(world.backend, "data/")
    with writer:
        pass
    result = prune(world)
    assert result.packs_deleted == 1
    assert names(world.backend, "data/") < kept
    expect_whole(world)


# Beside others


def test_a_session_at_work_is_waited_for(world: World) -> None:
    ids = world.history(4)
    world.forget(ids[0])
    everything = names(world.backend, "data/")
    with world.store.writer({"kind": "backup", "host": "elsewhere"}) as writer:
        result = prune(world)
        assert result.packs_condemned > 0
        assert (result.packs_deleted, result.bytes_freed) == (0, 0)
        assert [(each.session, each.host, each.kind) for each in result.waiting] == [
            (writer.id, "elsewhere", "backup")
        ]
        told = json.loads(json.dumps(result.dict()))
        assert (told["packs_condemned"], told["removed"]) == (result.packs_condemned, [])
        assert told["waiting"] == [result.waiting[0].dict()]
        assert names(world.backend, "data/") >= everything
    later = prune(world)
    assert later.packs_deleted == result.packs_condemned
    expect_whole(world)


@pytest.mark.format("F55")
def test_what_a_session_built_upon_meanwhile_is_stored_anew(world: World) -> None:
    world.write(1, 2, 3)
    lost = world.back_up()
    world.write(4)
    (world.folder / "01").unlink()
    world.back_up()
    kept = {path.name: path.read_bytes() for path in world.folder.iterdir()}
    world.forget(lost)
    writer = world.store.writer({"kind": "backup"})
    # The session is at work when the data of the forgotten snapshot is condemned.
    assert prune(world).packs_condemned > 0
    snapshot = _committed_like(lost, world, writer)
    result = prune(world)
    assert result.packs_deleted > 0
    world.held[snapshot] = contents(world.repo, snapshot)
    assert {Path(name).name for name in world.held[snapshot]} == {"01", "02", "03"}
    assert kept
    expect_whole(world)


def _committed_like(forgotten: str, world: World, writer: object) -> str:
    """Commit the tree of a forgotten snapshot in a session that began before it was condemned."""
    from holdfast.model.snapshot import decode_snapshot, encode_snapshot  # noqa: PLC0415

    assert isinstance(writer, Writer)
    found = world.store.forgotten(forgotten)  # type: ignore[arg-type]
    assert found is not None
    snapshot = decode_snapshot(writer.id, found.record)
    with writer:
        return writer.commit(encode_snapshot(snapshot))


class Interrupting(MemoryBackend):
    """The same objects, and before a pack is read for the n-th time somebody does something."""

    def __init__(self, objects: Backend, number: int, other: Callable[[Backend], None]) -> None:
        super().__init__()
        for info in objects.list(""):
            self.put(info.name, objects.get(info.name))
        self.left = number
        self._other = other

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if name.startswith("data/"):
            self.left -= 1
            if self.left == 0:
                self._other(self)
        return super().get(name, offset, length)


@pytest.mark.fault(26)
def test_what_is_forgotten_while_it_is_stored_anew_is_let_go(world: World) -> None:
    world.write(*range(50))  # so many blobs that the first of all is hardly ever a tree
    lost = world.back_up()
    for path in world.folder.iterdir():
        path.unlink()
    world.write(50)
    world.back_up()
    world.forget(lost)
    writer = world.store.writer({"kind": "backup"})
    assert prune(world).packs_condemned > 0
    snapshot = _committed_like(lost, world, writer)

    def reclaim(backend: Backend) -> None:
        other = opened(world, backend)
        other.forget([snapshot], force=True)
        assert other.prune(max_unused=0, force=True).packs_deleted > 0

    for number in itertools.count(1):
        backend = Interrupting(world.backend, number, reclaim)
        opened(world, backend).prune(max_unused=0, force=True)
        if backend.left > 0:
            break
        expect_whole(world, backend)
    assert number > 3


def test_what_a_dead_session_left_goes_with_it(world: World) -> None:
    world.history(2)
    kept = names(world.backend, "data/")
    writer = world.store.writer({"kind": "backup"})
    writer.save_data(memoryview(b"x" * 3000), ("small", 0))
    writer.flush()
    assert prune(world).packs_deleted == 0
    assert prune(world, expire_after=0).packs_deleted == 1
    assert names(world.backend, "data/") == kept
    with writer:
        pass


@pytest.mark.fault(27)
def test_a_silent_session_is_expired_and_cannot_commit(world: World) -> None:
    ids = world.history(3)
    world.forget(ids[0])
    writer = world.store.writer({"kind": "backup"})
    result = prune(world, expire_after=0)
    assert result.packs_deleted > 0
    assert result.waiting == ()
    with writer, pytest.raises(BackendError.__mro__[1]):
        writer.confirm()
    expect_whole(world)


def test_new_backups_build_upon_nothing_that_is_condemned(world: World) -> None:
    world.write(1, 2, 3)
    first = world.back_up()
    world.write(4)
    other = {path.name: path.read_bytes() for path in world.folder.iterdir()}
    (world.folder / "01").unlink()
    world.back_up()
    world.forget(first)
    with world.store.writer({"kind": "backup"}):
        prune(world)
        condemned = prune(world).packs_pending
        assert condemned > 0
        (world.folder / "01").write_bytes(other["01"])
        world.back_up()
    assert prune(world).packs_deleted == condemned
    expect_whole(world)


# Refusals


def spoil_snapshot(world: World) -> None:
    name = next(iter(names(world.backend, "snapshots/")))
    world.backend.put(name, world.backend.get(name)[:-1] + b"x")


def spoil_index(world: World) -> None:
    name = next(iter(names(world.backend, "index/")))
    world.backend.put(name, world.backend.get(name)[:-1] + b"x")


def spoil_condemned(world: World) -> None:
    world.backend.put("gc/" + "0" * 32, b"nonsense")


def lose_index(world: World) -> None:
    for name in names(world.backend, "index/"):
        world.backend.delete(name)


def lose_packs(world: World) -> None:
    newest = world.repo.snapshot("latest").id
    for name in names(world.backend, "data/"):
        if name.endswith(newest[:8]):
            world.backend.delete(name)


def spoil_trees(world: World) -> None:
    for name in names(world.backend, "data/"):
        data = bytearray(world.backend.get(name))
        if data[12] == 2:
            data[len(data) // 3] ^= 1
            data[200] ^= 1
            world.backend.put(name, bytes(data))


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "spoil",
    [spoil_snapshot, spoil_index, spoil_condemned, lose_index, lose_packs, spoil_trees],
)
def test_of_a_damaged_repository_nothing_is_deleted(
    world: World, spoil: Callable[[World], None]
) -> None:
    ids = world.history(5)
    world.forget(ids[0])
    spoil(world)
    before = names(world.backend, "data/") | names(world.backend, "snapshots/")
    with pytest.raises(DamagedRepository):
        prune(world)
    assert names(world.backend, "data/") | names(world.backend, "snapshots/") >= before


@pytest.mark.fault(22)
def test_without_any_snapshot_nothing_goes_unless_forced(world: World) -> None:
    ids = world.history(2)
    world.forget(*ids)
    with pytest.raises(UsageError, match="no snapshot"):
        prune(world, force=False)
    assert prune(world).packs_deleted > 0
    assert names(world.backend, "data/") == set()


def test_more_than_half_does_not_go_unless_forced(world: World) -> None:
    ids = world.history(6, change=20)
    world.forget(*ids[:5])
    with pytest.raises(UsageError, match="more than half"):
        prune(world, force=False)
    assert prune(world).packs_deleted > 0
    expect_whole(world)


class Hiding(MemoryBackend):
    """A storage whose listings lack an object that it holds."""

    hidden = ""

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (info for info in super().list(prefix) if info.name != self.hidden)


@pytest.mark.fault(22)
@pytest.mark.parametrize("folder", ["data/", "gc/"])
def test_listings_that_lack_something_are_noticed(world: World, folder: str) -> None:
    ids = world.history(5)
    world.forget(ids[0])
    hiding = Hiding()
    for info in world.backend.list(""):
        hiding.put(info.name, world.backend.get(info.name))
    world.backend = hiding
    if folder == "data/":
        hiding.hidden = max(names(hiding, "data/"))
    else:
        put = hiding.put

        def put_and_hide(name: str, data: bytes) -> None:
            put(name, data)
            hiding.hidden = name if name.startswith("gc/") else hiding.hidden

        hiding.put = put_and_hide  # type: ignore[method-assign, assignment]
    before = names(hiding, "data/")
    with pytest.raises(DamagedRepository, match="list"):
        prune(world)
    assert names(hiding, "data/") >= before


@pytest.mark.fault(24)
def test_where_nothing_can_be_deleted_nothing_is_condemned(world: World) -> None:
    ids = world.history(3)
    world.forget(ids[0])

    def is_delete(call: Call) -> bool:
        return call.verb == "delete"

    faulty = Faulty(world.backend, Fail(is_delete, AccessDenied))
    with pytest.raises(AccessDenied, match="permission to delete"):
        opened(world, faulty).prune(force=True)
    assert all(name.endswith(".waits") for name in names(world.backend, "gc/"))  # the probe
    opened(world, world.backend).prune(force=True)
    assert not names(world.backend, "gc/")


def test_what_a_pack_that_stays_holds_too_is_not_stored_anew(world: World) -> None:
    shared, own, more, waste = (memoryview(world.random.randbytes(250)) for _ in range(4))
    one, two = (world.store.writer({"kind": "backup"}) for _ in range(2))
    for writer, several in ((one, (shared, own, waste)), (two, (shared, more))):
        with writer:
            for content in several:
                writer.save_data(content, ("small", 0))
            writer.flush()
    for name, content in (("shared", shared), ("own", own), ("more", more)):
        (world.folder / name).write_bytes(content)
    world.back_up()
    with world.store.writer({}) as writer:
        twice = writer.save_data(shared, ("small", 0))
    assert len(world.store.catalog.refresh().locate(twice)) == 2
    assert prune(world).packs_repacked == 1
    table = opened(world, world.backend)._store.catalog.refresh()
    (only,) = table.locate(twice)
    assert table.pack(only.pack).name.endswith(two.id[:8])
    expect_whole(world)


def test_what_is_stored_anew_shares_a_segment_only_with_its_group(world: World) -> None:
    contents_ = [memoryview(world.random.randbytes(250)) for _ in range(5)]
    with world.store.writer({}) as writer:
        together = [writer.save_data(content, ("small", 0)) for content in contents_]
        writer.flush()
    before = world.store.catalog.refresh()
    assert len({before.locate(blob)[0].ordinal for blob in together}) == 1
    groups = [("small", 1), None, ("small", 1), None, ("small", 2)]
    with world.store.writer({}) as writer, world.store.loader() as loader:
        repack = Repack(world.store, writer, loader, Progress(None))
        repack.copy(dict(zip(together, groups, strict=True)), Kind.DATA)
        writer.flush()
    assert repack.bytes == 5 * 250
    table = world.store.catalog.refresh()
    segments = [
        at.ordinal
        for blob in together
        for at in table.locate(blob)
        if table.pack(at.pack).name.endswith(writer.id[:8])
    ]
    assert len(segments) == 5
    assert segments[0] == segments[2]
    assert len(set(segments)) == 4


@pytest.mark.fault(12)
def test_the_only_good_copy_of_a_blob_does_not_go(world: World) -> None:
    world.write(1, 2, 3)
    first = world.store.writer({"kind": "backup"})
    second = world.store.writer({"kind": "backup"})
    data = memoryview(world.random.randbytes(250))  # one chunk
    for writer in (first, second):
        with writer:
            writer.save_data(data, ("small", 0))
            writer.flush()
    (world.folder / "twice").write_bytes(data)
    world.back_up()
    twins = [
        info.name
        for info in world.backend.list("data/")
        if info.name.endswith((first.id[:8], second.id[:8]))
    ]
    assert len(twins) == 2
    for spoilt in twins:
        backend = copied(world.backend)
        content = bytearray(backend.get(spoilt))
        content[150] ^= 1
        backend.put(spoilt, bytes(content))
        with contextlib.suppress(DamagedRepository):
            opened(world, backend).prune(max_unused=0, force=True)
        after = opened(world, backend)
        for id_, expected in world.held.items():
            assert contents(after, id_) == expected


@pytest.mark.fault(16)
def test_a_full_storage_gives_back_what_it_can(world: World) -> None:
    ids = world.history(6, change=12)
    world.write(*range(20))
    world.forget(world.back_up())
    world.forget(*ids[1::2])
    before = stored(world.backend)

    def is_pack(call: Call) -> bool:
        return call.verb == "put" and call.name.startswith("data/")

    full = Faulty(world.backend, Fail(is_pack, StorageFull))
    result = opened(world, full).prune(max_unused=0, force=True)
    assert "full" in result.stopped
    assert result.packs_deleted > 0
    assert stored(world.backend) < before
    expect_whole(world)
    assert prune(world).stopped == ""
    assert prune(world, dry_run=True).unused == 0
    expect_whole(world)


# Interruptions


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.fault(3)
@pytest.mark.parametrize(("error", "done"), [(BackendError, False), (Killed, True)])
def test_wherever_it_ends_nothing_is_lost_and_the_next_run_ends_it(
    world: World, error: type[BaseException], stride: Stride, *, done: bool
) -> None:
    ids = world.history(3, change=8)
    world.forget(ids[0])
    counted = Faulty(copied(world.backend), NoFault())
    opened(world, counted).prune(max_unused=0, force=True)
    failed = 0
    for number in stride(range(1, len(counted.calls) + 1), 4, 2 * done):
        backend = copied(world.backend)

        def raise_it(name: str, problem: str) -> BaseException:
            return error(name, problem)

        faulty = Faulty(backend, Fail(nth(number), raise_it, done=done))
        try:
            opened(world, faulty).prune(max_unused=0, force=True)
        except (BackendError, DamagedRepository, Killed):
            failed += 1
        after = opened(world, backend)
        for id_, expected in world.held.items():
            assert contents(after, id_) == expected
        after.prune(max_unused=0, force=True, expire_after=0)
        assert after.prune(max_unused=0, dry_run=True).unused == 0
        assert not names(backend, "gc/")
        expect_whole(world, backend)
    assert failed > 10


# What only looks unneeded


def spoilt(data: bytes) -> bytes:
    """A pack with a bit of its first segment flipped."""
    return data[:120] + bytes([data[120] ^ 1]) + data[121:]


def twin_packs(world: World) -> tuple[str, str]:
    """Two packs with the same one blob, which the only snapshot needs."""
    content = memoryview(world.random.randbytes(250))  # one chunk
    first, second = (world.store.writer({"kind": "backup"}) for _ in range(2))
    for writer in (first, second):
        with writer:
            writer.save_data(content, ("small", 0))
            writer.flush()
    (world.folder / "twice").write_bytes(content)
    world.back_up()
    names_ = sorted(names(world.backend, "data/"))
    one, two = (
        next(name for name in names_ if name.endswith(writer.id[:8])) for writer in (first, second)
    )
    return one, two


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("is_indexed", [False, True])
def test_a_damaged_or_unknown_pack_with_the_only_good_copy_stays(
    world: World, *, swap: bool, is_indexed: bool
) -> None:
    good, rotten = sorted(twin_packs(world), reverse=swap)
    world.backend.put(rotten, spoilt(world.backend.get(rotten)))
    if is_indexed:  # one byte short, though all that matters can be read
        world.backend.put(good, world.backend.get(good)[:-1])
    else:
        for name in names(world.backend, "index/"):
            index = decode_index(name, world.backend.get(name), world.store.keys)
            if any(row.name in good for row in index.packs):
                world.backend.delete(name)
    with contextlib.suppress(DamagedRepository):
        prune(world)
    assert good in names(world.backend, "data/")


def test_a_forgotten_snapshot_whose_data_is_all_there_can_be_brought_back(world: World) -> None:
    world.write(1, 2, 3)
    first, second = world.back_up(), world.back_up()  # of the same files
    while world.repo.snapshot(first).tree != world.repo.snapshot(second).tree:
        first, second = second, world.back_up()  # others used the directories above meanwhile
    world.write(*range(4, 12))
    lost = world.back_up()
    for number in range(4, 12):
        (world.folder / f"{number:02}").unlink()
    world.forget(first, lost)
    result = prune(world)
    assert result.packs_deleted > 0
    assert result.forgotten == 1
    assert names(world.backend, "forgotten/") == {f"forgotten/{first}"}
    back = world.repo.undelete(first)
    world.held[back.id] = world.held[second]
    expect_whole(world)


class Truncating(MemoryBackend):
    """A storage that lists only the first object of a folder."""

    folder = ""

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = sorted(super().list(prefix))
        return iter(found[:1] if prefix == self.folder else found)


@pytest.mark.parametrize("folder", ["snapshots/", "sessions/", "forgotten/"])
def test_labels_outlive_a_listing_that_lacks_their_snapshots(world: World, folder: str) -> None:
    for id_ in world.history(3):
        world.repo.tag(id_, hold="evidence")
    backend = Truncating()
    for info in world.backend.list(""):
        backend.put(info.name, world.backend.get(info.name))
    labels = names(backend, "labels/")
    assert len(labels) == 3
    backend.folder = folder
    with contextlib.suppress(DamagedRepository):
        opened(world, backend).prune(max_unused="unlimited")
    assert names(backend, "labels/") == labels


def test_a_backup_that_begins_while_all_is_marked_is_let_alone(world: World) -> None:
    """Its packs are in the second list of packs, but its session is in no list."""
    ids = world.history(4)
    world.forget(ids[0])
    stale = next(iter(names(world.backend, "data/")))
    prune(world)
    world.write(*range(20))
    writers: list[Writer] = []

    class Beginning(NoFault):
        @override
        def before(self, call: Call, data: Buffer) -> Buffer:
            if call.name == "snapshots/" and call.verb == "list" and not writers:
                writer = world.store.writer({"kind": "backup"})
                writer.save_data(memoryview(b"y" * 4000), ("small", 0))
                writer.flush()
                writers.append(writer)
            return data

    assert stale
    opened(world, Faulty(world.backend, Beginning())).prune(max_unused=0, force=True)
    with writers[0] as writer:
        assert writer.confirm()
