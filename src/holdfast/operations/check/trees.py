"""Looking once at every tree that snapshots need, and at every blob that its files name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.descent import MAX_DEPTH
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.check.report import Finding, FindingKind
from holdfast.operations.hurt import Hurt, tree_name
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import BlobSet, Table

UNKNOWN = "index/"
"""What findings name when no index object knows a blob."""

_FILE, _DIRECTORY = int(NodeType.FILE), int(NodeType.DIRECTORY)


class Trees:
    """What is found in the trees of snapshots.

    Attributes:
        lost: the blobs that no good pack holds, each with the object that it was in.
        wrong: directories with a file whose size is not that of its content.
        deep: directories that are too deep to be looked at.
        needed: numbers of the packs that hold what the snapshots need; none if all packs count.
        is_all_known: whether nothing is lost that might have named more.
    """

    def __init__(
        self, table: Table, loader: BlobLoader, progress: Progress, *, everything: bool
    ) -> None:
        """Begin.

        Args:
            table: where every blob is.
            loader: where trees are.
            progress: told of every entry.
            everything: whether all packs count, needed or not.
        """
        self.lost: dict[BlobId, str] = {}
        self.wrong: set[BlobId] = set()
        self.deep: set[BlobId] = set()
        self.needed: set[int] = set()
        self.is_all_known = True
        self._table = table
        self._loader = loader
        self._progress = progress
        self._everything = everything
        self._seen = BlobSet(table)
        self._removed = len(table.removed)
        self._entries = 0

    def look(self, snapshots: Iterable[Snapshot]) -> None:
        """Look at every tree of these snapshots that was not looked at before."""
        for snapshot in snapshots:
            pending = [(snapshot.tree, 1)]
            while pending:
                tree, depth = pending.pop()
                if depth > MAX_DEPTH:
                    self.deep.add(tree)
                elif self._seen.add(tree):
                    below = self._look_at_directory(tree)
                    pending += [(child, depth + 1) for child in below]
        self._tell()

    def lose(self, blob: BlobId, error: DamagedRepository) -> None:
        """Note that a blob cannot be read."""
        known = error.object.startswith(("data/", "tree "))
        self.lost[blob] = error.object if known else UNKNOWN

    def is_wrong(self, node: Node) -> bool:
        """Whether a file's entry gives a blob another length than it has."""
        return not all(self._has_length(blob, length) for blob, length in _pieces(node))

    def findings(
        self, packs: Container[str], hurts: Mapping[str, Sequence[Hurt]]
    ) -> Iterator[Finding]:
        """What was found, once it is known whom it hurts.

        Args:
            packs: objects that other findings are about, which tell of what was lost with them.
            hurts: for each object, what it does to snapshots.
        """
        for tree in sorted(self.wrong):
            where = tree_name(tree)
            message = "it has a file whose size is not that of its content"
            yield Finding(where, FindingKind.TREE, message, tuple(hurts.get(where, ())))
        for tree in sorted(self.deep):
            where = tree_name(tree)
            message = f"it is more than {MAX_DEPTH} directories deep, and was not looked at"
            yield Finding(where, FindingKind.TREE, message, tuple(hurts.get(where, ())))
        for where, count in sorted(Counter(self.lost.values()).items()):
            if where in packs:
                continue
            kind = FindingKind.PACK if where.startswith("data/") else FindingKind.OBJECT
            message = "it cannot be read"
            if where == UNKNOWN:
                kind = FindingKind.BLOB
                message = f"{count} blobs are in no pack that the index knows"
            yield Finding(where, kind, message, tuple(hurts.get(where, ())))

    def _look_at_directory(self, tree: BlobId) -> Iterator[BlobId]:
        """Look at all files of a directory; gives the directories in it."""
        for node in self._directory(tree):
            self._entries += 1
            kind = node.type
            if kind == _FILE:
                if not self._look_at_file(node):
                    self.wrong.add(tree)
            elif kind == _DIRECTORY:
                yield directory_tree(node)

    def _directory(self, tree: BlobId) -> Iterator[Node]:
        """What can be read of a directory; pages that cannot are lost."""
        pages = [tree]

        def on_page(page: BlobId) -> None:
            pages[0] = page
            self._need(page)
            self._tell()

        def on_damage(error: DamagedRepository) -> None:
            self.lose(pages[0], error)
            self.is_all_known = False

        return load_directory(tree, self._loader, on_damage=on_damage, on_page=on_page)

    def _tell(self) -> None:
        entries, self._entries = self._entries, 0
        self._progress.advance(entries, 0)

    def _look_at_file(self, node: Node) -> bool:
        """Look at what a file needs; returns whether its blobs are as long as its entry says."""
        content = file_content(node)
        if isinstance(content, bytes):  # as of nearly every file
            return self._look_at_blob(content, node.size)
        if content is not None and content[0]:
            self._look_at_lists(content)
        are_right = [self._look_at_blob(blob, length) for blob, length in _pieces(node)]
        return all(are_right)

    def _look_at_blob(self, blob: BlobId, length: int) -> bool:
        """Look at a blob of data; returns whether it is so long as its file's entry says."""
        if self._everything and len(self._table.removed) == self._removed:
            found = self._seen.meet(blob)
            if found == length:
                return True
            if found is not None:
                return self._has_length(blob, length)
        self._look_at(blob)
        return self._has_length(blob, length)

    def _look_at_lists(self, content: Content) -> None:
        blob: BlobId | None = None
        try:
            for _, blob in references(content, self._loader, self._seen):
                self._look_at(blob)
        except DamagedRepository as error:
            if blob is not None:
                self.lose(blob, error)
                self.is_all_known = False

    def _look_at(self, blob: BlobId) -> None:
        if self._seen.add(blob) and not self._need(blob):
            self.lost.setdefault(blob, UNKNOWN)

    def _need(self, blob: BlobId) -> bool:
        """Note where a blob is, if not all packs count anyway; returns whether it is anywhere."""
        if self._everything:
            return self._table.known(blob, ()) >= 0
        packs = {location.pack for location in self._table.locate(blob)}
        self.needed |= packs
        return bool(packs)

    def _has_length(self, blob: BlobId, length: int) -> bool:
        """Whether a blob has that length in one of its places, if it has any."""
        places = self._table.locate(blob)
        return not places or any(at.length == length for at in places)


def _pieces(node: Node) -> list[tuple[BlobId, int]]:
    """The blobs that a file's entry names itself, with their lengths in bytes."""
    content = file_content(node)
    if content is None:
        return []
    if isinstance(content, bytes):
        return [(content, node.size)]
    level, items = content
    return [] if level else [item for item in items if not isinstance(item, int)]
