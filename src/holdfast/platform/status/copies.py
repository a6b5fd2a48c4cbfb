"""Whether the 3-2-1 rule holds: three copies, on two kinds of media, one of them off-site.

The data itself is one of the copies. A repository counts as one if it can be listed and holds a
backup of the source that is nearly as new as the newest anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from holdfast.errors import BackendError, RepositoryError
from holdfast.platform.status.collect import by_source
from holdfast.platform.status.history import plain_location
from holdfast.platform.status.result import minutes

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.model.snapshot import Snapshot

COPIES, MEDIA = 3, 2

MAX_LAG = timedelta(hours=24)
"""By so much may a copy be older than the newest backup."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a copy is.

    Attributes:
        media: what it is kept on, such as ``disk``, ``nas``, ``cloud``.
        place: where that is; another place than the original's is off-site.
    """

    media: str
    place: str


@dataclass(frozen=True, slots=True)
class CopyPlace:
    """A repository that may hold a copy.

    Attributes:
        location: of the repository.
        home: where it is.
        opened: gives it open; it is not closed.
    """

    location: str
    home: Home
    opened: Callable[[], Repository] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """What one repository holds of a source.

    Attributes:
        repository: where it is.
        media, place: see `Home`.
        snapshot: id of the newest there; None when there is none.
        lag: by how much it is older than the newest anywhere.
        counts: whether it is a copy.
        is_same: whether it shows the same moment as the newest, having been copied from it or made
            together with it.
    """

    repository: str
    media: str
    place: str
    snapshot: str | None
    lag: timedelta | None
    counts: bool
    is_same: bool

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes, the lag in minutes."""
        return {
            "repository": self.repository,
            "media": self.media,
            "place": self.place,
            "snapshot": self.snapshot,
            "lag_minutes": None if self.lag is None else minutes(self.lag),
            "counts": self.counts,
            "is_same": self.is_same,
        }


@dataclass(frozen=True, slots=True)
class SourceCopies:
    """The copies of one source.

    Attributes:
        host, paths: the source.
        copies: the repositories.
        number: how many copies there are, the data itself being one.
        media: the kinds of media.
        offsite: how many are at another place than the original.
        missing: what the rule asks for besides, in words.
    """

    host: str
    paths: tuple[str, ...]
    copies: tuple[CopyStatus, ...]
    number: int
    media: tuple[str, ...]
    offsite: int
    missing: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the rule holds."""
        return not self.missing

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes and ``ok``."""
        return {
            "host": self.host,
            "paths": list(self.paths),
            "ok": self.ok,
            "copies": [each.dict() for each in self.copies],
            "number": self.number,
            "media": list(self.media),
            "offsite": self.offsite,
            "missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """Whether the rule holds.

    Attributes:
        sources: the copies of each source.
        errors: repositories that could not be listed, each with why.
        warnings: what is allowed and yet not good.
    """

    sources: tuple[SourceCopies, ...]
    errors: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it holds for every source, and there is one."""
        return bool(self.sources) and all(each.ok for each in self.sources)

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes and ``ok``."""
        return {
            "ok": self.ok,
            "sources": [each.dict() for each in self.sources],
            "errors": [{"repository": where, "error": why} for where, why in self.errors],
            "warnings": list(self.warnings),
        }


def three_two_one(
    original: Home,
    places: Sequence[CopyPlace],
    *,
    since_ns: int = 0,
    max_lag: timedelta = MAX_LAG,
) -> RuleStatus:
    """Find out whether the rule holds, by listing each repository.

    Args:
        original: where the data itself is.
        places: the repositories.
        since_ns: sources without a backup since then, in nanoseconds since the epoch, are passed
            over as not in use any more.
        max_lag: by how much a copy may be older than the newest backup.
    """
    listed: dict[CopyPlace, list[Snapshot]] = {}
    errors = []
    for place in places:
        try:
            listed[place] = place.opened().snapshots()
        except (RepositoryError, BackendError) as error:
            errors.append((place.location, str(error)))
            listed[place] = []
    everything = by_source(each for snapshots in listed.values() for each in snapshots)
    held = {place: by_source(snapshots) for place, snapshots in listed.items()}
    sources = []
    for source, members in sorted(everything.items()):
        newest = members[-1]
        if newest.time_ns >= since_ns:
            copies = [
                _copy(place, held[place].get(source, []), newest, max_lag) for place in places
            ]
            sources.append(_judged(source, copies, original))
    return RuleStatus(tuple(sources), tuple(errors), tuple(_warnings(places, sources)))


def _copy(
    place: CopyPlace, members: Sequence[Snapshot], newest: Snapshot, max_lag: timedelta
) -> CopyStatus:
    if not members:
        return CopyStatus(
            place.location, place.home.media, place.home.place, None, None, False, False
        )  # fmt: skip
    best = members[-1]
    lag = timedelta(microseconds=(newest.time_ns - best.time_ns) // 1000)
    is_same = best.time_ns == newest.time_ns or (
        best.group is not None and best.group == newest.group
    )
    return CopyStatus(
        place.location,
        place.home.media,
        place.home.place,
        best.id,
        lag,
        lag <= max_lag,
        is_same,
    )


def _judged(
    source: tuple[str, tuple[str, ...]], copies: Sequence[CopyStatus], original: Home
) -> SourceCopies:
    held = {plain_location(each.repository): each for each in copies[::-1] if each.counts}
    holding = list(held.values())  # one that is named twice is one copy
    media = sorted({original.media, *(each.media for each in holding)})
    offsite = sum(each.place != original.place for each in holding)
    number = 1 + len(holding)
    missing = []
    if number < COPIES:
        missing.append(f"{COPIES - number} more {'copy' if COPIES - number == 1 else 'copies'}")
    if len(media) < MEDIA:
        missing.append(f"a copy on other media than {media[0]}")
    if not offsite:
        missing.append(f"a copy at another place than {original.place}")
    return SourceCopies(
        *source, tuple(copies), number, tuple(media), offsite, tuple(missing)
    )  # fmt: skip


def _warnings(places: Sequence[CopyPlace], sources: Sequence[SourceCopies]) -> list[str]:
    warnings = []
    if len({plain_location(place.location) for place in places}) < len(places):
        warnings.append("a repository is named twice")
    if len(places) < COPIES - 1:
        warnings.append("there are fewer than two repositories")
    elif len({place.home.media for place in places}) == 1:
        warnings.append(f"all repositories are on the same kind of media: {places[0].home.media}")
    apart = [each for each in sources if any(one.counts and not one.is_same for one in each.copies)]
    if apart:
        paths = ", ".join(" ".join(each.paths) for each in apart)
        warnings.append(
            f"repositories hold different moments of {paths}: make one backup to all (several -b), "
            "or copy the snapshot"
        )
    return warnings
