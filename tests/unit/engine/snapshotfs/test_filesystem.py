"""The file system on a repository in memory: one tree for all tests that only look at it."""

from __future__ import annotations

import errno
import io
import os
import pickle
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import fsspec
import pytest
from fsspec.callbacks import Callback

from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.engine.snapshotfs.about import Info
from holdfast.engine.snapshotfs.filesystem import SnapshotFileSystem
from holdfast.errors import DamagedRepository, UsageError
from holdfast.testing.repositories import ManualClock, new_store

BIG = bytes(range(256)) * 400
ODD = os.fsdecode(b"odd \xff name")
FILES = {
    "big.bin": BIG,
    "empty": b"",
    "text.csv": b"a,b\n1,2\n",
    "sub/one.csv": b"one",
    "sub/deep/two.csv": b"two",
    ODD: b"odd",
}


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.backend = MemoryBackend()
        self.repo = Repository(new_store(self.backend, clock=self.clock), self.clock)
        self.data = folder / "data"
        for name, content in FILES.items():
            path = self.data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (self.data / "text.csv").chmod(0o640)
        os.utime(self.data / "text.csv", ns=(0, 1_234_567_890_123_456_789))
        (self.data / "link").symlink_to("text.csv")
        (self.data / "dir link").symlink_to("sub")
        (self.data / "dangling").symlink_to("nowhere")
        (self.data / "loop").symlink_to("loop")
        os.mkfifo(self.data / "pipe")
        (self.data / "hollow").mkdir()
        self.repo.backup([self.data])

    def fs(self, errors: str = "raise") -> SnapshotFileSystem:
        return self.repo.fs(f"latest:{self.data}", errors=errors)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.repo.close()


@pytest.fixture(scope="module")
def fs(world: World) -> SnapshotFileSystem:
    return world.fs()


ALL = sorted([*FILES, "dangling", "dir link", "hollow", "link", "loop", "pipe"], key=os.fsencode)
TOP = sorted({name.partition("/")[0] for name in ALL}, key=os.fsencode)


def infos(fs: SnapshotFileSystem) -> list[Info]:
    return cast("list[Info]", fs.ls(""))


# Metadata


def test_listings(fs: SnapshotFileSystem) -> None:
    assert fs.ls("", detail=False) == TOP
    assert fs.ls("/", detail=False) == TOP
    assert fs.ls("/sub/", detail=False) == ["sub/deep", "sub/one.csv"]
    assert fs.ls("dir link", detail=False) == ["dir link/deep", "dir link/one.csv"]
    assert fs.ls("text.csv", detail=False) == ["text.csv"]
    assert fs.ls("text.csv") == [fs.info("text.csv")]
    for folder in ("", "sub", "dir link"):
        assert fs.ls(folder) == [fs.info(str(name)) for name in fs.ls(folder, detail=False)]
    assert fs.ls("hollow") == []
    for about in infos(fs):
        assert about == fs.info(str(about["name"]))


def test_info_has_all_that_the_source_had(fs: SnapshotFileSystem, world: World) -> None:
    real = (world.data / "text.csv").stat()
    snapshot = world.repo.snapshot("latest")
    assert fs.info("/text.csv") == {
        "name": "text.csv",
        "size": 8,
        "type": "file",
        "mode": real.st_mode,
        "uid": real.st_uid,
        "gid": real.st_gid,
        "user": fs.info("text.csv")["user"],
        "group": fs.info("text.csv")["group"],
        "mtime": datetime(2009, 2, 13, 23, 31, 30, 123456, tzinfo=UTC),
        "created": fs.info("text.csv")["created"],
        "mtime_ns": 1_234_567_890_123_456_789,
        "ctime_ns": real.st_ctime_ns,
        "ino": real.st_ino,
        "islink": False,
        "snapshot": snapshot.id,
    }
    kinds = {about["name"]: about["type"] for about in infos(fs)}
    assert kinds["sub"] == "directory"
    assert kinds["pipe"] == "other"
    assert kinds["link"] == kinds["dangling"] == kinds["dir link"] == "link"
    assert stat.S_ISFIFO(int(str(fs.info("pipe")["mode"])))
    assert fs.info("link")["destination"] == "text.csv"
    assert fs.info("link")["islink"]
    assert fs.modified("link") == fs.modified("text.csv") == fs.info("text.csv")["mtime"]
    assert fs.created("text.csv") == fs.info("text.csv")["created"]


