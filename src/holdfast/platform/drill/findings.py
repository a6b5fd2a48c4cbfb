"""What a drill has found so far, and the report that comes of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from holdfast.clock import Clock
from holdfast.engine.repository import Repository
from holdfast.model.snapshot import Snapshot
from holdfast.platform.drill.advice import advice
from holdfast.platform.drill.checks import Restored
from holdfast.platform.drill.config import DrillConfig
from holdfast.platform.drill.objectives import age_minutes, is_young, meets_rto
from holdfast.platform.drill.phases import Stopwatch
from holdfast.platform.drill.report import (
    MAX_ERRORS,
    CheckOutcome,
    DrillError,
    DrillReport,
    StepOutcome,
)
from holdfast.platform.drill.words import DrillStatus, channel_name
from holdfast.version import __version__

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Findings:
    """Gathers what a drill finds; the drill begins when this is made.

    Attributes:
        watch: measures its parts.
        restored: what was restored.
        outcomes: what came of each check.
        steps: of a playbook, those that are done.
        errors: what is wrong, besides what checks found.
        remarks: advice that follows from none of these.
    """

    def __init__(self, clock: Clock) -> None:
        self.started_ns = clock.now_ns()
        self.watch = Stopwatch(clock)
        self.restored: list[Restored] = []
        self.outcomes: dict[str, CheckOutcome] = {}
        self.steps: list[StepOutcome] = []
        self.errors: list[DrillError] = []
        self.remarks: list[str] = []
        self._id = str(uuid.uuid4())
        self._location = self._repository = ""
        self._recovered_after: float | None = None

    def met(self, repository: Repository) -> None:
        """Note which repository it is."""
        self._location, self._repository = repository.location, repository.id

    def wrong(self, message: str) -> None:
        """Note something that is wrong with no file in particular."""
        self.errors.append(DrillError("", self.watch.current, message))

    def recovered(self) -> None:
        """Note that the data is there and usable now, if nothing else shows that it is not."""
        self._recovered_after = self.watch.elapsed

    def results(self, names: Iterable[str]) -> dict[str, bool | None]:
        """For each check whether it passed; None for those that were not evaluated."""
        wanted = dict.fromkeys(names)
        return {**wanted, **{name: each.passed for name, each in self.outcomes.items()}}

    def age(self) -> float | None:
        """How old the data was when the drill began, in minutes; of the oldest that it used."""
        ages = [age_minutes(each.snapshot.time_ns, self.started_ns) for each in self.restored]
        return max(ages, default=None)

    def rto(self, config: DrillConfig, *, usable: bool) -> bool | None:
        """Whether the recovery was quick enough."""
        if not usable:
            return False
        if self._recovered_after is None or not self.restored:
            return None
        return meets_rto(self._recovered_after / 60, config.max_rto_minutes)

    def rpo(self, config: DrillConfig) -> bool | None:
        """Whether the data was young enough."""
        age = self.age()
        return None if age is None else is_young(age, config.max_rpo_minutes)

    def report(
        self,
        config: DrillConfig,
        status: DrillStatus,
        results: Mapping[str, bool | None],
        *,
        usable: bool,
    ) -> DrillReport:
        """Put together what was found."""
        total = self.watch.elapsed
        spent = sum(each.seconds for each in self.restored)
        size = sum(each.bytes for each in self.restored)
        oldest = min((each.snapshot for each in self.restored), default=None, key=_begin)
        errors = self._all_errors()
        rto, rpo = self.rto(config, usable=usable), self.rpo(config)
        recovery = total if self._recovered_after is None else self._recovered_after
        return DrillReport(
            drill_id=self._id,
            name=config.name,
            description=config.description,
            time=_EPOCH + timedelta(microseconds=self.started_ns // 1000),
            status=status,
            rto_compliant=rto,
            rpo_compliant=rpo,
            recovery_time_minutes=recovery / 60,
            data_age_minutes=self.age(),
            max_rto_minutes=float(config.max_rto_minutes),
            max_rpo_minutes=float(config.max_rpo_minutes),
            validation_results=results,
            recommendations=(
                *self.remarks,
                *advice(
                    config, self.outcomes, results, errors, self.restored, (rto, rpo), self.age()
                ),
            ),
            compliance_framework=config.compliance_framework,
            test_environment=config.test_environment,
            notification_channels=tuple(map(channel_name, config.notification_channels)),
            location=self._location,
            repository_id=self._repository,
            snapshot_id="" if oldest is None else oldest.id,
            snapshot_time=None if oldest is None else oldest.time,
            duration_seconds=total,
            phases=tuple(self.watch.phases),
            files=sum(each.files for each in self.restored),
            bytes=size,
            restore_rate=size / spent if spent > 0 else 0.0,
            checks=tuple(self.outcomes.values()),
            steps=tuple(self.steps),
            errors=tuple(errors[:MAX_ERRORS]),
            errors_total=len(errors)
            + sum(each.errors_total - len(each.errors) for each in self.outcomes.values()),
            evidence=self._evidence(),
        )

    def _all_errors(self) -> list[DrillError]:
        """What is wrong; what several checks say of one file, once each."""
        found = [*self.errors]
        for outcome in self.outcomes.values():
            found += outcome.errors
        return list(dict.fromkeys(found))

    def _evidence(self) -> dict[str, str]:
        found = {"program": f"holdfast {__version__}"}
        for number, each in enumerate(self.restored):
            ending = f"_{number + 1}" if number else ""
            found[f"snapshot{ending}"] = each.snapshot.id
            found[f"tree{ending}"] = each.snapshot.tree.hex()
        return found


def _begin(snapshot: Snapshot) -> int:
    return snapshot.time_ns


def status_of(
    results: Mapping[str, bool | None],
    errors: Sequence[DrillError],
    objectives: Sequence[bool | None],
) -> DrillStatus:
    """How a drill ended.

    Args:
        results: of all checks that were asked for.
        errors: what is wrong besides.
        objectives: whether each was met.
    """
    if errors or False in results.values():
        return DrillStatus.FAILED
    if None in results.values() or not all(objectives):
        return DrillStatus.PARTIAL
    return DrillStatus.SUCCESS
