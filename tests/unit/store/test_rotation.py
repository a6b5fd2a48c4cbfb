"""Rotating the keys: who is waited for, what is sealed anew, and what is refused afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from holdfast.backend import (
    Backend,
    Call,
    Capabilities,
    Faulty,
    MemoryBackend,
    NoFault,
    ObjectInfo,
)
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    DamagedRepository,
    SessionLost,
    UnsupportedRepository,
    UsageError,
    WrongPassword,
)
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.ids import SnapshotId
from holdfast.store import (
    Keyring,
    Maker,
    RecoveryKey,
    Rotated,
    Store,
    Writer,
    begin_rotation,
    finish_rotation,
    open_recovered,
    open_store,
)
from holdfast.store.envelope import ObjectType, object_epoch, seal_object
from holdfast.store.keys import with_checksum
from holdfast.store.objects import KeysRotated
from holdfast.testing.repositories import (
    PASSWORD,
    QUICK_KDF,
    ManualClock,
    copied,
    new_store,
    reopened,
)

pytestmark = pytest.mark.usefixtures("cheap_passwords")

GROUP = ("small", 0)
NEW = "the new password"
MAKER = Maker("host", "user")
MARKER = "f" * 31 + "e"
"""The id of a dead session; no other comes after it."""


def back_up(store: Store, content: bytes = b"content") -> SnapshotId:
    with store.writer({"kind": "backup"}) as writer:
        save(writer, content)
        return writer.commit(b"snapshot of " + content)


def save(writer: Writer, content: bytes) -> None:
    writer.save_data(memoryview(content), GROUP)
    writer.flush()
    assert writer.confirm()


@pytest.fixture(scope="module")
def original() -> MemoryBackend:
    """A repository with a backup and one small object of each kind."""
    backend = MemoryBackend()
    store = new_store(backend)
    id_ = back_up(store)
    store.put_label(id_, codec.pack({"note": "x"}))
    store.put_forgotten(SnapshotId("f" * 32), b"forgotten")
    name = "snapshots/" + MARKER
    backend.put(name, seal_object(ObjectType.ABORTED, store.keys, name, codec.pack({})))
    return backend


@pytest.fixture
def backend(original: MemoryBackend) -> MemoryBackend:
    return copied(original)


def begin(store: Store, *passwords: str, drop_others: bool = False) -> Store:
    return begin_rotation(
        store, passwords or (NEW,), QUICK_KDF, MAKER, drop_others=drop_others
    )  # fmt: skip


def finish(store: Store, *, wait: bool = False, expire_after: float = 1800.0) -> Rotated:
    return finish_rotation(store, {"kind": "rotate"}, wait=wait, expire_after=expire_after)


def opened(backend: Backend, password: str = NEW) -> Store:
    return open_store(backend, password, SYSTEM_CLOCK, None)


def small(backend: Backend) -> list[str]:
    folders = ("index/", "snapshots/", "forgotten/", "labels/")
    return sorted(info.name for info in backend.list("") if info.name.startswith(folders))


def epochs(backend: Backend) -> set[int]:
    return {object_epoch(name, backend.get(name)) for name in small(backend)}


def test_a_rotation_seals_every_small_object_anew_and_no_pack(backend: MemoryBackend) -> None:
    store = reopened(backend)
    (first, _) = store.snapshot_ids()
    before = {info.name: backend.get(info.name) for info in backend.list("")}
    done = finish(begin(store))
    assert (done.finished, done.resealed, len(done.removed)) == (True, 5, 1)
    assert len(small(backend)) == 5
    assert epochs(backend) == {1}
    after = opened(backend)
    assert after.keys.dedup == store.keys.dedup
    assert after.keys.master != store.keys.master
    assert after.keys.older == {0: store.keys.master}
    assert after.snapshot(first) == b"snapshot of content"
    assert after.snapshot(SnapshotId(MARKER)) is None
    forgotten = after.forgotten(SnapshotId("f" * 32))
    assert forgotten is not None
    assert forgotten.record == b"forgotten"
    assert list(after.scrub_objects()) == []
    packs = after.list_packs().packs
    assert all(after.scrub_pack(pack) is None for pack in packs)
    for info in backend.list("data/"):
        assert backend.get(info.name) == before[info.name]


def test_the_old_password_says_why_it_opens_no_more(backend: MemoryBackend) -> None:
    old_slot = next(iter(backend.list("keys/")))
    data = backend.get(old_slot.name)
    finish(begin(reopened(backend)))
    with pytest.raises(WrongPassword):
        reopened(backend)
    backend.put(old_slot.name, data)  # by somebody who has kept it
    with pytest.raises(WrongPassword, match="put out of use by a rotation"):
        reopened(backend)


def test_what_is_stored_is_still_built_upon(backend: MemoryBackend) -> None:
    store = finish(begin(reopened(backend))).store
    with store.writer({}) as writer:
        save(writer, b"content")
        assert writer.added == 0
    back_up(store, b"more")
    back_up(finish(begin(store, "third")).store, b"and more")
    after = opened(backend, "third")
    assert sorted(after.keys.older) == [0, 1]
    assert all(after.scrub_pack(pack) is None for pack in after.list_packs().packs)


def test_other_passwords_are_counted_before_anything_is_done(backend: MemoryBackend) -> None:
    store = reopened(backend)
    Keyring(store, MAKER).add("second", QUICK_KDF, "laptop")
    before = sorted(backend.list(""))
    with pytest.raises(UsageError, match="laptop"):
        begin(store)
    assert sorted(backend.list("")) == before
    done = finish(begin(store, NEW, "second"))
    assert len(done.removed) == 2
    assert opened(backend, "second").keys.epoch == 1
    with pytest.raises(UsageError, match="dropped"):
        begin(done.store, NEW)
    finish(begin(done.store, NEW, drop_others=True))
    with pytest.raises(WrongPassword):
        opened(backend, "second")


def test_the_same_password_will_do(backend: MemoryBackend) -> None:
    finish(begin(reopened(backend), PASSWORD))
    assert reopened(backend).keys.epoch == 1


def test_of_two_rotations_at_the_same_time_one_wins(backend: MemoryBackend) -> None:
    first, second = reopened(backend), reopened(backend)

    class Meanwhile(NoFault):
        @override
        def before(self, call: Call, data: bytes | bytearray | memoryview) -> bytes:
            if call.verb == "put_if_absent":
                self.won = begin(first, "winner")
            return bytes(data)

    plan = Meanwhile()
    second.backend = Faulty(backend, plan)
    with pytest.raises(UnsupportedRepository, match="at the same time"):
        begin(second, "loser")
    assert finish(plan.won).finished
    assert len(list(backend.list("keys/"))) == 1
    assert len(list(backend.list("epochs/"))) == 1
    assert list(opened(backend, "winner").scrub_objects()) == []


def test_what_interrupted_rotations_left_is_swept_by_the_one_that_is_finished(
    backend: MemoryBackend,
) -> None:
    class Cut(NoFault):
        @override
        def before(self, call: Call, data: bytes | bytearray | memoryview) -> bytes:
            if call.verb == "put_if_absent":
                raise KeyboardInterrupt
            return bytes(data)

    store = reopened(backend)
    store.backend = Faulty(backend, Cut())
    with pytest.raises(KeyboardInterrupt):
        begin(store)
    assert reopened(backend).keys.epoch == 0
    with pytest.raises(WrongPassword, match="interrupted"):
        opened(backend)
    assert all(damage.harmless for damage in reopened(backend).scrub_objects())
    done = finish(begin(reopened(backend), "third"))
    assert len(done.removed) == 2
    assert list(opened(backend, "third").scrub_objects()) == []


# Writers of before


def test_a_writer_that_began_before_is_waited_for(backend: MemoryBackend) -> None:
    writing = reopened(backend)
    writer = writing.writer({"kind": "backup", "host": "elsewhere"})
    save(writer, b"late")
    rotated = begin(reopened(backend))
    done = finish(rotated)
    assert not done.finished
    assert [(each.id, each.host) for each in done.sessions] == [(writer.id, "elsewhere")]
    # It was between its last look and its commit.
    with writer:
        id_ = writer.commit(b"late snapshot")
    assert opened(backend).snapshot(id_) == b"late snapshot"
    assert finish(opened(backend)).finished
    assert opened(backend).snapshot(id_) == b"late snapshot"
    assert epochs(backend) == {1}


def test_a_writer_that_began_before_and_looks_again_fails(backend: MemoryBackend) -> None:
    with reopened(backend).writer({}) as writer:
        begin(reopened(backend))
        with pytest.raises(UnsupportedRepository):
            save(writer, b"late")
    assert finish(opened(backend)).finished


def test_a_writer_that_began_after_is_not_waited_for(backend: MemoryBackend) -> None:
    rotated = begin(reopened(backend))
    with opened(backend).writer({}):
        assert finish(rotated).finished


class Skipping(ManualClock):
    """Time passes when the main thread waits."""

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        if threading.current_thread() is not threading.main_thread():
            return super().wait(event, seconds)
        self.advance(seconds)
        return event.is_set()


def test_a_silent_writer_is_declared_dead_and_can_never_commit(backend: MemoryBackend) -> None:
    writer = reopened(backend).writer({})
    save(writer, b"late")
    clock = Skipping()
    begun = clock.monotonic()
    rotated = begin(open_store(backend, PASSWORD, clock, None))
    assert finish(rotated, wait=True, expire_after=600.0).finished
    assert 600 <= clock.monotonic() - begun <= 700
    with writer, pytest.raises(SessionLost):
        writer.commit(b"too late")
    assert epochs(backend) == {1}
    assert len(opened(backend).snapshot_ids()) == 3


def test_a_session_that_cannot_be_read_is_waited_for(backend: MemoryBackend) -> None:
    backend.put("sessions/" + "7" * 32, b"damaged")
    rotated = begin(reopened(backend))
    (session,) = finish(rotated).sessions
    assert session.id == "7" * 32
    assert finish(rotated, expire_after=0.0).finished
    assert not list(backend.list("sessions/"))


def test_without_put_if_absent_nothing_is_declared_dead() -> None:
    class Plain(MemoryBackend):
        @override
        def capabilities(self) -> Capabilities:
            return Capabilities(put_if_absent=False, local=True)

    backend = Plain()
    store = new_store(backend)
    writer = store.writer({})
    rotated = begin(reopened(backend))
    assert len(finish(rotated, expire_after=0.0).sessions) == 1
    writer.__exit__(None, None, None)
    assert finish(rotated).finished


def test_a_reclaim_has_to_end_first(backend: MemoryBackend) -> None:
    store = reopened(backend)
    name = "gc/" + "9" * 32
    backend.put(
        name, seal_object(ObjectType.CONDEMNED, store.keys, name, codec.pack({"packs": []}))
    )
    rotated = begin(store)
    done = finish(rotated)
    assert (done.finished, done.reclaims) == (False, (name,))
    assert 0 in epochs(backend)
    backend.delete(name)
    assert finish(opened(backend)).finished


# Sealing anew


def test_a_damaged_object_is_in_the_way_and_named(backend: MemoryBackend) -> None:
    name = next(name for name in small(backend) if name.startswith("index/"))
    good = backend.get(name)
    backend.put(name, good[:-1] + bytes([good[-1] ^ 1]))
    rotated = begin(reopened(backend))
    done = finish(rotated)
    assert (done.finished, done.damaged) == (False, (name,))
    assert opened(backend).keys.oldest == 0
    backend.put(name, good)
    assert finish(opened(backend)).finished


def test_a_snapshot_that_is_forgotten_meanwhile_is_not_lost(backend: MemoryBackend) -> None:
    """Whoever forgets may find a hold and pass it over: so the rotation deletes nothing."""
    rotated = begin(reopened(backend))
    (first, _) = rotated.snapshot_ids()

    class Holding(NoFault):
        @override
        def before(self, call: Call, data: bytes | bytearray | memoryview) -> bytes:
            if (call.verb, call.name) == ("put", f"snapshots/{first}"):
                opened(backend).put_forgotten(first, b"snapshot of content")
            return bytes(data)

    rotated.backend = Faulty(backend, Holding())
    assert finish(rotated).finished
    assert opened(backend).snapshot(first) == b"snapshot of content"


class Before(NoFault):
    """Another client does something just before an operation."""

    def __init__(self, verb: str, name: str, work: Callable[[], object], number: int = 1) -> None:
        self._wanted = (verb, name)
        self._work = work
        self._number = number

    @override
    def before(self, call: Call, data: bytes | bytearray | memoryview) -> bytes:
        if (call.verb, call.name) == self._wanted:
            self._number -= 1
            if not self._number:
                self._work()
        return bytes(data)


def test_two_who_finish_one_rotation_lose_nothing(backend: MemoryBackend) -> None:
    """One reads back what the other has put and accepted, and lets it stand."""
    rotated = begin(reopened(backend))
    (first, _) = rotated.snapshot_ids()
    name = f"snapshots/{first}"
    gets = 0

    class Race(NoFault):
        @override
        def after(self, call: Call, data: bytes) -> bytes:
            nonlocal gets
            if (call.verb, call.name) == ("put", name):
                # The other had read the old one, and puts its own one last; then it is finished.
                record = rotated.snapshot(first)
                assert record is not None
                backend.put(name, seal_object(ObjectType.SNAPSHOT, rotated.keys, name, record))
                gets += 1
            return data

    rotated.backend = Faulty(backend, Race())
    assert finish(rotated).finished
    assert gets == 1
    assert opened(backend).snapshot(first) == b"snapshot of content"


def test_what_reads_back_spoilt_is_never_replaced_by_what_was_there_before(
    backend: MemoryBackend,
) -> None:
    rotated = begin(reopened(backend))
    (first, _) = rotated.snapshot_ids()
    name = f"snapshots/{first}"
    puts = 0

    class Spoilt(NoFault):
        @override
        def before(self, call: Call, data: bytes | bytearray | memoryview) -> bytes:
            nonlocal puts
            if (call.verb, call.name) == ("put", name):
                puts += 1
                return b"spoilt" if puts == 1 else bytes(data)
            return bytes(data)

    rotated.backend = Faulty(backend, Spoilt())
    done = finish(rotated)
    assert (done.finished, done.damaged) == (False, (name,))
    assert object_epoch(name, backend.get(name)) == 1
    assert finish(opened(backend)).finished
    assert opened(backend).snapshot(first) == b"snapshot of content"


class Hiding(MemoryBackend):
    """Leaves names out of lists."""

    def __init__(self, objects: MemoryBackend) -> None:
        super().__init__()
        for info in objects.list(""):
            self.put(info.name, objects.get(info.name))
        self.hides: Callable[[str, int], bool] = lambda _name, _number: False
        self.lists: Counter[str] = Counter()

    @override
    def list(self, folder: str) -> Iterator[ObjectInfo]:
        self.lists[folder] += 1
        number = self.lists[folder]
        return (info for info in super().list(folder) if not self.hides(info.name, number))


def test_a_list_that_shows_a_snapshot_late_loses_nothing(backend: MemoryBackend) -> None:
    """The first lists of the snapshots are for sessions and for the canary."""
    for late in range(1, 4):
        storage = Hiding(backend)
        rotated = begin(reopened(storage))
        first = f"snapshots/{rotated.snapshot_ids()[0]}"
        storage.lists.clear()
        storage.hides = lambda name, number: name == first and number <= late  # noqa: B023
        assert finish(rotated).finished
        assert epochs(storage) == {1}


def test_a_list_that_shows_not_what_was_stored_last_stops_it(backend: MemoryBackend) -> None:
    for folder in ("snapshots/", "sessions/"):
        storage = Hiding(backend)
        rotated = begin(reopened(storage))
        before = {info.name for info in storage.list(folder)}
        storage.hides = lambda name, _: name.startswith(folder) and name not in before  # noqa: B023
        with pytest.raises(DamagedRepository, match="list"):
            finish(rotated)
        storage.hides = lambda _name, _number: False
        assert opened(storage).keys.oldest == 0
        assert epochs(storage) == {0}
        assert finish(opened(storage)).finished


def test_a_list_that_hides_what_it_has_shown_stops_it(backend: MemoryBackend) -> None:
    storage = Hiding(backend)
    rotated = begin(reopened(storage))
    storage.lists.clear()
    storage.hides = lambda name, number: name.startswith("labels/") and number == 2
    with pytest.raises(DamagedRepository, match="missing in a list"):
        finish(rotated)
    assert opened(storage).keys.oldest == 0
    assert finish(opened(storage)).finished


def test_a_flipped_header_does_not_hide_an_old_object(backend: MemoryBackend) -> None:
    for flip in (1, 2):
        storage = copied(backend)
        rotated = begin(reopened(storage))
        name = f"snapshots/{rotated.snapshot_ids()[0]}"
        good = storage.get(name)
        storage.put(name, good[:12] + bytes([good[12] ^ flip]) + good[13:])
        done = finish(rotated)
        assert (done.finished, done.damaged) == (False, (name,))
        storage.put(name, good)
        assert finish(opened(storage)).finished
        assert opened(storage).snapshot_ids()


def test_a_new_slot_that_is_lost_meanwhile_is_put_back(backend: MemoryBackend) -> None:
    store = reopened(backend)
    (old,) = (info.name for info in backend.list("keys/"))

    def remove_others() -> None:
        for info in list(backend.list("keys/")):
            if info.name != old:
                backend.delete(info.name)

    store.backend = Faulty(backend, Before("put_if_absent", "config/1", remove_others))
    assert finish(begin(store)).finished
    assert opened(backend).keys.epoch == 1


def test_another_client_removes_no_slot_of_a_rotation_that_begins(backend: MemoryBackend) -> None:
    store = reopened(backend)
    ring = Keyring(reopened(backend), MAKER)

    def remove_others() -> None:
        (slot,) = (slot for slot in ring.slots() if not slot.card)
        with pytest.raises(UsageError, match="of a rotation"):
            ring.remove(slot)

    store.backend = Faulty(backend, Before("put_if_absent", "config/1", remove_others))
    assert finish(begin(store)).finished
    assert opened(backend).keys.epoch == 1


def test_without_a_slot_that_opens_the_new_keys_the_old_ones_stay(backend: MemoryBackend) -> None:
    rotated = begin(reopened(backend))
    slot = rotated.slot
    assert slot is not None
    backend.delete(slot)
    with pytest.raises(DamagedRepository, match="no key slot opens"):
        finish(rotated)
    assert epochs(backend) == {0}
    Keyring(rotated, MAKER).add(NEW, QUICK_KDF)
    assert finish(rotated).finished
    assert opened(backend).keys.oldest == 1


def test_it_is_announced_before_it_looks_for_reclaims(backend: MemoryBackend) -> None:
    rotated = begin(reopened(backend))
    announced = []

    class Looking(NoFault):
        @override
        def before(self, call: Call, data: bytes | bytearray | memoryview) -> bytes:
            if (call.verb, call.name) == ("list", "gc/"):
                announced.append([each.kind for each in opened(backend).sessions()])
            return bytes(data)

    rotated.backend = Faulty(backend, Looking())
    assert finish(rotated).finished
    assert announced == [["rotate"]]


def test_a_slot_of_a_newer_version_is_in_nobodys_way(backend: MemoryBackend) -> None:
    store = reopened(backend)
    data = backend.get(store.slot or "")
    name = "keys/" + "0" * 32
    backend.put(name, with_checksum(data[:8] + b"\x02" + data[9:-32]))
    assert finish(begin(reopened(backend))).finished
    assert opened(backend).keys.epoch == 1


def test_whoever_was_declared_dead_meanwhile_replaces_nothing_more(
    backend: MemoryBackend,
) -> None:
    rotated = begin(reopened(backend))

    class Swept(NoFault):
        @override
        def after(self, call: Call, data: bytes) -> bytes:
            if call.verb == "put" and call.name.startswith("sessions/"):
                backend.delete(call.name)
            return data

    rotated.backend = Faulty(backend, Swept())
    with pytest.raises(SessionLost):
        finish(rotated)
    assert epochs(backend) == {0}
    assert finish(opened(backend)).finished


def test_whoever_opens_it_is_told_that_it_is_not_finished(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when somebody has deleted the config that says that it is."""
    store = finish(begin(reopened(backend))).store
    opened(backend)
    assert "not finished" not in caplog.text
    backend.delete("config/2")
    opened(backend)
    assert caplog.text.count("a key rotation is not finished") == 1
    open_recovered(backend, recovery_of(store), SYSTEM_CLOCK, None)
    assert caplog.text.count("a key rotation is not finished") == 2


