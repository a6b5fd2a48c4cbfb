"""Drills: rehearsals of a recovery, measured and checked, that leave nothing behind.

`execution` does one: it opens the repository, restores into a directory of its own (`scratch`), has
`checks` look at what came of it, and measures each part (`phases`) until its time is over
(`deadline`). `findings` gathers what is found and makes the `report`; `history` keeps that.
`playbook` does the same step by step as a file says. `drdrill` is the class that users know.
"""

from holdfast.platform.drill.config import DrillConfig, Probe
from holdfast.platform.drill.drdrill import Criteria, DRDrill, Scheduler
from holdfast.platform.drill.history import (
    DrillTrend,
    TrendPoint,
    load_report,
    past_drills,
    report_file,
    trend_of,
)
from holdfast.platform.drill.load import load_drill
from holdfast.platform.drill.playbook import Playbook, load_playbook
from holdfast.platform.drill.report import (
    CheckOutcome,
    DrillError,
    DrillReport,
    Phase,
    StepOutcome,
)
from holdfast.platform.drill.telling import announcement, to_channels
from holdfast.platform.drill.words import (
    CHECKS,
    FRAMEWORKS,
    FREQUENCIES,
    DrillStatus,
    cron_of,
    framework_of,
    verdict_word,
)

__all__ = [
    "CHECKS",
    "FRAMEWORKS",
    "FREQUENCIES",
    "CheckOutcome",
    "Criteria",
    "DRDrill",
    "DrillConfig",
    "DrillError",
    "DrillReport",
    "DrillStatus",
    "DrillTrend",
    "Phase",
    "Playbook",
    "Probe",
    "Scheduler",
    "StepOutcome",
    "TrendPoint",
    "announcement",
    "cron_of",
    "framework_of",
    "load_drill",
    "load_playbook",
    "load_report",
    "past_drills",
    "report_file",
    "to_channels",
    "trend_of",
    "verdict_word",
]
