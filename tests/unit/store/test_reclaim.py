"""Condemning, draining and deleting, step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.backend import Call, Fail, Faulty, MemoryBackend, ObjectInfo
from holdfast.errors import AccessDenied, BackendError, DamagedRepository
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.ids import PackName, random_name
from holdfast.store import RECLAIM, Reclaim, Store
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.pack import object_name
from holdfast.store.sessions import expire_session
from holdfast.testing.repositories import ManualClock, new_store, reopened

ONE = PackName("1" * 64 + "-" + "0" * 8)
TWO = PackName("2" * 64 + "-" + "0" * 8)
SILENCE = 1800.0


class Place:
    """A repository with a reclaim at work on it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.backend = MemoryBackend()
        self.store: Store = new_store(self.backend, clock=self.clock)
        self.reclaim: Reclaim = self.store.reclaim({}, SILENCE)

    def names(self, folder: str) -> set[str]:
        return {info.name for info in self.backend.list(folder)}

    def label(self, snapshot: str) -> str:
        name = f"labels/{snapshot}/{random_name()}"
        self.backend.put(name, b"")
        return name


@pytest.fixture
def place() -> Place:
    return Place()


def test_without_sessions_what_is_condemned_may_go_at_once(place: Place) -> None:
    name = place.reclaim.condemn({ONE, TWO})
    assert place.reclaim.condemned() == {name: {ONE, TWO}}
    drain = place.reclaim.drain()
    assert drain.ready == {name: {ONE, TWO}}
    assert (drain.waiting, drain.sessions) == ({}, ())


@pytest.mark.format("F54")
def test_sessions_of_that_moment_are_waited_for_and_later_ones_are_not(place: Place) -> None:
    with place.store.writer({"kind": "backup", "host": "a"}) as first:
        name = place.reclaim.condemn({ONE})
        with place.store.writer({"kind": "backup", "host": "b"}):
            drain = place.reclaim.drain()
            assert drain.ready == {}
            assert drain.waiting == {name: {ONE}}
            assert [(each.id, each.host) for each in drain.sessions] == [(first.id, "a")]
            with first:
                pass
            assert place.reclaim.drain().ready == {name: {ONE}}


def test_another_reclaim_goes_by_what_the_first_has_seen(place: Place) -> None:
    with place.store.writer({"kind": "backup"}):
        name = place.reclaim.condemn({ONE})
    with place.store.writer({"kind": "backup"}):
        assert place.store.reclaim({}, SILENCE).drain().ready == {name: {ONE}}


def test_a_reclaim_that_died_before_it_said_whom_it_waits_for(place: Place) -> None:
    name = place.reclaim.condemn({ONE})
    place.backend.delete(name + ".waits")
    with place.store.writer({"kind": "backup"}) as writer:
        assert [each.id for each in place.reclaim.drain().sessions] == [writer.id]
        assert place.names("gc/") == {name, name + ".waits"}


def test_reclaims_do_not_wait_for_one_another(place: Place) -> None:
    with place.store.writer({"kind": RECLAIM}):
        name = place.reclaim.condemn({ONE})
        assert place.reclaim.drain().ready == {name: {ONE}}


def test_a_session_that_says_nothing_of_itself_is_waited_for(place: Place) -> None:
    name = "sessions/" + "a" * 32
    place.backend.put(name, b"damaged")
    condemned = place.reclaim.condemn({ONE})
    assert place.reclaim.drain().waiting == {condemned: {ONE}}


def test_a_silent_session_is_declared_dead_and_cleared_away(place: Place) -> None:
    # Its clock stands still, so that it gives no sign of life.
    writer = reopened(place.backend, clock=ManualClock()).writer({"kind": "backup"})
    name = place.reclaim.condemn({ONE})
    assert place.reclaim.drain().waiting == {name: {ONE}}
    place.clock.advance(SILENCE - 1)
    assert place.reclaim.drain().waiting == {name: {ONE}}
    place.clock.advance(2)
    assert place.reclaim.drain().ready == {name: {ONE}}
    assert f"snapshots/{writer.id}" in place.names("snapshots/")
    assert place.store.snapshot(writer.id) is None
    assert f"sessions/{writer.id}" not in place.names("sessions/")
    with writer:
        pass


