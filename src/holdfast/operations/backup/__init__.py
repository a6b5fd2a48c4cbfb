"""Backup: walk the source, store what is new, and commit one snapshot.

A file whose size, times and inode are as the parent snapshot has them is not read again, as long
as every blob of it is stored. A source item that fails is data in the result. Everything that
fails in the repository is an exception, and then there is no snapshot.
"""

from holdfast.operations.backup.backup import (
    StreamSource,
    backup_objects,
    backup_stream,
    backup_tree,
)
from holdfast.operations.backup.options import BackupOptions, BackupOutcome
from holdfast.operations.backup.parent import GRANULARITY

__all__ = [
    "GRANULARITY",
    "BackupOptions",
    "BackupOutcome",
    "StreamSource",
    "backup_objects",
    "backup_stream",
    "backup_tree",
]
