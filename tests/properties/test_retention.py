"""Retention decides as restic does, whatever the history: as a second, plain implementation does.

`plain_decisions` below follows the prose of restic's rules, one rule after another, each with its
own pass over the snapshots, and shares no code with `holdfast.model`. What differs from restic on
purpose is marked there.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.errors import UsageError
from holdfast.model.record import Record
from holdfast.model.retention import RetentionPolicy
from holdfast.model.select import GroupKey
from holdfast.model.snapshot import Hold, Snapshot
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.testing.layouts import snapshot_of

SECOND = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN, NEW_YORK, LORD_HOWE = map(
    ZoneInfo, ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
)

# ------------------------------------------------------------------ the second implementation


@dataclass
class Line:
    """A snapshot, and why it is kept."""

    snapshot: Snapshot
    wall: datetime
    reasons: list[str]


def nanoseconds(moment: datetime) -> int:
    return round((moment - EPOCH).total_seconds()) * SECOND


def wall_of(snapshot: Snapshot, zone: tzinfo | None) -> datetime:
    whole = EPOCH + timedelta(seconds=snapshot.time_ns // SECOND)
    if zone is not None:
        return whole.astimezone(zone)
    return whole + timedelta(seconds=snapshot.utc_offset)  # what clocks showed, called UTC


def days_in(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def go_back(wall: datetime, years: int, months: int, days: int) -> datetime | None:
    """Subtract as Go does: field by field, then let what is too much run over."""
    year, month, day = wall.year - years, wall.month - months, wall.day - days
    while month < 1:
        year, month = year - 1, month + 12
    while day < 1:
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        if year < 1:
            return None
        day += days_in(year, month)
    while year >= 1 and day > days_in(year, month):
        day -= days_in(year, month)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return wall.replace(year=year, month=month, day=day) if year >= 1 else None


def window(lines: list[Line], length: str, now_ns: int, zone: tzinfo | None) -> set[int]:
    """Which lines began strictly after ``latest - length``."""
    past = [number for number, line in enumerate(lines) if line.snapshot.time_ns < now_ns]
    if not past:
        return set(range(len(lines)))
    latest = lines[past[0]]
    size = {unit: int(number) for number, unit in re.findall("([0-9]+)([a-z])", length)}
    then = go_back(latest.wall, size.get("y", 0), size.get("m", 0), size.get("d", 0))
    if then is None:
        return set(range(len(lines)))
    then_ns = nanoseconds(then)
    if zone is None:
        then_ns -= latest.snapshot.utc_offset * SECOND
    then_ns -= size.get("h", 0) * 3600 * SECOND
    return {number for number, line in enumerate(lines) if line.snapshot.time_ns > then_ns}


BUCKETS: dict[str, Callable[[datetime], str]] = {
    "hourly": lambda wall: f"{wall:%Y-%m-%d %H}",
    "daily": lambda wall: f"{wall:%Y-%m-%d}",
    "weekly": lambda wall: f"{wall:%G-%V}",
    "monthly": lambda wall: f"{wall:%Y-%m}",
    "yearly": lambda wall: f"{wall:%Y}",
}


def walk(
    lines: list[Line], name: str, words: str, count: int, inside: set[int] | None = None
) -> None:
    """One rule, from the newest to the oldest: a new bucket, or the oldest of all."""
    last_kept = None
    for number, line in enumerate(lines):
        if count == 0 or (inside is not None and number not in inside):
            continue
        value = BUCKETS[name](line.wall) if name in BUCKETS else str(number)
        if value != last_kept:
            line.reasons.append(words)
        elif line is lines[-1]:
            line.reasons.append(f"oldest {words}")
        else:
            continue
        last_kept = value
        if count > 0:
            count -= 1


def plain_group(
    policy: RetentionPolicy, group: list[Snapshot], now_ns: int, zone: tzinfo | None
) -> dict[str, list[str]]:
    # restic leaves those of one instant as they come; holdfast has the largest id first.
    by_id = sorted(group, key=lambda each: each.id, reverse=True)
    newest_first = sorted(by_id, key=lambda each: each.time_ns, reverse=True)
    every = [Line(each, wall_of(each, zone), []) for each in newest_first]
    tagged(every, policy.keep_tags)
    # On purpose not as restic: a snapshot dated in the future is kept, and no rule sees it.
    lines = [line for line in every if line.snapshot.time_ns <= now_ns]
    for line in every:
        if line.snapshot.time_ns > now_ns:
            line.reasons.append("dated in the future")
    timed(lines, policy, now_ns, zone)
    if lines and not any(line.reasons for line in lines):
        raise UsageError("refusing to delete the last snapshot of a group")
    return {line.snapshot.id: line.reasons for line in every}


def tagged(lines: list[Line], tag_lists: Sequence[str]) -> None:
    """The tag rule: one list is had whole, any of the lists is enough."""
    for line in lines:
        for wanted in tag_lists:
            if wanted == "" and not line.snapshot.tags:
                line.reasons.append("has no tags")
            if wanted and all(tag in line.snapshot.tags for tag in wanted.split(",")):
                line.reasons.append(f"has tags {wanted}")


def timed(lines: list[Line], policy: RetentionPolicy, now_ns: int, zone: tzinfo | None) -> None:
    """All rules that look at the time."""
    rules = policy.dict()
    if length := str(rules["keep_within"]):
        for number in window(lines, length, now_ns, zone):
            lines[number].reasons.append(f"within {length}")
    for name in ("last", *BUCKETS):
        count = rules[f"keep_{name}"]
        assert isinstance(count, int)
        walk(lines, name, f"{name} snapshot", count)
    for name in BUCKETS:
        if length := str(rules[f"keep_within_{name}"]):
            inside = window(lines, length, now_ns, zone)
            walk(lines, name, f"{name} within {length}", -1, inside)


def plain_group_of(snapshot: Snapshot, group_by: Sequence[GroupKey]) -> str:
    """Host name, sorted paths and sorted tags, whichever are asked for: restic's key."""
    key: dict[str, object] = {}
    if "host" in group_by:
        key["host"] = snapshot.host
    if "paths" in group_by:
        key["paths"] = sorted(set(snapshot.paths))
    if "tags" in group_by:
        key["tags"] = sorted(set(snapshot.tags))
    return repr(key)


