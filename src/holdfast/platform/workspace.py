"""The folder in which a machine keeps what the platform knows."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.closing import Closing
from holdfast.overrides import override
from holdfast.platform.audit import AuditTrail
from holdfast.platform.database import Database
from holdfast.platform.folder import AUDIT_TRAIL, default_folder


class Workspace(Closing):
    """A folder, what is in it, and the clock that all parts of the platform go by.

    Safe to share between threads; a context manager.

    Args:
        folder: made when something is first kept in it. None for HOLDFAST_STATE_DIR, or else
            ``holdfast`` in XDG_STATE_HOME or ``~/.local/state`` (XDG Base Directory Specification).
        clock: what time it is.

    Raises:
        UsageError: there is no home directory.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.folder = Path(default_folder() if folder is None else folder).absolute()
        self.clock = clock
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._audit: AuditTrail | None = None

    @override
    def close(self) -> None:
        """Close the database; the workspace can be used on."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None

    @property
    def database(self) -> Database:
        """Jobs, runs, drills, checks, recoveries and notifications."""
        with self._lock:
            if self._database is None:
                self._database = Database(self.folder / "state.sqlite")
            return self._database

    @property
    def audit(self) -> AuditTrail:
        """Who did what, when, with what result."""
        with self._lock:
            if self._audit is None:
                self._audit = AuditTrail(self.folder / AUDIT_TRAIL, self.clock)
            return self._audit

    @property
    def reports(self) -> Path:
        """Where reports on drills go."""
        return self.folder / "drill_reports"
