"""How much is tried: a part of it in every run, all of it at length (`make soak`)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings


@dataclass(frozen=True)
class Stride:
    """Which numbers a loop over faults tries.

    Attributes:
        is_one: whether it is every one.
    """

    is_one: bool

    def __call__(self, numbers: range, step: int, first: int = 0) -> range:
        """Every so-manieth of the numbers, from the one at `first`; at length all of them."""
        return numbers if self.is_one else numbers[first::step]


STRIDES = [
    pytest.param(Stride(is_one=False), id="sampled"),
    pytest.param(Stride(is_one=True), id="all", marks=pytest.mark.soak),
]


@pytest.fixture(params=STRIDES)
def stride(request: pytest.FixtureRequest) -> Stride:
    """For a loop that is too long for every run; the one at length is a soak test."""
    found = request.param
    assert isinstance(found, Stride)
    return found


def examples(number: int) -> int:
    """How many examples Hypothesis tries where 100, at full length, are too few or too many.

    The profile says how much of that it is: see `tests/conftest.py`.
    """
    profile = settings()
    return max(1, number * profile.max_examples // 100)
