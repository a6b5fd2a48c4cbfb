"""The only place where the platform's drills read YAML that a user wrote: strictly.

A key that stands twice, an alias and a file of more than a mebibyte are refused, so what comes of
it is as small as the file. Every problem that the types have is told at once, each with its path.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.platform.drill.words import suggestion

T = TypeVar("T")

SIZE_LIMIT: Final = 1 << 20


class _StrictLoader(yaml.SafeLoader):
    """Refuses aliases, and keys that stand twice, of which YAML would let the last one win."""

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not taken here: write it out", problem_mark=self.get_mark()
            )
        return super().compose_node(parent, index)

    @override
    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - as its base has it
    ) -> dict[Hashable, object]:
        seen = set()
        for place, _ in node.value:
            key = self.construct_object(place, deep=True)
            if not isinstance(key, Hashable):
                continue  # which the base refuses
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} stands there twice", problem_mark=place.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load_file(path: Path, type_: TypeAdapter[T], known: Sequence[str]) -> T:
    """Read a file.

    Args:
        path: of the file.
        type_: what is in it.
        known: keys to suggest for one that means nothing.

    Raises:
        UsageError: it cannot be read, is no YAML mapping, or has keys or values that make no
            sense; the message has a line for each.
    """
    record = _parse(path)
    try:
        return type_.validate_json(json.dumps(record, default=str), strict=True)
    except ValidationError as error:
        told = [_told(each["loc"], each["type"], each["msg"], known) for each in error.errors()]
        raise UsageError("\n".join([f"{path}:", *told])) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from None


def _parse(path: Path) -> object:
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(content) > SIZE_LIMIT:
        raise UsageError(f"{path}: larger than {SIZE_LIMIT >> 20} MiB")
    try:
        record: object = yaml.load(content, _StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: not YAML: {_problem(error)}") from None
    if not isinstance(record, dict):
        raise UsageError(f"{path}: not a mapping of `key: value`")
    return record


def _problem(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    return f"{error.problem or 'a syntax error'}, in line {error.problem_mark.line + 1}"


def _told(place: Sequence[int | str], kind: str, message: str, known: Sequence[str]) -> str:
    """A problem in one line, with where it is."""
    where = ""
    for number, part in enumerate(place):
        if isinstance(part, int):
            where += f"[{part}]"
        elif (
            number == 0
            or not isinstance(place[number - 1], int)
            or place[number - 2] not in _UNIONS
        ):
            where += f".{part}" if where else part
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        key = str(place[-1])
        return f"{where}: unknown key{suggestion(key, known)}"
    return f"{where or 'it'}: {message[0].lower()}{message[1:]}"


_UNIONS: Final = frozenset({"steps", "cleanup_steps"})
"""Lists whose items are one of several types: pydantic puts the type's name into the place."""
