"""Channels for notifications from a config file."""

from __future__ import annotations

from holdfast.errors import UsageError
from holdfast.platform.notify import AppriseChannel, Channel, Directory, MailServer
from holdfast.settings.blocks import Email, Notifications

_POSTED = {"http": "json", "https": "jsons"}


def channels(told: Notifications | None) -> Directory:
    """What the words for channels mean.

    Raises:
        UsageError: a URL makes no sense, or apprise is needed and not installed.
    """
    if told is None:
        return Directory()
    named: dict[str, Channel] = {name: AppriseChannel(url) for name, url in told.apprise.items()}
    if told.webhook is not None:
        named["webhook"] = AppriseChannel(_posted(told.webhook))
    mail = told.email if told.email is not None and told.email.enabled else None
    slack = told.slack if told.slack is not None and told.slack.enabled else None
    return Directory(
        mail=None if mail is None else _server(mail),
        recipients=() if mail is None else mail.recipients,
        slack=None if slack is None else slack.webhook_url,
        slack_channel=None if slack is None else slack.channel,
        named=named,
    )


def _server(mail: Email) -> MailServer | None:
    if mail.smtp_host is None:
        return None
    return MailServer(
        host=mail.smtp_host,
        port=mail.smtp_port,
        security=mail.security,
        sender=mail.sender or "",
        user=mail.user,
        password=mail.password,
    )


def _posted(address: str) -> str:
    """The address as apprise names one that JSON is posted to."""
    scheme, _, rest = address.partition("://")
    if scheme not in _POSTED or not rest:
        raise UsageError("notifications.webhook is to begin with https:// or http://")
    return f"{_POSTED[scheme]}://{rest}"
