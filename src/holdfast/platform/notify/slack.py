"""Slack's incoming webhooks, at Slack or at a server that understands the same (Mattermost)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from holdfast.errors import UsageError
from holdfast.platform.notify.channels import DeliveryError
from holdfast.platform.notify.message import Message

TIMEOUT = 20.0
"""Seconds to wait for an answer."""


class SlackChannel:
    """Posts ``{"text": ..., "channel": ...}`` to the address that Slack gave out.

    apprise takes webhooks of Slack's own hosts only, so this is done here.

    Args:
        webhook_url: the address, which is a secret.
        channel: where it is to appear; the webhook's own channel when None.

    Raises:
        UsageError: it is no http or https address.
    """

    def __init__(self, webhook_url: str, channel: str | None = None) -> None:
        if urlsplit(webhook_url).scheme not in {"http", "https"}:
            raise UsageError("the webhook's address is to begin with https://")
        self._url = webhook_url
        self._channel = channel

    @property
    def name(self) -> str:
        """The channel and the host."""
        return f"slack:{self._channel or ''}@{urlsplit(self._url).hostname}"

    def deliver(self, message: Message) -> None:
        """See `Channel.deliver`."""
        post = {"text": f"*{message.subject}*\n{message.body}"}
        if self._channel is not None:
            post["channel"] = self._channel
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            self._url, json.dumps(post).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310 - likewise
                pass
        except urllib.error.HTTPError as error:
            with error:
                raise DeliveryError(f"{self.name}: answered {error.code}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise DeliveryError(f"{self.name}: {reason}") from None
