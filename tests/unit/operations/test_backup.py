"""What a backup reads, what it takes over from its parent, and what it makes of a changing tree."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from typing_extensions import override

from holdfast.backend import Fail, Faulty, MemoryBackend, NoFault
from holdfast.clock import SystemClock
from holdfast.errors import AccessDenied, BackendError, StorageFull
from holdfast.filesystem import Directory, ExcludeRules, LocalSource, RootPath, Walk, WalkEvent
from holdfast.model import tree as trees
from holdfast.model.content import references
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Content, Node, NodeType, Row
from holdfast.model.roles import TreeSaver
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory, save_directory
from holdfast.model.walk import lookup
from holdfast.operations.backup import GRANULARITY, BackupOptions, BackupOutcome, backup_tree
from holdfast.operations.backup import links as operation
from holdfast.operations.backup import tree as tree_pass
from holdfast.operations.ingest import LARGE, Group, Ingest, Tell
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.ids import BlobId, PackName
from holdfast.primitives.kdf import KdfParams
from holdfast.progress import Progress
from holdfast.store import Settings, Store, Writer, create_store
from holdfast.testing.content import noise

CHUNKS = ChunkerParams("pyfastcdc", 1 << 10, 4 << 10, 16 << 10)
CHEAP = KdfParams(memory=19 << 10, passes=1, lanes=1)
NAMES = {
    stat.S_IFLNK: NodeType.SYMLINK,
    stat.S_IFIFO: NodeType.FIFO,
    stat.S_IFSOCK: NodeType.SOCKET,
}

Hook = Callable[[Directory], None]
Open = Callable[[Walk, bytes], int]


class Ahead(SystemClock):
    """A clock that is an hour ahead: files that were just made are old to a backup."""

    def __init__(self, seconds: int = 3600) -> None:
        self.ahead = seconds

    @override
    def now_ns(self) -> int:
        return super().now_ns() + self.ahead * 10**9


class Fixed(SystemClock):
    """A clock that stands still."""

    def __init__(self, now: int) -> None:
        self.now = now

    @override
    def now_ns(self) -> int:
        return self.now


class ScriptedWalk(Walk):
    """A walk during which something happens to the tree at known moments."""

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
        opened = self._source.openers.get(name)
        return super().open_file(name) if opened is None else opened(self, name)


class Source(LocalSource):
    """A local source; `on_directory` is called after a directory was listed, before it is used."""

    def __init__(self, roots: Iterable[RootPath], hook: Hook | None = None) -> None:
        super().__init__(roots, ExcludeRules())
        self.on_directory: Hook = hook or (lambda _: None)
        self.openers: dict[bytes, Open] = {}

    @override
    def walk(self) -> Walk:
        return ScriptedWalk(self)


class Watched(Ingest):
    """Notes the inode of every file that is read."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # as they are
        self.read: list[int] = []

    @override
    def file(
        self, descriptor: int, status: os.stat_result, tell: Tell | None = None
    ) -> tuple[int, Content | None]:
        self.read.append(status.st_ino)
        return super().file(descriptor, status, tell)

    @override
    def small_file(self, data: bytes, status: os.stat_result) -> BlobId | None:
        if self.read[-1:] != [status.st_ino]:  # `file` has not said so
            self.read.append(status.st_ino)
        return super().small_file(data, status)


class Meddler:
    """Saves blobs, and does something to the source before each blob of a file."""

    def __init__(self, writer: Writer, meddle: Callable[[int], None]) -> None:
        self._writer = writer
        self._meddle = meddle
        self._count = 0
        self.page_key = writer.page_key

    def save_tree(self, data: bytes) -> BlobId:
        return self._writer.save_tree(data)

    def save_data(self, content: memoryview, group: Group) -> BlobId:
        blob = self._writer.save_data(content, group)
        self._count += 1
        self._meddle(self._count)
        return blob


