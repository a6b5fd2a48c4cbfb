"""The verb itself: survey, plan, store anew, condemn, drain, look again, delete."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from dataclasses import replace
from itertools import chain

from holdfast.backend import Sweepable
from holdfast.clock import Clock
from holdfast.errors import DamagedRepository, ObjectNotFound, UnsupportedRepository, UsageError
from holdfast.model.snapshot import Snapshot, decode_snapshot
from holdfast.operations.prune.options import PruneOptions
from holdfast.operations.prune.plan import Plan, make_plan
from holdfast.operations.prune.repack import Repack
from holdfast.operations.prune.result import PruneResult, Waiting
from holdfast.operations.prune.survey import (
    ATTEMPTS,
    LoadSnapshots,
    PackUse,
    Survey,
    blobs_in,
    readable_snapshots,
    refuse_problems,
    refused,
    survey,
    unusable,
)
from holdfast.operations.reachable import mark
from holdfast.primitives.ids import BlobId, PackName, SnapshotId
from holdfast.progress import Progress
from holdfast.store import Drain, Group, Kind, Loader, Marks, Reclaim, Store, Writer, is_exclusive

_log = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between two looks at the sessions that are waited for."""

LEFTOVER_AGE = 86_400_000_000_000
"""Nanoseconds, a day, after which a half-written file is nobody's any more."""


def prune(
    store: Store, load: LoadSnapshots, options: PruneOptions, clock: Clock, progress: Progress
) -> PruneResult:
    """Give back the space of what no snapshot needs.

    Args:
        store: the repository.
        load: lists and reads its snapshots.
        options: what to do.
        clock: for waiting.
        progress: told of what is looked at and what is stored anew.

    Raises:
        UsageError: too much would go, or the storage takes an operator's word for it.
        DamagedRepository: something is damaged, so that nobody can say what is needed; or the
            storage's listings cannot be relied upon. What was condemned stays so.
        BackendError: the storage fails; the next prune goes on.
    """
    reclaim = store.reclaim(options.about, options.expire_after)
    if options.dry_run:
        with store.loader() as loader:
            found = survey(store, reclaim, load, loader, progress)
        plan = make_plan(found, options, store.settings.pack_size, _old(store, options))
        progress.finish()
        return _estimate(found, plan, reclaim)
    if not options.no_other_writers and not is_exclusive(store.backend):
        raise UsageError(
            "this storage cannot create an object only if it is absent, so a prune here is safe "
            "only while nobody else writes: see to that, and say so (--no-other-writers)"
        )
    for attempt in range(ATTEMPTS):
        with store.writer(options.about) as writer, store.loader() as loader:
            work = _Prune(store, reclaim, writer, loader, options, progress)
            reclaim.check_deletes(writer.id)
            try:
                with reclaim.guarded(writer.id):
                    return work.run(load, clock)
            except (DamagedRepository, ObjectNotFound) as error:
                if attempt + 1 == ATTEMPTS or not work.is_overtaken():
                    raise
                _log.info("another prune has deleted packs meanwhile, so once more: %s", error)
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


class _Unsettled(Exception):  # noqa: N818 - never leaves prune: what is condemned stays so
    """A session that has committed may be told so again, and its snapshot is forgotten."""


