"""The view of a repository in memory, whose clock is turned by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.engine.snapshotfs import View
from holdfast.engine.snapshotfs.view import LinkLoop
from holdfast.errors import (
    AccessDenied,
    BackendError,
    DamagedRepository,
    ObjectUnreadable,
    PathNotFound,
    RepositoryNotFound,
    SnapshotNotFound,
    StorageUnavailable,
    UsageError,
)
from holdfast.model.node import NodeType
from holdfast.overrides import override
from holdfast.testing.repositories import ManualClock, new_store

DAY = 86_400


class World:
    """A repository, and a directory that is backed up."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
        self.backend = MemoryBackend()
        self.repo = Repository(new_store(self.backend, clock=self.clock), self.clock)
        self.data = tmp_path / "data"
        self.data.mkdir()

    def backup(self, *tags: str) -> str:
        self.clock.advance(DAY)
        made = self.repo.backup([self.data], host="one", tags=tags).snapshot
        assert made is not None
        return made.short_id

    def inside(self, start: str, path: str = "") -> bytes:
        return os.fsencode(f"/{start}{self.data}{path}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    (world.data / "sub/deep").mkdir(parents=True)
    (world.data / "file").write_bytes(b"first")
    (world.data / "sub/other").write_bytes(b"other")
    yield world
    world.repo.close()


def names(view: View, path: bytes) -> list[bytes]:
    return [item.path.rpartition(b"/")[2] for item in view.items(path)]


def content(view: View, path: bytes) -> bytes:
    reader = view.open(path)
    return reader.read_at(0, reader.size)


def test_a_snapshot_is_there_under_all_its_names(world: World) -> None:
    id_ = world.backup("daily")
    view = View(world.repo)
    assert names(view, b"/") == [b"hosts", b"ids", b"latest", b"tags", b"times"]
    for start in (
        "latest",
        f"ids/{id_}",
        "times/2026-01-02T00-00-00Z",
        "hosts/one/2026-01-02T00-00-00Z",
        "tags/daily/2026-01-02T00-00-00Z",
        id_[:6],
        "2026-01-02T00:00:00+00:00",
    ):
        assert content(view, world.inside(start, "/file")) == b"first"
        assert names(view, world.inside(start)) == [b"file", b"sub"]


def test_made_up_directories_have_the_times_of_snapshots(world: World) -> None:
    world.backup()
    time_ns = world.clock.now_ns()
    view = View(world.repo)
    for path in (b"/", b"/ids", b"/latest", b"/hosts/one"):
        item = view.item(path)
        assert (item.node.type, item.node.mode, item.node.mtime) == (2, 0o555, time_ns), path
    assert view.item(b"/hosts").snapshot is None
    assert view.item(b"/latest").snapshot is not None
    assert all(item.node.mtime == time_ns for item in view.items(b"/times"))
    assert View(Repository(new_store(), world.clock)).item(b"/").node.mtime == 0


def test_paths_are_taken_with_any_slashes(world: World) -> None:
    world.backup()
    view = View(world.repo)
    assert view.item(b"//latest/./" + os.fsencode(world.data) + b"/").path == world.inside("latest")
    assert view.item(b"").path == b"/"


@pytest.mark.parametrize("path", ["x", "ids/x", "latest/x", "hosts/x/y", "latest/../latest"])
def test_what_is_not_there_is_path_not_found(world: World, path: str) -> None:
    world.backup()
    view = View(world.repo)
    for ask in (view.item, view.items, view.open, view.link_target, view.follow):
        if (path, ask) == ("latest/../latest", view.follow):
            continue
        with pytest.raises(PathNotFound):
            ask(os.fsencode(f"/{path}"))


def test_what_is_something_else_is_a_usage_error(world: World) -> None:
    world.backup()
    view = View(world.repo)
    with pytest.raises(UsageError, match="file: not a directory"):
        view.items(world.inside("latest", "/file"))
    with pytest.raises(PathNotFound, match="file is not a directory"):
        view.item(world.inside("latest", "/file/x"))
    for path in (b"/ids", world.inside("latest", "/sub")):
        with pytest.raises(UsageError, match="not a regular file"):
            view.open(path)
    with pytest.raises(UsageError, match="not a symbolic link"):
        view.link_target(world.inside("latest", "/file"))


def test_an_ambiguous_beginning_is_told(world: World) -> None:
    ids = [world.backup() for _ in range(17)]
    digit = next(id_[0] for id_ in ids if sum(other[0] == id_[0] for other in ids) > 1)
    with pytest.raises(PathNotFound, match="beginning of"):
        View(world.repo).item(os.fsencode(f"/{digit}"))


# Snapshots come and go


def test_the_list_of_snapshots_is_read_again_after_a_while(world: World) -> None:
    world.backup()
    view = View(world.repo, refresh=60)
    assert content(view, world.inside("latest", "/file")) == b"first"
    (world.data / "file").write_bytes(b"second")
    world.backup()
    world.clock.advance(-DAY)
    assert content(view, world.inside("latest", "/file")) == b"first"
    world.clock.advance(60)
    assert content(view, world.inside("latest", "/file")) == b"second"
    (world.data / "file").write_bytes(b"third")
    world.backup()
    world.clock.advance(-DAY)
    view.refresh()
    assert content(view, world.inside("latest", "/file")) == b"third"


def test_a_new_snapshot_is_found_by_its_name_at_once(world: World) -> None:
    world.backup()
    view = View(world.repo)
    view.items(b"/ids")
    id_ = world.backup()
    world.clock.advance(2 - DAY)
    assert names(view, b"/ids") != sorted([id_.encode(), *names(view, b"/ids")])
    assert view.item(os.fsencode(f"/ids/{id_}")).snapshot is not None


def test_a_view_of_one_snapshot_stays_at_that(world: World) -> None:
    first = world.backup()
    view = View(world.repo, f"latest:{world.data}")
    (world.data / "file").write_bytes(b"second")
    world.backup()
    world.clock.advance(1000)
    assert content(view, b"/file") == b"first"
    assert names(view, b"/") == [b"file", b"sub"]
    item = view.item(b"/")
    assert item.snapshot is not None
    assert item.snapshot.short_id == first
    assert item.node.mode == world.data.stat().st_mode & 0o7777
    assert names(View(world.repo, first), b"/") == [os.fsencode(world.data.parts[1])]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("latest:/nope", PathNotFound),
        ("ffffffffffff", SnapshotNotFound),
        ("latest:{}/file", UsageError),
        ("latest:{}/file/x", PathNotFound),
    ],
)
def test_a_view_of_what_is_not_there(world: World, name: str, error: type[Exception]) -> None:
    world.backup()
    with pytest.raises(error):
        View(world.repo, name.format(world.data))


