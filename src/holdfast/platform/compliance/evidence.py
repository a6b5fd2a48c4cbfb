"""What a report rests on: a drill's report, the drills before it, and the audit trail."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

from holdfast.errors import UsageError
from holdfast.platform.audit import JSON, AuditEntry
from holdfast.platform.audit.entry import BadEntry, canonical, decode
from holdfast.platform.drill.report import digest_of

Plain: TypeAlias = Mapping[str, object]

RESTORE = "restore"
"""The phase of a drill in which it restores."""


@runtime_checkable
class HasDict(Protocol):
    """A result that shows itself as plain values, such as `DrillReport`."""

    def dict(self) -> Mapping[str, object]:
        """Ready for JSON."""


@dataclass(frozen=True, slots=True)
class AuditExtract:
    """The part of an audit trail that concerns a drill.

    Attributes:
        entries: in order, each as it stands in the trail, with its hash.
        problems: what is wrong with the trail; empty if it verifies.
        has_drill: whether the drill is among the entries.
    """

    entries: tuple[AuditEntry, ...]
    problems: tuple[str, ...]
    has_drill: bool

    @classmethod
    def of(cls, record: Mapping[str, JSON]) -> AuditExtract:
        """From what `dict` gave.

        Raises:
            BadEntry: an entry was changed, or does not follow the one before.
            KeyError, TypeError: it is no extract.
        """
        entries: list[AuditEntry] = []
        told = record["entries"]
        if not isinstance(told, list):
            raise TypeError
        for each in told:
            entry = decode(canonical(each))
            if entries and entry.sequence <= entries[-1].sequence:
                raise BadEntry("it is out of order")
            follows = entries and entry.sequence == entries[-1].sequence + 1
            if follows and entry.previous != entries[-1].hash:
                raise BadEntry("it does not follow the one before it")
            entries.append(entry)
        problems = record["problems"]
        if not isinstance(problems, list):
            raise TypeError
        return cls(
            tuple(entries), tuple(str(each) for each in problems), record["has_drill"] is True
        )

    def dict(self) -> dict[str, object]:
        """``verified``, ``problems``, ``has_drill`` and ``entries``."""
        return {
            "verified": not self.problems,
            "problems": list(self.problems),
            "has_drill": self.has_drill,
            "entries": [entry.dict() for entry in self.entries],
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured.

    Attributes:
        drill: the drill's whole report, plain.
        audit: from the audit trail; None if there is none.
        history: reports of the drills before, plain, oldest first.
    """

    drill: Plain
    audit: AuditExtract | None = None
    history: tuple[Plain, ...] = field(default=())

    @classmethod
    def of(
        cls,
        drill: HasDict | Plain,
        audit: AuditExtract | None = None,
        history: Iterable[HasDict | Plain] = (),
    ) -> Evidence:
        """Take a drill's report, as an object or as what its `dict` gave.

        Raises:
            UsageError: it is no drill's report, or was changed since it was made.
        """
        evidence = cls(_plain(drill), audit, tuple(_plain(each) for each in history))
        for name in ("drill_id", "status", "validation_results"):
            if name not in evidence.drill:
                raise UsageError(f"no report of a drill: it has no {name!r}")
        evidence.checks  # noqa: B018 - refuses what is none
        evidence.began  # noqa: B018 - likewise
        if evidence.drill.get("digest") not in {None, evidence.digest}:
            raise UsageError(
                "the drill's report does not have the digest that it states: it was changed"
            )
        return evidence

    def dict(self) -> dict[str, object]:
        """``drill``, ``audit`` (None if there is none) and ``history``, ready for JSON."""
        return {
            "drill": dict(self.drill),
            "audit": self.audit and self.audit.dict(),
            "history": [dict(each) for each in self.history],
        }

    @property
    def drill_id(self) -> str:
        """Of the drill."""
        return str(self.drill["drill_id"])

    @property
    def name(self) -> str:
        """Of the drill."""
        return str(self.drill.get("name", ""))

    @property
    def status(self) -> str:
        """``SUCCESS``, ``PARTIAL`` or ``FAILED``."""
        return str(self.drill["status"])

    @property
    def executed(self) -> str:
        """When it began, ISO 8601."""
        return str(self.drill.get("time", ""))

    @property
    def began(self) -> datetime | None:
        """The same as a time; None if it is not told."""
        if not self.executed:
            return None
        try:
            found = datetime.fromisoformat(self.executed)
        except ValueError:
            raise UsageError(f"no report of a drill: its time is {self.executed!r}") from None
        if found.tzinfo is None:
            raise UsageError(f"no report of a drill: its time {self.executed!r} is of no zone")
        return found

    @property
    def digest(self) -> str:
        """BLAKE3 of the drill's report, hexadecimal; the audit trail has it too."""
        return digest_of(self.drill)

    @property
    def repository(self) -> str:
        """Id of the repository that was restored from."""
        return str(self.drill.get("repository_id", ""))

    @property
    def recovery_minutes(self) -> float | None:
        """Measured; None if nothing was restored."""
        return _number(self.drill, "recovery_time_minutes")

    @property
    def max_rto_minutes(self) -> float | None:
        """The objective; None if there is none."""
        return _number(self.drill, "max_rto_minutes")

    @property
    def met_rto(self) -> bool | None:
        """Whether the data was usable in time, as the drill says; None if it does not."""
        return _verdict(self.drill, "rto_compliant")

    @property
    def met_rpo(self) -> bool | None:
        """Whether the data was young enough, as the drill says; None if it does not."""
        return _verdict(self.drill, "rpo_compliant")

    @property
    def data_age_minutes(self) -> float | None:
        """Age of the data when the drill began; None if there was none."""
        return _number(self.drill, "data_age_minutes")

    @property
    def max_rpo_minutes(self) -> float | None:
        """The objective; None if there is none."""
        return _number(self.drill, "max_rpo_minutes")

    @property
    def files_restored(self) -> int | None:
        """How many; None if the restore did not begin."""
        if not any(phase.get("name") == RESTORE for phase in self.phases):
            return None
        found = _number(self.drill, "files")
        return None if found is None else int(found)

    @property
    def phases(self) -> Sequence[Plain]:
        """The drill's parts, each with ``name`` and ``seconds``, one after the other."""
        return _records(self.drill, "phases")

    @property
    def restore_errors(self) -> Sequence[Plain]:
        """What went wrong while restoring."""
        return [each for each in _records(self.drill, "errors") if each.get("phase") == RESTORE]

    @property
    def failed_restores(self) -> Sequence[str]:
        """Names of a playbook's steps that were to restore something and did not."""
        return [
            str(each.get("name", ""))
            for each in _records(self.drill, "steps")
            if each.get("action") == RESTORE
            and not each.get("cleanup")
            and each.get("state") != "completed"
        ]

    @property
    def errors(self) -> Sequence[str]:
        """What went wrong, a line each."""
        errors = _records(self.drill, "errors")
        lines = [f"{each.get('path', '')}: {each.get('message', '')}" for each in errors]
        total = _number(self.drill, "errors_total") or 0
        rest = int(total) - len(lines)
        return [line.removeprefix(": ") for line in lines] + [f"and {rest:,} more"] * (rest > 0)

    @property
    def recommendations(self) -> Sequence[str]:
        """What the drill recommends."""
        found = self.drill.get("recommendations", ())
        return [str(each) for each in found] if isinstance(found, Sequence) else []

    @property
    def checks(self) -> Mapping[str, bool | None]:
        """Result of each check; None where it was not evaluated."""
        found = self.drill["validation_results"]
        if not isinstance(found, Mapping):
            raise UsageError("no report of a drill: its validation_results are no mapping")
        results: dict[str, bool | None] = {}
        for name, result in found.items():
            if not (result is None or isinstance(result, bool)):
                raise UsageError(
                    f"no report of a drill: check {name!r} is {result!r}, not true, false or null"
                )
            results[str(name)] = result
        return results


def _plain(report: HasDict | Plain) -> Plain:
    if isinstance(report, Mapping):
        return report
    if not isinstance(report, HasDict):
        raise UsageError("no report of a drill: it is no mapping")
    return report.dict()


def _verdict(report: Plain, name: str) -> bool | None:
    found = report.get(name)
    return found if isinstance(found, bool) else None


def _records(report: Plain, name: str) -> Sequence[Plain]:
    found = report.get(name, ())
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise UsageError(f"no report of a drill: its {name} are no list")
    records = [each for each in found if isinstance(each, Mapping)]
    if len(records) < len(found):
        raise UsageError(f"no report of a drill: its {name} are no list of mappings")
    return records


def _number(report: Plain, name: str) -> float | None:
    found = report.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise UsageError(f"no report of a drill: its {name} is {found!r}, not a number")
    return float(found)
