"""The local index cache: whatever it holds, results are those without it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.backend import Faulty, LocalBackend, MemoryBackend, NoFault
from holdfast.primitives import codec
from holdfast.primitives.hashing import keyed
from holdfast.store import Store
from holdfast.store.cache import IndexCache
from holdfast.store.keys import Keys
from holdfast.store.table import Table
from holdfast.testing.repositories import copied, new_store, reopened

GROUP = ("small", 0)


def saved(store: Store, *blobs: bytes) -> list[bytes]:
    """Store blobs with a snapshot's worth of ceremony; returns their ids."""
    with store.writer({}) as writer:
        found = [writer.save_data(memoryview(blob), GROUP) for blob in blobs]
        writer.flush()
    return list(found)


def known(store: Store) -> dict[bytes, set[tuple[str, int, int]]]:
    table = store.catalog.refresh()
    found: dict[bytes, set[tuple[str, int, int]]] = {}
    for blob, at in table.rows():
        found.setdefault(blob, set()).add((table.pack(at.pack).name, at.offset, at.length))
    return found


@pytest.fixture
def repository() -> MemoryBackend:
    backend = MemoryBackend()
    store = new_store(backend)
    for number in range(3):
        saved(store, *(b"%d %d" % (number, at) for at in range(50)))
    return backend


def cache_file(folder: Path) -> Path:
    (found,) = folder.glob("*/index")
    return found


def index_reads(backend: MemoryBackend, cache: Path | None) -> tuple[int, Store]:
    """How many index objects it takes to open, and the store."""
    counted = Faulty(backend, NoFault())
    store = reopened(counted, cache=cache)
    store.catalog.load()
    reads = sum(call.verb == "get" and call.name.startswith("index/") for call in counted.calls)
    return reads, store


def test_what_is_cached_is_not_read_again(repository: MemoryBackend, tmp_path: Path) -> None:
    reads, first = index_reads(repository, tmp_path)
    assert reads == 3
    reads, second = index_reads(repository, tmp_path)
    assert reads == 0
    assert known(first) == known(second) == known(reopened(repository))
    saved(new := reopened(repository), b"one more")
    reads, third = index_reads(repository, tmp_path)
    assert reads == 1
    assert known(third) == known(new)
    assert index_reads(repository, tmp_path)[0] == 0


def test_the_cache_is_private(repository: MemoryBackend, tmp_path: Path) -> None:
    index_reads(repository, tmp_path / "cache")
    file = cache_file(tmp_path / "cache")
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == ["index"]


