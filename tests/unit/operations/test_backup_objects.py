"""Backing up a store: what is read, what is taken over, and what becomes of what fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import pytest
from typing_extensions import override

from holdfast.backend import (
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    RemoteFailure,
    RemoteObjects,
)
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    AccessDenied,
    BackendError,
    DamagedRepository,
    ObjectNotFound,
    ObjectUnreadable,
    SourceError,
    StorageFull,
    StorageUnavailable,
)
from holdfast.filesystem import ExcludeRules
from holdfast.filesystem.remote import RemoteSource
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Node, NodeType
from holdfast.model.walk import walk
from holdfast.operations.backup import BackupOptions, BackupOutcome, backup_objects, fetch
from holdfast.operations.ingest import Ingest
from holdfast.progress import Progress, ProgressEvent
from holdfast.store import Store
from holdfast.testing.repositories import ManualClock, new_store
from holdfast.testing.shelf import ROOT, Shelf

both = pytest.mark.parametrize("flat", [True, False])
OPTIONS = BackupOptions(host="host", user="user", os="os", program="test")
OLD = 10**18
"""A time long before any backup."""


@dataclass
class Bench:
    """A shelf and a repository that it is backed up to."""

    shelf: Shelf = field(default_factory=Shelf)
    backend: Faulty = field(default_factory=lambda: Faulty(MemoryBackend(), NoFault()))
    last: BackupOutcome | None = None
    events: list[ProgressEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store: Store = new_store(self.backend)

    def backup(self, **changes: object) -> BackupOutcome:
        self.shelf.requests.clear()
        parent = self.last.snapshot if self.last else None
        options = replace(OPTIONS, **{"parent": parent, **changes})  # type: ignore[arg-type]  # as they are
        source = RemoteSource(RemoteObjects(self.shelf, ManualClock()), ExcludeRules())
        progress = Progress(self.events.append)
        with self.store.writer({}) as writer, self.store.loader() as loader:
            ingest = Ingest(writer, self.store.settings.chunker, self.store.chunker_seed())
            outcome = backup_objects(
                source, writer, ingest, loader, options, SYSTEM_CLOCK, progress
            )
        progress.finish()
        self.last = outcome
        return outcome

    def nodes(self) -> dict[str, Node]:
        assert self.last
        with self.store.loader() as loader:
            return {path.decode(): node for path, node in walk(self.last.snapshot.tree, loader)}

    def contents(self) -> dict[str, bytes]:
        with self.store.loader() as loader:
            return {
                path.removeprefix(f"/{ROOT}/"): SnapshotFile(node, loader).read()
                for path, node in self.nodes().items()
                if node.type == NodeType.FILE
            }


def filled(*, flat: bool = True, tags: bool = True, exact: bool = True) -> Bench:
    bench = Bench(Shelf(is_flat=flat, has_tags=tags, is_exact=exact))
    for name in ("a", "b/c", "b/d/e", "b.txt", "empty"):
        bench.shelf.add(name, b"" if name == "empty" else name.encode() * 100, OLD)
    return bench


def refusing(name: str, error: Callable[[str], BackendError]) -> Callable[[str, str], None]:
    """Have reads of one object fail."""

    def meddle(verb: str, path: str) -> None:
        if verb == "get" and path == f"{ROOT}/{name}":
            raise error(path)

    return meddle


@both
def test_everything_is_backed_up(flat: bool) -> None:
    bench = filled(flat=flat)
    outcome = bench.backup()
    assert bench.contents() == {
        "a": b"a" * 100, "b/c": b"b/c" * 100, "b/d/e": b"b/d/e" * 100, "b.txt": b"b.txt" * 100,
        "empty": b"",
    }  # fmt: skip
    summary = outcome.snapshot.summary
    assert (summary.files_new, summary.directories, summary.bytes_processed) == (5, 5, 1400)
    assert outcome.snapshot.paths == ("shelf://bucket/data",)
    assert outcome.snapshot.how["kind"] == "objects"
    assert outcome.problems == ()
    node = bench.nodes()[f"/{ROOT}/a"]
    assert (node.mode, node.mtime, node.extra) == (0o644, OLD, {"tag": "v1"})
    assert bench.nodes()["/bucket"].mtime == OLD


def test_every_object_is_counted_once() -> None:
    bench = filled()
    for count in (5, 6):
        bench.backup()
        assert bench.events[-1].files == count
        assert bench.events[-1].bytes == sum(map(len, bench.contents().values()))
        bench.shelf.add("one more", b"1" * 70, OLD)


@both
@pytest.mark.parametrize("tags", [True, False])
def test_only_what_has_changed_is_read(flat: bool, tags: bool) -> None:
    bench = filled(flat=flat, tags=tags)
    first = bench.backup()
    second = bench.backup()
    assert bench.shelf.read_paths == []
    assert second.snapshot.tree == first.snapshot.tree
    assert second.snapshot.summary.files_unmodified == 5
    bench.shelf.add("b/c", b"other", OLD + 10**9)
    bench.shelf.add("b/new", b"new", OLD)
    bench.shelf.delete("a")
    third = bench.backup().snapshot.summary
    assert bench.shelf.read_paths == ["b/c", "b/new"]
    assert (third.files_new, third.files_changed, third.files_unmodified) == (1, 1, 3)
    assert bench.contents() == {
        "b/c": b"other", "b/d/e": b"b/d/e" * 100, "b.txt": b"b.txt" * 100, "b/new": b"new",
        "empty": b"",
    }  # fmt: skip


def test_another_tag_alone_is_a_change() -> None:
    bench = filled()
    bench.backup()
    bench.shelf.add("a", b"A" * 100, OLD)
    bench.backup()
    assert bench.shelf.read_paths == ["a"]
    assert bench.contents()["a"] == b"A" * 100


def test_the_same_bytes_written_again_are_read_and_stored_once() -> None:
    bench = filled()
    bench.backup()
    bench.shelf.add("a", b"a" * 100, OLD)
    summary = bench.backup().snapshot.summary
    assert bench.shelf.read_paths == ["a"]
    assert summary.files_changed == 1


def test_without_tags_a_recent_time_is_not_trusted() -> None:
    bench = filled(tags=False)
    bench.shelf.add("fresh", b"fresh", SYSTEM_CLOCK.now_ns())
    bench.backup()
    bench.backup()
    assert bench.shelf.read_paths == ["fresh"]


@pytest.mark.parametrize("mtime", [0, -OLD])
def test_without_tags_only_a_time_after_1970_is_trusted(mtime: int) -> None:
    """0 stands for a time that the store does not tell."""
    bench = filled(tags=False)
    bench.shelf.add("a", b"first", mtime)
    bench.backup()
    bench.shelf.add("a", b"other", mtime)
    bench.backup()
    assert bench.contents()["a"] == b"other"


def test_force_reads_everything() -> None:
    bench = filled()
    bench.backup()
    summary = bench.backup(force=True).snapshot.summary
    assert len(bench.shelf.read_paths) == 4
    assert summary.files_unmodified == 5


def test_no_snapshot_when_nothing_has_changed() -> None:
    bench = filled()
    bench.backup()
    assert not bench.backup(skip_if_unchanged=True).committed
    bench.shelf.add("a", b"A", OLD)
    assert bench.backup(skip_if_unchanged=True).committed


def test_what_the_repository_has_lost_is_read_again() -> None:
    bench = filled()
    bench.backup()
    for info in list(bench.backend.list("data/")):
        data = bench.backend.get(info.name)
        bench.backend.delete(info.name)
        try:
            bench.nodes()
        except DamagedRepository:  # it has the directories
            bench.backend.put(info.name, data)
    bench.backup()
    assert len(bench.shelf.read_paths) == 4
    assert bench.contents()["a"] == b"a" * 100


def test_a_large_object_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PART", 1000)
    bench = Bench()
    data = bytes(number * 7 % 251 for number in range(25_500))
    bench.shelf.add("large", data, OLD)
    bench.backup()
    assert len(bench.shelf.read_paths) == 26
    assert bench.contents()["large"] == data


def test_what_is_read_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 5000)
    bench = Bench(Shelf(page_size=1000))
    for number in range(100):
        bench.shelf.add(f"{number:03}", b"%03d" % number * 333, OLD)
    lock = threading.Lock()
    ahead = most = 0
    ingested = Ingest.stream

    def meddle(verb: str, _: str) -> None:
        nonlocal ahead, most
        if verb == "get":
            with lock:
                ahead += 1
                most = max(most, ahead)

    def stream(*args: object) -> int:
        nonlocal ahead
        size = ingested(*args)  # type: ignore[arg-type]  # as they are
        with lock:
            ahead -= 1
        return size

    bench.shelf.meddle = meddle
    monkeypatch.setattr(Ingest, "stream", stream)
    bench.backup()
    assert len(bench.contents()) == 100
    assert 2 <= most <= 7


@pytest.mark.parametrize("exact", [True, False])
def test_an_object_that_changes_while_it_is_read_is_read_again(
    monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    monkeypatch.setattr(fetch, "PART", 100)
    bench = filled(exact=exact)
    bench.shelf.add("large", b"1" * 950, OLD)
    calls = 0

    def meddle(verb: str, path: str) -> None:
        nonlocal calls
        if verb == "get" and path.endswith("/large"):
            calls += 1
            if calls == 4:
                bench.shelf.add("large", b"2" * 950, OLD)

    bench.shelf.meddle = meddle
    outcome = bench.backup()
    assert bench.contents()["large"] == b"2" * 950
    assert outcome.problems == ()
    assert bench.nodes()[f"/{ROOT}/large"].extra == {"tag": "v7"}


@pytest.mark.parametrize("size", [40, 350])
def test_an_object_that_keeps_changing_is_marked(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(fetch, "PART", 100)
    bench = filled()
    bench.shelf.add("busy", b"0" * size, OLD)

    def meddle(verb: str, path: str) -> None:
        if verb == "get" and path.endswith("/busy"):
            bench.shelf.add("busy", b"1" * size, OLD)

    bench.shelf.meddle = meddle
    assert bench.backup().problems == ()
    node = bench.nodes()[f"/{ROOT}/busy"]
    assert (node.size, node.extra) == (size, {"changed": True})
    bench.shelf.meddle = lambda verb, path: None  # noqa: ARG005 - a hook's signature
    bench.backup()
    assert set(bench.shelf.read_paths) == {"busy"}


def test_an_object_that_gives_fewer_bytes_than_it_says_is_a_problem() -> None:
    class Short(Shelf):
        @override
        def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:
            return super().read(path, part, tag)[:-1]

    bench = Bench(Short())
    bench.shelf.add("a", b"whole", OLD)
    outcome = bench.backup()
    assert [problem.message for problem in outcome.problems] == [
        "the store gives fewer bytes than it says there are"
    ]
    assert bench.contents() == {}


@both
def test_an_object_that_vanishes_is_left_out(flat: bool) -> None:
    bench = filled(flat=flat)
    bench.shelf.page_size = 100

    def vanish(verb: str, path: str) -> None:
        if verb == "get" and path.endswith("b/c"):
            bench.shelf.delete("b/c")

    bench.shelf.meddle = vanish
    outcome = bench.backup()
    assert outcome.problem_count == 0
    assert sorted(bench.contents()) == ["a", "b.txt", "b/d/e", "empty"]


def test_an_object_that_vanishes_after_it_was_read_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can tell any more whether its parts were of one version."""
    monkeypatch.setattr(fetch, "PART", 100)
    bench = filled(exact=False)
    bench.shelf.add("large", b"1" * 950, OLD)

    def vanish(verb: str, path: str) -> None:
        if verb == "stat" and path.endswith("/large"):
            bench.shelf.delete("large")

    bench.shelf.meddle = vanish
    outcome = bench.backup()
    assert outcome.problem_count == 0
    assert sorted(bench.contents()) == ["a", "b.txt", "b/c", "b/d/e", "empty"]


