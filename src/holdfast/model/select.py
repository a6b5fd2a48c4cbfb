"""Which snapshot is meant: by id, by age, by what it holds.

Snapshots are ordered by when they began, those of one instant by their ids, so that every answer
is the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal, TypeAlias

from holdfast.errors import AmbiguousSnapshot, SnapshotNotFound, UsageError
from holdfast.model.snapshot import Snapshot

GroupKey: TypeAlias = Literal["host", "paths", "tags"]
"""What snapshots of one group have in common."""

SAFETY = "safety"
"""Tag of a copy of what a restore was about to overwrite. It is no backup of anything: no name such
as ``latest`` means it, and it is in no group with backups, whatever its paths are."""

_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?\Z")
_HEX = re.compile(r"[0-9a-fA-F]{1,32}\Z")
_DATE_LENGTH = len("2026-11-21")
_MOST_NAMED = 10
_HOW_TO_LIST = "`holdfast snapshots` lists them all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which snapshots are wanted; whatever is not given admits all.

    Attributes:
        host: made on this host.
        tags: having all of these tags.
        paths: being a backup of all of these paths.
        since: begun then or later.
        until: begun then or earlier.
    """

    host: str | None = None
    tags: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot is one of those wanted."""
        return (
            (self.host is None or snapshot.host == self.host)
            and set(self.tags) <= set(snapshot.tags)
            and _plain(self.paths) <= _plain(snapshot.paths)
            and (self.since is None or snapshot.time >= self.since)
            and (self.until is None or snapshot.time <= self.until)
        )


def ordered(snapshots: Iterable[Snapshot], wanted: Filter | None = None) -> list[Snapshot]:
    """The snapshots that a filter admits, oldest first."""
    chosen = snapshots if wanted is None else filter(wanted.admits, snapshots)
    return sorted(chosen, key=lambda snapshot: (snapshot.time_ns, snapshot.id))


def resolve(snapshots: Iterable[Snapshot], spec: str) -> Snapshot:
    """The one snapshot that a user means; a copy for safety only if its id is given.

    Args:
        snapshots: those to choose from, in any order.
        spec: ``latest``, ``latest~2`` (two before it), an id, the beginning of one, or a time in
            ISO 8601, which means the newest snapshot at or before it (see `parse_time`).

    Raises:
        SnapshotNotFound: none is meant by that.
        AmbiguousSnapshot: the beginning is that of several ids.
    """
    every = ordered(snapshots)
    known = [snapshot for snapshot in every if SAFETY not in snapshot.tags]
    if match := _LATEST.match(spec):
        back = int(match[1] or 0)
        if back < len(known):
            return known[-1 - back]
        raise SnapshotNotFound(f"snapshot {spec} not found: {len(known)} match; {_HOW_TO_LIST}")
    if _HEX.match(spec):
        return _by_prefix(every, spec)
    try:
        moment = parse_time(spec)
    except UsageError:
        raise SnapshotNotFound(f"snapshot {spec} not found; {_HOW_TO_LIST}") from None
    return newest_at(known, moment)


def newest_at(snapshots: Iterable[Snapshot], moment: datetime) -> Snapshot:
    """The newest snapshot that began at or before a moment (aware).

    Raises:
        SnapshotNotFound: all are younger.
    """
    known = ordered(snapshots, Filter(until=moment))
    if not known:
        raise SnapshotNotFound(f"no snapshot at or before {moment.isoformat()}; {_HOW_TO_LIST}")
    return known[-1]


def parse_time(text: str) -> datetime:
    """A moment from ISO 8601, in the local zone unless it names one; a date means its last moment.

    Raises:
        UsageError: that is no date or time.
    """
    try:
        moment = datetime.fromisoformat(text)
        if len(text) == _DATE_LENGTH:
            moment = datetime.combine(moment.date(), time.max)
        return moment.astimezone()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text}: not a date or time, such as 2026-11-21T08:30") from None


def parse_spec(text: str) -> tuple[str, str]:
    """Split ``ID:/path`` into the snapshot and the path in it, ``/`` when there is none."""
    spec, separator, path = text.partition(":/")
    return spec, "/" + path if separator else "/"


def group_of(
    host: str, paths: Iterable[str], tags: Iterable[str], group_by: Sequence[GroupKey]
) -> tuple[object, ...]:
    """What tells the group of a snapshot with that host, paths and tags from all others.

    Copies for safety are apart from backups, whatever they have in common with them.

    Raises:
        UsageError: an unknown word in `group_by`.
    """
    words = frozenset(tags)
    values = {"host": host, "paths": _plain(paths), "tags": words}
    unknown = [key for key in group_by if key not in values]
    if unknown:
        raise UsageError(f"cannot group by {unknown[0]!r}: choose among {', '.join(values)}")
    return (SAFETY in words, *(values[key] for key in group_by))


def choose_parent(
    snapshots: Iterable[Snapshot],
    host: str,
    paths: Iterable[str],
    tags: Iterable[str] = (),
    group_by: Sequence[GroupKey] = ("host", "paths"),
) -> Snapshot | None:
    """The newest snapshot of the same group, against which a new one is best compared."""
    group = group_of(host, paths, tags, group_by)
    known = [
        snapshot
        for snapshot in ordered(snapshots)
        if group_of(snapshot.host, snapshot.paths, snapshot.tags, group_by) == group
    ]
    return known[-1] if known else None


def _by_prefix(known: list[Snapshot], prefix: str) -> Snapshot:
    found = [snapshot for snapshot in known if snapshot.id.startswith(prefix.lower())]
    if not found:
        raise SnapshotNotFound(f"snapshot {prefix} not found; {_HOW_TO_LIST}")
    if len(found) > 1:
        names = ", ".join(f"{each.id} ({each.time:%Y-%m-%d %H:%M})" for each in found[:_MOST_NAMED])
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise AmbiguousSnapshot(f"{prefix} is the beginning of {len(found)} ids: {names}{more}")
    return found[0]


def _plain(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(path.rstrip("/") or "/" for path in paths)
