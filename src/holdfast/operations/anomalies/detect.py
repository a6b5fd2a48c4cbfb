"""What is wrong with one snapshot: all rules, and what several of them mean together."""

from __future__ import annotations

from math import prod

from holdfast.operations.anomalies.features import Features
from holdfast.operations.anomalies.finding import Finding
from holdfast.operations.anomalies.kinds import RULES
from holdfast.operations.anomalies.limits import Past
from holdfast.operations.anomalies.result import AnomalyKind

CERTAIN = 0.8
"""Least severity of what looks like ransomware."""

_SIGNS = frozenset({AnomalyKind.ENTROPY, AnomalyKind.NOTE})
"""What ransomware does, and hardly anything else."""

_PARTS = _SIGNS | {
    AnomalyKind.EXTENSION,
    AnomalyKind.RENAME,
    AnomalyKind.BURST,
    AnomalyKind.DELETION,
}
"""What it does too; with one of the signs, these are one finding."""

_REASONS = frozenset({AnomalyKind.EMPTY, AnomalyKind.DELETION, AnomalyKind.TRUNCATION})
_FOLLOWS = frozenset({AnomalyKind.BURST, AnomalyKind.SHRINK})
"""What says nothing more when there is one of the reasons for it."""


def judge(now: Features, past: Past) -> list[Finding]:
    """All findings of a snapshot, the worst first; none for the first of its group."""
    if now.damage:
        return [_damaged(now)]
    if now.previous is None:
        return []
    found = [finding for rule in RULES if (finding := rule(now, past)) is not None]
    parts = [finding for finding in found if finding.kind in _PARTS]
    if len(parts) > 1 and any(finding.kind in _SIGNS for finding in parts):
        found = [_together(parts), *(each for each in found if each not in parts)]
    if any(finding.kind in _REASONS for finding in found):
        found = [finding for finding in found if finding.kind not in _FOLLOWS]
    return sorted(found, key=lambda finding: (-finding.severity, finding.kind))


def _together(parts: list[Finding]) -> Finding:
    """One finding of several: as unlikely as all of them would be by chance."""
    worst = max(parts, key=lambda finding: (finding.kind in _SIGNS, finding.severity))
    severity = 1 - prod(1 - finding.severity for finding in parts)
    kinds = ", ".join(sorted(finding.kind for finding in parts))
    return Finding(
        AnomalyKind.RANSOMWARE,
        max(CERTAIN, severity),
        f"this is what ransomware does: {worst.summary}",
        (
            f"signs: {kinds}",
            *(line for part in parts for line in (part.summary, *part.evidence)),
        ),
        worst.value,
        worst.expected,
        worst.paths,
        max(finding.began for finding in parts),
    )


def _damaged(now: Features) -> Finding:
    return Finding(
        AnomalyKind.DAMAGED,
        0.6,
        "the snapshot, or the one before it, is damaged: they cannot be compared",
        (now.damage, "run holdfast validate"),
        1,
        (0, 0),
    )
