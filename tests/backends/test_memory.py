"""The memory backend keeps every promise of a backend."""

from __future__ import annotations

import pytest

from holdfast.backend import Backend, MemoryBackend
from holdfast.testing.conformance import BackendConformance


class TestMemory(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


def test_objects_outlive_close_but_are_not_shared() -> None:
    backend = MemoryBackend()
    backend.put("a", b"x")
    backend.close()
    assert backend.get("a") == b"x"
    assert list(MemoryBackend().list("")) == []
