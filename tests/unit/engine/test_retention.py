"""Forgetting, bringing back, tags and holds, as a program asks for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import holdfast
from holdfast.backend import (
    Backend,
    Buffer,
    Call,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    flipped,
)
from holdfast.engine.repository import Repository
from holdfast.model.labels import Label, encode_label
from holdfast.model.snapshot import Hold
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.ids import SnapshotId
from holdfast.store import Store
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.session import is_aborted_marker
from holdfast.testing.repositories import ManualClock, new_store, reopened

pytestmark = pytest.mark.usefixtures("cheap_passwords")

DAY = 86_400.0


class Bench:
    """A repository in memory with a clock that is turned by hand, and something to back up."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        (self.data / "file").write_text("content")
        self.objects = MemoryBackend()
        self.clock = ManualClock()
        self.store = new_store(self.objects, clock=self.clock)
        self.repo = Repository(self.store, self.clock)

    def over(self, backend: Backend) -> Repository:
        """The same repository, by way of another backend."""
        return Repository(reopened(backend, clock=self.clock), self.clock)

    def made(self, tags: tuple[str, ...] = (), host: str = "host") -> holdfast.Snapshot:
        """A snapshot a day after the one before."""
        self.clock.advance(DAY)
        made = self.repo.backup(self.data, tags=tags, host=host).snapshot
        assert made is not None
        return made

    def days(self, count: int) -> list[str]:
        return [self.made().id for _ in range(count)]

    def ids(self) -> list[str]:
        return [each.id for each in self.repo.snapshots()]

    def listed(self, folder: str) -> list[str]:
        return sorted(info.name for info in self.objects.list(folder))

    def spoil(self, name: str) -> None:
        self.objects.put(name, flipped(self.objects.get(name)))

    def label_of(self, id_: str) -> str:
        (name,) = self.listed(f"labels/{id_}/")
        return name


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# ------------------------------------------------------------------------ forget, by a policy


def test_a_policy_removes_what_it_does_not_keep(bench: Bench) -> None:
    ids = bench.days(5)
    result = bench.repo.forget(policy="keep-last:2")
    assert bench.ids() == ids[3:]
    assert list(result.removed) == ids[:3]
    assert (result.dry_run, result.passed_over, result.lost) == (False, (), ())
    (group,) = result.groups
    assert (group.host, group.paths) == ("host", (str(bench.data),))
    assert [each.keep for each in group.decisions] == [True, True, False, False, False]
    assert bench.listed("forgotten/") == sorted(f"forgotten/{id_}" for id_ in ids[:3])
    assert bench.repo.check(read_data=True).valid


@pytest.mark.parametrize(
    "policy",
    [
        holdfast.RetentionPolicy(keep_last=1),
        {"keep_last": 1},
        "keep-last:1",
        "keep-daily:1",
    ],
)
def test_a_policy_is_given_in_any_way(bench: Bench, policy: str) -> None:
    ids = bench.days(3)
    assert list(bench.repo.forget(policy=policy, dry_run=True).removed) == ids[:2]


def test_a_dry_run_changes_nothing_and_tells_what_would_come_back(bench: Bench) -> None:
    content = bytes(range(256)) * 200
    sizes = []
    for turn in range(3):
        (bench.data / "file").write_bytes(bytes([turn]) + content[turn * 7 :])
        (bench.data / "same").write_bytes(content[::-1])
        sizes.append(bench.made().id)
    before = dict(bench.objects._objects)
    result = bench.repo.forget(policy="keep-last:1", dry_run=True)
    assert bench.objects._objects == before
    assert result.dry_run
    assert list(result.removed) == sizes[:2]
    stats = bench.repo.stats()
    last = bench.repo.stats(["latest"])
    assert result.bytes == stats.stored_size - last.stored_size > 0
    assert bench.repo.forget(policy="keep-last:3", dry_run=True).bytes == 0


def test_what_other_snapshots_need_does_not_come_back(bench: Bench) -> None:
    bench.made(host="other")
    bench.days(3)
    result = bench.repo.forget(policy="keep-last:1", host="host", dry_run=True)
    assert len(result.removed) == 2
    assert result.bytes == 0


