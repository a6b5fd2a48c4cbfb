"""The catalogue of faults: each row has its tests, and docs/reliability.md says which."""

from __future__ import annotations

from tests.faults.catalogue import CATALOGUE
from tests.faults.page import PAGE, made, marked

ROWS = 52


def test_the_rows_are_numbered_in_order() -> None:
    assert [row.number for row in CATALOGUE] == list(range(1, ROWS + 1))
    for row in CATALOGUE:
        assert row.fault
        assert row.how
        assert row.what
        assert "|" not in f"{row.fault}{row.how}{row.what}"


def test_every_row_has_a_test_or_a_reason_and_no_other_is_named() -> None:
    named = {row for found in marked() for row in found.rows}
    reasons = {row.number for row in CATALOGUE if row.missing}
    assert [row.number for row in CATALOGUE if row.number not in named | reasons] == []
    assert sorted(named - {row.number for row in CATALOGUE}) == []


def test_no_test_names_a_row_twice() -> None:
    assert [found for found in marked() if len(set(found.rows)) != len(found.rows)] == []


def test_the_page_is_what_the_catalogue_and_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == made(), "make reliability writes it anew"