@both
def test_an_object_that_is_listed_but_not_there_is_a_problem(flat: bool) -> None:
    bench = filled(flat=flat)
    bench.shelf.meddle = refusing("b/c", lambda path: ObjectNotFound(path, "no such object"))
    outcome = bench.backup()
    assert [(p.path, p.message) for p in outcome.problems] == [
        (b"/bucket/data/b/c", "it is listed, but the store says that there is no such object")
    ]
    assert sorted(bench.contents()) == ["a", "b.txt", "b/d/e", "empty"]


def test_whether_it_is_listed_may_not_be_known() -> None:
    bench = filled()

    def meddle(verb: str, path: str) -> None:
        if verb == "get" and path.endswith("b/c"):
            raise ObjectNotFound(path, "no such object")
        if verb == "list" and path.endswith("/b"):
            raise AccessDenied(path, "refused")

    bench.shelf.meddle = meddle
    assert [(p.path, p.message) for p in bench.backup().problems] == [
        (b"/bucket/data/b/c", "it may be gone, but its folder cannot be listed: refused")
    ]


def test_a_folder_that_is_gone_before_its_objects_are_read_is_an_error() -> None:
    bench = filled(flat=False)

    def vanish(verb: str, _: str) -> None:
        if verb == "get":
            bench.shelf.objects.clear()

    bench.shelf.meddle = vanish
    with pytest.raises(SourceError, match="there is no such folder"):
        bench.backup()
    assert list(bench.backend.list("snapshots/")) == []


