from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest

from holdfast.errors import UsageError
from holdfast.model.policy import PRESETS
from holdfast.model.retention import RetentionGroup, RetentionPolicy
from holdfast.model.select import GroupKey
from holdfast.model.snapshot import Snapshot
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.testing.layouts import snapshot_of

TREE = BlobId(bytes(32))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ALL_RULES = {
    "keep_last": 1,
    "keep_hourly": 2,
    "keep_daily": 3,
    "keep_weekly": 4,
    "keep_monthly": 5,
    "keep_yearly": -1,
    "keep_within": "1y5m7d2h",
    "keep_within_hourly": "2h",
    "keep_within_daily": "7d",
    "keep_within_weekly": "1m",
    "keep_within_monthly": "1y",
    "keep_within_yearly": "75y",
    "keep_tags": ["legal", "pii,hold"],
}


def taken(when: str, number: int = 1, *tags: str, host: str = "host") -> Snapshot:
    """A snapshot begun then, with the offset that is written there."""
    moment = datetime.fromisoformat(when)
    offset = moment.utcoffset() or timedelta()
    return replace(
        snapshot_of(TREE, number, host),
        time_ns=(moment.replace(tzinfo=UTC) - offset - EPOCH) // timedelta(microseconds=1) * 1000,
        utc_offset=int(offset.total_seconds()),
        tags=tags,
    )


def history(*times: str) -> list[Snapshot]:
    """Snapshots begun then, with the ids 1, 2, ..."""
    return [taken(when, number) for number, when in enumerate(times, start=1)]


def only(groups: list[RetentionGroup]) -> RetentionGroup:
    (group,) = groups
    return group


def kept(
    policy: RetentionPolicy,
    snapshots: Sequence[Snapshot],
    now: datetime = LATER,
    zone: tzinfo | None = None,
) -> list[str]:
    """The times of what is kept, as the clocks there showed them, the newest first."""
    group = only(policy.apply(snapshots, now=now, timezone=zone))
    return [
        (each.snapshot.time + timedelta(seconds=each.snapshot.utc_offset)).strftime(
            "%Y-%m-%d %H:%M"
        )
        for each in group.decisions
        if each.keep
    ]


def why(policy: RetentionPolicy, snapshots: Sequence[Snapshot]) -> dict[int, tuple[str, ...]]:
    """The reasons by the number of each snapshot."""
    group = only(policy.apply(snapshots, now=LATER))
    return {int(each.snapshot.id, 16): each.reasons for each in group.decisions}


# ---------------------------------------------------------------------------- counted rules


def test_the_last_ones_are_kept() -> None:
    known = history("2024-05-01 10:00", "2024-05-01 10:01", "2024-05-01 10:02")
    assert why(RetentionPolicy(keep_last=2), known) == {
        3: ("last snapshot",),
        2: ("last snapshot",),
        1: (),
    }


def test_the_newest_of_each_hour_day_month_and_year() -> None:
    known = history(
        "2022-12-31 23:00",
        "2023-12-30 10:00",
        "2023-12-31 10:10",
        "2023-12-31 10:50",
        "2023-12-31 11:00",
        "2024-01-01 00:00",
    )
    newest = "2024-01-01 00:00"
    assert kept(RetentionPolicy(keep_hourly=3), known) == [
        newest,
        "2023-12-31 11:00",
        "2023-12-31 10:50",
    ]
    assert kept(RetentionPolicy(keep_daily=3), known) == [
        newest,
        "2023-12-31 11:00",
        "2023-12-30 10:00",
    ]
    assert kept(RetentionPolicy(keep_monthly=2), known) == [newest, "2023-12-31 11:00"]
    assert kept(RetentionPolicy(keep_yearly=2), known) == [newest, "2023-12-31 11:00"]


def test_only_periods_that_have_snapshots_count() -> None:
    known = history("2010-01-01", "2015-06-01", "2024-01-01", "2024-01-02")
    assert kept(RetentionPolicy(keep_daily=3), known) == [
        "2024-01-02 00:00",
        "2024-01-01 00:00",
        "2015-06-01 00:00",
    ]