def test_ones_own_session_is_let_alone(place: Place) -> None:
    reclaim = place.store.reclaim({}, 0.0)
    with place.store.writer({"kind": RECLAIM}) as own, place.store.writer({"kind": "backup"}):
        with reclaim.guarded(own.id):
            reclaim.drain()
            assert reclaim.others() is False
        assert place.names("sessions/") == {f"sessions/{own.id}"}


class Hiding(MemoryBackend):
    """A storage whose listings lack what sorts last."""

    hides = False

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = sorted(super().list(prefix))
        return iter(found[:-1] if self.hides and prefix == "sessions/" else found)


def test_a_list_of_sessions_that_lacks_the_last_is_not_believed() -> None:
    backend = Hiding()
    store = new_store(backend)
    reclaim = store.reclaim({}, SILENCE)
    with (
        store.writer({"kind": "backup"}),
        store.writer({"kind": RECLAIM}) as own,
        reclaim.guarded(own.id),
    ):
        reclaim.drain()
        backend.hides = True
        with pytest.raises(DamagedRepository, match="listings cannot be relied upon"):
            reclaim.drain()
        with pytest.raises(DamagedRepository, match="listings cannot be relied upon"):
            reclaim.condemn({ONE})
        backend.hides = False


def test_a_guard_that_another_reclaim_cleared_away_is_put_again(place: Place) -> None:
    with place.store.writer({"kind": RECLAIM}) as own, place.reclaim.guarded(own.id):
        place.store.reclaim({}, 0.0).drain()
        assert place.names("sessions/") == set()
        place.reclaim.drain()
        assert len(place.names("sessions/")) == 1
    assert place.names("sessions/") == set()


def test_a_committed_session_is_over_and_stays_until_it_can_never_commit_again(
    place: Place,
) -> None:
    # Its clock stands still: a sign of life at the wrong moment would have it waited for again.
    with reopened(place.backend, clock=ManualClock()).writer({"kind": "backup"}) as writer:
        name = place.reclaim.condemn({ONE})
        writer.commit(b"a snapshot")
        drain = place.reclaim.drain()
        assert drain.ready == {name: {ONE}}
        assert drain.committed == {writer.id}
        assert place.names("sessions/") == {f"sessions/{writer.id}"}
        # Its snapshot is forgotten: it might be told once more to commit, so it is waited for.
        place.backend.delete(f"snapshots/{writer.id}")
        assert place.reclaim.drain().waiting == {name: {ONE}}
        place.clock.advance(2 * SILENCE)
        assert place.reclaim.drain().ready == {name: {ONE}}
        assert place.names("sessions/") == set()
        assert place.store.snapshot(writer.id) is None
        assert f"snapshots/{writer.id}" in place.names("snapshots/")


def test_one_that_was_declared_dead_by_others_is_over(place: Place) -> None:
    with place.store.writer({"kind": "backup"}) as writer:
        name = place.reclaim.condemn({ONE})
        assert expire_session(place.backend, place.store.keys, writer.id, {})
        assert place.reclaim.drain().ready == {name: {ONE}}


@pytest.mark.format("F54")
def test_what_is_put_is_what_the_format_says(place: Place) -> None:
    with place.store.writer({"kind": "backup"}) as writer, place.store.writer({"kind": RECLAIM}):
        name = place.reclaim.condemn({TWO, ONE})

    def record(object_: str) -> object:
        data = place.backend.get(object_)
        return codec.unpack(open_object(ObjectType.CONDEMNED, place.store.keys, object_, data))

    assert record(name) == {"packs": (ONE, TWO)}
    assert record(name + ".waits") == {"waits": (writer.id,)}


@pytest.mark.format("F55")
def test_packs_are_removed_deleted_and_forgotten_about(place: Place) -> None:
    place.backend.put(object_name(ONE), b"")
    name = place.reclaim.condemn({ONE, TWO})
    place.reclaim.remove([ONE, TWO])
    assert place.store.catalog.refresh().removed == {ONE, TWO}
    place.reclaim.delete([ONE, TWO])
    assert place.names("data/") == set()
    place.reclaim.finish(name)
    assert place.names("gc/") == set()


