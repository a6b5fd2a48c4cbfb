"""Packs: what goes in comes out, every bit counts, and a forger gets nowhere."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.compression import Compressor
from holdfast.primitives.crypto import TAG_SIZE, Domain, Sealer
from holdfast.primitives.hashing import digest, keyed, keyed_stream
from holdfast.primitives.ids import BlobId, PackName, SessionId
from holdfast.store.keys import Keys
from holdfast.store.pack import (
    FOOTER_SIZE,
    HEADER_SIZE,
    PACK_LIMIT,
    SEGMENT_LIMIT,
    Codec,
    Kind,
    PackInfo,
    Payload,
    Segment,
    blob_key,
    build_pack,
    derive_pack_key,
    object_name,
    pack_name,
    padded,
    parse_header,
)
from holdfast.store.unpack import (
    PackOpener,
    parse_pack,
    parse_trailer,
    read_pack,
    verify_blobs,
)

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
SESSION = SessionId(bytes(range(100, 116)))
ENTROPY = bytes(range(32))
COMPRESSOR = Compressor(3)


def payload(kind: Kind, blobs: Sequence[bytes], keys: Keys = KEYS) -> Payload:
    whole = b"".join(blobs)
    key = blob_key(keys, kind)
    ids = [BlobId(keyed(key, blob)) for blob in blobs]
    lengths = [len(blob) for blob in blobs]
    frame = COMPRESSOR.compress(whole)
    if frame is None:
        return Payload(whole, Codec.RAW, len(whole), ids, lengths)
    return Payload(frame, Codec.ZSTD, len(whole), ids, lengths)


def pack_of(
    *segments: Sequence[bytes], kind: Kind = Kind.DATA, keys: Keys = KEYS
) -> tuple[PackInfo, bytes]:
    payloads = [payload(kind, blobs, keys) for blobs in segments]
    info, pack = build_pack(kind, payloads, keys, SESSION, ENTROPY)
    return info, bytes(pack)


def contents(name: PackName, data: bytes, keys: Keys = KEYS) -> list[bytes]:
    return [bytes(content) for _, content in read_pack(name, data, keys)]


SEGMENTS = st.lists(
    st.lists(st.binary(max_size=300), min_size=1, max_size=8), min_size=1, max_size=5
)


@given(SEGMENTS, st.sampled_from(Kind))
def test_what_is_packed_is_read_back(segments: list[list[bytes]], kind: Kind) -> None:
    info, data = pack_of(*segments, kind=kind)
    blobs = [blob for segment in segments for blob in segment]
    assert contents(info.name, data) == blobs
    parsed = parse_pack(info.name, data, KEYS)
    assert parsed == info
    assert parsed.kind == kind
    assert [blob.length for blob in parsed.blobs] == [len(blob) for blob in blobs]
    assert len(data) == info.size == padded(len(data))


def test_a_pack_is_named_by_its_bytes_and_session() -> None:
    info, data = pack_of([b"blob"])
    assert info.name == pack_name(data, SESSION) == f"{digest(data).hex()}-64656667"
    assert object_name(info.name) == f"data/{info.name[:2]}/{info.name}"


# The size of a pack


@given(st.integers(1, 1 << 40))
def test_padding_follows_padme(length: int) -> None:
    size = padded(length)
    exponent = length.bit_length() - 1
    zeros = max(exponent - exponent.bit_length(), 0)
    assert size >= length
    assert size % (1 << zeros) == 0
    assert size - length < 1 << zeros
    assert size <= length * 1.12 + 1
    assert padded(size) == size


def test_padding_hides_all_but_a_few_sizes() -> None:
    assert len({padded(length) for length in range(1 << 20, 1 << 21)}) <= 33
    assert padded(16 << 20) == 16 << 20
    assert padded((16 << 20) + 1) / (16 << 20) < 1.04


@given(st.integers(0, 3000))
@settings(max_examples=examples(30))
def test_the_filler_is_what_the_key_says(size: int) -> None:
    info, data = pack_of([random.Random(size).randbytes(size)])  # noqa: S311 - repeatable
    opener = PackOpener(info.name, info.header, KEYS)
    offset, length, count, filler = opener.footer(data[-FOOTER_SIZE:])
    assert offset + length + FOOTER_SIZE == len(data)
    assert count == 1
    assert data[offset - filler : offset] == opener.filler(filler)
    end = info.segments[-1].offset + info.segments[-1].stored
    assert end + filler == offset


# Damage


@pytest.mark.fault(7)
def test_every_bit_of_a_small_pack_counts() -> None:
    info, data = pack_of([b"first", b"second"], [b"third"])
    damaged = bytearray(data)
    for place in range(len(data)):
        for bit in range(8):
            damaged[place] ^= 1 << bit
            with pytest.raises(DamagedRepository) as caught:
                contents(info.name, bytes(damaged))
            assert caught.value.object == object_name(info.name)
            damaged[place] ^= 1 << bit
    assert contents(info.name, bytes(damaged)) == [b"first", b"second", b"third"]


def test_without_its_name_every_bit_but_the_fillers_still_counts() -> None:
    """A reader that fetches one segment does not see the whole, so it cannot check the name."""
    info, data = pack_of([b"first", b"second"], [b"third"])
    opener = PackOpener(info.name, info.header, KEYS)
    offset, _, _, filler = opener.footer(data[-FOOTER_SIZE:])
    damaged = bytearray(data)
    for place in range(len(data)):
        if offset - filler <= place < offset:
            continue
        damaged[place] ^= 1
        with pytest.raises(DamagedRepository) as caught:
            for _ in verify_blobs(parse_pack(info.name, damaged, KEYS), damaged, KEYS):
                pass
        assert caught.value.object == object_name(info.name)
        damaged[place] ^= 1


@pytest.mark.fault(8)
def test_every_length_but_its_own_is_damage() -> None:
    info, data = pack_of([b"first", b"second"])
    for size in range(len(data)):
        with pytest.raises(DamagedRepository):
            contents(info.name, data[:size])
        with pytest.raises(DamagedRepository):
            parse_pack(info.name, data[:size], KEYS)
    for rest in (b"\0", data):
        with pytest.raises(DamagedRepository):
            contents(info.name, data + rest)
        with pytest.raises(DamagedRepository):
            parse_pack(info.name, data + rest, KEYS)


def test_a_huge_pack_is_refused_before_anything_else() -> None:
    info, data = pack_of([b"first"])
    huge = bytearray(PACK_LIMIT + 1)
    huge[: len(data)] = data
    with pytest.raises(DamagedRepository, match="impossible size"):
        parse_pack(info.name, huge, KEYS)


def test_packs_are_bound_to_their_repository_key_and_session() -> None:
    info, data = pack_of([b"first"])
    for keys in (
        Keys(bytes(16), 0, b"d" * 32, b"m" * 32),
        Keys(KEYS.repository, 0, b"d" * 32, b"M" * 32),
    ):
        with pytest.raises(DamagedRepository):
            parse_pack(info.name, data, keys)
    with pytest.raises(DamagedRepository, match="another session"):
        parse_pack(PackName(info.name[:-8] + "00000000"), data, KEYS)
    with pytest.raises(DamagedRepository, match="does not match its id"):
        list(verify_blobs(info, data, Keys(KEYS.repository, 0, b"D" * 32, b"m" * 32)))


def test_the_kinds_are_told_apart() -> None:
    """What a user stores as a file can never be read as a directory."""
    info, data = pack_of([b"blob"], kind=Kind.DATA)
    as_tree = data[:12] + bytes([Kind.TREE]) + data[13:]
    with pytest.raises(DamagedRepository):
        parse_pack(info.name, as_tree, KEYS)
    assert blob_key(KEYS, Kind.DATA) != blob_key(KEYS, Kind.TREE)


def test_segments_cannot_change_places() -> None:
    """Nor be taken from another pack."""
    info, data = pack_of([b"12345678"], [b"abcdefgh"])
    other_info, other = pack_of([b"ABCDEFGH"], [b"87654321"])
    first, second = info.segments
    assert first.stored == second.stored
    a, b = first.offset, second.offset
    size = first.stored
    swapped = bytearray(data)
    swapped[a : a + size], swapped[b : b + size] = data[b : b + size], data[a : a + size]
    moved = bytearray(data)
    moved[a : a + size] = other[other_info.segments[0].offset :][:size]
    for changed in (swapped, moved):
        with pytest.raises(DamagedRepository, match="segment 0"):
            list(verify_blobs(info, changed, KEYS))


# Keys


def test_packs_of_other_content_have_other_keys_even_with_the_same_random_numbers() -> None:
    """As two clones of one virtual machine would draw them."""
    headers = {
        pack_of([b"a"])[0].header,
        pack_of([b"b"])[0].header,
        pack_of([b"a"], [b""])[0].header,
        pack_of([b"a"], kind=Kind.TREE)[0].header,
    }
    assert len({header[36:68] for header in headers}) == 4


def test_the_same_pack_again_has_another_key() -> None:
    payloads = [payload(Kind.DATA, [b"blob"])]
    first, _ = build_pack(Kind.DATA, payloads, KEYS, SESSION, ENTROPY)
    second, _ = build_pack(Kind.DATA, payloads, KEYS, SESSION, ENTROPY[::-1])
    assert first.header[36:] != second.header[36:]


# Headers


@pytest.mark.parametrize(
    "place", [*range(8), 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, *range(20, 24), 36, 67, 68, 99]
)
def test_a_damaged_header_is_damage_never_another_version(place: int) -> None:
    info, _ = pack_of([b"blob"])
    for value in (0, 3, 0x7F, 0xFF):
        header = bytearray(info.header)
        if header[place] != value:
            header[place] = value
            with pytest.raises(DamagedRepository):
                parse_pack_header(bytes(header), info.name)


def parse_pack_header(header: bytes, name: PackName) -> None:
    parse_header(header, name)
    PackOpener(name, header, KEYS)


def test_a_short_header_is_damage() -> None:
    info, _ = pack_of([b"blob"])
    with pytest.raises(DamagedRepository, match="too short"):
        parse_header(info.header[:-1], info.name)


# Trailers that only a holder of the key can make

Row = tuple[int, ...]


def forged(
    trailer: object, *, footer: tuple[int, int, int, int] | None = None, body: bytes = b""
) -> tuple[PackName, bytes]:
    """A pack that opens, with whatever trailer and footer are wanted."""
    message = trailer if isinstance(trailer, bytes) else codec.pack(trailer)
    salt = bytes(32)
    key, commitment = derive_pack_key(KEYS, 0, Kind.DATA, SESSION, salt)
    head = struct.pack(
        "<8sHHBBHI16s32s32s",
        b"HFPACK\r\n", 1, HEADER_SIZE, Kind.DATA, 0, 0, 0, SESSION, salt, commitment,
    )  # fmt: skip
    place = HEADER_SIZE + len(body)
    offset, length, count, filler = footer or (place, len(message) + TAG_SIZE, 1, 0)
    sealer = Sealer(key)
    tail = sealer.seal(Domain.TRAILER, message, head + (count & 0xFFFFFFFF).to_bytes(4, "little"))
    end = sealer.seal(Domain.FOOTER, struct.pack("<QIIQ", offset, length, count, filler), head)
    data = head + body + tail + end
    return pack_name(data, SESSION), data


def trailer(
    segments: Sequence[Row] = ((100, 20, 4, 0),),
    places: Sequence[Row] = ((0, 0, 4),),
    **changes: object,
) -> dict[str, object]:
    return {
        "blobs": b"\0" * 32 * len(places),
        "places": b"".join(struct.pack("<III", *row) for row in places),
        "regions": [],
        "level": 0,
        "segments": b"".join(struct.pack("<IIII", *row) for row in segments),
        **changes,
    }


BODY = bytes(20)


def test_the_forger_can_make_what_parses() -> None:
    name, data = forged(trailer(), body=BODY)
    info = parse_pack(name, data, KEYS)
    assert info.segments == [Segment(100, 20, 4, 0)]
    with pytest.raises(DamagedRepository, match="segment 0"):
        list(verify_blobs(info, data, KEYS))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xc1",
        b"\x91" * 1000,
        None,
        [],
        {},
        trailer(segments=[(99, 20, 4, 0)]),  # in the header
        trailer(segments=[(100, 15, 4, 0)]),  # shorter than a tag
        trailer(segments=[(100, 0xFFFFFFFF, 4, 0)]),
        trailer(segments=[(0xFFFFFFFF, 20, 4, 0)]),
        trailer(segments=[(0xFFFFFFF0, 0xFFFFFFF0, 4, 0)]),
        trailer(segments=[(100, 20, SEGMENT_LIMIT + 1, 1)]),
        trailer(segments=[(100, 20, 0xFFFFFFFF, 1)]),
        trailer(segments=[(100, 20, 4, 2)]),  # an unknown codec
        trailer(places=[(1, 0, 4)]),  # no such segment
        trailer(places=[(0xFFFFFFFF, 0, 4)]),
        trailer(places=[(0, 1, 4)]),  # over the segment's end
        trailer(places=[(0, 0xFFFFFFFF, 0xFFFFFFFF)]),
        trailer(places=[(0, 5, 0)]),
        trailer(blobs=b"\0" * 31),
        trailer(blobs=b"\0" * 64),
        trailer() | {"places": b"\0" * 11},
        trailer() | {"segments": b"\0" * 15},
        trailer(blobs="text"),
        trailer() | {"segments": [[100, 20, 4, 0]]},
    ],
    ids=range(25),
)
def test_trailers_that_make_no_sense_are_damage(record: object) -> None:
    name, data = forged(record, body=BODY)
    with pytest.raises(DamagedRepository) as caught:
        parse_pack(name, data, KEYS)
    assert caught.value.object == object_name(name)


@pytest.mark.parametrize(
    "change",
    [
        lambda at, length: (at + 1, length, 1, 0),
        lambda at, length: (at, length + 1, 1, 0),
        lambda at, length: (at - 1, length + 1, 1, 0),
        lambda at, length: (at, length, 2, 0),
        lambda at, length: (at, length, 1, at),
        lambda at, length: (at, length, 1, (1 << 64) - 1),
        lambda _, length: ((1 << 64) - 1, length, 1, 0),
        lambda _, length: (0, length + (1 << 31), 1, 0),
        lambda at, length: (at, length, 0xFFFFFFFF, 0),
        lambda at, _: (at, 0, 1, 0),
    ],
    ids=range(10),
)
def test_footers_that_make_no_sense_are_damage(change: object) -> None:
    assert callable(change)
    record = codec.pack(trailer())
    footer = change(HEADER_SIZE + len(BODY), len(record) + TAG_SIZE)
    name, data = forged(record, footer=footer, body=BODY)
    with pytest.raises(DamagedRepository):
        parse_pack(name, data, KEYS)


def test_a_blob_that_is_not_its_id_is_damage() -> None:
    poisoned = replace(payload(Kind.DATA, [b"blob"]), ids=[BlobId(bytes(32))])
    info, pack = build_pack(Kind.DATA, [poisoned], KEYS, SESSION, ENTROPY)
    with pytest.raises(DamagedRepository, match="does not match its id"):
        contents(info.name, bytes(pack))


@pytest.mark.parametrize(
    ("data", "codec_", "raw"),
    [
        (b"abcd", Codec.RAW, 5),
        (b"abcd", Codec.RAW, 3),
        (b"abcd", Codec.ZSTD, 4),
        (COMPRESSOR.compress(bytes(1000)), Codec.ZSTD, 999),
        (COMPRESSOR.compress(bytes(1000)), Codec.ZSTD, 1001),
        (COMPRESSOR.compress(bytes(1000)), Codec.RAW, 1000),
        (b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 40) + b"\x01\0\0", Codec.ZSTD, 1 << 20),
        (b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 20) + b"\x01\0\0", Codec.ZSTD, 1 << 20),
    ],
    ids=range(8),
)
def test_a_segment_that_lies_about_its_length_is_damage(
    data: bytes, codec_: Codec, raw: int
) -> None:
    lie = Payload(data, codec_, raw, [BlobId(bytes(32))], [raw])
    info, pack = build_pack(Kind.DATA, [lie], KEYS, SESSION, ENTROPY)
    with pytest.raises(DamagedRepository, match="segment 0"):
        contents(info.name, bytes(pack))


def test_a_segment_that_claims_too_much_is_not_even_opened() -> None:
    info, _ = pack_of([b"blob"])
    opener = PackOpener(info.name, info.header, KEYS)
    claim = Segment(100, 20, SEGMENT_LIMIT + 1, Codec.ZSTD)
    with pytest.raises(DamagedRepository, match="claims"):
        opener.segment(0, claim, b"")


def test_a_trailer_is_parsed_for_a_pack_of_its_size_only() -> None:
    info, data = pack_of([b"blob"])
    opener = PackOpener(info.name, info.header, KEYS)
    offset, length, count, _ = opener.footer(data[-FOOTER_SIZE:])
    message = opener.trailer(data[offset : offset + length], count)
    assert parse_trailer(opener, info.header, info.size, message) == info
    with pytest.raises(DamagedRepository, match="impossible segment"):
        parse_trailer(opener, info.header, HEADER_SIZE + 1, message)
    with pytest.raises(DamagedRepository, match="trailer is damaged"):
        opener.trailer(data[offset : offset + length], count + 1)


@pytest.mark.parametrize("bits", range(0, 64, 7))
def test_a_filler_cannot_be_told_from_what_is_sealed(bits: int) -> None:
    """It is a key stream, so its bytes are as even as those of a segment."""
    stream = keyed_stream(bytes([bits]) * 32, b"filler", 1 << 16)
    ones = sum(byte.bit_count() for byte in stream)
    assert abs(ones - (1 << 18)) < 3000
