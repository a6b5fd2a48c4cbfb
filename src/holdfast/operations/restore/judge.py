"""What becomes of an entry of the target: decided from its status and the snapshot's node alone."""

from __future__ import annotations

import os
import stat
from enum import Enum, auto

from holdfast.filesystem.apply import may_change_owners, wanted_mode
from holdfast.filesystem.metadata import node_type
from holdfast.filesystem.target import TargetError
from holdfast.model.node import Node, NodeType
from holdfast.operations.restore.options import Overwrite, RestoreOptions

DEVICES = (NodeType.CHARACTER_DEVICE, NodeType.BLOCK_DEVICE)

DEVICE_LEFT_OUT = "a device, which is left out unless devices are asked for"
"""What is said of a device that is not restored."""


class Verdict(Enum):
    """What becomes of an entry.

    A file with other names is never changed, neither its bytes nor its metadata, because the
    other names may lie outside the target: it is replaced, or left alone.
    """

    CREATE = auto()
    """There is none yet."""

    REPLACE = auto()
    """A new one takes its place."""

    UPDATE = auto()
    """The file stays and gets the bytes and metadata that differ."""

    REFRESH = auto()
    """Its content is right; it gets the metadata that differs."""

    RIGHT = auto()
    """It is right, as far as its status tells."""

    PROTECTED = auto()
    """The overwrite policy forbids to touch it."""


def judge(node: Node, found: os.stat_result | None, overwrite: Overwrite) -> Verdict:
    """Decide on an entry.

    Args:
        node: what the snapshot has; also a directory, whose `UPDATE` is of its metadata.
        found: what the target has under that name; None for nothing.
        overwrite: the policy.
    """
    if found is None:
        return Verdict.CREATE
    if is_protected(node, found, overwrite):
        return Verdict.PROTECTED
    if not is_same_type(node, found):
        return Verdict.REPLACE
    if node.type == NodeType.DIRECTORY:
        return Verdict.UPDATE
    changed = overwrite is not Overwrite.IF_CHANGED or not _seems_unchanged(node, found)
    if node.type == NodeType.FILE and found.st_nlink == 1:
        return Verdict.UPDATE if changed else Verdict.REFRESH
    return Verdict.REPLACE if changed or not _has_metadata(node, found) else Verdict.RIGHT


def is_protected(node: Node, found: os.stat_result, overwrite: Overwrite) -> bool:
    """Whether the policy forbids to touch what exists."""
    if overwrite is Overwrite.NEVER:
        return True
    return overwrite is Overwrite.IF_NEWER and found.st_mtime_ns >= node.mtime


def check_wanted(node: Node, options: RestoreOptions) -> None:
    """Refuse what is created only when it is asked for.

    Raises:
        TargetError: it is not.
    """
    if node.type in DEVICES and not options.devices:
        raise TargetError("create", DEVICE_LEFT_OUT)


def is_same_type(node: Node, found: os.stat_result) -> bool:
    """Whether an entry of the target is of the node's type."""
    return node_type(found) == node.type


def _seems_unchanged(node: Node, found: os.stat_result) -> bool:
    """Whether size and mtime (of a device its number, too) say that the content is the same."""
    if found.st_mtime_ns != node.mtime:
        return False
    if node.type in DEVICES:
        return found.st_rdev == node.payload
    return node.type not in (NodeType.FILE, NodeType.SYMLINK) or found.st_size == node.size


def _has_metadata(node: Node, found: os.stat_result) -> bool:
    """Whether the status already has the owner and mode that a restore would give."""
    owned = not may_change_owners() or (found.st_uid, found.st_gid) == (node.uid, node.gid)
    linked = stat.S_ISLNK(found.st_mode)
    return owned and (linked or stat.S_IMODE(found.st_mode) == wanted_mode(node, found))
