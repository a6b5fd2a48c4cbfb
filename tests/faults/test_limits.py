"""Commands that work on a repository, with every signal, and with too little of everything.

Row 6: signals at any moment of a command; memory and descriptors that run out before or while it
works. Rows 27 and 28: commands that stand still for days while others reclaim. Row 16: a full disk
under each command that writes. Row 23: a read-only mount under each.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.faults.commands import PATIENCE, Commands, Ended, Order

from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK, Clock, SystemClock
from holdfast.engine.repository import Repository
from holdfast.overrides import override
from holdfast.testing.content import noise
from holdfast.testing.repositories import PASSWORD, new_store, reopened

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet
    from tests.length import Stride

KIB, MIB = 1 << 10, 1 << 20
DAYS = 3 * 86400.0
ENOUGH = 40
"""Descriptors with which every command works."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DONE, FAILED, INTERRUPTED = 0, 1, 130

COMMANDS = {
    "init": ["init", "-b", "fresh"],
    "create": ["create", "--force", "data"],
    "create of a stream": ["create", "--stdin", "stream"],
    "restore": ["restore", "-s", "{latest}:{data}", "-t", "target"],
    "restore in place": ["restore", "-s", "{latest}:{data}", "-t", "old", "--delete"],
    "validate": ["validate", "--read-data"],
    "forget": ["forget", "{first}"],
    "prune": ["prune", "--max-unused", "0", "--force"],
    "copy": ["copy", "--to", "other"],
    "repair": ["repair", "index", "--apply"],
    "rewrite": ["rewrite", "{latest}", "--new-label", "anew"],
    "key": ["key", "add", "--new-password-file", "new"],
    "tag": ["tag", "--add", "one", "{latest}"],
    "find": ["find", "*"],
    "dump": ["dump", "{latest}", "{data}", "-o", "archive"],
}
WRITING = ("create", "forget", "prune", "copy", "repair", "rewrite", "key", "tag")
ALWAYS = ("create", "restore in place", "validate", "prune", "copy")
"""Tried in every run with each of signals and limits; the others at length."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


def some(names: Iterable[str]) -> list[ParameterSet]:
    """Parameters for tests of these commands, of which most are run at length only."""
    return [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.soak) for name in names]


class Later(SystemClock):
    """The clock of those who work on while a command stands still for days."""

    @override
    def now_ns(self) -> int:
        return super().now_ns() + int(DAYS * 1e9)

    @override
    def monotonic(self) -> float:
        return super().monotonic() + DAYS


class Bench:
    """Two repositories, of which one is empty, a tree, and commands that are run on them.

    The first has a snapshot that was forgotten, so that a prune has something to do.
    """

    def __init__(self, place: Path, commands: Commands) -> None:
        self.place = place
        self.commands = commands
        self.data = place / "data"
        (self.data / "below/further").mkdir(parents=True)
        self.contents: dict[str, dict[str, bytes]] = {}
        ids = []
        with self._made("repo") as repo:
            for turn in range(3):
                for number in range(5):
                    (self.data / f"below/further/{number}").write_bytes(noise(3000, number))
                (self.data / "large").write_bytes(noise(300_000, 100 + turn))
                made = repo.backup(self.data).snapshot
                assert made is not None
                ids.append(made.id)
                self.contents[made.id] = self._tree(self.data)
            repo.forget([ids[0]])
            del self.contents[ids[0]]
        self._made("other").close()
        (self.data / "large").write_bytes(noise(300_000, 200))
        (place / "new").write_text("another password")
        self.latest, self.first = ids[-1], ids[1]
        for name in ("repo", "other"):
            (place / name).rename(place / f"{name}-kept")
        self.reset()

    def _made(self, name: str) -> Repository:
        return Repository(new_store(LocalBackend(self.place / name)), SYSTEM_CLOCK)

    def opened(self, name: str = "repo", clock: Clock = SYSTEM_CLOCK) -> Repository:
        return Repository(reopened(LocalBackend(self.place / name), clock=clock), clock)

    def reset(self) -> None:
        """Put everything back as it was before a command."""
        for name in ("repo", "other", "fresh", "target", "old"):
            shutil.rmtree((self.place / name).resolve(), ignore_errors=True)
        (self.place / "archive").unlink(missing_ok=True)
        for name in ("repo", "other"):
            shutil.copytree(self.place / f"{name}-kept", (self.place / name).resolve())
        shutil.copytree(self.data, self.place / "old")
        (self.place / "old/extra").write_bytes(b"to be deleted")

    def run(
        self,
        name: str,
        *,
        signals: Sequence[int] = (),
        moment: int = 0,
        limit: str = "",
        amount: int = 0,
    ) -> Ended:
        names = {"latest": self.latest, "first": self.first, "data": self.data}
        arguments = [word.format(**names) for word in COMMANDS[name]]
        order = Order(arguments, "a stream" * 20_000, [*signals], moment, limit, amount)
        return self.commands.run(order)

    def expect_unharmed(self, *, sessions: bool = False) -> None:
        """Every snapshot that was not to go can be read, and nothing is left lying about."""
        with self.opened() as repo:
            there = {snapshot.id for snapshot in repo.snapshots()}
            assert self.latest in there
            for snapshot in there & self.contents.keys():
                for path, content in self.contents[snapshot].items():
                    assert repo.read_bytes(f"{snapshot}:{self.data / path}") == content
            assert repo.check(read_data=True).valid
        for name in ("repo", "other"):
            assert [p for p in (self.place / name).rglob(".tmp-*") if p.is_file()] == []
            assert sessions or [*(self.place / name / "sessions").glob("*")] == []

    def expect_done(self, name: str) -> None:
        """What a command says that it did is so."""
        place = self.place
        if name == "init":
            Repository(reopened(LocalBackend(place / "fresh")), SYSTEM_CLOCK).close()
        elif name.startswith("restore"):
            target = place / ("target" if name == "restore" else "old")
            assert self._tree(target) == self.contents[self.latest]
        elif name == "dump":
            assert (place / "archive").stat().st_size > 300_000
        elif name == "copy":
            with self.opened("other") as other:
                assert len(other.snapshots()) == len(self.contents)
                assert other.check(read_data=True).valid
        else:
            with self.opened() as repo:
                self._expect_in_repository(repo, name)

    def _expect_in_repository(self, repo: Repository, name: str) -> None:
        if name == "create":
            # One more, if it was interrupted after its commit and run again.
            new = [each for each in repo.snapshots() if each.id not in self.contents]
            *_, made = (each for each in new if each.paths == (str(self.data),))
            large = repo.read_bytes(f"{made.id}:{self.data / 'large'}")
            assert large == (self.data / "large").read_bytes()
            assert not made.problems
        elif name == "create of a stream":
            *_, made = (each for each in repo.snapshots() if each.paths == ("/stream",))
            assert repo.read_bytes(f"{made.id}:/stream") == b"a stream" * 20_000
        elif name == "forget":
            assert self.first not in {snapshot.id for snapshot in repo.snapshots()}
        elif name == "tag":
            assert repo.snapshot(self.latest).tags == ("one",)

    @staticmethod
    def _tree(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limits")


@pytest.fixture(scope="module")
def commands(place: Path) -> Iterator[Commands]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "LC_ALL": "C.UTF-8",
        "HOLDFAST_REPOSITORY": "repo",
        "HOLDFAST_PASSWORD": PASSWORD,
        "HOLDFAST_TO_PASSWORD": PASSWORD,
    }
    with Commands(place, environment) as commands:
        yield commands


@pytest.fixture(scope="module")
def made(place: Path, commands: Commands) -> Bench:
    return Bench(place, commands)


@pytest.fixture
def bench(made: Bench) -> Bench:
    made.reset()
    return made


def expect_told(ended: Ended) -> None:
    """A command may fail, but never by a mistake of ours, and it does not hang."""
    assert "Traceback" not in ended.err, ended.said
    assert "mistake of ours" not in ended.err, ended.said
    assert f"Timeout (0:{PATIENCE // 60:02}" not in ended.err, ended.said
    assert ended.code in {DONE, FAILED, INTERRUPTED}, ended.said


def expect_again(bench: Bench, name: str) -> None:
    """What did not end well can be done again."""
    ended = bench.run(name)
    if ended.code and name in {"init", "key"}:
        assert "there is a repository" in ended.err or "exists" in ended.err, ended.said
    elif ended.code and name == "forget":
        assert "not found" in ended.err, ended.said
    elif ended.code and name == "dump":
        assert "exists" in ended.err, ended.said
    else:
        assert ended.code == DONE, ended.said
    bench.expect_done(name)


# Signals


@pytest.mark.fault(6)
@pytest.mark.parametrize("name", some(COMMANDS))
def test_a_signal_ends_a_command_cleanly_at_any_moment(
    bench: Bench, name: str, stride: Stride
) -> None:
    whole = bench.run(name)
    assert whole.code == DONE, whole.said
    bench.expect_done(name)
    interrupted = 0
    for moment in stride(range(1, whole.steps + 1), whole.steps, whole.steps // 3):
        bench.reset()
        ended = bench.run(name, signals=[ENDING[moment % len(ENDING)]], moment=moment)
        expect_told(ended)
        bench.expect_unharmed()
        if ended.code == INTERRUPTED:
            assert ended.err.splitlines()[-1] == "holdfast: error: interrupted"
            interrupted += 1
        else:
            assert ended.code == DONE, ended.said
            bench.expect_done(name)
        expect_again(bench, name)
    # Of those that are tried at length only, one may be done when its single sampled signal comes.
    assert interrupted or (name not in ALWAYS and not stride.is_one)


@pytest.mark.fault(6)
@pytest.mark.parametrize("name", some(["create", "prune", "restore"]))
def test_who_asks_twice_is_obeyed_at_once(bench: Bench, name: str, stride: Stride) -> None:
    """The second signal may come while the first one is still being obeyed."""
    steps = bench.run(name).steps
    for moment in stride(range(1, steps + 1), steps, steps // 2):
        bench.reset()
        ended = bench.run(name, signals=[signal.SIGINT, signal.SIGTERM], moment=moment)
        expect_told(ended)
        bench.expect_unharmed(sessions=True)


@pytest.mark.fault(27, 28)
@pytest.mark.parametrize(
    "name", some(["create", "restore", "validate", "prune", "forget", "copy", "rewrite", "repair"])
)
def test_a_command_that_stands_still_for_days_while_others_reclaim(
    bench: Bench, name: str, stride: Stride
) -> None:
    """SIGSTOP at a moment, then SIGCONT, with clocks that have gone on: it tells what is true.

    The others wait for its session, or declare it dead.
    """
    steps = bench.run(name).steps
    stopped = lost = 0
    for moment in stride(range(1, steps + 1), steps, steps // 2):
        bench.reset()
        ended = bench.run(name, signals=[signal.SIGSTOP], moment=moment)
        if ended.is_stopped:
            stopped += 1
            with bench.opened(clock=Later()) as others:
                others.backup(bench.data / "below")
                if bench.first in {each.id for each in others.snapshots()}:
                    others.forget([bench.first])
                others.prune(max_unused="0", force=True, expire_after=moment % 2 * DAYS)
            ended = bench.commands.go_on(DAYS)
        expect_told(ended)
        lost += "declared dead" in ended.err
        if ended.code == DONE and name != "copy":  # of what was there when it began to copy
            bench.expect_done(name)
        with bench.opened(clock=Later()) as others:
            others.prune(max_unused="0", force=True)
        bench.expect_unharmed()
    assert stopped
    assert lost or name not in ("create", "rewrite") or not stride.is_one  # which commit


# Too little


@pytest.mark.fault(6)
@pytest.mark.parametrize("name", some(COMMANDS))
def test_a_command_with_too_few_descriptors_fails_or_does_all(
    bench: Bench, name: str, stride: Stride
) -> None:
    """Whatever it cannot open is no file that cannot be read, and no damage."""
    for amount in stride(range(ENOUGH + 1), ENOUGH, 3):
        bench.reset()
        ended = bench.run(name, limit="descriptors", amount=amount)
        expect_told(ended)
        bench.expect_unharmed()
        if ended.code == DONE:
            bench.expect_done(name)
        else:
            assert amount < ENOUGH, ended.said
            assert "Too many open files" in ended.err, ended.said
            expect_again(bench, name)


@pytest.mark.fault(6)
@pytest.mark.parametrize("name", some(["create", "restore", "validate", "prune", "copy", "repair"]))
@pytest.mark.parametrize(
    "amount", [0, *(pytest.param(mib * MIB, marks=pytest.mark.soak) for mib in (25, 40, 400))]
)
def test_a_command_with_too_little_memory_fails_or_does_all(
    bench: Bench, name: str, amount: int
) -> None:
    ended = bench.run(name, limit="memory", amount=amount)
    # A library that is refused memory may end the process, as the kernel would.
    if ended.code not in {-signal.SIGABRT, -signal.SIGSEGV}:
        expect_told(ended)
    bench.expect_unharmed(sessions=ended.code < 0)
    if ended.code == DONE:
        bench.expect_done(name)
    else:
        assert amount < 400 * MIB, ended.said


@contextmanager
def small(bench: Bench, size: int) -> Iterator[Path]:
    """Have both repositories on a file system of their own, in memory."""
    place = bench.place / "small"
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "holdfast-test", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    for name in ("repo", "other"):
        shutil.rmtree(bench.place / name)
        (bench.place / name).symlink_to(place / name)
    try:
        bench.reset()
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        for name in ("repo", "other"):
            (bench.place / name).unlink()


@needs_root
@pytest.mark.fault(16)
@pytest.mark.parametrize(
    ("free", "names"),
    [
        (0, ("create", "prune", "copy")),
        pytest.param(0, WRITING, marks=pytest.mark.soak),
        pytest.param(8 * KIB, WRITING, marks=pytest.mark.soak),
    ],
)
def test_a_command_on_a_full_disk_fails_or_does_all(
    bench: Bench, free: int, names: Sequence[str]
) -> None:
    full = 0
    with small(bench, 16 * MIB) as place:
        for name in names:
            bench.reset()
            filler = place / "filler"
            with filler.open("wb") as file:
                room = os.statvfs(place)
                os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - free)
            ended = bench.run(name)
            expect_told(ended)
            if ended.code:
                assert "No space left" in ended.err, ended.said
                full += 1
            bench.expect_unharmed()
            filler.unlink()
            if ended.code == DONE:
                bench.expect_done(name)
            else:
                expect_again(bench, name)
    nothing_to_do = {"repair"}
    assert full >= (len({*names} - nothing_to_do) if free == 0 else 1)


@needs_root
@pytest.mark.fault(23)
@pytest.mark.parametrize("names", [ALWAYS, pytest.param([*COMMANDS], marks=pytest.mark.soak)])
def test_a_command_on_a_mount_that_may_only_be_read(bench: Bench, names: Sequence[str]) -> None:
    with small(bench, 16 * MIB) as place:
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        for name in names:
            ended = bench.run(name)
            expect_told(ended)
            if name.startswith(WRITING) and name != "repair":  # which has nothing to do
                assert (ended.code, "Read-only file system" in ended.err) == (FAILED, True), name
            else:
                assert ended.code == DONE, ended.said
                bench.expect_done(name)
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        bench.expect_unharmed()
