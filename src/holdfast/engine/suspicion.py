"""The verb that looks for what is wrong with snapshots: `anomalies`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from holdfast.engine.connection import Connection, Words, words
from holdfast.errors import UsageError
from holdfast.model.select import Filter, ordered

if TYPE_CHECKING:
    from holdfast.operations.anomalies import Anomaly
    from holdfast.present import Rows


class Suspicion(Connection):
    """Comparing snapshots with their own history."""

    def anomalies(  # noqa: PLR0913 - the public API's options
        self,
        *,
        snapshots: Sequence[str] | None = None,
        host: str | None = None,
        tags: Words | None = None,
        paths: Words | None = None,
        since: datetime | None = None,
        min_severity: float = 0.0,
        read_data: bool = True,
    ) -> Rows[Anomaly]:
        """What looks wrong with snapshots, by those of the same host and paths before them.

        Ransomware and broken jobs: many files changed, encrypted, renamed, emptied or gone, more
        that cannot be read. Each finding says why. From a severity of 0.5 on it is an alarm;
        below it is a remark, such as that unusually much was added. The guide says what is not
        found.

        Args:
            snapshots: names of those to judge; all when None. What came before them is looked
                at too.
            host: judge only those of this host.
            tags: judge only those with all of these tags.
            paths: judge only backups of all of these paths.
            since: judge only those begun then or later; in the local zone unless it is aware.
            min_severity: only findings that are as severe, 0 to 1.
            read_data: read pieces of at most 200 files of a snapshot that is suspected, before
                and after. Without it, the index has to tell how well they compress.

        Returns:
            The worst first. A snapshot that is damaged is a finding too; one whose record is
            damaged is left out and logged, as `snapshots` does.

        Raises:
            SnapshotNotFound: one that is named is not there.
            UsageError: `min_severity` is not between 0 and 1.
        """
        from holdfast.operations.anomalies import AnomalyOptions, anomalies

        if not 0 <= min_severity <= 1:
            raise UsageError(f"a severity of {min_severity}: it is between 0 and 1")
        wanted = Filter(
            host=host,
            tags=words(tags or ()),
            paths=words(paths or ()),
            since=since and since.astimezone(),
        )
        known, _ = self._load_snapshots()
        chosen = known if snapshots is None else self._chosen(snapshots)
        options = AnomalyOptions(min_severity, read_data)
        with self._store.loader() as loader:
            return anomalies(
                known,
                [each.id for each in ordered(chosen, wanted)],
                loader,
                self._store.catalog.refresh(),
                options,
            )
