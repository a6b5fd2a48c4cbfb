"""How things stand: the repository, its newest backups, jobs, checks, drills and copies.

`metrics` and `server` tell it to Prometheus; they need prometheus-client, and are imported where
they are used.
"""

from holdfast.platform.status.collect import (
    DAYS,
    MAX_RPO_MINUTES,
    MOST_DAYS,
    Objectives,
    status,
)
from holdfast.platform.status.copies import (
    CopyPlace,
    CopyStatus,
    Home,
    RuleStatus,
    SourceCopies,
    three_two_one,
)
from holdfast.platform.status.result import (
    FailedRun,
    Growth,
    NextRun,
    SourceStatus,
    Status,
    Trouble,
    Verified,
)

__all__ = [
    "DAYS",
    "MAX_RPO_MINUTES",
    "MOST_DAYS",
    "CopyPlace",
    "CopyStatus",
    "FailedRun",
    "Growth",
    "Home",
    "NextRun",
    "Objectives",
    "RuleStatus",
    "SourceCopies",
    "SourceStatus",
    "Status",
    "Trouble",
    "Verified",
    "status",
    "three_two_one",
]
