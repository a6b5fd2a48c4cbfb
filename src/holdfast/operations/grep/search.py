"""Going through the files of snapshots, and giving what is found in them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from holdfast.errors import DamagedRepository
from holdfast.filesystem import Patterns
from holdfast.model.lines import LinePattern
from holdfast.model.node import Content, NodeType
from holdfast.model.path import ROOT
from holdfast.model.roles import BlobLoader
from holdfast.model.sidebyside import Spot, side_by_side
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import file_content
from holdfast.operations.grep.contents import ContentSearch, File, Found
from holdfast.operations.grep.records import GrepCounts, GrepOptions, Match, MatchKind
from holdfast.overrides import override
from holdfast.present import Shown, Table, table_of
from holdfast.primitives import codec, hashing

BATCH_FILES = 256
BATCH_BYTES = 8 << 20
"""Most small files that are read together, and bytes from which on no more of them are."""


class Grep(Shown):
    """A search: iterate to get each match as it is found; iterating again searches again.

    Damage does not end it, and is given as a match of its own kind.

    Raises:
        BackendError: on iterating, the storage fails.
    """

    def __init__(
        self,
        snapshots: Sequence[Snapshot],
        loader: Callable[[], AbstractContextManager[BlobLoader]],
        options: GrepOptions,
    ) -> None:
        self._snapshots = tuple(snapshots)
        self._loader = loader
        self._options = options
        self._pattern = LinePattern(
            options.pattern, fixed=options.fixed, ignore_case=options.ignore_case
        )
        self._paths = Patterns(options.paths)
        self._search: ContentSearch | None = None
        self._given: Counter[MatchKind] = Counter()

    @property
    def counts(self) -> GrepCounts:
        """What the last search did, as far as it has come."""
        given, search = self._given, self._search
        return GrepCounts(
            lines=given[MatchKind.LINE],
            binary=given[MatchKind.BINARY],
            damaged=given[MatchKind.DAMAGED],
            contents=search.contents if search else 0,
            bytes_read=search.bytes_read if search else 0,
        )

    def __iter__(self) -> Iterator[Match]:
        given: Counter[MatchKind] = Counter()
        with self._loader() as loader:
            search = ContentSearch(self._pattern, self._options, loader)
            self._search, self._given = search, given
            for match in self._matches(search, loader):
                given[match.kind] += 1
                yield match

    def _matches(self, search: ContentSearch, loader: BlobLoader) -> Iterator[Match]:
        lost: list[Match] = []

        def told(path: bytes, error: DamagedRepository) -> None:
            lost.append(self._damaged(os.fsdecode(path), self._snapshots, error))

        trees = [snapshot.tree for snapshot in self._snapshots]
        scope = _Scope(self._paths)
        spots = side_by_side(trees, loader, scope.enters, told)
        for batch in _one_ahead(_batches(_files(spots, scope), search), loader):
            found = search.read(batch)
            yield from _taken(lost)
            for file in batch:
                yield from self._in_file(file, search, found)
        yield from _taken(lost)

    def _in_file(self, file: File, search: ContentSearch, found: Found) -> Iterator[Match]:
        path = os.fsdecode(file.path)
        holders = tuple(self._snapshots[number] for number in file.holders)
        try:
            for line in search.lines(file, found):
                kind = MatchKind.LINE if line.number else MatchKind.BINARY
                number = line.number or None
                yield Match(path, holders, kind, number, line.text, line.spans, line.cut)
        except DamagedRepository as error:
            yield self._damaged(path, holders, error)

    def _damaged(self, path: str, holders: tuple[Snapshot, ...], error: DamagedRepository) -> Match:
        problem = f"{error.object}: {error.problem}"
        return Match(path, holders, MatchKind.DAMAGED, problem=problem)

    @override
    def _table(self) -> Table:
        return table_of(Match, iter(self), "Matching lines")


def grep(
    snapshots: Sequence[Snapshot],
    loader: Callable[[], AbstractContextManager[BlobLoader]],
    options: GrepOptions,
) -> Grep:
    """Search the files of some snapshots; of each content at one path every match is given once.

    Matches come in order of paths, then of lines. With very many snapshots the search goes over
    groups of them (`holdfast.model.sidebyside.MOST_TREES`), each in order of paths.

    Args:
        snapshots: where to look.
        loader: makes a reader, once for each iteration.
        options: what to look for.

    Raises:
        UsageError: the pattern is no regular expression, or a pattern of paths makes no sense.
    """
    return Grep(snapshots, loader, options)


class _Scope:
    """Which files are searched: those that match, or are in a directory that does."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._whole: bytes | None = None if patterns else ROOT
        if patterns and patterns.match(ROOT, is_dir=True):
            self._whole = ROOT

    def enters(self, path: bytes) -> bool:
        """Whether to go into a directory; called in the order of a walk."""
        if self._is_within(path):
            return True
        if self._patterns.match(path, is_dir=True):
            self._whole = path + b"/"
            return True
        return self._patterns.could_match_below(path)

    def has(self, path: bytes) -> bool:
        """Whether to search a file."""
        return self._is_within(path) or self._patterns.match(path, is_dir=False)

    def _is_within(self, path: bytes) -> bool:
        return self._whole is not None and path.startswith(self._whole)


def _files(spots: Iterator[Spot], scope: _Scope) -> Iterator[File]:
    """The files to search, in order of paths: each content of a path once."""
    for spot in spots:
        holders: dict[Content, tuple[int, tuple[int, ...]]] = {}
        for _, node, numbers in spot.versions:
            content = file_content(node) if node.type == NodeType.FILE else None
            if content is not None:
                _, known = holders.get(content, (0, ()))
                holders[content] = node.size, tuple(sorted(known + numbers))
        if holders and scope.has(spot.path):
            for content, (size, numbers) in holders.items():
                yield File(spot.path, content, size, _key(content), numbers)


def _key(content: Content) -> bytes:
    return content if isinstance(content, bytes) else hashing.digest(codec.pack(content))


def _batches(files: Iterator[File], search: ContentSearch) -> Iterator[list[File]]:
    """The files in parts that are read together."""
    batch: list[File] = []
    size = 0
    for file in files:
        batch.append(file)
        if not search.knows(file):
            size += file.size
        if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _one_ahead(batches: Iterator[list[File]], loader: BlobLoader) -> Iterator[list[File]]:
    """The batches, each given when the next one is on its way."""
    before: list[File] | None = None
    for batch in batches:
        loader.prefetch([file.content for file in batch if isinstance(file.content, bytes)])
        if before is not None:
            yield before
        before = batch
    if before is not None:
        yield before


def _taken(lost: list[Match]) -> list[Match]:
    """What is in the list, which is empty then."""
    taken = lost[:]
    lost.clear()
    return taken
