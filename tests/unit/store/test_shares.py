"""What each blob takes of what is stored."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.backend import MemoryBackend
from holdfast.primitives.ids import PackName
from holdfast.store import Shares, stored_objects
from holdfast.store.pack import share
from holdfast.testing.repositories import attached, new_store


@given(st.integers(0, 1 << 27), st.lists(st.integers(1, 1 << 21), min_size=1, max_size=50))
def test_the_shares_of_a_segment_add_up_to_it(stored: int, lengths: list[int]) -> None:
    starts = [0, *(sum(lengths[: number + 1]) for number in range(len(lengths)))]
    raw = starts[-1]
    shares = [share(stored, raw, start, end - start) for start, end in pairwise(starts)]
    assert sum(shares) == stored
    for size, length in zip(shares, lengths, strict=True):
        assert abs(size - stored * length / raw) < 1


def test_what_makes_no_sense_takes_no_more_than_there_is() -> None:
    assert share(100, 0, 0, 10) == 0
    assert share(100, 10, 5, 1 << 31) == 50
    assert share(100, 10, 1 << 31, 5) == 0


def test_every_object_is_counted_once_by_what_it_is() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    with store.writer({"kind": "test"}) as writer:
        writer.save_tree(b"some data")
        writer.flush()
        backend.put("data/stray", b"123")
        found = stored_objects(backend)
        listed = {info.name: info.size for info in backend.list("")}
        assert found.total == sum(listed.values())
        assert found.packs == store.list_packs().packs
        assert found.others["data"] == 3
        assert found.others["config"] == listed["config/0"]


def test_a_blob_counts_where_it_is_not_condemned() -> None:
    """Two packs with the same blob; then one is condemned, then unknown, then both."""
    backend = MemoryBackend()
    store = new_store(backend)
    about = {"kind": "test"}
    with (
        store.writer(about) as one,
        attached(store, backend).writer(about) as two,  # neither knows what the other stores
    ):
        blob, again = (writer.save_tree(b"the same" * 100) for writer in (one, two))
        assert blob == again
        one.save_tree(b"one" * 100)
        two.save_tree(b"two" * 200)
        one.flush()
        two.flush()
    packs = store.list_packs().packs
    table = store.catalog.refresh()
    first, second = (table.pack(at.pack).name for at in table.locate(blob))
    row = Shares(table, packs, ()).row(blob)
    every: list[tuple[PackName, ...]] = [(), (first,), (second,), (first, second)]
    for condemned in every:
        shares = Shares(table, packs, condemned)
        assert shares.is_stored(row)
        rest = shares.rest(lambda each: each == row)
        assert sum(packs.values()) == shares.stored[row] + sum(rest)
        assert bool(rest.condemned) == bool(condemned)
        assert bool(rest.duplicates) == (not condemned)
    shares = Shares(table, {first: packs[first], second: packs[second] + 1}, ())
    assert shares.rest(lambda _: False).unknown == packs[second] + 1
    nothing = Shares(table, {}, ())
    assert not nothing.is_stored(row)
    assert sum(nothing.stored) == sum(nothing.rest(lambda _: True)) == 0
    assert shares.row(b"x" * 32) == -1
