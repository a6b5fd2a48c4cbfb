"""What a comparison of a snapshot with live files tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final, TypeAlias

from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.present import (
    Cell,
    Column,
    Kind,
    Row,
    Shown,
    Table,
    Tone,
    columns,
    record_of,
    table_of,
)

Record: TypeAlias = dict[str, object]

MOST_KEPT: Final = 10_000
"""Most mismatches that are kept, so that going through them again compares nothing again."""


class MismatchKind(StrEnum):
    """In what way a live entry is not as the snapshot has it."""

    BIT_ROT = "bit-rot"
    """A file of the same size and mtime has other bytes: nobody says that it was changed."""

    CONTENT = "content"
    """A file's bytes, a link's target or a device's number were changed."""

    METADATA = "metadata"
    """Nothing but owner, mode, mtime or extended attributes."""

    MISSING = "missing"
    """It is not there any more."""

    NEW = "new"
    """The snapshot does not have it."""

    TYPE = "type"
    """It is something else now."""

    UNREADABLE = "unreadable"
    """It could not be read, so that nothing is known of it."""


_TONES: Final[dict[Cell, Tone]] = {
    "bit-rot": Tone.BAD,
    "unreadable": Tone.NOTABLE,
    "metadata": Tone.FAINT,
}


@dataclass(frozen=True, slots=True)
class Mismatch(Row):
    """An entry that is not as the snapshot has it.

    Attributes:
        path: where it is in the snapshot, or would be.
        kind: in what way; see `MismatchKind`.
        details: what differs, in words.
        offset: of bit rot, where the first byte is that differs; else None.
        chunks: of files that were read to their end, how many of their chunks differ.
    """

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("path", Kind.PATH),
        Column("kind", Kind.TEXT, _TONES),
        Column("details"),
        Column("offset", Kind.COUNT),
        Column("chunks", Kind.COUNT),
    )

    path: str
    kind: MismatchKind
    details: tuple[str, ...] = ()
    offset: int | None = None
    chunks: int = 0

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return record_of(self) | {
            "kind": str(self.kind),
            "details": list(self.details),
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        return self.path, str(self.kind), "; ".join(self.details), self.offset, self.chunks


@dataclass(frozen=True, slots=True)
class ComparisonCounts(Row):
    """How much was compared, and what came of it.

    Attributes:
        files: regular files that are in both.
        bytes_read: bytes of these that were read, holes among them.
        bit_rot, content, metadata, missing, new, type, unreadable: paths of each kind.
    """

    files: int = 0
    bytes_read: int = 0
    bit_rot: int = 0
    content: int = 0
    metadata: int = 0
    missing: int = 0
    new: int = 0
    type: int = 0
    unreadable: int = 0

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        files=Kind.COUNT,
        bytes_read=Kind.BYTES,
        bit_rot=Kind.COUNT,
        content=Kind.COUNT,
        metadata=Kind.COUNT,
        missing=Kind.COUNT,
        new=Kind.COUNT,
        type=Kind.COUNT,
        unreadable=Kind.COUNT,
    )

    @property
    def total(self) -> int:
        """Paths of all kinds."""
        return sum(getattr(self, kind.name.lower()) for kind in MismatchKind)

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"total": self.total}


@dataclass(slots=True)
class Reading:
    """How much of the live files was read.

    Attributes:
        files: regular files that are in both.
        size: bytes that were read.
    """

    files: int = 0
    size: int = 0


Search: TypeAlias = Callable[[Reading], Iterator[Mismatch]]
"""Begins a comparison, which counts what it reads."""


class Comparison(Shown):
    """The mismatches of a snapshot and live files: iterate to get each as it is found.

    Files are read while that goes on. What was found once is kept, up to `MOST_KEPT` mismatches;
    with more, iterating again compares again.

    Attributes:
        snapshot: the snapshot.

    Raises:
        DamagedRepository: on iterating, a tree is missing or damaged.
    """

    def __init__(self, snapshot: Snapshot, search: Search) -> None:
        self.snapshot = snapshot
        self._search = search
        self._kept: tuple[Mismatch, ...] | None = None
        self._counts: ComparisonCounts | None = None

    @property
    def counts(self) -> ComparisonCounts:
        """How much was compared; known once all mismatches were given, found out otherwise."""
        if self._counts is None:
            for _ in self:
                pass
        return self._counts or ComparisonCounts()

    def __iter__(self) -> Iterator[Mismatch]:
        return self._compared() if self._kept is None else iter(self._kept)

    def _compared(self) -> Iterator[Mismatch]:
        """Compare, counting and keeping what is found."""
        kinds: Counter[MismatchKind] = Counter()
        kept: list[Mismatch] = []
        reading = Reading()
        for each in self._search(reading):
            kinds[each.kind] += 1
            if len(kept) <= MOST_KEPT:
                kept.append(each)
            yield each
        found = {kind.name.lower(): kinds[kind] for kind in MismatchKind}
        self._counts = ComparisonCounts(reading.files, reading.size, **found)
        self._kept = tuple(kept) if len(kept) <= MOST_KEPT else None

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {
            "snapshot": self.snapshot.id,
            "mismatches": [each.dict() for each in self],
            "counts": self.counts.dict(),
        }

    @override
    def _table(self) -> Table:
        when = f"{self.snapshot.time:%Y-%m-%d %H:%M}"
        caption = f"Snapshot {self.snapshot.short_id} ({when} UTC) and the live files"
        return table_of(Mismatch, self._kept or self, caption)
