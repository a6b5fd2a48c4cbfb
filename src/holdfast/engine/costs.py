"""The verbs that tell what costs what: timeline, usage, and whether live files are still right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.engine.connection import Connection, PathLike, Words, words
from holdfast.errors import UsageError
from holdfast.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from holdfast.operations.compare import Comparison
    from holdfast.operations.timeline import Step
    from holdfast.operations.usage import Usage
    from holdfast.present import Rows


class Costs(Connection):
    """What snapshots brought, what takes the space, and what has changed since."""

    def timeline(
        self,
        *,
        host: str | None = None,
        tags: Words | None = None,
        paths: Words | None = None,
        progress: ProgressCallback | None = None,
    ) -> Rows[Step]:
        """What each snapshot brought, oldest first, compared with the one before it.

        Args:
            host: only snapshots of this host.
            tags: only those with all of these tags.
            paths: only backups of all of these paths.
            progress: called with `ProgressEvent`s.

        Raises:
            DamagedRepository: a tree is missing or damaged.
        """
        from holdfast.operations.timeline import Step, timeline
        from holdfast.present import rows_of

        chosen = self.snapshots(host, tags, paths)
        table = self._store.catalog.refresh()
        told = Progress(progress, self._clock)
        with self._store.loader() as loader:
            steps = timeline(chosen, loader, table, told)
            return rows_of(Step, steps, "What each snapshot brought")

    def usage(
        self,
        path: PathLike = "/",
        *,
        snapshots: Sequence[str] | None = None,
        depth: int = 1,
        progress: ProgressCallback | None = None,
    ) -> Usage:
        """Which directories and which snapshots take how much of what is stored.

        Every stored byte is attributed once: what is attributed to directories, what only other
        snapshots or paths need, and the overhead add up to all that is stored.

        Args:
            path: a directory, or a file, of the snapshots.
            snapshots: those to look at; all when None.
            depth: so many levels of directories below `path` are told of.
            progress: called with `ProgressEvent`s.

        Raises:
            PathNotFound: none of the snapshots has the path.
            SnapshotNotFound: there is no such snapshot.
            UsageError: the depth is negative.
            DamagedRepository: a tree is missing or damaged.
        """
        from holdfast.operations.usage import UsageOptions, usage

        if depth < 0:
            raise UsageError(f"a depth of {depth}: it cannot be negative")
        known = self.snapshots()
        chosen = known if snapshots is None else self._chosen(snapshots)
        inner = b"/" + os.path.normpath(b"/" + os.fsencode(path)).lstrip(b"/")
        told = Progress(progress, self._clock)
        return usage(self._store, known, chosen, UsageOptions(inner, depth), told)

    def compare(
        self,
        snapshot: str,
        directory: PathLike | None = None,
        *,
        read_data: bool = True,
        metadata: bool = True,
        exclude: Words = (),
        progress: ProgressCallback | None = None,
    ) -> Comparison:
        """Compare a snapshot with live files; iterate to get each mismatch as it is found.

        A file that has the size and mtime that it had, and other bytes, has rotted: a disk, a
        controller or memory changed it, or a program that put its time back. What can be told of
        it is in the mismatch. Patterns that the snapshot was made without are left out.

        Args:
            snapshot: name of the snapshot, with ``:/path`` for a place in it.
            directory: what to compare with that place; where it was backed up from, when None.
            read_data: read files that look unchanged, too, which is how bit rot is found. Without,
                only files with another mtime are read.
            metadata: whether paths count of which only owner, mode, mtime or attributes differ.
            exclude: patterns of live paths to leave out.
            progress: called with `ProgressEvent`s.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: there is no such directory, or the snapshot is not of local files and none
                was named.
        """
        from holdfast.operations.compare import CompareOptions, compare

        found, inner = self._named(snapshot)
        live = None if directory is None else os.path.abspath(os.fsencode(directory))  # noqa: PTH100 - symlinks stay what they are
        options = CompareOptions(inner, live, read_data, metadata, words(exclude))
        return compare(self._store, found, options, Progress(progress, self._clock))
