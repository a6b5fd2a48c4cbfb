"""Repair: mending what can be mended of a damaged repository, and saying what is lost.

Everything here only adds: packs, index objects, snapshots. What is damaged stays where it is until
a prune, or somebody who forgets a snapshot, removes it. Repairs may end at any point and be run
again.
"""

from holdfast.operations.repair.index import IndexRepair, LostPack, repair_index
from holdfast.operations.repair.packs import (
    PackRepair,
    PackRepairOptions,
    PackRepairs,
    repair_packs,
)
from holdfast.operations.repair.snapshots import (
    SnapshotRepair,
    SnapshotRepairOptions,
    SnapshotRepairs,
    repair_snapshots,
)

__all__ = [
    "IndexRepair",
    "LostPack",
    "PackRepair",
    "PackRepairOptions",
    "PackRepairs",
    "SnapshotRepair",
    "SnapshotRepairOptions",
    "SnapshotRepairs",
    "repair_index",
    "repair_packs",
    "repair_snapshots",
]
