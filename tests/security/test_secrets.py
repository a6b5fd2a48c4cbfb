"""No secret is where it does not belong: every command, at its most talkative, is watched."""

from __future__ import annotations

import json
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli, Ended
from tests.security.secrets import (
    HOOK_SECRET,
    MAIL_SECRET,
    NEW_PASSWORD,
    OTHER_PASSWORD,
    PASSWORD,
    STORE_SECRET,
    RememberedKeys,
    Secrets,
    Started,
    programs_started,
)

from holdfast.cli.app import COMMANDS

pytestmark = pytest.mark.usefixtures("cheap_passwords")

CONFIG = f"""\
repository: repo
password_file: pw
sources: [{{path: data, tags: [db]}}]
storage_options: {{secret: "{STORE_SECRET}"}}
notifications:
  email: {{smtp_host: 127.0.0.1, smtp_port: PORT, security: none, sender: a@example.org,
          recipients: [b@example.org],
          user: me, password: "{MAIL_SECRET}"}}
  slack: {{webhook_url: "http://127.0.0.1:PORT/{HOOK_SECRET}"}}
  webhook: "http://127.0.0.1:PORT/hook/{HOOK_SECRET}?token={HOOK_SECRET}"
  apprise: {{chat: "json://me:{HOOK_SECRET}@127.0.0.1:PORT/"}}
"""

FILES = ("pw", "new", "other", "key.txt", "signing", "c.yaml")
"""Files in which secrets are meant to be."""

RUNS = """
0 init -b second -p other
0 create data -t one --host h
0 create --command said --host other -- echo hello
0 create data -t two
0 list
0 browse -s latest
0 find a.*
0 grep alpha
0 history {data}/a.txt
0 diff latest~1:/ latest
0 stats
0 timeline
0 usage
0 compare
0 anomalies
0 dump latest:{data} a.txt -o dumped
0 restore -t target --verify
0 restore -s latest:{data} -t target2 --undoable
0 undo
0 validate --read-data
0 sessions
0 cat config
2 cat index none
0 cat snapshot latest
0 cat tree latest
0 cat key
0 storage test -b {folder}/trial
0 tag latest --add three
0 forget --keep-last 9
0 forget latest --force
0 undelete
0 rewrite --all -x *.tmp --dry-run
0 copy --to second --to-password-file other
0 key list
0 key add --new-password-file new --label second
0 key recovery -o key.txt
0 list --recovery-key key.txt
0 repair index
0 repair packs
0 repair snapshots
0 prune --max-unused 0
2 schedule -s data -c @daily -p pw
5 drill
0 drill-history
0 report keygen signing
0 report criteria soc2
5 report create --sign signing
5 status --prometheus m.prom
2 321 status
0 audit show
0 audit verify
0 --config c.yaml config validate
0 --config c.yaml config show
0 config schema
0 --config c.yaml export-config -o out.yaml
0 key rotate --new-password-file new --drop-others
12 list
0 list -p new
1 create nowhere -p new
10 list -p new -b nowhere
2 list -b s3://key:Zc7Vb2Mn9Kj4@bucket/x
2 list --no-such-option
2 serve -p new --host 0.0.0.0
2 mount -p new data
2 --config c.yaml schedule -c @daily
"""
"""How each command ends, and what it is told."""

TOLD = " ".join(f"--notification {each}" for each in ("a@example.org", "slack", "webhook", "chat"))

RUNS_OF_JOBS = """
0 --config jobs.yaml schedule -s data -c @yearly -n job -p pw --before true
0 --config jobs.yaml schedule -s nowhere -c @yearly -n bad -p pw --retries 0 {told}
0 --config jobs.yaml schedule-drill -p pw
0 jobs
0 scheduler trigger job
1 --config jobs.yaml scheduler trigger bad
0 scheduler run --once
0 scheduler history
0 scheduler status
0 scheduler export --format systemd -o units
"""