def test_a_forgotten_snapshot_stays_readable_until_its_data_is_gone(world: World) -> None:
    old = world.backup()
    view = View(world.repo)
    path = world.inside(f"ids/{old}", "/file")
    pinned = View(world.repo, old)
    other = View(world.repo, old)
    again = View(world.repo)
    for each in (view, again):
        assert each.item(path).node.size == 5
    early = View(world.repo).open(path)
    (world.data / "file").write_bytes(b"second" * 1000)
    world.backup()
    world.repo.forget([old])
    world.clock.advance(1000)
    for each in (view, again):
        assert old.encode() not in names(each, b"/ids")
    assert content(again, path) == b"first"
    assert content(pinned, world.inside("", "/file").replace(b"//", b"/")) == b"first"
    with pytest.raises(PathNotFound):
        View(world.repo).item(path)
    for folder in ("data/", "index/", "forgotten/"):
        for info in list(world.backend.list(folder)):
            world.backend.delete(info.name)
    for errors in ("raise", "skip"):
        with pytest.raises(SnapshotNotFound, match=f"snapshot {old} was forgotten"):
            view.open(world.inside(f"ids/{old}", "/sub/other"), errors).read_at(0, 10)
    for read in (lambda: other.items(b"/"), lambda: early.read_at(0, 10)):
        with pytest.raises(SnapshotNotFound, match=f"snapshot {old} was forgotten") as told:
            read()
        assert isinstance(told.value.__cause__, DamagedRepository)


def test_damage_of_a_snapshot_that_is_there_is_just_that(world: World) -> None:
    world.backup()
    reader = View(world.repo).open(world.inside("latest", "/file"))
    for info in list(world.backend.list("data/")):
        world.backend.delete(info.name)
    with pytest.raises(DamagedRepository, match="missing"):
        reader.read_at(0, 10)
    with pytest.raises(DamagedRepository):
        View(world.repo).items(b"/latest")


@pytest.mark.parametrize("errors", ["raise", "skip"])
def test_a_repository_that_is_away_is_no_damage(
    world: World, errors: Literal["raise", "skip"]
) -> None:
    world.backup()
    view = View(world.repo, f"latest:{world.data}")
    reader = view.open(b"/file", errors)
    other = View(world.repo, "latest")
    there = {info.name: world.backend.get(info.name) for info in world.backend.list("")}
    for name in there:
        world.backend.delete(name)
    for read in (lambda: reader.read_at(0, 10), lambda: other.items(b"/")):
        with pytest.raises(RepositoryNotFound, match="is it mounted"):
            read()
    for name, data in there.items():
        world.backend.put(name, data)
    assert reader.read_at(0, 10) == b"first"
    assert len(other.items(b"/")) == 1


