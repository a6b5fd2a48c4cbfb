"""BLAKE3 in its three modes, against the algorithm's published test vectors."""

from __future__ import annotations

from holdfast.primitives.hashing import derive_key, digest, keyed, keyed_stream
from holdfast.primitives.ids import ID_SIZE, SESSION_SIZE, new_session_id, random_name

# https://github.com/BLAKE3-team/BLAKE3/blob/master/test_vectors/test_vectors.json, input_len 3
KEY = b"whats the Elvish word for friend"
CONTEXT = "BLAKE3 2019-12-27 16:29:52 test vectors context"
INPUT = bytes([0, 1, 2])
HASH = "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f"
KEYED = "39e67b76b5a007d4921969779fe666da67b5213b096084ab674742f0d5ec62b9"
DERIVED = "440aba35cb006b61fc17c0529255de438efc06a8c9ebf3f2ddac3b5a86705797"


def test_the_published_vectors() -> None:
    assert digest(INPUT).hex() == HASH
    assert keyed(KEY, INPUT).hex() == KEYED
    assert derive_key(CONTEXT, INPUT).hex() == DERIVED


def test_every_kind_of_buffer_is_hashed_alike() -> None:
    for data in (INPUT, bytearray(INPUT), memoryview(INPUT)):
        assert digest(data).hex() == HASH
        assert keyed(KEY, data).hex() == KEYED


def test_a_stream_begins_with_the_hash() -> None:
    stream = keyed_stream(KEY, INPUT, 1000)
    assert len(stream) == 1000
    assert stream[:32].hex() == KEYED
    assert keyed_stream(KEY, INPUT, 64) == stream[:64]
    assert keyed_stream(KEY, INPUT, 0) == b""


def test_ids_have_their_sizes_and_differ() -> None:
    assert len(digest(b"")) == ID_SIZE
    assert {len(new_session_id()) for _ in range(3)} == {SESSION_SIZE}
    assert len({random_name() for _ in range(100)}) == 100
    assert len(random_name()) == 32
