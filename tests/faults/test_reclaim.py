"""Reclaim beside everything else: at each operation of one, another client does its work whole.

And storages whose listings lie, or that delete nothing. Rows 22, 24 and 26 to 28 of the catalogue
of faults; `tests.simulation` does the same at random and with more than two at work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from holdfast.backend import Backend, Buffer, Faulty, MemoryBackend, NoFault, ObjectInfo
from holdfast.backend.faulty import Call
from holdfast.clock import Clock
from holdfast.engine.repository import Repository
from holdfast.errors import AccessDenied, BackendError, HoldfastError, ObjectNotFound, SessionLost
from holdfast.overrides import override
from holdfast.store import CacheFolder, Store
from holdfast.testing.repositories import ManualClock, copied, new_store

if TYPE_CHECKING:
    from tests.length import Stride

pytestmark = pytest.mark.usefixtures("cheap_passwords")

Contents: TypeAlias = dict[str, bytes]

SAMPLE = 9
"""Of a prune, which takes long, each ninth operation, other ones in each test; at length each."""


class EagerClock(ManualClock):
    """A clock whose owner never waits: the time jumps instead. Other threads wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._owner = threading.current_thread()

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        if threading.current_thread() is not self._owner:
            return event.wait()
        self.advance(seconds)
        return event.is_set()


