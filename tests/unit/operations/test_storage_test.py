"""What a storage cannot do is found out, and said; what was stored for that is always deleted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.backend import (
    Backend,
    Buffer,
    Capabilities,
    Fail,
    Faulty,
    LocalBackend,
    MemoryBackend,
    NoFault,
    ObjectInfo,
    ReadOnly,
    nth,
)
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import AccessDenied, BackendError, StorageUnavailable
from holdfast.operations.storage_test import StorageReport, probe_storage
from holdfast.overrides import override

GOOD = {
    "write": "yes",
    "read": "yes",
    "range": "yes",
    "missing": "yes",
    "delete": "yes",
    "list": "yes",
    "overwrite": "yes",
    "create": "yes",
    "race": "yes",
    "data": "yes",
}


def tried(store: Backend, connect: Callable[[], Backend] | None = None) -> StorageReport:
    return probe_storage(store, "folder", connect or (lambda: store), SYSTEM_CLOCK)


def outcomes(report: StorageReport) -> dict[str, str]:
    return {each.name: each.outcome for each in report.checks}


def fit_for(report: StorageReport) -> set[str]:
    return {each.use for each in report.verdicts if each.fit}


def test_a_good_storage_is_fit_for_all_and_left_as_it_was() -> None:
    store = MemoryBackend()
    store.put("data/aa/there", b"before")
    report = tried(store)
    assert outcomes(report) == GOOD
    assert fit_for(report) == {"backup", "restore", "prune", "prune beside writers"}
    assert report.fit
    assert dict(store.list("")) == {"data/aa/there": 6}
    assert report.left == ()
    measured = (report.put_latency, report.get_latency, report.upload_rate, report.download_rate)
    assert all(each is not None and each > 0 for each in measured)
    assert report.clock_difference is None, "it tells no time"


def test_a_clock_that_differs_is_seen() -> None:
    class Late(MemoryBackend):
        def modified_ns(self, name: str) -> int | None:
            self.stat(name)
            return SYSTEM_CLOCK.now_ns() - 3600 * 10**9

    report = tried(Late())
    assert report.clock_difference is not None
    assert -3700 < report.clock_difference < -3500


def test_a_folder_on_a_disk_is_gone_afterwards(tmp_path: Path) -> None:
    place = tmp_path / "not/there"
    report = tried(LocalBackend(place), lambda: LocalBackend(place / "folder"))
    assert outcomes(report) == GOOD
    assert report.clock_difference == 0
    assert list(tmp_path.iterdir()) == []


def test_folders_of_both_connections_are_removed() -> None:
    cleared = []

    class Foldered(MemoryBackend):
        def remove_folders(self) -> None:
            cleared.append(self)

    made: list[Backend] = []

    def connect() -> Backend:
        made.append(Foldered())
        return made[-1]

    tried(MemoryBackend(), connect)
    assert len(made) == 2
    assert {id(each) for each in cleared} == {id(each) for each in made}


class Replacing(MemoryBackend):
    """Says that it creates only what is absent, and does not."""

    @override
    def put_if_absent(self, name: str, data: Buffer) -> None:
        self.put(name, data)


class Unconditional(MemoryBackend):
    """Says that it cannot create only what is absent."""

    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(put_if_absent=False, local=False)


class Racy(MemoryBackend):
    """Looks, and creates then: one after the other that does."""

    @override
    def put_if_absent(self, name: str, data: Buffer) -> None:
        if threading.current_thread() is threading.main_thread():
            super().put_if_absent(name, data)
        else:
            self.put(name, data)


class Inexact(MemoryBackend):
    """Gives what there is where the end of an object is passed."""

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        data = super().get(name)
        return data[offset:] if length is None else data[offset : offset + length]


class Denying(MemoryBackend):
    """Lets nothing be deleted."""

    @override
    def delete(self, name: str) -> None:
        raise AccessDenied(name, "no")


class Archive(MemoryBackend):
    """Takes data objects, and does not give them back."""

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if name.startswith("data/"):
            raise BackendError(name, "it is archived")
        return super().get(name, offset, length)


@pytest.mark.parametrize(
    ("store", "bad", "unfit"),
    [
        (Replacing(), {"create": "no", "race": "unknown"}, {"prune beside writers"}),
        (Unconditional(), {"create": "no", "race": "unknown"}, {"prune beside writers"}),
        (Racy(), {"race": "no"}, {"prune beside writers"}),
        (Inexact(), {"range": "no"}, {"restore"}),
        (Archive(), {"data": "no"}, {"backup", "prune", "prune beside writers"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, MemoryBackend) else "",
)
def test_what_a_storage_does_wrong_is_seen(
    store: MemoryBackend, bad: dict[str, str], unfit: set[str]
) -> None:
    report = tried(store)
    assert outcomes(report) == GOOD | bad
    assert {each.use for each in report.verdicts} - fit_for(report) == unfit
    assert report.fit == unfit.isdisjoint({"backup", "restore"})
    assert all(each.reason for each in report.verdicts if not each.fit)
    assert list(store.list("")) == []


class Shared:
    """Connections to one store, of which the second lags behind."""

    def __init__(self, second: type[Lagging]) -> None:
        self.store = MemoryBackend()
        self._second = second
        self._count = 0

    def connect(self) -> Backend:
        self._count += 1
        return self.store if self._count == 1 else self._second(self.store)


class Lagging:
    """A connection that has caches."""

    def __init__(self, store: MemoryBackend) -> None:
        self._store = store
        self._seen: dict[str, bytes] = {}
        self._listed: list[ObjectInfo] = []

    location = "lagging"

    def put(self, name: str, data: Buffer) -> None:
        self._store.put(name, data)

    def put_if_absent(self, name: str, data: Buffer) -> None:
        self._store.put_if_absent(name, data)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._store.get(name, offset, length)

    def stat(self, name: str) -> int:
        return self._store.stat(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def delete(self, name: str) -> None:
        self._store.delete(name)

    def capabilities(self) -> Capabilities:
        return self._store.capabilities()

    def close(self) -> None:
        self._store.close()


class OldObjects(Lagging):
    """Gives what it read before."""

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if offset or length is not None:
            return super().get(name, offset, length)
        if name not in self._seen:
            self._seen[name] = super().get(name)
        return self._seen[name]


class OldListings(Lagging):
    """Lists what there was at the time before."""

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        before, self._listed = self._listed, list(super().list(prefix))
        return iter(before)


@pytest.mark.parametrize(
    ("second", "bad"), [(OldObjects, {"overwrite"}), (OldListings, {"list", "delete"})]
)
def test_a_connection_that_lags_behind_is_seen(second: type[Lagging], bad: set[str]) -> None:
    shared = Shared(second)
    report = tried(shared.store, shared.connect)
    assert {name for name, outcome in outcomes(report).items() if outcome != "yes"} == bad
    assert "prune" not in fit_for(report)
    assert list(shared.store.list("")) == []


def test_without_the_right_to_delete_what_is_left_is_named() -> None:
    store = Denying()
    report = tried(store)
    assert outcomes(report) == GOOD | {"delete": "refused"}
    assert fit_for(report) == {"backup", "restore"}
    assert set(report.left) == {f"folder/{each.name}" for each in store.list("")}
    assert sum(each.size for each in store.list("")) < 20_000, "nothing large stays there"
    assert report.upload_rate is None


def test_without_the_right_to_store_what_is_there_is_read() -> None:
    store = MemoryBackend()
    store.put("keys/0", b"a key")
    report = tried(ReadOnly(store))
    assert outcomes(report) == {"write": "refused", "list": "yes", "read": "yes", "range": "yes"}
    assert fit_for(report) == {"restore"}
    assert not report.fit
    assert report.left == ()


def test_without_the_right_to_store_an_empty_place_says_little() -> None:
    report = tried(ReadOnly(MemoryBackend()))
    assert outcomes(report)["read"] == "unknown"
    assert fit_for(report) == set()


class Closed(ReadOnly):
    """Lets nobody do anything."""

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        raise AccessDenied(prefix, "no")


def test_where_nothing_is_allowed_that_is_the_error() -> None:
    with pytest.raises(AccessDenied, match="opened for reading only"):
        tried(Closed(MemoryBackend()))


def test_a_storage_out_of_reach_is_not_asked_to_delete() -> None:
    store = Faulty(MemoryBackend(), Fail(nth(1), StorageUnavailable))
    with pytest.raises(StorageUnavailable):
        tried(store)
    assert len(store.calls) == 1


def interrupted(_object: str, _problem: str) -> BaseException:
    return KeyboardInterrupt()


@pytest.mark.parametrize("done", [False, True])
def test_whenever_it_is_interrupted_nothing_is_left(done: bool) -> None:
    counted = Faulty(MemoryBackend(), NoFault())
    tried(counted)
    verbs = [call.verb for call in counted.calls]
    last = len(verbs) - verbs[::-1].index("get")  # after that it clears away
    interrupts = 0
    for number in range(1, last, 7):
        store = MemoryBackend()
        try:
            tried(Faulty(store, Fail(nth(number), interrupted, done=done)))
        except KeyboardInterrupt:
            interrupts += 1
        assert list(store.list("")) == [], f"interrupted at {number}"
    assert interrupts > 10, "most calls can be interrupted, not those that are refused"
