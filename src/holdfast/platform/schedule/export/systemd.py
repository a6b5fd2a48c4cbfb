"""Jobs as systemd units: a service that runs the job, and a timer that starts it."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from holdfast.errors import UsageError
from holdfast.platform.schedule.cron import Meaning, meaning_of
from holdfast.platform.schedule.table import Job

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ALL_DAYS = frozenset(range(1, 32))
_ALL_WEEKDAYS = frozenset((day, 0) for day in range(7))
_LAST = -1


def systemd(jobs: Iterable[Job], program: Sequence[str], state: Path) -> Mapping[str, str]:
    """A service and a timer for each job.

    Args:
        jobs: which.
        program: what runs holdfast.
        state: the folder of the workspace, which also holds a file ``environment`` if there is to
            be one: the variables that jobs refer to.
    """
    texts = {}
    for job in jobs:
        unit = f"holdfast-{_slug(job.config.name)}-{job.id}"
        texts[f"{unit}.service"] = _service(job, program, state)
        texts[f"{unit}.timer"] = _timer(job)
    return texts


def calendars(expression: str, zone: str) -> list[str]:
    """What systemd's ``OnCalendar=`` is to be for an expression; one line may not be enough.

    Raises:
        UsageError: systemd cannot say it.
    """
    meaning = meaning_of(expression)
    time = f"{_numbers(meaning.hours, 24)}:{_numbers(meaning.minutes, 60)}:00 {zone}"
    months = "*" if len(meaning.months) == 12 else _listed(meaning.months)  # noqa: PLR2004 - months
    return [f"{days.format(months=months)} {time}" for days in _days(expression, meaning)]


def _days(expression: str, meaning: Meaning) -> list[str]:
    """The parts that say days, with a place for the months."""
    any_day, any_weekday = meaning.days >= _ALL_DAYS, meaning.weekdays >= _ALL_WEEKDAYS
    if any_day and any_weekday:
        return ["*-{months}-*"]
    if any_weekday or any_day:
        return _by_month(meaning.days, "") if any_weekday else _by_week(meaning.weekdays)
    if not meaning.both:
        return _by_month(meaning.days, "") + _by_week(meaning.weekdays)
    if any(number for _, number in meaning.weekdays):
        raise UsageError(
            f"cron expression {expression!r}: systemd cannot say that a day is to fit by month "
            "and also as the n-th weekday"
        )
    return _by_month(meaning.days, f"{_names(day for day, _ in meaning.weekdays)} ")


def _by_month(days: frozenset[int], weekdays: str) -> list[str]:
    numbers = days - {0}
    found = [f"{weekdays}*-{{months}}-{_listed(numbers)}"] if numbers else []
    return found + ([f"{weekdays}*-{{months}}~01"] if 0 in days else [])


def _by_week(weekdays: frozenset[tuple[int, int]]) -> list[str]:
    every = [day for day, number in weekdays if not number]
    found = [f"{_names(every)} *-{{months}}-*"] if every else []
    for day, number in sorted(weekdays):
        if number == _LAST:
            found.append(f"{_WEEKDAYS[day]} *-{{months}}~07/1")
        elif number:
            found.append(f"{_WEEKDAYS[day]} *-{{months}}-{number * 7 - 6:02}..{number * 7:02}")
    return [each.replace("29..35", "29..31") for each in found]


def _names(days: Iterable[int]) -> str:
    return ",".join(_WEEKDAYS[day] for day in sorted(set(days)))


def _numbers(numbers: frozenset[int], whole: int) -> str:
    return "*" if len(numbers) == whole else _listed(numbers)


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(f"{number:02}" for number in sorted(numbers))


def _service(job: Job, program: Sequence[str], state: Path) -> str:
    words = [_quoted(each) for each in [*program[1:], "scheduler", "trigger", job.id]]
    # systemd replaces variables in arguments only, and not in the program's name.
    command = " ".join([_quoted(program[0], variables=False), *words])
    return f"""\
[Unit]
Description=holdfast job {_line(job.config.name)}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
Environment={_quoted(f"HOLDFAST_STATE_DIR={state}", variables=False)}
EnvironmentFile=-{_file(state / "environment")}
ExecStart={command}
"""


def _timer(job: Job) -> str:
    lines = "\n".join(f"OnCalendar={each}" for each in calendars(job.cron, job.zone))
    return f"""\
[Unit]
Description=When holdfast job {_line(job.config.name)} runs

[Timer]
{lines}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _slug(name: str) -> str:
    """The name as far as it can stand in the name of a unit."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "job"


def _line(text: str) -> str:
    """A text in one line, in which systemd finds nothing to replace, and no end to go on after."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.split()).replace("%", "%%").replace("\\", "\\\\")


def _file(path: Path) -> str:
    """A path as it stands behind ``EnvironmentFile=``, which takes patterns and no quotes."""
    if not str(path).isprintable():
        raise UsageError(f"{str(path)!r}: systemd cannot read variables from there")
    return glob.escape(str(path).replace("\\", "\\\\")).replace("%", "%%")


def _quoted(word: str, *, variables: bool = True) -> str:
    """One word of a command line, as systemd takes it apart."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    escaped = escaped.replace("%", "%%")
    escaped = escaped.replace("$", "$$") if variables else escaped
    return f'"{escaped}"'
