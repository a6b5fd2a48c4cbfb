"""One pass for several repositories: each gets what is its own, and each may fail alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from holdfast.backend import Backend, Fail, Faulty, MemoryBackend, NoFault, since
from holdfast.clock import SystemClock
from holdfast.errors import BackendError, SourceError, StorageFull, UnsupportedRepository
from holdfast.filesystem import Directory, ExcludeRules, LocalSource, Walk, WalkEvent
from holdfast.model.file import SnapshotFile
from holdfast.model.node import NodeType
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import lookup, walk
from holdfast.operations.backup import BackupOptions, backup_tree, lanes
from holdfast.operations.backup.joint import backup_jointly
from holdfast.operations.backup.lanes import Lane
from holdfast.operations.ingest import BUFFER_SIZE, LARGE, Group, Ingest
from holdfast.primitives.chunker import Chunker, ChunkerParams, open_chunker
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress, ProgressEvent
from holdfast.store import Settings, Store, Writer, create_store
from holdfast.testing.content import noise
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, SETTINGS, attached, new_store

FINE = SETTINGS
COARSE = Settings(ChunkerParams("pyfastcdc", 4 << 10, 16 << 10, 64 << 10), 1 << 20, 3)


ABOVE = 1 << 10
"""Bytes that directories above the test's may take: they are stored anew when others use them."""


class Ahead(SystemClock):
    """A clock that is an hour ahead: files that were just made are old to a backup."""

    @override
    def now_ns(self) -> int:
        return super().now_ns() + 3600 * 10**9


CLOCK = Ahead()


