"""What managers do around every operation: record how it ended, and tell how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from holdfast.errors import AccessDenied

if TYPE_CHECKING:
    from holdfast.platform.audit import JSON, AuditTrail
    from holdfast.progress import ProgressCallback, ProgressEvent

Percent: TypeAlias = Callable[[float], object]
"""Told how far an operation is: 0 to 100, never less than before, 100 when it is done."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Deed:
    """What the audit trail will say of an operation.

    Attributes:
        result: ``ok``, unless it is set to ``partial`` or ``failed``.
        snapshot: id of the snapshot it is about, or "".
        details: what else is known.
    """

    result: str = "ok"
    snapshot: str = ""
    details: dict[str, JSON] = field(default_factory=dict)


@contextmanager
def recorded(
    trail: AuditTrail | None,
    event: str,
    repository: str,
    details: Mapping[str, JSON] | None = None,
) -> Iterator[Deed]:
    """Record an operation when it ends, also when an exception ends it.

    Args:
        trail: where; None when whoever had it done records it.
        event: what is done.
        repository: id of the repository.
        details: what is known before.
    """
    deed = Deed(details=dict(details or {}))
    try:
        yield deed
    except BaseException as error:
        deed.result = "denied" if isinstance(error, AccessDenied) else "failed"
        deed.details |= {"error": type(error).__name__, "message": str(error)}
        raise
    finally:
        if trail is not None:
            trail.record(
                event,
                result=deed.result,
                repository=repository,
                snapshot=deed.snapshot,
                details=deed.details,
            )


def percents(
    tell: Percent | None, begin: float = 0.0, end: float = 100.0
) -> ProgressCallback | None:
    """Tell how far an operation, or a part of one, is.

    Args:
        tell: told of it; None for nobody.
        begin: percent of the whole at which the part begins.
        end: percent at which it ends.
    """
    if tell is None:
        return None

    def pass_on(event: ProgressEvent) -> object:
        return tell(begin + (end - begin) * event.percent / 100.0)

    return pass_on


def moment(time_ns: int) -> datetime:
    """A time from nanoseconds since the Unix epoch, in UTC."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def iso(time_ns: int | None) -> str | None:
    """A time in ISO 8601, in UTC; None for None."""
    return None if time_ns is None else moment(time_ns).isoformat()
