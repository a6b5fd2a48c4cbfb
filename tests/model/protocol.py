"""What is stored, the rules, and what an actor remembers: the reclaim protocol as a model.

The model has the objects of docs/format.md that reclaim is about (F43 to F56). Every operation of
the store, a put, a get, a listing, a delete, is one step. What is in a blob or how it is encoded
is of no interest, so a pack is a name with the blobs that it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple, TypeAlias, TypeVar

Blobs: TypeAlias = frozenset[str]
Names: TypeAlias = frozenset[str]

T = TypeVar("T", bound=tuple[object, ...] | str)

NOTHING: frozenset[str] = frozenset()


class Pack(NamedTuple):
    """``data/<name>``, of a session."""

    name: str
    blobs: Blobs
    session: str


Packs: TypeAlias = frozenset[Pack]
NO_PACKS: Packs = frozenset()


class Index(NamedTuple):
    """``index/<name>``: tells of packs, and names some that are removed (F53)."""

    name: str
    rows: Packs
    removed: Packs = NO_PACKS


class Snapshot(NamedTuple):
    """``snapshots/<id>`` or ``forgotten/<id>``, with the blobs that a restore needs."""

    id: str
    needs: Blobs


class Condemned(NamedTuple):
    """``gc/<id>``."""

    id: str
    packs: Packs


class Waits(NamedTuple):
    """``gc/<id>.waits``."""

    id: str
    sessions: Names


class Store(NamedTuple):
    """All that is stored, and the commits that are on their way to the storage."""

    packs: Packs = NO_PACKS
    indexes: frozenset[Index] = frozenset()
    sessions: Names = NOTHING
    snapshots: frozenset[Snapshot] = frozenset()
    aborted: Names = NOTHING
    condemned: frozenset[Condemned] = frozenset()
    waits: frozenset[Waits] = frozenset()
    forgotten: frozenset[Snapshot] = frozenset()
    sent: frozenset[Snapshot] = frozenset()

    def taken(self, id_: str) -> bool:
        """Whether something is at the name of this snapshot."""
        return id_ in self.aborted or any(snapshot.id == id_ for snapshot in self.snapshots)


class Memory(NamedTuple):
    """What an actor remembers: its next step, and what it read. Unused fields stay empty.

    Attributes:
        step: what it does next.
        listed: index objects that a listing showed and that it now gets.
        known: index objects that it has read.
        announced: ``gc/*`` that a listing showed and that it now gets.
        condemned: packs that some ``gc/*`` names.
        listing: a listing of packs.
        packs: packs that it may build upon, may copy from or is about to delete.
        used: packs that a writer builds upon, or that a reclaim deletes.
        blobs: blobs that it needs, or has to store.
        sessions: sessions that a reclaim waits for.
        committed: those among them that were over because they had committed.
        page: ids of snapshots that are on the first page of a listing.
        found: snapshots that the listing showed.
        reclaim: the id of the reclaim that is carried out.
        attempt: which of several.
        vouched: nothing was condemned when a writer began.
    """

    step: str
    listed: frozenset[Index] = frozenset()
    known: frozenset[Index] = frozenset()
    announced: frozenset[Condemned] = frozenset()
    condemned: Packs = NO_PACKS
    listing: Packs = NO_PACKS
    packs: Packs = NO_PACKS
    used: Packs = NO_PACKS
    blobs: Blobs = NOTHING
    sessions: Names = NOTHING
    committed: Names = NOTHING
    page: Names = NOTHING
    found: frozenset[Snapshot] = frozenset()
    reclaim: str = ""
    attempt: int = 0
    vouched: bool = False

    def then(self, step: str) -> Memory:
        """The same before another step."""
        return self._replace(step=step)


Moves: TypeAlias = Iterator[tuple[Store, Memory]]

DONE = "done"
"""The step at an actor's end."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the protocol, each of which can be broken alone.

    Attributes:
        announce: writers put a session before anything else.
        announce_first: they do so before they read what is condemned.
        heed_condemned: they do not build upon condemned packs.
        condemned_before_packs: they read what is condemned before they list packs.
        list_before_use: they build only upon packs that are listed.
        confirm: before the commit they look again at all that they built upon.
        confirm_session: this includes whether their session is still there.
        confirm_condemned: and whether a pack was condemned meanwhile.
        confirm_presence: and whether the packs are in a fresh listing.
        confirm_condemned_first: which they make after they have read what is condemned.
        commit_if_absent: a commit never replaces an aborted marker.
        session_last: the session is deleted after the commit.
        keep_session_in_doubt: but not when it is unknown whether the commit will take effect.
        heed_removed: a removed pack is as good as absent, to everybody.
        own_removed: even to the reclaim that stored it.
        keep_removed: consolidation carries removal records over: "always"; "session", unless the
            pack's session has ended by itself; "absent", unless the pack is gone and no other index
            object tells of it; "never".
        wait: a reclaim waits for sessions.
        list_after_condemning: the ones that it lists after it has condemned.
        fence: it expires a session with an aborted marker.
        same_listing: that a session has committed is seen in the listing of snapshots that the
            decision rests on.
        list_snapshots_again: the decision rests on a listing that is made after the wait.
        heed_others: a pack that another reclaim condemned does not count as a good one.
        heed_own: nor does one that it is about to delete, even if another has ended the reclaim.
        decide_condemned_before_packs: what is condemned is read before packs are listed.
        snapshots_before_condemned: and after snapshots are listed.
        rescue: what is needed and only in condemned packs is stored anew; else the reclaim is
            taken back and its packs stay.
        index_rescue_first: the index tells of it before the packs are removed.
        remove_before_delete: the removal record comes before the packs are deleted.
        announcement_last: ``gc/<id>`` is deleted after the packs.
        waits_first: ``gc/<id>.waits`` is deleted before ``gc/<id>``.
        adopt_by_waits: who takes over uses ``gc/<id>.waits`` if it is there.
        adopt_waiting: who takes over waits at all.
        adopt_lists: who takes over where there is no ``gc/<id>.waits`` lists sessions itself.
        aborted_stays: aborted markers are never deleted.
        sweep_aborted_only: a session is deleted by others only where an aborted marker is.
        merged_first: consolidation puts the merged object before it deletes.
        delete_read_only: it deletes only what it has merged.
        packs_after_index: it leaves out rows of packs that are not in a listing which it made
            after it had read the index.
        list_again: who finds an index object gone lists again.
        walk: who makes a snapshot of another looks at every blob, or may be vouched for.
        keep_source: the replaced snapshot stays while a reclaim is at work.
        reread_index: a restore that finds a pack gone reads the index until it says nothing new.
    """

    announce: bool = True
    announce_first: bool = True
    heed_condemned: bool = True
    condemned_before_packs: bool = True
    list_before_use: bool = True
    confirm: bool = True
    confirm_session: bool = True
    confirm_condemned: bool = True
    confirm_presence: bool = True
    confirm_condemned_first: bool = True
    commit_if_absent: bool = True
    session_last: bool = True
    keep_session_in_doubt: bool = True
    heed_removed: bool = True
    own_removed: bool = True
    keep_removed: str = "session"
    wait: bool = True
    list_after_condemning: bool = True
    fence: bool = True
    same_listing: bool = True
    list_snapshots_again: bool = True
    heed_others: bool = True
    heed_own: bool = True
    decide_condemned_before_packs: bool = True
    snapshots_before_condemned: bool = True
    rescue: bool = True
    index_rescue_first: bool = True
    remove_before_delete: bool = True
    announcement_last: bool = True
    waits_first: bool = True
    adopt_by_waits: bool = True
    adopt_waiting: bool = True
    adopt_lists: bool = True
    aborted_stays: bool = True
    sweep_aborted_only: bool = True
    merged_first: bool = True
    delete_read_only: bool = True
    packs_after_index: bool = True
    list_again: bool = True
    walk: bool = True
    keep_source: bool = True
    reread_index: bool = True


def rows(index: Iterable[Index], *, heed_removed: bool = True) -> Packs:
    """The packs that the index tells of and that are not removed."""
    told: set[Pack] = set()
    removed: set[Pack] = set()
    for entry in index:
        told |= entry.rows
        removed |= entry.removed
    return frozenset(told - removed if heed_removed else told)


def packs_of(announcements: Iterable[Condemned]) -> Packs:
    """All packs that these announcements condemn."""
    return frozenset(pack for condemned in announcements for pack in condemned.packs)


def blobs_of(packs: Iterable[Pack]) -> Blobs:
    """All that these packs hold."""
    return frozenset(blob for pack in packs for blob in pack.blobs)


def fault(store: Store) -> str:
    """What is wrong with a store: a snapshot that exists and cannot be restored."""
    if not store.snapshots:
        return ""
    stored = blobs_of(store.packs)
    findable = blobs_of(store.packs & rows(store.indexes))
    for snapshot in sorted(store.snapshots):
        if snapshot.needs - stored:
            return f"a blob of snapshot {snapshot.id} is lost"
        if snapshot.needs - findable:
            return f"a blob of snapshot {snapshot.id} is not in the index"
    return ""


class Actor:
    """A state machine with one method for each step.

    Attributes:
        name: for traces, and its session's id.
        rules: the rules that it keeps.
        steps: what each step does.
        order: the steps that follow one another whatever happens.
    """

    def __init__(self, name: str, rules: Rules, first: str) -> None:
        self.name = name
        self.rules = rules
        self.steps: dict[str, Step] = {}
        self.order: dict[str, str] = {}
        self._first = first

    def start(self) -> Memory:
        """The memory at the beginning."""
        return Memory(self._first)

    def moves(self, store: Store, memory: Memory) -> Moves:
        """All that it may do next."""
        step = self.steps.get(memory.step)
        if step is not None:
            yield from step(store, memory)

    def follow(self, *steps: str) -> None:
        """These steps follow one another."""
        self.order.update(pairwise(steps))

    def onward(self, memory: Memory) -> Memory:
        """The memory before the next step."""
        return memory.then(self.order[memory.step])

    # What several actors do

    def list_condemned(self, store: Store, memory: Memory) -> Moves:
        """List ``gc/``."""
        yield store, self.onward(memory._replace(announced=store.condemned))

    def read_condemned(self, store: Store, memory: Memory) -> Moves:
        """Get what the listing showed; where an announcement is gone, its packs are, too."""
        condemned = packs_of(memory.announced & store.condemned)
        yield store, self.onward(memory._replace(announced=frozenset(), condemned=condemned))

    def list_index(self, store: Store, memory: Memory) -> Moves:
        """List ``index/``; what was read before need not be read again."""
        yield store, self.onward(memory._replace(listed=store.indexes - memory.known))

    def read_index(self, store: Store, memory: Memory) -> Moves:
        """Get what the listing showed, which happens one by one.

        So of the objects that are gone now, some may have been read while they were there.
        """
        gone = memory.listed - store.indexes
        there = memory.known | (memory.listed & store.indexes)
        for early in subsets(gone):
            read = memory._replace(listed=frozenset(), known=there | early)
            if early == gone or not self.rules.list_again:
                yield store, self.onward(read)
            else:
                yield store, read.then("list_index")

    def end(self, store: Store, memory: Memory) -> Moves:
        """Delete the own session."""
        del memory
        yield store._replace(sessions=store.sessions - {self.name}), Memory(DONE)


Step: TypeAlias = Callable[[Store, Memory], Moves]


def subsets(things: frozenset[T]) -> Iterator[frozenset[T]]:
    """All subsets."""
    ordered = sorted(things)
    for size in range(len(ordered) + 1):
        yield from map(frozenset, combinations(ordered, size))
