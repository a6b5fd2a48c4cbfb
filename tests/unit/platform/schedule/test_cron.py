"""When jobs are due, against a reference that goes through every minute."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.platform.schedule.reference import MINUTE, Reference, utc

from holdfast.errors import UsageError
from holdfast.platform.schedule import Timing, every_minutes, expression_of
from holdfast.platform.schedule.zone import machine_zone

CHANGES = {
    "Europe/Berlin": [utc(2028, 3, 25), utc(2028, 10, 28)],
    "America/New_York": [utc(2028, 3, 11), utc(2028, 11, 4)],
    "Australia/Lord_Howe": [utc(2028, 4, 1), utc(2028, 9, 30)],
    "America/Havana": [utc(2028, 3, 11), utc(2028, 11, 4)],  # at midnight
    "UTC": [utc(2028, 2, 28), utc(2028, 12, 30)],
}
HARD = (
    "0 */2 * * *", "30 * * * *", "*/10 2 * * *", "*/7 */3 * * *", "20 */4 * * 0", "30 2 * * *",
    "0,30 1,2 * * *", "45 1 * * *", "0 0 * * *", "5 0 * * SUN", "15 0-3 * * *",
)  # fmt: skip


def moments(timing: Timing, begin: datetime, end: datetime) -> list[datetime]:
    found = []
    moment = timing.next_after(begin - MINUTE)
    while moment is not None and moment < end:
        found.append(moment)
        moment = timing.next_after(moment)
    return found


@pytest.mark.parametrize("zone", CHANGES)
def test_r218_jobs_run_right_where_clocks_are_changed(zone: str) -> None:
    for begin, expression in itertools.product(CHANGES[zone], HARD):
        end = begin + timedelta(days=3)
        expected = Reference(expression, zone).moments(begin, end)
        assert moments(Timing(expression, zone), begin, end) == expected, (expression, begin)


def test_r218_a_time_that_the_clock_skips_is_made_up_for_and_one_that_comes_twice_counts_once() -> (
    None
):
    timing = Timing("30 2 * * *", "Europe/Berlin")
    spring = moments(timing, utc(2028, 3, 25), utc(2028, 3, 28))
    assert spring == [utc(2028, 3, 25, 1, 30), utc(2028, 3, 26, 1, 0), utc(2028, 3, 27, 0, 30)]
    autumn = moments(timing, utc(2028, 10, 28), utc(2028, 10, 31))
    assert autumn == [utc(2028, 10, 28, 0, 30), utc(2028, 10, 29, 0, 30), utc(2028, 10, 30, 1, 30)]
    # asked in the second of the two hours, the first of which it ran in
    assert timing.next_after(utc(2028, 10, 29, 1, 15)) == utc(2028, 10, 30, 1, 30)


def test_r218_months_by_steps_leap_days_and_month_ends() -> None:
    assert moments(Timing("0 2 1 */3 *", "UTC"), utc(2028, 1, 1), utc(2029, 1, 1)) == [
        utc(2028, month, 1, 2) for month in (1, 4, 7, 10)
    ]
    leap = Timing("0 0 29 FEB *", "UTC")
    assert leap.next_after(utc(2026, 1, 1)) == utc(2028, 2, 29)
    assert leap.next_after(utc(2028, 2, 29)) == utc(2032, 2, 29)
    ends = moments(Timing("0 0 31 * *", "UTC"), utc(2028, 1, 1), utc(2029, 1, 1))
    assert [each.month for each in ends] == [1, 3, 5, 7, 8, 10, 12]
    last = moments(Timing("0 0 L * *", "UTC"), utc(2028, 1, 1), utc(2028, 5, 1))
    assert [each.day for each in last] == [31, 29, 31, 30]


@st.composite
def fields(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    number = st.integers(low, high)

    def term() -> str:
        kind = draw(st.sampled_from(["*", "*/n", "a", "a-b", "a-b/n", "name"]))
        first, last = sorted((draw(number), draw(number)))
        step = draw(st.integers(1, high))
        return {
            "*": "*",
            "*/n": f"*/{step}",
            "a": str(first),
            "a-b": f"{first}-{last}",
            "a-b/n": f"{first}-{max(last, first + 1)}/{step}" if first < high else str(first),
            "name": draw(st.sampled_from(names)) if names else str(last),
        }[kind]

    return ",".join(term() for _ in range(draw(st.integers(1, 2))))


EXPRESSIONS = st.builds(
    " ".join,
    st.tuples(
        fields(0, 59), fields(0, 23), fields(1, 28), fields(1, 12, ("JAN", "mar", "Dec")),
        fields(0, 6, ("MON", "sun", "Fri")),
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(
    EXPRESSIONS,
    st.sampled_from(sorted(CHANGES)),
    st.integers(0, 1),
    st.integers(0, 2 * 24 * 60),
)
def test_r218_any_expression_means_what_the_reference_says(
    expression: str, zone: str, change: int, offset: int
) -> None:
    begin = CHANGES[zone][change]
    end = begin + timedelta(days=3)
    timing = Timing(expression, zone)
    expected = Reference(expression, zone).moments(begin, end)
    assert moments(timing, begin, end) == expected
    now = begin + offset * MINUTE
    past = [each for each in expected if each <= now]
    assert timing.latest(begin - MINUTE, now) == (past[-1] if past else None)


def test_previous_is_the_one_before() -> None:
    timing = Timing("0 2 1 */3 *", "UTC")
    assert timing.previous(utc(2028, 4, 1, 2)) == utc(2028, 1, 1, 2)
    assert timing.previous(utc(2028, 4, 1, 2, 1)) == utc(2028, 4, 1, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("61 * * * *", "bad minute '61': it is to be 0 to 59"),
        ("* 24 * * *", "bad hour '24'"),
        ("* * 0 * *", "bad day-of-month '0'"),
        ("0 0 30 2 *", "there must be such a day"),
        ("* * * FOO *", "bad month 'FOO'"),
        ("* * * * 9", "bad day-of-week '9'"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("* * * *", "it has 4 fields, and is to have 5"),
        ("0 * * * * *", "it has 6 fields"),
        ("", "it has 0 fields"),
        ("0 0 */31 2 1#5", "never comes"),
        ("every 45 minutes", "N = 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60"),
        ("every 5 hours", "N = 1, 2, 3, 4, 6, 8, 12, 24"),
        ("every 2 weeks", "N = 1"),
    ],
)
def test_a_bad_expression_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        expression_of(text)
    assert said in str(raised.value)
    assert text in str(raised.value)


@given(st.text(max_size=60) | st.text("0123456789*/-,#L MONW", max_size=40))
def test_any_text_is_an_expression_or_a_usage_error(text: str) -> None:
    try:
        expression = expression_of(text)
    except UsageError:
        return
    assert expression == "manual" or len(expression.split()) == 5


def test_a_long_expression_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="longer than 200") as raised:
        expression_of("9" * 100_000 + " * * * *")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("every 15 minutes", "*/15 * * * *"),
        ("every minute", "* * * * *"),
        ("Every  60 minutes", "0 * * * *"),
        ("every 6 hours", "0 */6 * * *"),
        ("every day", "0 0 * * *"),
        ("every week", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("  0  */6 * * *", "0 */6 * * *"),
        ("MANUAL", "manual"),
    ],
)
def test_r223_intervals_and_nicknames_are_expressions(text: str, expression: str) -> None:
    assert expression_of(text) == expression


def test_r129_an_interval_in_minutes_is_an_expression() -> None:
    assert every_minutes(15) == "*/15 * * * *"
    assert every_minutes(120) == "0 */2 * * *"
    assert every_minutes(1440) == "0 0 * * *"
    with pytest.raises(UsageError, match="N = "):
        every_minutes(90)


def test_an_unknown_zone_is_an_error() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", "", "a/" * 2000 + "b"):
        with pytest.raises(UsageError, match="unknown time zone"):
            Timing("0 0 * * *", name)


def test_the_machines_zone_comes_from_tz_or_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", ":America/New_York")
    assert machine_zone() == "America/New_York"
    monkeypatch.setenv("TZ", "CET-1CEST")
    with pytest.raises(UsageError, match="unknown time zone"):
        machine_zone()
    monkeypatch.delenv("TZ")
    target = tmp_path / "usr/share/zoneinfo/Europe/Berlin"
    target.parent.mkdir(parents=True)
    target.touch()
    (tmp_path / "localtime").symlink_to(target)
    assert machine_zone(tmp_path / "localtime") == "Europe/Berlin"
    assert machine_zone(tmp_path / "nothing") == "UTC"
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not known"):
        machine_zone(tmp_path / "file")


def test_next_after_is_none_where_time_ends() -> None:
    assert Timing("0 0 1 1 *", "UTC").next_after(datetime(9999, 6, 1, tzinfo=UTC)) is None
