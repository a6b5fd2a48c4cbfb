"""From the words in a job or drill, such as ``email:ops@example.org``, to channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.errors import UsageError
from holdfast.platform.notify.channels import (
    AppriseChannel,
    Channel,
    ConsoleChannel,
    FileChannel,
)
from holdfast.platform.notify.mail import MailServer
from holdfast.platform.notify.slack import SlackChannel


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """What words mean.

    Attributes:
        mail: the server for addresses.
        recipients: to whom ``email`` alone goes.
        slack: the webhook's address for ``slack`` and ``slack:#channel``; a secret.
        slack_channel: for ``slack`` alone.
        named: other channels, by the names that the configuration gives them.
    """

    mail: MailServer | None = None
    recipients: tuple[str, ...] = ()
    slack: str | None = field(default=None, repr=False)
    slack_channel: str | None = None
    named: Mapping[str, Channel] = field(default_factory=dict)

    def find(self, word: str) -> Channel:
        """The channel of a word.

        Args:
            word: a configured name; ``email``, ``email:ADDRESS`` or an address; ``slack`` or
                ``slack:#CHANNEL``; ``console``; ``file:PATH``; or a URL of apprise.

        Raises:
            UsageError: it means nothing, or what it needs is not configured.
        """
        if word in self.named:
            return self.named[word]
        kind, _, rest = word.partition(":")
        if kind == "console" and not rest:
            return ConsoleChannel()
        if kind == "file" and rest and not rest.startswith("//"):
            return FileChannel(rest)
        if kind == "slack" and not rest.startswith("//"):
            return self._to_slack(rest)
        if kind == "email" or ("@" in word and "://" not in word):
            return self._to_mail(rest if kind == "email" else word)
        if "://" in word:
            return AppriseChannel(word)
        known = ", ".join(sorted({"email", "slack", "console", "file:PATH", *self.named}))
        raise UsageError(f"no channel is called {word!r}: there are {known}, and URLs of apprise")

    def _to_slack(self, channel: str) -> Channel:
        if self.slack is None:
            raise UsageError(
                "Slack is not configured: put `webhook_url` under `notifications: slack:`"
            )
        return SlackChannel(self.slack, channel or self.slack_channel)

    def _to_mail(self, address: str) -> Channel:
        if self.mail is None:
            raise UsageError(
                "no mail server is configured: put `smtp_host` under `notifications: email:`"
            )
        return self.mail.channel((address,) if address else self.recipients)
