"""The check itself: objects, packs, trees, and then who is hurt by what is lost."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from holdfast.errors import DamagedRepository
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.operations.check.packs import Packs
from holdfast.operations.check.report import CheckOptions, CheckReport, Finding, FindingKind
from holdfast.operations.check.trees import Trees
from holdfast.operations.hurt import Hurt, Hurts
from holdfast.primitives.ids import PackName
from holdfast.progress import Progress
from holdfast.store import BlobSet, Store

_log = logging.getLogger(__name__)


def check(
    store: Store,
    snapshots: Sequence[Snapshot],
    damaged: Sequence[DamagedRepository],
    options: CheckOptions,
    progress: Progress,
) -> CheckReport:
    """Check a repository.

    Args:
        store: the repository.
        snapshots: those to check, listed before the index was read.
        damaged: snapshots that could not be loaded.
        options: what to look at.
        progress: told of packs and trees.

    Raises:
        BackendError: the storage fails, so nothing can be said.
    """
    return _Check(store, snapshots, options, progress).run(damaged)


class _Check:
    def __init__(
        self,
        store: Store,
        snapshots: Sequence[Snapshot],
        options: CheckOptions,
        progress: Progress,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._options = options
        self._progress = progress
        self._table = store.catalog.refresh()
        self._condemned = self._read_condemned()

    def run(self, damaged: Sequence[DamagedRepository]) -> CheckReport:
        findings = [Finding(e.object, FindingKind.SNAPSHOT, e.problem) for e in damaged]
        listed = self._store.list_packs()
        if self._options.everything:
            if not self._options.quick:
                findings += self._objects({error.object for error in damaged})
            findings += [Finding(d.object, FindingKind.STRAY, d.problem) for d in listed.strays]
        packs = Packs(self._store, self._table, self._options, self._progress)
        with self._store.loader() as loader:
            everything = self._options.everything
            trees = Trees(self._table, loader, self._progress, everything=everything)
            trees.look(self._snapshots)
            packs.look(listed.packs, trees.needed)
            suspects = {finding.object for finding in packs.findings if finding.is_error}
            self._test_blobs_of(suspects, trees, loader)
            hurts = self._hurts(trees, loader)
        self._progress.finish()
        is_all_known = trees.is_all_known and not damaged
        findings += self._judged(packs.findings, hurts, is_all_known=is_all_known)
        findings += trees.findings({finding.object for finding in packs.findings}, hurts)
        return CheckReport(
            findings=tuple(findings),
            snapshots=len(self._snapshots),
            packs=len(listed.packs),
            blobs=len(self._table),
            packs_read=packs.packs_read,
            bytes_read=packs.bytes_read,
        )

    def _objects(self, named: set[str]) -> Iterator[Finding]:
        """What is wrong with all that is no pack, but for what is in a finding already."""
        for damage in self._store.scrub_objects():
            if damage.object not in named:
                kind = FindingKind.STRAY if damage.harmless else FindingKind.OBJECT
                yield Finding(damage.object, kind, damage.problem)
        keys = self._store.keys
        if self._store.has_config and keys.oldest < keys.epoch:
            message = "a key rotation is not finished: `holdfast key rotate --finish`"
            yield Finding(f"config/{keys.config}", FindingKind.ROTATION, message)

    def _read_condemned(self) -> set[PackName]:
        try:
            return self._store.condemned()
        except DamagedRepository as error:
            _log.info("what is condemned is not known, which is a finding of its own: %s", error)
            return set()

    def _test_blobs_of(self, packs: set[str], trees: Trees, loader: BlobLoader) -> None:
        """Find out which blobs of bad packs are really lost: another copy may serve."""
        if not packs:
            return
        numbers = {
            number
            for number, row in enumerate(self._table.pack_rows())
            if self._store.pack_object(row.name) in packs
        }
        for blob, location in self._table.rows():
            if location.pack in numbers and blob not in trees.lost:
                try:
                    loader.load(blob)
                except DamagedRepository as error:
                    trees.lose(blob, error)

    # Who is hurt

    def _hurts(self, trees: Trees, loader: BlobLoader) -> dict[str, list[Hurt]]:
        """For each object that lost something, what that does to each snapshot."""
        hurts: dict[str, list[Hurt]] = {}
        if not (trees.lost or trees.wrong or trees.deep):
            return hurts
        finder = Hurts(trees.lost, loader, BlobSet(self._table), trees.is_wrong)
        for snapshot in self._snapshots:
            for where, hurt in finder.of(snapshot).items():
                hurts.setdefault(where, []).append(hurt)
        return hurts

    def _judged(
        self,
        findings: Iterable[Finding],
        hurts: Mapping[str, Sequence[Hurt]],
        *,
        is_all_known: bool,
    ) -> Iterator[Finding]:
        """Findings about packs, once it is known whom they hurt."""
        going: set[PackName] | None = None
        for finding in findings:
            found = replace(finding, hurts=tuple(hurts.get(finding.object, ())))
            if found.hurts or not found.is_error:
                yield found
                continue
            going = self._going() if going is None else going
            if found.object.rpartition("/")[2] in going:
                message = f"{found.message}; nothing needs it, and a prune deletes it"
                yield replace(found, kind=FindingKind.CONDEMNED, message=message)
            elif found.kind == FindingKind.MISSING_PACK and is_all_known:
                message = "the index knows it, it is missing, and nothing needs it"
                yield replace(found, kind=FindingKind.STALE, message=message)
            else:
                yield found

    def _going(self) -> set[PackName]:
        """The packs that a reclaim deletes, or has deleted while we looked."""
        removed = self._store.catalog.refresh().removed
        return self._condemned | self._read_condemned() | removed
