"""When a job is due: cron expressions, and what the clocks of a time zone make of them.

The library says which times of the wall clock an expression means, month ends and leap years
included. Which moments those are is decided here, as Debian's cron decides it:

- A job whose minute and hour are named, such as ``30 2 * * *``, runs once for each time that is
  meant: if the clock skips that time, at the first moment after the gap; if the clock goes through
  it twice, the first time.
- A job whose minute or hour begins with ``*`` runs whenever the clock shows a time that is meant,
  so that ``*/15 * * * *`` runs every fifteen minutes of an hour that comes twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from holdfast.errors import UsageError
from holdfast.platform.schedule.zone import find_zone

try:
    from cronsim import CronSim, CronSimError
except ImportError:
    raise UsageError("schedules need cronsim: pip install 'holdfast[platform]'") from None

MANUAL = "manual"
"""In place of an expression: a job that runs only when it is told to."""

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EVERY = re.compile(r"every\s+(?:(\d{1,6})\s+)?(minute|hour|day|week)s?", re.IGNORECASE)
_DIVIDED = {"minute": 60, "hour": 24, "day": 1, "week": 1}
_FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, or L for the last day",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7, both ends being Sunday, or SUN to SAT",
}
_LENGTH = 200
_START = datetime(2024, 1, 1)  # noqa: DTZ001 - a time of the wall clock, which has no zone
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def expression_of(text: str) -> str:
    """What a schedule means in five fields, or ``manual``.

    Args:
        text: five fields; ``@daily`` and the like; ``every 15 minutes``; or ``manual``.

    Raises:
        UsageError: it is none of these; the message says what is wrong with which part.
    """
    words = " ".join(text.split())
    if words.lower() == MANUAL:
        return MANUAL
    every = _EVERY.fullmatch(words)
    if every is not None:
        return _every(int(every[1] or 1), every[2].lower())
    expression = _NICKNAMES.get(words.lower(), words)
    _parsed(expression)
    return expression


def every_minutes(minutes: int) -> str:
    """The expression for an interval in minutes (UsageError if cron cannot say it)."""
    for unit, size in (("day", 1440), ("hour", 60)):
        if minutes >= size and minutes % size == 0:
            return _every(minutes // size, unit)
    return _every(minutes, "minute")


def _every(number: int, unit: str) -> str:
    whole = _DIVIDED[unit]
    if number < 1 or whole % number:
        fitting = ", ".join(str(each) for each in range(1, whole + 1) if whole % each == 0)
        raise UsageError(
            f"'every {number} {unit}s' cannot be said by cron, as it does not divide what is next "
            f"larger: every N {unit}s goes with N = {fitting}"
        )
    if number == whole:  # 60 minutes, 24 hours
        unit, number = {"minute": "hour", "hour": "day"}.get(unit, unit), 1
    step = "*" if number == 1 else f"*/{number}"
    return {
        "minute": f"{step} * * * *",
        "hour": f"0 {step} * * *",
        "day": "0 0 * * *",
        "week": "0 0 * * 0",
    }[unit]


class Timing:
    """The moments that an expression means in a time zone.

    Args:
        expression: five fields.
        zone: its IANA name, such as ``Europe/Berlin``.

    Raises:
        UsageError: one of them makes no sense, or the time never comes.
    """

    def __init__(self, expression: str, zone: str) -> None:
        self.expression = expression
        self._zone = find_zone(zone)
        _parsed(expression)
        minute, hour = expression.split()[:2]
        self._is_by_the_clock = minute.startswith("*") or hour.startswith("*")

    def next_after(self, moment: datetime) -> datetime | None:
        """The first moment after one, in UTC; None when none comes within 50 years."""
        try:
            return self._by_the_clock(moment) if self._is_by_the_clock else self._once(moment)
        except (StopIteration, OverflowError):
            return None

    def latest(self, since: datetime, until: datetime) -> datetime | None:
        """The last moment after ``since`` and not after ``until``, in UTC; None if there is none.

        However many there are between, few of them are looked at.
        """
        back = timedelta(minutes=1)
        start = until - back
        while start > since:
            found = self._until(start, until)
            if found is not None:
                return found
            back *= 2
            start = until - back if until - since > back else since
        return self._until(since, until)

    def previous(self, moment: datetime) -> datetime | None:
        """The last moment before one; None when there was none within 50 years."""
        return self.latest(moment - 50 * 366 * _DAY, moment - timedelta(microseconds=1))

    def _until(self, since: datetime, until: datetime) -> datetime | None:
        last = None
        found = self.next_after(since)
        while found is not None and found <= until:
            last, found = found, self.next_after(found)
        return last

    def _by_the_clock(self, moment: datetime) -> datetime:
        """The next moment at which the clock shows a time that is meant."""
        while True:
            offset = self._offset(moment)
            wall = next(CronSim(self.expression, (moment + offset).replace(tzinfo=None)))
            found = wall.replace(tzinfo=UTC) - offset
            change = self._change(moment, found)
            if change is None:
                return found
            before = self._matching(change)
            if before is not None:
                return before
            moment = change

    def _matching(self, moment: datetime) -> datetime | None:
        """The moment itself, if the clock shows a time then that is meant."""
        wall = moment.astimezone(self._zone).replace(tzinfo=None, fold=0)
        return moment if next(CronSim(self.expression, wall - _SECOND)) == wall else None

    def _once(self, moment: datetime) -> datetime | None:
        """The next moment that stands for a time that is meant."""
        wall = moment.astimezone(self._zone).replace(tzinfo=None, fold=0)
        for meant in CronSim(self.expression, wall):
            found = meant.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
            if found.astimezone(self._zone).replace(tzinfo=None) != meant:  # the clock skips it
                found = self._change(found - _DAY, found) or found
            if found > moment:
                return found
        return None

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta()

    def _change(self, after: datetime, until: datetime) -> datetime | None:
        """The first moment after one and until another at which the zone's offset changes."""
        offset = self._offset(after)
        low = high = after
        while self._offset(high) == offset:
            if high >= until:
                return None
            low, high = high, min(high + _DAY, until)
        while high - low > _SECOND:
            middle = low + (high - low) / 2
            low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
        return high.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an expression means, field by field, for those who say it in another language.

    Attributes:
        minutes, hours, months: numbers.
        days: of the month; 0 is the last one.
        weekdays: 0 is Sunday; each with its number within the month, 0 for every one of them and
            -1 for the last.
        both: a day is to fit by month and by week; else either is enough.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[tuple[int, int]]
    both: bool


