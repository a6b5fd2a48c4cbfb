"""What must be true of a storage after every step, worked out from the objects alone.

Reading every snapshot after every step would take long. Objects never change, so it is enough to
read each snapshot once, exactly and by the real code, when it comes to be, and to know from then
on that each blob it needs is in a pack that is there and that an index object tells of. At the
end of a schedule everything is read again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from holdfast.errors import HoldfastError
from holdfast.model.content import references
from holdfast.model.file import SnapshotFile
from holdfast.model.node import NodeType
from holdfast.model.snapshot import Snapshot, decode_snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.primitives.ids import ID_SIZE, BlobId, PackName, SnapshotId
from holdfast.store import Loader, Store
from holdfast.store.index import PLACE_ROW, SEGMENT_ROW, IndexObject, decode_index

Files = Mapping[str, bytes]
"""What a source holds: paths below it, and contents; a single file has the path ""."""


class Violation(Exception):  # noqa: N818 - a failure of the test, not an error
    """Something is not as it must always be."""


class Ledger:
    """Knows which blobs each snapshot needs, and where they are.

    Attributes:
        snapshots: the blobs that each snapshot of the storage needs.
    """

    def __init__(self, store: Store, expected: Callable[[Snapshot], Files]) -> None:
        """Know nothing yet.

        Args:
            store: sees the storage itself, not through any actor.
            expected: tells what a snapshot must hold.
        """
        self.snapshots: dict[SnapshotId, frozenset[BlobId]] = {}
        self._store = store
        self._expected = expected
        self._rows: dict[str, dict[PackName, set[BlobId]]] = {}
        self._removed: dict[str, frozenset[PackName]] = {}

    def copy(self, store: Store) -> Ledger:
        """The same of another storage that holds the same."""
        other = Ledger(store, self._expected)
        other.snapshots |= self.snapshots
        other._rows |= self._rows
        other._removed |= self._removed
        return other

    def look(self) -> None:
        """Check the storage as it is now.

        Raises:
            Violation: a snapshot cannot be restored exactly.
        """
        names = [info.name for info in self._store.backend.list("")]
        self._read_index({name for name in names if name.startswith("index/")})
        stored = {PackName(name.split("/")[2]) for name in names if name.startswith("data/")}
        usable = stored.difference(*self._removed.values())
        available: set[BlobId] = set()
        for rows in self._rows.values():
            for pack in rows.keys() & usable:
                available |= rows[pack]
        present = {SnapshotId(name[10:]) for name in names if name.startswith("snapshots/")}
        for gone in self.snapshots.keys() - present:
            del self.snapshots[gone]
        for new in sorted(present - self.snapshots.keys()):
            self.snapshots[new] = self.read(self._store, new)
        for id_, needed in self.snapshots.items():
            if lost := needed - available:
                raise Violation(f"snapshot {id_} lacks {len(lost)} of {len(needed)} blobs")

    def unneeded(self) -> set[PackName]:
        """Packs that are stored and of which no snapshot needs anything."""
        needed = frozenset[BlobId]().union(*self.snapshots.values())
        packs = {PackName(info.name.split("/")[2]) for info in self._store.backend.list("data/")}
        used = {
            pack
            for rows in self._rows.values()
            for pack, blobs in rows.items()
            if not needed.isdisjoint(blobs)
        }
        return packs - used

    def _read_index(self, names: set[str]) -> None:
        for gone in self._rows.keys() - names:
            del self._rows[gone], self._removed[gone]
        for name in names - self._rows.keys():
            index = decode_index(name, self._store.backend.get(name), self._store.keys)
            self._rows[name] = _blobs_by_pack(index)
            self._removed[name] = frozenset(index.removed)

    def read(self, store: Store, id_: SnapshotId) -> frozenset[BlobId]:
        """Read a snapshot, compare it with its source, and tell which blobs it needs.

        Raises:
            Violation: it is not readable, or not the same.
        """
        try:
            data = store.snapshot(id_)
            if data is None:  # its session was declared dead
                return frozenset()
            snapshot = decode_snapshot(id_, data)
            (path,) = snapshot.paths
            with store.loader() as loader:
                found, needed = _read(snapshot.tree, os.fsencode(path), loader)
        except HoldfastError as error:
            raise Violation(f"snapshot {id_} cannot be read: {error}") from error
        if found != self._expected(snapshot):
            raise Violation(f"snapshot {id_} of {path} holds something else: {sorted(found)}")
        return needed


def _blobs_by_pack(index: IndexObject) -> dict[PackName, set[BlobId]]:
    packs = [pack.name for pack in index.packs]
    segments = [packs[row[0]] for row in SEGMENT_ROW.iter_unpack(index.segments)]
    found: dict[PackName, set[BlobId]] = {name: set() for name in packs}
    for number, (segment, _, _) in enumerate(PLACE_ROW.iter_unpack(index.places)):
        blob = BlobId(bytes(index.ids[number * ID_SIZE : (number + 1) * ID_SIZE]))
        found[segments[segment]].add(blob)
    return found


def _read(tree: BlobId, base: bytes, loader: Loader) -> tuple[Files, frozenset[BlobId]]:
    """The files of a snapshot by their paths below `base`, and all blobs that it needs."""
    needed: set[BlobId] = set()
    files: dict[str, bytes] = {}
    pending = [(b"", tree)]
    while pending:
        above, directory = pending.pop()
        for node in load_directory(directory, loader, on_page=needed.add):
            path = above + b"/" + node.name
            if node.type == NodeType.DIRECTORY:
                pending.append((path, directory_tree(node)))
                continue
            needed.update(blob for _, blob in references(file_content(node), loader))
            inner = path.removeprefix(base).removeprefix(b"/")
            with SnapshotFile(node, loader) as file:
                files[os.fsdecode(inner)] = file.read()
    return files, frozenset(needed)
