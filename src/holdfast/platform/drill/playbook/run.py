"""Running a playbook: steps in order, retries, criteria, and a clean-up that always comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from holdfast.errors import HoldfastError, UsageError
from holdfast.platform.drill.config import DrillConfig, is_command
from holdfast.platform.drill.deadline import Deadline, OutOfTime, drill_deadline
from holdfast.platform.drill.execution import Equipment, with_leftovers
from holdfast.platform.drill.findings import Findings
from holdfast.platform.drill.playbook.actions import Bench, Done, together
from holdfast.platform.drill.playbook.load import in_order
from holdfast.platform.drill.playbook.model import (
    ExecuteStep,
    NotifyStep,
    Playbook,
    RestoreStep,
    Step,
    SuccessCriteria,
    ValidateStep,
)
from holdfast.platform.drill.report import DrillReport, StepOutcome
from holdfast.platform.drill.restoring import PHASE
from holdfast.platform.drill.scratch import Scratch
from holdfast.platform.drill.telling import Telling
from holdfast.platform.drill.words import DrillStatus

COMPLETED, FAILED, SKIPPED, NOT_EVALUATED = "completed", "failed", "skipped", "not evaluated"


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a playbook runs.

    Attributes:
        config: the objectives, and how long it may take.
        checks: to be run on what was restored, if no step does.
        allow_execute: whether programs may be run.
        telling: tells whoever can be told.
    """

    config: DrillConfig
    checks: Sequence[str] = ()
    allow_execute: bool = False
    telling: Telling = field(default_factory=Telling)


def run_playbook(playbook: Playbook, terms: Terms, equipment: Equipment) -> DrillReport:
    """Run a playbook.

    Raises:
        UsageError: it has programs to run, and that is not allowed; nothing was done.
    """
    if not terms.allow_execute:
        _refuse_programs(playbook)
    with ExitStack() as outer:
        scratch = outer.enter_context(Scratch(terms.config.scratch_parent))
        run = _Run(playbook, terms, equipment, scratch)
        with ExitStack() as inner:
            try:
                run.open(inner)
                run.steps()
                run.further_checks()
            finally:
                run.clean_up()
        with run.watch.phase("remove"):
            outer.close()
    return with_leftovers(run.report(), scratch)