def test_what_would_come_back_cannot_be_told_of_a_damaged_tree(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.days(2)
    for name in bench.listed("data/"):
        bench.objects.put(name, flipped(bench.objects.get(name)))
    result = bench.over(bench.objects).forget(policy="keep-last:1", dry_run=True)
    assert result.bytes is None
    assert len(result.removed) == 1
    assert "cannot be told" in caplog.text


def test_a_policy_is_applied_to_what_a_filter_admits(bench: Bench) -> None:
    kept = bench.made(tags=("weekly",))
    other = bench.made(host="other")
    ids = bench.days(2)
    assert list(bench.repo.forget(policy="keep-last:1", host="other").removed) == []
    assert list(bench.repo.forget(policy="keep-last:1", tags="weekly").removed) == []
    result = bench.repo.forget(policy="keep-last:1", paths=str(bench.data), host="host")
    assert list(result.removed) == [kept.id, ids[0]]
    assert bench.ids() == [other.id, ids[1]]


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("", "no rule"),
        ({}, "no rule"),
        ("keep-tags:nightyl", "matches no snapshot"),
        ("x", "preset"),
    ],
)
def test_a_policy_that_makes_no_sense_removes_nothing(
    bench: Bench, policy: str, problem: str
) -> None:
    ids = bench.days(2)
    with pytest.raises(holdfast.UsageError, match=problem):
        bench.repo.forget(policy=policy)
    assert bench.ids() == ids


@pytest.mark.fault(30)
def test_a_policy_that_would_empty_a_group_removes_nothing(bench: Bench) -> None:
    bench.made(tags=("keep",))
    bench.made(host="other")
    with pytest.raises(holdfast.UsageError, match="every snapshot of a group"):
        bench.repo.forget(policy="keep-tags:keep")
    assert len(bench.ids()) == 2


def test_groups_are_made_by_what_is_asked_for(bench: Bench) -> None:
    ids = [bench.made(host=host).id for host in ("a", "b")]
    assert bench.repo.forget(policy="keep-last:1", dry_run=True).removed == ()
    result = bench.repo.forget(policy="keep-last:1", group_by=(), dry_run=True)
    assert list(result.removed) == ids[:1]
    with pytest.raises(holdfast.UsageError, match="cannot group"):
        bench.repo.forget(policy="keep-last:1", group_by=("hosts",))  # type: ignore[arg-type]  # as a user may


def test_periods_are_counted_in_the_zone_that_is_given(bench: Bench) -> None:
    bench.clock.advance(datetime(2024, 5, 1, 20, 30, tzinfo=UTC).timestamp() - 1_700_000_000)
    ids = []
    for _ in range(4):  # 20:30 to 23:30 in UTC is one day there, and two in Berlin
        made = bench.repo.backup(bench.data).snapshot
        assert made is not None
        ids.append(made.id)
        bench.clock.advance(3600)

    def removed(zone: str | ZoneInfo | None) -> list[str]:
        policy = {"keep_daily": -1}
        return list(bench.repo.forget(policy=policy, timezone=zone, dry_run=True).removed)

    assert removed(None) == ids[1:3]  # the oldest stays
    assert removed("Europe/Berlin") == removed(ZoneInfo("Europe/Berlin")) == ids[2:3]


@pytest.mark.parametrize("zone", ["Europe/Berlni", "../etc/passwd", "", "Europe"])
def test_an_unknown_zone_is_refused(bench: Bench, zone: str) -> None:
    bench.days(2)
    with pytest.raises(holdfast.UsageError, match="no time zone"):
        bench.repo.forget(policy="keep-last:1", timezone=zone)


@pytest.mark.fault(29)
def test_a_snapshot_dated_in_the_future_pushes_nothing_out(bench: Bench) -> None:
    real = bench.days(2)
    future = bench.repo.backup(
        bench.data, host="host", time=datetime(2040, 1, 1, tzinfo=UTC)
    ).snapshot
    assert future is not None
    result = bench.repo.forget(policy="keep-last:1")
    assert bench.ids() == [real[1], future.id]
    assert list(result.removed) == real[:1]


@pytest.mark.fault(29)
def test_a_clock_that_is_slow_makes_all_of_the_future_and_so_removes_nothing(bench: Bench) -> None:
    ids = bench.days(3)
    bench.clock.advance(-10 * 365 * DAY)
    assert bench.repo.forget(policy="keep-last:1").removed == ()
    assert bench.ids() == ids