class _Prune:
    def __init__(
        self,
        store: Store,
        reclaim: Reclaim,
        writer: Writer,
        loader: Loader,
        options: PruneOptions,
        progress: Progress,
    ) -> None:
        self._store = store
        self._reclaim = reclaim
        self._writer = writer
        self._loader = loader
        self._options = options
        self._progress = progress
        self._repack = Repack(store, writer, loader, progress)
        self._found: Survey | None = None

    def is_overtaken(self) -> bool:
        """Whether packs that were there when this began have been deleted by somebody else."""
        if self._found is None:
            return False
        return not self._found.listed.keys() <= self._store.list_packs().packs.keys()

    def run(self, load: LoadSnapshots, clock: Clock) -> PruneResult:
        """All of it; see `prune`."""
        self._reclaim.drain()  # what dead sessions left may go at once
        forgotten = self._reclaim.forgotten()
        found = survey(self._store, self._reclaim, load, self._loader, self._progress)
        # What is being forgotten at this moment was still needed when all was marked.
        reclaimed = [each for each in forgotten if each not in found.snapshots]
        self._found = found
        old = _old(self._store, self._options)
        plan = make_plan(found, self._options, self._store.settings.pack_size, old)
        _check_amount(found, plan, force=self._options.force)
        going = self._empty(found, plan)
        if going:
            self._condemn(going)
        drain = self._drained(clock)
        result = replace(
            _planned(found, plan),
            packs_repacked=len(self._repack.moved),
            bytes_written=self._writer.packed,
            packs_condemned=len(going),
            packs_pending=len(frozenset().union(*drain.waiting.values())),
            waiting=_waiting(drain),
            stopped=self._repack.stopped,
        )
        try:
            if drain.ready:
                result = self._finish(drain, found, load, result)
        except _Unsettled:
            _log.info(
                "a snapshot was forgotten before its session had ended: the next prune goes on"
            )
            pending = frozenset().union(*drain.ready.values(), *drain.waiting.values())
            result = replace(result, packs_pending=len(pending))
        else:
            gone = self._gone(reclaimed, found)
            self._reclaim.purge(gone)
            result = replace(result, forgotten=len(gone))
        self._reclaim.sweep()
        self._store.consolidate()
        self._sweep_leftovers(clock)
        self._progress.finish()
        return result

    def _condemn(self, going: Collection[PackName]) -> None:
        """Announce what goes, unless the keys change at this moment: nobody could read it."""
        self._store.check_current()
        name = self._reclaim.condemn(going)
        try:
            self._store.check_current()
        except UnsupportedRepository:
            self._reclaim.finish(name)
            raise

    def _gone(self, forgotten: Collection[str], found: Survey) -> list[str]:
        """The forgotten snapshots that cannot be brought back any more."""
        if not forgotten:
            return []
        absent = unusable(found.table, self._store.list_packs().packs, ())
        return [id_ for id_ in forgotten if not self._is_whole(SnapshotId(id_), found, absent)]

    def _is_whole(self, forgotten: SnapshotId, found: Survey, absent: set[int]) -> bool:
        """Whether all data of a forgotten snapshot is there still.

        What snapshots need too is there; the rest is looked at, in condemned packs as well.
        """
        try:
            record = self._store.forgotten(forgotten)
            if record is None:
                return True
            snapshot = decode_snapshot(forgotten, record.record)
            mark([snapshot], self._loader, _Usable(found, absent), self._progress)
        except DamagedRepository as error:
            _log.info("snapshot %s cannot be brought back any more: %s", forgotten, error)
            return False
        return True

    def _sweep_leftovers(self, clock: Clock) -> None:
        """Delete the half-written files of writers that were killed long ago.

        Not while others are at work: clocks differ, and theirs may be among them.
        """
        backend = self._store.backend
        if isinstance(backend, Sweepable) and not self._reclaim.others():
            backend.sweep(clock.now_ns() - LEFTOVER_AGE)

    def _empty(self, found: Survey, plan: Plan) -> set[PackName]:
        """Store anew what is needed of what goes; returns the packs that can go now."""
        table = found.table
        all_going = plan.candidates | found.condemned
        self._writer.avoid(all_going)
        if plan.repack:
            leave = unusable(table, found.listed, all_going)
            self._repack.run(found, plan.repack, leave)
            self._store.catalog.refresh()
        going = {*plan.unneeded, *self._repack.moved}
        if going:
            # Whether what was written is there. What others condemn is looked at once more later.
            self._writer.confirm()
            self._check_copies(found, going)
        return going

    def _check_copies(self, found: Survey, going: Collection[PackName]) -> None:
        """Of what is stored several times, make sure that a good copy stays."""
        table = found.table
        listed = self._store.list_packs().packs
        leave = unusable(table, listed, found.condemned.union(going))
        numbers = {number for number in map(table.pack_number, going) if number is not None}
        twice = (
            blob
            for blob in blobs_in(found.duplicates)
            if any(at.pack in numbers for at in table.locate(blob))
        )
        self._repack.check_copies(chain(twice, blobs_in(found.strays)), table, leave)

    def _drained(self, clock: Clock) -> Drain:
        """Wait, if that is wished for, until no session can build upon what is condemned."""
        never = threading.Event()
        drain = self._reclaim.drain()
        while drain.waiting and self._options.wait:
            _log.info("waiting for %d sessions", len(drain.sessions))
            clock.wait(never, POLL)
            drain = self._reclaim.drain()
        return drain

    # The second look, after which packs are deleted

    def _finish(
        self, drain: Drain, found: Survey, load: LoadSnapshots, result: PruneResult
    ) -> PruneResult:
        going = frozenset[PackName]().union(*drain.ready.values())
        listed = self._secured(found, load, drain)
        self._reclaim.remove(going)
        self._reclaim.delete(going)
        for name in drain.ready:
            self._reclaim.finish(name)
        deleted = [listed[name] for name in going if name in listed]
        return replace(
            result,
            packs_deleted=len(deleted),
            bytes_freed=sum(deleted) - self._writer.packed,
            bytes_written=self._writer.packed,
        )

    def _secured(self, found: Survey, load: LoadSnapshots, drain: Drain) -> dict[PackName, int]:
        """See to it that all that is needed now is in packs that nobody condemned.

        The order of the reads is what the proof stands on: snapshots, what is condemned, packs,
        index. Returns the packs that are stored.
        """
        self._reclaim.check_snapshots_listed()
        for attempt in range(ATTEMPTS):
            snapshots = self._snapshots_now(found, load, drain)
            condemned = frozenset[PackName]().union(*self._reclaim.condemned().values())
            listed = self._store.list_packs().packs
            table = self._store.catalog.refresh()
            refuse_problems(self._store)
            new = [each for each in snapshots.values() if each.id not in found.snapshots]
            if attempt:
                # What was needed at first may have been forgotten, and reclaimed by others.
                found.marks, new = Marks(table), list(snapshots.values())
            try:
                mark(new, self._loader, found.marks, self._progress)
            except DamagedRepository as error:
                if attempt + 1 == ATTEMPTS:
                    raise refused(error) from error
                continue
            found.snapshots = snapshots
            going = condemned.union(*drain.ready.values())
            leave = unusable(table, listed, going)
            lacking = found.marks.lacking(table, leave)
            if not lacking:
                return listed
            self._rescue(lacking, found, going, must=attempt > 0)
        raise DamagedRepository(
            "data/", "packs keep vanishing", "run prune again: what it condemned stays condemned"
        )

    def _snapshots_now(
        self, found: Survey, load: LoadSnapshots, drain: Drain
    ) -> dict[SnapshotId, Snapshot]:
        """The snapshots that what is deleted is decided by."""
        snapshots = readable_snapshots(load)
        if not drain.committed <= snapshots.keys():
            raise _Unsettled
        for gone in sorted(found.snapshots.keys() - snapshots.keys()):
            if self._store.snapshot(gone) is not None:
                raise DamagedRepository(
                    f"snapshots/{gone}",
                    "the storage holds it and does not list it",
                    "its listings cannot be relied upon, so nothing is deleted",
                )
        return snapshots

    def _rescue(
        self,
        lacking: list[BlobId],
        found: Survey,
        condemned: frozenset[PackName],
        *,
        must: bool,
    ) -> None:
        """Store anew what is needed and is only in condemned packs."""
        self._writer.avoid(condemned)
        self._writer.confirm()
        table = found.table
        kinds: dict[Kind, list[tuple[int, int, BlobId]]] = {}
        for blob in lacking:
            places = table.locate(blob)
            if places:
                pack, ordinal, *_ = places[0]
                kind = self._store.pack_header(table.pack(pack)).kind
                kinds.setdefault(kind, []).append((pack, ordinal, blob))
            elif must:
                raise refused(DamagedRepository(f"blob {blob.hex()}", "it is in no pack"))
        for of_kind, located in kinds.items():
            # Segment by segment. Where they are is not asked again: while those of another kind
            # were copied, the table may have been read anew, and have them no more.
            blobs = [blob for *_, blob in sorted(located)]
            try:
                self._repack.copy(found.marks.groups(blobs), of_kind)
            except DamagedRepository:
                if must:
                    raise
        self._writer.flush()


