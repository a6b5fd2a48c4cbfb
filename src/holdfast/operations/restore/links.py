"""Hard links: of the names of one file, the first that is written holds the content."""

from __future__ import annotations

import os
import stat
import threading
from typing import NamedTuple, TypeAlias

from holdfast.filesystem import PASS
from holdfast.filesystem.target import TargetError, discard, stack_at, status_of
from holdfast.operations.restore.scope import Place

Group: TypeAlias = tuple[int, int]
"""What tells the names of one file: ordinal of its file system, inode at the source."""


class Holder(NamedTuple):
    """The name that holds the content of a group, and the inode that was written there.

    Attributes:
        directory: where it is.
        name: its name there.
        device: of the inode.
        inode: its number.
    """

    directory: Place
    name: bytes
    device: int
    inode: int

    def is_at(self, status: os.stat_result | None) -> bool:
        """Whether an entry with this status is a name of the file that was written."""
        if status is None or not stat.S_ISREG(status.st_mode):
            return False
        return (status.st_dev, status.st_ino) == (self.device, self.inode)


class Holders:
    """The holders of all groups. One thread writes a group's content, others wait for it.

    A thread that has claimed a group never waits for another one, so nobody waits for ever.
    """

    def __init__(self) -> None:
        self._settled = threading.Condition()
        self._holders: dict[Group, Holder | None] = {}  # None: somebody is writing it

    def claim(self, group: Group) -> Holder | None:
        """The group's holder; None: there is none, the caller is to write it and to `settle`."""
        with self._settled:
            while group in self._holders:
                holder = self._holders[group]
                if holder is not None:
                    return holder
                self._settled.wait()
            self._holders[group] = None
            return None

    def settle(self, group: Group, holder: Holder | None) -> None:
        """Say what came of it; None: nothing that others may be linked to, let them write."""
        with self._settled:
            if holder is None:
                self._holders.pop(group, None)
            else:
                self._holders[group] = holder
            self._settled.notify_all()


def make_link(root: int, holder: Holder, directory: tuple[Place, int], name: bytes) -> None:
    """Make a new name for a file that this restore has written.

    What is linked is checked to be that very file, not what somebody may have put there since.

    Args:
        root: descriptor of the target.
        holder: the file.
        directory: where the link is to be, and a descriptor of that.
        name: of the link; there must be none such yet.

    Raises:
        TargetError: it cannot be linked, or is not there any more.
    """
    place, fd = directory
    try:
        if holder.directory is place:
            os.link(holder.name, name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
        else:
            with stack_at(root) as stack:
                for component in holder.directory.names:
                    stack.enter(component, PASS | os.O_NOFOLLOW)
                os.link(
                    holder.name,
                    name,
                    src_dir_fd=stack.fd,
                    dst_dir_fd=fd,
                    follow_symlinks=False,
                )
    except OSError as error:
        raise TargetError("link", error) from error
    if not holder.is_at(status_of(fd, name)):
        discard(fd, name)
        raise TargetError("link", "somebody replaced the file that was to be linked")
