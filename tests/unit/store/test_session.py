"""A writer's session: signs of life, and exactly one way to a snapshot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count

import pytest

from holdfast.backend import (
    Backend,
    Buffer,
    Call,
    Capabilities,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    ReadOnly,
    Retrying,
    nth,
    since,
)
from holdfast.backend.retry import BRIEF
from holdfast.clock import SYSTEM_CLOCK, SystemClock
from holdfast.errors import (
    AccessDenied,
    BackendError,
    DamagedRepository,
    ObjectExists,
    SessionLost,
    StorageFull,
    StorageUnavailable,
)
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.session import (
    HEARTBEAT,
    TICK,
    Session,
    condemned_packs,
    is_aborted_marker,
)
from holdfast.testing.repositories import ManualClock

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
PACK = "ab" * 32 + "-01234567"


def session(
    backend: Backend,
    clock: ManualClock | None = None,
    on_tick: Callable[[], None] = lambda: None,
) -> Session:
    made = Session(backend, KEYS, clock or SYSTEM_CLOCK, {"host": "h"})
    made.on_tick = on_tick
    return made


class Instant(SystemClock):
    """A clock on which waiting for a storage takes no time."""

    def __init__(self) -> None:
        self.waited = 0.0

    @override
    def monotonic(self) -> float:
        return self.waited

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waited += seconds
        return event.is_set()


class Awaited(ManualClock):
    """A clock that is turned forward only when somebody waits for a time to come."""

    def __init__(self) -> None:
        super().__init__()
        self._end = 0.0

    @override
    def advance(self, seconds: float) -> None:
        until(lambda: self._end > self.monotonic())
        super().advance(seconds)

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        self._end = end = self.monotonic() + seconds
        while not event.wait(0.001):
            if self.monotonic() >= end:
                return False
        return True


def names(backend: MemoryBackend, folder: str = "") -> list[str]:
    return sorted(info.name for info in backend.list(folder))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.001)


def test_a_session_is_announced_and_cleared_away() -> None:
    backend = MemoryBackend()
    with session(backend, ManualClock(5)) as mine:
        (name,) = names(backend)
        assert name == f"sessions/{mine.id.hex()}"
        record = codec.unpack(open_object(ObjectType.SESSION, KEYS, name, backend.get(name)))
        assert record == {"host": "h", "started": 5_000_000_000}
        assert mine.still_announced()
    assert names(backend) == []
    assert not mine.still_announced()


def test_text_that_is_none_is_no_obstacle() -> None:
    """A host or user name may have odd bytes."""
    backend = MemoryBackend()
    with Session(backend, KEYS, SYSTEM_CLOCK, {"host": "h\udcff"}):
        assert names(backend)


def test_signs_of_life_are_new_objects() -> None:
    backend, clock = MemoryBackend(), Awaited()
    ticks = []
    with session(backend, clock, lambda: ticks.append(clock.monotonic())) as mine:
        name = f"sessions/{mine.id.hex()}"
        announced = backend.get(name)
        for beat in range(1, 4):
            for _ in range(int(HEARTBEAT / TICK)):
                before = len(ticks)
                clock.advance(TICK)
                until(lambda before=before: len(ticks) > before)  # type: ignore[misc]
            until(lambda beat=beat: f"{name}.{beat}" in names(backend))  # type: ignore[misc]
            assert len(names(backend)) == 1 + beat
        record = codec.unpack(
            open_object(ObjectType.SESSION, KEYS, f"{name}.2", backend.get(f"{name}.2"))
        )
        assert isinstance(record, dict)
        assert isinstance(record["time"], int)
        assert backend.get(name) == announced
    assert names(backend) == []
    assert len(ticks) >= 3 * HEARTBEAT / TICK


def test_before_its_time_there_is_no_sign_of_life() -> None:
    backend, clock = MemoryBackend(), Awaited()
    ticks: list[int] = []
    with session(backend, clock, lambda: ticks.append(1)):
        clock.advance(TICK)
        until(lambda: len(ticks) == 1)
        clock.advance(TICK)
        until(lambda: len(ticks) == 2)
        assert len(names(backend)) == 1


def test_a_sign_of_life_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    backend, clock = MemoryBackend(), Awaited()
    broken = Faulty(backend, Fail(lambda call: call.name.endswith(".1")))

    with session(broken, clock) as mine:
        for sign in (".1", ".2"):
            clock.advance(HEARTBEAT)
            until(lambda sign=sign: any(call.name.endswith(sign) for call in broken.calls))  # type: ignore[misc]
        assert mine.commit(b"snapshot")
    assert "could not be written" in caplog.text
    assert names(backend) == [f"snapshots/{mine.id.hex()}"]


def test_two_sessions_do_not_meet() -> None:
    backend = MemoryBackend()
    with session(backend) as first, session(backend) as second:
        assert first.id != second.id
        first.end()
        assert second.still_announced()


# The commit


def test_a_commit_makes_the_snapshot() -> None:
    backend = MemoryBackend()
    with session(backend) as mine:
        id_ = mine.commit(b"snapshot")
    assert id_ == mine.id.hex()
    name = f"snapshots/{id_}"
    assert names(backend) == [name]
    assert open_object(ObjectType.SNAPSHOT, KEYS, name, backend.get(name)) == b"snapshot"
    assert not is_aborted_marker(name, backend.get(name))


def test_a_session_that_was_declared_dead_does_not_commit() -> None:
    backend = MemoryBackend()
    with session(backend) as mine:
        name = f"snapshots/{mine.id.hex()}"
        marker = seal_object(ObjectType.ABORTED, KEYS, name, codec.pack({}))
        backend.put_if_absent(name, marker)
        with pytest.raises(SessionLost, match="nothing is lost"):
            mine.commit(b"snapshot")
    assert backend.get(name) == marker
    assert is_aborted_marker(name, marker)


class Remote(MemoryBackend):
    """A storage behind a wire, which loses answers."""

    def __init__(self, *, resends: bool) -> None:
        super().__init__()
        self._resends = resends

    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(put_if_absent=True, local=False)

    @override
    def put_if_absent(self, name: str, data: Buffer) -> None:
        super().put_if_absent(name, data)
        if self._resends:  # as a client does that got no answer: the object is there by now
            super().put_if_absent(name, data)
        raise StorageUnavailable(name, "the connection broke off")


@pytest.mark.fault(19)
@pytest.mark.parametrize("resends", [False, True])
def test_a_commit_whose_answer_was_lost_is_a_commit(*, resends: bool) -> None:
    backend = Remote(resends=resends)
    with session(backend) as mine:
        assert mine.commit(b"snapshot") == mine.id.hex()
    assert names(backend) == [f"snapshots/{mine.id.hex()}"]


def test_a_local_disk_that_fails_after_the_commit_is_not_trusted() -> None:
    """The name is there, but nobody knows whether it survives a power cut."""
    backend = MemoryBackend()
    broken = Faulty(backend, Fail(lambda call: call.verb == "put_if_absent", done=True))
    with session(broken) as mine, pytest.raises(BackendError, match="planned"):
        mine.commit(b"snapshot")


@pytest.mark.parametrize("put_if_absent", [True, False])
def test_a_store_that_says_that_it_failed_after_the_commit_is_not_trusted(
    *, put_if_absent: bool
) -> None:
    """As a server that has renamed the file and then fails to sync its folder."""
    backend = Slow(put_if_absent=put_if_absent)
    verb = "put_if_absent" if put_if_absent else "put"
    broken = Faulty(
        backend, Fail(lambda call: (call.verb, call.name[:5]) == (verb, "snaps"), done=True)
    )
    with session(broken) as mine, pytest.raises(BackendError, match="planned"):
        mine.commit(b"snapshot")
    # Whoever reclaims must not take it for gone: it may be there for good.
    name = mine.id.hex()
    assert names(backend) == [f"sessions/{name}", f"snapshots/{name}"]


@pytest.mark.parametrize("error", [BackendError, AccessDenied, StorageFull, StorageUnavailable])
@pytest.mark.parametrize("kind", [MemoryBackend, lambda: Remote(resends=False)])
def test_a_commit_that_was_not_done_fails(
    error: Callable[[str, str], BackendError], kind: Callable[[], MemoryBackend]
) -> None:
    backend = kind()
    broken = Faulty(backend, Fail(lambda call: call.verb == "put_if_absent", error))
    with session(broken) as mine, pytest.raises(BackendError, match="planned"):
        mine.commit(b"snapshot")
    # Over a network it may still get through: what was refused may be its repetition only.
    is_in_doubt = not backend.capabilities().local
    assert names(backend) == [f"sessions/{mine.id.hex()}"] * is_in_doubt


@pytest.mark.fault(6)
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interrupt_while_a_session_is_cleared_away_leaves_nothing(
    number: int, *, done: bool
) -> None:
    backend, clock, deletes = MemoryBackend(), ManualClock(), count(1)
    plan = Fail(
        lambda call: call.verb == "delete" and next(deletes) == number, interrupting, done=done
    )

    def has_beaten_twice() -> bool:
        clock.advance(HEARTBEAT)  # again, if the last one had not begun to wait for it
        return len(names(backend)) > 2

    with pytest.raises(KeyboardInterrupt), session(Faulty(backend, plan), clock):
        until(has_beaten_twice)
    assert names(backend) == []


def interrupting(*_: object) -> BaseException:
    return KeyboardInterrupt()


class Slow(MemoryBackend):
    """A storage behind a wire, where requests go on that nobody waits for any more."""

    def __init__(self, *errors: BaseException, put_if_absent: bool = True) -> None:
        super().__init__()
        self._errors = list(errors)
        self._put_if_absent = put_if_absent
        self.on_their_way: list[tuple[str, bytes]] = []

    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(put_if_absent=self._put_if_absent, local=False)

    @override
    def put(self, name: str, data: Buffer) -> None:
        self._send(name, data)
        super().put(name, data)

    @override
    def put_if_absent(self, name: str, data: Buffer) -> None:
        self._send(name, data)
        super().put_if_absent(name, data)

    def _send(self, name: str, data: Buffer) -> None:
        if name.startswith("snapshots/") and self._errors:
            self.on_their_way.append((name, bytes(data)))
            raise self._errors.pop(0)


@pytest.mark.parametrize(
    "errors",
    [
        (StorageUnavailable("a", "no answer"), AccessDenied("a", "expired")),
        (StorageUnavailable("a", "no answer"), StorageFull("a", "full")),
        (KeyboardInterrupt(),),
    ],
    ids=["refused", "full", "Ctrl-C"],
)
@pytest.mark.parametrize("put_if_absent", [True, False])
def test_a_session_stays_as_long_as_its_commit_may_get_through(
    errors: tuple[BaseException, ...], *, put_if_absent: bool
) -> None:
    backend = Slow(*errors, put_if_absent=put_if_absent)
    retrying = Retrying(backend, Instant())
    with pytest.raises(type(errors[-1])), session(retrying) as mine:
        mine.commit(b"snapshot")
    assert backend.on_their_way
    assert names(backend) == [f"sessions/{mine.id.hex()}"]


def test_a_commit_that_is_decided_is_in_doubt_no_more() -> None:
    done = Slow()
    with session(done) as mine:
        mine.commit(b"snapshot")
    assert names(done) == [f"snapshots/{mine.id.hex()}"]
    lost = Slow()
    with session(lost) as mine:
        name = f"snapshots/{mine.id.hex()}"
        lost.put(name, seal_object(ObjectType.ABORTED, KEYS, name, codec.pack({})))
        with pytest.raises(SessionLost):
            mine.commit(b"snapshot")
    assert names(lost) == [name]


def test_a_lost_answer_is_no_commit_when_an_abort_was_first() -> None:
    class Late(Remote):
        @override
        def put_if_absent(self, name: str, data: Buffer) -> None:
            marker = seal_object(ObjectType.ABORTED, KEYS, name, codec.pack({}))
            MemoryBackend.put(self, name, marker)
            raise StorageUnavailable(name, f"the connection broke off after {len(data)} bytes")

    with session(Late(resends=False)) as mine, pytest.raises(BackendError, match="broke off"):
        mine.commit(b"snapshot")


def test_a_storage_without_put_if_absent_is_written_to_plainly() -> None:
    class Simple(MemoryBackend):
        @override
        def capabilities(self) -> Capabilities:
            return Capabilities(put_if_absent=False, local=True)

        @override
        def put_if_absent(self, name: str, data: Buffer) -> None:
            raise NotImplementedError(name, len(data))

    backend = Simple()
    with session(backend) as mine:
        mine.commit(b"snapshot")
    assert names(backend) == [f"snapshots/{mine.id.hex()}"]


# Ending


def test_a_client_that_may_not_delete_leaves_its_session() -> None:
    backend = MemoryBackend()
    append_only = Faulty(backend, Fail(lambda call: call.verb == "delete", AccessDenied))
    with session(append_only) as mine:
        mine.commit(b"snapshot")
    assert names(backend) == sorted([f"sessions/{mine.id.hex()}", f"snapshots/{mine.id.hex()}"])


def test_a_session_that_others_cleared_away_ends_quietly() -> None:
    backend = MemoryBackend()
    with session(backend) as mine:
        backend.delete(f"sessions/{mine.id.hex()}")
        assert not mine.still_announced()


def test_a_session_does_not_wait_for_each_of_its_objects_when_the_storage_is_gone() -> None:
    backend = MemoryBackend()
    mine = session(backend)
    mine._beats = 96
    clock = Instant()
    gone = Faulty(backend, Fail(since(1), StorageUnavailable))
    mine._backend = Retrying(gone, clock)
    mine.end()
    assert clock.waited <= BRIEF
    assert len({call.name for call in gone.calls}) == 1


class Unanswered(MemoryBackend):
    """A storage that does not answer to a sign of life before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = threading.Event(), threading.Event()

    @override
    def put(self, name: str, data: Buffer) -> None:
        if name.endswith(".1"):
            self.asked.set()
            self.answer.wait(20)
        super().put(name, data)


