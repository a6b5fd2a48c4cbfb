"""The limits that docs/format.md states: beyond them, one program cannot read another's data."""

from __future__ import annotations

import pytest

from holdfast.model.content import MAX_INLINE, MAX_LEVEL, MAX_LIST, MAX_LIST_BYTES
from holdfast.model.rows import MAX_NAME
from holdfast.model.snapshot import MAX_PROBLEMS
from holdfast.model.tree import MAX_ENTRIES, MAX_PAGE
from holdfast.model.tree import MAX_LEVEL as MAX_PAGE_LEVEL
from holdfast.store.config import CONFIG_LIMIT, MAX_PACK_SIZE, MIN_PACK_SIZE
from holdfast.store.objects import OBJECT_LIMIT
from holdfast.store.pack import PACK_LIMIT, SEGMENT_LIMIT
from holdfast.store.slots import SLOT_LIMIT


@pytest.mark.format("F13", "F15", "F25")
def test_of_objects() -> None:
    assert OBJECT_LIMIT == 64 << 20
    assert CONFIG_LIMIT == 1 << 20
    assert (MIN_PACK_SIZE, MAX_PACK_SIZE) == (1 << 20, 96 << 20)
    assert SLOT_LIMIT == 64 << 10
    assert (SEGMENT_LIMIT, PACK_LIMIT) == (64 << 20, 128 << 20)


@pytest.mark.format("F30", "F31", "F34", "F39")
def test_of_records() -> None:
    assert (MAX_ENTRIES, MAX_PAGE, MAX_PAGE_LEVEL) == (4096, 4 << 20, 5)
    assert (MAX_INLINE, MAX_LIST, MAX_LIST_BYTES, MAX_LEVEL) == (1024, 4096, 1 << 20, 8)
    assert MAX_NAME == 4096
    assert MAX_PROBLEMS == 10_000
