"""Tells people about runs, by whatever function the scheduler was given for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from holdfast.platform.schedule.job import Notification

_log = logging.getLogger(__name__)

SUCCESS, PARTIAL, FAILURE, RPO = "job-success", "job-partial", "job-failure", "rpo-violation"
"""The events."""

Notify: TypeAlias = Callable[[str, str, str], object]
"""Sends an event, a subject and a body to whoever wants to know."""

NotifyTo: TypeAlias = Callable[[Sequence[str], str, str, str], object]
"""Sends them to those whom a job names; the words come first."""


class Notices:
    """Sends messages. One that cannot be sent never fails the work that it is about.

    Args:
        notify: for jobs that name nobody.
        notify_to: for jobs that do.
    """

    def __init__(self, notify: Notify | None, notify_to: NotifyTo | None) -> None:
        self._notify = notify
        self._notify_to = notify_to

    def send(self, wishes: Notification, event: str, subject: str, body: str) -> None:
        """Send a message, if the job wishes for it."""
        wanted = wishes.on_success if event == SUCCESS else wishes.on_failure
        if not wanted:
            return
        try:
            if wishes.to and self._notify_to is not None:
                self._notify_to(wishes.to, event, subject, body)
            elif self._notify is not None:
                self._notify(event, subject, body)
            elif wishes.to:
                _log.warning("nobody told %s: %s", ", ".join(wishes.to), subject)
        except Exception as error:  # noqa: BLE001 - a caller's function; it never fails the work
            _log.warning("a message was not sent: %s: %s", subject, error)