@pytest.mark.parametrize("record", [b"", b"\x80", b"\x81\xa5waits\x91\x01"])
def test_an_announcement_that_makes_no_sense_ends_it(place: Place, record: bytes) -> None:
    name = place.reclaim.condemn({ONE})
    waits = name + ".waits"
    place.backend.put(waits, seal_object(ObjectType.CONDEMNED, place.store.keys, waits, record))
    with pytest.raises(DamagedRepository, match="waits"):
        place.reclaim.drain()


def test_a_listing_that_lacks_the_announcement_is_noticed() -> None:
    class Stale(MemoryBackend):
        @override
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            return iter(() if prefix == "gc/" else super().list(prefix))

    store = new_store(Stale())
    with pytest.raises(DamagedRepository, match="listings cannot be relied upon"):
        store.reclaim({}, SILENCE).condemn({ONE})


def test_what_is_put_to_try_listings_goes_when_only_its_answer_is_lost() -> None:
    def is_trial(call: Call) -> bool:
        return call.verb == "put" and "/ffffffff" in call.name

    backend = MemoryBackend()
    reclaim = new_store(Faulty(backend, Fail(is_trial, done=True))).reclaim({}, SILENCE)
    with pytest.raises(BackendError, match="but done"):
        reclaim.check_snapshots_listed()
    with pytest.raises(BackendError, match="but done"), reclaim.guarded("0" * 32):
        pass
    assert [*backend.list("snapshots/"), *backend.list("sessions/")] == []


def test_a_storage_that_lets_nothing_be_deleted_is_found_out_first(place: Place) -> None:
    def is_delete(call: Call) -> bool:
        return call.verb == "delete"

    store = new_store(Faulty(MemoryBackend(), Fail(is_delete, AccessDenied)))
    with pytest.raises(AccessDenied, match="nothing was changed"):
        store.reclaim({}, SILENCE).check_deletes("a" * 32)
    place.reclaim.check_deletes("a" * 32)
    assert place.names("sessions/") == set()


def test_what_belongs_to_nothing_is_swept(place: Place) -> None:
    kept = place.reclaim.condemn({ONE})
    place.backend.put("gc/" + "0" * 32 + ".waits", b"")
    place.backend.put("forgotten/" + "f" * 32, b"")
    with place.store.writer({"kind": "backup"}) as writer:
        labels = {place.label(writer.id), place.label("f" * 32)}
        orphan = place.label("0" * 32)
        assert place.names("labels/") == {*labels, orphan}
        place.reclaim.sweep()
        assert place.names("gc/") == {kept, kept + ".waits"}
        assert place.names("labels/") == labels


class HidingOne(MemoryBackend):
    """A storage whose listings lack one object."""

    hidden = ""

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (info for info in super().list(prefix) if info.name != self.hidden)


@pytest.mark.fault(22)
@pytest.mark.parametrize("folder", ["sessions", "snapshots", "forgotten"])
def test_a_label_stays_whose_owner_listings_lack(folder: str) -> None:
    backend = HidingOne()
    reclaim = new_store(backend).reclaim({}, SILENCE)
    label = f"labels/{'a' * 32}/{random_name()}"
    backend.put(label, b"")
    backend.hidden = f"{folder}/{'a' * 32}"
    backend.put(backend.hidden, b"")
    reclaim.sweep()
    assert [info.name for info in backend.list("labels/")] == [label]
    backend.delete(backend.hidden)
    reclaim.sweep()
    assert list(backend.list("labels/")) == []


def test_forgotten_snapshots_are_purged(place: Place) -> None:
    place.backend.put("forgotten/" + "f" * 32, b"")
    place.backend.put("forgotten/" + "e" * 32, b"")
    assert sorted(place.reclaim.forgotten()) == ["e" * 32, "f" * 32]
    place.reclaim.purge(["f" * 32, "0" * 32])
    assert place.names("forgotten/") == {"forgotten/" + "e" * 32}
