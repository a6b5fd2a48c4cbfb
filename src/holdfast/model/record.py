"""Records: maps whose fields are taken one by one, each of the type that it must have."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

Record: TypeAlias = dict[str, object]

_T = TypeVar("_T")

FIRST_TIME, LAST_TIME = -(1 << 63), (1 << 63) - 1
"""Nanoseconds since the Unix epoch: the times that a record can have."""


class Fields:
    """A map that gives each key once; a ValueError when it is missing or of another type.

    Attributes:
        rest: what was not taken yet.
    """

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise ValueError("not a map")  # noqa: TRY004 - one error for all that is malformed
        self.rest: Record = dict(value)

    def take(self, key: str) -> object:
        """Any value."""
        if key not in self.rest:
            raise ValueError(f"`{key}` is missing")
        return self.rest.pop(key)

    def number(self, key: str, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.take(key)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"`{key}` is no number in its range")
        return value

    def optional_text(self, key: str) -> str | None:
        """A text or nil."""
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"`{key}` is no text")
        return value

    def text(self, key: str) -> str:
        """A text."""
        value = self.optional_text(key)
        if value is None:
            raise ValueError(f"`{key}` is no text")
        return value

    def many(self, key: str, kind: type[_T]) -> tuple[_T, ...]:
        """An array of values of one type."""
        value = self.take(key)
        if not isinstance(value, tuple) or not all(isinstance(each, kind) for each in value):
            raise ValueError(f"`{key}` is no array of {kind.__name__}")
        return value

    def map(self, key: str) -> Record:
        """A map."""
        value = self.take(key)
        if not isinstance(value, dict):
            raise ValueError(f"`{key}` is no map")  # noqa: TRY004 - one error for all
        return value
