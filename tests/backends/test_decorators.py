"""`ReadOnly` writes nothing; `Faulty` does what its plan says, and otherwise nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.backend import (
    Backend,
    Call,
    Damage,
    Fail,
    Faulty,
    LocalBackend,
    MemoryBackend,
    NoFault,
    ObjectInfo,
    ReadOnly,
    flipped,
    halved,
    nth,
    since,
)
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
)
from holdfast.testing.conformance import BackendConformance


class TestFaultyWithoutFaults(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return Faulty(MemoryBackend(), NoFault())


@pytest.fixture
def memory() -> MemoryBackend:
    backend = MemoryBackend()
    backend.put("data/a", b"0123456789")
    return backend


def test_read_only_reads(memory: MemoryBackend) -> None:
    backend = ReadOnly(memory)
    assert backend.get("data/a") == b"0123456789"
    assert backend.get("data/a", 2, 3) == b"234"
    assert backend.stat("data/a") == 10
    assert list(backend.list("data/")) == [ObjectInfo("data/a", 10)]
    assert backend.location == memory.location
    with pytest.raises(ObjectNotFound):
        backend.get("data/b")


@pytest.mark.fault(23)
def test_read_only_refuses_to_write(memory: MemoryBackend) -> None:
    backend = ReadOnly(memory)
    with pytest.raises(AccessDenied) as put:
        backend.put("data/a", b"x")
    with pytest.raises(AccessDenied) as put_if_absent:
        backend.put_if_absent("data/b", b"x")
    with pytest.raises(AccessDenied) as delete:
        backend.delete("data/a")
    assert [info.value.object for info in (put, put_if_absent, delete)] == [
        "data/a",
        "data/b",
        "data/a",
    ]
    assert list(memory.list("")) == [ObjectInfo("data/a", 10)]
    assert memory.get("data/a") == b"0123456789"
    assert not backend.capabilities().put_if_absent
    assert backend.capabilities().local


def test_read_only_closes_what_it_wraps(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A closed local backend looks its root up again, so a new directory there is seen."""
    root = tmp_path_factory.mktemp("repository")
    local = LocalBackend(root)
    for wrapped in (ReadOnly(local), Faulty(local, NoFault())):
        local.put("a", b"x")
        root.rename(root.with_name(f"moved-{type(wrapped).__name__}"))
        assert wrapped.get("a") == b"x"
        wrapped.close()
        with pytest.raises(ObjectNotFound):
            wrapped.get("a")
        local.close()


def _work(backend: Backend) -> None:
    """One call of every verb."""
    backend.put("data/b", b"b")
    backend.put_if_absent("snapshots/s", b"s")
    assert backend.get("data/b") == b"b"
    assert backend.stat("data/b") == 1
    assert len(list(backend.list("data/"))) == 2
    backend.delete("data/b")


VERBS = ["put", "put_if_absent", "get", "stat", "list", "delete"]
NAMES = ["data/b", "snapshots/s", "data/b", "data/b", "data/", "data/b"]


def test_calls_are_counted_in_order(memory: MemoryBackend) -> None:
    faulty = Faulty(memory, NoFault())
    _work(faulty)
    expected = [
        Call(number, verb, name)
        for number, (verb, name) in enumerate(zip(VERBS, NAMES, strict=True), 1)
    ]
    assert faulty.calls == expected


def test_calls_of_many_threads_are_all_counted(memory: MemoryBackend) -> None:
    faulty = Faulty(memory, NoFault())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: faulty.stat("data/a"), range(500)))
    assert [call.number for call in faulty.calls] == list(range(1, 501))


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("number", range(1, len(VERBS) + 1))
def test_the_nth_call_fails_before_or_after_it_is_done(
    memory: MemoryBackend, number: int, *, done: bool
) -> None:
    faulty = Faulty(memory, Fail(nth(number), StorageFull, done=done))
    with pytest.raises(StorageFull) as caught:
        _work(faulty)
    assert caught.value.object == NAMES[number - 1]
    assert len(faulty.calls) == number

    stored = {info.name for info in memory.list("")}
    worked = number if done else number - 1
    expected = {"data/a"}
    if 1 <= worked < 6:
        expected.add("data/b")
    if worked >= 2:
        expected.add("snapshots/s")
    assert stored == expected


def test_a_failure_once_and_for_ever(memory: MemoryBackend) -> None:
    once = Faulty(memory, Fail(nth(2)))
    assert once.stat("data/a") == 10
    with pytest.raises(BackendError):
        once.stat("data/a")
    assert once.stat("data/a") == 10

    forever = Faulty(memory, Fail(since(2)))
    assert forever.stat("data/a") == 10
    for _ in range(3):
        with pytest.raises(BackendError):
            forever.stat("data/a")


def test_a_listing_can_break_off(memory: MemoryBackend) -> None:
    listing = Faulty(memory, Fail(nth(1), done=True)).list("data/")
    assert next(listing).name == "data/a"
    with pytest.raises(BackendError):
        next(listing)


def test_a_failure_can_be_any_exception_at_any_call(memory: MemoryBackend) -> None:
    plan = Fail(lambda call: call.verb == "delete", lambda *_: KeyboardInterrupt())
    faulty = Faulty(memory, plan)
    assert faulty.get("data/a") == b"0123456789"
    with pytest.raises(KeyboardInterrupt):
        faulty.delete("data/a")
    assert memory.stat("data/a") == 10


def test_damage_to_what_is_read(memory: MemoryBackend) -> None:
    short = Faulty(memory, Damage(nth(1), halved))
    assert short.get("data/a") == b"01234"
    assert short.get("data/a") == b"0123456789"
    assert Faulty(memory, Damage(since(1), flipped)).get("data/a") == b"0123446789"


def test_damage_to_what_is_stored(memory: MemoryBackend) -> None:
    faulty = Faulty(memory, Damage(lambda call: call.name.startswith("data/"), halved))
    faulty.put("data/torn", memoryview(b"0123"))
    faulty.put_if_absent("data/torn-2", b"0123")
    faulty.put("index/whole", b"0123")
    with pytest.raises(ObjectExists):
        faulty.put_if_absent("data/torn", b"0123")
    assert memory.get("data/torn") == memory.get("data/torn-2") == b"01"
    assert memory.get("index/whole") == b"0123"


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_flip_changes_one_bit(size: int) -> None:
    data = bytes(range(256)) * 4
    changed = int.from_bytes(flipped(data[:size])) ^ int.from_bytes(data[:size])
    assert changed.bit_count() == 1
    assert len(flipped(data[:size])) == size
