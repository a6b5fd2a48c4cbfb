"""Snapshots: F39 to F42 of docs/format.md."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.compat import reader
from tests.compat.making import (
    PASSWORD,
    assert_both_read,
    assert_both_refuse,
    commit,
    new_repository,
    new_store,
    noise,
    opened,
    page,
    told_by_reader,
)

import holdfast
from holdfast.model.snapshot import decode_snapshot, encode_snapshot
from holdfast.primitives import codec
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.testing.layouts import snapshot_of

RECORD = """
    version start end utc_offset host user os label description program paths tags excluded tree
    parent original replaces group how problems problem_count summary
"""
SUMMARY = """
    files_new files_changed files_unmodified directories others bytes_processed data_added
    data_stored
"""


def backed_up(repository: holdfast.Repository, path: Path) -> holdfast.Snapshot:
    snapshot = repository.backup(path).snapshot
    assert snapshot is not None
    return snapshot


@pytest.mark.format("F39", "F40")
def test_the_record_of_a_snapshot(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file \udcff").write_bytes(b"12345")
    repository = new_repository(tmp_path / "repo")
    first = backed_up(repository, tmp_path / "source")
    second = repository.backup(
        tmp_path / "source/file \udcff",
        tags=["a", "größe"],
        label="label",
        description="description",
        host="host",
        exclude=["*.tmp"],
        parent=first.id,
    ).snapshot
    assert second is not None
    record = opened(tmp_path / "repo").snapshots()[second.id]
    assert sorted(record) == sorted(RECORD.split())
    assert record["version"] == 1
    assert record["paths"] == [os.fsencode(tmp_path / "source/file \udcff")]
    assert record["tags"] == ["a", "größe"]
    assert (record["label"], record["description"]) == ("label", "description")
    assert (record["host"], record["excluded"]) == ("host", ["*.tmp"])
    assert record["parent"] == first.id
    assert (record["original"], record["replaces"], record["group"]) == (None, None, None)
    assert (record["start"], record["end"]) == (second.time_ns, second.end_ns)
    how = reader.want(record["how"], dict)
    assert how == {
        "kind": "local",
        "started": second.time_ns,
        "forced": False,
        "compression": 3,
        "encryption": "AES-256-GCM",
    }
    summary = reader.want(record["summary"], dict)
    assert sorted(summary) == sorted(SUMMARY.split())
    assert summary["bytes_processed"] == 5
    assert (record["problems"], record["problem_count"]) == ([], 0)


@pytest.mark.format("F39")
def test_unknown_fields_of_a_snapshot_are_kept(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with store.writer({}) as writer:
        tree = page(writer, 0, [])
        record = codec.unpack(encode_snapshot(snapshot_of(tree)))
        assert isinstance(record, dict)
        summary = record["summary"] | {"later": 7}
        record |= {"later": {"and": b"more"}, "summary": summary}
        writer.flush()
        assert writer.confirm()
        id_ = writer.commit(codec.pack(record))
    assert_both_read(tmp_path)
    snapshot = decode_snapshot(id_, store.snapshot(id_) or b"")
    again = codec.unpack(encode_snapshot(replace(snapshot, label="new")))
    assert again == record | {"label": "new"}


BAD_SNAPSHOTS: dict[str, dict[str, object]] = {
    "version": {"version": 2},
    "start": {"start": None},
    "end": {"end": 1.5},
    "tree": {"tree": bytes(31)},
    "host": {"host": None},
    "paths": {"paths": b"/"},
    "group": {"group": 1},
    "how": {"how": []},
    "problem_count": {"problem_count": True},
    "summary": {"summary": None},
}


@pytest.mark.format("F39")
@pytest.mark.parametrize("case", [*BAD_SNAPSHOTS, *(f"no {name}" for name in RECORD.split())])
def test_bad_snapshots_are_refused(tmp_path: Path, case: str) -> None:
    store = new_store(tmp_path)
    with store.writer({}) as writer:
        record = codec.unpack(encode_snapshot(snapshot_of(page(writer, 0, []))))
        assert isinstance(record, dict)
        record |= BAD_SNAPSHOTS.get(case, {})
        if case.startswith("no "):
            del record[case.removeprefix("no ")]
        writer.flush()
        assert writer.confirm()
        writer.commit(codec.pack(record))
    assert_both_refuse(tmp_path)


@pytest.mark.format("F41")
def test_a_snapshot_needs_no_other(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/old").write_bytes(noise(200_000))
    repository = new_repository(tmp_path / "repo")
    first = backed_up(repository, tmp_path / "source")
    (tmp_path / "source/new").write_bytes(b"new")
    second = backed_up(repository, tmp_path / "source")
    assert second.parent == first.id
    expected = told_by_reader(tmp_path / "repo")[second.id]
    (tmp_path / "repo/snapshots" / first.id).unlink()
    assert assert_both_read(tmp_path / "repo") == {second.id: expected}


@pytest.mark.format("F42")
def test_a_marker_of_a_dead_session_is_no_snapshot(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    id_ = commit(store, lambda w: page(w, 0, []))
    name = f"snapshots/{'0' * 32}"
    marker = seal_object(ObjectType.ABORTED, store.keys, name, codec.pack({}))
    (tmp_path / name).write_bytes(marker)
    assert set(assert_both_read(tmp_path)) == {id_}
    assert holdfast.open(tmp_path, password=PASSWORD, cache=False).snapshots()[0].id == id_
    # A snapshot does not become a marker by a change of its plain header.
    data = bytearray((tmp_path / "snapshots" / id_).read_bytes())
    data[8] = ObjectType.ABORTED
    (tmp_path / "snapshots" / id_).write_bytes(data)
    assert_both_refuse(tmp_path)
