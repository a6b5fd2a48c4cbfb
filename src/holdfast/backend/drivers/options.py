"""Options of ours: values that users give as texts, on the command line or in a program."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import UsageError

_DAY: Final = timedelta(days=1)
_PASSING = ("sessions/", "gc/", "probe/")
"""Folders of objects that must be deleted soon, so are never locked."""
_PACKS = "data/"


def texts(options: Mapping[str, object], names: Collection[str]) -> dict[str, str]:
    """Those of the options that have one of the names.

    Raises:
        UsageError: one is no text.
    """
    return {name: _text(name, options[name]) for name in names if name in options}


def one_of(own: Mapping[str, str], name: str, choice: Mapping[str, str]) -> str | None:
    """What an option's value, in lower case, stands for; None without that option.

    Raises:
        UsageError: it stands for nothing.
    """
    if name not in own:
        return None
    try:
        return choice[own[name].lower()]
    except KeyError:
        values = ", ".join(sorted(choice.values()))
        raise UsageError(f"storage option {name}: it is one of {values}") from None


class Lock:
    """For how long objects may be changed and deleted by nobody.

    Attributes:
        days: none when 0.
    """

    def __init__(self, own: Mapping[str, str]) -> None:
        text = own.get("object_lock_days", "0")
        if not text.isdecimal() or ("object_lock_days" in own and not int(text)):
            raise UsageError(f"storage option object_lock_days: {text!r} is no number of days")
        self.days = int(text)

    def check_others(self) -> None:
        """Refuse to lock what is no part of a repository.

        Raises:
            UsageError: it would be locked.
        """
        if self.days:
            raise UsageError(
                "storage option object_lock_days: it is for repositories only, not for what is "
                "backed up or restored to; have the bucket lock what is stored in it"
            )

    def until(self, name: str) -> datetime | None:
        """The end of the lock of an object that is stored now; None when it gets none."""
        if not self.days or name.startswith(_PASSING):
            return None
        return datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() // 10**9, UTC) + self.days * _DAY


def is_pack(name: str) -> bool:
    """Whether an object is one of the large ones, which are read seldom."""
    return name.startswith(_PACKS)


def _text(name: str, value: object) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
        return str(value)
    raise UsageError(f"storage option {name}: a text is needed")
