"""Forgotten snapshots and labels: F51 and F52 of docs/format.md."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.compat import reader
from tests.compat.making import flip, names, new_repository, opened

import holdfast
from holdfast.backend import Faulty, LocalBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.model.labels import Label, encode_label
from holdfast.model.snapshot import Hold
from holdfast.primitives import codec
from holdfast.primitives.ids import SnapshotId
from holdfast.store.envelope import ObjectType, open_object, seal_object

LATER = (1 << 63) - 1


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repo"


@pytest.fixture
def repository(place: Path) -> Repository:
    return new_repository(place)


def made(repository: Repository, tmp_path: Path, *tags: str) -> holdfast.Snapshot:
    (tmp_path / "source").mkdir(exist_ok=True)
    (tmp_path / "source/file").write_bytes(b"content")
    snapshot = repository.backup(tmp_path / "source", tags=tags).snapshot
    assert snapshot is not None
    return snapshot


@pytest.mark.format("F51")
def test_a_snapshot_is_put_among_the_forgotten_and_then_deleted(
    repository: Repository, place: Path, tmp_path: Path
) -> None:
    first, second = (made(repository, tmp_path, "t") for _ in range(2))
    record = opened(place).snapshots()[first.id]
    storage = Faulty(LocalBackend(place), NoFault())
    repository._store.backend = storage
    before = SYSTEM_CLOCK.now_ns()
    repository.forget(first.id)
    changes = [call[1:] for call in storage.calls if call.verb not in {"get", "list", "stat"}]
    assert changes == [
        ("put_if_absent", f"forgotten/{first.id}"),
        ("delete", f"snapshots/{first.id}"),
    ]
    assert opened(place).snapshots().keys() == {second.id}
    assert opened(place).forgotten() == {first.id: record}
    name = f"forgotten/{first.id}"
    sealed = opened(place).unseal_object(name, 7, (place / name).read_bytes())
    wire = reader.want(reader.unpack(sealed), dict)
    assert sorted(wire) == ["forgotten", "snapshot"]
    assert before <= reader.want(wire["forgotten"], int) <= SYSTEM_CLOCK.now_ns()


@pytest.mark.format("F51")
def test_what_is_brought_back_is_a_new_snapshot(
    repository: Repository, place: Path, tmp_path: Path
) -> None:
    first = made(repository, tmp_path, "t")
    made(repository, tmp_path)
    repository.tag(first.id, add="late", hold="why")
    old = opened(place).snapshots()[first.id]
    repository.tag(first.id, release=True)
    repository.forget(first.id)
    back = repository.undelete(first.id)
    found = opened(place)
    assert found.forgotten() == {}
    expected = old | {"original": first.id, "tags": ["t", "late"]}
    assert found.snapshots()[back.id] == expected
    assert found.labels(back.id) == {}


@pytest.mark.format("F51")
def test_while_both_are_there_it_is_a_snapshot(
    repository: Repository, place: Path, tmp_path: Path
) -> None:
    first = made(repository, tmp_path)
    made(repository, tmp_path)
    kept = (place / "snapshots" / first.id).read_bytes()
    repository.forget(first.id)
    (place / "snapshots" / first.id).write_bytes(kept)
    assert opened(place).forgotten() == {}
    assert repository.forgotten() == []
    assert first.id in opened(place).snapshots()
    # Where a session was declared dead there is no snapshot, and the forgotten one counts.
    name = f"snapshots/{first.id}"
    marker = seal_object(ObjectType.ABORTED, repository._store.keys, name, codec.pack({}))
    (place / name).write_bytes(marker)
    assert opened(place).forgotten().keys() == {first.id}
    assert [each.snapshot.id for each in repository.forgotten()] == [first.id]


@pytest.mark.format("F51", "F52", "F12")
@pytest.mark.parametrize("kind", ["forgotten", "labels"])
def test_a_changed_object_is_refused(
    repository: Repository, place: Path, tmp_path: Path, kind: str
) -> None:
    first = made(repository, tmp_path)
    made(repository, tmp_path)
    repository.tag(first.id, add="x")
    repository.forget(first.id)
    (name,) = names(place, kind)
    for position in (0, 8, 9, 12, 16, 48, -1):
        flip(place, name, position)
        found = opened(place)
        read = found.forgotten if kind == "forgotten" else partial(found.labels, first.id)
        with pytest.raises(reader.RefusedError):
            read()
        assert [each.object for each in repository.check().errors] == [name]
        flip(place, name, position)


@pytest.mark.format("F52")
def test_the_record_of_a_label(repository: Repository, place: Path, tmp_path: Path) -> None:
    first = made(repository, tmp_path, "a", "b")
    before = SYSTEM_CLOCK.now_ns()
    repository.tag(first.id, add="c", remove="a", hold="why", note="größe")
    ((name, label),) = opened(place).labels(first.id).items()
    assert names(place, "labels") == [f"labels/{first.id}/{name}"]
    assert sorted(label) == sorted(
        ["time", "host", "user", "counter", "add", "remove", "hold", "release", "note"]
    )
    assert before <= reader.want(label["time"], int) <= SYSTEM_CLOCK.now_ns()
    assert (label["host"], label["user"], label["counter"]) == (first.host, first.user, 1)
    assert (label["add"], label["remove"], label["note"]) == (["c"], ["a"], "größe")
    assert (label["hold"], label["release"]) == ({"reason": "why", "until": None}, [])
    repository.tag(first.id, release=True)
    second = opened(place).labels(first.id).popitem()[1]
    assert (second["counter"], second["release"], second["hold"]) == (2, [name], None)


LABELS: list[dict[str, object]] = [
    {"counter": 1, "add": ("x", "y"), "remove": ("a",)},
    {"counter": 1, "remove": ("x",)},
    {"counter": 2, "add": ("a", "x")},
    {"counter": 2, "add": ("x",), "remove": ("x", "b")},
    {"counter": 3, "hold": Hold("one")},
    {"counter": 3, "hold": Hold("over", 1)},
    {"counter": 4, "hold": Hold("two", LATER)},
    {"counter": 9, "remove": ("y",), "note": "n"},
]


@pytest.mark.format("F52")
@pytest.mark.parametrize("start", range(len(LABELS)))
def test_both_readers_come_to_the_same_tags_and_holds(
    repository: Repository, place: Path, tmp_path: Path, start: int
) -> None:
    first = made(repository, tmp_path, "a", "b", "c")
    for fields in LABELS[start:] + LABELS[:start]:  # in whatever order they are written
        label = Label(time_ns=0, host="", user="", **fields)  # type: ignore[arg-type]  # as above
        repository._store.put_label(SnapshotId(first.id), encode_label(label))
        ours = repository.snapshot(first.id)
        found = opened(place)
        record_of = found.snapshots()[first.id]
        assert list(ours.tags) == found.tags(first.id, record_of)
        now = SYSTEM_CLOCK.now_ns()
        assert [hold.reason for hold in ours.holds] == found.holds(first.id, now)
    repository.release(first.id)
    assert repository.snapshot(first.id).holds == ()
    assert opened(place).holds(first.id, SYSTEM_CLOCK.now_ns()) == []


@pytest.mark.format("F52", "F10")
def test_a_label_of_one_snapshot_is_none_of_another(
    repository: Repository, place: Path, tmp_path: Path
) -> None:
    first, second = (made(repository, tmp_path) for _ in range(2))
    repository.tag(first.id, add="x")
    (name,) = names(place, "labels")
    moved = name.replace(first.id, second.id)
    (place / moved).parent.mkdir()
    (place / moved).write_bytes((place / name).read_bytes())
    with pytest.raises(reader.RefusedError):
        opened(place).labels(second.id)
    with pytest.raises(holdfast.DamagedRepository):
        open_object(ObjectType.LABEL, repository._store.keys, moved, (place / moved).read_bytes())
    # Whatever it is, it may be a hold.
    assert repository.snapshot(second.id).holds
    assert not repository.snapshot(second.id).tags
