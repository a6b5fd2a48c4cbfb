"""What takes the space: a rectangle for each directory, as large as what is stored for it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.errors import UsageError
from holdfast.notebook.plots.canvas import (
    BLUE,
    FONT,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    drawable,
    new_figure,
    nothing,
    shortened,
    style,
)
from holdfast.present import count, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from holdfast.operations.usage import DirectoryUsage, Usage

_WIDTH: Final = 9.0
_HEIGHT: Final = 5.0
_MOST: Final = 24
"""Directories within one that have rectangles of their own."""

_SMALLEST: Final = 1 / 400
"""Part of the whole that a rectangle of its own takes."""

_COLOURS: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW)
_GREY: Final = "#9ca3af"
_LETTER: Final = 0.082
_FEWEST_LETTERS: Final = 8
_TALL: Final = 0.16
"""Inches that a letter and a line take."""


class Area(NamedTuple):
    """A rectangle, in inches.

    Attributes:
        left, bottom, width, height: where it is.
        label: what it stands for.
        stored: bytes.
        branch: which of the directories at the top it belongs to; -1 for none.
    """

    left: float
    bottom: float
    width: float
    height: float
    label: str
    stored: int
    branch: int


@dataclass(slots=True)
class _Part:
    """A directory, or what is left over in one."""

    label: str
    stored: int
    parts: Sequence[_Part] = ()
    is_rest: bool = False
    branch: int = -1


def plot_treemap(usage: Usage) -> Figure:
    """Plot which directories take what of a repository's storage.

    The area of all rectangles is what is stored. Those of one colour are in one directory; grey is
    what belongs to none of them. Small ones are drawn together.

    Args:
        usage: what `Repository.usage` gave; its `depth` decides how fine the rectangles are.

    Raises:
        UsageError: matplotlib or squarify is not installed.
    """
    figure = new_figure(_WIDTH + 0.2, _HEIGHT + 0.7)
    axes = figure.subplots()
    top, parts = _parts(usage)
    title = f"What takes the space: {size(usage.total_stored)} stored"
    style(axes, title, f"below {shortened(drawable(top), 90)}" if parts else "")
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0, _WIDTH)
    axes.set_ylim(0, _HEIGHT)
    if not parts:
        nothing(axes, "nothing is stored")
        return figure
    axes.axis("off")
    for area in _laid_out(parts, usage.total_stored):
        _draw(axes, area)
    return figure


def _parts(usage: Usage) -> tuple[str, list[_Part]]:
    """The first directory that holds several, and what all the storage consists of."""
    listed = {each.path: each for each in usage.directories}
    inside: dict[str, list[DirectoryUsage]] = {}
    for each in usage.directories[1:]:
        inside.setdefault(posixpath.dirname(each.path), []).append(each)
    top = usage.path
    while len(inside.get(top, ())) == 1:
        top = inside[top][0].path
    rest = {
        "directories above": usage.attributed - listed[top].attributed,
        "other snapshots and places": usage.elsewhere,
        "keys, index, overhead": usage.overhead.total,
    }
    parts = _divided(listed[top], inside, top)
    for number, part in enumerate(part for part in parts if part.parts or not part.is_rest):
        part.branch = number
    parts += [_Part(label, stored, is_rest=True) for label, stored in rest.items() if stored]
    return top, parts


def _divided(
    directory: DirectoryUsage, inside: Mapping[str, Sequence[DirectoryUsage]], top: str
) -> list[_Part]:
    """What a directory consists of: those in it, and what is in none of them."""
    parts = []
    for each in inside.get(directory.path, ()):
        if each.attributed:
            label = posixpath.relpath(each.path, top)
            parts.append(_Part(label, each.attributed, _divided(each, inside, top)))
    if directory.own:
        name = posixpath.relpath(directory.path, top)
        label = "files here" if name == "." else name
        parts.append(_Part(label, directory.own, is_rest=True))
    return parts


def _laid_out(parts: Sequence[_Part], total: int) -> Iterator[Area]:
    """The rectangles of all parts, those of one directory beside each other."""
    pending = [(0.0, 0.0, _WIDTH, _HEIGHT, parts, -1)]
    while pending:
        left, bottom, width, height, divided, branch = pending.pop()
        shown = _gathered(divided, total)
        amounts = [
            part.stored * width * height / sum(each.stored for each in shown) for part in shown
        ]
        for part, place in zip(shown, _squares(amounts, left, bottom, width, height), strict=True):
            of = part.branch if branch < 0 else branch
            if part.parts:
                pending.append((*place, part.parts, of))
            else:
                yield Area(*place, part.label, part.stored, of)


def _gathered(parts: Sequence[_Part], total: int) -> list[_Part]:
    """The parts by size, but those together that are too many or too small."""
    ordered = sorted(parts, key=lambda part: -part.stored)
    large = [part for part in ordered[:_MOST] if part.stored >= total * _SMALLEST]
    small = ordered[len(large) :]
    if len(small) > 1:
        together = _Part(f"{count(len(small), 'smaller one')}", sum(each.stored for each in small))
        return sorted([*large, together], key=lambda part: -part.stored)
    return ordered


def _squares(
    amounts: Sequence[float], left: float, bottom: float, width: float, height: float
) -> list[tuple[float, float, float, float]]:
    """Rectangles of these areas, as square as they can be."""
    try:
        from squarify import squarify
    except ImportError:
        raise UsageError("treemaps take squarify: pip install 'holdfast[notebook]'") from None
    found = squarify(amounts, left, bottom, width, height)
    return [(each["x"], each["y"], each["dx"], each["dy"]) for each in found]


def _draw(axes: Axes, area: Area) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    strong = _GREY if area.branch < 0 else _COLOURS[area.branch % len(_COLOURS)]
    tint = tuple(0.5 + part / 2 for part in to_rgb(strong))
    drawn = Rectangle((area.left, area.bottom), area.width, area.height)
    drawn.set(facecolor=tint, edgecolor=PAPER, linewidth=1.5, gid=area.label)
    axes.add_patch(drawn)
    label = drawable(area.label)
    across, up = _room(area.width, area.height), _room(area.height, area.width)
    is_upright = up.letters > across.letters and not _fits(label, across)
    room = up if is_upright else across
    if not _fits(label, room):
        return
    text = (
        label if len(label) <= room.letters else shortened(posixpath.basename(label), room.letters)
    )
    amount = size(area.stored)
    if room.lines > 1 and len(amount) <= room.letters:
        text += f"\n{amount}"
    axes.text(
        area.left + 0.06,
        area.bottom + area.height - 0.05,
        text,
        rotation=90 if is_upright else 0,
        fontsize=8.5,
        color=INK,
        va="top",
        family=FONT,
        linespacing=1.25,
        parse_math=False,
    )


class _Room(NamedTuple):
    letters: int
    lines: int


def _room(length: float, height: float) -> _Room:
    """How much can be written on so many inches."""
    return _Room(int((length - 0.12) / _LETTER), int((height - 0.08) / _TALL))


def _fits(label: str, room: _Room) -> bool:
    """Whether enough of a label can be written that it says something."""
    return room.lines > 0 and room.letters >= min(len(posixpath.basename(label)), _FEWEST_LETTERS)