def test_nothing_to_finish_changes_nothing(backend: MemoryBackend) -> None:
    before = sorted(backend.list(""))
    assert finish(reopened(backend)).finished
    assert sorted(backend.list("")) == before
    finish(begin(reopened(backend)))
    before = sorted(backend.list(""))
    done = finish(opened(backend))
    assert (done.finished, done.resealed, done.removed) == (True, 0, ())
    assert sorted(backend.list("")) == before


# Who opened the repository before


def test_whoever_opened_it_before_is_told_to_open_it_again(backend: MemoryBackend) -> None:
    before = reopened(backend)
    id_ = before.snapshot_ids()[0]
    finish(begin(reopened(backend)))
    for work in (
        lambda: before.snapshot(id_),
        before.catalog.load,
        lambda: list(before.scrub_objects()),
        lambda: before.forgotten(SnapshotId("f" * 32)),
    ):
        with pytest.raises(KeysRotated, match="open it again"):
            work()
    with pytest.raises(UnsupportedRepository, match="open"):
        before.writer({})


def test_a_header_of_a_later_epoch_alone_is_damage(backend: MemoryBackend) -> None:
    store = reopened(backend)
    id_ = store.snapshot_ids()[0]
    name = f"snapshots/{id_}"
    data = bytearray(backend.get(name))
    data[12] = 1
    backend.put(name, bytes(data))
    with pytest.raises(DamagedRepository, match="epoch 1"):
        store.snapshot(id_)


