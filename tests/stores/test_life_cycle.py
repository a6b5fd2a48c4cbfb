"""The engine from end to end on every kind of store: what was backed up is what comes back.

`tests.stores` uses the public API only, and looks at the objects beside it. The same is done in
more ways, and faster, on disks and in memory in `tests.faults` and `tests.integration`; here it
has to hold in S3, Azure, Google, SFTP and fsspec's memory just so.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.stores.repository import (
    MIB,
    Site,
    change_tree,
    expect_clean,
    expect_equal,
    made,
    make_passwords_cheap,
    make_tree,
    noise,
    restored,
)

import holdfast

if TYPE_CHECKING:
    from tests.servers.base import Place


@pytest.fixture
def site(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    make_passwords_cheap(monkeypatch)
    site = Site(place, tmp_path / "cache")
    yield site
    site.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "source")


def test_backups_of_a_tree(site: Site, source: Path, tmp_path: Path) -> None:
    with site.init() as repo:
        with pytest.raises(holdfast.RepositoryExists):
            site.init()
        first = made(repo.backup(source, tags="first"))
        before = restored(repo, first.id, source, tmp_path / "one")
        change_tree(source)
        result = repo.backup(source)
        second = made(result)
        assert (result.files_new, result.files_changed) == (2, 3)
        assert MIB < result.data_stored < 2 * MIB
        assert repo.backup(source).data_stored < 10_000
    with site.open() as repo:  # a process that has not written any of it
        assert [each.id for each in repo.snapshots()][:2] == [first.id, second.id]
        assert [each.id for each in repo.snapshots(tags="first")] == [first.id]
        restored(repo, second.id, source, tmp_path / "two")
        assert repo.restore(f"{first.id}:{source.parent}", tmp_path / "again").errors == ()
        expect_equal(before / source.name, tmp_path / "again" / source.name)
        assert repo.verify_restore(f"{second.id}:{source}", source).errors == ()
        expect_to_see_into(repo, source, first.id, second.id)
        expect_clean(repo)


def expect_to_see_into(repo: holdfast.Repository, source: Path, first: str, second: str) -> None:
    """All that only reads gives the truth."""
    kinds = {Path(each.path).name: str(each.kind) for each in repo.diff(first, second)}
    assert kinds["new"] == kinds["moved"] == "added"
    assert kinds["0"] == kinds["large"] == "modified"
    assert kinds["1"] == kinds["2"] == "removed"
    assert kinds["empty"] == "metadata"
    assert {each.entry.path for each in repo.find("larg*")} == {
        f"{source}/deep/er/and/deeper/large"
    }
    listed = {each.name for each in repo.listdir("latest", source)}
    assert listed == {path.name for path in source.iterdir()}
    walked = sum(1 for _ in repo.walk("latest", source))
    assert walked == sum(1 for _ in source.rglob("*"))
    large = source / "deep/er/and/deeper/large"
    with repo.open_file(second, large) as file:
        file.seek(-1000, os.SEEK_END)
        assert file.read() == noise(MIB, "more")[-1000:]
    dumped = io.BytesIO()
    repo.dump(second, large, dumped)
    assert dumped.getvalue() == large.read_bytes()
    archive = io.BytesIO()
    repo.dump(second, source / "deep", archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        assert {Path(member.name).name for member in tar} >= {"deep", "0", "39", "large"}
    assert repo.stats().dedup_ratio > 1


def test_what_is_forgotten_goes_and_the_rest_stays(
    site: Site, source: Path, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    passing = source / "passing"
    with site.init() as repo:
        for days in (3, 2, 1):
            passing.write_bytes(noise(2 * MIB, f"{days} days ago"))
            made(repo.backup(source, time=now - timedelta(days=days)))
        passing.unlink()
        last = made(repo.backup(source))
        held = repo.snapshots()[1]
        repo.tag(held.id, add="good", hold="an audit")
        assert repo.snapshot(held.id).tags == ("good",)
        forgotten = repo.forget(policy="keep-last:1").removed
        assert len(forgotten) == 2
        assert [each.id for each in repo.snapshots()] == [held.id, last.id]
        back = repo.undelete(forgotten[0])
        assert back.original == forgotten[0]
        packs = site.names("data/")
        assert repo.prune(max_unused="0", dry_run=True).packs_unneeded
        pruned = repo.prune(max_unused="0")
        assert pruned.packs_deleted
        assert pruned.packs_pending == 0
        assert pruned.bytes_freed > MIB
        assert len(site.names("data/")) < len(packs)
        assert len(packs - site.names("data/")) == pruned.packs_deleted
        assert site.names("gc/") == site.names("sessions/") == set()
        with pytest.raises(holdfast.SnapshotNotFound):
            repo.undelete(forgotten[1])
        expect_clean(repo)
    with site.open() as repo:
        expect_clean(repo)
        assert repo.prune(max_unused="0", dry_run=True).unused == 0
        restored(repo, last.id, source, tmp_path / "last")
        for days, snapshot in ((3, back), (2, held)):
            passing.write_bytes(noise(2 * MIB, f"{days} days ago"))
            with repo.open_file(snapshot.id, passing) as file:
                assert file.read() == passing.read_bytes()


def test_copies(site: Site, source: Path, tmp_path: Path) -> None:
    other = site.beside()
    with (
        site.init() as repo,
        other.init(like=repo) as near,
        holdfast.init(tmp_path / "local", password="another", cache=False) as local,
    ):
        first = made(repo.backup(source, tags="copied"))
        (source / "secret").write_bytes(noise(MIB, "secret"))
        made(repo.backup(source))
        assert len(repo.copy([near, local]).copied) == 4
        assert repo.copy([near, local]).skipped == 4
        for number, target in enumerate((near, local)):
            copies = target.snapshots()
            assert copies[0].original == first.id
            assert copies[0].tags == ("copied",)
            restored(target, copies[1].id, source, tmp_path / f"copy {number}")
        assert len(local.copy(repo).copied) == 0  # they are its own
        # Which folder begins with which other's name makes no difference.
        assert {name.partition("/")[0] for name in other.names("")} <= {
            name.partition("/")[0] for name in site.names("")
        }
        assert site.names("snapshots/").isdisjoint(other.names("snapshots/"))

        rewritten = repo.rewrite(["latest"], exclude="secret", forget=True)
        assert [each.files_removed for each in rewritten.snapshots] == [1]
        assert repo.prune(max_unused="0").packs_deleted
        assert list(repo.find("secret")) == []
        (source / "secret").unlink()
        newest = repo.snapshots()[-1]
        assert newest.id != first.id
        assert repo.restore(f"{newest.id}:{source.parent}", tmp_path / "without").errors == ()
        expect_clean(repo)
    with other.open() as near:
        expect_clean(near)
        assert [Path(each.entry.path).name for each in near.find("secret")] == ["secret"]
    other.close()
