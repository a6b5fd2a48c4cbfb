"""Jobs that run when it is time: backups, validations, drills, prunes and copies.

`cron` says when a job is due, `due` what of that is still to be done, `table` keeps jobs and runs,
`owner` knows which schedulers live, `run` does one run, `execute` the work of it, and `scheduler`
puts them together. `export` writes the same jobs for schedulers of others.
"""

from holdfast.platform.schedule.cron import Timing, every_minutes, expression_of
from holdfast.platform.schedule.job import KEYS, JobConfig, Operation, Priority
from holdfast.platform.schedule.outcome import Executor, Outcome
from holdfast.platform.schedule.scheduler import BackupScheduler

__all__ = [
    "KEYS",
    "BackupScheduler",
    "Executor",
    "JobConfig",
    "Operation",
    "Outcome",
    "Priority",
    "Timing",
    "every_minutes",
    "expression_of",
]
