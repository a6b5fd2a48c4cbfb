"""Which snapshots look wrong, compared with their own history: ransomware, and broken jobs.

For each snapshot of a group (one host, the same paths) it goes through what changed since the one
before, once (`features`), and gets a few numbers. Those are judged by rules that can be read
(`kinds`): some compare files with what they were, the others a number with what it was in the
`HISTORY` snapshots before (`limits`). What a rule finds says why, with the numbers; findings that
together are what ransomware does become one (`detect`). A finding follows from the snapshot and
those before it, never from a later one.
"""

from __future__ import annotations

from holdfast.operations.anomalies.result import ALARM, Anomaly, AnomalyKind
from holdfast.operations.anomalies.search import AnomalyOptions, anomalies

__all__ = ["ALARM", "Anomaly", "AnomalyKind", "AnomalyOptions", "anomalies"]
