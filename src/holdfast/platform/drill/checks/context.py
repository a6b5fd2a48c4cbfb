"""What a check gets to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.engine.repository import Repository
from holdfast.model.snapshot import Snapshot
from holdfast.platform.drill.config import Probe
from holdfast.platform.drill.deadline import Deadline
from holdfast.platform.drill.report import DrillError


@dataclass(frozen=True, slots=True)
class Restored:
    """Something that was restored.

    Attributes:
        snapshot: of which it is.
        path: what of it, "" for all.
        folder: where it is now.
        seconds: how long that took.
        files: how many there are.
        bytes: of them.
        errors: what could not be restored.
    """

    snapshot: Snapshot
    path: str
    folder: Path
    seconds: float
    files: int
    bytes: int
    errors: tuple[DrillError, ...]

    @property
    def name(self) -> str:
        """How the engine calls it."""
        return f"{self.snapshot.id}:{self.path}" if self.path else self.snapshot.id


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check gets to know.

    Attributes:
        repository: that everything comes from.
        restored: what was restored; None when nothing was.
        max_rto_minutes: the recovery time objective.
        ignore: patterns of paths that `data_consistency` leaves alone.
        probes: what finds out about services.
        work: a folder of the checks' own.
        deadline: when to end.
    """

    repository: Repository
    restored: Restored | None
    max_rto_minutes: float
    ignore: Sequence[str]
    probes: Mapping[str, Probe]
    work: Path
    deadline: Deadline
