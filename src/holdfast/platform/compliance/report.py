"""A framework's controls, each decided by its rules on the evidence of one drill."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from holdfast.platform.compliance.evidence import Evidence
from holdfast.platform.compliance.frameworks import Control, Framework
from holdfast.platform.compliance.rules import RULES, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Item:
    """A control, and what became of it.

    Attributes:
        control: what is asked for.
        outcomes: of each of its rules, by the rule's name.
    """

    control: Control
    outcomes: dict[str, Outcome]

    @property
    def verdict(self) -> Verdict:
        """Failed if a rule is; otherwise not evaluated if a rule is not; otherwise passed."""
        verdicts = {outcome.verdict for outcome in self.outcomes.values()}
        for verdict in (Verdict.FAILED, Verdict.NOT_EVALUATED):
            if verdict in verdicts:
                return verdict
        return Verdict.PASSED

    def dict(self) -> dict[str, object]:
        """The control's keys, ``verdict``, and ``outcomes``: for each rule what it found."""
        return {
            **self.control.dict(),
            "verdict": str(self.verdict),
            "outcomes": {
                name: {
                    "verdict": str(outcome.verdict),
                    "actual": outcome.actual,
                    "required": outcome.required,
                }
                for name, outcome in self.outcomes.items()
            },
        }


@dataclass(frozen=True, slots=True)
class ComplianceReport:
    """What a drill shows, in the terms of a framework.

    Attributes:
        framework: whose terms.
        evidence: what it rests on.
        generated: when, in UTC.
    """

    framework: Framework
    evidence: Evidence
    generated: datetime

    @property
    def items(self) -> tuple[Item, ...]:
        """Each control, decided."""
        return tuple(
            Item(control, {name: RULES[name].judge(self.evidence) for name in control.rules})
            for control in self.framework.controls
        )

    @property
    def compliant(self) -> bool:
        """Whether every control passed on evidence."""
        return all(item.verdict is Verdict.PASSED for item in self.items)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not compliant, a line for each rule that was not passed."""
        return tuple(
            f"{item.control.id}: {outcome.verdict}: {outcome.actual} (required: {outcome.required})"
            for item in self.items
            for outcome in item.outcomes.values()
            if outcome.verdict is not Verdict.PASSED
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What an auditor should know who reads it."""
        return (
            "This report states what one drill has shown. It certifies nothing.",
            "An item is passed only on evidence: what was not evaluated is not passed.",
            f"Not part of it, and not to be shown by a drill: {self.framework.beyond}",
        )

    def dict(self) -> dict[str, object]:
        """Ready for JSON.

        Returns:
            ``framework``, ``title``, ``generated``, ``compliant``, ``reasons``, ``drill`` (its id,
            name, time, status), ``items`` (see `Item.dict`), ``recommendations``, ``notes`` and
            ``evidence`` (the drill's own report, the audit extract, earlier drills).
        """
        evidence = self.evidence
        return {
            "framework": self.framework.name,
            "title": self.framework.title,
            "generated": self.generated.isoformat(),
            "compliant": self.compliant,
            "reasons": list(self.reasons),
            "drill": {
                "drill_id": evidence.drill_id,
                "name": evidence.name,
                "executed": evidence.executed,
                "status": evidence.status,
                "repository": evidence.repository,
            },
            "items": [item.dict() for item in self.items],
            "recommendations": list(evidence.recommendations),
            "notes": list(self.notes),
            "evidence": evidence.dict(),
        }