@pytest.mark.fault(31)
def test_any_changed_byte_of_the_cache_is_noticed(
    repository: MemoryBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, store = index_reads(repository, tmp_path)
    expected, file = known(store), cache_file(tmp_path)
    good = file.read_bytes()
    for place in [*range(0, 120, 7), *range(120, len(good), 611), len(good) - 1]:
        caplog.clear()
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        reads, damaged = index_reads(repository, tmp_path)
        assert reads == 3
        assert known(damaged) == expected
        assert "damaged" in caplog.text
        assert len(file.read_bytes()) == len(good)  # made anew
        assert index_reads(repository, tmp_path)[0] == 0


@pytest.mark.parametrize("size", [0, 1, 7, 8, 40, 43, 44, 45, 100, -1, -100])
def test_a_truncated_cache_is_made_anew(
    repository: MemoryBackend, tmp_path: Path, size: int
) -> None:
    _, store = index_reads(repository, tmp_path)
    file = cache_file(tmp_path)
    file.write_bytes(file.read_bytes()[:size])
    reads, again = index_reads(repository, tmp_path)
    assert reads == 3
    assert known(again) == known(store)
    assert index_reads(repository, tmp_path)[0] == 0


@pytest.mark.fault(31)
def test_a_poisoned_cache_is_not_believed(repository: MemoryBackend, tmp_path: Path) -> None:
    """Without a key of the repository nobody can make a backup skip what is not stored."""
    _, store = index_reads(repository, tmp_path)
    poisoner = Keys(store.keys.repository, 0, bytes(32), bytes(32))
    IndexCache(tmp_path, poisoner).save(frozenset(), Table())
    reads, again = index_reads(repository, tmp_path)
    assert reads == 3
    assert known(again) == known(store)
    body = cache_file(tmp_path).read_bytes()[40:]
    cache_file(tmp_path).write_bytes(b"HFCACHE2" + keyed(bytes(32), body) + body)
    assert index_reads(repository, tmp_path)[0] == 3


@pytest.mark.fault(31)
def test_a_cache_of_another_repository_is_not_used(
    repository: MemoryBackend, tmp_path: Path
) -> None:
    other = MemoryBackend()
    saved(stranger := new_store(other), b"elsewhere")
    index_reads(other, tmp_path)
    _, store = index_reads(repository, tmp_path)
    folders = {path.parent.name: path for path in tmp_path.glob("*/index")}
    assert set(folders) == {stranger.keys.repository.hex(), store.keys.repository.hex()}
    ours = folders[store.keys.repository.hex()]
    ours.write_bytes(folders[stranger.keys.repository.hex()].read_bytes())
    reads, again = index_reads(repository, tmp_path)
    assert reads == 3
    assert known(again) == known(store)


def test_a_cache_that_tells_of_what_is_gone_is_made_anew(
    repository: MemoryBackend, tmp_path: Path
) -> None:
    _, store = index_reads(repository, tmp_path)
    before = known(store)
    repository.delete(min(repository.list("index/")).name)
    reads, again = index_reads(repository, tmp_path)
    assert reads == 2
    assert len(known(again)) < len(before)
    assert known(again) == known(reopened(repository))


@pytest.mark.fault(31)
def test_a_cache_that_is_deleted_meanwhile_is_not_missed(
    repository: MemoryBackend, tmp_path: Path
) -> None:
    index_reads(repository, tmp_path)
    reads, store = index_reads(repository, tmp_path)
    assert reads == 0
    before = known(reopened(repository))
    cache_file(tmp_path).unlink()
    cache_file_folder = tmp_path / store.keys.repository.hex()
    cache_file_folder.rmdir()
    assert known(store) == before
    saved(store, b"one more")
    assert known(store) == known(reopened(repository))
    assert index_reads(repository, tmp_path)[0] == 0


def test_a_cache_that_is_replaced_meanwhile_changes_nothing(
    repository: MemoryBackend, tmp_path: Path
) -> None:
    """Two processes share it: one maps the old file, the other renames a new one over it."""
    index_reads(repository, tmp_path)
    _, first = index_reads(repository, tmp_path)
    _, second = index_reads(repository, tmp_path)
    saved(second, *(b"more %d" % number for number in range(1000)))
    second.catalog.refresh()
    before = known(reopened(repository))
    assert known(first) == before == known(second)
    assert index_reads(repository, tmp_path)[0] == 0


def test_a_cache_that_cannot_be_written_is_done_without(
    repository: MemoryBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    reads, store = index_reads(repository, blocked)
    assert reads == 3
    assert "cannot be" in caplog.text
    assert known(store) == known(reopened(repository))


def test_a_cache_that_is_no_file_is_done_without(repository: MemoryBackend, tmp_path: Path) -> None:
    _, store = index_reads(repository, tmp_path)
    cache_file(tmp_path).unlink()
    (tmp_path / store.keys.repository.hex() / "index").mkdir()
    reads, again = index_reads(repository, tmp_path)
    assert reads == 3
    assert known(again) == known(store)


@pytest.mark.fault(17)
def test_a_full_disk_leaves_no_half_cache(
    repository: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        reads, store = index_reads(repository, tmp_path)
    assert reads == 3
    assert not list((tmp_path / store.keys.repository.hex()).iterdir())


def test_a_cache_of_another_layout_is_ignored(repository: MemoryBackend, tmp_path: Path) -> None:
    """Authentic, but written by a version that knew other fields."""
    _, store = index_reads(repository, tmp_path)
    head = codec.pack({"blobs": 0, "names": ["index/x"]})
    body = struct.pack("<I", len(head)) + head
    key = store.keys.from_master("cache")
    cache_file(tmp_path).write_bytes(b"HFCACHE2" + keyed(key, body) + body)
    reads, again = index_reads(repository, tmp_path)
    assert reads == 3
    assert known(again) == known(store)


def test_an_empty_repository_can_be_cached(tmp_path: Path) -> None:
    backend = MemoryBackend()
    new_store(backend)
    for _ in range(2):
        reads, store = index_reads(backend, tmp_path)
        assert reads == 0
        assert known(store) == {}


_PROGRAM = """
import sys
from pathlib import Path
from holdfast.backend import LocalBackend
from holdfast.testing.repositories import reopened
number = int(sys.argv[3])
store = reopened(LocalBackend(sys.argv[1]), cache=Path(sys.argv[2]))
for turn in range(4):
    with store.writer({}) as writer:
        for at in range(100):
            writer.save_data(memoryview(b"%d %d %d" % (number, turn, at)), ("small", 0))
        writer.flush()
    store.catalog.refresh()
"""


@pytest.mark.fault(31)
def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    place = tmp_path / "repository"
    new_store(LocalBackend(place))
    processes = [
        subprocess.Popen([sys.executable, "-c", _PROGRAM, place, tmp_path / "cache", str(number)])
        for number in range(3)
    ]
    assert [process.wait(200) for process in processes] == [0, 0, 0]
    backend = copied(LocalBackend(place))
    _, cached = index_reads(backend, tmp_path / "cache")
    assert len(known(cached)) == 1200
    assert known(cached) == known(reopened(backend))
