"""A repository, or one snapshot of it, as a tree of files that can only be read."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, cast

from holdfast.engine.connection import Connection
from holdfast.engine.snapshotfs.directories import Directories
from holdfast.engine.snapshotfs.layout import LATEST, Layout, Parts
from holdfast.engine.snapshotfs.reading import Blobs, Errors, FileReader
from holdfast.errors import (
    AmbiguousSnapshot,
    BackendError,
    DamagedRepository,
    HoldfastError,
    ObjectNotFound,
    PathNotFound,
    RepositoryNotFound,
    SnapshotNotFound,
    UsageError,
)
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path, printable, split_path
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import directory_tree, root_node
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.store import newest_config

REFRESH = 60.0
"""Seconds after which the list of snapshots is read again."""

_AT_ONCE = 1.0
"""Seconds after which it is read again for a name that is not in it."""

MOST_LINKS = 40
"""Symbolic links that are followed for one path, as Linux does."""

_MODE = 0o555
_NOWHERE = BlobId(b"")


class LinkLoop(PathNotFound):
    """A path has too many symbolic links, or some that lead to each other."""


class Item(NamedTuple):
    """What is at a path.

    Attributes:
        path: within the view, absolute.
        node: the entry. Folders that are in no snapshot have one that is made up: of mode 555, and
            with the time of the snapshot, or of the newest one below, as mtime.
        snapshot: that it is in; None above snapshots.
    """

    path: bytes
    node: Node
    snapshot: Snapshot | None


class View:
    """A tree of files. Safe to use from several threads.

    Paths are raw bytes from the root ``/``, without a slash at the end. A view of one snapshot is
    of just that one, whatever comes later. In a view of the repository, snapshots come and go (see
    `layout`); one that was entered stays there for as long as its data is.
    """

    def __init__(
        self, repository: Connection, snapshot: str | None = None, *, refresh: float = REFRESH
    ) -> None:
        """Look into an open repository, which has to stay open.

        Args:
            repository: an open repository.
            snapshot: name of a snapshot, with ``:/path`` for a directory in it; None for all of
                the repository.
            refresh: seconds after which the list of snapshots is read again.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: it is no directory.
        """
        self._repository = repository
        self._store = repository._store  # noqa: SLF001 - a door to the same repository
        self._clock = repository._clock  # noqa: SLF001 - likewise
        self._after = refresh
        self._lock = threading.Lock()
        self._layout: tuple[float, Layout] | None = None
        self._ids: frozenset[SnapshotId] | None = None
        self._entered: dict[Parts, Snapshot] = {}
        self._loader = self._store.loader()
        self._blobs = Blobs(self._loader)
        self._directories = Directories(self._loader)
        self._is_closed = False
        self._top = ROOT
        self._one: tuple[Snapshot, Node] | None = None
        if snapshot is not None:
            self._one = self._root(snapshot)

    @property
    def id(self) -> str:
        """The id of the repository, and what of it is shown."""
        one = [] if self._one is None else [self._one[0].id + os.fsdecode(self._top).rstrip("/")]
        return "-".join([self._repository.id, *one])

    def close(self) -> None:
        """Let go of memory and of what is read ahead; nothing can be read any more."""
        self._is_closed = True
        self._blobs.clear()
        self._loader.close()

    def refresh(self) -> None:
        """Read the list of snapshots again when it is asked for next."""
        with self._lock:
            self._layout = None

    def id_name(self, snapshot: Snapshot) -> bytes:
        """What a snapshot is called in the folder of all ids."""
        return self._current().id_name(snapshot)

    def item(self, path: bytes) -> Item:
        """What is at a path; links are not followed.

        Raises:
            PathNotFound: there is nothing.
            SnapshotNotFound: its snapshot was forgotten, and what is asked for has been removed.
            DamagedRepository: a directory on the way is missing or damaged.
        """
        parts = tuple(split_path(path))
        canonical = b"/" + b"/".join(parts)
        snapshot, node, inner = self._enter(parts)
        if snapshot is None:
            return Item(canonical, node, None)
        with self._explained(snapshot):
            for name in inner:
                if node.type != NodeType.DIRECTORY:
                    what = printable(node.name)
                    raise PathNotFound(f"{printable(canonical)}: {what} is not a directory")
                found = self._directories.find(directory_tree(node), name)
                if found is None:
                    raise PathNotFound(f"{printable(canonical)}: the snapshot has no such path")
                node = found
        return Item(canonical, node, snapshot)

    def follow(self, path: bytes) -> Item:
        """What is at a path, after all symbolic links on the way and at the end of it.

        Links lead to where they would if the snapshot were the file system: what is absolute
        begins at the snapshot's root. Nothing leads out of the snapshot, or of the view.

        Returns:
            The item, with the path that was found.

        Raises:
            LinkLoop: there are too many links.
            PathNotFound, SnapshotNotFound, DamagedRepository: as for `item`.
        """
        with suppress(PathNotFound):
            item = self.item(path)
            if item.node.type != NodeType.SYMLINK:
                return item
        return self._followed(path)

    def _followed(self, path: bytes) -> Item:
        pending = deque(split_path(path))
        here = split_path(self._top)  # from the snapshot's root on, once there is a snapshot
        base = links = 0
        while pending:
            name = pending.popleft()
            if name == b"..":
                del here[max(base, len(here) - 1) :]
                continue
            here.append(name)
            item = self._inside(here, path)
            if item is not None and item.node.type == NodeType.SYMLINK:
                links += 1
                if links > MOST_LINKS:
                    raise LinkLoop(f"{printable(path)}: too many symbolic links")
                target = cast("bytes", item.node.payload)
                pending.extendleft(reversed(split_path(target)))
                del here[base if target.startswith(ROOT) else len(here) - 1 :]
            elif item is not None and item.snapshot and self._one is None and not base:
                base = len(here)
        found = self._inside(here, path)
        if found is None:
            raise self._outside(path)
        return found

    def _inside(self, here: list[bytes], path: bytes) -> Item | None:
        """What is where a path leads; None for the directories that the view itself is in."""
        top = split_path(self._top)
        if here[: len(top)] != top[: len(here)]:
            raise self._outside(path)
        return self.item(ROOT + b"/".join(here[len(top) :])) if len(here) >= len(top) else None

    def _outside(self, path: bytes) -> PathNotFound:
        return PathNotFound(f"{printable(path)}: it leads out of {printable(self._top)}")

    def items(self, path: bytes) -> Sequence[Item]:
        """The entries of a directory by name.

        Raises:
            PathNotFound: there is nothing at the path.
            UsageError: it is no directory.
            SnapshotNotFound, DamagedRepository: as for `item`.
        """
        item = self.item(path)
        if item.node.type != NodeType.DIRECTORY:
            raise UsageError(f"{printable(item.path)}: not a directory")
        if item.snapshot is None:
            return self._above(item.path)
        base = item.path if item.path == ROOT else item.path + b"/"
        nodes = self.nodes(item.snapshot, item.node)
        return [Item(base + node.name, node, item.snapshot) for node in nodes]

    def nodes(self, snapshot: Snapshot, directory: Node) -> Sequence[Node]:
        """The entries of a directory by name, without a path each.

        Args:
            snapshot: that it is in.
            directory: as it was found there.

        Raises:
            SnapshotNotFound, DamagedRepository: as for `item`.
        """
        with self._explained(snapshot):
            return self._directories.all(directory_tree(directory))

    def open(self, path: bytes, errors: Errors = "raise") -> FileReader:
        """Open a file.

        Args:
            path: of the file.
            errors: ``skip`` to read zeros where the repository is damaged; `FileReader.skipped`
                tells where.

        Raises:
            PathNotFound: there is nothing at the path.
            UsageError: it is no regular file.
            SnapshotNotFound, DamagedRepository: as for `item`.
        """
        return self.reader(self.item(path), errors)

    def reader(self, item: Item, errors: Errors = "raise") -> FileReader:
        """Open a file that was found already; see `open`."""
        snapshot = item.snapshot
        if snapshot is None:
            raise UsageError(f"{printable(item.path)}: not a regular file")

        def explain(error: HoldfastError) -> HoldfastError:
            return self._explain(snapshot, error)

        return FileReader(item.node, self._blobs, errors, check=self._check, explain=explain)

    def link_target(self, path: bytes) -> bytes:
        """Where a symbolic link points.

        Raises:
            PathNotFound: there is nothing at the path.
            UsageError: it is no symbolic link.
            SnapshotNotFound, DamagedRepository: as for `item`.
        """
        node = self.item(path).node
        if node.type != NodeType.SYMLINK:
            raise UsageError(f"{printable(path)}: not a symbolic link")
        return cast("bytes", node.payload)

    def _check(self) -> None:
        """Refuse to go on where nothing can be read any more (UsageError)."""
        if self._is_closed:
            raise UsageError("this view of the repository was closed")
        self._store.check_usable()

    def _root(self, name: str) -> tuple[Snapshot, Node]:
        """The directory that is the root of a view of one snapshot."""
        snapshot, path = self._repository._named(name)  # noqa: SLF001 - a door to the repository
        node = _made_up(snapshot.time_ns, snapshot)
        with self._explained(snapshot):
            for part in split_path(path):
                found = (
                    self._directories.find(directory_tree(node), part)
                    if node.type == NodeType.DIRECTORY
                    else None
                )
                if found is None:
                    raise PathNotFound(f"{printable(path)}: the snapshot has no such path")
                node = found
        if node.type != NodeType.DIRECTORY:
            raise UsageError(f"{printable(path)}: not a directory")
        self._top = path
        return snapshot, node

    def _enter(self, parts: Parts) -> tuple[Snapshot | None, Node, Parts]:
        """Where the way to a path begins: a snapshot, its root, and the parts within it.

        None with a made-up directory for what is above snapshots.
        """
        self._check()
        if self._one is not None:
            return *self._one, parts
        snapshot, depth = self._find(parts)
        if snapshot is None:
            return None, _made_up(self._current().changed(parts)), ()
        return snapshot, _made_up(snapshot.time_ns, snapshot), parts[depth:]

    def _find(self, parts: Parts) -> tuple[Snapshot | None, int]:
        try:
            try:
                found = self._current().find(parts)
            except SnapshotNotFound:
                found = self._current(_AT_ONCE).find(parts)
        except SnapshotNotFound as error:
            return self._gone(parts, error)
        except AmbiguousSnapshot as error:
            raise PathNotFound(str(error)) from error
        snapshot, depth = found
        if snapshot is not None and len(parts) > depth and not parts[0].startswith(LATEST):
            with self._lock:
                self._entered[parts[:depth]] = snapshot
        return found

    def _gone(self, parts: Parts, error: SnapshotNotFound) -> tuple[Snapshot, int]:
        """A snapshot that is not listed any more, if it was entered while it was."""
        with self._lock:
            for path, snapshot in self._entered.items():
                if parts[: len(path)] == path:
                    return snapshot, len(path)
        raise PathNotFound(str(error)) from error

    def _current(self, oldest: float | None = None) -> Layout:
        """Where snapshots are, by a list that is not older than so many seconds."""
        after = self._after if oldest is None else min(oldest, self._after)
        with self._lock:
            now = self._clock.monotonic()
            if self._layout is None or now - self._layout[0] >= after:
                known, damaged = self._repository._load_snapshots()  # noqa: SLF001 - as above
                layout = Layout(known, damaged)
                if self._ids is not None and layout.ids - self._ids:
                    self._store.catalog.refresh()  # where their blobs are
                    self._loader.try_again()
                self._ids, self._layout = layout.ids, (now, layout)
            return self._layout[1]

    def _above(self, path: bytes) -> Sequence[Item]:
        parts = tuple(split_path(path))
        layout = self._current()
        found: list[Item] = []
        for name, snapshot in sorted(layout.folders[parts].items()):
            time = layout.changed((*parts, name)) if snapshot is None else snapshot.time_ns
            node = _made_up(time, snapshot)._replace(name=name)
            found.append(Item(join_path(path, name), node, snapshot))
        return found

    @contextmanager
    def _explained(self, snapshot: Snapshot) -> Iterator[None]:
        try:
            yield
        except DamagedRepository as error:
            told = self._explain(snapshot, error)
            raise told from (None if told is error else error)

    def _explain(self, snapshot: Snapshot, error: HoldfastError) -> HoldfastError:
        """What is to be said of damage: that a snapshot was forgotten, or all is gone, if it is.

        Raises:
            BackendError: the storage fails.
        """
        try:
            # A disk that fails, or no permission, looks like damage: something has to be readable.
            self._store.backend.get(f"snapshots/{snapshot.id}", 0, 1)
            if self._store.snapshot(snapshot.id) is not None:
                return error
        except DamagedRepository:
            return error
        except ObjectNotFound:
            pass
        except BackendError:
            self._loader.try_again()
            raise
        self._loader.try_again()  # what is away may come back
        if self._store.has_config and newest_config(self._store.backend) is None:
            return RepositoryNotFound("the repository is not there any more: is it mounted?")
        return SnapshotNotFound(
            f"snapshot {snapshot.short_id} was forgotten, and its data has been removed: {error}"
        )


def _made_up(time_ns: int, snapshot: Snapshot | None = None) -> Node:
    """The node of a directory that no entry describes."""
    node = root_node(_NOWHERE if snapshot is None else snapshot.tree)
    return node._replace(mode=_MODE, mtime=time_ns, ctime=time_ns)
