"""What people read data with, on snapshots in a directory and in an S3 store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import duckdb
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import zarr
from upath import UPath
from upath.registry import register_implementation
from zarr.storage import FsspecStore

import holdfast
from holdfast.engine.protocol import HoldfastFileSystem
from holdfast.primitives.ids import BlobId
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.store import Loader
from holdfast.testing.repositories import QUICK_KDF

PASSWORD = "a long password"
ROWS = 60_000
RANDOM = np.random.default_rng(7)
TABLE = pd.DataFrame(
    {
        "id": np.arange(ROWS),
        **{f"column {number}": RANDOM.random(ROWS) for number in range(12)},
        "word": RANDOM.choice(["some", "words", "again and again"], ROWS),
    }
)
ARRAY = RANDOM.random((300, 200))


class World(NamedTuple):
    """A repository, how it is opened, and where the data is."""

    repo: holdfast.Repository
    options: dict[str, object]
    data: Path

    def url(self, path: str = "") -> str:
        return f"holdfast://latest{self.data}/{path}".rstrip("/")


def make_data(data: Path) -> None:
    (data / "parts").mkdir(parents=True)
    TABLE.to_parquet(data / "table.parquet", row_group_size=20_000, compression=None)
    TABLE[:2000].to_csv(data / "table.csv", index=False)
    for number in range(3):
        part = TABLE[number * 20_000 : (number + 1) * 20_000]
        part.to_parquet(data / f"parts/{number}.parquet")
    zarr.create_array(data / "array.zarr", data=ARRAY, chunks=(100, 50))
    (data / "lines.txt").write_text("one\ntwo\n")


@pytest.fixture(
    scope="module", params=["local", pytest.param("versity", marks=pytest.mark.servers)]
)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    make_data(folder / "data")
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    location, storage = str(folder / "repo"), {}
    if request.param != "local":
        location, storage = request.getfixturevalue("servers").get(request.param).place()
    options = {
        "repository": location,
        "password_file": str(folder / "password"),
        "storage_options": storage,
        "cache": False,
    }
    fsspec.register_implementation("holdfast", HoldfastFileSystem, clobber=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
        # Small chunks: where a file is cut depends on the repository's secret, and by chance the
        # larger ones that hold a column would be more than half of all.
        repo = holdfast.init(
            location, password=PASSWORD, storage_options=storage, cache=False, compression="off",
            chunker="database",
        )  # fmt: skip
    with repo:
        assert repo.backup([folder / "data"]).errors == ()
        yield World(repo, options, folder / "data")
        HoldfastFileSystem.clear_instance_cache()


def test_pandas(world: World) -> None:
    csv = pd.read_csv(world.url("table.csv"), storage_options=world.options)
    pd.testing.assert_frame_equal(csv, TABLE[:2000])
    parquet = pd.read_parquet(world.url("table.parquet"), storage_options=world.options)
    pd.testing.assert_frame_equal(parquet, TABLE)
    parts = pd.read_parquet(
        world.url("parts"), storage_options=world.options, columns=["id", "word"]
    )
    pd.testing.assert_frame_equal(parts, TABLE[["id", "word"]])


def test_pyarrow(world: World) -> None:
    fs = fsspec.filesystem("holdfast", **world.options)
    inside = f"latest{world.data}"
    table = pq.read_table(f"{inside}/table.parquet", filesystem=fs)
    assert table.equals(pa.Table.from_pandas(TABLE))
    parts = ds.dataset(f"{inside}/parts", filesystem=world.repo.fs(), format="parquet")
    assert len(parts.files) == 3
    some = parts.to_table(columns=["id", "column 3"], filter=ds.field("id") >= 50_000)
    expected = TABLE[TABLE.id >= 50_000][["id", "column 3"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(some.to_pandas(), expected)


@pytest.mark.parametrize("threads", [1, 4])
def test_duckdb(world: World, threads: int) -> None:
    fs = fsspec.filesystem("holdfast", **world.options)
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        connection.sql(f"SET threads = {threads}")
        for path, rows in (("table.parquet", ROWS), ("parts/*.parquet", ROWS), ("table.csv", 2000)):
            query = f'SELECT count(*), sum("id"), sum("column 3") FROM \'{world.url(path)}\''  # noqa: S608 - ours
            count, ids, numbers = connection.sql(query).fetchall()[0]
            assert (count, ids) == (rows, TABLE.id[:rows].sum())
            assert numbers == pytest.approx(TABLE["column 3"][:rows].sum())


def test_zarr(world: World) -> None:
    store = FsspecStore.from_url(
        world.url("array.zarr"), storage_options=world.options, read_only=True
    )
    array = zarr.open_array(store, mode="r")
    assert array.shape == ARRAY.shape
    assert np.array_equal(array[:], ARRAY)
    assert np.array_equal(array[150:160, 20:170], ARRAY[150:160, 20:170])


def test_upath(world: World) -> None:
    # What the entry point does where holdfast is installed.
    register_implementation("holdfast", UPath, clobber=True)
    folder = UPath(world.url(), **world.options)  # type: ignore[call-overload]  # any options
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in world.data.iterdir()
    )
    lines = folder / "lines.txt"
    assert lines.read_text() == "one\ntwo\n"
    assert lines.read_bytes() == b"one\ntwo\n"
    assert lines.is_file()
    assert folder.is_dir()
    assert not (folder / "none").exists()
    assert lines.stat().st_size == 8
    assert lines.parent.name == "data"
    assert [path.name for path in sorted(folder.glob("parts/*.parquet"))] == [
        "0.parquet", "1.parquet", "2.parquet",
    ]  # fmt: skip
    with lines.open("rb") as file:
        assert file.readline() == b"one\n"


class Counted:
    """The data blobs that are read, each time that one is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[int] = []
        lock = threading.Lock()
        plain = Loader.view

        def view(loader: Loader, blob: BlobId) -> memoryview:
            data = plain(loader, blob)
            with lock:
                self.read.append(len(data))
            return data

        monkeypatch.setattr(Loader, "view", view)


def test_a_column_takes_only_the_chunks_that_it_needs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    fs = world.repo.fs(f"latest:{world.data}")
    about = pq.read_metadata(world.data / "table.parquet")
    groups = [about.row_group(number).column(4) for number in range(about.num_row_groups)]
    assert groups[0].path_in_schema == "column 3"
    needed = sum(column.total_compressed_size for column in groups)
    fs.find("")
    counted.read.clear()
    table = pq.read_table("table.parquet", filesystem=fs, columns=["column 3"])
    assert table["column 3"].to_pylist() == TABLE["column 3"].to_list()
    largest = max(counted.read)
    # At each end of a group's column there is a chunk with something else in it; and the footer.
    assert sum(counted.read) <= needed + 2 * largest * (len(groups) + 1)
    assert sum(counted.read) < about.row_group(0).total_byte_size * about.num_row_groups / 2


def test_eight_threads_read_different_places_of_one_file(world: World) -> None:
    whole = (world.data / "table.parquet").read_bytes()
    reader = world.repo.fs(f"latest:{world.data}").view.open(b"/table.parquet")

    def part(number: int) -> bool:
        offset = number * 7919 * 13 % len(whole)
        return reader.read_at(offset, 50_000) == whole[offset : offset + 50_000]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(part, range(200)))
