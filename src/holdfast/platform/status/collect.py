"""Finding out how things stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from holdfast.errors import BackendError, RepositoryError
from holdfast.model.select import SAFETY
from holdfast.platform.status.history import (
    failed_runs,
    last_check,
    last_drill,
    moment,
    next_runs,
)
from holdfast.platform.status.result import Growth, SourceStatus, Status
from holdfast.platform.workspace import Workspace

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.model.snapshot import Snapshot

DAYS = 7
"""How far back runs and growth are looked at."""

MAX_RPO_MINUTES = 24 * 60
"""How old the newest backup of a source may be, unless somebody says otherwise."""

MOST_DAYS = 3660

_DAY = 86_400_000_000_000
_SKEW = 3600 * 1_000_000_000
"""By so much may a clock be ahead; what is dated later is not taken for the newest backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """What is expected.

    Attributes:
        days: how far back runs and growth are looked at.
        max_rpo_minutes: how old the newest backup of a source may be.
        of_paths: the same for some paths, and what is below them.
        sources: paths of which there are to be backups. If some are named, the verdict goes by
            the backups of these alone; otherwise by all that there are.
    """

    days: int = DAYS
    max_rpo_minutes: float = MAX_RPO_MINUTES
    of_paths: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    def limit(self, paths: Iterable[str]) -> timedelta:
        """How old the newest backup of these paths may be."""
        own = [
            limit for path in paths for top, limit in self.of_paths.items() if is_below(path, top)
        ]
        return timedelta(minutes=min(own, default=self.max_rpo_minutes))

    def counts(self, paths: Iterable[str]) -> bool:
        """Whether the verdict goes by the backups of these paths."""
        wanted = self.sources
        return not wanted or any(
            is_below(path, each) or is_below(each, path) for path in paths for each in wanted
        )


def status(
    opened: Callable[[], Repository],
    location: str,
    objectives: Objectives | None = None,
    *,
    workspace: Workspace | None = None,
) -> Status:
    """Find out how a repository is, and the work on it.

    A repository that cannot be reached or opened is not an error here, but what there is to say.

    Args:
        opened: gives the open repository; it is not closed.
        location: where it is, for people and to know the jobs that are about it.
        objectives: what is expected.
        workspace: whose jobs, checks and drills are looked at; the user's own when None.
    """
    objectives, workspace = objectives or Objectives(), workspace or Workspace()
    now_ns = workspace.clock.now_ns()
    snapshots: list[Snapshot]
    try:
        repository = opened()
        snapshots, id_, error = repository.snapshots(), repository.id, None
    except (RepositoryError, BackendError) as problem:
        snapshots, id_, error = [], None, str(problem)
    return Status(
        repository=location,
        id=id_,
        time=moment(now_ns),
        days=objectives.days,
        error=error,
        snapshots=None if error is not None else len(snapshots),
        sources=_sources(snapshots, objectives, now_ns) if error is None else (),
        failures=failed_runs(workspace, location, now_ns - objectives.days * _DAY),
        last_check=None if id_ is None else last_check(workspace, id_),
        last_drill=None if id_ is None else last_drill(workspace, id_),
        next_runs=next_runs(workspace, location),
        growth=_growth(snapshots, objectives.days, now_ns),
    )


def is_below(path: str, top: str) -> bool:
    """Whether a path is another one, or in it."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def by_source(
    snapshots: Iterable[Snapshot],
) -> dict[tuple[str, tuple[str, ...]], list[Snapshot]]:
    """Backups by host and paths, each source's oldest first; copies for safety are none."""
    found: dict[tuple[str, tuple[str, ...]], list[Snapshot]] = {}
    for each in sorted(snapshots, key=lambda each: each.time_ns):
        if SAFETY in each.tags:
            continue
        found.setdefault((each.host, tuple(sorted(each.paths))), []).append(each)
    return found


def _sources(
    snapshots: Sequence[Snapshot], objectives: Objectives, now_ns: int
) -> tuple[SourceStatus, ...]:
    known = by_source(snapshots)
    found = [_source(*source, members, objectives, now_ns) for source, members in known.items()]
    backed_up = [path for _, paths in known for path in paths]
    missing = [
        SourceStatus("", (path,), 0, None, None, None, objectives.limit([path]))
        for path in objectives.sources
        if not any(is_below(path, each) for each in backed_up)
    ]
    return tuple(sorted(found, key=lambda each: (each.host, each.paths)) + missing)


def _source(
    host: str,
    paths: tuple[str, ...],
    members: Sequence[Snapshot],
    objectives: Objectives,
    now_ns: int,
) -> SourceStatus:
    newest = next((each for each in members[::-1] if each.time_ns <= now_ns + _SKEW), None)
    age = None if newest is None else timedelta(microseconds=(now_ns - newest.time_ns) // 1000)
    return SourceStatus(
        host,
        paths,
        len(members),
        None if newest is None else newest.id,
        None if newest is None else newest.time,
        None if age is None else max(age, timedelta()),
        objectives.limit(paths),
        objectives.counts(paths),
    )


def _growth(snapshots: Sequence[Snapshot], days: int, now_ns: int) -> tuple[Growth, ...]:
    """What each of the days added, which are those of UTC."""
    names = [f"{moment(now_ns - back * _DAY):%Y-%m-%d}" for back in range(days - 1, -1, -1)]
    made: dict[str, list[Snapshot]] = {name: [] for name in names}
    for each in snapshots:
        made.get(f"{each.time:%Y-%m-%d}", []).append(each)
    return tuple(
        Growth(
            name,
            len(members),
            sum(each.summary.data_added for each in members),
            sum(each.summary.data_stored for each in members),
        )
        for name, members in made.items()
    )