@dataclass
class Watched:
    """The command line, and all that may show a secret while it runs."""

    cli: Cli
    keys: RememberedKeys
    started: list[Started]
    secrets: Secrets = field(default_factory=Secrets)
    shown: list[tuple[str, str]] = field(default_factory=list)

    def run(self, *arguments: str) -> Ended:
        """Run a command, and keep what it shows."""
        ended = self.cli("--debug", *arguments)
        self.shown.append((shlex.join(arguments), ended.out + ended.err))
        return ended

    def leaks(self) -> list[tuple[str, str]]:
        """Where which secret turned up."""
        for key in self.keys.keys:
            self.secrets.add(key, "a derived key")
        found = [
            (where, what) for where, text in self.shown for what in self.secrets.found_in(text)
        ]
        folder = self.cli.folder
        found += self.secrets.found_below(folder, [folder / name for name in FILES])
        for each in self.started:
            told = b"\0".join(each.arguments)
            if each.is_ours:
                assert each.environment is not None, "a helper gets an environment without secrets"
                told += b"\0".join(each.environment.values())
            found += [(repr(each.arguments[:4]), what) for what in self.secrets.found_in(told)]
        return found


@pytest.fixture
def watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Watched]:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    cli = Cli(tmp_path, capfd, monkeypatch)
    cli.tree()
    for name, text in (("pw", PASSWORD), ("new", NEW_PASSWORD), ("other", OTHER_PASSWORD)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    # Nobody listens on a port that is only taken, and nobody else gets it meanwhile.
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    (tmp_path / "c.yaml").write_text(CONFIG.replace("PORT", str(taken.getsockname()[1])))
    cli.environment(
        HOLDFAST_REPOSITORY="repo",
        HOLDFAST_PASSWORD=PASSWORD,
        HOLDFAST_STORAGE_OPTIONS=json.dumps({"secret": STORE_SECRET}),
    )
    with taken, programs_started() as started:
        found = Watched(cli, RememberedKeys(monkeypatch), started)
        assert found.run("init", "-b", "repo").code == 0
        yield found


def runs(table: str) -> list[tuple[int, list[str]]]:
    """The commands of a table, and how they end."""
    lines = [shlex.split(line.replace("{told}", TOLD)) for line in table.splitlines() if line]
    return [(int(code), arguments) for code, *arguments in lines]


def test_every_command_is_run() -> None:
    begun = {
        arguments[2 if arguments[0] == "--config" else 0]
        for _, arguments in runs(RUNS + RUNS_OF_JOBS)
    }
    assert sorted(set(COMMANDS) - begun) == []


def otherwise(watched: Watched, table: str, *flags: str) -> str:
    """Run the commands of a table; returns those that end otherwise than it says."""
    folder = watched.cli.folder
    found = ""
    for code, arguments in runs(table):
        named = [each.format(folder=folder, data=folder / "data") for each in arguments]
        ended = watched.run(*flags, *named)
        if ended.code != code:
            found += f"{shlex.join(arguments)}: {ended.code:d}\n{ended.err[-500:]}\n"
    return found


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
def test_no_secret_is_shown_logged_kept_or_told_to_other_programs(
    watched: Watched, flags: tuple[str, ...]
) -> None:
    assert otherwise(watched, RUNS, *flags) == ""
    watched.secrets.add_recovery((watched.cli.folder / "key.txt").read_text())
    leaks = watched.leaks()
    assert leaks == [], leaks


def test_no_secret_is_in_what_jobs_keep_say_and_tell(watched: Watched) -> None:
    environment = {"STORE": STORE_SECRET, "MAIL": MAIL_SECRET, "HOOK": HOOK_SECRET}
    text = (watched.cli.folder / "c.yaml").read_text()
    for name, secret in environment.items():
        text = text.replace(secret, f"${{{name}}}")
    (watched.cli.folder / "jobs.yaml").write_text(text)
    watched.cli.patch.delenv("HOLDFAST_STORAGE_OPTIONS")
    watched.cli.environment(**environment)
    assert otherwise(watched, RUNS_OF_JOBS) == ""
    leaks = watched.leaks()
    assert leaks == [], leaks


def test_a_damaged_repository_makes_no_command_tell_a_secret(watched: Watched) -> None:
    folder = watched.cli.folder
    assert watched.run("create", "data").code == 0
    assert watched.run("key", "recovery", "-o", "key.txt").code == 0
    watched.secrets.add_recovery((folder / "key.txt").read_text())
    codes = set()
    for kind in ("keys", "config", "snapshots", "index", "data"):
        file = next(path for path in (folder / "repo" / kind).rglob("*") if path.is_file())
        whole = file.read_bytes()
        file.write_bytes(whole[:-40] + bytes(40))
        for command in (
            "list",
            "create data",
            "restore -t out",
            "validate --read-data",
            "key list",
        ):
            codes.add(watched.run("--no-cache", *command.split()).code)
        file.write_bytes(whole)
    assert codes >= {1, 4}
    leaks = watched.leaks()
    assert leaks == [], leaks
