"""Who works on what how often.

What a target is set on is repeated, so that its median stands: holdfast in memory, and restic where
it is what holdfast is compared with. Everything else is there to look at, and is done once: other
tools in memory, and those two on a disk, whose write-back rules there anyway. The million files of
(g) take minutes each time: they are used in memory by those two only, and fewer times.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.tools import Holdfast, Installed, Restic

MANY = "g"
"""The set that takes longest."""
MOST_OF_MANY = 3
ALONE = frozenset({"g10", MANY})
"""Sets of which the targets are about holdfast alone."""


def rounds(
    tools: Sequence[Installed], data: str, repeat: int, *, is_main: bool
) -> list[list[Installed]]:
    """The tools that take part in each repetition, in their order.

    Args:
        tools: that are compared.
        data: key of the set.
        repeat: how often that is done which a target is set on.
        is_main: whether it is the medium that targets are set for.
    """
    often = [_times(tool.name, data, repeat, is_main=is_main) for tool in tools]
    return [
        [tool for tool, times in zip(tools, often, strict=True) if times > number]
        for number in range(max(often, default=0))
    ]


def _times(tool: str, data: str, repeat: int, *, is_main: bool) -> int:
    is_compared = tool in {Holdfast.name, Restic.name}
    if not is_compared and (data == MANY or not is_main):
        return 0
    if not is_main:
        return int(data != MANY)
    if not is_compared:
        return 1
    if data in ALONE and tool != Holdfast.name:
        return 1
    return min(repeat, MOST_OF_MANY) if data == MANY else repeat


def told(repeat: int) -> str:
    """A sentence about it, for the report."""
    few = min(repeat, MOST_OF_MANY)
    on_many = f" (of {few} on ({MANY}))" if few < repeat else ""
    return (
        f"What a target is set on was done {repeat} times{on_many}, and these are medians:"
        " holdfast in memory, and restic where the two are compared. Everything else was done once:"
        " other tools in memory, holdfast and restic on a disk."
    )
