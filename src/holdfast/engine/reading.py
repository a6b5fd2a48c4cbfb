"""The verbs that look into snapshots and change nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Literal

from holdfast.engine.connection import Connection, PathLike, Words, words
from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.present import LazyRows, Rows, lazy_rows_of, rows_of

if TYPE_CHECKING:
    from holdfast.model.entry import Entry
    from holdfast.model.file import SnapshotFile
    from holdfast.operations.diff import Diff
    from holdfast.operations.export import ExportResult
    from holdfast.operations.find import FindOptions, Found
    from holdfast.operations.stats import Stats
    from holdfast.store import Loader


class Reading(Connection):
    """Looking into snapshots: listing, walking, opening, comparing, finding, counting."""

    def listdir(self, snapshot: str, path: PathLike = "/") -> Rows[Entry]:
        """The entries of a directory in a snapshot, by name.

        Raises:
            PathNotFound: the snapshot has no such path.
            UsageError: it is no directory.
        """
        from holdfast.model.entry import Entry
        from holdfast.model.node import NodeType
        from holdfast.model.tree import load_directory
        from holdfast.model.walk import directory_tree, lookup

        tree, inner = self._place(snapshot, path)
        with self._store.loader() as loader:
            node = lookup(tree, inner, loader)
            if node.type != NodeType.DIRECTORY:
                raise UsageError(f"{os.fsdecode(inner)}: not a directory")
            base = inner.rstrip(b"/")
            children = load_directory(directory_tree(node), loader)
            found = (Entry.of(base + b"/" + child.name, child) for child in children)
            return rows_of(Entry, found, f"{os.fsdecode(inner)} in {snapshot}")

    def walk(self, snapshot: str, path: PathLike = "/") -> LazyRows[Entry]:
        """All that is below a directory in a snapshot, depth first, each before what is in it.

        Raises:
            PathNotFound: the snapshot has no such path.
            UsageError: it is no directory.
        """
        from holdfast.model.entry import Entry

        caption = f"Below {os.fsdecode(path)} in {snapshot}"
        return lazy_rows_of(Entry, partial(self._walk, snapshot, path), caption)

    def _walk(self, snapshot: str, path: PathLike) -> Iterator[Entry]:
        from holdfast.model.entry import Entry
        from holdfast.model.node import NodeType
        from holdfast.model.walk import directory_tree, lookup, walk

        tree, inner = self._place(snapshot, path)
        with self._store.loader() as loader:
            node = lookup(tree, inner, loader)
            if node.type != NodeType.DIRECTORY:
                raise UsageError(f"{os.fsdecode(inner)}: not a directory")
            for here, found in walk(directory_tree(node), loader, inner):
                yield Entry.of(here, found)

    def open_file(self, snapshot: str, path: PathLike) -> io.BufferedReader:
        """A file in a snapshot as a seekable binary stream, to be closed after use.

        Raises:
            PathNotFound: the snapshot has no such path.
            UsageError: it is no regular file.
        """
        from holdfast.model.file import SnapshotFile
        from holdfast.model.walk import lookup

        tree, inner = self._place(snapshot, path)
        loader = self._store.loader()
        try:
            return _OpenFile(SnapshotFile(lookup(tree, inner, loader), loader), loader)
        except BaseException:
            loader.close()
            raise

    def dump(
        self,
        snapshot: str,
        path: PathLike,
        output: BinaryIO,
        *,
        archive: Literal["tar", "zip"] = "tar",
    ) -> ExportResult:
        """Write a file as it is, or a directory as an archive, to a binary stream.

        Raises:
            PathNotFound: the snapshot has no such path.
            DamagedRepository: not all of it can be read; what was written is not complete.
        """
        from holdfast.operations.export import ExportOptions, export

        tree, inner = self._place(snapshot, path)
        with self._store.loader() as loader:
            return export(tree, inner, loader, output, ExportOptions(archive))

    def diff(self, before: str, after: str, *, metadata: bool = True) -> Diff:
        """The differences between two snapshots, or two places in them; iterate to get them.

        Args:
            before: name of a snapshot, with ``:/path`` for a place in it.
            after: likewise.
            metadata: whether paths count of which only owner, mode, times or attributes changed.
        """
        from holdfast.operations.diff import DiffOptions, diff

        first, first_path = self._named(before)
        second, second_path = self._named(after)
        options = DiffOptions(first_path, second_path, metadata)
        return diff(first, second, self._store.loader, options)

    def find(  # noqa: PLR0913 - the public API's options
        self,
        patterns: Words,
        *,
        snapshots: Sequence[str] | None = None,
        ignore_case: bool = False,
        type: str | None = None,  # noqa: A002 - as `Entry.type`
        min_size: int | None = None,
        max_size: int | None = None,
        newer: datetime | None = None,
        older: datetime | None = None,
    ) -> LazyRows[Found]:
        """Every version of every entry that matches a pattern, and the snapshots that have it.

        Args:
            patterns: as for excludes.
            snapshots: where to look; everywhere when None.
            ignore_case: whether upper and lower case are equal.
            type: only ``file``, ``dir``, ``symlink`` or another type that `Entry` names.
            min_size: only regular files of so many bytes or more.
            max_size: only regular files of so many bytes or fewer.
            newer: only what was modified then or later; in the local zone unless it is aware.
            older: only what was modified before; likewise.
        """
        from holdfast.operations.find import FindOptions, Found

        options = FindOptions(words(patterns), ignore_case, type, min_size, max_size, newer, older)
        search = partial(self._find, options, snapshots)
        return lazy_rows_of(Found, search, f"Found for {' '.join(options.patterns)}")

    def _find(self, options: FindOptions, snapshots: Sequence[str] | None) -> Iterator[Found]:
        from holdfast.operations.find import find

        with self._store.loader() as loader:
            yield from find(self._chosen(snapshots), loader, options)

    def stats(self, snapshots: Sequence[str] | None = None) -> Stats:
        """What the snapshots (all when None) hold, and what it takes to store them."""
        from holdfast.operations.stats import stats

        chosen = self._chosen(snapshots)
        with self._store.loader() as loader:
            return stats(chosen, loader, self._store.catalog.refresh())


class _OpenFile(io.BufferedReader):
    """A file of a snapshot that lets go of its reader when it is closed."""

    def __init__(self, raw: SnapshotFile, loader: Loader) -> None:
        super().__init__(raw)
        self._loader = loader

    @override
    def close(self) -> None:
        """Close the stream."""
        super().close()
        self._loader.close()
