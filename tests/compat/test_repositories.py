"""Repositories of every version of the format that there was: they open for ever.

`make_repository.py` made them. A test here that fails means that people lose their backups: it is
holdfast that has to change, never the repository.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.compat import make_repository, reader
from tests.compat.making import (
    described,
    objects,
    opened,
    reopened,
    told_by_holdfast,
    told_by_reader,
)

import holdfast
from holdfast.backend import LocalBackend, ReadOnly
from holdfast.clock import SYSTEM_CLOCK
from holdfast.model.snapshot import decode_snapshot
from holdfast.model.tree import save_directory
from holdfast.store import open_store

REPOSITORIES = Path(__file__).parent / "repositories"
KEPT = sorted(path for path in REPOSITORIES.iterdir() if path.is_dir())
PASSWORDS = [make_repository.PASSWORD, make_repository.OTHER_PASSWORD]

each_kept = pytest.mark.parametrize("place", KEPT, ids=[path.name for path in KEPT])


def test_there_are_some() -> None:
    assert [place.name for place in KEPT] == ["v1"]
    assert all(sum(map(len, objects(place).values())) < 100_000 for place in KEPT)


@pytest.mark.fault(52)
@each_kept
@pytest.mark.parametrize("password", PASSWORDS, ids=["text", "bytes"])
def test_both_read_all_of_it(place: Path, password: str | bytes) -> None:
    told = told_by_reader(place, password)
    assert told == told_by_holdfast(place, password)
    assert described(told) == json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))


@each_kept
def test_it_is_sound_to_the_last_object(place: Path) -> None:
    storage = ReadOnly(LocalBackend(place))
    store = open_store(storage, make_repository.PASSWORD, SYSTEM_CLOCK, None)
    assert list(store.scrub_objects()) == []
    listed = store.list_packs()
    assert listed.strays == []
    assert [store.scrub_pack(pack) for pack in listed.packs] == [None] * len(listed.packs)
    repository = opened(place, make_repository.PASSWORD)
    told = {row for rows in repository.places.values() for row in rows}
    assert told == {row for name in repository.packs for row in repository.pack(name).places}


@each_kept
def test_snapshots_keep_what_they_said(place: Path) -> None:
    store = reopened(place, make_repository.PASSWORD)
    labels = {}
    for id_ in store.snapshot_ids():
        data = store.snapshot(id_)
        if data is None:
            assert id_ == make_repository.DEAD_SESSION
            continue
        snapshot = decode_snapshot(id_, data)
        labels[snapshot.label] = snapshot
        assert snapshot.paths == ("/", "/\udcff")
        assert snapshot.tags == ("a", "größe")
        assert snapshot.extra == {"later": (1, 2)}
        assert snapshot.problem_count == 1
    assert sorted(labels) == ["first", "second"]
    assert set(opened(place, make_repository.PASSWORD).snapshots()) == {
        snapshot.id for snapshot in labels.values()
    }


@pytest.mark.fault(52)
@each_kept
def test_the_same_contents_are_not_stored_again(place: Path, tmp_path: Path) -> None:
    # Keys, cut points, ids, pages and lists are as they were, or nothing would be deduplicated.
    copy = shutil.copytree(place, tmp_path / "copy")
    store = reopened(copy, make_repository.PASSWORD)
    with store.writer({}) as writer:
        nodes = make_repository.save_nodes(store, writer)
        save_directory(nodes, writer)
        save_directory(nodes[:3], writer)
        assert (writer.blobs, writer.added) == (0, 0)


@each_kept
def test_it_is_restored(place: Path, tmp_path: Path) -> None:
    told = told_by_reader(place, make_repository.PASSWORD)
    repository = holdfast.open(place, password=make_repository.PASSWORD, cache=False)
    for snapshot in repository.snapshots():
        restored = tmp_path / snapshot.id
        repository.restore(snapshot.id, restored)
        for path, (found, content) in told[snapshot.id].items():
            if found["type"] == reader.FILE:
                assert (restored / os.fsdecode(path)).read_bytes() == content
