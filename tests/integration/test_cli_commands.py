"""The fourteen documented commands with their documented flags, found out by `--help` alone.

`FLAGS` is what the requirements name. A walk through the commands, as somebody new would do it,
looks each flag up in the help of its command before it is typed, once in its long and once in its
short form, with a repository in a directory and with one in a bucket.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.cli_runner import PASSWORD, Cli, Ended
from tests.servers.base import INSTALLED

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

pytestmark = pytest.mark.usefixtures("cheap_passwords")

REPOSITORY = ("-b --backend", "-p --password-file")
FLAGS: dict[str, tuple[str, ...]] = {
    "init": (*REPOSITORY, "-e --encryption"),
    "create": (*REPOSITORY, "-s --source", "-t --tags", "-x --exclude", "--exclude-file"),
    "list": (*REPOSITORY, "-f --filter", "-d --days", "-l --limit"),
    "restore": (
        *REPOSITORY, "-s --snapshot", "-t --target", "-i --include", "-x --exclude", "--verify"
    ),
    "validate": (*REPOSITORY, "-s --snapshot", "--full-check", "--read-data"),
    "schedule": (
        *REPOSITORY, "-s --source", "-c --cron", "-r --retention-policy", "-t --tags", "-n --name"
    ),
    "schedule-drill": (*REPOSITORY, "-f --frequency", "-n --notification", "-c --compliance"),
    "status": (*REPOSITORY, "-d --days"),
    "drill": (*REPOSITORY, "-c --config-file", "-n --name", "-f --compliance"),
    "stats": REPOSITORY,
    "jobs": (),
    "prune": (*REPOSITORY, "-r --retention-policy", "--dry-run"),
    "export-config": ("-o --output", "-f --format"),
    "browse": (*REPOSITORY, "-s --snapshot", "--path"),
}  # fmt: skip
"""R142 to R155, in this order."""

ROWS = {command: f"r{number}" for number, command in enumerate(FLAGS, 142)}

_OPTION = re.compile(r"^  (-[\w-]+(?:, -[\w-]+)*)", re.MULTILINE)
_COMMAND = re.compile(r"^  ([a-z0-9][a-z0-9-]*)(?:, [a-z]+)?  ", re.MULTILINE)


@dataclass
class Newcomer:
    """Somebody who knows what the help tells, and types each flag in one of its forms."""

    cli: Cli
    location: str
    is_short: bool
    known: dict[str, list[set[str]]] = field(default_factory=dict)

    def commands(self) -> set[str]:
        """The commands that the help names."""
        return set(_COMMAND.findall(self.cli("--help").out.partition("Commands:")[2]))

    def flags(self, command: str) -> list[set[str]]:
        """The flags that a command's help names, each with all its forms."""
        if command not in self.known:
            told = self.cli(command, "--help")
            assert told.code == 0
            options = told.out.partition("Options:")[2]
            self.known[command] = [set(found.split(", ")) for found in _OPTION.findall(options)]
        return self.known[command]

    def typed(self, command: str, flag: str) -> str:
        """A flag in the form that is to be tried, if the help has it."""
        long = f"--{flag.replace('_', '-')}"
        forms = next((each for each in self.flags(command) if long in each), set())
        assert forms, f"the help of {command} has no {long}"
        short = [form for form in forms if not form.startswith("--")]
        return short[0] if self.is_short and short else long

    def __call__(self, command: str, *arguments: str, as_json: bool = True) -> Ended:
        """Run a command; what begins with ``:`` is a flag, to be looked up."""
        typed = [
            self.typed(command, each[1:]) if each.startswith(":") else each for each in arguments
        ]
        if ":backend" not in arguments and REPOSITORY[0] in FLAGS[command]:
            typed += [self.typed(command, "backend"), self.location]
            typed += [self.typed(command, "password-file"), "password"]
        return self.cli(*(["--json"] if as_json else []), command, *typed)


def done(ended: Ended) -> dict[str, object]:
    """The document of a command that has ended well."""
    assert ended.code == 0, ended.err
    return ended.document


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capfd, monkeypatch)
    cli.environment(HOLDFAST_STATE_DIR=str(tmp_path / "state"))
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "password").chmod(0o600)
    return cli


