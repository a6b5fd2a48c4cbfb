"""The one door to environment variables, and to what becomes of the memory of a process."""

from __future__ import annotations

import os
import re
import resource

_SECRET = re.compile(r"(HOLDFAST|RESTIC)_(\w+_)?(PASSWORD|STORAGE_OPTIONS)")


def variable(name: str) -> str | None:
    """The value of an environment variable; None when it is unset or empty."""
    return os.environ.get(name) or None


def first(*names: str) -> str | None:
    """The value of the first of these variables that is set and not empty."""
    return next((value for name in names if (value := variable(name)) is not None), None)


def without_secrets() -> dict[str, str]:
    """All variables but those in which a password or an option of a store is given to us."""
    return {name: value for name, value in os.environ.items() if not _SECRET.fullmatch(name)}


def prefer(name: str, value: str) -> None:
    """Set an environment variable that is unset, for a library which looks at nothing else."""
    os.environ.setdefault(name, value)


def leave_no_core_dump() -> None:
    """Have the system write no memory of this process into a file when it crashes.

    For processes of ours, which hold keys. What they start inherits this, and may undo it.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
