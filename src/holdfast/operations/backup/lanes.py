"""Several repositories beside each other: each has its writer, and each may fail alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from holdfast.errors import HoldfastError
from holdfast.model.content import ContentBuilder
from holdfast.model.node import Content
from holdfast.model.roles import BlobLoader
from holdfast.operations.backup.links import Links, Ordinals
from holdfast.operations.backup.options import BackupOptions, BackupOutcome
from holdfast.operations.backup.tally import Tally
from holdfast.operations.backup.tree import TreeBuilder
from holdfast.operations.ingest import BUFFER_SIZE, LARGE, Group, Sink, Tell, pour_file
from holdfast.primitives.chunker import Chunker, ChunkerParams, open_chunker
from holdfast.primitives.ids import BlobId
from holdfast.store import Rehearsal, Writer

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Lane:
    """One of the repositories that a source is backed up to.

    What it does with its repository stands in a ``with lane:`` block. Where the repository fails,
    the block ends, the lane is closed, and the work goes on without it.

    Attributes:
        location: of the repository.
        writer: its session.
        loader: reads its parent snapshot.
        options: of its snapshot.
        chunker: how it cuts files.
        seed: the secret that cuts are made with; where it is the same, equal blobs have equal ids,
            since both come from one secret.
        resources: closed when the repository is done, or has failed.
        error: why it failed.
        outcome: of its backup.
        links, tally, tree: of the pass that is under way.
    """

    location: str
    writer: Writer | Rehearsal
    loader: BlobLoader
    options: BackupOptions
    chunker: ChunkerParams
    seed: bytes
    resources: ExitStack
    error: HoldfastError | None = None
    outcome: BackupOutcome | None = None
    links: Links = field(init=False)
    tally: Tally = field(init=False)
    tree: TreeBuilder = field(init=False)

    def __enter__(self) -> None:
        """Begin something that the repository may fail at."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, HoldfastError):
            return False
        _log.warning("the backup to %s failed: %s", self.location, error)
        self.error = error
        self.resources.__exit__(kind, error, traceback)
        return True

    def begin(self, ordinals: Ordinals) -> None:
        """Begin a pass over the source."""
        self.links = Links(ordinals)
        self.tally = Tally()
        self.tree = TreeBuilder(self.writer, self.loader, self.options, self.links, self.tally)


class AllFailed(Exception):  # noqa: N818 - never leaves a backup: each lane has its error
    """No repository is left that a file could be read for."""


def working(lanes: Iterable[Lane]) -> list[Lane]:
    """Those that have not failed."""
    return [lane for lane in lanes if lane.error is None]


