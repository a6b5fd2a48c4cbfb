"""Whoever else works on the same repository, and the network in between."""

from __future__ import annotations

from tests.model.explorer import Broken
from tests.model.protocol import (
    DONE,
    Actor,
    Index,
    Memory,
    Moves,
    Pack,
    Packs,
    Rules,
    Snapshot,
    Store,
    rows,
    subsets,
)

from holdfast.overrides import override


class Forget(Actor):
    """Removes a snapshot as soon as it is there (F51)."""

    def __init__(self, name: str, rules: Rules, snapshot: Snapshot) -> None:
        super().__init__(name, rules, "put_forgotten")
        self._snapshot = snapshot
        self.steps = {"put_forgotten": self._put, "delete_snapshot": self._delete}
        self.follow("put_forgotten", "delete_snapshot", DONE)

    def _put(self, store: Store, memory: Memory) -> Moves:
        if self._snapshot in store.snapshots:
            yield store._replace(forgotten=store.forgotten | {self._snapshot}), self.onward(memory)

    def _delete(self, store: Store, memory: Memory) -> Moves:
        yield store._replace(snapshots=store.snapshots - {self._snapshot}), self.onward(memory)


class Network(Actor):
    """Delivers commits whose writers have given up waiting for an answer."""

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, "deliver")
        self.steps = {"deliver": self._deliver}

    def _deliver(self, store: Store, memory: Memory) -> Moves:
        for snapshot in store.sent:
            arrived = store._replace(sent=store.sent - {snapshot})
            if not store.taken(snapshot.id):
                arrived = arrived._replace(snapshots=store.snapshots | {snapshot})
            yield arrived, memory


class Sweeper(Actor):
    """Clears away what is left behind: sessions, forgotten snapshots."""

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, "sweep")
        self.steps = {"sweep": self._sweep}

    def _sweep(self, store: Store, memory: Memory) -> Moves:
        for session in store.sessions:
            swept = store._replace(sessions=store.sessions - {session})
            if session in store.aborted:
                yield swept, memory
            elif not store.taken(session):  # declares it dead first, whatever kind it is of
                yield store._replace(aborted=store.aborted | {session}), memory
            elif not self.rules.sweep_aborted_only:
                yield swept, memory
        for forgotten in store.forgotten - store.snapshots:
            yield store._replace(forgotten=store.forgotten - {forgotten}), memory
        if not self.rules.aborted_stays and store.aborted:
            yield store._replace(aborted=frozenset()), memory


class Consolidation(Actor):
    """Replaces index objects by one that tells the same (F56)."""

    def __init__(self, name: str, rules: Rules, *, all_of_them: bool = False) -> None:
        """Prepare.

        Args:
            name: for traces.
            rules: the rules that it keeps.
            all_of_them: it never merges only some.
        """
        reads = ["list_index", "read_index", "list_packs"]
        if not rules.packs_after_index:
            reads = ["list_packs", "list_index", "read_index"]
        super().__init__(name, rules, reads[0])
        self._all = all_of_them
        self.steps = {
            "list_index": self.list_index,
            "read_index": self.read_index,
            "list_packs": self._list_packs,
            "list_sessions": self._list_sessions,
            "put_merged": self._put_merged,
            "look_for_sources": self._look_for_sources,
            "take_back": self._take_back,
            "delete_merged": self._delete_merged,
        }
        self.follow(*reads, "list_sessions")
        if rules.merged_first:
            self.follow("list_sessions", "put_merged", "look_for_sources", "delete_merged", DONE)
        else:
            self.follow("list_sessions", "delete_merged", "put_merged", DONE)

    def _list_packs(self, store: Store, memory: Memory) -> Moves:
        """Rows of packs that are gone are left out."""
        yield store, self.onward(memory._replace(listing=store.packs))

    def _list_sessions(self, store: Store, memory: Memory) -> Moves:
        """Choose what to merge, and see which sessions may still be at work."""
        at_work = store.sessions | store.aborted
        for sources in subsets(memory.known):
            if not sources or (self._all and sources != memory.known):
                continue
            removed = frozenset(pack for index in sources for pack in index.removed)
            others = frozenset(pack for i in memory.known - sources for pack in i.rows)
            kept = {
                "always": removed,
                "session": frozenset(p for p in removed if p.session in at_work or p in others),
                "absent": removed & (others | memory.listing),
                "never": frozenset[Pack](),
            }[self.rules.keep_removed]
            dropped = frozenset(p for index in memory.known for p in index.removed)
            told = (rows(sources) - dropped) & memory.listing
            merged = Memory(memory.step, listed=sources, known=self._merged(told, kept))
            yield store, self.onward(merged)

    def _merged(self, told: Packs, removed: Packs) -> frozenset[Index]:
        return frozenset({Index(f"{self.name}#merged", told, removed)})

    def _put_merged(self, store: Store, memory: Memory) -> Moves:
        following = memory if self.rules.merged_first else Memory(memory.step)
        yield store._replace(indexes=store.indexes | memory.known), self.onward(following)

    def _look_for_sources(self, store: Store, memory: Memory) -> Moves:
        """Leave it to another who has begun to delete the same."""
        yield (
            store,
            self.onward(memory) if memory.listed <= store.indexes else memory.then("take_back"),
        )

    def _take_back(self, store: Store, memory: Memory) -> Moves:
        yield store._replace(indexes=store.indexes - memory.known), Memory(DONE)

    def _delete_merged(self, store: Store, memory: Memory) -> Moves:
        """Delete the sources, in any order."""
        sources = memory.listed
        if not self.rules.delete_read_only:
            sources = store.indexes - memory.known
        for source in sources:
            left = memory._replace(listed=sources - {source})
            following = store._replace(indexes=store.indexes - {source})
            yield following, left if left.listed else self.onward(left)


