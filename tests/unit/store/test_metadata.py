"""Copies of metadata: found again, never believed, bounded, and no loss when they are gone."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.backend import MemoryBackend
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.model.snapshot import Snapshot, encode_snapshot
from holdfast.primitives import codec
from holdfast.primitives.ids import ID_SIZE, BlobId, SnapshotId
from holdfast.store import CacheFolder, Store, create_store, open_store
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.metadata import NO_METADATA, MetadataCache
from holdfast.testing.far import Far
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, SETTINGS, ManualClock, new_store

KIB = 1 << 10
NAME = "snapshots/" + "a" * 32
GROUP = ("small", 0)


def good(_: str, data: bytes) -> bytes:
    """Decodes what begins so."""
    if not data.startswith(b"good"):
        raise DamagedRepository(NAME, "damaged")
    return data


def used(folder: Path) -> int:
    """What the files take on a disk of blocks of 4 KiB."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.iterdir())


class Kept:
    """A cache, and a far storage with one object."""

    def __init__(self, folder: Path, limit: int = 1 << 20) -> None:
        self.folder = folder
        self.cache = MetadataCache(folder, limit)
        self.far = Far(MemoryBackend())
        self.far.put(NAME, b"good object")
        self.far.calls.clear()

    def read(self, size: int = 11) -> bytes:
        return self.cache.read_object(self.far, NAME, good, size)

    def requests(self) -> int:
        count = len(self.far.calls)
        self.far.calls.clear()
        return count

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())


def test_an_object_is_fetched_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a" / "b")
    assert [kept.read() for _ in range(3)] == [b"good object"] * 3
    assert kept.requests() == 1
    (file,) = kept.files()
    assert file.read_bytes() == b"good object"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.folder.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"bad object!", b"good but longer", b"good"])
def test_a_bad_copy_is_replaced_by_what_is_stored(tmp_path: Path, content: bytes) -> None:
    kept = Kept(tmp_path / "cache")
    kept.read()
    (file,) = kept.files()
    file.write_bytes(content)
    assert kept.read() == b"good object"
    assert kept.requests() == 2
    assert kept.read() == b"good object"
    assert kept.requests() == 0
    assert kept.files() == [file]


def test_a_copy_of_another_size_than_the_storage_tells_is_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache")
    kept.read()
    kept.far.put(NAME, b"good, but another")
    kept.requests()
    assert kept.read(17) == b"good, but another"
    assert kept.requests() == 1


def test_what_is_damaged_in_the_storage_is_not_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache")
    kept.far.put(NAME, b"bad object!")
    with pytest.raises(DamagedRepository):
        kept.read()
    assert not kept.folder.exists()


def test_an_object_that_is_neither_here_nor_there_is_missing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache")
    kept.far.delete(NAME)
    with pytest.raises(ObjectNotFound):
        kept.read()


def test_parts_of_an_object_are_kept_one_by_one(tmp_path: Path) -> None:
    cache = MetadataCache(tmp_path / "cache", 1 << 20)
    cache.put("data/x", 100, b"part")
    assert cache.read_part("data/x", 100, memoryview(bytearray(4)), bytes) == b"part"
    assert cache.read_part("data/x", 100, memoryview(bytearray(5)), bytes) is None
    assert cache.read_part("data/x", 0, memoryview(bytearray(4)), bytes) is None
    assert cache.read_part("data/y", 100, memoryview(bytearray(4)), bytes) is None

    def refuse(_: memoryview) -> None:
        raise DamagedRepository("data/x", "damaged")

    assert cache.read_part("data/x", 100, memoryview(bytearray(4)), refuse) is None
    assert list((tmp_path / "cache").iterdir()) == []


# The bound


def test_there_is_never_more_than_the_limit(tmp_path: Path) -> None:
    limit = 512 * KIB
    cache = MetadataCache(tmp_path / "cache", limit)
    for number in range(200):
        cache.put("data/x", number, bytes(1 + number * 700 % (40 * KIB)))
        assert used(tmp_path / "cache") <= limit
    assert used(tmp_path / "cache") > limit // 2


def test_small_objects_count_with_the_room_that_they_take(tmp_path: Path) -> None:
    cache = MetadataCache(tmp_path / "cache", 512 * KIB)
    for number in range(300):
        cache.put("data/x", number, b"x")
    assert len(list((tmp_path / "cache").iterdir())) <= 128


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = MetadataCache(folder, 512 * KIB)
    for number in range(64):
        cache.put("data/x", number, bytes(4096))
    for number, path in enumerate(sorted(folder.iterdir(), key=lambda p: int(p.name[33:]))):
        os.utime(path, (number, number))
    for number in range(8):
        assert cache.read_part("data/x", number, memoryview(bytearray(4096)), len) == 4096
    for number in range(64, 140):
        cache.put("data/x", number, bytes(4096))
    left = {int(path.name[33:]) for path in folder.iterdir()}
    assert left >= set(range(8)) | set(range(64, 140))
    assert 8 not in left


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    cache = MetadataCache(tmp_path / "cache", 512 * KIB)
    cache.put("data/x", 0, bytes(64 * KIB + 1))
    assert not (tmp_path / "cache").exists()


