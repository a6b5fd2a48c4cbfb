"""Storing anew what is needed of packs that are to go."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from holdfast.errors import DamagedRepository, StorageFull
from holdfast.operations.prune.survey import PackUse, Survey, blobs_in, refused
from holdfast.primitives.ids import BlobId, PackName
from holdfast.progress import Progress
from holdfast.store import BlobSet, Group, Kind, Loader, Store, Table, Writer

_log = logging.getLogger(__name__)

BATCH = 64 << 20
"""Bytes of needed blobs that are stored anew before their packs count as free."""

_SORTED = 1 << 18
"""Blobs that are put into the order of their packs before they are read."""


class Repack:
    """Copies needed blobs through a session's writer, each verified as it is read.

    Attributes:
        moved: packs all of whose needed blobs are durable elsewhere.
        bytes: bytes of blobs that were copied, as they were.
        stopped: why not all was copied, "" when it was.
    """

    def __init__(self, store: Store, writer: Writer, loader: Loader, progress: Progress) -> None:
        self.moved: set[PackName] = set()
        self.bytes = 0
        self.stopped = ""
        self._store = store
        self._writer = writer
        self._loader = loader
        self._progress = progress
        self._alone = 0
        self._twice: BlobSet = BlobSet(Table())

    def run(self, found: Survey, packs: Sequence[PackUse], leave: Collection[int]) -> None:
        """Store anew what is needed of these packs, as far as there is room.

        Args:
            found: what is needed.
            packs: which are to be emptied.
            leave: numbers of packs that nothing may be left to: those that go, or cannot be used.

        Raises:
            DamagedRepository: something that is needed cannot be read.
        """
        self._progress.expect(0, sum(use.used for use in packs))
        self._twice = BlobSet(found.table)
        for blob in blobs_in(found.duplicates):
            self._twice.add(blob)
        for batch in _batches(packs):
            try:
                for use in batch:
                    self._empty(use, found, leave)
                self._writer.flush()
            except StorageFull as error:
                # What is durable already, and what is not needed at all, can still be freed.
                self.stopped = f"the storage is full: {error.problem}"
                _log.warning("not all that was to be moved is: %s", error)
                self._keep_what_is_durable(batch, found, leave)
                return
            self.moved |= {use.row.name for use in batch}

    def _keep_what_is_durable(
        self, batch: Sequence[PackUse], found: Survey, leave: Collection[int]
    ) -> None:
        """Find the packs that were emptied all the same, so that each run gets somewhere."""
        self._writer.save_progress()
        self._store.catalog.refresh()
        for use in batch:
            info = self._store.read_trailer(use.row.name, use.row.size)
            needed = (placed.id for placed in info.blobs if placed.id in found.marks)
            if all(found.table.known(blob, leave) >= 0 for blob in needed):
                self.moved.add(use.row.name)

    def _empty(self, use: PackUse, found: Survey, leave: Collection[int]) -> None:
        try:
            info = self._store.read_trailer(use.row.name, use.row.size)
        except DamagedRepository as error:
            raise refused(error) from error
        to_move = found.marks.groups(placed.id for placed in info.blobs)
        # Only these may be elsewhere too: in packs that stay, or where this session put them.
        for blob in [blob for blob in to_move if blob in self._twice]:
            if found.table.known(blob, leave) >= 0:
                self.check_copy(blob, leave)
                del to_move[blob]
            elif self._writer.has((blob,)):
                del to_move[blob]
        self.copy(to_move, use.kind)
        self._progress.advance(0, use.used, use.row.name)

    def check_copy(self, blob: BlobId, leave: Collection[int]) -> None:
        """Make sure that the copy of a blob which is to stay is a good one.

        Raises:
            DamagedRepository: it is not; the copies that were to go may be the only good ones.
        """
        try:
            self._loader.load_outside(blob, leave)
        except DamagedRepository as error:
            raise refused(error) from error

    def check_copies(self, blobs: Iterable[BlobId], table: Table, leave: Collection[int]) -> None:
        """The same for many, read segment by segment.

        Raises:
            DamagedRepository: see `check_copy`.
        """
        batch: list[tuple[int, int, BlobId]] = []
        for blob in chain(blobs, (None,)):
            if blob is not None:
                places = [at for at in table.locate(blob) if at.pack not in leave]
                first = places[0] if places else None
                batch.append((first.pack, first.ordinal, blob) if first else (-1, -1, blob))
            if blob is None or len(batch) == _SORTED:
                for _, _, each in sorted(batch):
                    self.check_copy(each, leave)
                batch.clear()

    def copy(self, blobs: Mapping[BlobId, Group | None], kind: Kind) -> None:
        """Store blobs of one kind anew.

        Args:
            blobs: which, each with what may share a segment with it; None if nothing may.
            kind: what they are.

        Raises:
            DamagedRepository: one cannot be read.
        """
        ids = list(blobs)
        for position, view in self._loader.views(ids):
            blob = ids[position]
            content = self._load(blob) if view is None else view
            self.bytes += len(content)
            group = blobs[blob]
            if group is None:
                self._alone += 1
                group = ("alone", self._alone)
            self._writer.move(kind, blob, content, group)

    def _load(self, blob: BlobId) -> memoryview:
        """A blob that is not where the index says first, or not good there."""
        try:
            return self._loader.view(blob)
        except DamagedRepository as error:
            raise refused(error) from error


def _batches(packs: Sequence[PackUse]) -> Iterator[list[PackUse]]:
    batch: list[PackUse] = []
    size = 0
    for use in packs:
        batch.append(use)
        size += use.used
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