class _Usable:
    """Marks of one forgotten snapshot, that refuse a blob which may not be built upon."""

    def __init__(self, found: Survey, leave: set[int]) -> None:
        self._found = found
        self._leave = leave
        self._own: set[bytes] = set()

    def add(self, blob: bytes, group: Group | None = None) -> bool:  # noqa: ARG002 - as `Marks.add`
        """See `Marks.add`."""
        if blob in self:
            return False
        self._own.add(blob)
        if self._found.table.known(blob, self._leave) < 0:
            raise DamagedRepository(f"blob {blob.hex()}", "it was reclaimed")
        return True

    def __contains__(self, blob: object) -> bool:
        return blob in self._own or blob in self._found.marks


def _old(store: Store, options: PruneOptions) -> _IsOld:
    return _IsOld(store, recompress=options.recompress)


class _IsOld:
    """Whether a pack is to be stored anew whatever it holds."""

    def __init__(self, store: Store, *, recompress: bool) -> None:
        self._store = store
        self._recompress = recompress

    def __call__(self, use: PackUse) -> bool:
        if use.epoch != self._store.keys.epoch:
            return True
        if not self._recompress:
            return False
        info = self._store.read_trailer(use.row.name, use.row.size)
        return info.level != self._store.settings.compression


def _check_amount(found: Survey, plan: Plan, *, force: bool) -> None:
    """Refuse to delete more than what a mistake, or a lying storage, would look like."""
    if force or not found.listed:
        return
    if not found.snapshots:
        raise UsageError(
            "there is no snapshot, so everything would be deleted, and nothing was: "
            "if that is what you want, use force"
        )
    going = sum(plan.unneeded.values()) + sum(use.row.size - use.used for use in plan.repack)
    total = sum(found.listed.values())
    if 2 * going > total:
        raise UsageError(
            f"{going:,} of {total:,} bytes would be deleted, which is more than half, and nothing "
            "was: look at it with a dry run, and use force if that is what you want"
        )


def _planned(found: Survey, plan: Plan) -> PruneResult:
    return PruneResult(
        dry_run=False,
        snapshots=len(found.snapshots),
        packs=len(found.listed),
        bytes=sum(found.listed.values()),
        used=plan.used,
        unused=plan.unused,
        packs_unneeded=len(plan.unneeded),
        packs_repacked=len(plan.repack),
        bytes_repacked=sum(use.used for use in plan.repack),
        unused_left=plan.unused_left,
    )


def _estimate(found: Survey, plan: Plan, reclaim: Reclaim) -> PruneResult:
    freed = sum(plan.unneeded.values()) + sum(use.row.size - use.used for use in plan.repack)
    pending = [found.listed.get(name, 0) for name in found.condemned]
    return replace(
        _planned(found, plan),
        dry_run=True,
        bytes_freed=freed + sum(pending),
        packs_pending=len(pending),
        forgotten=len(reclaim.forgotten()),
    )


def _waiting(drain: Drain) -> tuple[Waiting, ...]:
    return tuple(Waiting(each.id, each.host, each.kind, each.last_ns) for each in drain.sessions)