def test_a_session_does_not_wait_for_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.store.session._PATIENCE", 0.1)
    backend, clock = Unanswered(), Awaited()
    mine = session(backend, clock)
    clock.advance(HEARTBEAT)
    assert backend.asked.wait(20)
    mine.end()
    assert names(backend) == []
    assert mine._thread.is_alive()
    backend.answer.set()
    mine._thread.join(20)
    assert names(backend) == [f"sessions/{mine.id.hex()}.1"]  # for the next prune


def test_a_sign_of_life_is_not_tried_again_when_the_session_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("holdfast.store.session._PATIENCE", 60.0)
    backend, clock = MemoryBackend(), Awaited()

    def is_beat(call: Call) -> bool:
        return call.verb == "put" and call.name.endswith(".1")

    failing = Faulty(backend, Fail(is_beat, StorageUnavailable))
    mine = session(Retrying(failing, SYSTEM_CLOCK), clock)
    clock.advance(HEARTBEAT)
    until(lambda: any(map(is_beat, failing.calls)))
    mine.end()
    assert not mine._thread.is_alive()  # although it would try for minutes: see `DEADLINE`
    assert names(backend) == []


def test_a_session_that_cannot_be_announced_does_not_begin() -> None:
    for broken in (ReadOnly(MemoryBackend()), Faulty(MemoryBackend(), Fail(nth(1)))):
        with pytest.raises(BackendError):
            session(broken)


