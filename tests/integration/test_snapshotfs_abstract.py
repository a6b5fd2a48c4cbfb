"""fsspec's own tests of a file system, as far as they are about reading.

They make their files by the file system that they test. Ours cannot: `FromBackups` makes them in
a directory, and backs that up before it is looked at.
"""

from __future__ import annotations

import inspect
import posixpath
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fsspec.tests import abstract

import holdfast
from holdfast.engine.snapshotfs import View
from holdfast.engine.snapshotfs.filesystem import SnapshotFileSystem
from holdfast.overrides import override
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

PASSWORD = "a long password"

NOT_ABOUT_READING = {
    "AbstractCopyTests": "copies within the file system",
    "AbstractPutTests": "stores local files",
    "AbstractOpenTests": "opens for writing, to see that `x` replaces nothing",
    "AbstractPipeTests": "stores bytes, to see that `create` replaces nothing",
}


class FromBackups(SnapshotFileSystem):
    """The newest snapshot of a directory, in which a test makes its files.

    Paths are ``latest`` and the directory's own.
    """

    def __init__(self, repository: holdfast.Repository, source: Path) -> None:
        self._repository = repository
        self._source = source
        self._is_changed = True
        super().__init__(repository)

    @property
    @override
    def view(self) -> View:
        if self._is_changed:
            self._is_changed = False
            self._repository.backup([self._source])
            super().view.refresh()
        return super().view

    def _made(self, path: str) -> Path:
        self._is_changed = True
        made = Path(path.removeprefix("latest"))
        made.parent.mkdir(parents=True, exist_ok=True)
        return made

    @override
    def mkdir(  # type: ignore[override]  # snapshots refuse it
        self, path: str
    ) -> None:
        self._made(path).mkdir()

    @override
    def makedirs(  # type: ignore[override]  # snapshots refuse it
        self, path: str
    ) -> None:
        self._made(path).mkdir(parents=True)

    @override
    def touch(  # type: ignore[override]  # snapshots refuse it
        self, path: str
    ) -> None:
        self._made(path).touch()

    @override
    def pipe(  # type: ignore[override]  # snapshots refuse it
        self, path: str, value: bytes
    ) -> None:
        self._made(path).write_bytes(value)

    @override
    def rm(  # type: ignore[override]  # snapshots refuse it
        self, path: str, *, recursive: bool
    ) -> None:
        assert recursive
        shutil.rmtree(self._made(path))


def _repositories(folder: Path, servers: Callable[[], Servers], kind: str) -> holdfast.Repository:
    location = str(folder / "repo")
    options: dict[str, object] = {}
    if kind != "local":
        location, options = servers().get(kind).place()
    return holdfast.init(
        location, password=PASSWORD, storage_options=options, cache_dir=folder / "cache"
    )


@pytest.fixture(
    scope="module", params=["local", pytest.param("versity", marks=pytest.mark.servers)]
)
def repository(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[holdfast.Repository]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
        folder = tmp_path_factory.mktemp("place")
        with _repositories(
            folder, lambda: request.getfixturevalue("servers"), request.param
        ) as made:
            yield made


class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]  # fsspec has no types
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        (tmp_path / "source of a backup").mkdir()
        return tmp_path / "source of a backup"

    @pytest.fixture
    def fs(self, repository: holdfast.Repository, source: Path) -> FromBackups:
        return FromBackups(repository, source)

    @pytest.fixture
    def fs_path(self, source: Path) -> str:
        return f"latest{source}"

    @pytest.fixture
    def fs_join(self) -> object:
        return posixpath.join


class TestGet(abstract.AbstractGetTests, Fixtures):  # type: ignore[misc]  # fsspec has no types
    """All of them."""


def test_no_other_tests_are_about_reading() -> None:
    groups = {
        name: group
        for name, group in inspect.getmembers(abstract, inspect.isclass)
        if name.startswith("Abstract") and name.endswith("Tests")
    }
    assert groups.keys() == {"AbstractGetTests", *NOT_ABOUT_READING}
    for name in NOT_ABOUT_READING:
        tests = [test for test in vars(groups[name]) if test.startswith("test_")]
        writing = ("copy", "put", "open_exclusive", "pipe_exclusive")
        assert all(test.removeprefix("test_").startswith(writing) for test in tests), name
