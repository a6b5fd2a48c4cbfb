"""Retention policies by the names that the config file gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast import RetentionPolicy
    from holdfast.cli.connect import Connector


def named_policy(connect: Connector, given: str | None) -> RetentionPolicy | str | None:
    """What ``-r`` means: a policy of the config file by its name, or else what the library knows.

    Raises:
        UsageError: the file's policy of that name makes no sense.
    """
    blocks = None if given is None else connect.config.blocks
    known = blocks is not None and given in blocks.retention_policies
    return blocks.policy(given) if blocks is not None and known else given
