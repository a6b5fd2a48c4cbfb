"""The progress bar: on a terminal, for work that may take long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from holdfast.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress

    from holdfast import ProgressEvent
    from holdfast.progress import ProgressCallback

START_AFTER = 0.5
"""Seconds that work goes on before there is a bar: it takes a tenth of that to load the library
that draws it, and what ends by then needs none."""

INTERVAL = 0.25
"""Least number of seconds between two states of the bar."""


@contextmanager
def progress_bar(output: Output, what: str) -> Iterator[ProgressCallback | None]:
    """Show a bar while the body works, if there is somebody to see it and it takes its time.

    Args:
        output: neither quiet nor JSON, for there to be a bar.
        what: the work in a word, such as ``restoring``.

    Yields:
        What the work is to call; None when nothing is shown, so that nothing need be counted.
    """
    if output.quiet or output.json or not sys.stderr.isatty():
        yield None
        return
    with closing(_Bar(what)) as bar:
        yield bar.show


class _Bar:
    """The bar of one command, which may do one work after another."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = 0.0
        self._bar: Progress | None = None

    def show(self, event: ProgressEvent) -> None:
        """Show how far the work is, if it is time."""
        is_end = event.percent == 100.0  # noqa: PLR2004 - percent
        if self._bar is None:
            if is_end or event.elapsed < START_AFTER:
                return
            self._bar = _started(self._what)
        elif not is_end and 0 <= event.elapsed - self._shown < INTERVAL:
            return
        self._shown = event.elapsed
        known = event.percent > 0
        self._bar.update(
            self._bar.task_ids[0],
            total=100.0 if known else None,
            completed=event.percent,
            percent=f"{event.percent:3.0f}%" if known else "",
            told=event.told,
        )
        self._bar.refresh()

    def close(self) -> None:
        """Remove it."""
        if self._bar is not None:
            self._bar.stop()


def _started(what: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[percent]}", markup=False),
        TextColumn("{task.fields[told]}", markup=False),
        console=Console(stderr=True),
        auto_refresh=False,  # no thread: nothing changes between two events
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file is not to go to the terminal
    )
    bar.add_task(what, total=None, percent="", told="")
    bar.start()
    return bar
