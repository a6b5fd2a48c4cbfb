"""``python -m tests.simulation``: run many schedules, or show those of some seeds."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.schedule import Failed, Schedule


def main() -> int:
    """Run; returns 1 when a schedule failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    parser.add_argument("--seed", type=int, nargs="+", help="show the schedules of these seeds")
    options = parser.parse_args()
    try:
        if options.seed is None:
            run_all(range(options.first, options.first + options.seeds))
        else:
            for seed in options.seed:
                show(seed)
    except Failed as failure:
        print(failure)
        return 1
    return 0


def show(seed: int) -> None:
    """Run the schedule of a seed, and tell all of it."""
    schedule = Schedule(seed)
    counts = schedule.run()
    print("\n".join(map(str, schedule.trace)))
    print(f"seed {seed}: {dict(counts)}")


def run_all(seeds: range) -> None:
    """Run the schedules of these seeds, and say what happened in them."""
    begin = time.monotonic()
    counts: Counter[str] = Counter()
    steps = 0
    for seed in seeds:
        schedule = Schedule(seed)
        counts += schedule.run()
        steps += len(schedule.trace)
    seconds = time.monotonic() - begin
    print(f"{len(seeds)} schedules, {steps} steps, {seconds:.0f} s: no violation")
    for what, number in sorted(counts.items()):
        print(f"{number:8} {what}")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # threads of a schedule that got stuck would never let it end
