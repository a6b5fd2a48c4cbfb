"""How a repository grew: what snapshots hold, and how little of it had to be stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from holdfast.engine.repository import Repository
from holdfast.notebook.plots.canvas import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    bar_width,
    byte_axis,
    cut,
    days,
    legend,
    new_figure,
    nothing,
    style,
    time_axis,
)
from holdfast.present import size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from holdfast.model.snapshot import Snapshot
    from holdfast.operations.timeline import Step

_MOST_DOTS: Final = 60


def plot_growth(source: Repository | Iterable[Step]) -> Figure:
    """Plot the size of snapshots, what is stored for them, and what each added, over time.

    Args:
        source: a repository, or a part of its history that `Repository.timeline` gave.

    Raises:
        UsageError: matplotlib is not installed.
    """
    given = source.timeline() if isinstance(source, Repository) else source
    steps = sorted(given, key=lambda step: step.snapshot.time)
    figure = new_figure(9, 7)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.6, 1.6))
    stored = list(accumulate(step.new_stored for step in steps))
    held = list(accumulate(_size(step) for step in steps))
    style(upper, "Size", "bytes of the files in each snapshot, and stored for all so far")
    style(middle, "Added", "bytes stored by each snapshot that were not there before")
    style(lower, "Saved", "size of all snapshots so far for each byte stored")
    if not steps:
        for axes in (upper, middle, lower):
            nothing(axes, "no snapshots yet")
        return figure
    _sizes(upper, steps, stored)
    _added(middle, steps)
    _saved(lower, steps, [size / max(kept, 1) for size, kept in zip(held, stored, strict=True)])
    time_axis(lower, [step.snapshot.time for step in steps])
    return figure


def _sizes(axes: Axes, steps: Sequence[Step], stored: Sequence[int]) -> None:
    when = [days(step.snapshot.time) for step in steps]
    marker = "o" if len(steps) <= _MOST_DOTS else ""
    axes.fill_between(when, stored, color=BLUE, alpha=0.15, linewidth=0, step="post")
    axes.plot(
        when,
        stored,
        color=BLUE,
        drawstyle="steps-post",
        marker=marker,
        markersize=4,
        label=f"stored, {size(stored[-1])}",
    )
    groups: dict[tuple[str, tuple[str, ...]], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.snapshot.host, step.snapshot.paths), []).append(step)
    for number, members in enumerate(groups.values()):
        label = f"files of a snapshot, {size(_size(members[-1]))} in the last"
        if len(groups) > 1:
            label = f"files of a snapshot, each of {len(groups)} sources"
        axes.plot(
            [days(step.snapshot.time) for step in members],
            [_size(step) for step in members],
            color=ORANGE,
            marker=marker or ("o" if len(members) == 1 else ""),
            markersize=4,
            label="" if number else label,
        )
    byte_axis(axes, max(*stored, *(_size(step) for step in steps)))
    legend(axes, columns=2)


def _added(axes: Axes, steps: Sequence[Step]) -> None:
    amounts = [step.new_stored for step in steps]
    times = [step.snapshot.time for step in steps]
    where = [days(time) for time in times]
    axes.bar(where, amounts, width=bar_width(times), color=GREEN)
    byte_axis(axes, cut(axes, where, amounts, [step.previous is None for step in steps]))


def _saved(axes: Axes, steps: Sequence[Step], ratios: Sequence[float]) -> None:
    when = [days(step.snapshot.time) for step in steps]
    marker = "o" if len(steps) <= _MOST_DOTS else ""
    axes.plot(when, ratios, color=BLUE, marker=marker, markersize=4)
    axes.axhline(1, color=FAINT, linewidth=0.8, linestyle=":")
    axes.set_ylim(0, max(*ratios, 1) * 1.15)
    axes.yaxis.set_major_formatter("{x:g}×")


def _size(step: Step) -> int:
    return snapshot_size(step.snapshot)


def snapshot_size(snapshot: Snapshot) -> int:
    """Bytes of the files that a snapshot has."""
    return snapshot.summary.bytes_processed
