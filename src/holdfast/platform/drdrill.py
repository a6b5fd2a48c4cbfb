"""`DRDrill` as everybody gets it: planned drills become jobs of the user's own scheduler.

Drills lie below schedules, which do them; so they know of a scheduler only what it has to offer,
and here, above both, is where they get one.
"""

from __future__ import annotations

from holdfast.overrides import override
from holdfast.platform import drill


class DRDrill(drill.DRDrill):  # noqa: D101 - it has the text of its base
    __doc__ = drill.DRDrill.__doc__

    @override
    def _usual_scheduler(self) -> drill.Scheduler:
        from holdfast.platform.schedule import BackupScheduler  # takes the extra `platform`

        return BackupScheduler(workspace=self.workspace)
