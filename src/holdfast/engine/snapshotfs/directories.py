"""What was read of directories, kept for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from holdfast.model.node import Node, node_of
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import Leaf, load_leaf, load_rows
from holdfast.primitives.ids import BlobId

MOST_ENTRIES = 1 << 16
"""Entries that are kept, of about 700 bytes each."""


class Directories:
    """Reads directories by their trees. Safe to use from several threads.

    To find one name takes one page of a large directory, and that page is kept, so that to look up
    each name of a listing costs little more than the listing.
    """

    def __init__(self, loader: BlobLoader, most: int = MOST_ENTRIES) -> None:
        """Begin with none.

        Args:
            loader: where trees are.
            most: how many entries are kept; those of directories that were not used for longest
                are forgotten.
        """
        self._loader = loader
        self._most = most
        self._lock = threading.Lock()
        self._leaves: OrderedDict[BlobId, list[Leaf]] = OrderedDict()
        self._held = 0

    def find(self, tree: BlobId, name: bytes) -> Node | None:
        """The entry of a directory that has a name, or None.

        Raises:
            DamagedRepository: the directory is missing or damaged.
        """
        with self._lock:
            known = self._leaves.get(tree)
            if known is not None:
                self._leaves.move_to_end(tree)
            leaf = next((leaf for leaf in known or () if leaf.covers(name)), None)
        if leaf is None:
            leaf = load_leaf(tree, name, self._loader)
            self._keep(tree, leaf)
        return leaf.find(name)

    def all(self, tree: BlobId) -> Sequence[Node]:
        """The entries of a directory in order of their names.

        Raises:
            DamagedRepository: the directory is missing or damaged.
        """
        with self._lock:
            known = self._leaves.get(tree, [])
            whole = next((leaf for leaf in known if not leaf.first and leaf.end is None), None)
            if whole is not None:
                self._leaves.move_to_end(tree)
        if whole is None:
            rows, _ = load_rows(tree, self._loader)
            whole = Leaf(b"", None, rows)
            self._keep(tree, whole)
        return list(map(node_of, whole.rows))

    def _keep(self, tree: BlobId, leaf: Leaf) -> None:
        if len(leaf.rows) > self._most:
            return
        with self._lock:
            if not leaf.first and leaf.end is None:
                self._drop(tree)
            self._leaves.setdefault(tree, []).insert(0, leaf)
            self._leaves.move_to_end(tree)
            self._held += _cost(leaf)
            while self._held > self._most:
                oldest = next(iter(self._leaves))
                if oldest == tree:
                    self._held -= _cost(self._leaves[tree].pop())
                else:
                    self._drop(oldest)

    def _drop(self, tree: BlobId) -> None:
        self._held -= sum(map(_cost, self._leaves.pop(tree, [])))


def _cost(leaf: Leaf) -> int:
    return len(leaf.rows) + 1