def test_one_snapshot_uses_up_a_slot_of_every_rule() -> None:
    known = history("2024-05-01", "2024-05-02", "2024-05-03")
    policy = RetentionPolicy(keep_last=1, keep_daily=1, keep_weekly=1, keep_monthly=1)
    assert why(policy, known) == {
        3: ("last snapshot", "daily snapshot", "weekly snapshot", "monthly snapshot"),
        2: (),
        1: (),
    }


def test_without_a_limit_every_period_is_kept() -> None:
    known = history("2020-01-01 08:00", "2020-01-01 09:00", "2021-01-01", "2022-01-01")
    assert len(kept(RetentionPolicy(keep_last=-1), known)) == 4
    assert kept(RetentionPolicy(keep_daily=-1), known[1:]) == [
        "2022-01-01 00:00",
        "2021-01-01 00:00",
        "2020-01-01 09:00",
    ]


def test_the_oldest_is_kept_by_every_rule_that_has_slots_left() -> None:
    one_day = history("2024-05-01 08:00", "2024-05-01 12:00", "2024-05-01 20:00")
    policy = RetentionPolicy(keep_daily=2, keep_weekly=1, keep_monthly=-1)
    assert why(policy, one_day) == {
        3: ("daily snapshot", "weekly snapshot", "monthly snapshot"),
        2: (),
        1: ("oldest daily snapshot", "oldest monthly snapshot"),
    }


def test_the_oldest_is_no_more_than_a_new_period_once_there_is_an_earlier_day() -> None:
    known = history("2024-04-30 07:00", "2024-05-01 08:00", "2024-05-01 20:00")
    assert why(RetentionPolicy(keep_daily=2), known) == {
        3: ("daily snapshot",),
        2: (),
        1: ("daily snapshot",),
    }


# ------------------------------------------------------------------------------- the calendar


@pytest.mark.fault(30)
def test_weeks_around_new_year_are_those_of_iso_8601() -> None:
    week_53_of_2020 = ["2020-12-28", "2020-12-31", "2021-01-01", "2021-01-03"]
    known = history("2020-12-27", *week_53_of_2020, "2021-01-04")
    assert kept(RetentionPolicy(keep_weekly=3), known) == [
        "2021-01-04 00:00",
        "2021-01-03 00:00",
        "2020-12-27 00:00",
    ]
    week_1_of_2019 = ["2018-12-31", "2019-01-06"]
    three_weeks = ["2019-02-04", "2019-02-11", "2019-02-17", "2019-02-18"]
    assert kept(RetentionPolicy(keep_weekly=4), history(*three_weeks)) == [
        "2019-02-18 00:00",
        "2019-02-17 00:00",
        "2019-02-04 00:00",
    ]
    assert kept(RetentionPolicy(keep_weekly=1), history(*week_1_of_2019)) == ["2019-01-06 00:00"]


def test_weeks_and_months_of_one_number_in_two_years_are_two() -> None:
    known = history("2017-06-01", "2018-01-01", "2018-12-31", "2019-01-01")
    assert kept(RetentionPolicy(keep_weekly=2), known) == ["2019-01-01 00:00", "2018-01-01 00:00"]
    known = history("2017-06-01", "2018-01-01", "2019-01-01")
    assert kept(RetentionPolicy(keep_monthly=2), known) == ["2019-01-01 00:00", "2018-01-01 00:00"]


@pytest.mark.fault(30)
def test_of_equal_times_the_largest_id_is_the_newest() -> None:
    known = history(*["2024-05-01"] * 4)
    assert why(RetentionPolicy(keep_last=1), known) == {4: ("last snapshot",), 3: (), 2: (), 1: ()}
    assert why(RetentionPolicy(keep_daily=2), known) == {
        4: ("daily snapshot",),
        3: (),
        2: (),
        1: ("oldest daily snapshot",),
    }


