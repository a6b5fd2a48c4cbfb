"""Check: is everything there, unharmed, and enough to restore every snapshot?

Objects are opened, the index is compared with the packs, and every tree of every snapshot is
walked. What is wrong is data: a list of findings that say which object it is, what is the matter
with it, and which snapshots and paths it hurts.
"""

from __future__ import annotations

import os
import re
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum

from holdfast.errors import DamagedRepository, ObjectNotFound, ObjectTruncated, UsageError
from holdfast.model.content import references
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree
from holdfast.primitives.ids import BlobId, PackName
from holdfast.progress import Progress
from holdfast.store import BlobSet, Damage, Store

WORKERS = 2
UNKNOWN = "index/"
"""What findings name when no index object knows a blob."""

MAX_PATHS = 100
"""Most paths that one finding names for one snapshot; all are counted."""


class FindingKind(StrEnum):
    """What a finding is about."""

    OBJECT = "damaged object"
    SNAPSHOT = "damaged snapshot"
    PACK = "damaged pack"
    MISSING_PACK = "missing pack"
    BLOB = "lost blob"
    UNINDEXED = "unindexed pack"
    STRAY = "stray object"


HARMLESS = frozenset({FindingKind.UNINDEXED, FindingKind.STRAY})


@dataclass(frozen=True, slots=True)
class Hurt:
    """What a finding does to one snapshot.

    Attributes:
        snapshot: its id.
        paths: what cannot be restored whole, at most `MAX_PATHS`.
        count: how many paths there are.
    """

    snapshot: str
    paths: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found.

    Attributes:
        object: name of the object.
        kind: what it is about.
        message: what is wrong.
        hurts: the snapshots that it hurts; none for what was healed by another copy.
    """

    object: str
    kind: FindingKind
    message: str
    hurts: tuple[Hurt, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether something is wrong, and not just worth knowing."""
        return self.kind not in HARMLESS

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "object": self.object,
            "kind": self.kind.value,
            "message": self.message,
            "error": self.is_error,
            "hurts": [
                {"snapshot": hurt.snapshot, "paths": list(hurt.paths), "count": hurt.count}
                for hurt in self.hurts
            ],
        }