@dataclass
class Bench:
    """A repository in memory and a directory to back up."""

    data: Path
    objects: MemoryBackend = field(default_factory=MemoryBackend)
    clock: SystemClock = field(default_factory=Ahead)
    read: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data.mkdir(exist_ok=True)
        self.store = create_store(
            self.objects, "password", Settings(CHUNKS, 1 << 20, 3), CHEAP, self.clock, None
        )

    def backup(
        self,
        parent: Snapshot | None = None,
        *,
        source: LocalSource | None = None,
        meddle: Callable[[int], None] | None = None,
        store: Store | None = None,
        avoid: Collection[PackName] = (),
        **options: object,
    ) -> BackupOutcome:
        store = store or self.store
        chosen = BackupOptions(host="host", user="user", os="os", program="test", parent=parent)
        chosen = replace(chosen, **options)  # type: ignore[arg-type]  # the dataclass checks
        with store.writer({}) as writer, store.loader() as loader:
            writer.avoid(avoid)
            saver = Meddler(writer, meddle) if meddle else writer
            ingest = Watched(saver, CHUNKS, store.chunker_seed())
            outcome = backup_tree(
                source or Source([self.data]),
                writer,
                ingest,
                loader,
                chosen,
                self.clock,
                Progress(None),
            )
        self.read = ingest.read
        return outcome

    def node(self, outcome: BackupOutcome, name: str = "") -> Node:
        with self.store.loader() as loader:
            path = os.fsencode(self.data / name)
            return lookup(outcome.snapshot.tree, path, loader)

    def nodes(self, outcome: BackupOutcome) -> dict[bytes, Node]:
        node = self.node(outcome)
        assert isinstance(node.payload, bytes)
        with self.store.loader() as loader:
            return {n.name: n for n in load_directory(BlobId(node.payload), loader)}

    def content(self, outcome: BackupOutcome, name: str) -> bytes:
        with self.store.loader() as loader:
            node = lookup(outcome.snapshot.tree, os.fsencode(self.data / name), loader)
            return SnapshotFile(node, loader).read() or b""

    def names(self, prefix: str) -> list[str]:
        return sorted(info.name for info in self.objects.list(prefix))

    def forge_parent(self, snapshot: Snapshot, name: str, **changes: object) -> Snapshot:
        """The snapshot with another node of a file in the directory."""
        components = os.fsencode(self.data).strip(b"/").split(b"/")
        with self.store.writer({}) as writer, self.store.loader() as loader:
            chain = [list(load_directory(snapshot.tree, loader))]
            for component in components:
                node = next(n for n in chain[-1] if n.name == component)
                assert isinstance(node.payload, bytes)
                chain.append(list(load_directory(BlobId(node.payload), loader)))
            chain[-1] = [
                n._replace(**changes) if n.name == name.encode() else n  # type: ignore[arg-type]
                for n in chain[-1]
            ]
            tree = save_directory(chain.pop(), writer)
            for component in reversed(components):
                nodes = [
                    n._replace(payload=tree) if n.name == component else n for n in chain.pop()
                ]
                tree = save_directory(nodes, writer)
            writer.flush()
            assert writer.confirm()
        return replace(snapshot, tree=tree)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "data")


# What is taken over from the parent


def test_an_unchanged_file_is_not_read_again(bench: Bench) -> None:
    for number, size in enumerate((0, 10, 1 << 10, 100_000)):
        (bench.data / f"file{number}").write_bytes(noise(size, number))
    first = bench.backup()
    assert len(bench.read) == 4
    assert first.snapshot.summary.files_new == 4
    second = bench.backup(first.snapshot)
    assert bench.read == []
    assert bench.node(second) == bench.node(first)
    summary = second.snapshot.summary
    assert (summary.files_new, summary.files_changed, summary.files_unmodified) == (0, 0, 4)
    assert summary.bytes_processed == 101_034
    assert summary.data_added < 5000  # the directories on the way, which others may change
    assert second.snapshot.parent == first.snapshot.id


