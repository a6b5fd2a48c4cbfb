"""Retention: which snapshots a policy keeps, and why.

The rules are restic's, with two differences; `RetentionPolicy` tells them all. Of snapshots of one
instant, where restic goes by the order in which they are loaded, the one with the largest id
counts as the newest, as it does for ``latest``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from operator import attrgetter
from typing import ClassVar, Never, TypeAlias, cast

from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import UsageError
from holdfast.model.path import printable
from holdfast.model.periods import BEFORE_ALL, PERIODS, Duration, Rule, wall_clock
from holdfast.model.policy import (
    COUNTS,
    DURATIONS,
    TAGS,
    UNLIMITED,
    count,
    duration,
    named_rules,
    read_text,
    suggestion,
    tag_lists,
)
from holdfast.model.record import Record
from holdfast.model.select import GroupKey, group_of, ordered
from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Shown, Table, Tone, columns, table_of
from holdfast.primitives.ids import SnapshotId

Protection: TypeAlias = Mapping[SnapshotId, str | datetime]
"""Snapshots that no policy may remove: because of something, or until a moment."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RetentionDecision(Row):
    """What a policy says of one snapshot.

    Attributes:
        snapshot: which.
        reasons: why it is kept, such as ``oldest daily snapshot``; none when it is not.
    """

    snapshot: Snapshot
    reasons: tuple[str, ...]

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(snapshot=Kind.ID, time=Kind.TIME, host=Kind.TEXT, paths=Kind.PATH, tags=Kind.TEXT),
        Column("keep", Kind.FLAG, {True: Tone.GOOD, False: Tone.BAD}),
        Column("reasons"),
    )

    @property
    def keep(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons)

    def dict(self) -> Record:
        """Ready for JSON."""
        return {
            "snapshot": self.snapshot.dict(),
            "keep": self.keep,
            "reasons": list(self.reasons),
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        made = self.snapshot
        return (
            made.id,
            made.time,
            made.host,
            ", ".join(made.paths),
            ", ".join(made.tags),
            self.keep,
            ", ".join(self.reasons),
        )


@dataclass(frozen=True, slots=True)
class RetentionGroup(Shown):
    """What a policy says of the snapshots of one group.

    Attributes:
        host, paths, tags: what they have in common, as the newest has it; None for what they were
            not grouped by.
        decisions: one for each, the newest first.
    """

    host: str | None
    paths: tuple[str, ...] | None
    tags: tuple[str, ...] | None
    decisions: tuple[RetentionDecision, ...]

    @classmethod
    def of(
        cls, decisions: Iterable[RetentionDecision], group_by: Sequence[GroupKey]
    ) -> RetentionGroup:
        """The group that has these decisions, the newest first."""
        members = tuple(decisions)
        newest = members[0].snapshot
        return cls(
            host=newest.host if "host" in group_by else None,
            paths=newest.paths if "paths" in group_by else None,
            tags=newest.tags if "tags" in group_by else None,
            decisions=members,
        )

    @property
    def sort_key(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """Groups are shown in the order of this."""
        return self.host or "", self.paths or (), self.tags or ()

    def dict(self) -> Record:
        """Ready for JSON."""
        return {
            "host": self.host,
            "paths": None if self.paths is None else list(self.paths),
            "tags": None if self.tags is None else list(self.tags),
            "decisions": [decision.dict() for decision in self.decisions],
        }

    @override
    def __str__(self) -> str:
        parts = [] if self.host is None else [f"host {self.host}"]
        parts += [] if self.paths is None else [f"paths {', '.join(map(_shown, self.paths))}"]
        parts += [] if self.tags is None else [f"tags {', '.join(self.tags)}"]
        return "; ".join(parts) or "all snapshots"

    @override
    def _table(self) -> Table:
        return table_of(RetentionDecision, self.decisions, f"Retention of {self}")


class RetentionGroups(Shown, list[RetentionGroup]):
    """The groups, which show what is said of each of their snapshots."""

    @override
    def _table(self) -> Table:
        decisions = [each for group in self for each in group.decisions]
        kept = sum(each.keep for each in decisions)
        caption = f"Retention: {kept:,} of {len(decisions):,} snapshots stay"
        return table_of(RetentionDecision, decisions, caption)


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Which snapshots to keep.

    The rules are restic's. In each group (of one host and the same paths, unless told otherwise)
    snapshots are looked at from the newest to the oldest, and one that any rule keeps is kept. A
    rule with a count keeps the newest snapshot of that many periods. Only periods that have
    snapshots count, and every rule counts for itself: one snapshot can be a daily, a weekly and a
    monthly one. A rule that has slots left when it comes to the oldest snapshot keeps that too, so
    that the history reaches back as far as it can.

    Two things are different. A snapshot dated in the future is kept but uses up no slot: else
    whoever can write snapshots could push the others out. And the periods may be those of one time
    zone, in place of the offset that each snapshot was made at.

    Counts are numbers of snapshots, -1 for all. Durations are texts such as ``1y5m7d2h``, counted
    back from the newest snapshot that is not dated in the future. A rule that is not given keeps
    nothing.

    Attributes:
        keep_last: this many of the newest.
        keep_hourly: the newest of each of this many hours.
        keep_daily: likewise of days.
        keep_weekly: likewise of ISO weeks.
        keep_monthly: likewise of months.
        keep_yearly: likewise of years.
        keep_within: all within this duration.
        keep_within_hourly: the newest of each hour within this duration, and the oldest of the
            group if that is within it.
        keep_within_daily: likewise of days.
        keep_within_weekly: likewise of ISO weeks.
        keep_within_monthly: likewise of months.
        keep_within_yearly: likewise of years.
        keep_tags: those with any of these tags. ``a,b`` means both of the two, and the empty tag
            those without any.

    Raises:
        UsageError: a value makes no sense.
    """

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within: str = ""
    keep_within_hourly: str = ""
    keep_within_daily: str = ""
    keep_within_weekly: str = ""
    keep_within_monthly: str = ""
    keep_within_yearly: str = ""
    keep_tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in COUNTS:
            object.__setattr__(self, name, count(name, getattr(self, name)))
        for name in DURATIONS:
            object.__setattr__(self, name, duration(name, getattr(self, name)))
        object.__setattr__(self, TAGS, tag_lists(self.keep_tags))

    @classmethod
    def parse(cls, given: RetentionPolicy | Mapping[str, object] | str) -> RetentionPolicy:
        """A policy from whatever says what it is.

        Args:
            given: a policy; a mapping such as ``{"keep_daily": 7}``; rules in a text such as
                ``keep-daily:7,keep-weekly:4``, where ``unlimited`` is a number too and
                ``keep-tags:TAG`` may stand more than once; or the name of one of `PRESETS`.

        Raises:
            UsageError: a rule or a name that is not known, or a value that makes no sense.
        """
        if isinstance(given, RetentionPolicy):
            return given
        written = read_text(given) if isinstance(given, str) else given
        # Never: of whatever type each value is to be, which is checked when the policy is made.
        return cls(**cast("dict[str, Never]", named_rules(written)))

    def dict(self) -> Record:
        """All rules by name, ready for JSON and for `parse`: 0, "" and [] are those not given."""
        record: Record = {name: getattr(self, name) for name in COUNTS + DURATIONS}
        return record | {TAGS: list(self.keep_tags)}

    def apply(
        self,
        snapshots: Iterable[Snapshot],
        now: datetime | None = None,
        group_by: Sequence[GroupKey] = ("host", "paths"),
        timezone: tzinfo | None = None,
        protected: Protection | None = None,
    ) -> RetentionGroups:
        """Decide on every snapshot; nothing is removed by this.

        Args:
            snapshots: in any order.
            now: later snapshots are dated in the future; by default the time it is. A moment
                without a zone is in the local one.
            group_by: what snapshots of a group have in common.
            timezone: the zone that periods and durations are counted in; by default that of each
                snapshot's own offset from UTC.
            protected: snapshots that stay in any case, each with why or until when, besides those
                that are held (`Snapshot.holds`). They use up slots as others do.

        Returns:
            The groups, ordered by host, paths and tags.

        Raises:
            UsageError: the policy has no rule, a tag that no snapshot has, or would leave nothing
                of a group (but for snapshots dated in the future).
        """
        if self == RetentionPolicy():
            raise UsageError(
                "the retention policy has no rule, so nothing is removed; give one such as "
                "keep-daily:7, or a preset such as standard"
            )
        newest_first = ordered(snapshots)[::-1]
        self._check_tags(newest_first)
        now_ns = SYSTEM_CLOCK.now_ns() if now is None else _nanoseconds(now)
        kept_for = _protections(protected or {}, now_ns)
        groups: dict[tuple[object, ...], list[Snapshot]] = {}
        for each in newest_first:
            group = group_of(each.host, each.paths, each.tags, group_by)
            groups.setdefault(group, []).append(each)
        found = [
            RetentionGroup.of(self._decide(members, now_ns, timezone, kept_for), group_by)
            for members in groups.values()
        ]
        _check_left(found, now_ns)
        return RetentionGroups(sorted(found, key=attrgetter("sort_key")))

    def _check_tags(self, snapshots: list[Snapshot]) -> None:
        for wanted in self.keep_tags:
            if snapshots and not any(_has_tags(each, wanted) for each in snapshots):
                held = {tag for each in snapshots for tag in each.tags}
                unknown = [tag for tag in wanted.split(",") if tag not in held]
                hint = suggestion(unknown[0], sorted(held)) if unknown else ""
                raise UsageError(
                    f"{TAGS}: {wanted!r} matches no snapshot{hint or '; nothing is removed'}"
                )

    def _decide(
        self,
        members: list[Snapshot],
        now_ns: int,
        zone: tzinfo | None,
        protected: Mapping[SnapshotId, str],
    ) -> tuple[RetentionDecision, ...]:
        newest = next((each for each in members if each.time_ns < now_ns), None)
        rules = self._rules(newest, zone)
        decisions = []
        for number, snapshot in enumerate(members):
            reasons = [snapshot.protection] if snapshot.holds else []
            reasons += [protected[snapshot.id]] if snapshot.id in protected else []
            reasons += [_tags_reason(each) for each in self.keep_tags if _has_tags(snapshot, each)]
            if snapshot.time_ns > now_ns:
                reasons.append("dated in the future")
            else:
                wall = wall_clock(snapshot, zone)
                oldest = number == len(members) - 1
                said = (
                    rule.reason(snapshot.time_ns, wall, number, oldest=oldest) for rule in rules
                )
                reasons += filter(None, said)
            decisions.append(RetentionDecision(snapshot, tuple(reasons)))
        return tuple(decisions)

    def _rules(self, newest: Snapshot | None, zone: tzinfo | None) -> list[Rule]:
        """All that count, before any has kept a snapshot; without a newest, time reaches far."""

        def within(text: str) -> int:
            return BEFORE_ALL if newest is None else Duration.parse(text).before(newest, zone)

        rules = []
        if self.keep_within:
            text = self.keep_within
            rules.append(Rule(f"within {text}", PERIODS["last"], UNLIMITED, within(text)))
        for name, period in PERIODS.items():
            if slots := getattr(self, f"keep_{name}"):
                rules.append(Rule(f"{name} snapshot", period, slots, BEFORE_ALL))
        for name, period in PERIODS.items():
            if text := getattr(self, f"keep_within_{name}", ""):
                rules.append(Rule(f"{name} within {text}", period, UNLIMITED, within(text)))
        return rules


def _check_left(groups: list[RetentionGroup], now_ns: int) -> None:
    """Refuse to leave nothing of a group; one dated in the future may be a fake, or a mistake."""
    for group in groups:
        real = [each for each in group.decisions if each.snapshot.time_ns <= now_ns]
        if real and not any(each.keep for each in real):
            raise UsageError(
                f"the retention policy would remove every snapshot of a group ({group}), so "
                "nothing is removed; add a rule that keeps one, such as keep-last:1, or remove "
                "them by id"
            )


def _protections(protected: Protection, now_ns: int) -> dict[SnapshotId, str]:
    """Why each snapshot is protected, without those whose time is over."""
    reasons = {}
    for snapshot, why in protected.items():
        if isinstance(why, str):
            reasons[snapshot] = f"protected: {why}" if why else "protected"
        elif _nanoseconds(why) > now_ns:
            reasons[snapshot] = f"protected until {why.isoformat()}"
    return reasons


def _has_tags(snapshot: Snapshot, wanted: str) -> bool:
    return set(wanted.split(",")) <= set(snapshot.tags or ("",))


def _tags_reason(wanted: str) -> str:
    return f"has tags {wanted}" if wanted else "has no tags"


def _shown(path: str) -> str:
    return printable(os.fsencode(path))


def _nanoseconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
