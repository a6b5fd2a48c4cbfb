"""Text for people is readable, and can do a terminal no harm."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.text import count, duration, escaped, moment, print_table, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("größe 文件", "größe 文件"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b1m", "\\x9b1m"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        (os.fsdecode(b"odd\xff"), "odd\\xff"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.fault(38)
@given(st.binary())
def test_every_name_becomes_printable_and_encodable(name: bytes) -> None:
    shown = escaped(os.fsdecode(name))
    assert shown.isprintable()
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (10 * 1024 + 512, "10.5 KiB"),
        (123 * 1024, "123 KiB"),
        (1000 * 1024, "0.98 MiB"),
        (5 << 40, "5.00 TiB"),
        (1 << 80, "1048576 EiB"),
    ],
)
def test_sizes_have_three_digits_and_a_binary_unit(number: int, shown: str) -> None:
    assert size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (61, "1 min 1 s"),
        (3600, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.fault(47)
def test_times_of_any_age_can_be_shown() -> None:
    assert moment(None) == "-"
    for when in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)):
        assert len(moment(when)) >= len("1-01-01 00:00:00")
    assert moment(datetime(2026, 11, 21, 12, tzinfo=UTC)).startswith("2026-11-2")


def test_one_thing_and_many() -> None:
    assert (count(1, "file"), count(2000, "file")) == ("1 file", "2,000 files")
    assert count(0, "directory", "directories") == "0 directories"


def test_tables_are_aligned_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        ("Name", "Size"), [("a\x07", "1"), ("文件", "1000"), ("e\u0301x", "22")], numbers=(1,)
    )
    assert capsys.readouterr().out.splitlines() == [
        "Name   Size",
        "a\\x07     1",
        "文件   1000",
        "e\u0301x       22",
    ]


def test_a_table_without_rows_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [])
    assert capsys.readouterr().out == "A  B\n"
