"""What all plots share: an empty figure, the colours, and words that fit their places."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from holdfast.errors import UsageError
from holdfast.present import escaped, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1f2328"
FAINT: Final = "#6b7280"
GRID: Final = "#e5e7eb"
PAPER: Final = "white"

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
ORANGE: Final = "#E69F00"
RED: Final = "#D55E00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
YELLOW: Final = "#F0E442"

FONT: Final = "DejaVu Sans"
"""It comes with matplotlib."""

BOX: Final = "\N{WHITE SQUARE}"

_MOST_TICKS: Final = 5
_DAY: Final = 86_400
_FAR_HIGHER: Final = 4


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which shows itself in a notebook.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from holdfast.notebook.plots.picture import Picture
    except ImportError:
        raise UsageError("plots take matplotlib: pip install 'holdfast[notebook]'") from None
    return Picture(figsize=(width, height), facecolor=PAPER, layout="constrained")


def style(axes: Axes, title: str = "", note: str = "") -> None:
    """Give a plot its title, an explanation below that, and colours that stand on white.

    Everything is set here, because defaults come from settings that the user may have changed.
    """
    axes.set_facecolor(PAPER)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.tick_params(axis="x", pad=8)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(FAINT)
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    space = 18 if note else 6
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=space)
    if note:
        axes.annotate(
            note,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 6),
            textcoords="offset points",
            fontsize=9,
            color=FAINT,
            va="bottom",
            parse_math=False,
        )


def legend(axes: Axes, columns: int) -> None:
    """Say what the colours are, above the plot at the right, where nothing is drawn."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0.2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        ncols=columns,
        handlelength=1.4,
    )


def nothing(axes: Axes, words: str) -> None:
    """Say in the middle of an empty plot that there is nothing to draw, and why."""
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5,
        0.5,
        words,
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=11,
        color=FAINT,
    )


def time_axis(axes: Axes, times: Sequence[datetime]) -> None:
    """Dates along the bottom, in UTC, with room at both ends."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=UTC, minticks=2, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.xaxis.get_offset_text().set_color(INK)
    width = bar_width(times)
    first, last = days(times[0]), days(times[-1])
    space = max(0.03 * (last - first), width if last > first else 6 * width)
    axes.set_xlim(first - space, last + space)


def days(moment: datetime) -> float:
    """Where a moment is on an axis of time: days since the Unix epoch, as matplotlib counts."""
    return moment.timestamp() / _DAY


def bar_width(times: Sequence[datetime]) -> float:
    """How many days wide the bars at these times are, so that they stand apart.

    Bars of moments that are very close to each other may touch; else they could not be seen.
    """
    places = [days(moment) for moment in times]
    gaps = [after - before for before, after in pairwise(places)]
    gaps = [gap for gap in gaps if gap > 0]
    if not gaps:
        return 0.5
    return max(0.7 * min(gaps), (places[-1] - places[0]) / 600)


def byte_axis(axes: Axes, most: float) -> None:
    """Sizes from 0 to a little more than `most` up the side, at round numbers of a binary unit."""
    ticks = byte_ticks(most)
    axes.set_yticks(ticks, [rounded(tick) for tick in ticks])
    axes.set_ylim(0, max(most, 1) * 1.08)


def byte_ticks(most: float) -> list[int]:
    """A few multiples of a power of 2 between 0 and `most`, which are round in binary units."""
    step = 1
    while step * _MOST_TICKS < most:
        step *= 2
    return list(range(0, int(most) + 1, step))


def rounded(count: float) -> str:
    """A number of bytes without zeros at its end, such as ``20 MiB`` or ``1.5 GiB``."""
    return re.sub(r"(\.[0-9]*?)0+ ", lambda found: found[1].rstrip(".") + " ", size(round(count)))


def shortened(text: str, most: int) -> str:
    """A text of `most` characters at most; what is left out of the middle is an ellipsis."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return text[: most - 1 - end] + "…" + text[len(text) - end :]


def drawable(text: str) -> str:
    """A name as `FONT` can draw it: a box takes the place of every character that it does not have.

    What does not print is escaped.
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=FONT)))
    return "".join(each if font.get_char_index(ord(each)) else BOX for each in escaped(text))


def _size(count: float) -> str:
    return size(round(count))


def cut(
    axes: Axes,
    places: Sequence[float],
    heights: Sequence[float],
    firsts: Sequence[bool],
    words: Callable[[float], str] = _size,
) -> float:
    """How far up an axis goes: not to the tops of first backups that would flatten all others.

    Their bars go out of the picture, and it is said how high they are.

    Args:
        axes: the plot.
        places: where the bars are.
        heights: how high they are.
        firsts: which are of first backups.
        words: a height as text.
    """
    usual = max((high for high, first in zip(heights, firsts, strict=True) if not first), default=0)
    if not usual or max(heights) < _FAR_HIGHER * usual:
        return max(*heights, 1)
    limit = usual * 1.6
    for place, high, first in zip(places, heights, firsts, strict=True):
        if first and high > limit:
            axes.annotate(
                f"↑ {words(high)}",
                (place, 1),
                xycoords=("data", "axes fraction"),
                xytext=(5, -3),
                textcoords="offset points",
                fontsize=8.5,
                color=INK,
                va="top",
            )
    return limit
