"""The calendar of retention: which hour, day, week, month or year it was, and how long ago that is.

All of it is counted on the clock on the wall: of the place where a snapshot was made, as its
offset from UTC tells, or of one zone for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeAlias

from holdfast.errors import UsageError
from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override

Bucket: TypeAlias = tuple[int, ...]
"""What all snapshots of one period have in common."""

Period: TypeAlias = Callable[[datetime, int], Bucket]
"""The bucket of a snapshot that began then, the n-th of those that are looked at."""

BEFORE_ALL = -(1 << 64)
"""Nanoseconds since the epoch: before every snapshot there can be."""

_HOUR = 3_600_000_000_000
_PART = re.compile(r"([0-9]{1,9})([ymdh])")


def _each(_wall: datetime, number: int) -> Bucket:
    return (number,)


def _hour(wall: datetime, _number: int) -> Bucket:
    return (wall.year, wall.month, wall.day, wall.hour)


def _day(wall: datetime, _number: int) -> Bucket:
    return (wall.year, wall.month, wall.day)


def _week(wall: datetime, _number: int) -> Bucket:
    return wall.isocalendar()[:2]


def _month(wall: datetime, _number: int) -> Bucket:
    return (wall.year, wall.month)


def _year(wall: datetime, _number: int) -> Bucket:
    return (wall.year,)


PERIODS: Mapping[str, Period] = {
    "last": _each,
    "hourly": _hour,
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "yearly": _year,
}
"""Every kind of period; one of ``last`` holds a single snapshot, a week is that of ISO 8601."""


def wall_clock(snapshot: Snapshot, zone: tzinfo | None) -> datetime:
    """What clocks showed when a snapshot began.

    Args:
        snapshot: which.
        zone: where; None is where the snapshot was made (the answer is then without a zone).
    """
    if zone is None:
        return snapshot.time.replace(tzinfo=None) + timedelta(seconds=snapshot.utc_offset)
    return snapshot.time.astimezone(zone)


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time on the calendar.

    Attributes:
        years, months, days: counted back on the calendar.
        hours: counted back as they pass.
    """

    years: int
    months: int
    days: int
    hours: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """A duration such as ``1y5m7d2h``, its parts in any order; ``""`` is none at all.

        Raises:
            UsageError: that is no duration, or a unit stands there twice.
        """
        text = text.strip()
        parts = _PART.findall(text)
        units = {unit: int(number) for number, unit in parts}
        if "".join(number + unit for number, unit in parts) != text or len(units) < len(parts):
            raise UsageError(
                f"{text!r} is no duration such as 1y5m7d2h (years, months, days, hours)"
            )
        return cls(*(units.get(unit, 0) for unit in "ymdh"))

    @override
    def __str__(self) -> str:
        parts = {"y": self.years, "m": self.months, "d": self.days, "h": self.hours}
        return "".join(f"{number}{unit}" for unit, number in parts.items() if number)

    def before(self, snapshot: Snapshot, zone: tzinfo | None) -> int:
        """The moment that long before a snapshot began, in nanoseconds since the epoch.

        A day that a month does not have runs over into the next: a month before 31 March is
        3 March, or 2 March in a leap year. Of a time of day that clocks showed twice, the one
        before they were turned back is meant.

        Args:
            snapshot: which.
            zone: as for `wall_clock`.
        """
        wall = wall_clock(snapshot, zone)
        month = 12 * (wall.year - self.years) + wall.month - 1 - self.months
        try:
            first = wall.replace(year=month // 12, month=month % 12 + 1, day=1)
            then = (first + timedelta(days=wall.day - 1 - self.days)).replace(fold=wall.fold)
            elapsed = wall - then if zone is None else snapshot.time - then.astimezone(UTC)
        except (ValueError, OverflowError):  # before the year 1
            return BEFORE_ALL
        elapsed_ns = elapsed // timedelta(microseconds=1) * 1000
        return snapshot.time_ns - elapsed_ns - self.hours * _HOUR


@dataclass(slots=True)
class Rule:
    """A rule on its way from the newest snapshot to the oldest.

    Attributes:
        words: what it keeps a snapshot as.
        period: of which it keeps the newest.
        left: how many more it keeps; negative is no limit.
        after: it looks at later snapshots only.
        kept: the bucket of what it kept last.
    """

    words: str
    period: Period
    left: int
    after: int
    kept: Bucket | None = None

    def reason(self, time_ns: int, wall: datetime, number: int, *, oldest: bool) -> str | None:
        """Why the rule keeps the next snapshot; None when it does not.

        Args:
            time_ns: when the snapshot began.
            wall: what clocks showed then.
            number: how many were looked at before.
            oldest: whether no other comes after it.
        """
        if self.left == 0 or time_ns <= self.after:
            return None
        bucket = self.period(wall, number)
        served = bucket == self.kept
        if served and not oldest:
            return None
        self.kept = bucket
        self.left -= self.left > 0
        return f"oldest {self.words}" if served else self.words
