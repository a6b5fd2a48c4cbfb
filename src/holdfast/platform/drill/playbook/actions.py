"""What each kind of step does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.engine.repository import Repository
from holdfast.platform.drill.checks import CheckContext, Restored, run_check
from holdfast.platform.drill.config import DrillConfig, Probe
from holdfast.platform.drill.deadline import Deadline
from holdfast.platform.drill.playbook.load import split_command, target_parts
from holdfast.platform.drill.playbook.model import (
    ExecuteStep,
    NotifyStep,
    RestoreStep,
    Step,
    ValidateStep,
)
from holdfast.platform.drill.process import run_command
from holdfast.platform.drill.report import CheckOutcome, DrillError, bounded
from holdfast.platform.drill.restoring import restore_into
from holdfast.platform.drill.telling import Telling
from holdfast.platform.drill.words import channel_name


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an attempt.

    Attributes:
        good: whether it did what it should; None when that was not evaluated.
        message: what was done, or why not.
        output: what a program printed.
        outcomes: of the checks in it.
        restored: what it restored.
    """

    good: bool | None
    message: str
    output: str = ""
    outcomes: tuple[CheckOutcome, ...] = ()
    restored: Restored | None = None


@dataclass(slots=True)
class Bench:
    """What steps work with.

    Attributes:
        config: the objectives.
        folder: the scratch directory's part for what is restored.
        work: that of the checks.
        probes: for checks, unless the step brings its own.
        telling: tells whoever can be told.
        repository: None while it is not open.
        restored: by the folder.
    """

    config: DrillConfig
    folder: Path
    work: Path
    probes: Mapping[str, Probe]
    telling: Telling
    repository: Repository | None = None
    restored: dict[Path, Restored] = field(default_factory=dict)

    def perform(self, step: Step, deadline: Deadline) -> Done:
        """Try a step once.

        Raises:
            HoldfastError: it failed.
            OutOfTime: it took too long.
        """
        match step:
            case ExecuteStep():
                return self._execute(step, deadline)
            case NotifyStep():
                return self._notify(step)
            case _ if self.repository is None:
                return Done(good=False, message="the repository is not open")
            case RestoreStep():
                return self._restore(step, self.repository, deadline)
            case ValidateStep():
                return self._validate(step, self.repository, deadline)

    def check(
        self, names: Iterable[str], probes: Mapping[str, Probe], deadline: Deadline
    ) -> list[CheckOutcome]:
        """Run checks on everything that was restored."""
        if self.repository is None:
            return [CheckOutcome(name, None, "the repository is not open") for name in names]
        places: list[Restored | None] = [*self.restored.values()]
        found = []
        for name in names:
            each = [
                run_check(name, self._context(self.repository, place, probes, deadline))
                for place in places or [None]
            ]
            found.append(together(each))
        return found

    def _context(
        self,
        repository: Repository,
        restored: Restored | None,
        probes: Mapping[str, Probe],
        deadline: Deadline,
    ) -> CheckContext:
        return CheckContext(
            repository=repository,
            restored=restored,
            max_rto_minutes=self.config.max_rto_minutes,
            ignore=self.config.consistency_ignore,
            probes={**self.probes, **probes},
            work=self.work,
            deadline=deadline,
        )

    def _restore(self, step: RestoreStep, repository: Repository, deadline: Deadline) -> Done:
        folder = self.folder.joinpath(*target_parts(step.parameters.target))
        restored = restore_into(repository, step.parameters.snapshot_id, folder, deadline)
        self.restored[folder] = restored
        outcomes = []
        if step.parameters.verify or restored.errors:
            context = self._context(repository, restored, {}, deadline)
            outcomes.append(run_check("integrity", context))
        good = all(each.passed for each in outcomes)
        told = f"{restored.files:,} files, {restored.bytes:,} bytes"
        if not good:
            told += f", but {outcomes[0].errors_total:,} errors"
        return Done(good, told, outcomes=tuple(outcomes), restored=restored)

    def _validate(self, step: ValidateStep, repository: Repository, deadline: Deadline) -> Done:
        wanted = step.parameters
        if wanted.checks:
            outcomes = self.check(wanted.checks, wanted.probes, deadline)
        else:
            outcomes = [_check_repository(step, repository, deadline)]
        failed = [each.name for each in outcomes if each.passed is False]
        missing = [each.name for each in outcomes if each.passed is None]
        if failed:
            return Done(good=False, message=f"{', '.join(failed)} failed", outcomes=tuple(outcomes))
        if missing:
            told = f"{', '.join(missing)} not evaluated"
            return Done(None, told, outcomes=tuple(outcomes))
        told = "; ".join(each.summary for each in outcomes)
        return Done(good=True, message=told, outcomes=tuple(outcomes))

    def _execute(self, step: ExecuteStep, deadline: Deadline) -> Done:
        scratch = str(self.folder)
        words = [
            word.replace("{scratch}", scratch) for word in split_command(step.parameters.command)
        ]
        ended = run_command(words, deadline, self.folder, {"HOLDFAST_RESTORED": scratch})
        message = ended.problem or f"{words[0]} ended with status 0"
        return Done(not ended.problem, message, ended.output)

    def _notify(self, step: NotifyStep) -> Done:
        wanted, subject = step.parameters, f"{self.config.name}: {step.name}"
        problems = self.telling.send(wanted.channels, "playbook", subject, wanted.message)
        if problems is None:
            return Done(None, "nobody can be told: no notifications are set up")
        if problems:
            return Done(None, f"not told: {'; '.join(problems)}")
        told = ", ".join(map(channel_name, wanted.channels)) or "everybody"
        return Done(good=True, message=f"told {told}")


def _check_repository(
    step: ValidateStep, repository: Repository, deadline: Deadline
) -> CheckOutcome:
    """The repository's own check, as an outcome with the name of the step."""
    wanted = step.parameters
    report = repository.check(
        read_data=wanted.read_data, full=wanted.full_check, progress=deadline.check
    )
    errors = [
        DrillError("", step.name, f"{finding.object}: {finding.message}")
        for finding in report.errors
    ]
    errors += [
        DrillError(path, step.name, f"{finding.object} is damaged: snapshot {hurt.snapshot}")
        for finding in report.errors
        for hurt in finding.hurts
        for path in hurt.paths
    ]
    outcome = CheckOutcome(
        step.name,
        report.valid,
        f"{report.packs:,} packs and {report.blobs:,} blobs looked at, {report.packs_read:,} read",
        {"packs": report.packs, "packs_read": report.packs_read, "bytes_read": report.bytes_read},
    )
    return bounded(outcome, errors)


def together(outcomes: list[CheckOutcome]) -> CheckOutcome:
    """One outcome of a check that was made several times, or looked at several places."""
    if len(outcomes) == 1:
        return outcomes[0]
    verdicts = {each.passed for each in outcomes}
    passed = False if False in verdicts else None if None in verdicts else True
    errors = [error for each in outcomes for error in each.errors]
    summary = "; ".join(each.summary for each in outcomes)
    details = {str(number): each.details for number, each in enumerate(outcomes, 1)}
    return bounded(CheckOutcome(outcomes[0].name, passed, summary, details), errors)
