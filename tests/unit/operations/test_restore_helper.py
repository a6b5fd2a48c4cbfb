"""Small files that another process writes: the same result, whatever becomes of that process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast.backend import LocalBackend
from holdfast.filesystem.newfile import plain_file
from holdfast.filesystem.target import TemporaryNames
from holdfast.model.tree import load_directory
from holdfast.operations.restore import Action, Overwrite, RestoreOptions, restore
from holdfast.operations.restore import helper as subject
from holdfast.operations.restore.helper import Folder, Helper, Task
from holdfast.operations.restore.worker import Worker
from holdfast.primitives.ids import BlobId
from holdfast.store import Loader, PlanReader, Store, Writer
from holdfast.testing.repositories import new_store, reopened
from holdfast.testing.trees import Entry, directory, expected, file, observed, save_tree, symlink

TREE = directory(
    {
        b"%d" % outer: directory(
            {
                **{
                    b"%d" % inner: file(b"%d %d" % (outer, inner) * 50, mode=0o600 + inner)
                    for inner in range(20)
                },
                b"empty": file(),
                b"link": symlink(b"0"),
                b"several": file(b"x" * 5000, mode=0o755),
                b"below": directory({b"leaf": file(b"leaf %d" % outer)}, mode=0o555),
            },
            mtime=outer * 10**9,
        )
        for outer in range(100)
    }
)


class Saver:
    """Saves a tree into a repository."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.page_key = writer.page_key

    def save_tree(self, data: bytes) -> BlobId:
        return self._writer.save_tree(data)

    def add(self, data: bytes) -> BlobId:
        return self._writer.save_data(memoryview(data), ("small", 0))


def saved(store: Store, tree: Entry) -> BlobId:
    with store.writer({}) as writer:
        root = save_tree(tree, Saver(writer))
        writer.flush()
    return root


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "repository")


@pytest.fixture
def root(backend: LocalBackend) -> BlobId:
    return saved(new_store(backend), TREE)


@pytest.fixture
def loader(backend: LocalBackend, root: BlobId) -> Iterator[Loader]:
    assert root
    with reopened(backend).loader() as opened:
        yield opened


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a helper for the first file, and wait until it is there."""
    monkeypatch.setattr(subject, "START_AFTER", 1)
    monkeypatch.setattr(subject, "READY_WAIT", 60.0)


STRANGERS: set[int] = set()
"""Processes that this one had started before the test: servers of other tests, say."""


@pytest.fixture(autouse=True)
def strangers() -> Iterator[None]:
    """Count and kill only what is started in the test."""
    STRANGERS.update(all_children())
    yield
    STRANGERS.clear()


def all_children() -> set[int]:
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            pids.update(map(int, (task / "children").read_text().split()))
    return pids


def children() -> set[int]:
    """Processes that the test has started, but for what the library's executors leave."""
    mine = all_children() - STRANGERS
    return {pid for pid in mine if b"multiprocessing" not in command_line(pid)}


def descriptors() -> set[str]:
    """Numbers of those that are open; some of earlier tests may be closed meanwhile."""
    return {each.name for each in Path("/proc/self/fd").iterdir()}


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return b""


@pytest.mark.usefixtures("at_once")
def test_the_helper_writes_what_the_restore_would(
    tmp_path: Path, loader: Loader, root: BlobId
) -> None:
    helpers: set[int] = set()
    told: list[str] = []

    def on_action(action: Action) -> None:
        helpers.update(children())
        told.append(action.path)

    options = RestoreOptions(verify=True, on_action=on_action)
    before = descriptors()
    result = restore(root, b"/", tmp_path / "target", loader, options)
    assert result.errors == ()
    assert observed(tmp_path / "target") == expected(TREE)
    assert result.files_restored == 100 * 23
    assert result.bytes_written == sum(
        len(seen[3]) for seen in expected(TREE).values() if seen[0] == "FILE"
    )
    assert sorted(told) == sorted("/" + os.fsdecode(path) for path in expected(TREE))
    assert len(helpers) == 1
    assert not children()
    assert descriptors() <= before


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("moment", [1, 200, 1500])
def test_a_helper_that_is_killed_costs_nothing(
    tmp_path: Path, loader: Loader, root: BlobId, moment: int
) -> None:
    killed: list[int] = []
    actions: list[Action] = []

    def on_action(action: Action) -> None:
        actions.append(action)
        if len(actions) >= moment and not killed:
            killed.extend(children())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    result = restore(root, b"/", tmp_path / "target", loader, RestoreOptions(on_action=on_action))
    assert killed
    assert (result.errors, result.files_restored) == ((), 100 * 23)
    assert observed(tmp_path / "target") == expected(TREE)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("program", ["/nonexistent/python", "broken-python", "no-interpreter"])
