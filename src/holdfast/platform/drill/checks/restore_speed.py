"""``restore_speed``: the restore alone, without any check, fits into the time objective."""

from __future__ import annotations

from holdfast.platform.drill.checks.context import CheckContext
from holdfast.platform.drill.report import CheckOutcome

NAME = "restore_speed"


def check_restore_speed(context: CheckContext) -> CheckOutcome:
    """Compare how long the restore took with the objective."""
    restored = context.restored
    if restored is None or not restored.files:
        return CheckOutcome(NAME, None, "no file was restored, so there is no speed")
    rate = restored.bytes / restored.seconds if restored.seconds > 0 else 0.0
    allowed = context.max_rto_minutes * 60
    details = {
        "seconds": restored.seconds,
        "bytes": restored.bytes,
        "bytes_per_second": rate,
        "bytes_per_second_needed": restored.bytes / allowed,
    }
    return CheckOutcome(
        NAME,
        restored.seconds <= allowed,
        f"{restored.bytes:,} bytes in {restored.seconds:.1f} s, {allowed:g} s are allowed",
        details,
    )
