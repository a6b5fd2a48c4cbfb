"""The verbs that decide what stays: forgetting and bringing back, tags and holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, TypeAlias, Union

from holdfast.engine.connection import Connection, Words, resolved, words
from holdfast.engine.origin import about_session, host_name, user_name
from holdfast.errors import DamagedRepository, SnapshotNotFound, UsageError
from holdfast.model.labels import new_hold
from holdfast.model.select import Filter, GroupKey, ordered, resolve
from holdfast.model.snapshot import Snapshot
from holdfast.present import Rows, rows_of
from holdfast.primitives.ids import SnapshotId
from holdfast.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from holdfast.model.retention import RetentionPolicy
    from holdfast.operations.forget import ForgetOptions, ForgetPlan, ForgetResult
    from holdfast.operations.tag import TagResult
    from holdfast.operations.undelete import ForgottenSnapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Policy: TypeAlias = Union["RetentionPolicy", Mapping[str, object], str]
"""Whatever says what a policy is, see `RetentionPolicy.parse`."""


class Retention(Connection):
    """Deciding which snapshots stay."""

    def forget(  # noqa: PLR0913 - the public API's options
        self,
        snapshots: Words | None = None,
        *,
        policy: Policy | None = None,
        host: str | None = None,
        tags: Words | None = None,
        paths: Words | None = None,
        group_by: Sequence[GroupKey] = ("host", "paths"),
        timezone: tzinfo | str | None = None,
        now: datetime | None = None,
        dry_run: bool = False,
        force: bool = False,
        progress: ProgressCallback | None = None,
    ) -> ForgetResult:
        """Remove snapshots: by name, by what they hold, or all that a policy does not keep.

        `undelete` brings them back until their data is reclaimed. Snapshots that are held
        (`hold`) are never removed.

        Args:
            snapshots: names of those to remove.
            policy: a `RetentionPolicy`, or what makes one: a mapping, a text such as
                ``keep-daily:7,keep-weekly:4``, the name of a preset.
            host: only those of this host; with or in place of a policy.
            tags: only those with all of these tags; likewise.
            paths: only backups of all of these paths; likewise.
            group_by: what the snapshots of a group have in common. A policy is applied to each
                group, and without `force` none loses its last snapshot.
            timezone: the zone that a policy's periods are counted in, such as
                ``Europe/Berlin``; by default the offset that each snapshot was made at.
            now: in place of the time it is: later snapshots are dated in the future.
            dry_run: only find out what would be removed, and how much would come back.
            force: remove the last snapshot of a group too, and a damaged one that is named by
                its whole id, which then cannot be brought back.
            progress: called with `ProgressEvent`s, in a dry run.

        Raises:
            UsageError: nothing is named, the policy is refused, a snapshot that is named is
                held, or it is the last of its group. Nothing was removed.
            SnapshotNotFound: there is no such snapshot. Nothing was removed.
        """
        from holdfast.operations.forget import ForgetOptions, forget, rehearse

        wanted = Filter(host=host, tags=words(tags or ()), paths=words(paths or ()))
        if snapshots is not None and (policy is not None or wanted != Filter()):
            raise UsageError("give either snapshots, or a policy or a filter")
        options = ForgetOptions(
            now=now or _moment(self._clock.now_ns()),
            group_by=group_by,
            timezone=_zone(timezone),
            force=force,
        )
        known, damaged = self._load_snapshots()
        if snapshots is not None:
            plan = _plan_named(words(snapshots), known, damaged, options)
        else:
            plan = _plan_selected(known, damaged, wanted, policy, options)
        if not dry_run:
            return forget(self._store, plan, self._clock.now_ns())
        counter = Progress(progress, self._clock)
        with self._store.loader() as loader:
            result = rehearse(self._store, known, plan, loader, counter)
        counter.finish()
        return result

    def forgotten(self) -> Rows[ForgottenSnapshot]:
        """The snapshots that were forgotten and may still be brought back, oldest first."""
        from holdfast.operations.undelete import ForgottenSnapshot, list_forgotten

        found = list_forgotten(self._store, self._clock.now_ns())
        return rows_of(ForgottenSnapshot, found, "Forgotten snapshots")

    def undelete(self, name: str, *, progress: ProgressCallback | None = None) -> Snapshot:
        """Bring back a forgotten snapshot, as a new one whose `original` is the forgotten one.

        Args:
            name: its id or the beginning of it, or any other name that `forgotten` gives a
                meaning to, such as ``latest``.
            progress: called with `ProgressEvent`s.

        Raises:
            SnapshotNotFound: there is none of that name among the forgotten.
            AmbiguousSnapshot: several ids begin so.
            DamagedRepository: its data was reclaimed already, or is damaged. Nothing was made.
        """
        from holdfast.operations.undelete import undelete

        known = [each.snapshot for each in self.forgotten()]
        try:
            old = resolve(known, name)
        except SnapshotNotFound:
            raise SnapshotNotFound(
                f"there is no forgotten snapshot {name}; `holdfast undelete` lists those there are"
            ) from None
        counter = Progress(progress, self._clock)
        made = undelete(self._store, old, about_session("undelete"), counter)
        counter.finish()
        return made

    def tag(  # noqa: PLR0913 - the public API's options
        self,
        snapshots: Words | None = None,
        *,
        add: Words = (),
        remove: Words = (),
        only: Words | None = None,
        hold: str | None = None,
        until: datetime | None = None,
        release: bool = False,
        note: str | None = None,
        host: str | None = None,
        tags: Words | None = None,
        paths: Words | None = None,
    ) -> TagResult:
        """Change the tags of snapshots, hold or release them, or note something on them.

        Args:
            snapshots: their names; give these or one of the filters.
            add: tags that they get.
            remove: tags that they lose.
            only: all the tags that they have afterwards.
            hold: keep them from being removed; why, "" to say nothing.
            until: until when they are held; in the local zone unless it is aware.
            release: end the holds that there are.
            note: a text to add.
            host: those of this host.
            tags: those with all of these tags.
            paths: backups of all of these paths.

        Raises:
            UsageError: that makes no sense. Nothing was done.
            SnapshotNotFound: there is no such snapshot. Nothing was done.
        """
        from holdfast.operations.tag import TagOptions, tag

        if until is not None and hold is None:
            raise UsageError("a time until when makes sense for a hold only")
        now_ns = self._clock.now_ns()
        options = TagOptions(
            host=host_name(),
            user=user_name(),
            now_ns=now_ns,
            add=words(add),
            remove=words(remove),
            only=None if only is None else words(only),
            hold=None if hold is None else new_hold(hold, until, now_ns),
            release=release,
            note=note,
        )
        options.check()
        wanted = Filter(host=host, tags=words(tags or ()), paths=words(paths or ()))
        if (snapshots is None) == (wanted == Filter()):
            raise UsageError("give either snapshots or a filter")
        known, damaged = self._load_snapshots()
        if snapshots is None:
            chosen = _admitted(known, wanted)
        else:
            chosen = [resolved(name, known, damaged) for name in words(snapshots)]
        return tag(self._store, dict.fromkeys(each.id for each in chosen), options)

    def hold(
        self, snapshots: Words, reason: str = "", *, until: datetime | None = None
    ) -> TagResult:
        """Keep snapshots from being removed; see `tag`."""
        return self.tag(snapshots, hold=reason, until=until)

    def release(self, snapshots: Words) -> TagResult:
        """End all holds of snapshots; see `tag`."""
        return self.tag(snapshots, release=True)


def _plan_named(
    names: Sequence[str],
    known: Sequence[Snapshot],
    damaged: Sequence[DamagedRepository],
    options: ForgetOptions,
) -> ForgetPlan:
    """Remove what is named, or nothing."""
    from holdfast.operations.forget import ForgetPlan, pick

    if not names:
        raise UsageError("no snapshot is named, so nothing is removed")
    broken = {_id_of(error): error for error in damaged}
    named = dict.fromkeys(names)
    given_up = [SnapshotId(name) for name in named if name in broken]
    if given_up and not options.force:
        raise _unreadable(broken[given_up[0]])
    chosen = [resolved(name, known, damaged) for name in named if name not in broken]
    for each in chosen:
        if each.holds:
            raise UsageError(
                f"snapshot {each.short_id} is {each.protection}; nothing is removed: release it "
                f"first (holdfast tag {each.short_id} --release)"
            )
    groups = pick({each.id: each for each in chosen}.values(), known, options)
    return ForgetPlan(tuple(groups), tuple(given_up))


def _plan_selected(
    known: Sequence[Snapshot],
    damaged: Sequence[DamagedRepository],
    wanted: Filter,
    policy: Policy | None,
    options: ForgetOptions,
) -> ForgetPlan:
    """Remove what a filter admits, or of that what a policy does not keep."""
    from holdfast.model.retention import RetentionPolicy
    from holdfast.operations.forget import ForgetPlan, PassedOver, judge, pick

    if policy is None and wanted == Filter():
        raise UsageError("nothing says what to forget: give snapshots, a policy or a filter")
    parsed = None if policy is None else RetentionPolicy.parse(policy)
    chosen = list(known) if wanted == Filter() else _admitted(known, wanted)
    groups = pick(chosen, known, options) if parsed is None else judge(chosen, parsed, options)
    passed_over = [
        PassedOver(_id_of(error), f"it is damaged ({error.problem}), so it stays")
        for error in damaged
    ]
    return ForgetPlan(tuple(groups), passed_over=tuple(passed_over))


def _admitted(known: Sequence[Snapshot], wanted: Filter) -> list[Snapshot]:
    found = ordered(known, wanted)
    if not found:
        raise SnapshotNotFound("no snapshot is of that host, with those tags and paths")
    return found


def _id_of(error: DamagedRepository) -> SnapshotId:
    return SnapshotId(error.object.rpartition("/")[2])


def _unreadable(error: DamagedRepository) -> DamagedRepository:
    return DamagedRepository(
        error.object,
        f"{error.problem}; it cannot be brought back once it is removed",
        "force it if that is meant (--force)",
    )


def _moment(time_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def _zone(given: tzinfo | str | None) -> tzinfo | None:
    if not isinstance(given, str):
        return given
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(given)
    except (KeyError, ValueError, OSError, RecursionError):  # the last of very many parts
        raise UsageError(f"{given!r} is no time zone, such as Europe/Berlin") from None
