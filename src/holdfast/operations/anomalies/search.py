"""Which of many snapshots look wrong: each is judged within its group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from holdfast.model.roles import BlobLoader
from holdfast.model.select import SAFETY, group_of, ordered
from holdfast.model.snapshot import Snapshot
from holdfast.operations.anomalies.detect import judge
from holdfast.operations.anomalies.features import Features, StoredSizes, features
from holdfast.operations.anomalies.finding import Finding
from holdfast.operations.anomalies.limits import HISTORY, Past
from holdfast.operations.anomalies.result import ALARM, Anomaly
from holdfast.present import Rows, rows_of
from holdfast.primitives.ids import SnapshotId


@dataclass(frozen=True, slots=True)
class AnomalyOptions:
    """What to look for.

    Attributes:
        min_severity: only findings that are as severe, 0 to 1.
        read_data: read pieces of suspected files; else go by how well they compress.
    """

    min_severity: float = 0.0
    read_data: bool = True


def anomalies(
    snapshots: Iterable[Snapshot],
    wanted: Iterable[SnapshotId],
    loader: BlobLoader,
    sizes: StoredSizes,
    options: AnomalyOptions,
) -> Rows[Anomaly]:
    """Judge snapshots by those that came before them, the worst finding first.

    Args:
        snapshots: all that there are: the history. Copies for safety are passed over.
        wanted: those to be judged.
        loader: where trees and data are.
        sizes: of blobs, from the index.
        options: what to look for.
    """
    chosen = frozenset(wanted)
    groups: dict[object, list[Snapshot]] = {}
    for snapshot in ordered(each for each in snapshots if SAFETY not in each.tags):
        key = group_of(snapshot.host, snapshot.paths, snapshot.tags, ("host", "paths"))
        groups.setdefault(key, []).append(snapshot)

    def look(previous: Snapshot, snapshot: Snapshot) -> Features:
        return features(previous, snapshot, loader, sizes, read_data=options.read_data)

    found = [
        anomaly
        for group in groups.values()
        for anomaly in _History(group, look).anomalies(chosen)
        if anomaly.severity >= options.min_severity
    ]
    return rows_of(Anomaly, sorted(found, key=_worst_first), "What looks wrong")


def _worst_first(anomaly: Anomaly) -> tuple[float, int, str, str]:
    snapshot = anomaly.snapshot
    return -anomaly.severity, snapshot.time_ns, snapshot.id, anomaly.kind


class _History:
    """The snapshots of one group. What is found out about one is kept: a few hundred bytes."""

    def __init__(
        self, group: Sequence[Snapshot], look: Callable[[Snapshot, Snapshot], Features]
    ) -> None:
        self._group = group
        self._look = look
        self._features: dict[int, Features] = {}
        self._found: dict[int, list[Finding]] = {}

    def anomalies(self, wanted: frozenset[SnapshotId]) -> Iterable[Anomaly]:
        for number, snapshot in enumerate(self._group):
            if snapshot.id in wanted:
                for finding in self._findings(number):
                    yield Anomaly(
                        snapshot,
                        finding.kind,
                        finding.severity,
                        finding.summary,
                        finding.evidence,
                        finding.value,
                        finding.expected,
                        finding.paths,
                        self._clean(number - 1 - finding.began),
                    )

    def _clean(self, number: int) -> Snapshot | None:
        """The newest snapshot without an alarm, from one on backwards."""
        while number >= 0 and any(each.severity >= ALARM for each in self._findings(number)):
            number -= 1
        return self._group[number] if number >= 0 else None

    def _findings(self, number: int) -> list[Finding]:
        if number not in self._found:
            past = [self._of(each) for each in range(max(1, number - HISTORY), number)]
            usable = [each for each in past if not each.damage]
            self._found[number] = judge(self._of(number), Past(usable))
        return self._found[number]

    def _of(self, number: int) -> Features:
        if number not in self._features:
            snapshot = self._group[number]
            self._features[number] = (
                self._look(self._group[number - 1], snapshot) if number else Features(snapshot)
            )
        return self._features[number]