@pytest.mark.parametrize("kind", [ObjectUnreadable, AccessDenied, StorageUnavailable])
def test_a_storage_that_gives_nothing_is_no_damage(
    tmp_path: Path, kind: type[BackendError]
) -> None:
    class Failing(MemoryBackend):
        fails = False

        @override
        def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
            if self.fails:
                raise kind(name, "it fails")
            return super().get(name, offset, length)

    world = World(tmp_path)
    backend = Failing()
    repo = Repository(new_store(backend, clock=world.clock), world.clock)
    (world.data / "file").write_bytes(b"first")
    repo.backup([world.data])
    reader = View(repo, f"latest:{world.data}").open(b"/file", "skip")
    backend.fails = True
    with pytest.raises(kind):
        reader.read_at(0, 10)
    assert reader.skipped == []
    backend.fails = False
    assert reader.read_at(0, 10) == b"first"


def test_after_close_nothing_is_read(world: World) -> None:
    world.backup()
    view = View(world.repo)
    reader = view.open(world.inside("latest", "/file"))
    view.close()
    for use in (lambda: view.item(b"/"), lambda: reader.read_at(0, 1)):
        with pytest.raises(UsageError, match="view of the repository was closed"):
            use()
    other = View(world.repo)
    world.repo.close()
    with pytest.raises(UsageError, match="repository was closed"):
        other.items(b"/")


# Links


LINKS = {
    "file-link": "file",
    "dir-link": "sub",
    "up": "../data/file",
    "chain": "dir-link/back",
    "sub/back": "../file",
    "far-up": "../../../../../../../../../..",
    "loop": "loop",
    "pair": "riap",
    "riap": "pair",
    "dangling": "none",
    "empty-end": "sub/",
    "here": ".",
    "sub/out": "../../sub/other",
}


@pytest.fixture
def linked(world: World) -> World:
    for name, target in LINKS.items():
        (world.data / name).symlink_to(target)
    (world.data / "absolute").symlink_to(world.data / "sub/other")
    (world.data / "outside").symlink_to("/etc")
    (world.data / "sub/way-out").symlink_to(f"{world.data}/../sub/other")
    (world.data / "all").symlink_to(world.data)
    world.backup()
    return world


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/file-link", "/file"),
        ("/dir-link", "/sub"),
        ("/dir-link/other", "/sub/other"),
        ("/dir-link/back", "/file"),
        ("/chain", "/file"),
        ("/absolute", "/sub/other"),
        ("/empty-end", "/sub"),
        ("/up", "/file"),
        ("/here", ""),
        ("/here/all/sub/../here/file", "/file"),
        ("/all", ""),
        ("/sub/../file", "/file"),
        ("/sub/deep/../../sub/./other", "/sub/other"),
    ],
)
def test_links_are_followed_inside_the_snapshot(
    linked: World, pinned: bool, path: str, found: str
) -> None:
    if pinned:
        view = View(linked.repo, f"latest:{linked.data}")
        assert view.follow(path.encode()).path == (found or "/").encode()
    else:
        view = View(linked.repo)
        assert view.follow(linked.inside("latest", path)).path == linked.inside("latest", found)


def test_links_lead_nowhere_outside(linked: World) -> None:
    view = View(linked.repo)
    for start in ("latest", "hosts/one/2026-01-02T00-00-00Z"):
        assert view.follow(linked.inside(start, "/far-up")).path == os.fsencode(f"/{start}")
        with pytest.raises(PathNotFound):
            view.follow(linked.inside(start, "/outside"))
    assert view.follow(b"/ids/../latest").path == b"/latest"
    pinned = View(linked.repo, f"latest:{linked.data}")
    for path in (b"/far-up", b"/outside", b"/sub/out", b"/sub/way-out", b"/..", b"/sub/../../x"):
        with pytest.raises(PathNotFound, match="leads out of"):
            pinned.follow(path)


@pytest.mark.parametrize("name", ["loop", "pair", "riap", "loop/x"])
def test_loops_of_links_end(linked: World, name: str) -> None:
    with pytest.raises(LinkLoop, match="too many symbolic links"):
        View(linked.repo).follow(linked.inside("latest", f"/{name}"))


def test_a_link_itself_is_an_item(linked: World) -> None:
    view = View(linked.repo, f"latest:{linked.data}")
    item = view.item(b"/dangling")
    assert item.node.type == NodeType.SYMLINK
    assert view.link_target(b"/dangling") == b"none"
    with pytest.raises(PathNotFound):
        view.follow(b"/dangling")
