"""Which packs go, and of which the needed blobs are stored anew first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holdfast.operations.prune.options import PruneOptions
from holdfast.operations.prune.survey import PackUse, Survey, session_of
from holdfast.primitives.ids import PackName

FEW = 8
"""Small packs of one kind that are not worth merging."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a prune is going to do.

    Attributes:
        unneeded: packs of which nothing is needed, with their sizes; left-overs that no index
            object tells of among them.
        repack: packs whose needed blobs are to be stored anew.
        used, unused: bytes in all packs that are needed, and that are not.
        unused_left: bytes that nobody needs in packs that stay.
    """

    unneeded: dict[PackName, int]
    repack: tuple[PackUse, ...]
    used: int
    unused: int
    unused_left: int

    @property
    def candidates(self) -> set[PackName]:
        """All packs that are to go."""
        return {*self.unneeded, *(use.row.name for use in self.repack)}


def make_plan(
    found: Survey, options: PruneOptions, pack_size: int, is_old: Callable[[PackUse], bool]
) -> Plan:
    """Decide.

    Args:
        found: what is stored and needed.
        options: how much may stay.
        pack_size: bytes at which packs of this repository are closed.
        is_old: whether a pack is to be stored anew whatever it holds: under an older key, or,
            if that is wished for, of another compression.
    """
    free = [use for use in found.uses.values() if session_of(use.row.name) not in found.live]
    unneeded = {
        name: size
        for name, size in found.leftovers.items()
        if name not in found.condemned and session_of(name) not in found.live
    }
    unneeded |= {use.row.name: use.row.size for use in free if not use.used}
    partly = [use for use in free if use.used]
    repack = _to_repack(partly, found, options, pack_size, is_old)
    chosen = {use.row.name for use in repack}
    unused = sum(use.unused for use in found.uses.values())
    stay = (use for use in found.uses.values() if use.row.name not in chosen and use.used)
    return Plan(
        unneeded=unneeded,
        repack=tuple(repack),
        used=sum(use.used for use in found.uses.values()),
        unused=unused,
        unused_left=sum(use.unused for use in stay),
    )


def _to_repack(
    partly: list[PackUse],
    found: Survey,
    options: PruneOptions,
    pack_size: int,
    is_old: Callable[[PackUse], bool],
) -> list[PackUse]:
    used = sum(use.used for use in found.uses.values())
    left = sum(use.unused for use in partly)
    limit = options.max_unused.bytes(used)
    chosen: dict[PackName, PackUse] = {}
    room = float("inf") if options.max_repack_size is None else options.max_repack_size

    def choose(use: PackUse) -> None:
        nonlocal left, room
        if use.row.name not in chosen and use.used <= room:
            chosen[use.row.name] = use
            left -= use.unused
            room -= use.used

    for use in sorted(partly, key=lambda use: (use.used / use.stored, use.row.name)):
        if left <= limit:
            break
        choose(use)
    for use in partly:
        if is_old(use):
            choose(use)
    for use in _small(partly, pack_size):
        choose(use)
    return list(chosen.values())


def _small(packs: Iterable[PackUse], pack_size: int) -> list[PackUse]:
    """Packs that are worth being merged, because there are many small ones of their kind."""
    kinds: dict[int, list[PackUse]] = {}
    for use in packs:
        if use.row.size < pack_size // 2:
            kinds.setdefault(use.kind, []).append(use)
    return [use for several in kinds.values() if len(several) > FEW for use in several]