class _Run:
    def __init__(
        self, playbook: Playbook, terms: Terms, equipment: Equipment, scratch: Scratch
    ) -> None:
        self._playbook = playbook
        self._terms = terms
        self._equipment = equipment
        self._clock = equipment.workspace.clock
        scratch.restored.mkdir(mode=0o700)
        self._findings = Findings(self._clock)
        self.watch = self._findings.watch
        self._deadline = drill_deadline(self._clock, terms.config.max_duration_minutes)
        self._bench = Bench(
            terms.config, scratch.restored, scratch.work, equipment.probes, terms.telling
        )
        self._states: dict[str, str] = {}
        self._stopped = ""

    def open(self, stack: ExitStack) -> None:
        """Open the repository; if that fails, the steps that need it will."""
        try:
            with self._findings.watch.phase("open"):
                opened = self._equipment.open()
        except UsageError:
            raise
        except HoldfastError as error:
            self._findings.wrong(str(error))
            return
        repository = stack.enter_context(opened)
        self._bench.repository = repository
        self._findings.met(repository)

    def steps(self) -> None:
        """Do the steps."""
        for step in in_order(self._playbook.steps):
            reason = self._why_not(step)
            if reason:
                self._note(step, SKIPPED, 0, 0.0, Done(good=False, message=reason))
                continue
            state = self._do(step, self._deadline)
            if state == COMPLETED and not isinstance(step, NotifyStep):
                self._findings.recovered()
            if state == FAILED and not step.continue_on_error:
                self._stopped = step.name

    def further_checks(self) -> None:
        """The checks that were asked for and that no step did."""
        missing = [name for name in self._terms.checks if name not in self._findings.outcomes]
        if not missing or self._stopped:
            return
        try:
            for name in missing:
                with self._findings.watch.phase(f"check {name}"):
                    [self._findings.outcomes[name]] = self._bench.check([name], {}, self._deadline)
        except (HoldfastError, OutOfTime) as error:
            self._findings.wrong(str(error))
        self._findings.recovered()

    def clean_up(self) -> None:
        """Do what is to be done in the end; none of it keeps another from being done."""
        for step in self._playbook.cleanup_steps:
            self._do(step, None, cleanup=True)

    def report(self) -> DrillReport:
        """What came of it."""
        findings, config = self._findings, self._terms.config
        wanted = [*self._playbook.success_criteria.required_validations, *self._terms.checks]
        results = {**findings.results(wanted), **self._required_steps()}
        counts = [each.state for each in findings.steps if not each.cleanup]
        usable = (
            is_met(self._playbook.success_criteria, counts)
            and False not in results.values()
            and not findings.errors
        )
        restored = bool(findings.restored)
        objectives = findings.rto(config, usable=usable), findings.rpo(config)
        status = DrillStatus.FAILED
        if usable:
            whole = restored and all(objectives) and None not in results.values()
            is_known = NOT_EVALUATED not in counts
            status = DrillStatus.SUCCESS if whole and is_known else DrillStatus.PARTIAL
        return findings.report(config, status, results, usable=usable)

    def _required_steps(self) -> dict[str, bool | None]:
        """What became of `validate` steps with checks that are required by their names."""
        words = {COMPLETED: True, FAILED: False}
        return {
            name: words.get(self._states[name])
            for name in self._playbook.success_criteria.required_validations
            if name in self._states and name not in self._findings.outcomes
        }

    def _why_not(self, step: Step) -> str:
        """Why a step is not to be done, or ""."""
        if self._stopped:
            return f"{self._stopped!r} failed before"
        for name in step.depends_on:
            if self._states.get(name) in {FAILED, SKIPPED}:
                return f"it depends on {name!r}, which did not succeed"
        return ""

    def _do(self, step: Step, outer: Deadline | None, *, cleanup: bool = False) -> str:
        """Do a step, again if need be; returns what became of it."""
        begin = self._clock.monotonic()
        done, attempts = Done(good=False, message=""), 0
        phase = f"{'cleanup' if cleanup else 'step'} {step.name}"
        with self._findings.watch.phase(PHASE if isinstance(step, RestoreStep) else phase):
            for attempts in range(1, step.retry_count + 2):  # noqa: B007 - told afterwards
                done = self._attempt(step, outer)
                if done.good is not False or (outer is not None and outer.left <= 0):
                    break
        state = {True: COMPLETED, False: FAILED, None: NOT_EVALUATED}[done.good]
        spent = self._clock.monotonic() - begin
        self._note(step, state, attempts, spent, done, cleanup=cleanup)
        return state

    def _attempt(self, step: Step, outer: Deadline | None) -> Done:
        minutes = step.timeout_minutes
        limit = Deadline(self._clock, minutes, f"it took longer than {minutes:g} minutes", outer)
        try:
            limit.check()
            return self._bench.perform(step, limit)
        except OutOfTime as error:
            output = getattr(error, "__notes__", [""])[0]
            return Done(good=False, message=str(error), output=output)
        except HoldfastError as error:
            return Done(good=False, message=str(error))

    def _note(
        self,
        step: Step,
        state: str,
        attempts: int,
        seconds: float,
        done: Done,
        *,
        cleanup: bool = False,
    ) -> None:
        outcome = StepOutcome(
            step.name, step.action, state, attempts, seconds, done.message, done.output, cleanup
        )
        self._findings.steps.append(outcome)
        if cleanup:
            return
        self._states[step.name] = state
        if done.restored is not None:
            self._findings.restored.append(done.restored)
        for each in done.outcomes:
            before = self._findings.outcomes.get(each.name)
            known = each if before is None else together([before, each])
            self._findings.outcomes[each.name] = known


def is_met(criteria: SuccessCriteria, states: Sequence[str]) -> bool:
    """Whether enough steps were completed, and few enough failed."""
    wanted = criteria.min_steps_completed
    enough = len(states) if wanted is None else wanted
    done = states.count(COMPLETED) + states.count(NOT_EVALUATED)
    return states.count(FAILED) <= criteria.max_failures and done >= enough


def _refuse_programs(playbook: Playbook) -> None:
    named = [
        step.name
        for step in (*playbook.steps, *playbook.cleanup_steps)
        if isinstance(step, ExecuteStep) or (isinstance(step, ValidateStep) and _commands(step))
    ]
    if named:
        raise UsageError(
            f"{playbook.name}: these steps run programs, which they may only with allow_execute "
            f"(--allow-execute): {', '.join(map(repr, named))}"
        )


def _commands(step: ValidateStep) -> Mapping[str, object]:
    return {name: each for name, each in step.parameters.probes.items() if is_command(each)}
