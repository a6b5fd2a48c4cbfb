"""Much in little memory: a part of many items that is chosen by their keys, and tallies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar
from zlib import crc32

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_ALL = 1 << 32
_ODD = 0x9E3779B1  # Knuth's multiplier: spreads checksums of names that are much alike


class Sample(Generic[T]):
    """A value for each key, of a part of the keys when there are too many.

    Whether a key is in the part depends on the key and on how many there are, so what belongs
    together under one key is there as a whole or not at all, whatever order it comes in.
    """

    def __init__(self, make: Callable[[], T], most: int) -> None:
        """Begin without keys.

        Args:
            make: makes the value of a new key.
            most: keys that are kept.
        """
        self._make = make
        self._most = most
        self._bound = _ALL
        self._values: dict[bytes, T] = {}

    def at(self, key: bytes) -> T | None:
        """The value of a key, which may be new; None when the key is not in the part."""
        if _place(key) >= self._bound:
            return None
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = self._make()
            if len(self._values) > self._most:
                self._thin()
                return self._values.get(key)
        return value

    def _thin(self) -> None:
        while len(self._values) > self._most:
            self._bound >>= 1
            self._values = {
                key: value for key, value in self._values.items() if _place(key) < self._bound
            }

    @property
    def factor(self) -> float:
        """How many keys there were for each that was kept; 1.0 when all were."""
        return _ALL / self._bound

    def values(self) -> Iterable[T]:
        """What was kept, in an order that depends on the keys only."""
        return [value for _, value in sorted(self._values.items(), key=_by_place)]


class Tally(Generic[K]):
    """Counts of what is frequent: when there is too much, what came once is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Count one more."""
        self._counts[key] = self._counts.get(key, 0) + 1
        if len(self._counts) > self._most:
            self._counts = {each: number for each, number in self._counts.items() if number > 1}
            if len(self._counts) > self._most // 2:
                self._counts = dict(self.most()[: self._most // 2])

    def most(self) -> list[tuple[K, int]]:
        """All keys with their counts, the most frequent first."""
        return sorted(self._counts.items(), key=_by_count)

    def __getitem__(self, key: K) -> int:
        return self._counts.get(key, 0)

    def frequent(self, most: int) -> frozenset[K]:
        """The most frequent keys."""
        return frozenset(key for key, _ in self.most()[:most])


def _place(key: bytes) -> int:
    return (crc32(key) * _ODD) % _ALL


def _by_place(item: tuple[bytes, object]) -> tuple[int, bytes]:
    return _place(item[0]), item[0]


def _by_count(item: tuple[K, int]) -> tuple[int, str]:
    return -item[1], repr(item[0])
