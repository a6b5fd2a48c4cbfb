"""Rows of the fault catalogue about the caller that no other module tries in full.

Row 15 for what a wrong password costs, row 43 for very many names of one file, row 50 for use after
`close` and in an event loop.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

import holdfast
from holdfast.backend import Faulty, MemoryBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import UsageError, WrongPassword
from holdfast.primitives.ids import random_name
from holdfast.store import open_store
from holdfast.store.slots import seal_slot
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, new_store

LINKS = 10_000


@pytest.mark.fault(15)
@pytest.mark.parametrize("password", ["wrong", "", "a password of the tests ", b"\xff\xfe", "\x00"])
def test_a_wrong_password_costs_one_derivation_a_slot_and_writes_nothing(
    password: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = MemoryBackend()
    store = new_store(objects)
    for other in ("another", "a third"):
        name = f"keys/{random_name()}"
        objects.put(name, seal_slot(name, store.keys, other, QUICK_KDF, 1))
    before = {info.name: objects.get(info.name) for info in objects.list("")}
    derived: list[int] = []

    def counted(**costs: int) -> Argon2id:
        derived.append(costs["memory_cost"])
        return Argon2id(**costs)  # type: ignore[arg-type]  # the salt is no number

    monkeypatch.setattr("holdfast.primitives.kdf.Argon2id", counted)
    watched = Faulty(objects, NoFault())
    with pytest.raises(WrongPassword):
        open_store(watched, password, SYSTEM_CLOCK, None)
    assert derived == [QUICK_KDF.memory] * 3
    assert {call.verb for call in watched.calls} <= {"get", "list", "stat"}
    assert {info.name: objects.get(info.name) for info in objects.list("")} == before


@pytest.mark.fault(43)
def test_a_file_of_very_many_names_is_one_file_again(tmp_path: Path) -> None:
    """Some of its names are outside the source, so it has more than are ever met."""
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "outside").write_bytes(b"content")
    try:
        for number in range(LINKS):
            os.link(tmp_path / "outside", source / str(number))
    except OSError as error:
        pytest.skip(f"this file system allows fewer links: {error.strerror}")
    repository = Repository(new_store(), SYSTEM_CLOCK)
    result = repository.backup(source)
    assert result.files_new == LINKS
    assert result.data_added < 3 << 20  # the directory; the content once
    restored = repository.restore(f"latest:{source}", tmp_path / "copy")
    assert restored.errors == ()
    copies = list((tmp_path / "copy").rglob("[0-9]*"))
    assert len(copies) == LINKS
    assert {path.stat().st_ino for path in copies} == {copies[0].stat().st_ino}
    assert copies[0].stat().st_nlink == LINKS
    assert copies[0].read_bytes() == b"content"


@pytest.fixture
def closed(tmp_path: Path) -> Repository:
    """A repository with a snapshot that was closed, twice."""
    (tmp_path / "file").write_bytes(b"content")
    repository = Repository(new_store(), SYSTEM_CLOCK)
    repository.backup(tmp_path)
    repository.close()
    repository.close()
    return repository


USES: dict[str, Callable[[Repository, Path], object]] = {
    "backup": lambda repo, place: repo.backup(place),
    "backup_stream": lambda repo, _: repo.backup_stream(io.BytesIO(b"x"), "name"),
    "check": lambda repo, _: repo.check(),
    "diff": lambda repo, _: list(repo.diff("latest", "latest")),
    "find": lambda repo, _: list(repo.find("*")),
    "forget": lambda repo, _: repo.forget("latest", force=True),
    "keys": lambda repo, _: repo.keys(),
    "listdir": lambda repo, _: repo.listdir("latest", "/"),
    "open_file": lambda repo, place: repo.open_file("latest", place / "file"),
    "prune": lambda repo, _: repo.prune(),
    "repair_index": lambda repo, _: repo.repair_index(),
    "restore": lambda repo, place: repo.restore("latest", place / "copy"),
    "snapshots": lambda repo, _: repo.snapshots(),
    "stats": lambda repo, _: repo.stats(),
    "tag": lambda repo, _: repo.tag("latest", add="x"),
    "walk": lambda repo, _: list(repo.walk("latest")),
}


@pytest.mark.fault(50)
@pytest.mark.parametrize("use", USES)
def test_what_was_closed_is_not_used(closed: Repository, tmp_path: Path, use: str) -> None:
    with pytest.raises(UsageError, match="closed"):
        USES[use](closed, tmp_path)
    assert not (tmp_path / "copy").exists()


@pytest.mark.fault(50)
def test_a_repository_in_a_store_of_fsspec_works_within_an_event_loop(tmp_path: Path) -> None:
    """Which such stores use too, in a thread of their own."""
    (tmp_path / "file").write_bytes(b"content")
    location = f"memory://loop-{tmp_path.name}"

    async def use() -> bytes:
        with holdfast.init(location, password=PASSWORD, cache=False) as repo:
            repo.backup(tmp_path)
            assert repo.check(read_data=True).valid
            assert repo.restore("latest", tmp_path / "copy").errors == ()
            with repo.open_file("latest", tmp_path / "file") as file:
                return file.read()

    assert asyncio.run(use()) == b"content"
