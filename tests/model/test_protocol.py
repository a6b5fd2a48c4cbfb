"""The reclaim protocol loses nothing, and it needs its rules (docs/adr/0010-reclaim-protocol.md).

`SAFE` has the protocol as it is. `NEEDED` breaks one rule of what is then the only protection, and
a snapshot is lost. `SPARE` breaks rules that are defence in depth, and nothing is lost.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import pytest
from tests.model import scenarios as s
from tests.model.explorer import Explorer, Result
from tests.model.protocol import Actor, Memory, Rules, Store, fault

STATES = 700_000
"""More than any exploration has that is no soak test."""

SOAK_STATES = 20_000_000
"""How far a soak test looks; about 3 GB."""

SAFE = [
    s.backup,
    s.nothing_stored,
    s.backup_and_forget,
    s.two_backups,
    s.two_reclaims,
    s.duplicates,
    s.adoption_and_forget,
    s.repeated_commit,
    s.repeated_pack,
    s.repeated_pack_straggler,
    s.repeated_rescue,
    s.consolidation,
    s.consolidation_cached,
    s.two_consolidations,
    s.repaired_index,
    s.undelete,
    s.undelete_and_consolidation,
    s.rewrite,
    s.vouched_rewrite,
    s.chain,
    s.vouched_chain,
    s.restore,
    s.restore_two_reclaims,
]

SOAK = [
    s.three_reclaims,
    s.two_consolidations_and_reclaim,
    s.consolidation_and_duplicates,
    s.undelete_two_reclaims,
    s.three_adopting,
    s.repeated_commit_two_reclaims,
    s.vouched_rewrite_two_reclaims,
    s.two_blobs,
    s.duplicates_and_backup,
    s.consolidation_and_two_backups,
]

TOO_LARGE = [
    s.two_and_two,
    s.repeated_pack_two_reclaims,
]
"""Of these the nearest states are looked at, as many as memory holds."""


def broken(*names: str, keep_removed: str = "session") -> Rules:
    """All rules but these."""
    assert set(names) < {field.name for field in fields(Rules)}
    return Rules(**dict.fromkeys(names, False), keep_removed=keep_removed)


@cache
def explore(scenario: s.Scenario, rules: Rules, limit: int) -> Result:
    actors, store = scenario(rules)
    return Explorer[Store, Memory](actors, fault).explore(store, limit)


@pytest.mark.fault(26, 27, 28)
@pytest.mark.format("F44", "F46", "F47", "F48", "F53", "F54", "F55", "F56")
@pytest.mark.parametrize("scenario", SAFE, ids=lambda scenario: scenario.__name__)
def test_nothing_is_ever_lost(scenario: s.Scenario) -> None:
    result = explore(scenario, Rules(), STATES)
    assert result.trace is None, str(result)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SOAK, ids=lambda scenario: scenario.__name__)
def test_nothing_is_ever_lost_when_more_meet(scenario: s.Scenario) -> None:
    result = explore(scenario, Rules(), SOAK_STATES)
    assert result.trace is None, str(result)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", TOO_LARGE, ids=lambda scenario: scenario.__name__)
def test_nothing_is_lost_as_far_as_one_can_look(scenario: s.Scenario) -> None:
    try:
        result = explore(scenario, Rules(), SOAK_STATES)
    except OverflowError:
        return
    assert result.trace is None, str(result)


# One rule of several that each suffice is shown to be needed where the others are broken, too.
FIRST_LOOK = ("heed_condemned", "list_before_use")
LAST_LOOK = ("confirm",)

NEEDED: list[tuple[s.Scenario, Rules]] = [
    # Writers: the announcement, the first look or the last, and the commit.
    (s.backup, broken("announce")),
    (s.vouched_rewrite, broken("announce_first")),
    (s.backup, broken("announce_first", *LAST_LOOK)),
    (s.backup, broken("heed_condemned", *LAST_LOOK)),
    (s.backup, broken("condemned_before_packs", *LAST_LOOK)),
    (s.consolidation_cached, broken("list_before_use", *LAST_LOOK)),
    (s.backup, broken("confirm_condemned", *FIRST_LOOK)),
    (s.backup, broken("confirm_presence", *FIRST_LOOK)),
    (s.backup, broken("confirm_condemned_first", *FIRST_LOOK)),
    (s.backup, broken("commit_if_absent")),
    (s.backup, broken("session_last")),
    (s.repeated_commit, broken("keep_session_in_doubt")),
    # Reclaims: the wait.
    (s.backup, broken("wait")),
    (s.backup, broken("list_after_condemning")),
    (s.backup, broken("fence")),
    (s.nothing_stored, broken("adopt_waiting")),
    (s.nothing_stored, broken("adopt_lists")),
    (s.repeated_commit, broken("same_listing")),
    (s.repeated_commit, broken("aborted_stays")),
    (s.repeated_commit, broken("sweep_aborted_only")),
    # Reclaims: the second look, and the deletion.
    (s.backup, broken("list_snapshots_again", "same_listing")),
    (s.duplicates, broken("heed_others")),
    (s.duplicates, broken("decide_condemned_before_packs", "heed_removed")),
    (s.adoption_and_forget, broken("rescue")),
    (s.backup, broken("index_rescue_first")),
    (s.backup, broken("announcement_last")),
    # Packs that come back, and removal records.
    (s.repeated_pack_straggler, broken("heed_removed")),
    (s.repeated_pack_straggler, broken(keep_removed="never")),
    (s.repeated_pack_straggler, broken(keep_removed="absent")),
    (s.repeated_rescue, broken("own_removed")),
    # The index.
    (s.consolidation, broken("merged_first")),
    (s.consolidation, broken("delete_read_only")),
    (s.consolidation, broken("packs_after_index")),
    (s.repeated_pack, broken("list_again")),
    (s.restore_two_reclaims, broken("reread_index")),
    # Snapshots that are made of snapshots.
    (s.vouched_rewrite, broken("walk")),
    (s.undelete, broken("announce")),
    (s.undelete, broken(*FIRST_LOOK, *LAST_LOOK)),
]


def _label(value: object) -> str:
    if isinstance(value, Rules):
        usual = Rules()
        changed = (
            f.name for f in fields(Rules) if getattr(value, f.name) != getattr(usual, f.name)
        )
        return "+".join(changed)
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("scenario", "rules"), NEEDED, ids=_label)
def test_a_rule_is_needed(scenario: s.Scenario, rules: Rules) -> None:
    result = explore(scenario, rules, STATES)
    assert result.trace is not None
    assert result.fault


SPARE: list[tuple[s.Scenario, Rules]] = [
    # Each of a writer's two looks is enough, as long as the storage keeps what it was given.
    *((scenario, broken(*LAST_LOOK)) for scenario in (s.backup, s.two_backups, s.consolidation)),
    *((scenario, broken(*LAST_LOOK)) for scenario in (s.nothing_stored, s.undelete, s.rewrite)),
    *((scenario, broken(*FIRST_LOOK)) for scenario in (s.backup, s.two_backups, s.consolidation)),
    *((scenario, broken(*FIRST_LOOK)) for scenario in (s.undelete, s.rewrite)),
    # It saves the work of a backup that cannot commit any more.
    *((scenario, broken("confirm_session")) for scenario in (s.backup, s.repeated_commit)),
    # Heeding removal records has the same effect.
    *((x, broken("decide_condemned_before_packs")) for x in (s.duplicates, s.restore_two_reclaims)),
    # Who ended the reclaim had deleted the packs, and left a record that they are removed.
    *((x, broken("heed_own")) for x in (s.repeated_pack_straggler, s.duplicates)),
    # What was forgotten since is only kept for longer.
    *((x, broken("snapshots_before_condemned")) for x in (s.backup_and_forget, s.duplicates)),
    # The index then tells of packs that are gone, which nobody relies upon.
    *((x, broken("remove_before_delete")) for x in (s.duplicates, s.consolidation, s.restore)),
    # Who finds no `.waits` lists the sessions; who finds it may as well.
    *((x, broken("waits_first")) for x in (s.nothing_stored, s.two_reclaims, s.duplicates)),
    *((x, broken("adopt_by_waits")) for x in (s.nothing_stored, s.duplicates)),
    # The wait sees to it: who began before is over, who began after uses nothing condemned.
    *((scenario, broken("keep_source")) for scenario in (s.rewrite, s.vouched_rewrite)),
    *((scenario, broken("keep_source")) for scenario in (s.chain, s.vouched_chain)),
    # Never dropping a removal record is safe, and grows.
    (s.repeated_pack_straggler, broken(keep_removed="always")),
]


@pytest.mark.parametrize(("scenario", "rules"), SPARE, ids=_label)
def test_a_rule_is_defence_in_depth(scenario: s.Scenario, rules: Rules) -> None:
    result = explore(scenario, rules, STATES)
    assert result.trace is None, str(result)


def test_every_rule_was_judged() -> None:
    judged = {
        name
        for _, rules in NEEDED + SPARE
        for name in (field.name for field in fields(Rules))
        if getattr(rules, name) != getattr(Rules(), name)
    }
    assert judged == {field.name for field in fields(Rules)}


def test_no_step_of_the_model_is_dead() -> None:
    met = [s.backup_and_forget, s.duplicates, s.repeated_commit, s.consolidation, s.undelete]
    met += [s.chain, s.restore, s.repeated_rescue, s.repaired_index, s.nothing_stored]
    met += [s.repeated_pack_straggler, s.two_consolidations]
    taken: set[tuple[str, str]] = set()
    there: set[tuple[str, str]] = set()
    for scenario in met:
        actors, _ = scenario(Rules())
        kinds = {actor.name: _kind(actor) for actor in actors}
        there |= {(_kind(actor), step) for actor in actors for step in actor.steps}
        steps = (step.split(".") for step in explore(scenario, Rules(), STATES).steps)
        taken |= {(kinds[name], step) for name, step in steps}
    # Steps that only a broken protocol takes.
    assert there - taken == {("Writer", "end_early"), ("Reclaim", "take_back")}


def _kind(actor: Actor) -> str:
    """Its class, or the one of which it is a variety."""
    return [base.__name__ for base in type(actor).__mro__][-3]