@pytest.mark.fault(30)
def test_a_leap_day_is_a_day_of_february() -> None:
    known = history("2024-01-31", "2024-02-28", "2024-02-29", "2024-03-01")
    assert kept(RetentionPolicy(keep_daily=2), known) == ["2024-03-01 00:00", "2024-02-29 00:00"]
    assert kept(RetentionPolicy(keep_monthly=2), known) == ["2024-03-01 00:00", "2024-02-29 00:00"]


def test_periods_are_counted_where_each_snapshot_was_made() -> None:
    known = history("2024-05-01T23:30-05:00", "2024-05-02T04:40+00:00")
    assert known[1].time_ns - known[0].time_ns == 600 * 10**9
    assert len(kept(RetentionPolicy(keep_daily=2), known)) == 2
    assert kept(RetentionPolicy(keep_daily=1), known) == ["2024-05-02 04:40"]
    tokyo = history("2024-05-01T23:59+09:00", "2024-05-01T00:10-10:00", "2024-05-02T00:10+09:00")
    assert why(RetentionPolicy(keep_daily=3), tokyo) == {
        3: ("daily snapshot",),
        1: ("daily snapshot",),
        2: ("oldest daily snapshot",),
    }


def test_periods_may_be_counted_in_one_zone() -> None:
    known = history("2024-05-01T22:30+00:00", "2024-05-01T23:30+00:00", "2024-05-02T08:00+00:00")
    policy = RetentionPolicy(keep_daily=1, keep_hourly=1)
    assert kept(RetentionPolicy(keep_daily=2), known) == ["2024-05-02 08:00", "2024-05-01 23:30"]
    assert kept(RetentionPolicy(keep_daily=2), known, zone=BERLIN) == [
        "2024-05-02 08:00",
        "2024-05-01 22:30",  # the oldest: all three are of one day there
    ]
    assert kept(policy, known, zone=timezone(timedelta(hours=-9))) == ["2024-05-02 08:00"]


@pytest.mark.fault(29)
def test_an_hour_that_clocks_show_twice_is_one_hour() -> None:
    in_utc = history("2021-10-31T00:30+00:00", "2021-10-31T01:20+00:00", "2021-10-31T02:10+00:00")
    assert kept(RetentionPolicy(keep_hourly=2), [*in_utc, taken("2021-10-30", 9)], zone=BERLIN) == [
        "2021-10-31 02:10",
        "2021-10-31 01:20",
    ]
    as_stored = history("2021-10-31T02:30+02:00", "2021-10-31T02:20+01:00")
    assert kept(RetentionPolicy(keep_hourly=-1), [taken("2021-10-30", 9), *as_stored])[0:2] == [
        "2021-10-31 02:20",
        "2021-10-30 00:00",
    ]


def test_an_offset_of_a_whole_day_is_understood() -> None:
    known = [replace(each, utc_offset=86_400) for each in history("2024-05-01", "2024-05-02")]
    policy = RetentionPolicy(keep_daily=1, keep_within_daily="1d")
    assert kept(policy, known) == ["2024-05-03 00:00"]


@pytest.mark.parametrize("time_ns", [-(1 << 63), (1 << 63) - 1])
def test_the_first_and_the_last_time_there_is(time_ns: int) -> None:
    known = [replace(taken("2024-05-01"), time_ns=time_ns, utc_offset=-86_400)]
    policy = RetentionPolicy(keep_weekly=1, keep_within="600y", keep_within_yearly="9999y")
    now = datetime(2500, 1, 1, tzinfo=UTC)
    assert len(kept(policy, known, now=now)) == 1
    assert len(kept(policy, known, now=now, zone=BERLIN)) == 1
    assert len(kept(RetentionPolicy(keep_last=1), known, now=now)) == 1


# ---------------------------------------------------------------------------- within a duration


