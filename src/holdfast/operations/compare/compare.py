"""The verb itself: the directories of a snapshot and of the file system, side by side."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from holdfast.errors import PathNotFound, UsageError
from holdfast.filesystem import (
    Deciders,
    Directory,
    ExcludeRules,
    Leave,
    LocalSource,
    Problem,
    Walk,
    node_type,
)
from holdfast.filesystem.differences import metadata_differences
from holdfast.filesystem.exclude import Exclusion
from holdfast.filesystem.target import TargetError
from holdfast.model.node import Content, Node, NodeType, Xattrs
from holdfast.model.path import ROOT, join_path, split_path
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content, lookup, walk
from holdfast.operations.compare.content import FileVerdict, judge_content, open_regular
from holdfast.operations.compare.result import Comparison, Mismatch, MismatchKind, Reading
from holdfast.primitives.hashing import keyed
from holdfast.progress import Progress
from holdfast.store import Kind, Loader, Store, blob_key

_GONE = (errno.ENOENT, errno.ENOTDIR)
_DEVICES = (NodeType.CHARACTER_DEVICE, NodeType.BLOCK_DEVICE)

_Link: TypeAlias = tuple[int, int, Content | None]
"""A live file, whatever its name is, and what it was found to hold."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What to compare.

    Attributes:
        path: of the snapshot: a directory or file.
        directory: the live directory that `path` is compared with; None for the paths that the
            snapshot was made of.
        read_data: read files that look unchanged by size and mtime, too.
        metadata: give paths of which only owner, mode, mtime or extended attributes differ.
        exclude: patterns of live paths that are left out, beside those of the snapshot.
    """

    path: bytes = ROOT
    directory: bytes | None = None
    read_data: bool = True
    metadata: bool = True
    exclude: tuple[str, ...] = ()


def compare(
    store: Store, snapshot: Snapshot, options: CompareOptions, progress: Progress
) -> Comparison:
    """Compare a snapshot with live files; what differs is found when the result is iterated.

    Files are compared by the ids of their chunks, so that of the repository only trees are read.
    Memory: a directory's entries on each level, and one chunk.

    Args:
        store: the repository.
        snapshot: what to compare with.
        options: how.
        progress: told of files and bytes.

    Raises:
        PathNotFound: the snapshot has no such path.
        UsageError: it does not say where its files are, or the directory is not there.
        DamagedRepository: the way to the path cannot be read.
    """
    rules = ExcludeRules((*snapshot.excluded, *options.exclude))
    exclusion = Exclusion(rules)
    with store.loader() as loader:
        node = lookup(snapshot.tree, options.path, loader)
    if options.directory is None:
        roots = _roots(snapshot, options.path)
    else:
        _check_directory(options.directory, node)
        roots = [options.directory]
    outermost = (root for root in roots if not any(_is_below(root, each) for each in roots))
    places = [_Place(options.path if options.directory else root, root) for root in outermost]

    def search(reading: Reading) -> Iterator[Mismatch]:
        identify = partial(keyed, blob_key(store.keys, Kind.DATA))
        with store.loader() as loader:
            work = _Comparer(loader, identify, exclusion, options, reading, progress)
            for place in places:
                source = LocalSource([root for root in roots if place.holds(root)], rules)
                yield from work.run(place, source, _node(snapshot, place.inner, loader))
        progress.finish()

    return Comparison(snapshot, search)


@dataclass(frozen=True, slots=True)
class _Place:
    """A path of the snapshot, and the live path that it is compared with."""

    inner: bytes
    live: bytes

    def holds(self, path: bytes) -> bool:
        """Whether a live path is at or below it."""
        return path == self.live or _is_below(path, self.live)

    def mapped(self, path: bytes) -> bytes:
        """Where in the snapshot a live path at or below it would be."""
        below = path[len(self.live.rstrip(b"/")) :]
        return self.inner.rstrip(b"/") + below.rstrip(b"/") or ROOT


def _is_below(path: bytes, other: bytes) -> bool:
    return path != other and path.startswith(other.rstrip(b"/") + b"/")


def _roots(snapshot: Snapshot, path: bytes) -> list[bytes]:
    """The paths that a snapshot was made of, as far as they are at or below a path."""
    if snapshot.how.get("kind") != "local":
        raise UsageError(
            f"snapshot {snapshot.short_id} is not of local files: name a directory to compare with"
        )
    wanted = split_path(path)
    roots = [split_path(os.fsencode(root)) for root in snapshot.paths]
    found = {b"/" + b"/".join(root) for root in roots if root[: len(wanted)] == wanted}
    if any(wanted[: len(root)] == root for root in roots):
        found.add(b"/" + b"/".join(wanted))
    return sorted(found)


def _check_directory(directory: bytes, node: Node) -> None:
    if node.type != NodeType.DIRECTORY:
        raise UsageError("only a directory of a snapshot can be compared with a directory")
    if not os.path.isdir(directory):  # noqa: PTH112 - bytes
        raise UsageError(f"directory {os.fsdecode(directory)!r}: there is no such directory")


def _node(snapshot: Snapshot, path: bytes, loader: Loader) -> Node | None:
    try:
        return lookup(snapshot.tree, path, loader)
    except PathNotFound:
        return None


@dataclass(slots=True)
class _Frame:
    """A live directory, and those directories in it that the snapshot has too, by name."""

    node: Node | None
    below: dict[bytes, Node] = field(default_factory=dict)


class _Comparer:
    """Goes over the places of one comparison, and gives each mismatch."""

    def __init__(
        self,
        loader: Loader,
        identify: Callable[[bytes], bytes],
        exclusion: Exclusion,
        options: CompareOptions,
        reading: Reading,
        progress: Progress,
    ) -> None:
        self._loader = loader
        self._identify = identify
        self._exclusion = exclusion
        self._options = options
        self._reading = reading
        self._progress = progress
        self._failed: set[bytes] = set()
        self._right: set[_Link] = set()

    def run(self, place: _Place, source: LocalSource, node: Node | None) -> Iterator[Mismatch]:
        """Compare a place."""
        for problem in source.problems:
            if problem.path != place.live:
                continue  # a root below it: what is there tells
            if problem.errno not in _GONE:
                yield _unreadable(place.inner, problem.operation, problem.message)
            elif node is not None:
                yield from self._missing(place.inner, node)
        if place.live in source.roots:
            with source.walk() as live:
                yield from self._walk(place, live, node)

    def _walk(self, place: _Place, live: Walk, top: Node | None) -> Iterator[Mismatch]:
        frames: list[_Frame] = []
        for event in live:
            if isinstance(event, Leave):
                if frames:
                    frames.pop()
            elif isinstance(event, Problem):
                self._failed.add(event.path)
                if place.holds(event.path) and not event.vanished:
                    where = place.mapped(event.path)
                    yield _unreadable(where, event.operation, event.message)
            elif place.holds(event.path):
                node = frames[-1].below.pop(event.name, None) if frames else top
                frames.append(_Frame(node))
                yield from self._directory(place, live, event, frames)
                self._failed.clear()
            else:
                yield from self._single(place, live, event, top)

    def _single(
        self, place: _Place, live: Walk, event: Directory, top: Node | None
    ) -> Iterator[Mismatch]:
        """A directory above the place, which matters only if that is no directory."""
        for name, status in event.files:
            if join_path(event.path, name) == place.live:
                yield from self._judge(live, place.inner, name, top, status)

    def _judge(
        self, live: Walk, path: bytes, name: bytes, node: Node | None, status: os.stat_result
    ) -> Iterator[Mismatch]:
        """A live entry that is no directory."""
        if node is None:
            yield _mismatch(path, MismatchKind.NEW)
        elif node_type(status) != node.type:
            yield from self._other(path, node)
        elif node.type == NodeType.FILE:
            yield from self._file(live, path, name, node, status)
        else:
            yield from self._special(live, path, name, node, status)

    def _directory(
        self, place: _Place, live: Walk, event: Directory, frames: list[_Frame]
    ) -> Iterator[Mismatch]:
        """A live directory that is at or below the place."""
        here, frame = place.mapped(event.path), frames[-1]
        node = frame.node
        if node is None and len(frames) == 1:
            yield _mismatch(here, MismatchKind.NEW)
        elif node is not None and node.type != NodeType.DIRECTORY:  # only at the top
            frame.node = None
            yield from self._other(here, node)
        elif node is not None and self._has_metadata(here, frames):
            yield from self._metadata(here, node, event.status, *live.xattrs())
        yield from self._entries(here, live, event, frame)

    def _has_metadata(self, path: bytes, frames: list[_Frame]) -> bool:
        """Whether a directory's own metadata says anything: not of one that stands for another."""
        return path != ROOT and (len(frames) > 1 or self._options.directory is None)

    def _entries(
        self, here: bytes, live: Walk, event: Directory, frame: _Frame
    ) -> Iterator[Mismatch]:
        files, directories = dict(event.files), set(event.subdirectories)
        deciders = self._exclusion.within(os.fsdecode(event.path.rstrip(b"/")))
        tree = None if frame.node is None else directory_tree(frame.node)
        for node in () if tree is None else load_directory(tree, self._loader):
            name, path = node.name, join_path(here, node.name)
            status = files.pop(name, None)
            if status is not None:
                yield from self._judge(live, path, name, node, status)
            elif name in directories:
                directories.discard(name)
                if node.type == NodeType.DIRECTORY:
                    frame.below[name] = node
                else:
                    yield from self._other(path, node)
            elif not self._is_hidden(event, node, deciders):
                yield from self._missing(path, node)
        for name in sorted(files.keys() | directories):
            yield _mismatch(join_path(here, name), MismatchKind.NEW)

    def _is_hidden(self, event: Directory, node: Node, deciders: Deciders | None) -> bool:
        """Whether it may be there although it was not listed."""
        if not event.complete or join_path(event.path, node.name) in self._failed:
            return True
        if deciders is None:
            return False
        name = os.fsdecode(node.name)
        if node.type == NodeType.DIRECTORY:
            return deciders.directory(name)
        return deciders.file(name)

    def _other(self, path: bytes, node: Node) -> Iterator[Mismatch]:
        """What was a node is of another type now; what was in it is missing."""
        was = NodeType(node.type).name.lower().replace("_", " ")
        yield _mismatch(path, MismatchKind.TYPE, f"it was a {was}")
        if node.type == NodeType.DIRECTORY:
            yield from self._missing_below(path, node)

    def _missing(self, path: bytes, node: Node) -> Iterator[Mismatch]:
        yield _mismatch(path, MismatchKind.MISSING)
        if node.type == NodeType.DIRECTORY:
            yield from self._missing_below(path, node)

    def _missing_below(self, path: bytes, node: Node) -> Iterator[Mismatch]:
        for below, _ in walk(directory_tree(node), self._loader, path):
            yield _mismatch(below, MismatchKind.MISSING)

    def _special(
        self, live: Walk, path: bytes, name: bytes, node: Node, status: os.stat_result
    ) -> Iterator[Mismatch]:
        """A link, device, fifo or socket."""
        self._progress.advance(1, 0, os.fsdecode(path))
        try:
            is_link = node.type == NodeType.SYMLINK
            if is_link and live.readlink(name) != node.payload:
                yield _mismatch(path, MismatchKind.CONTENT, "the link leads elsewhere")
                return
        except OSError as error:
            yield _failure(path, "read", error)
            return
        if node.type in _DEVICES and status.st_rdev != node.payload:
            yield _mismatch(path, MismatchKind.CONTENT, "it is another device")
            return
        yield from self._metadata(path, node, status, *live.xattrs(name))

    def _file(
        self, live: Walk, path: bytes, name: bytes, node: Node, status: os.stat_result
    ) -> Iterator[Mismatch]:
        self._reading.files += 1
        if status.st_size != node.size:
            details = f"{status.st_size:,} bytes instead of {node.size:,}"
            yield _mismatch(path, MismatchKind.CONTENT, details)
        elif self._looks_right(node, status):
            yield from self._metadata(path, node, status, *live.xattrs(name))
        else:
            yield from self._content(live, path, name, node)
        self._progress.advance(1, 0, os.fsdecode(path))

    def _looks_right(self, node: Node, status: os.stat_result) -> bool:
        """Whether a file need not be read: it was under another name, or is not to be."""
        if status.st_nlink > 1 and _link(node, status) in self._right:
            return True
        return not self._options.read_data and status.st_mtime_ns == node.mtime

    def _content(self, live: Walk, path: bytes, name: bytes, node: Node) -> Iterator[Mismatch]:
        """A file of the same size, which is read."""

        def on_read(size: int) -> None:
            self._reading.size += size
            self._progress.advance(0, size, os.fsdecode(path))

        try:
            fd = open_regular(live.open_file, name, node.size)
            if fd is None:
                yield _mismatch(path, MismatchKind.CONTENT, "it was changed while it was compared")
                return
            try:
                verdict = judge_content(fd, node, self._loader, self._identify, on_read)
            finally:
                os.close(fd)
        except TargetError as error:
            if error.errno == errno.ENOENT:
                yield _mismatch(path, MismatchKind.MISSING)
            else:
                yield _unreadable(path, error.operation, error.message)
            return
        if not verdict.chunks and verdict.is_stable:
            if verdict.status.st_nlink > 1:
                self._right.add(_link(node, verdict.status))
            yield from self._metadata(path, node, verdict.status, *live.xattrs(name))
        else:
            yield _changed(path, node, verdict)

    def _metadata(
        self,
        path: bytes,
        node: Node,
        status: os.stat_result,
        xattrs: Xattrs,
        problems: list[Problem],
    ) -> Iterator[Mismatch]:
        for problem in problems:
            yield _unreadable(path, problem.operation, problem.message)
        if problems or not self._options.metadata:
            return
        differences = tuple(metadata_differences(node, status, lambda: xattrs, as_restored=False))
        if differences:
            yield _mismatch(path, MismatchKind.METADATA, *differences)


