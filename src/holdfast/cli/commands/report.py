"""``holdfast report``: what drills show, for auditors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.text import escaped, print_table

if TYPE_CHECKING:
    from holdfast.platform.drill.report import DrillReport
    from holdfast.platform.workspace import Workspace


class CreateOptions(TypedDict):
    """What `report create` is told."""

    drill: str
    compliance: str | None
    format: str
    output: str | None
    sign: str | None


class VerifyOptions(TypedDict):
    """What `report verify` is told."""

    file: str
    public_key: str | None
    no_trail: bool


@click.group("report", short_help="Reports on drills, for auditors.")
def command() -> None:
    """Say what a drill has shown, in the terms of SOC 2, HIPAA, GDPR, ISO 27001 or NIST CSF."""


@command.command("create", short_help="Write a report on a drill.")
@click.argument("drill", default="latest")
@click.option(
    "-f",
    "--compliance",
    metavar="FRAMEWORK",
    help="SOC2, HIPAA, GDPR, ISO27001 or NIST_CSF.  [default: the drill's own]",
)
@click.option(
    "--format",
    type=click.Choice(["markdown", "html", "pdf", "json"]),
    default="markdown",
    show_default=True,
    help="How it is to look.",
)
@click.option(
    "-o", "--output", metavar="DIR", help="Where it goes.  [default: the workspace's folder]"
)
@click.option("--sign", metavar="FILE", help="Sign it with this key, made by `report keygen`.")
@click.pass_obj
def create(connect: Connector, **options: Unpack[CreateOptions]) -> ExitCode:
    """Write a report on the drill DRILL, an id or how one begins, or on the latest one.

    Its evidence and a manifest are written beside it. Exit code 5 if it is not compliant.
    """
    from holdfast.platform.compliance import ComplianceReporter
    from holdfast.platform.workspace import Workspace

    with Workspace() as workspace:
        drill = _find(workspace, options["drill"])
        reporter = ComplianceReporter(
            options["output"], workspace=workspace, signing_key=options["sign"]
        )
        result = reporter.generate_report(
            drill, options["compliance"] or drill.compliance_framework, options["format"]
        )
    output = connect.output
    if output.json:
        output.document(result)
    else:
        print(escaped(str(result["report_file"])))
        reasons = result["reasons"]
        if isinstance(reasons, list):
            output.summary(
                "compliant" if result["compliant"] else "not compliant:",
                *[f"  {reason}" for reason in reasons],
            )
    return ExitCode.DONE if result["compliant"] else ExitCode.BELOW


@command.command("verify", short_help="Find out whether a report was changed.")
@click.argument("file")
@click.option("--public-key", metavar="FILE", help="It must be signed by this key.")
@click.option("--no-trail", is_flag=True, help="It was made on another machine.")
@click.pass_obj
def verify(connect: Connector, **options: Unpack[VerifyOptions]) -> ExitCode:
    """Compare a report and its evidence with their manifest; exit code 4 if anything was changed.

    The audit trail of this machine must hold the manifest, unless the report was made on another.
    """
    from holdfast.platform.compliance import verify as verify_report
    from holdfast.platform.workspace import Workspace

    trail = None if options["no_trail"] else Workspace().audit
    found = verify_report(options["file"], options["public_key"], trail)
    if connect.output.json:
        connect.output.document(found.dict())
        return ExitCode.DONE if found.ok else ExitCode.DAMAGED
    for finding in found.findings:
        print(escaped(f"{finding.file}: {finding.problem}"))
    if found.trusted is False:
        print("it is not signed by that key")
    if found.recorded is False:
        print("this machine's audit trail does not hold it")
    if found.ok:
        signed = "signed" if found.signed else "not signed"
        connect.output.summary(f"unchanged, {signed}")
    return ExitCode.DONE if found.ok else ExitCode.DAMAGED


@command.command("keygen", short_help="Make a key to sign reports with.")
@click.argument("file")
@click.pass_obj
def keygen(connect: Connector, file: str) -> None:
    """Write a private key to FILE, and the public key, to verify reports with, to FILE.pub."""
    from holdfast.platform.compliance import new_signing_key

    public = new_signing_key(file)
    if connect.output.json:
        connect.output.document({"private_key": file, "public_key": str(public)})
    else:
        connect.output.summary(f"keep {file} secret; {public} is for those who verify")


@command.command("criteria", short_help="What a drill must show for a framework.")
@click.argument("framework")
@click.pass_obj
def criteria(connect: Connector, framework: str) -> None:
    """Tell what FRAMEWORK asks of a drill, and by which rules that is decided."""
    from holdfast.platform.compliance import framework as find_framework
    from holdfast.platform.compliance.rules import RULES

    found = find_framework(framework)
    if connect.output.json:
        controls = [control.dict() for control in found.controls]
        connect.output.document({"framework": found.name, "controls": controls})
        return
    rows = [
        (control.id, control.title, "; ".join(RULES[name].meaning for name in control.rules))
        for control in found.controls
    ]
    print_table(("Control", "Title", "Passed if"), rows)
    connect.output.summary(f"Not to be shown by a drill: {found.beyond}")


def _find(workspace: Workspace, name: str) -> DrillReport:
    """The drill of that id, or of an id that begins so, or the latest one (UsageError if none)."""
    from holdfast.platform.drill.history import past_drills

    drills = past_drills(workspace)
    if not drills:
        raise UsageError("no drill was done yet on this machine: see `holdfast drill`")
    if name == "latest":
        return drills[-1]
    found = [drill for drill in drills if drill.drill_id.startswith(name)]
    if len(found) != 1:
        said = "several drills have ids that begin" if found else "no drill has an id that begins"
        raise UsageError(f"{said} with {name!r}: see `holdfast drill-history`")
    return found[0]