def test_all_within_a_duration_of_the_newest_are_kept() -> None:
    known = history("2024-04-30 12:00", "2024-04-30 12:01", "2024-05-01 09:00", "2024-05-01 12:00")
    assert why(RetentionPolicy(keep_within="1d"), known) == {
        4: ("within 1d",),
        3: ("within 1d",),
        2: ("within 1d",),
        1: (),  # exactly a day before is not within it
    }


@pytest.mark.parametrize(
    ("newest", "length", "beginning"),
    [
        ("2024-05-10 12:00", "1y5m7d2h", "2022-12-03 10:00"),
        ("2024-05-10 12:00", "2h7d5m1y", "2022-12-03 10:00"),
        ("2023-03-31 12:00", "1m", "2023-03-03 12:00"),  # 31 February runs over
        ("2024-03-31 12:00", "1m", "2024-03-02 12:00"),
        ("2024-02-29 12:00", "1y", "2023-03-01 12:00"),
        ("2024-02-29 12:00", "4y", "2020-02-29 12:00"),
        ("2023-03-31 12:00", "1m1d", "2023-03-02 12:00"),
        ("2024-01-15 00:00", "1m", "2023-12-15 00:00"),
        ("2024-01-15 00:00", "25m", "2021-12-15 00:00"),
        ("2024-01-01 00:00", "366d", "2022-12-31 00:00"),
        ("2024-01-01 00:00", "1h", "2023-12-31 23:00"),
    ],
)
def test_years_months_and_days_are_counted_on_the_calendar(
    newest: str, length: str, beginning: str
) -> None:
    at = taken(beginning, 1)
    after = replace(taken(beginning, 2), time_ns=at.time_ns + 1)
    known = [at, after, taken(newest, 3)]
    assert [
        number
        for number, reasons in why(RetentionPolicy(keep_within=length), known).items()
        if reasons
    ] == [3, 2]


def test_days_are_counted_on_the_clock_and_hours_as_they_pass() -> None:
    # Clocks in Berlin went forward on 31 March 2024, from 02:00 to 03:00.
    newest = taken("2024-03-31T12:00+02:00", 9)
    a_day_before = taken("2024-03-30T12:00+01:00", 1)
    known = [a_day_before, taken("2024-03-30T12:30+01:00", 2), newest]
    assert len(kept(RetentionPolicy(keep_within="1d"), known, LATER, BERLIN)) == 2
    assert len(kept(RetentionPolicy(keep_within="24h"), known, LATER, BERLIN)) == 3
    assert len(kept(RetentionPolicy(keep_within="1d"), known)) == 3  # in the newest's own offset


def test_hours_before_a_moment_that_clocks_show_twice() -> None:
    # 02:30 for the second time; an hour before is 02:30 for the first.
    known = history("2021-10-31T00:30+00:00", "2021-10-31T00:31+00:00", "2021-10-31T01:30+00:00")
    assert kept(RetentionPolicy(keep_within="1h"), known, zone=BERLIN) == [
        "2021-10-31 01:30",
        "2021-10-31 00:31",
    ]


def test_a_duration_that_reaches_before_all_time_keeps_all() -> None:
    known = history("1900-01-01", "2024-05-01")
    for length in ("2024y", "9999y", "999999999y999999999d", "999999999d"):
        assert len(kept(RetentionPolicy(keep_within=length), known)) == 2


def test_the_newest_of_each_period_within_a_duration() -> None:
    known = history(
        "2023-12-31 10:00",
        "2024-04-30 10:00",
        "2024-04-30 11:00",
        "2024-05-01 10:00",
        "2024-05-01 10:30",
        "2024-05-02 10:00",
    )
    cases = {
        "hourly": ["2024-05-02 10:00", "2024-05-01 10:30", "2024-04-30 11:00"],
        "daily": ["2024-05-02 10:00", "2024-05-01 10:30", "2024-04-30 11:00"],
        "weekly": ["2024-05-02 10:00"],
        "monthly": ["2024-05-02 10:00", "2024-04-30 11:00"],
        "yearly": ["2024-05-02 10:00"],
    }
    for period, times in cases.items():
        policy = RetentionPolicy.parse({f"keep_within_{period}": "2d"})
        assert kept(policy, known)[: len(times)] == times
        expected = 3 if period == "hourly" else len(times)
        assert len(kept(policy, known)) == expected


