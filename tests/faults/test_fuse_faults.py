"""Real file systems that go away, hang, or do not take all that POSIX has.

Rows 36 and 45: they are sources. Row 48: they are targets. They take FUSE: where the machine has
none, these tests are skipped, or fail if HOLDFAST_TEST_SERVERS is ``required``.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.test_mount import require_fuse

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.testing.repositories import PASSWORD, new_store

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
GONE = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO}
"""What the kernel says once the server has died, of what was open and what was not."""


def until(happened: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not happened():
        assert time.perf_counter() < deadline, "it never happened"
        time.sleep(0.01)


class Mounted:
    """The folder ``below`` at ``source/mount``, through a server that can be told what to answer.

    Attributes:
        below: what is in it, past the server.
        place: where it is mounted.
        source: a tree in which it is.
    """

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.below, self.place = folder / "below", self.source / "mount"
        self._control = folder / "control"
        for each in (self.below, self.place, self._control):
            each.mkdir(parents=True)
        self.answer()
        self._start()

    def _start(self) -> None:
        self._server = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.fuse_fs"),
                *map(str, (self.below, self.place, self._control)),
            ],
            cwd=ROOT,
        )
        until(lambda: self._server.poll() is not None or self.place.is_mount())
        assert self._server.returncode is None

    def answer(self, *rules: str) -> None:
        """Have other answers; see `fuse_fs`."""
        new = self._control / "new"
        new.write_text("".join(f"{rule}\n" for rule in rules))
        new.replace(self._control / "rules")

    def is_waited_for(self) -> bool:
        """Whether it keeps somebody waiting."""
        return (self._control / "hanging").exists()

    def kill(self) -> None:
        """The server is gone, the mount stays."""
        self._server.kill()
        self._server.wait()

    def mount_again(self) -> None:
        self.end()
        self._start()

    def end(self) -> None:
        self.answer()
        subprocess.run(["fusermount3", "-u", "-z", self.place], check=True)
        self._server.wait(PATIENCE)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    require_fuse()
    made = Mounted(tmp_path)
    yield made
    made.end()


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(new_store(LocalBackend(tmp_path / "repo")), SYSTEM_CLOCK)
    yield repository
    repository.close()


def create(place: Path) -> subprocess.Popen[str]:
    """Begin a backup by the command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "holdfast", "--json", "create", "--force", str(place / "source")],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
            "HOME": str(place),
            "HOLDFAST_PASSWORD": PASSWORD,
            "HOLDFAST_REPOSITORY": str(place / "repo"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fill(mounted: Mounted) -> None:
    (mounted.below / "inner").mkdir()
    for name in ("a", "b", "c", "inner/d"):
        (mounted.below / name).write_bytes(name.encode() * 1000)
    (mounted.source / "local").write_bytes(b"local")
    (mounted.source / "zz").write_bytes(b"after it")


def listed(repo: Repository, folder: Path) -> set[str]:
    return {Path(str(entry.path)).name for entry in repo.listdir("latest", folder)}


@pytest.mark.fault(36)
@pytest.mark.parametrize("when", ["before", "on the way"])
def test_a_mount_whose_server_died_costs_what_is_in_it(
    mounted: Mounted, repo: Repository, tmp_path: Path, when: str
) -> None:
    fill(mounted)
    if when == "before":
        mounted.kill()
        running = create(tmp_path)
    else:
        mounted.answer("hang read /b")
        running = create(tmp_path)
        until(mounted.is_waited_for)
        mounted.kill()
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 3, err
    assert "Traceback" not in err
    errors = json.loads(out)["errors"]
    assert {error["errno"] for error in errors} <= GONE
    paths = {error["path"] for error in errors}
    assert all(Path(path).is_relative_to(mounted.place) for path in paths)
    assert str(mounted.place if when == "before" else mounted.place / "b") in paths
    assert {"local", "zz"} <= listed(repo, mounted.source)
    assert repo.read_bytes(f"latest:{mounted.source / 'zz'}") == b"after it"
    assert repo.check(read_data=True).valid
    mounted.mount_again()
    whole = repo.backup(mounted.source)
    assert whole.errors == ()
    assert repo.read_bytes(f"latest:{mounted.place / 'inner/d'}") == b"inner/d" * 1000
    assert repo.read_bytes(f"latest:{mounted.place / 'b'}") == b"b" * 1000


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    "name",
    [
        "ESTALE",
        *(pytest.param(name, marks=pytest.mark.soak) for name in ("EIO", "ETIMEDOUT", "ENOTCONN")),
    ],
)
def test_what_a_file_system_fails_at_is_named_and_the_rest_backed_up(
    mounted: Mounted, repo: Repository, name: str
) -> None:
    fill(mounted)
    (mounted.below / "e").write_bytes(b"e" * 1000)
    operations = {"a": "getattr", "b": "open", "c": "read", "inner": "readdir"}
    mounted.answer(*(f"{name} {does} /{path}" for path, does in operations.items()))
    result = repo.backup(mounted.source)
    assert {error.path for error in result.errors} == {
        str(mounted.place / each) for each in operations
    }
    assert {error.errno for error in result.errors} == {getattr(errno, name)}
    assert repo.read_bytes(f"latest:{mounted.place / 'e'}") == b"e" * 1000
    assert repo.check(read_data=True).valid
    mounted.answer()
    assert repo.backup(mounted.source).errors == ()
    for each in ("a", "b", "c", "inner/d"):
        assert repo.read_bytes(f"latest:{mounted.place / each}") == each.encode() * 1000


