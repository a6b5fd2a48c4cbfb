"""Options for the drivers of stores, as a file or a variable has them.

They may hold secrets: no message repeats a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from holdfast.errors import UsageError

Options: TypeAlias = dict[str, object]


def checked_options(value: object, where: str) -> Options:
    """Options as a file or a variable has them.

    Args:
        value: what stands there.
        where: how a message calls the place.

    Raises:
        UsageError: it is no mapping of names to values that a driver could take.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} is to be a mapping of names to values")
    options: Options = {}
    for name, each in value.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"{where}: a name in it is no text")
        options[name] = _checked(each, f"{where}.{name}")
    return options


def _checked(value: object, where: str) -> object:
    if isinstance(value, Mapping):
        return checked_options(value, where)
    if isinstance(value, list):
        return [_checked(each, where) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise UsageError(f"{where} is to be a text, a number, true or false; put it in quotes")
