"""How long something may take, and the end of it when it takes longer."""

from __future__ import annotations

from holdfast.clock import Clock
from holdfast.errors import UsageError


class OutOfTime(Exception):  # noqa: N818 - nothing is wrong, but it is over
    """A drill or a step is past its time."""


class Deadline:
    """A moment until which work has to be done.

    Args:
        clock: to measure with.
        minutes: from now on.
        message: what to say when it has passed.
        outer: another that also holds.
    """

    def __init__(
        self, clock: Clock, minutes: float, message: str, outer: Deadline | None = None
    ) -> None:
        if not minutes > 0:
            raise UsageError(f"a time of {minutes:g} minutes makes no sense")
        self.clock = clock
        self._end = clock.monotonic() + minutes * 60
        self._message = message
        self._outer = outer

    @property
    def left(self) -> float:
        """Seconds until it passes; not more than 0 when it has."""
        own = self._end - self.clock.monotonic()
        return own if self._outer is None else min(own, self._outer.left)

    def check(self, _: object = None) -> None:
        """Go on, or not; it can be given to work as what is told of its progress.

        Raises:
            OutOfTime: it has passed.
        """
        if self._outer is not None:
            self._outer.check()
        if self.clock.monotonic() >= self._end:
            raise OutOfTime(self._message)


def drill_deadline(clock: Clock, minutes: float) -> Deadline:
    """The end of a whole drill."""
    return Deadline(clock, minutes, f"drill execution timeout after {minutes:g} minutes")