class ScriptedWalk(Walk):
    """A walk during which something happens when a directory was listed, or a file is opened."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.roots, source._exclusion)
        self._source = source

    @override
    def __iter__(self) -> Iterator[WalkEvent]:
        for event in super().__iter__():
            if isinstance(event, Directory):
                self._source.on_directory(event)
            yield event

    @override
    def open_file(self, name: bytes) -> int:
        if name in self._source.failing:
            raise OSError(errno.EIO, "a bad sector")
        return super().open_file(name)


class Source(LocalSource):
    """A local source to which things happen.

    Attributes:
        on_directory: called after a directory was listed, before it is used.
        failing: names of files that cannot be opened.
    """

    def __init__(self, root: Path) -> None:
        super().__init__([root], ExcludeRules())
        self.on_directory: Callable[[Directory], object] = lambda _: None
        self.failing: set[bytes] = set()

    @override
    def walk(self) -> Walk:
        return ScriptedWalk(self)


def like(store: Store) -> Store:
    return create_store(MemoryBackend(), PASSWORD, FINE, QUICK_KDF, CLOCK, None, store)


def options(parent: Snapshot | None = None, **others: object) -> BackupOptions:
    made = BackupOptions(host="host", user="user", os="os", program="test", parent=parent)
    return replace(made, **others)  # type: ignore[arg-type]  # the dataclass checks


def lane(store: Store, chosen: BackupOptions, stack: ExitStack, *, dry_run: bool = False) -> Lane:
    resources = stack.enter_context(ExitStack())
    writer = store.rehearsal() if dry_run else store.writer({})
    resources.push(writer)
    loader = resources.enter_context(store.loader())
    chunker, seed = store.settings.chunker, store.chunker_seed()
    return Lane(store.backend.location, writer, loader, chosen, chunker, seed, resources)


def jointly(
    source: LocalSource,
    stores: Sequence[Store],
    chosen: Sequence[BackupOptions] = (),
    progress: Progress | None = None,
) -> list[Lane]:
    """Back up to several repositories; returns how it went in each."""
    with ExitStack() as stack:
        pairs = zip(stores, chosen or [options() for _ in stores], strict=True)
        begun = [lane(store, each, stack) for store, each in pairs]
        backup_jointly(source, begun, CLOCK, progress or Progress(None))
    return begun


def alone(source: LocalSource, store: Store, chosen: BackupOptions | None = None) -> Snapshot:
    """A backup to one repository."""
    with store.writer({}) as writer, store.loader() as loader:
        ingest = Ingest(writer, store.settings.chunker, store.chunker_seed())
        outcome = backup_tree(
            source, writer, ingest, loader, chosen or options(), CLOCK, Progress(None)
        )
    return outcome.snapshot


def made(lane: Lane) -> Snapshot:
    assert lane.error is None
    assert lane.outcome is not None
    assert lane.outcome.committed
    return lane.outcome.snapshot


def contents(store: Store, snapshot: Snapshot, data: Path) -> dict[str, bytes]:
    """The files of a snapshot below a directory."""
    found: dict[str, bytes] = {}
    with store.loader() as loader:
        for path, node in walk(snapshot.tree, loader):
            if node.type == NodeType.FILE and path.startswith(os.fsencode(data) + b"/"):
                name = os.fsdecode(path[len(os.fsencode(data)) + 1 :])
                found[name] = SnapshotFile(node, loader).read() or b""
    return found


def below(store: Store, snapshot: Snapshot, data: Path) -> object:
    """What a snapshot has of a directory, but not of those above it, which others use."""
    with store.loader() as loader:
        return lookup(snapshot.tree, os.fsencode(data), loader).payload


def on_disk(data: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in data.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


class Reads:
    """Counts the bytes that are read of every file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes: dict[int, int] = {}
        self._pread, self._preadv = os.pread, os.preadv
        monkeypatch.setattr(os, "pread", self._one)
        monkeypatch.setattr(os, "preadv", self._many)

    def _one(self, descriptor: int, size: int, offset: int) -> bytes:
        data = self._pread(descriptor, size, offset)
        self._note(descriptor, len(data))
        return data

    def _many(self, descriptor: int, buffers: list[memoryview], offset: int) -> int:
        count = self._preadv(descriptor, buffers, offset)
        self._note(descriptor, count)
        return count

    def _note(self, descriptor: int, count: int) -> None:
        inode = os.fstat(descriptor).st_ino
        self.bytes[inode] = self.bytes.get(inode, 0) + count

    def of(self, path: Path) -> int:
        return self.bytes.get(path.stat().st_ino, 0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A tree with one of everything that is stored in a way of its own."""
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for number, size in enumerate((0, 10, 256, 257, 3000, 4096, 4097, 60_000, LARGE + 7)):
        (data / f"file{number}").write_bytes(noise(size, number))
    (data / "sub/huge").write_bytes(noise(BUFFER_SIZE + 100_000, 20))
    os.link(data / "file4", data / "sub/link to small")
    os.link(data / "file7", data / "a link")
    (data / "symlink").symlink_to("file1")
    os.mkfifo(data / "fifo")
    with (data / "sparse").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(300_000)
        file.write(noise(5000, 30))
    with (data / "small and sparse").open("wb") as file:  # small to some, cut by others
        file.truncate(3500)
    with suppress(OSError):  # not every file system has any
        os.setxattr(data / "file1", "user.note", b"kept")
    return data


# What comes of it


def stores_of(kind: str) -> list[Store]:
    first = new_store(settings=FINE)
    if kind == "alike":
        return [first, like(first)]
    if kind == "other secrets":
        return [first, new_store(settings=FINE)]
    if kind == "other sizes":
        return [new_store(settings=COARSE), first]
    return [new_store(settings=COARSE), first, like(first), new_store(settings=FINE)]


@pytest.mark.parametrize("kind", ["alike", "other secrets", "other sizes", "all of it"])
def test_each_gets_the_tree_that_a_backup_of_its_own_makes(kind: str, data: Path) -> None:
    source = Source(data)
    stores = stores_of(kind)
    for store, lane in zip(stores, jointly(source, stores), strict=True):
        snapshot = made(lane)
        own = alone(source, store)
        assert below(store, snapshot, data) == below(store, own, data)
        counts = replace(own.summary, data_added=0, data_stored=0)
        assert replace(snapshot.summary, data_added=0, data_stored=0) == counts
        assert own.summary.data_added < ABOVE
        assert contents(store, snapshot, data) == on_disk(data)


def test_every_byte_is_read_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch)
    jointly(Source(data), stores_of("all of it"))
    for path in data.rglob("*"):
        if path.is_file() and not path.is_symlink() and "sparse" not in path.name:
            assert reads.of(path) == path.stat().st_size, path
    assert 5000 <= reads.of(data / "sparse") < 20_000


def test_repositories_that_are_alike_cut_and_name_once(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[ChunkerParams] = []
    named: list[Writer] = []

    def open_counted(params: ChunkerParams, seed: bytes) -> Chunker:
        opened.append(params)
        return open_chunker(params, seed)

    save = Writer.save_data

    def save_counted(writer: Writer, content: memoryview, group: Group) -> BlobId:
        named.append(writer)
        return save(writer, content, group)

    monkeypatch.setattr(lanes, "open_chunker", open_counted)
    monkeypatch.setattr(Writer, "save_data", save_counted)
    stores = stores_of("alike")
    done = jointly(Source(data), stores)
    assert len(opened) == 1
    assert len(set(map(id, named))) == 1
    trees = [below(*each, data) for each in zip(stores, map(made, done), strict=True)]
    assert trees[0] == trees[1]
    opened.clear()
    named.clear()
    jointly(Source(data), stores_of("other secrets"))
    assert (len(opened), len(set(map(id, named)))) == (2, 2)


def test_an_empty_repository_does_not_make_the_other_store_anything(data: Path) -> None:
    source = Source(data)
    first, second = new_store(), new_store()
    parent = alone(source, first)
    done = jointly(source, [first, second], [options(parent), options()])
    kept, new = (made(each) for each in done)
    assert below(first, kept, data) == below(first, parent, data)
    assert kept.summary.files_new == 0
    assert kept.summary.data_added < ABOVE
    assert kept.summary.files_unmodified == new.summary.files_new == len(on_disk(data))
    assert below(second, new, data) == below(second, alone(source, second), data)
    assert (kept.parent, new.parent) == (parent.id, None)


def test_what_all_have_is_not_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(data)
    stores = stores_of("all of it")
    parents = [made(each) for each in jointly(source, stores)]
    (data / "file3").write_bytes(b"changed")
    reads = Reads(monkeypatch)
    done = jointly(source, stores, [options(parent) for parent in parents])
    assert {made(each).summary.files_changed for each in done} == {1}
    assert reads.bytes == {(data / "file3").stat().st_ino: 7}
    for store, each in zip(stores, done, strict=True):
        assert contents(store, made(each), data)["file3"] == b"changed"


def test_links_stay_together_in_each_whatever_the_other_has(data: Path) -> None:
    """One takes the links over, the other reads them; and one has only some of them."""
    source = Source(data)
    first, second = new_store(), new_store()
    hidden = LocalSource([data], ExcludeRules(patterns=("a link",)))
    parent = alone(hidden, first)
    for store, each in zip(
        (first, second),
        jointly(source, [first, second], [options(parent), options()]),
        strict=True,
    ):
        snapshot = made(each)
        own = alone(source, store, options(parent))
        assert below(store, snapshot, data) == below(store, own, data)
        with store.loader() as loader:
            nodes = [
                lookup(snapshot.tree, os.fsencode(data / n), loader) for n in ("a link", "file7")
            ]
        assert nodes[0]._replace(name=b"") == nodes[1]._replace(name=b"")
        assert nodes[0].filesystem is not None


# What goes wrong with the source


def test_what_cannot_be_read_is_in_the_result_of_each_that_needs_it(data: Path) -> None:
    source = Source(data)
    has_it = new_store()
    parent = alone(source, has_it)
    source.failing = {b"file4", b"file8"}
    stores = [new_store(), has_it, new_store(settings=COARSE)]
    done = jointly(source, stores, [options(), options(parent), options()])
    for number in (0, 2):
        outcome = done[number].outcome
        assert outcome is not None
        found = [(Path(os.fsdecode(each.path)).name, each.errno) for each in outcome.problems]
        # file4 has a second name, under which it can be read.
        assert found == [("file4", errno.EIO), ("file8", errno.EIO)]
        assert set(on_disk(data)) - set(contents(stores[number], made(done[number]), data)) == {
            "file4",
            "file8",
        }
    assert below(has_it, made(done[1]), data) == below(has_it, parent, data)
    assert made(done[1]).problem_count == 0


def test_a_root_that_is_missing_is_in_the_result_of_each(data: Path) -> None:
    source = LocalSource([data, data / "absent"], ExcludeRules())
    for each in jointly(source, stores_of("other secrets")):
        assert [problem.path for problem in made(each).problems] == [str(data / "absent")]


def test_no_source_at_all_is_an_error(data: Path) -> None:
    with pytest.raises(SourceError):
        jointly(LocalSource([data / "absent"], ExcludeRules()), stores_of("alike"))


def test_a_file_that_keeps_changing_is_marked_in_each(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "file8"
    preadv = os.preadv
    inode = path.stat().st_ino

    def read_and_change(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        count = preadv(descriptor, buffers, offset)
        if os.fstat(descriptor).st_ino == inode:
            with path.open("ab") as file:
                file.write(b"more")
        return count

    monkeypatch.setattr(os, "preadv", read_and_change)
    stores = stores_of("other sizes")
    done = jointly(Source(data), stores)
    found = []
    for store, each in zip(stores, done, strict=True):
        with store.loader() as loader:
            node = lookup(made(each).tree, os.fsencode(path), loader)
        assert node.extra == {"changed": True}
        found.append(contents(store, made(each), data)["file8"])
    assert found[0] == found[1]
    assert path.read_bytes().startswith(found[0])
    assert len(found[0]) > LARGE


def test_a_file_that_becomes_shorter_is_read_again(data: Path) -> None:
    source = Source(data)

    def cut(directory: Directory) -> None:
        if directory.path == os.fsencode(data):
            (data / "file7").write_bytes(b"short now")

    source.on_directory = cut
    stores = stores_of("other sizes")
    for store, each in zip(stores, jointly(source, stores), strict=True):
        assert contents(store, made(each), data)["file7"] == b"short now"


# What goes wrong with a repository


FAILURES: dict[str, Callable[[int], Fail]] = {
    "is full": lambda n: Fail(since(n), StorageFull),
    "fails once": lambda n: Fail(lambda call: call.number == n, BackendError),
    "fails once, though done": lambda n: Fail(
        lambda call: call.number == n, BackendError, done=True
    ),
}


@pytest.mark.parametrize("plan", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("place", [0, 1])
def test_one_that_fails_at_any_moment_leaves_the_other_alone(
    plan: Callable[[int], Fail], place: int, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for number in range(8):
        (data / f"sub/{number}").write_bytes(noise(number * 9000, number))
    source = Source(data)
    good, bad = new_store(), new_store()
    failed = 0
    for number in range(1, 200):
        objects = Faulty(MemoryBackend(), NoFault())
        for info in bad.backend.list(""):
            objects.put(info.name, bad.backend.get(info.name))
        objects.calls.clear()
        faulty = Faulty(objects, plan(number))
        pair = [attached(bad, faulty), attached(good, _copy(good.backend))]
        if place:
            pair.reverse()
        try:
            done = jointly(source, pair)
        except BackendError:  # it failed before there was a session
            assert number < 20
            continue
        snapshot = made(done[1 - place])
        assert contents(pair[1 - place], snapshot, data) == on_disk(data)
        if len(faulty.calls) < number:
            assert failed > 5
            return
        if done[place].error is None:
            made(done[place])
            continue
        failed += 1
        assert isinstance(done[place].error, BackendError)
        assert done[place].outcome is None
    raise AssertionError("the work never ends")


def _copy(objects: Backend) -> MemoryBackend:
    copy = MemoryBackend()
    for info in objects.list(""):
        copy.put(info.name, objects.get(info.name))
    return copy


def failing(store: Store) -> Store:
    """The same repository, of which no pack can be stored."""
    return attached(
        store,
        Faulty(
            store.backend,
            Fail(lambda call: call.verb == "put" and call.name.startswith("data/"), StorageFull),
        ),
    )


def test_when_all_have_failed_the_rest_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_bytes(noise(6 * BUFFER_SIZE))
    (data / "b").write_bytes(b"never read")
    reads = Reads(monkeypatch)
    settings = replace(FINE, pack_size=64 << 10)
    stores = [failing(new_store(settings=settings)) for _ in range(2)]
    done = jointly(Source(data), stores)
    assert [type(each.error) for each in done] == [StorageFull, StorageFull]
    assert [each.outcome for each in done] == [None, None]
    assert reads.of(data / "a") < 6 * BUFFER_SIZE
    assert reads.of(data / "b") == 0


def test_one_that_has_failed_is_closed_while_the_others_go_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "later").mkdir(parents=True)
    (data / "large").write_bytes(noise(2 * BUFFER_SIZE))
    source = Source(data)
    good, bad = new_store(), new_store(settings=replace(FINE, pack_size=64 << 10))
    seen: dict[bytes, list[bool]] = {}

    def look(directory: Directory) -> None:
        stores = (good, bad)
        seen[directory.path] = [any(store.backend.list("sessions/")) for store in stores]

    source.on_directory = look
    done, failed = jointly(source, [good, failing(bad)])
    assert isinstance(failed.error, StorageFull)
    assert contents(good, made(done), data) == on_disk(data)
    assert seen[os.fsencode(data)] == [True, True]
    assert seen[os.fsencode(data / "later")] == [True, False]


def test_a_chunker_that_is_not_installed_is_the_failure_of_one(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(params: ChunkerParams, seed: bytes) -> Chunker:
        if params == COARSE.chunker:
            raise UnsupportedRepository("not installed")
        return open_chunker(params, seed)

    monkeypatch.setattr(lanes, "open_chunker", refuse)
    stores = stores_of("other sizes")
    bad, good = jointly(Source(data), stores)
    assert isinstance(bad.error, UnsupportedRepository)
    assert contents(stores[1], made(good), data) == on_disk(data)


def test_packs_that_vanish_from_one_are_stored_anew_there_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(data)
    stores = stores_of("other secrets")
    parents = [made(each) for each in jointly(source, stores)]
    (data / "new").write_bytes(noise(5000, 99))
    passes: list[bytes] = []
    gone = [info.name for info in stores[1].backend.list("data/")]

    def lose(directory: Directory) -> None:
        passes.append(directory.path)
        while directory.path == os.fsencode(data) and gone:
            stores[1].backend.delete(gone.pop())

    source.on_directory = lose
    confirmed: list[Writer] = []
    confirm = Writer.confirm

    def confirm_counted(writer: Writer) -> bool:
        confirmed.append(writer)
        return confirm(writer)

    monkeypatch.setattr(Writer, "confirm", confirm_counted)
    done = jointly(source, stores, [options(parent) for parent in parents])
    assert passes.count(os.fsencode(data)) == 2
    assert [each.writer for each in done] == confirmed[:2]
    assert confirmed[2:] == [done[1].writer]
    assert made(done[0]).summary.data_added < 100_000
    assert made(done[1]).summary.data_added > BUFFER_SIZE
    for store, each in zip(stores, done, strict=True):
        assert contents(store, made(each), data) == on_disk(data)


# What is told, and what is not done


def test_every_file_is_counted_once(data: Path) -> None:
    source = Source(data)
    stores = stores_of("all of it")
    parent = alone(source, stores[1])
    events: list[ProgressEvent] = []
    progress = Progress(events.append)
    done = jointly(source, stores, [options(), options(parent), options(), options()], progress)
    progress.finish()
    summary = made(done[0]).summary
    assert events[-1].files == summary.files + summary.others
    assert events[-1].bytes == summary.bytes_processed
    assert events[-1].percent == 100


def test_a_rehearsal_stores_nothing(data: Path) -> None:
    source = Source(data)
    stores = stores_of("alike")
    before = [sorted(info.name for info in store.backend.list("")) for store in stores]
    with ExitStack() as stack:
        begun = [lane(store, options(), stack, dry_run=True) for store in stores]
        backup_jointly(source, begun, CLOCK, Progress(None))
    assert before == [sorted(info.name for info in store.backend.list("")) for store in stores]
    real = jointly(source, stores)
    for rehearsed, each in zip(begun, real, strict=True):
        assert rehearsed.outcome is not None
        assert not rehearsed.outcome.committed
        added = rehearsed.outcome.snapshot.summary.data_added
        assert added == made(each).summary.data_added
