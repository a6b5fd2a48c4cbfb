"""``python -m tests.fuzz``: try every target for some time, each in a process of its own.

A failing input is kept in ``tests/fuzz/kept``: every later run begins with those.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from tests.fuzz.process import Failed, fuzz_here, fuzz_in_child
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run; returns 1 when an input of a target failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=10, help="for all of them together")
    parser.add_argument("--seed", type=int, default=0, help="of all choices")
    parser.add_argument("--child", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"there is no target {unknown[0]}: choose among {', '.join(TARGETS)}")
    seconds = 60 * options.minutes / len(names)
    if options.child is not None:
        for name in names:
            print(fuzz_here(TARGETS[name], options.seed, options.child, seconds))
        return 0
    return int(any(list(map(partial(fails, options.seed, seconds), names))))


def fails(seed: int, seconds: float, name: str) -> bool:
    """Fuzz a target, and say what came of it."""
    try:
        print(fuzz_in_child([name], seed, seconds), flush=True)
    except Failed as failure:
        print(failure, flush=True)
        return True
    return False


if __name__ == "__main__":
    raise SystemExit(main())
