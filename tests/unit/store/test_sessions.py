"""Sessions as others see them: listed whatever state they are in, and declared dead only once."""

from __future__ import annotations

import pytest

from holdfast.backend import Capabilities, Fail, Faulty, MemoryBackend, nth
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import BackendError, ObjectNotFound, SessionLost, StorageUnavailable
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.session import Session
from holdfast.store.sessions import (
    SessionInfo,
    clear_session,
    expire_session,
    list_reclaims,
    list_sessions,
)
from holdfast.testing.repositories import new_store

KEYS = new_store().keys
ID = "1" * 32
NAME = f"sessions/{ID}"
PACK = "ab" * 32 + "-01234567"


def test_a_session_of_which_nothing_is_known() -> None:
    assert SessionInfo(id=ID) == SessionInfo(
        id=ID,
        kind="",
        host="",
        user="",
        process=0,
        program="",
        started_ns=0,
        beats=0,
        last_ns=0,
        objects=(),
        problem="",
    )


class Remote(MemoryBackend):
    """A storage that may lose answers."""

    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(put_if_absent=True, local=False)


class Simple(MemoryBackend):
    """A storage without put-if-absent."""

    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(put_if_absent=False, local=False)


def put(backend: MemoryBackend, name: str, record: object, type_: ObjectType) -> None:
    backend.put(name, seal_object(type_, KEYS, name, codec.pack(record)))


def names(backend: MemoryBackend) -> set[str]:
    return {info.name for info in backend.list("")}


# Listing


def test_a_session_says_who_it_is() -> None:
    backend = MemoryBackend()
    about: dict[str, object] = {
        "host": "h", "user": "u", "kind": "backup", "process": 7, "program": "p",
    }  # fmt: skip
    with Session(backend, KEYS, SYSTEM_CLOCK, about) as session:
        put(backend, f"sessions/{session.id.hex()}.1", {"time": 5}, ObjectType.SESSION)
        put(backend, f"sessions/{session.id.hex()}.12", {"time": 9}, ObjectType.SESSION)
        (found,) = list_sessions(backend, KEYS)
        assert found.id == session.id.hex()
        assert (found.host, found.user, found.kind) == ("h", "u", "backup")
        assert (found.process, found.program) == (7, "p")
        assert (found.beats, found.last_ns) == (12, 9)
        assert found.started_ns > 0
        assert (found.problem, found.is_announced) == ("", True)
        (brief,) = list_sessions(backend, KEYS, details=False)
        assert (brief.id, brief.beats, brief.objects) == (found.id, 12, found.objects)
        assert (brief.host, brief.started_ns) == ("", 0)


def test_a_session_without_a_sign_of_life_began_when_it_says() -> None:
    backend = MemoryBackend()
    put(backend, NAME, {"started": 3}, ObjectType.SESSION)
    (found,) = list_sessions(backend, KEYS)
    assert (found.started_ns, found.last_ns, found.beats) == (3, 3, 0)


@pytest.mark.parametrize("data", [b"", b"damaged", bytes(100)])
def test_a_session_that_cannot_be_read_is_listed(data: bytes) -> None:
    backend = MemoryBackend()
    backend.put(NAME, data)
    (found,) = list_sessions(backend, KEYS)
    assert (found.id, found.kind, found.objects, found.is_announced) == (ID, "", (NAME,), True)
    assert NAME in found.problem


def test_what_is_left_of_a_session_can_make_no_snapshot() -> None:
    backend = MemoryBackend()
    put(backend, f"{NAME}.3", {"time": 3}, ObjectType.SESSION)
    (found,) = list_sessions(backend, KEYS)
    assert (found.is_announced, found.beats, found.last_ns) == (False, 3, 3)
    assert "missing" in found.problem


def test_fields_of_a_wrong_type_are_not_believed() -> None:
    backend = MemoryBackend()
    put(backend, NAME, {"host": 1, "process": "x", "started": "y"}, ObjectType.SESSION)
    (found,) = list_sessions(backend, KEYS)
    assert (found.host, found.process, found.started_ns, found.problem) == ("", 0, 0, "")


def test_a_session_that_ends_meanwhile_is_left_out() -> None:
    backend = MemoryBackend()
    put(backend, NAME, {}, ObjectType.SESSION)
    gone = Faulty(backend, Fail(lambda call: call.verb in {"get", "stat"}, ObjectNotFound))
    assert list_sessions(gone, KEYS) == []


