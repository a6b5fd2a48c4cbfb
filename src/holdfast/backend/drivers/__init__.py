"""Kinds of stores, by fsspec's names of their protocols."""

from __future__ import annotations

from holdfast.backend.drivers.azure import AzureDriver
from holdfast.backend.drivers.driver import Driver, Options, UnconditionalError
from holdfast.backend.drivers.gcs import GcsDriver
from holdfast.backend.drivers.memory import MemoryDriver
from holdfast.backend.drivers.other import OtherDriver, check_protocol
from holdfast.backend.drivers.s3 import S3Driver
from holdfast.backend.drivers.sftp import SftpDriver

__all__ = ["Driver", "Options", "UnconditionalError", "driver_class"]

_CLASSES: dict[str, type[Driver]] = {
    "abfs": AzureDriver,
    "abfss": AzureDriver,
    "az": AzureDriver,
    "azure": AzureDriver,
    "gcs": GcsDriver,
    "gs": GcsDriver,
    "memory": MemoryDriver,
    "s3": S3Driver,
    "s3a": S3Driver,
    "sftp": SftpDriver,
    "ssh": SftpDriver,
}


def driver_class(protocol: str) -> type[Driver]:
    """What a kind of store is used through.

    Raises:
        UsageError: it is not known, or no store.
    """
    if protocol in _CLASSES:
        return _CLASSES[protocol]
    check_protocol(protocol, _CLASSES)
    return OtherDriver
