"""The audit trail of the command line: what leaves an entry, and how it is looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli

from holdfast.platform.audit import AuditEntry, AuditTrail


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    runner = Cli(tmp_path, capsys, monkeypatch)
    runner.environment(HOLDFAST_STATE_DIR=str(tmp_path / "state"))
    return runner


def trail_of(cli: Cli) -> AuditTrail:
    return AuditTrail(cli.folder / "state/audit.jsonl")


def entries(cli: Cli) -> list[AuditEntry]:
    return [each for each in trail_of(cli).entries() if each.event != "trail"]


def last(cli: Cli) -> AuditEntry:
    return entries(cli)[-1]


def anchored(cli: Cli) -> list[int]:
    with cli.library() as repository:
        return [each.sequence for each in repository.audit_anchors()]


def test_r285_a_backup_and_a_restore_leave_entries(cli: Cli) -> None:
    cli.repository()
    assert cli("create", str(cli.tree())).code == 0
    with cli.library() as repository:
        id_ = repository.id
        made = repository.snapshot("latest").id
    entry = last(cli)
    assert (entry.event, entry.result, entry.uid) == ("backup", "ok", os.geteuid())
    assert (entry.repository, entry.snapshot) == (id_, made)
    assert entry.details["command"] == "create"
    assert entry.details["arguments"] == {"path": [str(cli.folder / "data")]}
    assert entry.details["location"] == str(cli.folder / "repo")
    assert anchored(cli) == [1]
    assert cli("restore", "-t", "out").code == 0
    entry = last(cli)
    assert (entry.event, entry.result, entry.snapshot) == ("restore", "ok", made)
    assert entry.details["arguments"] == {"target": "out"}
    assert anchored(cli) == [1], "it wrote nothing to the repository"
    assert cli("dump", "latest", str(cli.folder / "data/a.txt"), "-o", "a").code == 0
    assert last(cli).event == "restore"


def test_r285_whatever_changes_a_repository_leaves_an_entry(cli: Cli) -> None:
    cli.repository()
    tree = cli.tree()
    for number in range(2):
        (tree / "a.txt").write_text(str(number))
        assert cli("create", str(tree)).code == 0
    assert cli("tag", "latest", "--hold", "--add", "x").code == 0
    assert cli("forget", "latest~1").code == 0
    (gone,) = [each.snapshot for each in entries(cli) if each.event == "forget"]
    assert cli("undelete", gone).code == 0
    assert cli("prune").code == 0
    assert cli("validate").code == 0
    assert [each.event for each in entries(cli)] == [
        "backup", "backup", "tag", "forget", "undelete", "prune", "check",
    ]  # fmt: skip
    assert {each.result for each in entries(cli)} == {"ok"}
    assert anchored(cli) == [6]
    assert cli("audit", "verify").code == 0


def test_r285_r287_what_is_done_with_keys_leaves_entries_without_secrets(cli: Cli) -> None:
    cli.repository()
    (cli.folder / "new").write_text("hunter2hunter2")
    assert cli("key", "add", "--new-password-file", "new").code == 0
    assert cli("key", "list").code == 0
    assert cli("key", "recovery", "-o", "paper").code == 0
    assert cli("key", "passwd", "--new-password-command", "echo hunter3hunter3").code == 0
    assert [each.details["command"] for each in entries(cli)] == [
        "key add", "key recovery", "key passwd",
    ]  # fmt: skip
    assert {each.event for each in entries(cli)} == {"key"}
    assert "hunter" not in trail_of(cli).file.read_text()


@pytest.mark.parametrize("command", [("list",), ("create", "."), ("key", "list")])
def test_r285_a_wrong_password_leaves_an_entry(cli: Cli, command: tuple[str, ...]) -> None:
    cli.repository()
    cli.environment(HOLDFAST_PASSWORD="guess")
    assert cli(*command).code == 12
    (entry,) = entries(cli)
    assert (entry.event, entry.result, entry.repository) == ("open-failed", "denied", "")
    assert entry.details["location"] == str(cli.folder / "repo")
    assert entry.details["command"] == " ".join(command).removesuffix(" .")
    assert "guess" not in trail_of(cli).file.read_text()


def test_what_failed_and_what_was_done_in_part_says_so(cli: Cli) -> None:
    place = cli.repository()
    tree = cli.tree()
    assert cli("create", str(tree), "no-such-file").code == 3
    assert last(cli).result == "partial"
    assert cli("restore", "-s", "nothing", "-t", "out").code == 1
    assert last(cli).result == "failed"
    assert "nothing" in str(last(cli).details["error"])
    (pack,) = [path for path in (place / "data").rglob("*-*") if path.stat().st_size][:1]
    pack.write_bytes(pack.read_bytes()[:-1])
    assert cli("validate", "--read-data").code == 4
    assert (last(cli).event, last(cli).result) == ("check", "failed")
    assert cli("create", "-b", "nowhere", str(tree)).code == 10
    assert (last(cli).event, last(cli).result, last(cli).repository) == ("backup", "failed", "")


def test_what_changes_nothing_leaves_no_entry(cli: Cli) -> None:
    cli.repository()
    tree = cli.tree()
    assert cli("create", str(tree)).code == 0
    before = trail_of(cli).file.read_bytes()
    for command in (
        ("list",), ("browse",), ("stats",), ("undelete",), ("sessions",), ("key", "list"),
        ("create", "--dry-run", str(tree)), ("repair", "index"), ("audit", "show"),
        ("audit", "verify"),
    ):  # fmt: skip
        assert cli(*command).code == 0, command
    assert trail_of(cli).file.read_bytes() == before
    assert cli("create", "--help").code == 0
    assert cli("create").code == 2
    assert trail_of(cli).file.read_bytes() == before


def test_the_command_that_a_backup_runs_is_not_put_down(cli: Cli) -> None:
    cli.repository()
    assert cli("create", "--command", "dump.sql", "--", "echo", "hunter2").code == 0
    assert last(cli).details["arguments"] == {"command": "dump.sql"}


def test_several_repositories_each_leave_an_entry(cli: Cli) -> None:
    cli.repository("one")
    cli.repository("two")
    cli.environment(HOLDFAST_OTHER_PASSWORD="a password", HOLDFAST_TO_PASSWORD="a password")
    assert cli("create", "-b", "one", "-b", "two", str(cli.tree())).code == 0
    one, two = entries(cli)
    assert {one.event, two.event} == {"backup"}
    assert one.repository != two.repository
    assert one.snapshot != two.snapshot
    (cli.folder / "data/a.txt").write_text("more")
    assert cli("create", "-b", "one", "-b", "nowhere", str(cli.folder / "data")).code
    assert [(each.event, each.result) for each in entries(cli)[2:]] == [
        ("backup", "failed"), ("backup", "ok"),
    ]  # fmt: skip
    assert cli("copy", "-b", "one", "--to", "two").code == 0
    assert (last(cli).event, last(cli).repository) == ("copy", two.repository)
    for name in ("one", "two"):
        assert cli("audit", "verify", "-b", name).code == 0


def test_a_copy_whose_target_is_denied_did_nothing(cli: Cli) -> None:
    cli.repository("one")
    cli.repository("two")
    cli.environment(HOLDFAST_TO_PASSWORD="guess")
    assert cli("copy", "-b", "one", "--to", "two").code == 12
    assert [(each.event, each.result) for each in entries(cli)] == [("open-failed", "denied")]


def test_without_a_home_directory_a_backup_is_made_with_a_warning(cli: Cli) -> None:
    cli.repository()
    cli.patch.delenv("HOLDFAST_STATE_DIR")
    cli.patch.delenv("XDG_STATE_HOME", raising=False)
    cli.patch.delenv("HOME", raising=False)
    cli.patch.setattr("pwd.getpwuid", no_user)
    done = cli("create", str(cli.tree()))
    assert (done.code, "warning: nothing is put down in the audit trail" in done.err) == (0, True)


def no_user(uid: int) -> None:
    raise KeyError(uid)


def test_a_trail_that_cannot_be_written_is_a_warning(cli: Cli) -> None:
    cli.repository()
    (cli.folder / "state").write_text("a file")
    done = cli("create", str(cli.tree()))
    assert done.code == 0
    assert "the audit trail cannot be written, and lacks backup" in done.err


def test_entries_are_shown_and_chosen(cli: Cli) -> None:
    assert cli("audit", "show").out == "0 entries\n"
    cli.repository()
    tree = cli.tree()
    assert cli("create", str(tree)).code == 0
    assert cli("prune").code == 0
    shown = cli("audit", "show")
    assert [line.split()[4:6] for line in shown.out.splitlines()[1:-1]] == [
        ["trail", "ok"], ["backup", "ok"], ["prune", "ok"],
    ]  # fmt: skip
    id_ = last(cli).repository
    for arguments, events in (
        (("--event", "prune"), ["prune"]),
        (("-n", "1"), ["prune"]),
        (("--repository", id_[:6]), ["backup", "prune"]),
        (("--since", "2999-01-01"), []),
        (("--since", "2026-01-01", "-n", "2", "-e", "backup"), ["backup"]),
    ):
        found = cli.json("audit", "show", *arguments).objects("entries")
        assert [each["event"] for each in found] == events, arguments
    assert json.loads(cli.json("audit", "show").out)["file"] == str(trail_of(cli).file)


def test_being_interrupted_while_the_trail_is_written_does_not_undo_a_backup(cli: Cli) -> None:
    cli.repository()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    cli.patch.setattr("fcntl.flock", interrupted)
    done = cli.json("create", str(cli.tree()))
    assert (done.code, len(str(done.document["snapshot_id"]))) == (0, 32)
    assert "interrupted while the audit trail" in done.err


@pytest.mark.parametrize(
    ("arguments", "event", "result"),
    [
        (("create", "data"), "backup", "ok"),  # a snapshot was made before that was told
        (("-v", "restore", "-t", "out"), "restore", "failed"),  # it ended in the middle
        (("validate",), "check", "partial"),  # what it found is not known
    ],
)
def test_what_a_command_had_done_when_nobody_read_what_it_printed(
    cli: Cli, arguments: tuple[str, ...], event: str, result: str
) -> None:
    cli.repository()
    assert cli("create", str(cli.tree())).code == 0
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-u", "-m", "holdfast", *arguments],
        stdout=write, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.returncode == 1, done.stderr
    assert (last(cli).event, last(cli).result) == (event, result)
    assert bool(last(cli).snapshot) == (event == "backup")


def test_help_and_lists_load_nothing_of_the_platform(cli: Cli) -> None:
    cli.repository()
    for arguments in (["--help"], ["list"], ["restore", "--help"]):
        code = (
            "import sys; from holdfast.cli.run import run; "
            f"run({arguments}); print(*[m for m in sys.modules if 'holdfast.platform' in m])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] in {"", "holdfast.platform"}, arguments


def test_tampering_is_found_with_its_line(cli: Cli) -> None:
    cli.repository()
    tree = cli.tree()
    for _ in range(3):
        assert cli("create", "--force", str(tree)).code == 0
    good = cli("audit", "verify")
    assert (good.code, good.out.splitlines()[1]) == (0, "repo vouches for all up to entry 3")
    file = trail_of(cli).file
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"backup"', b'"prunes"', 1))
    found = cli("audit", "verify")
    assert (found.code, found.out.splitlines()[0][:7]) == (4, "line 2:")
    document = cli.json("audit", "verify").document
    assert (document["ok"], document["entries"]) == (False, 4)
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    assert cli("audit", "verify").code == 4
    cli.patch.delenv("HOLDFAST_REPOSITORY")
    alone = cli("audit", "verify")
    assert (alone.code, "give -b" in alone.out) == (0, True)
    cli.environment(HOLDFAST_REPOSITORY="repo")
    # The next backup tells of it as well, and clears nothing away.
    assert "it was cut off or rewritten" in cli("create", str(tree)).err
    assert cli("audit", "verify").code == 4
