"""What of an entry's metadata is not as a snapshot has it, in words."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from holdfast.filesystem.apply import may_change_owners, wanted_mode
from holdfast.filesystem.metadata import Xattrs
from holdfast.model.node import Node, NodeType


def metadata_differences(
    node: Node, status: os.stat_result, xattrs: Callable[[], Xattrs], *, as_restored: bool
) -> Iterator[str]:
    """Compare an entry's metadata with a node of the same type.

    Args:
        node: what the snapshot has.
        status: of the entry.
        xattrs: reads the entry's extended attributes, if they are to be compared.
        as_restored: only what a restore by this user would have given it, and no attributes that
            it has in addition.
    """
    owner = status.st_uid, status.st_gid
    if owner != (node.uid, node.gid) and (may_change_owners() or not as_restored):
        yield f"owner {status.st_uid}:{status.st_gid} instead of {node.uid}:{node.gid}"
    mode = stat.S_IMODE(status.st_mode)
    wanted = wanted_mode(node, status) if as_restored else node.mode
    if node.type != NodeType.SYMLINK and mode != wanted:
        yield f"mode {mode:04o} instead of {node.mode:04o}"
    if status.st_mtime_ns != node.mtime:
        yield f"mtime {status.st_mtime_ns} ns instead of {node.mtime} ns"
    if node.xattrs or not as_restored:
        found, wanted_xattrs = dict(xattrs()), dict(node.xattrs)
        names = wanted_xattrs if as_restored else sorted(wanted_xattrs.keys() | found.keys())
        for name in names:
            if found.get(name) != wanted_xattrs.get(name):
                yield f"attribute {os.fsdecode(name)} differs"
