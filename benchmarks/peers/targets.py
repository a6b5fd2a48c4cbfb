"""What is to be reached: at most so much of what restic takes, or at most so much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
        value: what must be small; None when it was not measured.
        most: the target.
    """

    title: str
    most: float
    value: float | None = None
    own: str = ""
    other: str = ""

    @property
    def is_met(self) -> bool:
        """Whether it was reached, to as many digits as are shown."""
        return self.value is not None and round(self.value, 2) <= self.most


@dataclass(frozen=True, slots=True)
class _Ratio:
    data: str
    work: str
    what: str
    most: float

    def row(self, table: Table) -> Row:
        own = table.get((self.data, self.work, "holdfast"))
        peer = table.get((self.data, self.work, "restic"))
        named = "" if self.what == "time" else f"{self.what}: "
        title = f"({self.data}) {named}{self.work}"
        if own is None or peer is None:
            return Row(title, self.most)
        pick = _PICK[self.what]
        unit, size = ("s", 1) if self.what == "time" else ("MB", MB)
        return Row(
            title,
            self.most,
            pick(own) / pick(peer),
            f"{pick(own) / size:.2f} {unit}",
            f"{pick(peer) / size:.2f} {unit}",
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
    """All targets, those too that nothing was measured for.

    Args:
        table: the medians.
        files: how many files each set has.
    """
    compared = [ratio.row(table) for ratio in RATIOS]
    own = {
        (data, work): figures for (data, work, tool), figures in table.items() if tool == "holdfast"
    }
    return [*compared, *_peaks(own), _listed(own), _each(own, files)]


Own = Mapping[tuple[str, str], Figures]
"""The medians of holdfast, by set and work."""


def _peaks(own: Own) -> Iterator[Row]:
    for title, sets, most in (
        ("most memory in any work, (a) to (f)", "abcdef", PEAK),
        ("most memory in any work, (g)", "g", PEAK_OF_MANY),
    ):
        peaks = [
            (f.peak / MB, f"({data}) {work}") for (data, work), f in own.items() if data in sets
        ]
        if peaks:
            peak, where = max(peaks)
            yield Row(title, most, peak, f"{peak:.0f} MB", f"in {where}")
        else:
            yield Row(title, most)


def _listed(own: Own) -> Row:
    listed = own.get(("a", LIST))
    if listed is None:
        return Row("(a) list", LISTED)
    return Row("(a) list", LISTED, listed.wall, f"{listed.wall:.2f} s")


def _each(own: Own, files: Mapping[str, int]) -> Row:
    few, many = own.get(("g10", BACKUP)), own.get(("g", BACKUP))
    title = f"(g) {BACKUP}, time of a file"
    if few is None or many is None:
        return Row(title, SLOWER)
    each, other = many.wall / files["g"] * 1e6, few.wall / files["g10"] * 1e6
    told = f"{other:.0f} µs with {files['g10']:,} files"
    return Row(title, SLOWER, each / other, f"{each:.0f} µs", told)
