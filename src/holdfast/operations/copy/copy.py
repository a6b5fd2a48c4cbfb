"""Snapshots from one repository to others: what is missing there travels, and nothing else.

Where both name blobs alike, blobs travel as they are. Where they do not, trees are made anew
(see `holdfast.operations.copy.transplant`). Every copy is a session of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from holdfast.errors import BackendError, DamagedRepository, HoldfastError, RepositoryError
from holdfast.model.select import choose_parent, ordered
from holdfast.model.snapshot import Snapshot, encode_snapshot
from holdfast.operations.carry import carry
from holdfast.operations.confirm import confirmed
from holdfast.operations.copy.handover import hand_over, missing_blobs
from holdfast.operations.copy.known import MOST_ROWS, ROWS, KnownIds
from holdfast.operations.copy.result import CopiedSnapshot, CopyFailure
from holdfast.operations.copy.source import Source, SourceFailed
from holdfast.operations.copy.transplant import Pair, Transplant
from holdfast.operations.spread import refuse_forks
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.progress import Progress
from holdfast.store import BlobSet, Loader, Store, Writer, store_access

_log = logging.getLogger(__name__)

_COPIED = "copied"
"""In a snapshot's `how`: the root directory that it was copied from, and its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """A repository that is copied to.

    Attributes:
        location: where it is, in the user's words.
        store: the repository.
        snapshots: reads its snapshots.
    """

    location: str
    store: Store
    snapshots: Callable[[], Sequence[Snapshot]]


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How a copy is made.

    Attributes:
        about: what its sessions say of themselves.
        group: common to the snapshots that are made; None keeps what their originals have.
        dry_run: only find out which snapshots are missing.
        executor: copies blobs in other processes; this one does when None.
    """

    about: dict[str, object]
    group: str | None
    dry_run: bool
    executor: Executor | None = None


@dataclass(slots=True)
class Outcome:
    """What has come of a copy so far; see `CopyResult`."""

    copied: list[CopiedSnapshot]
    failures: list[CopyFailure]
    skipped: int = 0


def copy(
    source: Store,
    known: Iterable[Snapshot],
    chosen: Sequence[Snapshot],
    targets: Sequence[Target],
    options: CopyOptions,
    progress: Progress,
) -> Outcome:
    """Copy snapshots; a target or a snapshot that fails does not keep others from being copied.

    Args:
        source: where they are.
        known: all snapshots of the source: what was copied before is found by them.
        chosen: those that are to be copied.
        targets: where they are to be.
        options: how.
        progress: told of every file.

    Raises:
        UsageError: the executor cannot be used, or not with one of the storages; nothing was done.
    """
    if options.executor is not None:
        refuse_forks(options.executor)
        for store in (source, *(target.store for target in targets)):
            store_access(store.backend, store.keys)
    outcome = Outcome([], [])
    by_id = {snapshot.id: snapshot for snapshot in known}
    with source.loader() as loader:
        for target in targets:
            try:
                there = target.snapshots()
            except (RepositoryError, BackendError) as error:
                outcome.failures.append(CopyFailure(target.location, "", error))
                continue
            copier = _Copier(source, loader, target, _Copies(by_id, there), options)
            copier.run(ordered(chosen), outcome, progress)
    return outcome


class _Copies:
    """Which snapshots of the source a target has already."""

    def __init__(self, known: Mapping[SnapshotId, Snapshot], there: Iterable[Snapshot]) -> None:
        self._known = known
        self._known_about = _grouped(known.values())
        there = ordered(there)
        self._there_about = _grouped(there)
        self._by_original: dict[SnapshotId, Snapshot] = {}
        for snapshot in there:
            self.add(snapshot)

    def add(self, snapshot: Snapshot) -> None:
        """Take in a snapshot of the target."""
        if snapshot.original is None:
            return
        self._by_original[snapshot.original] = snapshot
        if snapshot.original in self._known:
            return
        # It was brought back after it was forgotten, here or there: ids do not lead to each other.
        for here in self._known_about.get(_about(snapshot), ()):
            if _copied_pair(snapshot) == (here.tree, snapshot.tree):
                self._by_original.setdefault(here.id, snapshot)

    def has(self, snapshot: Snapshot) -> bool:
        """Whether the target has a copy of a snapshot, or the one that it is a copy of."""
        return snapshot.id in self._by_original or any(
            _copied_pair(snapshot) == (came_from.tree, snapshot.tree)
            for came_from in self._there_about.get(_about(snapshot), ())
        )

    def counterpart(self, id_: SnapshotId | None) -> SnapshotId | None:
        """The id that a snapshot's copy has there; None when there is none."""
        found = None if id_ is None else self._by_original.get(id_)
        return None if found is None else found.id

    def before(self, snapshot: Snapshot) -> Pair | None:
        """The root directories of the best snapshot to compare with, here and there."""
        pairs: dict[SnapshotId, Pair] = {}
        for original, copied in self._by_original.items():
            here = self._known.get(original)
            # A copy that was changed since is none: its trees are not what they were.
            if here is not None and _copied_pair(copied) == (here.tree, copied.tree):
                pairs[original] = here.tree, copied.tree
        candidates = ordered(self._known[id_] for id_ in pairs)
        best = choose_parent(candidates, snapshot.host, snapshot.paths)
        if best is None:
            best = candidates[-1] if candidates else None
        return None if best is None else pairs[best.id]


