"""What the index objects tell of and what is there, compared, and brought together again.

The index is a cache: all of it follows from the packs' trailers (docs/format.md, F29).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.primitives.ids import PackName, random_name
from holdfast.store.consolidate import consolidate
from holdfast.store.index import OBJECT_ROWS, IndexObject, decode_index, encode_index
from holdfast.store.keys import Keys
from holdfast.store.objects import objects, put_current, read_object
from holdfast.store.pack import PackInfo, object_name, parse_header
from holdfast.store.scrub import PackReader, list_packs, read_trailer
from holdfast.store.sessions import list_sessions

_ROUNDS = 5
"""How often the list is read again when index objects vanish between list and get."""


@dataclass(frozen=True, slots=True)
class IndexSurvey:
    """What the index tells of, compared with what is there.

    Attributes:
        packs: those that are stored, with their sizes.
        told: those that readable index objects tell of.
        removed: those that nothing is to be read from any more.
        unreadable: index objects that cannot be read, with what is wrong with each.
        at_work: stored packs of sessions that may still tell the index of them.
        missing: packs that are told of and are not there.
    """

    packs: dict[PackName, int]
    told: frozenset[PackName]
    removed: frozenset[PackName]
    unreadable: dict[str, str]
    at_work: frozenset[PackName]
    missing: frozenset[PackName]

    @property
    def unindexed(self) -> dict[PackName, int]:
        """Stored packs that the index is to be told of, with their sizes."""
        left = self.packs.keys() - self.told - self.removed - self.at_work
        return {name: self.packs[name] for name in sorted(left)}


def survey_index(backend: Backend, keys: Keys) -> IndexSurvey:
    """Compare the index with what is stored.

    Packs are listed before sessions and those before the index, so that packs of a session that
    has ended are in the index; and again after it, so that none of it is new.

    Raises:
        DamagedRepository: the storage does not list what it holds.
        BackendError: the storage fails.
    """
    packs = list_packs(backend).packs
    live = _live(backend, keys)
    told, removed, unreadable = _read_index(backend, keys)
    now = list_packs(backend).packs
    missing = frozenset(told - now.keys() - removed)
    for name in sorted(missing):
        _expect_missing(backend, name)
    at_work = frozenset(name for name in packs if name[-8:] in live and name not in told)
    return IndexSurvey(packs, frozenset(told), frozenset(removed), unreadable, at_work, missing)


def _live(backend: Backend, keys: Keys) -> set[str]:
    """The first digits of the sessions that may still tell the index of their packs."""
    sessions = list_sessions(backend, keys, details=False)
    committed = {info.name for info in objects(backend, "snapshots/")}
    return {
        session.id[:8]
        for session in sessions
        if session.is_announced and f"snapshots/{session.id}" not in committed
    }


def _read_index(
    backend: Backend, keys: Keys
) -> tuple[set[PackName], set[PackName], dict[str, str]]:
    """What readable index objects tell of and have removed, and which are not readable."""
    told: set[PackName] = set()
    removed: set[PackName] = set()
    unreadable: dict[str, str] = {}
    done: set[str] = set()

    def decode(name: str, data: bytes) -> IndexObject:
        return decode_index(name, data, keys)

    for _ in range(_ROUNDS):
        news = [info for info in objects(backend, "index/") if info.name not in done]
        for name, size in news:
            try:
                index = read_object(backend, name, decode, size=size)
            except ObjectNotFound:
                continue  # merged into another object, which the next list shows
            except DamagedRepository as error:
                unreadable[name] = error.problem
            else:
                told.update(row.name for row in index.packs)
                removed.update(index.removed)
            done.add(name)
        if all(info.name in done for info in news):
            break
    return told, removed, unreadable


def _expect_missing(backend: Backend, pack: PackName) -> None:
    """Refuse to believe a listing that lacks what is there: others have lost data that way."""
    where = object_name(pack)
    with contextlib.suppress(ObjectNotFound):
        backend.stat(where)
        raise DamagedRepository(
            where,
            "the storage holds it and does not list it",
            "its listings cannot be relied upon, so nothing was changed",
        )


def read_trailers(
    backend: Backend, keys: Keys, packs: Iterable[tuple[PackName, int]]
) -> Iterator[PackInfo | DamagedRepository]:
    """What packs, given with their sizes, say is in them; the error of one that is damaged.

    Keys of an epoch that is over may be known to others, who could make packs with them that say
    anything: of those every blob is read.
    """
    reader = PackReader(backend, keys)
    for name, size in packs:
        try:
            info = read_trailer(backend, keys, name, size)
            if parse_header(info.header, name).epoch < keys.epoch:
                reader.verify(name)
            yield info
        except ObjectNotFound:
            continue  # a prune has deleted it meanwhile
        except DamagedRepository as error:
            yield error


def put_index(backend: Backend, keys: Keys, packs: Iterable[PackInfo]) -> None:
    """Tell the index of packs, in as many objects as it takes.

    Raises:
        KeysRotated: the settings or keys were changed meanwhile.
    """
    group: list[PackInfo] = []
    for pack in packs:
        if group and sum(len(each.blobs) for each in (*group, pack)) > OBJECT_ROWS:
            _put_group(backend, keys, group)
            group = []
        group.append(pack)
    if group:
        _put_group(backend, keys, group)


def _put_group(backend: Backend, keys: Keys, packs: list[PackInfo]) -> None:
    name = f"index/{random_name()}"
    put_current(backend, name, encode_index(name, packs, keys), keys.config)


def clear_index(
    backend: Backend, keys: Keys, unreadable: Iterable[str], missing: Collection[PackName]
) -> None:
    """Delete index objects that nobody can read, and drop the rows of packs that are missing.

    Args:
        backend: where the repository is.
        keys: of the repository.
        unreadable: names of objects; all that they could have told of is told by others now.
        missing: these packs.
    """
    for name in unreadable:
        with contextlib.suppress(ObjectNotFound):
            backend.delete(name)
    if missing:
        consolidate(backend, keys, gone=missing)
