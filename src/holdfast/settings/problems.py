"""What is wrong with a config file, in words: where, what, and what may have been meant.

No text repeats a value, which may be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from holdfast.settings.reading import Place

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_MEANINGS = {
    "string_type": " is to be a text, in quotes if need be",
    "string_too_short": " is to be a text, not an empty one",
    "string_unicode": " is no text",
    "int_type": " is to be a whole number",
    "bool_type": " is to be true or false",
    "tuple_type": " is to be a list",
    "dict_type": " is to be a mapping of names to values",
    "dataclass_type": " is to be a mapping",
    "missing": " is missing",
}
_BOUNDS = {
    "greater_than_equal": ("ge", " is to be a whole number, {} or more"),
    "less_than_equal": ("le", " is to be a whole number, {} or less"),
}
_UNKNOWN = frozenset({"unexpected_keyword_argument", "invalid_key", "extra_forbidden"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or that may not do what it is meant to.

    Attributes:
        place: of what it is about.
        text: what is wrong; the path of the place stands in it.
        line: of the file, counted from 1; None when it is not known.
        is_warning: the file can be used all the same.
    """

    place: Place
    text: str
    line: int | None = None
    is_warning: bool = False

    def dict(self) -> dict[str, object]:
        """Ready for JSON: ``path``, ``line``, ``problem`` and ``severity``."""
        return {
            "path": path_of(self.place),
            "line": self.line,
            "problem": self.text,
            "severity": "warning" if self.is_warning else "error",
        }


def path_of(place: Place) -> str:
    """A place as people write it: ``sources[0].path``."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def told(place: Place, what: str) -> str:
    """What is wrong, after the path of the place; that of a profile stands first."""
    if place[:1] == ("profiles",) and len(place) > 1:
        rest = path_of(place[2:])
        return f"profile {place[1]}" + (f": {rest}" if rest else "") + what
    return path_of(place) + what


def of_validation(
    error: ValidationError, schema: Mapping[str, object], unclear: Iterable[Place]
) -> list[Problem]:
    """The problems that pydantic found.

    Args:
        error: what it found.
        schema: JSON schema of what was checked, which knows the keys.
        unclear: places that have values of variables or lack them; a problem below one of them
            is only told to be one.
    """
    hidden = frozenset(unclear)
    problems = []
    for each in error.errors(include_url=False, include_input=False):
        place = tuple(step for step in each["loc"] if step != "[key]")
        where, what = _meaning(each, place, schema)
        is_hidden = any(
            place[: len(other)] == other or other[: len(place)] == place for other in hidden
        )
        if is_hidden and each["type"] == "value_error":
            what = ": makes no sense with what its variables hold"
        problems.append(Problem(place, told(where, what)))
    return problems


def _meaning(error: ErrorDetails, place: Place, schema: Mapping[str, object]) -> tuple[Place, str]:
    """Where a problem is said to be, and what it is."""
    kind = error["type"]
    context: Mapping[str, object] = error.get("ctx") or {}
    if kind in _UNKNOWN:
        key = str(place[-1])
        text = f"unknown key {key!r}{suggestion(key, _keys(schema, place[:-1]))}"
        return place[:-1], f": {text}" if place[:-1] else text
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return place, text.format(context[name])
    if kind == "literal_error":
        return place, f" is to be {context['expected']}"
    if kind == "value_error":
        return place, str(context["error"])
    return place, _MEANINGS.get(kind, " makes no sense")


def suggestion(key: str, known: Iterable[str]) -> str:
    """Which key may have been meant, or which there are."""
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1)
    return f": did you mean {close[0]!r}?" if close else f": there are {', '.join(names)}"


def _keys(schema: Mapping[str, object], place: Place) -> list[str]:
    """The keys that a mapping may have."""
    here = below(schema, schema, place)
    properties = here.get("properties")
    return [*properties] if isinstance(properties, Mapping) else []


def below(
    schema: Mapping[str, object], node: Mapping[str, object], place: Place
) -> Mapping[str, object]:
    """The part of a JSON schema that is about a place; empty where nothing is known.

    Args:
        schema: the whole.
        node: where to begin.
        place: what to look for.
    """
    node = _resolved(schema, node)
    for step in place:
        inner: object = None
        if isinstance(step, int):
            inner = node.get("items")
        else:
            properties = node.get("properties")
            if isinstance(properties, Mapping):
                inner = properties.get(step)
            inner = node.get("additionalProperties") if inner is None else inner
        if not isinstance(inner, Mapping):
            return {}
        node = _resolved(schema, cast("Mapping[str, object]", inner))
    return node


def _resolved(schema: Mapping[str, object], node: Mapping[str, object]) -> Mapping[str, object]:
    """What a reference means, or the alternative of several that is not null."""
    while True:
        reference, choices = node.get("$ref"), node.get("anyOf")
        if isinstance(reference, str):
            definitions = cast("Mapping[str, Mapping[str, object]]", schema["$defs"])
            node = definitions[reference.rpartition("/")[2]]
        elif isinstance(choices, list):
            others = [each for each in choices if each.get("type") != "null"]
            structured = [each for each in others if "$ref" in each or "items" in each]
            node = (structured or others)[0]
        else:
            return node