def test_whether_it_is_announced_is_an_error_when_nobody_can_say() -> None:
    backend = Faulty(MemoryBackend(), Fail(lambda call: call.verb == "stat"))
    with session(backend) as mine, pytest.raises(BackendError, match="planned"):
        mine.still_announced()


# What is condemned


def condemn(backend: MemoryBackend, digit: str, record: object) -> str:
    name = f"gc/{digit * 32}"
    backend.put(name, seal_object(ObjectType.CONDEMNED, KEYS, name, codec.pack(record)))
    return name


def test_nothing_is_condemned_at_first() -> None:
    assert condemned_packs(MemoryBackend(), KEYS) == set()


def test_all_announcements_count() -> None:
    backend = MemoryBackend()
    other = "cd" * 32 + "-01234567"
    condemn(backend, "0", {"packs": [PACK]})
    condemn(backend, "1", {"packs": [PACK, other], "later": 1})
    condemn(backend, "2", {"packs": []})
    backend.put("gc/README", b"not an announcement")
    assert condemned_packs(backend, KEYS) == {PACK, other}


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"packs": None}, {"packs": "x"}, {"packs": [1]}, {"packs": ["no pack"]}],
)
def test_an_announcement_that_makes_no_sense_is_damage(record: object) -> None:
    backend = MemoryBackend()
    name = condemn(backend, "0", record)
    with pytest.raises(DamagedRepository) as caught:
        condemned_packs(backend, KEYS)
    assert caught.value.object == name


