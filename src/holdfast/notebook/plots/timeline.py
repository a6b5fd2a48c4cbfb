"""What each snapshot changed, and where something looks wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from holdfast.notebook.plots.canvas import (
    BLUE,
    FAINT,
    FONT,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    bar_width,
    byte_axis,
    cut,
    days,
    drawable,
    legend,
    new_figure,
    nothing,
    style,
    time_axis,
)
from holdfast.present import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from holdfast.operations.anomalies import Anomaly
    from holdfast.operations.timeline import Step

_MOST_LINES: Final = 8
_LINE: Final = 0.21
"""Inches."""

_LONGEST: Final = 132
"""Characters of a line."""


def plot_timeline(timeline: Iterable[Step], anomalies: Iterable[Anomaly] = ()) -> Figure:
    """Plot how many files each snapshot added, changed and removed, with anomalies marked.

    An anomaly is a dashed line with a number; what it is stands below, the most severe first.
    A bar much higher than all others is cut off, and says how high it is.

    Args:
        timeline: what `Repository.timeline` gave.
        anomalies: what `Repository.anomalies` found in the same snapshots.

    Raises:
        UsageError: matplotlib is not installed.
    """
    steps = sorted(timeline, key=lambda step: step.snapshot.time)
    shown = {step.snapshot.id for step in steps}
    found = sorted(
        (each for each in anomalies if each.snapshot.id in shown), key=lambda each: -each.severity
    )
    words = 0.3 + _LINE * min(len(found), _MOST_LINES + 1) if found else 0.01
    figure = new_figure(9, 5 + words)
    files, data, below = figure.subplots(3, 1, height_ratios=(3, 1.7, max(words, 0.01)))
    files.sharex(data)
    style(files, "Files", "added and changed above the line, removed below it")
    style(data, "Data", "bytes in each snapshot that no earlier one had, before compression")
    below.axis("off")
    if not steps:
        nothing(files, "no snapshots yet")
        nothing(data, "no snapshots yet")
        return figure
    _files(files, steps)
    _data(data, steps)
    time_axis(data, [step.snapshot.time for step in steps])
    files.tick_params(axis="x", labelbottom=False)
    _mark((files, data), below, found)
    return figure


def _files(axes: Axes, steps: Sequence[Step]) -> None:
    from matplotlib.ticker import MaxNLocator

    times = [step.snapshot.time for step in steps]
    where, width = [days(time) for time in times], bar_width(times)
    added = [step.added for step in steps]
    changed = [step.changed for step in steps]
    removed = [step.removed for step in steps]
    axes.bar(where, added, width=width, color=BLUE, label="added")
    axes.bar(where, changed, bottom=added, width=width, color=ORANGE, label="changed")
    axes.bar(where, [-each for each in removed], width=width, color=RED, label="removed")
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    up = [new + other for new, other in zip(added, changed, strict=True)]
    top = cut(axes, where, up, _firsts(steps), lambda value: count(round(value), "file"))
    bottom = 1.15 * max(removed)
    axes.set_ylim(-max(bottom, 0.02 * top), max(top, 0.4 * bottom))
    axes.spines["bottom"].set_visible(False)
    legend(axes, columns=3)


def _data(axes: Axes, steps: Sequence[Step]) -> None:
    times = [step.snapshot.time for step in steps]
    where = [days(time) for time in times]
    amounts = [step.new_bytes for step in steps]
    axes.bar(where, amounts, width=bar_width(times), color=SKY)
    byte_axis(axes, cut(axes, where, amounts, _firsts(steps)))


def _firsts(steps: Sequence[Step]) -> list[bool]:
    """Which are the first of their kind, so that all they have is new."""
    return [step.previous is None for step in steps]


def _mark(plots: Sequence[Axes], lines: Axes, found: Sequence[Anomaly]) -> None:
    """Number the snapshots with anomalies, the most severe first, and say below what is wrong."""
    numbers: dict[str, int] = {}
    for each in found:
        if each.snapshot.id not in numbers:
            numbers[each.snapshot.id] = len(numbers) + 1
            _line(plots, each, len(numbers))
    for line, each in enumerate(found[:_MOST_LINES]):
        when = f"{each.snapshot.time:%Y-%m-%d %H:%M}"
        text = f"{numbers[each.snapshot.id]}   {when}   {each.kind}: {each.summary}"
        _write(lines, line, _ended(drawable(text)))
    if len(found) > _MOST_LINES:
        _write(lines, _MOST_LINES, f"… and {count(len(found) - _MOST_LINES, 'more', 'more')}")
    lines.set_ylim(max(len(found), 1), -0.5)


def _line(plots: Sequence[Axes], anomaly: Anomaly, number: int) -> None:
    where = days(anomaly.snapshot.time)
    for axes in plots:
        drawn = axes.axvline(where, color=PURPLE, linewidth=1.4, linestyle="--", zorder=0.5)
        drawn.set_gid(f"anomaly {anomaly.snapshot.id}")
    plots[0].annotate(
        str(number),
        (where, 0.95),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="center",
        fontsize=8.5,
        fontweight="bold",
        color=INK,
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": PURPLE},
    )


def _ended(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _write(axes: Axes, line: int, text: str) -> None:
    axes.text(0, line, text, fontsize=8, color=INK, va="center", family=FONT, parse_math=False)
