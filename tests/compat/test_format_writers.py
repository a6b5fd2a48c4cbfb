"""What a writer does, and in which order: F43 to F48 of docs/format.md."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.compat.making import (
    PASSWORD,
    assert_both_read,
    commit,
    entry,
    finish,
    names,
    new_store,
    noise,
    objects,
    opened,
    page,
    reopened,
    save,
)

import holdfast
from holdfast.backend import Fail, Faulty, LocalBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import ObjectExists
from holdfast.model.snapshot import encode_snapshot
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.store import Store, Writer, open_store
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.testing.layouts import snapshot_of

PATIENCE = 60.0
"""Seconds after which a thread that does nothing has failed."""
RECLAIM = "gc/" + "0" * 32


class HandClock:
    """A clock that a test turns by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits = 0

    def forward(self, seconds: float) -> None:
        """Turn it, and let the one who waits for it do what is to be done then."""
        before = self.waits
        self.time += seconds
        until(lambda: self.waits > before)

    def now_ns(self) -> int:
        return int(self.time * 1e9)

    def utc_offset(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.time

    def wait(self, event: threading.Event, seconds: float) -> bool:
        end = self.time + seconds
        self.waits += 1  # who sees this may turn the clock at once
        while self.time < end:
            if event.wait(0.001):
                return True
        return event.is_set()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread does."""
    never = threading.Event()
    end = SYSTEM_CLOCK.monotonic() + PATIENCE
    while not condition():
        assert SYSTEM_CLOCK.monotonic() < end
        never.wait(0.001)


def recording(place: Path) -> tuple[Faulty, Store]:
    """A storage that records what is done, and a repository there, opened anew."""
    storage = Faulty(LocalBackend(place), NoFault())
    return storage, open_store(storage, PASSWORD, SYSTEM_CLOCK, None)


def done(storage: Faulty) -> list[tuple[str, str]]:
    """What was done, with the folder only of the objects."""
    return [(call.verb, call.name.partition("/")[0]) for call in storage.calls]


def one_file(content: bytes) -> Callable[[Writer], BlobId]:
    return lambda w: page(w, 0, [entry(b"file", 1, save(w, content), len(content))])


def condemn(store: Store, place: Path, packs: list[str]) -> None:
    """Announce a reclaim."""
    (place / "gc").mkdir(exist_ok=True)
    record = codec.pack({"packs": packs})
    data = seal_object(ObjectType.CONDEMNED, store.keys, RECLAIM, record)
    (place / RECLAIM).write_bytes(data)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with a snapshot."""
    commit(new_store(tmp_path), one_file(b"content"))
    return tmp_path


@pytest.mark.format("F43")
def test_a_writer_announces_itself_first(place: Path) -> None:
    storage, store = recording(place)
    with store.writer({"host": "here", "kind": "backup"}) as writer:
        (first, *_) = [call for call in storage.calls if call.verb.startswith("put")]
        assert first.name == f"sessions/{writer.id}"
        data = (place / first.name).read_bytes()
        assert codec.unpack(opened(place).unseal_object(first.name, 3, data)) == codec.unpack(
            open_object(ObjectType.SESSION, store.keys, first.name, data)
        )
        save(writer, b"new")
        writer.flush()
    verbs = done(storage)
    assert verbs.index(("put", "sessions")) < verbs.index(("put", "data"))
    with store.writer({}) as other:
        assert other.id != writer.id
        assert len(bytes.fromhex(other.id)) == 16


@pytest.mark.format("F43")
def test_a_writer_gives_a_sign_of_life_every_5_minutes(tmp_path: Path) -> None:
    clock = HandClock()
    store = new_store(tmp_path, clock=clock)
    with store.writer({}) as writer:
        until(lambda: clock.waits > 0)
        for beat in (1, 2, 3):
            before = names(tmp_path, "sessions")
            clock.forward(299)
            assert names(tmp_path, "sessions") == before
            clock.forward(15)  # it looks at the clock that often
            assert names(tmp_path, "sessions") == [*before, f"sessions/{writer.id}.{beat}"]
        name = f"sessions/{writer.id}.1"
        opened(tmp_path).unseal_object(name, 3, (tmp_path / name).read_bytes())


@pytest.mark.format("F44")
def test_what_is_condemned_is_read_before_the_index(place: Path) -> None:
    condemn(reopened(place), place, [])
    storage, store = recording(place)
    with store.writer({}):
        verbs = done(storage)
        order = [
            ("put", "sessions"),
            ("list", "gc"),
            ("get", "gc"),
            ("list", "index"),
            ("get", "index"),
        ]
        assert [verbs.index(verb) for verb in order] == sorted(map(verbs.index, order))
        assert verbs.count(("get", "index")) == len(names(place, "index"))


@pytest.mark.format("F44")
@pytest.mark.parametrize("announcement", [b"", b"HFOBJECT", b"x" * 200])
def test_an_announcement_that_cannot_be_read_stops_a_writer(
    place: Path, announcement: bytes
) -> None:
    (place / "gc").mkdir()
    (place / RECLAIM).write_bytes(announcement)
    storage, store = recording(place)
    with pytest.raises(holdfast.DamagedRepository, match=RECLAIM):
        store.writer({})
    assert ("get", "index") not in done(storage)
    assert not names(place, "sessions")
    assert_both_read(place)


@pytest.mark.format("F44")
@pytest.mark.parametrize("how", ["condemned", "absent", "truncated", "there"])
def test_nothing_is_built_upon_a_pack_that_is_condemned_or_absent(place: Path, how: str) -> None:
    packs = names(place, "data")
    if how == "condemned":
        condemn(reopened(place), place, [name[8:] for name in packs])
    for name in packs:
        if how == "absent":
            (place / name).unlink()
        elif how == "truncated":
            (place / name).write_bytes((place / name).read_bytes()[:-1])
    store = reopened(place)
    with store.writer({}) as writer:
        finish(writer, one_file(b"content")(writer))
        assert writer.blobs == (0 if how == "there" else 2)
    for name in packs:
        (place / name).unlink(missing_ok=True)  # as the reclaim would
    if how != "there":
        assert len(assert_both_read(place)) == 2


@pytest.mark.format("F45")
def test_an_index_object_tells_only_of_packs_that_are_durable(tmp_path: Path) -> None:
    new_store(tmp_path)
    storage, store = recording(tmp_path)

    def make(writer: Writer) -> BlobId:
        for number in range(5):
            save(writer, noise(2 << 20, b"%d" % number))
        return one_file(b"content")(writer)

    commit(store, make)
    repository = opened(tmp_path)
    puts = [call.name for call in storage.calls if call.verb == "put"]
    told: set[str] = set()
    for name in (name for name in puts if name.startswith("index/")):
        packs = {place[1] for place in repository.index(name)}
        assert all(puts.index(repository.packs[pack]) < puts.index(name) for pack in packs)
        told |= packs
    assert told == set(repository.packs)
    assert len(told) >= 6


@pytest.mark.format("F45")
def test_an_index_object_comes_within_30_seconds(tmp_path: Path) -> None:
    clock = HandClock()
    store = new_store(tmp_path, clock=clock)
    with store.writer({}) as writer:
        for number in range(1, 4):
            save(writer, noise(2 << 20, b"%d" % number))
            until(lambda: bool(writer._unindexed))
            clock.forward(15)
            clock.forward(15)
            repository = opened(tmp_path)
            told = {place[1] for places in repository.places.values() for place in places}
            assert told == set(repository.packs)
            assert len(told) == number


@pytest.mark.format("F46", "F47")
def test_all_is_confirmed_right_before_the_commit(place: Path) -> None:
    storage, store = recording(place)
    commit(store, one_file(b"new"))
    verbs = done(storage)
    last = max(verbs.index(("put", "index")), len(verbs) - verbs[::-1].index(("put", "data")))
    end = verbs.index(("put_if_absent", "snapshots"))
    confirmed = set(verbs[last:end])
    assert {("stat", "sessions"), ("list", "gc"), ("list", "config"), ("list", "data")} <= confirmed
    assert [call.verb for call in storage.calls if call.name.startswith("snapshots/")] == [
        "put_if_absent"
    ]


def lose_old(place: Path) -> None:
    for name in names(place, "data"):
        if first_snapshot(place)[:8] in name:
            (place / name).unlink()


def lose_own(place: Path) -> None:
    for name in names(place, "data"):
        if first_snapshot(place)[:8] not in name:
            (place / name).unlink()


def first_snapshot(place: Path, but: str = "") -> str:
    """The only snapshot, apart from one."""
    (first,) = {name.removeprefix("snapshots/") for name in names(place, "snapshots")} - {but}
    return first


def clear_session(place: Path) -> None:
    (place / names(place, "sessions")[0]).unlink()


def change_config(place: Path) -> None:
    (place / "config/1").write_bytes((place / "config/0").read_bytes())


def condemn_old(place: Path) -> None:
    old = [name[8:] for name in names(place, "data") if first_snapshot(place)[:8] in name]
    condemn(reopened(place), place, old)


def damage_announcement(place: Path) -> None:
    (place / "gc").mkdir(exist_ok=True)
    (place / RECLAIM).write_bytes(b"damaged")


FATAL: dict[str, tuple[Callable[[Path], None], type[holdfast.HoldfastError]]] = {
    "the session is cleared away": (clear_session, holdfast.SessionLost),
    "the config is another": (change_config, holdfast.UnsupportedRepository),
    "an own pack is lost": (lose_own, holdfast.DamagedRepository),
    "an announcement is damaged": (damage_announcement, holdfast.DamagedRepository),
}


@pytest.mark.format("F46")
@pytest.mark.parametrize("case", FATAL)
def test_what_makes_a_commit_impossible(place: Path, case: str) -> None:
    meanwhile, error = FATAL[case]
    store = reopened(place)
    with store.writer({}) as writer:
        one_file(b"content")(writer)
        save(writer, b"new")
        writer.flush()
        meanwhile(place)
        with pytest.raises(error):
            writer.confirm()
    assert len(names(place, "snapshots")) == 1


@pytest.mark.format("F46")
@pytest.mark.parametrize("meanwhile", [condemn_old, lose_old])
def test_what_vanished_is_stored_anew(place: Path, meanwhile: Callable[[Path], None]) -> None:
    store = reopened(place)
    first = first_snapshot(place)
    old = [name for name in names(place, "data") if first_snapshot(place)[:8] in name]
    with store.writer({}) as writer:
        tree = one_file(b"content")(writer)
        writer.flush()
        assert writer.blobs == 0
        meanwhile(place)
        assert not writer.confirm()
        assert one_file(b"content")(writer) == tree
        assert writer.blobs > 0
        finish(writer, tree)
    for name in old:
        (place / name).unlink(missing_ok=True)  # as the reclaim would
    (place / "snapshots" / first).unlink()
    (told,) = assert_both_read(place).values()
    assert told[b"file"][1] == b"content"


@pytest.mark.format("F42", "F47")
def test_a_session_that_was_declared_dead_cannot_commit(place: Path) -> None:
    store = reopened(place)
    before = objects(place)
    with store.writer({}) as writer:
        tree = one_file(b"content")(writer)
        writer.flush()
        assert writer.confirm()
        name = f"snapshots/{writer.id}"
        marker = seal_object(ObjectType.ABORTED, store.keys, name, codec.pack({}))
        (place / name).write_bytes(marker)
        with pytest.raises(holdfast.SessionLost):
            writer.commit(encode_snapshot(snapshot_of(tree)))
    assert objects(place) == before | {name: marker}
    assert len(assert_both_read(place)) == 1


@pytest.mark.format("F47")
def test_a_commit_whose_request_was_repeated_is_one(place: Path) -> None:
    # The first request got through and its answer was lost; the second finds its object.
    plan = Fail(lambda call: call.verb == "put_if_absent", ObjectExists, done=True)
    store = open_store(Faulty(LocalBackend(place), plan), PASSWORD, SYSTEM_CLOCK, None)
    id_ = commit(store, one_file(b"new"))
    assert set(assert_both_read(place)) == {id_, first_snapshot(place, but=id_)}


@pytest.mark.format("F48")
def test_the_session_is_cleared_away_after_the_commit(tmp_path: Path) -> None:
    clock = HandClock()
    new_store(tmp_path)
    storage = Faulty(LocalBackend(tmp_path), NoFault())
    store = open_store(storage, PASSWORD, clock, None)
    with store.writer({}) as writer:
        until(lambda: clock.waits > 0)
        clock.forward(301)
        finish(writer, one_file(b"content")(writer))
        assert len(names(tmp_path, "sessions")) == 2
    assert not names(tmp_path, "sessions")
    verbs = done(storage)
    commit_ = verbs.index(("put_if_absent", "snapshots"))
    assert verbs[-2:] == [("delete", "sessions")] * 2
    assert ("delete", "sessions") not in verbs[:commit_]
    assert {folder for verb, folder in verbs if verb == "delete"} == {"sessions"}


@pytest.mark.format("F41", "F48")
def test_what_a_crashed_writer_leaves_harms_nothing_and_is_used_again(place: Path) -> None:
    expected = assert_both_read(place)
    plan = Fail(lambda call: call.verb in {"put_if_absent", "delete"})
    store = open_store(Faulty(LocalBackend(place), plan), PASSWORD, SYSTEM_CLOCK, None)
    with pytest.raises(holdfast.BackendError):
        commit(store, one_file(b"new"))
    assert len(names(place, "sessions")) == 1
    assert assert_both_read(place) == expected
    with reopened(place).writer({}) as writer:
        finish(writer, one_file(b"new")(writer))
        assert writer.blobs == 0
    assert len(assert_both_read(place)) == 2
