from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from holdfast.errors import DamagedRepository
from holdfast.model.snapshot import (
    MAX_PROBLEMS,
    Problem,
    Snapshot,
    Summary,
    decode_snapshot,
    encode_snapshot,
    is_snapshot_id,
)
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId, SnapshotId

FULL = Snapshot(
    id=SnapshotId("0123456789abcdef" * 2),
    tree=BlobId(bytes(range(32))),
    time_ns=1_700_000_000_123_456_789,
    end_ns=1_700_000_060_000_000_000,
    utc_offset=-3600,
    host="höst",
    user="anna",
    os="Linux 6.1",
    paths=("/data", "/srv/\udcff\udcfe"),
    tags=("daily", "a b"),
    label="label",
    description="two\nlines",
    parent=SnapshotId("f" * 32),
    group="nightly",
    original=SnapshotId("e" * 32),
    replaces=SnapshotId("d" * 32),
    program="holdfast 0.1",
    how={"kind": "command", "force": True, "argv": (b"pg_dump", "x")},
    excluded=("*.tmp", "!keep"),
    problems=(Problem("/data/\udcff", "open", "Permission denied"),),
    problem_count=1,
    summary=Summary(1, 2, 3, 4, 5, 6, 7, 8, {"chunks": 9}),
    extra={"signature": b"later"},
)


def test_a_snapshot_comes_back() -> None:
    assert decode_snapshot(FULL.id, encode_snapshot(FULL)) == FULL


def test_an_unadorned_snapshot_comes_back() -> None:
    plain = Snapshot(id=FULL.id, tree=FULL.tree, time_ns=0, end_ns=0)
    assert decode_snapshot(FULL.id, encode_snapshot(plain)) == plain


def test_what_an_application_sees() -> None:
    assert FULL.short_id == "01234567"
    assert FULL.time == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert (FULL.end - FULL.time).total_seconds() == pytest.approx(59.876544)
    assert FULL.summary.files == 6
    shown = json.loads(json.dumps(FULL.dict()))
    assert shown == {
        "id": FULL.id,
        "short_id": "01234567",
        "time": "2023-11-14T22:13:20.123456+00:00",
        "end": "2023-11-14T22:14:20+00:00",
        "host": "höst",
        "user": "anna",
        "os": "Linux 6.1",
        "paths": ["/data", "/srv/\udcff\udcfe"],
        "tags": ["daily", "a b"],
        "label": "label",
        "description": "two\nlines",
        "tree": FULL.tree.hex(),
        "parent": FULL.parent,
        "group": "nightly",
        "original": FULL.original,
        "replaces": FULL.replaces,
        "program": "holdfast 0.1",
        "how": {"kind": "command", "force": True},
        "duration": pytest.approx(59.876544),
        "problem_count": 1,
        "summary": {
            "files_new": 1,
            "files_changed": 2,
            "files_unmodified": 3,
            "directories": 4,
            "others": 5,
            "bytes_processed": 6,
            "data_added": 7,
            "data_stored": 8,
            "chunks": 9,
        },
        "holds": [],
        "notes": [],
    }


def test_how_a_snapshot_is_named_in_results() -> None:
    assert FULL.reference() == {
        "snapshot": FULL.id,
        "time": "2023-11-14T22:13:20.123456+00:00",
        "host": "höst",
        "paths": list(FULL.paths),
    }


def test_what_a_later_version_adds_to_the_numbers_is_kept_and_shown_if_it_is_one() -> None:
    later = replace(FULL, summary=Summary(extra={"more": 9, "odd": b"x", "far": float("inf")}))
    read = decode_snapshot(FULL.id, encode_snapshot(later))
    assert read == later
    shown = json.loads(json.dumps(read.dict(), allow_nan=False))
    assert shown["summary"]["more"] == 9
    assert {"odd", "far"}.isdisjoint(shown["summary"])


def test_snapshots_can_be_members_of_sets() -> None:
    assert len({FULL, replace(FULL), replace(FULL, label="other")}) == 2


