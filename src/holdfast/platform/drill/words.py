"""The words of drills: names of checks, frameworks and frequencies, and what is said of results."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from holdfast.errors import UsageError

DATA_CHECKS: Final = (
    "integrity",
    "access_permissions",
    "data_consistency",
    "service_availability",
    "api_health",
)
"""Checks of what was restored, in the order in which they run: the recovery ends with them."""

REPOSITORY_CHECKS: Final = ("restore_speed", "encryption_status")
"""Checks that the recovery does not wait for."""

CHECKS: Final = DATA_CHECKS + REPOSITORY_CHECKS

PROBED: Final = frozenset({"service_availability", "api_health"})
"""Checks that take a probe."""

FRAMEWORKS: Final = ("SOC2", "HIPAA", "GDPR", "ISO27001", "NIST")

FREQUENCIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "weekly": "0 2 * * 0",
        "monthly": "0 2 1 * *",
        "quarterly": "0 2 1 */3 *",
        "annually": "0 2 1 1 *",
    }
)
"""How often a drill may run, as cron expressions: at two in the morning."""


class DrillStatus(StrEnum):
    """How a drill ended."""

    SUCCESS = "SUCCESS"
    """All that was asked for was evaluated and passed, and the objectives were met."""

    PARTIAL = "PARTIAL"
    """Nothing is wrong with the data, but something was not evaluated or an objective missed."""

    FAILED = "FAILED"
    """Data is damaged, a check failed, or the recovery did not come to its end."""


def verdict_word(passed: bool | None) -> str:  # noqa: FBT001 - a verdict
    """What a report says of a check or an objective."""
    if passed is None:
        return "NOT EVALUATED"
    return "passed" if passed else "FAILED"


def channel_name(word: str) -> str:
    """What is said of a channel: of a URL, which holds secrets, only its kind."""
    kind, mark, _ = word.partition("://")
    return f"{kind}://***" if mark else word


def cron_of(frequency: str) -> str:
    """The cron expression of a frequency; anything else is returned as it is."""
    return FREQUENCIES.get(frequency.lower(), frequency)


def framework_of(name: str) -> str:
    """A framework by its name, in any case and with or without a space or hyphen.

    Raises:
        UsageError: there is none of that name.
    """
    plain = name.upper().replace(" ", "").replace("-", "").replace("_", "")
    plain = plain.removesuffix("CSF")  # of NIST
    if plain not in FRAMEWORKS:
        raise UsageError(f"unknown framework {name!r}{suggestion(name, FRAMEWORKS)}")
    return plain


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to add to a complaint about a word that means nothing."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f": did you mean {close[0]!r}?" if close else f": there are {', '.join(names)}"
