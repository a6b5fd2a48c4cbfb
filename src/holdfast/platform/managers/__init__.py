"""Managers: the documented classes that turn plain arguments into calls of the engine."""

from __future__ import annotations

from holdfast.platform.managers.adapters import (
    AzureStorageAdapter,
    GCSStorageAdapter,
    LocalStorageAdapter,
    Place,
    S3StorageAdapter,
    StorageAdapter,
)
from holdfast.platform.managers.backup import BackupManager
from holdfast.platform.managers.backup_type import BackupType
from holdfast.platform.managers.levels import IntegrityLevel
from holdfast.platform.managers.opening import How, Manager, open_repository
from holdfast.platform.managers.points import check_backup_freshness, newest_age, recovery_points
from holdfast.platform.managers.recoveries import Recovery
from holdfast.platform.managers.recovery import RecoveryManager
from holdfast.platform.managers.restoring import KEEP_DAYS, RestoreOptions, Restoring
from holdfast.platform.managers.validated import Fault, Validation
from holdfast.platform.managers.validation import BackupValidator

__all__ = [
    "KEEP_DAYS",
    "AzureStorageAdapter",
    "BackupManager",
    "BackupType",
    "BackupValidator",
    "Fault",
    "GCSStorageAdapter",
    "How",
    "IntegrityLevel",
    "LocalStorageAdapter",
    "Manager",
    "Place",
    "Recovery",
    "RecoveryManager",
    "RestoreOptions",
    "Restoring",
    "S3StorageAdapter",
    "StorageAdapter",
    "Validation",
    "check_backup_freshness",
    "newest_age",
    "open_repository",
    "recovery_points",
]