def test_what_is_what(fs: SnapshotFileSystem) -> None:
    assert [name for name in TOP if fs.isdir(name)] == ["dir link", "hollow", "sub"]
    assert [name for name in TOP if fs.isfile(name)] == sorted(
        ["big.bin", "empty", "link", "text.csv", ODD], key=os.fsencode
    )
    assert [name for name in TOP if not fs.exists(name)] == ["dangling", "loop"]
    assert all(fs.lexists(name) for name in TOP)
    assert not fs.lexists("none")
    assert not fs.exists("no name: \ud800")
    assert fs.isdir("")
    assert not fs.exists("text.csv/x")
    assert fs.isfile("dir link/one.csv")
    assert fs.info("dir link/one.csv")["size"] == 3
    assert fs.size("link") == 8


def test_going_through_all(fs: SnapshotFileSystem) -> None:
    plain = [name for name in ALL if name != "hollow"]
    assert fs.find("") == sorted(plain)
    assert fs.glob("**/*.csv") == ["sub/deep/two.csv", "sub/one.csv", "text.csv"]
    assert fs.glob("/sub/*") == ["sub/deep", "sub/one.csv"]
    assert fs.glob("odd*") == [ODD]
    assert [top for top, _, _ in fs.walk("")] == ["", "hollow", "sub", "sub/deep"]
    assert fs.du("sub") == 6
    assert fs.du("sub", total=False) == {"sub/deep/two.csv": 3, "sub/one.csv": 3}
    assert fs.du("sub", total=False, withdirs=True) == {
        "sub": 0, "sub/deep": 0, "sub/deep/two.csv": 3, "sub/one.csv": 3,
    }  # fmt: skip


def test_the_whole_repository_is_a_tree_of_snapshots(world: World) -> None:
    fs = world.repo.fs()
    id_ = world.repo.snapshot("latest").short_id
    assert fs.ls("", detail=False) == ["hosts", "ids", "latest", "tags", "times"]
    assert fs.ls("ids", detail=False) == [f"ids/{id_}"]
    inside = str(world.data).lstrip("/")
    assert fs.cat_file(f"latest/{inside}/text.csv") == FILES["text.csv"]
    assert fs.cat_file(f"/{id_[:4]}/{inside}/link") == FILES["text.csv"]
    assert fs.info("ids")["snapshot"] is None
    assert fs.glob(f"ids/*/{inside}/*.csv") == [f"ids/{id_}/{inside}/text.csv"]


def test_keys_of_content(fs: SnapshotFileSystem, world: World) -> None:
    assert fs.ukey("text.csv") == fs.ukey("link") == world.fs().ukey("text.csv")
    assert len({fs.ukey(name) for name in ("text.csv", "empty", "big.bin", "sub", "hollow")}) == 5
    assert fs.checksum("text.csv") == int(fs.ukey("text.csv"), 16)
    assert world.repo.fs().ukey("ids") == world.repo.fs().ukey("ids")


def test_names_of_any_bytes(fs: SnapshotFileSystem) -> None:
    assert os.fsencode(ODD).endswith(b"\xff name")
    assert fs.cat_file(ODD) == b"odd"
    with fs.open(f"holdfast://{ODD}") as file:
        assert file.read() == b"odd"


# Content


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None), (0, None), (5, 5), (5, 3), (5, 105), (-10, None), (-10, -2), (None, -99_000),
        (0, -200_000), (-200_000, 10), (102_000, 999_999), (999_999, None), (4090, 50_000),
    ],
)  # fmt: skip
def test_ranges_are_those_of_slices(
    fs: SnapshotFileSystem, start: int | None, end: int | None
) -> None:
    assert fs.cat_file("big.bin", start, end) == BIG[start:end]


def test_many_ranges_at_once(fs: SnapshotFileSystem) -> None:
    paths = ["big.bin", "text.csv", "big.bin", "none", "big.bin", "sub"]
    starts, ends = [50_000, None, 0, 0, -5, 0], [60_000, None, 10, 1, None, 1]
    found = fs.cat_ranges(paths, starts, ends, max_gap=100)
    assert found[:3] == [BIG[50_000:60_000], b"a,b\n1,2\n", BIG[:10]]
    assert isinstance(found[3], FileNotFoundError)
    assert found[4] == BIG[-5:]
    assert isinstance(found[5], IsADirectoryError)
    assert fs.cat_ranges(["text.csv", "link"], 0, 1) == [b"a", b"a"]
    assert fs.cat_ranges([], 0, 1) == []
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(paths, starts, ends, on_error="raise")
    with pytest.raises(TypeError):
        fs.cat_ranges("text.csv", 0, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="as many"):
        fs.cat_ranges(["text.csv"], [0, 1], [1, 2])


