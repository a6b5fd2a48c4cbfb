"""Which snapshots are backups one can go back to, and how old the newest is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.errors import SnapshotNotFound, UsageError
from holdfast.model.select import SAFETY, newest_at, parse_time
from holdfast.platform.managers.backup_type import BackupType
from holdfast.platform.managers.recording import moment

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.model.snapshot import Snapshot

_log = logging.getLogger(__name__)

Alert: TypeAlias = Callable[[str, str, str], object]
"""Told of what somebody should know: an event, a subject and a text."""

SKEW = timedelta(minutes=5)
"""How far another machine's clock may be ahead; what is dated later may be a fake."""

FRESH = 24.0
"""Hours after which a backup is missed, unless another number is given."""


def recovery_points(
    repository: Repository,
    tag: str | Sequence[str] | None = None,
    source: str | Sequence[str] | None = None,
    host: str | None = None,
    since: datetime | None = None,
) -> list[Snapshot]:
    """The backups, oldest first; copies for safety are none, unless their tag is asked for.

    Args:
        repository: where they are.
        tag: only those with all of these tags.
        source: only those of all of these paths.
        host: only those of this host.
        since: only those begun then or later.
    """
    found = repository.snapshots(host=host, tags=tag, paths=source, since=since)
    if tag is not None and SAFETY in ((tag,) if isinstance(tag, str) else tag):
        return found
    return [each for each in found if SAFETY not in each.tags]


def point_at(snapshots: Iterable[Snapshot], when: datetime | str) -> Snapshot:
    """The newest backup that began at or before a time; a naive one is in the local zone.

    Raises:
        UsageError: that is no time.
        SnapshotNotFound: there is none.
    """
    known = list(snapshots)
    if not known:
        raise SnapshotNotFound("no backup is of that host, with those tags and sources")
    aware = parse_time(when) if isinstance(when, str) else when.astimezone()
    return newest_at(known, aware)


def newest_age(snapshots: Iterable[Snapshot], clock: Clock) -> timedelta | None:
    """How old the newest backup is; None when there is none. Those dated in the future are none."""
    now = moment(clock.now_ns())
    ages = [now - each.time for each in snapshots if each.time <= now + SKEW]
    return max(min(ages), timedelta()) if ages else None


def check_backup_freshness(  # noqa: PLR0913 - which backups count, how old, who is told
    repository: Repository,
    max_age_hours: float = FRESH,
    *,
    tag: str | Sequence[str] | None = None,
    source: str | Sequence[str] | None = None,
    host: str | None = None,
    alert: Alert | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> bool:
    """Whether there is a backup that is recent enough; if not, somebody is told.

    Args:
        repository: where backups should be.
        max_age_hours: how old the newest may be.
        tag: only backups with all of these tags count.
        source: only those of all of these paths.
        host: only those of this host.
        alert: called with ``backup-missed``, a subject and a text, when there is none.
        clock: what time it is.

    Raises:
        UsageError: the age makes no sense.
        BackendError: the repository cannot be read, so nothing can be said.
    """
    if not max_age_hours > 0:
        raise UsageError(f"a backup cannot be {max_age_hours} hours old at most")
    age = newest_age(recovery_points(repository, tag, source, host), clock)
    if age is not None and age <= timedelta(hours=max_age_hours):
        return True
    what = "there is no backup" if age is None else f"the newest backup is {_told(age)} old"
    text = f"{repository.location}: {what}; it should be {max_age_hours:g} hours old at most"
    _log.warning("%s", text)
    if alert is not None:
        alert("backup-missed", f"Backup missed: {repository.location}", text)
    return False


def described(snapshot: Snapshot) -> dict[str, object]:
    """What managers say of a snapshot: all of `Snapshot.dict`, and these names for parts of it.

    ``snapshot_id`` (its id), ``hostname``, ``size`` (bytes of all files), ``files``,
    ``data_added`` (bytes that were new) and ``backup_type`` (None when it does not say).
    """
    kind = BackupType.of(snapshot)
    return snapshot.dict() | {
        "snapshot_id": snapshot.id,
        "hostname": snapshot.host,
        "size": snapshot.summary.bytes_processed,
        "files": snapshot.summary.files,
        "data_added": snapshot.summary.data_added,
        "backup_type": kind and kind.value,
    }


def _told(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"  # noqa: PLR2004 - two days
