"""The config file: a small YAML mapping of defaults, read strictly.

A key that means nothing is an error and not a comment, so that a misspelt `exclude` cannot go
unnoticed until somebody needs a restore. Relative paths are relative to the file's directory, so
that a job does not depend on where it was started.

Under ``profiles`` stand mappings of the same keys by name, of which a command takes one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import yaml

from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.settings.defaults import Config
from holdfast.settings.storage import checked_options

SIZE_LIMIT = 1 << 20

_KEYS = frozenset(each.name for each in fields(Config)) - {"profiles"}
_OTHER_NAMES = {"backend": "repository"}
_PASSWORDS = ("password_file", "password_command")
_QUOTED = re.compile(r"'.*'|\".*\"", re.DOTALL)


def load_config(path: Path) -> Config:
    """Read a config file.

    Raises:
        UsageError: it cannot be read, is no YAML mapping, or has a key or value that makes no
            sense; the message names the file and the key, and repeats no value of
            `storage_options`, which may be a secret.
    """
    record = _parse(path)
    profiles = record.pop("profiles", None) or {}
    general = _named(str(path), record, _KEYS | {"profiles"})
    if not isinstance(profiles, dict):
        raise UsageError(f"{path}: profiles is to be a mapping of names to mappings")
    return replace(
        _config(_Reader(str(path), path.parent, general)),
        profiles={
            str(name): _profile(path, str(name), own, general) for name, own in profiles.items()
        },
    )


def _profile(path: Path, name: str, own: object, general: Mapping[str, object]) -> Config:
    """A profile: what it says, and what the file says besides."""
    where = f"{path}: profile {name}"
    if not isinstance(own, dict | None):
        raise UsageError(f"{where} is to be a mapping")
    said = _named(where, own or {}, _KEYS)
    values = {key: value for key, value in said.items() if value is not None}
    rest = dict(general)
    if values.keys() & set(_PASSWORDS):
        rest = {key: value for key, value in rest.items() if key not in _PASSWORDS}
    return _config(_Reader(where, path.parent, {**rest, **values}))


def _named(
    where: str, record: Mapping[Hashable, object], names: frozenset[str]
) -> dict[str, object]:
    """The values of a mapping by the names that `Config` has for its keys."""
    values: dict[str, object] = {}
    for key, value in record.items():
        name = _OTHER_NAMES.get(str(key), str(key))
        if name not in names:
            raise UsageError(f"{where}: unknown key {str(key)!r}{_suggestion(str(key), names)}")
        if name in values:
            raise UsageError(f"{where}: {' and '.join(_same(name))} mean the same: give one")
        values[name] = value
    return values


def _config(reader: _Reader) -> Config:
    if all(reader.values.get(key) for key in _PASSWORDS):
        raise UsageError(f"{reader.where}: give either password_file or password_command")
    return Config(
        repository=reader.location("repository"),
        password_file=reader.path("password_file"),
        password_command=reader.command("password_command"),
        storage_options=reader.options("storage_options"),
        limit_upload=reader.limit("limit_upload"),
        limit_download=reader.limit("limit_download"),
        cache_dir=reader.path("cache_dir"),
        cache_size=reader.number("cache_size"),
        exclude=reader.words("exclude"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes typed values out of the file's mapping.

    Attributes:
        where: how messages call the mapping.
        folder: that of the file.
        values: the mapping.
    """

    where: str
    folder: Path
    values: Mapping[str, object] = field(repr=False)

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise UsageError(f"{self.where}: {key} is to be a text, in quotes if need be")
        return value

    def number(self, key: str) -> int | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"{self.where}: {key} is to be a whole number, 0 or more")
        return value

    def limit(self, key: str) -> str | int | None:
        value = self.values.get(key)
        return self.number(key) if isinstance(value, int) else self.text(key)

    def options(self, key: str) -> dict[str, object]:
        value = self.values.get(key)
        return {} if value is None else checked_options(value, f"{self.where}: {key}")

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
            raise UsageError(f"{self.where}: {key} is to be a list of texts, in quotes if need be")
        return tuple(value)

    def _absolute(self, text: str) -> str:
        try:
            return str(self.folder.absolute() / Path(text).expanduser())
        except RuntimeError:
            raise UsageError(f"{self.where}: {text}: no home directory is known") from None


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
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise _Twice(
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
        raise UsageError(f"config file {path}: not YAML: {_problem(error)}") from None
    if record is None:
        return {}
    if not isinstance(record, dict):
        raise UsageError(f"config file {path}: not a mapping of `key: value`")
    return record


def _problem(error: Exception) -> str:
    """What is wrong and where, without anything of the file but keys: it may hold secrets."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    problem = error.problem or "a syntax error"
    if not isinstance(error, _Twice):
        problem = _QUOTED.sub("'…'", problem)
    mark = error.problem_mark
    return problem if mark is None else f"{problem}, in line {mark.line + 1}"


def _suggestion(key: str, names: frozenset[str]) -> str:
    known = sorted(names | _OTHER_NAMES.keys())
    close = difflib.get_close_matches(key, known, n=1)
    return f": did you mean {close[0]!r}?" if close else f": there are {', '.join(known)}"


def _same(name: str) -> list[str]:
    return [name, *(other for other, meant in _OTHER_NAMES.items() if meant == name)]
