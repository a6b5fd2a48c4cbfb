"""What Debian's cron does, minute by minute, written without the library under test.

`fields` reads an expression into sets, `moments` goes through all minutes of a period, looks at the
clock of the zone, and notes when a job runs. It is slow and plain.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def value(text: str, number: int) -> int:
    if number == 3 and text.upper() in MONTHS:
        return MONTHS.index(text.upper()) + 1
    if number == 4 and text.upper() in DAYS:
        return DAYS.index(text.upper())
    return int(text)


def field(text: str, number: int) -> set[int]:
    found: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        low, high = RANGES[number]
        if span != "*":
            first, dash, last = span.partition("-")
            low = value(first, number)
            high = value(last, number) if dash else (high if step else low)
        found |= set(range(low, high + 1, int(step or 1)))
    return found


class Reference:
    """The moments of one expression in one zone."""

    def __init__(self, expression: str, zone: str) -> None:
        texts = expression.split()
        self.minutes, self.hours, self.days, self.months, weekdays = (
            field(text, number) for number, text in enumerate(texts)
        )
        self.weekdays = {each % 7 for each in weekdays}
        self.both = texts[2].startswith("*") or texts[4].startswith("*")
        self.by_the_clock = texts[0].startswith("*") or texts[1].startswith("*")
        self.zone = ZoneInfo(zone)
        self.fits = cache(self._fits)

    def _fits(self, day: int) -> bool:
        found = date.fromordinal(day)
        of_month = found.day in self.days
        of_week = found.isoweekday() % 7 in self.weekdays
        fits = (of_month and of_week) if self.both else (of_month or of_week)
        return fits and found.month in self.months

    def _means(self, wall: datetime) -> bool:
        fits = wall.minute in self.minutes and wall.hour in self.hours
        return fits and self.fits(wall.toordinal())

    def moments(self, begin: datetime, end: datetime) -> list[datetime]:
        """All moments from begin up to before end, both at midnight in UTC."""
        found: list[datetime] = []
        while begin < end:
            before, after = self._offset(begin - DAY), self._offset(begin + DAY)
            found += self._plain(begin, before) if before == after else self._odd(begin)
            begin += DAY
        return found

    def _plain(self, begin: datetime, offset: timedelta) -> list[datetime]:
        """Those of a day in UTC around which the clock is not changed."""
        wall = begin + offset
        first = wall.hour * 60 + wall.minute
        today = wall.toordinal()
        return [
            begin + (number - first) * MINUTE
            for number in range(first, first + 24 * 60)
            if number % 60 in self.minutes
            and number // 60 % 24 in self.hours
            and self.fits(today + number // 1440)
        ]

    def _odd(self, begin: datetime) -> list[datetime]:
        """Those of a day in UTC around which it is, by all that the clock has shown before."""
        found = []
        furthest = max(self._wall(begin - number * MINUTE) for number in range(1, 240))
        for number in range(24 * 60):
            wall = self._wall(begin + number * MINUTE)
            if self.by_the_clock:
                runs = self._means(wall)
            else:  # for all that it shows for the first time, or would have
                new = range(1, (wall - furthest) // MINUTE + 1)
                runs = any(self._means(furthest + each * MINUTE) for each in new)
            furthest = max(furthest, wall)
            found += [begin + number * MINUTE] if runs else []
        return found

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
