"""holdfast: a deduplicating, encrypting backup engine.

    import holdfast

    repo = holdfast.init("/srv/repo", password="...")
    result = repo.backup(["/data"], tags=["daily"], exclude=["*.tmp"])
    repo.restore("latest", "/target")

Everything public is listed in `__all__`. What costs time to import is imported when it is first
used, so that a program that only might make a backup pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from holdfast.errors import (
    AccessDenied,
    AmbiguousSnapshot,
    BackendError,
    DamagedRepository,
    HoldfastError,
    ObjectExists,
    ObjectNotFound,
    ObjectTruncated,
    ObjectUnreadable,
    OutOfResources,
    PathNotFound,
    RepositoryError,
    RepositoryExists,
    RepositoryNotFound,
    SessionLost,
    SnapshotNotFound,
    SourceError,
    StorageFull,
    StorageUnavailable,
    UnsupportedRepository,
    UsageError,
    WrongPassword,
)
from holdfast.version import __version__

if TYPE_CHECKING:
    from holdfast.engine.connect import init, open  # noqa: A004 - read as holdfast.open
    from holdfast.engine.files import RestoreIncomplete
    from holdfast.engine.joint import BackupToResult, RepositoryBackup, backup_to
    from holdfast.engine.keyring import Key, Rotation
    from holdfast.engine.repository import Repository
    from holdfast.engine.results import BackupResult, SourceProblem
    from holdfast.engine.storage import test_storage
    from holdfast.model.entry import Entry
    from holdfast.model.patch import Patch
    from holdfast.model.retention import RetentionDecision, RetentionGroup, RetentionPolicy
    from holdfast.model.snapshot import Hold, Problem, Snapshot, Summary
    from holdfast.operations.anomalies import Anomaly
    from holdfast.operations.check import CheckReport, Finding
    from holdfast.operations.compare import Comparison, ComparisonCounts, Mismatch
    from holdfast.operations.copy import CopiedSnapshot, CopyFailure, CopyIncomplete, CopyResult
    from holdfast.operations.diff import Diff, DiffCounts, Difference
    from holdfast.operations.export import ExportResult
    from holdfast.operations.find import Found
    from holdfast.operations.forget import ForgetResult, PassedOver
    from holdfast.operations.grep import Grep, GrepCounts, Match
    from holdfast.operations.history import Version
    from holdfast.operations.hurt import Hurt
    from holdfast.operations.prune import PruneResult, Waiting
    from holdfast.operations.repair import (
        IndexRepair,
        LostPack,
        PackRepair,
        PackRepairs,
        SnapshotRepair,
        SnapshotRepairs,
    )
    from holdfast.operations.restore import Action, RestoreResult, VerifyResult
    from holdfast.operations.rewrite import RewriteFailure, RewriteResult, RewrittenSnapshot
    from holdfast.operations.sessions import AtWork, ReclaimAtWork, SessionAtWork
    from holdfast.operations.stats import Stats
    from holdfast.operations.storage_test import StorageCheck, StorageReport, StorageVerdict
    from holdfast.operations.tag import TagResult
    from holdfast.operations.timeline import Step
    from holdfast.operations.undelete import ForgottenSnapshot
    from holdfast.operations.usage import DirectoryUsage, Overhead, SnapshotUsage, Usage
    from holdfast.platform.audit import AuditEntry, AuditProblem, AuditTrail, AuditVerification
    from holdfast.platform.compliance import ComplianceReporter
    from holdfast.platform.drdrill import DRDrill
    from holdfast.platform.drill import DrillConfig, DrillReport
    from holdfast.platform.managers import (
        AzureStorageAdapter,
        BackupManager,
        BackupType,
        BackupValidator,
        GCSStorageAdapter,
        IntegrityLevel,
        LocalStorageAdapter,
        RecoveryManager,
        S3StorageAdapter,
    )
    from holdfast.platform.protocols import BackupRecoveryProtocol
    from holdfast.platform.schedule import BackupScheduler
    from holdfast.primitives.chunker import ChunkerParams
    from holdfast.progress import ProgressEvent
    from holdfast.store import AuditAnchor

_HOMES = {
    "Action": "operations.restore",
    "Anomaly": "operations.anomalies",
    "AtWork": "operations.sessions",
    "AuditAnchor": "store",
    "AuditEntry": "platform.audit",
    "AuditProblem": "platform.audit",
    "AuditTrail": "platform.audit",
    "AuditVerification": "platform.audit",
    "AzureStorageAdapter": "platform.managers",
    "BackupManager": "platform.managers",
    "BackupRecoveryProtocol": "platform.protocols",
    "BackupResult": "engine.results",
    "BackupScheduler": "platform.schedule",
    "BackupToResult": "engine.joint",
    "BackupType": "platform.managers",
    "BackupValidator": "platform.managers",
    "CheckReport": "operations.check",
    "ChunkerParams": "primitives.chunker",
    "Comparison": "operations.compare",
    "ComparisonCounts": "operations.compare",
    "ComplianceReporter": "platform.compliance",
    "CopiedSnapshot": "operations.copy",
    "CopyFailure": "operations.copy",
    "CopyIncomplete": "operations.copy",
    "CopyResult": "operations.copy",
    "DRDrill": "platform.drdrill",
    "Diff": "operations.diff",
    "DiffCounts": "operations.diff",
    "Difference": "operations.diff",
    "DirectoryUsage": "operations.usage",
    "DrillConfig": "platform.drill",
    "DrillReport": "platform.drill",
    "Entry": "model.entry",
    "ExportResult": "operations.export",
    "Finding": "operations.check",
    "ForgetResult": "operations.forget",
    "ForgottenSnapshot": "operations.undelete",
    "Found": "operations.find",
    "GCSStorageAdapter": "platform.managers",
    "Grep": "operations.grep",
    "GrepCounts": "operations.grep",
    "Hold": "model.snapshot",
    "Hurt": "operations.hurt",
    "IndexRepair": "operations.repair",
    "IntegrityLevel": "platform.managers",
    "Key": "engine.keyring",
    "LocalStorageAdapter": "platform.managers",
    "LostPack": "operations.repair",
    "Match": "operations.grep",
    "Mismatch": "operations.compare",
    "Overhead": "operations.usage",
    "PackRepair": "operations.repair",
    "PackRepairs": "operations.repair",
    "PassedOver": "operations.forget",
    "Patch": "model.patch",
    "Problem": "model.snapshot",
    "ProgressEvent": "progress",
    "PruneResult": "operations.prune",
    "ReclaimAtWork": "operations.sessions",
    "RecoveryManager": "platform.managers",
    "Repository": "engine.repository",
    "RepositoryBackup": "engine.joint",
    "RestoreIncomplete": "engine.files",
    "RestoreResult": "operations.restore",
    "RetentionDecision": "model.retention",
    "RetentionGroup": "model.retention",
    "RetentionPolicy": "model.retention",
    "RewriteFailure": "operations.rewrite",
    "RewriteResult": "operations.rewrite",
    "RewrittenSnapshot": "operations.rewrite",
    "Rotation": "engine.keyring",
    "S3StorageAdapter": "platform.managers",
    "SessionAtWork": "operations.sessions",
    "Snapshot": "model.snapshot",
    "SnapshotRepair": "operations.repair",
    "SnapshotRepairs": "operations.repair",
    "SnapshotUsage": "operations.usage",
    "SourceProblem": "engine.results",
    "Stats": "operations.stats",
    "Step": "operations.timeline",
    "StorageCheck": "operations.storage_test",
    "StorageReport": "operations.storage_test",
    "StorageVerdict": "operations.storage_test",
    "Summary": "model.snapshot",
    "TagResult": "operations.tag",
    "Usage": "operations.usage",
    "VerifyResult": "operations.restore",
    "Version": "operations.history",
    "Waiting": "operations.prune",
    "backup_to": "engine.joint",
    "init": "engine.connect",
    "open": "engine.connect",
    "test_storage": "engine.storage",
}

__all__ = [
    "AccessDenied",
    "Action",
    "AmbiguousSnapshot",
    "Anomaly",
    "AtWork",
    "AuditAnchor",
    "AuditEntry",
    "AuditProblem",
    "AuditTrail",
    "AuditVerification",
    "AzureStorageAdapter",
    "BackendError",
    "BackupManager",
    "BackupRecoveryProtocol",
    "BackupResult",
    "BackupScheduler",
    "BackupToResult",
    "BackupType",
    "BackupValidator",
    "CheckReport",
    "ChunkerParams",
    "Comparison",
    "ComparisonCounts",
    "ComplianceReporter",
    "CopiedSnapshot",
    "CopyFailure",
    "CopyIncomplete",
    "CopyResult",
    "DRDrill",
    "DamagedRepository",
    "Diff",
    "DiffCounts",
    "Difference",
    "DirectoryUsage",
    "DrillConfig",
    "DrillReport",
    "Entry",
    "ExportResult",
    "Finding",
    "ForgetResult",
    "ForgottenSnapshot",
    "Found",
    "GCSStorageAdapter",
    "Grep",
    "GrepCounts",
    "Hold",
    "HoldfastError",
    "Hurt",
    "IndexRepair",
    "IntegrityLevel",
    "Key",
    "LocalStorageAdapter",
    "LostPack",
    "Match",
    "Mismatch",
    "ObjectExists",
    "ObjectNotFound",
    "ObjectTruncated",
    "ObjectUnreadable",
    "OutOfResources",
    "Overhead",
    "PackRepair",
    "PackRepairs",
    "PassedOver",
    "Patch",
    "PathNotFound",
    "Problem",
    "ProgressEvent",
    "PruneResult",
    "ReclaimAtWork",
    "RecoveryManager",
    "Repository",
    "RepositoryBackup",
    "RepositoryError",
    "RepositoryExists",
    "RepositoryNotFound",
    "RestoreIncomplete",
    "RestoreResult",
    "RetentionDecision",
    "RetentionGroup",
    "RetentionPolicy",
    "RewriteFailure",
    "RewriteResult",
    "RewrittenSnapshot",
    "Rotation",
    "S3StorageAdapter",
    "SessionAtWork",
    "SessionLost",
    "Snapshot",
    "SnapshotNotFound",
    "SnapshotRepair",
    "SnapshotRepairs",
    "SnapshotUsage",
    "SourceError",
    "SourceProblem",
    "Stats",
    "Step",
    "StorageCheck",
    "StorageFull",
    "StorageReport",
    "StorageUnavailable",
    "StorageVerdict",
    "Summary",
    "TagResult",
    "UnsupportedRepository",
    "Usage",
    "UsageError",
    "VerifyResult",
    "Version",
    "Waiting",
    "WrongPassword",
    "__version__",
    "backup_to",
    "init",
    "open",
    "test_storage",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    value: object = getattr(import_module(f"holdfast.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
