"""A config file as it is written: plain values, and the line that each stands in."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from holdfast.errors import UsageError
from holdfast.overrides import override

SIZE_LIMIT = 1 << 20
NODE_LIMIT = 100_000
"""Most values, each as often as an alias repeats it."""

DEPTH_LIMIT = 50
"""Most mappings and lists in one another."""

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: keys of mappings and numbers of items, from the top."""

_QUOTED = re.compile(r"'.*'|\".*\"", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """What a config file holds.

    Attributes:
        path: the file.
        values: what stands in it, its variables not filled in.
        root: the same as YAML nodes, which know their lines; None of JSON and of an empty file.
    """

    path: Path
    values: Mapping[Hashable, object] = field(repr=False)
    root: yaml.Node | None = field(default=None, repr=False)

    def line(self, place: Place) -> int | None:
        """The line of a value's key, counted from 1, or of what is around it; None if unknown."""
        node, found = self.root, None
        for step in place:
            inner = _inner(node, step)
            if inner is None:
                break
            found, node = inner
        return found


def read_document(path: Path) -> Document:
    """Read a config file: YAML, or JSON if it is called ``.json``.

    Raises:
        UsageError: it cannot be read, is no mapping, or has a key twice; the message names the
            file and repeats nothing of it but keys.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"config file {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"config file {str(path)!r}: no name of a file") from None
    if len(content) > SIZE_LIMIT:
        raise UsageError(f"config file {path}: larger than {SIZE_LIMIT >> 20} MiB")
    values, root = _json(path, content) if path.suffix == ".json" else _yaml(path, content)
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise UsageError(f"config file {path}: not a mapping of `key: value`")
    return Document(path, values, root)


class _Twice(yaml.MarkedYAMLError):
    """A key stands twice in a mapping."""


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, where YAML would let the last one win."""

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
                raise _Twice(problem=f"{key!r} stands there twice", problem_mark=place.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _yaml(path: Path, content: bytes) -> tuple[object, yaml.Node | None]:
    try:
        loader = _StrictLoader(content)
        try:
            root: yaml.Node | None = loader.get_single_node()
            if root is not None and _size(root, {}) > NODE_LIMIT:
                raise UsageError(f"config file {path}: more than {NODE_LIMIT:,} values")
            values: object = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError, LookupError) as error:
        raise UsageError(f"config file {path}: not YAML: {_problem(error)}") from None
    return values, root


def _size(node: yaml.Node, known: dict[int, int], depth: int = 0) -> int:
    """How many values a node holds when its aliases are written out.

    Args:
        node: what is counted.
        known: the same of nodes that were counted, 0 for those that are being counted.
        depth: how deep it lies.

    Raises:
        RecursionError: it is nested too deeply, or in itself.
    """
    if known.get(id(node)) == 0 or depth > DEPTH_LIMIT:
        raise RecursionError
    if id(node) not in known:
        known[id(node)] = 0
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        known[id(node)] = 1 + sum(_size(each, known, depth + 1) for each in inner)
    return known[id(node)]


def _json(path: Path, content: bytes) -> tuple[object, None]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        record = dict(pairs)
        if len(record) < len(pairs):
            [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
            raise UsageError(f"config file {path}: {twice!r} stands there twice")
        return record

    try:
        found: object = json.loads(content, object_pairs_hook=once)
        _refuse_depth(found)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"config file {path}: not JSON: {error.msg}, in line {error.lineno}"
        ) from None
    except (ValueError, RecursionError):
        raise UsageError(f"config file {path}: not JSON") from None
    return found, None


def _refuse_depth(value: object, depth: int = 0) -> None:
    """Raise a RecursionError for what is nested too deeply."""
    if depth > DEPTH_LIMIT:
        raise RecursionError
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _refuse_depth(each, depth + 1)


def _problem(error: Exception) -> str:
    """What is wrong and where, without anything of the file but keys: it may hold secrets."""
    if not isinstance(error, yaml.MarkedYAMLError):
        # Of other errors the kind alone: `int('secret')` says what it was given.
        kinds = {RecursionError: "nested too deeply", yaml.reader.ReaderError: "not plain text"}
        return kinds.get(type(error), "a value that makes no sense")
    problem = error.problem or "a syntax error"
    if not isinstance(error, _Twice):
        problem = _QUOTED.sub("'…'", problem)
    mark = error.problem_mark
    return problem if mark is None else f"{problem}, in line {mark.line + 1}"


def _inner(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """The value below a node, and the line in which it begins."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None
