"""Usage: which directories and which snapshots take what of a repository's storage.

Every stored byte is attributed once (ADR 0028). A blob belongs to the oldest of the snapshots
looked at that needs it, and in it to the first directory. `attribution` finds that out; `holders`
finds which snapshots need each blob, and so what removing one would free; what is left of the
storage is told apart by what it is.
"""

from __future__ import annotations

from holdfast.operations.usage.result import DirectoryUsage, Overhead, SnapshotUsage, Usage
from holdfast.operations.usage.usage import UsageOptions, usage

__all__ = ["DirectoryUsage", "Overhead", "SnapshotUsage", "Usage", "UsageOptions", "usage"]
