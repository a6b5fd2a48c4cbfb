"""A calendar of what a retention policy keeps: a cell for each day, a letter for each reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.model.periods import wall_clock
from holdfast.notebook.plots.canvas import (
    FAINT,
    GREEN,
    GRID,
    INK,
    PAPER,
    PURPLE,
    RED,
    new_figure,
    nothing,
    style,
)
from holdfast.operations.forget import ForgetResult
from holdfast.present import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from holdfast.model.retention import RetentionDecision, RetentionGroup


class Fate(NamedTuple):
    """What becomes of a snapshot.

    Attributes:
        letter: what stands in the cells.
        name: what stands in the legend.
        colour: of the cells.
        ink: of what stands on it.
    """

    letter: str
    name: str
    colour: str
    ink: str


GOES: Final = Fate("", "goes", "#f6d5c3", RED)
_OTHER: Final = Fate("+", "kept for another reason", GREEN, INK)
_KEPT: Final[Mapping[str, Fate]] = {
    "protected": Fate("P", "protected", PURPLE, INK),
    "yearly": Fate("y", "yearly", "#08306b", PAPER),
    "monthly": Fate("m", "monthly", "#0b5a9c", PAPER),
    "weekly": Fate("w", "weekly", "#4f9fd6", INK),
    "daily": Fate("d", "daily", "#9cc9ea", INK),
    "hourly": Fate("h", "hourly", "#d3e7f6", INK),
    "last": Fate("l", "one of the last", "#b7e1d3", INK),
}
"""By a word of the reason. Of several the first counts, so that the longest lasting is seen."""

_WEEK: Final = timedelta(days=7)
_LEAST_WEEKS: Final = 5
_WEEKS_OF_A_YEAR: Final = 54
_MOST_YEARS: Final = 12
_GAP: Final = 0.05
_SIDE: Final = 0.9
_SPLIT: Final = 0.58
_LARGE: Final = 0.3
"""Inches of a cell that has room for the day of the month."""


@dataclass(slots=True)
class Day:
    """What becomes of the snapshots of one day: how many have each fate."""

    fates: Counter[Fate] = field(default_factory=Counter)

    @property
    def kept(self) -> float:
        """The part of the cell that says so: all, nothing, or a little more than half of it."""
        going = self.fates[GOES]
        return _SPLIT if 0 < going < self.fates.total() else float(not going)

    @property
    def best(self) -> Fate:
        """The fate that gives the cell its colour."""
        return next((fate for fate in (*_KEPT.values(), _OTHER) if self.fates[fate]), GOES)


def plot_calendar(decided: ForgetResult | Iterable[RetentionGroup]) -> Figure:
    """Plot what a retention policy keeps of each day, and why.

    A cell of two colours has snapshots that stay and such that go. A day is that of the clocks
    where the snapshot was made.

    Args:
        decided: what ``repo.forget(policy=..., dry_run=True)`` or `RetentionPolicy.apply` gave.

    Raises:
        UsageError: matplotlib is not installed.
    """
    groups = decided.groups if isinstance(decided, ForgetResult) else tuple(decided)
    calendar = by_day(decision for group in groups for decision in group.decisions)
    rows = _rows(calendar)
    weeks = max((row.weeks for row in rows), default=_LEAST_WEEKS)
    cell = min(0.36, max(0.17, 8.5 / weeks))
    figure = new_figure(max(4.8, cell * weeks + 1.0), max(1, len(rows)) * (7 * cell + 0.4) + 1.0)
    figure.suptitle(
        _title(calendar.values(), len(groups)),
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
        color=INK,
    )
    grid = figure.subplots(max(1, len(rows)), 1, squeeze=False)[:, 0]
    if not rows:
        style(grid[0])
        nothing(grid[0], "there are no snapshots to decide on")
        return figure
    for axes, row in zip(grid, rows, strict=True):
        _draw(axes, row, weeks, calendar, large=cell >= _LARGE)
    _legend(figure, calendar.values())
    return figure


def by_day(decisions: Iterable[RetentionDecision]) -> dict[date, Day]:
    """What becomes of the snapshots of each day that has any, the oldest day first."""
    days: dict[date, Day] = {}
    for decision in sorted(decisions, key=lambda each: each.snapshot.time_ns):
        day = days.setdefault(wall_clock(decision.snapshot, None).date(), Day())
        day.fates[fate_of(decision)] += 1
    return dict(sorted(days.items()))


def fate_of(decision: RetentionDecision) -> Fate:
    """That it goes, or why it stays: of several reasons the one that lasts longest."""
    if not decision.keep:
        return GOES
    said = {word for reason in decision.reasons for word in reason.replace(":", " ").split()}
    return next((fate for word, fate in _KEPT.items() if word in said), _OTHER)


class Row(NamedTuple):
    """Some weeks beside each other.

    Attributes:
        first: the Monday of the first.
        weeks: how many.
        year: the only one of which days are shown; None for all.
    """

    first: date
    weeks: int
    year: int | None


def _rows(calendar: Mapping[date, Day]) -> list[Row]:
    """All weeks in one row if it is not longer than a year, else a row for each year."""
    if not calendar:
        return []
    first, last = min(calendar), max(calendar)
    weeks = (_monday(last) - _monday(first)) // _WEEK + 1
    if weeks < _WEEKS_OF_A_YEAR:
        shown = max(weeks, _LEAST_WEEKS)
        return [Row(_monday(last) - (shown - 1) * _WEEK, shown, None)]
    years = sorted({day.year for day in calendar})[-_MOST_YEARS:]
    return [Row(_monday(date(year, 1, 1)), _WEEKS_OF_A_YEAR, year) for year in years]


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _title(days: Iterable[Day], groups: int) -> str:
    total: Counter[Fate] = Counter()
    for day in days:
        total += day.fates
    going = total[GOES]
    stay = count(total.total() - going, "snapshot stays", "snapshots stay")
    where = f", in {groups} groups" if groups > 1 else ""
    return f"{stay}, {going:,} {'goes' if going == 1 else 'go'}{where}"


def _draw(axes: Axes, row: Row, weeks: int, calendar: Mapping[date, Day], *, large: bool) -> None:
    style(axes)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_aspect("equal", anchor="W")
    axes.set_xlim(0, weeks)
    axes.set_ylim(7, 0)
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    shown = [number for number in range(7) if large or number % 2 == 0]
    axes.set_yticks([number + 0.5 for number in shown], [names[number] for number in shown])
    axes.tick_params(axis="y", labelsize=8 if large else 7, colors=FAINT)
    axes.tick_params(
        axis="x", labelsize=8, top=True, labeltop=True, bottom=False, labelbottom=False
    )
    _months(axes, row, 2 if large else 4)
    _cells(axes, row, calendar, large=large)


def _cells(axes: Axes, row: Row, calendar: Mapping[date, Day], *, large: bool) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    empty = []
    for number in range(7 * row.weeks):
        day = row.first + timedelta(days=number)
        if row.year not in (None, day.year):
            continue
        left, top = number // 7 + _GAP, number % 7 + _GAP
        empty.append(Rectangle((left, top), _SIDE, _SIDE))
        found = calendar.get(day)
        if found is not None:
            _cell(axes, (left, top), day, found, large=large)
        if large:
            ink = FAINT if found is None else found.best.ink if found.kept == 1 else GOES.ink
            axes.text(left + 0.06, top + 0.06, str(day.day), va="top", fontsize=5.5, color=ink)
    squares = PatchCollection(empty, facecolor=PAPER, edgecolor=GRID, zorder=0.5)
    axes.add_collection(squares, autolim=False)


def _months(axes: Axes, row: Row, room: int) -> None:
    """Name the months above the weeks in which they begin.

    The first one is named if that leaves as many weeks as its name takes (`room`).
    """
    places: list[tuple[int, str]] = []
    for week in range(row.weeks):
        monday = row.first + week * _WEEK
        begins = [day for day in map(monday.__add__, map(timedelta, range(7))) if day.day == 1]
        if begins and row.year in (None, begins[0].year):
            form = "%b %Y" if not places or begins[0].month == 1 else "%b"
            places.append((week, format(begins[0], form)))
    if not places or places[0][0] >= room:
        places.insert(0, (0, format(row.first, "%b %Y")))
    axes.set_xticks([week for week, _ in places], [name for _, name in places], ha="left")


def _cell(axes: Axes, corner: tuple[float, float], day: date, found: Day, *, large: bool) -> None:
    """A square; what stays is at its bottom, what goes at its top."""
    from matplotlib.patches import Rectangle

    (left, top), fate, kept = corner, found.best, found.kept
    for name, colour, start, share in (
        ("going", GOES.colour, 0.0, 1 - kept),
        ("kept", fate.colour, 1 - kept, kept),
    ):
        if share:
            patch = Rectangle((left, top + start * _SIDE), _SIDE, share * _SIDE, linewidth=0)
            patch.set(facecolor=colour, gid=f"{day} {name}")
            axes.add_patch(patch)
    if fate.letter:
        lower = 0.12 if large and kept == 1 else 0  # below the day of the month
        axes.text(
            left + _SIDE / 2,
            top + _SIDE * (1 - kept / 2) + lower,
            fate.letter,
            ha="center",
            va="center_baseline",
            fontsize=9 if large else 7,
            fontweight="bold",
            color=fate.ink,
        )


def _legend(figure: Figure, days: Iterable[Day]) -> None:
    from matplotlib.patches import Patch

    total: Counter[Fate] = Counter()
    for day in days:
        total += day.fates
    handles = [
        Patch(
            facecolor=fate.colour,
            label=f"{fate.letter}  {fate.name}: {total[fate]:,}".strip(),
        )
        for fate in (*_KEPT.values(), _OTHER, GOES)
        if total[fate]
    ]
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=3 if len(handles) > 4 else len(handles),  # noqa: PLR2004 - what fits in a line
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=1,
        handleheight=1,
    )
