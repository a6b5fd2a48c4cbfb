"""A reclaim: condemn, wait, look again, delete (docs/format.md, F54 and F55)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.protocol import (
    DONE,
    NO_PACKS,
    NOTHING,
    Actor,
    Condemned,
    Index,
    Memory,
    Moves,
    Names,
    Pack,
    Packs,
    Rules,
    Snapshot,
    Store,
    Waits,
    blobs_of,
    rows,
    subsets,
)

from holdfast.overrides import override

AGAIN = "list_snapshots"
"""Where the decision begins, and begins again when something vanished under it."""


JUDGE = "judge"
"""What follows on the last read; it is no operation of the store and so no step."""


class Ways(NamedTuple):
    """What a reclaim may do.

    Attributes:
        begins: it may condemn packs.
        adopts: it may take over a reclaim that another began.
        repacks: before it condemns a pack it may store what is in it in a new one.
        repeats: the storage's answers may be lost, so puts are repeated, however late.
        paged: ids of snapshots whose listing comes in two pages.
        cached: index objects that its process read at some time before.
    """

    begins: bool = True
    adopts: bool = True
    repacks: bool = False
    repeats: bool = False
    paged: Names = NOTHING
    cached: frozenset[Index] = frozenset()


USUAL = Ways()


class Reclaim(Actor):
    """One run of prune.

    It condemns whatever it likes: which packs are worth it is a matter of economy, and safety must
    not depend on it.
    """

    def __init__(self, name: str, rules: Rules, ways: Ways = USUAL) -> None:
        super().__init__(name, rules, "announce" if ways.repeats else "begin")
        self._ways = ways
        self.steps = {
            "announce": self._announce,
            "begin": self._begin,
            "repack": self._put_pack,
            "repack_again": self._put_pack_again,
            "tell_repacked": self._tell,
            "condemn": self._condemn,
            "list_sessions": self._list_sessions,
            "put_waits": self._put_waits,
            "read_waits": self._read_waits,
            "wait": self._wait,
            AGAIN: self._list_snapshots,
            "list_page_2": self._list_page_2,
            "read_snapshots": self._read_snapshots,
            "list_condemned": self.list_condemned,
            "read_condemned": self.read_condemned,
            "list_packs": self._list_packs,
            "list_index": self.list_index,
            "read_index": self.read_index,
            "read_needed": self._read_needed,
            "rescue": self._put_pack,
            "rescue_again": self._put_pack_again,
            "tell_rescued": self._tell,
            "remove": self._remove,
            "delete_packs": self._delete_packs,
            "delete_waits": self._delete_waits,
            "delete_condemned": self._delete_condemned,
            "take_back": self._delete_condemned,
            "end": self.end,
        }
        self._plan()

    def _plan(self) -> None:
        rules = self.rules
        self.follow("announce", "begin")
        self.follow("repack", "tell_repacked", "condemn")
        self.follow("repack_again", "tell_repacked")
        if rules.list_after_condemning:
            self.follow("condemn", "list_sessions", "put_waits", "wait")
        else:
            self.follow("list_sessions", "condemn", "put_waits", "wait")
            self.follow("tell_repacked", "list_sessions")
        condemned = ["list_condemned", "read_condemned"]
        decision = [AGAIN, "read_snapshots", *condemned, "list_packs"]
        if not rules.snapshots_before_condemned:
            decision = [*condemned, AGAIN, "read_snapshots", "list_packs"]
        if not rules.decide_condemned_before_packs:
            decision = [AGAIN, "read_snapshots", "list_packs", *condemned]
        self.follow("wait", *decision, "list_index", "read_index", JUDGE)
        self.follow("rescue", "tell_rescued")
        self.follow("rescue_again", "tell_rescued")
        self._plan_deletion()

    def _plan_deletion(self) -> None:
        rules = self.rules
        deletion = ["remove", "delete_packs"]
        if not rules.remove_before_delete:
            deletion = ["delete_packs", "remove"]
        ends = ["delete_waits", "delete_condemned"]
        if not rules.waits_first:
            ends.reverse()
        steps = [*deletion, *ends] if rules.announcement_last else [*ends, *deletion]
        self._deletion = steps[0]
        self.follow(*steps, "end" if self._ways.repeats else DONE)
        self.follow("tell_rescued", self._deletion)
        self.follow("take_back", DONE)
        if not rules.index_rescue_first:
            self.follow("rescue", "remove", "tell_rescued", "delete_packs")

    def _announce(self, store: Store, memory: Memory) -> Moves:
        """Tells that it is at work; nobody waits for it."""
        yield store._replace(sessions=store.sessions | {self.name}), self.onward(memory)

    # Condemning

    def _begin(self, store: Store, memory: Memory) -> Moves:
        """List packs and choose some, or list ``gc/*`` and choose a reclaim to take over."""
        blobs = NOTHING if self.rules.list_snapshots_again else _needs(store.snapshots)
        memory = Memory("begin", found=store.snapshots if blobs else frozenset())
        first = "condemn" if self.rules.list_after_condemning else "list_sessions"
        if self._ways.begins:
            for packs in _worth_it(store.packs):
                yield store, memory._replace(step=first, used=packs, reclaim=self.name)
                if self._ways.repacks and len(packs) == 1:
                    yield (
                        store,
                        memory._replace(step="repack", used=packs, reclaim=self.name, packs=packs),
                    )
        if self._ways.adopts:
            for other in store.condemned:
                yield store, memory._replace(step="read_waits", used=other.packs, reclaim=other.id)

    def _condemn(self, store: Store, memory: Memory) -> Moves:
        announcement = Condemned(self.name, memory.used)
        yield store._replace(condemned=store.condemned | {announcement}), self.onward(memory)

    # Waiting

    def _list_sessions(self, store: Store, memory: Memory) -> Moves:
        listed = memory._replace(sessions=_writers(store.sessions))
        yield store, self.onward(listed)

    def _put_waits(self, store: Store, memory: Memory) -> Moves:
        """Tell others, who may take over, which sessions those were, if nobody has yet."""
        following = self._waited(memory.then("wait"))
        if all(waits.id != memory.reclaim for waits in store.waits):
            waits = Waits(memory.reclaim, memory.sessions)
            store = store._replace(waits=store.waits | {waits})
        yield store, following

    def _read_waits(self, store: Store, memory: Memory) -> Moves:
        """Who takes over waits for the same sessions, or else for those that it lists itself."""
        told = [waits.sessions for waits in store.waits if waits.id == memory.reclaim]
        if not self.rules.adopt_waiting:
            told = [NOTHING]
        if told and self.rules.adopt_by_waits:
            yield store, self._waited(memory._replace(step="wait", sessions=told[0]))
        elif self.rules.adopt_lists:
            yield store, memory.then("list_sessions")
        else:
            yield store, self._waited(memory.then("wait"))

    def _waited(self, memory: Memory) -> Memory:
        """Goes on as soon as there is nobody left to wait for."""
        over = not memory.sessions or not self.rules.wait
        return self.onward(memory._replace(sessions=NOTHING)) if over else memory

    def _wait(self, store: Store, memory: Memory) -> Moves:
        """Look at one session: it is over, or patience with it ends, rightly or wrongly."""
        for session in sorted(memory.sessions):
            left = memory._replace(sessions=memory.sessions - {session})
            if any(session == snapshot.id for snapshot in store.snapshots):
                committed = left.committed | {session} if self.rules.same_listing else NOTHING
                yield store, self._waited(left._replace(committed=committed))
            elif session in store.aborted or session not in store.sessions:
                yield store, self._waited(left)
            elif self.rules.fence:
                yield store._replace(aborted=store.aborted | {session}), self._waited(left)
            else:
                yield store._replace(sessions=store.sessions - {session}), self._waited(left)

    # Looking again

    def _list_snapshots(self, store: Store, memory: Memory) -> Moves:
        """List them, in one page or in two; any id may be on either."""
        if not self.rules.list_snapshots_again:
            yield store, self.onward(memory)
            return
        if not self._ways.paged:
            yield store, self.onward(memory._replace(found=store.snapshots, page=store.aborted))
            return
        for page in subsets(self._ways.paged):
            found = frozenset(s for s in store.snapshots if s.id in page)
            yield store, memory._replace(step="list_page_2", found=found, page=page)

    def _list_page_2(self, store: Store, memory: Memory) -> Moves:
        rest = frozenset(s for s in store.snapshots if s.id not in memory.page)
        following = memory._replace(step=AGAIN, found=memory.found | rest, page=store.aborted)
        yield store, self.onward(following)

    def _read_snapshots(self, store: Store, memory: Memory) -> Moves:
        """Get what the listing showed: what is gone was forgotten.

        A session that was over because it had committed may commit a second time: if the answer
        was lost, and the snapshot forgotten since, nothing is in the way of its next try. So its
        snapshot has to be among these, or it is waited for again.
        """
        found = memory.found
        if self.rules.list_snapshots_again:
            found &= store.snapshots
        over = frozenset(snapshot.id for snapshot in found) | memory.page
        back = memory.committed - over
        memory = memory._replace(found=frozenset(), page=NOTHING)
        if back:
            yield store, memory._replace(step="wait", sessions=back, committed=NOTHING)
            return
        read = memory._replace(blobs=_needs(found), committed=memory.committed)
        yield store, self.onward(read) if read.blobs else self._decided(read)

    def _list_packs(self, store: Store, memory: Memory) -> Moves:
        yield store, self.onward(memory._replace(listing=store.packs))

    @override
    def list_index(self, store: Store, memory: Memory) -> Moves:
        """List it, and remember what was read before."""
        yield from super().list_index(
            store, memory._replace(known=memory.known | self._ways.cached)
        )

    @override
    def read_index(self, store: Store, memory: Memory) -> Moves:
        """Read it, and decide."""
        for following, read in super().read_index(store, memory):
            if read.step == JUDGE:
                yield following, self._judge(read)
            else:
                yield following, read

    def _judge(self, memory: Memory) -> Memory:
        """Whether every needed blob is in a pack that stays."""
        known = rows(memory.known, heed_removed=self.rules.heed_removed)
        if not self.rules.own_removed:
            known |= {p for p in rows(memory.known, heed_removed=False) if p.session == self.name}
        known &= memory.listing
        condemned = memory.condemned if self.rules.heed_others else NO_PACKS
        if self.rules.heed_own:
            condemned |= memory.used
        lacking = memory.blobs - blobs_of(known - condemned)
        if not lacking:
            return self._decided(memory)
        if not self.rules.rescue:
            return self._plain(memory).then("take_back")
        sources = known & condemned
        if lacking <= blobs_of(sources):
            return self._plain(memory)._replace(
                step="read_needed", blobs=lacking, packs=sources, committed=memory.committed
            )
        again = self._plain(memory)._replace(committed=memory.committed)
        return self.onward(again.then("wait"))

    def _plain(self, memory: Memory) -> Memory:
        """Only what is carried out."""
        return Memory(memory.step, used=memory.used, reclaim=memory.reclaim)

    def _decided(self, memory: Memory) -> Memory:
        return self._plain(memory)._replace(step=self._deletion, packs=memory.used)

    # Storing anew

    def _read_needed(self, store: Store, memory: Memory) -> Moves:
        """Read what is only in condemned packs; if one is gone, another reclaim was quicker."""
        if memory.blobs <= blobs_of(memory.packs & store.packs):
            kept = self._plain(memory)._replace(blobs=memory.blobs)
            yield store, kept.then("rescue")
        else:
            again = self._plain(memory)._replace(committed=memory.committed)
            yield store, self.onward(again.then("wait"))

    def _new_pack(self, memory: Memory) -> Pack:
        blobs = memory.blobs or blobs_of(memory.packs)
        return Pack(f"{self.name}#{'rescue' if memory.blobs else 'repack'}", blobs, self.name)

    def _put_pack(self, store: Store, memory: Memory) -> Moves:
        if memory.packs - store.packs:  # what was to be repacked has gone
            yield store, Memory(DONE)
            return
        stored = store._replace(packs=store.packs | {self._new_pack(memory)})
        yield stored, self.onward(memory)
        if self._ways.repeats:
            yield stored, memory.then(f"{memory.step}_again")

    def _put_pack_again(self, store: Store, memory: Memory) -> Moves:
        """The answer was lost: the same bytes under the same name."""
        yield store._replace(packs=store.packs | {self._new_pack(memory)}), self.onward(memory)

    def _tell(self, store: Store, memory: Memory) -> Moves:
        pack = self._new_pack(memory)
        told = store._replace(indexes=store.indexes | {Index(pack.name, frozenset({pack}))})
        following = self.onward(memory._replace(packs=NO_PACKS, blobs=NOTHING))
        if memory.step == "tell_rescued":
            following = following._replace(packs=memory.used)
        yield told, following

    # Deleting

    def _remove(self, store: Store, memory: Memory) -> Moves:
        record = Index(f"{self.name}#removed", NO_PACKS, memory.used)
        yield store._replace(indexes=store.indexes | {record}), self.onward(memory)

    def _delete_packs(self, store: Store, memory: Memory) -> Moves:
        """Delete one after another; what to delete was decided long ago and never changes."""
        pack = min(memory.packs)
        left = memory._replace(packs=memory.packs - {pack})
        yield store._replace(packs=store.packs - {pack}), left if left.packs else self.onward(left)

    def _delete_waits(self, store: Store, memory: Memory) -> Moves:
        left = frozenset(waits for waits in store.waits if waits.id != memory.reclaim)
        yield store._replace(waits=left), self.onward(memory)

    def _delete_condemned(self, store: Store, memory: Memory) -> Moves:
        left = frozenset(gc for gc in store.condemned if gc.id != memory.reclaim)
        yield store._replace(condemned=left), self.onward(memory)


class Straggler(Reclaim):
    """A reclaim that fell asleep when all was decided; others have carried it out meanwhile."""

    def __init__(self, name: str, rules: Rules, reclaim: str, packs: Packs) -> None:
        super().__init__(name, rules)
        self._decision = Memory("delete_packs", packs=packs, used=packs, reclaim=reclaim)

    @override
    def start(self) -> Memory:
        """About to delete."""
        return self._decision


def _needs(snapshots: frozenset[Snapshot]) -> frozenset[str]:
    return frozenset(blob for snapshot in snapshots for blob in snapshot.needs)


def _writers(sessions: Names) -> Names:
    """Nobody waits for reclaims."""
    return frozenset(session for session in sessions if not session.startswith("P"))


def _worth_it(packs: Packs) -> Iterator[Packs]:
    """Each pack alone, and all together."""
    for pack in sorted(packs):
        yield frozenset({pack})
    if len(packs) > 1:
        yield packs
