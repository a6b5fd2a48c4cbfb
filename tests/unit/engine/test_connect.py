"""Making and opening repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import holdfast
from holdfast.engine.connect import compression_level

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "a long password"


@pytest.mark.parametrize(
    ("given", "level"), [("auto", 3), ("max", 19), ("off", 0), ("7", 7), (0, 0), (22, 22)]
)
def test_compression_has_names_and_levels(given: str | int, level: int) -> None:
    assert compression_level(given) == level


@pytest.mark.parametrize("given", ["best", "-1", "", "²", -1, 23])
def test_other_compression_is_refused(given: str | int) -> None:
    with pytest.raises(holdfast.UsageError, match="compression"):
        compression_level(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encryption": "ROT13"}, "ROT13"),
        ({"pack_size": 1}, "1 to 96 MiB"),
        ({"pack_size": 1 << 30}, "1 to 96 MiB"),
        ({"kdf": "weak"}, "default or strong"),
        ({"chunker": "fixed"}, "default, database, large, fastcdc"),
    ],
)
def test_settings_that_make_no_sense_leave_nothing_behind(
    tmp_path: Path, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(holdfast.UsageError, match=message):
        holdfast.init(tmp_path / "repo", password=PASSWORD, cache=False, **arguments)  # type: ignore[arg-type] # wrong on purpose
    assert not (tmp_path / "repo").exists()


def test_settings_are_found_again(tmp_path: Path) -> None:
    made = holdfast.init(
        tmp_path / "repo",
        password=PASSWORD,
        compression="max",
        pack_size=32 << 20,
        chunker="database",
        cache=False,
    )
    with holdfast.open(tmp_path / "repo", password=PASSWORD, cache=False) as repo:
        assert repo.id == made.id
        assert repo._store.settings == made._store.settings
        assert repo._store.settings.chunker.avg_size == 64 << 10
        assert str(tmp_path / "repo") in repr(repo)
        assert PASSWORD not in repr(repo)


def test_a_repository_is_not_made_twice(tmp_path: Path) -> None:
    holdfast.init(tmp_path, password=PASSWORD, cache=False)
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(holdfast.RepositoryExists, match="already"):
        holdfast.init(tmp_path, password="another", cache=False)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


def test_nothing_there_is_said_so_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(holdfast.RepositoryNotFound, match="holdfast init"):
        holdfast.open(tmp_path / "absent", password=PASSWORD, cache=False)
    assert not (tmp_path / "absent").exists()


@pytest.mark.fault(15)
def test_a_wrong_password_is_told_from_damage(tmp_path: Path) -> None:
    holdfast.init(tmp_path, password=PASSWORD, cache=False)
    with pytest.raises(holdfast.WrongPassword):
        holdfast.open(tmp_path, password="wrong", cache=False)


@pytest.mark.fault(15)
def test_one_password_typed_on_two_systems_is_the_same(tmp_path: Path) -> None:
    holdfast.init(tmp_path, password="naïve", cache=False)
    with holdfast.open(tmp_path, password="nai\u0308ve", cache=False) as repo:
        assert repo.snapshots() == []


@pytest.mark.parametrize("verb", ["open", "init"])
def test_a_restic_repository_is_named_as_one(tmp_path: Path, verb: str) -> None:
    (tmp_path / "config").write_bytes(b"\x00" * 100)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / ("3f" * 32)).write_bytes(b"{}")
    with pytest.raises(holdfast.UnsupportedRepository, match="restic"):
        getattr(holdfast, verb)(tmp_path, password=PASSWORD, cache=False)


def test_without_config_the_loss_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with holdfast.init(tmp_path / "repo", password=PASSWORD, cache=False) as repo:
        repo.backup(tmp_path / "data")
    (tmp_path / "repo/config/0").unlink()
    with pytest.raises(holdfast.DamagedRepository, match="config/0"):
        holdfast.open(tmp_path / "repo", password=PASSWORD, cache=False)


def test_without_any_slot_the_loss_is_named(tmp_path: Path) -> None:
    holdfast.init(tmp_path, password=PASSWORD, cache=False)
    for slot in (tmp_path / "keys").iterdir():
        slot.unlink()
    with pytest.raises(holdfast.DamagedRepository, match="key slot"):
        holdfast.open(tmp_path, password=PASSWORD, cache=False)


def test_the_cache_lies_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    repo = holdfast.init(tmp_path / "repo", password=PASSWORD, cache_dir=tmp_path / "cache")
    repo.backup(tmp_path / "data")
    holdfast.open(tmp_path / "repo", password=PASSWORD, cache_dir=tmp_path / "cache").check()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [repo.id]


@pytest.mark.parametrize(("size", "kept"), [(None, True), (1 << 20, True), (0, False)])
def test_metadata_of_a_repository_elsewhere_is_cached(
    tmp_path: Path, size: int | None, kept: bool
) -> None:
    where, cache = f"memory://{tmp_path.name}/repo", tmp_path / "cache"
    (tmp_path / "file").write_bytes(b"content")
    with holdfast.init(where, password=PASSWORD, cache_dir=cache, cache_size=size) as repo:
        repo.backup(tmp_path / "file")
    with holdfast.open(where, password=PASSWORD, cache_dir=cache, cache_size=size) as repo:
        assert len(repo.snapshots()) == 1
    assert bool(list(cache.rglob("metadata/*"))) == kept


def test_a_cache_of_less_than_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(holdfast.UsageError, match="a cache of -1 bytes"):
        holdfast.open(tmp_path, password=PASSWORD, cache_dir=tmp_path, cache_size=-1)
