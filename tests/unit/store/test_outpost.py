"""Outposts: what they store is the session's once it is adopted; nothing rests on them before."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest

from holdfast.backend import Backend, LocalBackend, MemoryBackend
from holdfast.errors import BackendError, DamagedRepository, UsageError
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store import Order, Outpost, Store, Writer, outpost
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.filler import OPEN_GROUPS
from holdfast.store.pack import object_name
from holdfast.testing.repositories import new_store, reopened

SMALL = ("small", 0)


def content(number: int, size: int = 1000) -> bytes:
    return random.Random(number).randbytes(size)  # noqa: S311 - the same in every run


def save(saver: Writer | Outpost, *blobs: bytes) -> list[BlobId]:
    return [saver.save_data(memoryview(blob), SMALL) for blob in blobs]


def committed(writer: Writer) -> None:
    writer.flush()
    assert writer.confirm()
    writer.commit(b"a snapshot")


def backed_up(store: Store, *blobs: bytes) -> list[BlobId]:
    with store.writer({}) as writer:
        found = save(writer, *blobs)
        committed(writer)
    return found


def loaded(backend: Backend, blobs: list[BlobId]) -> list[bytes]:
    with reopened(backend).loader() as loader:
        return [loader.load(blob) for blob in blobs]


def packs(backend: Backend) -> set[str]:
    return {info.name for info in backend.list("data/")}


def condemn(backend: Backend, store: Store, *names: str) -> str:
    name = "gc/" + "0" * 32
    record = codec.pack({"packs": [each.rpartition("/")[2] for each in names]})
    backend.put(name, seal_object(ObjectType.CONDEMNED, store.keys, name, record))
    return name


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    backend = LocalBackend(tmp_path / "repository")
    new_store(backend)
    return backend


def test_what_an_outpost_stores_is_the_sessions(backend: LocalBackend) -> None:
    contents = [content(number, 10 + number * 3000) for number in range(30)]
    with reopened(backend).writer({}) as writer:
        with Outpost(pickle.loads(pickle.dumps(writer.order()))) as post:  # noqa: S301 - our own
            blobs = save(post, *contents)
            blobs.append(post.save_tree(b"a list"))
            assert save(post, *contents) == blobs[:-1]
            deposit = post.finish()
        assert {object_name(info.name) for info in deposit.packs} == packs(backend)
        assert not writer.has(blobs[:1])
        assert writer.adopt(pickle.loads(pickle.dumps(deposit)))  # noqa: S301
        assert writer.has(blobs)
        assert save(writer, *contents) == blobs[:-1]
        assert writer.save_tree(b"a list") == blobs[-1]
        assert writer.blobs == len(blobs)
        assert writer.added == sum(map(len, contents)) + len(b"a list")
        committed(writer)
        assert writer.packed == sum(info.size for info in deposit.packs)
    assert {object_name(info.name) for info in deposit.packs} == packs(backend)
    assert loaded(backend, blobs) == [*contents, b"a list"]


def test_what_is_stored_is_not_stored_again(backend: LocalBackend) -> None:
    contents = [content(number) for number in range(20)]
    blobs = backed_up(reopened(backend), *contents)
    before = packs(backend)
    with reopened(backend).writer({}) as writer, Outpost(writer.order()) as post:
        assert save(post, *contents) == blobs
        deposit = post.finish()
        assert deposit.packs == ()
        assert {object_name(name) for name in deposit.used} == before
        assert writer.adopt(deposit)
        # What an outpost was built upon is confirmed as if it were the writer's.
        (pack,) = before
        backend.delete(pack)
        writer.flush()
        assert not writer.confirm()
        assert not writer.has(blobs)


def test_what_is_not_adopted_counts_for_nothing(backend: LocalBackend) -> None:
    with reopened(backend).writer({}) as writer:
        with Outpost(writer.order()) as post:
            blobs = save(post, content(1))
            post.finish()
        assert not writer.has(blobs)
        orphans = packs(backend)
        assert save(writer, content(1)) == blobs
        committed(writer)
    assert len(packs(backend) - orphans) == 1
    for name in orphans:
        backend.delete(name)
    assert loaded(backend, blobs) == [content(1)]


def test_a_blob_that_two_outposts_stored_counts_once(backend: LocalBackend) -> None:
    with reopened(backend).writer({}) as writer:
        order = writer.order()
        with Outpost(order) as one, Outpost(order) as two:
            assert save(one, content(1), content(2)) == save(two, content(1), content(2))
            deposits = one.finish(), two.finish()
        assert all(map(writer.adopt, deposits))
        assert (writer.blobs, writer.added) == (2, 2000)
        committed(writer)
    assert len(packs(backend)) == 2


def test_an_adopted_pack_that_vanishes_fails_the_session(backend: LocalBackend) -> None:
    with reopened(backend).writer({}) as writer:
        with Outpost(writer.order()) as post:
            save(post, content(1))
            deposit = post.finish()
        assert writer.adopt(deposit)
        writer.flush()
        backend.delete(object_name(deposit.packs[0].name))
        with pytest.raises(DamagedRepository, match="vanished"):
            writer.confirm()


def test_nothing_is_built_upon_what_is_condemned(backend: LocalBackend) -> None:
    blobs = backed_up(store := reopened(backend), content(1))
    (pack,) = packs(backend)
    condemn(backend, store, pack)
    with reopened(backend).writer({}) as writer:
        with Outpost(writer.order()) as post:
            assert save(post, content(1)) == blobs
            deposit = post.finish()
        assert deposit.used == frozenset()
        assert writer.adopt(deposit)
        committed(writer)
    backend.delete(pack)
    assert loaded(backend, blobs) == [content(1)]


def test_an_adopted_pack_that_is_condemned_is_stored_anew(backend: LocalBackend) -> None:
    """By the writer, and by outposts whose order is made after that."""
    store = reopened(backend)
    with store.writer({}) as writer:
        with Outpost(writer.order()) as post:
            blobs = save(post, content(1))
            first = post.finish()
        assert writer.adopt(first)
        writer.flush()
        condemn(backend, store, object_name(first.packs[0].name))
        assert not writer.confirm()
        assert not writer.has(blobs)
        with Outpost(writer.order()) as post:
            save(post, content(1))
            second = post.finish()
        assert second.used == frozenset()
        assert writer.adopt(second)
        assert writer.has(blobs)
        committed(writer)
    backend.delete(object_name(first.packs[0].name))
    assert loaded(backend, blobs) == [content(1)]


def test_an_outpost_that_built_upon_what_was_condemned_since_is_refused(
    backend: LocalBackend,
) -> None:
    store = reopened(backend)
    with store.writer({}) as writer:
        with Outpost(writer.order()) as post:
            blobs = save(post, content(1))
            first = post.finish()
        assert writer.adopt(first)
        writer.flush()
        stale = writer.order()
        condemn(backend, store, object_name(first.packs[0].name))
        assert not writer.confirm()
        with Outpost(stale) as post:
            save(post, content(1), content(2))
            late = post.finish()
        assert {info.name for info in first.packs} == late.used
        assert not writer.adopt(late)
        assert not writer.has(blobs)
        assert writer.save_data(memoryview(content(2)), SMALL)
        assert writer.blobs == 2  # what it has stored is taken over


def test_an_outpost_knows_what_came_to_the_index_since(backend: LocalBackend) -> None:
    """What other outposts have stored, and other sessions, of which the writer does not know."""
    with reopened(backend).writer({}) as writer:
        with Outpost(writer.order()) as post:
            blobs = save(post, content(1))
            assert writer.adopt(post.finish())
        writer.flush()
        others = backed_up(reopened(backend), content(2))
        with Outpost(writer.order()) as post:
            assert save(post, content(1), content(2)) == blobs + others
            deposit = post.finish()
        assert (len(deposit.packs), len(deposit.used)) == (0, 2)
        assert writer.adopt(deposit)
        assert writer.has(blobs + others)
        (pack,) = (object_name(name) for name in deposit.used if name[65:] != writer.id[:8])
        writer.flush()
        backend.delete(pack)
        assert not writer.confirm()
        assert not writer.has(others)


def test_a_pack_that_nobody_knows_is_not_built_upon(backend: LocalBackend) -> None:
    with reopened(backend).writer({}) as other, reopened(backend).writer({}) as writer:
        with Outpost(other.order()) as post:
            save(post, content(1))
            stranger = post.finish()
        deposit = outpost.Deposit((), frozenset(info.name for info in stranger.packs))
        assert not writer.adopt(deposit)


def test_packs_that_the_writer_avoids_are_refused(backend: LocalBackend) -> None:
    """Condemned before it began, or removed as it learns later, and unknown to the outpost."""
    stores = [reopened(backend) for _ in range(2)]
    blobs = [*backed_up(stores[0], content(1)), *backed_up(stores[1], content(2))]
    with reopened(backend).loader() as loader:
        names = [PackName(loader.plan([blob]).packs[0][1]) for blob in blobs]
    condemn(backend, stores[0], names[0])
    with reopened(backend).writer({}) as writer:
        assert writer.order().avoid == {names[0]}
        assert not writer.adopt(outpost.Deposit((), frozenset(names)))
        assert not writer.adopt(outpost.Deposit((), frozenset(names[:1])))
        assert writer.adopt(outpost.Deposit((), frozenset(names[1:])))
        writer._table.remove(names[1:])
        assert not writer.adopt(outpost.Deposit((), frozenset(names[1:])))


def test_adopted_packs_are_in_the_index_when_the_session_fails(backend: LocalBackend) -> None:
    def fail(order_of: Writer) -> None:
        with Outpost(order_of.order()) as post:
            save(post, content(1))
            assert order_of.adopt(post.finish())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), reopened(backend).writer({}) as writer:
        fail(writer)
    before = packs(backend)
    backed_up(reopened(backend), content(1))
    assert packs(backend) == before


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> outpost._Known:
    """What this process knows of indexes: nothing of those of other tests."""
    found = outpost._Known()
    monkeypatch.setattr(outpost, "_KNOWN", found)
    return found


def test_the_index_is_kept_as_long_as_the_session(
    backend: LocalBackend, known: outpost._Known
) -> None:
    backed_up(reopened(backend), content(1))
    with reopened(backend).writer({}) as writer:
        order = writer.order()
        for _ in range(2):
            with Outpost(order):
                pass
        assert list(known._catalogs) == [order.session]
    assert not known._catalogs


def test_only_the_indexes_of_a_few_sessions_are_kept(
    backend: LocalBackend, known: outpost._Known
) -> None:
    orders: list[Order] = []
    writers = [reopened(backend).writer({}) for _ in range(3)]
    for writer in writers:
        orders.append(writer.order())
        with Outpost(orders[-1]):
            pass
    assert list(known._catalogs) == [order.session for order in orders[1:]]
    for writer in writers:
        writer.__exit__(None)


def test_many_groups(backend: LocalBackend) -> None:
    contents = [b"%d" % number for number in range(5 * OPEN_GROUPS)]
    with reopened(backend).writer({}) as writer:
        with Outpost(writer.order()) as post:
            blobs = [
                post.save_data(memoryview(each), ("small", uid))
                for uid, each in enumerate(contents)
            ]
            assert writer.adopt(post.finish())
        committed(writer)
    assert loaded(backend, blobs) == contents


def test_a_storage_of_this_process_alone_has_no_outposts() -> None:
    backend = MemoryBackend()
    with new_store(backend).writer({}) as writer, pytest.raises(UsageError, match="executor"):
        writer.order()


def test_a_storage_that_fails_fails_the_outpost(backend: LocalBackend) -> None:
    with reopened(backend).writer({}) as writer, Outpost(writer.order()) as post:
        save(post, content(1))
        (backend.path / "data").write_bytes(b"no folder")
        with pytest.raises(BackendError):
            post.finish()