@pytest.mark.fault(7, 8)
def test_an_announcement_that_cannot_be_read_is_damage() -> None:
    backend = MemoryBackend()
    name = condemn(backend, "0", {"packs": [PACK]})
    data = backend.get(name)
    for damaged in (b"", data[:-1], data[:60] + b"x" + data[61:], data + b"x"):
        backend.put(name, damaged)
        with pytest.raises(DamagedRepository):
            condemned_packs(backend, KEYS)


def test_an_announcement_that_goes_meanwhile_is_passed_over() -> None:
    class Vanishing(MemoryBackend):
        @override
        def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
            self._objects.pop(name, None)
            return super().get(name, offset, length)

    backend = Vanishing()
    condemn(backend, "0", {"packs": [PACK]})
    assert condemned_packs(backend, KEYS) == set()


@pytest.mark.fault(22)
def test_a_storage_that_fails_is_not_taken_for_nothing_condemned() -> None:
    backend = MemoryBackend()
    condemn(backend, "0", {"packs": [PACK]})
    counted = Faulty(backend, NoFault())
    condemned_packs(counted, KEYS)
    for number in range(1, len(counted.calls) + 1):
        with pytest.raises(BackendError, match="planned"):
            condemned_packs(Faulty(backend, Fail(nth(number))), KEYS)


def test_the_aborted_marker_is_told_by_its_header_and_verified_later() -> None:
    name = "snapshots/" + "0" * 32
    data = seal_object(ObjectType.SNAPSHOT, KEYS, name, b"x")
    assert is_aborted_marker(name, data[:8] + bytes([ObjectType.ABORTED]) + data[9:])
    with pytest.raises(DamagedRepository):
        is_aborted_marker(name, b"short")


def test_put_if_absent_of_something_else_is_not_ours() -> None:
    backend = MemoryBackend()
    with session(backend) as mine:
        name = f"snapshots/{mine.id.hex()}"
        other = seal_object(ObjectType.SNAPSHOT, KEYS, name, b"snapshot")
        backend.put_if_absent(name, other)
        with pytest.raises(SessionLost):
            mine.commit(b"snapshot")
        with pytest.raises(ObjectExists):
            backend.put_if_absent(name, b"x")
