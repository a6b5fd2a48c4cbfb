"""What came of a run, as whoever does the work says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from holdfast.platform.schedule.cancel import Cancel
from holdfast.platform.schedule.job import JobConfig


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run that came to its end.

    Attributes:
        state: ``done``; ``partial``: with losses, such as files that could not be read;
            ``failed``: what it was to show is not so, such as that a repository is unharmed.
        result: what is kept of it, ready for JSON.
        summary: the same in one line.
    """

    state: str
    result: Mapping[str, object] = field(default_factory=dict)
    summary: str = ""


Executor: TypeAlias = Callable[[JobConfig, Cancel], Outcome]
"""Does the work of a job; raises HoldfastError when it cannot be done, which is tried again."""
