"""What a check is asked, and what it finds."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

from holdfast.errors import UsageError
from holdfast.operations.hurt import Hurt
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
    count,
    size,
    table_of,
)
from holdfast.primitives.ids import PackName

_Json: TypeAlias = dict[str, object]


class FindingKind(StrEnum):
    """What a finding is about."""

    OBJECT = "damaged object"
    SNAPSHOT = "damaged snapshot"
    PACK = "damaged pack"
    MISSING_PACK = "missing pack"
    BLOB = "lost blob"
    TREE = "wrong directory"
    UNINDEXED = "unindexed pack"
    STALE = "stale index entry"
    CONDEMNED = "condemned pack"
    STRAY = "stray object"
    ROTATION = "unfinished rotation"


HARMLESS = frozenset(
    {
        FindingKind.UNINDEXED,
        FindingKind.STALE,
        FindingKind.CONDEMNED,
        FindingKind.STRAY,
        FindingKind.ROTATION,
    }
)


@dataclass(frozen=True, slots=True)
class Finding(Row):
    """Something that a check found.

    Attributes:
        object: name of the object.
        kind: what it is about.
        message: what is wrong.
        hurts: the snapshots that it hurts; none for what was healed by another copy.
    """

    object: str
    kind: FindingKind
    message: str
    hurts: tuple[Hurt, ...] = ()

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("kind"),
        Column("error", Kind.FLAG, {True: Tone.BAD}),
        *columns(object=Kind.PATH, message=Kind.TEXT, snapshots=Kind.COUNT, paths=Kind.COUNT),
    )

    @property
    def is_error(self) -> bool:
        """Whether something is wrong, and not just worth knowing."""
        return self.kind not in HARMLESS

    def dict(self) -> _Json:
        """Ready for JSON."""
        return {
            "object": self.object,
            "kind": self.kind.value,
            "message": self.message,
            "error": self.is_error,
            "hurts": [hurt.dict() for hurt in self.hurts],
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        return (
            self.kind.value,
            self.is_error,
            self.object,
            self.message,
            len(self.hurts),
            sum(hurt.count for hurt in self.hurts),
        )


@dataclass(frozen=True, slots=True)
class ReadData:
    """How much of the data a check reads.

    Attributes:
        share: of all packs, drawn at random, 0 to 1.
        part, parts: instead of a share: the packs of one of so many fixed parts, from 1.
    """

    share: float = 0.0
    part: int = 0
    parts: int = 0

    @classmethod
    def parse(cls, value: bool | str) -> ReadData:  # noqa: FBT001 - the public API's argument
        """From False, True, ``"10%"`` or ``"3/10"`` (UsageError for anything else)."""
        if isinstance(value, bool):
            return cls(share=float(value))
        if (match := re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", value)) and float(match[1]) <= 100:  # noqa: PLR2004 - percent
            return cls(share=float(match[1]) / 100)
        if (match := re.fullmatch(r"(\d{1,6})/(\d{1,6})", value)) and (
            1 <= int(match[1]) <= int(match[2])
        ):
            return cls(part=int(match[1]), parts=int(match[2]))
        raise UsageError(f"cannot read {value!r} of the data: give a share such as 10%, or 3/10")

    def choose(self, packs: Iterable[PackName]) -> list[PackName]:
        """The packs to read."""
        ordered = sorted(packs)
        if self.parts:
            return [pack for pack in ordered if int(pack[:8], 16) % self.parts == self.part - 1]
        if self.share >= 1:
            return ordered
        count = min(len(ordered), round(len(ordered) * self.share + 0.4999))
        return sorted(secrets.SystemRandom().sample(ordered, count)) if self.share else []


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport(Shown):
    """What a check found.

    Attributes:
        findings: all of them.
        snapshots, packs, blobs: how many were looked at.
        packs_read: packs whose data was read whole.
        bytes_read: their bytes.
    """

    findings: tuple[Finding, ...]
    snapshots: int
    packs: int
    blobs: int
    packs_read: int
    bytes_read: int

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that mean harm."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong with what was looked at."""
        return not self.errors

    def dict(self) -> _Json:
        """Ready for JSON."""
        return {
            "valid": self.valid,
            "errors": [finding.dict() for finding in self.errors],
            "findings": [finding.dict() for finding in self.findings],
            "snapshots": self.snapshots,
            "packs": self.packs,
            "blobs": self.blobs,
            "packs_read": self.packs_read,
            "bytes_read": self.bytes_read,
        }

    @override
    def _table(self) -> Table:
        looked = (
            f"{count(self.snapshots, 'snapshot')}, {count(self.packs, 'pack')} and "
            f"{count(self.blobs, 'blob')} were looked at; {count(self.packs_read, 'pack')} "
            f"({size(self.bytes_read)}) read whole"
        )
        wrong = count(len(self.errors), "error")
        caption = "Check: nothing is wrong" if self.valid else f"Check: {wrong}"
        hurts = [
            (hurt.snapshot, path, finding.object)
            for finding in self.errors
            for hurt in finding.hurts
            for path in hurt.paths
        ]
        names = columns(snapshot=Kind.ID, path=Kind.PATH, object=Kind.PATH)
        parts = (Table(names, hurts, "What that hurts"),) if hurts else ()
        return table_of(Finding, self.findings, caption, (looked,), parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What to look at.

    Attributes:
        read_data: how many packs to read whole.
        full: read the trailer of every pack and compare it with the index.
        quick: do not read the small objects that are neither snapshots nor directories.
        everything: all snapshots are checked, so objects and packs that serve others count too.
        executor: reads packs in other processes; this one does when None.
    """

    read_data: ReadData
    full: bool = False
    quick: bool = False
    everything: bool = True
    executor: Executor | None = None