@pytest.mark.fault(32)
def test_all_files_are_read_again_when_that_is_forced(bench: Bench) -> None:
    (bench.data / "file").write_bytes(b"content")
    first = bench.backup()
    second = bench.backup(first.snapshot, force=True)
    assert len(bench.read) == 1
    assert second.snapshot.summary.files_unmodified == 1
    assert second.snapshot.how["forced"] is True
    assert bench.node(second) == bench.node(first)


@pytest.mark.fault(32)
def test_a_file_is_not_trusted_that_was_young_when_the_parent_read_it(bench: Bench) -> None:
    path = bench.data / "file"
    path.write_bytes(b"content")
    clock = Fixed(path.stat().st_ctime_ns + GRANULARITY)
    bench.clock = clock
    first = bench.backup()
    bench.backup(first.snapshot)
    assert len(bench.read) == 1  # it may have changed in the same tick of the file system's clock
    clock.now += 1
    first = bench.backup()
    bench.backup(first.snapshot)
    assert bench.read == []


def test_the_time_that_a_user_gives_a_snapshot_does_not_make_files_older(bench: Bench) -> None:
    path = bench.data / "file"
    path.write_bytes(b"content")
    bench.clock = Fixed(path.stat().st_ctime_ns)
    first = bench.backup(time_ns=path.stat().st_ctime_ns + 10 * GRANULARITY)
    bench.backup(first.snapshot)
    assert len(bench.read) == 1


