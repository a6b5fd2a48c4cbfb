"""Kinds of stores, by fsspec's names of their protocols."""

from __future__ import annotations

from holdfast.backend.drivers.driver import Driver, Options
from holdfast.backend.drivers.memory import MemoryDriver
from holdfast.backend.drivers.s3 import S3Driver
from holdfast.errors import UsageError

__all__ = ["Driver", "Options", "driver_class"]

_CLASSES: dict[str, type[Driver]] = {
    "memory": MemoryDriver,
    "s3": S3Driver,
    "s3a": S3Driver,
}


def driver_class(protocol: str) -> type[Driver]:
    """What a kind of store is used through.

    Raises:
        UsageError: it is not known.
    """
    try:
        return _CLASSES[protocol]
    except KeyError:
        raise UsageError(
            f"{protocol}:// locations are not supported: there are a directory's path, file://, "
            f"{', '.join(f'{name}://' for name in sorted(_CLASSES))}"
        ) from None
