"""Which packs a prune chooses."""

from __future__ import annotations

import pytest

from holdfast.errors import UsageError
from holdfast.operations.prune import MaxUnused, PruneOptions
from holdfast.operations.prune.plan import FEW, Plan, make_plan
from holdfast.operations.prune.survey import PackUse, Survey
from holdfast.primitives.ids import PackName
from holdfast.store import Kind, Marks, PackRow, Table

PACK_SIZE = 1000
MIB = 1 << 20


def pack(number: int, session: str = "00000000") -> PackName:
    return PackName(f"{number:064x}-{session}")


def survey(*uses: PackUse, **more: int) -> Survey:
    """What a prune goes by: these packs, and ones that no index object tells of."""
    table = Table()
    listed = {use.row.name: use.row.size for use in uses}
    leftovers = {PackName(name): size for name, size in more.items()}
    numbered = dict(enumerate(uses))
    return Survey(
        table, Marks(table), {}, listed | leftovers, frozenset(), frozenset(), numbered, leftovers
    )


def use(
    number: int,
    used: int,
    stored: int = PACK_SIZE,
    kind: Kind = Kind.DATA,
    session: str = "00000000",
    epoch: int = 0,
) -> PackUse:
    return PackUse(PackRow(pack(number, session), b"", stored), kind, epoch, stored, used)


def plan(
    found: Survey, max_unused: str | int = "5%", *, old: bool = False, room: int | None = None
) -> Plan:
    options = PruneOptions(about={}, max_unused=MaxUnused.parse(max_unused), max_repack_size=room)
    return make_plan(found, options, PACK_SIZE, lambda use: old and use.epoch == 0)


def repacked(made: Plan) -> list[PackName]:
    return [each.row.name for each in made.repack]


def test_a_pack_of_which_nothing_is_needed_goes_and_a_full_one_stays() -> None:
    made = plan(survey(use(1, 0), use(2, 1000)))
    assert made.unneeded == {pack(1): 1000}
    assert made.repack == ()
    assert (made.used, made.unused, made.unused_left) == (1000, 1000, 0)


def test_the_emptiest_packs_are_stored_anew_until_little_enough_is_unneeded() -> None:
    found = survey(use(1, 900), use(2, 100), use(3, 990), use(4, 500))
    # 2490 are needed, so 131 may stay: without packs 2 and 4 it is 110.
    made = plan(found)
    assert repacked(made) == [pack(2), pack(4)]
    assert made.unused_left == 110
    assert made.candidates == {pack(2), pack(4)}


def test_nothing_unneeded_may_stay() -> None:
    assert set(repacked(plan(survey(use(1, 999), use(2, 1000)), 0))) == {pack(1)}


def test_any_amount_may_stay() -> None:
    assert repacked(plan(survey(use(1, 1), use(2, 1000)), "unlimited")) == []


def test_a_size_may_stay() -> None:
    found = survey(use(1, 500), use(2, 700), use(3, 1000))
    assert repacked(plan(found, 799)) == [pack(1)]
    assert repacked(plan(found, 800)) == []


def test_no_more_is_stored_anew_than_there_is_to_be() -> None:
    found = survey(use(1, 100), use(2, 200), use(3, 300))
    made = plan(found, 0, room=300)
    assert repacked(made) == [pack(1), pack(2)]
    assert sum(each.used for each in made.repack) == 300


def test_packs_of_sessions_at_work_are_let_alone() -> None:
    live = "12345678"
    found = survey(use(1, 0, session=live), use(2, 1, session=live), use(3, 0))
    found.leftovers[pack(4, live)] = 10
    found.live = frozenset({live})
    made = plan(found, 0)
    assert made.candidates == {pack(3)}


def test_what_no_index_object_tells_of_goes() -> None:
    made = plan(survey(use(1, 1000), **{pack(7): 123}))
    assert made.unneeded == {pack(7): 123}


def test_what_others_condemned_is_not_condemned_again() -> None:
    found = survey(use(1, 1000), **{pack(7): 123})
    found.condemned = frozenset({pack(7)})
    assert not plan(found).candidates


def test_packs_of_an_older_epoch_are_stored_anew() -> None:
    found = survey(use(1, 1000, epoch=0), use(2, 1000, epoch=1))
    assert repacked(plan(found, old=True)) == [pack(1)]


@pytest.mark.parametrize(("count", "merged"), [(FEW, 0), (FEW + 1, FEW + 1)])
def test_many_small_packs_are_merged(count: int, merged: int) -> None:
    small = [use(number, 10, 10) for number in range(count)]
    trees = [use(100 + number, 10, 10, Kind.TREE) for number in range(2)]
    made = plan(survey(*small, *trees, use(200, 1000)))
    assert len(made.repack) == merged
    assert all(each.kind == Kind.DATA for each in made.repack)


@pytest.mark.parametrize(
    ("given", "used", "bytes_"),
    [
        ("5%", 950, 50),
        ("0%", 950, 0),
        ("50 %", 100, 100),
        (0, 100, 0),
        ("10M", 1, 10 * MIB),
        ("1.5KiB", 1, 1536),
        ("unlimited", 1, float("inf")),
    ],
)
def test_how_much_may_stay(given: str | int, used: int, bytes_: float) -> None:
    assert MaxUnused.parse(given).bytes(used) == pytest.approx(bytes_)


@pytest.mark.parametrize("given", ["", "100%", "-1", "-5%", "5 percent", "many", "1e9"])
def test_what_says_no_amount_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="neither a share"):
        MaxUnused.parse(given)
