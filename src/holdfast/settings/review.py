"""Everything that is wrong with a config file, or may not do what it is meant to."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from holdfast.errors import UsageError
from holdfast.settings.blocks import Blocks
from holdfast.settings.config import check_document
from holdfast.settings.defaults import Config
from holdfast.settings.export import exported
from holdfast.settings.jobs import objective_problems, planned_jobs
from holdfast.settings.problems import Problem
from holdfast.settings.reading import Place, read_document

T = TypeVar("T")

_CRONS = (
    ("schedule", ("backup_cron", "validation_cron", "drill_cron", "prune_cron")),
    ("backup_strategy", ("incremental", "full", "validation", "pruning")),
)


def review(path: Path) -> list[Problem]:
    """What is wrong with a file, in its order; what only may be is a warning.

    Raises:
        UsageError: it cannot be read at all.
    """
    document = read_document(path)
    checked = check_document(document)
    if checked.problems:
        return list(checked.problems)
    whole = checked.config([])
    found: list[tuple[Place, str, bool]] = []
    for place, config in [
        ((), whole),
        *((("profiles", name), each) for name, each in whole.profiles.items()),
    ]:
        found += [((*place, *inner), text, warn) for inner, text, warn in _of_config(config)]
    found += _given_away(path, whole)
    unique = list(dict.fromkeys(found)) if not whole.profiles else _without_repeats(found)
    return [Problem(place, text, document.line(place), warn) for place, text, warn in unique]


def _given_away(path: Path, config: Config) -> Iterator[tuple[Place, str, bool]]:
    """Secrets in a file that others can read."""
    secrets = list(exported(config.written, path.parent).variables.values())
    mode = path.stat().st_mode
    if secrets and stat.S_ISREG(mode) and mode & 0o077:
        text = (
            f"others can read this file, and what {' and '.join(secrets[:3])} says is a secret: "
            f"chmod 600 {path}, or name environment variables (`holdfast export-config`)"
        )
        yield (), text, True


def _without_repeats(found: list[tuple[Place, str, bool]]) -> list[tuple[Place, str, bool]]:
    """A profile has the problems of the rest of the file too: each is told once."""
    told: set[str] = set()
    kept = []
    for place, text, warn in found:
        if text not in told:
            kept.append((place, text, warn))
        told.add(text)
    return kept


def _of_config(config: Config) -> Iterator[tuple[Place, str, bool]]:
    blocks = config.blocks
    if blocks is None:
        return
    wrong = [*_wrong_times(blocks), *_wrong_addresses(blocks)]
    yield from ((place, text, False) for place, text in wrong)
    yield from ((place, text, True) for place, text in (*_unheard(blocks), *_silent(blocks)))
    if wrong:
        return
    try:
        jobs = planned_jobs(config)
    except UsageError as error:
        yield (), f"`config apply` would fail: {error}", True
        return
    for text in objective_problems(jobs):
        yield (), text, True


def _wrong_times(blocks: Blocks) -> Iterator[tuple[Place, str]]:
    """Cron expressions and intervals that make no sense."""
    from holdfast.platform.schedule import (  # noqa: PLC0415 - needs cronsim
        Timing,
        every_minutes,
        expression_of,
    )

    def in_zone(name: str) -> object:
        return Timing("0 0 * * *", name)

    strategy = blocks.backup_strategy
    holders = {"schedule": blocks.schedule, "backup_strategy": strategy and strategy.schedule}
    for name, keys in _CRONS:
        inner = (name, "schedule") if name == "backup_strategy" else (name,)
        for key in keys:
            cron = getattr(holders[name], key, None)
            if cron is not None and (problem := _problem(expression_of, cron)):
                yield (*inner, key), f"{'.'.join((*inner, key))}: {problem}"
    zone = None if blocks.schedule is None else blocks.schedule.zone
    if zone is not None and (problem := _problem(in_zone, zone)):
        yield ("schedule", "zone"), f"schedule.zone: {problem}"
    cdp = blocks.cdp_strategy
    if cdp is not None and (problem := _problem(every_minutes, cdp.interval_minutes)):
        yield ("cdp_strategy", "interval_minutes"), f"cdp_strategy.interval_minutes: {problem}"


def _wrong_addresses(blocks: Blocks) -> Iterator[tuple[Place, str]]:
    mail = None if blocks.notifications is None else blocks.notifications.email
    for address in () if mail is None else mail.recipients:
        if "@" not in address:
            place = ("notifications", "email", "recipients")
            yield place, f"{'.'.join(place)}: {address!r} is no e-mail address"


def _silent(blocks: Blocks) -> Iterator[tuple[Place, str]]:
    """Ways of telling somebody that nobody is told by."""
    told = blocks.notifications
    if told is None:
        return
    mail, slack = told.email, told.slack
    if mail is not None and mail.enabled:
        for key, given in (("smtp_host", mail.smtp_host), ("recipients", mail.recipients)):
            if not given:
                yield ("notifications", "email"), f"notifications.email sends nothing: give {key}"
    if slack is not None and slack.enabled and slack.webhook_url is None:
        yield ("notifications", "slack"), "notifications.slack sends nothing: give webhook_url"


def _unheard(blocks: Blocks) -> Iterator[tuple[Place, str]]:
    """What is written for readers, and is not done because of it."""
    for name, tier in blocks.tiered_strategy.items():
        if tier.compression is not None:
            yield (
                ("tiered_strategy", name, "compression"),
                (
                    f"tiered_strategy.{name}.compression changes nothing: compression is the "
                    "repository's, as `init --compression` says"
                ),
            )
        if tier.replication is not None and blocks.three_two_one is None:
            yield (
                ("tiered_strategy", name, "replication"),
                (f"tiered_strategy.{name}.replication: no copies are listed under `three_two_one`"),
            )


def _problem(parse: Callable[[T], object], value: T) -> str | None:
    """Why a value makes no sense."""
    try:
        parse(value)
    except UsageError as error:
        return str(error)
    return None
