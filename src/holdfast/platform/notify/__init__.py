"""Telling people: messages about jobs and drills, sent to channels, each try of which is recorded.

A message that cannot be delivered never fails the work that it is about. Channels that apprise
knows are named by its URLs; a program can give a function of its own instead.
"""

from holdfast.platform.notify.channels import (
    AppriseChannel,
    CallableChannel,
    Channel,
    ConsoleChannel,
    DeliveryError,
    FileChannel,
)
from holdfast.platform.notify.mail import MailServer
from holdfast.platform.notify.message import Message
from holdfast.platform.notify.names import Directory
from holdfast.platform.notify.notifier import Delivery, Notifier
from holdfast.platform.notify.slack import SlackChannel

__all__ = [
    "AppriseChannel",
    "CallableChannel",
    "Channel",
    "ConsoleChannel",
    "Delivery",
    "DeliveryError",
    "Directory",
    "FileChannel",
    "MailServer",
    "Message",
    "Notifier",
    "SlackChannel",
]