def test_cat(fs: SnapshotFileSystem) -> None:
    assert fs.cat("text.csv") == FILES["text.csv"]
    assert fs.cat(["sub/one.csv"]) == {"sub/one.csv": b"one"}
    assert fs.cat("sub", recursive=True) == {"sub/deep/two.csv": b"two", "sub/one.csv": b"one"}
    assert fs.cat("**/*.csv") == {name: FILES[name] for name in FILES if name.endswith("csv")}
    some = fs.cat(["text.csv", "dangling"], on_error="return")
    assert isinstance(some, dict)
    assert isinstance(some["dangling"], FileNotFoundError)
    assert fs.cat(["text.csv", "dangling"], on_error="omit") == {"text.csv": FILES["text.csv"]}
    with pytest.raises(FileNotFoundError):
        fs.cat(["text.csv", "dangling"])
    assert fs.head("text.csv", 3) == b"a,b"
    assert fs.tail("text.csv", 3) == b",2\n"
    assert fs.read_text("text.csv") == "a,b\n1,2\n"
    assert fs.read_block("text.csv", 0, 2, b"\n") == b"a,b\n"


def test_open(fs: SnapshotFileSystem) -> None:
    with fs.open("link") as file:
        assert (file.size, file.path) == (8, "link")
        assert file.readlines() == [b"a,b\n", b"1,2\n"]
    with fs.open("text.csv", "r", encoding="ascii") as text:
        assert text.read() == "a,b\n1,2\n"
    with fs.open("big.bin", cache_type="readahead", block_size=1000) as file:
        assert file.seek(5000) == 5000
        assert file.read(300) == BIG[5000:5300]
        assert file.size == len(BIG)
    with pytest.raises(TypeError, match="sizes"):
        fs.open("text.csv", sizes=1)


@pytest.mark.parametrize("use", ["open", "cat_file", "ls", "info", "size", "get_file"])
def test_what_is_not_there(fs: SnapshotFileSystem, use: str) -> None:
    for name in ("none", "sub/none", "text.csv/none"):
        with pytest.raises(FileNotFoundError, match=name.rpartition("/")[2]):
            getattr(fs, use)(name)


def test_what_has_no_content(fs: SnapshotFileSystem) -> None:
    for use in (fs.open, fs.cat_file):
        with pytest.raises(IsADirectoryError):
            use("sub")
        with pytest.raises(FileNotFoundError):
            use("dangling")
        with pytest.raises(OSError, match="regular file") as told:
            use("pipe")
        assert told.value.errno == errno.EINVAL
        with pytest.raises(OSError, match="symbolic links") as told:
            use("loop")
        assert told.value.errno == errno.ELOOP


