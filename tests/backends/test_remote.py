"""Stores of fsspec keep every promise of a backend."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from holdfast.backend import Backend, open_backend
from holdfast.testing.conformance import BackendConformance


class TestMemoryOfFsspec(BackendConformance):
    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        backend = open_backend(f"memory://{secrets.token_hex(8)}/prefix")
        yield backend
        backend.close()
