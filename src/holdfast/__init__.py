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
    PathNotFound,
    RepositoryError,
    RepositoryExists,
    RepositoryNotFound,
    SessionLost,
    SnapshotNotFound,
    SourceError,
    StorageFull,
    UnsupportedRepository,
    UsageError,
    WrongPassword,
)
from holdfast.version import __version__

if TYPE_CHECKING:
    from holdfast.engine.connect import init, open  # noqa: A004 - read as holdfast.open
    from holdfast.engine.repository import Repository
    from holdfast.engine.results import BackupResult, SourceProblem
    from holdfast.model.entry import Entry
    from holdfast.model.retention import RetentionDecision, RetentionGroup, RetentionPolicy
    from holdfast.model.snapshot import Problem, Snapshot, Summary
    from holdfast.operations.check import CheckReport, Finding, Hurt
    from holdfast.operations.diff import Diff, DiffCounts, Difference
    from holdfast.operations.export import ExportResult
    from holdfast.operations.find import Found
    from holdfast.operations.restore import Action, RestoreResult, VerifyResult
    from holdfast.operations.stats import Stats
    from holdfast.primitives.chunker import ChunkerParams
    from holdfast.progress import ProgressEvent

_HOMES = {
    "Action": "operations.restore",
    "BackupResult": "engine.results",
    "CheckReport": "operations.check",
    "ChunkerParams": "primitives.chunker",
    "Diff": "operations.diff",
    "DiffCounts": "operations.diff",
    "Difference": "operations.diff",
    "Entry": "model.entry",
    "ExportResult": "operations.export",
    "Finding": "operations.check",
    "Found": "operations.find",
    "Hurt": "operations.check",
    "Problem": "model.snapshot",
    "ProgressEvent": "progress",
    "Repository": "engine.repository",
    "RestoreResult": "operations.restore",
    "RetentionDecision": "model.retention",
    "RetentionGroup": "model.retention",
    "RetentionPolicy": "model.retention",
    "Snapshot": "model.snapshot",
    "SourceProblem": "engine.results",
    "Stats": "operations.stats",
    "Summary": "model.snapshot",
    "VerifyResult": "operations.restore",
    "init": "engine.connect",
    "open": "engine.connect",
}

__all__ = [
    "AccessDenied",
    "Action",
    "AmbiguousSnapshot",
    "BackendError",
    "BackupResult",
    "CheckReport",
    "ChunkerParams",
    "DamagedRepository",
    "Diff",
    "DiffCounts",
    "Difference",
    "Entry",
    "ExportResult",
    "Finding",
    "Found",
    "HoldfastError",
    "Hurt",
    "ObjectExists",
    "ObjectNotFound",
    "ObjectTruncated",
    "ObjectUnreadable",
    "PathNotFound",
    "Problem",
    "ProgressEvent",
    "Repository",
    "RepositoryError",
    "RepositoryExists",
    "RepositoryNotFound",
    "RestoreResult",
    "RetentionDecision",
    "RetentionGroup",
    "RetentionPolicy",
    "SessionLost",
    "Snapshot",
    "SnapshotNotFound",
    "SourceError",
    "SourceProblem",
    "Stats",
    "StorageFull",
    "Summary",
    "UnsupportedRepository",
    "UsageError",
    "VerifyResult",
    "WrongPassword",
    "__version__",
    "init",
    "open",
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