class Place:
    """A repository of which much is not needed any more, and trees to back up.

    Attributes:
        objects: its storage.
        kept: what its snapshots hold, by id; of one that somebody is about to forget, nothing is
            expected.
    """

    def __init__(self, folder: Path, origin: Place | None = None) -> None:
        self.folder = folder
        self._origin: Store = origin._origin if origin else new_store(clock=ManualClock())
        self.objects: MemoryBackend = copied(origin.objects if origin else self._origin.backend)
        self.kept: dict[str, Contents] = dict(origin.kept) if origin else {}

    def copy(self) -> Place:
        return Place(self.folder, self)

    def open(self, backend: Backend | None = None, clock: Clock | None = None) -> Repository:
        """The repository as a process of its own sees it; with a clock, on a host that stays."""
        origin = self._origin
        config = (origin._config_name, origin._config)
        cache = CacheFolder(self.folder / "cache") if clock else None
        clock = clock or EagerClock()
        store = Store(backend or self.objects, origin.keys, origin.settings, config, clock, cache)
        return Repository(store, clock)

    def tree(self, number: int) -> Path:
        """A tree that has half of its files in common with the next one."""
        tree = self.folder / str(number)
        if not tree.exists():
            tree.mkdir()
            for file in range(number * 3, number * 3 + 6):
                (tree / str(file)).write_bytes(f"content {file} ".encode() * 40)
        return tree

    def back_up(self, number: int, backend: Backend | None = None) -> str:
        tree = self.tree(number)
        snapshot = self.open(backend).backup(tree).snapshot
        assert snapshot is not None
        self.kept[snapshot.id] = {path.name: path.read_bytes() for path in tree.iterdir()}
        return snapshot.id

    def forget(self, id_: str, backend: Backend | None = None) -> None:
        del self.kept[id_]
        self.open(backend).forget(id_, force=True)

    def prune(self, backend: Backend | None = None, *, wait: bool = True) -> None:
        self.open(backend).prune(max_unused="0", wait=wait, expire_after=1.0, force=True)

    def names(self, folder: str) -> set[str]:
        return {info.name for info in self.objects.list(folder)}

    def expect_whole(self) -> None:
        """Every snapshot that there is, and should be, reads back exactly."""
        repo = self.open()
        found = {snapshot.id: snapshot for snapshot in repo.snapshots()}
        assert self.kept.keys() <= found.keys()
        for id_, snapshot in found.items():
            (path,) = snapshot.paths
            read: Contents = {}
            for entry in repo.walk(id_, path):
                with repo.open_file(id_, entry.path) as file:
                    read[Path(entry.path).name] = file.read()
            assert read == {each.name: each.read_bytes() for each in Path(path).iterdir()}
        report = repo.check(read_data=True)
        assert report.valid, report.findings

    def expect_nothing_left(self) -> None:
        """Prunes that find the dead dead leave nothing that no snapshot needs."""
        clock = EagerClock()
        for _ in range(3):
            clock.advance(60.0)
            repo = self.open(clock=clock)
            repo.prune(max_unused="0", wait=True, expire_after=1.0, force=True)
        stats = self.open().prune(max_unused="0", dry_run=True)
        assert (stats.unused, stats.packs_pending) == (0, 0)
        assert self.names("gc/") == set()
        # Of sessions only those stay that have committed and could not clear up.
        committed = {name.replace("snapshots/", "sessions/") for name in self.names("snapshots/")}
        assert self.names("sessions/") <= committed
        self.expect_whole()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Snapshots of trees 0, 2 and 3; that of 1 was forgotten, and some of it is needed still."""
    place = Place(tmp_path)
    ids = [place.back_up(number) for number in range(4)]
    place.forget(ids[1])
    return place


# 26, 27, 28: two clients


class Meanwhile(NoFault):
    """At one operation, somebody else does something, and this client stands still."""

    def __init__(self, number: int, action: Callable[[], object]) -> None:
        self._number = number
        self._action = action

    @override
    def before(self, call: Call, data: Buffer) -> Buffer:
        """See `Plan.before`."""
        if call.number == self._number:
            self._action()
        return data


Work: TypeAlias = Callable[[Place, Backend], object]
Other: TypeAlias = Callable[[Place], object]


def every(numbers: range) -> range:
    """All of them."""
    return numbers


def at_each_operation(
    place: Place, work: Work, other: Other, chosen: Callable[[range], range] = every
) -> Iterator[tuple[Place, HoldfastError | None]]:
    """Do `work` on copies of a place, `other` whole before one of its operations, at each in turn.

    Yields:
        The place afterwards, and what the work failed with.
    """
    counted = Faulty(place.copy().objects, NoFault())
    work(place.copy(), counted)
    assert 10 < len(counted.calls) < 400
    for number in chosen(range(1, len(counted.calls) + 1)):
        here = place.copy()

        def act(here: Place = here) -> None:
            other(here)

        failure = None
        try:
            work(here, Faulty(here.objects, Meanwhile(number, act)))
        except HoldfastError as error:
            failure = error
        yield here, failure


def forget_and_prune(place: Place) -> None:
    """What the newest snapshot has is given up and given back."""
    for id_ in list(place.kept)[-1:]:
        place.forget(id_)
    place.prune()


def prune_twice_without_waiting(place: Place) -> None:
    place.prune(wait=False)
    place.prune(wait=False)


def back_up_what_goes(place: Place) -> None:
    """A backup of what is about to be deleted."""
    place.back_up(1)


def back_up_and_prune(place: Place) -> None:
    place.back_up(1)
    place.prune()


def back_up_forget_and_prune(place: Place) -> None:
    place.back_up(1)
    forget_and_prune(place)
    place.back_up(3)


def restore(place: Place, backend: Backend) -> None:
    """Read the oldest snapshot."""
    id_ = next(iter(place.kept))
    repo = place.open(backend)
    for name, content in place.kept[id_].items():
        with repo.open_file(id_, place.tree(0) / name) as file:
            assert file.read() == content


@pytest.mark.fault(26, 27)
@pytest.mark.parametrize(
    ("other", "first"),
    [
        (Place.prune, 0),
        (prune_twice_without_waiting, 1),
        (forget_and_prune, 0),
        (back_up_and_prune, 1),
    ],
)
def test_a_backup_that_stands_still_while_others_reclaim(
    place: Place, other: Other, first: int, stride: Stride
) -> None:
    """Sampled, every second operation."""
    done = failed = 0
    chosen = partial(stride, step=2, first=first)
    for here, failure in at_each_operation(place, lambda at, on: at.back_up(1, on), other, chosen):
        assert failure is None or isinstance(failure, SessionLost)
        done += failure is None
        failed += failure is not None
        here.expect_whole()
        here.expect_nothing_left()
    assert done
    # Whoever waits for nobody declares nobody dead... but who has been silent for too long.
    assert failed or other is prune_twice_without_waiting


@pytest.mark.fault(26, 28)
@pytest.mark.parametrize(
    ("other", "first"),
    [
        (back_up_what_goes, 0),
        (back_up_and_prune, 2),
        (forget_and_prune, 4),
        (back_up_forget_and_prune, 6),
    ],
)
def test_a_prune_that_stands_still_while_others_work(
    place: Place, other: Other, first: int, stride: Stride
) -> None:
    done = 0
    chosen = partial(stride, step=SAMPLE, first=first)
    for here, failure in at_each_operation(place, Place.prune, other, chosen):
        assert failure is None or isinstance(failure, SessionLost)
        done += failure is None
        here.expect_whole()
        if done % 5 == 0:  # it takes long
            here.expect_nothing_left()
    assert done


@pytest.mark.fault(26)
def test_forgetting_beside_a_prune(place: Place) -> None:
    def forget(at: Place, backend: Backend) -> None:
        at.forget(next(iter(at.kept)), backend)

    for here, failure in at_each_operation(place, forget, Place.prune):
        assert failure is None
        here.expect_whole()
        here.expect_nothing_left()


@pytest.mark.fault(26)
@pytest.mark.parametrize("other", [Place.prune, back_up_and_prune])
def test_reading_beside_a_prune(place: Place, other: Other) -> None:
    for _, failure in at_each_operation(place, restore, other):
        assert failure is None


@pytest.mark.fault(26)
def test_checking_beside_others(place: Place) -> None:
    def check(at: Place, backend: Backend) -> None:
        report = at.open(backend).check(read_data=True)
        assert report.valid, report.findings

    for other in (Place.prune, back_up_what_goes, forget_and_prune):
        for _, failure in at_each_operation(place, check, other):
            assert failure is None


@pytest.mark.fault(28)
def test_a_prune_that_was_suspended_for_days_deletes_nothing_that_is_needed(
    place: Place, stride: Stride
) -> None:
    """Its clock and those of others jump; the ones who waited gave it up for dead."""

    def others(at: Place) -> None:
        for number in (1, 4, 1):
            at.back_up(number)
        at.prune()

    for here, _ in at_each_operation(place, Place.prune, others, partial(stride, step=SAMPLE)):
        here.expect_whole()


# 22: listings that lie

Lie: TypeAlias = Callable[[list[ObjectInfo], str], list[ObjectInfo]]


def first_page(found: list[ObjectInfo], _: str) -> list[ObjectInfo]:
    return sorted(found)[: len(found) // 2]


def nothing(*_: object) -> list[ObjectInfo]:
    return []


def last_is_late(found: list[ObjectInfo], _: str) -> list[ObjectInfo]:
    """What was stored last is not shown yet."""
    return found[:-1]


def vanished(found: list[ObjectInfo], folder: str) -> list[ObjectInfo]:
    """Objects that there are no more."""
    gone = {"data/": f"data/00/{'0' * 64}-00000000", "gc/": f"gc/{'0' * 32}"}
    return [*found, ObjectInfo(gone.get(folder, f"{folder}{'0' * 32}"), 1000)]


def foreign(found: list[ObjectInfo], folder: str) -> list[ObjectInfo]:
    """What other programs and file systems leave."""
    names = ("", ".DS_Store", "lost+found", "00", "00/", f"{'0' * 31}G", "ffff/file", "0.tmp")
    return [*found, *(ObjectInfo(folder + name, 10) for name in names)]


class Lying(MemoryBackend):
    """A storage that lists something else than it holds.

    Attributes:
        listings: the folders that were listed.
        lie: what is listed instead.
        when: says for which folder, and for the how manieth listing, from 1.
    """

    def __init__(self, objects: MemoryBackend, lie: Lie, when: Callable[[str, int], bool]) -> None:
        super().__init__()
        self._objects = objects._objects  # what is stored through either is in both
        self.listings: list[str] = []
        self._lie = lie
        self._when = when

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        self.listings.append(prefix)
        found = list(super().list(prefix))
        is_lie = self._when(prefix, len(self.listings))
        return iter(self._lie(found, prefix) if is_lie else found)


def at_listing(number: int) -> Callable[[str, int], bool]:
    """Only at that one, from 1."""
    return lambda _, count: count == number


FOLDERS = ("data/", "index/", "snapshots/", "sessions/", "gc/", "forgotten/", "config/")
LIES = (first_page, nothing, last_is_late, vanished, foreign)


@pytest.mark.fault(22)
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("folder", FOLDERS)
def test_whatever_is_listed_a_backup_is_whole_or_fails(place: Place, folder: str, lie: Lie) -> None:
    with suppress(HoldfastError):
        place.back_up(1, Lying(place.objects, lie, lambda name, _: name == folder))
    place.expect_whole()


@pytest.mark.fault(22)
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("folder", FOLDERS)
def test_whatever_is_listed_a_prune_loses_nothing(place: Place, folder: str, lie: Lie) -> None:
    lying = Lying(place.objects, lie, lambda name, _: name == folder)
    with suppress(HoldfastError):
        place.open(lying).prune(max_unused="0", wait=True, expire_after=1.0)
    place.expect_whole()


@pytest.mark.fault(22)
@pytest.mark.parametrize("lie", [first_page, nothing, last_is_late])
@pytest.mark.parametrize("folder", ["data/", "snapshots/", "gc/"])
def test_a_prune_refuses_listings_that_lack_something(place: Place, folder: str, lie: Lie) -> None:
    packs = place.names("data/")
    lying = Lying(place.objects, lie, lambda name, _: name == folder)
    with pytest.raises(HoldfastError):
        place.open(lying).prune(max_unused="0", wait=True, expire_after=1.0)
    assert packs <= place.names("data/")


@pytest.mark.fault(22)
@pytest.mark.parametrize("lie", [first_page, nothing, last_is_late])
def test_a_prune_that_is_lied_to_once_loses_nothing(place: Place, lie: Lie, stride: Stride) -> None:
    """At each of its listings in turn; rclone's errors once looked like empty ones."""
    honest = Lying(place.copy().objects, lie, lambda *_: False)
    place.prune(honest)
    assert len(honest.listings) > 10
    for number in stride(range(1, len(honest.listings) + 1), 2, lie is nothing):
        here = place.copy()
        lying = Lying(here.objects, lie, at_listing(number))
        with suppress(HoldfastError):
            here.open(lying).prune(max_unused="0", wait=True, expire_after=1.0)
        here.expect_whole()