def _link(node: Node, status: os.stat_result) -> _Link:
    return status.st_dev, status.st_ino, file_content(node)


def _changed(path: bytes, node: Node, verdict: FileVerdict) -> Mismatch:
    """A file whose bytes differ: either somebody changed it, or nobody did."""
    text, status = os.fsdecode(path), verdict.status
    if not verdict.is_stable:
        details: tuple[str, ...] = ("it was changed while it was compared",)
    else:
        details = (
            f"{verdict.chunks} of {verdict.chunks_total} chunks differ ({verdict.size:,} bytes)",
        )
    if not verdict.is_stable or status.st_mtime_ns != node.mtime:
        return Mismatch(text, MismatchKind.CONTENT, details, chunks=verdict.chunks)
    if (status.st_ino, status.st_ctime_ns) == (node.inode, node.ctime):
        details += ("its ctime is as it was, so no program has written to it",)
    elif status.st_ino == node.inode:
        details += ("its ctime is another: a program may have written it and put the mtime back",)
    return Mismatch(text, MismatchKind.BIT_ROT, details, verdict.offset, verdict.chunks)


def _mismatch(path: bytes, kind: MismatchKind, *details: str) -> Mismatch:
    return Mismatch(os.fsdecode(path), kind, details)


def _unreadable(path: bytes, operation: str, message: str) -> Mismatch:
    return _mismatch(path, MismatchKind.UNREADABLE, f"{operation}: {message}")


def _failure(path: bytes, operation: str, error: OSError) -> Mismatch:
    if error.errno == errno.ENOENT:
        return _mismatch(path, MismatchKind.MISSING)
    return _unreadable(path, operation, error.strerror or str(error))
