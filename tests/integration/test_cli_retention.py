"""``forget``, ``undelete``, ``tag`` and ``create --protect``: flags, text and JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capfd, monkeypatch)
    cli.repository()
    cli.tree()
    return cli


def create(cli: Cli, day: int, *flags: str) -> str:
    """A snapshot of a day of January 2024."""
    done = cli.json("create", "data", "--time", f"2024-01-{day:02}T12:00:00+00:00", *flags)
    assert done.code == 0, done.err
    return str(done.document["snapshot_id"])


def ids(cli: Cli) -> list[str]:
    with cli.library() as repo:
        return [each.id for each in repo.snapshots()]


def test_a_dry_run_shows_per_group_what_goes_what_stays_and_why(cli: Cli) -> None:
    made = [create(cli, day, "-t", "daily") for day in range(1, 5)]
    create(cli, 9, "--host", "other")
    done = cli("forget", "-r", "keep-last:1,keep-weekly:2", "--dry-run")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert f"paths {cli.folder / 'data'}" in lines[0]
    rows = {line.split()[0]: line for line in lines if line[:8] in {each[:8] for each in made}}
    assert "keep" in rows[made[3][:8]]
    assert "last snapshot, weekly snapshot" in rows[made[3][:8]]
    assert "oldest weekly snapshot" in rows[made[0][:8]]
    assert "remove" in rows[made[1][:8]]
    assert "host other" in done.out
    assert lines[-1].startswith("dry run: 2 snapshots would be removed, ")
    assert lines[-1].endswith(" would come back by a prune")
    assert len(ids(cli)) == 5


def test_forget_by_a_policy_and_what_it_says(cli: Cli) -> None:
    made = [create(cli, day) for day in range(1, 5)]
    done = cli("forget", "-r", "keep-last:2")
    assert done.code == 0
    assert "2 snapshots removed" in done.out
    assert "holdfast undelete" in done.out
    assert ids(cli) == made[2:]
    quiet = cli("-q", "forget", "-r", "keep-last:1")
    assert "removed\n" not in quiet.out.splitlines()[-1]


def test_forget_as_json(cli: Cli) -> None:
    made = [create(cli, day) for day in range(1, 4)]
    done = cli.json("forget", "-r", "keep-last:1", "--dry-run")
    document = done.document
    assert document["dry_run"] is True
    assert document["removed"] == made[:2]
    assert (document["lost"], document["passed_over"]) == ([], [])
    with cli.library() as repo:
        assert document["bytes"] == repo.forget(policy="keep-last:1", dry_run=True).bytes
    (group,) = done.objects("groups")
    assert group["paths"] == [str(cli.folder / "data")]
    decisions = group["decisions"]
    assert isinstance(decisions, list)
    assert [each["keep"] for each in decisions] == [True, False, False]
    assert decisions[0]["reasons"] == ["last snapshot"]
    assert decisions[0]["snapshot"]["id"] == made[2]
    document = cli.json("forget", "-r", "keep-last:1").document
    assert (document["dry_run"], document["bytes"]) == (False, None)
    assert ids(cli) == made[2:]


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (("--keep-last", "2"), [3, 4]),
        (("--keep-daily", "1"), [4]),
        (("--keep-daily", "unlimited"), [1, 2, 3, 4]),
        (("--keep-weekly", "1"), [4]),
        (("--keep-hourly", "2", "--keep-monthly", "1", "--keep-yearly", "1"), [3, 4]),
        (("--keep-within", "2d"), [3, 4]),
        (("--keep-within-daily", "2d"), [3, 4]),
        (("--keep-within-hourly", "1d", "--keep-within-weekly", "1d"), [4]),
        (("--keep-within-monthly", "1d", "--keep-within-yearly", "1d"), [4]),
        (("--keep-tag", "a,b"), [2]),
        (("--keep-tag", "a", "--keep-tag", "c"), [1, 2, 3]),
        (("-r", "gfs"), [1, 2, 3, 4]),
        (("-r", "keep-last:1,keep-within:2d"), [3, 4]),
    ],
)
def test_every_rule_has_a_flag(cli: Cli, flags: tuple[str, ...], kept: list[int]) -> None:
    tags = {1: ("a",), 2: ("a", "b"), 3: ("c",), 4: ()}
    made = {
        create(cli, day, *(flag for tag in tags[day] for flag in ("-t", tag))): day for day in tags
    }
    done = cli.json("forget", *flags, "--dry-run")
    assert done.code == 0, done.err
    removed = done.document["removed"]
    assert isinstance(removed, list)
    assert [day for id_, day in made.items() if id_ not in removed] == kept


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), "nothing says what to forget"),
        (("-r", "keep-dayly:7"), "did you mean 'keep-daily'"),
        (("-r", ""), "no rule"),
        (("-r", "standard", "--keep-last", "1"), "either -r"),
        (("--keep-last", "-1"), "no number of snapshots"),
        (("--keep-last", "many"), "no number of snapshots"),
        (("--keep-within", "1w"), "no duration"),
        (("--keep-tag", "tpyo"), "matches no snapshot"),
        (("latest", "-r", "standard"), "either"),
        (("latest", "--host", "x"), "either"),
        (("latest",), "last snapshot of a group"),
        (("-r", "keep-last:1", "--timezone", "Mars/Olympus"), "no time zone"),
        (("-r", "keep-last:1", "--group-by", "hosts"), "none of host"),
    ],
)
def test_what_makes_no_sense_is_refused_and_removes_nothing(
    cli: Cli, flags: tuple[str, ...], problem: str
) -> None:
    made = create(cli, 1)
    done = cli("forget", *flags)
    assert done.code == 2
    assert problem in done.err
    assert ids(cli) == [made]


def test_forget_by_name_and_by_filter(cli: Cli) -> None:
    made = [create(cli, day, "-t", "x" if day < 3 else "y") for day in range(1, 5)]
    assert cli("forget", made[0]).code == 0
    assert cli("forget", "--tag", "x", "--path", str(cli.folder / "data")).code == 0
    assert ids(cli) == made[2:]
    done = cli("forget", "--host", "nobody", "-r", "keep-last:1")
    assert done.code == 1
    assert "no snapshot is of that host" in done.err
    assert cli("forget", *made[2:]).code == 2
    assert cli("forget", *made[2:], "--force").code == 0
    assert ids(cli) == []


def test_groups_and_the_zone_are_taken_from_flags(cli: Cli) -> None:
    early = create(cli, 1, "--host", "a")
    late = create(cli, 2, "--host", "b")
    flags = ("--keep-last", "1", "--dry-run", "--timezone", "Europe/Berlin")
    assert cli.json("forget", *flags).document["removed"] == []
    assert cli.json("forget", *flags, "--group-by", "paths").document["removed"] == [early]
    assert ids(cli) == [early, late]


def test_a_damaged_snapshot_is_passed_over_and_told(cli: Cli) -> None:
    made = [create(cli, day) for day in range(1, 4)]
    path = cli.folder / "repo/snapshots" / made[0]
    path.write_bytes(path.read_bytes()[:-1])
    done = cli.json("forget", "-r", "keep-last:1")
    assert done.code == 1
    assert f"snapshot {made[0]}: it is damaged" in done.err
    assert [each["snapshot"] for each in done.objects("passed_over")] == [made[0]]
    assert done.document["removed"] == [made[1]]
    done = cli("browse", "-s", "latest")
    assert f"holdfast forget --force {made[0]}" in done.err
    assert cli("forget", made[0]).code == 1
    done = cli("forget", made[0], "--force")
    assert done.code == 0
    assert f"{made[0]}  damaged: it cannot be brought back" in done.out
    assert "holdfast undelete" not in done.out
    assert cli("validate").code == 0


def test_undelete_lists_and_brings_back(cli: Cli) -> None:
    made = [create(cli, day, "-t", f"day{day}") for day in range(1, 4)]
    assert "0 forgotten snapshots can be brought back" in cli("undelete").out
    cli("forget", "-r", "keep-last:1")
    listed = cli("undelete")
    assert listed.code == 0
    assert made[0][:8] in listed.out
    assert "day2" in listed.out
    assert "2 forgotten snapshots can be brought back" in listed.out
    (first, second) = cli.json("undelete").objects("forgotten")
    assert first["snapshot"]["id"] == made[0]  # type: ignore[index]  # a JSON object
    assert set(second) == {"snapshot", "forgotten"}
    done = cli("undelete", made[0][:10])
    assert done.code == 0
    assert f"{made[0]} is back as " in done.out
    back = cli.json("undelete", made[1]).objects("snapshots")
    assert [(each["original"], each["tags"]) for each in back] == [(made[1], ["day2"])]
    assert len(ids(cli)) == 3
    done = cli("undelete", made[0])
    assert done.code == 1
    assert "no forgotten snapshot" in done.err


def test_tag_changes_tags(cli: Cli) -> None:
    made = [create(cli, day, "-t", "a") for day in range(1, 3)]
    done = cli("tag", made[0], "--add", "b", "--add", "c", "--remove", "a")
    assert done.code == 0
    assert "b,c" in done.out
    assert "1 snapshot changed" in done.out
    document = cli.json("tag", *made, "--set", "x").document
    assert document["changed"] == made
    snapshots = document["snapshots"]
    assert isinstance(snapshots, list)
    assert [each["tags"] for each in snapshots] == [["x"], ["x"]]
    assert cli.json("tag", "--tag", "x", "--note", "n").document["changed"] == made
    assert "0 snapshots changed" in cli("tag", "latest", "--add", "x").out
    assert "x" in cli("list", "-d", "0").out
    assert cli.json("list", "-d", "0", "-f", "a").objects("snapshots") == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--add", "x"), "either snapshots or a filter"),
        (("latest",), "nothing says how"),
        (("latest", "--add", "x", "--set", "y"), "either all tags"),
        (("latest", "--until", "2099-01-01"), "hold only"),
        (("latest", "--hold", "--until", "2001-01-01"), "in the past"),
        (("latest", "--hold", "--until", "soon"), "no time"),
    ],
)
def test_tag_refuses_what_makes_no_sense(
    cli: Cli, arguments: tuple[str, ...], problem: str
) -> None:
    create(cli, 1)
    done = cli("tag", *arguments)
    assert done.code == 2
    assert problem in done.err


def test_hold_and_release(cli: Cli) -> None:
    made = [create(cli, day) for day in range(1, 4)]
    done = cli("tag", "--hold=court order", made[0])
    assert done.code == 0
    assert "protected: court order" in done.out
    assert "[protected]" in cli("list", "-d", "0").out
    (held, *_) = cli.json("list", "-d", "0").objects("snapshots")
    assert held["holds"][0]["reason"] == "court order"  # type: ignore[index]  # a JSON array
    done = cli("forget", made[0])
    assert done.code == 2
    assert f"holdfast tag {made[0][:8]} --release" in done.err
    assert cli.json("forget", "-r", "keep-last:1").document["removed"] == [made[1]]
    assert cli("tag", made[0], "--release").code == 0
    assert cli.json("forget", "-r", "keep-last:1").document["removed"] == [made[0]]


def test_a_hold_without_a_reason_and_until_the_end_of_a_day(cli: Cli) -> None:
    made = [create(cli, day) for day in range(1, 3)]
    # The snapshot that follows is not taken for the reason.
    assert cli("tag", "--hold", made[0], "--until", "2099-12-31").code == 0
    with cli.library() as repo:
        (hold,) = repo.snapshot(made[0]).holds
    assert hold.reason == ""
    assert hold.until is not None
    assert hold.until.astimezone().isoformat()[:16] == "2099-12-31T23:59"


def test_create_makes_a_protected_snapshot(cli: Cli) -> None:
    # The path that follows is not taken for the date.
    done = cli.json("create", "--protect", "data")
    assert done.code == 0, done.err
    first = str(done.document["snapshot_id"])
    second = create(cli, 1, "--protect=2099-12-31")
    third = create(cli, 2)
    with cli.library() as repo:
        assert repo.snapshot(first).protection == "protected"
        assert repo.snapshot(second).protection.startswith("protected: until 2099-")
        assert not repo.snapshot(third).holds
    assert cli("create", "--stdin", "x", "--protect=2001-01-01").code == 2
    assert cli("create", "--protect=soon", "data").code == 2
    done = cli.json("create", "--protect", "--command", "out", "--", "echo", "--protect")
    assert done.code == 0, done.err
    with cli.library() as repo:
        made = repo.snapshot(str(done.document["snapshot_id"]))
        assert made.holds
        with repo.open_file(made.id, "out") as file:
            assert file.read() == b"--protect\n"


@pytest.mark.parametrize("command", ["forget", "undelete", "tag"])
def test_help_tells_what_there_is(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.code == 0
    assert "SNAPSHOT" in done.out
    assert command in cli("--help").out


@pytest.mark.parametrize("command", ["forget", "prune"])
def test_r187_a_policy_of_the_config_file_is_known_by_its_name(cli: Cli, command: str) -> None:
    made = [create(cli, day) for day in range(1, 5)]
    (cli.folder / "c.yaml").write_text(
        "retention_policies: {mine: {keep_last: 3}, standard: mine}\n"
    )
    unknown = cli("--config", "c.yaml", command, "-r", "yours")
    assert unknown.code == 2
    assert ids(cli) == made
    for name in ("mine", "standard"):
        ended = cli("--config", "c.yaml", command, "-r", name)
        assert ended.code == 0, ended.err
        assert ids(cli) == made[1:]
