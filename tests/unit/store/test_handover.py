"""A repository goes to another process without its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.backend import MemoryBackend, open_backend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import RepositoryNotFound, UsageError
from holdfast.store import hand_over, take_over
from holdfast.testing.repositories import new_store, reopened

pytestmark = pytest.mark.usefixtures("cheap_passwords")

GROUP = ("small", 0)


def test_what_is_handed_over_opens_the_repository(tmp_path: Path) -> None:
    store = new_store(open_backend(tmp_path / "repository"), cache=tmp_path / "cache")
    taken = take_over(hand_over(store), SYSTEM_CLOCK)
    assert taken.keys == store.keys
    assert taken.settings == store.settings
    with taken.writer({}) as writer:
        blob = writer.save_data(memoryview(b"content"), GROUP)
        writer.flush()
    with reopened(store.backend).loader() as loader:
        assert loader.load(blob) == b"content"


def test_a_repository_that_has_gone_is_not_found(tmp_path: Path) -> None:
    place = open_backend(tmp_path / "repository")
    handed = hand_over(new_store(place))
    for info in list(place.list("config/")):
        place.delete(info.name)
    with pytest.raises(RepositoryNotFound):
        take_over(handed, SYSTEM_CLOCK)


def test_what_only_this_process_has_is_not_handed_over() -> None:
    with pytest.raises(UsageError, match="another process cannot open this storage"):
        hand_over(new_store(MemoryBackend()))
