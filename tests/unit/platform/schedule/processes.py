"""Whether anything is left of a process group."""

from __future__ import annotations

import time
from pathlib import Path


def members(group: int) -> list[int]:
    """The processes of a group that are more than an entry nobody has collected."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, leader = status.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(leader) == group and state != "Z":
            found.append(int(status.parent.name))
    return found


def is_gone(group: int) -> bool:
    """Whether a group that was ended is gone; a signal takes its time."""
    deadline = time.monotonic() + 30
    while members(group):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
