"""Files with several hard links: which names are one file, and what was read of it."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import NamedTuple

from holdfast.model.node import FILESYSTEM, Node, Row, node_of

LINKS_REMEMBERED = 1 << 16
"""Files with several hard links whose content is not read again at the next link."""


class Ordinals:
    """Numbers the file systems of a source, in the order in which files with links are met."""

    def __init__(self) -> None:
        self._devices: dict[int, int] = {}

    def of(self, status: os.stat_result) -> int | None:
        """The ordinal of an entry's file system; None when it has only one link."""
        if status.st_nlink == 1:
            return None
        return self._devices.setdefault(status.st_dev, len(self._devices))


class _Met(NamedTuple):
    """A link that was met."""

    status: os.stat_result
    node: Node


class Links:
    """What a repository has, in this pass, of the files with several links."""

    def __init__(self, ordinals: Ordinals) -> None:
        self._ordinals = ordinals
        self._met: OrderedDict[tuple[int, int], _Met] = OrderedDict()

    def find(self, name: bytes, status: os.stat_result) -> Node | None:
        """The node of another link to a file that is known already and has not changed since."""
        if status.st_nlink == 1:
            return None
        met = self._met.get((status.st_dev, status.st_ino))
        if met is None or met.node.extra or not unchanged_since(met.status, status):
            return None
        return met.node._replace(name=name)

    def placed(self, row: Row, status: os.stat_result) -> Row:
        """An unchanged file's row with the ordinal of its file system in this snapshot."""
        ordinal = self._ordinals.of(status)
        if ordinal is None and row[FILESYSTEM] is None:
            return row
        node = node_of(row)._replace(filesystem=ordinal)
        if ordinal is not None:
            self._remember(status, node)
        return node

    def grouped(self, node: Node, status: os.stat_result) -> Node:
        """The node of one of several links, but a file of its own if the others differ from it.

        They do if the file changed between them, or if its inode was given to a new file: links
        share one content when they are restored, and this entry's must not be another's.
        """
        if node.filesystem is None:
            return node
        met = self._met.get((status.st_dev, status.st_ino))
        if met is not None and met.node.payload != node.payload:
            return node._replace(filesystem=None)
        self._remember(status, node)
        return node

    def _remember(self, status: os.stat_result, node: Node) -> None:
        self._met[status.st_dev, status.st_ino] = _Met(status, node)
        if len(self._met) > LINKS_REMEMBERED:
            self._met.popitem(last=False)


def unchanged_since(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file's times and size are the same."""
    return (
        before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
        and before.st_size == after.st_size
    )
