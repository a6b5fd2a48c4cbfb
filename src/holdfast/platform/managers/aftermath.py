"""What has become of a target since before a restore, and how it becomes again what it was.

What was changed since, by whomever, is never lost. A restore that ended leaves each thing either
as the snapshot has it or as it was before; whatever is neither was changed later, and stays. One
that was interrupted may have left a file half changed, which cannot be told from one that was
changed later: such files are kept in one more snapshot before they are put back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import UsageError
from holdfast.filesystem.target import (
    TargetError,
    is_temporary,
    names_in,
    remove_directory,
    remove_file,
)
from holdfast.platform.managers.places import (
    DIRECTORY,
    by_directory,
    is_directory,
    opened,
    pattern,
    relative,
    status_at,
)

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.engine.repository import Repository
    from holdfast.model.snapshot import Problem
    from holdfast.operations.restore import Action, RestoreResult
    from holdfast.platform.managers.recoveries import Recovery

CHANGED = "it was changed after the restore"
NOT_EMPTY = "it holds what the restore did not create"


@dataclass(slots=True)
class Findings:
    """What has become of a target since before a restore; all paths are below the target.

    Attributes:
        remove: what the restore created and nobody changed since.
        directories: directories that it created, which go if they are empty then.
        replaced: directories in the place of something else, which comes back.
        torn: what neither the snapshot nor the former state has, after an interrupted restore.
        kept: what stays as it is, and why.
        unknown: directories that could not be looked into, so nothing in them is changed; and why.
        errors: what could not be removed, and why.
        removed: how many entries were removed.
    """

    remove: list[bytes] = field(default_factory=list)
    directories: list[bytes] = field(default_factory=list)
    replaced: list[bytes] = field(default_factory=list)
    torn: list[bytes] = field(default_factory=list)
    kept: dict[bytes, str] = field(default_factory=dict)
    unknown: dict[bytes, str] = field(default_factory=dict)
    errors: dict[bytes, str] = field(default_factory=dict)
    removed: int = 0


class Aftermath:
    """A target after a restore, and what was there before."""

    def __init__(self, repository: Repository, recovery: Recovery, nowhere: Path) -> None:
        """Begin.

        Args:
            repository: where the snapshots are.
            recovery: which.
            nowhere: path at which nothing is.
        """
        self._repository = repository
        self._recovery = recovery
        self._root = os.fsencode(recovery.target)
        self._source = f"{recovery.snapshot}:{recovery.request.path}"
        self._nowhere = nowhere
        self._is_interrupted = recovery.state in {"running", "failed"}
        self._failed, self._spared = (_paths(recovery, key) for key in ("failed", "spared"))
        self.found = Findings()

    def look(self) -> Findings:
        """Find out what is to be done; nothing is changed.

        Raises:
            SnapshotNotFound: a snapshot that it takes is gone.
            RepositoryError, BackendError: the repository cannot be read.
            UsageError: the target is a symbolic link, which it was not.
        """
        if os.path.islink(self._root):  # noqa: PTH114 - bytes
            raise UsageError(
                f"{self._recovery.target} is a symbolic link now, so nothing is undone: put the "
                "directory back in its place"
            )
        selected = self._selected()
        changed = self._differing_from_snapshot()
        saved = self._saved()
        differing = self._differing_from_safety()
        for path, status in self._statuses(selected - saved.keys()):
            self._judge_created(path, status, changed)
        for path, status in self._statuses(saved):
            if status is not None and path in differing:
                is_restored = path in selected and path not in changed
                both = saved[path] and is_directory(status)
                if not is_restored and not both:
                    self._judge_changed(path, was_written=path in selected)
                if is_directory(status) and not saved[path] and path not in self.found.kept:
                    self.found.replaced.append(path)
        return self.found

    def remove_created(self) -> None:
        """Remove what the restore created."""
        for directory, names in by_directory(self.found.remove).items():
            self._in(directory, names, _unlink)
        for directory, names in by_directory(self.found.directories).items():
            self._in(directory, names, _remove_directory)
        for directory, names in by_directory(self.found.replaced).items():
            self._in(directory, names, _sweep)
        if not self._recovery.request.existed:
            self._remove_root()

    def bring_back(self) -> RestoreResult | None:
        """Restore what was there before; None when nothing was."""
        if self._recovery.safety is None:
            return None
        stays = (*self.found.kept, *self.found.unknown)
        kept = [pattern(self._root.rstrip(b"/") + b"/" + path) for path in stays]
        return self._repository.restore(
            f"{self._recovery.safety}:{self._recovery.target}",
            self._root,
            exclude=kept or None,
            devices=True,
        )

    # Where things stand

    def _selected(self) -> set[bytes]:
        """All that the restore was about."""
        found: set[bytes] = set()
        base = self._recovery.request.path

        def note(action: Action) -> None:
            found.add(relative(action.path, base))

        request = self._recovery.request
        self._repository.restore(
            self._source,
            self._nowhere,
            include=request.include,
            exclude=request.exclude,
            devices=request.devices,
            dry_run=True,
            on_action=note,
        )
        return found

    def _saved(self) -> dict[bytes, bool]:
        """What was there before, and which of it was a directory."""
        if self._recovery.safety is None:
            return {}
        target = self._recovery.target
        return {
            relative(entry.path, target): entry.type == "dir"
            for entry in self._repository.walk(self._recovery.safety, target)
        }

    def _differing_from_snapshot(self) -> set[bytes]:
        request = self._recovery.request
        found: set[bytes] = set()

        def note(problem: Problem) -> None:
            found.add(relative(problem.path, request.path))

        if os.path.isdir(self._root):  # noqa: PTH112 - bytes
            self._repository.verify_restore(
                self._source,
                self._root,
                include=request.include,
                exclude=request.exclude,
                devices=request.devices,
                on_problem=note,
            )
        return found

    def _differing_from_safety(self) -> set[bytes]:
        target, found = self._recovery.target, set[bytes]()

        def note(problem: Problem) -> None:
            found.add(relative(problem.path, target))

        if self._recovery.safety is not None and os.path.isdir(self._root):  # noqa: PTH112 - bytes
            self._repository.verify_restore(
                f"{self._recovery.safety}:{target}", self._root, devices=True, on_problem=note
            )
        return found

    def _statuses(self, paths: Iterable[bytes]) -> Iterator[tuple[bytes, os.stat_result | None]]:
        """What is there now under each path."""
        for directory, names in by_directory(paths).items():
            try:
                with opened(self._root, directory) as descriptor:
                    for name in names:
                        path = os.path.join(directory, name)  # noqa: PTH118 - bytes
                        yield path, None if descriptor is None else status_at(descriptor, name)
            except OSError as error:
                if not directory:
                    raise UsageError(f"{self._recovery.target}: {error.strerror}") from error
                self.found.unknown[directory] = error.strerror or str(error)

    def _judge_created(
        self, path: bytes, status: os.stat_result | None, changed: set[bytes]
    ) -> None:
        """Decide on what was not there before."""
        if status is None:
            return
        if is_directory(status):
            self.found.directories.append(path)
        elif path in changed:
            self.found.kept[path] = CHANGED
        else:
            self.found.remove.append(path)

    def _judge_changed(self, path: bytes, *, was_written: bool) -> None:
        """Decide on what is neither as it was nor as the snapshot has it."""
        if was_written and self._may_be_torn(path):
            self.found.torn.append(path)
        else:
            self.found.kept[path] = CHANGED

    def _may_be_torn(self, path: bytes) -> bool:
        """Whether the restore, or undoing it, may have left that half changed."""
        if path in (self._spared or ()):
            return False
        if self._recovery.state == "partial":
            return self._failed is None or path in self._failed
        return self._is_interrupted

    # Removing

    def _in(
        self, directory: bytes, names: Iterable[bytes], remove: Callable[[int, bytes], bool]
    ) -> None:
        """Remove entries of a directory that is held open, so that none outside is ever meant."""
        try:
            with opened(self._root, directory) as descriptor:
                if descriptor is None:
                    return
                for name in names:
                    path = os.path.join(directory, name)  # noqa: PTH118 - bytes
                    self._try(path, descriptor, remove)
        except OSError as error:
            self.found.errors[directory] = error.strerror or str(error)

    def _try(self, path: bytes, descriptor: int, remove: Callable[[int, bytes], bool]) -> None:
        name = os.path.basename(path or self._root)  # noqa: PTH119 - bytes
        try:
            if remove(descriptor, name):
                self.found.removed += remove is not _sweep
            elif not self._holds_kept(path):
                self.found.kept[path] = NOT_EMPTY
        except TargetError as error:
            self.found.errors[path] = error.message

    def _holds_kept(self, path: bytes) -> bool:
        """Whether something below stays that is told of by itself."""
        start = path and path + b"/"
        return any(each.startswith(start) for each in self.found.kept)

    def _remove_root(self) -> None:
        """Remove the target itself if it is empty."""
        above, name = os.path.split(self._root)
        with opened(above, b"") as descriptor:
            if descriptor is not None and status_at(descriptor, name) is not None:
                self._try(b"", descriptor, _remove_directory)


def _paths(recovery: Recovery, key: str) -> frozenset[bytes] | None:
    """Paths that are kept with a recovery; None if they are not."""
    found = recovery.outcome.get(key)
    return frozenset(map(os.fsencode, found)) if isinstance(found, list) else None


def _sweep(descriptor: int, name: bytes) -> bool:
    """Remove what a restore had not completed from a directory that it created."""
    try:
        inner = os.open(name, DIRECTORY, dir_fd=descriptor)
    except OSError as error:
        raise TargetError("enter", error) from error
    try:
        for each in filter(is_temporary, names_in(inner)):
            remove_file(inner, each)
    finally:
        os.close(inner)
    return True


def _remove_directory(descriptor: int, name: bytes) -> bool:
    _sweep(descriptor, name)
    return remove_directory(descriptor, name)


def _unlink(descriptor: int, name: bytes) -> bool:
    remove_file(descriptor, name)
    return True
