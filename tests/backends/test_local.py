"""The local backend: every promise of a backend, and what only files can get wrong."""

from __future__ import annotations

import errno
import gc
import os
import re
import shutil
import subprocess
import sys
import textwrap
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.backend import Backend, Leftover, LocalBackend, ObjectInfo
from holdfast.errors import AccessDenied, BackendError, ObjectExists, ObjectNotFound, StorageFull
from holdfast.testing.conformance import BackendConformance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT_USER = os.geteuid() == 0
NOBODY = 65534
SOURCE = Path(__file__).parents[2] / "src"


class TestLocal(BackendConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        backend = LocalBackend(tmp_path / "repository")
        yield backend
        backend.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def backend(root: Path) -> Iterator[LocalBackend]:
    backend = LocalBackend(root)
    yield backend
    backend.close()


def _files(root: Path) -> list[str]:
    """Every entry that is not a directory, temporary files too."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


@contextmanager
def _without_privileges() -> Iterator[None]:
    """Root may do everything whatever the permissions say, so be nobody for a while."""
    if not ROOT_USER:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# ------------------------------------------------------------------------------ files as they lie


def test_an_object_is_a_file_of_its_owner_only(backend: LocalBackend, root: Path) -> None:
    backend.put("data/3f/a", b"x")
    backend.put_if_absent("data/3f/b", b"y")
    assert (root / "data/3f/a").read_bytes() == b"x"
    assert (root / "data/3f/b").read_bytes() == b"y"
    modes = {path.stat().st_mode & 0o777 for path in (root / "data/3f").iterdir()}
    assert modes == {0o600}
    folders = {path.stat().st_mode & 0o777 for path in (root, root / "data", root / "data/3f")}
    assert folders == {0o700}
    assert (root / "data/3f/b").stat().st_nlink == 1


def test_the_root_is_made_with_what_is_above_it(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "a/b/c")
    backend.put("config/0", b"x")
    backend.close()
    assert (tmp_path / "a/b/c/config/0").read_bytes() == b"x"


def test_reading_makes_nothing(backend: LocalBackend, tmp_path: Path) -> None:
    assert list(backend.list("")) == []
    for verb in (backend.get, backend.stat, backend.delete):
        with pytest.raises(ObjectNotFound):
            verb("config/0")
    assert list(tmp_path.iterdir()) == []


def test_two_backends_of_one_directory_see_the_same(backend: LocalBackend, root: Path) -> None:
    other = LocalBackend(root)
    backend.put("data/a", b"x")
    assert other.get("data/a") == b"x"
    with pytest.raises(ObjectExists):
        other.put_if_absent("data/a", b"y")
    other.close()


def test_stray_files_do_not_break_a_listing(backend: LocalBackend, root: Path) -> None:
    backend.put("data/3f/a", b"abc")
    (root / "data/.tmp-0123456789abcdef").write_bytes(b"unfinished")
    (root / "data/3f/.tmp-x").write_bytes(b"unfinished")
    (root / "data/stray file").write_bytes(b"12345")
    Path(os.fsdecode(os.fsencode(root) + b"/data/\xff")).write_bytes(b"1")
    (root / "data/dangling").symlink_to("nowhere")
    (root / "data/loop").symlink_to(".")
    os.mkfifo(root / "data/fifo")
    (root / "data/empty/folder").mkdir(parents=True)
    assert set(backend.list("data/")) == {
        ObjectInfo("data/3f/a", 3),
        ObjectInfo("data/stray file", 5),
        ObjectInfo("data/\udcff", 1),
    }


def test_an_object_deleted_during_a_listing_is_left_out(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading its name and asking for its size."""
    backend.put("data/a", b"x")
    backend.put("data/b", b"x")
    scandir = os.scandir

    @contextmanager
    def scan(folder: int) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(folder) as entries:
            found = list(entries)
            backend.delete("data/a")
            yield found

    monkeypatch.setattr(os, "scandir", scan)
    assert list(backend.list("data/")) == [ObjectInfo("data/b", 1)]


def test_a_deep_listing_needs_no_recursion(backend: LocalBackend, root: Path) -> None:
    folder = "/".join(["d"] * 1100)
    backend.put(f"{folder}/a", b"x")
    try:
        assert list(backend.list("")) == [ObjectInfo(f"{folder}/a", 1)]
    finally:
        backend.delete(f"{folder}/a")
        os.removedirs(root / folder)  # pytest would recurse, and fail, when it cleans up


def test_what_is_no_regular_file_is_no_object(backend: LocalBackend, root: Path) -> None:
    """A fifo above all must not make a reader wait for ever."""
    backend.put("data/a", b"x")
    os.mkfifo(root / "data/fifo")
    for name in ("data/fifo", "data"):
        for verb in (backend.get, backend.stat):
            with pytest.raises(ObjectNotFound):
                verb(name)


def test_links_to_folders_and_objects_are_followed(
    backend: LocalBackend, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "other disk").mkdir()
    root.mkdir()
    (root / "data").symlink_to(tmp_path / "other disk")
    backend.put("data/3f/a", b"x")
    assert (tmp_path / "other disk/3f/a").read_bytes() == b"x"
    assert list(backend.list("data/")) == [ObjectInfo("data/3f/a", 1)]
    assert backend.get("data/3f/a") == b"x"


def test_a_link_is_replaced_not_written_through(
    backend: LocalBackend, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    root.mkdir()
    (root / "a").symlink_to(outside)
    with pytest.raises(ObjectExists):
        backend.put_if_absent("a", b"x")
    backend.put("a", b"x")
    assert outside.read_bytes() == b"precious"
    assert backend.get("a") == b"x"


@pytest.mark.fault(20)
def test_a_truncated_file_is_an_error_not_fewer_bytes(backend: LocalBackend, root: Path) -> None:
    backend.put("data/a", bytes(100))
    os.truncate(root / "data/a", 60)
    with pytest.raises(BackendError, match="60 bytes"):
        backend.get("data/a", 50, 20)
    assert backend.stat("data/a") == 60


def _use(backend: LocalBackend) -> None:
    """Every verb, with success and without, and listings that are abandoned."""
    for number in range(20):
        backend.put(f"data/{number}/a", b"x")
        assert next(backend.list("data/")).size == 1
        for verb in (backend.get, backend.stat, backend.delete):
            with pytest.raises(ObjectNotFound):
                verb("data/missing")
        with pytest.raises(BackendError):
            backend.get("data/0/a", 0, 2)
        with pytest.raises(ObjectExists):
            backend.put_if_absent("data/0/a", b"")


def test_descriptors_are_given_back(root: Path) -> None:
    """By every verb, by close, and by a backend that is forgotten."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc to count open descriptors")

    def opened() -> list[str]:
        """Of this test: what others have left behind is closed whenever it is collected."""
        found = []
        for each in descriptors.iterdir():
            with suppress(FileNotFoundError):
                found.append(str(each.readlink()))
        return [path for path in found if path.startswith(str(root.parent))]

    backend = LocalBackend(root)
    _use(backend)
    assert opened() == [str(root)]
    backend.close()
    assert opened() == []
    _use(backend)
    assert opened() == [str(root)]
    del backend
    gc.collect()
    assert opened() == []


# ------------------------------------------------------------------------------------ durability


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that matter for durability, in order, as ``fsync data`` or ``rename data/a``."""
    calls: list[str] = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def path(descriptor: int) -> str:
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink()).partition("/repository")[2]
        return re.sub(r"\.tmp-[0-9a-f]+", "TEMPORARY", name)

    def record_fsync(descriptor: int) -> None:
        fsync(descriptor)
        calls.append(f"fsync {path(descriptor)}")

    def record_replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        calls.append(f"rename {path(dst_dir_fd)}/{target}")

    def record_link(
        source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int, follow_symlinks: bool
    ) -> None:
        link(
            source,
            target,
            src_dir_fd=src_dir_fd,
            dst_dir_fd=dst_dir_fd,
            follow_symlinks=follow_symlinks,
        )
        calls.append(f"link {path(dst_dir_fd)}/{target}")

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell the descriptors' names")
    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    monkeypatch.setattr(os, "link", record_link)
    return calls


@pytest.mark.fault(5)
@pytest.mark.parametrize(("verb", "publish"), [("put", "rename"), ("put_if_absent", "link")])
def test_bytes_are_durable_before_the_name_and_the_name_before_the_return(
    backend: LocalBackend, trace: list[str], verb: str, publish: str
) -> None:
    put: Callable[[str, bytes], None] = getattr(backend, verb)
    put("data/3f/a", b"x")
    put("data/3f/b", b"x")
    put("data/40/a", b"x")
    assert trace == [
        "fsync ",  # the directory in which the root was made
        "fsync ",  # the root, in which `data` was made
        "fsync /data",  # in which `3f` was made
        "fsync /data/3f/TEMPORARY",
        f"{publish} /data/3f/a",
        "fsync /data/3f",
        "fsync /data/3f/TEMPORARY",
        f"{publish} /data/3f/b",
        "fsync /data/3f",
        "fsync /data",
        "fsync /data/40/TEMPORARY",
        f"{publish} /data/40/a",
        "fsync /data/40",
    ]


def test_a_folder_made_by_a_crashed_writer_is_made_durable(
    backend: LocalBackend, root: Path, trace: list[str]
) -> None:
    (root / "data/3f").mkdir(parents=True)
    backend.put("data/3f/a", b"x")
    assert trace[:2] == ["fsync ", "fsync /data"]


def test_a_deletion_is_durable_where_something_might_come_back(
    backend: LocalBackend, trace: list[str]
) -> None:
    names = ("keys/a", "snapshots/a", "labels/a/b", "a", "data/3f/a", "index/a", "sessions/a")
    for name in names:
        backend.put(name, b"x")
    trace.clear()
    for name in names:
        backend.delete(name)
    assert trace == ["fsync /keys", "fsync /snapshots", "fsync /labels/a", "fsync "]


def test_short_writes_go_on(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    backend.put("a", bytes(range(100)))
    monkeypatch.undo()
    assert backend.get("a") == bytes(range(100))


def test_short_reads_go_on(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread
    backend.put("a", bytes(range(100)))
    monkeypatch.setattr(os, "pread", lambda file, count, offset: pread(file, min(count, 7), offset))
    assert backend.get("a") == bytes(range(100))
    assert backend.get("a", 50, 20) == bytes(range(50, 70))


# -------------------------------------------------------------------------------------- failures


def test_an_unreadable_folder_is_not_an_empty_one(backend: LocalBackend, root: Path) -> None:
    backend.put("data/3f/a", b"x")
    backend.put("data/40/a", b"x")
    for folder in (root, root / "data", root / "data/40"):
        folder.chmod(0o755)
    (root / "data/3f").chmod(0)
    try:
        with _without_privileges():
            with pytest.raises(AccessDenied, match="data/3f/") as listing:
                list(backend.list("data/"))
            with pytest.raises(AccessDenied) as get:
                backend.get("data/3f/a")
    finally:
        (root / "data/3f").chmod(0o700)
    assert listing.value.object == "data/3f/"
    assert get.value.object == "data/3f/a"


def test_an_unreadable_root_is_not_an_empty_one(root: Path, backend: LocalBackend) -> None:
    backend.put("data/a", b"x")
    backend.close()
    root.chmod(0)
    try:
        with _without_privileges(), pytest.raises(AccessDenied):
            list(backend.list("data/"))
        with _without_privileges(), pytest.raises(AccessDenied):
            backend.get("data/a")
    finally:
        root.chmod(0o700)


def test_a_directory_without_write_permission(backend: LocalBackend, root: Path) -> None:
    backend.put("data/a", b"x")
    for folder in (root, root / "data"):
        folder.chmod(0o555)
    (root / "data/a").chmod(0o444)
    try:
        with _without_privileges():
            for name in ("data/b", "index/a", "b"):
                for put in (backend.put, backend.put_if_absent):
                    with pytest.raises(AccessDenied, match="run as that user") as caught:
                        put(name, b"x")
                    assert caught.value.object == name
            with pytest.raises(AccessDenied):
                backend.delete("data/a")
            assert backend.get("data/a") == b"x"
            assert list(backend.list("")) == [ObjectInfo("data/a", 1)]
    finally:
        for folder in (root, root / "data"):
            folder.chmod(0o700)
    assert _files(root) == ["data/a"]


def test_a_file_in_the_way_of_a_folder(backend: LocalBackend, root: Path) -> None:
    backend.put("data", b"x")
    with pytest.raises(BackendError) as caught:
        backend.put("data/3f/a", b"x")
    assert caught.value.object == "data/3f/a"
    assert not isinstance(caught.value, ObjectNotFound)
    assert _files(root) == ["data"]


def test_a_folder_in_the_way_of_an_object(backend: LocalBackend, root: Path) -> None:
    (root / "data").mkdir(parents=True)
    with pytest.raises(BackendError):
        backend.put("data", b"x")
    with pytest.raises(ObjectExists):
        backend.put_if_absent("data", b"x")
    assert _files(root) == []


def test_a_file_as_root(root: Path, backend: LocalBackend) -> None:
    root.write_bytes(b"not a directory")
    with pytest.raises(ObjectNotFound):
        backend.get("config/0")
    with pytest.raises(BackendError, match="ENOTDIR"):
        backend.put("config/0", b"x")
    assert root.read_bytes() == b"not a directory"


def test_a_name_too_long_for_the_file_system(backend: LocalBackend, root: Path) -> None:
    for put in (backend.put, backend.put_if_absent):
        with pytest.raises(BackendError, match="ENAMETOOLONG"):
            put("data/" + "x" * 300, b"x")
    assert _files(root) == []


def test_a_folder_that_vanished_is_not_made_again(backend: LocalBackend, root: Path) -> None:
    backend.put("data/a", b"x")
    shutil.rmtree(root / "data")
    with pytest.raises(BackendError, match="still mounted"):
        backend.put("data/b", b"x")
    assert not (root / "data").exists()


def test_another_directory_at_the_same_place_is_not_written_to(
    backend: LocalBackend, root: Path
) -> None:
    """As when the storage is unmounted and its mount point shows."""
    backend.put("data/a", b"x")
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    backend.put("index/a", b"x")
    assert backend.get("data/a") == b"x"
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("verb", ["put", "put_if_absent"])
def test_an_interrupt_leaves_nothing_behind(
    backend: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    backend.put("data/old", b"x")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        getattr(backend, verb)("data/new", b"x")
    assert _files(root) == ["data/old"]


# ------------------------------------------------------------- real file systems (root is needed)


@contextmanager
def _mounted(place: Path, *arguments: str) -> Iterator[None]:
    if not ROOT_USER:
        pytest.skip("needs root to mount a file system")
    mount = subprocess.run(["mount", *arguments, str(place)], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"cannot mount: {mount.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.fault(16)
@pytest.mark.parametrize("verb", ["put", "put_if_absent"])
def test_a_full_disk(backend: LocalBackend, root: Path, verb: str) -> None:
    root.mkdir()
    with _mounted(root, "-t", "tmpfs", "-o", "size=1m", "none"):
        put: Callable[[str, bytes], None] = getattr(backend, verb)
        put("data/a", bytes(500_000))
        with pytest.raises(StorageFull, match="free some space") as caught:
            put("data/b", bytes(1_000_000))
        assert caught.value.object == "data/b"
        assert _files(root) == ["data/a"]
        backend.delete("data/a")
        put("data/b", bytes(1_000_000))
        assert backend.stat("data/b") == 1_000_000
        backend.close()


@pytest.mark.fault(23)
def test_a_read_only_file_system(backend: LocalBackend, root: Path, tmp_path: Path) -> None:
    backend.put("data/a", b"x")
    view = tmp_path / "view"
    view.mkdir()
    with _mounted(view, "--bind", "-o", "ro", str(root)):
        reader = LocalBackend(view)
        assert reader.get("data/a") == b"x"
        for put in (reader.put, reader.put_if_absent):
            for name in ("data/b", "new/b"):
                with pytest.raises(AccessDenied, match="EROFS"):
                    put(name, b"x")
        with pytest.raises(AccessDenied, match="EROFS"):
            reader.delete("data/a")
        reader.close()


@pytest.mark.fault(22)
def test_an_unmounted_storage_never_looks_empty(backend: LocalBackend, root: Path) -> None:
    root.mkdir()
    with _mounted(root, "-t", "tmpfs", "-o", "size=1m", "none"):
        backend.put("data/a", b"x")
    assert list(root.iterdir()) == []
    assert list(backend.list("data/")) == [ObjectInfo("data/a", 1)]
    backend.put("data/3f/b", b"y")
    assert backend.get("data/3f/b") == b"y"
    assert list(root.iterdir()) == []


# ----------------------------------------------------------------- other processes, other faults


def _python(script: str, *arguments: str) -> list[str]:
    """A command that runs a script with `backend` and the errors at hand."""
    setup = """
        import sys
        from holdfast.backend import LocalBackend
        from holdfast.errors import BackendError, ObjectExists
        backend = LocalBackend(sys.argv[1])
    """
    code = textwrap.dedent(setup) + textwrap.dedent(script)
    return [sys.executable, "-c", code, *arguments]


def _environment() -> dict[str, str]:
    # The calls that fail are counted: those that write compiled modules must not be among them.
    return {"PYTHONPATH": str(SOURCE), "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}


def test_two_processes_racing_for_names(root: Path) -> None:
    script = """
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(300):
            try:
                backend.put_if_absent(f"race/{number}", sys.argv[2].encode() * 10_000)
            except ObjectExists:
                continue
            print(number)
    """
    racers = [
        subprocess.Popen(
            _python(script, str(root), letter),
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for letter in "AB"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [[int(line) for line in racer.communicate()[0].split()] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]

    assert sorted(won[0] + won[1]) == list(range(300))
    for letter, numbers in zip("AB", won, strict=True):
        for number in numbers:
            assert (root / f"race/{number}").read_bytes() == letter.encode() * 10_000
    assert len(_files(root)) == 300


def _under_fault(fault: str, script: str, root: Path) -> list[str]:
    """Run a script in which the kernel fails some calls, by `strace --inject`; its lines."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace to make system calls fail")
    command = [strace, "-f", "-o", os.devnull]
    for injection in fault.split():
        command += ["-e", f"inject={injection}"]
    run = subprocess.run(
        command + _python(script, str(root)),
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in run.stderr:
        pytest.skip("strace may not trace here")
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


CREATE_TWICE = """
    print(backend.capabilities().put_if_absent)
    for text in (b"first", b"second"):
        try:
            backend.put_if_absent("data/a", text)
        except BackendError as error:
            print(type(error).__name__, error)
        else:
            print("made")
    print(backend.capabilities().put_if_absent)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
@pytest.mark.parametrize("code", ["EPERM", "EOPNOTSUPP", "ENOSYS"])
def test_without_hard_links_an_exclusive_rename_does_it(root: Path, code: str) -> None:
    lines = _under_fault(f"?link,linkat:error={code}", CREATE_TWICE, root)
    assert lines[:2] == ["True", "made"]
    assert lines[2].startswith("ObjectExists data/a:")
    assert lines[3] == "True"
    assert (root / "data/a").read_bytes() == b"first"
    assert _files(root) == ["data/a"]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
@pytest.mark.parametrize("code", ["EINVAL", "ENOSYS"])
def test_a_file_system_that_can_do_neither_is_refused(root: Path, code: str) -> None:
    lines = _under_fault(f"?link,linkat:error=EPERM renameat2:error={code}", CREATE_TWICE, root)
    assert lines[0] == "True"
    assert all(line.startswith("BackendError data/a: this file system") for line in lines[1:3])
    assert lines[3] == "False"
    assert _files(root) == []


PUT = """
    try:
        backend.put("data/a", b"new")
    except BackendError as error:
        print(type(error).__name__, error)
    else:
        print("done")
"""


@pytest.mark.fault(5, 16)
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("write:error=EIO:when=1", "BackendError data/a: Input/output error (EIO)"),
        ("fsync:error=EIO:when=2", "BackendError data/a: Input/output error (EIO)"),
        ("fsync:error=EDQUOT:when=2", "StorageFull data/a: "),
        ("fsync:error=ENOSPC:when=2", "StorageFull data/a: "),
        ("?rename,?renameat,renameat2:error=EIO", "BackendError data/a: Input/output error (EIO)"),
    ],
)
def test_each_step_of_a_put_that_fails_leaves_the_old_object(
    root: Path, fault: str, expected: str
) -> None:
    """The first fsync is of the root, in which the folder lies; the second of the new bytes."""
    old = LocalBackend(root)
    old.put("data/a", b"old")
    old.close()
    lines = _under_fault(fault, PUT, root)
    assert len(lines) == 1
    assert lines[0].startswith(expected)
    assert (root / "data/a").read_bytes() == b"old"
    assert _files(root) == ["data/a"]


def test_a_folder_that_cannot_be_synced_is_an_error(root: Path) -> None:
    """The name may not survive a power cut, so the put must not claim that it does."""
    (root / "data").mkdir(parents=True)
    lines = _under_fault("fsync:error=EIO:when=3", PUT, root)
    assert lines == ["BackendError data/a: Input/output error (EIO)"]


def test_a_file_system_without_folder_sync_is_accepted(root: Path) -> None:
    (root / "data").mkdir(parents=True)
    lines = _under_fault("fsync:error=EINVAL:when=1 fsync:error=EINVAL:when=3", PUT, root)
    assert lines == ["done"]


def test_errors_carry_the_operating_systems_own() -> None:
    with pytest.raises(ObjectNotFound) as caught:
        LocalBackend("/nonexistent/repository").get("a")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOENT


def test_leftovers_are_told_and_swept_when_they_are_old(backend: LocalBackend, root: Path) -> None:
    backend.put("data/ab/object", b"data")
    old, new = root / "data/ab/.tmp-old", root / ".tmp-new"
    old.write_bytes(b"four")
    new.write_bytes(b"")
    os.utime(old, ns=(5_000, 5_000))
    os.utime(new, ns=(7_000, 7_000))
    found = sorted(backend.leftovers())
    assert found == [Leftover(".tmp-new", 0, 7_000), Leftover("data/ab/.tmp-old", 4, 5_000)]
    assert backend.sweep(5_000) == 0
    assert backend.sweep(7_000) == 1
    assert _files(root) == [".tmp-new", "data/ab/object"]
    assert backend.sweep(7_001) == 1
    assert _files(root) == ["data/ab/object"]
    assert list(backend.leftovers()) == []


def test_an_empty_place_has_no_leftovers(root: Path) -> None:
    root.mkdir()
    backend = LocalBackend(root)
    assert list(backend.leftovers()) == []
    assert backend.sweep(1 << 62) == 0


def test_only_files_of_writers_are_swept(backend: LocalBackend, root: Path) -> None:
    backend.put("data/ab/object", b"data")
    (root / ".tmp-folder").mkdir()
    (root / ".tmp-link").symlink_to("data/ab/object")
    (root / "other").write_bytes(b"")
    assert backend.sweep(1 << 62) == 0
    assert backend.get("data/ab/object") == b"data"


def test_only_folders_that_it_made_are_removed(tmp_path: Path) -> None:
    (tmp_path / "theirs/empty").mkdir(parents=True)
    (tmp_path / "repository/theirs").mkdir(parents=True)
    for root in ("repository", "new/folder"):
        backend = LocalBackend(tmp_path / root)
        backend.put("data/00/a", b"x")
        backend.delete("data/00/a")
        backend.remove_folders()
        backend.close()
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert found == ["repository", "repository/theirs", "theirs", "theirs/empty"]
