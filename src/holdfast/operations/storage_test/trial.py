"""What a storage can do, found out by doing it with objects of its own.

Everything is asked twice where it matters: what one connection stored or deleted is looked for by
another, at once, as another machine would.
"""

from __future__ import annotations

import logging
import secrets
import statistics
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final

from holdfast.backend import Backend, modified_ns, put_probing, remove_folders
from holdfast.clock import Clock
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectTruncated,
    StorageUnavailable,
)
from holdfast.operations.storage_test.report import (
    Outcome,
    StorageCheck,
    StorageReport,
    verdicts_of,
)

_log = logging.getLogger(__name__)

SMALL: Final = 300
"""Bytes of most probe objects."""
ROUNDS: Final = 4
"""How often what a cache or chance may hide is tried."""
RACERS: Final = 8
"""Threads that try to create one object at once."""
TIMED: Final = 7
"""Small requests of which the median is taken."""
SIZES: Final = (256 << 10, 1 << 20, 4 << 20, 8 << 20)
"""Bytes of objects by which throughput is measured, until one takes long enough."""
LONG_ENOUGH: Final = 0.5
_CLOCK_NOISE: Final = 2.0
"""Seconds by which clocks may seem to differ because stores tell whole seconds."""

# Of what is stored here drivers keep nothing for longer than asked, as of objects that mark work.
_MARKS: Final = "sessions/"
_DATA: Final = "data/00/probe"


def probe_storage(
    place: Backend, folder: str, connect: Callable[[], Backend], clock: Clock
) -> StorageReport:
    """Find out what a storage can do.

    Args:
        place: where a repository is or may be; it is only read.
        folder: name of a folder in it that nobody else uses.
        connect: a new connection to this folder.
        clock: for measurements.

    Raises:
        BackendError: nothing at all can be done, such as when there is no such bucket, no server,
            or nothing is allowed.
    """
    with _Trial(connect, clock).at_work() as trial:
        trial.first_contact()
        if trial.can("write"):
            trial.try_all()
            trial.measure()
        else:
            trial.look(place)
    return StorageReport(
        location=place.location,
        checks=tuple(trial.checks.values()),
        verdicts=verdicts_of(trial.checks),
        put_latency=trial.put_latency,
        get_latency=trial.get_latency,
        upload_rate=trial.upload_rate,
        download_rate=trial.download_rate,
        clock_difference=trial.clock_difference,
        left=tuple(f"{folder}/{name}" for name in trial.left),
    )


class _Wrong(Exception):  # noqa: N818 - named for what is wrong
    """The storage did something else than it must."""


