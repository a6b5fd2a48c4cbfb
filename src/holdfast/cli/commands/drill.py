"""``holdfast drill``: rehearse a recovery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.telling import Audience, audience
from holdfast.cli.text import count, escaped, print_table, size

if TYPE_CHECKING:
    from holdfast import DRDrill, DrillConfig, DrillReport

SHOWN_ERRORS = 20
"""Most errors that are told; the report has more."""


class DrillOptions(RepositoryOptions):
    """What `drill` is told."""

    config_file: str | None
    name: str | None
    compliance: str | None
    playbook: str | None
    allow_execute: bool


@click.command("drill", short_help="Rehearse a recovery, and measure it.")
@repository_options
@click.option("-c", "--config-file", metavar="FILE", help="A YAML file that says what to do.")
@click.option("-n", "--name", metavar="NAME", help="What the drill is called.")
@click.option(
    "-f",
    "--compliance",
    metavar="FRAMEWORK",
    help="What it is evidence for: SOC2, HIPAA, GDPR, ISO27001 or NIST.  [default: SOC2]",
)
@click.option("--playbook", metavar="FILE", help="Do the steps of this YAML file instead.")
@click.option(
    "--allow-execute", is_flag=True, help="Let the file run programs, with this user's rights."
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[DrillOptions]) -> ExitCode:
    """Restore a snapshot into a scratch directory, check it, measure it, and remove it again.

    Without a file: the latest snapshot; it is compared with what was restored, and files of known
    formats are read. It is to be usable within an hour, and not older than a quarter of one.
    Exit code 5: an objective was missed or something was not evaluated; 1: the recovery failed.
    """
    if options["playbook"] is not None and options["config_file"] is not None:
        raise UsageError("give either -c or --playbook")
    from holdfast import DRDrill
    from holdfast.platform.drill import to_channels
    from holdfast.platform.workspace import Workspace

    opener = connect.opener(options["repository"], options["password_file"])
    with Workspace() as workspace:
        told = audience(connect, workspace)
        drill = DRDrill(
            opener,
            workspace=workspace,
            notify=told.notifier.send if told.on_success or told.on_failure else None,
            notify_to=to_channels(told.notifier, told.directory),
        )
        report = _run(drill, options)
        _announce(report, told)
    if connect.output.json:
        connect.output.document(report.dict())
    else:
        _tell(report, connect.output)
    return {"SUCCESS": ExitCode.DONE, "PARTIAL": ExitCode.BELOW}.get(report.status, ExitCode.FAILED)


def _run(drill: DRDrill, options: DrillOptions) -> DrillReport:
    from holdfast.platform.drill import load_playbook

    if options["playbook"] is None:
        return drill.execute_drill(_config(options))
    playbook = load_playbook(options["playbook"])
    if options["name"] is not None:
        playbook = replace(playbook, name=options["name"])
    if options["compliance"] is not None:
        return drill.execute_quarterly_drill(
            playbook,
            {"framework": options["compliance"]},
            allow_execute=options["allow_execute"],
        )
    return drill.execute_quarterly_drill(playbook, allow_execute=options["allow_execute"])


def _announce(report: DrillReport, told: Audience) -> None:
    """Tell the channels of the config file, unless the drill named others."""
    from holdfast.platform.drill import announcement

    is_wanted = told.on_success if report.status == "SUCCESS" else told.on_failure
    if is_wanted and not report.notification_channels:
        told.notifier.send(*announcement(report))


def _config(options: DrillOptions) -> DrillConfig:
    from holdfast import DrillConfig
    from holdfast.platform.drill import load_drill

    config = DrillConfig()
    if options["config_file"] is not None:
        config = load_drill(options["config_file"], allow_execute=options["allow_execute"])
    if options["name"] is not None:
        config = replace(config, name=options["name"])
    if options["compliance"] is not None:
        config = replace(config, compliance_framework=options["compliance"])
    return config


def _tell(report: DrillReport, output: Output) -> None:
    from holdfast.platform.drill import verdict_word

    print(escaped(f"drill {report.name}: {report.status}"))
    age = "not known" if report.data_age_minutes is None else f"{report.data_age_minutes:.1f} min"
    rows = [
        (
            "recovery time",
            verdict_word(report.rto_compliant),
            f"{report.recovery_time_minutes:.2f} of {report.max_rto_minutes:g} min",
        ),
        (
            "age of the data",
            verdict_word(report.rpo_compliant),
            f"{age} of {report.max_rpo_minutes:g} min",
        ),
    ]
    summaries = {each.name: each.summary for each in report.checks}
    rows += [
        (name, verdict_word(passed), summaries.get(name, ""))
        for name, passed in report.validation_results.items()
    ]
    print_table(("", "Result", "Measured"), rows)
    if report.steps:
        print_table(
            ("Step", "State", "Seconds", ""),
            [(each.name, each.state, f"{each.seconds:.1f}", each.message) for each in report.steps],
            numbers=(2,),
        )
    _tell_errors(report)
    output.summary(*[f"advice: {each}" for each in report.recommendations])
    output.summary(
        f"{count(report.files, 'file')} restored, {size(report.bytes)}; drill {report.drill_id}"
    )


def _tell_errors(report: DrillReport) -> None:
    for each in report.errors[:SHOWN_ERRORS]:
        complain("error", f"{each.path!r}: {each.message}" if each.path else each.message)
    if report.errors_total > SHOWN_ERRORS:
        complain("error", f"{report.errors_total - SHOWN_ERRORS:,} more are not named here")
