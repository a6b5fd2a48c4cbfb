"""Target: the command line, in a folder with a repository that is new for every input."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import takewhile
from pathlib import Path

import click
from tests.fuzz.engine import Attempt, Target
from tests.fuzz.forging import NotForged
from tests.fuzz.mutate import mutate_arguments
from tests.fuzz.texts import VALUES

from holdfast.backend import LocalBackend
from holdfast.cli.app import COMMANDS, GLOBAL_FLAGS, app
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output
from holdfast.cli.run import run
from holdfast.testing.repositories import PASSWORD, new_store

ENDLESS = frozenset({"mount", "serve", "webdav", "scheduler", "--serve", "--wait"})
"""What waits for others, and does not end by itself."""

RUNNING = frozenset({"--", "--command", "--allow-execute", "--playbook", "--limit-upload"})
"""What runs programs, or takes as long as it is told to."""

PATHS = ("data/a", "data/sub", "latest:/data", "./data", "/data/a", "other/x")
"""The only arguments with a slash: nothing outside the folder is to be touched."""

SEEDS: Sequence[Sequence[str]] = (
    ("create", "data", "-x", "*.tmp", "-t", "tag", "--label", "text", "--host", "h"),
    ("--json", "list", "-d", "7", "-l", "2"),
    ("restore", "-s", "latest", "-t", "out", "-i", "a", "--overwrite", "never", "--dry-run"),
    ("--json", "validate", "--read-data"),
    ("forget", "-r", "keep-last:1", "--group-by", "host", "--dry-run"),
    ("-v", "prune", "--max-unused", "5%", "--dry-run"),
    ("--json", "find", "a*"),
    ("grep", "alpha"),
    ("diff", "latest", "latest"),
    ("--json", "browse", "-s", "latest"),
    ("dump", "latest", "/data/a"),
    ("tag", "latest"),
    ("--json", "stats"),
    ("history", "/data/a"),
    ("--json", "timeline"),
    ("--json", "usage"),
    ("compare", "latest", "out"),
    ("cat", "config"),
    ("--json", "audit", "verify"),
    ("--json", "config", "show"),
    ("--config", "config.yaml", "config", "validate"),
    ("--json", "jobs"),
    ("schedule", "-s", "data", "-c", "0 2 * * *", "-n", "name"),
    ("init", "-b", "new", "--compression", "9", "--pack-size", "4"),
    ("--json", "sessions"),
    ("--json", "status"),
    ("key", "list"),
    ("--json", "repair", "index", "--dry-run"),
    ("copy", "--to", "new"),
    ("rewrite", "latest", "-x", "a", "--dry-run"),
    ("undelete",),
    ("anomalies",),
    ("export-config",),
    ("321",),
)


def flags() -> list[str]:
    """All commands and options."""
    found = [*COMMANDS, *COMMANDS.values(), *GLOBAL_FLAGS, "--help", "-h"]
    context = click.Context(app, obj=Connector(Output()))
    for name in COMMANDS:
        command = app.get_command(context, name)
        inner = command.commands if isinstance(command, click.Group) else {}
        for each in (command, *inner.values()):
            assert each is not None
            found += [flag for option in each.params for flag in option.opts]
        found += inner
    return sorted({each for each in found if each} - ENDLESS - RUNNING)


def words() -> tuple[str, ...]:
    """Of the dictionary: besides those, values of every kind."""
    files = ("data", "out", "repo", "password", "config.yaml", "latest", "tag")
    return (*flags(), *files, *PATHS, *(value for _, value in VALUES.values()))


def arguments_of(data: bytes) -> list[str]:
    """The words of a command line that harms nothing outside (NotForged)."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise NotForged from error
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise NotForged
    arguments = [str(each) for each in found]
    parts = {part for each in arguments for part in (each, each.partition("=")[0])}
    outside = [
        each
        for each in arguments
        if ("/" in each and each not in PATHS) or ".." in each or "~" in each or "\0" in each
    ]
    if outside or parts & (ENDLESS | RUNNING) or any(each.startswith("--li") for each in parts):
        raise NotForged
    return arguments


def prepare(folder: Path) -> Attempt:
    """Makes the folder; this process works in it from now on."""
    template, work = folder / "template", folder / "work"
    _fill(template)
    variables = {
        "HOLDFAST_PASSWORD": PASSWORD,
        "HOLDFAST_REPOSITORY": "repo",
        "HOLDFAST_STATE_DIR": str(work / "state"),
        "XDG_CACHE_HOME": str(work / "cache"),
        "XDG_CONFIG_HOME": str(work / "settings"),
        "HOME": str(work),
    }
    for name in [name for name in os.environ if name.startswith(("HOLDFAST_", "RESTIC_"))]:
        del os.environ[name]
    os.environ.update(variables)

    def attempt(data: bytes) -> None:
        arguments = arguments_of(data)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(template, work)
        os.chdir(work)
        judge(arguments)

    return attempt


def _fill(template: Path) -> None:
    (template / "data/sub").mkdir(parents=True)
    (template / "data/a").write_text("alpha\n")
    (template / "data/sub/b.tmp").write_text("beta\n")
    (template / "password").write_text(PASSWORD)
    (template / "config.yaml").write_text("repository: repo\nexclude: ['*.tmp']\n")
    new_store(LocalBackend(template / "repo")).close()
    os.chdir(template)
    os.environ["HOLDFAST_PASSWORD"] = PASSWORD
    code, _, err = ran(["--no-cache", "create", "-b", "repo", "data"])
    assert code == ExitCode.DONE, err


def judge(arguments: Sequence[str]) -> None:
    """Run a command: it ends as commands do."""
    code, out, err = ran(arguments)
    assert code in set(ExitCode), (code, err)
    assert "a mistake of ours" not in err, err
    before = list(takewhile(lambda each: each != "--", arguments))
    if "--json" in before and not {"--help", "-h", "--version", "dump"} & set(before):
        assert not out or json.loads(out) is not None, out
    if code != ExitCode.DONE:
        raise click.ClickException(err)


def ran(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command."""
    with _own_logging(), tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        texts = [io.TextIOWrapper(each, "utf-8", write_through=True) for each in (out, err)]
        with redirect_stdout(texts[0]), redirect_stderr(texts[1]):
            code = run(arguments)
        for each in texts:
            each.detach()
        out.seek(0)
        err.seek(0)
        return code, out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")


@contextmanager
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, show = root.handlers, root.level, warnings.showwarning
    try:
        yield
    finally:
        root.handlers, warnings.showwarning = handlers, show
        root.setLevel(level)


TARGETS = (
    Target(
        "commands",
        prepare,
        lambda: [json.dumps(seed).encode() for seed in SEEDS],
        mutate_arguments,
        (NotForged, click.ClickException),
        words=words(),
        share=20,
    ),
)