@pytest.fixture(params=["local", "s3"])
def location(request: pytest.FixtureRequest, cli: Cli) -> str:
    """Where the repository is to be; the bucket's keys are in the variables of Amazon's tools."""
    if request.param == "local":
        return "repository"
    servers: Servers = request.getfixturevalue("servers")
    place = servers.get("versity" if (INSTALLED / "versitygw").exists() else "moto").place()
    cli.environment(
        AWS_ACCESS_KEY_ID=str(place.options["key"]),
        AWS_SECRET_ACCESS_KEY=str(place.options["secret"]),
        AWS_DEFAULT_REGION="us-east-1",
        AWS_S3_ENDPOINT=str(place.options["endpoint_url"]),
    )
    return place.location


@pytest.fixture(params=["long", "short"])
def newcomer(request: pytest.FixtureRequest, cli: Cli, location: str) -> Newcomer:
    return Newcomer(cli, location, is_short=request.param == "short")


def test_r142_to_r155_a_newcomer_goes_through_all_commands(newcomer: Newcomer) -> None:
    assert set(FLAGS) <= newcomer.commands(), "all fourteen are in the help"
    data = newcomer.cli.tree()
    (newcomer.cli.folder / "patterns").write_text("*.csv\n")
    (newcomer.cli.folder / "drill.yaml").write_text(
        "validation_checks: [integrity, encryption_status]\nmax_rpo_minutes: 60\n"
    )
    made = make_and_back_up(newcomer)
    look(newcomer, data, made)
    restore(newcomer, data)
    plan(newcomer)
    judge(newcomer, made)
    thin_out(newcomer)


def make_and_back_up(newcomer: Newcomer) -> str:
    """R142, R143: returns the snapshot's id."""
    done(newcomer("init", ":encryption", "AES256"))
    again = newcomer("init")
    assert (again.code, "already" in again.err) == (1, True)
    (newcomer.cli.folder / "more").mkdir()
    (newcomer.cli.folder / "more/d.txt").write_text("delta\n")
    told = done(
        newcomer(
            "create", ":source", "data", ":source", "more", ":tags", "daily", ":tags", "docs",
            ":exclude", "*.tmp", ":exclude", "*.bak", ":exclude-file", "patterns",
        )
    )  # fmt: skip
    assert told["files_new"] == 2, "a.txt and d.txt"
    return str(told["snapshot_id"])


def look(newcomer: Newcomer, data: Path, made: str) -> None:
    """R144, R155, R151."""
    for wanted in ("docs", str(data)):
        listed = newcomer("list", ":filter", wanted, ":days", "7", ":limit", "1")
        assert [each["id"] for each in listed.objects("snapshots")] == [made]
        assert listed.code == 0
    assert done(newcomer("list", ":filter", "weekly"))["snapshots"] == []
    entries = newcomer("browse", ":snapshot", made, ":path", str(data)).objects("entries")
    assert [each["name"] for each in entries] == ["a.txt", "link", "sub"]
    top = newcomer("browse").objects("entries")
    assert [each["name"] for each in top] == [data.parts[1]], "the latest, from its root"
    assert done(newcomer("stats"))["snapshots"] == 1


def restore(newcomer: Newcomer, data: Path) -> None:
    """R145."""
    out = newcomer.cli.folder / "out"
    told = done(
        newcomer(
            "restore", ":snapshot", "latest", ":target", "out", ":include", "*.txt",
            ":exclude", "d.*", ":verify",
        )
    )  # fmt: skip
    assert told["files_restored"] == 1
    assert (out / data.relative_to("/") / "a.txt").read_text() == "alpha\n"
    assert newcomer("restore").code == 2, "there is no target"


def plan(newcomer: Newcomer) -> None:
    """R147, R148, R152."""
    policy = "keep-daily:7,keep-weekly:4,keep-monthly:12"
    job = done(
        newcomer(
            "schedule", ":source", "data", ":cron", "0 2 * * *", ":retention-policy", policy,
            ":tags", "nightly", ":name", "every night",
        )
    )  # fmt: skip
    drill = done(
        newcomer(
            "schedule-drill", ":frequency", "quarterly", ":notification", "console",
            ":compliance", "HIPAA",
        )
    )  # fmt: skip
    assert newcomer("schedule", ":source", "data").code == 2, "nobody said when"
    jobs = newcomer("jobs").objects("jobs")
    assert [(each["id"], each["name"], each["cron"]) for each in jobs] == [
        (job["id"], "every night", "0 2 * * *"),
        (drill["id"], "quarterly drill", "0 2 1 */3 *"),
    ]
    shown = newcomer("jobs", as_json=False)
    assert (shown.code, "every night" in shown.out) == (0, True)