def plain_decisions(
    policy: RetentionPolicy,
    snapshots: list[Snapshot],
    now_ns: int,
    zone: tzinfo | None,
    group_by: Sequence[GroupKey] = ("host", "paths"),
) -> dict[str, list[str]] | None:
    """Why each snapshot is kept, by id; None when the policy is refused."""
    if not any(policy.dict().values()):
        return None
    for wanted in policy.keep_tags:
        tags = set(wanted.split(",")) if wanted else set()
        if not any(tags <= set(each.tags) if tags else not each.tags for each in snapshots):
            return None
    decided: dict[str, list[str]] = {}
    try:
        for key in {plain_group_of(each, group_by) for each in snapshots}:
            group = [each for each in snapshots if plain_group_of(each, group_by) == key]
            decided |= plain_group(policy, group, now_ns, zone)
    except UsageError:
        return None
    return decided


# -------------------------------------------------------------------------- random histories

TURNS = [
    datetime(2020, 12, 31, 23, tzinfo=UTC),  # week 53 of 2020
    datetime(2018, 12, 31, tzinfo=UTC),  # week 1 of 2019
    datetime(2017, 1, 1, 12, tzinfo=UTC),  # week 52 of 2016
    datetime(2024, 2, 29, 1, tzinfo=UTC),
    datetime(2023, 3, 1, tzinfo=UTC),
    datetime(2000, 2, 29, 23, 30, tzinfo=UTC),
    datetime(2021, 3, 28, 1, tzinfo=UTC),  # Berlin turns its clocks forward
    datetime(2021, 10, 31, 1, tzinfo=UTC),  # and back
    datetime(2021, 11, 7, 6, tzinfo=UTC),  # New York
    datetime(2022, 4, 2, 15, tzinfo=UTC),  # Lord Howe, by half an hour
    datetime(1970, 1, 1, tzinfo=UTC),
]
"""Moments at which calendars are hard."""

