"""``holdfast status``: how things stand, for people and for monitoring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from holdfast import HoldfastError, UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode, exit_code_of
from holdfast.cli.output import Output
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, moment, print_table, size

if TYPE_CHECKING:
    from holdfast import Repository
    from holdfast.platform.status import Objectives, Status


class StatusOptions(RepositoryOptions):
    """What `status` is told."""

    days: int
    max_rpo_minutes: int | None
    prometheus: str | None
    serve: str | None


@click.command("status", short_help="How things stand; for monitoring too.")
@repository_options
@click.option(
    "-d",
    "--days",
    type=click.IntRange(1, 3660),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="How far back runs of jobs and growth are looked at.",
)
@click.option(
    "--max-rpo-minutes",
    type=click.IntRange(1, 10**9),
    metavar="MINUTES",
    help="How old the newest backup of each source may be.  [default: 1440]",
)
@click.option(
    "--prometheus", metavar="FILE", help="Also write metrics to FILE, for the node exporter."
)
@click.option(
    "--serve",
    metavar="HOST:PORT",
    help="Answer /metrics and /healthz over HTTP until interrupted; without encryption or "
    "passwords, so best at 127.0.0.1.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[StatusOptions]) -> ExitCode:
    """Say how things stand.

    Whether the repository can be reached, how old the newest backup of each source is, which jobs
    failed, how the last check and the last drill ended, what runs next, and how much was added.

    With `sources:` or tiers in the config file, the verdict goes by the backups of these;
    otherwise by all that there are.

    Exit code 0: all is well. 5: something is wrong. 1, 10, 12: the repository cannot be opened.
    """
    collector = _Collector(connect, options)
    if options["serve"] is not None:
        return _serve(collector, options["serve"], connect.output)
    status = collector()
    if options["prometheus"] is not None:
        from holdfast.platform.status.metrics import write_metrics

        write_metrics(status, Path(options["prometheus"]))
    if connect.output.json:
        connect.output.document(dict(status.dict()))
    else:
        _tell(status, connect.output)
    if status.ok:
        return ExitCode.DONE
    return ExitCode.BELOW if collector.error is None else exit_code_of(collector.error)


class _Collector:
    """Finds out the status, as often as it is called; the repository is opened once.

    Attributes:
        error: why it could not be opened.
    """

    def __init__(self, connect: Connector, options: StatusOptions) -> None:
        self.error: HoldfastError | None = None
        self._connect, self._options = connect, options
        self._location = connect.location(options["repository"])
        self._objectives = _objectives(connect, options)
        self._repository: Repository | None = None

    def __call__(self) -> Status:
        from holdfast.platform.status import status

        return status(self._opened, self._location, self._objectives)

    def _opened(self) -> Repository:
        if self._repository is None:
            try:
                self._repository = self._connect.open(
                    self._options["repository"], self._options["password_file"]
                ).__enter__()
            except HoldfastError as error:
                self.error = error
                raise
        return self._repository


def _objectives(connect: Connector, options: StatusOptions) -> Objectives:
    """What is expected: flags before the config file."""
    from holdfast.platform.status import MAX_RPO_MINUTES, Objectives

    blocks = connect.config.blocks
    tiers = {} if blocks is None else blocks.tiered_strategy
    watch = None if blocks is None else blocks.monitoring
    limit = options["max_rpo_minutes"] or (watch.max_rpo_minutes if watch else None)
    own = {
        path: float(tier.max_rpo_minutes)
        for tier in tiers.values()
        for path in tier.sources
        if tier.max_rpo_minutes is not None
    }
    sources = [each.path for each in connect.config.sources]
    return Objectives(
        days=options["days"],
        max_rpo_minutes=float(limit or MAX_RPO_MINUTES),
        of_paths={} if options["max_rpo_minutes"] else own,
        sources=(*sources, *(path for tier in tiers.values() for path in tier.sources)),
    )


def _serve(collector: _Collector, address: str, output: Output) -> ExitCode:
    """Answer until interrupted; what makes no sense is told before."""
    if output.json:
        raise UsageError("--serve makes no sense with --json")
    from holdfast.platform.status.server import StatusServer

    with StatusServer(address, collector) as server:
        server.status()
        output.summary(f"http://{server.address}/metrics and /healthz; end it with Ctrl-C")
        sys.stdout.flush()
        try:
            server.run()
        except KeyboardInterrupt:
            output.summary("ended")
    return ExitCode.DONE


def _tell(status: Status, output: Output) -> None:
    head = status.repository if status.id is None else f"{status.repository} ({status.id[:8]})"
    if status.ok:
        output.summary(f"{head}: all is well")
    else:
        output.summary(f"{head}: {len(status.problems)} to look at")
        output.summary(*(f"  {each.text}" for each in status.problems))
    if output.quiet:
        return
    _tell_sources(status)
    _tell_work(status)
    added = sum(each.added for each in status.growth)
    stored = sum(each.stored for each in status.growth)
    made = sum(each.snapshots for each in status.growth)
    output.summary(
        "",
        f"{count(status.days, 'day')}: {count(made, 'snapshot')}, {size(added)} of new data, "
        f"stored as {size(stored)}",
    )


def _tell_sources(status: Status) -> None:
    if status.sources:
        print()
        print_table(
            ("Source", "Host", "Newest", "Age", "Limit", ""),
            [
                (
                    " ".join(each.paths),
                    each.host or "-",
                    moment(each.time),
                    "-" if each.age is None else _age(each.age.total_seconds()),
                    _age(each.limit.total_seconds()),
                    ("late" if each.counts else "late, does not count") if each.late else "ok",
                )
                for each in status.sources
            ],
            numbers=(3, 4),
        )


def _tell_work(status: Status) -> None:
    for word, found in (("check", status.last_check), ("drill", status.last_drill)):
        text = "none" if found is None else f"{moment(found.time)}  {found.name}  {found.result}"
        print(f"\nLast {word}: {text}" if word == "check" else f"Last {word}: {text}")
    if status.failures:
        print()
        print_table(
            ("Failed run", "Began", "State", "Why"),
            [
                (each.name, moment(each.started), each.state, each.error or "")
                for each in status.failures
            ],
        )
    if status.next_runs:
        print()
        print_table(
            ("Next run", "When"), [(each.name, moment(each.time)) for each in status.next_runs]
        )


def _age(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 1:
        return f"{seconds / 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"  # noqa: PLR2004 - two days
