"""The command ``holdfast``: the options before the command, and where the commands are."""

from __future__ import annotations

import difflib
import logging
from importlib import import_module
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast import __version__
from holdfast.cli.connect import Connector
from holdfast.cli.logs import set_up, set_up_audit
from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.settings import find_config_file, find_debug, find_profile_name

if TYPE_CHECKING:
    from click import Command, Context, HelpFormatter

COMMANDS = {
    "init": "",
    "create": "backup",
    "tag": "",
    "forget": "",
    "undelete": "",
    "list": "snapshots",
    "browse": "ls",
    "restore": "",
    "undo": "",
    "validate": "check",
    "dump": "",
    "mount": "",
    "serve": "webdav",
    "find": "",
    "grep": "",
    "history": "",
    "diff": "",
    "anomalies": "",
    "stats": "",
    "timeline": "",
    "usage": "",
    "compare": "",
    "copy": "",
    "rewrite": "",
    "prune": "",
    "key": "",
    "repair": "",
    "sessions": "",
    "storage": "",
    "cat": "",
    "audit": "",
    "schedule": "",
    "schedule-drill": "",
    "jobs": "",
    "scheduler": "",
    "drill": "",
    "drill-history": "",
    "report": "",
    "status": "",
    "321": "",
    "config": "",
    "export-config": "",
}
"""The commands in the order in which they are needed, each with its alias."""

_MODULES = {"321": "three_two_one"}
"""Where commands are whose names no module can have."""

_WITHOUT_CONFIG = frozenset({"config"})
"""Commands that look at a config file which may make no sense."""

GLOBAL_FLAGS = frozenset(
    {
        "-q",
        "-v",
        "--cache-dir",
        "--cache-size",
        "--config",
        "--debug",
        "--json",
        "--limit-download",
        "--limit-upload",
        "--no-cache",
        "--profile",
        "--quiet",
        "--storage-option",
        "--verbose",
    }
)

EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed; also: some files could not be restored, `grep` found nothing
  2    the command line makes no sense
  3    the backup or comparison was made, but some source items could not be read
  4    validation found damage, or a repair left some; a comparison found bit rot;
       the audit trail was tampered with
  5    a status or a drill is below its objectives; snapshots look wrong
  10   there is no repository
  12   wrong password
  130  interrupted
"""

_VERBS = {alias: verb for verb, alias in COMMANDS.items() if alias}


class LazyGroup(click.Group):
    """Finds a command by its name or alias, and imports its module only then."""

    @override
    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of all commands, without aliases."""
        return list(COMMANDS)

    @override
    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - likewise
        """The command of that name or alias."""
        verb = _VERBS.get(cmd_name, cmd_name)
        if verb not in COMMANDS:
            return None
        module = _MODULES.get(verb, verb.replace("-", "_"))
        command: Command = import_module(f"holdfast.cli.commands.{module}").command
        return command

    @override
    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """The command that the first argument names, and its arguments."""
        names = [*COMMANDS, *_VERBS]
        if args[0] not in names:
            close = difflib.get_close_matches(args[0], names, n=1)
            meant = f": did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"there is no command {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """List the commands, each with its alias."""
        rows = []
        for verb, alias in COMMANDS.items():
            command = self.get_command(ctx, verb)
            if command is not None:
                rows.append((f"{verb}, {alias}" if alias else verb, command.get_short_help_str(80)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class GlobalOptions(TypedDict):
    """The options before the command."""

    verbose: bool
    debug: bool
    json: bool
    quiet: bool
    config: str | None
    profile: str | None
    storage_option: tuple[str, ...]
    limit_upload: str | None
    limit_download: str | None
    cache_dir: str | None
    cache_size: int | None
    no_cache: bool


@click.group(
    "holdfast",
    cls=LazyGroup,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-v", "--verbose", is_flag=True, help="Tell more on standard error.")
@click.option("--debug", is_flag=True, help="Tell everything, and where an error came from.")
@click.option("--json", is_flag=True, help="Make standard output one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@click.option("--config", metavar="FILE", help="A YAML file with defaults.")
@click.option("--profile", metavar="NAME", help="Which of the config file's profiles to use.")
@click.option(
    "--storage-option",
    multiple=True,
    metavar="KEY=VALUE",
    help="Tell the store's driver this; may be repeated. Others on this machine can see it: put "
    "secrets into HOLDFAST_STORAGE_OPTIONS, the driver's own variables or the config file.",
)
@click.option(
    "--limit-upload",
    metavar="KIB/S",
    help="Send no faster; by the time of day: 08:00-18:00=512,4096.",
)
@click.option("--limit-download", metavar="KIB/S", help="Fetch no faster, likewise.")
@click.option("--cache-dir", metavar="DIR", help="Where indexes and metadata are cached.")
@click.option(
    "--cache-size",
    metavar="MIB",
    type=click.IntRange(min=0),
    help="Most metadata that is cached of a remote repository.  [default: 1024]",
)
@click.option("--no-cache", is_flag=True, help="Cache nothing.")
@click.version_option(__version__, prog_name="holdfast", message="%(prog)s %(version)s")
@click.pass_context
def app(ctx: Context, **options: Unpack[GlobalOptions]) -> None:
    """Deduplicating, encrypting backups.

    The repository is named by -b, HOLDFAST_REPOSITORY or the config file. Its password comes from
    the file named by -p, from HOLDFAST_PASSWORD, HOLDFAST_PASSWORD_FILE or
    HOLDFAST_PASSWORD_COMMAND, from the config file, or is asked for. RESTIC_REPOSITORY,
    RESTIC_PASSWORD and RESTIC_PASSWORD_FILE are taken where there is none of these.
    """
    connect: Connector = ctx.obj
    level = logging.INFO if options["verbose"] else logging.WARNING
    set_up(logging.DEBUG if find_debug(flag=options["debug"]) else level)
    connect.output.verbose = options["verbose"]
    connect.output.quiet = options["quiet"]
    if options["no_cache"] and options["cache_dir"] is not None:
        raise UsageError("give either --cache-dir or --no-cache")
    connect.cache = not options["no_cache"]
    connect.cache_dir = options["cache_dir"]
    connect.cache_size = options["cache_size"]
    connect.storage_option = options["storage_option"]
    connect.limits = options["limit_upload"], options["limit_download"]
    connect.config_file = find_config_file(options["config"])
    connect.profile = find_profile_name(options["profile"])
    if ctx.invoked_subcommand not in _WITHOUT_CONFIG:
        set_up_audit(connect.config)  # what is wrong with the file is told before anything is done
