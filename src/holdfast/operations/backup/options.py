"""What a backup is told, and what comes of it."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from holdfast.filesystem import Problem
from holdfast.model.snapshot import Hold, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions:
    """What a snapshot says of itself, and how it is made.

    Attributes:
        host, user, os: where and by whom.
        tags, label, description: to find it by.
        time_ns: the time that the snapshot bears; now when None.
        parent: unchanged files are compared with it; everything is read when None.
        force: read everything although there is a parent.
        skip_if_unchanged: make no snapshot when no source differs from the parent's.
        excluded: the patterns of what is left out, for the record.
        program: name and version of this program.
        hold: keeps the snapshot from being removed.
        group: common to the snapshots of one run to several repositories.
        executor: reads the objects of a store in other processes; this one does when None.
    """

    host: str
    user: str
    os: str
    program: str
    tags: tuple[str, ...] = ()
    label: str = ""
    description: str = ""
    time_ns: int | None = None
    parent: Snapshot | None = None
    force: bool = False
    skip_if_unchanged: bool = False
    excluded: tuple[str, ...] = ()
    hold: Hold | None = None
    group: str | None = None
    executor: Executor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOutcome:
    """What came of a backup.

    Attributes:
        snapshot: as it was committed; as it would be in a rehearsal.
        committed: whether it is in the repository now.
        problems: source items that could not be read, at most `MAX_PROBLEMS`.
        problem_count: how many there were.
    """

    snapshot: Snapshot
    committed: bool
    problems: tuple[Problem, ...]
    problem_count: int