@pytest.mark.fault(32)
def test_a_change_is_found_though_size_and_mtime_are_put_back(bench: Bench) -> None:
    path = bench.data / "file"
    path.write_bytes(b"content")
    first = bench.backup()
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(b"CONTENT")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = bench.backup(first.snapshot)
    assert second.snapshot.summary.files_changed == 1
    assert bench.content(second, "file") == b"CONTENT"


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    "changes",
    [
        {"mtime": 1},
        {"ctime": 1},
        {"inode": 1},
        {"size": 8},
        {"extra": {"changed": True}},
        {"type": NodeType.FIFO, "payload": None, "size": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_file_is_read_again_when_one_thing_differs(
    bench: Bench, changes: dict[str, object]
) -> None:
    (bench.data / "file").write_bytes(b"content")
    first = bench.backup()
    parent = bench.forge_parent(first.snapshot, "file", **changes)
    second = bench.backup(parent)
    assert len(bench.read) == 1
    assert bench.node(second) == bench.node(first)


def test_a_file_that_was_only_touched_is_unmodified(bench: Bench) -> None:
    path = bench.data / "file"
    path.write_bytes(b"content")
    first = bench.backup()
    mode = path.stat().st_mode
    path.chmod(0o600)
    path.chmod(mode)
    second = bench.backup(first.snapshot)
    assert second.snapshot.summary.files_unmodified == 1
    path.chmod(0o606)
    third = bench.backup(second.snapshot)
    assert third.snapshot.summary.files_changed == 1
    assert bench.node(third, "file").mode == 0o606


@pytest.mark.fault(9)
@pytest.mark.parametrize("size", [1000, 100_000])
@pytest.mark.parametrize("what", ["packs", "index"])
def test_what_the_repository_lost_is_stored_again(bench: Bench, size: int, what: str) -> None:
    path = bench.data / "file"
    path.write_bytes(noise(size))
    first = bench.backup()
    lost = bench.names("data/" if what == "packs" else "index/")
    for name in lost:
        if what == "index" or is_data_pack(bench, name):
            bench.objects.delete(name)
    store = reopened(bench)
    second = bench.backup(first.snapshot, store=store)
    assert len(bench.read) == 1
    assert second.snapshot.summary.data_added >= size
    bench.store = store
    assert bench.content(second, "file") == noise(size)


def test_only_the_files_are_read_again_of_which_something_is_lost(bench: Bench) -> None:
    (bench.data / "kept").write_bytes(noise(5000, 1))
    first = bench.backup()
    before = bench.names("data/")
    (bench.data / "lost").write_bytes(noise(100_000, 2))
    second = bench.backup(first.snapshot)
    for name in bench.names("data/"):
        if name not in before and is_data_pack(bench, name):
            bench.objects.delete(name)
    bench.store = reopened(bench)
    third = bench.backup(second.snapshot)
    assert bench.read == [(bench.data / "lost").stat().st_ino]
    assert bench.content(third, "lost") == noise(100_000, 2)


def test_a_lost_file_is_stored_again_under_each_of_its_names(bench: Bench) -> None:
    (bench.data / "a").write_bytes(noise(5000))
    os.link(bench.data / "a", bench.data / "b")
    first = bench.backup()
    gone = [name for name in bench.names("data/") if is_data_pack(bench, name)]
    second = bench.backup(first.snapshot, avoid=[pack_of(name) for name in gone])
    for name in gone:
        bench.objects.delete(name)
    bench.store = reopened(bench)
    for name in ("a", "b"):
        assert bench.content(second, name) == noise(5000)
        assert bench.node(second, name).filesystem == 0


@pytest.mark.parametrize("page", [8, 4096])
def test_the_tree_of_an_unchanged_directory_is_not_made_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(trees, "MAX_ENTRIES", page)
    for number in range(60):
        (bench.data / f"file{number:02}").write_bytes(noise(100, number))
    (bench.data / "sub").mkdir()
    first = bench.backup()
    made: list[int] = []

    def save(rows: Iterable[Row], saver: TreeSaver) -> BlobId:
        found = list(rows)
        made.append(len(found))
        return save_directory(found, saver)

    monkeypatch.setattr(tree_pass, "save_directory", save)
    second = bench.backup(first.snapshot)
    assert bench.node(second) == bench.node(first)
    assert not {61, 0} & set(made)  # the directories above may change
    (bench.data / "file07").write_bytes(b"other")
    third = bench.backup(second.snapshot)
    assert made.count(61) == 1
    assert bench.nodes(third)[b"file07"].size == 5


@pytest.mark.parametrize("page", [8, 4096])
def test_the_tree_of_an_unchanged_directory_is_stored_anew_where_it_may_not_be_built_upon(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(trees, "MAX_ENTRIES", page)
    for number in range(60):
        (bench.data / f"file{number:02}").write_bytes(noise(100, number))
    first = bench.backup()
    condemned = [name for name in bench.names("data/") if not is_data_pack(bench, name)]
    second = bench.backup(first.snapshot, avoid=[pack_of(name) for name in condemned])
    assert bench.read == []
    assert bench.node(second).payload == bench.node(first).payload
    for name in condemned:
        bench.objects.delete(name)
    bench.store = reopened(bench)
    assert len(bench.nodes(second)) == 60
    assert bench.content(second, "file33") == noise(100, 33)


def test_packs_that_vanish_during_a_backup_are_replaced_before_it_commits(bench: Bench) -> None:
    (bench.data / "file").write_bytes(noise(100_000))
    first = bench.backup()
    gone = [name for name in bench.names("data/") if is_data_pack(bench, name)]

    def lose(_: Directory) -> None:
        while gone:
            bench.objects.delete(gone.pop())

    second = bench.backup(first.snapshot, source=Source([bench.data], lose))
    assert len(bench.read) == 1
    assert second.committed
    bench.store = reopened(bench)
    assert bench.content(second, "file") == noise(100_000)


def _content(node: Node) -> Content | None:
    payload = node.payload
    assert not isinstance(payload, int)
    return BlobId(payload) if isinstance(payload, bytes) else payload


def is_data_pack(bench: Bench, name: str) -> bool:
    return bench.objects.get(name)[12] == 1


def pack_of(name: str) -> PackName:
    return PackName(name.rpartition("/")[2])


def reopened(bench: Bench) -> Store:
    return Store(
        bench.objects,
        bench.store.keys,
        bench.store.settings,
        (bench.store._config_name, bench.store._config),
        bench.clock,
        None,
    )


# A tree that changes meanwhile


@pytest.mark.fault(37)
def test_a_file_that_changes_while_it_is_read_is_read_again(bench: Bench) -> None:
    path = bench.data / "file"
    path.write_bytes(noise(100_000))

    def once(count: int) -> None:
        if count == 3:
            path.write_bytes(noise(120_000, 2))

    outcome = bench.backup(meddle=once)
    assert bench.content(outcome, "file") == noise(120_000, 2)
    node = bench.node(outcome, "file")
    assert node.extra is None
    assert node.size == 120_000
    assert outcome.problems == ()


@pytest.mark.fault(37)
def test_a_file_that_never_holds_still_is_stored_with_a_flag(bench: Bench) -> None:
    path = bench.data / "file"
    path.write_bytes(noise(50_000))

    def grow(count: int) -> None:
        if count % 4 == 0:
            with path.open("ab") as file:
                file.write(noise(5000, count))

    outcome = bench.backup(meddle=grow)
    node = bench.node(outcome, "file")
    assert len(bench.read) == 3
    assert node.extra == {"changed": True}
    stored = bench.content(outcome, "file")
    assert len(stored) == node.size
    assert path.read_bytes().startswith(stored)
    following = bench.backup(outcome.snapshot)
    assert bench.node(following, "file").extra is None
    assert bench.content(following, "file") == path.read_bytes()


@pytest.mark.fault(37)
@pytest.mark.parametrize("size", [500, 50_000])
def test_a_file_that_shrinks_while_it_is_read_has_the_size_of_what_was_read(
    bench: Bench, size: int
) -> None:
    path = bench.data / "file"
    path.write_bytes(noise(size))

    def shrink(_: int) -> None:
        os.truncate(path, path.stat().st_size // 2)

    outcome = bench.backup(meddle=shrink)
    node = bench.node(outcome, "file")
    assert len(bench.content(outcome, "file")) == node.size
    assert noise(size).startswith(bench.content(outcome, "file"))
    assert outcome.snapshot.summary.bytes_processed == node.size


def in_data(bench: Bench, change: Callable[[], None]) -> Source:
    """A source in which something changes right after the directory was listed."""

    def hook(directory: Directory) -> None:
        if directory.path == os.fsencode(bench.data):
            change()

    return Source([bench.data], hook)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_is_replaced_after_it_was_listed_shares_segments_with_its_own_kind(
    bench: Bench,
) -> None:
    path = bench.data / "file"
    path.write_bytes(noise(500))
    os.chown(path, 1000, -1)
    other = bench.data.parent / "other"
    other.write_bytes(noise(500, 2))
    os.chown(other, 2000, -1)
    groups: list[Group] = []
    save = Writer.save_data

    def watched(writer: Writer, content: memoryview, group: Group) -> BlobId:
        groups.append(group)
        return save(writer, content, group)

    def swap() -> None:
        if other.exists():
            other.replace(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "save_data", watched)
        outcome = bench.backup(source=in_data(bench, swap))
    assert groups == [("small", 2000)]
    node = bench.node(outcome, "file")
    assert (node.uid, node.inode) == (2000, path.stat().st_ino)
    assert bench.content(outcome, "file") == noise(500, 2)


@pytest.mark.fault(37)
def test_what_vanishes_is_left_out_and_is_no_error(bench: Bench) -> None:
    for name in ("file", "link", "pipe", "kept"):
        (bench.data / name).write_bytes(b"content")
    (bench.data / "link").unlink()
    (bench.data / "link").symlink_to("kept")

    def vanish() -> None:
        for name in ("file", "link", "pipe"):
            (bench.data / name).unlink()

    outcome = bench.backup(source=in_data(bench, vanish))
    assert list(bench.nodes(outcome)) == [b"kept"]
    assert outcome.problems == ()


def test_a_directory_that_is_moved_to_where_the_walk_has_been_is_reported(bench: Bench) -> None:
    (bench.data / "moved").mkdir()
    (bench.data / "moved/file").write_bytes(b"content")

    def move() -> None:
        (bench.data / "moved").rename(bench.data / "again")

    outcome = bench.backup(source=in_data(bench, move))
    assert [(problem.path, problem.operation) for problem in outcome.problems] == [
        (os.fsencode(bench.data / "moved"), "enter")
    ]


def become_socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as unix:
        os.chdir(path.parent)  # a socket's path is short
        unix.bind(path.name)
        os.fchdir(here)
    os.close(here)


@pytest.mark.fault(37, 45)
@pytest.mark.parametrize(
    "become",
    [lambda path: path.symlink_to("elsewhere"), os.mkfifo, become_socket],
    ids=["symlink", "fifo", "socket"],
)
def test_a_file_that_becomes_something_else_is_stored_as_that(
    bench: Bench, become: Callable[[Path], None]
) -> None:
    path = bench.data / "file"
    path.write_bytes(b"content")

    def swap() -> None:
        path.unlink()
        become(path)

    outcome = bench.backup(source=in_data(bench, swap))
    node = bench.node(outcome, "file")
    assert node.type == NAMES[stat.S_IFMT(path.lstat().st_mode)]
    assert bench.read == []
    assert outcome.problems == ()
    assert outcome.snapshot.summary.others == 1


@pytest.mark.fault(37)
def test_a_file_that_becomes_a_directory_is_reported(bench: Bench) -> None:
    path = bench.data / "file"
    path.write_bytes(b"content")
    (bench.data / "kept").write_bytes(b"content")

    def swap() -> None:
        path.unlink()
        path.mkdir()

    outcome = bench.backup(source=in_data(bench, swap))
    assert list(bench.nodes(outcome)) == [b"kept"]
    assert [problem.path for problem in outcome.problems] == [os.fsencode(path)]
    assert outcome.problem_count == 1


@pytest.mark.fault(37)
@pytest.mark.parametrize("was", ["directory", "symlink"])
def test_what_becomes_a_file_is_reported(bench: Bench, was: str) -> None:
    path = bench.data / "entry"
    if was == "directory":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")

    def swap() -> None:
        if was == "directory":
            path.rmdir()
        else:
            path.unlink()
        path.write_bytes(b"content")

    outcome = bench.backup(source=in_data(bench, swap))
    assert bench.nodes(outcome) == {}
    assert [problem.path for problem in outcome.problems] == [os.fsencode(path)]


@pytest.mark.fault(36)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_file_that_cannot_be_opened_is_reported_and_the_rest_backed_up(
    bench: Bench, number: int
) -> None:
    for name in ("bad", "good"):
        (bench.data / name).write_bytes(b"content")

    def refuse(_: Walk, name: bytes) -> int:
        raise OSError(number, os.strerror(number), name)

    source = Source([bench.data])
    source.openers[b"bad"] = refuse
    outcome = bench.backup(source=source)
    assert list(bench.nodes(outcome)) == [b"good"]
    (problem,) = outcome.problems
    assert problem == (os.fsencode(bench.data / "bad"), "open", number, os.strerror(number))
    (kept,) = outcome.snapshot.problems
    assert (kept.path, kept.operation) == (str(bench.data / "bad"), "open")
    assert outcome.snapshot.problem_count == 1


@pytest.mark.fault(36)
@pytest.mark.parametrize("size", [500, 50_000])
def test_a_file_that_cannot_be_read_is_reported(bench: Bench, size: int) -> None:
    (bench.data / "bad").write_bytes(noise(size))
    (bench.data / "good").write_bytes(b"content")
    source = Source([bench.data])
    source.openers[b"bad"] = lambda _, name: os.open(bench.data / os.fsdecode(name), os.O_WRONLY)
    outcome = bench.backup(source=source)
    assert list(bench.nodes(outcome)) == [b"good"]
    assert [(p.operation, p.errno) for p in outcome.problems] == [("read", errno.EBADF)]


# Hard links


@pytest.mark.fault(43)
def test_the_links_of_a_file_are_read_once_and_stay_links(bench: Bench) -> None:
    (bench.data / "sub").mkdir()
    (bench.data / "a").write_bytes(noise(5000))
    (bench.data / "alone").write_bytes(b"content")
    os.link(bench.data / "a", bench.data / "b")
    os.link(bench.data / "a", bench.data / "sub/c")
    first = bench.backup()
    assert len(bench.read) == 2
    links = [bench.node(first, name) for name in ("a", "b", "sub/c")]
    assert {(n.filesystem, n.inode) for n in links} == {(0, (bench.data / "a").stat().st_ino)}
    assert len({n.payload for n in links}) == 1
    assert bench.node(first, "alone").filesystem is None
    assert first.snapshot.summary.bytes_processed == 15_007
    second = bench.backup(first.snapshot)
    assert bench.read == []
    assert bench.node(second) == bench.node(first)


def test_links_of_other_kinds_of_files_stay_links(bench: Bench) -> None:
    os.mkfifo(bench.data / "a")
    os.link(bench.data / "a", bench.data / "b")
    nodes = bench.nodes(bench.backup())
    assert nodes[b"a"].filesystem == nodes[b"b"].filesystem == 0
    assert nodes[b"a"].inode == nodes[b"b"].inode


@pytest.mark.fault(43)
def test_file_systems_are_told_apart(bench: Bench) -> None:
    shared = Path("/dev/shm")  # the one other file system that there may be
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == bench.data.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    other = shared / f"holdfast-test-{os.getpid()}"
    other.mkdir()
    try:
        for place in (bench.data, other):
            (place / "a").write_bytes(b"content")
            os.link(place / "a", place / "b")
        both = bench.backup(source=Source([bench.data, other]))
        with bench.store.loader() as loader:
            found = [
                lookup(both.snapshot.tree, os.fsencode(place / name), loader).filesystem
                for place in (bench.data, other)
                for name in ("a", "b")
            ]
        assert sorted(found, key=str) == [0, 0, 1, 1]
        assert found[0] == found[1]
        one = bench.backup(both.snapshot, source=Source([bench.data]))
        assert bench.read == []  # its number may be another one now
        assert [bench.node(one, name).filesystem for name in ("a", "b")] == [0, 0]
    finally:
        for name in ("a", "b"):
            (other / name).unlink()
        other.rmdir()


@pytest.mark.fault(43)
def test_only_so_many_links_are_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "LINKS_REMEMBERED", 3)
    (bench.data / "later").mkdir()
    for number in range(6):
        (bench.data / f"{number}").write_bytes(noise(100, number))
        os.link(bench.data / f"{number}", bench.data / f"later/{number}")
    outcome = bench.backup()
    assert len(bench.read) == 12  # each was forgotten before its other name came
    for number in range(6):
        pair = [bench.node(outcome, name) for name in (f"{number}", f"later/{number}")]
        assert pair[0] == pair[1]


@pytest.mark.fault(43)
@pytest.mark.parametrize("with_parent", [False, True])
def test_a_file_that_changes_between_two_of_its_links_is_two_files(
    bench: Bench, *, with_parent: bool
) -> None:
    for name in ("moment", "sub"):
        (bench.data / name).mkdir()
    (bench.data / "a").write_bytes(b"before")
    os.link(bench.data / "a", bench.data / "sub/b")
    os.link(bench.data / "a", bench.data / "sub/c")
    parent = bench.backup().snapshot if with_parent else None

    def change(directory: Directory) -> None:
        if directory.name == b"moment":
            (bench.data / "a").write_bytes(b"after")

    outcome = bench.backup(parent, source=Source([bench.data], change))
    assert bench.content(outcome, "a") == b"before"
    for name in ("sub/b", "sub/c"):
        assert bench.content(outcome, name) == b"after"
        # restored as a link it would get the content of the first name
        assert bench.node(outcome, name).filesystem is None
    assert bench.node(outcome, "a").filesystem == 0


# Who shares a segment


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_several_owners_never_share_a_segment(bench: Bench) -> None:
    owners: dict[bytes, tuple[int, bool]] = {}
    for number in range(60):
        uid = 1000 + number % 3
        size = LARGE + 1000 if number % 20 == 0 else 400
        path = bench.data / f"file{number}"
        path.write_bytes(noise(size, number))
        os.chown(path, uid, -1)
        owners[path.name.encode()] = (uid, size >= LARGE)
    outcome = bench.backup()
    blobs: dict[bytes, tuple[int, bool]] = {}
    for name, node in bench.nodes(outcome).items():
        assert node.payload is not None
        with bench.store.loader() as loader:
            for _, blob in references(_content(node), loader):
                blobs[blob] = owners[name]
    segments: dict[tuple[str, int], set[tuple[int, bool]]] = {}
    for listed in bench.objects.list("data/"):
        if is_data_pack(bench, listed.name):
            pack = listed.name.rpartition("/")[2]
            for placed in bench.store.read_trailer(PackName(pack), listed.size).blobs:
                key = (pack, placed.segment)
                segments.setdefault(key, set()).add(blobs.pop(placed.id))
    assert blobs == {}
    assert len(segments) >= 6
    assert all(len(sharing) == 1 for sharing in segments.values())


# A repository that fails


@pytest.mark.fault(16)
@pytest.mark.parametrize("error", [BackendError, StorageFull, AccessDenied])
def test_a_failing_repository_is_an_error_and_never_a_bad_file(
    bench: Bench, error: type[BackendError]
) -> None:
    for number in range(20):
        (bench.data / f"file{number}").write_bytes(noise(LARGE, number))
    plan = Fail(lambda call: call.verb == "put" and call.name.startswith("data/"), error)
    store = on(bench, Faulty(bench.objects, plan))
    with pytest.raises(error):
        bench.backup(store=store)
    assert bench.names("snapshots/") == []
    assert bench.names("sessions/") == []
    assert bench.names("data/") == []


@pytest.mark.fault(6)
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError, SystemExit])
def test_an_interrupted_backup_leaves_no_session_and_no_snapshot(
    bench: Bench, interruption: type[BaseException]
) -> None:
    (bench.data / "file").write_bytes(noise(200_000))

    def interrupt(count: int) -> None:
        if count == 5:
            raise interruption

    with pytest.raises(interruption):
        bench.backup(meddle=interrupt)
    assert bench.names("snapshots/") == []
    assert bench.names("sessions/") == []
    assert bench.backup().committed


@pytest.mark.fault(6)
def test_a_worker_that_runs_out_of_memory_ends_the_backup(bench: Bench) -> None:
    for number in range(5):
        (bench.data / f"file{number}").write_bytes(noise(LARGE, number))
    plan = Fail(lambda call: call.verb == "put" and "data/" in call.name, lambda *_: MemoryError())
    with pytest.raises(MemoryError):
        bench.backup(store=on(bench, Faulty(bench.objects, plan)))
    assert bench.names("snapshots/") == []
    assert bench.names("sessions/") == []


def on(bench: Bench, backend: Faulty) -> Store:
    return Store(
        backend,
        bench.store.keys,
        bench.store.settings,
        (bench.store._config_name, bench.store._config),
        bench.clock,
        None,
    )


def test_a_backup_never_lists_or_reads_more_than_it_must(bench: Bench) -> None:
    (bench.data / "file").write_bytes(b"content")
    first = bench.backup()
    counted = Faulty(bench.objects, NoFault())
    bench.backup(first.snapshot, store=on(bench, counted))
    packs = [call for call in counted.calls if call.verb == "get" and "data/" in call.name]
    assert len(packs) <= 1  # one segment of trees
