"""How good `Repository.anomalies` is on the cases of `anomaly_cases`.

    python -m tests.integration.anomaly_scores 5

prints the table of docs/guide/anomalies.md, from five seeds of each set of offices. The thresholds
were chosen by looking at the first set only.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field

from tests.integration.anomaly_cases import BEYOND, HARMLESS, WRONG, Outcome, histories


@dataclass
class Score:
    """What came of many cases.

    Attributes:
        wrong: cases in which an alarm was due.
        harmless: the others.
        seen: alarms that were due, and came.
        false: cases with alarms that were not due.
        remarked: cases without alarm that have a remark.
        mistakes: the names of cases that were missed, or had a false alarm.
    """

    wrong: int = 0
    harmless: int = 0
    seen: int = 0
    false: int = 0
    remarked: int = 0
    mistakes: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count what came of one case."""
        is_wrong = outcome.due is not None
        self.wrong += is_wrong
        self.harmless += not is_wrong
        self.seen += outcome.is_seen
        self.false += outcome.is_false
        self.remarked += bool(outcome.found) and not outcome.alarms
        if outcome.is_false or outcome.is_seen != is_wrong:
            self.mistakes[outcome.case.name] += 1

    @property
    def precision(self) -> float:
        """Share of alarms that were due."""
        return self.seen / (self.seen + self.false) if self.seen else 0.0

    @property
    def recall(self) -> float:
        """Share of due alarms that came."""
        return self.seen / self.wrong if self.wrong else 0.0

    def row(self, name: str) -> str:
        """A line of the table."""
        return (
            f"| {name} | {self.wrong} | {self.seen} | {self.harmless} | {self.false} "
            f"| {self.precision:.3f} | {self.recall:.3f} | {self.remarked} |"
        )


@dataclass
class Scores:
    """With and without reading data; with it, also of all cases, those beyond it among them."""

    reading: Score = field(default_factory=Score)
    index: Score = field(default_factory=Score)
    everything: Score = field(default_factory=Score)


def score(seeds: range, *, held_out: bool, first: int = 0, step: int = 1) -> Scores:
    """Live through all cases of some seeds, or from the first on every so-manieth."""
    scores = Scores()
    for seed in seeds:
        with histories(seed, held_out=held_out) as lives:
            for case in (HARMLESS + WRONG)[first::step]:
                reading, index = lives.outcomes(case)
                scores.reading.add(reading)
                scores.everything.add(reading)
                scores.index.add(index)
            for case in BEYOND[first::step]:
                scores.everything.add(lives.outcomes(case)[0])
    return scores


def main(seeds: int) -> None:
    """Print the table."""
    found = {
        "first set": score(range(seeds), held_out=False),
        "held-out set": score(range(seeds), held_out=True),
    }
    lines = [
        "| | wrong | seen | harmless | false alarms | precision | recall | remarks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, scores in found.items():
        lines.append(scores.reading.row(name))
        lines.append(scores.index.row(f"{name}, by the index alone"))
        lines.append(scores.everything.row(f"{name}, with the cases beyond it"))
    for name, scores in found.items():
        lines.append(f"\n{name}, mistakes of {seeds}: {dict(scores.everything.mistakes)}")
        lines.append(f"{name}, mistakes by the index alone: {dict(scores.index.mistakes)}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
