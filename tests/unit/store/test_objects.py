"""Names of objects, and reading them with a second look and a limit."""

from __future__ import annotations

import pytest

from holdfast.backend import (
    Capabilities,
    Damage,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    flipped,
    nth,
    since,
)
from holdfast.errors import BackendError, DamagedRepository, ObjectNotFound, StorageUnavailable
from holdfast.overrides import override
from holdfast.store.objects import is_object, is_pack, objects, put_new, read_object

HEX = "0123456789abcdef" * 2
PACK = HEX * 2 + "-89abcdef"


@pytest.mark.parametrize(
    "name",
    [
        "config/0",
        "config/12",
        f"keys/{HEX}",
        f"index/{HEX}",
        f"snapshots/{HEX}",
        f"gc/{HEX}",
        f"sessions/{HEX}",
        f"sessions/{HEX}.1",
        f"sessions/{HEX}.120",
        f"data/01/{PACK}",
    ],
)
def test_names_of_objects(name: str) -> None:
    assert is_object(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "config",
        "config/",
        "config/01",
        "config/0\n",
        f"keys/{HEX.upper()}",
        f"keys/{HEX}0",
        f"keys/{HEX[1:]}",
        f"keys/{HEX}.tmp",
        f"index/{HEX}/x",
        f"x/index/{HEX}",
        f"snapshots/{HEX}.1",
        f"sessions/{HEX}.0",
        f"sessions/{HEX}.01",
        f"sessions/{HEX}.",
        f"data/{PACK}",
        f"data/02/{PACK}",
        f"data/01/{PACK}0",
        f"data/01/{PACK[:-1]}",
        f"epochs/{HEX}",
        f"labels/{HEX}",
        f"audit/{HEX}",
        f"audit/{HEX}/01-{HEX[:16]}",
        f"audit/{HEX}/1-{HEX}",
        f"audit/{HEX}/{10**15}-{HEX[:16]}",
        ".DS_Store",
    ],
)
def test_other_names(name: str) -> None:
    assert not is_object(name)


def test_names_of_packs() -> None:
    assert is_pack(PACK)
    for name in ("", HEX, PACK[1:], PACK + "0", PACK.upper(), PACK + "\n", f"data/01/{PACK}"):
        assert not is_pack(name)


def test_a_listing_leaves_out_what_is_no_object() -> None:
    backend = MemoryBackend()
    for name in (f"index/{HEX}", "index/README", f"index/{HEX}x", f"index/sub/{HEX}"):
        backend.put(name, b"x")
    assert [info.name for info in objects(backend, "index/")] == [f"index/{HEX}"]


def decode(name: str, data: bytes) -> bytes:
    if data != b"good":
        raise DamagedRepository(name, "not good")
    return data


def test_what_was_spoilt_once_is_read_again() -> None:
    backend = MemoryBackend()
    backend.put("a", b"good")
    once = Faulty(backend, Damage(nth(1), flipped))
    assert read_object(once, "a", decode, size=4) == b"good"
    assert [call.verb for call in once.calls] == ["get", "get"]
    always = Faulty(backend, Damage(since(1), flipped))
    with pytest.raises(DamagedRepository):
        read_object(always, "a", decode, size=4)
    assert len(always.calls) == 2


def test_what_is_good_is_read_once() -> None:
    backend = MemoryBackend()
    backend.put("a", b"good")
    counted = Faulty(backend, NoFault())
    read_object(counted, "a", decode, size=4)
    assert len(counted.calls) == 1


def test_a_storage_that_fails_is_no_damage() -> None:
    backend = MemoryBackend()
    backend.put("a", b"good")
    with pytest.raises(BackendError, match="planned"):
        read_object(Faulty(backend, Fail(nth(1))), "a", decode, size=4)
    with pytest.raises(ObjectNotFound):
        read_object(backend, "b", decode)


@pytest.mark.parametrize("size", [None, 11])
def test_what_is_too_large_is_not_read(size: int | None) -> None:
    backend = MemoryBackend()
    backend.put("a", bytes(11))
    counted = Faulty(backend, NoFault())
    with pytest.raises(DamagedRepository, match="more than 10"):
        read_object(counted, "a", decode, size=size, limit=10)
    assert "get" not in [call.verb for call in counted.calls]


class Remote(MemoryBackend):
    """A storage that may lose answers."""

    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(put_if_absent=True, local=False)


def test_of_a_request_whose_answer_was_lost_the_object_is_looked_for() -> None:
    lost = Fail(nth(1), StorageUnavailable, done=True)
    assert put_new(Faulty(Remote(), lost), "a", b"mine")
    with pytest.raises(StorageUnavailable):
        put_new(Faulty(Remote(), Fail(nth(1), StorageUnavailable)), "a", b"mine")
    # A local disk loses no answers: what failed there need not outlast a power cut.
    with pytest.raises(StorageUnavailable):
        put_new(Faulty(MemoryBackend(), lost), "a", b"mine")
    # Neither need what a store says to have failed.
    with pytest.raises(BackendError):
        put_new(Faulty(Remote(), Fail(nth(1), BackendError, done=True)), "a", b"mine")
