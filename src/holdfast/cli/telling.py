"""Who is told of what a command did, by the config file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.cli.connect import Connector
    from holdfast.platform.notify import Directory, Notifier
    from holdfast.platform.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Audience:
    """Who can be told.

    Attributes:
        notifier: sends to the channels that the file configures, or to others.
        directory: what words for channels mean.
        on_success, on_failure: whether the channels of the file are to be told; no if there is
            none.
    """

    notifier: Notifier
    directory: Directory
    on_success: bool
    on_failure: bool


def audience(connect: Connector, workspace: Workspace) -> Audience:
    """Who is to be told by the config file (UsageError if a channel makes no sense)."""
    from holdfast.platform.notify import Notifier
    from holdfast.settings.channels import channels
    from holdfast.settings.jobs import channel_words

    blocks = connect.config.blocks
    told = None if blocks is None else blocks.notifications
    directory = channels(told)
    usual = [] if told is None else [directory.find(word) for word in channel_words(told)]
    return Audience(
        Notifier(workspace.database, usual, workspace.clock),
        directory,
        on_success=bool(usual) and told is not None and told.on_success,
        on_failure=bool(usual) and told is not None and told.on_failure,
    )
