"""What to do about what a drill found."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence

from holdfast.platform.drill.checks import Restored
from holdfast.platform.drill.config import DrillConfig
from holdfast.platform.drill.report import CheckOutcome, DrillError
from holdfast.platform.drill.words import verdict_word

_NO_SPACE = os.strerror(errno.ENOSPC)

_WHEN_FAILED = {
    "integrity": "find the damage with `holdfast validate --read-data` and mend it with "
    "`holdfast repair`, then back up again",
    "access_permissions": "see why the scratch directory's file system refuses modes or owners",
    "data_consistency": "back up what is written to by way of a dump or a file system snapshot; "
    "name files that are meant to be so in `consistency_ignore`",
    "service_availability": "see why the service does not work with the restored data",
    "api_health": "see why the interface does not answer",
    "restore_speed": "restoring alone takes longer than the recovery may: keep a copy nearer, or "
    "less data in one snapshot",
    "encryption_status": "find out with `holdfast validate` which objects these are",
}


def advice(  # noqa: PLR0913, PLR0917 - all that a drill found
    config: DrillConfig,
    outcomes: Mapping[str, CheckOutcome],
    results: Mapping[str, bool | None],
    errors: Sequence[DrillError],
    restored: Sequence[Restored],
    objectives: tuple[bool | None, bool | None],
    age: float | None,
) -> Iterator[str]:
    """Sentences, each of which says what is to be done."""
    yield from _about_checks(outcomes, results)
    if any(_NO_SPACE in error.message for error in errors):
        yield "there is no room for the restored data: name another folder as test_environment"
    for each in restored:
        if each.snapshot.problem_count:
            yield (
                f"the backup itself lacks {each.snapshot.problem_count:,} items that could not be "
                "read when it was made: see to it that they can"
            )
    rto, rpo = objectives
    if not rto and not errors and restored and False not in results.values():
        yield (
            f"the recovery takes longer than {config.max_rto_minutes:g} minutes: see which phase "
            "takes long"
        )
    if rpo is False and age is not None:
        yield (
            "the snapshot is from the future: set the clocks of this machine and of its own"
            if age < 0
            else f"the data is {age:.0f} minutes old and may be {config.max_rpo_minutes:g}: back "
            "up at least that often"
        )


def _about_checks(
    outcomes: Mapping[str, CheckOutcome], results: Mapping[str, bool | None]
) -> Iterator[str]:
    for name, passed in results.items():
        if passed is None:
            outcome = outcomes.get(name)
            why = "the drill did not come to it" if outcome is None else outcome.summary
            yield f"{name}: {verdict_word(None)}, {why}"
        elif not passed:
            yield f"{name}: {_WHEN_FAILED.get(name, 'see the errors')}"
    skipped = {name: outcome.details.get("not_evaluated") for name, outcome in outcomes.items()}
    for name, count in skipped.items():
        if count and results.get(name):
            yield f"{name}: {count} files could not be evaluated, see the details"
