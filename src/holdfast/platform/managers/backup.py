"""Making and keeping backups: what the documented `BackupManager` does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, Unpack

from holdfast.backend import is_uri
from holdfast.engine.connect import init
from holdfast.engine.origin import host_name
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    RepositoryError,
    RepositoryNotFound,
    UsageError,
)
from holdfast.model.retention import RetentionPolicy
from holdfast.model.select import SAFETY, choose_parent
from holdfast.platform.managers.backup_type import BackupType
from holdfast.platform.managers.opening import InitOptions, Manager, place_of
from holdfast.platform.managers.points import (
    FRESH,
    Alert,
    check_backup_freshness,
    described,
    newest_age,
    recovery_points,
)
from holdfast.platform.managers.recording import Percent, iso, moment, percents, recorded

if TYPE_CHECKING:
    from holdfast.engine.connection import PathLike, Words
    from holdfast.engine.repository import Repository
    from holdfast.engine.results import BackupResult
    from holdfast.model.snapshot import Snapshot
    from holdfast.operations.forget import ForgetResult
    from holdfast.operations.prune import PruneResult
    from holdfast.platform.audit import JSON

RECENT = timedelta(days=7)
"""For how long a failure is shown in the status."""


class MoreBackupOptions(TypedDict, total=False):
    """What a backup may be told besides; `Repository.backup` explains them."""

    iexclude: Words
    exclude_file: PathLike | Sequence[PathLike]
    exclude_if_present: Words
    exclude_caches: bool
    exclude_larger_than: int | None
    one_file_system: bool
    label: str
    description: str
    host: str | None
    time: datetime | None
    protect: bool | datetime
    skip_if_unchanged: bool
    dry_run: bool
    source_options: Mapping[str, object] | None


class BackupManager(Manager):
    """Makes backups, lists and prunes them, and says how the repository is.

    One manager may make several backups at a time, from several threads. Arguments of the
    constructor are those of `Manager`.
    """

    def init_repository(self, **options: Unpack[InitOptions]) -> dict[str, object]:
        """Make the repository.

        Args:
            **options: as of `holdfast.init`: ``encryption``, ``compression``, ``pack_size``,
                ``chunker``, ``kdf``.

        Returns:
            ``repository`` (its id), ``location`` and ``encryption``.

        Raises:
            RepositoryExists: there is one already.
            UsageError, BackendError: it cannot be made.
        """
        location, how = place_of(self._backend, self._how)
        with self._lock, recorded(self.trail, "init", "", {"location": location}) as deed:
            made = init(
                location,
                password_file=self._password_file,
                clock=self.workspace.clock,
                **how,
                **options,
            )
            if self._repository is not None and self._is_ours:
                self._repository.close()
            self._repository = made
            deed.details["made"] = made.id
        return {"repository": made.id, "location": made.location, "encryption": "AES256"}

    def create_backup(  # noqa: PLR0913 - the documented arguments
        self,
        sources: PathLike | Sequence[PathLike],
        tags: Words = (),
        exclude: Words = (),
        encryption: str = "AES256",
        progress_callback: Percent | None = None,
        backup_type: BackupType | str = BackupType.INCREMENTAL,
        *,
        verify: bool = False,
        **options: Unpack[MoreBackupOptions],
    ) -> dict[str, object]:
        """Back up files and directories into one snapshot.

        Args:
            sources: their paths; or the URI of one folder of a store.
            tags: words to find the snapshot by, such as ``pii``.
            exclude: patterns of what to leave out.
            encryption: ``AES256``; a repository has one encryption, and there is no other.
            progress_callback: called with a number from 0 to 100.
            backup_type: ``full``, ``incremental`` or ``differential``; see `BackupType`. Where
                there is nothing to compare with it is a full one.
            verify: read all that the snapshot needs back from the repository.
            **options: as of `Repository.backup`: ``label``, ``description``, ``host``, ``time``,
                ``protect``, ``skip_if_unchanged``, ``dry_run`` and those that begin with
                ``exclude``.

        Returns:
            All of `BackupResult.dict`: ``snapshot_id`` (None if none was made), ``parent_id``,
            ``files_new``, ``files_changed``, ``files_unmodified``, ``directories``,
            ``bytes_processed``, ``data_added``, ``data_stored`` (bytes), ``errors`` (files that
            could not be read), ``errors_total``, ``duration`` (seconds); and ``backup_type`` (what
            it was), ``tags``, ``repository`` (id), ``verified`` (True, or None if not asked for).

        Raises:
            UsageError: an argument makes no sense.
            SourceError: none of the sources is there.
            DamagedRepository: the verification found damage; the snapshot exists.
            RepositoryError, BackendError: no snapshot was made.
        """
        if encryption.upper().replace("-", "") not in {"AES256", "AES256GCM"}:
            raise UsageError(f"unknown encryption {encryption!r}: there is AES256 only")
        kind, repository = BackupType.parse(backup_type), self.repository
        paths = [sources] if isinstance(sources, str | bytes | os.PathLike) else list(sources)
        about: dict[str, JSON] = {"sources": [os.fsdecode(path) for path in paths]}
        words = [tags] if isinstance(tags, str) else list(tags)
        if SAFETY in words:
            raise UsageError(f"the tag {SAFETY} is of what restores keep: such a one is no backup")
        with recorded(self.trail, "backup", repository.id, about) as deed:
            kind, parent = _compared(repository, kind, paths, options.get("host"))
            result = repository.backup(
                paths,
                tags=[*words, kind.tag],
                exclude=exclude,
                parent=parent,
                force=kind is BackupType.FULL,
                progress=percents(progress_callback, end=50.0 if verify else 100.0),
                **options,
            )
            deed.snapshot = result.snapshot.id if result.snapshot else ""
            deed.details |= {"type": kind.value, **_numbers(result)}
            deed.result = "partial" if result.errors_total else "ok"
            if verify:
                _verify(repository, result.snapshot, progress_callback)
        return result.dict() | {
            "backup_type": kind.value,
            "tags": words,
            "repository": repository.id,
            "verified": True if verify and result.snapshot else None,
        }

    def list_snapshots(
        self, tag: str | Sequence[str] | None = None, days: float | None = None
    ) -> list[dict[str, object]]:
        """The backups, oldest first.

        What restores keep for the sake of undoing them is not listed, but with the tag ``safety``.

        Args:
            tag: only those with this tag, or all of these.
            days: only those of so many days up to now.

        Returns:
            Of each ``id``, ``short_id``, ``time``, ``hostname``, ``paths``, ``tags``, ``size``,
            ``files``, ``data_added``, ``backup_type`` and the rest of what `described` says.
        """
        since = None
        if days is not None:
            if not days >= 0:
                raise UsageError(f"{days} days make no sense")
            since = moment(self.workspace.clock.now_ns()) - timedelta(days=days)
        return [described(each) for each in recovery_points(self.repository, tag, since=since)]

    def prune_snapshots(
        self,
        policy: RetentionPolicy | Mapping[str, object] | str,
        *,
        dry_run: bool = False,
        force: bool = False,
    ) -> dict[str, object]:
        """Remove what a retention policy does not keep, and give its space back.

        Args:
            policy: a `RetentionPolicy`, a mapping such as ``{"keep_daily": 7}``, a text such as
                ``keep-daily:7,keep-weekly:4``, or ``standard``, ``aggressive`` or ``long_term``.
            dry_run: only find out what would be done.
            force: give space back also if that is more than half of all.

        Returns:
            ``dry_run``; ``removed`` (ids); ``kept`` and ``groups`` (why each stays, as in
            `ForgetResult`); ``bytes_freed`` (of a dry run, what would come back);
            ``passed_over`` (damaged snapshots); ``space``: all of `PruneResult.dict`.

        Raises:
            UsageError: the policy makes no sense, has no rule, or would leave nothing, and nothing
                was removed; or more than half would be given back without `force`: then what the
                policy does not keep is forgotten, and `Repository.undelete` brings it back.
            DamagedRepository, BackendError: no space was given back.
        """
        repository, rules = self.repository, RetentionPolicy.parse(policy)
        about: dict[str, JSON] = {"policy": _told(rules), "dry_run": dry_run}
        with recorded(self.trail, "prune", repository.id, about) as deed:
            forgotten = repository.forget(policy=rules, dry_run=dry_run)
            deed.details["removed"] = list(forgotten.removed)
            pruned = repository.prune(rules if dry_run else None, dry_run=dry_run, force=force)
            deed.details["bytes_freed"] = pruned.bytes_freed
        return _pruned(forgotten, pruned)

    def get_status(self) -> dict[str, object]:
        """How the repository is; never raises for one that cannot be reached or opened.

        Returns:
            ``location``; ``reachable`` (the store answers); ``initialised`` (a repository is
            there; None if unknown); ``usable`` (it could be opened); ``repository`` (id);
            ``snapshot_count``; ``last_snapshot`` (id), ``last_backup`` (ISO 8601, UTC) and
            ``last_backup_age`` (seconds) of the newest backup; ``fresh`` (it is less than 24 hours
            old); ``recent_failures`` (of 7 days, newest first: ``time``, ``event``, ``message``);
            ``error`` (why it could not be opened). What is not known is None.
        """
        status: dict[str, object] = {
            "location": place_of(self._backend, self._how)[0],
            "reachable": True,
            "initialised": True,
            "usable": True,
            "repository": None,
            "snapshot_count": None,
            "last_snapshot": None,
            "last_backup": None,
            "last_backup_age": None,
            "fresh": None,
            "error": None,
        }
        try:
            status |= self._state()
        except RepositoryNotFound as error:
            status |= {"initialised": False, "usable": False, "error": str(error)}
        except BackendError as error:
            status |= {"reachable": False, "initialised": None, "error": str(error)}
            status["usable"] = False
        except RepositoryError as error:
            status |= {"usable": False, "error": str(error)}
        return status | {"recent_failures": self._failures(status["repository"])}

    def get_stats(self) -> dict[str, object]:
        """What the backups hold, and what it takes to store them.

        Returns:
            All of `Stats.dict`, among it ``dedup_ratio``, ``compression_ratio`` and
            ``efficiency`` (their product), ``restore_size`` and ``stored_size`` (bytes), and
            ``snapshots``; also ``snapshot_count``, ``total_size`` (``restore_size``).
        """
        found = self.repository.stats()
        return found.dict() | {
            "snapshot_count": found.snapshots,
            "total_size": found.restore_size,
        }

    def check_backup_freshness(
        self,
        max_age_hours: float = FRESH,
        *,
        tag: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        host: str | None = None,
        alert: Alert | None = None,
    ) -> bool:
        """Whether there is a backup that is recent enough; see `points.check_backup_freshness`."""
        return check_backup_freshness(
            self.repository,
            max_age_hours,
            tag=tag,
            source=source,
            host=host,
            alert=alert,
            clock=self.workspace.clock,
        )

    def _state(self) -> dict[str, object]:
        repository = self.repository
        points = recovery_points(repository)
        age = newest_age(points, self.workspace.clock)
        newest = points[-1] if points else None
        return {
            "repository": repository.id,
            "snapshot_count": len(points),
            "last_snapshot": newest and newest.id,
            "last_backup": iso(newest.time_ns) if newest else None,
            "last_backup_age": None if age is None else age.total_seconds(),
            "fresh": age is not None and age <= timedelta(hours=FRESH),
        }

    def _failures(self, repository: object) -> list[dict[str, object]]:
        """What failed lately; of all repositories when this one's id is not known."""
        since = moment(self.workspace.clock.now_ns()) - RECENT
        named = repository if isinstance(repository, str) else None
        found: list[dict[str, object]] = [
            {
                "time": entry.time,
                "event": entry.event,
                "message": entry.details.get("message", entry.result),
            }
            for entry in self.workspace.audit.entries(since=since, repository=named)
            if entry.result in {"failed", "denied"}
        ]
        return found[::-1]


