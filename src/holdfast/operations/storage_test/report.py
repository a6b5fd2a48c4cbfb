"""What was found out about a storage, and what it is fit for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Shown, Table, Tone, cells, columns, table_of

Outcome: TypeAlias = Literal["yes", "no", "refused", "unknown"]
"""Whether a storage can do something: as it must, wrongly or not, not for us, not tried."""

_TONES: Mapping[Cell, Tone] = {"yes": Tone.GOOD, "no": Tone.BAD, "refused": Tone.NOTABLE}


@dataclass(frozen=True, slots=True)
class StorageCheck(Row):
    """One thing that was tried.

    Attributes:
        name: ``write``, ``read``, ``range``, ``missing``, ``list``, ``overwrite``, ``create``,
            ``race``, ``data`` or ``delete``.
        outcome: ``yes``; ``no``: it fails or does something else; ``refused``: the credentials
            do not allow it; ``unknown``: it could not be tried.
        detail: what was seen, or what is wrong.
    """

    name: str
    outcome: Outcome
    detail: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("name"),
        Column("outcome", Kind.TEXT, _TONES),
        Column("detail"),
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"name": self.name, "outcome": self.outcome, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class StorageVerdict(Row):
    """Whether a storage is fit for a use.

    Attributes:
        use: ``backup``, ``restore``, ``prune`` (while nobody else writes), or
            ``prune beside writers``.
        fit: whether it is.
        reason: why not; "" when it is.
    """

    use: str
    fit: bool
    reason: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("use"),
        Column("fit", Kind.FLAG, {True: Tone.GOOD, False: Tone.BAD}),
        Column("reason"),
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"use": self.use, "fit": self.fit, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class StorageReport(Shown):
    """What a storage can and cannot do.

    Attributes:
        location: where it is.
        checks: what was tried.
        verdicts: what it is fit for.
        put_latency: seconds that storing a small object takes, the median; None if unknown.
        get_latency: likewise of reading one.
        upload_rate: bytes a second of one large object; None if unknown.
        download_rate: likewise.
        clock_difference: seconds by which the storage's clock is before this machine's; 0 when
            they are as equal as can be seen, None when the storage tells no time.
        left: names of probe objects that could not be deleted, in the location.
    """

    location: str
    checks: tuple[StorageCheck, ...]
    verdicts: tuple[StorageVerdict, ...]
    put_latency: float | None
    get_latency: float | None
    upload_rate: float | None
    download_rate: float | None
    clock_difference: float | None
    left: tuple[str, ...]

    @property
    def fit(self) -> bool:
        """Whether it is fit for backup and restore."""
        return all(each.fit for each in self.verdicts if each.use in {"backup", "restore"})

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "location": self.location,
            "fit": self.fit,
            "checks": [each.dict() for each in self.checks],
            "verdicts": [each.dict() for each in self.verdicts],
            "put_latency": self.put_latency,
            "get_latency": self.get_latency,
            "upload_rate": self.upload_rate,
            "download_rate": self.download_rate,
            "clock_difference": self.clock_difference,
            "left": list(self.left),
        }

    @override
    def _table(self) -> Table:
        measured = columns(
            put_latency=Kind.SECONDS,
            get_latency=Kind.SECONDS,
            upload_rate=Kind.RATE,
            download_rate=Kind.RATE,
            clock_difference=Kind.SECONDS,
        )
        return table_of(
            StorageCheck,
            self.checks,
            f"What {self.location} can do",
            tuple(f"could not be deleted: {name}" for name in self.left),
            (
                table_of(StorageVerdict, self.verdicts, "What it is fit for"),
                Table(measured, (cells(self, measured),), "How fast it is", is_record=True),
            ),
        )


_NEEDS: Final = {
    "backup": ("write", "read", "missing", "list", "data"),
    "restore": ("read", "range", "list"),
    "prune": ("write", "read", "missing", "list", "overwrite", "data", "delete"),
    "prune beside writers": ("create", "race"),
}


def verdicts_of(checks: Mapping[str, StorageCheck]) -> tuple[StorageVerdict, ...]:
    """What a storage is fit for that has shown this."""
    reasons = {use: _reason(checks, needs) for use, needs in _NEEDS.items()}
    reasons["prune beside writers"] = reasons["prune"] or reasons["prune beside writers"]
    return tuple(StorageVerdict(use, not reason, reason) for use, reason in reasons.items())


def _reason(checks: Mapping[str, StorageCheck], needs: tuple[str, ...]) -> str:
    """The first of what a use needs that the storage cannot do; "" when it can do all."""
    words = {"no": "does not work", "refused": "is refused", "unknown": "could not be tried"}
    for name in needs:
        outcome = checks[name].outcome if name in checks else "unknown"
        if outcome != "yes":
            return f"{name} {words[outcome]}"
    return ""
