"""Snapshots made anew: what is left out, what stays as it was, and what becomes of the old ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import holdfast
from holdfast.backend import Backend, MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.model.snapshot import encode_snapshot
from holdfast.model.walk import walk
from holdfast.primitives.ids import PackName
from holdfast.testing.repositories import new_store, reopened


class Bench:
    """A repository with one snapshot of a small tree."""

    def __init__(self, top: Path) -> None:
        self.data = top / "data"
        self.place = top
        for name in ("keep/deep/a.txt", "keep/b.tmp", "secret/key", "secret/sub/other", "top.txt"):
            (self.data / name).parent.mkdir(parents=True, exist_ok=True)
            (self.data / name).write_text(f"content of {name} " * 200)
        (self.data / "link").symlink_to("top.txt")
        self.objects = MemoryBackend()
        self.repo = Repository(new_store(self.objects), SYSTEM_CLOCK)
        made = self.repo.backup(self.data, tags=["t"], label="l", description="d", host="h")
        assert made.snapshot is not None
        self.first = made.snapshot

    def names(self, repo: Repository, snapshot: str) -> set[str]:
        top = f"{self.data}/"
        return {
            each.path.removeprefix(top)
            for each in repo.walk(snapshot)
            if each.type != "dir" and each.path.startswith(top)
        }

    def commit(self, snapshot: holdfast.Snapshot) -> holdfast.Snapshot:
        """A snapshot as another program may have made it."""
        with self.repo._store.writer({}) as writer:
            made = replace(snapshot, id=writer.id)
            writer.commit(encode_snapshot(made))
        return made

    def trees(self, snapshot: holdfast.Snapshot) -> dict[str, object]:
        with self.repo._store.loader() as loader:
            top = f"{self.data}/"
            return {
                path.decode().removeprefix(top): node.payload
                for path, node in walk(snapshot.tree, loader)
            }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def one(result: holdfast.RewriteResult) -> holdfast.Snapshot:
    (done,) = result.snapshots
    assert done.snapshot is not None
    return done.snapshot


def listed(backend: Backend, prefix: str) -> list[str]:
    return sorted(info.name for info in backend.list(prefix))


EVERYTHING = {"keep/deep/a.txt", "keep/b.tmp", "secret/key", "secret/sub/other", "top.txt", "link"}


@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        (["secret"], {"secret/key", "secret/sub/other"}),
        (["*.tmp"], {"keep/b.tmp"}),
        (["{data}/secret/**"], {"secret/key", "secret/sub/other"}),
        (["{data}/keep/deep"], {"keep/deep/a.txt"}),
        (["*.t*", "!a.txt"], {"keep/b.tmp", "top.txt"}),
        (["link", "key"], {"link", "secret/key"}),
    ],
)
def test_what_matches_is_left_out(bench: Bench, patterns: list[str], gone: set[str]) -> None:
    exclude = [each.format(data=bench.data) for each in patterns]
    result = bench.repo.rewrite("latest", exclude=exclude)
    after = one(result)
    assert bench.names(bench.repo, after.id) == EVERYTHING - gone
    assert bench.names(bench.repo, bench.first.id) == EVERYTHING
    assert after.replaces == bench.first.id
    assert after.original is None
    assert after.excluded == tuple(exclude)
    assert result.snapshots[0].files_removed == len(gone - {"link"})
    summary = after.summary
    assert (summary.files_new, summary.files_changed) == (0, 0)
    assert summary.files == 5 - len(gone - {"link"})
    assert summary.bytes_processed == bench.first.summary.bytes_processed - (
        result.snapshots[0].bytes_removed
    )
    assert summary.others == (0 if "link" in gone else 1)
    assert bench.repo.check(read_data=True).valid


def test_unchanged_directories_keep_their_ids_and_no_data_is_stored(bench: Bench) -> None:
    before = listed(bench.objects, "data/")
    after = one(bench.repo.rewrite("latest", exclude="*.tmp"))
    old, new = bench.trees(bench.first), bench.trees(after)
    assert old["keep"] != new["keep"]
    assert old["keep/deep"] == new["keep/deep"]
    assert old["secret"] == new["secret"]
    assert len(listed(bench.objects, "data/")) == len(before) + 1, "one pack of trees"
    assert after.summary.data_added < 4000
    assert sum(map(len, new)) < sum(map(len, old))


def test_of_what_stays_as_it_is_nothing_is_told_to_be_gone(bench: Bench) -> None:
    (row,) = bench.repo.rewrite("latest", exclude="*.none").snapshots
    assert row.dict() == {
        "snapshot_id": bench.first.id,
        "new_snapshot_id": None,
        "changed": False,
        "files_removed": 0,
        "bytes_removed": 0,
        "forgotten": False,
        "kept": "",
    }


def test_metadata_is_changed_and_the_tree_stays(bench: Bench) -> None:
    when = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    after = one(
        bench.repo.rewrite(
            [bench.first.id], host="new", time=when, tags=["x", "y"], label="", description="more"
        )
    )
    assert after == bench.repo.snapshot(after.id)
    assert (after.host, after.time, after.tags) == ("new", when, ("x", "y"))
    assert (after.label, after.description) == ("", "more")
    assert (after.tree, after.paths) == (bench.first.tree, bench.first.paths)
    assert after.summary.files == bench.first.summary.files
    assert after.summary.data_added == 0
    assert after.how["started"] == bench.first.how["started"], "the next backup goes by this"


def test_a_later_time_hides_no_change_from_the_next_backup(bench: Bench) -> None:
    """A file that changed just after the backup is read, although its times are before the time."""
    later = datetime(2090, 1, 1, tzinfo=UTC)
    after = one(bench.repo.rewrite("latest", time=later))
    again = bench.repo.backup(bench.data, host="h", parent=after.id)
    assert again.files_unmodified == 5
    assert isinstance(after.how["started"], int)
    assert after.how["started"] < after.time_ns
    plain = bench.commit(replace(after, how={}, time_ns=bench.first.time_ns))
    again_after = one(bench.repo.rewrite(plain.id, time=later))
    assert again_after.how["started"] == bench.first.time_ns


def test_nothing_to_change_makes_nothing(bench: Bench) -> None:
    before = listed(bench.objects, "")
    for changes in ({"exclude": "no such name"}, {"host": "h"}, {"tags": "t"}, {"label": "l"}):
        (done,) = bench.repo.rewrite("latest", **changes, forget=True).snapshots  # type: ignore[arg-type]
        assert done.snapshot is None
        assert not done.forgotten
    assert listed(bench.objects, "") == before


def test_a_rewrite_that_was_done_is_not_done_again(bench: Bench) -> None:
    first = one(bench.repo.rewrite(bench.first.id, exclude="secret"))
    result = bench.repo.rewrite(bench.first.id, exclude="secret", forget=True)
    assert one(result).id == first.id
    assert result.snapshots[0].forgotten
    assert [each.id for each in bench.repo.snapshots()] == [first.id]


def test_a_dry_run_writes_nothing_and_tells_the_same(bench: Bench) -> None:
    before = listed(bench.objects, "")
    dry = bench.repo.rewrite(None, exclude="secret", forget=True, dry_run=True)
    assert listed(bench.objects, "") == before
    real = bench.repo.rewrite(None, exclude="secret")
    assert dry.dry_run
    assert dry.snapshots[0].files_removed == real.snapshots[0].files_removed == 2
    assert one(dry).tree == one(real).tree
    assert one(dry).summary.data_added == one(real).summary.data_added


def test_the_old_one_is_forgotten_when_asked(bench: Bench) -> None:
    result = bench.repo.rewrite("latest", exclude="secret", forget=True)
    assert result.snapshots[0].forgotten
    assert [each.id for each in bench.repo.snapshots()] == [one(result).id]
    assert listed(bench.objects, "forgotten/") == [f"forgotten/{bench.first.id}"]


def test_the_old_one_stays_while_it_is_held(bench: Bench) -> None:
    bench.repo.tag(bench.first.id, hold="evidence")
    result = bench.repo.rewrite("latest", exclude="secret", forget=True)
    (done,) = result.snapshots
    assert not done.forgotten
    assert "evidence" in done.kept
    assert {each.id for each in bench.repo.snapshots()} == {bench.first.id, one(result).id}


def test_the_old_one_stays_while_a_reclaim_is_in_progress(bench: Bench) -> None:
    store = bench.repo._store
    reclaim = store.reclaim({"kind": "prune"}, 1800.0)
    packs = set(listed(bench.objects, "data/"))
    reclaim.condemn([PackName(name.rpartition("/")[2]) for name in packs])
    result = bench.repo.rewrite("latest", exclude="secret", forget=True)
    (done,) = result.snapshots
    assert "prune" in done.kept
    assert {each.id for each in bench.repo.snapshots()} == {bench.first.id, one(result).id}
    for name in packs:
        bench.objects.delete(name)
    repo = Repository(reopened(bench.objects), SYSTEM_CLOCK)
    assert repo.check([one(result).id], read_data=True).valid, "it built upon what was condemned"


@pytest.mark.parametrize("pattern", ["*", "data", "a.txt\0"])
def test_a_rewrite_that_leaves_nothing_is_refused(bench: Bench, pattern: str) -> None:
    before = listed(bench.objects, "snapshots/")
    with pytest.raises(holdfast.UsageError):
        bench.repo.rewrite("latest", exclude=pattern, forget=True)
    assert listed(bench.objects, "snapshots/") == before
    assert listed(bench.objects, "sessions/") == []


def test_one_of_which_nothing_would_be_left_keeps_no_other_from_it(bench: Bench) -> None:
    (bench.place / "other").mkdir()
    (bench.place / "other/secret").write_text("nothing else")
    lone = bench.repo.backup(bench.place / "other", host="h").snapshot
    (bench.data / "new").write_text("new")
    last = bench.repo.backup(bench.data, host="h").snapshot
    assert lone is not None
    assert last is not None
    dry = bench.repo.rewrite(None, exclude="secret", forget=True, dry_run=True)
    result = bench.repo.rewrite(None, exclude="secret", forget=True)
    for told in (dry, result):
        assert [each.before.id for each in told.snapshots] == [bench.first.id, last.id]
        assert [each.snapshot for each in told.failures] == [lone.id]
    assert all(each.forgotten for each in result.snapshots)
    new = {each.snapshot.id for each in result.snapshots if each.snapshot}
    assert {each.id for each in bench.repo.snapshots()} == {lone.id, *new}
    message = str(result.failures[0].error)
    assert result.dict()["failures"] == [
        {"snapshot_id": lone.id, "type": "UsageError", "message": message}
    ]
    named = bench.repo.rewrite([lone.id, *new], exclude="new")
    assert len(named.snapshots) == 3
    with pytest.raises(holdfast.UsageError, match="forget the snapshot"):
        bench.repo.rewrite([lone.id, lone.id], exclude="secret")


def test_damaged_ones_are_told_of(bench: Bench) -> None:
    """Whoever removes a secret must know that it is still there."""
    (bench.data / "new").write_text("new")
    unreadable = bench.repo.backup(bench.data, host="h").snapshot
    packs = set(listed(bench.objects, "data/"))
    (bench.data / "lost").write_text("lost")
    lossy = bench.repo.backup(bench.data, host="h").snapshot
    lost = set(listed(bench.objects, "data/")) - packs
    assert unreadable is not None
    assert lossy is not None
    for name in (f"snapshots/{unreadable.id}", *lost):
        bench.objects.put(name, bytes(len(bench.objects.get(name))))
    repo = Repository(reopened(bench.objects), SYSTEM_CLOCK)
    result = repo.rewrite(None, exclude="secret", forget=True)
    assert [each.before.id for each in result.snapshots] == [bench.first.id]
    assert result.snapshots[0].forgotten
    assert [each.snapshot for each in result.failures] == [unreadable.id, lossy.id]
    assert all(isinstance(each.error, holdfast.DamagedRepository) for each in result.failures)
    for each in (unreadable, lossy):
        with pytest.raises(holdfast.DamagedRepository):
            repo.rewrite(each.id, exclude="secret")


def test_a_snapshot_that_is_named_twice_is_rewritten_once(bench: Bench) -> None:
    result = bench.repo.rewrite([bench.first.id, "latest"], host="x", forget=True)
    assert [each.id for each in bench.repo.snapshots()] == [one(result).id]
    assert result.snapshots[0].forgotten


def test_one_that_somebody_else_forgot_meanwhile_is_forgotten(bench: Bench) -> None:
    other = Repository(reopened(bench.objects), SYSTEM_CLOCK)

    def forget_it(event: holdfast.ProgressEvent) -> None:
        if event.percent == 100 and bench.first.id in {each.id for each in other.snapshots()}:
            other.forget(bench.first.id, force=True)

    result = bench.repo.rewrite("latest", exclude="secret", forget=True, progress=forget_it)
    assert result.snapshots[0].forgotten
    assert [each.id for each in bench.repo.snapshots()] == [one(result).id]


def test_without_a_change_it_is_refused(bench: Bench) -> None:
    with pytest.raises(holdfast.UsageError, match="nothing is to be changed"):
        bench.repo.rewrite("latest")
    with pytest.raises(holdfast.UsageError, match="before 1678"):
        bench.repo.rewrite("latest", time=datetime(1500, 1, 1, tzinfo=UTC))
    with pytest.raises(holdfast.SnapshotNotFound):
        bench.repo.rewrite("01234567", host="x")


def test_the_original_of_a_copy_stays_its_original(bench: Bench) -> None:
    target = Repository(new_store(), SYSTEM_CLOCK)
    bench.repo.copy(target)
    copied = target.snapshot("latest")
    after = one(target.rewrite("latest", exclude="secret"))
    assert after.original == bench.first.id
    assert after.replaces == copied.id
    assert bench.repo.copy(target).skipped == 1


@pytest.mark.parametrize("pattern", ["secret", "key"])
def test_a_rewritten_copy_is_not_taken_for_the_original(bench: Bench, pattern: str) -> None:
    """What was left out there must come again with the next snapshot."""
    target = Repository(new_store(), SYSTEM_CLOCK)
    bench.repo.copy(target)
    target.rewrite("latest", exclude=pattern, forget=True)
    (bench.data / "new").write_text("new")
    bench.repo.backup(bench.data, host="h")
    (copied,) = bench.repo.copy(target).copied
    assert copied.snapshot is not None
    assert bench.names(target, copied.snapshot.id) == EVERYTHING | {"new"}
