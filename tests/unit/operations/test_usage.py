"""What takes how much: what a random history does not show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.properties.test_costs import expect_sums

from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.errors import DamagedRepository, PathNotFound, UsageError
from holdfast.operations.usage.holders import Holders
from holdfast.primitives.ids import PackName
from holdfast.progress import ProgressEvent
from holdfast.store import Kind, Shares
from holdfast.testing.repositories import ManualClock, attached, new_store


class World:
    """A repository in memory, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "live"
        (self.folder / "sub").mkdir(parents=True)
        self.clock = ManualClock()
        self.backend = MemoryBackend()
        self.store = new_store(self.backend, clock=self.clock)
        self.repo = Repository(self.store, self.clock)

    def write(self, name: str, size: int) -> None:
        (self.folder / name).write_bytes(os.urandom(size))

    def back_up(self, host: str = "one") -> str:
        self.clock.advance(1)
        snapshot = self.repo.backup(self.folder, host=host).snapshot
        assert snapshot is not None
        return snapshot.id


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_empty_repository_is_all_overhead(world: World) -> None:
    usage = world.repo.usage()
    expect_sums(usage, world.backend)
    assert (usage.attributed, usage.elsewhere, len(usage.snapshots)) == (0, 0, 0)
    assert usage.overhead.keys == usage.total_stored


def test_what_no_index_knows_is_missing_and_gone_through_once_for_each_snapshot() -> None:
    table = new_store().catalog.refresh()
    holders = Holders(Shares(table, {}, ()))
    blob, other = b"a" * 32, b"b" * 32
    for position in range(2):
        holders.begin(position)
        assert blob not in holders
        assert holders.add(blob)
        assert not holders.add(blob)
        assert blob in holders
        assert other not in holders
    assert holders.missing == {blob}


def test_what_was_deleted_still_costs(world: World) -> None:
    world.write("sub/big", 50_000)
    world.back_up()
    (world.folder / "sub/big").unlink()
    world.back_up()
    top, sub = world.repo.usage(world.folder).directories
    assert (top.path, sub.path) == (str(world.folder), f"{world.folder}/sub")
    assert (sub.files, sub.size) == (0, 0)
    assert sub.attributed > 50_000


def test_the_first_directory_by_name_owns_what_several_have(world: World) -> None:
    for name in ("c", "a", "b"):
        (world.folder / name).mkdir()
        (world.folder / name / "same").write_bytes(b"x" * 10 + bytes(range(256)) * 40)
        (world.folder / name / "own").write_text(name)
    world.back_up()
    own = {each.path[-1]: each.own for each in world.repo.usage(world.folder).directories}
    assert own["a"] > own["b"] + 300
    assert own["b"] < own["c"] + 300


def test_a_file(world: World) -> None:
    world.write("sub/a", 10_000)
    world.write("b", 20_000)
    world.back_up()
    usage = world.repo.usage(world.folder / "b")
    expect_sums(usage, world.backend)
    (only,) = usage.directories
    assert (only.files, only.size) == (1, 20_000)
    assert 20_000 <= usage.attributed < 21_000
    assert usage.elsewhere > 10_000


def test_chosen_snapshots(world: World) -> None:
    """Each has a file of its own, and two share one."""
    ids = []
    for number in range(3):
        world.write(f"own{number}", 10_000)
        if number == 1:
            world.write("shared", 30_000)
        ids.append(world.back_up())
        (world.folder / f"own{number}").unlink()
    every = world.repo.usage()
    assert all(10_000 < each.freed < 15_000 for each in every.snapshots)
    last = world.repo.usage(snapshots=["latest", ids[2]])
    expect_sums(last, world.backend)
    (line,) = last.snapshots
    assert line.freed == last.freed == every.snapshots[2].freed
    assert line.attributed > 40_000  # what it shares is attributed to it, when it is alone
    both = world.repo.usage(snapshots=ids[1:])
    assert both.freed > 50_000
    assert sum(each.freed for each in both.snapshots) < 30_000
    assert both.elsewhere > 10_000


