"""The thread that goes through the snapshot: makes directories, hands their entries to others.

A directory's own metadata is applied when the last of its entries is done, whichever thread that
is: its mode may then forbid to change it, and its mtime is not touched any more.
"""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass
from typing import Final, cast

from holdfast.errors import DamagedRepository
from holdfast.filesystem import DirectoryStack, read_xattrs
from holdfast.filesystem.apply import apply_to_descriptor
from holdfast.filesystem.contents import AHEAD
from holdfast.filesystem.target import (
    ATTEMPTS,
    TargetError,
    descriptor_of,
    enter_directory,
    fold,
    folds_names,
    is_temporary,
    leave_directory,
    make_directory,
    names_in,
    remove_file,
    restore_mode,
    status_of,
)
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.operations.restore.entries import LARGE, Context, EntryRestorer, Job, Surroundings
from holdfast.operations.restore.judge import Verdict, judge
from holdfast.operations.restore.options import Overwrite
from holdfast.operations.restore.pool import Pool
from holdfast.operations.restore.purge import Purge
from holdfast.operations.restore.result import Deed, Tally
from holdfast.operations.restore.scope import Place
from holdfast.operations.restore.traverse import Level
from holdfast.primitives.ids import BlobId

MAX_FILES: Final = 256
"""Most entries of a batch."""

MAX_BYTES: Final = LARGE
"""Most bytes of a batch, unless a single file is larger."""

_DEFAULT_ACL: Final = b"system.posix_acl_default"


class OpenDirectory:
    """A directory of the target that is being filled.

    Args:
        around: what its entries need to know.
        node: what it is to become; None when its metadata stays.
        before: its status before; None when it was created.

    Attributes:
        batch: entries that are to be handed over.
        batch_bytes: their size.
        folds: it takes names for the same that differ in case or form.
    """

    def __init__(
        self, around: Surroundings, node: Node | None, before: os.stat_result | None
    ) -> None:
        self.around = around
        self.node = node
        self.before = before
        self.batch: list[Node] = []
        self.batch_bytes = 0
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
        place = self.around.place
        try:
            if self.node is not None:
                apply_to_descriptor(fd, self.node, lambda error: tally.problem(place.path, error))
            elif self.before is not None:
                restore_mode(fd, self.before)
        except TargetError as error:
            tally.problem(place.path, error)


@dataclass(slots=True)
class _Batch:
    """Entries of one directory, to be restored by one thread, and a descriptor of their own."""

    restorer: EntryRestorer
    context: Context
    directory: OpenDirectory
    nodes: list[Node]
    fd: int
    complete: bool = False

    def run(self) -> None:
        """Restore them one after the other."""
        size = 0
        for node in self.nodes:
            job = Job(self.directory.around, self.fd, node)
            self.restorer.restore(job)
            size += node.size - job.reported if node.type == NodeType.FILE else 0
        progress = self.context.progress
        if progress is not None:
            path = self.directory.around.place.below(self.nodes[-1].name)
            progress.advance(len(self.nodes), size, os.fsdecode(path))
        self.complete = True

    def close(self) -> None:
        """Let go of the directory."""
        try:
            failed = not self.complete
            self.directory.done(self.context.tally, self.fd, failed=failed)
        finally:
            os.close(self.fd)


