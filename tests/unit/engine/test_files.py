from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from holdfast import PathNotFound, RestoreIncomplete, UsageError
from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.testing.repositories import ManualClock, new_store

TABLE = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": ["x", "y", "z"]})

WRITERS: dict[str, Callable[[Path], object]] = {
    "t.csv": lambda path: TABLE.to_csv(path, index=False),
    "t.CSV": lambda path: TABLE.to_csv(path, index=False),
    "t.txt": lambda path: TABLE.to_csv(path, index=False),
    "t.tsv": lambda path: TABLE.to_csv(path, index=False, sep="\t"),
    "t.csv.gz": lambda path: TABLE.to_csv(path, index=False),
    "t.tsv.xz": lambda path: TABLE.to_csv(path, index=False, sep="\t"),
    "t.csv.bz2": lambda path: TABLE.to_csv(path, index=False),
    "t.csv.zst": lambda path: TABLE.to_csv(path, index=False),
    "t.json": TABLE.to_json,
    "t.jsonl": lambda path: TABLE.to_json(path, orient="records", lines=True),
    "t.ndjson.gz": lambda path: TABLE.to_json(path, orient="records", lines=True),
    "t.parquet": TABLE.to_parquet,
    "t.pq": TABLE.to_parquet,
    "t.feather": TABLE.to_feather,
    "t.arrow": TABLE.to_feather,
    "t.orc": TABLE.to_orc,
    "parts.parquet": lambda path: TABLE.to_parquet(path, partition_cols=["c"]),
}


class World:
    def __init__(self, folder: Path) -> None:
        self.backend = MemoryBackend()
        clock = ManualClock()
        self.repo = Repository(new_store(self.backend, clock=clock), clock)
        self.data = folder / "data"
        self.data.mkdir()
        for name, write in WRITERS.items():
            write(self.data / name)
        (self.data / "link.csv").symlink_to("t.csv")
        self.repo.backup([self.data])

    def name(self, path: str = "") -> str:
        return f"latest:{self.data}/{path}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.repo.close()


@pytest.mark.parametrize("name", [*WRITERS, "link.csv"])
def test_a_table_is_read_as_its_suffix_says(world: World, name: str) -> None:
    found = world.repo.read_table(world.name(name))
    columns = ["a", "b"] if name == "parts.parquet" else ["a", "b", "c"]
    pd.testing.assert_frame_equal(found[columns].sort_values("a"), TABLE[columns])


def test_options_are_those_of_pandas(world: World) -> None:
    found = world.repo.read_table(world.name("t.parquet"), columns=["b"])
    assert list(found.columns) == ["b"]
    assert len(world.repo.read_table(world.name("t.csv"), nrows=2)) == 2
    assert list(world.repo.read_table(world.name("t.tsv"), sep=",").columns) == ["a\tb\tc"]


@pytest.mark.parametrize("name", ["t.pkl", "t", "t.parquet.gz", "t.gz", ".csv", "t.py"])
def test_a_suffix_that_says_nothing_is_refused(world: World, name: str) -> None:
    with pytest.raises(UsageError, match="suffix does not say"):
        world.repo.read_table(world.name(name))


def test_without_pandas_it_is_said_how_to_get_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"holdfast\[notebook\]"):
        world.repo.read_table(world.name("t.csv"))


def test_bytes(world: World) -> None:
    expected = (world.data / "t.json").read_bytes()
    assert world.repo.read_bytes(world.name("t.json")) == expected
    assert json.loads(expected)["a"] == {"0": 1, "1": 2, "2": 3}
    assert world.repo.read_bytes(world.name("link.csv")) == (world.data / "t.csv").read_bytes()
    for name in ("none", "t.csv/x"):
        with pytest.raises(PathNotFound):
            world.repo.read_bytes(world.name(name))
    with pytest.raises(UsageError, match="not a regular file"):
        world.repo.read_bytes("latest")


def test_restored_is_there_for_as_long_as_it_is_used(world: World, tmp_path: Path) -> None:
    with world.repo.restored(world.name(), directory=tmp_path) as folder:
        assert folder.parent == tmp_path
        assert sorted(path.name for path in folder.iterdir()) == sorted([*WRITERS, "link.csv"])
        assert pd.read_csv(folder / "link.csv").equals(TABLE)
    assert list(tmp_path.iterdir()) == []
    with world.repo.restored(world.name("t.csv")) as folder:
        assert [path.name for path in folder.iterdir()] == ["t.csv"]
    assert not folder.exists()
    with pytest.raises(PathNotFound), world.repo.restored(world.name("none"), directory=tmp_path):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_restored_is_all_or_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.repo.fs("latest").find("")  # the index and the directories are known
    with world.repo._store.loader() as loader:
        row = world.repo.fs(world.name()).view.item(b"/t.json").node
        pack = loader.plan([row.payload]).packs[0][1]  # type: ignore[list-item]
    world.backend.delete(next(i.name for i in world.backend.list("data/") if pack in i.name))
    (tmp_path / "target").mkdir()
    with (
        pytest.raises(RestoreIncomplete, match=r"not all was restored: /.*missing") as told,
        world.repo.restored(world.name(), directory=tmp_path / "target"),
    ):
        raise AssertionError
    assert told.value.result.errors_total > 1
    assert list((tmp_path / "target").iterdir()) == []