@pytest.mark.parametrize("error", [AccessDenied, ObjectUnreadable, BackendError])
def test_an_object_that_cannot_be_read_is_a_problem(error: type[BackendError]) -> None:
    bench = filled()
    bench.shelf.meddle = refusing("b/c", lambda path: error(path, "not today"))
    outcome = bench.backup()
    assert [(p.path, p.operation, p.message) for p in outcome.problems] == [
        (b"/bucket/data/b/c", "read", "not today")
    ]
    assert sorted(bench.contents()) == ["a", "b.txt", "b/d/e", "empty"]
    bench.shelf.meddle = lambda verb, path: None  # noqa: ARG005 - a hook's signature
    bench.backup()
    assert bench.shelf.read_paths == ["b/c"]


def test_when_nothing_can_be_read_any_more_there_is_no_snapshot() -> None:
    bench = filled()
    reads = 0

    def meddle(verb: str, path: str) -> None:
        nonlocal reads
        reads += verb == "get"
        if reads > 2:
            raise AccessDenied(path, "the credentials have expired")

    bench.shelf.meddle = meddle
    with pytest.raises(SourceError, match="the credentials have expired"):
        bench.backup()
    assert list(bench.backend.list("snapshots/")) == []


def test_a_source_that_does_not_answer_any_more_ends_the_backup() -> None:
    bench = filled()
    bench.shelf.meddle = refusing("a", lambda path: StorageUnavailable(path, "no answer", 10**6))
    with pytest.raises(SourceError, match="no answer"):
        bench.backup()
    assert list(bench.backend.list("snapshots/")) == []


