"""The entrance: whatever happens, one exit code and at most a few lines."""

from __future__ import annotations

import gc
import sys

from holdfast.version import __version__

_OBJECTS = 50_000
"""New objects after which Python looks for cycles among them; 700 by default."""


def main() -> int:
    """Run the command line on `sys.argv`; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        print(f"holdfast {__version__}")
        return 0
    from holdfast import environment  # neither is needed to tell the version, nor is click
    from holdfast.cli.run import run

    environment.leave_no_core_dump()
    # Rows are made by the million, none of them in a cycle: looking for cycles that often is vain.
    gc.set_threshold(_OBJECTS, 20, 100)
    return run(sys.argv[1:])
