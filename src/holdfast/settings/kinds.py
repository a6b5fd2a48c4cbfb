"""The kinds of values in a config file.

Each has a schema for editors and refuses what it cannot be. The text of a problem follows the path
of its key without a space, and never repeats a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from holdfast import RetentionPolicy
from holdfast.errors import UsageError
from holdfast.settings.options import checked_options

WRITE_ONLY = "writeOnly"
"""What a schema says of a secret (JSON Schema: a value that is never given back)."""

PATH, LOCATION = "path", "location"
"""What a schema says of the names of files, and of what may also be a URI."""

_SHORT_RULES = frozenset(
    {"last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "tags"}
)
_WORDS = " is to be a list of texts, in quotes if need be"
_POLICY = " is to be the name of a policy, or a mapping such as {keep_daily: 7}"
_WHOLE = " is to be a whole number, 0 or more"
_TEXTS: dict[str, object] = {"type": "array", "items": {"type": "string"}}


def _folder(info: ValidationInfo[Path]) -> Path:
    """That of the file, which relative paths are relative to."""
    return info.context


def absolute(text: str, folder: Path) -> str:
    """A path of the file as one that means the same everywhere.

    Args:
        text: the path; one that is relative is relative to the file's folder.
        folder: that.

    Raises:
        ValueError: it is none, or there is no home directory for ``~``.
    """
    if "\0" in text:
        raise ValueError(" holds a NUL character")
    try:
        return str(folder.absolute() / Path(text).expanduser())
    except RuntimeError:
        raise ValueError(": no home directory is known") from None


def is_uri(text: str) -> bool:
    """Whether a location is no path."""
    return ":" in text.partition("/")[0]


def _absolute(text: str, info: ValidationInfo[Path]) -> str:
    return absolute(text, _folder(info))


def _located(text: str, info: ValidationInfo[Path]) -> str:
    return text if is_uri(text) else absolute(text, _folder(info))


def _places(value: object, info: ValidationInfo[Path]) -> tuple[str, ...]:
    return tuple(_located(each, info) for each in _words(value))


def _number(value: object) -> object:
    """A variable can only hold a number's digits."""
    is_digits = isinstance(value, str) and value.isascii() and value.isdecimal()
    return int(str(value)) if is_digits and len(str(value)) < _MOST_DIGITS else value


_MOST_DIGITS = 19


def _flag(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError(_WORDS)
    return tuple(value)


def _command(value: object) -> str | tuple[str, ...]:
    if isinstance(value, list) and value:
        return _words(value)
    if not isinstance(value, str) or not value:
        raise ValueError(" is to be a text, in quotes if need be, or a list of texts")
    return value


def _limit(value: object) -> str | int:
    if isinstance(value, int):
        if isinstance(value, bool) or value < 0:
            raise ValueError(_WHOLE)
        return value
    if not isinstance(value, str) or not value:
        raise ValueError(" is to be a text, in quotes if need be, or a number of KiB a second")
    return value


def _compression(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # YAML reads `off` as false.
    if value is False:
        return "off"
    if not isinstance(value, str) or not value:
        raise ValueError(" is to be auto, max, off or a zstd level")
    return value


def _options(value: object) -> dict[str, object]:
    try:
        return checked_options(value, "")
    except UsageError as error:
        raise ValueError(str(error)) from None


def _retention(value: object) -> RetentionPolicy | str:
    """A policy; a text may be the name of one in the file, and is left to be looked up."""
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, Mapping):
        raise ValueError(_POLICY)  # noqa: TRY004 - what pydantic takes for a problem
    rules = {
        f"keep_{name}" if str(name) in _SHORT_RULES else str(name): rule
        for name, rule in value.items()
    }
    try:
        return RetentionPolicy.parse(rules)
    except UsageError as error:
        raise ValueError(f": {error}") from None


Text: TypeAlias = Annotated[str, Field(strict=True, min_length=1)]
Secret: TypeAlias = Annotated[Text, Field(json_schema_extra={WRITE_ONLY: True})]
FilePath: TypeAlias = Annotated[
    Text, AfterValidator(_absolute), Field(json_schema_extra={"format": PATH})
]
Location: TypeAlias = Annotated[
    Text, AfterValidator(_located), Field(json_schema_extra={"format": LOCATION})
]
Places: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_places),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": LOCATION},
                {"type": "array", "items": {"type": "string", "format": LOCATION}},
            ]
        }
    ),
]
Count: TypeAlias = Annotated[int, Field(strict=True, ge=0), BeforeValidator(_number)]
Positive: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=10**9), BeforeValidator(_number)]
Flag: TypeAlias = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]
Words: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_words),
    WithJsonSchema({"anyOf": [{"type": "string"}, _TEXTS]}),
]
Command: TypeAlias = Annotated[
    str | tuple[str, ...],
    PlainValidator(_command),
    WithJsonSchema({"anyOf": [{"type": "string"}, _TEXTS]}),
]
Limit: TypeAlias = Annotated[
    str | int,
    PlainValidator(_limit),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
]
Compression: TypeAlias = Annotated[
    str,
    PlainValidator(_compression),
    WithJsonSchema({"anyOf": [{"enum": ["auto", "max", "off"]}, {"type": "integer"}]}),
]
Options: TypeAlias = Annotated[
    Mapping[str, object], PlainValidator(_options), WithJsonSchema({"type": "object"})
]
Retention: TypeAlias = Annotated[
    RetentionPolicy | str,
    PlainValidator(_retention),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]
