"""What is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message; it holds no secrets.

    Attributes:
        event: what it is about, such as ``backup-failed`` or ``rpo-violation``.
        subject: one line.
        body: plain text.
    """

    event: str
    subject: str
    body: str

    @property
    def is_bad_news(self) -> bool:
        """Whether somebody has to do something."""
        return self.event.endswith(("-failed", "-violation", "-lost", "-partial"))