def test_an_older_object_that_somebody_puts_back_is_damage(backend: MemoryBackend) -> None:
    store = reopened(backend)
    id_ = store.snapshot_ids()[0]
    name = f"snapshots/{id_}"
    old = backend.get(name)
    after = finish(begin(store)).store
    backend.put(name, old)
    with pytest.raises(DamagedRepository, match="out of force"):
        after.snapshot(id_)
    assert [damage.object for damage in after.scrub_objects()] == [name]


# The recovery key and rotations


def recovery_of(store: Store) -> RecoveryKey:
    return RecoveryKey(store.keys, store.settings, 1)


def test_a_recovery_key_of_before_is_refused(backend: MemoryBackend) -> None:
    recovery = recovery_of(reopened(backend))
    finish(begin(reopened(backend)))
    with pytest.raises(WrongPassword, match="epoch 0, and the keys were rotated"):
        open_recovered(backend, recovery, SYSTEM_CLOCK, None)
    for info in list(backend.list("config/")):
        backend.delete(info.name)
    with pytest.raises(WrongPassword, match="epoch 0, and the keys were rotated"):
        open_recovered(backend, recovery, SYSTEM_CLOCK, None)


def test_a_recovery_key_has_the_older_keys_and_puts_them_back(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    store = finish(begin(reopened(backend))).store
    recovery = recovery_of(store)
    for info in list(backend.list("")):
        if info.name.startswith(("keys/", "config/", "epochs/")):
            backend.delete(info.name)
    found = open_recovered(backend, recovery, SYSTEM_CLOCK, None)
    assert "the recovery key has it" in caplog.text
    assert all(found.scrub_pack(pack) is None for pack in found.list_packs().packs)
    whole = Keyring(found, MAKER).restore()
    Keyring(whole, MAKER).add("third", QUICK_KDF)
    after = opened(backend, "third")
    assert after.keys == whole.keys
    assert (after.keys.older, after.keys.oldest, after.keys.config) == (store.keys.older, 1, 3)
    assert list(after.scrub_objects()) == []


def test_a_config_of_before_the_rotation_is_not_fallen_back_to(backend: MemoryBackend) -> None:
    """As whoever kept the old keys could wish."""
    store = finish(begin(reopened(backend))).store
    for number in (1, 2):
        backend.delete(f"config/{number}")
    with pytest.raises(WrongPassword, match="interrupted"):
        opened(backend)
    found = open_recovered(backend, recovery_of(store), SYSTEM_CLOCK, None)
    assert not found.has_config
    assert Keyring(found, MAKER).restore().keys.config == 3
    assert opened(backend).keys.epoch == 1