class DirectoryRestorer:
    """The `Visitor` of a restore. Levels are created in the target when something needs them."""

    def __init__(self, context: Context, pool: Pool, purge: Purge) -> None:
        self._context = context
        self._options = context.options
        self._tally = context.tally
        self._pool = pool
        self._purge = purge
        self._restorer = EntryRestorer(context)
        self._stack = DirectoryStack(os.dup(context.root))
        self._open: list[OpenDirectory] = []
        self._levels: list[Level] = []
        self._folds: dict[int, bool] = {}

    def close(self) -> None:
        """Let go of the target."""
        self._stack.close()

    def enter(self, level: Level) -> None:
        """See `Visitor.enter`."""
        self._levels.append(level)
        if level.selected or level.parent is None:
            self._prepare(create=True)
        elif self._options.delete:
            self._prepare(create=False)

    def entry(self, level: Level, node: Node) -> None:
        """See `Visitor.entry`."""
        if not self._prepare(create=True):
            return
        directory = self._open[-1]
        if problem := directory.refusal(node.name):
            self._tally.note(level.place.below(node.name), "create", problem)
            return
        directory.batch.append(node)
        directory.batch_bytes += node.size
        if len(directory.batch) < MAX_FILES and directory.batch_bytes < MAX_BYTES:
            return
        try:
            self._submit(directory)
        except TargetError as error:
            self._tally.problem(level.place.path, error)
            level.abandoned = True

    def leave(self, level: Level) -> None:
        """See `Visitor.leave`."""
        self._levels.pop()
        if len(self._open) <= len(self._levels):
            return
        directory = self._open.pop()
        fd = None
        try:
            fd = descriptor_of(self._stack)
            if directory.batch:
                self._submit(directory)
        except TargetError as error:
            self._tally.problem(level.place.path, error)
        if fd is not None:
            directory.done(self._tally, fd, failed=False)
        self._leave(level)

    def damaged(self, place: Place, error: DamagedRepository) -> None:
        """See `Visitor.damaged`."""
        self._tally.problem(place.path, error)

    def _leave(self, level: Level) -> None:
        if level.parent is None:
            return
        try:
            leave_directory(self._stack)
        except TargetError as error:
            self._tally.problem(level.parent.place.path, error)
            level.parent.abandoned = True

    def _prepare(self, *, create: bool) -> bool:
        """Enter the levels that are not entered yet; False when that is impossible."""
        while len(self._open) < len(self._levels):
            level = self._levels[len(self._open)]
            try:
                directory = self._enter(level, create=create)
            except TargetError as error:
                self._tally.problem(level.place.path, error)
                self._abandon(len(self._open))
                return False
            if directory is None:
                return False
            self._open.append(directory)
            if directory.before is not None:
                self._clean(level, directory)
        return not self._levels[-1].abandoned

    def _abandon(self, depth: int) -> None:
        for level in self._levels[depth:]:
            level.abandoned = True

    def _enter(self, level: Level, *, create: bool) -> OpenDirectory | None:
        """Enter a level, creating it if that is wanted; None when it is not there."""
        node = level.node
        if level.parent is None or node is None:
            return self._opened(level, None, os.fstat(self._stack.fd))
        if problem := self._open[-1].refusal(node.name):
            raise TargetError("create", problem)
        for _ in range(ATTEMPTS):
            fd = descriptor_of(self._stack)
            is_new = create and make_directory(fd, node.name)
            if not is_new and not self._make_way(fd, node, create=create):
                return None
            before = enter_directory(self._stack, node.name)
            if before is not None:
                return self._opened(level, node, None if is_new else before)
        raise TargetError("enter", "somebody keeps changing it")

    def _make_way(self, fd: int, node: Node, *, create: bool) -> bool:
        """Remove what is where a directory is to be; False when there is none, nor is to be."""
        found = status_of(fd, node.name)
        if found is not None and stat.S_ISDIR(found.st_mode):
            return True
        if not create:
            return False
        verdict = judge(node, found, self._options.overwrite)
        if verdict is Verdict.PROTECTED:
            raise TargetError("create", "no directory, and the overwrite policy protects it")
        if verdict is Verdict.REPLACE:
            remove_file(fd, node.name)
        return True

    def _opened(
        self, level: Level, node: Node | None, before: os.stat_result | None
    ) -> OpenDirectory:
        """What is known of a level that was just entered."""
        fd = self._stack.fd
        above = self._open[-1] if self._open else None
        inherits = above.around.inherits if above is not None else False
        if before is not None:
            inherits = _DEFAULT_ACL in dict(read_xattrs(fd)[0])
        protected = False
        if node is not None and before is not None:
            protected = judge(node, before, self._options.overwrite) is Verdict.PROTECTED
            if protected or not level.selected:
                node = None
        around = Surroundings(level.place, level.scope, before is None, inherits)
        directory = OpenDirectory(around, node, before)
        if above is not None:
            directory.folds = above.folds
            if level.selected or before is None:
                deed = Deed.CREATE if before is None else Deed.KEEP if protected else Deed.UPDATE
                self._tally.directory(level.place.get_path, deed, protected=protected)
        if before is not None:
            directory.folds = self._folds_names(fd, before.st_dev)
        return directory

    def _folds_names(self, fd: int, device: int) -> bool:
        """Whether a directory folds names; asked once per file system."""
        if device not in self._folds:
            try:
                self._folds[device] = folds_names(fd)
            except TargetError:  # nothing can be created here, which will be reported
                return False
        return self._folds[device]

    def _clean(self, level: Level, directory: OpenDirectory) -> None:
        """Remove what a crashed restore left in a directory, and what is to be deleted."""
        try:
            fd = descriptor_of(self._stack)
            names = names_in(fd)
            for name in filter(is_temporary, names):
                remove_file(fd, name)
        except TargetError as error:
            self._tally.problem(level.place.path, error)
            return
        if not self._options.delete or level.tree is None:
            return
        for name in extra_names(names, level.tree, self._context.loader):
            self._purge.remove(fd, name, level.place, directory.around.scope)

    def _submit(self, directory: OpenDirectory) -> None:
        """Hand over what waits in a directory."""
        try:
            fd = os.dup(descriptor_of(self._stack))
        except OSError as error:
            raise TargetError("enter", error) from error
        nodes, directory.batch, directory.batch_bytes = directory.batch, [], 0
        if directory.around.is_new or self._options.overwrite is Overwrite.ALWAYS:
            self._context.loader.prefetch(_first_blobs(nodes))
        directory.use()
        self._pool.submit(_Batch(self._restorer, self._context, directory, nodes, fd))


def extra_names(names: list[bytes], tree: BlobId, loader: BlobLoader) -> set[bytes]:
    """Which of these names a directory of the snapshot does not have; none if it is damaged."""
    damage: list[DamagedRepository] = []
    extra = {name for name in names if not is_temporary(name)}
    for node in load_directory(tree, loader, on_damage=damage.append):
        extra.discard(node.name)
    return set() if damage else extra


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
