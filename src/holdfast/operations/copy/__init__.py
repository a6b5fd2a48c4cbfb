"""Copy: snapshots from one repository to others, and only what is missing there.

A snapshot that cannot be read, or a target that fails, is data in the result, so that the others
are copied all the same; the engine raises it at the end.
"""

from holdfast.operations.copy.copy import CopyOptions, Outcome, Target, copy
from holdfast.operations.copy.result import (
    CopiedSnapshot,
    CopyFailure,
    CopyIncomplete,
    CopyResult,
)

__all__ = [
    "CopiedSnapshot",
    "CopyFailure",
    "CopyIncomplete",
    "CopyOptions",
    "CopyResult",
    "Outcome",
    "Target",
    "copy",
]
