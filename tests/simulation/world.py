"""A repository for one schedule: its storage, its sources, and what its actors were told."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from tests.simulation.ledger import Files, Ledger, Violation
from tests.simulation.still import standing_still
from tests.simulation.turns import taking_turns

from holdfast.backend import Backend, MemoryBackend
from holdfast.clock import Clock
from holdfast.engine.repository import Repository
from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.store import CacheFolder, Store
from holdfast.testing.repositories import ManualClock, attached, copied, new_store

STREAMS = 2
FOLDERS = 3
_WORDS = [f"{word} " * 12 for word in ("north", "east", "south", "west", "up", "down", "left")]


class EagerClock(ManualClock):
    """A clock whose owner never waits: the time jumps instead. Other threads wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._owner = threading.current_thread()

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        if threading.current_thread() is not self._owner:
            return event.wait()
        self.advance(seconds)
        return event.is_set()


@cache
def sources() -> Mapping[str, Files]:
    """Directories and streams that have much in common, by path; see `_place`."""
    made: dict[str, Files] = {}
    for number in range(FOLDERS):
        files = {word.split()[0]: word.encode() for word in _WORDS[number : number + 3]}
        made[f"/home/ann/{number}"] = files
    for number in range(STREAMS):
        content = b"".join(word.encode() * 30 for word in _WORDS[number : number + 3])
        made[f"/stream/{number}"] = {"": content}
    return made


@cache
def _place() -> Path:
    """Where the directories are that backups find at ``/``; made once a process."""
    place = Path(tempfile.mkdtemp(prefix="holdfast-simulation-"))
    atexit.register(shutil.rmtree, place)
    for path, files in sources().items():
        if not is_stream(path):
            folder = place / path[1:]
            folder.mkdir(parents=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
    return place


def is_stream(path: str) -> bool:
    """Whether a source is a stream."""
    return path.startswith("/stream/")


def _expected(snapshot: Snapshot) -> Files:
    (path,) = snapshot.paths
    return sources()[path]


@cache
def _origin() -> Store:
    """The repository that all schedules begin with, empty."""
    with repeatable("origin"):
        return new_store(clock=ManualClock())


@cache
def _other() -> Store:
    """Another repository, with a snapshot of each directory."""
    clock = EagerClock()
    with repeatable("other"):
        store = new_store(clock=clock)
        repo = Repository(store, clock)
        for path in sources():
            if not is_stream(path):
                repo.backup(path)
    return store


def other_repository() -> Repository:
    """The other repository as it was made, opened anew."""
    clock = EagerClock()
    return Repository(attached(_other(), copied(_other().backend), clock=clock), clock)


class World:
    """A repository that several use.

    Attributes:
        objects: its storage.
        ledger: what must be true of it.
        told: the snapshots that somebody was told of, by id.
        given_up: ids of snapshots that somebody set out to forget.
    """

    def __init__(self, past: World | None = None) -> None:
        """Begin with an empty repository, or as another one is now."""
        _other()  # made before anything is counted or drawn
        self.objects: MemoryBackend = copied(past.objects if past else _origin().backend)
        store = self.store(self.objects, EagerClock())
        self.ledger: Ledger = past.ledger.copy(store) if past else Ledger(store, _expected)
        self.told: set[str] = set(past.told) if past else set()
        self.given_up: set[str] = set(past.given_up) if past else set()

    def expect_told(self) -> None:
        """Check that every snapshot is there that somebody was told of and nobody gave up.

        Raises:
            Violation: one is gone.
        """
        if lost := self.told - self.given_up - self.ledger.snapshots.keys():
            raise Violation(f"snapshots have gone that nobody forgot: {sorted(lost)}")

    def store(self, backend: Backend, clock: Clock, cache: Path | None = None) -> Store:
        """The repository, opened anew."""
        origin = _origin()
        config = (origin._config_name, origin._config)
        folder = None if cache is None else CacheFolder(cache)
        return Store(backend, origin.keys, origin.settings, config, clock, folder)

    def open(self, backend: Backend, clock: Clock, cache: Path | None = None) -> Repository:
        """The same with all verbs."""
        return Repository(self.store(backend, clock, cache), clock)


_POOLS = (
    "holdfast.store.packer.WORKERS",
    "holdfast.store.segments.WORKERS",
    "holdfast.operations.check.packs.WORKERS",
)
_FEW = ("holdfast.store.consolidate.SMALL_KEPT", "holdfast.operations.prune.plan.FEW")


@contextmanager
def repeatable(seed: int | str) -> Iterator[None]:
    """Let the engine's work be the same for the same seed, in this process and in any other.

    Threads take turns, every random byte comes from this one function of the standard library,
    and sources are the same everywhere. With half of the seeds even a few small packs and index
    objects are worth merging.
    """
    random = Random(f"names {seed}")
    with ExitStack() as stack:
        stack.enter_context(patch("secrets.token_bytes", random.randbytes))
        stack.enter_context(standing_still(_place()))
        workers = random.choice((1, 2))
        for pool in _POOLS:
            stack.enter_context(patch(pool, workers))
        if random.random() < 0.5:
            for few in _FEW:
                stack.enter_context(patch(few, 1))
        stack.enter_context(taking_turns(seed))
        yield
