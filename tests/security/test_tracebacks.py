"""Who reports errors with the variables of every function in the traceback reports no secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.security.secrets import (
    MARKS,
    NEW_PASSWORD,
    OTHER_PASSWORD,
    PASSWORD,
    STORE_SECRET,
    RememberedKeys,
    Secrets,
)

import holdfast
from holdfast.backend import Backend, Fail, Faulty, LocalBackend, MemoryBackend, since
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.engine.shielding import shielded
from holdfast.store import Settings, create_store
from holdfast.testing.repositories import QUICK_KDF, SMALL_CHUNKS

pytestmark = pytest.mark.usefixtures("cheap_passwords")

SETTINGS = Settings(SMALL_CHUNKS, 1 << 20, 3)


@dataclass
class Place:
    """A repository, its files, and its secrets."""

    folder: Path
    recovery: str
    secrets: Secrets
    keys: RememberedKeys

    @property
    def backend(self) -> LocalBackend:
        return LocalBackend(self.folder / "repo")

    def open(self, password: str = PASSWORD) -> Repository:
        options = {"secret": STORE_SECRET}
        return holdfast.open(
            self.folder / "repo", password=password, cache=False, storage_options=options
        )

    def shown_by(self, error: BaseException) -> set[str]:
        """The secrets that a report of an error would show."""
        for key in self.keys.keys:
            self.secrets.add(key, "a derived key")
        return self.secrets.found_in_variables(error)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    keys = RememberedKeys(monkeypatch)
    backend = LocalBackend(tmp_path / "repo")
    create_store(backend, PASSWORD, SETTINGS, QUICK_KDF, SYSTEM_CLOCK, None).close()
    (tmp_path / "file").write_bytes(bytes(range(256)) * 40)
    with holdfast.open(tmp_path / "repo", password=PASSWORD, cache=False) as repo:
        repo.backup(tmp_path / "file")
        recovery = repo.recovery_key()
    secrets = Secrets()
    secrets.add_recovery(recovery)
    return Place(tmp_path, recovery, secrets, keys)


def raised_by(work: Callable[[], object]) -> BaseException:
    """What it raises."""
    with pytest.raises(holdfast.HoldfastError) as caught:
        work()
    return caught.value


def mistyped(text: str) -> str:
    """A recovery key with one letter that is another."""
    line = next(line for line in text.splitlines() if line.startswith(" 3"))
    letter = "A" if line[5] != "A" else "B"
    return text.replace(line, line[:5] + letter + line[6:])


def test_what_is_given_to_open_a_repository(place: Place) -> None:
    location, other = place.folder / "repo", place.folder / "none"
    (place.folder / "odd").write_bytes(PASSWORD.encode())
    open_ = partial(holdfast.open, location, cache=False)
    works = [
        partial(place.open, OTHER_PASSWORD),
        partial(place.open, PASSWORD + "\ud800"),
        partial(open_, password=PASSWORD, password_file=place.folder / "odd"),
        partial(open_, password=PASSWORD, recovery_key=place.recovery),
        partial(open_, recovery_key=mistyped(place.recovery)),
        partial(open_, recovery_key=place.recovery.replace(" 4 ", " 5 ")),
        partial(open_, recovery_key="\n".join(place.recovery.splitlines()[:-2])),
        partial(
            open_, password=PASSWORD, storage_options={"secret": STORE_SECRET}, limit_upload="x"
        ),
        partial(holdfast.open, other, password=PASSWORD),
        partial(holdfast.open, other, recovery_key=place.recovery),
        partial(holdfast.init, location, password=PASSWORD),
        partial(holdfast.init, other, password=PASSWORD, kdf="none"),
    ]
    assert [(work, found) for work in works if (found := place.shown_by(raised_by(work)))] == []


def test_what_key_management_is_given(place: Place) -> None:
    with place.open() as repo:
        add, rotate = partial(repo.add_key, NEW_PASSWORD), partial(repo.rotate_keys, NEW_PASSWORD)
        works: list[Callable[[], object]] = [
            partial(add, kdf="none"),
            partial(add, label="x" * 2000),
            partial(add, password_file=place.folder / "none"),
            partial(repo.change_password, NEW_PASSWORD, kdf="none"),
            partial(repo.restore_access, NEW_PASSWORD, kdf="none"),
            partial(rotate, others=[OTHER_PASSWORD], kdf="none"),
            partial(rotate, others=[OTHER_PASSWORD], expire_after=-1.0),
            partial(repo.serve, port=-1, password=OTHER_PASSWORD),
        ]
        found = [(work, found) for work in works if (found := place.shown_by(raised_by(work)))]
    assert found == []


def opened(backend: Backend, patch: pytest.MonkeyPatch) -> Callable[[], Repository]:
    """Opens the repository at a backend by the library's front door."""
    patch.setattr("holdfast.engine.connect.open_backend", lambda *_: backend)
    return partial(holdfast.open, "anywhere", password=PASSWORD, cache=False)


