"""Connections are used by one thread at a time, and each is known from the others."""

from __future__ import annotations

from holdfast.backend.drivers.pool import Pool
from holdfast.overrides import override


class Alike:
    """A connection that is equal to all others, as file systems of fsspec are.

    Attributes:
        has_ended: whether it was closed.
    """

    def __init__(self) -> None:
        self.has_ended = False

    def end(self) -> None:
        self.has_ended = True

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike)

    @override
    def __hash__(self) -> int:
        return 0


def test_those_that_are_in_use_are_known_though_all_are_equal() -> None:
    pool = Pool(4, Alike, lambda each: not each.has_ended, Alike.end, ())
    with pool.use() as first:
        with pool.use() as second:
            pass
        pool.break_off()
        assert first.has_ended
    assert second.has_ended  # it was idle
