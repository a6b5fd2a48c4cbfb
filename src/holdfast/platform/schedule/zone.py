"""Time zones: by their names, and that of this machine."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from holdfast import environment
from holdfast.errors import UsageError

_LOCALTIME = Path("/etc/localtime")
_FOLDER = "/zoneinfo/"


@lru_cache(maxsize=64)
def find_zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name.

    Raises:
        UsageError: there is none of that name, or no database of time zones.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, RecursionError):  # the last of many parts
        raise UsageError(
            f"unknown time zone {name!r}: give a name such as Europe/Berlin or UTC; a system "
            "without time zones gets them by `pip install tzdata`"
        ) from None


def machine_zone(localtime: Path = _LOCALTIME) -> str:
    """The name of this machine's zone: from TZ, or from where ``/etc/localtime`` points.

    Raises:
        UsageError: TZ is no name of a zone, or it is not known which zone this is.
    """
    said = environment.variable("TZ")
    if said is not None:
        return find_zone(said.removeprefix(":")).key
    path = str(localtime.resolve())
    if not localtime.exists():
        return "UTC"  # so says localtime(5)
    _, found, name = path.partition(_FOLDER)
    if not found:
        raise UsageError(
            f"the name of this machine's time zone is not known, as {localtime} is no link to it: "
            "give the job a time zone, or set TZ=Europe/Berlin or the like"
        )
    return find_zone(name).key
