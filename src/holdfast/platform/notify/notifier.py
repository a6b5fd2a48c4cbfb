"""Sends messages, and keeps a record of what became of each."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.platform.database import Database
from holdfast.platform.notify.channels import Channel, DeliveryError
from holdfast.platform.notify.message import Message

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message on one channel.

    Attributes:
        channel: its name.
        problem: why it was not taken; None when it was.
    """

    channel: str
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether it was taken."""
        return self.problem is None

    def dict(self) -> dict[str, object]:
        """``channel``, ``ok`` and ``problem``."""
        return {"channel": self.channel, "ok": self.ok, "problem": self.problem}


class Notifier:
    """Sends each message to all of its channels. Safe to share between threads.

    Args:
        database: where deliveries are recorded.
        channels: where messages go that name no other.
        clock: what time it is.
    """

    def __init__(
        self, database: Database, channels: Sequence[Channel] = (), clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._database = database
        self._channels = tuple(channels)
        self._clock = clock

    def send(
        self, event: str, subject: str, body: str, channels: Sequence[Channel] | None = None
    ) -> list[Delivery]:
        """Send a message; what cannot be delivered is in the result, and in the log.

        Args:
            event: what it is about.
            subject: one line.
            body: plain text, without secrets.
            channels: where to, instead of the usual ones.
        """
        message = Message(event, " ".join(subject.split()), body)
        deliveries = []
        for channel in self._channels if channels is None else channels:
            delivery = Delivery(channel.name, _try(channel, message))
            self._record(message, delivery)
            deliveries.append(delivery)
        return deliveries

    def history(self, limit: int = 100) -> list[dict[str, object]]:
        """The newest deliveries, newest first.

        Returns:
            For each ``time`` (ISO 8601, UTC), ``event``, ``subject``, ``channel``, ``ok`` and
            ``problem``.
        """
        rows = self._database.connection.execute(
            "SELECT * FROM notifications ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [
            {
                "time": datetime.fromtimestamp(row["sent_ns"] / 1e9, UTC).isoformat(),
                "event": row["event"],
                "subject": row["subject"],
                "channel": row["channel"],
                "ok": bool(row["ok"]),
                "problem": row["problem"],
            }
            for row in rows
        ]

    def _record(self, message: Message, delivery: Delivery) -> None:
        if not delivery.ok:
            _log.warning("a message was not delivered: %s", delivery.problem)
        try:
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO notifications (sent_ns, event, subject, channel, ok, problem)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        self._clock.now_ns(),
                        message.event,
                        message.subject,
                        delivery.channel,
                        delivery.ok,
                        delivery.problem,
                    ),
                )
        except sqlite3.Error as error:  # the work that the message is about goes on all the same
            _log.warning("a delivery could not be recorded: %s", error)


def _try(channel: Channel, message: Message) -> str | None:
    try:
        channel.deliver(message)
    except DeliveryError as error:
        return str(error)
    return None
