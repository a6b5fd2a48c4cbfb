"""For each verb of the library that no command is, and every n: the n-th operation fails.

What is read is right, or there is an error of ours; what is written is there when the verb returns.
See `test_every_command` for those that are commands.
"""

from __future__ import annotations

import http.client
import io
import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from tests.faults.command_world import After, World, contents, files, opened
from tests.integration.test_mount import require_fuse

import holdfast
from holdfast.backend import Backend, Fail, Faulty, MemoryBackend, NoFault, nth, since
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.engine.snapshotfs.view import View
from holdfast.operations.storage_test import probe_storage

if TYPE_CHECKING:
    from tests.length import Stride

pytestmark = pytest.mark.usefixtures("cheap_passwords", "index_at_the_end")

PLANS: dict[str, Callable[[int], Fail]] = {
    "fails": lambda n: Fail(nth(n), holdfast.BackendError),
    "is gone": lambda n: Fail(since(n), holdfast.StorageUnavailable),
}
each_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
PATIENCE = 120
TRAIL = "c" * 32


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    cheap_passwords: None,  # noqa: ARG001 - it takes effect
) -> World:
    world = World.at(tmp_path_factory.mktemp("world"))
    (world.top / "restored").mkdir()
    opened(world.repo).restore(f"{world.ids[3]}:{world.data}", world.top / "restored")
    return world


def words_of(world: World) -> str:
    """The name of a file in a snapshot."""
    return f"{world.ids[3]}:{world.data}/words"


Read: TypeAlias = Callable[[Repository, World], object]


def through_fs(repo: Repository, world: World) -> object:
    fs = repo.fs(world.ids[3])
    with closing(fs.view):
        return sorted(fs.find(str(world.data))), fs.cat(f"{world.data}/words")


def table(repo: Repository, world: World) -> object:
    return repo.read_table(f"{world.ids[4]}:{world.still}/table.csv").to_dict()


def restored(repo: Repository, world: World) -> object:
    with repo.restored(f"{world.ids[3]}:{world.data}") as folder:
        return files(folder)


def verified(repo: Repository, world: World) -> object:
    found = repo.verify_restore(f"{world.ids[3]}:{world.data}", world.top / "restored")
    return found.entries, found.errors


def file(repo: Repository, world: World) -> object:
    with repo.open_file(world.ids[3], world.data / "words") as stream:
        return stream.read()


def archive(repo: Repository, world: World) -> object:
    output = io.BytesIO()
    repo.dump(world.ids[3], world.data, output, archive="zip")
    return output.getvalue()


READS: dict[str, Read] = {
    "fs": through_fs,
    "read_bytes": lambda repo, world: repo.read_bytes(words_of(world)),
    "read_table": table,
    "restored": restored,
    "verify_restore": verified,
    "open_file": file,
    "dump": archive,
    "walk": lambda repo, world: [each.path for each in repo.walk(world.ids[3])],
    "listdir": lambda repo, world: [each.path for each in repo.listdir(world.ids[3], world.data)],
    "snapshot": lambda repo, world: repo.snapshot(world.ids[3][:6]).id,
    "snapshots": lambda repo, _: [each.id for each in repo.snapshots()],
    "forgotten": lambda repo, _: [each.snapshot.id for each in repo.forgotten()],
    "audit_anchors": lambda repo, _: [each.digest for each in repo.audit_anchors()],
    "keys": lambda repo, _: [(each.id, each.problem) for each in Repository.keys(repo)],
    "sessions": lambda repo, _: repr(repo.sessions()),
}


@pytest.mark.fault(18)
@each_plan
@pytest.mark.parametrize("verb", READS)
def test_what_is_read_is_right_or_an_error(
    world: World, verb: str, plan: Callable[[int], Fail]
) -> None:
    repo = opened(world.repo)
    right = READS[verb](repo, world)
    before = world.repo.everything()
    failed = 0
    for number in range(1, 100):
        faulty = Faulty(world.repo, NoFault())
        repo = opened(faulty)
        opening = len(faulty.calls)
        faulty._plan = plan(opening + number)
        threads = set(threading.enumerate())
        try:
            found = READS[verb](repo, world)
        except holdfast.HoldfastError:
            failed += 1
        else:
            assert found == right, number
        assert set(threading.enumerate()) <= threads
        if len(faulty.calls) < opening + number:
            break
    assert number > 1
    assert failed
    assert world.repo.everything() == before


def has_stream(after: After) -> bool:
    return {"/name": b"a stream"} in list(after.new())


def anchors(after: After) -> list[int]:
    return [each.sequence for each in after.open().audit_anchors(TRAIL)]


def drop_anchors(repo: Repository) -> None:
    for each in repo.audit_anchors("a" * 32):
        repo.drop_audit_anchor(each)


WRITES: dict[str, tuple[Callable[[Repository], object], Callable[[After], bool]]] = {
    "backup_stream": (
        lambda repo: repo.backup_stream(io.BytesIO(b"a stream"), "name"),
        has_stream,
    ),
    "anchor_audit": (
        lambda repo: repo.anchor_audit(TRAIL, 2, "d" * 64),
        lambda after: 2 in anchors(after),
    ),
    "drop_audit_anchor": (
        drop_anchors,
        lambda after: not list(after.open().audit_anchors("a" * 32)),
    ),
}


