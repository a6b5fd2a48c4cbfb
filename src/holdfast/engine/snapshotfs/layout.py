"""Where the snapshots of a repository are in its tree.

::

    latest                      the newest one
    ids/4f3a9c1e                by the first 8 digits of the id
    times/2026-11-22T02-31-14Z  by when it began, in UTC
    hosts/anna/2026-…           by host and time
    tags/daily/2026-…           by tag and time

Snapshots of one second have ``-`` and the id's first digits behind their times. In the names of
hosts and tags ``/`` is written ``%2F``, ``%`` is ``%25``, NUL is ``%00``, and a name of dots only
begins with ``%2E``. Copies for safety are found by id and by tag only, as everywhere.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from holdfast.engine.connection import resolved
from holdfast.errors import DamagedRepository, SnapshotNotFound
from holdfast.model.select import SAFETY, ordered
from holdfast.model.snapshot import Snapshot

LATEST = b"latest"
IDS, TIMES, HOSTS, TAGS = b"ids", b"times", b"hosts", b"tags"

Parts = tuple[bytes, ...]
Folder = Mapping[bytes, Snapshot | None]
"""Names, and the snapshot that is there; None for another folder."""


class Layout:
    """The folders above snapshots, for one list of them.

    Attributes:
        folders: by their paths.
        ids: of the snapshots.
    """

    def __init__(
        self, snapshots: Iterable[Snapshot], damaged: Sequence[DamagedRepository] = ()
    ) -> None:
        """Make the folders.

        Args:
            snapshots: those that can be read.
            damaged: what was wrong with the others.
        """
        self._known = ordered(snapshots)
        self.ids = frozenset(each.id for each in self._known)
        self._damaged = damaged
        self.folders = _folders(self._known)

    def find(self, parts: Parts) -> tuple[Snapshot | None, int]:
        """The snapshot that a path leads into, and how many of its parts come before.

        Returns:
            None with all parts for a folder above snapshots.

        Raises:
            SnapshotNotFound, AmbiguousSnapshot: there is nothing of that name.
            DamagedRepository: which snapshot is meant cannot be said, because one is damaged.
        """
        for depth in range(len(parts)):
            folder, name = self.folders[parts[:depth]], parts[depth]
            found = folder.get(name)
            if depth == 0 and name not in (IDS, TIMES, HOSTS, TAGS):
                return self._named(name), 1
            if found is not None:
                return found, depth + 1
            if name not in folder:
                where = os.fsdecode(b"/".join(parts[: depth + 1]))
                raise SnapshotNotFound(f"/{where}: there is no snapshot of that name")
        return None, len(parts)

    def id_name(self, snapshot: Snapshot) -> bytes:
        """What a snapshot is called among all ids."""
        short = snapshot.short_id.encode()
        return short if short in self.folders[IDS,] else snapshot.id.encode()

    def changed(self, parts: Parts) -> int:
        """When the newest snapshot below a folder began, in nanoseconds; 0 without any."""
        depth = len(parts)
        below = (folder for path, folder in self.folders.items() if path[:depth] == parts)
        times = [each.time_ns for folder in below for each in folder.values() if each]
        return max(times, default=0)

    def _named(self, name: bytes) -> Snapshot:
        return resolved(os.fsdecode(name), self._known, self._damaged)


def _folders(known: Sequence[Snapshot]) -> Mapping[Parts, Folder]:
    backups = [each for each in known if SAFETY not in each.tags]
    newest = {LATEST: backups[-1]} if backups else {}
    above = dict.fromkeys((IDS, TIMES, HOSTS, TAGS))
    found: dict[Parts, Folder] = {
        (): {**newest, **above},
        (IDS,): _by_id(known),
        (TIMES,): _by_time(backups),
    }
    hosts, tags = defaultdict[str, list[Snapshot]](list), defaultdict[str, list[Snapshot]](list)
    for each in backups:
        hosts[each.host].append(each)
    for each in known:
        for tag in each.tags:
            tags[tag].append(each)
    for kind, groups in ((HOSTS, hosts), (TAGS, tags)):
        named = {_escaped(name): group for name, group in groups.items() if name}
        found[kind,] = dict.fromkeys(named)
        for name, group in named.items():
            found[kind, name] = _by_time(group)
    return MappingProxyType(found)


def _by_id(snapshots: Sequence[Snapshot]) -> dict[bytes, Snapshot | None]:
    short = Counter(each.short_id for each in snapshots)
    names = (each.short_id if short[each.short_id] == 1 else each.id for each in snapshots)
    return {name.encode(): each for name, each in zip(names, snapshots, strict=True)}


def _by_time(snapshots: Sequence[Snapshot]) -> dict[bytes, Snapshot | None]:
    """Snapshots by the names that their times give them."""
    times = [f"{each.time:%Y-%m-%dT%H-%M-%SZ}" for each in snapshots]
    known = Counter(times)
    return {
        (time if known[time] == 1 else f"{time}-{each.short_id}").encode(): each
        for time, each in zip(times, snapshots, strict=True)
    }


def _escaped(name: str) -> bytes:
    """The name of a host or tag as that of a folder."""
    for odd in ("%", "/", "\0"):
        name = name.replace(odd, f"%{ord(odd):02X}")
    if not name.strip("."):
        name = name.replace(".", "%2E", 1)
    return os.fsencode(name)
