"""Blobs on their way into segments: gathered by what may share one, handed over when it is full."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeAlias

from holdfast.primitives.ids import BlobId
from holdfast.store.pack import Kind
from holdfast.store.packer import Packer

Group: TypeAlias = tuple[str, int]
"""What may share a segment: a class of blobs, such as small files, and their owner's uid."""

TREES: Group = ("trees", 0)

OPEN_GROUPS = 8
"""Segments that are filled at the same time; each holds a buffer."""


@dataclass(slots=True)
class _Filling:
    buffer: memoryview
    used: int = 0
    ids: list[BlobId] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


class Filler:
    """Fills segments with blobs. Used by one thread.

    Args:
        packer: takes the segments.
    """

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._size = packer.segment_size
        self._open: OrderedDict[tuple[Kind, Group], _Filling] = OrderedDict()

    def add(self, kind: Kind, blob: BlobId, content: memoryview, group: Group) -> None:
        """Put a blob into a segment; one that fills a segment is handed over at once.

        Args:
            kind: what it is.
            blob: its id.
            content: the plaintext, which is copied.
            group: what may share a segment with it.
        """
        length = len(content)
        if length >= self._size:
            buffer = self._packer.buffer(length)
            buffer[:] = content
            self._packer.submit(kind, buffer, length, [blob], [length])
            return
        filling = self._filling_for(kind, group)
        if filling.used + length > self._size:
            self._hand_over(kind, group)
            filling = self._filling_for(kind, group)
        end = filling.used + length
        filling.buffer[filling.used : end] = content
        filling.used = end
        filling.ids.append(blob)
        filling.lengths.append(length)

    def flush(self) -> None:
        """Hand over all segments, full or not."""
        for kind, group in list(self._open):
            self._hand_over(kind, group)

    def _filling_for(self, kind: Kind, group: Group) -> _Filling:
        key = (kind, group)
        filling = self._open.get(key)
        if filling is None:
            if len(self._open) >= OPEN_GROUPS:
                self._hand_over(*next(iter(self._open)))
            filling = self._open[key] = _Filling(self._packer.buffer())
        else:
            self._open.move_to_end(key)
        return filling

    def _hand_over(self, kind: Kind, group: Group) -> None:
        filling = self._open.pop((kind, group))
        self._packer.submit(kind, filling.buffer, filling.used, filling.ids, filling.lengths)
