"""What all tests share: how Hypothesis draws its examples, and places in real stores."""

from __future__ import annotations

import pytest
from hypothesis import settings
from tests.servers.fixtures import place, s3_place, servers

__all__ = ["place", "s3_place", "servers"]

# The same examples in every run, so that nothing fails by chance; a shared machine is no clock.
settings.register_profile("ci", derandomize=True, deadline=None)
# Looks for new failures, at length: pytest --hypothesis-profile=explore
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for stores, so that `make test-servers` finds them."""
    for item in items:
        if isinstance(item, pytest.Function) and "servers" in item.fixturenames:
            item.add_marker("servers")
