"""Telling people of drills; whoever cannot be told never fails the drill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from holdfast.errors import UsageError
from holdfast.platform.drill.report import DrillReport
from holdfast.platform.drill.words import DrillStatus, channel_name
from holdfast.platform.notify import Delivery, Directory, Notifier

_log = logging.getLogger(__name__)

DONE, FAILED = "drill-done", "drill-failed"
"""Events: a drill that succeeded, and one that did not, or not wholly."""

Notify: TypeAlias = Callable[[str, str, str], object]
"""Tells somebody: of what event, a subject, and a text."""

NotifyTo: TypeAlias = Callable[[Sequence[str], str, str, str], Sequence[str]]
"""Tells those who are named first; returns why some of them were not told, a text each."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Tells whoever can be told.

    Attributes:
        notify: for those who are not named.
        notify_to: for those who are.
    """

    notify: Notify | None = None
    notify_to: NotifyTo | None = None

    def send(
        self, channels: Sequence[str], event: str, subject: str, body: str
    ) -> Sequence[str] | None:
        """Tell somebody.

        Returns:
            Why somebody was not told; None if nobody can be.
        """
        subject, body = _text(subject), _text(body)
        try:
            if channels and self.notify_to is not None:
                problems = list(self.notify_to(channels, event, subject, body))
            elif self.notify is not None:
                problems = _problems(self.notify(event, subject, body))
            else:
                return None
        except Exception as error:  # noqa: BLE001 - a caller's function; it never fails the drill
            problems = [f"{type(error).__name__}: {error}"]
        for each in problems:
            _log.warning("a message was not sent: %s", each)
        return problems


def announcement(report: DrillReport) -> tuple[str, str, str]:
    """Event, subject and text about a drill."""
    event = DONE if report.status is DrillStatus.SUCCESS else FAILED
    return event, f"drill {report.name}: {report.status}", report.text()


def to_channels(notifier: Notifier, directory: Directory) -> NotifyTo:
    """Tells channels by the words that the directory knows."""

    def send(words: Sequence[str], event: str, subject: str, body: str) -> Sequence[str]:
        problems = []
        for word in words:
            try:
                channel = directory.find(word)
            except UsageError as error:  # the others are told all the same
                problems.append(f"{channel_name(word)}: {error}")
            else:
                problems += _problems(notifier.send(event, subject, body, [channel]))
        return problems

    return send


def _problems(found: object) -> list[str]:
    """Of deliveries, why those failed that did; of anything else nothing is known."""
    if not isinstance(found, list):
        return []
    return [str(each.problem) for each in found if isinstance(each, Delivery) and not each.ok]


def _text(text: str) -> str:
    """Names of files may have bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()
