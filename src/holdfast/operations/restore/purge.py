"""Removing from the target what the snapshot does not have, within what is selected."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from holdfast.filesystem import DirectoryStack
from holdfast.filesystem.target import (
    TargetError,
    descriptor_of,
    enter_directory,
    leave_directory,
    names_in,
    remove_directory,
    remove_file,
    restore_mode,
    stack_at,
    status_at,
    status_of,
)
from holdfast.operations.restore.result import Tally
from holdfast.operations.restore.scope import Choice, Place, Scope, Selection


@dataclass(slots=True)
class _Level:
    """A directory that is being emptied.

    Attributes:
        place: where it is.
        names: what is still to be looked at in it.
        scope: what is selected in it.
        status: what it was before.
        goes: it is to be removed itself; False as soon as something in it stays.
    """

    place: Place
    names: list[bytes]
    scope: Scope
    status: os.stat_result
    goes: bool


class Purge:
    """Removes entries of the target with all that is selected in them.

    A directory stays while anything in it stays: what the patterns hide, what cannot be removed,
    or another file system that is mounted there.
    """

    def __init__(self, selection: Selection, tally: Tally, *, dry_run: bool) -> None:
        self._selection = selection
        self._tally = tally
        self._dry_run = dry_run

    def remove(self, fd: int, name: bytes, place: Place, scope: Scope) -> bool:
        """Remove an entry as far as it is selected; failures are noted.

        Args:
            fd: descriptor of its directory.
            name: its name there.
            place: of the directory.
            scope: of the directory.

        Returns:
            Whether it is gone.
        """
        here = Place(place, name)
        try:
            found = status_of(fd, name)
            if found is None:
                return True
            is_directory = stat.S_ISDIR(found.st_mode)
            choice = scope.judge(name, is_directory=is_directory)
            if is_directory:
                return self._remove_tree(fd, here, choice, status_at(fd).st_dev)
            return choice.selected and self._remove_file(fd, here)
        except TargetError as error:
            self._tally.problem(here.path, error)
            return False

    def _remove_file(self, fd: int, place: Place) -> bool:
        if not self._dry_run:
            remove_file(fd, place.name)
        self._tally.deletion(place.get_path)
        return True

    def _remove_tree(self, fd: int, place: Place, choice: Choice, device: int) -> bool:
        """Empty and remove a directory, however deep it is."""
        gone = False
        with stack_at(fd) as stack:
            levels = self._enter(stack, place, choice, device)
            while levels:
                level = levels[-1]
                if level.names:
                    levels += self._visit(stack, level, level.names.pop())
                    continue
                levels.pop()
                gone = self._leave(stack, level)
                if levels and not gone:
                    levels[-1].goes = False
        return gone

    def _visit(self, stack: DirectoryStack, level: _Level, name: bytes) -> list[_Level]:
        """Remove an entry of the deepest directory; or enter it, and return the new level."""
        here = Place(level.place, name)
        try:
            fd = descriptor_of(stack)
            found = status_of(fd, name)
            if found is None:
                return []
            is_directory = stat.S_ISDIR(found.st_mode)
            choice = level.scope.judge(name, is_directory=is_directory)
            if is_directory and (below := self._enter(stack, here, choice, level.status.st_dev)):
                return below
            if choice.selected and not is_directory:
                self._remove_file(fd, here)
            else:
                level.goes = False
        except TargetError as error:
            level.goes = False
            self._tally.problem(here.path, error)
        return []

    def _enter(
        self, stack: DirectoryStack, place: Place, choice: Choice, device: int
    ) -> list[_Level]:
        """Go into a directory; none is returned when nothing in it is to be removed."""
        scope = self._selection.scope(place.path, selected=choice.selected)
        if not choice.descend or scope is None:
            return []
        status = enter_directory(stack, place.name, unlock=not self._dry_run)
        if status is None:
            raise TargetError("delete", "something else took its place")
        if status.st_dev != device:
            leave_directory(stack)
            raise TargetError("delete", "another file system is mounted there")
        try:
            names = names_in(descriptor_of(stack))
        except TargetError:
            leave_directory(stack)
            raise
        return [_Level(place, names, scope, status, choice.selected)]

    def _leave(self, stack: DirectoryStack, level: _Level) -> bool:
        """Remove a directory if it is to go and nothing is left in it."""
        try:
            self._keep(stack, level)
            leave_directory(stack)
            if not level.goes:
                return False
            if not self._dry_run and not remove_directory(descriptor_of(stack), level.place.name):
                return False
        except TargetError as error:
            self._tally.problem(level.place.path, error)
            return False
        self._tally.deletion(level.place.get_path)
        return True

    def _keep(self, stack: DirectoryStack, level: _Level) -> None:
        """Give a directory that stays the mode it had."""
        if level.goes or self._dry_run:
            return
        try:
            restore_mode(descriptor_of(stack), level.status)
        except TargetError as error:
            self._tally.problem(level.place.path, error)
