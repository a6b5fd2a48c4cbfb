"""Reading a restored tree back and comparing it with the snapshot, content and metadata."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import cast

from holdfast.errors import DamagedRepository
from holdfast.filesystem import read_xattrs, xattr_path
from holdfast.filesystem.contents import Piece, first_difference, read_pieces
from holdfast.filesystem.differences import metadata_differences
from holdfast.filesystem.target import (
    TargetError,
    descriptor_of,
    enter_directory,
    leave_directory,
    stack_at,
    status_of,
)
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.operations.restore.entries import LARGE
from holdfast.operations.restore.judge import DEVICES, is_same_type
from holdfast.operations.restore.links import Group
from holdfast.operations.restore.options import RestoreOptions
from holdfast.operations.restore.result import Tally
from holdfast.operations.restore.scope import Place
from holdfast.operations.restore.traverse import Level
from holdfast.progress import Progress


class Verifier:
    """The `Visitor` of a verification; each mismatch is noted in the tally.

    Args:
        root: descriptor of the target.
        loader: where blobs come from.
        options: of the restore.
        tally: takes the mismatches; what it knows to be protected by the overwrite policy is not
            compared.
        progress: told of files and bytes, or None.

    Attributes:
        entries: how many were compared.
        size: bytes of the files among them.
    """

    def __init__(
        self,
        root: int,
        loader: BlobLoader,
        options: RestoreOptions,
        tally: Tally,
        progress: Progress | None,
    ) -> None:
        self._stack = stack_at(root)
        self._loader = loader
        self._options = options
        self._tally = tally
        self._progress = progress
        self._kept = tally.kept
        self.entries = self.size = 0
        self._groups: dict[Group, tuple[int, int]] = {}
        self._compared: set[Group] = set()
        self._missing = 0  # so many levels are not in the target
        self._reported = 0  # bytes of the entry at hand that the progress knows of

    def close(self) -> None:
        """Let go of the target."""
        self._stack.close()

    def enter(self, level: Level) -> None:
        """See `Visitor.enter`."""
        if level.node is None:
            return
        if self._missing:
            self._missing += 1
            return
        path = level.place.path
        try:
            status = enter_directory(self._stack, level.node.name, unlock=False)
        except TargetError as error:
            self._tally.problem(path, error)
            status = None
            level.abandoned = True
        if status is None:
            self._missing = 1
            if level.selected and not level.abandoned:
                self._differs(path, "the directory is missing")
                level.abandoned = True
        elif level.selected and path not in self._kept:
            for difference in _differences(level.node, status, self._stack.fd):
                self._differs(path, difference)

    def entry(self, level: Level, node: Node) -> None:
        """See `Visitor.entry`."""
        path = level.place.below(node.name)
        self._reported = 0
        if path not in self._kept and (self._options.devices or node.type not in DEVICES):
            try:
                self._compare(path, node)
            except TargetError as error:
                self._tally.problem(path, error)
            except DamagedRepository as error:
                self._tally.problem(path, error)
        size = node.size if node.type == NodeType.FILE else 0
        self.entries += 1
        self.size += size
        if self._progress is not None:
            self._progress.advance(1, size - self._reported, os.fsdecode(path))

    def leave(self, level: Level) -> None:
        """See `Visitor.leave`."""
        if self._missing:
            self._missing -= 1
        elif level.parent is not None:
            try:
                leave_directory(self._stack)
            except TargetError as error:
                self._tally.problem(level.parent.place.path, error)
                level.parent.abandoned = True

    def damaged(self, place: Place, error: DamagedRepository) -> None:
        """See `Visitor.damaged`."""
        self._tally.problem(place.path, error)

    def _differs(self, path: bytes, difference: str) -> None:
        self._tally.note(path, "verify", difference)

    def _compare(self, path: bytes, node: Node) -> None:
        fd = -1 if self._missing else descriptor_of(self._stack)
        status = None if self._missing else status_of(fd, node.name)
        if status is None:
            self._differs(path, "it is missing")
            return
        if not is_same_type(node, status):
            self._differs(path, "it is something else")
            return
        for difference in _differences(node, status, xattr_path(fd, node.name)):
            self._differs(path, difference)
        if node.type == NodeType.FILE:
            self._compare_file(path, node, fd, status)
        elif node.type == NodeType.SYMLINK:
            if _target_of(fd, node.name) != node.payload:
                self._differs(path, "the link leads elsewhere")
        elif node.type in DEVICES and status.st_rdev != node.payload:
            self._differs(path, "it is another device")

    def _compare_file(self, path: bytes, node: Node, fd: int, status: os.stat_result) -> None:
        if node.filesystem is not None:
            group, inode = (node.filesystem, node.inode), (status.st_dev, status.st_ino)
            known = self._groups.setdefault(group, inode)
            if known != inode:
                self._differs(path, "it is not linked to the other names of its file")
            elif group in self._compared:
                return
            self._compared.add(group)
        if status.st_size != node.size:
            self._differs(path, f"{status.st_size} bytes instead of {node.size}")
            return
        pieces = read_pieces(cast("Content | None", node.payload), node.size, self._loader)
        if node.size >= LARGE and self._progress is not None:
            pieces = self._told(pieces, os.fsdecode(path), self._progress)
        file = _open_file(fd, node.name)
        try:
            offset = first_difference(file, pieces)
        finally:
            os.close(file)
        if offset is not None:
            self._differs(path, f"the content differs after byte {offset}")

    def _told(self, pieces: Iterator[Piece], path: str, progress: Progress) -> Iterator[Piece]:
        """The pieces of a large file, each reported when it was compared."""
        for offset, data in pieces:
            yield offset, data
            length = data if isinstance(data, int) else len(data)
            self._reported += length
            progress.advance(0, length, path)


def _differences(node: Node, status: os.stat_result, entry: int | bytes) -> Iterator[str]:
    """What of an entry's metadata is not as in the snapshot."""
    return metadata_differences(node, status, lambda: read_xattrs(entry)[0], as_restored=True)


def _target_of(fd: int, name: bytes) -> bytes:
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError as error:
        raise TargetError("read", error) from error


def _open_file(fd: int, name: bytes) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except OSError as error:
        raise TargetError("open", error) from error
