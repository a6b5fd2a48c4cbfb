"""``holdfast config``: check, show and use the config file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.text import count, escaped, print_table

if TYPE_CHECKING:
    from holdfast.platform.schedule import BackupScheduler
    from holdfast.settings.jobs import PlannedJob
    from holdfast.settings.problems import Problem


class ApplyOptions(TypedDict):
    """What `config apply` is told."""

    dry_run: bool


@click.group("config", short_help="Check, show and use the config file.")
def command() -> None:
    """Check, show and use the config file, which --config or HOLDFAST_CONFIG names."""


@command.command("validate", short_help="Name everything that is wrong with a config file.")
@click.argument("file", required=False)
@click.pass_obj
def validate(connect: Connector, file: str | None) -> ExitCode:
    """Name everything that is wrong with a config file, with the line and what may be meant.

    FILE is the one that --config or HOLDFAST_CONFIG names, unless it is given. Warnings, such as
    that sources are backed up less often than their objective asks for, do not count as wrong.
    Exit code 2: something is wrong.
    """
    from holdfast.settings.review import review

    path = _file(connect, file)
    problems = review(Path(path))
    wrong = [each for each in problems if not each.is_warning]
    if connect.output.json:
        connect.output.document(
            {"file": path, "valid": not wrong, "problems": [each.dict() for each in problems]}
        )
    else:
        _tell_problems(path, problems, connect.output)
    return ExitCode.USAGE if wrong else ExitCode.DONE


def _tell_problems(path: str, problems: Sequence[Problem], output: Output) -> None:
    for each in problems:
        where = path if each.line is None else f"{path}, line {each.line}"
        complain("warning" if each.is_warning else "error", f"{where}: {each.text}")
    wrong = sum(not each.is_warning for each in problems)
    output.summary(f"{path}: " + (count(wrong, "problem") if wrong else "good"))


@command.command("show", short_help="Show what holds, and which place says so.")
@click.pass_obj
def show(connect: Connector) -> None:
    """Show what holds, and which place says so: a flag, the environment, the file or a default.

    Secrets are shown as stars, and variables of the file by their names.
    """
    from holdfast.settings.effective import effective
    from holdfast.settings.export import as_yaml, masked

    rows = effective(connect.config, connect.flags)
    values = masked(connect.config.written)
    if connect.output.json:
        connect.output.document(
            {
                "file": connect.config_file,
                "profile": connect.profile,
                "effective": [each.dict() for each in rows],
                "config": values,
            }
        )
        return
    print_table(("Setting", "Value", "From"), [(row.name, row.text, row.origin) for row in rows])
    if values:
        print(f"\n# {escaped(connect.config_file or '')}")
        print("\n".join(map(escaped, as_yaml(values).splitlines())))


@command.command("schema", short_help="Print the JSON schema of config files.")
def schema() -> None:
    """Print the JSON schema of config files, by which editors check and complete them."""
    from holdfast.settings.section import schema as schema_of_files

    print(json.dumps(schema_of_files(), indent=2))


@command.command("apply", short_help="Make jobs of the schedules in the config file.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.pass_obj
def apply(connect: Connector, **options: Unpack[ApplyOptions]) -> None:
    """Make jobs of the schedule and the strategies in the config file; `scheduler run` runs them.

    A job that is there already, by its name, is changed to what the file says now. Jobs of other
    names stay as they are: `jobs` lists them.
    """
    from holdfast.platform.schedule import BackupScheduler
    from holdfast.settings import find_location
    from holdfast.settings.jobs import objective_problems, planned_jobs

    jobs = planned_jobs(connect.config, find_location(None, connect.config), connect.profile or "")
    if not jobs:
        raise UsageError(
            "there is nothing to do: put `schedule:` or a strategy into a file, and name that by "
            "--config or HOLDFAST_CONFIG"
        )
    with BackupScheduler() as scheduler:
        done = _applied(scheduler, jobs, dry_run=options["dry_run"])
        changed = sum(each["action"] != "unchanged" for each in done)
        if changed and not options["dry_run"]:
            scheduler.workspace.audit.record(
                "config",
                details={"action": "applied", "file": connect.config_file, "jobs": changed},
            )
    warnings = objective_problems(jobs)
    for warning in warnings:
        complain("warning", warning)
    if connect.output.json:
        connect.output.document({"jobs": done, "warnings": warnings, "dry_run": options["dry_run"]})
        return
    for each in done:
        connect.output.summary(f"{each['action']:<10}{each['cron']:<16}{each['name']}")


def _applied(
    scheduler: BackupScheduler, jobs: Sequence[PlannedJob], *, dry_run: bool
) -> list[dict[str, object]]:
    """What became of each job, after all of them have been found to make sense."""
    known = {str(each["name"]): each for each in scheduler.list_jobs()}
    done: list[dict[str, object]] = []
    for job in jobs:
        old = known.get(job.name)
        id_ = None if old is None else str(old["id"])
        action = "added" if old is None else "unchanged" if _is_same(job, old) else "changed"
        if not dry_run and action == "added":
            id_ = scheduler.add_job(job.cron, job.config)
        elif not dry_run and action == "changed" and id_ is not None and old is not None:
            scheduler.update_job(id_, _change(job, old), job.cron)
        done.append({"name": job.name, "cron": job.cron, "action": action, "id": id_})
    return done


def _is_same(job: PlannedJob, old: Mapping[str, object]) -> bool:
    wanted = {key: value for key, value in job.config.items() if key != "time_zone"}
    zone = job.config.get("time_zone", old["time_zone"])
    return (job.cron, wanted, zone) == (old["cron"], old["config"], old["time_zone"])


def _change(job: PlannedJob, old: Mapping[str, object]) -> dict[str, object]:
    """The keys of a job, and None for those that it is to lose."""
    had = old["config"]
    return dict.fromkeys(had if isinstance(had, Mapping) else {}) | job.config


def _file(connect: Connector, given: str | None) -> str:
    path = given or connect.config_file
    if path is None:
        raise UsageError("no config file is named: give FILE, --config FILE or HOLDFAST_CONFIG")
    return path
