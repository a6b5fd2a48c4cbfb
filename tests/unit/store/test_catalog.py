"""The index of an open repository follows what others do to the index objects."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.store.index_objects import (
    KEYS,
    many,
    name_of,
    names,
    pack,
    put,
    rows_of,
    told_by,
)

from holdfast.backend import (
    Backend,
    Buffer,
    Call,
    Damage,
    Faulty,
    NoFault,
    flipped,
    nth,
)
from holdfast.overrides import override
from holdfast.store import catalog as module
from holdfast.store.cache import IndexCache
from holdfast.store.catalog import Catalog
from holdfast.store.consolidate import consolidate


def gets(backend: Faulty) -> int:
    return sum(call.verb == "get" for call in backend.calls)


def cached(backend: Backend, folder: Path) -> Catalog:
    return Catalog(backend, KEYS, IndexCache(folder, KEYS))


ALL = rows_of(*(pack(at) for at in range(12)))


def test_only_what_is_new_is_read() -> None:
    backend = Faulty(many(), NoFault())
    catalog = Catalog(backend, KEYS, None)
    catalog.load()
    assert gets(backend) == 12
    catalog.load()
    catalog.refresh()
    assert gets(backend) == 12
    put(backend, 20, [pack(20)])
    assert told_by(catalog.load()) == ALL
    assert told_by(catalog.refresh()) == ALL | rows_of(pack(20))
    assert gets(backend) == 13


def test_a_consolidation_elsewhere_is_followed() -> None:
    backend = many()
    catalog = Catalog(backend, KEYS, None)
    table = catalog.load()
    consolidate(backend, KEYS)
    assert catalog.refresh() is table
    assert told_by(table) == ALL
    assert len(list(table.pack_rows())) == 12
    put(backend, 20, [pack(20)], [name_of(3)])
    consolidate(backend, KEYS)
    assert told_by(catalog.refresh()) == (ALL | rows_of(pack(20))) - rows_of(pack(3))
    assert told_by(Catalog(backend, KEYS, None).load()) == told_by(table)


def test_a_name_that_vanished_is_read_again_when_it_comes_back() -> None:
    backend = many(2)
    catalog = Catalog(backend, KEYS, None)
    catalog.load()
    name = names(backend)[0]
    data = backend.get(name)
    backend.delete(name)
    catalog.refresh()
    backend.put(name, data)
    counted = Faulty(backend, NoFault())
    catalog._backend = counted
    catalog.refresh()
    assert gets(counted) == 1


def test_a_damaged_object_is_a_problem_until_it_is_gone() -> None:
    backend = many()
    name = names(backend)[4]
    data = backend.get(name)
    backend.put(name, flipped(data))
    catalog = Catalog(backend, KEYS, None)
    assert told_by(catalog.load()) == rows_of(*(pack(at) for at in range(12) if at != 4))
    assert catalog.problems.keys() == {name}
    backend.delete(name)
    catalog.refresh()
    assert catalog.problems == {}
    backend.put(name, data)
    assert told_by(catalog.refresh()) == ALL


def test_an_object_that_was_spoilt_on_the_way_is_read_again() -> None:
    catalog = Catalog(Faulty(many(), Damage(nth(3), flipped)), KEYS, None)
    assert told_by(catalog.load()) == ALL
    assert catalog.problems == {}


def test_objects_that_are_merged_while_they_are_listed_are_found() -> None:
    """A listing that is no snapshot may show neither the old objects nor the new."""
    backend = many()

    class Merging(NoFault):
        @override
        def after(self, call: Call, data: bytes) -> bytes:
            if call.number == 1:
                consolidate(backend, KEYS)
            return data

    assert told_by(Catalog(Faulty(backend, Merging()), KEYS, None).load()) == ALL


@pytest.mark.parametrize("number", range(1, 16))
def test_objects_that_are_merged_while_they_are_read_are_found(number: int) -> None:
    backend = many()

    class Merging(NoFault):
        @override
        def before(self, call: Call, data: Buffer) -> Buffer:
            if call.number == number:
                consolidate(backend, KEYS)
            return data

    assert told_by(Catalog(Faulty(backend, Merging()), KEYS, None).load()) == ALL


def test_more_objects_than_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 12)
    assert told_by(Catalog(many(), KEYS, None).load()) == ALL


# With a cache


def test_removed_packs_are_cached(tmp_path: Path) -> None:
    backend = many()
    put(backend, 20, [], [name_of(3), name_of(30)])
    first = cached(backend, tmp_path).load()
    counted = Faulty(backend, NoFault())
    table = cached(counted, tmp_path).load()
    assert gets(counted) == 0
    assert table.removed == first.removed == {name_of(3), name_of(30)}
    assert told_by(table) == told_by(first) == ALL - rows_of(pack(3))
    assert len(table) == len(ALL) - 5
    number = table.pack_number(name_of(3))
    assert number is not None
    assert table.is_removed(number)
    table.add_pack(pack(30))
    assert told_by(table) == ALL - rows_of(pack(3))


def test_packs_that_are_removed_later_are_not_found_in_the_cache(tmp_path: Path) -> None:
    backend = many()
    cached(backend, tmp_path).load()
    put(backend, 20, [], [name_of(3)])
    for _ in range(2):
        assert told_by(cached(backend, tmp_path).load()) == ALL - rows_of(pack(3))
    assert cached(backend, tmp_path).load().known(pack(3).blobs[0].id, ()) == -1


def test_rows_of_vanished_objects_never_get_into_a_cache(tmp_path: Path) -> None:
    """Nobody would ever clear them away again."""
    backend = many()
    catalog = cached(backend, tmp_path)
    catalog.load()
    consolidate(backend, KEYS, gone=[name_of(3)])
    put(backend, 20, [pack(20)])
    catalog.refresh()
    put(backend, 21, [pack(21)])
    catalog.refresh()
    expected = (ALL | rows_of(pack(20), pack(21))) - rows_of(pack(3))
    for reads in (3, 0):
        counted = Faulty(backend, NoFault())
        assert told_by(cached(counted, tmp_path).load()) == expected
        assert gets(counted) == reads


def test_an_interrupted_load_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(many(), KEYS, None)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(catalog.table, "add_objects", interrupted)
        with pytest.raises(KeyboardInterrupt):
            catalog.load()
    assert told_by(catalog.refresh()) == ALL
