"""What a restore did, gathered while several threads work on it."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.filesystem.target import TargetError
from holdfast.model.snapshot import Problem
from holdfast.overrides import override
from holdfast.present import Column, Kind, Row, Table, columns, table_of

MAX_ERRORS: Final = 10_000
"""Most problems that a result lists; more are counted only."""


class Deed(StrEnum):
    """What is done to one entry of the target."""

    CREATE = "create"
    REPLACE = "replace"
    UPDATE = "update"
    LINK = "link"
    KEEP = "keep"
    DELETE = "delete"


class Action(NamedTuple):
    """One thing that a restore does, or would do.

    Attributes:
        path: absolute path in the snapshot; odd bytes as `os.fsdecode` has them.
        deed: what becomes of the entry in the target.
    """

    path: str
    deed: Deed


OnAction: TypeAlias = Callable[[Action], object]
"""Told of every action, one at a time, from any thread."""

OnProblem: TypeAlias = Callable[[Problem], object]
"""Told of every problem, likewise; also of those that a result has no room for."""


@dataclass(frozen=True, slots=True)
class RestoreResult(Row):
    """What a restore did; a dry run: what it would do.

    Attributes:
        files_restored: files that were created or changed, hard links among them.
        files_skipped: files that were right already or that the overwrite policy protects.
        hardlinks: how many of the restored files are links to another of them.
        directories: directories created, or existing ones that were restored into.
        others: links, fifos, sockets and devices restored.
        deleted: entries removed because the snapshot does not have them.
        bytes_restored: size of the restored files, holes counted, each hard-linked file once.
        bytes_written: bytes that had to be written for that.
        errors: what could not be done, the first `MAX_ERRORS` of it; the rest was restored.
        errors_total: how many there are in all.
        left_out: what the target has no place for, by its kind, and how many there are of that;
            only with a store as the target.
        snapshot: id of what was restored; "" where only a tree was named.
    """

    files_restored: int
    files_skipped: int
    hardlinks: int
    directories: int
    others: int
    deleted: int
    bytes_restored: int
    bytes_written: int
    errors: tuple[Problem, ...]
    errors_total: int
    left_out: dict[str, int] = field(default_factory=dict, hash=False)
    snapshot: str = ""

    @override
    def _caption(self) -> str:
        return "Restore"

    @override
    def _notes(self) -> tuple[str, ...]:
        return tuple(f"left out: {number:,} × {kind}" for kind, number in self.left_out.items())

    @override
    def _parts(self) -> tuple[Table, ...]:
        return (table_of(Problem, self.errors, "What could not be done"),) if self.errors else ()

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshot=Kind.ID,
        files_restored=Kind.COUNT,
        files_skipped=Kind.COUNT,
        hardlinks=Kind.COUNT,
        directories=Kind.COUNT,
        others=Kind.COUNT,
        deleted=Kind.COUNT,
        bytes_restored=Kind.BYTES,
        bytes_written=Kind.BYTES,
        errors_total=Kind.COUNT,
    )


@dataclass(frozen=True, slots=True)
class VerifyResult(Row):
    """How a directory compares with what was restored there.

    Attributes:
        entries: files, links and so on that were compared.
        bytes: of the files among them, holes counted.
        errors: what differs or could not be read, the first `MAX_ERRORS` of it.
        errors_total: how many there are in all.
    """

    entries: int
    bytes: int
    errors: tuple[Problem, ...]
    errors_total: int

    @override
    def _caption(self) -> str:
        return "Comparison with the snapshot: " + ("it differs" if self.errors_total else "equal")

    @override
    def _parts(self) -> tuple[Table, ...]:
        return (table_of(Problem, self.errors, "What differs"),) if self.errors else ()

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        entries=Kind.COUNT, bytes=Kind.BYTES, errors_total=Kind.COUNT
    )


class Tally:
    """Counts what is done and collects what fails; safe to use from several threads.

    Args:
        on_action: told of every action.
        on_problem: told of every problem.
        keeps: remember what the overwrite policy protected, for a verification.
    """

    def __init__(
        self,
        on_action: OnAction | None = None,
        on_problem: OnProblem | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        self._on_action = on_action
        self._on_problem = on_problem
        self._keeps = keeps
        self._lock = threading.Lock()
        self._files_restored = self._files_skipped = self._hardlinks = 0
        self._directories = self._others = self._deleted = 0
        self._bytes_restored = self._bytes_written = 0
        self._problems: list[Problem] = []
        self._problems_total = 0
        self._left_out: Counter[str] = Counter()
        self.kept: set[bytes] = set()

    def file(self, path: Callable[[], bytes], deed: Deed, size: int, written: int) -> None:
        """Count a restored file."""
        with self._lock:
            self._files_restored += 1
            self._bytes_restored += size
            self._bytes_written += written
            self._tell(path, deed)

    @property
    def is_watched(self) -> bool:
        """Whether anybody is told of actions."""
        return self._on_action is not None

    def created(self, path: bytes) -> None:
        """Tell of a file that `new_files` counts."""
        with self._lock:
            self._tell(lambda: path, Deed.CREATE)

    def new_files(self, count: int, size: int) -> None:
        """Count files that did not exist, and their bytes, all of which were written."""
        with self._lock:
            self._files_restored += count
            self._bytes_restored += size
            self._bytes_written += size

    def link(self, path: Callable[[], bytes]) -> None:
        """Count a file that became a link to one that was restored."""
        with self._lock:
            self._files_restored += 1
            self._hardlinks += 1
            self._tell(path, Deed.LINK)

    def other(self, path: Callable[[], bytes], deed: Deed) -> None:
        """Count a restored entry that is neither file nor directory."""
        with self._lock:
            self._others += 1
            self._tell(path, deed)

    def directory(self, path: Callable[[], bytes], deed: Deed, *, protected: bool) -> None:
        """Count a directory that is restored into; protected: its own metadata stays."""
        with self._lock:
            self._directories += 1
            if protected and self._keeps:
                self.kept.add(path())
            self._tell(path, deed)

    def skip(self, path: Callable[[], bytes], *, is_file: bool, protected: bool) -> None:
        """Count an entry that stays: it is right already, or the policy protects it."""
        with self._lock:
            self._files_skipped += is_file
            if protected and self._keeps:
                self.kept.add(path())
            self._tell(path, Deed.KEEP)

    def deletion(self, path: Callable[[], bytes]) -> None:
        """Count a removed entry."""
        with self._lock:
            self._deleted += 1
            self._tell(path, Deed.DELETE)

    def leave_out(self, kind: str) -> None:
        """Count something that the target has no place for."""
        with self._lock:
            self._left_out[kind] += 1

    def problem(self, path: bytes, error: TargetError | DamagedRepository) -> None:
        """Note what could not be done."""
        if isinstance(error, TargetError):
            self.note(path, error.operation, error.message)
        else:
            self.note(path, "read", str(error))

    def note(self, path: bytes, operation: str, message: str) -> None:
        """Note a problem in words."""
        with self._lock:
            problem = Problem(os.fsdecode(path), operation, message)
            self._problems_total += 1
            if len(self._problems) < MAX_ERRORS:
                self._problems.append(problem)
            if self._on_problem is not None:
                self._on_problem(problem)

    def result(self) -> RestoreResult:
        """All of it."""
        with self._lock:
            return RestoreResult(
                files_restored=self._files_restored,
                files_skipped=self._files_skipped,
                hardlinks=self._hardlinks,
                directories=self._directories,
                others=self._others,
                deleted=self._deleted,
                bytes_restored=self._bytes_restored,
                bytes_written=self._bytes_written,
                errors=tuple(self._problems),
                errors_total=self._problems_total,
                left_out=dict(self._left_out),
            )

    def _tell(self, path: Callable[[], bytes], deed: Deed) -> None:
        if self._on_action is not None:
            self._on_action(Action(os.fsdecode(path()), deed))
