"""What a rule finds, before it is known which snapshot is clean."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.operations.anomalies.result import AnomalyKind


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says about one snapshot; see `Anomaly`.

    Attributes:
        began: how many snapshots before this one it began.
    """

    kind: AnomalyKind
    severity: float
    summary: str
    evidence: tuple[str, ...]
    value: float
    expected: tuple[float, float]
    paths: tuple[str, ...] = ()
    began: int = 0


def graded(low: float, high: float, value: float, limit: float) -> float:
    """A severity: `low` at the limit, half-way to `high` at twice the limit, never quite `high`."""
    return low + (high - low) * (1 - limit / value) if value > 0 else low
