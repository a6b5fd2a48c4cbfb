"""What a search is told, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

from holdfast.model.lines import BOUNDS, Bounds
from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns

Record: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class GrepOptions:
    """What to look for, and where.

    Attributes:
        pattern: a regular expression of the module `re` for bytes; text means its UTF-8.
        paths: patterns as for excludes: only files that match, or are below a directory that does;
            every file when empty.
        fixed: the pattern is to be found as it is.
        ignore_case: whether ASCII letters of both cases are equal.
        text: take binary files for text.
        first: at most one match of each file.
        bounds: how much is held of a line, and shown.
    """

    pattern: str | bytes
    paths: tuple[str, ...] = ()
    fixed: bool = False
    ignore_case: bool = False
    text: bool = False
    first: bool = False
    bounds: Bounds = BOUNDS


class MatchKind(StrEnum):
    """What a `Match` says.

    Attributes:
        LINE: a line matches.
        BINARY: a file that is not text has a match.
        DAMAGED: a file, or a directory, cannot be read to its end; lines before were given.
    """

    LINE = "line"
    BINARY = "binary"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Match(Row):
    """A line that matches, a binary file that does, or something that cannot be searched.

    Attributes:
        path: of the file.
        snapshots: those that have it with this content, in the order in which they were given; of
            a directory that is damaged, all that are searched.
        kind: which of the three it is.
        line_number: of the line, from 1; else None.
        line: the line without its end; bytes that are not UTF-8 are replaced.
        spans: begin and end of every match in `line`, in characters; those of none left out.
        cut: whether `line` is only a part of the line, around the first match in it.
        problem: what is damaged; else "".
    """

    path: str
    snapshots: tuple[Snapshot, ...]
    kind: MatchKind = MatchKind.LINE
    line_number: int | None = None
    line: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    cut: bool = False
    problem: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH,
        kind=Kind.TEXT,
        line_number=Kind.COUNT,
        line=Kind.TEXT,
        snapshots=Kind.TEXT,
        problem=Kind.TEXT,
    )

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {
            "path": self.path,
            "snapshots": [snapshot.id for snapshot in self.snapshots],
            "kind": str(self.kind),
            "line_number": self.line_number,
            "line": self.line,
            "spans": [list(span) for span in self.spans],
            "cut": self.cut,
            "problem": self.problem,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        snapshots = " ".join(snapshot.short_id for snapshot in self.snapshots)
        return self.path, str(self.kind), self.line_number, self.line, snapshots, self.problem


@dataclass(frozen=True, slots=True)
class GrepCounts(Row):
    """What a search did.

    Attributes:
        lines: how many matching lines were given.
        binary: how many binary files have a match.
        damaged: how many files or directories could not be searched to their end.
        contents: how many distinct contents were read, and those that were read again.
        bytes_read: their size, without holes.
    """

    lines: int = 0
    binary: int = 0
    damaged: int = 0
    contents: int = 0
    bytes_read: int = 0

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        lines=Kind.COUNT,
        binary=Kind.COUNT,
        damaged=Kind.COUNT,
        contents=Kind.COUNT,
        bytes_read=Kind.BYTES,
    )

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}