def test_a_helper_that_cannot_start_costs_nothing(
    tmp_path: Path, loader: Loader, root: BlobId, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    broken = tmp_path / "broken-python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / program))
    result = restore(root, b"/", tmp_path / "target", loader, RestoreOptions())
    assert result.errors == ()
    assert observed(tmp_path / "target") == expected(TREE)
    assert not children()


@pytest.mark.usefixtures("at_once")
@pytest.mark.fault(36)
def test_what_cannot_be_planned_for_a_helper_is_done_without(
    tmp_path: Path, loader: Loader, root: BlobId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system may forget a descriptor at any moment."""
    fstat = os.fstat
    refused: list[int] = []

    def stale(fd: int) -> os.stat_result:
        if sys._getframe(1).f_code.co_name == "_plan":
            refused.append(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return fstat(fd)

    monkeypatch.setattr(os, "fstat", stale)
    result = restore(root, b"/", tmp_path / "target", loader, RestoreOptions())
    assert refused
    assert result.errors == ()
    assert observed(tmp_path / "target") == expected(TREE)


@pytest.mark.usefixtures("at_once")
def test_damage_is_reported_by_the_restore(
    tmp_path: Path, backend: LocalBackend, loader: Loader, root: BlobId
) -> None:
    several = save_several(backend, tmp_path)
    result = restore(root, b"/", tmp_path / "target", loader, RestoreOptions())
    complete = expected(TREE)
    lost = {problem.path for problem in result.errors}
    assert several
    assert lost
    assert {problem.operation for problem in result.errors} == {"read"}
    there = observed(tmp_path / "target")
    for path, seen in complete.items():
        if seen[0] != "FILE":
            continue
        assert (os.fsdecode(b"/" + path) in lost) != (there.get(path) == seen)


def save_several(backend: LocalBackend, tmp_path: Path) -> list[str]:
    """Spoil the largest pack, which holds data."""
    packs = sorted(backend.list("data/"), key=lambda info: info.size)
    path = tmp_path / "repository" / packs[-1].name
    data = bytearray(path.read_bytes())
    data[500:600] = bytes(100)
    path.chmod(0o600)
    path.write_bytes(data)
    return [packs[-1].name]


@pytest.mark.usefixtures("at_once")
def test_restoring_again_changes_nothing(tmp_path: Path, loader: Loader, root: BlobId) -> None:
    for overwrite in (Overwrite.ALWAYS, Overwrite.ALWAYS, Overwrite.IF_CHANGED):
        options = RestoreOptions(overwrite=overwrite)
        assert restore(root, b"/", tmp_path / "target", loader, options).errors == ()
        assert observed(tmp_path / "target") == expected(TREE)


# ------------------------------------------------------------------------------ the helper alone


def folder_of(path: Path, *names: bytes) -> Folder:
    status = path.stat()
    return list(names), status.st_dev, status.st_ino


def task_for(loader: Loader, root: BlobId, folders: list[Folder]) -> Task:
    """The files of the directory ``0`` of the tree, into the first of the folders."""
    top = next(node for node in load_directory(root, loader) if node.name == b"0")
    nodes = [
        node
        for node in load_directory(BlobId(bytes(top.payload)), loader)  # type: ignore[arg-type]
        if node.name.isdigit()
    ]
    blobs = [BlobId(node.payload) for node in nodes if isinstance(node.payload, bytes)]
    files = [(0, plain_file(node)) for node in nodes]
    return Task(folders, files, blobs, loader.plan(blobs))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    place = tmp_path / "target"
    (place / "0" / "deep").mkdir(parents=True)
    return place


@pytest.fixture
def helper(target: Path, loader: Loader, at_once: None) -> Iterator[Helper]:
    assert at_once is None
    fd = os.open(target, os.O_RDONLY)
    try:
        with Helper(loader.access(), fd) as started:
            assert started.offer(10)
            yield started
    finally:
        os.close(fd)


def test_files_are_written_into_the_directory(
    helper: Helper, target: Path, loader: Loader, root: BlobId
) -> None:
    for path, names in ((target / "0" / "deep", [b"0", b"deep"]), (target / "0", [b"0"])):
        task = task_for(loader, root, [folder_of(path, *names)])
        assert helper.do(task) == []
        complete = expected(TREE.entries[b"0"])
        written = {name: seen for name, seen in observed(path).items() if name.isdigit()}
        assert written == {name: seen for name, seen in complete.items() if name.isdigit()}


def swapped(target: Path) -> None:
    (target / "0").rename(target / "aside")
    (target / "0").mkdir()


def linked(target: Path) -> None:
    (target / "0").rename(target / "aside")
    (target / "0").symlink_to("aside")


def removed(target: Path) -> None:
    (target / "0").rename(target.parent / "aside")


@pytest.mark.parametrize("change", [swapped, linked, removed])
def test_another_directory_in_its_place_is_left_alone(
    helper: Helper,
    target: Path,
    loader: Loader,
    root: BlobId,
    change: Callable[[Path], None],
) -> None:
    task = task_for(loader, root, [folder_of(target / "0", b"0")])
    change(target)
    left = helper.do(task)
    assert left is not None
    assert sorted(left) == list(range(20))
    for place in (target, target.parent / "aside"):
        if place.exists():
            assert not any(path.is_file() for path in place.rglob("*"))


@pytest.mark.parametrize(
    ("parent", "is_left"), [(os.getppid(), True), (None, False)], ids=["here", "elsewhere"]
)
def test_a_number_of_another_file_system_is_another_directory_on_one_machine(
    target: Path, loader: Loader, root: BlobId, *, parent: int | None, is_left: bool
) -> None:
    """Another machine has other numbers for the same file system."""
    names, device, inode = folder_of(target / "0", b"0")
    task = task_for(loader, root, [(names, device + 1, inode)])
    access = loader.access()
    assert access is not None
    reader = PlanReader.of_access(access)
    worker = Worker(reader, os.open(target, os.O_RDONLY), TemporaryNames(), parent)
    left = worker.do(task)
    worker.close()
    reader.close()
    assert sorted(left) == (list(range(20)) if is_left else [])
    written = sorted(path.name for path in (target / "0").iterdir() if path.is_file())
    assert written == ([] if is_left else sorted(str(number) for number in range(20)))


def test_what_fails_is_left(helper: Helper, target: Path, loader: Loader, root: BlobId) -> None:
    task = task_for(loader, root, [folder_of(target / "0", b"0")])
    (target / "0" / "3").mkdir()
    odd = [(at, (*fields[:2], (1 << 32) - 1, *fields[3:])) for at, fields in task.files[:1]]
    task = task._replace(
        files=odd + task.files[1:],
        blobs=[*task.blobs[:-1], BlobId(bytes(32))],
    )
    left = helper.do(task)
    assert left is not None
    names = {task.files[number][1][0] for number in left}
    lacks_rights = {b"0"} if os.geteuid() == 0 else set()
    assert names == {b"3", task.files[-1][1][0]} | lacks_rights
    assert not [path for path in (target / "0").iterdir() if path.name.startswith(".holdfast")]


def test_no_key_is_seen_from_outside(helper: Helper, loader: Loader) -> None:
    assert helper.do(Task([], [], [], loader.plan([]))) == []
    (pid,) = children()
    keys = loader._keys
    for place in ("cmdline", "environ"):
        seen = Path(f"/proc/{pid}/{place}").read_bytes()
        for secret in (keys.master, keys.dedup):
            assert secret not in seen
            assert secret.hex().encode() not in seen


PARENT = """
import os, sys
from holdfast.backend import LocalBackend
from holdfast.operations.restore import helper
from holdfast.testing.repositories import reopened
helper.START_AFTER, helper.READY_WAIT = 1, 60
loader = reopened(LocalBackend({repository!r})).loader()
started = helper.Helper(loader.access(), os.open({target!r}, os.O_RDONLY))
assert started.offer(1)
print(started._child.pid, flush=True)
sys.stdin.read()
"""


def test_a_helper_ends_with_its_parent(tmp_path: Path, target: Path, root: BlobId) -> None:
    assert root
    code = PARENT.format(repository=str(tmp_path / "repository"), target=str(target))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second when it goes while it is read
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_other_storages_are_read_here(tmp_path: Path) -> None:
    store = new_store()
    root = saved(store, TREE)
    with store.loader() as loader:
        assert loader.access() is None
        assert restore(root, b"/", tmp_path, loader, RestoreOptions()).errors == ()
    assert observed(tmp_path) == expected(TREE)
