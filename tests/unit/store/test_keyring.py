"""Key slots of an open repository: at least one always opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.backend import Backend, Call, Fail, Faulty, MemoryBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    RepositoryNotFound,
    UnsupportedRepository,
    UsageError,
    WrongPassword,
)
from holdfast.overrides import override
from holdfast.primitives.kdf import KDF_PROFILES, KdfParams
from holdfast.store import Keyring, Maker, Store, open_recovered, open_store, slots
from holdfast.store.config import encode_config
from holdfast.store.keys import with_checksum
from holdfast.store.recovery import RecoveryKey
from holdfast.store.slots import seal_slot
from holdfast.testing.repositories import (
    PASSWORD,
    QUICK_KDF,
    SETTINGS,
    copied,
    new_store,
    reopened,
)

pytestmark = pytest.mark.usefixtures("cheap_passwords")

MAKER = Maker("host", "user")


@pytest.fixture(scope="module")
def original() -> MemoryBackend:
    backend = MemoryBackend()
    new_store(backend)
    return backend


@pytest.fixture
def backend(original: MemoryBackend) -> MemoryBackend:
    return copied(original)


def ring_of(store: Store) -> Keyring:
    return Keyring(store, MAKER)


def opened(backend: Backend, password: str = PASSWORD) -> Store:
    return open_store(backend, password, SYSTEM_CLOCK, None)


def opens(backend: Backend, password: str) -> bool:
    try:
        opened(backend, password)
    except WrongPassword:
        return False
    return True


def test_an_added_password_opens_and_is_listed(backend: MemoryBackend) -> None:
    ring = ring_of(reopened(backend))
    slot = ring.add("second", None, "laptop")
    assert slot.card is not None
    assert slot.card.maker == Maker("host", "user", "laptop")
    assert slot.card.params == QUICK_KDF
    assert opens(backend, "second")
    assert opens(backend, PASSWORD)
    assert slot in ring.slots()
    assert len(ring.slots()) == 2


def test_the_price_of_a_guess_may_be_another(backend: MemoryBackend) -> None:
    dear = KdfParams(20 << 10, 2, 1)
    slot = ring_of(reopened(backend)).add("second", dear)
    assert slot.card is not None
    assert slot.card.params == dear


def test_a_password_is_added_once_however_it_is_composed(backend: MemoryBackend) -> None:
    ring = ring_of(reopened(backend))
    assert ring.add("Ame\u0301lie", None) == ring.add("Am\u00e9lie", None)
    assert len(ring.slots()) == 2


def test_a_label_may_not_fill_the_slot(backend: MemoryBackend) -> None:
    with pytest.raises(UsageError, match="1000"):
        ring_of(reopened(backend)).add("second", None, "x" * 1001)
    assert len(list(backend.list("keys/"))) == 1


def test_ids_may_be_shortened(backend: MemoryBackend) -> None:
    ring = ring_of(reopened(backend))
    slot = ring.add("second", None)
    assert ring.find(slot.id[:12].upper()) == slot
    for wrong in ("", "x", slot.id + "0"):
        with pytest.raises(UsageError, match="key list"):
            ring.find(wrong)


def test_a_removed_password_opens_no_more(backend: MemoryBackend) -> None:
    ring = ring_of(reopened(backend))
    ring.remove(ring.add("second", None))
    assert not opens(backend, "second")
    assert opens(backend, PASSWORD)


def test_the_password_in_use_may_be_removed_if_another_is_there(backend: MemoryBackend) -> None:
    store = reopened(backend)
    ring = ring_of(store)
    ring.add("second", None)
    ring.remove(ring.find((store.slot or "")[5:]))
    assert store.slot is None
    assert not opens(backend, PASSWORD)
    assert opens(backend, "second")
    with pytest.raises(UsageError, match="add a key instead"):
        ring.change("third", None)


def test_the_last_one_that_opens_stays(backend: MemoryBackend) -> None:
    """Neither a damaged slot counts nor another repository's, nor one of other keys."""
    store = reopened(backend)
    backend.put("keys/" + "1" * 32, b"damaged")
    other = replace(store.keys, repository=bytes(16))
    name = "keys/" + "2" * 32
    backend.put(name, seal_slot(name, other, "x", QUICK_KDF, 1))
    name = "keys/" + "3" * 32
    backend.put(name, seal_slot(name, replace(store.keys, master=bytes(32)), "x", QUICK_KDF, 1))
    ring = ring_of(store)
    assert store.slot is not None
    with pytest.raises(UsageError, match="is the last that opens"):
        ring.remove(ring.find(store.slot[5:]))
    for digit in "123":
        slot = ring.find(digit * 32)
        assert slot.problem
        ring.remove(slot)
    assert [slot.name for slot in ring.slots()] == [store.slot]


