"""``integrity``: what was restored is byte by byte what the snapshot has, metadata too."""

from __future__ import annotations

from holdfast.platform.drill.checks.context import CheckContext, Restored
from holdfast.platform.drill.report import CheckOutcome, DrillError, bounded

NAME = "integrity"


def check_integrity(context: CheckContext) -> CheckOutcome:
    """Compare everything that was restored with the snapshot."""
    restored = context.restored
    if restored is None:
        return CheckOutcome(NAME, None, "nothing was restored")
    result = context.repository.verify_restore(
        restored.name, restored.folder, progress=context.deadline.check
    )
    errors = _all_errors(
        restored,
        [DrillError(each.path, NAME, each.message) for each in result.errors],
    )
    outcome = CheckOutcome(
        NAME,
        not errors if errors or result.entries else None,
        f"{result.entries:,} files and others compared, {result.bytes:,} bytes",
        {"entries": result.entries, "bytes": result.bytes},
    )
    return bounded(outcome, errors)


def _all_errors(restored: Restored, found: list[DrillError]) -> list[DrillError]:
    """What the comparison found, and what of the restore's own errors is about other files."""
    named = {error.path for error in found}
    return found + [error for error in restored.errors if error.path not in named]
