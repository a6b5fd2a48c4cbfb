"""Who meets whom, and what is stored when they begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tests.model.others import Consolidation, Forget, Network, Reindex, Restore, Sweeper
from tests.model.protocol import (
    NO_PACKS,
    NOTHING,
    Actor,
    Condemned,
    Index,
    Pack,
    Rules,
    Snapshot,
    Store,
    Waits,
)
from tests.model.reclaim import Reclaim, Straggler, Ways
from tests.model.writers import Rewrite, Sleeper, Undelete, Writer

Scenario: TypeAlias = Callable[[Rules], tuple[Sequence[Actor], Store]]

B = frozenset("b")
AB = frozenset("ab")
X, Z = Pack("X", B, "old"), Pack("Z", B, "old")
WIDE, SIDE = Pack("X", AB, "old"), Pack("Z", B, "old")
S0 = Snapshot("S0", B)
W1 = Snapshot("W1", B)


def stored(*packs: Pack, snapshots: Sequence[Snapshot] = (), together: bool = False) -> Store:
    """These packs, each told of by an index object of its own, or all by one."""
    groups = [packs] if together else [(pack,) for pack in packs]
    index = frozenset(
        Index("+".join(pack.name for pack in group), frozenset(group)) for group in groups
    )
    return Store(packs=frozenset(packs), indexes=index, snapshots=frozenset(snapshots))


# Backups and reclaims


def backup(r: Rules) -> tuple[Sequence[Actor], Store]:
    return [Writer("W1", r, B), Reclaim("P1", r)], stored(X)


def nothing_stored(r: Rules) -> tuple[Sequence[Actor], Store]:
    """A reclaim may take the writer's new packs for rubbish."""
    return [Writer("W1", r, B), Reclaim("P1", r), Reclaim("P2", r)], Store()


def backup_and_forget(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Writer("W1", r, B), Reclaim("P1", r), Forget("F", r, S0)]
    return actors, stored(X, snapshots=[S0])


def two_backups(r: Rules) -> tuple[Sequence[Actor], Store]:
    return [Writer("W1", r, B), Writer("W2", r, B), Reclaim("P1", r)], stored(X)


def two_reclaims(r: Rules) -> tuple[Sequence[Actor], Store]:
    return [Writer("W1", r, B), Reclaim("P1", r), Reclaim("P2", r)], stored(X)


def two_and_two(r: Rules) -> tuple[Sequence[Actor], Store]:
    writers = [Writer("W1", r, B), Writer("W2", r, B)]
    return [*writers, Reclaim("P1", r), Reclaim("P2", r)], stored(X)


def duplicates(r: Rules) -> tuple[Sequence[Actor], Store]:
    reclaims = [Reclaim("P1", r, Ways(repacks=True)), Reclaim("P2", r, Ways(repacks=True))]
    return reclaims, stored(X, Z, snapshots=[S0])


def three_reclaims(r: Rules) -> tuple[Sequence[Actor], Store]:
    """What one stores anew is another's candidate."""
    reclaims = [Reclaim(name, r, Ways(adopts=False)) for name in ("P1", "P2", "P3")]
    return reclaims, stored(X, snapshots=[S0])


def three_adopting(r: Rules) -> tuple[Sequence[Actor], Store]:
    reclaims = [Reclaim(name, r) for name in ("P1", "P2", "P3")]
    return reclaims, stored(X, snapshots=[S0])


def adoption_and_forget(r: Rules) -> tuple[Sequence[Actor], Store]:
    """What one reclaim has to keep another may delete, the snapshot being forgotten meanwhile."""
    reclaims = [Reclaim("P1", r, Ways(adopts=False)), Reclaim("P2", r, Ways(begins=False))]
    return [Writer("W1", r, B), *reclaims, Forget("F", r, S0)], stored(X, snapshots=[S0])


def duplicates_and_backup(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Writer("W1", r, B), Reclaim("P1", r), Reclaim("P2", r), Forget("F", r, S0)]
    return actors, stored(X, Z, snapshots=[S0])


def two_blobs(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Writer("W1", r, AB), Reclaim("P1", r, Ways(repacks=True)), Reclaim("P2", r)]
    return actors, stored(WIDE, SIDE, snapshots=[S0])


# Answers that are lost, requests that are late


def repeated_commit(r: Rules) -> tuple[Sequence[Actor], Store]:
    writer = Writer("W1", r, B, repeats=True)
    others = [Reclaim("P1", r), Forget("F", r, W1), Network("N", r), Sweeper("S", r)]
    return [writer, *others], stored(X)


