"""A dry run: what a restore would do, found out without changing anything."""

from __future__ import annotations

import os
import stat

from holdfast.errors import DamagedRepository
from holdfast.filesystem.target import (
    TargetError,
    descriptor_of,
    enter_directory,
    leave_directory,
    names_in,
    stack_at,
    status_of,
)
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.operations.restore.directories import extra_names
from holdfast.operations.restore.judge import Verdict, check_wanted, judge
from holdfast.operations.restore.options import RestoreOptions
from holdfast.operations.restore.purge import Purge
from holdfast.operations.restore.result import Deed, Tally
from holdfast.operations.restore.scope import Place
from holdfast.operations.restore.traverse import Level

_DEEDS = {
    Verdict.CREATE: Deed.CREATE,
    Verdict.REPLACE: Deed.REPLACE,
    Verdict.UPDATE: Deed.UPDATE,
}


class Planner:
    """The `Visitor` of a dry run.

    A file whose content would be compared counts as updated: whether it differs is not read.

    Args:
        root: descriptor of the target; None when there is none yet.
        loader: where trees come from.
        options: of the restore.
        tally: counts.
        purge: finds what would be deleted.
    """

    def __init__(
        self,
        root: int | None,
        loader: BlobLoader,
        options: RestoreOptions,
        tally: Tally,
        purge: Purge,
    ) -> None:
        self._stack = None if root is None else stack_at(root)
        self._loader = loader
        self._options = options
        self._tally = tally
        self._purge = purge
        self._levels: list[Level] = []
        self._told = 0  # so many levels were said to be created, if need be
        self._entered = 0  # so many levels exist

    def close(self) -> None:
        """Let go of the target."""
        if self._stack is not None:
            self._stack.close()

    def enter(self, level: Level) -> None:
        """See `Visitor.enter`."""
        self._levels.append(level)
        try:
            if self._entered == len(self._levels) - 1:
                self._enter(level)
        except TargetError as error:
            self._tally.problem(level.place.path, error)
            level.abandoned = True
            return
        if level.selected:
            self._announce()

    def entry(self, level: Level, node: Node) -> None:
        """See `Visitor.entry`."""
        self._announce()
        place = Place(level.place, node.name)
        try:
            verdict = judge(node, self._status(node.name), self._options.overwrite)
            if verdict in _DEEDS:
                check_wanted(node, self._options)
        except TargetError as error:
            self._tally.problem(place.path, error)
            return
        deed = _DEEDS.get(verdict)
        is_file = node.type == NodeType.FILE
        if deed is None:
            protected = verdict is Verdict.PROTECTED
            self._tally.skip(place.get_path, is_file=is_file, protected=protected)
        elif is_file:
            self._tally.file(place.get_path, deed, node.size, 0)
        else:
            self._tally.other(place.get_path, deed)

    def leave(self, level: Level) -> None:
        """See `Visitor.leave`."""
        depth = len(self._levels)
        self._levels.pop()
        self._told = min(self._told, depth - 1)
        if self._entered < depth or self._stack is None:
            return
        self._entered -= 1
        if level.parent is None:
            return
        try:
            leave_directory(self._stack)
        except TargetError as error:
            self._tally.problem(level.parent.place.path, error)
            level.parent.abandoned = True

    def damaged(self, place: Place, error: DamagedRepository) -> None:
        """See `Visitor.damaged`."""
        self._tally.problem(place.path, error)

    def _status(self, name: bytes) -> os.stat_result | None:
        if self._stack is None or self._entered < len(self._levels):
            return None
        return status_of(descriptor_of(self._stack), name)

    def _enter(self, level: Level) -> None:
        """Enter a level if it is there, and find what would be deleted in it."""
        if self._stack is None:
            return
        if level.node is not None:
            fd = descriptor_of(self._stack)
            found = status_of(fd, level.node.name)
            if found is not None and not stat.S_ISDIR(found.st_mode):
                if judge(level.node, found, self._options.overwrite) is Verdict.PROTECTED:
                    raise TargetError("create", "no directory, and the policy protects it")
                return
            if enter_directory(self._stack, level.node.name, unlock=False) is None:
                return
        self._entered += 1
        if self._options.delete and level.tree is not None:
            fd = descriptor_of(self._stack)
            for name in extra_names(names_in(fd), level.tree, self._loader):
                self._purge.remove(fd, name, level.place, level.scope)

    def _announce(self) -> None:
        """Count the directories that lead here and were not counted yet."""
        for depth in range(self._told, len(self._levels)):
            level = self._levels[depth]
            exists = depth < self._entered
            if level.parent is not None and (level.selected or not exists):
                deed = Deed.UPDATE if exists else Deed.CREATE
                self._tally.directory(level.place.get_path, deed, protected=False)
        self._told = len(self._levels)
