"""Reads a mapping strictly: each value by its key and kind, and no key that means nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from holdfast.errors import UsageError


class Keys:
    """The values of a mapping that somebody wrote.

    Args:
        where: how messages call it.
        values: the mapping.
        known: the keys that it may have.

    Raises:
        UsageError: it is no mapping, or has a key that is not known.
    """

    def __init__(self, where: str, values: object, known: Iterable[str]) -> None:
        if not isinstance(values, Mapping):
            raise UsageError(f"{where} is to be a mapping of names to values")
        names = sorted(known)
        for key in values:
            if key not in names:
                close = difflib.get_close_matches(str(key), names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
                raise UsageError(f"{where}: unknown key {str(key)!r}: {hint}")
        self._where = where
        self._values = values

    def has(self, key: str) -> bool:
        """Whether something stands there."""
        return self._values.get(key) is not None

    def text(self, key: str) -> str | None:
        """A text that is not empty; None when there is none."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.refused(key, "is to be a text")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """Texts: a list of them, or one alone."""
        value = self._values.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple) or not all(
            isinstance(each, str) and each for each in value
        ):
            raise self.refused(key, "is to be a list of texts")
        return tuple(value)

    def flag(self, key: str, default: bool) -> bool:  # noqa: FBT001 - a value, not a switch
        """True or false."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refused(key, "is to be true or false")
        return value

    def number(self, key: str, least: int, most: int) -> int | None:
        """A whole number within bounds; None when there is none."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.refused(key, f"is to be a whole number, {least} to {most}")
        return value

    def mapping(self, key: str) -> dict[str, object]:
        """A mapping; an empty one when there is none."""
        value = self._values.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.refused(key, "is to be a mapping of names to values")
        return {str(name): each for name, each in value.items()}

    def refused(self, key: str, problem: str) -> UsageError:
        """The error that says what is wrong with a value, without repeating it."""
        return UsageError(f"{self._where}: {key} {problem}")