def repeated_commit_two_reclaims(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors, store = repeated_commit(r)
    return [*actors, Reclaim("P2", r)], store


def _dead_writer(r: Rules) -> tuple[Sleeper, Store]:
    """It sleeps since its pack was stored; it was declared dead, and its pack condemned."""
    sleeper = Sleeper("W1", r, B)
    packs = frozenset({sleeper.pack()})
    return sleeper, Store(
        packs=packs,
        sessions=frozenset({"W1"}),
        aborted=frozenset({"W1"}),
        condemned=frozenset({Condemned("P0", packs)}),
        waits=frozenset({Waits("P0", NOTHING)}),
    )


def repeated_pack(r: Rules) -> tuple[Sequence[Actor], Store]:
    """A pack comes back that was deleted."""
    sleeper, store = _dead_writer(r)
    others = [Writer("W2", r, B), Consolidation("C", r), Reclaim("P1", r, Ways(begins=False))]
    return [sleeper, *others], store


def repeated_pack_two_reclaims(r: Rules) -> tuple[Sequence[Actor], Store]:
    sleeper, store = _dead_writer(r)
    reclaims = [Reclaim(name, r, Ways(begins=False)) for name in ("P1", "P2")]
    return [sleeper, Writer("W2", r, B), Consolidation("C", r, all_of_them=True), *reclaims], store


def repeated_pack_straggler(r: Rules) -> tuple[Sequence[Actor], Store]:
    """A pack comes back that was deleted, and that one more reclaim is about to delete."""
    sleeper, store = _dead_writer(r)
    straggler = Straggler("P1", r, "P0", store.packs)
    record = frozenset({Index("P2#removed", NO_PACKS, store.packs)})
    after = Store(sessions=store.sessions, aborted=store.aborted, indexes=record)
    return [sleeper, Writer("W2", r, B), Consolidation("C", r), straggler], after


def repeated_rescue(r: Rules) -> tuple[Sequence[Actor], Store]:
    """A pack comes back that a reclaim had stored and another deleted."""
    reclaims = [Reclaim("P1", r, Ways(repacks=True, repeats=True, adopts=False))]
    reclaims += [Reclaim("P2", r, Ways(adopts=False)), Reclaim("P3", r, Ways(begins=False))]
    return reclaims, stored(X, snapshots=[S0])


# The index


def consolidation(r: Rules) -> tuple[Sequence[Actor], Store]:
    store = stored(X)
    return [Writer("W1", r, B), Reclaim("P1", r), Consolidation("C", r)], store


def consolidation_cached(r: Rules) -> tuple[Sequence[Actor], Store]:
    """The writer's process knows index objects that may have been replaced long ago."""
    store = stored(X)
    writer = Writer("W1", r, B, cached=store.indexes)
    return [writer, Reclaim("P1", r), Consolidation("C", r)], store


def consolidation_and_duplicates(r: Rules) -> tuple[Sequence[Actor], Store]:
    store = stored(X, Z, snapshots=[S0], together=True)
    reclaims = [
        Reclaim("P1", r, Ways(cached=store.indexes)),
        Reclaim("P2", r, Ways(cached=store.indexes)),
    ]
    return [*reclaims, Consolidation("C", r)], store


def two_consolidations(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Writer("W1", r, AB), Consolidation("C1", r), Consolidation("C2", r)]
    return actors, stored(X, Z, snapshots=[S0])


def two_consolidations_and_reclaim(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Reclaim("P1", r), Consolidation("C1", r), Consolidation("C2", r)]
    return actors, stored(X, Z, snapshots=[S0])


def consolidation_and_two_backups(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Writer("W1", r, B), Writer("W2", r, B), Reclaim("P1", r), Consolidation("C", r)]
    return actors, stored(X)


def repaired_index(r: Rules) -> tuple[Sequence[Actor], Store]:
    """A pack that the index does not tell of yet, or again."""
    actors = [Writer("W1", r, B), Reclaim("P1", r), Reindex("I", r)]
    return actors, Store(packs=frozenset({X}))


# Snapshots that are made of snapshots


def undelete(r: Rules) -> tuple[Sequence[Actor], Store]:
    store = stored(X)._replace(forgotten=frozenset({S0}))
    return [Undelete("W1", r, S0), Reclaim("P1", r), Sweeper("S", r)], store


def undelete_two_reclaims(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors, store = undelete(r)
    return [*actors, Reclaim("P2", r)], store


def undelete_and_consolidation(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Undelete("W1", r, S0), Reclaim("P1", r), Consolidation("C", r), Forget("F", r, S0)]
    return actors, stored(X, snapshots=[S0])


PAGED = frozenset({"S0", "W1", "W2"})


def _rewrite(r: Rules, *, vouch: bool) -> tuple[Sequence[Actor], Store]:
    rewrite = Rewrite("W1", r, S0, vouch=vouch)
    actors = [rewrite, Reclaim("P1", r, Ways(paged=PAGED, repacks=True)), Forget("F", r, S0)]
    return actors, stored(X, snapshots=[S0])


def rewrite(r: Rules) -> tuple[Sequence[Actor], Store]:
    return _rewrite(r, vouch=False)


def vouched_rewrite(r: Rules) -> tuple[Sequence[Actor], Store]:
    return _rewrite(r, vouch=True)


def _chain(r: Rules, *, vouch: bool) -> tuple[Sequence[Actor], Store]:
    first, second = Rewrite("W1", r, S0, vouch=vouch), Rewrite("W2", r, W1, vouch=vouch)
    return [first, second, Reclaim("P1", r, Ways(paged=PAGED))], stored(X, snapshots=[S0])


def chain(r: Rules) -> tuple[Sequence[Actor], Store]:
    """A snapshot is rewritten, and the new one again."""
    return _chain(r, vouch=False)


def vouched_chain(r: Rules) -> tuple[Sequence[Actor], Store]:
    return _chain(r, vouch=True)


def vouched_rewrite_two_reclaims(r: Rules) -> tuple[Sequence[Actor], Store]:
    reclaims = [Reclaim(name, r, Ways(paged=PAGED)) for name in ("P1", "P2")]
    return [Rewrite("W1", r, S0, vouch=True), *reclaims], stored(X, Z, snapshots=[S0])


# Reading


def restore(r: Rules) -> tuple[Sequence[Actor], Store]:
    actors = [Restore("R", r, S0), Reclaim("P1", r), Consolidation("C", r), Forget("F", r, S0)]
    return actors, stored(X, snapshots=[S0])


def restore_two_reclaims(r: Rules) -> tuple[Sequence[Actor], Store]:
    return [Restore("R", r, S0), Reclaim("P1", r), Reclaim("P2", r)], stored(X, snapshots=[S0])