class _Copier:
    """Copies snapshots to one target."""

    def __init__(
        self, store: Store, loader: Loader, target: Target, copies: _Copies, options: CopyOptions
    ) -> None:
        self._store = store
        self._loader = loader
        self._source = Source(loader)
        self._target = target
        self._copies = copies
        self._options = options
        self._known_ids = None if store.names_blobs_as(target.store) else self._new_ids()

    def _new_ids(self) -> KnownIds:
        """An empty table; what an executor has copied and it forgets, is read here again."""
        if self._options.executor is None:
            return KnownIds()
        return KnownIds(min(max(ROWS, len(self._store.catalog.load()) * 4), MOST_ROWS))

    def run(self, chosen: Sequence[Snapshot], outcome: Outcome, progress: Progress) -> None:
        """Copy those that are missing, as long as the target does not fail."""
        missing = [snapshot for snapshot in chosen if not self._copies.has(snapshot)]
        outcome.skipped += len(chosen) - len(missing)
        if self._options.dry_run:
            outcome.copied += [CopiedSnapshot(self._target.location, it, None) for it in missing]
            return
        for snapshot in missing:
            progress.expect(snapshot.summary.files, snapshot.summary.bytes_processed)
        with self._target.store.loader() as there:
            for snapshot in missing:
                try:
                    copied = self._copy(snapshot, there, progress)
                except SourceFailed as failed:
                    self._note(snapshot, failed.error, outcome)
                except (RepositoryError, BackendError) as error:
                    self._note(snapshot, error, outcome)
                    return  # what ails the target will ail it for the others too
                else:
                    self._copies.add(copied)
                    outcome.copied.append(CopiedSnapshot(self._target.location, snapshot, copied))

    def _note(self, snapshot: Snapshot, error: HoldfastError, outcome: Outcome) -> None:
        _log.warning("snapshot %s was not copied: %s", snapshot.short_id, error)
        outcome.failures.append(CopyFailure(self._target.location, snapshot.id, error))

    def _copy(self, snapshot: Snapshot, there: Loader, progress: Progress) -> Snapshot:
        with self._target.store.writer(self._options.about) as writer:
            tree = confirmed(writer, lambda: self._move(snapshot, there, writer, progress))
            copied = self._copied(snapshot, tree, writer)
            writer.commit(encode_snapshot(copied))
        return copied

    def _move(
        self, snapshot: Snapshot, there: Loader, writer: Writer, progress: Progress
    ) -> BlobId:
        """Store in the target all that a snapshot needs; returns the id of its root there."""
        try:
            if self._options.executor is not None:
                self._hand_over(self._options.executor, snapshot, there, writer, progress)
            if self._known_ids is None:
                seen = BlobSet(self._store.catalog.refresh())
                carry(snapshot.tree, self._source, writer, seen, progress)
                return snapshot.tree
            transplant = self._transplant(self._known_ids, there, writer, progress)
            return transplant.run(snapshot.tree, self._copies.before(snapshot))
        except (DamagedRepository, BackendError) as error:
            if not self._source.is_to_blame(error):
                raise
            raise SourceFailed(self._source.explained(error, snapshot)) from error

    def _hand_over(
        self,
        executor: Executor,
        snapshot: Snapshot,
        there: Loader,
        writer: Writer,
        progress: Progress,
    ) -> None:
        """Have an executor's processes store what is missing of the blobs of files."""
        seen = BlobSet(self._store.catalog.refresh())
        if self._known_ids is None:
            missing = missing_blobs(snapshot.tree, self._source, writer, seen)
        else:
            scout = self._transplant(self._known_ids, there, writer, Progress(None))
            missing = scout.missing(snapshot.tree, self._copies.before(snapshot), seen)
        hand_over(executor, missing, self._loader, writer, self._known_ids, progress)

    def _transplant(
        self, known: KnownIds, there: Loader, writer: Writer, progress: Progress
    ) -> Transplant:
        table = self._target.store.catalog.load()
        return Transplant(self._source, there, writer, known, lambda: BlobSet(table), progress)

    def _copied(self, snapshot: Snapshot, tree: BlobId, writer: Writer) -> Snapshot:
        """What the copy says of itself: what the original says, but for what is another's."""
        pair = {_COPIED: (snapshot.tree, tree), "compression": writer.compression}
        return replace(
            snapshot,
            id=writer.id,
            tree=tree,
            parent=self._copies.counterpart(snapshot.parent),
            original=snapshot.id,
            replaces=self._copies.counterpart(snapshot.replaces),
            group=self._options.group or snapshot.group,
            how={**snapshot.how, **pair},
            holds=(),
            notes=(),
            summary=replace(snapshot.summary, data_added=writer.added, data_stored=writer.stored),
        )


def _grouped(snapshots: Iterable[Snapshot]) -> dict[object, list[Snapshot]]:
    """Snapshots by what they say of themselves."""
    groups: dict[object, list[Snapshot]] = {}
    for snapshot in snapshots:
        groups.setdefault(_about(snapshot), []).append(snapshot)
    return groups


def _copied_pair(snapshot: Snapshot) -> object:
    """The root directories that a snapshot says it was copied from and to."""
    return snapshot.how.get(_COPIED)


def _about(snapshot: Snapshot) -> tuple[object, ...]:
    """What a rewrite may have changed."""
    return snapshot.host, snapshot.time_ns, snapshot.tags, snapshot.label, snapshot.description
