"""Channels for notifications from a config file."""

from __future__ import annotations

import pytest

from holdfast import UsageError
from holdfast.platform.notify import SlackChannel
from holdfast.settings.blocks import Email, Notifications, Slack
from holdfast.settings.channels import channels
from holdfast.settings.jobs import channel_words

TOLD = Notifications(
    email=Email(recipients=("ops@example.org",), smtp_host="mail.example.org"),
    slack=Slack(webhook_url="https://hooks.example.org/hush", channel="#backup-alerts"),
    apprise={"team": "json://example.org/hush"},
    webhook="https://example.org/hush",
    file="/var/log/told.jsonl",
    console=True,
)


def test_r186_every_configured_channel_is_found_by_its_word() -> None:
    words = channel_words(TOLD)
    assert words == ["email", "slack", "team", "webhook", "file:/var/log/told.jsonl", "console"]
    found = [channels(TOLD).find(word) for word in words]
    assert isinstance(found[1], SlackChannel)
    assert found[1].name == "slack:#backup-alerts@hooks.example.org"
    assert found[3].name.startswith("jsons://example.org")


def test_what_is_not_enabled_is_not_there() -> None:
    off = Notifications(
        email=Email(enabled=False, smtp_host="m"), slack=Slack(enabled=False, webhook_url="x")
    )
    assert channel_words(off) == []
    for told in (off, None):
        with pytest.raises(UsageError, match="no mail server"):
            channels(told).find("email")
        with pytest.raises(UsageError, match="Slack is not configured"):
            channels(told).find("slack")


def test_a_webhook_that_is_none() -> None:
    with pytest.raises(UsageError, match="to begin with https") as refused:
        channels(Notifications(webhook="hush"))
    assert "hush" not in str(refused.value)