def meaning_of(expression: str) -> Meaning:
    """What five fields mean.

    Raises:
        UsageError: they mean the last working day of a month, which no other language can say.
    """
    parsed = CronSim(expression, _START)
    if CronSim.LAST_WEEKDAY in parsed.days:
        raise UsageError(f"cron expression {expression!r}: LW can be run by holdfast only")
    weekdays = {
        (each % 7, 0) if isinstance(each, int) else (each[0] % 7, max(each[1], -1))
        for each in parsed.weekdays
    }
    return Meaning(
        frozenset(parsed.minutes),
        frozenset(parsed.hours),
        frozenset(max(each, 0) for each in parsed.days),
        frozenset(parsed.months),
        frozenset(weekdays),
        parsed.day_and,
    )


@lru_cache(maxsize=256)
def timing_of(expression: str, zone: str) -> Timing:
    """The timing of a job; the same object for the same arguments."""
    return Timing(expression, zone)


def moment_of(ns: int) -> datetime:
    """Nanoseconds since the epoch as a time in UTC, to the microsecond."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def ns_of(moment: datetime) -> int:
    """A time as nanoseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _parsed(expression: str) -> None:
    """Refuse what makes no sense (UsageError)."""
    shown = expression if len(expression) <= _LENGTH else f"{expression[:_LENGTH]}…"
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise UsageError(
            f"cron expression {shown!r}: it has {len(fields)} fields, and is to have 5: minute, "
            "hour, day-of-month, month, day-of-week; or write 'every 15 minutes'"
        )
    if len(expression) > _LENGTH:
        raise UsageError(f"cron expression {shown!r}: longer than {_LENGTH} characters")
    try:
        next(CronSim(expression, _START))
    except CronSimError as error:
        raise UsageError(f"cron expression {shown!r}: {_problem(str(error), fields)}") from None
    except StopIteration:
        raise UsageError(f"cron expression {shown!r}: that time never comes") from None


def _problem(said: str, fields: list[str]) -> str:
    name = said.removeprefix("Bad ")
    if name not in _FIELDS:
        return said
    value = fields[list(_FIELDS).index(name)]
    return (
        f"bad {name} {value!r}: it is to be {_FIELDS[name]}, a list (1,3), a range (1-5), a step "
        "(*/2), or *; and there must be such a day"
    )