def judge(newcomer: Newcomer, made: str) -> None:
    """R146, R149, R150."""
    told = done(newcomer("validate", ":snapshot", made, ":full-check", ":read-data"))
    assert told["valid"] is True
    held = done(
        newcomer(
            "drill", ":config-file", "drill.yaml", ":name", "first drill", ":compliance", "GDPR"
        )
    )
    assert (held["name"], held["status"]) == ("first drill", "SUCCESS")
    assert (held["compliance_framework"], held["max_rpo_minutes"]) == ("GDPR", 60)
    status = done(newcomer("status", ":days", "3"))
    assert (status["ok"], status["days"]) == (True, 3)


def thin_out(newcomer: Newcomer) -> None:
    """R153, R154."""
    done(newcomer("create", ":source", "data", ":source", "more"))
    policy = (":retention-policy", "keep-last:1")
    done(newcomer("prune", *policy, ":dry-run"))
    assert len(newcomer("list").objects("snapshots")) == 2
    done(newcomer("prune", *policy))
    assert len(newcomer("list").objects("snapshots")) == 1
    newcomer.cli.environment(HOLDFAST_REPOSITORY=newcomer.location)
    for form in ("yaml", "json"):
        done(newcomer("export-config", ":output", f"config.{form}", ":format", form))
        validated = newcomer.cli("config", "validate", f"config.{form}")
        assert validated.code == 0, validated.err
    written = json.loads((newcomer.cli.folder / "config.json").read_text())
    assert str(written["repository"]).endswith(newcomer.location)
    assert newcomer("export-config").code == 2, "nobody said where to"


@pytest.fixture
def reader(cli: Cli) -> Newcomer:
    return Newcomer(cli, "nowhere", is_short=False)


@pytest.mark.parametrize("command", FLAGS, ids=lambda command: f"{ROWS[command]}-{command}")
def test_the_help_of_a_command_has_its_flags(reader: Newcomer, command: str) -> None:
    known = reader.flags(command)
    for forms in FLAGS[command]:
        assert any(set(forms.split()) <= each for each in known), f"{forms} is not there"


def test_r152_jobs_has_no_options_but_help(reader: Newcomer) -> None:
    assert reader.flags("jobs") == [{"-h", "--help"}]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("init", "default: AES256"),
        ("list", "default: 30"),
        ("restore", "default: latest"),
        ("status", "default: 7"),
        ("browse", "default: latest"),
        ("browse", "default: /"),
        ("schedule-drill", "weekly|monthly|quarterly|annually"),
        ("export-config", "yaml|json"),
    ],
)
def test_the_help_tells_defaults_and_choices(cli: Cli, command: str, words: str) -> None:
    told = " ".join(cli(command, "--help").out.split())
    assert words in told


def test_r158_a_short_flag_means_what_its_command_says(reader: Newcomer) -> None:
    meanings: dict[str, dict[str, str]] = {}
    for command in FLAGS:
        for forms in reader.flags(command):
            short = next((form for form in forms if not form.startswith("--")), None)
            if short is not None:
                longest = max(forms, key=len)
                meanings.setdefault(short, {})[command] = longest.removeprefix("--")
    assert set(meanings["-f"].values()) == {"filter", "frequency", "compliance", "format"}
    assert set(meanings["-c"].values()) == {"cron", "compliance", "config-file"}
    assert set(meanings["-s"].values()) == {"source", "snapshot"}
    assert set(meanings["-t"].values()) == {"tags", "target"}
    assert set(meanings["-n"].values()) == {"name", "notification"}


def test_r157_what_a_config_file_says_need_not_be_typed(cli: Cli) -> None:
    data = cli.tree()
    (cli.folder / "backup_config.yaml").write_text(
        "version: '1.0'\nbackend: {type: local, uri: repository}\n"
        "credentials: {password_file: password}\nsources: [{path: data, tags: [docs]}]\n"
    )
    config = ("--config", "backup_config.yaml")
    for arguments in (("init",), ("create",), ("restore", "-s", "latest", "-t", "out")):
        assert cli(*config, *arguments).code == 0, arguments
    assert (cli.folder / "out" / data.relative_to("/") / "a.txt").exists()
    lacking = cli("list")
    assert (lacking.code, "-b" in lacking.err) == (2, True)


def test_r140_every_command_has_help(cli: Cli) -> None:
    for command in FLAGS:
        told = cli(command, "--help")
        assert (told.code, told.out.startswith("Usage: ")) == (0, True)