VERBS: dict[str, Callable[[Repository, Path], object]] = {
    "add_key": lambda repo, _: repo.add_key(NEW_PASSWORD),
    "change_password": lambda repo, _: repo.change_password(NEW_PASSWORD),
    "rotate_keys": lambda repo, _: repo.rotate_keys(NEW_PASSWORD),
    "recovery_key": lambda repo, _: repo.recovery_key(),
    "snapshots": lambda repo, _: repo.snapshots(),
    "backup": lambda repo, folder: repo.backup(folder / "file", force=True),
    "restore": lambda repo, folder: repo.restore("latest", folder / "target"),
    "check": lambda repo, _: repo.check(read_data=True),
    "stats": lambda repo, _: repo.stats(),
    "prune": lambda repo, _: repo.prune(),
    "forget": lambda repo, _: repo.forget(policy=holdfast.RetentionPolicy(keep_last=1)),
    "repair_index": lambda repo, _: repo.repair_index(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_whatever_operation_of_the_storage_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def no_fault() -> Faulty:
        return Faulty(copied(place.backend), Fail(since(1 << 30), holdfast.BackendError))

    counted = no_fault()
    with opened(counted, monkeypatch)() as repo:
        VERBS[verb](repo, place.folder)
    count = len(counted.calls)
    assert count > 3
    failed = 0
    found = []
    for number in sorted({*range(1, count + 1, max(1, count // 12)), count}):
        backend = Faulty(copied(place.backend), Fail(since(number), holdfast.BackendError))
        try:
            with opened(backend, monkeypatch)() as repo:
                VERBS[verb](repo, place.folder)
        except holdfast.HoldfastError as error:
            failed += 1
            found += [(number, what) for what in place.shown_by(error)]
    assert failed > 2
    assert found == []


def copied(backend: Backend) -> MemoryBackend:
    copy = MemoryBackend()
    for info in backend.list(""):
        copy.put(info.name, backend.get(info.name))
    return copy


@pytest.mark.parametrize("verb", ["snapshots", "backup", "restore", "check", "recovery_key"])
def test_whatever_object_is_damaged(
    place: Place, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    names = [info.name for info in place.backend.list("")]
    kinds = {name.partition("/")[0] for name in names}
    assert kinds >= {"config", "keys", "index", "data", "snapshots"}
    found = []
    failed = 0
    for name in names:
        backend = copied(place.backend)
        data = bytearray(backend.get(name))
        data[len(data) // 2] ^= 1
        backend.delete(name)
        backend.put(name, bytes(data))
        try:
            with opened(backend, monkeypatch)() as repo:
                VERBS[verb](repo, place.folder)
        except holdfast.HoldfastError as error:
            failed += 1
            found += [(name, what) for what in place.shown_by(error)]
    assert failed > 1
    assert found == []


def test_the_causes_of_an_error_have_forgotten_too_and_what_a_caller_handles_has_not() -> None:
    secrets = Secrets()
    mark = next(iter(MARKS.values()))

    def inner(secret: str) -> None:
        local = secret + "!"
        raise ValueError(len(local))

    @shielded
    def outer(secret: str) -> None:
        try:
            inner(secret)
        except ValueError as error:
            raise KeyError(1) from error

    handling: list[ValueError] = []

    def caller() -> None:
        try:
            inner("what the caller handles")
        except ValueError as handled:
            handling.append(handled)
            outer(mark)

    with pytest.raises(KeyError) as caught:
        caller()
    frames = [*frames_of(caught.value), *frames_of(caught.value.__cause__)]
    ours = [shown for name, shown in frames if name in {"outer", "inner", "shielding"}]
    assert len(ours) == 4
    assert secrets.found_in("".join(ours)) == set()
    assert "what the caller handles!" in "".join(shown for _, shown in frames_of(handling[0]))


def frames_of(error: BaseException | None) -> Iterator[tuple[str, str]]:
    where = None if error is None else error.__traceback__
    while where is not None:
        yield where.tb_frame.f_code.co_name, repr(where.tb_frame.f_locals)
        where = where.tb_next