OFFSETS = [0, 0, 0, 3600, 7200, -18_000, 19_800, 20_700, -43_200, 50_400, 86_400, -86_400]
STEPS = [0, 1, 60, 1800, 3600, 7200, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400]
BESIDE = [0, 0, 0, 1, -1, 1800, -1800, 3600, -3600]
COUNTS = [1, 2, 3, 5, -1]
LENGTHS = ["1h", "25h", "1d", "7d", "1m", "1m1d", "2m2h", "1y5m7d2h", "4y", "9999y"]
TAG_LISTS = [(), (), (), ("a",), ("a,b",), ("b", "a"), ("",), ("", "c")]
TAGS = [(), (), ("a",), ("b",), ("a", "b"), ("a", "b", "c")]

starts = st.sampled_from(TURNS)
moves = st.tuples(
    st.sampled_from(STEPS),
    st.integers(-12, 12),
    st.sampled_from(BESIDE),
    st.sampled_from(OFFSETS),
    st.sampled_from(TAGS),
    st.sampled_from(["a", "a", "a", "b"]),
    st.sampled_from([("/a", "/b"), ("/a", "/b"), ("/b", "/a"), ("/b", "/a", "/b"), ("/a",)]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    """Up to 20 snapshots of two hosts and two sets of paths, near a turn of the calendar."""
    start = nanoseconds(draw(starts))
    return [
        replace(
            snapshot_of(BlobId(bytes(32)), host=host),
            id=SnapshotId(f"{number:032x}"),
            time_ns=start + (step * times + beside) * SECOND,
            utc_offset=offset,
            tags=tags,
            paths=paths,
        )
        for number, (step, times, beside, offset, tags, host, paths) in enumerate(
            draw(st.lists(moves, min_size=1, max_size=20))
        )
    ]


def some_of(names: tuple[str, ...], values: list[int] | list[str]) -> st.SearchStrategy[Record]:
    keys = st.sampled_from([f"keep_{name}" for name in names])
    return st.dictionaries(keys, st.sampled_from(values), max_size=3)


policies = st.builds(
    lambda counts, lengths, tags: RetentionPolicy.parse(counts | lengths | {"keep_tags": tags}),
    some_of(("last", *BUCKETS), COUNTS),
    some_of(("within", *(f"within_{name}" for name in BUCKETS)), LENGTHS),
    st.sampled_from(TAG_LISTS),
)
zones = st.sampled_from([None, None, UTC, BERLIN, NEW_YORK, LORD_HOWE])
groupings: st.SearchStrategy[tuple[GroupKey, ...]] = st.sampled_from(
    [("host", "paths"), ("host", "paths"), (), ("host",), ("paths",), ("tags",), ("tags", "host")]
)


def decide(
    policy: RetentionPolicy,
    snapshots: list[Snapshot],
    now: datetime,
    zone: tzinfo | None,
    group_by: Sequence[GroupKey] = ("host", "paths"),
) -> dict[str, list[str]] | None:
    """Why each snapshot is kept, by id; None when the policy is refused."""
    try:
        groups = policy.apply(snapshots, now=now, timezone=zone, group_by=group_by)
    except UsageError:
        return None
    return {each.snapshot.id: list(each.reasons) for group in groups for each in group.decisions}


@settings(max_examples=examples(2000))
@given(histories(), policies, zones, groupings, st.data())
def test_decisions_are_those_of_the_plain_implementation(
    snapshots: list[Snapshot],
    policy: RetentionPolicy,
    zone: tzinfo | None,
    group_by: tuple[GroupKey, ...],
    data: st.DataObject,
) -> None:
    ends = [max(each.time_ns for each in snapshots) + SECOND]
    now_ns = data.draw(st.sampled_from([*ends * 5, *(each.time_ns for each in snapshots)]))
    now = EPOCH + timedelta(seconds=now_ns // SECOND)
    assert decide(policy, snapshots, now, zone, group_by) == plain_decisions(
        policy, snapshots, now_ns, zone, group_by
    )


def walls(snapshots: list[Snapshot]) -> list[datetime]:
    return [wall_of(each, None) for each in snapshots]


HARD: dict[str, Callable[[list[Snapshot]], bool]] = {
    "a week of another year": lambda known: any(
        wall.isocalendar().year != wall.year for wall in walls(known)
    ),
    "week 53": lambda known: any(wall.isocalendar().week == 53 for wall in walls(known)),
    "one week in two years": lambda known: any(
        a.year != b.year and a.isocalendar()[:2] == b.isocalendar()[:2]
        for a in walls(known)
        for b in walls(known)
    ),
    "equal times": lambda known: len({(e.host, e.paths, e.time_ns) for e in known}) < len(known),
    "a leap day": lambda known: any((wall.month, wall.day) == (2, 29) for wall in walls(known)),
    "one moment on two days": lambda known: any(
        a.time_ns == b.time_ns and wall_of(a, None).date() != wall_of(b, None).date()
        for a in known
        for b in known
    ),
    "later, and earlier on the clock": lambda known: any(
        a.time_ns > b.time_ns and wall_of(a, None) < wall_of(b, None) for a in known for b in known
    ),
    "an hour shown twice": lambda known: any(wall_of(each, BERLIN).fold for each in known),
    "before and after a turn of the clocks": lambda known: (
        len({wall_of(each, NEW_YORK).utcoffset() for each in known}) > 1
    ),
    "a turn by half an hour": lambda known: (
        len({wall_of(each, LORD_HOWE).utcoffset() for each in known}) > 1
    ),
}


def test_what_is_hard_about_calendars_is_in_many_histories() -> None:
    met = dict.fromkeys(HARD, 0)

    @settings(max_examples=400, database=None)
    @given(histories())
    def count(snapshots: list[Snapshot]) -> None:
        for what, is_in in HARD.items():
            met[what] += is_in(snapshots)

    count()
    assert min(met.values()) >= 10, met


@settings(max_examples=examples(600))
@given(
    starts,
    st.integers(0, 72),
    st.sampled_from([("24h", 24), ("1d", 24), ("1d1h", 25), ("2d", 48), ("36h", 36)]),
    st.integers(-3, 3),
    st.sampled_from([None, BERLIN, NEW_YORK, LORD_HOWE]),
)
def test_durations_reach_as_far_across_a_turn_of_the_clocks(
    turn: datetime, after: int, length: tuple[str, int], beside: int, zone: tzinfo | None
) -> None:
    text, hours = length
    newest = nanoseconds(turn) + after * 1800 * SECOND
    edge = newest - (hours * 2 - beside) * 1800 * SECOND
    snapshots = [
        replace(snapshot_of(BlobId(bytes(32)), number), time_ns=time_ns)
        for number, time_ns in enumerate((newest, edge, edge + SECOND), start=1)
    ]
    policy = RetentionPolicy(keep_within=text)
    now_ns = newest + 7 * 86_400 * SECOND
    now = EPOCH + timedelta(seconds=now_ns // SECOND)
    assert decide(policy, snapshots, now, zone) == plain_decisions(policy, snapshots, now_ns, zone)


@settings(max_examples=examples(200))
@given(histories(), policies, st.data())
def test_the_order_in_which_snapshots_come_does_not_matter(
    snapshots: list[Snapshot], policy: RetentionPolicy, data: st.DataObject
) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    shuffled = data.draw(st.permutations(snapshots))
    assert decide(policy, shuffled, now, None) == decide(policy, snapshots, now, None)


@given(policies)
def test_a_policy_is_read_back_from_its_dictionary(policy: RetentionPolicy) -> None:
    assert RetentionPolicy.parse(policy.dict()) == policy


@settings(max_examples=examples(200))
@given(histories(), policies, st.sets(st.integers(0, 19)))
def test_a_protected_snapshot_stays_and_changes_nothing_else(
    snapshots: list[Snapshot], policy: RetentionPolicy, chosen: set[int]
) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    before = decide(policy, snapshots, now, None)
    protected = {SnapshotId(f"{number:032x}"): "court order" for number in chosen}
    holds = (Hold("court order"),)
    held = [replace(each, holds=holds) if each.id in protected else each for each in snapshots]
    if before is None:
        return
    for groups in (
        policy.apply(snapshots, now=now, protected=protected),
        policy.apply(held, now=now),
    ):
        for decision in (each for group in groups for each in group.decisions):
            why = ["protected: court order"] * (decision.snapshot.id in protected)
            assert list(decision.reasons) == why + before[decision.snapshot.id]
            assert decision.keep == bool(decision.reasons)
