"""Searching contents, each once, and remembering what was found."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.content import iter_items
from holdfast.model.lines import Line, LinePattern, Piece, search_lines
from holdfast.model.node import Content, Item
from holdfast.model.roles import BlobLoader, view_blob, view_blobs
from holdfast.operations.grep.records import GrepOptions
from holdfast.primitives.ids import BlobId

AHEAD = 16
"""Blobs of a long file that are asked for ahead of their use."""

KEPT_BYTES = 32 << 20
"""About how much memory it takes to remember what was found where."""

_MOST_KEPT = KEPT_BYTES // 32
_ENTRY_BYTES = 256


class File(NamedTuple):
    """Files of one content at one path; never empty ones.

    Attributes:
        key: the same for the same content only.
        holders: the numbers of the snapshots that have them.
    """

    path: bytes
    content: Content
    size: int
    key: bytes
    holders: tuple[int, ...]


Found: TypeAlias = dict[bytes, bytes]
"""The small files of a batch that may have a match, by their keys."""


class ContentSearch:
    """Searches contents, and remembers what it found.

    Attributes:
        contents: how many were read.
        bytes_read: their size, without holes.
    """

    def __init__(self, pattern: LinePattern, options: GrepOptions, loader: BlobLoader) -> None:
        self.contents = 0
        self.bytes_read = 0
        self._pattern = pattern
        self._options = options
        self._loader = loader
        self._known: OrderedDict[bytes, tuple[Line, ...]] = OrderedDict()
        self._kept = 0

    def knows(self, file: File) -> bool:
        """Whether it was searched already."""
        return file.key in self._known

    def read(self, batch: Sequence[File]) -> Found:
        """Read the small files of a batch that are not known yet; give those of interest."""
        wanted = {
            file.key: file.content
            for file in batch
            if isinstance(file.content, bytes) and file.key not in self._known
        }
        keys, blobs = list(wanted), [BlobId(blob) for blob in wanted.values()]
        found: Found = {}
        for position, view in view_blobs(self._loader, blobs):
            if view is None:
                continue  # reading it alone says what is wrong
            self.contents += 1
            self.bytes_read += len(view)
            data = bytes(view)
            if self._pattern.could_match(data, self._options.bounds):
                found[keys[position]] = data
            else:
                self._keep(keys[position], ())
        return found

    def lines(self, file: File, found: Found) -> Iterator[Line]:
        """The lines of a file that match.

        Raises:
            DamagedRepository: not all of it can be read.
        """
        known = self._known.get(file.key)
        if known is not None:
            self._known.move_to_end(file.key)
            yield from known
            return
        data = found.get(file.key)
        pieces = self._pieces(file) if data is None else iter([data])
        kept: list[Line] = []
        size = 0
        for line in search_lines(
            pieces, self._pattern, text=self._options.text, bounds=self._options.bounds
        ):
            size += _ENTRY_BYTES + len(line.text)
            if size <= _MOST_KEPT:
                kept.append(line)
            yield line
            if self._options.first:
                break
        if size <= _MOST_KEPT:
            self._keep(file.key, tuple(kept))

    def _keep(self, key: bytes, lines: tuple[Line, ...]) -> None:
        self._known[key] = lines
        self._kept += _weight(lines)
        while self._kept > KEPT_BYTES:
            _, old = self._known.popitem(last=False)
            self._kept -= _weight(old)

    def _pieces(self, file: File) -> Iterator[Piece]:
        """A file from its beginning to its end, asking for blobs ahead of their use."""
        self.contents += 1
        items = (item for _, item in iter_items(file.content, file.size, self._loader))
        ahead: deque[Item] = deque()
        while news := [*islice(items, AHEAD - len(ahead))] or ahead:
            if news is not ahead:
                self._loader.prefetch([item[0] for item in news if not isinstance(item, int)])
                ahead.extend(news)
            item = ahead.popleft()
            yield item if isinstance(item, int) else self._load(*item)

    def _load(self, blob: BlobId, length: int) -> memoryview:
        view = view_blob(self._loader, blob)
        if len(view) != length:
            raise DamagedRepository(
                f"blob {blob.hex()}", f"{len(view)} bytes where {length} belong"
            )
        self.bytes_read += length
        return view


def _weight(lines: tuple[Line, ...]) -> int:
    return _ENTRY_BYTES + sum(_ENTRY_BYTES + len(line.text) for line in lines)