def test_the_oldest_is_kept_if_it_is_within_the_duration() -> None:
    known = history("2024-05-01 08:00", "2024-05-01 12:00", "2024-05-01 20:00")
    assert why(RetentionPolicy(keep_within_daily="13h"), known) == {
        3: ("daily within 13h",),
        2: (),
        1: ("oldest daily within 13h",),
    }
    assert why(RetentionPolicy(keep_within_daily="10h"), known)[1] == ()


# -------------------------------------------------------------------------------------- tags


def test_snapshots_with_certain_tags_are_kept() -> None:
    known = [
        taken("2024-05-01", 1, "legal"),
        taken("2024-05-02", 2, "pii", "hold", "more"),
        taken("2024-05-03", 3, "pii"),
        taken("2024-05-04", 4),
    ]
    assert why(RetentionPolicy(keep_tags=["legal", "pii, hold"]), known) == {
        4: (),
        3: (),
        2: ("has tags pii,hold",),
        1: ("has tags legal",),
    }
    assert why(RetentionPolicy(keep_tags=[""]), known) == {4: ("has no tags",), 3: (), 2: (), 1: ()}


def test_a_tag_uses_up_no_slot_of_its_own_but_the_snapshot_counts() -> None:
    known = [taken("2024-05-01", 1), taken("2024-05-02", 2, "legal"), taken("2024-05-03", 3)]
    policy = RetentionPolicy(keep_last=2, keep_tags=("legal",))
    assert why(policy, known) == {
        3: ("last snapshot",),
        2: ("has tags legal", "last snapshot"),
        1: (),
    }


@pytest.mark.fault(30)
def test_a_tag_that_no_snapshot_has_is_refused() -> None:
    known = [taken("2024-05-01", 1, "legal"), taken("2024-05-02", 2, "pii")]
    with pytest.raises(UsageError, match=r"'leagl' matches no snapshot: did you mean 'legal'\?"):
        RetentionPolicy(keep_last=1, keep_tags=["leagl"]).apply(known)
    with pytest.raises(UsageError, match=r"'legal,pii' matches no snapshot; nothing is removed"):
        RetentionPolicy(keep_last=1, keep_tags=["legal,pii"]).apply(known)
    with pytest.raises(UsageError, match=r"'' matches no snapshot"):
        RetentionPolicy(keep_last=1, keep_tags=[""]).apply(known)


# ------------------------------------------------------------------------------------- groups


def test_each_group_is_judged_for_itself() -> None:
    known = [
        taken("2024-05-01", 1, host="b"),
        taken("2024-05-02", 2, host="a"),
        taken("2024-05-03", 3, host="b"),
        replace(taken("2024-05-04", 4, host="a"), paths=("/data/",)),
        replace(taken("2024-05-05", 5, host="a"), paths=("/etc", "/data")),
        replace(taken("2024-05-06", 6, host="a"), paths=("/data", "/etc")),
    ]
    groups = RetentionPolicy(keep_last=1).apply(known)
    assert [(each.host, each.paths, each.tags) for each in groups] == [
        ("a", ("/data", "/etc"), None),
        ("a", ("/data/",), None),
        ("b", ("/data",), None),
    ]
    assert [[each.keep for each in group.decisions] for group in groups] == [[True, False]] * 3