@pytest.mark.fault(29)
def test_a_clock_that_is_fast_removes_no_more_than_the_right_one(bench: Bench) -> None:
    ids = bench.days(5)
    bench.clock.advance(1)
    policy = "keep-last:1,keep-within:2d"
    right = bench.repo.forget(policy=policy, dry_run=True).removed
    bench.clock.advance(10 * 365 * DAY)
    assert bench.repo.forget(policy=policy).removed == right == tuple(ids[:3])


def test_without_snapshots_a_policy_has_nothing_to_do(bench: Bench) -> None:
    result = bench.repo.forget(policy="standard")
    assert (result.groups, result.removed) == ((), ())


# ------------------------------------------------------------------- forget, by names and filters


def test_snapshots_are_forgotten_by_their_names(bench: Bench) -> None:
    ids = bench.days(4)
    result = bench.repo.forget([ids[0], ids[1][:12], "latest", "latest"])
    assert list(result.removed) == [ids[0], ids[1], ids[3]]
    assert bench.ids() == [ids[2]]
    assert [each.keep for group in result.groups for each in group.decisions] == [False] * 3


def test_one_wrong_name_and_nothing_is_forgotten(bench: Bench) -> None:
    ids = bench.days(3)
    with pytest.raises(holdfast.SnapshotNotFound):
        bench.repo.forget([ids[0], "feedfeedfeed"])
    assert bench.ids() == ids
    assert bench.listed("forgotten/") == []


@pytest.mark.parametrize("names", [None, [], ()])
def test_to_name_nothing_is_refused(bench: Bench, names: list[str] | None) -> None:
    bench.days(2)
    with pytest.raises(holdfast.UsageError, match=r"nothing says|no snapshot is named"):
        bench.repo.forget(names)
    assert len(bench.ids()) == 2


def test_names_and_a_policy_or_a_filter_are_refused(bench: Bench) -> None:
    ids = bench.days(2)
    with pytest.raises(holdfast.UsageError, match="either"):
        bench.repo.forget(ids[0], policy="keep-last:1")
    with pytest.raises(holdfast.UsageError, match="either"):
        bench.repo.forget(ids[0], host="host")


@pytest.mark.fault(30, 49)
def test_the_last_of_a_group_is_forgotten_by_force_only(bench: Bench) -> None:
    ids = bench.days(2)
    other = bench.made(host="other").id
    with pytest.raises(holdfast.UsageError, match=r"last snapshot of a group \(host other"):
        bench.repo.forget([ids[0], other])
    with pytest.raises(holdfast.UsageError, match="host host"):
        bench.repo.forget(ids)
    with pytest.raises(holdfast.UsageError, match="last snapshot"):
        bench.repo.forget(host="other")
    assert len(bench.ids()) == 3
    assert list(bench.repo.forget([ids[0], other], force=True).removed) == [ids[0], other]
    assert bench.ids() == ids[1:]


def test_what_is_dated_in_the_future_is_not_what_is_left_of_a_group(bench: Bench) -> None:
    real = bench.made().id
    bench.repo.backup(bench.data, host="host", time=datetime(2040, 1, 1, tzinfo=UTC))
    with pytest.raises(holdfast.UsageError, match="last snapshot"):
        bench.repo.forget(real)


def test_snapshots_are_forgotten_by_a_filter(bench: Bench) -> None:
    old = [bench.made(tags=("old",)).id for _ in range(2)]
    held = bench.made(tags=("old",)).id
    kept = bench.made().id
    bench.repo.hold(held, "look at it")
    result = bench.repo.forget(tags="old")
    assert list(result.removed) == old
    assert bench.ids() == [held, kept]
    (group,) = result.groups
    assert [each.reasons for each in group.decisions] == [("protected: look at it",), (), ()]


def test_a_filter_that_matches_nothing_is_told(bench: Bench) -> None:
    bench.days(2)
    forget = partial(bench.repo.forget, policy="keep-last:1")
    for work in (
        partial(forget, host="hots"),
        partial(forget, tags="x"),
        partial(forget, paths="/elsewhere"),
    ):
        with pytest.raises(holdfast.SnapshotNotFound, match="no snapshot"):
            work()


