"""What whoever has the storage, the keys or the clock can do and cannot: docs/threat-model.md."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.faults.hostile import Forge, raw

import holdfast
from holdfast.backend import MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.store import open_store
from holdfast.store.pack import Kind
from holdfast.testing.repositories import PASSWORD, ManualClock, copied, new_store, reopened

pytestmark = pytest.mark.usefixtures("cheap_passwords")

NAMES = ("Qfolder7", "Qfile8.txt", "Qlink9", "Qtarget1", "Qxattr2")
CONTENT = b"Qcontent3 of a file that everybody knows\n" * 20
WORDS = ("Qtag4", "Qlabel5", "Qdescription6", "Qhost7", "Qnote8")
DAY = 86_400.0


def tree(folder: Path) -> Path:
    top = folder / NAMES[0]
    top.mkdir(parents=True)
    (top / NAMES[1]).write_bytes(CONTENT)
    (top / NAMES[2]).symlink_to(NAMES[3])
    os.utime(top / NAMES[1], ns=(1, 0x0123_4567_89AB_CDEF))
    return top


def stored(backend: MemoryBackend) -> dict[str, bytes]:
    return {info.name: backend.get(info.name) for info in backend.list("")}


def backed_up(top: Path) -> MemoryBackend:
    backend = MemoryBackend()
    with Repository(new_store(backend), SYSTEM_CLOCK) as repo:
        made = repo.backup(
            top, tags=[WORDS[0]], label=WORDS[1], description=WORDS[2], host=WORDS[3]
        ).snapshot
        assert made is not None
        repo.tag([made.id], note=WORDS[4])
        assert repo.read_bytes(f"latest:{top / NAMES[1]}") == CONTENT
    return backend


def test_nothing_of_what_is_backed_up_is_in_the_storage(tmp_path: Path) -> None:
    objects = stored(backed_up(tree(tmp_path)))
    everything = b"\0".join([*map(str.encode, objects), *objects.values()])
    known = [*map(str.encode, (*NAMES, *WORDS)), CONTENT[:9], str(tmp_path).encode()]
    known += [(0x0123_4567_89AB_CDEF).to_bytes(8, order) for order in ("little", "big")]
    assert [each for each in known if each in everything] == []
    # So is what compression and encoding leave of it: any 8 bytes of the text.
    assert not [at for at in range(40) if CONTENT[at : at + 8] in everything]


def test_the_same_files_in_two_repositories_have_nothing_in_common(tmp_path: Path) -> None:
    top = tree(tmp_path)
    one, other = stored(backed_up(top)), stored(backed_up(top))
    assert {name for name in one if name in other} <= {"config/0"}

    def windows(objects: dict[str, bytes]) -> set[bytes]:
        sealed = [data for name, data in objects.items() if not name.startswith("config/")]
        return {data[at : at + 24] for data in sealed for at in range(len(data) - 23)}

    # The beginnings of key slots, up to the price of a guess, have 24 bytes.
    assert {each[:8] for each in windows(one) & windows(other)} == {b"HFKEYSLT"}


def test_a_storage_that_goes_back_to_what_it_was_is_believed(tmp_path: Path) -> None:
    backend = MemoryBackend()
    with Repository(new_store(backend), SYSTEM_CLOCK) as repo:
        repo.backup(tree(tmp_path))
        before = copied(backend)
        repo.backup(tmp_path, tags=["newer"])
    with Repository(reopened(before), SYSTEM_CLOCK) as repo:
        assert len(repo.snapshots()) == 1
        assert repo.check(read_data=True).valid


def test_what_a_holder_of_the_keys_poisons_is_never_returned_and_found(tmp_path: Path) -> None:
    right, wrong = b"this is right", b"this is wrong"
    forge = Forge(tmp_path / "repo")
    info = forge.pack(Kind.DATA, [raw(wrong, [forge.id_of(Kind.DATA, right)])])
    forge.index(info)
    (tmp_path / "file").write_bytes(right)
    with forge.open() as repo:
        repo.backup(tmp_path / "file")
        assert repo.check().valid, "nothing is missing"
        with pytest.raises(holdfast.DamagedRepository):
            repo.read_bytes(f"latest:{tmp_path / 'file'}")
        restored = repo.restore("latest", tmp_path / "target")
        assert restored.errors
        assert not [each for each in (tmp_path / "target").rglob("*") if each.is_file()]
        assert not repo.check(read_data=True).valid


def test_an_old_slot_and_its_password_open_as_long_as_the_keys_are_the_same() -> None:
    backend = MemoryBackend()
    with Repository(new_store(backend), SYSTEM_CLOCK) as repo:
        (name,) = (info.name for info in backend.list("keys/"))
        kept = backend.get(name)
        repo.change_password("another")
        with pytest.raises(holdfast.WrongPassword):
            open_store(backend, PASSWORD, SYSTEM_CLOCK, None)
        backend.put(name, kept)
        reopened(backend).close()
        repo.rotate_keys("a third", drop_others=True)
    if name not in {info.name for info in backend.list("keys/")}:
        backend.put(name, kept)
    with pytest.raises(holdfast.RepositoryError):
        reopened(backend)


def test_a_clock_that_is_wrong_misleads_who_asks_for_the_latest(tmp_path: Path) -> None:
    clock = ManualClock()
    with Repository(new_store(clock=clock), clock) as repo:
        clock.advance(1000 * DAY)
        fast = repo.backup(tree(tmp_path)).snapshot
        clock.advance(-999 * DAY)
        right = repo.backup(tmp_path).snapshot
        assert fast is not None
        assert right is not None
        assert repo.snapshot("latest").id == fast.id
        assert {each.id for each in repo.snapshots()} == {fast.id, right.id}


def test_a_clock_that_is_fast_when_a_backup_is_made_makes_the_others_old(tmp_path: Path) -> None:
    clock = ManualClock()
    top = tree(tmp_path)
    with Repository(new_store(clock=clock), clock) as repo:
        ids = []
        for days in (1, 1, 1, 3650):
            clock.advance(days * DAY)
            made = repo.backup(top).snapshot
            assert made is not None
            ids.append(made.id)
        clock.advance(1)
        assert set(repo.forget(policy="keep-within:30d", dry_run=True).removed) == set(ids[:3])
        assert repo.forget(policy="keep-last:3", dry_run=True).removed == (ids[0],)


def test_a_clock_that_is_fast_ends_a_protection_that_has_a_date_and_no_other(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    top = tree(tmp_path)
    until = datetime.fromtimestamp(clock.now_ns() / 1e9, UTC) + timedelta(days=30)
    with Repository(new_store(clock=clock), clock) as repo:
        dated, ever = (repo.backup(top, protect=each).snapshot for each in (until, True))
        assert dated is not None
        assert ever is not None
        for snapshot in (dated, ever):
            with pytest.raises(holdfast.HoldfastError, match="protected"):
                repo.forget([snapshot.id], force=True)
        clock.advance(365 * DAY)
        with pytest.raises(holdfast.HoldfastError, match="protected"):
            repo.forget([ever.id], force=True)
        assert repo.forget([dated.id], force=True).removed == (dated.id,)
        assert repo.undelete(dated.id).time == dated.time, "it can be brought back"
