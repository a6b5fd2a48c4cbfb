"""The verbs that look through time: what became of a path, and where something is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.engine.connection import Connection, PathLike, Words, words
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.model.snapshot import Snapshot
    from holdfast.operations.grep import Grep
    from holdfast.operations.history import Version
    from holdfast.present import Rows


class Versions(Connection):
    """Looking through time: the history of a path, and searching the contents of files."""

    def history(
        self,
        path: PathLike,
        *,
        snapshots: Sequence[str] | None = None,
        host: str | None = None,
        tags: Words | None = None,
        paths: Words | None = None,
    ) -> Rows[Version]:
        """The distinct versions of a path, those that began first before others.

        Each is compared with the one before it of the same host; of a directory above what was
        backed up, with those of the same places below it. A snapshot that says nothing of the path
        is passed over: it is a backup of other paths, or left the path out by a pattern, or could
        not read it. Copies for safety are passed over unless they are named.

        Args:
            path: a file, a directory (which is what its tree is: another one when anything below
                it changed) or anything else. Links are not followed.
            snapshots: where to look; in all when None.
            host: only in those of this host.
            tags: only in those with all of these tags.
            paths: only in backups of all of these paths.

        Raises:
            PathNotFound: no snapshot has the path.
        """
        from holdfast.model.select import SAFETY, Filter, ordered
        from holdfast.operations.history import history

        wanted = Filter(host=host, tags=words(tags or ()), paths=words(paths or ()))
        chosen = ordered(self._chosen(snapshots), wanted)
        if snapshots is None and SAFETY not in wanted.tags:
            chosen = [snapshot for snapshot in chosen if SAFETY not in snapshot.tags]
        with self._store.loader() as loader:
            return history(chosen, os.fsencode(path), loader)

    def grep(  # noqa: PLR0913 - the public API's options
        self,
        pattern: str | bytes,
        *,
        snapshots: Sequence[str] | None = None,
        everywhere: bool = False,
        paths: Words | None = None,
        fixed: bool = False,
        ignore_case: bool = False,
        text: bool = False,
        first: bool = False,
    ) -> Grep:
        """The lines of files that match a pattern; iterate to get each as it is found.

        A distinct content is read once, whatever number of paths and snapshots have it. Damage
        does not end the search, and is given as a match of its own kind.

        Lines end at a line feed, with or without a carriage return before it. The pattern is
        matched against the bytes of one line at a time: nothing matches across lines, ``.`` is one
        byte, and only ASCII letters have a case. A line longer than 256 KiB is searched in pieces
        that overlap by 8 KiB, and given once; of any line at most 4 KiB are given. A pattern such
        as ``(a+)+b``, for which `re` tries everything, takes as long here as anywhere.

        Args:
            pattern: a regular expression of `re` for bytes; text means its UTF-8.
            snapshots: where to look; in the latest when None.
            everywhere: look in all snapshots.
            paths: patterns as for excludes: only files that match, or are below a directory that
                does.
            fixed: find the pattern as it is.
            ignore_case: ASCII letters of both cases are equal.
            text: search files as text that have a byte 0 among their first 8 KiB; otherwise a
                match in one is given without its line.
            first: at most one match of each file.

        Raises:
            UsageError: the pattern is no regular expression, or an argument makes no sense.
            SnapshotNotFound: there is no such snapshot.
        """
        from holdfast.operations.grep import GrepOptions, grep

        if everywhere and snapshots is not None:
            raise UsageError("name snapshots, or search everywhere, not both")
        chosen: list[Snapshot] = self._chosen(
            None if everywhere else ["latest"] if snapshots is None else snapshots
        )
        options = GrepOptions(
            pattern,
            words(paths or ()),
            fixed=fixed,
            ignore_case=ignore_case,
            text=text,
            first=first,
        )
        return grep(chosen, self._store.loader, options)
