"""Any change of a trail that was anchored is found, whatever it is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Repository
from holdfast.backend import MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.platform.audit import AuditTrail
from holdfast.store import AuditAnchor
from holdfast.testing.repositories import new_store

ENTRIES = 6

Anchored = tuple[AuditTrail, bytes, list[AuditAnchor]]


@pytest.fixture(scope="module")
def anchored() -> Iterator[Anchored]:
    """A trail, its bytes, and its anchor."""
    with tempfile.TemporaryDirectory(prefix="holdfast-audit-") as folder:
        trail = AuditTrail(Path(folder) / "audit.jsonl")
        for number in range(ENTRIES - 1):
            trail.record("backup", details={"number": number, "nested": {"a": [1, None, "ü"]}})
        repository = Repository(new_store(MemoryBackend()), SYSTEM_CLOCK)
        trail.anchor(repository)
        yield trail, trail.file.read_bytes(), list(repository.audit_anchors())


def is_found(anchored: Anchored, data: bytes) -> bool:
    trail, _, anchors = anchored
    trail.file.write_bytes(data)
    return not trail.verify(anchors).ok


def test_nothing_is_found_where_nothing_was_changed(anchored: Anchored) -> None:
    assert not is_found(anchored, anchored[1])


@given(data=st.data())
def test_a_changed_byte_is_found(anchored: Anchored, data: st.DataObject) -> None:
    whole = anchored[1]
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != whole[place]))
    assert is_found(anchored, whole[:place] + bytes([byte]) + whole[place + 1 :])


@given(data=st.data())
def test_a_part_that_is_gone_is_found(anchored: Anchored, data: st.DataObject) -> None:
    whole = anchored[1]
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start + 1, len(whole)))
    assert is_found(anchored, whole[:start] + whole[end:])


@given(data=st.data())
def test_a_part_that_was_put_in_is_found(anchored: Anchored, data: st.DataObject) -> None:
    # After the anchored entry others may follow, so not at the end.
    whole = anchored[1]
    place = data.draw(st.integers(0, len(whole) - 1))
    added = data.draw(st.binary(min_size=1, max_size=30))
    changed = whole[:place] + added + whole[place:]
    assert changed.startswith(whole) or is_found(anchored, changed)


@given(data=st.data())
def test_lines_in_another_order_are_found(anchored: Anchored, data: st.DataObject) -> None:
    lines = anchored[1].splitlines(keepends=True)
    mixed = data.draw(st.permutations(lines).filter(lambda each: each != lines))
    assert is_found(anchored, b"".join(mixed))


@given(data=st.data())
def test_lines_that_are_gone_or_repeated_are_found(anchored: Anchored, data: st.DataObject) -> None:
    lines = anchored[1].splitlines(keepends=True)
    counts = data.draw(st.lists(st.integers(0, 2), min_size=ENTRIES, max_size=ENTRIES))
    changed = [line for line, times in zip(lines, counts, strict=True) for _ in range(times)]
    assert changed == lines or is_found(anchored, b"".join(changed))


@given(length=st.integers(0, 10_000))
def test_an_end_that_was_cut_off_is_found(anchored: Anchored, length: int) -> None:
    whole = anchored[1]
    assert length >= len(whole) or is_found(anchored, whole[:length])
