"""What all tests share: how Hypothesis draws its examples, and places in real stores."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import settings
from tests.length import stride
from tests.passwords import cheap_passwords
from tests.servers.base import INSTALLED
from tests.servers.fixtures import place, s3_place, servers

__all__ = ["cheap_passwords", "place", "s3_place", "servers", "stride"]

# The same examples in every run, so that nothing fails by chance; a shared machine is no clock.
# Of the numbers that tests ask for this is 40 %, "full" all of them (`make soak`).
settings.register_profile("ci", max_examples=40, derandomize=True, deadline=None)
settings.register_profile("full", max_examples=100, derandomize=True, deadline=None)
# Looks for new failures, at length: pytest -m hypothesis --hypothesis-profile=explore --timeout 0
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("ci")


@pytest.fixture(autouse=True, scope="session")
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the audit trail of commands that are tested out of the home directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def index_at_the_end() -> Iterator[None]:
    """Writers tell the index of their packs at the end only, however long they take.

    For modules that count operations or index objects: on a busy machine a backup takes longer than
    a writer lets pass until it writes an index object in between.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_FIRST_INDEX", "INDEX_INTERVAL"):
            patch.setattr(f"holdfast.store.writer.{name}", math.inf)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for stores, so that `make test-servers` finds them.

    What moto shows of an engine on S3, versitygw shows in a tenth of the time. Where it is
    installed, the tests of whole stores are done on moto at length only; those of the driver, which
    ask for an `s3_place`, on both.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "servers" in item.fixturenames:
            item.add_marker("servers")
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            if parameters.get("place") == "moto" and (INSTALLED / "versitygw").exists():
                item.add_marker("soak")
