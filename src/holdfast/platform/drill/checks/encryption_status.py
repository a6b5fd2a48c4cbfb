"""``encryption_status``: what is stored opens with the repository's keys, and so is sealed.

Objects are sealed with AES-256-GCM: what opens was sealed with these keys, and bytes that are not
sealed do not open. So all small objects are opened, and a random share of the packs is read whole.
"""

from __future__ import annotations

from holdfast.platform.drill.checks.context import CheckContext
from holdfast.platform.drill.report import CheckOutcome, DrillError, bounded

NAME = "encryption_status"

SAMPLE = "5%"
"""Share of the packs that is read, at least one."""


def check_encryption_status(context: CheckContext) -> CheckOutcome:
    """Open all small objects and a sample of the packs."""
    report = context.repository.check(read_data=SAMPLE, progress=context.deadline.check)
    errors = [
        DrillError("", NAME, f"{finding.object}: {finding.message}") for finding in report.errors
    ]
    strays = [finding.object for finding in report.findings if finding.kind == "stray object"]
    outcome = CheckOutcome(
        NAME,
        not errors if report.packs_read or not report.packs else None,
        f"all small objects and {report.packs_read:,} of {report.packs:,} packs were opened",
        {
            "cipher": "AES-256-GCM",
            "packs": report.packs,
            "packs_read": report.packs_read,
            "bytes_read": report.bytes_read,
            "not_of_the_repository": strays[:100],
        },
    )
    return bounded(outcome, errors)
