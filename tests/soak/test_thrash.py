"""Four writers, two pruners and a forgetter, killed at random: see `tests.soak.thrash`."""

from __future__ import annotations

import pytest
from tests.soak.thrash import ENOUGH, thrash


@pytest.mark.fault(2, 3, 25, 26)
@pytest.mark.timeout(300)
def test_a_repository_that_everybody_works_on_and_dies() -> None:
    assert ENOUGH.keys() <= thrash(1, 5.0).keys()


@pytest.mark.fault(2, 3, 25, 26)
@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_same_for_five_minutes() -> None:
    assert ENOUGH.keys() <= thrash(2, 300.0).keys()