class _Trial:
    """Tries one thing after the other, and clears away what it stored."""

    def __init__(self, connect: Callable[[], Backend], clock: Clock) -> None:
        self._first = connect()
        self._second = connect()
        self._clock = clock
        self._made: list[str] = []
        self._is_out_of_reach = False
        self.checks: dict[str, StorageCheck] = {}
        self.left: list[str] = []
        self.put_latency: float | None = None
        self.get_latency: float | None = None
        self.upload_rate: float | None = None
        self.download_rate: float | None = None
        self.clock_difference: float | None = None

    @contextmanager
    def at_work(self) -> Iterator[_Trial]:
        try:
            yield self
        finally:
            try:
                self._clear()
            finally:
                self._second.close()
                self._first.close()

    def can(self, name: str) -> bool:
        return name in self.checks and self.checks[name].outcome == "yes"

    def first_contact(self) -> None:
        """Store the first object; what fails here for another reason than rights is the end."""
        try:
            for backend in (self._first, self._second):
                put_probing(backend, self._new(), _content())
        except AccessDenied as error:
            self._note("write", "refused", str(error))
        except StorageUnavailable:
            self._is_out_of_reach = True
            raise
        else:
            self._note("write", "yes", "")

    def try_all(self) -> None:
        """Try everything that takes objects of our own."""
        self._try("read", self._read)
        self._try("range", self._range)
        self._try("missing", self._missing)
        self._try("delete", self._delete)
        self._try("list", self._list)
        self._try("overwrite", self._overwrite)
        self._try("create", self._create)
        if self.can("create"):
            self._try("race", self._race)
        else:
            self._note("race", "unknown", "")
        self._try("data", self._data)

    def look(self, place: Backend) -> None:
        """Try what can be tried without storing anything, on what is there."""
        found: list[tuple[str, int]] = []
        self._try("list", lambda: found.extend(place.list("keys/")))
        if not found:
            refused = self.checks["list"]
            if refused.outcome != "yes":
                raise AccessDenied("", self.checks["write"].detail)
            for name in ("read", "range"):
                self._note(name, "unknown", "no repository is there to read from")
            return
        name, size = found[0]

        def read() -> None:
            if len(place.get(name)) != size:
                raise _Wrong("another size than a listing tells")

        def read_range() -> None:
            if place.get(name, 1, size - 1) != place.get(name)[1:]:
                raise _Wrong("other bytes than were asked for")

        self._try("read", read)
        self._try("range", read_range)

    def measure(self) -> None:
        """Take the time of small and of large requests, and compare clocks.

        Not where nothing can be deleted: what this takes would stay for ever.
        """
        if not (self.can("read") and self.can("delete")):
            return
        try:
            self._measure_small()
            self._measure_large()
        except BackendError as error:
            _log.warning("%s cannot be measured: %s", self._first.location, error)

    # Checks: what they raise is what is wrong

    def _read(self) -> None:
        name, data = self._stored()
        for backend in (self._first, self._second):
            _expect(backend.get(name) == data, "what is read is not what was stored")
            _expect(backend.stat(name) == len(data), "it tells another size")

    def _range(self) -> None:
        name, data = self._stored()
        for offset, length in ((0, 1), (100, 50), (len(data) - 10, 10)):
            part = self._second.get(name, offset, length)
            _expect(part == data[offset : offset + length], "other bytes than were asked for")
        for offset in (len(data) - 10, len(data)):
            try:
                self._second.get(name, offset, 20)
            except ObjectTruncated:
                continue
            raise _Wrong("reading past the end gives something")

    def _missing(self) -> None:
        name = f"{_MARKS}{secrets.token_hex(8)}"
        for look in (self._second.get, self._second.stat):
            try:
                look(name)
            except ObjectNotFound:
                continue
            raise _Wrong("it has what was never stored")

    def _list(self) -> None:
        for _ in range(ROUNDS):
            name, data = self._stored()
            for backend in (self._second, self._first):
                found = dict(backend.list(_MARKS))
                _expect(name in found, "what was just stored is not in a listing")
                _expect(found[name] == len(data), "a listing tells another size")

    def _overwrite(self) -> None:
        name, _ = self._stored()
        for number in range(ROUNDS):
            data = _content(SMALL + number)
            self._first.put(name, data)
            _expect(self._second.get(name) == data, "what was replaced is still read")

    def _create(self) -> None:
        _expect(
            self._first.capabilities().put_if_absent is True
            and self._second.capabilities().put_if_absent is True,
            "objects cannot be created only if they are absent: what is there is replaced",
        )
        name, data = self._new(), _content()
        self._first.put_if_absent(name, data)
        for backend in (self._second, self._first):
            try:
                backend.put_if_absent(name, _content())
            except ObjectExists:
                continue
            raise _Wrong("what is there is replaced")
        _expect(self._second.get(name) == data, "what is there is replaced")

    def _race(self) -> None:
        with ThreadPoolExecutor(RACERS) as pool:
            for _ in range(ROUNDS):
                self._race_once(pool)

    def _race_once(self, pool: ThreadPoolExecutor) -> None:
        name = self._new()
        contents = [_content() for _ in range(RACERS)]
        start = threading.Barrier(RACERS)

        def create(number: int) -> bool:
            backend = (self._first, self._second)[number % 2]
            start.wait()
            try:
                backend.put_if_absent(name, contents[number])
            except ObjectExists:
                return False
            return True

        won = [
            number for number, is_first in enumerate(pool.map(create, range(RACERS))) if is_first
        ]
        _expect(len(won) <= 1, f"{len(won)} of {RACERS} at once created the same object")
        # Nobody won if the answer to who did was lost, and was asked for again.
        valid = [contents[number] for number in won] or contents
        _expect(self._second.get(name) in valid, "who was refused has replaced what is there")

    def _data(self) -> None:
        name, data = self._new(_DATA), _content()
        self._first.put(name, data)
        _expect(self._second.get(name) == data, "what is read is not what was stored")

    def _delete(self) -> None:
        for _ in range(ROUNDS):
            name, _ = self._stored()
            list(self._second.list(_MARKS))  # which it may keep
            self._first.delete(name)
            listed = dict(self._second.list(_MARKS))
            _expect(name not in listed, "what was just deleted is in a listing")
            try:
                self._second.get(name)
            except ObjectNotFound:
                continue
            raise _Wrong("what was just deleted can be read")

    # Measurements

    def _measure_small(self) -> None:
        names = [self._new() for _ in range(TIMED)]
        begin = self._clock.now_ns()
        puts = [self._timed(partial(self._first.put, name, _content())) for name in names]
        end = self._clock.now_ns()
        gets = [self._timed(partial(self._first.get, name)) for name in names]
        self.put_latency = statistics.median(puts)
        self.get_latency = statistics.median(gets)
        stored = modified_ns(self._first, names[-1])
        if stored is not None:
            difference = (stored - end) / 1e9
            noise = _CLOCK_NOISE + (end - begin) / 1e9
            self.clock_difference = 0.0 if abs(difference) <= noise else difference

    def _measure_large(self) -> None:
        for size in SIZES:
            name, data = self._new(), secrets.token_bytes(size)
            up = self._timed(partial(self._first.put, name, data))
            down = self._timed(partial(self._first.get, name))
            self.upload_rate, self.download_rate = size / up, size / down
            if max(up, down) > LONG_ENOUGH:
                return

    def _timed(self, work: Callable[[], object]) -> float:
        begin = self._clock.monotonic()
        work()
        return max(self._clock.monotonic() - begin, 1e-6)

    # What all have in common

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except AccessDenied as error:
            self._note(name, "refused", str(error))
        except (BackendError, _Wrong) as error:
            self._note(name, "no", str(error))
        else:
            self._note(name, "yes", "")

    def _note(self, name: str, outcome: Outcome, detail: str) -> None:
        self.checks[name] = StorageCheck(name, outcome, detail)

    def _new(self, name: str = "") -> str:
        """A name for an object, which will be deleted."""
        name = name or f"{_MARKS}{secrets.token_hex(8)}"
        self._made.append(name)
        return name

    def _stored(self) -> tuple[str, bytes]:
        """Name and content of an object that was just stored."""
        name, data = self._new(), _content()
        self._first.put(name, data)
        return name, data

    def _clear(self) -> None:
        if self._is_out_of_reach:  # deleting would take as long once more
            return
        for name in self._made:
            try:
                self._first.delete(name)
            except ObjectNotFound:
                continue
            except StorageUnavailable as error:  # after it was tried for as long as that
                _log.warning("probe objects may be left in %s: %s", self._first.location, error)
                self.left = self._made
                return
            except BackendError:
                self._leave(name)
        try:
            for backend in (self._second, self._first):  # each those that it made
                remove_folders(backend)
        except BackendError as error:
            _log.warning("empty folders are left in %s: %s", self._first.location, error)

    def _leave(self, name: str) -> None:
        """Note an object that cannot be deleted, if it is there."""
        try:
            self._second.stat(name)
        except ObjectNotFound:
            return
        except BackendError as error:
            _log.debug("%s: %s", name, error)
        self.left.append(name)


def _content(size: int = SMALL) -> bytes:
    return secrets.token_bytes(size)


def _expect(holds: bool, problem: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise _Wrong(problem)
