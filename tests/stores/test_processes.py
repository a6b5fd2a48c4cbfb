"""Several processes at one repository in a store: at once, one after the other, and killed.

fsspec's memory store is that of one process, so it has no part in this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.servers.fixtures import NAMES
from tests.stores.repository import (
    MIB,
    Contents,
    Site,
    expect_clean,
    made,
    make_passwords_cheap,
    noise,
)

import holdfast

if TYPE_CHECKING:
    from tests.servers.base import Place

WRITERS = 3

ATTEMPTS = 12
"""How often something is tried that takes chance, the first ones each at half the pace."""

STORES = [name for name in NAMES if name != "memory"]

each_store = pytest.mark.parametrize("place", STORES, indirect=True)
# moto takes more processor time for listings than all else together takes here.
each_quick_store = pytest.mark.parametrize(
    "place", [name for name in STORES if name != "moto"], indirect=True
)


@pytest.fixture
def site(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    make_passwords_cheap(monkeypatch)
    site = Site(place)
    yield site
    site.close()


def make_source(path: Path, seed: str) -> Contents:
    """Plain files, of 1.5 MiB."""
    path.mkdir()
    for number in range(10):
        (path / f"{number}").write_bytes(noise(number * 1000, f"{seed} {number}"))
    (path / "large").write_bytes(noise(3 * MIB // 2, seed))
    return Contents.of(path)


def expect_good(repo: holdfast.Repository, snapshots: dict[str, Contents], target: Path) -> None:
    """These are all there are, none of their data is damaged, and the last one comes back."""
    assert {each.id for each in repo.snapshots()} == snapshots.keys()
    report = repo.check(read_data=True)
    assert report.valid, report.errors
    last = list(snapshots)[-1]
    snapshots[last].expect_in(repo, last, target)


def expect_all(
    site: Site, repo: holdfast.Repository, snapshots: dict[str, Contents], target: Path
) -> None:
    """A prune leaves what these snapshots need, and nothing else; each comes back."""
    repo.prune(max_unused="0")
    assert site.names("gc/") == site.names("sessions/") == set()
    assert repo.prune(max_unused="0", dry_run=True).unused == 0
    expect_good(repo, snapshots, target / "last")
    for snapshot, contents in snapshots.items():
        contents.expect_in(repo, snapshot, target / snapshot)


@pytest.mark.fault(26)
@each_store
def test_writers_and_a_prune_at_once(site: Site, tmp_path: Path) -> None:
    common = make_source(tmp_path / "common", "common")
    passing = make_source(tmp_path / "passing", "passing")
    own = [make_source(tmp_path / f"own {number}", f"own {number}") for number in range(WRITERS)]
    sources = [(each, passing, common) for each in own]
    with site.init() as repo, ExitStack() as stack:
        gone = made(repo.backup(passing.source))
        snapshots: dict[str, Contents] = {made(repo.backup(common.source)).id: common}
        repo.forget(gone.id, force=True)
        cache = tmp_path / "cache"
        prune = stack.enter_context(site.worker(cache, ("prune",), ("prune",)))
        writers = [
            stack.enter_context(
                site.worker(cache, *(("backup", str(each.source)) for each in several))
            )
            for several in sources
        ]
        for worker in (*writers, prune):
            worker.go()
        for worker, several in zip(writers, sources, strict=True):
            snapshots.update(zip(worker.ended(), several, strict=True))
        prune.ended()
        assert len(snapshots) == 1 + 3 * WRITERS
        # The repository here was open all the time, and has made none of them.
        expect_good(repo, snapshots, tmp_path / "beside")
        expect_all(site, repo, snapshots, tmp_path / "afterwards")


@each_store
def test_what_another_process_does_is_seen_at_once(site: Site, tmp_path: Path) -> None:
    contents = make_source(tmp_path / "source", "source")
    source = str(contents.source)
    with site.init() as repo:
        first = made(repo.backup(source))
        with site.open() as reader:
            contents.expect_in(reader, first.id, tmp_path / "first")
            (contents.source / "large").write_bytes(noise(MIB, "new"))
            after = Contents.of(contents.source)
            verbs = (("backup", source), ("forget", first.id), ("prune",))
            with site.worker(tmp_path / "cache", *verbs) as worker:
                worker.go()
                second, forgotten, _ = worker.ended()
            assert forgotten == first.id
            for each in (repo, reader):
                assert [snapshot.id for snapshot in each.snapshots()] == [second]
                with pytest.raises(holdfast.SnapshotNotFound):
                    each.snapshot(first.id)
            after.expect_in(reader, second, tmp_path / "second")
            assert made(repo.backup(source)).parent == second
            assert len(reader.snapshots()) == 2
            expect_clean(reader)


@pytest.mark.fault(2)
@each_store
def test_a_backup_that_is_killed(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "source"
    make_source(source, "source")
    with site.init() as repo:
        known: dict[str, Contents] = {made(repo.backup(source)).id: Contents.of(source)}

        def is_hit(folder: str, more: int, attempt: int) -> bool:
            """Kill one when there are so many more objects; whether it had not committed yet."""
            for part in range(5):
                (source / f"part {part}").write_bytes(noise(MIB, f"{len(known)} {attempt} {part}"))
            enough = len(site.names(folder)) + more
            with site.worker(tmp_path / "cache", ("backup", str(source))) as worker:
                worker.kill_when(lambda: len(site.names(folder)) >= enough, pace(attempt))
            committed = {each.id for each in repo.snapshots()} - known.keys()
            known.update(dict.fromkeys(committed, Contents.of(source)))
            expect_good(repo, known, tmp_path / f"restored {len(known)} {attempt}")
            return not committed

        for folder, more in (("data/", 1), ("data/", 4), ("index/", 1)):
            assert any(is_hit(folder, more, attempt) for attempt in range(ATTEMPTS))
            known[made(repo.backup(source)).id] = Contents.of(source)
        assert bury(repo) >= 3
        expect_all(site, repo, known, tmp_path / "afterwards")


def pace(attempt: int) -> float:
    """Seconds that a process may go on at a time."""
    return 0.02 * 0.5 ** min(attempt, 5)


def bury(repo: holdfast.Repository) -> int:
    """Say that the sessions that there are are dead; returns how many processes had them."""
    sessions = repo.sessions().sessions
    snapshots = {each.id for each in repo.snapshots()}
    for session in sessions:
        assert session.problem == ""
        assert repo.expire_session(session.id) == (session.id not in snapshots)
    return len({session.process for session in sessions})


class Objects(NamedTuple):
    """What is there at some moment."""

    sessions: set[str]
    packs: set[str]
    marks: set[str]


@pytest.mark.fault(3)
@each_quick_store
def test_a_prune_that_is_killed(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    # Is it announced, has it stored something anew, condemned, deleted?
    moments: list[Callable[[Objects], bool]] = [
        lambda before: site.names("sessions/") > before.sessions,
        lambda before: not site.names("data/") <= before.packs,
        lambda before: not site.names("gc/") <= before.marks,
        lambda before: not site.names("data/") >= before.packs,
    ]
    with site.init() as repo:
        known: dict[str, Contents] = {}

        def is_hit(reached: Callable[[Objects], bool], attempt: int) -> bool:
            """Kill one when it has got so far; whether it was at work still."""
            leave_half_unneeded(repo, source, f"{len(known)}")
            known[repo.snapshot("latest").id] = Contents.of(source)
            before = Objects(site.names("sessions/"), site.names("data/"), site.names("gc/"))
            with site.worker(tmp_path / "cache", ("prune",)) as worker:
                worker.kill_when(lambda: reached(before), pace(attempt))
            expect_good(repo, known, tmp_path / f"restored {len(known)}")
            return bury(repo) == 1

        for reached in moments:
            assert any(is_hit(reached, attempt) for attempt in range(ATTEMPTS))
        (source / "after").write_bytes(b"after")
        known[made(repo.backup(source)).id] = Contents.of(source)
        expect_all(site, repo, known, tmp_path / "afterwards")


def leave_half_unneeded(repo: holdfast.Repository, source: Path, seed: str) -> None:
    """Of each pack of a backup only half is needed."""
    for part in range(12):
        (source / f"{part}").write_bytes(noise(MIB // 4, f"{seed} {part}"))
    whole = made(repo.backup(source))
    for part in range(0, 12, 2):
        (source / f"{part}").unlink()
    made(repo.backup(source))
    repo.forget(whole.id)
