"""Damage: whatever happens to an object, no wrong byte is ever returned, and check names it.

Rows 7 to 14 and 20 of the fault catalogue: every byte of every small object flipped, packs
flipped at random places, every object truncated, extended, removed, or swapped with another of
its kind, of this repository or of another one.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.backend import Backend, Call, Damage, Faulty, MemoryBackend, flipped, halved
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import DamagedRepository, HoldfastError, RepositoryNotFound, WrongPassword
from holdfast.model.entry import Entry
from holdfast.operations.check import CheckReport, FindingKind
from holdfast.primitives.chunker import ChunkerParams
from holdfast.store import Settings, Store
from holdfast.testing.repositories import attached, copied, new_store, reopened

if TYPE_CHECKING:
    from tests.length import Stride

pytestmark = pytest.mark.usefixtures("cheap_passwords", "index_at_the_end")

SETTINGS = Settings(ChunkerParams("pyfastcdc", 256, 1024, 4096), 1 << 20, 3)
KINDS = ("config", "keys", "index", "snapshots", "data")

Contents = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """A repository, how to open it without paying for the password, and what it holds."""

    backend: MemoryBackend
    store: Store
    snapshots: dict[str, Contents]

    def opened(self, backend: Backend) -> Repository:
        """The repository at a backend, with the keys that are known already."""
        return Repository(attached(self.store, backend), SYSTEM_CLOCK)

    def names(self, kind: str) -> list[str]:
        """The objects of a kind."""
        return sorted(info.name for info in self.backend.list(f"{kind}/"))


def read_all(repository: Repository, snapshot: str) -> Contents:
    """The content of every file of a snapshot, read as a stream."""
    found: Contents = {}
    entries: list[Entry] = list(repository.walk(snapshot))
    for entry in entries:
        if entry.type == "file":
            with repository.open_file(snapshot, entry.path) as stream:
                found[entry.path] = stream.read()
    return found


def make(source: Path, seed: int) -> Case:
    numbers = random.Random(seed)  # noqa: S311 - the same in every run
    backend = MemoryBackend()
    store = new_store(backend, settings=SETTINGS)
    repository = Repository(store, SYSTEM_CLOCK)
    snapshots: dict[str, Contents] = {}
    (source / "kept/deep").mkdir(parents=True)
    (source / "kept/file").write_bytes(b"the same in all snapshots")
    (source / "kept/deep/large").write_bytes(numbers.randbytes(12_000))
    (source / "kept/empty").write_bytes(b"")
    (source / "link").symlink_to("kept/file")
    for turn in range(2):
        (source / "changing").write_bytes(b"turn %d of %d" % (turn, seed))
        (source / f"new{turn}").write_bytes(numbers.randbytes(3000))
        result = repository.backup(source)
        assert result.snapshot is not None
        snapshots[result.snapshot.id] = read_all(repository, result.snapshot.id)
    assert all(len(contents) >= 5 for contents in snapshots.values())
    assert repository.check(read_data=True, full=True).findings == ()
    return Case(backend, store, snapshots)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make(tmp_path_factory.mktemp("source") / "data", 1)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make(tmp_path_factory.mktemp("other") / "data", 2)


# What must hold, whatever is damaged


def readable(case: Case, repository: Repository) -> set[str]:
    """The snapshots that can be read whole; whatever is returned of the others is right too."""
    whole = set()
    for snapshot, contents in case.snapshots.items():
        good = 0
        for path, content in contents.items():
            try:
                with repository.open_file(snapshot, path) as stream:
                    assert stream.read() == content
            except HoldfastError:
                continue
            good += 1
        if good == len(contents):
            whole.add(snapshot)
    return whole


def assert_named(report: CheckReport, *objects: str) -> None:
    assert not report.valid
    assert set(objects) <= {finding.object for finding in report.errors}


def unharmed(case: Case, damaged: str) -> set[str]:
    """The snapshots that must be readable although one small object is damaged."""
    if damaged.startswith("snapshots/"):
        return set(case.snapshots) - {damaged.removeprefix("snapshots/")}
    return set()


def assert_contained(case: Case, backend: MemoryBackend, damaged: str) -> None:
    """One small object is damaged: all is right or a typed error, and it is named."""
    repository = case.opened(backend)
    whole = readable(case, repository)
    assert unharmed(case, damaged) <= whole
    if damaged.startswith(("snapshots/", "index/")):
        assert whole != set(case.snapshots)
    assert_named(repository.check(), damaged)


# Flips


def flips(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


@pytest.mark.fault(7)
@pytest.mark.parametrize("kind", ["index", "snapshots"])
def test_every_flipped_byte_of_a_small_object_is_contained_and_named(
    case: Case, kind: str, stride: Stride
) -> None:
    """Sampled, every third byte."""
    for name in case.names(kind):
        backend = copied(case.backend)
        every = list(flips(case.backend.get(name)))
        thoroughly = stride(range(0, len(every), 16), 3)
        for number in stride(range(len(every)), 3):
            backend.put(name, every[number])
            if number in thoroughly:
                assert_contained(case, backend, name)
            else:  # as much as a listing and a check of the snapshots would need
                repository = case.opened(backend)
                found = {snapshot.id for snapshot in repository.snapshots()}
                assert unharmed(case, name) <= found
                if kind == "snapshots":
                    assert name.removeprefix("snapshots/") not in found
                else:
                    repository._store.catalog.load()
                    assert set(repository._store.catalog.problems) == {name}
                damages = list(repository._store.scrub_objects())
                assert [damage.object for damage in damages] == [name]


@pytest.mark.fault(7)
@pytest.mark.parametrize("kind", ["config", "keys"])
def test_every_flipped_byte_of_what_it_takes_to_open_is_a_typed_error(
    case: Case, kind: str
) -> None:
    (name,) = case.names(kind)
    backend = copied(case.backend)
    for data in flips(case.backend.get(name)):
        backend.put(name, data)
        with pytest.raises(DamagedRepository) as caught:
            reopened(backend)
        assert caught.value.object == name
        (damage,) = case.opened(backend)._store.scrub_objects()
        assert damage.object == name


def restored(repository: Repository, snapshot: str, target: Path) -> tuple[Contents, set[str]]:
    """The files that a restore wrote, and the paths that it says it could not."""
    try:
        result = repository.restore(snapshot, target)
    except DamagedRepository:
        return {}, {"/"}
    found = {
        "/" + str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    shutil.rmtree(target)
    return found, {error.path for error in result.errors}


def assert_restores(case: Case, repository: Repository, target: Path) -> None:
    """Every file is restored exactly, or its path or a directory above is among the errors."""
    for snapshot, contents in case.snapshots.items():
        try:
            repository.snapshot(snapshot)
        except HoldfastError:
            continue
        found, errors = restored(repository, snapshot, target)
        for path, content in contents.items():
            if path in found and path not in errors:
                assert found[path] == content
            else:
                above = {path, *(str(parent) for parent in Path(path).parents)}
                assert errors & above, (path, errors)
        assert set(found) <= set(contents)


@pytest.mark.fault(7)
@pytest.mark.parametrize("seed", range(4))
def test_packs_that_are_flipped_anywhere_are_contained_and_named(
    case: Case, tmp_path: Path, seed: int
) -> None:
    numbers = random.Random(seed)  # noqa: S311 - the same in every run
    for name in case.names("data"):
        good = case.backend.get(name)
        for _ in range(4):
            backend = copied(case.backend)
            damaged = bytearray(good)
            for _ in range(numbers.choice([1, 1, 1, 5, 100])):
                damaged[numbers.randrange(len(good))] ^= 1 << numbers.randrange(8)
            backend.put(name, bytes(damaged))
            repository = case.opened(backend)
            readable(case, repository)
            assert_restores(case, repository, tmp_path / "target")
            report = repository.check(read_data=True)
            assert_named(report, name)
            assert {finding.object for finding in report.errors} == {name}


@pytest.mark.fault(7)
def test_every_byte_of_a_packs_ends_is_contained_and_named(case: Case, stride: Stride) -> None:
    """Header, trailer and footer: what a check without reading the data looks at.

    Sampled, every ninth byte.
    """
    for name in case.names("data"):
        good = case.backend.get(name)
        backend = copied(case.backend)
        for place in (
            *stride(range(100), 9),
            *stride(range(len(good) - 40, len(good)), 9),
        ):
            backend.put(name, good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            repository = case.opened(backend)
            assert readable(case, repository) == set(case.snapshots)  # the index has it all
            assert_named(repository.check(full=True), name)


# Truncated, extended, removed


SHAPES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "one byte": lambda data: data[:1],
    "half": lambda data: data[: len(data) // 2],
    "all but one": lambda data: data[:-1],
    "one more": lambda data: data + b"\0",
    "twice": lambda data: data * 2,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.fault(8)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_truncated_or_extended_is_contained_and_named(
    case: Case, tmp_path: Path, kind: str, shape: str
) -> None:
    for name in case.names(kind):
        backend = copied(case.backend)
        backend.put(name, SHAPES[shape](case.backend.get(name)))
        if kind in ("config", "keys"):
            with pytest.raises(DamagedRepository) as caught:
                reopened(backend)
            assert caught.value.object == name
        repository = case.opened(backend)
        whole = readable(case, repository)
        assert unharmed(case, name) <= whole
        assert_restores(case, repository, tmp_path / "target")
        assert_named(repository.check(read_data=True), name)


@pytest.mark.fault(9)
def test_a_missing_pack_is_named_with_what_it_hurts(case: Case, tmp_path: Path) -> None:
    for name in case.names("data"):
        backend = copied(case.backend)
        backend.delete(name)
        repository = case.opened(backend)
        whole = readable(case, repository)
        assert_restores(case, repository, tmp_path / "target")
        report = repository.check()
        (finding,) = report.errors
        assert (finding.object, finding.kind) == (name, FindingKind.MISSING_PACK)
        assert {hurt.snapshot for hurt in finding.hurts} == set(case.snapshots) - whole


@pytest.mark.fault(10)
def test_a_missing_index_object_is_told_by_its_packs(case: Case, tmp_path: Path) -> None:
    for name in case.names("index"):
        backend = copied(case.backend)
        backend.delete(name)
        repository = case.opened(backend)
        whole = readable(case, repository)
        assert whole != set(case.snapshots)
        assert_restores(case, repository, tmp_path / "target")
        report = repository.check()
        assert {finding.kind for finding in report.errors} == {FindingKind.BLOB}
        unindexed = {f.object for f in report.findings if f.kind == FindingKind.UNINDEXED}
        assert unindexed
        assert unindexed <= set(case.names("data"))


@pytest.mark.fault(11)
def test_a_missing_snapshot_is_as_if_it_was_forgotten(case: Case) -> None:
    for name in case.names("snapshots"):
        backend = copied(case.backend)
        backend.delete(name)
        repository = case.opened(backend)
        assert readable(case, repository) == unharmed(case, name)
        assert repository.check(read_data=True).valid


@pytest.mark.fault(14)
def test_without_config_or_key_nothing_opens_and_the_error_says_what_to_do(case: Case) -> None:
    for kind, message in (("config", "copy of it"), ("keys", "copy of it")):
        backend = copied(case.backend)
        (name,) = case.names(kind)
        backend.delete(name)
        with pytest.raises(DamagedRepository, match=message):
            reopened(backend)
        backend.put(name, case.backend.get(name))
        reopened(backend)


# Swapped


@pytest.mark.fault(13)
def test_swapped_objects_of_a_kind_are_contained_and_named(case: Case, tmp_path: Path) -> None:
    for kind in ("index", "snapshots", "data"):
        names = case.names(kind)
        assert len(names) >= 2
        for first in names:
            for second in names:
                if first >= second:
                    continue
                backend = copied(case.backend)
                backend.put(first, case.backend.get(second))
                backend.put(second, case.backend.get(first))
                repository = case.opened(backend)
                assert readable(case, repository) == set() or kind == "data"
                assert_restores(case, repository, tmp_path / "target")
                assert_named(repository.check(read_data=True), first, second)


@pytest.mark.fault(13)
def test_an_object_under_the_name_of_another_kind_is_contained(case: Case) -> None:
    for source in ("index", "snapshots", "config", "keys"):
        for kind in ("index", "snapshots", "data"):
            if source == kind:
                continue
            backend = copied(case.backend)
            name = case.names(kind)[0]
            backend.put(name, case.backend.get(case.names(source)[0]))
            repository = case.opened(backend)
            readable(case, repository)
            assert_named(repository.check(read_data=True), name)


@pytest.mark.fault(13)
def test_objects_of_another_repository_are_never_used(case: Case, other: Case) -> None:
    for kind in ("index", "snapshots", "data"):
        for name in case.names(kind):
            backend = copied(case.backend)
            backend.put(name, other.backend.get(other.names(kind)[0]))
            repository = case.opened(backend)
            assert unharmed(case, name) <= readable(case, repository)
            assert_named(repository.check(read_data=True), name)
    for kind in ("config", "keys"):
        backend = copied(case.backend)
        backend.put(case.names(kind)[0], other.backend.get(other.names(kind)[0]))
        with pytest.raises((DamagedRepository, WrongPassword)):
            reopened(backend)


@pytest.mark.fault(13)
def test_objects_that_another_repository_adds_are_never_used(case: Case, other: Case) -> None:
    """Its snapshots, indexes and packs under their own names: named, and nothing is hurt."""
    for kind in ("index", "snapshots", "data", "keys"):
        backend = copied(case.backend)
        for name in other.names(kind):
            backend.put(name, other.backend.get(name))
        repository = case.opened(backend)
        assert readable(case, repository) == set(case.snapshots)
        report = repository.check(read_data=True)
        named = {finding.object for finding in report.findings}
        assert set(other.names(kind)) <= named
        assert report.valid == (kind in ("data", "keys"))  # what nobody would use harms nothing


@pytest.mark.fault(13)
def test_an_old_snapshot_under_a_new_name_is_never_used(case: Case) -> None:
    backend = copied(case.backend)
    copy = "snapshots/" + "0" * 32
    backend.put(copy, case.backend.get(case.names("snapshots")[0]))
    repository = case.opened(backend)
    assert {snapshot.id for snapshot in repository.snapshots()} == set(case.snapshots)
    assert_named(repository.check(), copy)
    with pytest.raises(DamagedRepository):
        repository.snapshot("latest")  # it might have been the one


# Damage on the way (row 20)


@pytest.mark.fault(20)
@pytest.mark.parametrize("how", [flipped, halved, lambda _: b""])
def test_an_answer_that_is_spoilt_once_is_asked_for_again(
    case: Case, how: Callable[[bytes], bytes]
) -> None:
    """Every read of the repository is spoilt once, in turn."""
    seen: set[tuple[str, int]] = set()

    def first_time(call: Call) -> bool:
        if call.verb != "get" or (call.name, 0) in seen:
            return False
        seen.add((call.name, 0))
        return True

    repository = case.opened(Faulty(case.backend, Damage(first_time, how)))
    assert readable(case, repository) == set(case.snapshots)
    assert len(seen) > 4
    seen.clear()
    repository = case.opened(Faulty(case.backend, Damage(first_time, how)))
    assert repository.check(read_data=True, full=True).valid


@pytest.mark.fault(20)
@pytest.mark.parametrize("how", [flipped, halved, lambda _: b""])
def test_a_storage_that_spoils_everything_gives_errors_only(
    case: Case, how: Callable[[bytes], bytes]
) -> None:
    spoilt = Faulty(case.backend, Damage(lambda call: call.verb == "get", how))
    with pytest.raises(DamagedRepository):
        reopened(spoilt)
    repository = case.opened(spoilt)
    assert readable(case, repository) == set()
    assert repository.snapshots() == []
    report = repository.check(read_data=True)
    named = {finding.object for finding in report.errors}
    assert set(case.names("snapshots")) | set(case.names("index")) <= named


# A backup into a damaged repository (row 9)


@pytest.mark.fault(9, 10)
def test_the_next_backup_stores_again_what_was_lost(tmp_path: Path) -> None:
    source = tmp_path / "data"
    case = make(source, 3)
    expected = case.snapshots[max(case.snapshots, key=lambda s: case.snapshots[s].keys())]
    assert expected
    for kind in ("data", "index"):
        for name in case.names(kind):
            for damage in ("missing", "empty"):
                backend = copied(case.backend)
                if damage == "missing":
                    backend.delete(name)
                else:
                    backend.put(name, b"")
                repository = case.opened(backend)
                result = repository.backup(source)
                assert result.errors == ()
                assert result.snapshot is not None
                found = read_all(case.opened(backend), result.snapshot.id)
                assert found == {
                    f"{source}/{path.relative_to(source)}": path.read_bytes()
                    for path in source.rglob("*")
                    if path.is_file() and not path.is_symlink()
                }


def test_an_empty_storage_is_no_damaged_repository() -> None:
    with pytest.raises(RepositoryNotFound):
        reopened(MemoryBackend())
