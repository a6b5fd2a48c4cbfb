"""What the index tells of, compared with what is there."""

from __future__ import annotations

from holdfast.backend import MemoryBackend
from holdfast.primitives.ids import PackName
from holdfast.store import Store
from holdfast.testing.repositories import new_store


def names(store: Store, folder: str) -> set[str]:
    return {info.name for info in store.backend.list(folder)}


def forget(store: Store, known: set[str]) -> None:
    """Delete index objects that are not known."""
    for name in names(store, "index/") - known:
        store.backend.delete(name)


def stored(store: Store, content: bytes, *, is_told: bool) -> PackName:
    """A pack of a session that has ended."""
    packs, told = set(store.list_packs().packs), names(store, "index/")
    with store.writer({}) as writer:
        writer.save_data(memoryview(content), ("small", 0))
        writer.flush()
    if not is_told:
        forget(store, told)
    (pack,) = set(store.list_packs().packs) - packs
    return pack


def test_packs_are_told_apart() -> None:
    store = new_store(MemoryBackend())
    told = stored(store, b"told", is_told=True)
    dead = stored(store, b"of a dead session", is_told=False)
    lost = stored(store, b"lost", is_told=True)
    store.backend.delete(store.pack_object(lost))
    before = names(store, "index/")
    with store.writer({}) as writer:
        writer.save_data(memoryview(b"at work"), ("small", 0))
        writer.flush()
        (own,) = store.list_packs().packs.keys() - {told, dead}
        survey = store.survey_index()
        assert survey.told == {told, lost, own}
        assert not survey.at_work
        forget(store, before)
        survey = store.survey_index()
    assert survey.packs.keys() == {told, dead, own}
    assert survey.told == {told, lost}
    assert survey.at_work == {own}
    assert survey.missing == {lost}
    assert survey.unindexed.keys() == {dead}
