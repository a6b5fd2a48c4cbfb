"""The two objectives of a recovery: how long it takes, and how old the data is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast.errors import UsageError

SKEW = 5.0
"""Minutes by which clocks of different machines may differ."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def meets_rto(recovery_time: float | timedelta, max_rto: float | timedelta) -> bool:
    """Whether a recovery was quick enough.

    Args:
        recovery_time: how long it took; a number is of minutes.
        max_rto: how long it may take; likewise.
    """
    return 0 <= _minutes(recovery_time) <= _minutes(max_rto)


def meets_rpo(snapshot_time: datetime | str, max_rpo: float | timedelta, now_ns: int) -> bool:
    """Whether data is young enough; what is from the future is not, but for a few minutes.

    Args:
        snapshot_time: when its backup began: a time, or one in ISO 8601; local time unless it
            names a zone.
        max_rpo: how old it may be; a number is of minutes.
        now_ns: the time, in nanoseconds since the Unix epoch.

    Raises:
        UsageError: that is no time.
    """
    if isinstance(snapshot_time, str):
        try:
            snapshot_time = datetime.fromisoformat(snapshot_time)
        except ValueError:
            raise UsageError(f"{snapshot_time!r} is no time, such as 2026-11-21T08:30") from None
    began = (snapshot_time.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
    return is_young(age_minutes(began, now_ns), _minutes(max_rpo))


def age_minutes(began_ns: int, now_ns: int) -> float:
    """How old something is, in minutes; negative when it is from the future."""
    return (now_ns - began_ns) / 60e9


def is_young(age: float, most: float) -> bool:
    """Whether an age in minutes is one that may be, and at most so much."""
    return -SKEW <= age <= most


def _minutes(value: float | timedelta) -> float:
    return value / timedelta(minutes=1) if isinstance(value, timedelta) else float(value)
