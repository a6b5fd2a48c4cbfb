from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from holdfast.errors import AmbiguousSnapshot, SnapshotNotFound, UsageError
from holdfast.model.select import (
    Filter,
    choose_parent,
    group_of,
    newest_at,
    ordered,
    parse_spec,
    parse_time,
    resolve,
)
from holdfast.model.snapshot import Snapshot
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.testing.layouts import snapshot_of

TREE = BlobId(bytes(32))
HOUR = timedelta(hours=1)


def snapshots(count: int = 5) -> list[Snapshot]:
    """In no order, ids that begin with a digit each."""
    made = [
        replace(snapshot_of(TREE, number), id=SnapshotId(f"{number}a" + "0" * 30))
        for number in range(1, count + 1)
    ]
    return [*made[2:], *made[:2]]


def test_the_latest_and_those_before() -> None:
    known = snapshots()
    assert resolve(known, "latest").id[0] == "5"
    assert resolve(known, "latest~0").id[0] == "5"
    assert resolve(known, "latest~4").id[0] == "1"
    with pytest.raises(SnapshotNotFound, match="latest~5 not found: 5 match"):
        resolve(known, "latest~5")
    with pytest.raises(SnapshotNotFound):
        resolve([], "latest")


def test_snapshots_of_one_instant_are_ordered_by_id() -> None:
    known = [replace(each, time_ns=5) for each in snapshots()]
    assert [each.id[0] for each in ordered(known)] == list("12345")
    assert [each.id[0] for each in ordered(reversed(known))] == list("12345")


def test_ids_and_their_beginnings() -> None:
    known = snapshots()
    assert resolve(known, "3a" + "0" * 30).id[0] == "3"
    assert resolve(known, "3A").id[0] == "3"
    assert resolve(known, "3").id[0] == "3"
    for spec in ("3b", "f", "3a" + "0" * 31, "", "latest~", "latest~x", "last", "3a/", "٣"):
        with pytest.raises(SnapshotNotFound, match="not found"):
            resolve(known, spec)


def test_an_ambiguous_beginning_lists_the_candidates() -> None:
    known = [replace(snapshot_of(TREE, n), id=SnapshotId(f"ab{n:030x}")) for n in range(1, 15)]
    with pytest.raises(AmbiguousSnapshot) as caught:
        resolve(known, "ab")
    text = str(caught.value)
    assert "14 ids" in text
    assert known[0].id in text
    assert "4 more" in text
    assert resolve(known, "ab" + "0" * 29 + "e").time_ns == known[13].time_ns


def test_the_newest_at_a_time() -> None:
    known = snapshots()
    third = next(each for each in known if each.id[0] == "3")
    assert newest_at(known, third.time) is third
    assert newest_at(known, third.time + timedelta(minutes=59)) is third
    assert resolve(known, (third.time + timedelta(minutes=1)).isoformat()) is third
    with pytest.raises(SnapshotNotFound, match="at or before"):
        newest_at(known, third.time - 3 * HOUR)
    with pytest.raises(SnapshotNotFound, match="at or before"):
        resolve(known, "2001-01-01")


def test_times() -> None:
    zone = timezone(timedelta(hours=2))
    assert parse_time("2026-11-21T08:30+02:00") == datetime(2026, 11, 21, 8, 30, tzinfo=zone)
    local = parse_time("2026-11-21T08:30")
    assert local.replace(tzinfo=None) == datetime(2026, 11, 21, 8, 30)  # noqa: DTZ001 - local time
    assert local.utcoffset() is not None
    end = parse_time("2026-11-21")
    assert (end.hour, end.minute, end.microsecond) == (23, 59, 999_999)
    assert end.day == 21
    for text in ("", "yesterday", "2026-13-01", "2026-11-21T25:00"):
        with pytest.raises(UsageError, match="not a date"):
            parse_time(text)


def test_filters() -> None:
    known = snapshots()
    known[0] = replace(known[0], host="other", tags=("a", "b"), paths=("/srv", "/data/"))
    other = known[0]
    assert ordered(known, Filter(host="other")) == [other]
    assert ordered(known, Filter(tags=("a",))) == [other]
    assert ordered(known, Filter(tags=("a", "b"))) == [other]
    assert ordered(known, Filter(tags=("a", "c"))) == []
    assert ordered(known, Filter(paths=("/srv/",))) == [other]
    assert len(ordered(known, Filter(paths=("/data",)))) == 5
    assert ordered(known, Filter(paths=("/data", "/srv"))) == [other]
    assert len(ordered(known, Filter())) == 5
    third = other.time
    assert [each.id[0] for each in ordered(known, Filter(since=third))] == list("345")
    assert [each.id[0] for each in ordered(known, Filter(until=third))] == list("123")
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    assert ordered(known, Filter(until=moment)) == []


def test_the_parent_is_the_newest_of_the_same_group() -> None:
    known = snapshots()
    by_path = replace(known[0], id=SnapshotId("b" * 32), paths=("/srv", "/data"))
    by_tag = replace(by_path, id=SnapshotId("c" * 32), tags=("x",))
    known += [by_path, by_tag]
    parent = choose_parent(known, "host", ["/data"])
    assert parent is not None
    assert parent.id[0] == "5"
    assert choose_parent(known, "host", ["/data/", "/srv"]) is by_tag
    assert choose_parent(known, "other", ["/data"]) is None
    assert choose_parent(known, "other", ["/srv", "/data"], group_by=("paths",)) is by_tag
    assert choose_parent(known, "host", ["/data", "/srv"], ["x"], ("tags",)) is by_tag
    assert choose_parent(known, "host", ["/data", "/srv"], [], ("paths", "tags")) is by_path
    assert choose_parent([], "host", ["/data"]) is None


def test_specs_with_paths() -> None:
    assert parse_spec("latest") == ("latest", "/")
    assert parse_spec("latest~2:/etc/passwd") == ("latest~2", "/etc/passwd")
    assert parse_spec("ab12:/") == ("ab12", "/")
    assert parse_spec("2026-11-21T08:30:/srv/a:/b") == ("2026-11-21T08:30", "/srv/a:/b")


def test_an_unknown_way_to_group_is_refused() -> None:
    with pytest.raises(UsageError, match="'hots'"):
        group_of("host", ["/data"], [], ["hots"])  # type: ignore[list-item] # wrong on purpose
