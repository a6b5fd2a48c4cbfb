"""The progress bar: on a terminal, for work that may take long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.cli.output import Output
from holdfast.cli.text import count, duration, escaped, size

if TYPE_CHECKING:
    from holdfast import ProgressEvent
    from holdfast.progress import ProgressCallback


@contextmanager
def progress_bar(output: Output, what: str) -> Iterator[ProgressCallback | None]:
    """Show a bar while the body works, if there is somebody to see it.

    Args:
        output: neither quiet nor JSON, for there to be a bar.
        what: the work in a word, such as ``restoring``.

    Yields:
        What the work is to call; None when nothing is shown, so that nothing need be counted.
    """
    if output.quiet or output.json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[told]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=100.0, told="")

        def show(event: ProgressEvent) -> None:
            bar.update(task, completed=event.percent, told=told(event))

        yield show


def told(event: ProgressEvent) -> str:
    """What stands beside the bar: files, bytes, rate, time left and where the work is."""
    left = "" if event.seconds_left is None else f", {duration(event.seconds_left)} left"
    total = f" of {size(event.bytes_total)}" if event.percent else ""  # else not known yet
    numbers = (
        f"{count(event.files, 'file')}, {size(event.bytes)}{total}, "
        f"{size(round(event.rate))}/s{left}"
    )
    return f"{numbers}  {escaped(event.path)}" if event.path else numbers