@pytest.mark.parametrize(
    ("group_by", "sizes"),
    [((), [4]), (("host",), [2, 2]), (("tags",), [1, 3]), (("host", "tags"), [2, 1, 1])],
)
def test_groups_are_made_by_what_is_asked_for(
    group_by: tuple[GroupKey, ...], sizes: list[int]
) -> None:
    known = [
        taken("2024-05-01", 1, "x", "y", host="a"),
        taken("2024-05-02", 2, "y", "x", host="a"),
        taken("2024-05-03", 3, "x", "y", host="b"),
        taken("2024-05-04", 4, host="b"),
    ]
    groups = RetentionPolicy(keep_last=1).apply(known, group_by=group_by)
    assert [len(group.decisions) for group in groups] == sizes


def test_without_snapshots_there_are_no_groups() -> None:
    assert RetentionPolicy(keep_last=1, keep_tags=["legal"]).apply([]) == []


@pytest.mark.fault(30)
def test_an_empty_policy_removes_nothing_and_says_so() -> None:
    for policy in (RetentionPolicy(), RetentionPolicy(keep_within="0d"), RetentionPolicy.parse({})):
        with pytest.raises(UsageError, match="has no rule, so nothing is removed"):
            policy.apply(history("2024-05-01"))


@pytest.mark.fault(30)
def test_a_policy_that_would_empty_a_group_is_refused() -> None:
    known = [
        taken("2024-05-01", 1, "legal", host="a"),
        replace(taken("2024-05-02", 2, host="b"), paths=("/a\udcff",)),
    ]
    policy = RetentionPolicy(keep_tags=["legal"])
    with pytest.raises(
        UsageError, match=r"every snapshot of a group \(host b; paths /a\\xff\), so"
    ):
        policy.apply(known)
    with pytest.raises(UsageError, match=r"\(tags \)"):
        policy.apply(known, group_by=("tags",))
    assert kept(RetentionPolicy(keep_tags=["legal"]), known[:1]) == ["2024-05-01 00:00"]
    (group,) = policy.apply(known, group_by=())
    assert str(group) == "all snapshots"


# ---------------------------------------------------------------- the future, and protection


def test_a_snapshot_dated_in_the_future_is_kept_and_uses_up_no_slot() -> None:
    known = history("2024-05-01", "2024-05-02", "2024-05-03", "2044-01-01")
    now = datetime(2024, 5, 4, tzinfo=UTC)
    groups = RetentionPolicy(keep_last=1, keep_within="25h").apply(known, now=now)
    assert [each.reasons for each in only(groups).decisions] == [
        ("dated in the future",),
        ("within 25h", "last snapshot"),
        ("within 25h",),
        (),
    ]


def test_what_is_dated_in_the_future_saves_no_group_from_being_emptied() -> None:
    known = [taken("2024-05-01", 1), taken("2044-01-01", 2, "legal")]
    with pytest.raises(UsageError, match="every snapshot of a group"):
        RetentionPolicy(keep_tags=["legal"]).apply(known, now=datetime(2024, 5, 4, tzinfo=UTC))


def test_a_group_all_of_the_future_stays() -> None:
    known = history("2044-01-01", "2044-01-02")
    now = datetime(2024, 5, 4, tzinfo=UTC)
    assert len(kept(RetentionPolicy(keep_last=1), known, now=now)) == 2


def test_a_snapshot_begun_right_now_is_not_the_one_that_durations_are_counted_from() -> None:
    known = history("2024-05-01", "2024-05-02", "2024-05-03")
    now = datetime(2024, 5, 3, tzinfo=UTC)
    assert len(kept(RetentionPolicy(keep_within="25h"), known, now=now)) == 3
    assert len(kept(RetentionPolicy(keep_within="1h"), known, now=now)) == 2
    assert len(kept(RetentionPolicy(keep_within="1h"), known[2:], now=now)) == 1
    assert kept(RetentionPolicy(keep_last=1), known, now=now) == ["2024-05-03 00:00"]


def test_the_time_it_is_decides_what_is_in_the_future_unless_another_is_given() -> None:
    known = history("2024-05-01", "2024-05-02", "2222-01-01")
    group = only(RetentionPolicy(keep_last=1).apply(known))
    assert [each.keep for each in group.decisions] == [True, True, False]