def test_a_backup_that_fails_does_not_wait_for_a_busy_source() -> None:
    bench = filled()
    asked = threading.Event()

    def busy(verb: str, path: str) -> None:
        if verb == "get":
            asked.set()
            raise StorageUnavailable(path, "busy")

    bench.shelf.meddle = busy
    objects = RemoteObjects(bench.shelf, ManualClock())  # the time to try again never comes
    (listed, *_), _ = bench.shelf.page("")

    def fail() -> None:
        with bench.store.writer({}) as writer:
            ingest = Ingest(writer, bench.store.settings.chunker, bench.store.chunker_seed())
            with fetch.Fetcher(objects, writer, ingest, 0) as fetcher:
                fetcher.begin(listed)
                asked.wait()
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(bench.shelf.read_paths) == 1


@pytest.mark.fault(21)
def test_a_read_that_has_stalled_does_not_hold_up_an_interrupt() -> None:
    closed = threading.Event()
    asked = threading.Event()
    ended_in_time: list[bool] = []

    class Stalling(Shelf):
        @override
        def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:
            asked.set()
            ended_in_time.append(closed.wait(20))
            raise BackendError(path, "the connection is closed")

        @override
        def close(self) -> None:
            closed.set()

    bench = Bench(Stalling())
    bench.shelf.add("a", b"a", OLD)
    (listed, *_), _ = bench.shelf.page("")

    def interrupt() -> None:
        with bench.store.writer({}) as writer:
            ingest = Ingest(writer, bench.store.settings.chunker, bench.store.chunker_seed())
            objects = RemoteObjects(bench.shelf, SYSTEM_CLOCK)
            with fetch.Fetcher(objects, writer, ingest, 0) as fetcher:
                ticket = fetcher.begin(listed)
                asked.wait()
                reads.extend(part for part, _ in ticket.parts)
                raise KeyboardInterrupt

    reads: list[Future[bytes]] = []
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    with pytest.raises(RemoteFailure):
        reads[0].result()
    assert ended_in_time == [True]


