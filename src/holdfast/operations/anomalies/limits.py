"""What a number may be, by what it was in the snapshots before.

Robust statistics: the median, and the median absolute deviation from it (F. R. Hampel, "The
influence curve and its role in robust estimation", 1974), which up to half of all values cannot
move however wild they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from holdfast.model.snapshot import Snapshot
from holdfast.operations.anomalies.features import Features

HISTORY = 30
"""Snapshots before one that it is compared with: a month of daily ones."""

FEWEST = 4
"""Changes that must be known before a number is called unusual: what was normal is not known
earlier. What compares files with what they were needs no history."""

DEVIATIONS = 8.0
"""How many standard deviations a number may be away. Many numbers of many snapshots are judged,
and they are not normally distributed: 3, as in textbooks, would alarm every week."""

_MAD_TO_DEVIATION = 1.4826  # for values that are normally distributed

SEEN = 1.5
"""How many times the largest number that was there before is not unusual: what came once, such as
a weekly import, comes again. Numbers of snapshots that are themselves suspicious do not count."""

FILES_GONE = 0.25
FEWEST_GONE = 20
"""Share of all files, and number, from which on files that are gone are suspicious."""

FEWEST_HARDENED = 8
HARDENED = 0.001
"""Files, and share of all, that may become random within `SPAN` snapshots by chance: people do
put a password on something."""

SPAN = 7
"""Snapshots over which files that became random are added up: a slow attack does few a day."""


@dataclass(frozen=True, slots=True)
class Past:
    """What came before a snapshot: at most `HISTORY` changes, oldest first."""

    changes: Sequence[Features]

    @property
    def is_enough(self) -> bool:
        """Whether it is known what is usual."""
        return len(self.changes) >= FEWEST

    def limit(self, number: Callable[[Features], float], floor: float) -> float:
        """What a number may be: `floor` in any case, more if the history has more."""
        values = [number(each) for each in self.changes]
        if not values:
            return floor
        usual = [number(each) for each in self.changes if not is_suspicious(each)]
        middle = median(values)
        spread = _MAD_TO_DEVIATION * median(abs(value - middle) for value in values)
        return max(floor, middle + DEVIATIONS * spread, SEEN * max(usual, default=0.0))

    def typical(self, number: Callable[[Snapshot], float]) -> float:
        """The median of a number of the snapshots themselves."""
        return median(number(each.snapshot) for each in self.changes) if self.changes else 0.0


def is_suspicious(change: Features) -> bool:
    """Whether a change is no example of what is usual, by itself and without a history."""
    return (
        change.hardened >= most_hardened(change) / 2
        or change.gone >= most_gone(change)
        or change.truncated >= FEWEST_HARDENED
    )


def most_gone(change: Features) -> float:
    """How many files may be gone in any case."""
    return max(FEWEST_GONE, FILES_GONE * change.before)


def most_hardened(change: Features) -> float:
    """How many files may become random within `SPAN` snapshots."""
    return max(FEWEST_HARDENED, HARDENED * change.before)
