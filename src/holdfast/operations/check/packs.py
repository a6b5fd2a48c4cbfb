"""Comparing the packs that are stored with what the index tells of them, and reading them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.operations.check.report import CheckOptions, Finding, FindingKind
from holdfast.operations.spread import spread
from holdfast.primitives.ids import PackName
from holdfast.progress import Progress
from holdfast.store import Damage, ScrubTask, Store, Table, scrub_packs, store_access

WORKERS = 2
REMOTE_WORKERS = 4
"""Packs that are read at the same time from a storage that answers late; each takes memory."""
SHARE = 128 << 20
"""Bytes of packs that one task of an executor is about."""
MOST_OF_SHARE = 256
"""Packs of one task, however small they are."""


class Packs:
    """What is found out about packs.

    Attributes:
        findings: all of it.
        packs_read: packs that were read whole.
        bytes_read: their bytes.
    """

    def __init__(
        self, store: Store, table: Table, options: CheckOptions, progress: Progress
    ) -> None:
        """Begin.

        Args:
            store: the repository.
            table: what its index tells.
            options: what to look at.
            progress: told of packs that are read.
        """
        self.findings: list[Finding] = []
        self.packs_read = self.bytes_read = 0
        self._store = store
        self._table = table
        self._options = options
        self._progress = progress

    def look(self, listed: Mapping[PackName, int], needed: Collection[int]) -> None:
        """Look at packs, and read those that are to be read.

        Args:
            listed: the packs that are stored, with their sizes.
            needed: numbers of those to look at, if not all packs count.

        Raises:
            BackendError: the storage fails.
        """
        present = self._compare(listed, needed)
        chosen = self._options.read_data.choose(present)
        damaged = {damage.object: damage for damage in self._read(chosen, present)}
        for where, damage in sorted(damaged.items()):
            self.findings.append(Finding(where, FindingKind.PACK, damage.problem))
        if self._options.full:
            # What was read whole is sound in itself; the index may tell something else of it.
            rest = {
                n: size for n, size in present.items() if self._store.pack_object(n) not in damaged
            }
            self.findings += self._trailers(rest)

    def _compare(
        self, listed: Mapping[PackName, int], needed: Collection[int]
    ) -> dict[PackName, int]:
        """Compare the index with the packs that are there; returns those that it is right about."""
        sizes = {
            row.name: row.size
            for number, row in enumerate(self._table.pack_rows())
            if not self._table.is_removed(number) and (self._options.everything or number in needed)
        }
        hidden = self._hidden(sizes.keys() - listed.keys())
        present: dict[PackName, int] = {}
        for name, size in sorted(sizes.items()):
            where = self._store.pack_object(name)
            if name in hidden:
                message = "the storage holds it and does not list it: do not rely on its listings"
                self.findings.append(Finding(where, FindingKind.PACK, message))
            elif name not in listed:
                message = "the index knows it, it is missing"
                self.findings.append(Finding(where, FindingKind.MISSING_PACK, message))
            elif listed[name] != size:
                message = f"it has {listed[name]} bytes instead of {size}"
                self.findings.append(Finding(where, FindingKind.PACK, message))
            else:
                present[name] = size
        if self._options.everything:
            self.findings += self._unknown(listed.keys() - sizes.keys())
        return present

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

    def _read(self, chosen: Sequence[PackName], sizes: Mapping[PackName, int]) -> Iterator[Damage]:
        """Read packs, a few at the same time, and tell what is wrong with them."""
        self._progress.expect(len(chosen), sum(sizes[name] for name in chosen))
        largest = max((sizes[name] for name in chosen), default=0)
        if self._options.executor is None:
            found = self._read_here(chosen, largest)
        else:
            found = self._read_elsewhere(self._options.executor, chosen, sizes, largest)
        for name, damage in found:
            self.packs_read += 1
            self.bytes_read += sizes[name]
            self._progress.advance(1, sizes[name], name)
            if damage is not None:
                yield damage

    def _read_here(
        self, chosen: Sequence[PackName], largest: int
    ) -> Iterator[tuple[PackName, Damage | None]]:
        reader = self._store.pack_reader(largest)
        waiting: deque[tuple[PackName, Future[Damage | None]]] = deque()
        workers = WORKERS if self._store.backend.capabilities().local else REMOTE_WORKERS
        with ThreadPoolExecutor(workers, thread_name_prefix="holdfast-check") as pool:
            for name in [*chosen, *[None] * 2 * workers]:
                if name is not None:
                    waiting.append((name, pool.submit(reader.damage, name)))
                if waiting and (name is None or len(waiting) >= 2 * workers):
                    done, future = waiting.popleft()
                    yield done, future.result()

    def _read_elsewhere(
        self,
        executor: Executor,
        chosen: Sequence[PackName],
        sizes: Mapping[PackName, int],
        largest: int,
    ) -> Iterator[tuple[PackName, Damage | None]]:
        access = store_access(self._store.backend, self._store.keys)
        tasks = (ScrubTask(access, packs, largest) for packs in _shares(chosen, sizes))
        for task, found in spread(executor, scrub_packs, tasks):
            yield from zip(task.packs, found, strict=True)

    def _trailers(self, packs: Mapping[PackName, int]) -> Iterator[Finding]:
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


def _shares(
    packs: Iterable[PackName], sizes: Mapping[PackName, int]
) -> Iterator[tuple[PackName, ...]]:
    """Packs, in groups for one task each."""
    share: list[PackName] = []
    size = 0
    for name in packs:
        share.append(name)
        size += sizes[name]
        if size >= SHARE or len(share) >= MOST_OF_SHARE:
            yield tuple(share)
            share, size = [], 0
    if share:
        yield tuple(share)
