"""``${NAME}`` in a config file stands for an environment variable.

``$${`` stands for ``${``. Keys are left as they are. No message repeats what a variable holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast import environment
from holdfast.settings.reading import Place

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""One variable."""

_ANY = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")


@dataclass(frozen=True, slots=True)
class Filled:
    """Values with their variables filled in.

    Attributes:
        values: the same values; null ones are left out of mappings, as if they were not there.
        places: what holds the value of a variable.
        problems: what could not be filled in, and why.
    """

    values: Mapping[str, object] = field(repr=False)
    places: frozenset[Place]
    problems: Mapping[Place, str]


def fill(values: Mapping[str, object]) -> Filled:
    """Fill in the variables of a file's values."""
    work = _Work()
    filled = {key: work.value(each, (key,)) for key, each in values.items() if each is not None}
    return Filled(filled, frozenset(work.places), work.problems)


class _Work:
    def __init__(self) -> None:
        self.places: set[Place] = set()
        self.problems: dict[Place, str] = {}

    def value(self, value: object, place: Place) -> object:
        match value:
            case str():
                return self._text(value, place)
            case Mapping():
                keeps_null = "storage_options" in place
                return {
                    key: self.value(each, (*place, str(key)))
                    for key, each in value.items()
                    if each is not None or keeps_null
                }
            case list():
                return [self.value(each, (*place, number)) for number, each in enumerate(value)]
            case _:
                return value

    def _text(self, text: str, place: Place) -> str:
        def found(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            name = match[1]
            if name is None:
                self.problems[place] = ": `${` is to be `${NAME}`; `$${` stands for a plain `${`"
                return ""
            value = environment.variable(name)
            if value is None:
                self.problems[place] = f": the environment variable {name} is not set, or empty"
                return ""
            self.places.add(place)
            return value

        return _ANY.sub(found, text)
