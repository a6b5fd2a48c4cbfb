"""A job's configuration as it is kept: independent of where and by whom it was given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from holdfast.backend import is_uri
from holdfast.errors import UsageError
from holdfast.model.retention import RetentionPolicy

_PLACES = ("backend", "to", "password_file", "to_password_file", "sources")


def normal(values: Mapping[str, object]) -> dict[str, object]:
    """What is kept of a configuration.

    Relative paths are made absolute, as the job is run from another directory. None means that
    nothing stands there.

    Raises:
        UsageError: a value cannot be kept on disk.
    """
    kept = {key: _plain(value) for key, value in values.items() if value is not None}
    for key in _PLACES:
        if key in kept:
            kept[key] = _absolute(kept[key])
    try:
        record: dict[str, object] = json.loads(json.dumps(kept, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"job: only texts, numbers, lists and mappings are kept: {error}"
        ) from None
    return record


def _plain(value: object) -> object:
    return value.dict() if isinstance(value, RetentionPolicy) else value


def _absolute(place: object) -> object:
    """A path or several as absolute ones; anything else as it is."""
    if isinstance(place, list | tuple):
        return [_absolute(each) for each in place]
    if not isinstance(place, str) or not place or is_uri(place) or place.startswith("${"):
        return place
    try:
        return str(Path(place).expanduser().absolute())
    except RuntimeError:
        raise UsageError(f"{place}: no home directory is known") from None