@pytest.mark.fault(45)
@pytest.mark.parametrize(
    ("operation", "number"),
    [
        ("read", signal.SIGINT),
        ("read", signal.SIGKILL),
        pytest.param("getattr", signal.SIGINT, marks=pytest.mark.soak),
        pytest.param("open", signal.SIGINT, marks=pytest.mark.soak),
    ],
)
def test_a_backup_that_a_file_system_holds_up_can_be_ended(
    mounted: Mounted, repo: Repository, tmp_path: Path, operation: str, number: signal.Signals
) -> None:
    """A signal waits with it until it answers; a kill does not while it reads.

    The kernel has it wait for whatever else FUSE was asked, which no program can change.
    """
    fill(mounted)
    mounted.answer(f"hang {operation} /b")
    with create(tmp_path) as running:
        until(mounted.is_waited_for)
        running.send_signal(number)
        if number == signal.SIGINT:
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(0.3)
            mounted.answer()
        _, err = running.communicate(timeout=PATIENCE)
    if number == signal.SIGINT:
        assert running.returncode == 130
        assert err.splitlines()[-1] == "holdfast: error: interrupted"
        assert list((tmp_path / "repo/sessions").glob("*")) == []
    else:
        assert running.returncode == -signal.SIGKILL
    assert repo.snapshots() == []
    mounted.answer()
    assert repo.backup(mounted.source).errors == ()
    assert repo.read_bytes(f"latest:{mounted.place / 'b'}") == b"b" * 1000
    assert repo.check(read_data=True).valid


FAT = (
    *(f"EPERM {each} *" for each in ("chown", "chmod", "symlink", "mknod", "link")),
    "EOPNOTSUPP setxattr *",
    "EINVAL name *:*",
)


@pytest.mark.fault(48)
@pytest.mark.parametrize("rules", [FAT, (*FAT, "EPERM utimens *")])
def test_a_target_that_does_not_take_all(
    mounted: Mounted, repo: Repository, tmp_path: Path, rules: tuple[str, ...]
) -> None:
    source = tmp_path / "tree"
    (source / "inner").mkdir(parents=True)
    for name in ("plain", "a:b", "inner/owned", "attributes", "one"):
        (source / name).write_bytes(name.encode() * 1000)
    (source / "pointer").symlink_to("plain")
    os.mkfifo(source / "pipe")
    os.link(source / "one", source / "two")
    (source / "inner/owned").chmod(0o604)
    (source / "c:d").mkdir()
    (source / "c:d/e").write_bytes(b"below a name")
    os.setxattr(source / "attributes", "user.colour", b"red")
    repo.backup(source)
    mounted.answer(*rules)
    result = repo.restore(f"latest:{source}", mounted.place / "copy")
    told = {(str(Path(error.path).relative_to(source)), error.operation) for error in result.errors}
    made = ("plain", "a:b", "inner/owned", "attributes", "one", "two", "inner")
    refused = {(name, "mode") for name in made}
    if os.geteuid() == 0:  # who else may not give files away, and does not try
        refused |= {(name, "owner") for name in made}
    if rules != FAT:
        refused |= {(name, "time") for name in made}
    assert told == refused | {
        *(("a:b", "create"), ("c:d", "create"), ("pipe", "create"), ("pointer", "create")),
        *(("attributes", "xattr"), ("two", "link")),
    }
    copy = mounted.below / "copy"
    names = ["attributes", "inner", "inner/owned", "one", "plain", "two"]
    assert sorted(str(each.relative_to(copy)) for each in copy.rglob("*")) == names
    for name in ("attributes", "inner/owned", "one", "plain", "two"):
        assert (copy / name).read_bytes() == (source / name).read_bytes()
    kept = (copy / "plain").stat().st_mtime_ns == (source / "plain").stat().st_mtime_ns
    assert kept == (rules == FAT)
    mounted.answer()
    assert repo.restore(f"latest:{source}", mounted.place / "copy").errors == ()
    assert (copy / "a:b").read_bytes() == b"a:b" * 1000
    assert (copy / "one").samefile(copy / "two")
    assert (copy / "c:d/e").read_bytes() == b"below a name"