# Declaring dead


@pytest.mark.parametrize("kind", [MemoryBackend, Remote, Simple])
def test_a_dead_session_cannot_commit(kind: type[MemoryBackend]) -> None:
    backend = kind()
    with Session(backend, KEYS, SYSTEM_CLOCK, {}) as session:
        id_ = session.id.hex()
        assert expire_session(backend, KEYS, id_, {"host": "h"})
        assert expire_session(backend, KEYS, id_, {"host": "again"})
        with pytest.raises(SessionLost):
            session.commit(b"a snapshot")
        name = f"snapshots/{id_}"
        record = codec.unpack(open_object(ObjectType.ABORTED, KEYS, name, backend.get(name)))
        assert record == {"host": "h"}


@pytest.mark.parametrize("kind", [MemoryBackend, Remote, Simple])
def test_a_session_that_has_committed_is_not_dead(kind: type[MemoryBackend]) -> None:
    backend = kind()
    with Session(backend, KEYS, SYSTEM_CLOCK, {}) as session:
        session.commit(b"a snapshot")
        name = f"snapshots/{session.id.hex()}"
        before = backend.get(name)
        assert not expire_session(backend, KEYS, session.id.hex(), {})
        assert backend.get(name) == before


def test_what_is_at_the_name_and_cannot_be_read_stays() -> None:
    backend = MemoryBackend()
    name = f"snapshots/{ID}"
    for data in (b"", b"damaged", bytes(200)):
        backend.put(name, data)
        assert not expire_session(backend, KEYS, ID, {})
        assert backend.get(name) == data


def test_a_lost_answer_is_looked_up() -> None:
    backend = Remote()
    lost = Fail(nth(1), StorageUnavailable, done=True)
    assert expire_session(Faulty(backend, lost), KEYS, ID, {})
    with pytest.raises(StorageUnavailable):
        expire_session(Faulty(Remote(), Fail(nth(1), StorageUnavailable)), KEYS, ID, {})
    # A local disk loses no answers: what failed there need not outlast a power cut.
    with pytest.raises(StorageUnavailable):
        expire_session(Faulty(MemoryBackend(), lost), KEYS, ID, {})
    # Neither need what a store says to have failed.
    with pytest.raises(BackendError):
        expire_session(Faulty(Remote(), Fail(nth(1), BackendError, done=True)), KEYS, ID, {})


def test_clearing_deletes_the_first_object_last() -> None:
    backend = MemoryBackend()
    for name in (NAME, f"{NAME}.1", f"{NAME}.2"):
        put(backend, name, {}, ObjectType.SESSION)
    (found,) = list_sessions(backend, KEYS)
    watched = Faulty(backend, Fail(nth(3), BackendError))
    with pytest.raises(BackendError):
        clear_session(watched, found)
    assert names(backend) == {NAME}
    clear_session(backend, found)  # those that are gone already are no matter
    assert names(backend) == set()


# Reclaims


def test_a_reclaim_says_what_it_condemned_and_waits_for() -> None:
    backend = MemoryBackend()
    put(backend, f"gc/{ID}", {"packs": [PACK]}, ObjectType.CONDEMNED)
    (found,) = list_reclaims(backend, KEYS)
    assert (found.id, set(found.packs), set(found.waits)) == (ID, {PACK}, set())
    assert "not said yet" in found.problem
    put(backend, f"gc/{ID}.waits", {"waits": ["2" * 32]}, ObjectType.CONDEMNED)
    (found,) = list_reclaims(backend, KEYS)
    assert (set(found.waits), found.problem) == ({"2" * 32}, "")


@pytest.mark.parametrize("name", [f"gc/{ID}", f"gc/{ID}.waits"])
@pytest.mark.parametrize("record", [{}, {"packs": [1]}, {"waits": [1]}, {"waits": 1}])
def test_a_reclaim_that_cannot_be_read_is_listed(name: str, record: object) -> None:
    backend = MemoryBackend()
    put(backend, f"gc/{ID}", {"packs": [PACK]}, ObjectType.CONDEMNED)
    put(backend, f"gc/{ID}.waits", {"waits": []}, ObjectType.CONDEMNED)
    put(backend, name, record, ObjectType.CONDEMNED)
    (found,) = list_reclaims(backend, KEYS)
    assert found.problem.startswith(name)