@dataclass(frozen=True, slots=True)
class ReadData:
    """How much of the data a check reads.

    Attributes:
        share: of all packs, drawn at random, 0 to 1.
        part, parts: instead of a share: the packs of one of so many fixed parts, from 1.
    """

    share: float = 0.0
    part: int = 0
    parts: int = 0

    @classmethod
    def parse(cls, value: bool | str) -> ReadData:  # noqa: FBT001 - the public API's argument
        """From False, True, ``"10%"`` or ``"3/10"`` (UsageError for anything else)."""
        if isinstance(value, bool):
            return cls(share=float(value))
        if (match := re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", value)) and float(match[1]) <= 100:  # noqa: PLR2004 - percent
            return cls(share=float(match[1]) / 100)
        if (match := re.fullmatch(r"(\d{1,6})/(\d{1,6})", value)) and (
            1 <= int(match[1]) <= int(match[2])
        ):
            return cls(part=int(match[1]), parts=int(match[2]))
        raise UsageError(f"cannot read {value!r} of the data: give a share such as 10%, or 3/10")

    def choose(self, packs: Iterable[PackName]) -> list[PackName]:
        """The packs to read."""
        ordered = sorted(packs)
        if self.parts:
            return [pack for pack in ordered if int(pack[:8], 16) % self.parts == self.part - 1]
        if self.share >= 1:
            return ordered
        count = min(len(ordered), round(len(ordered) * self.share + 0.4999))
        return sorted(secrets.SystemRandom().sample(ordered, count)) if self.share else []


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found.

    Attributes:
        findings: all of them.
        snapshots, packs, blobs: how many were looked at.
        packs_read: packs whose data was read whole.
        bytes_read: their bytes.
    """

    findings: tuple[Finding, ...]
    snapshots: int
    packs: int
    blobs: int
    packs_read: int
    bytes_read: int

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that mean harm."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong with what was looked at."""
        return not self.errors

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "valid": self.valid,
            "errors": [finding.dict() for finding in self.errors],
            "findings": [finding.dict() for finding in self.findings],
            "snapshots": self.snapshots,
            "packs": self.packs,
            "blobs": self.blobs,
            "packs_read": self.packs_read,
            "bytes_read": self.bytes_read,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What to look at.

    Attributes:
        read_data: how many packs to read whole.
        full: read the trailer of every pack and compare it with the index.
        everything: all snapshots are checked, so objects and packs that serve others count too.
    """

    read_data: ReadData
    full: bool = False
    everything: bool = True


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
        self._packs_read = self._bytes_read = 0

    def run(self, damaged: Sequence[DamagedRepository]) -> CheckReport:
        findings = [Finding(e.object, FindingKind.SNAPSHOT, e.problem) for e in damaged]
        named = {error.object for error in damaged}
        if self._options.everything:
            findings += [
                Finding(d.object, FindingKind.STRAY if d.harmless else FindingKind.OBJECT, d.problem)
                for d in self._store.scrub_objects()
                if d.object not in named
            ]
        listed = self._store.list_packs()
        if self._options.everything:
            findings += [Finding(d.object, FindingKind.STRAY, d.problem) for d in listed.strays]
        with self._store.loader() as loader:
            pack_findings = list(self._packs(listed.packs))
            suspects = [finding.object for finding in pack_findings if finding.is_error]
            self._test_blobs_of(suspects, loader)
            self._walk_all(loader)
            hurts = self._hurts(loader) if self._lost else {}
        self._progress.finish()
        findings += _attributed(pack_findings, hurts)
        findings += self._lost_blobs({finding.object for finding in pack_findings}, hurts)
        return CheckReport(
            findings=tuple(findings),
            snapshots=len(self._snapshots),
            packs=len(listed.packs),
            blobs=len(self._table),
            packs_read=self._packs_read,
            bytes_read=self._bytes_read,
        )

    # Packs

    def _packs(self, listed: dict[PackName, int]) -> Iterator[Finding]:
        """Compare the index with the packs that are there, and read those that are to be read."""
        sizes = {row.name: row.size for row in self._table.pack_rows()}
        present: dict[PackName, int] = {}
        for name, size in sorted(sizes.items()):
            where = self._store.pack_object(name)
            if name not in listed:
                yield Finding(where, FindingKind.MISSING_PACK, "the index knows it, it is missing")
            elif listed[name] != size:
                problem = f"it has {listed[name]} bytes instead of {size}"
                yield Finding(where, FindingKind.PACK, problem)
            else:
                present[name] = size
        for name in sorted(listed.keys() - sizes.keys()):
            where = self._store.pack_object(name)
            message = "no index object knows it: left by an interrupted or a running backup"
            yield Finding(where, FindingKind.UNINDEXED, message)
        chosen = self._options.read_data.choose(present)
        self._progress.expect(len(chosen), sum(present[name] for name in chosen))
        for damage in self._read(chosen, present):
            yield Finding(damage.object, FindingKind.PACK, damage.problem)
        if self._options.full:
            rest = present.keys() - set(chosen)
            yield from self._trailers({name: present[name] for name in sorted(rest)})

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
            except (DamagedRepository, ObjectTruncated) as error:
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
            pending = [snapshot.tree]
            while pending:
                tree = pending.pop()
                if not seen.add(tree):
                    continue
                nodes = self._entries(tree, loader)
                self._progress.advance(len(nodes), 0)
                for node in nodes:
                    if node.type == NodeType.DIRECTORY:
                        pending.append(directory_tree(node))
                    elif node.type == NodeType.FILE:
                        self._look_at_content(node, seen, loader)

    def _entries(self, tree: BlobId, loader: BlobLoader) -> list[Node]:
        """The entries of a directory, as far as they can be read."""

        def on_damage(error: DamagedRepository) -> None:
            self._lose(tree, error)

        return list(load_directory(tree, loader, on_damage=on_damage))

    def _look_at_content(self, node: Node, seen: BlobSet, loader: BlobLoader) -> None:
        blob: BlobId | None = None
        try:
            for _, blob in references(_content(node), loader, seen):
                if seen.add(blob) and self._table.known(blob, ()) < 0:
                    self._lost.setdefault(blob, UNKNOWN)
        except DamagedRepository as error:
            if blob is not None:
                self._lose(blob, error)

    def _lose(self, blob: BlobId, error: DamagedRepository) -> None:
        known = error.object.startswith(("data/", "tree "))
        self._lost[blob] = error.object if known else UNKNOWN

    # Who is hurt

    def _hurts(self, loader: BlobLoader) -> dict[str, list[Hurt]]:
        """For each object that lost something, what that does to each snapshot."""
        clean = BlobSet(self._table)
        hurts: dict[str, list[Hurt]] = {}
        for snapshot in self._snapshots:
            paths: dict[str, list[str]] = {}
            for where, path in _hurt_paths(snapshot, self._lost, clean, loader):
                paths.setdefault(where, []).append(path)
            for where, hurt in paths.items():
                found = Hurt(snapshot.id, tuple(hurt[:MAX_PATHS]), len(hurt))
                hurts.setdefault(where, []).append(found)
        return hurts

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


def _attributed(
    findings: Iterable[Finding], hurts: Mapping[str, Sequence[Hurt]]
) -> Iterator[Finding]:
    for finding in findings:
        yield replace(finding, hurts=tuple(hurts.get(finding.object, ())))


def _content(node: Node) -> Content | None:
    return None if isinstance(node.payload, int) else node.payload


def _hurt_paths(
    snapshot: Snapshot, lost: Mapping[BlobId, str], clean: BlobSet, loader: BlobLoader
) -> Iterator[tuple[str, str]]:
    """Which object hurts which path of a snapshot.

    Args:
        snapshot: the snapshot.
        lost: the object that each lost blob was in.
        clean: trees with nothing lost below them; those that are found are added.
        loader: where trees are.
    """
    frames = [_Frame(snapshot.tree, b"", iter(()))]
    frames[0].nodes = _readable(snapshot.tree, loader)
    if snapshot.tree in lost:
        yield lost[snapshot.tree], "/"
        frames[0].is_clean = False
    while frames:
        frame = frames[-1]
        node = next(frame.nodes, None)
        if node is None:
            frames.pop()
            if frame.is_clean:
                clean.add(frame.tree)
            elif frames:
                frames[-1].is_clean = False
            continue
        path = frame.path + b"/" + node.name
        if node.type == NodeType.DIRECTORY:
            tree = directory_tree(node)
            if tree in clean:
                continue
            below = _Frame(tree, path, _readable(tree, loader))
            if tree in lost:
                below.is_clean = False
                yield lost[tree], os.fsdecode(path)
            frames.append(below)
        elif node.type == NodeType.FILE and (where := _lost_in(node, lost, loader)):
            frame.is_clean = False
            yield where, os.fsdecode(path)


@dataclass(slots=True)
class _Frame:
    tree: BlobId
    path: bytes
    nodes: Iterator[Node]
    is_clean: bool = True


def _readable(tree: BlobId, loader: BlobLoader) -> Iterator[Node]:
    def pass_over(_: DamagedRepository) -> None:
        """It was recorded when every tree was looked at."""

    return load_directory(tree, loader, on_damage=pass_over)


def _lost_in(node: Node, lost: Mapping[BlobId, str], loader: BlobLoader) -> str | None:
    """The object that was to hold a part of this file that is lost."""
    for _, blob in references(_content(node), loader):
        if blob in lost:
            return lost[blob]
    return None
