"""Each kernel alone, and the verbs on a small tree: where time goes, and that none got slower.

Compare two versions with ``pytest benchmarks --benchmark-enable --benchmark-autosave`` in one and
``--benchmark-compare`` in the other, on the same quiet machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import holdfast
from holdfast.model.node import Node, NodeType
from holdfast.model.tree import load_directory, save_directory
from holdfast.primitives.chunker import PROFILES, open_chunker
from holdfast.primitives.compression import Compressor, decompress
from holdfast.primitives.crypto import TAG_SIZE, Domain, Opener, Sealer
from holdfast.primitives.hashing import keyed, keyed_stream
from holdfast.primitives.ids import BlobId, new_session_id
from holdfast.store.keys import Keys
from holdfast.store.pack import Codec, Kind, Payload, build_pack
from holdfast.store.verifier import verify_pack
from holdfast.testing.blobs import MemoryBlobs

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

MIB = 1 << 20
RANDOM = keyed_stream(bytes(32), b"random", 8 * MIB)
TEXT = b"".join(
    b"%d: the quick brown fox jumps over %d lazy dogs\n" % (n, n * n) for n in range(40_000)
)[:MIB]
FILES = 2_000


@pytest.mark.parametrize("name", ["default", "fastcdc"])
def test_chunk(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = "kernels, 8 MiB"
    chunker = open_chunker(PROFILES[name], b"a seed of bytes")
    assert sum(benchmark(chunker.cut, memoryview(RANDOM), last=True)) == len(RANDOM)


def test_hash(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "kernels, 8 MiB"
    assert len(benchmark(keyed, bytes(32), RANDOM)) == 32


def test_seal(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "kernels, 8 MiB"
    sealer, out = Sealer(bytes(32)), memoryview(bytearray(len(RANDOM) + TAG_SIZE))
    benchmark(sealer.seal_into, out, Domain.SEGMENT, RANDOM, b"")
    assert out != RANDOM


def test_open(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "kernels, 8 MiB"
    sealed = Sealer(bytes(32)).seal(Domain.SEGMENT, RANDOM, b"")
    opener, out = Opener(bytes(32)), memoryview(bytearray(len(RANDOM)))
    benchmark(opener.open_into, out, Domain.SEGMENT, 0, sealed, b"")
    assert out == RANDOM


@pytest.mark.parametrize("level", [1, 3, 9])
def test_compress_text(benchmark: BenchmarkFixture, level: int) -> None:
    benchmark.group = "kernels, 1 MiB of text"
    frame = benchmark(Compressor(level).compress, TEXT)
    out = memoryview(bytearray(len(TEXT)))
    decompress(frame, len(TEXT), lambda _: out)
    assert out == TEXT


def test_decompress_text(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "kernels, 1 MiB of text"
    frame = Compressor(3).compress(TEXT)
    assert frame is not None
    out = memoryview(bytearray(len(TEXT)))
    benchmark(decompress, frame, len(TEXT), lambda _: out)
    assert out == TEXT


def payloads(keys: Keys, segments: int, blobs: int) -> list[Payload]:
    """Segments of random bytes, each of so many blobs."""
    key = keys.from_dedup("data id")
    found = []
    for number in range(segments):
        data = keyed_stream(bytes(32), number.to_bytes(4, "little"), MIB)
        size = MIB // blobs
        pieces = [data[at : at + size] for at in range(0, blobs * size, size)]
        ids = [BlobId(keyed(key, piece)) for piece in pieces]
        found.append(Payload(b"".join(pieces), Codec.RAW, blobs * size, ids, [size] * blobs))
    return found


@pytest.mark.parametrize("blobs", [4, 256])
def test_build_a_pack(benchmark: BenchmarkFixture, blobs: int) -> None:
    benchmark.group = "packs of 16 MiB"
    keys, session = Keys.generate(), new_session_id()
    segments = payloads(keys, 16, blobs)
    info, _ = benchmark(lambda: build_pack(Kind.DATA, segments, keys, session, os.urandom(32)))
    assert len(info.blobs) == 16 * blobs


@pytest.mark.parametrize("blobs", [4, 256])
def test_verify_a_pack(benchmark: BenchmarkFixture, blobs: int) -> None:
    benchmark.group = "packs of 16 MiB"
    keys = Keys.generate()
    segments = payloads(keys, 16, blobs)
    info, pack = build_pack(Kind.DATA, segments, keys, new_session_id(), os.urandom(32))
    benchmark(verify_pack, info, pack, keys)


def nodes(count: int) -> list[Node]:
    """Small files, as a backup finds them."""
    return [
        Node(
            name=b"a file, number %06d.txt" % number,
            type=NodeType.FILE,
            mode=0o644,
            uid=1000,
            gid=1000,
            user="user",
            group="group",
            mtime=1_700_000_000_000_000_000 + number * 1_000_003,
            ctime=1_700_000_000_000_000_000 + number * 1_000_033,
            inode=100_000 + number,
            size=1000 + number,
            payload=BlobId(keyed(bytes(32), b"%d" % number)),
            filesystem=None,
            xattrs=(),
            extra=None,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("files", [20, 10_000])
def test_encode_a_directory(benchmark: BenchmarkFixture, files: int) -> None:
    benchmark.group = f"directories of {files} files"
    found, blobs = nodes(files), MemoryBlobs()
    tree = benchmark(save_directory, found, blobs)
    assert list(load_directory(tree, blobs)) == found


@pytest.mark.parametrize("files", [20, 10_000])
def test_decode_a_directory(benchmark: BenchmarkFixture, files: int) -> None:
    benchmark.group = f"directories of {files} files"
    found, blobs = nodes(files), MemoryBlobs()
    tree = save_directory(found, blobs)
    assert benchmark(lambda: list(load_directory(tree, blobs))) == found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two thousand small files and a larger one."""
    for number in range(FILES):
        folder = tmp_path / "source" / str(number % 50)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_bytes(TEXT[number : number + 4_000 + number])
    (tmp_path / "source/large").write_bytes(RANDOM * 4)
    return tmp_path / "source"


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[holdfast.Repository]:
    with holdfast.init(tmp_path / "repo", password="benchmark", cache=False) as made:
        yield made


def test_backup(benchmark: BenchmarkFixture, source: Path, tmp_path: Path) -> None:
    benchmark.group = "verbs"
    numbers = iter(range(1_000))

    def fresh() -> tuple[tuple[holdfast.Repository], dict[str, object]]:
        return (holdfast.init(tmp_path / f"repo{next(numbers)}", password="b", cache=False),), {}

    benchmark.pedantic(lambda repo: repo.backup(source), setup=fresh, rounds=5)  # type: ignore[no-untyped-call]


def test_backup_unchanged(
    benchmark: BenchmarkFixture, source: Path, repo: holdfast.Repository
) -> None:
    benchmark.group = "verbs"
    for path in source.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    repo.backup(source)
    assert benchmark(repo.backup, source).data_added < 100_000


def test_restore(
    benchmark: BenchmarkFixture, source: Path, repo: holdfast.Repository, tmp_path: Path
) -> None:
    benchmark.group = "verbs"
    repo.backup(source)
    numbers = iter(range(1_000))
    result = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: repo.restore("latest", tmp_path / f"target{next(numbers)}"), rounds=5
    )
    assert result.files_restored == FILES + 1


@pytest.mark.parametrize("read_data", [False, True])
def test_check(
    benchmark: BenchmarkFixture, source: Path, repo: holdfast.Repository, *, read_data: bool
) -> None:
    benchmark.group = "verbs"
    repo.backup(source)
    assert benchmark(repo.check, read_data=read_data).valid
