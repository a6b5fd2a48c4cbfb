"""Real stores as what is backed up and what is restored to."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.cli_runner import Cli
from tests.servers.base import Place
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

import holdfast
from holdfast.backend import Access, RemoteFailure, RemoteObjects, open_objects

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

PASSWORD = "a password"
LARGE = 20 << 20


def opened(place: Place) -> RemoteObjects:
    return open_objects(place.location, Access(place.options))


def write(folder: RemoteObjects, name: str, data: bytes) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    folder.write(folder.path(name), len(data), pieces)


def contents(folder: RemoteObjects) -> dict[str, bytes]:
    """Everything in a folder of a store, by its inner path."""
    found: dict[str, bytes] = {}
    folders = [folder.path("")]
    while folders:
        for listed in folder.folder(folders.pop()):
            if listed.kind == "directory":
                folders.append(listed.path)
            else:
                inner = folder.inner(listed.path)
                assert inner is not None
                found[inner] = folder.read_any(listed.path, 0, listed.size) if listed.size else b""
    return found


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[holdfast.Repository]:
    with holdfast.init(tmp_path / "repo", password=PASSWORD, cache_dir=tmp_path / "cache") as repo:
        yield repo


def another(place: Place) -> Place:
    """A second place beside one."""
    base = place.location.rpartition("/")[0]
    return Place(f"{base}/{secrets.token_hex(6)}", place.options)


def test_a_folder_comes_back_in_another(repo: holdfast.Repository, place: Place) -> None:
    objects = {f"d{number % 3}/f{number}": b"%d" % number * 9 for number in range(20)}
    objects |= {"empty": b"", "deep/er/ü x+%20?versionId=1#2": b"odd", "d1.txt": b"beside d1"}
    objects["large"] = secrets.token_bytes(LARGE)
    source, target = opened(place), opened(other := another(place))
    try:
        for name, data in objects.items():
            write(source, name, data)
        first = repo.backup(place.location, source_options=place.options)
        assert (first.files_new, first.errors) == (len(objects), ())
        write(source, "d2/f2", b"changed")
        objects["d2/f2"] = b"changed"
        second = repo.backup(place.location, source_options=place.options)
        assert (second.files_new, second.files_changed, second.errors) == (0, 1, ())
        assert second.snapshot
        assert second.snapshot.parent == (first.snapshot and first.snapshot.id)
        assert second.data_added < LARGE
        folder = next(e.path for e in repo.walk("latest") if e.name == "large").rpartition("/")[0]
        result = repo.restore(
            f"latest:{folder}", other.location, target_options=other.options, verify=True
        )
        assert result.errors == ()
        assert contents(target) == objects
    finally:
        source.close()
        target.close()


@pytest.mark.parametrize("name", ["moto", "versity", "azurite", "fake-gcs"])
def test_a_whole_bucket(
    repo: holdfast.Repository, servers: Servers, tmp_path: Path, name: str
) -> None:
    """Also one in which there is nothing, but not one that there is not."""
    place = servers.get(name).place()
    bucket = place.location.rpartition("/")[0]
    empty = repo.backup(bucket, source_options=place.options)
    assert (empty.files_new, empty.errors) == (0, ())
    name = bucket.rpartition("/")[2]
    assert [entry.path for entry in repo.walk("latest")] == [f"/{name}"]
    repo.restore("latest", tmp_path / "restored")
    assert list((tmp_path / "restored").rglob("*")) == [tmp_path / "restored" / name]
    folder = opened(place)
    write(folder, "a", b"content")
    folder.close()
    full = repo.backup(bucket, source_options=place.options)
    assert (full.files_new, full.errors) == (1, ())
    with pytest.raises(holdfast.errors.SourceError, match=r"there is no (bucket|container)"):
        repo.backup(bucket + "-missing", source_options=place.options)
    again = repo.backup(bucket, source_options=place.options)
    assert (again.files_unmodified, again.errors) == (1, ())
    repo.restore(f"latest:/{name}/prefix", bucket, target_options=place.options)
    target = opened(Place(bucket, place.options))
    assert contents(target) == {"a": b"content", "prefix/a": b"content"}
    target.close()


def test_a_write_that_breaks_off_leaves_nothing(place: Place) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        yield bytes(size)
        raise ZeroDivisionError

    folder = opened(place)
    try:
        write(folder, "beside", b"1")
        with pytest.raises(ZeroDivisionError):
            folder.write(folder.path("half"), LARGE, pieces)
        assert contents(folder) == {"beside": b"1"}
    finally:
        folder.close()


@pytest.mark.parametrize(
    "count",
    [400, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])],
)
def test_only_what_has_changed_is_read(
    repo: holdfast.Repository, servers: Servers, tmp_path: Path, count: int
) -> None:
    changes, pages = count // 100, -(-count // 1000)
    server = servers.get("versity")  # which takes a tenth of the time that moto does
    assert isinstance(server, S3Server)
    place, other = server.place(), server.place()
    folder = opened(place)
    objects = {f"{number % 10}/{number}": b"%d" % number * 50 for number in range(count)}
    for name, data in objects.items():
        write(folder, name, data)
    with Proxy(server.address) as proxy:
        seen = proxy.place(place)

        def backup() -> tuple[holdfast.BackupResult, list[str]]:
            proxy.forget()
            result = repo.backup(place.location, source_options=seen.options)
            return result, [f"{each.method} {each.path}" for each in proxy.requests]

        first, requests = backup()
        assert first.files_new == count
        assert len(requests) == count + pages
        again, requests = backup()
        assert again.files_unmodified == count
        assert len(requests) == pages
        for number in range(0, count, 100):
            objects[name := f"{number % 10}/{number}"] = b"changed %d" % number
            write(folder, name, objects[name])
        changed, requests = backup()
    assert (changed.files_changed, changed.files_unmodified) == (changes, count - changes)
    assert len([each for each in requests if "list-type" not in each]) == changes
    assert len(requests) == changes + pages
    bucket = place.location.split("/")[2]
    result = repo.restore(f"latest:/{bucket}/prefix", other.location, target_options=other.options)
    assert (result.files_restored, result.errors) == (count, ())
    target = opened(other)
    assert contents(target) == objects
    repo.restore("latest", tmp_path / "local")
    assert (tmp_path / "local" / bucket / "prefix/0/0").read_bytes() == b"changed 0"
    folder.close()
    target.close()


def test_the_command_line(
    servers: Servers,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cli = Cli(tmp_path, capfd, monkeypatch)
    server = servers.get("moto")
    place, other = server.place(), server.place()
    folder = opened(place)
    write(folder, "good", b"good")
    write(folder, "sub/skipped.tmp", b"tmp")
    write(folder, "a//b", b"odd")
    cli.patch.setenv("HOLDFAST_SOURCE_STORAGE_OPTIONS", json.dumps(place.options))
    cli.patch.setenv("HOLDFAST_TARGET_STORAGE_OPTIONS", json.dumps(other.options))
    cli.repository()
    done = cli("create", "-s", place.location, "-x", "*.tmp")
    assert done.code == 3
    assert "its key has an empty component" in done.err
    assert cli.json("list").objects("snapshots")[0]["paths"] == [place.location]
    bucket = place.location.split("/")[2]
    (cli.folder / "link").symlink_to("nowhere")
    done = cli("restore", "-s", f"latest:/{bucket}/prefix", "-t", other.location)
    assert (done.code, "1 file restored" in done.out) == (0, True)
    target = opened(other)
    assert contents(target) == {"good": b"good"}
    assert cli("create", "link").code == 0
    done = cli("restore", "-t", other.location)
    assert done.code == 0
    assert "symlink: 1" in done.err
    for wrong in (["-s", place.location, "link"], ["-s", place.location, "-s", other.location]):
        assert cli("create", *wrong).code == 2
    assert cli("create", "link", "--source-storage-option", "key=x").code == 2
    assert cli("create", "-s", "s3://no-such-bucket-here/x").code == 1
    folder.close()
    target.close()


def folder_of(place: Place) -> Path:
    """The folder of this machine that a place on the SSH server is."""
    return Path("/", *place.location.split("/")[3:])


def test_a_restore_follows_no_links_out_of_its_target(
    repo: holdfast.Repository, servers: Servers, tmp_path: Path
) -> None:
    (tmp_path / "source/linked").mkdir(parents=True)
    (tmp_path / "source/plain/deep").mkdir(parents=True)
    (tmp_path / "source/linked/file").write_text("new")
    (tmp_path / "source/plain/deep/file").write_text("new")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("precious")
    repo.backup(tmp_path / "source")
    place = servers.get("sftp").place()
    target = folder_of(place)
    target.mkdir()
    (target / "linked").symlink_to(tmp_path / "outside")
    result = repo.restore(f"latest:{tmp_path}/source", place.location, target_options=place.options)
    assert (tmp_path / "outside/file").read_text() == "precious"
    assert (target / "plain/deep/file").read_text() == "new"
    (error,) = result.errors
    assert error.path == f"{tmp_path}/source/linked/file"
    assert "linked is a symbolic link" in error.message


def test_a_folder_that_is_renamed_while_it_is_read_is_no_empty_one(
    repo: holdfast.Repository, servers: Servers
) -> None:
    place = servers.get("sftp").place()
    folder = folder_of(place)
    for name in "abc":
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text(name)

    def rename(_: object) -> None:
        if folder.exists():
            folder.rename(folder.with_name("elsewhere"))

    with pytest.raises(holdfast.errors.SourceError, match="there is no such folder"):
        repo.backup(place.location, source_options=place.options, progress=rename)


@pytest.mark.fault(21)
@pytest.mark.parametrize("after", [0.0, 1.0], ids=["at once", "when it stalls"])
def test_a_stalled_connection_can_be_broken_off(servers: Servers, after: float) -> None:
    """Also one that is only being made."""
    place = servers.get("sftp").place()
    folder_of(place).mkdir()
    os.mkfifo(folder_of(place) / "pipe")  # whoever opens it waits for who writes
    folder = opened(place)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(folder.read_any, folder.path("pipe"), 0, 1)
        with pytest.raises(TimeoutError):
            reading.result(after)
        folder.stop()
        folder.close()
        with pytest.raises(RemoteFailure):
            reading.result(30)