class Meanwhile(MemoryBackend):
    """Lets another client do something just before an object is deleted."""

    def __init__(self, objects: MemoryBackend) -> None:
        super().__init__()
        for info in objects.list(""):
            self.put(info.name, objects.get(info.name))
        self.meanwhile: list[Callable[[], object]] = []

    @override
    def delete(self, name: str) -> None:
        if self.meanwhile:
            self.meanwhile.pop()()
        super().delete(name)


def test_two_who_remove_each_others_key_leave_one(original: MemoryBackend) -> None:
    backend = Meanwhile(original)
    ring = ring_of(reopened(backend))
    second = ring.add("second", None)
    other = ring_of(opened(backend, "second"))
    first = next(slot for slot in ring.slots() if slot.id != second.id)
    backend.meanwhile = [lambda: other.remove(first)]
    with pytest.raises(UsageError, match="at the same time"):
        ring.remove(second)
    assert not opens(backend, PASSWORD)
    assert opens(backend, "second")


def test_a_lost_answer_does_not_keep_the_last_look_from_being_taken(
    original: MemoryBackend,
) -> None:
    backend = Meanwhile(original)
    ring = ring_of(reopened(backend))
    second = ring.add("second", None)
    first = next(slot for slot in ring.slots() if slot.id != second.id)
    other = ring_of(opened(backend, "second"))
    backend.meanwhile = [lambda: other.remove(first)]
    lost = Fail(lambda call: call.verb == "delete", done=True)
    with pytest.raises((BackendError, UsageError)):
        ring_of(opened(Faulty(backend, lost), "second")).remove(second)
    assert opens(backend, "second")


def test_a_changed_password_replaces_the_old_one(backend: MemoryBackend) -> None:
    ring_of(reopened(backend)).add("second", None, "mine")
    store = opened(backend, "second")
    new = ring_of(store).change("third", None)
    assert store.slot == new.name
    assert new.card is not None
    assert new.card.maker.label == "mine"
    assert [opens(backend, each) for each in (PASSWORD, "second", "third")] == [True, False, True]


def test_the_same_password_again_changes_nothing(backend: MemoryBackend) -> None:
    before = list(backend.list(""))
    ring_of(reopened(backend)).change(PASSWORD, None)
    assert list(backend.list("")) == before


def test_the_same_password_at_another_price_replaces_the_slot(backend: MemoryBackend) -> None:
    store = reopened(backend)
    old = store.slot
    dear = KdfParams(20 << 10, 2, 1)
    slot = ring_of(store).change(PASSWORD, dear)
    assert slot.card is not None
    assert (slot.card.params, slot.name != old) == (dear, True)
    assert [each.id for each in ring_of(store).slots()] == [slot.id]
    assert opens(backend, PASSWORD)
    assert ring_of(store).change(PASSWORD, dear) == slot


def test_a_slot_of_a_newer_version_does_not_stop_key_management(backend: MemoryBackend) -> None:
    store = reopened(backend)
    data = backend.get(store.slot or "")
    id_ = "0" * 32
    backend.put("keys/" + id_, with_checksum(data[:8] + b"\x02" + data[9:-32]))
    ring = ring_of(store)
    assert ring.find(id_).problem
    ring.change("second", None)
    ring.add("third", None)
    ring.remove(ring.find(id_))
    assert [opens(backend, each) for each in (PASSWORD, "second", "third")] == [False, True, True]


