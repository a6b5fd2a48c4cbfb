"""The entrance: whatever happens, one exit code and at most a few lines."""

from __future__ import annotations

import sys

from holdfast.version import __version__


def main() -> int:
    """Run the command line on `sys.argv`; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        print(f"holdfast {__version__}")
        return 0
    from holdfast.cli.run import run  # click is not needed to tell the version

    return run(sys.argv[1:])
