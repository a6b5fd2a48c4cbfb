"""Repairs and keys on every kind of store: what objects are lost there is told, and mended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.stores.repository import (
    MIB,
    PASSWORD,
    Contents,
    Site,
    expect_clean,
    made,
    make_passwords_cheap,
    noise,
)

import holdfast

if TYPE_CHECKING:
    from tests.servers.base import Place

FILES = 12


@pytest.fixture
def site(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    make_passwords_cheap(monkeypatch)
    site = Site(place)
    yield site
    site.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(FILES):
        (source / f"{number}").write_bytes(noise(MIB // 3, f"file {number}"))
    return source


def test_repairs(site: Site, source: Path, tmp_path: Path) -> None:
    whole = Contents.of(source)
    with site.init() as repo:
        first = made(repo.backup(source))
        tell = site.names("index/")
        for name in tell:
            site.objects.delete(name)
        assert not repo.check().valid
        assert len(repo.repair_index().indexed) == len(site.names("data/"))
        assert site.names("index/") == set()  # that was a dry run
        assert repo.repair_index(dry_run=False).changed
        expect_clean(repo)
        whole.expect_in(repo, first.id, tmp_path / "whole")

        lost = _largest_pack(site)
        site.objects.delete(lost)
        report = repo.check()
        assert {finding.object for finding in report.errors} == {lost}
        repairs = repo.repair_packs(dry_run=False)
        assert [each.pack for each in repairs.packs] == [lost]
        assert repairs.lost
        (repaired,) = repo.repair_snapshots(dry_run=False).snapshots
        assert repaired.snapshot == first.id
        assert repaired.new is not None
        assert 0 < repaired.lost < FILES
        left = {Path(path).name for path in whole.files} - {Path(p).name for p in repaired.paths}
        rest = Contents(source, {name: whole.files[name] for name in left})
        rest.expect_in(repo, repaired.new, tmp_path / "rest")

        again = made(repo.backup(source, force=True))
        whole.expect_in(repo, again.id, tmp_path / "again")
        repo.prune(max_unused="0")
        assert repo.repair_index(dry_run=False).missing == (lost,)
    with site.open() as repo:
        whole.expect_in(repo, first.id, tmp_path / "mended")  # the backup brought back the rest
        expect_clean(repo)


def _largest_pack(site: Site) -> str:
    """A pack of data: those of trees are small here."""
    return max(site.objects.list("data/"), key=lambda info: info.size).name


def test_a_damaged_pack_is_mended_from_a_copy(site: Site, source: Path, tmp_path: Path) -> None:
    other = site.beside()
    with site.init() as repo, other.init(like=repo) as near:
        first = made(repo.backup(source))
        assert len(repo.copy(near).copied) == 1
        pack = _largest_pack(site)
        data = bytearray(site.objects.get(pack))
        data[len(data) // 2] ^= 1
        site.objects.put(pack, data)
        report = repo.check(read_data=True)
        assert {finding.object for finding in report.errors} == {pack}
        repairs = repo.repair_packs(source=near, dry_run=False)
        assert repairs.lost == 0
        assert repairs.packs[0].supplied
        repo.prune(max_unused="0")
        assert pack not in site.names("data/")
        expect_clean(repo)
        Contents.of(source).expect_in(repo, first.id, tmp_path / "target")
    other.close()


def test_keys(site: Site, source: Path, tmp_path: Path) -> None:
    with site.init() as repo:
        first = made(repo.backup(source))
        recovery = repo.recovery_key()
        added = repo.add_key("another password", label="spare")
        assert len(site.names("keys/")) == len(repo.keys()) == 2
        with site.open("another password") as spare:
            used = [key.label for key in spare.keys() if key.in_use]  # noqa: SIM118 - no mapping
            assert used == ["spare"]
            with pytest.raises(holdfast.UsageError):
                spare.rotate_keys("another password")  # the first would be lost
        repo.remove_key(added.id)
        with pytest.raises(holdfast.WrongPassword):
            site.open("another password")
        assert (repo.sessions().sessions, repo.sessions().reclaims) == ((), ())

        rotated = repo.rotate_keys("a new password", drop_others=True)
        assert rotated.finished
        with pytest.raises(holdfast.WrongPassword):
            site.open(PASSWORD)
        with pytest.raises(holdfast.WrongPassword):
            site.open(None, recovery)
        recovery = repo.recovery_key()
        (source / "new").write_bytes(noise(MIB, "with new keys"))
        second = made(repo.backup(source))
    for name in site.names("keys/") | site.names("config/"):
        site.objects.delete(name)
    with site.open(None, recovery) as repo:
        Contents.of(source).expect_in(repo, second.id, tmp_path / "recovered")
        repo.restore_access(PASSWORD)
    with site.open() as repo:
        expect_clean(repo)
        assert [each.id for each in repo.snapshots()] == [first.id, second.id]
        made(repo.backup(os.fspath(source)))
