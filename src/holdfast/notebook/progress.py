"""A progress bar for notebooks: one piece of HTML that is replaced, which all front ends can do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from holdfast.present import bar, count, duration, size
from holdfast.progress import ProgressCallback, ProgressEvent

if TYPE_CHECKING:
    from typing import Protocol

    class _Handle(Protocol):
        """What has been displayed, and can be replaced."""

        def update(self, shown: dict[str, str], *, raw: bool) -> None:
            """Replace it."""


INTERVAL = 0.25
"""Least number of seconds between two states of the bar."""

LINE_INTERVAL = 10.0
"""Least number of seconds between two lines, where nothing can be replaced."""

_DONE = 100.0


def progress(what: str = "") -> ProgressCallback:
    """A bar for work that takes a `progress`, such as ``repo.backup(..., progress=progress())``.

    It appears with the first event, in the output of the cell that runs then, and ends as a line
    that says what was done. Outside of notebooks lines are printed to standard error instead. It
    can be used for one work after another; each gets a bar of its own.

    Args:
        what: the work in a word, such as ``backup``.
    """
    return _Bar(what)


class _Bar:
    """Shows events, if it is time."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown: float | None = None
        self._handle: _Handle | None = None

    def __call__(self, event: ProgressEvent) -> None:
        """Show how far the work is."""
        is_end = event.percent == _DONE
        least = INTERVAL if in_notebook() else LINE_INTERVAL
        if not is_end and self._shown is not None and 0 <= event.elapsed - self._shown < least:
            return
        if self._shown is not None and event.elapsed < self._shown:
            self._handle = None  # other work has begun; that of before never came to its end
        self._shown = None if is_end else event.elapsed
        told = _result(event) if is_end else event.told
        if in_notebook():
            self._show(event, told)
        else:
            self._print(event, told)
        if is_end:
            self._handle = None

    def _show(self, event: ProgressEvent, told: str) -> None:
        shown = {
            "text/html": bar(event.percent or None, self._what, told),
            "text/plain": self._line(event, told),
        }
        if self._handle is None:
            from IPython.display import display

            self._handle = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown, raw=True)

    def _print(self, event: ProgressEvent, told: str) -> None:
        sys.stderr.write(f"{self._line(event, told)}\n")
        sys.stderr.flush()

    def _line(self, event: ProgressEvent, told: str) -> str:
        percent = f"{event.percent:.0f}% " if 0 < event.percent < _DONE else ""
        return f"{self._what}: {percent}{told}" if self._what else f"{percent}{told}"


def _result(event: ProgressEvent) -> str:
    """What was done, when it is done."""
    rate = f", {size(round(event.rate))}/s" if event.bytes else ""
    return f"{count(event.files, 'file')}, {size(event.bytes)} in {duration(event.elapsed)}{rate}"


def in_notebook() -> bool:
    """Whether what is displayed goes to a front end that shows HTML, and can replace it."""
    # Whoever runs in one has it imported; nobody else is to pay for that.
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
