"""Measuring the parts of a drill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.clock import Clock
from holdfast.platform.drill.report import Phase


class Stopwatch:
    """Measures one part after another; parts do not overlap, and there are no gaps that count.

    Attributes:
        phases: what was measured.
        current: the name of the last part that began.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.monotonic()
        self.phases: list[Phase] = []
        self.current = "start"

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock.monotonic() - self._start

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block, also when it fails."""
        self.current = name
        begin = self._clock.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name, self._clock.monotonic() - begin))

    def seconds(self, name: str) -> float:
        """How long the parts of a name took."""
        return sum(phase.seconds for phase in self.phases if phase.name == name)
