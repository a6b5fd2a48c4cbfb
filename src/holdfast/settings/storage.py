"""What the drivers of stores are told, and how fast they may be used.

Options may hold secrets: no message of this module repeats a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from holdfast import environment
from holdfast.errors import UsageError
from holdfast.settings.defaults import Config
from holdfast.settings.options import Options, checked_options

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,8})\.[0-9]{1,9}")
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_WORDS: Mapping[str, object] = {"true": True, "false": False}


def find_storage_options(flags: Iterable[str], config: Config) -> Options:
    """What the driver of the repository's store is told.

    An option of the command line takes the place of the same one in HOLDFAST_STORAGE_OPTIONS, and
    that the place of the same one in the config file.

    Args:
        flags: each ``KEY=VALUE``.
        config: the config file.

    Raises:
        UsageError: an option is none.
    """
    told = _joined(config.storage_options, _from_environment("HOLDFAST_STORAGE_OPTIONS"))
    return _joined(told, _parsed(flags, "--storage-option"))


def find_other_storage_options(flags: Iterable[str], name: str) -> Options:
    """What the driver of a second repository's store is told: by flags, or the environment.

    Those of the first repository are not taken: what is a secret of one store is not to be told
    to another.

    Args:
        flags: each ``KEY=VALUE``.
        name: what the repository is to the command, such as ``TO``: then
            HOLDFAST_TO_STORAGE_OPTIONS is looked at.

    Raises:
        UsageError: an option is none.
    """
    told = _from_environment(f"HOLDFAST_{name}_STORAGE_OPTIONS")
    return _joined(told, _parsed(flags, f"--{name.lower()}-storage-option"))


def find_limits(
    upload: str | None, download: str | None, config: Config
) -> tuple[str | int | None, str | int | None]:
    """How fast data may be sent and fetched: a flag, HOLDFAST_*, RESTIC_*, the config file."""
    return (
        _limit(upload, "LIMIT_UPLOAD", config.limit_upload),
        _limit(download, "LIMIT_DOWNLOAD", config.limit_download),
    )


def _limit(flag: str | None, name: str, config: str | int | None) -> str | int | None:
    if flag is not None:
        return flag
    found = environment.first(f"HOLDFAST_{name}", f"RESTIC_{name}")
    return config if found is None else found


def _from_environment(name: str) -> Options:
    text = environment.variable(name)
    if text is None:
        return {}
    try:
        record: object = json.loads(text)
    except (ValueError, RecursionError):
        # Without the cause, which has the text.
        raise UsageError(f'{name} is not JSON, such as {{"endpoint": "https://…"}}') from None
    return checked_options(record, name)


def _parsed(flags: Iterable[str], flag: str) -> Options:
    """Options from the command line; a dot in a key stands for a mapping in a mapping."""
    options: Options = {}
    for text in flags:
        key, equals, value = text.partition("=")
        names = key.split(".")
        if not equals or not all(names):
            # What stands there may be a secret whose name was forgotten.
            raise UsageError(f"{flag} is to be KEY=VALUE, such as endpoint=https://store.example")
        nested: object = _value(value)
        for name in reversed(names[1:]):
            nested = {name: nested}
        options = _joined(options, {names[0]: nested})
    return options


def _value(text: str) -> object:
    """What is written: true, false, a number, or a text, which quotes make of anything."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    quoted = _QUOTED.fullmatch(text)
    return text if quoted is None else quoted[1]


def _joined(below: Mapping[str, object], above: Mapping[str, object]) -> Options:
    """Both, mappings inside of them too; where both say something, what is above."""
    joined = dict(below)
    for name, value in above.items():
        old = joined.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            joined[name] = _joined(old, value)
        else:
            joined[name] = value
    return joined
