"""For every n: whoever had a password or gets one opens the repository, whatever operation fails.

See `test_every_operation` for the method.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.faults.test_every_operation import (
    CHEAP,
    FAILURES,
    SETTINGS,
    attempts,
    copied,
)

import holdfast
from holdfast.backend import Backend, Damage, Fail, Faulty, MemoryBackend, flipped
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.store import (
    Keyring,
    Maker,
    Store,
    create_store,
    decode_recovery,
    open_recovered,
    open_store,
)
from holdfast.store.envelope import object_epoch
from holdfast.testing.content import noise

pytestmark = pytest.mark.usefixtures("cheap_passwords")

CONTENT = noise(30_000, 1)
PLANS = {name: FAILURES[name] for name in ("fails", "fails though done", "crashes after")}
failures = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


OLD = "old"


def connect(backend: Backend, password: str = OLD) -> Repository:
    return Repository(open_store(backend, password, SYSTEM_CLOCK, None), SYSTEM_CLOCK)


def listed(repo: Repository) -> list[holdfast.Key]:
    return repo.keys()


def opens(backend: Backend, password: str) -> bool:
    try:
        connect(backend, password)
    except holdfast.WrongPassword:
        return False
    return True


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> MemoryBackend:
    """A repository with one snapshot, a forgotten one and a label, under the password ``old``."""
    data = tmp_path_factory.mktemp("data") / "file"
    objects = MemoryBackend()
    store = create_store(objects, "old", SETTINGS, CHEAP, SYSTEM_CLOCK, None)
    repo = Repository(store, SYSTEM_CLOCK)
    data.write_bytes(b"forgotten")
    first = repo.backup(data).snapshot
    data.write_bytes(CONTENT)
    repo.backup(data)
    assert first is not None
    repo.forget(snapshots=[first.id])
    repo.tag(["latest"], add=["tagged"])
    return objects


def assert_whole(repo: Repository) -> None:
    (snapshot,) = repo.snapshots()
    assert snapshot.tags == ("tagged",)
    (path,) = snapshot.paths
    with repo.open_file(snapshot.id, path) as file:
        assert file.read() == CONTENT


def assert_sound(repo: Repository) -> None:
    assert_whole(repo)
    report = repo.check()
    assert report.valid, report.findings


@pytest.mark.fault(3)
@failures
def test_a_key_is_added_or_not(plan: Callable[[int], Fail], original: MemoryBackend) -> None:
    added = 0
    for number, after, done in attempts(
        lambda backend: connect(backend).add_key("new"), plan, original
    ):
        is_there = opens(after, "new")
        assert is_there or not done, number
        added += is_there
        repo = connect(after)
        repo.add_key("new")
        assert len(repo.keys()) == 2, number
        assert opens(after, "new")
        assert_sound(repo)
    assert added


@pytest.mark.fault(3)
@failures
def test_a_key_is_removed_or_not(plan: Callable[[int], Fail], original: MemoryBackend) -> None:
    objects = copied(original)
    other = connect(objects).add_key("other")
    for number, after, done in attempts(
        lambda backend: connect(backend).remove_key(other.id), plan, objects
    ):
        assert not (done and opens(after, "other")), number
        repo = connect(after)
        if opens(after, "other"):
            repo.remove_key(other.id)
        with pytest.raises(holdfast.UsageError, match="last"):
            repo.remove_key(repo.keys()[0].id)
        assert not opens(after, "other")
        assert_sound(repo)


@pytest.mark.fault(3)
@failures
def test_a_password_is_changed_or_not(plan: Callable[[int], Fail], original: MemoryBackend) -> None:
    changed = 0
    for number, after, done in attempts(
        lambda backend: connect(backend).change_password("new"), plan, original
    ):
        old, new = opens(after, "old"), opens(after, "new")
        assert old or new, number
        assert (new and not old) or not done, number
        changed += new
        if old:
            connect(after).change_password("new")
        repo = connect(after, "new")
        assert not opens(after, "old")
        assert [each.problem for each in listed(repo)] == [""]
        assert_sound(repo)
    assert changed


@pytest.mark.fault(3)
@failures
def test_a_rotation_is_finished_by_the_next(
    plan: Callable[[int], Fail], original: MemoryBackend
) -> None:
    begun = 0
    for number, after, done in attempts(
        lambda backend: connect(backend).rotate_keys("new"), plan, original
    ):
        old, new = opens(after, "old"), opens(after, "new")
        assert old != new, number
        assert new or not done, number
        begun += new
        repo = connect(after, "new" if new else "old")
        assert_whole(repo)
        keys = repo._store.keys
        is_unfinished = keys.oldest < keys.epoch
        result = repo.rotate_keys("new") if old or is_unfinished else repo.finish_rotation()
        assert result.finished, (number, result)
        assert result.begun == old
        assert result.epoch == 1, number
        assert_all_of_epoch(after, 1)
        fresh = connect(after, "new")
        assert [each.problem for each in listed(fresh)] == [""]
        assert_sound(fresh)
    assert begun


def assert_all_of_epoch(objects: Backend, epoch: int) -> None:
    for folder in ("index/", "snapshots/", "forgotten/", "labels/"):
        for info in objects.list(folder):
            assert object_epoch(info.name, objects.get(info.name)) == epoch, info.name


@pytest.mark.fault(14)
@failures
def test_access_is_restored_whatever_fails(
    plan: Callable[[int], Fail], original: MemoryBackend
) -> None:
    text = connect(original).recovery_key()
    lost = copied(original)
    for info in list(lost.list("")):
        if info.name.startswith(("keys/", "config/")):
            lost.delete(info.name)

    def recovered(backend: Backend) -> Store:
        return open_recovered(backend, decode_recovery(text), SYSTEM_CLOCK, None)

    def restore(backend: Backend) -> None:
        store = Keyring(recovered(backend), Maker()).restore()
        Keyring(store, Maker()).add("new", CHEAP)

    for number, after, done in attempts(restore, plan, lost):
        assert_whole(Repository(recovered(after), SYSTEM_CLOCK))
        if done:
            assert opens(after, "new"), number
        restore(after)
        repo = connect(after, "new")
        assert len(repo.keys()) == 1
        assert_sound(repo)


def test_a_slot_that_is_stored_wrongly_is_noticed_and_removed(original: MemoryBackend) -> None:
    objects = copied(original)
    spoil = Damage(lambda call: call.verb == "put" and call.name.startswith("keys/"), flipped)
    with pytest.raises(holdfast.DamagedRepository, match="reads back differently"):
        connect(Faulty(objects, spoil)).change_password("new")
    assert opens(objects, "old")
    assert len(list(objects.list("keys/"))) == 1
    with pytest.raises(holdfast.DamagedRepository, match="reads back differently"):
        connect(Faulty(objects, spoil)).rotate_keys("new")
    assert_sound(connect(objects))
