"""Records: what is encoded comes back, and nothing that is not one is taken for one."""

from __future__ import annotations

import struct
import time

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.primitives import codec

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=5).map(tuple) | st.dictionaries(st.text(), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_packed_is_unpacked(value: object) -> None:
    packed = codec.pack(value)
    assert codec.unpack(packed) == value
    assert codec.unpack_rows(packed) == value
    assert codec.unpack(memoryview(packed)) == value


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_decoded_but_never_crash(data: bytes) -> None:
    for unpack in (codec.unpack, codec.unpack_rows):
        try:
            value = unpack(data)
        except ValueError:
            continue
        assert isinstance(value, type(None) | bool | int | float | str | bytes | tuple | dict)


@given(VALUES, st.data())
def test_a_changed_record_is_refused_or_decoded_but_never_crashes(
    value: object, data: st.DataObject
) -> None:
    packed = bytearray(codec.pack(value))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for unpack in (codec.unpack, codec.unpack_rows):
        try:
            unpack(packed)
        except ValueError:
            continue


@given(VALUES, st.binary(min_size=1, max_size=3))
def test_a_record_is_all_there_is(value: object, rest: bytes) -> None:
    packed = codec.pack(value)
    for unpack in (codec.unpack, codec.unpack_rows):
        with pytest.raises(ValueError, match="not a record"):
            unpack(packed + rest)
        with pytest.raises(ValueError, match="not a record"):
            unpack(packed[:-1])


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


def test_nesting_is_bounded() -> None:
    codec.unpack(nested(codec.MAX_DEPTH))
    with pytest.raises(ValueError, match="nested deeper"):
        codec.unpack(nested(codec.MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="nested deeper"):
        codec.unpack(b"\x81\xa1a" * 40 + b"\xc0")
    for depth in (1000, 2000, 100_000):
        with pytest.raises(ValueError, match=r"nested deeper|not a record"):
            codec.unpack(nested(depth))
    with pytest.raises(ValueError, match="not a record"):
        codec.unpack_rows(nested(100_000))


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\xa1a\x01\xa1a\x02",  # the key "a" twice
        b"\x91\x82\xa1a\x01\xa1a\x01",
        b"\x81\x01\x02",  # a number as a key
        b"\x81\xc4\x01a\x02",  # bytes as a key
        b"\x81\x90\x02",  # an array as a key
        b"\x81\x80\x02",  # a map as a key
    ],
)
def test_keys_are_text_and_unique(data: bytes) -> None:
    for unpack in (codec.unpack, codec.unpack_rows):
        with pytest.raises(ValueError, match="not a record"):
            unpack(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",  # never used
        b"\xa2\xff\xfe",  # text that is no UTF-8
        b"\xd4\x05\0",  # an extension
        b"\xc7\x00\x07",
        b"\xd4\xff\0",  # a malformed timestamp
        b"\xdd\xff\xff\xff\xff",  # an array of 4 billion
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\x7f\xff\xff\xff",
    ],
)
def test_other_malformed_records_are_refused(data: bytes) -> None:
    for unpack in (codec.unpack, codec.unpack_rows):
        with pytest.raises(ValueError, match="not a record"):
            unpack(data)


def test_a_timestamp_is_a_number_of_nanoseconds() -> None:
    assert codec.unpack(msgpack.packb(msgpack.Timestamp(7, 5))) == 7_000_000_005


def test_the_size_of_a_record_is_bounded_before_it_is_decoded() -> None:
    with pytest.raises(ValueError, match="more than"):
        codec.unpack(bytes(codec.MAX_RECORD + 1))
    with pytest.raises(ValueError, match="more than"):
        codec.unpack_rows(bytes(codec.MAX_RECORD + 1))


def array(count: int, item: bytes) -> bytes:
    return b"\xdd" + struct.pack(">I", count) + item * count


@pytest.mark.parametrize("item", [b"\x80", b"\x91\xc0", b"\x90", b"\x81\xa0\xc0", b"\xc0"])
def test_many_tiny_values_are_refused(item: bytes) -> None:
    with pytest.raises(ValueError, match=r"more than|exceeds max"):
        codec.unpack(b"\x92" + array(600_000, item) * 2)


def size_of(value: object) -> int:
    """What a value counts: every array and map, and what is in it."""
    if isinstance(value, tuple):
        return len(value) + 1 + sum(map(size_of, value))
    if isinstance(value, dict):
        return len(value) + 1 + sum(map(size_of, value.values()))
    return 0


EDGES = [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536]


@given(VALUES, st.sampled_from(EDGES))
@settings(max_examples=examples(30))
def test_values_are_counted_before_they_are_made(value: object, edge: int) -> None:
    longer = {"text": "x" * edge, "bytes": bytes(edge), "map": {str(at): at for at in range(edge)}}
    whole = (value, longer, (1.5,) * edge)
    record, size = codec.pack(whole), size_of(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "MAX_VALUES", size)
        codec._check_count(record)
        patch.setattr(codec, "MAX_VALUES", size - 1)
        with pytest.raises(ValueError, match="more than"):
            codec._check_count(record)


def test_long_records_of_too_many_values_are_refused_before_they_are_decoded() -> None:
    record = array(codec.MAX_VALUES, b"\xc1")  # a byte that no decoder takes
    with pytest.raises(ValueError, match="more than"):
        codec.unpack(record)


def test_headers_that_state_much_at_every_level_cost_little() -> None:
    """Each of 1000 nested headers states as many entries as the record has bytes."""
    bomb = b"".join(b"\xdd" + struct.pack(">I", 1 << 20) for _ in range(1000))
    bomb += bytes((4 << 20) - len(bomb))
    start = time.thread_time()  # of this thread: others may keep it waiting
    for unpack in (codec.unpack, codec.unpack_rows):
        with pytest.raises(ValueError, match=r"not a record|more than"):
            unpack(bomb)
    assert time.thread_time() - start < 20


def test_long_rows_are_refused() -> None:
    codec.unpack_rows(array(codec.MAX_ROW, b"\xc0"))
    with pytest.raises(ValueError, match="not a record"):
        codec.unpack_rows(array(codec.MAX_ROW + 1, b"\xc0"))


def test_integers_outside_64_bits_are_refused() -> None:
    for number in (1 << 64, -(1 << 63) - 1):
        with pytest.raises(OverflowError):
            codec.pack(number)


def test_text_that_is_none_is_escaped() -> None:
    assert codec.unpack(codec.pack({"user": "j\udce9r\ud800"})) == {"user": "j\\udce9r\\ud800"}


@pytest.mark.fault(6)
def test_too_little_memory_is_no_malformed_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else a check on a machine that is short of it would tell of damage."""

    def short(*_: object, **__: object) -> object:
        raise MemoryError

    monkeypatch.setattr("msgpack.unpackb", short)
    with pytest.raises(MemoryError):
        codec.unpack(b"\x80")