@pytest.mark.fault(22)
@pytest.mark.parametrize("folder", ["snapshots/", "data/", "index/", "gc/", "sessions/"])
def test_a_listing_that_fails_is_no_empty_one(place: Place, folder: str) -> None:
    class Failing(MemoryBackend):
        @override
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            if prefix == folder:
                raise BackendError(prefix, "cannot be listed")
            return super().list(prefix)

    failing = Failing()
    failing._objects = place.objects._objects
    with pytest.raises(BackendError):
        place.prune(failing)
    place.expect_whole()


@pytest.mark.fault(22)
def test_what_others_left_is_never_deleted(place: Place) -> None:
    strange = {f"{folder}someone.else" for folder in ("data/", "gc/", "sessions/", "forgotten/")}
    strange |= {
        "data/00/notes.txt",
        "snapshots/README",
        "index/index.swp",
        "labels/x/y",
        "sessions/x",
    }
    for name in strange:
        place.objects.put(name, b"mine")
    place.prune()
    assert all(place.objects.get(name) == b"mine" for name in strange)
    place.expect_whole()


# 24: a client that may not delete


class AppendOnly(MemoryBackend):
    """A storage that deletes nothing for this client."""

    def __init__(self, objects: MemoryBackend) -> None:
        super().__init__()
        self._objects = objects._objects

    @override
    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        with suppress(ObjectNotFound):
            self.stat(name)
        raise AccessDenied(name, "this client may not delete")


@pytest.mark.fault(24)
def test_a_client_that_may_not_delete_backs_up_and_does_not_reclaim(place: Place) -> None:
    append_only = AppendOnly(place.objects)
    place.back_up(1, append_only)
    place.expect_whole()
    before = place.names("")
    with pytest.raises(AccessDenied):
        place.prune(append_only)
    assert all(name.endswith(".waits") for name in place.names("gc/"))  # the probe, if any
    assert place.names("data/") | place.names("snapshots/") <= before
    place.expect_nothing_left()  # the sessions that it could not end among it
    place.expect_whole()
