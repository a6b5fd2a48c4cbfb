"""``holdfast scheduler``: run the jobs, and say what came of them."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.scheduling import plain, shown
from holdfast.cli.text import count, print_table

if TYPE_CHECKING:
    from holdfast.platform.schedule import BackupScheduler

FORMATS = ("systemd", "crontab", "kubernetes")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class RunOptions(TypedDict):
    """What `scheduler run` is told."""

    once: bool
    max_concurrent: int
    grace: float


class HistoryOptions(TypedDict):
    """What `scheduler history` is told."""

    job: str | None
    number: int


class ExportOptions(TypedDict):
    """What `scheduler export` is told."""

    kind: str
    output: str | None
    program: str | None
    image: str


@click.group("scheduler", short_help="Run the jobs; their history.")
def command() -> None:
    """Run the jobs that `schedule` keeps, and tell what came of them.

    Jobs are kept in HOLDFAST_STATE_DIR, or else in ~/.local/state/holdfast, which has one
    scheduler at a time.
    """


@command.command("run", short_help="Run jobs as they are due.")
@click.option("--once", is_flag=True, help="Run what is due now, and end.")
@click.option(
    "--max-concurrent",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    metavar="N",
    help="How many jobs run at once.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long jobs may go on when the scheduler is told to stop.",
)
@click.pass_obj
def run(connect: Connector, **options: Unpack[RunOptions]) -> ExitCode:
    """Run jobs as they are due, in the foreground, until SIGTERM, SIGINT or SIGHUP.

    Then jobs at work have the time of --grace to end in, and are ended; a second signal ends them
    at once. A job that was ended, or killed, is run again by the next scheduler.
    """
    with _scheduler(connect, options["max_concurrent"], options["grace"]) as scheduler:
        if options["once"]:
            return _told(scheduler.run_pending(), connect.output)
        with _stopped_by_signals(scheduler):
            if not connect.output.json:
                connect.output.summary("the scheduler runs; SIGTERM or Ctrl-C stops it")
                sys.stdout.flush()
            scheduler.run()
    if connect.output.json:
        connect.output.document({"stopped": True})
    else:
        connect.output.summary("the scheduler has stopped")
    return ExitCode.DONE


@command.command("trigger", short_help="Run one job now.")
@click.argument("job")
@click.pass_obj
def trigger(connect: Connector, job: str) -> ExitCode:
    """Run the job of this id or name now, whether it is due or not, and wait for its end."""
    with _scheduler(connect) as scheduler:
        return _told([scheduler.run_job(job)], connect.output)


@command.command("status", short_help="Whether a scheduler runs.")
@click.pass_obj
def status(connect: Connector) -> None:
    """Say whether a scheduler runs the jobs, what is at work, and what comes next."""
    from holdfast.platform.schedule import BackupScheduler

    with BackupScheduler() as scheduler:
        found = scheduler.status()
    if connect.output.json:
        connect.output.document(plain(found))
        return
    connect.output.summary(
        f"scheduler: {found['scheduler'] or 'none runs'}",
        f"jobs: {found['jobs']}, {found['active']} at work",
        f"next run: {shown(found['next_run'])}",
    )


@command.command("history", short_help="What came of the runs.")
@click.option("--job", metavar="JOB", help="Only of the job of this id or name.")
@click.option(
    "-n",
    "number",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    metavar="N",
    help="Only the newest N.",
)
@click.pass_obj
def history(connect: Connector, **options: Unpack[HistoryOptions]) -> None:
    """List runs, the newest first, also of jobs that are removed."""
    from holdfast.platform.schedule import BackupScheduler

    with BackupScheduler() as scheduler:
        runs = scheduler.history(options["job"], options["number"])
    if connect.output.json:
        connect.output.document({"runs": [plain(run) for run in runs]})
        return
    if runs:
        rows = [
            (
                str(each["run"]),
                str(each["name"]),
                str(each["operation"]),
                "by hand" if each["by_hand"] else shown(each["planned"]),
                shown(each["started"]),
                shown(each["ended"]),
                str(each["state"]),
                str(each["error"] or _summary(each["result"])),
            )
            for each in runs
        ]
        heads = ("Run", "Job", "Does", "Planned", "Started", "Ended", "Result", "")
        print_table(heads, rows, numbers=(0,))
    connect.output.summary(count(len(runs), "run"))


@command.command("export", short_help="Write the jobs for another scheduler.")
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), required=True, help="What it is that runs them."
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="Where to: a directory for systemd, else a file.  [default: standard output]",
)
@click.option("--program", metavar="FILE", help="The program that units call.  [default: this one]")
@click.option("--image", default="holdfast", show_default=True, help="Container, for Kubernetes.")
@click.pass_obj
def export(connect: Connector, **options: Unpack[ExportOptions]) -> None:
    """Write units that call this command for each job, for who has a scheduler already.

    For systemd, a service and a timer each; for cron, lines of a crontab; for Kubernetes, CronJobs.
    What such a scheduler cannot be told is an error.
    """
    from holdfast.platform.schedule.export import ExportOptions as Wanted
    from holdfast.platform.schedule.export import export_jobs
    from holdfast.platform.workspace import Workspace

    program = [options["program"]] if options["program"] else _this_program()
    with Workspace() as workspace:
        texts = export_jobs(workspace, options["kind"], Wanted(program, options["image"]))
    if options["output"] is not None:
        written = _write(dict(texts), Path(options["output"]), many=options["kind"] == "systemd")
        if not connect.output.json:
            connect.output.summary(*(f"wrote {each}" for each in written))
    elif not connect.output.json:
        for name, text in texts.items():
            print(f"# {name}\n{text}" if len(texts) > 1 else text, end="")
    if connect.output.json:
        connect.output.document({"format": options["kind"], "files": dict(texts)})


def _scheduler(connect: Connector, max_concurrent: int = 2, grace: float = 30.0) -> BackupScheduler:
    """A scheduler that tells whom jobs and the config file name."""
    from holdfast.platform.notify import Notifier
    from holdfast.platform.schedule import BackupScheduler
    from holdfast.platform.workspace import Workspace
    from holdfast.settings.channels import channels
    from holdfast.settings.jobs import channel_words

    workspace = Workspace()
    blocks = connect.config.blocks
    told = None if blocks is None else blocks.notifications
    directory = channels(told)
    usual = [directory.find(word) for word in (channel_words(told) if told is not None else [])]
    notifier = Notifier(workspace.database, usual, workspace.clock)

    def notify_to(words: Sequence[str], event: str, subject: str, body: str) -> None:
        for word in words:
            try:
                notifier.send(event, subject, body, [directory.find(word)])
            except UsageError as error:  # the others are told all the same
                complain("warning", f"{word} was not told: {error}")

    return BackupScheduler(
        workspace=workspace,
        notify=notifier.send,
        notify_to=notify_to,
        max_concurrent=max_concurrent,
        grace=grace,
    )


@contextmanager
def _stopped_by_signals(scheduler: BackupScheduler) -> Iterator[None]:
    """Have signals stop the scheduler: the first in peace, the second at once."""
    came: SimpleQueue[int] = SimpleQueue()  # which a signal's handler may put into

    def listen() -> None:
        if came.get():
            scheduler.stop()
        if came.get():
            scheduler.stop(grace=0)

    def handler(number: int, _: object) -> None:
        came.put(number)

    listener = threading.Thread(target=listen, name="holdfast-signals", daemon=True)
    listener.start()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, usual in before.items():
        if usual is not signal.SIG_IGN:  # `nohup` has SIGHUP ignored
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
        came.put(0)
        came.put(0)


def _told(runs: Sequence[dict[str, object]], output: Output) -> ExitCode:
    """Tell of runs, and end accordingly."""
    if output.json:
        output.document({"runs": [plain(run) for run in runs]})
    else:
        for run in runs:
            said = run["error"] or _summary(run["result"])
            output.summary(f"{run['name']}: {run['state']}" + (f": {said}" if said else ""))
        output.summary(count(len(runs), "job") + " run")
    states = {run["state"] for run in runs}
    if states <= {"done"}:
        return ExitCode.DONE
    return ExitCode.INCOMPLETE if states <= {"done", "partial"} else ExitCode.FAILED


def _summary(result: object) -> str:
    return str(result.get("summary", "")) if isinstance(result, dict) else ""


def _this_program() -> list[str]:
    """How this program was started, so that others can start it."""
    found = shutil.which(sys.argv[0])
    if found is not None and not found.endswith(".py"):
        return [str(Path(found).absolute())]
    return [sys.executable, "-m", "holdfast"]


def _write(texts: dict[str, str], place: Path, *, many: bool) -> list[Path]:
    try:
        if not many:
            place.write_text("".join(texts.values()), "utf-8")
            return [place]
        place.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (place / name).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename or place}: {error.strerror}") from None
    return [place / name for name in texts]
