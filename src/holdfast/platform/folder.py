"""Where the workspace of a user is."""

from __future__ import annotations

from pathlib import Path

from holdfast import environment
from holdfast.errors import UsageError

AUDIT_TRAIL = "audit.jsonl"
"""The name of the audit trail in a workspace."""


def default_trail() -> Path:
    """Where a user's audit trail is (UsageError without a home directory)."""
    return default_folder() / AUDIT_TRAIL


def default_folder() -> Path:
    """Where a user's workspace is (UsageError without a home directory)."""
    named = environment.variable("HOLDFAST_STATE_DIR")
    if named is not None:
        return Path(named)
    base = environment.variable("XDG_STATE_HOME")
    if base is not None and Path(base).is_absolute():
        return Path(base) / "holdfast"
    try:
        return Path.home() / ".local/state/holdfast"
    except RuntimeError:
        raise UsageError(
            "there is no home directory to keep the platform's state in: set HOLDFAST_STATE_DIR"
        ) from None