@pytest.mark.fault(2, 3)
@pytest.mark.parametrize(
    "plan",
    [*PLANS.values(), lambda n: Fail(nth(n), done=True)],
    ids=[*PLANS, "fails though done"],
)
@pytest.mark.parametrize("verb", WRITES)
def test_what_is_written_is_there_or_an_error(
    world: World, verb: str, plan: Callable[[int], Fail], stride: Stride
) -> None:
    work, effect = WRITES[verb]
    done = failed = 0
    for number in stride(range(1, 100), 4):
        after = After(world, world.repo.copy(), world.other)
        faulty = Faulty(after.repo, NoFault())
        repo = opened(faulty)
        opening = len(faulty.calls)
        faulty._plan = plan(opening + number)
        try:
            work(repo)
        except holdfast.HoldfastError:
            failed += 1
        else:
            assert effect(after), number
            done += 1
        for id_ in world.ids[1:]:
            assert contents(after.open(), id_) == world.held[id_]
        assert after.open().check(read_data=True).valid
        work(after.open())
        assert effect(after), number
        if len(faulty.calls) < opening + number:
            break
    assert done
    assert failed


# Snapshots as files


@pytest.mark.fault(18)
@each_plan
def test_a_view_shows_what_is_there_or_an_error(world: World, plan: Callable[[int], Fail]) -> None:
    """What is mounted or served is read by it; it goes on after a failure."""
    path = os.fsencode(f"/ids/{world.ids[3][:8]}{world.data}")

    def look(view: View) -> object:
        names = sorted(each.path for each in view.items(b"/ids"))
        reader = view.open(path + b"/words")
        return names, len(view.items(path)), reader.read_at(0, reader.size)

    with closing(View(opened(world.repo))) as view:
        right = look(view)
    failed = 0
    for number in range(1, 100):
        faulty = Faulty(world.repo, NoFault())
        repo = opened(faulty)
        opening = len(faulty.calls)
        faulty._plan = plan(opening + number)
        with closing(View(repo)) as view:
            try:
                assert look(view) == right
            except holdfast.HoldfastError:
                failed += 1
            ended = len(faulty.calls) < opening + number
            faulty._plan = NoFault()
            assert look(view) == right
        if ended:
            break
    assert failed


@pytest.mark.fault(18)
@each_plan
def test_what_is_served_is_whole_or_broken_off(
    world: World, plan: Callable[[int], Fail], stride: Stride
) -> None:
    """Never an answer that says 200 and has another content."""
    failed = 0
    for number in stride(range(1, 12), 3):
        faulty = Faulty(world.repo, NoFault())
        with opened(faulty) as repo, repo.serve(port=0, snapshot=world.ids[3]) as server:
            server.start()
            faulty._plan = plan(len(faulty.calls) + number)
            code, body = asked(server.address, f"{world.data}/sub/of 3".replace(" ", "%20"))
            assert body == world.held[world.ids[3]][f"{world.data}/sub/of 3"] or code != 200
            failed += code != 200
    assert failed


def asked(address: str, path: str) -> tuple[int, bytes]:
    """The answer of a server; the code 0 for one that is broken off."""
    host = address.removeprefix("http://").rstrip("/")
    with closing(http.client.HTTPConnection(host, timeout=PATIENCE)) as connection:
        connection.request("GET", path)
        found = connection.getresponse()
        try:
            return found.status, found.read()
        except http.client.IncompleteRead:
            return 0, b""


@pytest.mark.fault(18)
@pytest.mark.parametrize("failure", PLANS)
def test_what_is_mounted_is_whole_or_an_error(
    world: World, failure: str, stride: Stride, tmp_path: Path
) -> None:
    """Another process reads it: all of a file, or it is told that it cannot be read."""
    require_fuse()
    failed = 0
    for number in stride(range(1, 5), 2):
        faulty = Faulty(world.repo, NoFault())
        place = tmp_path / str(number)
        place.mkdir()
        ready = threading.Event()
        repo = opened(faulty)
        inside = f"{world.ids[3]}:{world.data}"

        mount = partial(repo.mount, place, inside, on_ready=ready.set)
        thread = threading.Thread(target=mount, daemon=True)  # a test that fails ends all the same
        thread.start()
        assert ready.wait(PATIENCE)
        faulty._plan = PLANS[failure](len(faulty.calls) + number)
        read = subprocess.run(["cat", place / "sub/of 3"], capture_output=True, check=False)
        subprocess.run(["fusermount3", "-u", place], check=True)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        right = world.held[world.ids[3]][f"{world.data}/sub/of 3"]
        assert (read.returncode != 0) == (read.stdout != right)
        failed += read.returncode != 0
    assert failed or failure == "fails"  # a read is tried again


# A storage without a repository


@pytest.mark.fault(18)
@each_plan
def test_a_storage_that_fails_is_not_told_to_be_good(
    plan: Callable[[int], Fail], stride: Stride
) -> None:
    def told(backend: Backend) -> dict[str, str]:
        report = probe_storage(backend, "folder", lambda: backend, SYSTEM_CLOCK)
        return {each.name: each.outcome for each in report.checks}

    counted = Faulty(MemoryBackend(), NoFault())
    good = told(counted)
    suspected = tried = 0
    for number in stride(range(1, len(counted.calls) + 1), len(counted.calls) // 4):
        tried += 1
        try:
            suspected += told(Faulty(MemoryBackend(), plan(number))) != good
        except holdfast.HoldfastError:
            suspected += 1
    assert suspected > tried // 2