# ------------------------------------------------------------------------------------- holds


def test_a_held_snapshot_is_never_removed(bench: Bench) -> None:
    ids = bench.days(4)
    bench.repo.hold(ids[0], "court order")
    result = bench.repo.forget(policy="keep-last:1")
    assert list(result.removed) == ids[1:3]
    assert result.groups[0].decisions[-1].reasons == ("protected: court order",)
    with pytest.raises(holdfast.UsageError, match=r"protected: court order.*--release"):
        bench.repo.forget(ids[0])
    with pytest.raises(holdfast.UsageError, match="release"):
        bench.repo.forget(ids[0], force=True)
    assert bench.ids() == [ids[0], ids[3]]
    bench.repo.release(ids[0])
    assert list(bench.repo.forget(policy="keep-last:1").removed) == [ids[0]]


def test_a_hold_until_a_date_ends_then(bench: Bench) -> None:
    ids = bench.days(3)
    until = datetime.fromtimestamp(bench.clock.now_ns() / 1e9, UTC) + timedelta(days=2)
    bench.repo.hold(ids[0], until=until)
    assert list(bench.repo.forget(policy="keep-last:1").removed) == [ids[1]]
    assert bench.repo.snapshot(ids[0]).holds[0].until == until
    # A policy that looks into the future does not end it.
    later = until + timedelta(days=1)
    assert bench.repo.forget(policy="keep-last:1", now=later).removed == ()
    bench.clock.advance(2 * DAY)
    assert bench.repo.snapshot(ids[0]).holds == ()
    assert list(bench.repo.forget(policy="keep-last:1").removed) == [ids[0]]


def test_a_snapshot_is_protected_from_its_first_moment(bench: Bench) -> None:
    made = bench.repo.backup(bench.data, host="host", protect=True).snapshot
    assert made is not None
    assert [hold.id for hold in made.holds] == [bench.label_of(made.id).rpartition("/")[2]]
    assert bench.repo.snapshots() == [made]
    bench.days(2)
    assert made.id not in bench.repo.forget(policy="keep-last:1").removed
    counted = Faulty(bench.objects, NoFault())
    repo = bench.over(counted)
    until = datetime(2030, 1, 1, tzinfo=UTC)
    other = repo.backup_command(["echo", "x"], "x", protect=until).snapshot
    assert other is not None
    assert other.holds[0].until == until
    puts = [call.name for call in counted.calls if call.verb.startswith("put")]
    label = next(name for name in puts if name.startswith(f"labels/{other.id}/"))
    assert puts.index(label) < puts.index(f"snapshots/{other.id}")


def test_what_is_not_made_is_not_held(bench: Bench) -> None:
    bench.made()
    repo = bench.repo
    assert repo.backup(bench.data, host="host", protect=True, dry_run=True).snapshot is None
    again = repo.backup(bench.data, host="host", protect=True, skip_if_unchanged=True)
    assert again.snapshot is None
    assert bench.listed("labels/") == []
    with pytest.raises(holdfast.UsageError, match="past"):
        repo.backup(bench.data, protect=datetime(2001, 1, 1, tzinfo=UTC))


class HoldsBefore(NoFault):
    """Holds a snapshot at the moment that another client puts it among the forgotten."""

    def __init__(self, store: Store, id_: str) -> None:
        self._store = store
        self._id = SnapshotId(id_)

    @override
    def before(self, call: Call, data: Buffer) -> Buffer:
        if call.verb.startswith("put") and call.name == f"forgotten/{self._id}":
            label = Label(time_ns=0, host="", user="", hold=Hold("race"))
            self._store.put_label(self._id, encode_label(label))
        return data


def test_a_hold_that_comes_while_it_is_forgotten_is_seen(bench: Bench) -> None:
    ids = bench.days(3)
    repo = bench.over(Faulty(bench.objects, HoldsBefore(bench.store, ids[0])))
    result = repo.forget(policy="keep-last:1")
    assert list(result.removed) == [ids[1]]
    assert result.passed_over == (holdfast.PassedOver(SnapshotId(ids[0]), "protected: race"),)
    assert bench.ids() == [ids[0], ids[2]]
    assert [each.snapshot.id for each in bench.repo.forgotten()] == [ids[1]]