def _compared(
    repository: Repository, kind: BackupType, paths: Sequence[PathLike], host: str | None
) -> tuple[BackupType, str | None]:
    """What a backup is to be compared with, and of what kind it is then."""
    here = host or host_name()
    points = [] if kind is BackupType.FULL else recovery_points(repository, host=here)
    if kind is BackupType.DIFFERENTIAL:
        points = [each for each in points if BackupType.of(each) is BackupType.FULL]
    parent = choose_parent(points, here, [_name(path) for path in paths])
    return (BackupType.FULL, None) if parent is None else (kind, parent.id)


def _name(path: PathLike) -> str:
    """What a snapshot calls a source."""
    text = os.fsdecode(path)
    return text if is_uri(text) else os.path.abspath(text)  # noqa: PTH100 - symlinks stay


def _verify(repository: Repository, snapshot: Snapshot | None, tell: Percent | None) -> None:
    """Read back all that a snapshot needs, if one was made."""
    if snapshot is not None:
        report = repository.check(
            [snapshot.id], read_data=True, progress=percents(tell, begin=50.0)
        )
        for finding in report.errors:
            raise DamagedRepository(finding.object, f"{finding.message} (found after the backup)")
    elif tell is not None:
        tell(100.0)


def _told(rules: RetentionPolicy) -> str:
    """The rules that keep something, in the words of the command line."""
    return ",".join(
        f"{name.replace('_', '-')}:{value}" for name, value in rules.dict().items() if value
    )


def _numbers(result: BackupResult) -> dict[str, int]:
    return {
        "files": result.files_new + result.files_changed + result.files_unmodified,
        "data_added": result.data_added,
        "errors": result.errors_total,
    }


def _pruned(forgotten: ForgetResult, pruned: PruneResult) -> dict[str, object]:
    kept = [
        {"id": each.snapshot.id, "short_id": each.snapshot.short_id, "reasons": list(each.reasons)}
        for group in forgotten.groups
        for each in group.decisions
        if each.keep
    ]
    return {
        "dry_run": pruned.dry_run,
        "removed": list(forgotten.removed),
        "kept": kept,
        "groups": [group.dict() for group in forgotten.groups],
        "passed_over": [each.dict() for each in forgotten.passed_over],
        "bytes_freed": pruned.bytes_freed,
        "space": pruned.dict(),
    }
