"""Words for values; those of the command line are the same, see tests/unit/cli/test_text.py."""

from __future__ import annotations

import pytest

from holdfast.present import duration, size


@pytest.mark.parametrize(
    ("number", "shown"), [(-1, "-1 B"), (-1_536, "-1.50 KiB"), (-(5 << 40), "-5.00 TiB")]
)
def test_what_is_less_than_nothing_is_written_alike(number: int, shown: str) -> None:
    assert size(number) == shown


def test_seconds_without_an_end_are_written_as_such() -> None:
    assert duration(float("inf")) == "inf s"
    assert duration(float("nan")) == "nan s"
