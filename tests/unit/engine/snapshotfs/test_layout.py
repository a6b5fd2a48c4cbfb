from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from holdfast.engine.snapshotfs.layout import Layout, Parts
from holdfast.errors import (
    AmbiguousSnapshot,
    DamagedRepository,
    SnapshotNotFound,
)
from holdfast.model.snapshot import Snapshot
from holdfast.primitives.ids import BlobId, SnapshotId

NEWYEAR = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot(id_: str, day: int, host: str = "one", *tags: str) -> Snapshot:
    time_ns = int(NEWYEAR.replace(day=day).timestamp()) * 10**9
    return Snapshot(
        id=SnapshotId(id_.ljust(32, "0")),
        tree=BlobId(bytes(32)),
        time_ns=time_ns,
        end_ns=time_ns,
        host=host,
        tags=tags,
    )


A, B, C = snapshot("aaaa1111", 1, "one", "daily"), snapshot("bbbb", 2, "two"), snapshot("cccc", 3)
SAFE = snapshot("dddd", 4, "one", "safety", "daily")


def names(layout: Layout, *parts: bytes) -> list[bytes]:
    return sorted(layout.folders[parts])


def test_the_folders() -> None:
    layout = Layout([C, A, SAFE, B])
    assert names(layout) == [b"hosts", b"ids", b"latest", b"tags", b"times"]
    assert names(layout, b"ids") == [b"aaaa1111", b"bbbb0000", b"cccc0000", b"dddd0000"]
    days = [f"2026-01-0{day}T00-00-00Z".encode() for day in (1, 2, 3, 4)]
    assert names(layout, b"times") == days[:3]
    assert names(layout, b"hosts") == [b"one", b"two"]
    assert names(layout, b"hosts", b"one") == [days[0], days[2]]
    assert names(layout, b"tags") == [b"daily", b"safety"]
    assert names(layout, b"tags", b"daily") == [days[0], days[3]]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("latest", (C, 1)),
        ("latest/a/b", (C, 1)),
        ("ids/aaaa1111/x", (A, 2)),
        ("ids/dddd0000", (SAFE, 2)),
        ("times/2026-01-02T00-00-00Z/x/y", (B, 2)),
        ("hosts/two/2026-01-02T00-00-00Z", (B, 3)),
        ("tags/safety/2026-01-04T00-00-00Z/x", (SAFE, 3)),
        ("", (None, 0)),
        ("ids", (None, 1)),
        ("hosts/one", (None, 2)),
        ("latest~2/x", (A, 1)),
        ("bb/x", (B, 1)),
        ("dddd/x", (SAFE, 1)),
        ("2026-01-02T12:00:00+00:00/x", (B, 1)),
    ],
)
def test_what_a_path_leads_into(path: str, expected: tuple[Snapshot | None, int]) -> None:
    parts: Parts = tuple(path.encode().split(b"/")) if path else ()
    assert Layout([A, B, C, SAFE]).find(parts) == expected


@pytest.mark.parametrize(
    "path", ["nothing", "ids/eeee", "ids/aaaa1111x", "hosts/three", "hosts/one/x", "\udcff", "f"]
)
def test_what_is_not_there(path: str) -> None:
    parts = tuple(path.encode("utf-8", "surrogateescape").split(b"/"))
    with pytest.raises(SnapshotNotFound):
        Layout([A, B, C]).find(parts)


def test_without_snapshots_there_is_no_latest() -> None:
    layout = Layout([])
    assert names(layout) == [b"hosts", b"ids", b"tags", b"times"]
    with pytest.raises(SnapshotNotFound):
        layout.find((b"latest",))


def test_latest_is_not_guessed_when_a_snapshot_is_damaged() -> None:
    layout = Layout([A], [DamagedRepository("snapshots/ffff", "bad")])
    with pytest.raises(DamagedRepository, match="may be the one"):
        layout.find((b"latest",))
    assert layout.find((b"ids", b"aaaa1111")) == (A, 2)


def test_equal_times_and_equal_beginnings_of_ids() -> None:
    twin = replace(A, id=SnapshotId("aaaa1111" + "f" * 24))
    layout = Layout([A, twin, B])
    assert names(layout, b"ids") == [A.id.encode(), twin.id.encode(), b"bbbb0000"]
    assert layout.id_name(A) == A.id.encode()
    assert layout.id_name(B) == b"bbbb0000"
    with pytest.raises(AmbiguousSnapshot):
        layout.find((b"aaaa",))
    other = replace(B, id=SnapshotId("0" * 32))
    assert names(Layout([B, other]), b"times") == [
        b"2026-01-02T00-00-00Z-00000000",
        b"2026-01-02T00-00-00Z-bbbb0000",
    ]


@pytest.mark.parametrize(
    ("host", "folder"),
    [
        ("a/b", b"a%2Fb"),
        ("100%", b"100%25"),
        ("..", b"%2E."),
        (".", b"%2E"),
        ("...", b"%2E.."),
        (".x", b".x"),
        ("n\0l", b"n%00l"),
        ("caf\u00e9", "caf\u00e9".encode()),
        ("odd\udcff", b"odd\xff"),
    ],
)
def test_names_of_hosts_are_folders(host: str, folder: bytes) -> None:
    layout = Layout([replace(A, host=host)])
    assert names(layout, b"hosts") == [folder]
    assert layout.find((b"hosts", folder, b"2026-01-01T00-00-00Z")) == (layout.find((b"aa",))[0], 3)


def test_a_snapshot_without_a_host_is_by_no_host() -> None:
    assert names(Layout([replace(A, host="")]), b"hosts") == []


def test_the_time_of_a_folder_is_that_of_the_newest_below() -> None:
    layout = Layout([A, B, C])
    assert layout.changed(()) == C.time_ns
    assert layout.changed((b"hosts", b"two")) == B.time_ns
    assert layout.changed((b"tags",)) == A.time_ns
    assert Layout([]).changed((b"ids",)) == 0
