"""Values of options are what was meant, or are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from holdfast.cli.params import (
    OptionalValue,
    OptionalValues,
    group_keys,
    last_moment,
    moment,
    size_in_bytes,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("1k", 1024),
        ("1.5KiB", 1536),
        ("100M", 100 << 20),
        ("100 mb", 100 << 20),
        ("2GiB", 2 << 30),
        ("1T", 1 << 40),
        ("1p", 1 << 50),
    ],
)
def test_sizes_are_binary(text: str, number: int) -> None:
    assert size_in_bytes(text) == number


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "1X", "1,5M", "1e3", "0x10", "5\u212a", "\u0661M", "9" * 400]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        size_in_bytes(text)


def test_times_are_aware() -> None:
    assert moment("2026-11-21T08:30+01:00") == datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
    assert moment("2026-11-21").utcoffset() is not None


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "21.11.2026"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time"):
        moment(text)


def test_keys_of_groups() -> None:
    assert group_keys("tags, host") == ("tags", "host")
    assert group_keys("") == ()
    with pytest.raises(click.BadParameter, match="'colour' is none of host, paths, tags"):
        group_keys("host,colour")


def test_a_date_means_its_last_moment_where_that_is_asked_for() -> None:
    assert last_moment("2026-11-21").isoformat()[:26] == "2026-11-21T23:59:59.999999"
    assert last_moment("2026-11-21T08:30") == moment("2026-11-21T08:30")
    with pytest.raises(click.BadParameter, match="no time"):
        last_moment("tomorrow")


@pytest.mark.parametrize(
    ("arguments", "value", "rest"),
    [
        ([], None, ()),
        (["--flag"], "", ()),
        (["--flag", "a"], "", ("a",)),
        (["a", "--flag"], "", ("a",)),
        (["--flag=b", "a"], "b", ("a",)),
        (["--flag="], "", ()),
        (["--", "--flag"], None, ("--flag",)),
    ],
)
def test_an_optional_value_follows_an_equals_sign_only(
    arguments: list[str], value: str | None, rest: tuple[str, ...]
) -> None:
    told: list[object] = []

    @click.command(cls=OptionalValues)
    @click.argument("rest", nargs=-1)
    @click.option("--flag", cls=OptionalValue)
    def command(flag: str | None, rest: tuple[str, ...]) -> None:
        told.extend((flag, rest))

    command.main(arguments, standalone_mode=False)
    assert told == [value, rest]
