"""A config file written again, and shown, without its secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import yaml

from holdfast.settings.kinds import LOCATION, PATH, WRITE_ONLY, absolute, is_uri
from holdfast.settings.problems import below, path_of
from holdfast.settings.reading import Place
from holdfast.settings.section import schema
from holdfast.settings.variables import REFERENCE

MASK = "***"
"""What is shown in place of a secret."""

_Instead: TypeAlias = Callable[[Place], str]

_BREAKS = re.compile("[\x85\u2028\u2029]")

Form: TypeAlias = Literal["yaml", "json"]

HARMLESS = frozenset(
    {
        *("endpoint", "endpoint_url", "region", "region_name", "anon", "use_ssl", "verify"),
        *("account_name", "project", "host", "port", "storage_class", "addressing_style"),
        *("signature_version", "timeout", "connect_timeout", "read_timeout", "max_concurrency"),
    }
)
"""Options of stores that are known to be no secrets; of others texts are taken for secrets."""

_SUSPECT = re.compile(r"(?i)pass|pwd|secret|token|key|credential|auth|sas")
_USER = re.compile(r"(://[^\s/?#@:]*:)[^\s/]*@")
_CHANNELS = frozenset({"notification_channels", "channels"})


@dataclass(frozen=True, slots=True)
class Exported:
    """A config file without secrets.

    Attributes:
        values: what is to be written.
        variables: in place of secrets it names these environment variables, each with the path of
            the secret.
    """

    values: Mapping[str, object]
    variables: Mapping[str, str] = field(default_factory=dict)

    def text(self, form: Form) -> str:
        """As YAML or JSON."""
        return as_yaml(self.values) if form == "yaml" else as_json(self.values)


def exported(written: Mapping[str, object], folder: Path) -> Exported:
    """What a file says, with a reference to a variable in place of each secret that it holds.

    Paths are made absolute, so that the file can be put anywhere.

    Args:
        written: the values as they stand in it; references stay as they are.
        folder: that of the file.
    """
    variables: dict[str, str] = {}

    def reference(place: Place) -> str:
        name = "HOLDFAST_" + re.sub(r"[^A-Z0-9]+", "_", path_of(place).upper()).strip("_")
        while name in variables:
            name += "_"
        variables[name] = path_of(place)
        return f"${{{name}}}"

    values = _replaced(_placed(written, (), folder), (), reference)
    return Exported(values if isinstance(values, dict) else {}, variables)


def masked(written: Mapping[str, object]) -> dict[str, object]:
    """What a file says, to be shown: secrets are stars, references are left as they are."""
    values = _replaced(written, (), lambda _: MASK)
    return values if isinstance(values, dict) else {}


def without_password(text: str) -> str:
    """A location, the password in it blotted out."""
    return _USER.sub(rf"\g<1>{MASK}@", text)


def as_yaml(values: object) -> str:
    """As YAML, in the order of the values."""
    # PyYAML writes these as they are, and reads them as the end of a line.
    is_safe = _BREAKS.search(json.dumps(values, ensure_ascii=False)) is None
    text: str = yaml.safe_dump(values, allow_unicode=is_safe, sort_keys=False, width=100)
    return text


def as_json(values: object) -> str:
    """As JSON."""
    return json.dumps(values, indent=2) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file, replacing what is there.

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


def _placed(value: object, place: Place, folder: Path) -> object:
    """The value with relative paths made absolute."""
    match value:
        case Mapping():
            return {
                str(key): _placed(each, (*place, str(key)), folder) for key, each in value.items()
            }
        case list():
            return [_placed(each, (*place, n), folder) for n, each in enumerate(value)]
        case str() if value and not value.startswith(("$", "~")):
            return _whole(value, place, folder)
        case _:
            return value


def _whole(text: str, place: Place, folder: Path) -> str:
    kind = _about(place).get("format")
    if "properties" in _about(place):
        kind = LOCATION  # a source is its path, a backend its location
    if kind == PATH or (kind == LOCATION and not is_uri(text)):
        return absolute(text, folder)
    return text


def _about(place: Place) -> Mapping[str, object]:
    """What the schema says of a place."""
    return below(schema(), schema(), place)


def _replaced(value: object, place: Place, instead: _Instead) -> object:
    if _is_secret(value, place):
        return instead(place)
    match value:
        case Mapping():
            return {
                str(key): _replaced(each, (*place, str(key)), instead)
                for key, each in value.items()
            }
        case list():
            return [_replaced(each, (*place, n), instead) for n, each in enumerate(value)]
        case _:
            return value


def _is_secret(value: object, place: Place) -> bool:
    """Whether a value is a secret, by where it stands, or has one in it."""
    if value is None or value == "" or isinstance(value, bool):
        return False
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        return False
    if _about(place).get(WRITE_ONLY):
        return True
    if "storage_options" in place and isinstance(value, str | int | float):
        name = next(str(step) for step in reversed(place) if isinstance(step, str))
        if name not in HARMLESS and (isinstance(value, str) or _SUSPECT.search(name)):
            return True
    return isinstance(value, str) and (_is_channel(value, place) or bool(_USER.search(value)))


def _is_channel(value: str, place: Place) -> bool:
    """Whether it is a URL of apprise, which holds a token."""
    return "://" in value and not _CHANNELS.isdisjoint(place)
