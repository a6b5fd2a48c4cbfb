"""Stores that cannot create an object only where there is none: usable, and never trusted.

S3 and its like have conditional writes; these stores stand for those that have none. They are
made of fsspec's memory, and differ in how it shows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from tests.servers.base import Place
from tests.stores.repository import (
    MIB,
    Contents,
    Site,
    expect_clean,
    made,
    make_passwords_cheap,
    noise,
)

import holdfast
from holdfast.backend import drivers
from holdfast.backend.drivers import UnconditionalError
from holdfast.backend.drivers.driver import Driver
from holdfast.overrides import override


class ForeignFileSystem(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """What an application may have registered with fsspec; nothing is known of it."""

    protocol = "foreign"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("foreign://")))


class Overwriting(Driver):
    """A store that takes no notice of conditions."""

    names: ClassVar[Mapping[str, str]] = {"overwriting": "memory"}

    @override
    def create(self, path: str, data: bytes) -> None:
        self.put(path, data)


class Refusing(Driver):
    """A store that says that it does not know conditions."""

    names: ClassVar[Mapping[str, str]] = {"refusing": "memory"}

    @override
    def create(self, path: str, data: bytes) -> None:
        raise UnconditionalError(path, f"{len(data)} bytes under a condition: not implemented")


@pytest.fixture(params=["foreign", "overwriting", "refusing"])
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setitem(drivers._CLASSES, "overwriting", Overwriting)
    monkeypatch.setitem(drivers._CLASSES, "refusing", Refusing)
    monkeypatch.delitem(_registry, "foreign", raising=False)  # put back what was there
    fsspec.register_implementation("foreign", ForeignFileSystem, clobber=True)
    make_passwords_cheap(monkeypatch)
    site = Site(Place(f"{request.param}://{secrets.token_hex(8)}/prefix", {}))
    yield site
    site.close()


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(6):
        (source / f"{number}").write_bytes(noise(MIB // 2, f"{number}"))
    return Contents.of(source)


def test_all_but_an_unattended_prune(site: Site, contents: Contents, tmp_path: Path) -> None:
    with site.init() as repo:
        assert repo._store.backend.capabilities().put_if_absent is False
        with pytest.raises(holdfast.RepositoryExists):
            site.init()
        first = made(repo.backup(contents.source))
        contents.expect_in(repo, first.id, tmp_path / "first")
        (contents.source / "0").unlink()
        rest = Contents.of(contents.source)
        second = made(repo.backup(contents.source))
        repo.tag(second.id, add="second")
        repo.forget(first.id)
    with site.open() as repo:
        before = site.names("")
        with pytest.raises(holdfast.UsageError, match="--no-other-writers"):
            repo.prune(max_unused="0")
        assert site.names("") == before
        assert repo.prune(max_unused="0", dry_run=True).unused > MIB // 4
        pruned = repo.prune(max_unused="0", no_other_writers=True)
        assert pruned.packs_deleted
        assert pruned.packs_pending == 0
        assert site.names("gc/") == site.names("sessions/") == set()
        rest.expect_in(repo, second.id, tmp_path / "second")
        third = made(repo.backup(contents.source))
        assert [each.id for each in repo.snapshots(tags="second")] == [second.id]
    with site.open() as repo:
        rest.expect_in(repo, third.id, tmp_path / "third")
        expect_clean(repo)