class Reindex(Actor):
    """Tells the index of packs that it does not know, as ``repair index`` does."""

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, "list_packs")
        self.steps = {
            "list_packs": self._list_packs,
            "list_index": self.list_index,
            "read_index": self.read_index,
            "read_trailers": self._read_trailers,
            "put_index": self._put_index,
        }
        self.follow("list_packs", "list_index", "read_index", "read_trailers", "put_index", DONE)

    def _list_packs(self, store: Store, memory: Memory) -> Moves:
        yield store, self.onward(memory._replace(listing=store.packs))

    def _read_trailers(self, store: Store, memory: Memory) -> Moves:
        """Of the packs that the index neither tells of nor has as removed."""
        known = frozenset(pack for i in memory.known for pack in i.rows | i.removed)
        found = (memory.listing & store.packs) - known
        yield store, self.onward(Memory(memory.step, packs=found))

    def _put_index(self, store: Store, memory: Memory) -> Moves:
        found = Index(f"{self.name}#found", memory.packs)
        yield store._replace(indexes=store.indexes | {found}), self.onward(Memory(memory.step))


ALL_KNOWN = 2
"""The attempt of a restore that has just seen that the index says nothing new."""


class Restore(Actor):
    """Reads one blob of a snapshot. It must find it while the snapshot exists."""

    def __init__(self, name: str, rules: Rules, snapshot: Snapshot) -> None:
        super().__init__(name, rules, "see_snapshot")
        self._snapshot = snapshot
        self.steps = {
            "see_snapshot": self._see,
            "list_index": self.list_index,
            "read_index": self.read_index,
            "read": self._read,
        }
        self.follow("see_snapshot", "list_index", "read_index", "read")

    def _see(self, store: Store, memory: Memory) -> Moves:
        if self._snapshot in store.snapshots:
            yield store, self.onward(memory)

    @override
    def list_index(self, store: Store, memory: Memory) -> Moves:
        """List it; if that shows nothing new, all is known."""
        if memory.known and not store.indexes - memory.known:
            yield store, memory._replace(step="read", attempt=ALL_KNOWN)
        else:
            yield from super().list_index(store, memory)

    def _read(self, store: Store, memory: Memory) -> Moves:
        """Get the blob from one of its packs that was not tried yet."""
        untried = rows(memory.known) - memory.packs
        places = [pack for pack in untried if pack.blobs & self._snapshot.needs]
        for pack in places:
            if pack in store.packs:
                yield store, Memory(DONE)
            else:
                attempt = memory.attempt % ALL_KNOWN  # the index may say more by now
                yield store, memory._replace(packs=memory.packs | {pack}, attempt=attempt)
        if places:
            return
        if memory.attempt == ALL_KNOWN or (memory.attempt and not self.rules.reread_index):
            if self._snapshot in store.snapshots:
                raise Broken(f"a restore of snapshot {self._snapshot.id} fails")
            yield store, Memory(DONE)
        else:
            yield store, memory._replace(step="list_index", attempt=1)
