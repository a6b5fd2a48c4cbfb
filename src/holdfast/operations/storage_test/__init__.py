"""What a storage can and cannot do."""

from holdfast.operations.storage_test.report import StorageCheck, StorageReport, StorageVerdict
from holdfast.operations.storage_test.trial import probe_storage

__all__ = ["StorageCheck", "StorageReport", "StorageVerdict", "probe_storage"]