def test_protected_snapshots_stay_until_their_date() -> None:
    known = history("2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04", "2024-05-05")
    now = datetime(2024, 6, 1, 12, tzinfo=UTC)
    ids = [each.id for each in known]
    protected: dict[SnapshotId, str | datetime] = {
        ids[0]: "court order",
        ids[1]: now + timedelta(microseconds=1),
        ids[2]: now,
        ids[3]: "",
        SnapshotId("f" * 32): "of another group, or gone",
    }
    groups = RetentionPolicy(keep_last=1).apply(known, now=now, protected=protected)
    assert [each.reasons for each in only(groups).decisions] == [
        ("last snapshot",),
        ("protected",),
        (),
        ("protected until 2024-06-01T12:00:00.000001+00:00",),
        ("protected: court order",),
    ]


def test_a_protected_snapshot_saves_its_group_and_uses_up_slots() -> None:
    known = [taken("2024-05-01", 1), taken("2024-05-02", 2), taken("2024-05-03", 3, "x", host="b")]
    protected = {known[1].id: "held"}
    groups = RetentionPolicy(keep_tags=["x"]).apply(known, protected=protected)
    assert [[each.keep for each in group.decisions] for group in groups] == [[True], [True, False]]
    groups = RetentionPolicy(keep_last=1).apply(known[:2], protected=protected)
    assert [each.reasons for each in only(groups).decisions] == [
        ("protected: held", "last snapshot"),
        (),
    ]


# ----------------------------------------------------------------------- how policies are written


def test_a_policy_from_a_mapping_and_back() -> None:
    policy = RetentionPolicy.parse(ALL_RULES)
    assert policy.dict() == ALL_RULES
    assert RetentionPolicy.parse(policy.dict()) == policy
    assert RetentionPolicy.parse(json.loads(json.dumps(policy.dict()))) == policy
    assert RetentionPolicy.parse(policy) is policy
    assert hash(policy) == hash(RetentionPolicy.parse(ALL_RULES))
    assert RetentionPolicy.parse({"keep-daily": "7", "keep_last": "unlimited"}) == RetentionPolicy(
        keep_daily=7, keep_last=-1
    )


def test_a_policy_from_a_text() -> None:
    assert RetentionPolicy.parse("keep-daily:7,keep-weekly:4") == RetentionPolicy(
        keep_daily=7, keep_weekly=4
    )
    text = (
        " keep_last : 3 , keep-yearly:unlimited,keep-tags:legal,keep-within-daily:7d, keep-tags:a:b"
    )
    assert RetentionPolicy.parse(text) == RetentionPolicy(
        keep_last=3, keep_yearly=-1, keep_within_daily="7d", keep_tags=["legal", "a:b"]
    )


def test_the_presets() -> None:
    assert {name: RetentionPolicy.parse(name) for name in PRESETS} == {
        "standard": RetentionPolicy(
            keep_last=5, keep_daily=7, keep_weekly=4, keep_monthly=12, keep_yearly=3
        ),
        "aggressive": RetentionPolicy(keep_last=3, keep_daily=3, keep_weekly=2, keep_monthly=6),
        "long_term": RetentionPolicy(
            keep_daily=30, keep_weekly=52, keep_monthly=60, keep_yearly=10
        ),
        "compliance_7_year": RetentionPolicy(keep_within="7y"),
        "gfs": RetentionPolicy(keep_daily=7, keep_weekly=4, keep_monthly=12),
    }
    assert RetentionPolicy.parse("long-term") == RetentionPolicy.parse("long_term")


def test_nothing_younger_than_seven_years_goes_by_the_compliance_preset() -> None:
    known = history("2017-05-01", "2017-05-02", "2020-02-29", "2024-05-01")
    assert len(kept(RetentionPolicy.parse("compliance_7_year"), known)) == 3


