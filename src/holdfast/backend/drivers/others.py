"""From the URI of a folder that others filled to what it is used through."""

from __future__ import annotations

from holdfast.backend.drivers import driver_class
from holdfast.backend.drivers.azure import AzureDriver
from holdfast.backend.drivers.azure_objects import AzureObjects
from holdfast.backend.drivers.driver import Options
from holdfast.backend.drivers.gcs import GcsDriver
from holdfast.backend.drivers.gcs_objects import GcsObjects
from holdfast.backend.drivers.objects import Objects
from holdfast.backend.drivers.other import OtherDriver
from holdfast.backend.drivers.other_objects import OtherObjects
from holdfast.backend.drivers.s3 import S3Driver
from holdfast.backend.drivers.s3_objects import S3Objects
from holdfast.backend.drivers.sftp import SftpDriver
from holdfast.backend.drivers.sftp_objects import SftpObjects


def objects_at(location: str, protocol: str, options: Options) -> Objects:
    """The folder; nothing is read yet.

    Args:
        location: the whole URI.
        protocol: the part of it before ``://``, in lower case.
        options: for the driver.

    Raises:
        UsageError: the protocol is not known, its driver is not installed, or an option means
            nothing to it.
    """
    driver = driver_class(protocol).at(location, options)
    match driver:
        case S3Driver():
            return S3Objects(driver)
        case AzureDriver():
            return AzureObjects(driver)
        case GcsDriver():
            return GcsObjects(driver)
        case SftpDriver():
            return SftpObjects(driver)
        case OtherDriver():
            return OtherObjects(driver)
        case _:
            return Objects(driver)
