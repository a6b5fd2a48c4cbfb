"""Comparing a snapshot with live files: what a random tree does not show."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest

from holdfast import Comparison, UsageError
from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.errors import PathNotFound
from holdfast.operations.compare import result
from holdfast.primitives.ids import PackName
from holdfast.progress import ProgressEvent
from holdfast.store import Kind, Store
from holdfast.testing.repositories import ManualClock, new_store

NOBODY = 65534


@pytest.fixture
def store() -> Store:
    return new_store(MemoryBackend(), clock=ManualClock())


@pytest.fixture
def repo(store: Store) -> Repository:
    return Repository(store, ManualClock())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "live"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(os.urandom(20_000))
    (folder / "sub/b").write_bytes(b"b")
    return folder


def told(comparison: Comparison, folder: Path) -> dict[str, str]:
    """What is not as it was, but for metadata, by the path in the folder."""
    return {
        os.path.relpath(each.path, folder): str(each.kind)
        for each in comparison
        if each.kind != "metadata"
    }


def flip(path: Path) -> None:
    status = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextmanager
def nobody() -> Iterator[None]:
    """Without the rights of root, if we have them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_was_excluded_is_not_new(repo: Repository, folder: Path) -> None:
    (folder / "x.tmp").write_text("x")
    repo.backup(folder, exclude=["*.tmp"])
    (folder / "sub/y.tmp").write_text("y")
    assert told(repo.compare("latest"), folder) == {}


def test_what_is_excluded_is_neither_missing_nor_new(repo: Repository, folder: Path) -> None:
    repo.backup(folder)
    (folder / "a").unlink()
    (folder / "sub/b").write_text("other")
    (folder / "sub/c").write_text("new")
    assert told(repo.compare("latest", exclude=["a", "sub/"]), folder) == {}
    assert told(repo.compare("latest", exclude="a"), folder) == {
        "sub/b": "content", "sub/c": "new",
    }  # fmt: skip


def test_the_evidence_of_bit_rot(repo: Repository, folder: Path) -> None:
    repo.backup(folder)
    flip(folder / "a")
    (rotten,) = (each for each in repo.compare("latest") if each.kind == "bit-rot")
    assert rotten.offset == 19_999
    assert rotten.chunks == 1
    assert rotten.details[0].startswith("1 of ")
    assert "its ctime is another" in rotten.details[1]
    assert rotten.dict()["kind"] == "bit-rot"


def test_a_file_that_changes_while_it_is_read_has_not_rotted(
    repo: Repository, folder: Path
) -> None:
    repo.backup(folder)
    changed: list[ProgressEvent] = []

    def change(event: ProgressEvent) -> None:
        if not changed:
            changed.append(event)
            flip(folder / "a")

    (found,) = repo.compare(f"latest:{folder}/a", progress=change)
    assert changed
    assert (found.kind, found.offset) == ("content", None)
    assert found.details == ("it was changed while it was compared",)


def test_a_single_file(repo: Repository, folder: Path) -> None:
    repo.backup(folder / "a")
    assert told(repo.compare("latest"), folder) == {}
    flip(folder / "a")
    assert told(repo.compare("latest"), folder) == {"a": "bit-rot"}
    (folder / "a").unlink()
    assert told(repo.compare("latest"), folder) == {"a": "missing"}
    (folder / "a").mkdir()
    (folder / "a/x").write_text("x")
    assert told(repo.compare("latest"), folder) == {"a": "type", "a/x": "new"}


def test_a_root_that_is_gone_or_something_else(repo: Repository, folder: Path) -> None:
    repo.backup([folder / "sub", folder / "a"])
    (folder / "sub/b").unlink()
    (folder / "sub").rmdir()
    assert told(repo.compare("latest"), folder) == {"sub": "missing", "sub/b": "missing"}
    (folder / "sub").write_text("a file")
    assert told(repo.compare("latest"), folder) == {"sub": "type", "sub/b": "missing"}


def test_a_place_in_a_snapshot(repo: Repository, folder: Path) -> None:
    repo.backup(folder)
    (folder / "sub/b").write_text("other")
    (folder / "a").unlink()
    assert told(repo.compare(f"latest:{folder}/sub"), folder) == {"sub/b": "content"}
    above = told(repo.compare(f"latest:{folder.parent}"), folder)
    assert above == {"a": "missing", "sub/b": "content"}
    with pytest.raises(PathNotFound):
        repo.compare("latest:/no/such/place")


def test_links_and_special_files(repo: Repository, folder: Path) -> None:
    (folder / "link").symlink_to("a")
    os.mkfifo(folder / "pipe")
    repo.backup(folder)
    assert told(repo.compare("latest"), folder) == {}
    (folder / "link").unlink()
    (folder / "link").symlink_to("b")
    (folder / "pipe").unlink()
    (folder / "pipe").symlink_to("a")
    assert told(repo.compare("latest"), folder) == {"link": "content", "pipe": "type"}