def test_the_salt_of_a_slot_takes_in_its_name_and_secrets(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two copies of one machine may draw the same random bytes."""
    keys = reopened(backend).keys
    monkeypatch.setattr(slots, "random_bytes", bytes)
    salts = {
        seal_slot(name, each, "x", QUICK_KDF, time)[44:76]
        for name, each, time in (
            ("keys/" + "1" * 32, keys, 1),
            ("keys/" + "2" * 32, keys, 1),
            ("keys/" + "1" * 32, replace(keys, master=bytes(32)), 1),
        )
    }
    assert len(salts) == 3


def test_the_new_one_is_there_and_read_before_the_old_one_goes(backend: MemoryBackend) -> None:
    storage = Faulty(backend, NoFault())
    store = opened(storage)
    storage.calls.clear()
    new = ring_of(store).change("second", None)
    put = next(n for n, call in enumerate(storage.calls) if call.verb == "put")
    delete = next(n for n, call in enumerate(storage.calls) if call.verb == "delete")
    between = [(call.verb, call.name) for call in storage.calls[put + 1 : delete]]
    assert ("get", new.name) in between


def test_whoever_missed_a_change_of_the_settings_adds_nothing(backend: MemoryBackend) -> None:
    store = reopened(backend)
    ring = ring_of(store)
    second = ring.add("second", None)
    backend.put("config/1", encode_config(1, store.keys, SETTINGS, 1, None))
    for work in (
        lambda: ring.add("third", None),
        lambda: ring.remove(second),
        lambda: ring.change("third", None),
    ):
        with pytest.raises(UnsupportedRepository, match="open it again"):
            work()
    assert len(list(backend.list("keys/"))) == 2


def test_a_change_of_the_settings_at_the_same_time_takes_the_new_slot_back(
    backend: MemoryBackend,
) -> None:
    class Late(NoFault):
        @override
        def before(self, call: Call, data: bytes | bytearray | memoryview) -> bytes:
            if call.verb == "put" and call.name.startswith("keys/"):
                backend.put("config/1", encode_config(1, store.keys, SETTINGS, 1, None))
            return bytes(data)

    store = opened(Faulty(backend, Late()))
    with pytest.raises(UnsupportedRepository, match="open it again"):
        ring_of(store).add("second", None)
    assert len(list(backend.list("keys/"))) == 1


# With the recovery key


def recovered(backend: Backend, recovery: RecoveryKey) -> Store:
    return open_recovered(backend, recovery, SYSTEM_CLOCK, None)


def recovery_of(backend: Backend) -> RecoveryKey:
    store = reopened(backend)
    return RecoveryKey(store.keys, store.settings, 1)


def lose(backend: MemoryBackend, *folders: str) -> None:
    for info in list(backend.list("")):
        if info.name.startswith(folders):
            backend.delete(info.name)


def test_nothing_needs_to_be_put_back_where_nothing_is_lost(backend: MemoryBackend) -> None:
    store = recovered(backend, recovery_of(backend))
    assert store.slot is None
    assert ring_of(store).restore() is store
    assert len(list(backend.list("config/"))) == 1


@pytest.mark.fault(14)
def test_without_slots_the_recovery_key_opens_and_a_password_is_added(
    backend: MemoryBackend,
) -> None:
    recovery = recovery_of(backend)
    lose(backend, "keys/")
    store = recovered(backend, recovery)
    assert ring_of(store).usual_price() == KDF_PROFILES["default"]
    with store.writer({}):
        pass
    ring_of(store).add("second", QUICK_KDF)
    assert opened(backend, "second").keys == store.keys


@pytest.mark.fault(14)
@pytest.mark.parametrize("loss", ["lost", "damaged", "forged"])
def test_without_the_config_the_recovery_key_reads_and_puts_it_back(
    backend: MemoryBackend, loss: str, caplog: pytest.LogCaptureFixture
) -> None:
    recovery = recovery_of(backend)
    backend.put("snapshots/" + "0" * 32, b"x")
    if loss == "lost":
        lose(backend, "config/", "keys/")
    elif loss == "damaged":
        backend.put("config/0", b"damaged")
    else:
        keys = replace(recovery.keys, master=bytes(32))
        backend.put("config/0", encode_config(0, keys, SETTINGS, 1, None))
    store = recovered(backend, recovery)
    assert "the settings are taken from the recovery key" in caplog.text
    assert store.settings == SETTINGS
    assert not store.has_config
    for work in (lambda: store.writer({}), lambda: ring_of(store).add("second", QUICK_KDF)):
        with pytest.raises(UnsupportedRepository, match="--restore"):
            work()
    whole = ring_of(store).restore()
    ring_of(whole).add("second", QUICK_KDF)
    again = opened(backend, "second")
    assert (again.settings, again.keys.master) == (SETTINGS, recovery.keys.master)
    assert again.keys.config == 1
    with again.writer({}):
        pass


def test_another_repositorys_recovery_key_is_refused(backend: MemoryBackend) -> None:
    other = MemoryBackend()
    new_store(other)
    with pytest.raises(WrongPassword, match="another repository"):
        recovered(backend, recovery_of(other))


def test_a_recovery_key_alone_makes_no_repository(backend: MemoryBackend) -> None:
    recovery = recovery_of(backend)
    with pytest.raises(RepositoryNotFound, match="no repository"):
        recovered(MemoryBackend(), recovery)


def test_what_is_lost_is_told_with_the_way_out(backend: MemoryBackend) -> None:
    lose(backend, "keys/")
    with pytest.raises(DamagedRepository, match="recovery key") as caught:
        opened(backend)
    assert caught.value.object == "keys/"
