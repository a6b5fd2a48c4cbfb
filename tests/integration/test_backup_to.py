"""`backup_to` and `create -b A -b B`: one reading, several repositories, each with its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, VARIABLES, Cli
from tests.integration.compare import Comparison

import holdfast
from holdfast.backend import Backend, Fail, Faulty, MemoryBackend, open_backend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.progress import ProgressEvent
from holdfast.store import Settings, create_store
from holdfast.testing.repositories import QUICK_KDF, SETTINGS, attached

OTHER = "another password"


def repository(
    backend: Backend | None = None,
    *,
    password: str = PASSWORD,
    like: Repository | None = None,
    settings: Settings = SETTINGS,
) -> Repository:
    store = create_store(
        backend or MemoryBackend(),
        password,
        settings,
        QUICK_KDF,
        SYSTEM_CLOCK,
        None,
        None if like is None else like._store,
    )
    return Repository(store, SYSTEM_CLOCK)


def full(repo: Repository) -> Repository:
    """The same repository, of which no pack can be stored."""
    plan = Fail(
        lambda call: call.verb == "put" and call.name.startswith("data/"), holdfast.StorageFull
    )
    return Repository(attached(repo._store, Faulty(repo._store.backend, plan)), SYSTEM_CLOCK)


def assert_restores(repo: Repository, data: Path, target: Path) -> None:
    result = repo.restore("latest", target)
    assert not result.errors_total
    copy = os.fsencode(target) + os.fsencode(data)
    assert list(Comparison(os.fsencode(data), copy).differences()) == []
    assert repo.check(read_data=True).valid


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for number, size in enumerate((0, 100, 3000, 70_000, 900_000)):
        (data / f"sub/file{number}").write_bytes(os.urandom(size))
    os.link(data / "sub/file3", data / "link")
    (data / "symlink").symlink_to("sub/file1")
    return data


# The library


def test_each_has_the_snapshot_and_can_be_restored(data: Path, tmp_path: Path) -> None:
    first = repository()
    repos = [first, repository(password=OTHER, like=first), repository(password="third")]
    result = holdfast.backup_to(repos, data, tags="nightly", label="all")
    assert result.ok
    assert [each.repository for each in result.backups] == [each.location for each in repos]
    made = []
    for number, (repo, each) in enumerate(zip(repos, result.backups, strict=True)):
        assert each.result is not None
        assert each.result.snapshot == repo.snapshot("latest")
        assert each.result.files_new == 6
        made.append(repo.snapshot("latest"))
        assert_restores(repo, data, tmp_path / f"out{number}")
    assert {(each.tags, each.label, each.parent) for each in made} == {(("nightly",), "all", None)}
    assert made[0].tree == made[1].tree != made[2].tree
    assert len({each.group for each in made}) == 1
    assert made[0].group
    assert len({each.id for each in made}) == 3


def test_each_has_its_own_parent(data: Path) -> None:
    old, new = repository(), repository()
    parent = old.backup(data).snapshot
    assert parent is not None
    there, here = holdfast.backup_to([new, old], data, skip_if_unchanged=True).backups
    assert there.result is not None
    assert here.result is not None
    assert there.result.snapshot is not None
    assert here.result.snapshot is None  # nothing has changed, as far as it knows
    assert there.result.snapshot.parent is None
    again = holdfast.backup_to([new, old], data)
    parents = [each.result and each.result.snapshot for each in again.backups]
    assert [each and each.parent for each in parents] == [there.result.snapshot.id, parent.id]


def test_one_that_fails_is_reported_and_the_other_has_its_snapshot(
    data: Path, tmp_path: Path
) -> None:
    good, bad = repository(), repository()
    result = holdfast.backup_to([full(bad), good], data)
    assert not result.ok
    failed, done = result.backups
    assert failed.result is None
    assert isinstance(failed.error, holdfast.StorageFull)
    assert done.error is None
    assert_restores(good, data, tmp_path / "out")
    assert bad.snapshots() == []
    assert bad.sessions().sessions == ()
    assert holdfast.backup_to([bad, good], data).ok


def test_when_all_fail_each_has_its_error(data: Path) -> None:
    result = holdfast.backup_to([full(repository()), full(repository())], data)
    assert [type(each.error) for each in result.backups] == [holdfast.StorageFull] * 2
    assert not result.ok


def test_a_parent_that_one_does_not_have_is_the_failure_of_that_one(data: Path) -> None:
    old, new = repository(), repository()
    parent = old.backup(data).snapshot
    assert parent is not None
    result = holdfast.backup_to([old, new], data, parent=parent.id)
    assert result.backups[0].error is None
    assert isinstance(result.backups[1].error, holdfast.SnapshotNotFound)


def test_what_makes_no_sense_is_refused(data: Path, tmp_path: Path) -> None:
    repo = repository()
    with pytest.raises(holdfast.UsageError, match="named once"):
        holdfast.backup_to([repo, repo], data)
    with pytest.raises(holdfast.UsageError, match="named once"):
        holdfast.backup_to([], data)
    with pytest.raises(holdfast.UsageError, match="one repository at a time"):
        holdfast.backup_to([repo, repository()], "memory://place")
    with pytest.raises(holdfast.SourceError):
        holdfast.backup_to([repo, repository()], tmp_path / "absent")
    assert repo.snapshots() == []
    assert repo.sessions().sessions == ()


def test_a_dry_run_says_what_would_be_done(data: Path) -> None:
    repos = [repository(), repository()]
    result = holdfast.backup_to(repos, data, dry_run=True)
    assert result.ok
    for repo, each in zip(repos, result.backups, strict=True):
        assert each.result is not None
        assert (each.result.snapshot, each.result.files_new) == (None, 6)
        assert each.result.data_added > 900_000
        assert repo.snapshots() == []


def test_progress_is_one_series_for_all(data: Path) -> None:
    events: list[ProgressEvent] = []
    holdfast.backup_to([repository(), repository()], data, progress=events.append)
    assert events[-1].percent == 100
    assert events[-1].files == 7
    assert sum(each.percent == 100 for each in events) == 1


def test_a_source_item_that_cannot_be_read_is_in_the_result_of_each(
    data: Path, tmp_path: Path
) -> None:
    result = holdfast.backup_to([repository(), repository()], [data, tmp_path / "absent"])
    assert result.ok
    for each in result.backups:
        assert each.result is not None
        assert [error.path for error in each.result.errors] == [str(tmp_path / "absent")]


# The command


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capfd, monkeypatch)
    for name in VARIABLES:
        monkeypatch.delenv(name.replace("HOLDFAST_", "HOLDFAST_OTHER_"), raising=False)
    cli.repository("a", named=False)
    cli.environment(HOLDFAST_PASSWORD=PASSWORD)
    other = open_new(tmp_path / "b", OTHER)
    other.close()
    (tmp_path / "a.pw").write_text(PASSWORD)
    (tmp_path / "b.pw").write_text(OTHER)
    for name in ("a.pw", "b.pw"):
        (tmp_path / name).chmod(0o600)
    cli.tree()
    return cli


def open_new(path: Path, password: str) -> Repository:
    return repository(open_backend(path), password=password)


def snapshots(cli: Cli, name: str, password: str) -> list[holdfast.Snapshot]:
    with holdfast.open(cli.folder / name, password=password, cache=False) as repo:
        return repo.snapshots()


def test_create_in_two_with_a_password_file_for_each(cli: Cli) -> None:
    both = ("-b", "a", "-b", "b")
    done = cli("create", *both, "-p", "a.pw", "-p", "b.pw", "data", "-t", "x")
    assert (done.code, done.err) == (0, "")
    (one,), (two,) = snapshots(cli, "a", PASSWORD), snapshots(cli, "b", OTHER)
    assert f"a: snapshot {one.short_id} made" in done.out
    assert f"b: snapshot {two.short_id} made" in done.out
    assert one.tags == two.tags == ("x",)
    assert one.group == two.group is not None


def test_json_has_each(cli: Cli) -> None:
    cli.environment(HOLDFAST_OTHER_PASSWORD=OTHER)
    done = cli.json("create", "-b", "a", "-b", "b", "data")
    assert done.code == 0
    assert done.document["ok"] is True
    for each, name in zip(done.objects("backups"), ("a", "b"), strict=True):
        assert str(each["repository"]).endswith(name)
        assert each["error"] is None
        result = each["result"]
        assert isinstance(result, dict)
        assert result["files_new"] == 3


def test_a_password_is_not_tried_on_another_repository(cli: Cli) -> None:
    """That of the environment is the first one's; the others' has to be said."""
    done = cli("create", "-b", "a", "-b", "b", "data")
    assert done.code == 2
    assert "-p FILE once for each -b, or set HOLDFAST_OTHER_PASSWORD_FILE" in done.err
    assert snapshots(cli, "a", PASSWORD) == []
    cli.environment(HOLDFAST_OTHER_PASSWORD_FILE="b.pw")
    assert cli("create", "-b", "a", "-b", "b", "data").code == 0


def test_one_password_file_is_for_all(cli: Cli) -> None:
    open_new(cli.folder / "c", PASSWORD).close()
    assert cli("create", "-b", "a", "-b", "c", "-p", "a.pw", "data").code == 0
    assert len(snapshots(cli, "c", PASSWORD)) == 1


@pytest.mark.parametrize(
    ("location", "files", "code", "kind"),
    [
        ("absent", ("a.pw", "b.pw"), 10, "RepositoryNotFound"),
        ("b", ("a.pw", "a.pw"), 12, "WrongPassword"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_one_that_cannot_be_opened_does_not_stop_the_other(
    cli: Cli, location: str, files: tuple[str, str], code: int, kind: str, *, is_first: bool
) -> None:
    pairs = [("-b", "a", "-p", files[0]), ("-b", location, "-p", files[1])]
    if is_first:
        pairs.reverse()
    flags = [word for pair in pairs for word in pair]
    done = cli("create", *flags, "data")
    assert done.code == code
    assert f"holdfast: error: {location}: " in done.err
    assert len(snapshots(cli, "a", PASSWORD)) == 1
    told = cli.json("create", *flags, "data")
    assert told.code == code
    assert told.document["ok"] is False
    failed = told.objects("backups")[0 if is_first else 1]
    assert failed["repository"] == location
    assert failed["result"] is None
    error = failed["error"]
    assert isinstance(error, dict)
    assert error["type"] == kind


def test_when_none_can_be_opened_each_is_told(cli: Cli) -> None:
    done = cli("create", "-b", "x", "-b", "y", "-p", "a.pw", "data")
    assert done.code == 10
    assert "error: x: " in done.err
    assert "error: y: " in done.err


def test_a_source_item_that_cannot_be_read_is_told_once(cli: Cli) -> None:
    flags = ("-b", "a", "-b", "b", "-p", "a.pw", "-p", "b.pw")
    done = cli("create", *flags, "data", "absent")
    assert done.code == 3
    assert done.err.count("1 source item could not be read") == 1
    assert len(snapshots(cli, "b", OTHER)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-b", "a", "-b", "a", "-p", "a.pw", "data"), "each named once"),
        (("-b", "a", "-b", "b", "-p", "a.pw", "-p", "b.pw", "-p", "b.pw", "data"), "give -p once"),
        (("-b", "a", "-p", "a.pw", "-p", "b.pw", "data"), "-p makes sense several times only"),
        (("-b", "a", "-b", "b", "-p", "a.pw", "--stdin", "name"), "-b makes sense several times"),
        (("-b", "a", "-b", "b", "-p", "a.pw", "--source-storage-option", "x=1", "data"), "store"),
        (("-b", "a", "--other-storage-option", "x=1", "data"), "--other-storage-option makes no"),
        (("-b", "a", "-b", "b", "--recovery-key", "a.pw", "data"), "--recovery-key makes no sense"),
    ],
)
def test_what_makes_no_sense_on_the_command_line(
    cli: Cli, arguments: tuple[str, ...], message: str
) -> None:
    done = cli("create", *arguments)
    assert done.code == 2
    assert message in done.err
    assert snapshots(cli, "a", PASSWORD) == []