@pytest.mark.parametrize("error", [StorageFull, AccessDenied, ObjectNotFound])
def test_a_failing_repository_is_never_a_problem_of_the_source(error: type[BackendError]) -> None:
    bench = filled()
    bench.backend = Faulty(MemoryBackend(), NoFault())
    bench.store = new_store(bench.backend)
    bench.backend._plan = Fail(lambda call: call.verb == "put" and call.name[:5] == "data/", error)
    with pytest.raises(error):
        bench.backup()


def test_an_object_and_a_folder_of_one_name() -> None:
    bench = filled()
    bench.shelf.add("b", b"clash", OLD)
    outcome = bench.backup()
    assert [(p.path, p.operation) for p in outcome.problems] == [(b"/bucket/data/b", "read")]
    assert sorted(bench.contents()) == ["a", "b.txt", "b/c", "b/d/e", "empty"]
    summary = outcome.snapshot.summary
    assert (summary.files_new, summary.bytes_processed) == (5, 1400)
    again = bench.backup()
    assert bench.shelf.read_paths == []
    assert [(p.path, p.operation) for p in again.problems] == [(b"/bucket/data/b", "read")]
    assert again.snapshot.summary.files_unmodified == 5


@both
def test_an_object_that_takes_the_place_of_a_folder_is_read(flat: bool) -> None:
    bench = filled(flat=flat)
    bench.backup()
    for name in ("b/c", "b/d/e"):
        bench.shelf.delete(name)
    bench.shelf.add("b", b"an object now", OLD)
    outcome = bench.backup()
    assert outcome.problems == ()
    assert outcome.snapshot.summary.files_new == 1
    assert bench.contents()["b"] == b"an object now"


@both
def test_a_key_that_is_no_path_is_a_problem(flat: bool) -> None:
    bench = filled(flat=flat)
    bench.shelf.add("b//c", b"odd", OLD)
    outcome = bench.backup()
    assert len(outcome.problems) == 1
    assert len(bench.contents()) == 5


def test_a_store_that_lists_without_order() -> None:
    bench = filled()
    bench.shelf.sort = lambda paths: sorted(paths)[::-1]
    outcome = bench.backup()
    assert len(bench.contents()) == 5
    assert outcome.snapshot.summary.files_new == 5


def test_a_folder_that_cannot_be_listed_is_marked() -> None:
    bench = filled(flat=False)

    def meddle(verb: str, path: str) -> None:
        if verb == "list" and path.endswith("/b"):
            raise AccessDenied(path, "refused")

    bench.shelf.meddle = meddle
    outcome = bench.backup()
    assert [(p.path, p.operation) for p in outcome.problems] == [(b"/bucket/data/b", "list")]
    assert bench.nodes()[f"/{ROOT}/b"].extra == {"incomplete": True}