def test_the_newest_of_each_host_says_how_large_a_directory_is(world: World) -> None:
    world.write("a", 100)
    world.back_up("one")
    world.write("a", 3000)
    world.back_up("two")
    world.write("a", 500)
    world.back_up("one")
    top = world.repo.usage(world.folder, depth=0).directories[0]
    assert (top.files, top.size) == (2, 3500)


def test_a_reclaim_that_waits_is_told(world: World) -> None:
    world.write("a", 40_000)
    first = world.back_up()
    world.write("a", 40_000)
    world.back_up()
    world.repo.forget([first], force=True)
    assert world.repo.usage().overhead.unneeded > 40_000
    with attached(world.store, world.backend, clock=world.clock).writer({"kind": "backup"}):
        pruned = world.repo.prune(max_unused=0, force=True)
        assert pruned.packs_pending
        usage = world.repo.usage()
        expect_sums(usage, world.backend)
    assert usage.overhead.condemned > 40_000
    assert usage.overhead.unneeded == 0
    assert usage.missing == 0


def test_what_two_writers_stored_at_once_counts_once(world: World) -> None:
    world.write("a", 40_000)
    other = Repository(attached(world.store, world.backend, clock=world.clock), world.clock)
    begun: list[ProgressEvent] = []

    def begin_another(event: ProgressEvent) -> None:
        if not begun:
            begun.append(event)
            other.backup(world.folder)

    world.repo.backup(world.folder, progress=begin_another)
    usage = world.repo.usage()
    expect_sums(usage, world.backend)
    assert 40_000 < usage.attributed < 43_000
    assert usage.overhead.duplicates > 40_000
    assert usage.overhead.unneeded == 0
    steps = world.repo.timeline()
    assert sum(each.new_stored for each in steps) == usage.attributed


def test_packs_that_the_index_does_not_know(world: World) -> None:
    world.write("a", 40_000)
    with attached(world.store, world.backend, clock=world.clock).writer({"kind": "backup"}) as lost:
        lost.save_tree(os.urandom(30_000))
        lost.flush()
    for info in list(world.backend.list("index/")):
        world.backend.delete(info.name)
    world.back_up()
    usage = world.repo.usage()
    expect_sums(usage, world.backend)
    assert usage.overhead.unknown > 30_000


def test_data_that_is_missing_is_counted(world: World) -> None:
    world.write("a", 40_000)
    world.back_up()
    for info in list(world.backend.list("data/")):
        pack = PackName(info.name.rpartition("/")[2])
        if world.store.read_trailer(pack, info.size).kind is Kind.DATA:
            world.backend.delete(info.name)
    usage = world.repo.usage()
    expect_sums(usage, world.backend)
    assert usage.missing > 5
    assert usage.attributed < 5000
    assert f"{usage.missing} blobs missing" in usage._repr_html_()


def test_a_tree_that_is_missing_is_an_error(world: World) -> None:
    world.back_up()
    for info in list(world.backend.list("data/")):
        world.backend.delete(info.name)
    with pytest.raises(DamagedRepository, match="snapshot"):
        world.repo.usage()
    with pytest.raises(DamagedRepository):
        world.repo.timeline()


def test_what_makes_no_sense_is_refused(world: World) -> None:
    world.back_up()
    with pytest.raises(UsageError):
        world.repo.usage(depth=-1)
    with pytest.raises(PathNotFound, match="no snapshot has such a path"):
        world.repo.usage("/nowhere")


def test_the_results_show_themselves(world: World) -> None:
    pytest.importorskip("pandas")
    world.write("sub/a", 5000)
    world.back_up()
    usage = world.repo.usage(world.folder)
    frame = usage.to_pandas()
    assert list(frame["path"]) == [str(world.folder), f"{world.folder}/sub"]
    assert int(frame["attributed"][0]) == usage.attributed
    assert list(usage.snapshots.to_pandas()["freed"]) == [usage.snapshots[0].freed]
    steps = world.repo.timeline()
    assert list(steps.to_pandas()["added"]) == [1]
    assert "sub" in usage._repr_html_()
