"""File systems by URL and options: what they are opened with, and that nothing shows a secret."""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path

import fsspec
import pytest
from fsspec.core import url_to_fs

import holdfast
from holdfast.engine.protocol import HoldfastFileSystem
from holdfast.errors import SnapshotNotFound, UsageError, WrongPassword
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

PASSWORD = "correct horse battery staple"
DRIVER_SECRET = "the driver's secret"

Options = dict[str, object]


def opened(**options: object) -> HoldfastFileSystem:
    made: HoldfastFileSystem = fsspec.filesystem("holdfast", **options)
    return made


class World:
    def __init__(self, folder: Path) -> None:
        self.place = str(folder / "repo")
        self.file = folder / "password"
        self.file.write_text(PASSWORD)
        self.file.chmod(0o600)
        self.data = folder / "data"
        self.data.mkdir()
        (self.data / "file").write_bytes(b"content")
        with holdfast.init(self.place, password=PASSWORD, cache=False) as repo:
            repo.backup([self.data])
        self.path = f"latest{self.data}/file"
        self.by_file: Options = {
            "repository": self.place,
            "password_file": str(self.file),
            "cache": False,
        }
        self.by_password: Options = {
            "repository": self.place,
            "password": PASSWORD,
            "cache": False,
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
        return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without an installation nobody else says what the protocol is."""
    for name in ("REPOSITORY", "PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND", "STORAGE_OPTIONS"):
        monkeypatch.delenv(f"HOLDFAST_{name}", raising=False)
        monkeypatch.delenv(f"RESTIC_{name}", raising=False)
    fsspec.register_implementation("holdfast", HoldfastFileSystem, clobber=True)
    yield
    HoldfastFileSystem.clear_instance_cache()


def test_the_entry_point_is_installed() -> None:
    found = [
        point.load() for point in entry_points(group="fsspec.specs") if point.name == "holdfast"
    ]
    if not found:  # run from the source tree: what the package says of itself has to do
        text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
        assert 'holdfast = "holdfast.engine.protocol:HoldfastFileSystem"' in text
    assert all(each is HoldfastFileSystem for each in found)


def test_urls(world: World) -> None:
    for url in (f"holdfast://{world.path}", f"holdfast:///{world.path}"):
        with fsspec.open(url, **world.by_file) as file:
            assert file.read() == b"content"
        fs, path = url_to_fs(url, **world.by_file)
        assert path == world.path
        assert fs.unstrip_protocol(path) == f"holdfast://{world.path}"
        assert fs._parent(path) == f"latest{world.data}"
    fs, path = url_to_fs("holdfast://", **world.by_file)
    assert path == ""
    assert fs.ls(path, detail=False) == ["hosts", "ids", "latest", "tags", "times"]
    assert fs._parent("latest") == ""


# fsspec's cache of blocks leaves its file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["simplecache", "filecache", "blockcache"])
def test_chained_urls(world: World, tmp_path: Path, way: str) -> None:
    options = {way: {"cache_storage": str(tmp_path)}, "holdfast": world.by_file}
    for _ in range(2):
        with fsspec.open(f"{way}::holdfast://{world.path}", **options) as file:
            assert file.read() == b"content"


def test_one_snapshot(world: World) -> None:
    fs = fsspec.filesystem("holdfast", snapshot=f"latest:{world.data}", **world.by_file)
    assert fs.cat_file("file") == b"content"
    with pytest.raises(SnapshotNotFound):
        fsspec.filesystem("holdfast", snapshot="ffffffffffff", **world.by_file)


def test_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="HOLDFAST_REPOSITORY"):
        opened()
    monkeypatch.setenv("HOLDFAST_REPOSITORY", world.place)
    with pytest.raises(UsageError, match="no password"):
        opened()
    for name, value in (
        ("RESTIC_PASSWORD_FILE", str(world.file)),
        ("RESTIC_PASSWORD", PASSWORD),
        ("HOLDFAST_PASSWORD_COMMAND", f"cat {world.file}"),
        ("HOLDFAST_PASSWORD_FILE", str(world.file)),
        ("HOLDFAST_PASSWORD", PASSWORD),
    ):
        monkeypatch.setenv(name, value)
        fs = opened(cache=False)
        assert fs.cat_file(world.path) == b"content"
        assert PASSWORD not in repr(vars(fs))
        HoldfastFileSystem.clear_instance_cache()
    monkeypatch.setenv("HOLDFAST_PASSWORD", "wrong")
    with pytest.raises(WrongPassword):
        opened(cache_size=3)
    for number, text in enumerate(("{", "[" * 100_000)):
        monkeypatch.setenv("HOLDFAST_STORAGE_OPTIONS", text)
        with pytest.raises(UsageError, match="HOLDFAST_STORAGE_OPTIONS is no JSON"):
            opened(cache_size=4 + number)


def test_another_environment_or_directory_is_another_file_system(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (world.data / "file").write_text(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
            with holdfast.init(tmp_path / name / "repo", password=PASSWORD, cache=False) as repo:
                repo.backup([world.data])
    (world.data / "file").write_bytes(b"content")
    for name in ("one", "two", "one"):
        monkeypatch.setenv("HOLDFAST_REPOSITORY", str(tmp_path / name / "repo"))
        fs = opened(password=PASSWORD, cache=False)
        assert fs.cat_file(world.path) == name.encode()
        monkeypatch.chdir(tmp_path / name)
        fs = opened(repository="repo", password=PASSWORD, cache=False)
        assert fs.cat_file(world.path) == name.encode()
        assert opened(repository="repo", password=PASSWORD, cache=False) is fs


def test_options_that_make_no_sense(world: World) -> None:
    with pytest.raises(UsageError, match="no option pasword_file"):
        opened(pasword_file="x", **world.by_file)
    with pytest.raises(UsageError, match="several passwords"):
        opened(password="x", **world.by_file)
    with pytest.raises(UsageError, match="a password is text"):
        opened(repository=world.place, password=7)
    with pytest.raises(WrongPassword):
        opened(repository=world.place, password="wrong")
    ours = opened(asynchronous=True, use_listings_cache=False, **world.by_file)
    assert ours.cat_file(world.path) == b"content"


# Secrets


def test_no_secret_is_shown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fs = opened(**world.by_password, storage_options={"secret": DRIVER_SECRET})
    assert fs.cat_file(world.path) == b"content"
    with fs.open(world.path) as file:
        shown = [repr(fs), str(fs), repr(file), repr(fs.storage_options), repr(fs.storage_args)]
    shown += [fs._fs_token, str(hash(fs)), str(fs.__dask_tokenize__()), fs.fsid, repr(vars(fs))]
    shown += [repr(list(HoldfastFileSystem._cache.items())), caplog.text]
    for use in (fs.to_json, fs.to_dict, lambda: pickle.dumps(fs)):
        with pytest.raises(UsageError) as told:
            use()
        shown.append(repr(told.value))
    for text in shown:
        assert PASSWORD not in text
        assert DRIVER_SECRET not in text


def test_a_token_says_nothing_of_a_password_to_whoever_guesses(world: World) -> None:
    options = {**world.by_password, "password": PASSWORD}
    ours = opened(**world.by_password)._fs_token
    for pid in (os.getpid(),):
        for args in ((), (PASSWORD,)):
            guess = fsspec.utils.tokenize(HoldfastFileSystem, pid, *args, **options)
            assert guess != ours


def test_another_password_is_another_file_system(world: World) -> None:
    first = opened(**world.by_password)
    assert opened(**world.by_password) is first
    with pytest.raises(WrongPassword):
        opened(**{**world.by_password, "password": "wrong"})
    assert opened(**world.by_file) is not first


def test_threads_share_the_repository(world: World) -> None:
    first = opened(**world.by_file)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: opened(**world.by_file)).result()
    assert other is not first
    assert other.view._store is first.view._store
    del first, other
    HoldfastFileSystem.clear_instance_cache()
    gc.collect()


# Other processes


def test_pickled_by_reference_it_opens_again(world: World) -> None:
    fs = opened(**world.by_file, storage_options={})
    data = pickle.dumps(fs)
    assert PASSWORD.encode() not in data
    HoldfastFileSystem.clear_instance_cache()
    again = pickle.loads(data)  # noqa: S301 - our own
    assert again is not fs
    assert again.cat_file(world.path) == b"content"


def test_written_down_by_reference_it_opens_again(world: World) -> None:
    fs = opened(**world.by_file)
    assert json.loads(fs.to_json())["password_file"] == str(world.file)
    assert fsspec.AbstractFileSystem.from_json(fs.to_json()).cat_file(world.path) == b"content"
    hidden = opened(**world.by_password)
    assert "password" not in hidden.to_dict(include_password=False)
    with pytest.raises(UsageError, match="password cannot be written down"):
        hidden.to_dict()


def test_a_password_is_sent_nowhere(world: World) -> None:
    with pytest.raises(UsageError, match="give password_file or password_command"):
        pickle.dumps(opened(**world.by_password))


def _read(fs: HoldfastFileSystem, path: str, pipe: object) -> None:
    pipe.send(fs.cat_file(path))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_opens_the_repository_again(world: World) -> None:
    fs = opened(**world.by_password)
    assert fs.cat_file(world.path) == b"content"
    file = fs.open(world.path)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_read, args=(fs, world.path, theirs))
    child.start()
    try:
        assert ours.poll(60)
        assert ours.recv() == b"content"
    finally:
        child.join()
    assert file.read() == b"content"
