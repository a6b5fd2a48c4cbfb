"""What is to be reached: at most so much of what restic takes, or at most so much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.peers.works import (
    AGAIN,
    BACKUP,
    CHANGED,
    CHECK,
    CLUSTERED,
    LIST,
    PRUNE,
    RESTORE,
    SCATTERED,
    TEN,
)

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """The medians of one work of one tool.

    Attributes:
        wall: seconds.
        processor: seconds of processor time.
        peak: bytes of memory.
        stored: bytes of the repository afterwards.
        added: bytes by which it grew.
    """

    wall: float
    processor: float
    peak: float
    stored: float
    added: float


Table = Mapping[tuple[str, str, str], Figures]
"""Medians by set, work and tool."""


@dataclass(frozen=True, slots=True)
class Row:
    """A target, and what was measured.

    Attributes:
        title: what it is about.
        own: holdfast's figure, with its unit.
        other: what it is compared with.
        value: what must be small.
        most: the target.
    """

    title: str
    own: str
    other: str
    value: float
    most: float

    @property
    def is_met(self) -> bool:
        """Whether it was reached, to as many digits as are shown."""
        return round(self.value, 2) <= self.most


@dataclass(frozen=True, slots=True)
class _Ratio:
    data: str
    work: str
    what: str
    most: float

    def row(self, table: Table) -> Row | None:
        own = table.get((self.data, self.work, "holdfast"))
        peer = table.get((self.data, self.work, "restic"))
        if own is None or peer is None:
            return None
        pick = _PICK[self.what]
        unit, size = ("s", 1) if self.what == "time" else ("MB", MB)
        named = "" if self.what == "time" else f"{self.what}: "
        return Row(
            f"({self.data}) {named}{self.work}",
            f"{pick(own) / size:.2f} {unit}",
            f"{pick(peer) / size:.2f} {unit}",
            pick(own) / pick(peer),
            self.most,
        )


_PICK: Mapping[str, Callable[[Figures], float]] = {
    "time": lambda figures: figures.wall,
    "stored after": lambda figures: figures.stored,
    "added by": lambda figures: figures.added,
}

RATIOS = (
    _Ratio("a", BACKUP, "time", 0.40),
    _Ratio("b", BACKUP, "time", 0.38),
    _Ratio("c", BACKUP, "time", 0.28),
    _Ratio("a", AGAIN, "time", 0.30),
    _Ratio("d", CHANGED, "time", 0.35),
    _Ratio("a", RESTORE, "time", 0.45),
    _Ratio("b", RESTORE, "time", 0.60),
    _Ratio("c", RESTORE, "time", 0.65),
    _Ratio("a", CHECK, "time", 0.70),
    _Ratio("e", PRUNE, "time", 0.60),
    _Ratio("a", BACKUP, "stored after", 0.80),
    _Ratio("b", BACKUP, "stored after", 1.00),
    _Ratio("e", TEN, "stored after", 1.00),
    _Ratio("e", PRUNE, "stored after", 1.00),
    _Ratio("c", BACKUP, "stored after", 1.03),
    _Ratio("f", CLUSTERED, "added by", 0.55),
    _Ratio("f", SCATTERED, "added by", 0.55),
)
PEAK = 250
PEAK_OF_MANY = 400
LISTED = 0.45
SLOWER = 1.3
"""How much longer a file may take when there are ten times as many."""


def rows(table: Table, files: Mapping[str, int]) -> list[Row]:
    """All targets that something was measured for.

    Args:
        table: the medians.
        files: how many files each set has.
    """
    compared = [ratio.row(table) for ratio in RATIOS]
    own = {
        (data, work): figures for (data, work, tool), figures in table.items() if tool == "holdfast"
    }
    return [row for row in compared if row] + _limits(own, files)


def _limits(own: Mapping[tuple[str, str], Figures], files: Mapping[str, int]) -> list[Row]:
    found: list[Row] = []
    for title, sets, most in (
        ("most memory in any work, (a) to (f)", "abcdef", PEAK),
        ("most memory in any work, (g)", "g", PEAK_OF_MANY),
    ):
        peaks = [
            (f.peak / MB, f"({data}) {work}") for (data, work), f in own.items() if data in sets
        ]
        if peaks:
            peak, where = max(peaks)
            found.append(Row(title, f"{peak:.0f} MB", f"in {where}", peak, most))
    if listed := own.get(("a", LIST)):
        found.append(Row("(a) list", f"{listed.wall:.2f} s", "", listed.wall, LISTED))
    few, many = own.get(("g10", BACKUP)), own.get(("g", BACKUP))
    if few and many:
        each, other = many.wall / files["g"] * 1e6, few.wall / files["g10"] * 1e6
        told = f"{other:.0f} µs with {files['g10']:,} files"
        title = f"(g) {BACKUP}, time of a file"
        found.append(Row(title, f"{each:.0f} µs", told, each / other, SLOWER))
    return found
