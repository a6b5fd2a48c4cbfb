"""The verb that gives space back."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from holdfast.engine.connection import EXPIRE_AFTER
from holdfast.engine.origin import about_session
from holdfast.engine.retention import Policy, Retention
from holdfast.errors import DamagedRepository, UsageError
from holdfast.model.snapshot import Snapshot
from holdfast.primitives.ids import SnapshotId
from holdfast.progress import Progress, ProgressCallback
from holdfast.store import RECLAIM

if TYPE_CHECKING:
    from holdfast.operations.prune import PruneResult


class Reclaiming(Retention):
    """Giving back the space of what no snapshot needs."""

    def prune(  # noqa: PLR0913 - the public API's options
        self,
        policy: Policy | None = None,
        *,
        max_unused: str | int = "5%",
        max_repack_size: int | None = None,
        recompress: bool = False,
        dry_run: bool = False,
        wait: bool = False,
        expire_after: float = EXPIRE_AFTER,
        force: bool = False,
        no_other_writers: bool = False,
        progress: ProgressCallback | None = None,
    ) -> PruneResult:
        """Delete what no snapshot needs, beside running backups and whatever else is at work.

        What sessions at work may still build upon is condemned, and deleted by the next prune, on
        any host. A prune that was interrupted is carried on by the next one.

        Args:
            policy: first forget what this policy does not keep, as `forget` does. That is done
                when the amount is looked at: should too much be about to be deleted, all data is
                there still, and `undelete` brings snapshots back.
            max_unused: how much unneeded data may stay in packs with needed data: a share
                (``5%``) or size (``200M``) of all, or ``unlimited``.
            max_repack_size: most bytes of needed data to store anew; all when None.
            recompress: store anew what was compressed at another level than the repository's.
            dry_run: only find out what would be done.
            wait: wait for sessions at work, so that everything is deleted now.
            expire_after: seconds without a sign of life after which a session is declared dead.
                Its backup fails then; nothing is lost.
            force: go on when no snapshot, or less than half of all data, would be left.
            no_other_writers: nobody else works on the repository; needed where the storage
                cannot create objects only if they are absent.
            progress: called with `ProgressEvent`s.

        Raises:
            UsageError: an argument makes no sense, the policy is refused, or too much would be
                deleted.
            DamagedRepository: something is damaged; nothing is deleted then.
            BackendError: the storage fails.
        """
        from holdfast.operations.prune import MaxUnused, PruneOptions, prune

        if not 0 <= expire_after < math.inf or (max_repack_size or 0) < 0:
            raise UsageError("seconds and sizes cannot be negative, nor seconds infinite")
        options = PruneOptions(
            about=about_session(RECLAIM),
            max_unused=MaxUnused.parse(max_unused),
            max_repack_size=max_repack_size,
            recompress=recompress,
            dry_run=dry_run,
            wait=wait,
            expire_after=expire_after,
            force=force,
            no_other_writers=no_other_writers,
        )
        removed: tuple[SnapshotId, ...] = ()
        if policy is not None:
            removed = self.forget(policy=policy, dry_run=dry_run).removed
        result = prune(
            self._store,
            partial(self._without, frozenset(removed if dry_run else ())),
            options,
            self._clock,
            Progress(progress, self._clock),
        )
        return replace(result, removed=removed)

    def _without(
        self, removed: frozenset[SnapshotId]
    ) -> tuple[list[Snapshot], list[DamagedRepository]]:
        """All snapshots but those, which in a dry run are there still."""
        snapshots, damaged = self._load_snapshots()
        return [each for each in snapshots if each.id not in removed], damaged
