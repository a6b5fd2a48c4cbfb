"""Compare: what of a snapshot is not so any more in the file system, and which files have rotted.

`compare` goes over the directories of both side by side; `content` judges a file by the ids of its
chunks, for which nothing is read from the repository but trees; `result` is what is told.
"""

from __future__ import annotations

from holdfast.operations.compare.compare import CompareOptions, compare
from holdfast.operations.compare.result import (
    Comparison,
    ComparisonCounts,
    Mismatch,
    MismatchKind,
)

__all__ = [
    "CompareOptions",
    "Comparison",
    "ComparisonCounts",
    "Mismatch",
    "MismatchKind",
    "compare",
]
