"""A process that works on a repository, and may be killed over it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import holdfast

# Children are forked of a process that has imported everything and never done anything: as good
# as new ones, and at once there.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["pytest", "s3fs", "adlfs", "gcsfs", "paramiko", "holdfast.backend.remote", __name__]
)


class Task(NamedTuple):
    """Where the repository is, and what to do with it.

    Attributes:
        location: its URI.
        options: for the driver.
        password: its password.
        cache: folder of the cache, None for none.
        work: verbs: ``("backup", path)``, ``("prune",)``, ``("forget", snapshot)``.
    """

    location: str
    options: Mapping[str, object]
    password: str
    cache: str | None
    work: tuple[tuple[str, ...], ...]


class _Pipe(Protocol):
    """One end of a pipe of `multiprocessing`."""

    def send(self, obj: str, /) -> None: ...

    def recv(self) -> object: ...


class Worker:
    """Such a process; it has opened the repository and waits."""

    def __init__(self, task: Task) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()
        assert self._answer() == "ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()

    def go(self) -> None:
        """Let it begin."""
        self._pipe.send("go")

    def ended(self) -> list[str]:
        """Wait for its end; returns the snapshot that each verb made or removed, or ""."""
        said = self._answer()
        self._process.join()
        assert self._process.exitcode == 0
        return said.split("\n")

    def kill_when(self, reached: Callable[[], bool], seconds: float) -> None:
        """Let it go on for some seconds at a time, until something is so; there it is killed.

        On a busy machine these get longer, so it may come further, or even to its end.
        """
        self.go()
        process = self._process.pid
        assert process is not None
        while not self._pipe.poll(seconds):
            os.kill(process, signal.SIGSTOP)
            if reached():
                self._process.kill()
                self._process.join()
                return
            os.kill(process, signal.SIGCONT)
        self._answer()

    def _answer(self) -> str:
        said = self._pipe.recv()
        assert isinstance(said, str)
        assert not said.startswith("Traceback"), said
        return said


def _work(task: Task, pipe: _Pipe) -> None:
    try:
        with holdfast.open(
            task.location,
            password=task.password,
            storage_options=task.options,
            cache=task.cache is not None,
            cache_dir=task.cache,
        ) as repo:
            pipe.send("ready")
            pipe.recv()
            done = "\n".join(_done(repo, *words) for words in task.work)
        pipe.send(done)
    except Exception:  # noqa: BLE001 - told to whoever waits
        pipe.send(traceback.format_exc())


def _done(repo: holdfast.Repository, verb: str, *words: str) -> str:
    match verb:
        case "backup":
            result = repo.backup(words)
            assert result.snapshot is not None
            assert result.errors == ()
            return result.snapshot.id
        case "forget":
            return " ".join(repo.forget(words, force=True).removed)
        case _:
            repo.prune(max_unused="0", force=True)
            return ""