class JointIngest:
    """Stores the bytes of files in several repositories; each file is read once.

    Repositories that name blobs alike and cut alike share one cut and one computing of ids.

    Attributes:
        small: a file of at most so many bytes is cut for no repository.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.small = min(lane.chunker.min_size for lane in lanes)
        largest = max(lane.chunker.max_size for lane in lanes)
        self._buffer = memoryview(bytearray(max(BUFFER_SIZE, 4 * largest)))
        self._chunkers: dict[tuple[bytes, ChunkerParams], Chunker] = {}
        for lane in lanes:
            with lane:
                if (lane.seed, lane.chunker) not in self._chunkers:
                    chunker = open_chunker(lane.chunker, lane.seed)
                    self._chunkers[lane.seed, lane.chunker] = chunker

    def file(
        self, lanes: Sequence[Lane], descriptor: int, status: os.stat_result, tell: Tell | None
    ) -> tuple[int, list[tuple[Lane, Content | None]]]:
        """Store a regular file; see `Ingest.file`.

        Args:
            lanes: the repositories to store it in.
            descriptor: open for reading.
            status: its status, from just before.
            tell: told of the bytes that were read.

        Returns:
            The bytes that were read, and its content for each repository that has not failed.

        Raises:
            Unreadable: the file fails.
            AllFailed: all those repositories have failed.
        """
        group = ("large" if status.st_size >= LARGE else "small", status.st_uid)
        parts: list[_Part] = []
        for (seed, params), chunker in self._chunkers.items():
            alike = [lane for lane in lanes if (lane.seed, lane.chunker) == (seed, params)]
            if alike and 0 < status.st_size <= params.min_size:
                parts.append(_Whole(alike, group))
            elif alike:
                parts.append(_Cut(alike, group, chunker))
        size = pour_file(descriptor, status, tell, self._buffer, _Fan(parts))
        return size, [stored for part in parts for stored in part.finish()]


class _Part(Sink, Protocol):
    """Takes the bytes of a file for those repositories that cut it alike."""

    lanes: Sequence[Lane]

    def finish(self) -> list[tuple[Lane, Content | None]]:
        """The content of the file for each that has not failed."""


class _Fan:
    """Gives every part the same bytes; each may be at another place of the window.

    Attributes:
        parts: with the place in the window that each has come to.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self._starts = [0] * len(parts)

    def add_zeros(self, count: int) -> None:
        """See `Sink`."""
        for part in self._parts:
            part.add_zeros(count)

    def take(self, window: memoryview, *, last: bool) -> int:
        """See `Sink`.

        Raises:
            AllFailed: there is nobody to take it.
        """
        if not any(working(part.lanes) for part in self._parts):
            raise AllFailed
        for number, part in enumerate(self._parts):
            rest = window[self._starts[number] :]
            if rest:
                self._starts[number] += part.take(rest, last=last)
        done = min(self._starts)
        self._starts = [start - done for start in self._starts]
        return done


class _Cut:
    """Cuts what it takes, once for all, and stores the chunks in each."""

    def __init__(self, lanes: Sequence[Lane], group: Group, chunker: Chunker) -> None:
        self.lanes = lanes
        self._group = group
        self._chunker = chunker
        self._builders = {lane: ContentBuilder(lane.writer) for lane in lanes}

    def add_zeros(self, count: int) -> None:
        for lane in working(self.lanes):
            with lane:
                self._builders[lane].add_zeros(count)

    def take(self, window: memoryview, *, last: bool) -> int:
        start = 0
        for length in self._chunker.cut(window, last=last):
            chunk = window[start : start + length]
            for lane, blob in save_in_all(chunk, self._group, self.lanes):
                with lane:
                    self._builders[lane].add_blob(blob, length)
            start += length
        return start

    def finish(self) -> list[tuple[Lane, Content | None]]:
        contents: list[tuple[Lane, Content | None]] = []
        for lane in working(self.lanes):
            with lane:
                contents.append((lane, self._builders[lane].finish()[1]))
        return contents


class _Whole:
    """Stores a file as one blob that is small for these repositories, but not for all."""

    def __init__(self, lanes: Sequence[Lane], group: Group) -> None:
        self.lanes = lanes
        self._group = group
        self._data = bytearray()

    def add_zeros(self, count: int) -> None:
        self._data += bytes(count)

    def take(self, window: memoryview, *, last: bool) -> int:  # noqa: ARG002 - it cuts nowhere
        self._data += window
        return len(window)

    def finish(self) -> list[tuple[Lane, Content | None]]:
        return save_small(bytes(self._data), self._group, self.lanes)


def save_small(
    data: bytes, group: Group, lanes: Sequence[Lane]
) -> list[tuple[Lane, Content | None]]:
    """Store a file as one blob, or as none when it is empty; returns its content for each."""
    if not data:
        return [(lane, None) for lane in working(lanes)]
    return [*save_in_all(memoryview(data), group, lanes)]


def save_in_all(
    content: memoryview, group: Group, lanes: Sequence[Lane]
) -> list[tuple[Lane, BlobId]]:
    """Store a blob in every repository that has not failed; returns its id in each."""
    ids: dict[bytes, BlobId] = {}
    saved: list[tuple[Lane, BlobId]] = []
    for lane in working(lanes):
        with lane:
            blob = ids.get(lane.seed)
            if blob is None:
                blob = ids[lane.seed] = lane.writer.save_data(content, group)
            else:
                lane.writer.save_known(blob, content, group)
            saved.append((lane, blob))
    return saved
