"""One drill, from its beginning to its report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from holdfast.engine.repository import Repository
from holdfast.errors import HoldfastError, UsageError
from holdfast.platform.drill.checks import CheckContext, run_check
from holdfast.platform.drill.config import DrillConfig, Probe
from holdfast.platform.drill.deadline import Deadline, OutOfTime, drill_deadline
from holdfast.platform.drill.findings import Findings, status_of
from holdfast.platform.drill.report import DrillReport
from holdfast.platform.drill.restoring import PHASE, restore_into
from holdfast.platform.drill.scratch import Scratch
from holdfast.platform.drill.words import DATA_CHECKS, REPOSITORY_CHECKS
from holdfast.platform.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a drill works with.

    Attributes:
        open: opens the repository, which is closed at the end of the block.
        workspace: whose clock is used.
        probes: for drills that bring none of their own.
    """

    open: Callable[[], AbstractContextManager[Repository]]
    workspace: Workspace
    probes: Mapping[str, Probe]


def execute(config: DrillConfig, equipment: Equipment) -> DrillReport:
    """Do a drill.

    Whatever prevents the recovery is what the drill was to find, and so is in the report.

    Raises:
        UsageError: the drill makes no sense; nothing is known of the repository.
    """
    clock = equipment.workspace.clock
    with ExitStack() as stack:
        scratch = stack.enter_context(Scratch(config.scratch_parent))
        findings = Findings(clock)
        deadline = drill_deadline(clock, config.max_duration_minutes)
        try:
            _rehearse(config, equipment, findings, scratch, deadline)
        except UsageError:
            raise
        except (HoldfastError, OutOfTime) as error:
            findings.wrong(str(error))
        with findings.watch.phase("remove"):
            stack.close()
    return with_leftovers(_concluded(config, findings), scratch)


def _rehearse(
    config: DrillConfig,
    equipment: Equipment,
    findings: Findings,
    scratch: Scratch,
    deadline: Deadline,
) -> None:
    with findings.watch.phase("open"):
        opened = equipment.open()
    with opened as repository:
        findings.met(repository)
        deadline.check()
        with findings.watch.phase(PHASE):
            restored = restore_into(repository, config.snapshot_id, scratch.restored, deadline)
        findings.restored.append(restored)
        findings.errors += restored.errors
        context = CheckContext(
            repository=repository,
            restored=restored,
            max_rto_minutes=config.max_rto_minutes,
            ignore=config.consistency_ignore,
            probes={**equipment.probes, **config.probes},
            work=scratch.work,
            deadline=deadline,
        )
        run_checks(_wanted(config, DATA_CHECKS), context, findings)
        findings.recovered()
        run_checks(_wanted(config, REPOSITORY_CHECKS), context, findings)


def run_checks(names: Iterable[str], context: CheckContext, findings: Findings) -> None:
    """Run checks, each of which is a phase of its own."""
    for name in names:
        context.deadline.check()
        with findings.watch.phase(f"check {name}"):
            findings.outcomes[name] = run_check(name, context)


def _wanted(config: DrillConfig, names: Iterable[str]) -> list[str]:
    return [name for name in names if name in config.validation_checks]


def _concluded(config: DrillConfig, findings: Findings) -> DrillReport:
    results = findings.results(config.validation_checks)
    usable = not findings.errors and all(results.get(name) is not False for name in DATA_CHECKS)
    objectives = findings.rto(config, usable=usable), findings.rpo(config)
    status = status_of(results, findings.errors, objectives)
    return findings.report(config, status, results, usable=usable)


def with_leftovers(report: DrillReport, scratch: Scratch) -> DrillReport:
    """The report, with advice about what could not be removed."""
    if not scratch.problem:
        return report
    told = f"remove {scratch.folder}, which the drill could not: {scratch.problem}"
    return replace(report, recommendations=(*report.recommendations, told))
