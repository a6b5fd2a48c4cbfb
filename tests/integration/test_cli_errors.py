"""Every way in which a command can end: its exit code, its few lines, its JSON."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path

import pytest
from click import Context, Group
from tests.integration.cli_runner import PASSWORD, Cli

import holdfast
from holdfast.cli.app import COMMANDS, app

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capfd, monkeypatch)


def error_of(document: dict[str, object]) -> dict[str, object]:
    error = document["error"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "kind"),
    [
        (["list"], {"HOLDFAST_PASSWORD": "wrong"}, 12, "WrongPassword"),
        (["list", "-b", "nowhere"], {}, 10, "RepositoryNotFound"),
        (["list", "-b", "s4://bucket"], {}, 2, "UsageError"),
        (["list", "--days", "many"], {}, 2, "BadParameter"),
        (["list", "--nonsense"], {}, 2, "NoSuchOption"),
        (["lst"], {}, 2, "UsageError"),
        (["xyzzy"], {}, 2, "UsageError"),
        (["create", "nothing-there"], {}, 1, "SourceError"),
        (["browse"], {}, 1, "SnapshotNotFound"),
        (["init"], {}, 1, "RepositoryExists"),
        (["list", "-p", "missing"], {}, 2, "UsageError"),
    ],
)
def test_each_failure_has_its_code_and_one_json_document(
    cli: Cli, arguments: list[str], environment: dict[str, str], code: int, kind: str
) -> None:
    cli.repository()
    cli.environment(**environment)
    told = cli(*arguments)
    assert (told.code, told.out) == (code, "")
    assert told.err.startswith("holdfast: error: ")
    assert len(told.err.splitlines()) <= 2
    documented = cli.json(*arguments)
    assert documented.code == code
    error = error_of(documented.document)
    assert (error["type"], error["exit_code"]) == (kind, code)
    assert str(error["message"]).splitlines()[0] in told.err


def test_a_damaged_repository_is_1_and_for_validate_4(cli: Cli) -> None:
    repo = cli.repository()
    config = repo / "config/0"
    content = bytearray(config.read_bytes())
    content[len(content) // 2] ^= 1
    config.chmod(0o600)
    config.write_bytes(content)
    assert cli("list").code == 1
    validated = cli.json("validate")
    assert validated.code == 4
    assert validated.document["valid"] is False
    assert "config/0" in str(error_of(validated.document)["message"])


def test_a_restic_repository_is_recognised(cli: Cli) -> None:
    restic = cli.folder / "restic"
    for name in ("data", "index", "keys", "locks", "snapshots"):
        (restic / name).mkdir(parents=True)
    (restic / "config").write_bytes(os.urandom(155))
    (restic / "keys" / os.urandom(32).hex()).write_text("{}")
    cli.environment(RESTIC_REPOSITORY="restic", RESTIC_PASSWORD=PASSWORD)
    for command in ("list", "init"):
        done = cli(command)
        assert done.code == 1
        assert "restic repository" in done.err


def test_an_ambiguous_snapshot_is_named_as_such(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    ids: list[str] = []
    while len({each[0] for each in ids}) == len(ids):  # until two begin with the same digit
        ids.append(str(cli.json("create", "data").document["snapshot_id"]))
    done = cli.json("browse", "-s", ids[-1][0])
    assert (done.code, error_of(done.document)["type"]) == (1, "AmbiguousSnapshot")


def test_a_missing_source_beside_others_makes_the_backup_incomplete(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    done = cli.json("create", "data", "nothing")
    assert done.code == 3
    assert done.document["snapshot_id"] is not None
    [error] = done.objects("errors")
    assert error["path"] == str(cli.folder / "nothing")
    assert "1 source item could not be read" in done.err
    assert cli("-q", "create", "data", "nothing").err == done.err


def test_a_long_list_that_fails_half_way_is_still_one_document(cli: Cli) -> None:
    repo = cli.repository()
    top = cli.tree()
    (top / "sub/deeper").mkdir()
    assert cli("create", "data").code == 0
    before = set(repo.glob("data/*/*"))
    (top / "a.txt").write_text("other\n")
    (top / "sub/c.csv").write_text("other\n")
    assert cli("create", "data", "-x", "a.txt").code == 0
    for pack in set(repo.glob("data/*/*")) - before:
        pack.unlink()
    done = cli.json("diff", "latest~1", "latest")
    assert done.code == 1
    assert done.document["before"]
    assert error_of(done.document)["type"] == "DamagedRepository"


# Where the repository and the password come from


def test_the_first_place_that_names_the_repository_wins(cli: Cli) -> None:
    repositories = {}
    for name in ("flag", "holdfast", "restic", "config"):
        cli.repository(name, named=False)
        with holdfast.open(cli.folder / name, password=PASSWORD, cache=False) as repo:
            repo.backup_stream(_stream(), "x", tags=[name])
            repositories[name] = repo.id
    cli.environment(HOLDFAST_PASSWORD=PASSWORD)
    (cli.folder / "config.yaml").write_text("repository: config\n")

    def opened(*arguments: str) -> object:
        return cli.json("--config", "config.yaml", "snapshots", *arguments).objects("snapshots")[0][
            "tags"
        ]

    assert opened() == ["config"]
    cli.environment(RESTIC_REPOSITORY="restic")
    assert opened() == ["restic"]
    cli.environment(HOLDFAST_REPOSITORY="holdfast")
    assert opened() == ["holdfast"]
    assert opened("-b", "flag") == ["flag"]
    assert opened("--backend", "flag") == opened("--repository", "flag") == ["flag"]


def _stream() -> io.BytesIO:
    return io.BytesIO(b"content")


def test_the_first_place_that_has_a_password_wins(cli: Cli) -> None:
    cli.repository(named=False)
    cli.environment(HOLDFAST_REPOSITORY="repo")
    good, bad = cli.folder / "good", cli.folder / "bad"
    for path, text in ((good, PASSWORD + "\r\n"), (bad, "bad\n")):
        path.write_text(text)
        path.chmod(0o600)
    configs = {
        "good.yaml": f"password_command: [printf, {PASSWORD!r}]\n",
        "bad.yaml": "password_file: bad\n",
    }
    for name, text in configs.items():
        (cli.folder / name).write_text(text)

    def code(*arguments: str, config: str = "bad.yaml") -> int:
        return cli("--config", config, "list", *arguments).code

    assert cli("list").code == 2, "no password, and no terminal to ask for it"
    assert (code(), code(config="good.yaml")) == (12, 0)
    cli.environment(RESTIC_PASSWORD_FILE=str(good))
    assert code() == 0
    cli.environment(RESTIC_PASSWORD="bad")
    assert code() == 12
    cli.environment(HOLDFAST_PASSWORD_COMMAND=f"printf '{PASSWORD}'")
    assert code() == 0
    cli.environment(HOLDFAST_PASSWORD_FILE=str(bad))
    assert code() == 12
    cli.environment(HOLDFAST_PASSWORD=PASSWORD)
    assert code() == 0
    assert code("-p", str(bad)) == 12
    cli.environment(HOLDFAST_PASSWORD="bad")
    assert code("--password-file", str(good)) == 0


def test_a_password_file_that_others_can_read_is_warned_about(cli: Cli) -> None:
    cli.repository()
    (cli.folder / "pw").write_text(PASSWORD)
    (cli.folder / "pw").chmod(0o644)
    done = cli("list", "-p", "pw")
    assert done.code == 0
    assert done.err == "holdfast: warning: password file pw can be read by others: chmod 600 pw\n"
    (cli.folder / "pw").chmod(0o600)
    assert cli("list", "-p", "pw").err == ""


def test_no_message_ever_holds_the_password(cli: Cli) -> None:
    cli.repository()
    secret = "correct horse battery"
    cli.environment(HOLDFAST_PASSWORD=secret)
    done = cli("--debug", "-v", "list")
    assert done.code == 12
    assert "Traceback" in done.err
    assert secret not in done.out + done.err


# The options before the command


def test_a_config_file_says_what_is_left_out_and_where_the_cache_is(cli: Cli) -> None:
    cli.repository(named=False)
    cli.tree()
    (cli.folder / "etc").mkdir()
    (cli.folder / "etc/pw").write_text(PASSWORD)
    (cli.folder / "etc/pw").chmod(0o600)
    (cli.folder / "etc/holdfast.yaml").write_text(
        "backend: ../repo\npassword_file: pw\ncache_dir: ../indexes\nexclude: ['*.tmp', sub/]\n"
    )
    flag = ("--config", "etc/holdfast.yaml")
    assert cli.json(*flag, "create", "data", "-x", "*.txt").document["files_new"] == 0
    assert cli(*flag, "stats").code == 0
    assert list((cli.folder / "indexes").rglob("index"))
    assert not (cli.folder / ".cache").exists()


def test_a_config_file_that_cannot_be_meant_is_refused(cli: Cli) -> None:
    cli.repository()
    (cli.folder / "c.yaml").write_text("exclud: ['*.tmp']\n")
    done = cli("--config", "c.yaml", "list")
    assert done.code == 2
    assert done.err == ("holdfast: error: c.yaml: unknown key 'exclud': did you mean 'exclude'?\n")


def test_the_cache_is_where_it_is_told_to_be(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    assert cli("--no-cache", "create", "data").code == 0
    assert not (cli.folder / ".cache").exists()
    assert cli("--cache-dir", "elsewhere", "create", "data").code == 0
    assert list((cli.folder / "elsewhere").rglob("index"))
    assert cli("--no-cache", "--cache-dir", "x", "list").code == 2
    assert cli("--cache-size", "10", "list").code == 0
    assert cli("--cache-size", "-1", "list").code == 2


def test_quiet_says_nothing_when_all_is_well(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    for arguments in (["create", "data"], ["restore", "-t", "out"], ["validate"]):
        done = cli("-q", *arguments)
        assert (done.code, done.out, done.err) == (0, "", "")
    assert "data" in cli("--quiet", "list").out


def test_debug_shows_where_an_error_came_from_and_nothing_else_does(cli: Cli) -> None:
    cli.repository()
    assert "Traceback" in cli("--debug", "browse").err
    assert "Traceback" not in cli("-v", "browse").err


def test_an_option_behind_the_command_is_explained(cli: Cli) -> None:
    cli.repository()
    done = cli("list", "--json")
    assert done.code == 2
    assert "--json goes before the command" in done.err
    assert "--json goes before the command" in str(error_of(json.loads(done.out))["message"])


def test_a_mistake_of_ours_is_told_as_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(app, "main", broken)
    done = cli("list")
    assert done.code == 1
    assert done.err.startswith("holdfast: error: unexpected ZeroDivisionError: by nought")
    assert "Traceback" not in done.err


def test_what_an_interrupt_breaks_is_an_interrupt(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:  # as it comes out of the standard library's locks
            raise RuntimeError("release unlocked lock") from None
        return 0

    monkeypatch.setattr(app, "main", interrupted)
    assert cli("list") == (130, "", "holdfast: error: interrupted\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


WITHOUT_REPOSITORY = {
    "321 status",
    "audit show",
    "config apply",
    "config schema",
    "config show",
    "config validate",
    "export-config",
    "drill-history",
    "jobs",
    "report create",
    "report criteria",
    "report keygen",
    "report verify",
    "scheduler export",
    "scheduler history",
    "scheduler run",
    "scheduler status",
    "scheduler trigger",
}
"""Commands that look at this machine, or at what the config file lists."""


@pytest.mark.parametrize(
    "command",
    [*COMMANDS, *(alias for alias in COMMANDS.values() if alias)],
)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"{command} [OPTIONS]" in done.out
    below = app.get_command(Context(app), command)
    names = list(below.commands) if isinstance(below, Group) else []
    words = [f"{command} {name}" for name in names] or [command]
    for each in words:
        shown = cli(*each.split(), "--help").out
        if each in WITHOUT_REPOSITORY:
            assert "--password-file FILE" not in shown
            continue
        assert "--repository LOCATION" in shown
        assert ("--password-file FILE" in shown) != (command == "storage")


def test_help_lists_every_command_alias_and_exit_code(cli: Cli) -> None:
    shown = cli("--help").out
    for line in ("create, backup ", "list, snapshots ", "browse, ls ", "validate, check "):
        assert f"\n  {line}" in shown
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "10 ", "12 ", "130 "):
        assert f"\n    {code}" in shown
