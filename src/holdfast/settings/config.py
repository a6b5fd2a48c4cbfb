"""The config file: a small YAML mapping of defaults, read strictly.

A key that means nothing is an error and not a comment, so that a misspelt `exclude` cannot go
unnoticed until somebody needs a restore. Relative paths are relative to the file's directory, so
that a job does not depend on where it was started.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.settings.defaults import Config

SIZE_LIMIT = 1 << 20

_OTHER_NAMES = {"backend": "repository"}


def load_config(path: Path) -> Config:
    """Read a config file.

    Raises:
        UsageError: it cannot be read, is no YAML mapping, or has a key or value that makes no
            sense; the message names the file and the key.
    """
    record = _parse(path)
    names = {each.name for each in fields(Config)}
    values: dict[str, object] = {}
    for key, value in record.items():
        name = _OTHER_NAMES.get(str(key), str(key))
        if name not in names:
            raise UsageError(f"{path}: unknown key {str(key)!r}{_suggestion(str(key), names)}")
        if name in values:
            raise UsageError(f"{path}: {' and '.join(_same(name))} mean the same: give one")
        values[name] = value
    reader = _Reader(path, values)
    if values.get("password_file") and values.get("password_command"):
        raise UsageError(f"{path}: give either password_file or password_command")
    return Config(
        repository=reader.location("repository"),
        password_file=reader.path("password_file"),
        password_command=reader.command("password_command"),
        cache_dir=reader.path("cache_dir"),
        exclude=reader.words("exclude"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes typed values out of the file's mapping."""

    file: Path
    values: dict[str, object]

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise UsageError(f"{self.file}: {key} is to be a text, in quotes if need be")
        return value

    def path(self, key: str) -> str | None:
        value = self.text(key)
        return None if value is None else self._absolute(value)

    def location(self, key: str) -> str | None:
        value = self.text(key)
        if value is None or ":" in value.partition("/")[0]:
            return value
        return self._absolute(value)

    def command(self, key: str) -> str | tuple[str, ...] | None:
        if isinstance(self.values.get(key), list):
            return self.words(key) or None
        return self.text(key)

    def words(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise UsageError(f"{self.file}: {key} is to be a list of texts, in quotes if need be")
        return tuple(value)

    def _absolute(self, text: str) -> str:
        try:
            return str(self.file.parent.absolute() / Path(text).expanduser())
        except RuntimeError:
            raise UsageError(f"{self.file}: {text}: no home directory is known") from None


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, where YAML would let the last one win."""

    @override
    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - as its base has it
    ) -> dict[Hashable, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} stands there twice",
                    problem_mark=node.value[number][0].start_mark,
                )
        return super().construct_mapping(node, deep=deep)


def _parse(path: Path) -> dict[Hashable, object]:
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"config file {path}: {error.strerror}") from None
    if len(content) > SIZE_LIMIT:
        raise UsageError(f"config file {path}: larger than {SIZE_LIMIT >> 20} MiB")
    try:
        record: object = yaml.load(content, _StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise UsageError(f"config file {path}: not YAML: {problem}") from None
    if record is None:
        return {}
    if not isinstance(record, dict):
        raise UsageError(f"config file {path}: not a mapping of `key: value`")
    return record


def _suggestion(key: str, names: set[str]) -> str:
    known = sorted(names | _OTHER_NAMES.keys())
    close = difflib.get_close_matches(key, known, n=1)
    return f": did you mean {close[0]!r}?" if close else f": there are {', '.join(known)}"


def _same(name: str) -> list[str]:
    return [name, *(other for other, meant in _OTHER_NAMES.items() if meant == name)]