# ----------------------------------------------------------------------------------- damage


def test_a_policy_passes_over_a_damaged_snapshot_and_says_so(bench: Bench) -> None:
    ids = bench.days(4)
    bench.spoil(f"snapshots/{ids[1]}")
    result = bench.repo.forget(policy="keep-last:1")
    assert list(result.removed) == [ids[0], ids[2]]
    (passed,) = result.passed_over
    assert passed.snapshot == ids[1]
    assert "damaged" in passed.reason
    assert f"snapshots/{ids[1]}" in bench.listed("snapshots/")


def test_a_damaged_snapshot_is_given_up_by_its_whole_id_and_force(bench: Bench) -> None:
    ids = bench.days(3)
    bench.spoil(f"snapshots/{ids[1]}")
    with pytest.raises(holdfast.DamagedRepository, match=f"forget --force {ids[1]}"):
        bench.repo.snapshot("latest")
    with pytest.raises(holdfast.DamagedRepository, match=r"cannot be brought back.*--force"):
        bench.repo.forget(ids[1])
    with pytest.raises(holdfast.DamagedRepository):
        bench.repo.forget(ids[1][:10], force=True)
    assert bench.repo.forget(ids[1], force=True, dry_run=True).lost == (ids[1],)
    result = bench.repo.forget([ids[0], ids[1]], force=True)
    assert list(result.removed) == ids[:2]
    assert result.lost == (ids[1],)
    assert bench.repo.snapshot("latest").id == ids[2]
    assert [each.snapshot.id for each in bench.repo.forgotten()] == [ids[0]]


@pytest.mark.parametrize("data", [b"", b"HFOBJECT", bytes(100)])
def test_whatever_became_of_a_snapshot_it_can_be_given_up(bench: Bench, data: bytes) -> None:
    ids = bench.days(2)
    bench.objects.put(f"snapshots/{ids[0]}", data)
    assert bench.repo.forget(ids[0], force=True).lost == (ids[0],)


def test_a_damaged_snapshot_that_is_held_stays(bench: Bench) -> None:
    ids = bench.days(2)
    bench.repo.hold(ids[0], "evidence")
    bench.spoil(f"snapshots/{ids[0]}")
    result = bench.repo.forget(ids[0], force=True)
    assert (result.removed, result.lost) == ((), ())
    assert result.passed_over[0].reason == "protected: evidence"
    assert f"snapshots/{ids[0]}" in bench.listed("snapshots/")


def test_a_marker_of_a_dead_session_is_never_removed(bench: Bench) -> None:
    bench.days(2)
    id_ = "5" * 32
    name = f"snapshots/{id_}"
    marker = seal_object(ObjectType.ABORTED, bench.store.keys, name, codec.pack({}))
    bench.objects.put(name, marker)
    for force in (False, True):
        with pytest.raises(holdfast.SnapshotNotFound):
            bench.repo.forget(id_, force=force)
    bench.repo.forget(policy="keep-last:1")
    with pytest.raises(holdfast.DamagedRepository, match="dead session"):
        bench.store.delete_snapshot(SnapshotId(id_))
    assert bench.objects.get(name) == marker


def test_a_damaged_marker_of_a_dead_session_is_replaced_by_a_good_one(bench: Bench) -> None:
    bench.days(2)
    id_ = "5" * 32
    name = f"snapshots/{id_}"
    marker = seal_object(ObjectType.ABORTED, bench.store.keys, name, codec.pack({}))
    bench.objects.put(name, marker[:-1])
    with pytest.raises(holdfast.DamagedRepository, match="nothing is deleted"):
        bench.repo.prune()
    assert bench.repo.forget(id_, force=True).lost == (id_,)
    assert is_aborted_marker(name, bench.objects.get(name))
    assert bench.store.snapshot(SnapshotId(id_)) is None
    bench.repo.prune()


