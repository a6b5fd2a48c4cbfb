"""Where messages can go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from holdfast.errors import HoldfastError, UsageError
from holdfast.platform.notify.message import Message

if TYPE_CHECKING:
    from apprise import NotifyBase

DEADLINE = 60.0
"""Seconds after which a channel counts as one that does not answer."""


class DeliveryError(HoldfastError):
    """A channel did not take a message; says why, without secrets."""


class Channel(Protocol):
    """A place that takes messages."""

    @property
    def name(self) -> str:
        """What it is called in records; holds no secrets."""

    def deliver(self, message: Message) -> None:
        """Hand the message over.

        Raises:
            DeliveryError: it was not taken.
        """


class AppriseChannel:
    """Any of the services that apprise knows: e-mail, Slack, Discord, Teams, webhooks and others.

    Args:
        url: as apprise's documentation describes them, such as ``discord://ID/TOKEN`` or
            ``json://host/path``; also the webhook addresses that some services give out.

        name: what it is called in records; the kind and the host of the URL when None.

    Raises:
        UsageError: apprise is not installed, or cannot make sense of the URL, which the message
            does not repeat, as it holds secrets.
    """

    def __init__(self, url: str, name: str | None = None) -> None:
        self._service = _service(url)
        self._name = name

    @property
    def name(self) -> str:
        """As it was given, or the URL up to its host: what follows may be what protects it."""
        if self._name is not None:
            return self._name
        url = self._service.url(privacy=True)  # type: ignore[no-untyped-call]  # apprise's
        return "/".join(str(url).partition("?")[0].split("/", 3)[:3])

    def deliver(self, message: Message) -> None:
        """See `Channel.deliver`."""
        from apprise import Apprise, NotifyType

        sender = Apprise()
        sender.add(self._service)
        told: list[str] = []
        kind = NotifyType.FAILURE if message.is_bad_news else NotifyType.SUCCESS
        done = sender.notify(
            message.body,
            message.subject,
            kind,
            timeout=DEADLINE,
            log_callback=lambda entry, _: told.append(entry.message),
        )
        if not done:
            raise DeliveryError(f"{self.name}: {' '.join(told) or 'was not taken'}")


class ConsoleChannel:
    """Writes messages to standard error, or to another stream."""

    name = "console"

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def deliver(self, message: Message) -> None:
        """See `Channel.deliver`."""
        stream = sys.stderr if self._stream is None else self._stream
        try:
            stream.write(f"{message.subject}\n{message.body}\n")
            stream.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(f"console: {error}") from error


class FileChannel:
    """Appends messages to a file, one JSON object a line, with event, subject and body."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    @property
    def name(self) -> str:
        """The file."""
        return f"file:{self._path}"

    def deliver(self, message: Message) -> None:
        """See `Channel.deliver`."""
        line = {"event": message.event, "subject": message.subject, "body": message.body}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise DeliveryError(f"{self.name}: {error.strerror}") from error


class CallableChannel:
    """A function of the caller's, which raises to say that a message was not taken.

    Args:
        function: called with the message.
        name: what it is called in records.
        raises: the classes of the exceptions that mean that; any other is a mistake in the
            function, and ends the work.
    """

    def __init__(
        self,
        function: Callable[[Message], object],
        name: str = "function",
        raises: Sequence[type[Exception]] = (OSError, HoldfastError),
    ) -> None:
        self._function = function
        self._raises = tuple(raises)
        self._name = name

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    def deliver(self, message: Message) -> None:
        """See `Channel.deliver`."""
        try:
            self._function(message)
        except self._raises as error:
            raise DeliveryError(f"{self.name}: {error}") from error


def _service(url: str) -> NotifyBase:
    try:
        from apprise import Apprise
    except ImportError as error:
        raise UsageError("notifications need apprise: pip install 'holdfast[platform]'") from error
    service = Apprise.instantiate(url)
    if service is None:
        kind = url.partition(":")[0]
        raise UsageError(
            f"no channel can be made of this {kind!r} URL: see apprise's documentation for its form"
        )
    return service
