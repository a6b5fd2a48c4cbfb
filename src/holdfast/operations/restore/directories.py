"""The thread that goes through the snapshot: makes directories, hands their entries to others.

A directory's own metadata is applied when the last of its entries is done, whichever thread that
is: its mode may then forbid to change it, and its mtime is not touched any more.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from holdfast.errors import DamagedRepository
from holdfast.filesystem import read_xattrs
from holdfast.filesystem.target import (
    ATTEMPTS,
    TargetError,
    another,
    descriptor_of,
    enter_directory,
    folds_names,
    is_temporary,
    leave_directory,
    make_directory,
    names_in,
    remove_file,
    stack_at,
    status_at,
    status_of,
)
from holdfast.model.node import Node
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.operations.restore.batch import MAX_BYTES, MAX_ENTRIES, Batch, OpenDirectory
from holdfast.operations.restore.entries import Context, EntryRestorer, Surroundings
from holdfast.operations.restore.helper import Hands
from holdfast.operations.restore.judge import Verdict, judge
from holdfast.operations.restore.pool import Pool
from holdfast.operations.restore.purge import Purge
from holdfast.operations.restore.result import Deed
from holdfast.operations.restore.scope import Place
from holdfast.operations.restore.traverse import Level
from holdfast.primitives.ids import BlobId

_DEFAULT_ACL: Final = b"system.posix_acl_default"


class DirectoryRestorer:
    """The `Visitor` of a restore. Levels are created in the target when something needs them."""

    def __init__(self, context: Context, pool: Pool, purge: Purge, helper: Hands) -> None:
        self._context = context
        self._options = context.options
        self._tally = context.tally
        self._pool = pool
        self._purge = purge
        self._restorer = EntryRestorer(context)
        self._helper = helper
        self._batch = Batch(self._restorer, context, helper)
        self._stack = stack_at(context.root)
        self._open: list[OpenDirectory] = []
        self._levels: list[Level] = []
        self._folds: dict[int, bool] = {}

    def close(self) -> None:
        """Let go of the target."""
        self._batch.close()
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
        directory.waiting.append(node)
        directory.waiting_bytes += node.size
        if len(directory.waiting) < MAX_ENTRIES and directory.waiting_bytes < MAX_BYTES:
            return
        try:
            self._hand_over(directory)
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
            if directory.waiting:
                self._hand_over(directory)
        except TargetError as error:
            self._tally.problem(level.place.path, error)
        if fd is not None:
            directory.done(self._tally, fd, failed=False)
        if level.parent is None:
            self._submit()
        else:
            self._leave(level.parent)

    def damaged(self, place: Place, error: DamagedRepository) -> None:
        """See `Visitor.damaged`."""
        self._tally.problem(place.path, error)

    def _leave(self, parent: Level) -> None:
        try:
            leave_directory(self._stack)
        except TargetError as error:
            self._tally.problem(parent.place.path, error)
            parent.abandoned = True

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
            return self._opened(level, None, status_at(self._stack.fd))
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

    def _hand_over(self, directory: OpenDirectory) -> None:
        """Put what waits in a directory into the batch."""
        self._batch.add(directory, another(descriptor_of(self._stack)))
        if self._batch.is_full:
            self._submit()

    def _submit(self) -> None:
        """Let the batch be worked on, and begin another."""
        batch, self._batch = self._batch, Batch(self._restorer, self._context, self._helper)
        try:
            batch.announce()
        except BaseException:
            batch.close()
            raise
        self._pool.submit(batch)


def extra_names(names: list[bytes], tree: BlobId, loader: BlobLoader) -> set[bytes]:
    """Which of these names a directory of the snapshot does not have; none if it is damaged."""
    damage: list[DamagedRepository] = []
    extra = {name for name in names if not is_temporary(name)}
    for node in load_directory(tree, loader, on_damage=damage.append):
        extra.discard(node.name)
    return set() if damage else extra