def test_a_damaged_label_holds_its_snapshot_and_is_named(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ids = bench.days(3)
    bench.repo.tag(ids[0], add="x")
    label = bench.label_of(ids[0])
    bench.spoil(label)
    assert bench.repo.snapshots()[0].protection.startswith("protected: a damaged label")
    assert label in caplog.text
    assert list(bench.repo.forget(policy="keep-last:1").removed) == [ids[1]]
    assert [each.object for each in bench.repo.check().errors] == [label]
    bench.repo.release(ids[0])
    assert list(bench.repo.forget(policy="keep-last:1").removed) == [ids[0]]


# ------------------------------------------------------------------------- bringing back


def test_a_forgotten_snapshot_comes_back(bench: Bench, tmp_path: Path) -> None:
    old = bench.made(tags=("a",))
    bench.days(2)
    bench.repo.tag(old.id, add="b", remove="a", note="remember")
    bench.clock.advance(60)
    bench.repo.forget(old.id)
    forgotten_at = bench.clock.now_ns()
    (kept,) = bench.repo.forgotten()
    assert (kept.snapshot.id, kept.time_ns) == (old.id, forgotten_at)
    assert (kept.snapshot.tags, kept.snapshot.notes) == (("b",), ("remember",))
    assert kept.dict()["forgotten"] == kept.time.isoformat()
    bench.clock.advance(DAY)
    made = bench.repo.undelete(old.short_id)
    assert made.id != old.id
    assert made.original == old.id
    assert replace(made, id=old.id, original=None, tags=("a",), notes=()) == old
    assert (made.tags, made.notes) == (("b",), ("remember",))
    assert bench.repo.snapshot(made.id) == made
    assert bench.repo.forgotten() == []
    assert bench.listed("forgotten/") == []
    assert bench.listed("sessions/") == []
    bench.repo.restore(made.id, tmp_path / "target")
    assert (tmp_path / "target" / str(bench.data)[1:] / "file").read_text() == "content"
    assert bench.repo.check(read_data=True).valid


def test_its_holds_come_back_before_it_does(bench: Bench) -> None:
    ids = bench.days(2)
    until = datetime(2040, 1, 1, tzinfo=UTC)
    bench.repo.forget(ids[0])
    # Held too late: its labels stay, and count when it comes back.
    bench.store.put_label(
        SnapshotId(ids[0]),
        encode_label(
            Label(time_ns=0, host="", user="", hold=Hold("late", int(until.timestamp()) * 10**9))
        ),
    )
    counted = Faulty(bench.objects, NoFault())
    made = bench.over(counted).undelete(ids[0])
    assert [(hold.reason, hold.until) for hold in made.holds] == [("late", until)]
    assert bench.repo.snapshot(made.id) == made
    puts = [call.name for call in counted.calls if call.verb.startswith("put")]
    label = next(name for name in puts if name.startswith(f"labels/{made.id}/"))
    assert puts.index(label) < puts.index(f"snapshots/{made.id}")


def test_only_what_was_forgotten_can_be_brought_back(bench: Bench) -> None:
    ids = bench.days(2)
    for name in (ids[0], "latest", "feedfeedfeed"):
        with pytest.raises(holdfast.SnapshotNotFound, match="no forgotten snapshot"):
            bench.repo.undelete(name)
    bench.repo.forget(ids[0])
    made = bench.repo.undelete("latest")
    assert made.original == ids[0]


def test_what_is_lost_cannot_be_brought_back_and_nothing_is_made(bench: Bench) -> None:
    (bench.data / "file").write_text("old")
    old = bench.made().id
    (bench.data / "file").write_text("new")
    new = bench.made().id
    bench.repo.forget(old)
    for name in bench.listed("data/"):
        bench.objects.delete(name)
    with pytest.raises(holdfast.DamagedRepository, match="reclaimed") as caught:
        bench.over(bench.objects).undelete(old)
    assert caught.value.object == f"forgotten/{old}"
    assert bench.listed("snapshots/") == [f"snapshots/{new}"]
    assert bench.listed("forgotten/") == [f"forgotten/{old}"]


def test_what_is_only_in_condemned_packs_is_stored_anew(bench: Bench) -> None:
    old = bench.made().id
    (bench.data / "file").write_text("new")
    bench.made()
    bench.repo.forget(old)
    packs = [name.rpartition("/")[2] for name in bench.listed("data/")]
    name = "gc/" + "9" * 32
    record = codec.pack({"packs": packs})
    bench.objects.put(name, seal_object(ObjectType.CONDEMNED, bench.store.keys, name, record))
    repo = bench.over(bench.objects)
    made = repo.undelete(old)
    for pack in packs:
        bench.objects.delete(f"data/{pack[:2]}/{pack}")
    repo = bench.over(bench.objects)
    with repo.open_file(made.id, bench.data / "file") as file:
        assert file.read() == b"content"


def test_a_snapshot_listed_both_ways_is_a_snapshot(bench: Bench) -> None:
    ids = bench.days(3)
    record = bench.store.snapshot(SnapshotId(ids[0]))
    assert record is not None
    bench.store.put_forgotten(SnapshotId(ids[0]), record)
    assert bench.repo.forgotten() == []
    assert bench.ids() == ids
    with pytest.raises(holdfast.SnapshotNotFound):
        bench.repo.undelete(ids[0])
    kept = bench.objects.get(f"forgotten/{ids[0]}")
    bench.clock.advance(DAY)
    bench.repo.forget(ids[0])
    assert bench.objects.get(f"forgotten/{ids[0]}") == kept  # nothing is written twice
    assert [each.snapshot.id for each in bench.repo.forgotten()] == [ids[0]]


def test_a_damaged_remnant_of_a_crash_is_replaced(bench: Bench) -> None:
    ids = bench.days(2)
    record = bench.store.snapshot(SnapshotId(ids[0]))
    assert record is not None
    bench.store.put_forgotten(SnapshotId(ids[0]), record)
    bench.spoil(f"forgotten/{ids[0]}")
    bench.repo.forget(ids[0])
    assert bench.repo.undelete(ids[0]).original == ids[0]


def test_a_damaged_snapshot_that_was_put_aside_comes_back(bench: Bench) -> None:
    ids = bench.days(2)
    record = bench.store.snapshot(SnapshotId(ids[0]))
    assert record is not None
    bench.store.put_forgotten(SnapshotId(ids[0]), record)
    bench.spoil(f"snapshots/{ids[0]}")
    assert bench.repo.undelete(ids[0]).original == ids[0]


def test_a_marker_put_in_its_place_does_not_hide_a_forgotten_snapshot(bench: Bench) -> None:
    ids = bench.days(2)
    bench.repo.forget(ids[0])
    name = f"snapshots/{ids[0]}"
    marker = seal_object(ObjectType.ABORTED, bench.store.keys, name, codec.pack({}))
    bench.objects.put(name, marker)
    assert [each.snapshot.id for each in bench.repo.forgotten()] == [ids[0]]
    assert bench.repo.undelete(ids[0]).original == ids[0]


def test_a_damaged_forgotten_snapshot_is_left_out_and_named(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ids = bench.days(3)
    bench.repo.forget(ids[:2])
    bench.spoil(f"forgotten/{ids[0]}")
    assert [each.snapshot.id for each in bench.repo.forgotten()] == [ids[1]]
    assert ids[0] in caplog.text
    assert [each.object for each in bench.repo.check().errors] == [f"forgotten/{ids[0]}"]


def test_it_is_brought_back_although_it_stays_among_the_forgotten(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ids = bench.days(2)
    bench.repo.forget(ids[0])
    plan = Fail(lambda call: call.verb == "delete" and call.name.startswith("forgotten/"))
    with caplog.at_level(logging.WARNING):
        made = bench.over(Faulty(bench.objects, plan)).undelete(ids[0])
    assert made.original == ids[0]
    assert "stays among the forgotten" in caplog.text


# ----------------------------------------------------------------------------------- tags


def test_tags_are_those_that_users_see_everywhere(bench: Bench) -> None:
    ids = bench.days(3)
    result = bench.repo.tag(ids[0], add=["legal", "x"])
    assert result.changed == (ids[0],)
    assert result.snapshots[0].tags == ("legal", "x")
    assert [each.id for each in bench.repo.snapshots(tags="legal")] == [ids[0]]
    assert bench.repo.snapshot(ids[0]).tags == ("legal", "x")
    assert bench.repo.snapshot(ids[0][:10]).dict()["tags"] == ["legal", "x"]
    assert list(bench.repo.forget(policy="keep-tags:legal,keep-last:1").removed) == [ids[1]]
    grouped = bench.repo.forget(policy="keep-last:1", group_by=("tags",), dry_run=True)
    assert grouped.removed == ()


def test_tags_are_removed_and_replaced(bench: Bench) -> None:
    made = bench.made(tags=("a", "b"))
    assert bench.repo.tag(made.id, remove="a").snapshots[0].tags == ("b",)
    assert bench.repo.tag(made.id, only=["c", "b"]).snapshots[0].tags == ("b", "c")
    assert bench.repo.tag(made.id, only=[]).snapshots[0].tags == ()
    assert bench.repo.tag(made.id, add="a").snapshots[0].tags == ("a",)
    assert bench.repo.snapshot(made.id).tags == ("a",)


def test_what_is_so_already_takes_no_label(bench: Bench) -> None:
    made = bench.made(tags=("a",))
    for result in (
        bench.repo.tag(made.id, add=["a", "a"]),
        bench.repo.tag(made.id, remove="z"),
        bench.repo.tag(made.id, only=["a"]),
        bench.repo.release(made.id),
    ):
        assert result.changed == ()
    assert bench.listed("labels/") == []


def test_counters_go_up(bench: Bench) -> None:
    made = bench.made()
    bench.repo.tag(made.id, add="a")
    bench.repo.tag(made.id, remove="a")
    bench.repo.tag(made.id, add="a")
    assert len(bench.listed("labels/")) == 3
    assert bench.repo.snapshot(made.id).tags == ("a",)


def test_snapshots_are_tagged_by_a_filter(bench: Bench) -> None:
    ids = bench.days(2)
    other = bench.made(host="other", tags=("t",)).id
    assert bench.repo.tag(host="host", add="x").changed == tuple(ids)
    assert bench.repo.tag(tags="t", add="y").changed == (other,)
    assert set(bench.repo.tag(paths=str(bench.data), note="n").changed) == {*ids, other}
    with pytest.raises(holdfast.SnapshotNotFound):
        bench.repo.tag(host="nobody", add="x")


def test_a_hold_takes_the_place_of_another(bench: Bench) -> None:
    made = bench.made()
    bench.repo.hold(made.id, "first")
    bench.repo.hold(made.id, "second")
    assert bench.repo.snapshot(made.id).protection == "protected: first; second"
    bench.repo.tag(made.id, hold="third", release=True)
    assert bench.repo.snapshot(made.id).protection == "protected: third"
    assert bench.repo.snapshot(made.id).dict()["holds"] == [
        {"reason": "third", "until": None, "id": bench.repo.snapshots()[0].holds[0].id}
    ]


PAST, FUTURE = datetime(2001, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
NONSENSE: list[tuple[Callable[[Repository], object], str]] = [
    (lambda repo: repo.tag("latest"), "nothing says how"),
    (lambda repo: repo.tag("latest", add="a", only=["b"]), "either all tags"),
    (lambda repo: repo.tag("latest", add="a", remove="a"), "at once"),
    (lambda repo: repo.tag("latest", add=""), "empty"),
    (lambda repo: repo.tag("latest", until=FUTURE), "hold only"),
    (lambda repo: repo.hold("latest", until=PAST), "past"),
]


@pytest.mark.parametrize(("work", "problem"), NONSENSE, ids=[problem for _, problem in NONSENSE])
def test_what_makes_no_sense_is_refused(
    bench: Bench, work: Callable[[Repository], object], problem: str
) -> None:
    bench.made()
    with pytest.raises(holdfast.UsageError, match=problem):
        work(bench.repo)
    assert bench.listed("labels/") == []


def test_which_snapshots_has_to_be_said(bench: Bench) -> None:
    made = bench.made()
    with pytest.raises(holdfast.UsageError, match="either"):
        bench.repo.tag(add="x")
    with pytest.raises(holdfast.UsageError, match="either"):
        bench.repo.tag(made.id, host="host", add="x")


def test_labels_cost_one_listing_where_there_are_none(bench: Bench) -> None:
    bench.days(3)
    counted = Faulty(bench.objects, NoFault())
    repo = bench.over(counted)
    counted.calls.clear()
    repo.snapshots()
    assert [call.name for call in counted.calls if "labels" in call.name] == ["labels/"]
    names = [call.name for call in counted.calls if call.verb == "list"]
    assert names.index("snapshots/") < names.index("labels/")
