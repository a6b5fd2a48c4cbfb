"""How a retention policy is written: names of rules and presets, and their values.

Whatever is wrong is refused with the wrong word and, where there is one, the word that was meant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from holdfast.errors import UsageError
from holdfast.model.periods import PERIODS, Duration
from holdfast.model.record import Record

UNLIMITED = -1
"""As a count: no limit."""

COUNTS = tuple(f"keep_{period}" for period in PERIODS)
"""Rules that keep a number of snapshots."""

DURATIONS = (
    "keep_within",
    *(f"keep_within_{period}" for period in PERIODS if period != "last"),
)
"""Rules that keep what is not older than that."""

TAGS = "keep_tags"

PRESETS: Mapping[str, Mapping[str, int | str]] = {
    "standard": {
        "keep_last": 5,
        "keep_daily": 7,
        "keep_weekly": 4,
        "keep_monthly": 12,
        "keep_yearly": 3,
    },
    "aggressive": {"keep_last": 3, "keep_daily": 3, "keep_weekly": 2, "keep_monthly": 6},
    "long_term": {"keep_daily": 30, "keep_weekly": 52, "keep_monthly": 60, "keep_yearly": 10},
    "compliance_7_year": {"keep_within": "7y"},
    "gfs": {"keep_daily": 7, "keep_weekly": 4, "keep_monthly": 12},
}
"""Policies by name; ``gfs`` is grandfather, father and son: months, weeks and days."""

_Written: TypeAlias = Mapping[str, object]

_RULES = (*COUNTS, *DURATIONS, TAGS)
_EXAMPLE = "such as keep-daily:7"
_DIGITS = re.compile(r"[0-9]{1,9}\Z")


def read_text(text: str) -> _Written:
    """The rules of a preset, or those of a text such as ``keep-daily:7,keep-weekly:4``.

    Raises:
        UsageError: there is no such preset, or a part of the text is no rule.
    """
    text = text.strip()
    if (preset := PRESETS.get(text.replace("-", "_"))) is not None:
        return preset
    if text and not set(text) & set(":,"):
        hint = suggestion(text, PRESETS) or f": there are {', '.join(PRESETS)}"
        raise UsageError(
            f"retention policy: {text!r} is neither a rule {_EXAMPLE} nor a preset{hint}"
        )
    rules: dict[str, object] = {}
    tags: list[str] = []
    for part in text.split(","):
        word, separator, value = (piece.strip() for piece in part.partition(":"))
        if not separator or not value:
            raise UsageError(f"retention policy: {part.strip()!r} is no rule {_EXAMPLE}")
        if _rule_name(word) == TAGS:
            tags.append(value)
            rules[TAGS] = tags
        elif word in rules:
            raise _twice(word)
        else:
            rules[word] = value
    return rules


def named_rules(written: _Written) -> Record:
    """The same values by the names of the rules, where ``keep-daily`` is ``keep_daily``.

    Raises:
        UsageError: there is no such rule, or it stands there twice.
    """
    values: Record = {}
    for word, value in written.items():
        name = _rule_name(word)
        if name in values:
            raise _twice(word)
        values[name] = value
    return values


def count(name: str, value: object) -> int:
    """A number of snapshots: a whole number, its digits, -1 or ``unlimited``.

    Raises:
        UsageError: it is something else.
    """
    if isinstance(value, str):
        if value == "unlimited":
            return UNLIMITED
        if _DIGITS.match(value):
            return int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value >= UNLIMITED:
        return value
    raise UsageError(f"{name}: {value!r} is no number of snapshots (nor `unlimited`)")


def duration(name: str, value: object) -> str:
    """A duration, written in the one way.

    Raises:
        UsageError: it is something else.
    """
    if not isinstance(value, str):
        raise UsageError(f"{name}: {value!r} is no duration such as 1y5m7d2h")
    try:
        return str(Duration.parse(value))
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def tag_lists(value: object) -> tuple[str, ...]:
    """One or several lists of tags, without the spaces around each tag.

    Raises:
        UsageError: it is something else.
    """
    if isinstance(value, str) and not value.strip():
        raise UsageError(f'{TAGS}: an empty text; [""] means the snapshots without any tag')
    lists = (value,) if isinstance(value, str) else value
    if not isinstance(lists, Sequence):
        raise UsageError(f"{TAGS}: {value!r} is no list of tags")
    tidy = []
    for each in lists:
        if not isinstance(each, str):
            raise UsageError(f"{TAGS}: {each!r} is no tag")
        tidy.append(",".join(tag.strip() for tag in each.split(",")))
    return tuple(tidy)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Which of the known words may have been meant, to be put after what is wrong; or ``""``."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def _rule_name(word: str) -> str:
    name = str(word).replace("-", "_")  # YAML has keys that are no text
    if name not in _RULES:
        known = _spelled_like(word, _RULES)
        hint = suggestion(str(word), known) or f": there are {', '.join(known)}"
        raise UsageError(f"retention policy: there is no rule {word!r}{hint}")
    return name


def _spelled_like(word: str, names: Iterable[str]) -> list[str]:
    """Names with dashes where the word has them."""
    return [name.replace("_", "-") if "-" in str(word) else name for name in names]


def _twice(word: str) -> UsageError:
    return UsageError(f"retention policy: {word!r} stands there twice")