def test_a_file_with_several_names_is_read_once(repo: Repository, folder: Path) -> None:
    (folder / "again").hardlink_to(folder / "a")
    repo.backup(folder)
    counts = repo.compare("latest").counts
    assert (counts.files, counts.bytes_read, counts.total) == (3, 20_001, 0)
    flip(folder / "a")
    assert told(repo.compare("latest"), folder) == {"a": "bit-rot", "again": "bit-rot"}


def test_what_cannot_be_read_is_told(repo: Repository) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        folder = Path(place, "live")
        (folder / "shut").mkdir(parents=True)
        (folder / "file").write_text("file")
        (folder / "shut/inner").write_text("inner")
        repo.backup(folder)
        (folder / "file").chmod(0)
        (folder / "shut").chmod(0)
        with nobody():
            found = repo.compare("latest")
            kinds = told(found, folder)
        (folder / "shut").chmod(0o700)
    assert kinds == {"file": "unreadable", "shut": "unreadable"}
    assert found.counts.missing == 0


def test_metadata(repo: Repository, folder: Path) -> None:
    repo.backup(folder)
    os.utime(folder / "sub/b", ns=(0, 5))
    (folder / "a").chmod(0o600)
    found = {each.path: each.details for each in repo.compare("latest")}
    assert list(found) == [f"{folder}/a", f"{folder}/sub/b"]
    assert found[f"{folder}/sub/b"][0].startswith("mtime 5 ns instead of")
    assert list(repo.compare("latest", metadata=False)) == []


def test_what_is_not_of_local_files_needs_a_directory(repo: Repository, folder: Path) -> None:
    repo.backup_stream(io.BytesIO(b"abc"), "dump.sql")
    with pytest.raises(UsageError, match="name a directory"):
        repo.compare("latest")
    (folder / "dump.sql").write_bytes(b"abd")
    found = told(repo.compare("latest", folder), Path("/"))
    assert found == {"dump.sql": "content", "a": "new", "sub": "new", "sub/b": "new"}
    with pytest.raises(UsageError, match="only a directory"):
        repo.compare("latest:/dump.sql", folder)
    with pytest.raises(UsageError, match="no such directory"):
        repo.compare("latest", folder / "nowhere")


def test_what_was_found_is_kept_unless_it_is_very_much(
    repo: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.backup(folder)
    flip(folder / "a")
    few, many = repo.compare("latest"), repo.compare("latest")
    assert few.counts.bit_rot == 1
    monkeypatch.setattr(result, "MOST_KEPT", 0)
    assert many.counts.bit_rot == 1
    monkeypatch.undo()
    flip(folder / "a")  # it is as it was
    assert told(few, folder) == {"a": "bit-rot"}
    assert told(many, folder) == {}
    assert few.dict()["counts"] == few.counts.dict()
    assert "bit-rot" in few._repr_html_()


def test_a_damaged_chunk_of_the_repository_is_not_needed(
    store: Store, repo: Repository, folder: Path
) -> None:
    repo.backup(folder)
    flip(folder / "a")
    backend = store.backend
    for info in list(backend.list("data/")):
        data = bytearray(backend.get(info.name))
        if store.read_trailer(PackName(info.name[8:]), info.size).kind is Kind.DATA:
            data[1000:1100] = bytes(100)
            backend.put(info.name, bytes(data))
    (rotten,) = (each for each in repo.compare("latest") if each.kind == "bit-rot")
    assert rotten.chunks == 1
    assert rotten.offset is not None
    assert rotten.offset < 19_999


def test_roots_that_overlap_are_compared_once(repo: Repository, folder: Path) -> None:
    (folder / "sub/c").write_text("c")
    (folder / "sub/d").write_text("d")
    repo.backup([folder, folder / "sub", folder / "sub/c"], exclude=["c", "d"])
    assert told(repo.compare("latest"), folder) == {}
    flip(folder / "sub/c")
    flip(folder / "sub/b")
    for place in ("", f":{folder}", f":{folder}/sub"):
        found = [each.path for each in repo.compare(f"latest{place}") if each.kind == "bit-rot"]
        assert found == [f"{folder}/sub/b", f"{folder}/sub/c"]
    (folder / "sub/b").unlink()
    (folder / "sub/c").unlink()
    found = [each.path for each in repo.compare("latest") if each.kind == "missing"]
    assert found[:1] == [f"{folder}/sub/b"]


def test_names_of_one_file_that_were_different_ones(repo: Repository, tmp_path: Path) -> None:
    """Inodes of a snapshot say nothing of what is live: those from a store have none."""
    for name in ("a", "b"):
        with fsspec.open(f"memory://different/{name}", "wb") as file:
            file.write(name.encode())
    repo.backup("memory://different")
    place = next(each.path for each in repo.walk("latest") if each.name == "a")[: -len("/a")]
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    found = repo.compare(f"latest:{place}", tmp_path, metadata=False)
    assert [(Path(each.path).name, str(each.kind)) for each in found] == [("b", "content")]