def test_copies_on_this_machine(fs: SnapshotFileSystem, tmp_path: Path) -> None:
    told: list[int] = []

    class Told(Callback):  # type: ignore[misc]  # fsspec has no types
        def relative_update(self, inc: int = 1) -> None:
            told.append(inc)

    fs.get_file("big.bin", str(tmp_path / "new/big"), callback=Told())
    assert (tmp_path / "new/big").read_bytes() == BIG
    assert sum(told) == len(BIG)
    fs.get("sub", str(tmp_path / "sub"), recursive=True)
    assert (tmp_path / "sub/deep/two.csv").read_bytes() == b"two"
    fs.get("link", str(tmp_path / "linked"))
    assert (tmp_path / "linked").read_bytes() == FILES["text.csv"]
    output = io.BytesIO()
    fs.get_file("text.csv", output)
    fs.get_file("text.csv", outfile=output)
    assert output.getvalue() == FILES["text.csv"] * 2
    fs.get_file("hollow", str(tmp_path / "hollow"))
    assert list((tmp_path / "hollow").iterdir()) == []
    fs.download("empty", str(tmp_path / "empty"))
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize("name", ["dir link", "dangling", "pipe", "loop"])
def test_a_copy_leaves_nothing_out_in_silence(
    fs: SnapshotFileSystem, tmp_path: Path, name: str
) -> None:
    with pytest.raises(OSError, match=r"restore it|no such path|symbolic links"):
        fs.get_file(name, str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


WRITING = {
    "mkdir": ("x",), "makedirs": ("x",), "mkdirs": ("x",), "rmdir": ("hollow",), "touch": ("x",),
    "pipe": ("x", b""), "pipe_file": ("x", b""), "put": ("/etc/hostname", "x"),
    "put_file": ("/etc/hostname", "x"), "upload": ("/etc/hostname", "x"),
    "write_text": ("x", ""), "write_bytes": ("x", b""), "rm": ("empty",), "rm_file": ("empty",),
    "_rm": ("empty",), "delete": ("empty",), "mv": ("empty", "x"), "move": ("empty", "x"),
    "rename": ("empty", "x"), "cp": ("empty", "x"), "copy": ("empty", "x"),
    "cp_file": ("empty", "x"),
}  # fmt: skip


@pytest.mark.parametrize("verb", WRITING)
def test_nothing_can_be_written(fs: SnapshotFileSystem, verb: str) -> None:
    with pytest.raises(OSError, match="restore what you need") as told:
        getattr(fs, verb)(*WRITING[verb])
    assert told.value.errno == errno.EROFS


@pytest.mark.parametrize("mode", ["wb", "ab", "xb", "w", "r+b"])
def test_nothing_can_be_opened_for_writing(fs: SnapshotFileSystem, mode: str) -> None:
    with pytest.raises(OSError, match="restore what you need"):
        fs.open("text.csv", mode)


# Snapshots, damage, other processes


def test_new_snapshots_are_seen(tmp_path: Path) -> None:
    world = World(tmp_path)
    fs = world.repo.fs()
    path = f"latest{world.data}/text.csv"
    for number in range(3):
        world.clock.advance(1)  # of two snapshots of one time, the newest is the one or the other
        (world.data / "text.csv").write_text(f"{number}")
        world.repo.backup([world.data])
        world.clock.advance(5)
        assert fs.cat_file(path) == f"{number}".encode()
    (world.data / "text.csv").write_text("last")
    world.repo.backup([world.data])
    assert fs.cat_file(path) == b"2"
    fs.invalidate_cache()
    assert fs.cat_file(path) == b"last"


def test_damage_is_raised_or_skipped(tmp_path: Path) -> None:
    world = World(tmp_path)
    fs, skipping = world.fs(), world.fs("skip")
    for some in (fs, skipping):
        some.find("")  # directories are read
    for info in list(world.backend.list("data/")):
        world.backend.delete(info.name)
    with fs.open("big.bin") as file, pytest.raises(DamagedRepository, match="data/"):
        file.read()
    with pytest.raises(DamagedRepository):
        fs.cat_file("big.bin")
    assert isinstance(fs.cat_ranges(["big.bin"], 0, 9)[0], DamagedRepository)
    assert fs.cat_file("big.bin", errors="skip") == bytes(len(BIG))
    with fs.open("big.bin", errors="skip") as file:
        assert file.read() == bytes(len(BIG))
        assert sum(length for _, length in file.skipped) == len(BIG)
    assert skipping.cat_file("big.bin", 5, 10) == bytes(5)
    with skipping.open("big.bin", cache_type="bytes") as file:
        assert file.read(5) == bytes(5)
    with pytest.raises(DamagedRepository):
        skipping.cat_file("big.bin", errors="raise")
    fresh = world.repo.fs()
    for ask in (fresh.exists, fresh.isdir, fresh.info, fresh.ls):
        with pytest.raises(DamagedRepository):
            ask("latest/x")


def test_a_file_system_of_an_open_repository_stays_in_its_process(fs: SnapshotFileSystem) -> None:
    for use in (lambda: pickle.dumps(fs), fs.to_json, fs.to_dict):
        with pytest.raises(UsageError, match="make one there by"):
            use()


def test_two_of_the_same_are_equal_and_have_views_of_their_own(world: World) -> None:
    assert world.fs() == world.fs()
    assert world.fs() != world.repo.fs()
    assert world.fs().view is not world.fs().view
    mapper = world.fs().get_mapper("sub")
    assert dict(mapper) == {"one.csv": b"one", "deep/two.csv": b"two"}
    assert isinstance(world.fs(), fsspec.AbstractFileSystem)
