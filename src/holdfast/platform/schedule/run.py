"""One run of a job, from its hooks to the message about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.platform.audit.redact import redacted
from holdfast.platform.schedule.cancel import Cancel, Cancelled
from holdfast.platform.schedule.hooks import HookFailed, run_hook
from holdfast.platform.schedule.job import Hooks, JobConfig
from holdfast.platform.schedule.notices import FAILURE, PARTIAL, SUCCESS, Notices
from holdfast.platform.schedule.outcome import Executor, Outcome
from holdfast.platform.schedule.table import DONE, FAILED, LOST, Job, Run, Table
from holdfast.platform.schedule.table import PARTIAL as WITH_LOSSES
from holdfast.platform.workspace import Workspace

_log = logging.getLogger(__name__)

_EVENTS = {DONE: SUCCESS, WITH_LOSSES: PARTIAL}
_AUDITED = {DONE: "ok", WITH_LOSSES: "partial"}
_SECOND = 1_000_000_000
_MESSAGE = 10_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended; an error when it came to no result."""

    outcome: Outcome
    error: str | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs jobs, one at a time in each thread that asks for it.

    Attributes:
        workspace: whose clock and audit trail are used.
        table: where it is noted how runs end.
        execute: does the work.
        notices: tells people.
    """

    workspace: Workspace
    table: Table
    execute: Executor
    notices: Notices

    def work(self, config: JobConfig, cancel: Cancel) -> Ended:
        """Do what a job says, from its first hook to its last; raises nothing of that.

        Args:
            config: what it says.
            cancel: ends the work, but not the hooks after it: they put right what others began.
        """
        try:
            ended = self._work(config, cancel)
        except BaseException:  # somebody interrupts this program
            self._close(config.hooks, Ended(Outcome(FAILED)))
            raise
        return self._close(config.hooks, ended)

    def finish(self, job: Job, run: Run, ended: Ended) -> None:
        """Note how a run ended, and when it is tried again; tell people if it is not."""
        now = self.workspace.clock.now_ns()
        error = None if ended.error is None else _safe(ended.error)
        outcome = replace(ended.outcome, summary=_safe(ended.outcome.summary))
        delay = job.config.delay(run.attempt) if error is not None else None
        if ended.cancelled and run.attempt:
            delay = 0  # it is no failure of its own: whoever comes next does it
        retry = None if delay is None else now + delay * _SECOND
        kept = {**outcome.result, "summary": outcome.summary}
        if not self.table.end(run, outcome.state, now, result=kept, error=error, retry_ns=retry):
            return  # it was given up before
        self.workspace.audit.record(
            "job",
            result=_AUDITED.get(outcome.state, "failed"),
            details={"id": job.id, "name": job.config.name, "run": run.id, "error": error},
        )
        level = logging.INFO if outcome.state == DONE else logging.WARNING
        said = error or outcome.summary
        _log.log(level, "job %s (%s): %s: %s", job.config.name, job.id, outcome.state, said)
        if retry is None:
            self._tell(job, outcome, error)

    def lost(self, job: Job | None, run: Run) -> None:
        """Note that the scheduler of a run is gone, and with it the run."""
        now = self.workspace.clock.now_ns()
        delay = None if job is None else job.config.delay(run.attempt)
        retry = None if delay is None else now + delay * _SECOND
        error = "its scheduler ended in the middle of it"
        if not self.table.end(run, LOST, now, error=error, retry_ns=retry):
            return
        _log.warning("job %s (%s): run %d is lost: %s", run.name, run.job, run.id, error)
        self.workspace.audit.record(
            "job", result="failed", details={"id": run.job, "name": run.name, "run": run.id,
                                             "error": error},
        )  # fmt: skip
        if job is not None and retry is None:
            self._tell(job, Outcome(LOST), error)

    def _tell(self, job: Job, outcome: Outcome, error: str | None) -> None:
        event = _EVENTS.get(outcome.state, FAILURE)
        lines = [f"{job.config.operation} {outcome.state}: {error or outcome.summary}"]
        lines += [f"{name}: {value}" for name, value in _plain(outcome.result).items()]
        subject = f"{job.config.name}: {outcome.state}"
        body = "\n".join(lines)[:_MESSAGE]
        self.notices.send(job.config.notification, event, subject, body)

    def _work(self, config: JobConfig, cancel: Cancel) -> Ended:
        try:
            if config.hooks.before:
                _run_hook("before", config.hooks, self.workspace.clock, cancel)
            cancel.check()
            return Ended(self.execute(config, cancel))
        except Cancelled as error:
            return Ended(Outcome(FAILED), str(error), cancelled=True)
        except HoldfastError as error:
            return Ended(Outcome(FAILED), str(error))
        except Exception as error:  # noqa: BLE001 - told and kept, whatever it is
            # The scheduler and its other jobs go on, and this one is not left as if it still ran.
            _log.exception("job %s failed unexpectedly", config.name)
            return Ended(Outcome(FAILED), f"unexpected {type(error).__name__}: {error}")

    def _close(self, hooks: Hooks, ended: Ended) -> Ended:
        if ended.outcome.state == FAILED:
            ended = self._closing(hooks, "on_failure", ended)
        return self._closing(hooks, "after", ended)

    def _closing(self, hooks: Hooks, name: str, ended: Ended) -> Ended:
        """Run a hook that comes after the work; that it failed is a loss of the run."""
        if not getattr(hooks, name):
            return ended
        try:
            _run_hook(name, hooks, self.workspace.clock, Cancel())
        except HookFailed as error:
            said = _safe(str(error))
            _log.warning("%s", said)
            outcome = ended.outcome
            state = WITH_LOSSES if outcome.state == DONE else outcome.state
            result = {**outcome.result, f"hook_{name}": said}
            summary = f"{outcome.summary}; {said}" if outcome.summary else said
            return replace(ended, outcome=Outcome(state, result, summary))
        return ended


def _run_hook(name: str, hooks: Hooks, clock: Clock, cancel: Cancel) -> None:
    said = run_hook(name, getattr(hooks, name), hooks.timeout, clock, cancel)
    _log.info("hook %s: done%s", name, f": {said}" if said else "")


def _safe(text: str) -> str:
    """A text for the history without the credentials of URIs that it may name."""
    return str(redacted(text))


def _plain(result: Mapping[str, object]) -> dict[str, object]:
    """What of a result can stand in a line."""
    return {
        name: value for name, value in result.items() if isinstance(value, str | int | float | bool)
    }