def test_a_limit_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache", 0)
    assert [kept.read(), kept.read()] == [b"good object"] * 2
    assert kept.requests() == 2
    assert not kept.folder.exists()


def test_what_killed_writers_left_is_cleared_away_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "tmpabcd").write_bytes(bytes(512 * KIB))
    os.utime(folder / "tmpabcd", (1, 1))
    MetadataCache(folder, 512 * KIB).put("data/x", 0, b"x")
    assert [path.name[32:] for path in folder.iterdir()] == ["-0"]


# What goes wrong


def test_a_folder_that_cannot_be_used_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = Kept(tmp_path / "file" / "cache")
    assert [kept.read() for _ in range(5)] == [b"good object"] * 5
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(kept.folder) in caplog.text
    (tmp_path / "file").unlink()
    kept.read()
    assert not kept.folder.exists(), "it is not tried again and again"


def test_a_copy_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache")
    kept.read()
    (file,) = kept.files()
    file.unlink()
    file.mkdir()
    kept.requests()
    assert [kept.read() for _ in range(3)] == [b"good object"] * 3
    assert kept.requests() == 3


def test_a_cache_may_be_deleted_at_any_time(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a" / "cache")
    for _ in range(3):
        kept.read()
        shutil.rmtree(tmp_path / "a")
    kept.read()
    kept.read()
    assert kept.requests() == 4


def test_threads_and_processes_put_drop_and_delete_at_once(tmp_path: Path) -> None:
    """Each thread has a cache of its own, as a process has."""
    wrong: list[object] = []
    folder = tmp_path / "a" / "cache"

    def work(seed: int) -> None:
        cache = MetadataCache(folder, 256 * KIB)
        for number in range(300):
            place = (number * 7 + seed) % 40
            content = b"%d" % place * 2000
            cache.put("data/x", place, content)
            found = cache.read_part("data/x", place, memoryview(bytearray(len(content))), bytes)
            if found not in {None, content}:
                wrong.append(found)
            if number % 50 == seed:
                shutil.rmtree(tmp_path / "a", ignore_errors=True)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    # A cache whose folder goes away just as it is made gives up; if all have, there is none.
    MetadataCache(folder, 256 * KIB).put("data/x", 0, b"last")
    assert {path.name[32] for path in folder.iterdir()} <= {"-"}, "no half file is left"


# In a store


def far_store(tmp_path: Path, limit: int = 1 << 30) -> tuple[MemoryBackend, Callable[[], Store]]:
    """A far repository with a blob of data and one of a tree, and what opens it."""
    objects = MemoryBackend()
    folder = CacheFolder(tmp_path / "cache", limit)
    create_store(Far(objects), PASSWORD, SETTINGS, QUICK_KDF, ManualClock(), folder)

    def opened() -> Store:
        return open_store(Far(objects), PASSWORD, ManualClock(), folder)

    return objects, opened


def written(store: Store) -> tuple[SnapshotId, BlobId, BlobId]:
    with store.writer({}) as writer:
        data = writer.save_data(memoryview(b"plain data" * 9), GROUP)
        tree = writer.save_tree(b"plain tree" * 9)
        writer.flush()
        assert writer.confirm()
        return writer.commit(b"plain snapshot"), data, tree


def requests(store: Store, verb: str = "") -> list[str]:
    assert isinstance(store.backend, Far)
    asked = store.backend.asked(verb)
    store.backend.calls.clear()
    return asked


def test_what_a_writer_stores_need_not_be_fetched(tmp_path: Path) -> None:
    _, opened = far_store(tmp_path)
    id_, data, tree = written(opened())
    store = opened()
    requests(store)
    with store.loader() as loader:
        assert store.snapshot(id_, store.snapshot_sizes()[id_]) == b"plain snapshot"
        assert loader.load(tree) == b"plain tree" * 9
        assert requests(store, "get") == []
        assert loader.load(data) == b"plain data" * 9
    assert requests(store, "get") == ["get data"]


def test_what_is_fetched_is_kept_but_for_data(tmp_path: Path) -> None:
    _, opened = far_store(tmp_path)
    id_, data, tree = written(opened())
    name = opened().put_label(id_, b"plain label")
    shutil.rmtree(tmp_path / "cache")
    asked = []
    for _ in range(2):
        store = opened()
        requests(store)
        with store.loader() as loader:
            assert store.snapshot(id_) == b"plain snapshot"
            assert store.label(id_, name) == b"plain label"
            loader.load(tree)
            loader.load(data)
        asked.append(", ".join(requests(store)))
    assert asked == [
        (
            "stat snapshots, get snapshots, stat labels, get labels, "
            "list index, get index, list index, get data, get data"
        ),
        "stat snapshots, stat labels, list index, get data",
    ]


def test_the_index_is_kept_in_one_place_only(tmp_path: Path) -> None:
    _, opened = far_store(tmp_path)
    written(opened())
    folder = next((tmp_path / "cache").iterdir())
    before = len(list((folder / "metadata").iterdir()))
    store = opened()
    store.catalog.load()
    assert "get index" not in requests(store)
    assert len(list((folder / "metadata").iterdir())) == before - 1
    assert (folder / "index").exists()


def test_no_plaintext_is_kept(tmp_path: Path) -> None:
    _, opened = far_store(tmp_path)
    store = opened()
    id_, _, tree = written(store)
    store.label(id_, store.put_label(id_, b"plain label"))
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(files) == 4, "snapshot, tree, index and label"
    for path in files:
        content = path.read_bytes()
        assert b"plain" not in content
        assert store.keys.master not in content
        assert store.keys.dedup not in content
        assert bytes(tree) not in content


def test_a_limit_is_kept_in_a_store(tmp_path: Path) -> None:
    _, opened = far_store(tmp_path, 64 * KIB)
    store = opened()
    with store.writer({}) as writer:
        for number in range(100):
            writer.save_tree(os.urandom(3000) + b"%d" % number)
            if number % 10 == 9:
                writer.flush()
    folder = next((tmp_path / "cache").iterdir()) / "metadata"
    assert used(folder) <= 64 * KIB


def test_near_storages_need_no_copies(tmp_path: Path) -> None:
    store = new_store(cache=tmp_path / "cache")
    id_, _, tree = written(store)
    with store.loader() as loader:
        loader.load(tree)
    assert store.snapshot(id_) == b"plain snapshot"
    assert [path.name for path in next((tmp_path / "cache").iterdir()).iterdir()] == ["index"]
    folder = CacheFolder(tmp_path / "cache")
    assert MetadataCache.of(folder, bytes(16), MemoryBackend()) is NO_METADATA
    assert MetadataCache.of(None, bytes(16), Far(MemoryBackend())) is NO_METADATA


def test_afresh_means_from_the_storage(tmp_path: Path) -> None:
    objects, opened = far_store(tmp_path)
    id_, _, tree = written(opened())
    store = opened()
    for name in (f"snapshots/{id_}", *(info.name for info in objects.list("data/"))):
        objects.put(name, bytes(len(objects.get(name))))
    with store.loader() as loader, store.afresh().loader() as fresh:
        assert loader.load(tree) == b"plain tree" * 9
        assert store.snapshot(id_) == b"plain snapshot"
        with pytest.raises(DamagedRepository):
            fresh.load(tree)
        with pytest.raises(DamagedRepository):
            store.afresh().snapshot(id_)


def test_a_snapshot_that_was_deleted_is_gone(tmp_path: Path) -> None:
    objects, opened = far_store(tmp_path)
    id_, _, _ = written(opened())
    name = opened().put_label(id_, b"label")
    store = opened()
    assert store.snapshot(id_)
    assert store.label(id_, name)
    objects.delete(f"snapshots/{id_}")
    objects.delete(store.label_object(id_, name))
    assert store.snapshot(id_) is None
    assert store.label(id_, name) is None
    assert store.snapshot_ids() == []
    # A session that had committed may be declared dead after its snapshot was forgotten.
    marker = seal_object(ObjectType.ABORTED, store.keys, f"snapshots/{id_}", codec.pack({}))
    objects.put(f"snapshots/{id_}", marker)
    assert store.snapshot(id_) is None
    assert store.snapshot(id_, store.snapshot_sizes()[id_]) is None


def test_a_marker_is_shorter_than_any_snapshot() -> None:
    """So the size that a listing tells says which of the two is there."""
    about = {
        "host": "h" * 64,
        "kind": "repair",
        "process": 1 << 40,
        "program": "holdfast 1000.1000.1000.dev1000",
        "user": "u" * 32,
    }
    shortest = Snapshot(id=SnapshotId("a" * 32), tree=BlobId(bytes(ID_SIZE)), time_ns=0, end_ns=0)
    assert len(codec.pack(about)) < len(encode_snapshot(shortest))
