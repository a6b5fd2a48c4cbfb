"""The check itself: objects, packs, trees, and then who is hurt by what is lost."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.model.content import references
from holdfast.model.descent import MAX_DEPTH
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.check.report import CheckOptions, CheckReport, Finding, FindingKind
from holdfast.operations.hurt import Hurt, Hurts, tree_name
from holdfast.primitives.ids import BlobId, PackName
from holdfast.progress import Progress
from holdfast.store import BlobSet, Damage, Store

_log = logging.getLogger(__name__)

WORKERS = 2
UNKNOWN = "index/"
"""What findings name when no index object knows a blob."""


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
        self._lost: dict[BlobId, str] = {}
        self._wrong: set[BlobId] = set()
        self._deep: set[BlobId] = set()
        self._is_all_known = True
        self._condemned = self._read_condemned()
        self._needed: set[int] = set()
        self._packs_read = self._bytes_read = 0

    def run(self, damaged: Sequence[DamagedRepository]) -> CheckReport:
        findings = [Finding(e.object, FindingKind.SNAPSHOT, e.problem) for e in damaged]
        self._is_all_known = not damaged
        listed = self._store.list_packs()
        if self._options.everything:
            findings += self._objects({error.object for error in damaged})
            findings += [Finding(d.object, FindingKind.STRAY, d.problem) for d in listed.strays]
        with self._store.loader() as loader:
            self._walk_all(loader)
            pack_findings = list(self._packs(listed.packs))
            suspects = [finding.object for finding in pack_findings if finding.is_error]
            self._test_blobs_of(suspects, loader)
            hurts = self._hurts(loader) if self._lost or self._wrong or self._deep else {}
        self._progress.finish()
        findings += self._judged(pack_findings, hurts)
        findings += self._trees(hurts)
        findings += self._lost_blobs({finding.object for finding in pack_findings}, hurts)
        return CheckReport(
            findings=tuple(findings),
            snapshots=len(self._snapshots),
            packs=len(listed.packs),
            blobs=len(self._table),
            packs_read=self._packs_read,
            bytes_read=self._bytes_read,
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

    # Packs

    def _packs(self, listed: dict[PackName, int]) -> Iterator[Finding]:
        """Compare the index with the packs that are there, and read those that are to be read."""
        sizes = {
            row.name: row.size
            for number, row in enumerate(self._table.pack_rows())
            if not self._table.is_removed(number)
            and (self._options.everything or number in self._needed)
        }
        present: dict[PackName, int] = {}
        hidden = self._hidden(sizes.keys() - listed.keys())
        for name, size in sorted(sizes.items()):
            where = self._store.pack_object(name)
            if name in hidden:
                message = "the storage holds it and does not list it: do not rely on its listings"
                yield Finding(where, FindingKind.PACK, message)
            elif name not in listed:
                yield Finding(where, FindingKind.MISSING_PACK, "the index knows it, it is missing")
            elif listed[name] != size:
                problem = f"it has {listed[name]} bytes instead of {size}"
                yield Finding(where, FindingKind.PACK, problem)
            else:
                present[name] = size
        if self._options.everything:
            yield from self._unknown(listed.keys() - sizes.keys())
        chosen = self._options.read_data.choose(present)
        self._progress.expect(len(chosen), sum(present[name] for name in chosen))
        damaged = {damage.object: damage for damage in self._read(chosen, present)}
        for where, damage in damaged.items():
            yield Finding(where, FindingKind.PACK, damage.problem)
        if self._options.full:
            # What was read whole is sound in itself; the index may tell something else of it.
            rest = {
                n: size for n, size in present.items() if self._store.pack_object(n) not in damaged
            }
            yield from self._trailers(rest)

    def _unknown(self, packs: Collection[PackName]) -> Iterator[Finding]:
        """Findings for packs that nothing is read from."""
        for name in sorted(packs):
            where = self._store.pack_object(name)
            if name in self._table.removed:
                message = "nothing is read from it any more; the next prune deletes it"
                yield Finding(where, FindingKind.CONDEMNED, message)
            else:
                message = "no index object knows it: left by an interrupted or a running backup"
                yield Finding(where, FindingKind.UNINDEXED, message)

    def _hidden(self, names: Collection[PackName]) -> set[PackName]:
        """Which of these packs, which a list lacks, are there, and a new list lacks them too."""
        there = {name for name in names if self._store.has_pack(name)}
        return there - self._store.list_packs().packs.keys() if there else there

    def _read(self, chosen: Sequence[PackName], sizes: dict[PackName, int]) -> Iterator[Damage]:
        waiting: deque[tuple[PackName, Future[Damage | None]]] = deque()
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="holdfast-check") as pool:
            for name in [*chosen, *[None] * 2 * WORKERS]:
                if name is not None:
                    waiting.append((name, pool.submit(self._store.scrub_pack, name)))
                if waiting and (name is None or len(waiting) >= 2 * WORKERS):
                    done, future = waiting.popleft()
                    damage = future.result()
                    self._packs_read += 1
                    self._bytes_read += sizes[done]
                    self._progress.advance(1, sizes[done], done)
                    if damage is not None:
                        yield damage

    def _trailers(self, packs: dict[PackName, int]) -> Iterator[Finding]:
        for name, size in packs.items():
            try:
                info = self._store.read_trailer(name, size)
            except DamagedRepository as error:
                yield Finding(error.object, FindingKind.PACK, error.problem)
                continue
            except ObjectNotFound as error:
                yield Finding(error.object, FindingKind.MISSING_PACK, "it is missing")
                continue
            if not self._table.agrees(info):
                where = self._store.pack_object(name)
                yield Finding(where, FindingKind.PACK, "its trailer and the index disagree")

    def _test_blobs_of(self, packs: Sequence[str], loader: BlobLoader) -> None:
        """Find out which blobs of bad packs are really lost: another copy may serve."""
        if not packs:
            return
        suspect = set(packs)
        numbers = {
            number
            for number, row in enumerate(self._table.pack_rows())
            if self._store.pack_object(row.name) in suspect
        }
        for blob, location in self._table.rows():
            if location.pack in numbers and blob not in self._lost:
                self._test(blob, loader)

    def _test(self, blob: BlobId, loader: BlobLoader) -> None:
        try:
            loader.load(blob)
        except DamagedRepository as error:
            self._lose(blob, error)

    # Trees

    def _walk_all(self, loader: BlobLoader) -> None:
        """Look at every tree once, and find the blobs that no good pack holds."""
        seen = BlobSet(self._table)
        for snapshot in self._snapshots:
            pending = [(snapshot.tree, 1)]
            while pending:
                tree, depth = pending.pop()
                if depth > MAX_DEPTH:
                    self._deep.add(tree)
                elif seen.add(tree):
                    below = self._look_at_directory(tree, seen, loader)
                    pending += [(child, depth + 1) for child in below]

    def _look_at_directory(
        self, tree: BlobId, seen: BlobSet, loader: BlobLoader
    ) -> Iterator[BlobId]:
        """Look at all files of a directory; gives the directories in it."""
        for node in self._directory(tree, loader):
            self._progress.advance(1, 0)
            if node.type == NodeType.DIRECTORY:
                yield directory_tree(node)
            elif node.type == NodeType.FILE:
                self._look_at_content(node, seen, loader)
                if self._is_wrong(node):
                    self._wrong.add(tree)

    def _directory(self, tree: BlobId, loader: BlobLoader) -> Iterator[Node]:
        """What can be read of a directory; pages that cannot are lost."""
        pages = [tree]

        def on_page(page: BlobId) -> None:
            pages[0] = page
            self._need(page)

        def on_damage(error: DamagedRepository) -> None:
            self._lose(pages[0], error)
            self._is_all_known = False

        return load_directory(tree, loader, on_damage=on_damage, on_page=on_page)

    def _look_at_content(self, node: Node, seen: BlobSet, loader: BlobLoader) -> None:
        blob: BlobId | None = None
        try:
            for _, blob in references(file_content(node), loader, seen):
                if seen.add(blob) and not self._need(blob):
                    self._lost.setdefault(blob, UNKNOWN)
        except DamagedRepository as error:
            if blob is not None:
                self._lose(blob, error)
                self._is_all_known = False

    def _is_wrong(self, node: Node) -> bool:
        """Whether a file's entry gives a blob another length than it has."""
        content = file_content(node)
        if content is None:
            return False
        level, items = (0, ((content, node.size),)) if isinstance(content, bytes) else content
        if level:
            return False
        blobs = [item for item in items if not isinstance(item, int)]
        return not all(self._has_length(blob, length) for blob, length in blobs)

    def _has_length(self, blob: BlobId, length: int) -> bool:
        places = self._table.locate(blob)
        return not places or any(at.length == length for at in places)

    def _need(self, blob: BlobId) -> bool:
        """Note where a blob is, if not all packs count anyway; returns whether it is anywhere."""
        if self._options.everything:
            return self._table.known(blob, ()) >= 0
        packs = {location.pack for location in self._table.locate(blob)}
        self._needed |= packs
        return bool(packs)

    def _lose(self, blob: BlobId, error: DamagedRepository) -> None:
        known = error.object.startswith(("data/", "tree "))
        self._lost[blob] = error.object if known else UNKNOWN

    # Who is hurt

    def _hurts(self, loader: BlobLoader) -> dict[str, list[Hurt]]:
        """For each object that lost something, what that does to each snapshot."""
        finder = Hurts(self._lost, loader, BlobSet(self._table), self._is_wrong)
        hurts: dict[str, list[Hurt]] = {}
        for snapshot in self._snapshots:
            for where, hurt in finder.of(snapshot).items():
                hurts.setdefault(where, []).append(hurt)
        return hurts

    def _judged(
        self, findings: Iterable[Finding], hurts: Mapping[str, Sequence[Hurt]]
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
            elif found.kind == FindingKind.MISSING_PACK and self._is_all_known:
                message = "the index knows it, it is missing, and nothing needs it"
                yield replace(found, kind=FindingKind.STALE, message=message)
            else:
                yield found

    def _going(self) -> set[PackName]:
        """The packs that a reclaim deletes, or has deleted while we looked."""
        removed = self._store.catalog.refresh().removed
        return self._condemned | self._read_condemned() | removed

    def _trees(self, hurts: Mapping[str, Sequence[Hurt]]) -> Iterator[Finding]:
        """Findings about directories that can be read and are not what they should be."""
        for tree in sorted(self._wrong):
            where = tree_name(tree)
            message = "it has a file whose size is not that of its content"
            yield Finding(where, FindingKind.TREE, message, tuple(hurts.get(where, ())))
        for tree in sorted(self._deep):
            where = tree_name(tree)
            message = f"it is more than {MAX_DEPTH} directories deep, and was not looked at"
            yield Finding(where, FindingKind.TREE, message, tuple(hurts.get(where, ())))

    def _lost_blobs(self, packs: set[str], hurts: dict[str, list[Hurt]]) -> Iterator[Finding]:
        """Findings for what was lost by no pack that is a finding already."""
        for where in sorted(set(self._lost.values()) - packs):
            count = sum(1 for lost in self._lost.values() if lost == where)
            if where == UNKNOWN:
                kind = FindingKind.BLOB
                message = f"{count} blobs are in no pack that the index knows"
            else:
                kind = FindingKind.PACK if where.startswith("data/") else FindingKind.OBJECT
                message = "it cannot be read"
            yield Finding(where, kind, message, tuple(hurts.get(where, ())))
