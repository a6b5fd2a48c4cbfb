"""Restoring single entries that are no directories; called by several threads."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

from holdfast.errors import DamagedRepository
from holdfast.filesystem.apply import apply_to_descriptor, apply_to_name, apply_to_new
from holdfast.filesystem.contents import (
    Piece,
    first_difference,
    read_pieces,
    update_pieces,
    write_pieces,
)
from holdfast.filesystem.target import (
    TargetError,
    TemporaryNames,
    create_file,
    discard,
    move_into_place,
    open_file,
    remove_directory,
    status_at,
    status_of,
)
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.operations.restore.elsewhere import Elsewhere, PartMissing
from holdfast.operations.restore.judge import Verdict, check_wanted, is_protected, judge
from holdfast.operations.restore.links import Group, Holder, Holders, make_link
from holdfast.operations.restore.options import RestoreOptions
from holdfast.operations.restore.result import Deed, Tally
from holdfast.operations.restore.scope import Place, Scope
from holdfast.progress import Progress

_log = logging.getLogger(__name__)

LARGE: Final = 8 << 20
"""Bytes from which on a file reports its progress piece by piece."""

_DEVICES: Final = {
    NodeType.CHARACTER_DEVICE: stat.S_IFCHR,
    NodeType.BLOCK_DEVICE: stat.S_IFBLK,
}


class Stopped(Exception):  # noqa: N818 - not an error: something else ended the restore
    """The restore has ended for another reason; this file is given up."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is to know of the directory of an entry.

    Attributes:
        place: where it is.
        scope: what is selected in it.
        is_new: this restore created it, so nothing is in it yet.
        inherits: it hands extended attributes on to new entries.
    """

    place: Place
    scope: Scope
    is_new: bool
    inherits: bool


@dataclass(slots=True)
class Job:
    """One entry to restore.

    Attributes:
        around: its directory.
        fd: a descriptor of the directory.
        node: what the entry is to become.
        reported: bytes of it that the progress knows of.
    """

    around: Surroundings
    fd: int
    node: Node
    reported: int = 0

    def path(self) -> bytes:
        """Its path in the snapshot."""
        return self.around.place.below(self.node.name)


@dataclass(frozen=True, slots=True)
class Context:
    """What all threads of a restore share.

    Attributes:
        root: descriptor of the target.
        loader: where blobs come from.
        options: what was asked for.
        tally: counts and collects problems.
        progress: told of bytes, or None.
        clear: removes a directory that is in the way, with what is in it: descriptor, name,
            place and scope of its directory.
        has_ended: whether the work is to be given up.
        elsewhere: writes large files in other processes; None when this one does.
    """

    root: int
    loader: BlobLoader
    options: RestoreOptions
    tally: Tally
    progress: Progress | None
    clear: Callable[[int, bytes, Place, Scope], object]
    has_ended: Callable[[], bool]
    elsewhere: Elsewhere | None = None


class EntryRestorer:
    """Restores one entry at a time; what fails is noted in the tally, not raised.

    Attributes:
        temporary: names for entries that are not complete yet.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._options = context.options
        self._tally = context.tally
        self.temporary = TemporaryNames()
        self._holders = Holders()

    def restore(self, job: Job) -> None:
        """Restore an entry.

        Raises:
            HoldfastError: the repository as a whole failed.
            Stopped: the restore ends for another reason.
        """
        try:
            found = None if job.around.is_new else status_of(job.fd, job.node.name)
            if job.node.type == NodeType.FILE and job.node.filesystem is not None:
                self._restore_linked(job, found, (job.node.filesystem, job.node.inode))
            elif job.node.type == NodeType.FILE:
                self._restore_file(job, found)
            else:
                self._restore_other(job, found)
        except TargetError as error:
            self._tally.problem(job.path(), error)
        except DamagedRepository as error:
            self._tally.problem(job.path(), error)

    def _restore_linked(self, job: Job, found: os.stat_result | None, group: Group) -> None:
        """Restore a file that has several names."""
        holder = self._holders.claim(group)
        if holder is None:
            try:
                holder = self._restore_file(job, found)
            finally:
                self._holders.settle(group, holder)
        elif holder.is_at(found):
            self._tally.skip(job.path, is_file=True, protected=False)
        elif found is not None and is_protected(job.node, found, self._options.overwrite):
            self._tally.skip(job.path, is_file=True, protected=True)
        else:
            try:
                self._link(job, found, holder)
            except TargetError as error:
                self._tally.note(
                    job.path(), error.operation, f"{error.message}; restored as a copy"
                )
                copy = self._create_file(job, found)
                self._holders.settle(group, copy)

    def _link(self, job: Job, found: os.stat_result | None, holder: Holder) -> None:
        temporary = next(self.temporary)
        place = job.around.place
        make_link(self._context.root, holder, (place, job.fd), temporary)
        self._finish(job, found, temporary)
        self._tally.link(job.path)

    def _restore_file(self, job: Job, found: os.stat_result | None) -> Holder | None:
        """Restore a file; returns what other names of it may be linked to."""
        verdict = judge(job.node, found, self._options.overwrite)
        if verdict is Verdict.PROTECTED:
            self._tally.skip(job.path, is_file=True, protected=True)
            return None
        if verdict is Verdict.RIGHT and found is not None:
            self._tally.skip(job.path, is_file=True, protected=False)
            return Holder(job.around.place, job.node.name, found.st_dev, found.st_ino)
        if verdict is Verdict.UPDATE:
            fd = open_file(job.fd, job.node.name, write=True)
            if fd is not None:
                return self._change_file(job, fd, verdict)
            if found is not None and self._is_equal(job, found):
                verdict = Verdict.REFRESH
        if verdict is Verdict.REFRESH:
            fd = open_file(job.fd, job.node.name, write=False)
            if fd is not None:
                return self._change_file(job, fd, verdict)
        return self._create_file(job, found)

    def _is_equal(self, job: Job, found: os.stat_result) -> bool:
        """Whether a file that cannot be written has the right content already."""
        if found.st_size != job.node.size:
            return False
        fd = open_file(job.fd, job.node.name, write=False)
        if fd is None:
            return False
        try:
            return first_difference(fd, self._pieces(job)) is None
        finally:
            os.close(fd)

    def _change_file(self, job: Job, fd: int, verdict: Verdict) -> Holder | None:
        """Bring an existing file up to date; its mtime comes last."""
        node = job.node
        try:
            written, changed = 0, False
            if verdict is Verdict.UPDATE:
                written, changed = update_pieces(
                    fd, self._pieces(job), node.size, sparse=self._options.sparse
                )
            apply_to_descriptor(fd, node, lambda error: self._tally.problem(job.path(), error))
            holder = self._holder(job, fd)
        finally:
            os.close(fd)
        if changed:
            self._tally.file(job.path, Deed.UPDATE, node.size, written)
        else:
            self._tally.skip(job.path, is_file=True, protected=False)
        return holder

    def _create_file(self, job: Job, found: os.stat_result | None) -> Holder | None:
        """Write a new file and put it in its place when it is complete."""
        is_large = job.node.size >= LARGE and not self._options.sparse
        if self._context.elsewhere is not None and is_large:
            try:
                return self._make_file(job, found, self._fill_elsewhere)
            except PartMissing as error:
                # Its parts may still be written, so that file is left behind.
                _log.info("a file is written here: %s", error)
        return self._make_file(job, found, self._fill)

    def _make_file(
        self, job: Job, found: os.stat_result | None, fill: Callable[[Job, int, bytes], int]
    ) -> Holder | None:
        node = job.node
        temporary = next(self.temporary)
        fd = create_file(job.fd, temporary)
        try:
            try:
                written = fill(job, fd, temporary)
                apply_to_new(
                    fd,
                    node,
                    lambda error: self._tally.problem(job.path(), error),
                    inherits=job.around.inherits,
                )
                holder = self._holder(job, fd)
            finally:
                os.close(fd)
        except BaseException:
            discard(job.fd, temporary)
            raise
        self._finish(job, found, temporary)
        self._tally.file(
            job.path, Deed.REPLACE if found is not None else Deed.CREATE, node.size, written
        )
        return holder

    def _fill(self, job: Job, fd: int, _: bytes) -> int:
        """Write a new file; returns the bytes that were written."""
        pieces = self._pieces(job)
        return write_pieces(fd, pieces, job.node.size, sparse=self._options.sparse).size

    def _fill_elsewhere(self, job: Job, fd: int, name: bytes) -> int:
        """Have a new file written by an executor; returns the bytes that were written."""
        status = status_at(job.fd)
        folder = job.around.place.names, status.st_dev, status.st_ino
        content = cast("Content", job.node.payload)
        written = 0
        for length in cast("Elsewhere", self._context.elsewhere).fill(
            folder, (name, status_at(fd).st_ino), content, job.node.size
        ):
            if self._context.has_ended():
                raise Stopped
            written += length
            job.reported += length
            if self._context.progress is not None:
                self._context.progress.advance(0, length, os.fsdecode(job.path()))
        return written + write_pieces(fd, (), job.node.size, sparse=False).size

    def _restore_other(self, job: Job, found: os.stat_result | None) -> None:
        """Restore a link, fifo, socket or device."""
        node = job.node
        verdict = judge(node, found, self._options.overwrite)
        if verdict in (Verdict.PROTECTED, Verdict.RIGHT):
            protected = verdict is Verdict.PROTECTED
            self._tally.skip(job.path, is_file=False, protected=protected)
            return
        check_wanted(node, self._options)
        temporary = next(self.temporary)
        _make_other(job.fd, temporary, node)
        try:
            apply_to_name(
                job.fd, temporary, node, lambda error: self._tally.problem(job.path(), error)
            )
        except BaseException:
            discard(job.fd, temporary)
            raise
        self._finish(job, found, temporary)
        self._tally.other(job.path, Deed.REPLACE if found is not None else Deed.CREATE)

    def _finish(self, job: Job, found: os.stat_result | None, temporary: bytes) -> None:
        """Give a complete entry its name; the temporary one is gone afterwards in any case."""
        try:
            if found is not None and stat.S_ISDIR(found.st_mode):
                self._make_way(job)
            move_into_place(job.fd, temporary, job.node.name)
        except BaseException:
            discard(job.fd, temporary)
            raise

    def _make_way(self, job: Job) -> None:
        """Remove the directory that is where the entry is to be."""
        name = job.node.name
        if self._options.delete:
            self._context.clear(job.fd, name, job.around.place, job.around.scope)
        elif not remove_directory(job.fd, name):
            raise TargetError("create", "a directory that is not empty is in the way")

    def _pieces(self, job: Job) -> Iterator[Piece]:
        """A file's pieces; those of a large file are reported as they are used."""
        node = job.node
        pieces = read_pieces(cast("Content | None", node.payload), node.size, self._context.loader)
        if node.size < LARGE:
            return pieces
        return self._reported(job, pieces)

    def _reported(self, job: Job, pieces: Iterator[Piece]) -> Iterator[Piece]:
        path = os.fsdecode(job.path())
        for offset, data in pieces:
            if self._context.has_ended():
                raise Stopped
            yield offset, data
            length = data if isinstance(data, int) else len(data)
            job.reported += length
            if self._context.progress is not None:
                self._context.progress.advance(0, length, path)

    def _holder(self, job: Job, fd: int) -> Holder | None:
        """What other names of the file may be linked to, if it has any."""
        if job.node.filesystem is None:
            return None
        status = status_at(fd)
        return Holder(job.around.place, job.node.name, status.st_dev, status.st_ino)


def _make_other(fd: int, name: bytes, node: Node) -> None:
    """Create a link, fifo, socket or device that only its owner may use.

    Raises:
        TargetError: it cannot be created.
    """
    try:
        if node.type == NodeType.SYMLINK:
            os.symlink(cast("bytes", node.payload), name, dir_fd=fd)
        elif node.type == NodeType.FIFO:
            os.mkfifo(name, 0o600, dir_fd=fd)
        elif node.type == NodeType.SOCKET:
            os.mknod(name, stat.S_IFSOCK | 0o600, dir_fd=fd)
        else:
            device = cast("int", node.payload)
            os.mknod(name, _DEVICES[NodeType(node.type)] | 0o600, device, dir_fd=fd)
    except (OSError, OverflowError) as error:
        raise TargetError("create", error) from error
