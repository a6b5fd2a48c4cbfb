"""The one door to environment variables."""

from __future__ import annotations

import os


def variable(name: str) -> str | None:
    """The value of an environment variable; None when it is unset or empty."""
    return os.environ.get(name) or None


def first(*names: str) -> str | None:
    """The value of the first of these variables that is set and not empty."""
    return next((value for name in names if (value := variable(name)) is not None), None)


def prefer(name: str, value: str) -> None:
    """Set an environment variable that is unset, for a library which looks at nothing else."""
    os.environ.setdefault(name, value)