@pytest.mark.parametrize("moment", [-(1 << 63), (1 << 63) - 1, -1, 1])
def test_every_time_that_is_accepted_can_be_shown(moment: int) -> None:
    snapshot = decode_snapshot(
        FULL.id, encode_snapshot(replace(FULL, time_ns=moment, end_ns=moment))
    )
    assert snapshot.time_ns == moment
    assert snapshot.dict()["time"] == snapshot.time.isoformat()


def test_problems_beyond_the_most_are_counted() -> None:
    many = (Problem("/x", "read", "gone"),) * (MAX_PROBLEMS + 5)
    read = decode_snapshot(FULL.id, encode_snapshot(replace(FULL, problems=many)))
    assert len(read.problems) == MAX_PROBLEMS
    assert read.problem_count == MAX_PROBLEMS + 5


def test_text_that_is_not_utf8_is_escaped() -> None:
    odd = replace(FULL, label="a\udcff", tags=("\ud800",), host="\udc80")
    read = decode_snapshot(FULL.id, encode_snapshot(odd))
    assert (read.label, read.tags, read.host) == ("a\\udcff", ("\\ud800",), "\\udc80")


def test_the_paths_are_raw_bytes_in_the_record() -> None:
    record = codec.unpack(encode_snapshot(FULL))
    assert isinstance(record, dict)
    assert record["paths"] == (b"/data", b"/srv/\xff\xfe")
    assert record["version"] == 1
    assert "id" not in record


CHANGES: list[dict[str, object]] = [
    {"version": 2},
    {"version": "1"},
    {"start": 1 << 63},
    {"start": "now"},
    {"start": True},
    {"end": None},
    {"utc_offset": 90_000},
    {"host": None},
    {"host": b"raw"},
    {"paths": None},
    {"paths": ["text"]},
    {"tags": [b"raw"]},
    {"tags": "daily"},
    {"label": 5},
    {"tree": b"short"},
    {"tree": "x" * 32},
    {"parent": "short"},
    {"parent": "F" * 32},
    {"parent": b"f" * 32},
    {"original": "../" + "f" * 29},
    {"group": 5},
    {"how": None},
    {"excluded": [None]},
    {"problems": [["/x", "open", "text path"]]},
    {"problems": [[b"/x", "open"]]},
    {"problems": [[b"/x", "open", "x"]] * (MAX_PROBLEMS + 1), "problem_count": MAX_PROBLEMS + 1},
    {"problem_count": 0},
    {"summary": None},
    {"summary": {}},
    {"summary": FULL.summary.dict() | {"files_new": -1}},
    {"how": {"deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_malformed_record_names_its_snapshot(change: dict[str, object]) -> None:
    record = codec.unpack(encode_snapshot(FULL))
    assert isinstance(record, dict)
    with pytest.raises(DamagedRepository) as caught:
        decode_snapshot(FULL.id, codec.pack(record | change))
    assert caught.value.object == f"snapshots/{FULL.id}"


def test_every_key_is_needed() -> None:
    record = codec.unpack(encode_snapshot(FULL))
    assert isinstance(record, dict)
    for key in record.keys() - {"signature"}:
        with pytest.raises(DamagedRepository, match=key):
            decode_snapshot(FULL.id, codec.pack({k: v for k, v in record.items() if k != key}))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x90", b"\xc1", b"\x82\xa1a\1\xa1a\1", b"\x81\1\1"]
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedRepository):
        decode_snapshot(FULL.id, data)


def test_nothing_is_written_that_would_not_be_read() -> None:
    with pytest.raises(ValueError, match="tree"):
        encode_snapshot(replace(FULL, tree=BlobId(b"short")))
    with pytest.raises(ValueError, match="start"):
        encode_snapshot(replace(FULL, time_ns=1 << 63))


def test_what_an_id_looks_like() -> None:
    assert is_snapshot_id("0123456789abcdef" * 2)
    assert not any(map(is_snapshot_id, ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "٣" * 32]))
