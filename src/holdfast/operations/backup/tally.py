"""Counts of one pass over the source."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from holdfast.filesystem import Problem
from holdfast.model.snapshot import MAX_PROBLEMS, Summary
from holdfast.store import Rehearsal, Writer

MAX_PROBLEM_BYTES = 4 << 20
"""Most bytes of the paths of problems that are kept: paths may be as long as a MiB."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """Counts of one pass over the source."""

    new: int = 0
    changed: int = 0
    unmodified: int = 0
    directories: int = 0
    others: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    problem_bytes: int = 0

    def problem(self, problem: Problem) -> None:
        """Record a source item that could not be read, unless it only vanished."""
        if problem.vanished:
            _log.info("%r vanished during the backup", problem.path)
            return
        self.problem_count += 1
        self.problem_bytes += len(problem.path)
        if len(self.problems) < MAX_PROBLEMS and self.problem_bytes <= MAX_PROBLEM_BYTES:
            self.problems.append(problem)

    def summary(self, writer: Writer | Rehearsal) -> Summary:
        """The numbers that the snapshot keeps."""
        return Summary(
            files_new=self.new,
            files_changed=self.changed,
            files_unmodified=self.unmodified,
            directories=self.directories,
            others=self.others,
            bytes_processed=self.size,
            data_added=writer.added,
            data_stored=writer.stored,
        )