def test_values_are_put_in_one_form_and_policies_do_not_change() -> None:
    policy = RetentionPolicy(keep_within=" 2h1y0d ", keep_tags="legal , hold")
    assert policy.keep_within == "1y2h"
    assert policy.keep_tags == ("legal,hold",)
    assert RetentionPolicy(1, 2, 3, 4, 5, 6) == RetentionPolicy(
        keep_last=1, keep_hourly=2, keep_daily=3, keep_weekly=4, keep_monthly=5, keep_yearly=6
    )
    with pytest.raises(FrozenInstanceError):
        policy.keep_last = 1  # type: ignore[misc]  # what a caller must not do


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("standrad", "neither a rule such as keep-daily:7 nor a preset: did you mean 'standard'?"),
        ("nightly", "'nightly' is neither a rule such as keep-daily:7 nor a preset: there are sta"),
        ("keep-daly:7", "there is no rule 'keep-daly': did you mean 'keep-daily'?"),
        ("daily:7", "there is no rule 'daily': did you mean 'keep_daily'?"),
        ("keep-tag:x", "there is no rule 'keep-tag': did you mean 'keep-tags'?"),
        ("zzz:7", "there is no rule 'zzz': there are keep_last, keep_hourly, "),
        ("keep-daily:7,keep-weekly", "'keep-weekly' is no rule such as keep-daily:7"),
        ("standard,keep-last:1", "'standard' is no rule such as keep-daily:7"),
        ("keep-daily:7,", "'' is no rule"),
        ("keep-within:", "'keep-within:' is no rule"),
        ("", "'' is no rule"),
        ("keep-daily:1,keep-daily:2", "'keep-daily' stands there twice"),
        ("keep-daily:1,keep_daily:2", "'keep_daily' stands there twice"),
        ("keep-daily:7d", "keep_daily: '7d' is no number of snapshots"),
        ("keep-daily:-1", "keep_daily: '-1' is no number of snapshots"),
        ("keep-daily:9999999999", "keep_daily: '9999999999' is no number"),
        ("keep-daily:٣", "is no number of snapshots"),
        ("keep-within:7", "keep_within: '7' is no duration such as 1y5m7d2h"),
        ("keep-within:2w", "keep_within: '2w' is no duration"),
        ("keep-within:-1d", "keep_within: '-1d' is no duration"),
        ("keep-within:1d2d", "keep_within: '1d2d' is no duration"),
        ("keep-within:d", "keep_within: 'd' is no duration"),
        ("keep-within-daily:1d x", "keep_within_daily: '1d x' is no duration"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_policy_is_refused_with_the_wrong_word(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        RetentionPolicy.parse(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"keep_dayly": 7}, "there is no rule 'keep_dayly': did you mean 'keep_daily'?"),
        ({"keep_daily": 7, "keep-daily": 7}, "'keep-daily' stands there twice"),
        ({"keep_daily": -2}, "keep_daily: -2 is no number of snapshots"),
        ({"keep_daily": 7.0}, "keep_daily: 7.0 is no number of snapshots"),
        ({"keep_daily": True}, "keep_daily: True is no number of snapshots"),
        ({"keep_daily": None}, "keep_daily: None is no number of snapshots"),
        ({"keep_within": 7}, "keep_within: 7 is no duration such as 1y5m7d2h"),
        ({"keep_tags": 7}, "keep_tags: 7 is no list of tags"),
        ({"keep_tags": [7]}, "keep_tags: 7 is no tag"),
        ({"keep_tags": " "}, "keep_tags: an empty text"),
    ],
)
def test_a_mapping_that_is_no_policy_is_refused_with_the_wrong_word(
    rules: dict[str, object], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        RetentionPolicy.parse(rules)
    assert problem in str(caught.value)


def test_a_policy_made_in_code_is_checked_too() -> None:
    with pytest.raises(UsageError, match="keep_last: -2 is no number"):
        RetentionPolicy(keep_last=-2)
    with pytest.raises(UsageError, match="keep_within_yearly: '1 year' is no duration"):
        RetentionPolicy(keep_within_yearly="1 year")
