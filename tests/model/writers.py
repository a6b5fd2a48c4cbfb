"""Whatever creates a snapshot: backup, undelete, rewrite (docs/format.md, F43 to F48)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tests.model.protocol import (
    DONE,
    Actor,
    Blobs,
    Index,
    Memory,
    Moves,
    Pack,
    Packs,
    Rules,
    Snapshot,
    Store,
    blobs_of,
    rows,
)

from holdfast.overrides import override

ATTEMPTS = 2
"""How often a writer stores again what has gone, before it fails."""


class Writer(Actor):
    """A backup: it has the blobs and can store them again."""

    def __init__(
        self,
        name: str,
        rules: Rules,
        needs: Blobs,
        *,
        repeats: bool = False,
        cached: frozenset[Index] = frozenset(),
    ) -> None:
        """Prepare.

        Args:
            name: its session's id.
            rules: the rules that it keeps.
            needs: what its snapshot needs.
            repeats: the storage's answers may be lost, so puts are repeated, however late.
            cached: index objects that its process read at some time before.
        """
        condemned, look = ["list_condemned", "read_condemned"], ["list_index", "read_index"]
        plan = ["announce", *condemned, *look, "list_packs"]
        if not rules.condemned_before_packs:
            plan = ["announce", *look, "list_packs", *condemned]
        if not rules.announce_first:
            plan = [*condemned, *look, "list_packs", "announce"]
        if not rules.announce:
            plan.remove("announce")
        super().__init__(name, rules, plan[0])
        self._snapshot = Snapshot(name, needs)
        self._repeats = repeats
        self._cached = cached
        self.steps = {
            "announce": self._announce,
            "list_condemned": self.list_condemned,
            "read_condemned": self.read_condemned,
            "list_index": self.list_index,
            "read_index": self.read_index,
            "list_packs": self._list_packs,
            "choose": self._choose,
            "store": self._store,
            "store_again": self._store_again,
            "tell": self._tell,
            "confirm_session": self._confirm_session,
            "confirm_list": self.list_condemned,
            "confirm_read": self.read_condemned,
            "confirm_packs": self._list_packs,
            "confirm": self._confirm,
            "end_early": self._end_early,
            "commit": self._commit,
            "end": self.end,
        }
        self.follow(*plan, "choose")
        self.follow(*self._confirmation(), self.after_confirming())
        self.follow("end_early", "commit")

    @override
    def start(self) -> Memory:
        """With what its process remembers of the index."""
        return super().start()._replace(known=self._cached)

    def _confirmation(self) -> Iterator[str]:
        rules = self.rules
        yield "stored"
        if rules.confirm and rules.confirm_session and rules.announce:
            yield "confirm_session"
        if not rules.confirm:
            return
        looks = [["confirm_list", "confirm_read"], ["confirm_packs"]]
        if not rules.confirm_condemned_first:
            looks.reverse()
        for look in looks:
            yield from look
        yield "confirm"

    def after_confirming(self) -> str:
        """The step that makes the snapshot."""
        return "commit" if self.rules.session_last else "end_early"

    def _announce(self, store: Store, memory: Memory) -> Moves:
        yield store._replace(sessions=store.sessions | {self.name}), self.onward(memory)

    # What is stored, and what has to be

    def _list_packs(self, store: Store, memory: Memory) -> Moves:
        yield store, self.onward(memory._replace(listing=store.packs))

    def _choose(self, store: Store, memory: Memory) -> Moves:
        """What the index tells of is usable if it is there and not condemned."""
        usable = rows(memory.known, heed_removed=self.rules.heed_removed)
        if self.rules.heed_condemned:
            usable -= memory.condemned
        if self.rules.list_before_use:
            usable &= memory.listing
        for chosen in self._choices(usable, memory.attempt):
            yield store, chosen

    def _choices(self, usable: Packs, attempt: int) -> Iterator[Memory]:
        """All ways to take each blob from one of the packs; those in none are to be stored."""
        missing = self._snapshot.needs - blobs_of(usable)
        places = [
            [pack for pack in sorted(usable) if blob in pack.blobs]
            for blob in sorted(self._snapshot.needs - missing)
        ]
        for used in product(*places):
            memory = Memory("stored", packs=usable, used=frozenset(used), attempt=attempt)
            if missing:
                yield memory._replace(step="store", blobs=missing)
            else:
                yield self.onward(memory)

    def can_store(self, store: Store, blobs: Blobs) -> bool:
        """Whether it can get hold of these blobs."""
        del store, blobs
        return True

    def _own(self, memory: Memory) -> Pack:
        return Pack(f"{self.name}#{memory.attempt}", memory.blobs, self.name)

    def _store(self, store: Store, memory: Memory) -> Moves:
        if not self.can_store(store, memory.blobs):
            yield store, Memory("end")
            return
        stored = store._replace(packs=store.packs | {self._own(memory)})
        yield stored, memory.then("tell")
        if self._repeats:
            yield stored, memory.then("store_again")

    def _store_again(self, store: Store, memory: Memory) -> Moves:
        """The answer was lost: the same bytes under the same name."""
        yield store._replace(packs=store.packs | {self._own(memory)}), memory.then("tell")

    def _tell(self, store: Store, memory: Memory) -> Moves:
        own = self._own(memory)
        told = store._replace(indexes=store.indexes | {Index(own.name, frozenset({own}))})
        known = memory._replace(packs=memory.packs | {own}, used=memory.used | {own})
        yield told, self.onward(known._replace(step="stored", blobs=frozenset()))

    # The commit

    def _confirm_session(self, store: Store, memory: Memory) -> Moves:
        there = self.name in store.sessions
        yield store, self.onward(memory) if there else Memory("end")

    def _confirm(self, store: Store, memory: Memory) -> Moves:
        """What has gone since is stored again, or taken from elsewhere."""
        bad: Packs = frozenset()
        if self.rules.confirm_condemned:
            bad |= memory.used & memory.condemned
        if self.rules.confirm_presence:
            bad |= memory.used - memory.listing
        if not bad:
            yield store, Memory(self.order["confirm"])
        elif memory.attempt == ATTEMPTS:
            yield store, Memory("end")
        else:
            for chosen in self._choices(memory.packs - bad, memory.attempt + 1):
                yield store, chosen

    def _end_early(self, store: Store, memory: Memory) -> Moves:
        yield store._replace(sessions=store.sessions - {self.name}), self.onward(memory)

    def _commit(self, store: Store, memory: Memory) -> Moves:
        """Put the snapshot if there is nothing at its name, the own bytes excepted."""
        if self.name in store.aborted and self.rules.commit_if_absent:
            yield store, Memory("end")
            return
        committed = store._replace(
            snapshots=store.snapshots | {self._snapshot}, aborted=store.aborted - {self.name}
        )
        yield committed, Memory(self.after_commit())
        if self._repeats:
            yield committed, memory  # the answer is lost; the same again
            sent = store._replace(sent=store.sent | {self._snapshot})
            in_doubt = DONE if self.rules.keep_session_in_doubt else "end"
            yield sent, Memory(in_doubt)  # it gives up, and the request arrives when it may

    def after_commit(self) -> str:
        """The step that follows."""
        return "end"


class Sleeper(Writer):
    """A backup that fell asleep when a pack was stored and the answer was still to come.

    It was declared dead since, and wakes up to send the pack again.
    """

    @override
    def start(self) -> Memory:
        """Asleep."""
        return Memory("store_again", blobs=self._snapshot.needs)

    def pack(self) -> Pack:
        """What it sent."""
        return self._own(self.start())


class Carrier(Writer):
    """Makes a snapshot of what is stored already: it can store only what it can still read."""

    @override
    def can_store(self, store: Store, blobs: Blobs) -> bool:
        """Whether they are in some pack, be it condemned."""
        return blobs <= blobs_of(store.packs)


class Undelete(Carrier):
    """Brings a forgotten snapshot back under a new id."""

    def __init__(self, name: str, rules: Rules, forgotten: Snapshot) -> None:
        super().__init__(name, rules, forgotten.needs)
        self._forgotten = forgotten
        self.steps["read_forgotten"] = self._read_forgotten

    @override
    def start(self) -> Memory:
        """Reads what is to come back."""
        return Memory("read_forgotten")

    def _read_forgotten(self, store: Store, memory: Memory) -> Moves:
        if self._forgotten in store.forgotten:
            yield store, memory.then(super().start().step)


class Rewrite(Carrier):
    """Replaces a snapshot by another with the same blobs, as a change of its tags would."""

    def __init__(self, name: str, rules: Rules, source: Snapshot, *, vouch: bool = False) -> None:
        """Prepare.

        Args:
            name: its session's id.
            rules: the rules that it keeps.
            source: the snapshot to replace.
            vouch: it looks at no blob if nothing is condemned when it begins and the source is
                listed after that.
        """
        super().__init__(name, rules, source.needs)
        self._source = source
        self._vouch = vouch
        self.steps |= {
            "list_condemned": self._see_condemned,
            "see_source": self._see_source,
            "look_for_reclaims": self._look_for_reclaims,
            "forget_source": self._forget_source,
            "delete_source": self._delete_source,
        }
        following = self.order["read_condemned"]
        self.follow("read_condemned", "see_source", following)
        self.follow("forget_source", "delete_source", "end")

    def _see_condemned(self, store: Store, memory: Memory) -> Moves:
        for following, listed in self.list_condemned(store, memory):
            yield following, listed._replace(vouched=not listed.announced)

    def _see_source(self, store: Store, memory: Memory) -> Moves:
        if self._source not in store.snapshots:
            yield store, Memory("end")
        elif not self.rules.walk or (self._vouch and memory.vouched):
            yield store, Memory("commit")
        else:
            yield store, self.onward(memory._replace(vouched=False))

    @override
    def after_commit(self) -> str:
        """The source goes, unless a reclaim is at work."""
        return "look_for_reclaims" if self.rules.keep_source else "forget_source"

    def _look_for_reclaims(self, store: Store, memory: Memory) -> Moves:
        yield store, memory.then("end" if store.condemned else "forget_source")

    def _forget_source(self, store: Store, memory: Memory) -> Moves:
        yield store._replace(forgotten=store.forgotten | {self._source}), self.onward(memory)

    def _delete_source(self, store: Store, memory: Memory) -> Moves:
        yield store._replace(snapshots=store.snapshots - {self._source}), self.onward(memory)
