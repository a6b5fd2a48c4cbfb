"""Entries on their way from the thread that goes through the tree to those that restore them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Final, NamedTuple, cast

from holdfast.filesystem.apply import apply_to_descriptor, apply_to_new
from holdfast.filesystem.contents import AHEAD
from holdfast.filesystem.newfile import NewFiles, is_plain, plain_file
from holdfast.filesystem.target import TargetError, discard_all, fold, restore_mode
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import view_blobs
from holdfast.operations.restore.entries import LARGE, Context, EntryRestorer, Job, Surroundings
from holdfast.operations.restore.helper import Folder, Hands, Task
from holdfast.operations.restore.options import Overwrite
from holdfast.operations.restore.result import Tally
from holdfast.operations.restore.scope import Place
from holdfast.primitives.ids import BlobId
from holdfast.store import Loader

MAX_ENTRIES: Final = 512
"""Most entries of a batch."""

MAX_DIRECTORIES: Final = 24
"""Most directories of a batch; each holds a descriptor."""

MAX_BYTES: Final = LARGE
"""Most bytes of a batch, unless a single file is larger."""


class OpenDirectory:
    """A directory of the target that is being filled.

    Args:
        around: what its entries need to know.
        node: what it is to become; None when its metadata stays.
        before: its status before; None when it was created.

    Attributes:
        waiting: entries that are to be handed over.
        waiting_bytes: their size.
        folds: it takes names for the same that differ in case or form.
    """

    def __init__(
        self, around: Surroundings, node: Node | None, before: os.stat_result | None
    ) -> None:
        self.around = around
        self.node = node
        self.before = before
        self.waiting: list[Node] = []
        self.waiting_bytes = 0
        self.folds = False
        self._folded: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._users = 1  # the thread that goes through the tree

    def refusal(self, name: bytes) -> str:
        """Why there cannot be an entry of that name; "" when there can."""
        if self.folds and self._folded.setdefault(fold(name), name) != name:
            return "the target takes this name for that of another entry"
        return ""

    def use(self) -> None:
        """Somebody else is at work in it, too."""
        with self._lock:
            self._users += 1

    def done(self, tally: Tally, fd: int, *, failed: bool) -> None:
        """One user is done; the last one applies the metadata.

        Args:
            tally: told of problems.
            fd: any descriptor of the directory.
            failed: the restore has ended, so the directory is not what it should be.
        """
        with self._lock:
            self._users -= 1
            if self._users:
                return
        if not failed:
            self._apply(tally, fd)

    def _apply(self, tally: Tally, fd: int) -> None:
        def tell(error: TargetError) -> None:
            tally.problem(self.around.place.path, error)

        try:
            if self.node is None:
                if self.before is not None:
                    restore_mode(fd, self.before)
            elif self.before is None:
                apply_to_new(fd, self.node, tell, inherits=self.around.inherits)
            else:
                apply_to_descriptor(fd, self.node, tell)
        except TargetError as error:
            tell(error)


class _Share(NamedTuple):
    """Entries of one directory, and a descriptor of it; `nodes` go the long way."""

    directory: OpenDirectory
    fd: int
    nodes: list[Node]


class _Small(NamedTuple):
    """A small new file, and the number of its share."""

    share: int
    node: Node


class Batch:
    """Entries of a few directories, to be restored by one thread.

    Small new files are written in the order in which their blobs are stored, by the helper if
    there is one; the rest, and what goes wrong, comes after them.
    """

    def __init__(self, restorer: EntryRestorer, context: Context, helper: Hands) -> None:
        self._restorer = restorer
        self._context = context
        self._helper = helper
        self._shares: list[_Share] = []
        self._empty: list[_Small] = []
        self._small: list[_Small] = []
        self._blobs: list[BlobId] = []
        self._task: Task | None = None
        self._contents: Iterator[tuple[int, memoryview | None]] = iter(())
        self._complete = False
        self._last: tuple[Place, bytes] | None = None
        self._entries = self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is to be handed over."""
        return (
            self._entries >= MAX_ENTRIES
            or self._bytes >= MAX_BYTES
            or len(self._shares) >= MAX_DIRECTORIES
        )

    def add(self, directory: OpenDirectory, fd: int) -> None:
        """Take over what waits in a directory, and a descriptor of that."""
        directory.use()
        nodes, directory.waiting = directory.waiting, []
        self._entries += len(nodes)
        self._bytes += directory.waiting_bytes
        directory.waiting_bytes = 0
        around = directory.around
        self._last = around.place, nodes[-1].name
        if around.is_new and not around.inherits and not self._context.options.sparse:
            nodes = self._sort(nodes)
        self._shares.append(_Share(directory, fd, nodes))

    def _sort(self, nodes: list[Node]) -> list[Node]:
        """Keep the small files of the next share; returns what goes the long way."""
        share, others = len(self._shares), []
        for node in nodes:
            if not is_plain(node, LARGE):
                others.append(node)
            elif node.payload is None:
                self._empty.append(_Small(share, node))
            else:
                self._small.append(_Small(share, node))
                self._blobs.append(cast("BlobId", node.payload))
        return others

    def announce(self) -> None:
        """Begin to read what it takes; to be called when nothing more is added."""
        loader = self._context.loader
        self._small += self._empty
        if isinstance(loader, Loader) and self._helper.offer(len(self._small)):
            self._task = self._plan(loader)
        if self._task is None:
            self._contents = view_blobs(loader, self._blobs)
        always = self._context.options.overwrite is Overwrite.ALWAYS
        for share in self._shares:
            if share.nodes and (always or share.directory.around.is_new):
                loader.prefetch(_first_blobs(share.nodes))

    def _plan(self, loader: Loader) -> Task | None:
        """What the helper is to do; None if it is to be done here, where each failure is told."""
        folders: list[Folder] = []
        for share in self._shares:
            try:
                status = os.fstat(share.fd)
            except OSError:
                return None
            names = share.directory.around.place.names
            folders.append((names, status.st_dev, status.st_ino))
        files = [(share, plain_file(node)) for share, node in self._small]
        return Task(folders, files, self._blobs, loader.plan(self._blobs))

    def run(self) -> None:
        """Restore them."""
        left = None if self._task is None else self._have_done(self._task)
        if left is None:
            left = self._write_small()
        size = self._count_small(left)
        for share in self._shares:
            for node in share.nodes:
                job = Job(share.directory.around, share.fd, node)
                self._restorer.restore(job)
                size += node.size - job.reported if node.type == NodeType.FILE else 0
        if self._context.progress is not None and self._last is not None:
            place, name = self._last
            self._context.progress.advance(self._entries, size, os.fsdecode(place.below(name)))
        self._complete = True

    def close(self) -> None:
        """Let go of the directories."""
        try:
            for share in self._shares:
                share.directory.done(self._context.tally, share.fd, failed=not self._complete)
        finally:
            for share in self._shares:
                os.close(share.fd)

    def _have_done(self, task: Task) -> list[int] | None:
        """Have the small files written by the helper; None when it has failed.

        An executor may begin a task a second time, which leaves what the first left half done.
        """
        left = self._helper.do(task)
        if left is None or (left and self._context.elsewhere is not None):
            for share in self._shares:
                with suppress(TargetError):  # then they stay until the next restore
                    discard_all(share.fd, self._helper.temporary)
        if left is None:
            self._contents = view_blobs(self._context.loader, self._blobs)
        return left

    def _write_small(self) -> list[int]:
        """Write the small files here; returns the numbers of those that are left."""
        left: list[int] = []
        temporary = self._restorer.temporary
        files = [NewFiles(share.fd, temporary) for share in self._shares]
        empty = ((number, b"") for number in range(len(self._blobs), len(self._small)))
        for number, content in chain(self._contents, empty):
            share, node = self._small[number]
            if content is None or not files[share].write(plain_file(node), content):
                left.append(number)
        return left

    def _count_small(self, left: list[int]) -> int:
        """Count what was written, and let the rest go the long way; returns bytes written."""
        for number in sorted(left):
            share, node = self._small[number]
            self._shares[share].nodes.append(node)
        for number in sorted(left, reverse=True):
            del self._small[number]
        size = sum([node.size for _, node in self._small])
        tally = self._context.tally
        tally.new_files(len(self._small), size)
        if tally.is_watched:
            for share, node in self._small:
                tally.created(self._shares[share].directory.around.place.below(node.name))
        return size


def _first_blobs(nodes: list[Node]) -> list[BlobId]:
    """The blobs with which files begin; those behind are asked for when it comes to them.

    Of files with hard links most are not read, so they are asked for late, too.
    """
    blobs: list[BlobId] = []
    for node in nodes:
        if node.type != NodeType.FILE or node.payload is None or node.filesystem is not None:
            continue
        content = cast("Content", node.payload)
        if isinstance(content, bytes):
            blobs.append(content)
        else:
            blobs += [item[0] for item in content[1][:AHEAD] if not isinstance(item, int)]
    return blobs
