"""Finding damage: what the documented `BackupValidator` does."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import tempfile
from typing import TYPE_CHECKING

from holdfast.errors import DamagedRepository, SnapshotNotFound, UsageError
from holdfast.model.select import parse_spec
from holdfast.operations.check.report import FindingKind, ReadData
from holdfast.operations.restore import DEVICE_LEFT_OUT
from holdfast.platform.managers.levels import IntegrityLevel
from holdfast.platform.managers.opening import Manager
from holdfast.platform.managers.points import recovery_points
from holdfast.platform.managers.recording import Percent, percents, recorded
from holdfast.platform.managers.restoring import listed
from holdfast.platform.managers.score import WEIGHTS, results_of
from holdfast.platform.managers.validated import Fault, Validation

if TYPE_CHECKING:
    from holdfast.operations.check import CheckReport
    from holdfast.platform.audit import JSON
    from holdfast.progress import ProgressCallback

_log = logging.getLogger(__name__)

_SHARES: dict[IntegrityLevel, bool | str] = {
    IntegrityLevel.BASIC: False,
    IntegrityLevel.STANDARD: False,
    IntegrityLevel.THOROUGH: "10%",
    IntegrityLevel.FORENSIC: True,
}
"""How much of the data is read at each level, unless told otherwise."""


class BackupValidator(Manager):
    """Checks repositories and snapshots, and rehearses restores.

    Arguments of the constructor are those of `Manager`. Every validation is kept in the workspace,
    and `list_validations` lists them.
    """

    def validate_snapshot(
        self,
        snapshot_id: str | None = None,
        full_check: bool = False,  # noqa: FBT001, FBT002 - as documented
        read_data: bool | str = False,  # noqa: FBT001, FBT002 - as documented
        level: IntegrityLevel | str | None = None,
        *,
        scratch: str | os.PathLike[str] | None = None,
        progress_callback: Percent | None = None,
    ) -> dict[str, object]:
        """Look for damage in a snapshot, or in all of the repository; what is found is data.

        Args:
            snapshot_id: its name; None for everything.
            full_check: as level ``thorough``.
            read_data: as level ``forensic``; a share (``"10%"``), or one part of several
                (``"3/10"``, so that a schedule can take turns) is read at level ``thorough``.
            level: `IntegrityLevel` or a word for one; ``basic`` if nothing says more.
            scratch: where a snapshot is restored on trial; the system's folder for temporary
                files when None.
            progress_callback: called with a number from 0 to 100.

        Returns:
            ``valid``; ``errors`` (each ``object``, ``kind``, ``message``, ``hurts``: which paths
            of which snapshots); ``warnings`` (likewise, harmless); ``backup_id`` (the snapshot, or
            None for everything); ``validation_level``; ``validation_score`` (0 to 1);
            ``passed`` (the score is 0.95 or more); ``results`` (check: True, False, or None if it
            was not made; see `holdfast.platform.managers.score`); ``test_restore`` (what that
            says, or None); ``timestamp`` (ISO 8601, UTC); ``duration`` (seconds); ``bytes_read``
            (of data); ``repository`` (id).

        Raises:
            UsageError: an argument makes no sense, or there is no room for a restore on trial.
            SnapshotNotFound, AmbiguousSnapshot: there is no such snapshot.
            BackendError: the storage failed, so nothing can be said.
        """
        wanted = _level(level, full_check=full_check, read_data=read_data)
        share = read_data if isinstance(read_data, str) else None
        return self.validate(
            wanted, snapshot_id, share, scratch=scratch, progress_callback=progress_callback
        ).dict()

    def validate(
        self,
        level: IntegrityLevel | str,
        snapshot_id: str | None = None,
        share: str | None = None,
        *,
        scratch: str | os.PathLike[str] | None = None,
        progress_callback: Percent | None = None,
    ) -> Validation:
        """As `validate_snapshot`, with a result that is no dict.

        Args:
            level: see `IntegrityLevel`.
            snapshot_id: name of a snapshot; None for everything.
            share: how much of the data is read, such as ``10%`` or ``3/10``; what belongs to the
                level when None.
            scratch: where a snapshot is restored on trial.
            progress_callback: called with a number from 0 to 100.
        """
        level = IntegrityLevel.parse(level)
        read_data = _SHARES[level] if share is None else share
        repository, clock = self.repository, self.workspace.clock
        if level is IntegrityLevel.FORENSIC and ReadData.parse(read_data).share < 1:
            raise UsageError(f"level forensic reads all data, not {share}: say thorough")
        found = Validation(repository.id, level, [], read_data, clock.now_ns())
        start = clock.monotonic()
        with recorded(self.trail, "check", repository.id, {"level": found.word}) as deed:
            if self._find(found, snapshot_id, progress_callback):
                deed.snapshot = found.snapshot or ""
                if level is IntegrityLevel.FORENSIC:
                    self._check_room(found, scratch)
                self._check(found, progress_callback)
                if level is IntegrityLevel.FORENSIC:
                    self._rehearse(found, scratch, progress_callback)
            deed.result = "ok" if found.valid else "failed"
            deed.details["errors"] = len(found.errors)
        found.duration = clock.monotonic() - start
        self._keep(found)
        return found

    def keep(
        self, report: CheckReport, level: IntegrityLevel, started_ns: int, duration: float
    ) -> None:
        """Keep in the workspace what `Repository.check` found in all of the repository.

        `status` and `list_validations` know of it then as of any validation.

        Args:
            report: what it found.
            level: what it looked at, at least.
            started_ns: when it began, nanoseconds since the Unix epoch.
            duration: seconds.
        """
        found = Validation(self.repository.id, level, [], report.bytes_read > 0, started_ns)
        _take(found, report)
        found.duration = duration
        self._keep(found)

    def validate_backup(
        self, backup_id: str, level: IntegrityLevel | str = IntegrityLevel.STANDARD
    ) -> dict[str, object]:
        """Look for damage in a snapshot; see `validate_snapshot`."""
        return self.validate_snapshot(backup_id, level=level)

    def check_repository(self, progress_callback: Percent | None = None) -> dict[str, object]:
        """Look for damage in all but the data; see `validate_snapshot`, level ``standard``."""
        return self.validate_snapshot(
            level=IntegrityLevel.STANDARD, progress_callback=progress_callback
        )

    def verify_checksums(
        self,
        read_data: bool | str = True,  # noqa: FBT001, FBT002 - as of `validate_snapshot`
        progress_callback: Percent | None = None,
    ) -> dict[str, object]:
        """Read all data, or a share such as ``"10%"`` or ``"3/10"``, and verify its checksums.

        As `validate_snapshot` at level ``thorough``, whose results it returns.
        """
        if read_data is False:
            raise UsageError("checksums cannot be verified without reading data")
        share = "100%" if read_data is True else read_data
        return self.validate(
            IntegrityLevel.THOROUGH, share=share, progress_callback=progress_callback
        ).dict()

    def test_restore(
        self,
        snapshot_id: str = "latest",
        *,
        scratch: str | os.PathLike[str] | None = None,
        progress_callback: Percent | None = None,
    ) -> dict[str, object]:
        """Restore a snapshot into a temporary folder, compare it, and remove it again.

        Args:
            snapshot_id: name of the snapshot, with ``:/path`` for a part of it.
            scratch: where the folder is made; that of the system for temporary files when None.
            progress_callback: called with a number from 0 to 100.

        Returns:
            ``valid``, ``snapshot_id``, ``files_restored``, ``bytes_restored``, ``errors`` (each
            ``path``, ``operation``, ``message``), ``errors_total`` and ``duration`` (seconds).

        Raises:
            UsageError: there is not enough room, or no such folder.
            SnapshotNotFound, AmbiguousSnapshot, PathNotFound: it is not there.
            RepositoryError, BackendError: the repository failed.
        """
        about: dict[str, JSON] = {"kind": "test restore", "name": snapshot_id}
        with recorded(self.trail, "check", self.repository.id, about) as deed:
            result = self._try(snapshot_id, scratch, percents(progress_callback))
            deed.snapshot = str(result["snapshot_id"])
            deed.result = "ok" if result["valid"] else "failed"
        return result

    def list_validations(self, limit: int = 100) -> list[dict[str, object]]:
        """The validations of this repository that the workspace knows of, newest first.

        Args:
            limit: most of them.

        Returns:
            Of each what `validate_snapshot` returned.
        """
        rows = self.workspace.database.connection.execute(
            "SELECT report FROM checks WHERE repository = ? ORDER BY id DESC LIMIT ?",
            (self.repository.id, limit),
        )
        return [json.loads(row["report"]) for row in rows]

    def _find(self, found: Validation, name: str | None, tell: Percent | None) -> bool:
        """Find the snapshot that is meant; False if it is too damaged for anything else."""
        if name is None:
            return True
        try:
            found.snapshots = [self.repository.snapshot(name).id]
        except DamagedRepository as error:
            found.snapshots = [name]
            found.results = dict.fromkeys(WEIGHTS, None) | {"structure": False}
            found.errors.append(Fault(error.object, FindingKind.SNAPSHOT.value, error.problem))
            if tell is not None:
                tell(100.0)
            return False
        return True

    def _check_room(self, found: Validation, scratch: str | os.PathLike[str] | None) -> None:
        """Refuse a restore on trial that has no room, before the long work."""
        points = [] if found.snapshot else recovery_points(self.repository)[-1:]
        named = [self.repository.snapshot(found.snapshot)] if found.snapshot else points
        for each in named:
            _check_room(each.summary.bytes_processed, scratch)

    def _keep(self, found: Validation) -> None:
        """Keep a validation in the workspace, if that can be; what was found is told anyway."""
        report = json.dumps(found.dict())
        try:
            self.workspace.database.connection.execute(
                "INSERT INTO checks (repository, started_ns, level, valid, report) "
                "VALUES (?, ?, ?, ?, ?)",
                (found.repository, found.started_ns, found.word, found.valid, report),
            )
        except (sqlite3.Error, OSError) as error:
            _log.warning("this validation is not recorded: %s", error)

    def _check(self, found: Validation, tell: Percent | None) -> None:
        """Have the engine check; what is too damaged even to look at is a fault, too."""
        end = 50.0 if found.level is IntegrityLevel.FORENSIC else 100.0
        try:
            report = self.repository.check(
                found.snapshots or None,
                found.read_data,
                full=found.level >= IntegrityLevel.THOROUGH,
                quick=found.level is IntegrityLevel.BASIC,
                progress=percents(tell, end=end),
            )
        except DamagedRepository as error:
            found.results = dict.fromkeys(WEIGHTS, None) | {"existence": False, "structure": False}
            found.errors.append(Fault(error.object, "damaged repository", error.problem))
            return
        _take(found, report)
        if not report.packs_read and found.results["content"]:
            found.results["content"] = None  # none was drawn, or none is in that part

    def _rehearse(
        self, found: Validation, scratch: str | os.PathLike[str] | None, tell: Percent | None
    ) -> None:
        """Restore on trial: the snapshot, or of all of them the latest, if there is any."""
        if found.snapshot is None and not recovery_points(self.repository):
            if tell is not None:
                tell(100.0)
            return
        name = found.snapshot or "latest"
        try:
            done = self._try(name, scratch, percents(tell, begin=50.0))
        except (DamagedRepository, SnapshotNotFound) as error:
            found.results["restore"] = False
            found.errors.append(Fault(name, "trial restore", str(error)))
            return
        found.restored, found.results["restore"] = done, done["valid"] is True
        if not found.results["restore"]:
            message = f"{done['errors_total']} problems while it was restored on trial"
            found.errors.append(Fault(name, "trial restore", message))

    def _try(
        self,
        name: str,
        scratch: str | os.PathLike[str] | None,
        progress: ProgressCallback | None,
    ) -> dict[str, object]:
        """Restore on trial; see `test_restore`."""
        clock = self.workspace.clock
        start = clock.monotonic()
        spec, path = parse_spec(name)
        snapshot = self.repository.snapshot(spec)
        if path == "/":
            _check_room(snapshot.summary.bytes_processed, scratch)
        with tempfile.TemporaryDirectory(prefix="holdfast-trial-", dir=scratch) as folder:
            result = self.repository.restore(
                f"{snapshot.id}:{path}", folder, verify=True, progress=progress
            )
        # Devices are not created on trial, which is no damage.
        errors = [each for each in result.errors if each.message != DEVICE_LEFT_OUT]
        total = result.errors_total - len(result.errors) + len(errors)
        return {
            "valid": total == 0,
            "snapshot_id": snapshot.id,
            "files_restored": result.files_restored,
            "bytes_restored": result.bytes_restored,
            "errors": listed(errors),
            "errors_total": total,
            "duration": clock.monotonic() - start,
        }


def _level(
    level: IntegrityLevel | str | None, *, full_check: bool, read_data: bool | str
) -> IntegrityLevel:
    """The highest level that anything asks for."""
    wanted = IntegrityLevel.BASIC if level is None else IntegrityLevel.parse(level)
    if read_data is True:
        return IntegrityLevel.FORENSIC
    return max(wanted, IntegrityLevel.THOROUGH) if full_check or read_data else wanted


def _check_room(size: int, scratch: str | os.PathLike[str] | None) -> None:
    folder = scratch or tempfile.gettempdir()
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UsageError(f"{os.fspath(folder)}: {error.strerror}") from error
    if size > free:
        raise UsageError(
            f"restoring on trial takes {size:,} bytes, and {os.fspath(folder)} has {free:,}: name "
            "another folder (scratch), or a part of the snapshot"
        )


def _take(found: Validation, report: CheckReport) -> None:
    """Take what the engine found."""
    found.results = results_of(found.level, report.errors, everything=not found.snapshots)
    found.errors += map(Fault.of, report.errors)
    found.warnings += [Fault.of(each) for each in report.findings if not each.is_error]
    found.bytes_read = report.bytes_read
