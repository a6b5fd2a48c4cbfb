"""Chunks, packs and the index: F16 to F29 of docs/format.md."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyfastcdc import FastCDC
from tests.compat import reader
from tests.compat.making import (
    assert_both_read,
    assert_both_refuse,
    commit,
    entry,
    flip,
    names,
    new_repository,
    new_store,
    noise,
    objects,
    opened,
    page,
    reopened,
    save,
    told_by_reader,
)

import holdfast
from holdfast.primitives import codec, hashing
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.crypto import Buffer
from holdfast.primitives.ids import BlobId, PackName, SessionId
from holdfast.store import Writer
from holdfast.store.index import decode_index, encode_index
from holdfast.store.keys import Keys
from holdfast.store.pack import (
    Codec,
    Kind,
    PackInfo,
    Payload,
    Placed,
    Segment,
    blob_key,
    build_pack,
    padded,
)
from holdfast.store.unpack import parse_pack, read_pack

MIB = 1 << 20
SESSION = SessionId(bytes(range(16)))
CHUNKER = ChunkerParams("pyfastcdc", 16 << 10, 64 << 10, 256 << 10)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of one file of two blobs, and so a pack of each kind."""
    place = tmp_path_factory.mktemp("repository")

    def make(writer: Writer) -> BlobId:
        items = [[save(writer, b"first" * 100), 500], [save(writer, noise(700)), 700]]
        return page(writer, 0, [entry(b"file", 1, [0, items], 1200)])

    commit(new_store(place), make)
    return place


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    return shutil.copytree(original, tmp_path / "copy")


def packs_of(place: Path) -> dict[str, bytes]:
    """The packs by their names without the folder, those of data first."""
    packs = {name[8:]: data for name, data in objects(place).items() if name.startswith("data/")}
    return dict(sorted(packs.items(), key=lambda item: item[1][12]))


def store_pack(place: Path, info: PackInfo, pack: Buffer, keys: Keys) -> None:
    """Add a pack, and an index object that tells of it."""
    path = place / "data" / info.name[:2] / info.name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(pack)
    name = "index/" + info.name[:32]
    (place / "index").mkdir(exist_ok=True)
    (place / name).write_bytes(encode_index(name, [info], keys))


def payload(data: bytes, keys: Keys, kind: Kind = Kind.DATA) -> Payload:
    """One blob as a segment of its own, raw."""
    return Payload(data, Codec.RAW, len(data), [id_of(data, keys, kind)], [len(data)])


def id_of(data: bytes, keys: Keys, kind: Kind = Kind.DATA) -> BlobId:
    return BlobId(hashing.keyed(blob_key(keys, kind), data))


def with_segment(place: Path, segment: Payload, kind: Kind = Kind.DATA) -> None:
    """Make a repository whose one file is the blob in this segment."""
    store = new_store(place)
    keys = store.keys
    segment.ids[:] = [BlobId(hashing.keyed(blob_key(keys, kind), blob)) for blob in segment.ids]
    info, pack = build_pack(kind, [segment], keys, SESSION, bytes(32))
    store_pack(place, info, pack, keys)
    commit(store, lambda w: page(w, 0, [entry(b"file", 1, segment.ids[0], segment.lengths[0])]))


def packed(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


# Chunks


def lengths_of(place: Path) -> list[int]:
    """Of the one file of a repository the lengths of its blobs; of its holes, negative."""
    (told,) = told_by_reader(place).values()
    found = next(found for found, _ in told.values() if found["type"] == reader.FILE)
    items = reader.want(reader.row(found["payload"], 2)[1], list)
    return [
        -item if isinstance(item, int) else reader.want(reader.row(item, 2)[1], int)
        for item in items
    ]


def cut(place: Path, data: bytes) -> list[int]:
    seed = int.from_bytes(reader.derive(reopened(place).keys.dedup, "chunker seed")[:8], "little")
    chunker = FastCDC(
        CHUNKER.avg_size,
        min_size=CHUNKER.min_size,
        max_size=CHUNKER.max_size,
        normalized_chunking=1,
        seed=seed & (1 << 63) - 1,
    )
    return [chunk.length for chunk in chunker.cut_buf(data)]


@pytest.mark.format("F16")
def test_a_file_is_cut_by_fastcdc_with_the_seed_of_the_repository(tmp_path: Path) -> None:
    data = noise(20 * MIB)  # more than is read at a time
    (tmp_path / "file").write_bytes(data)
    for place in (tmp_path / "one", tmp_path / "two"):
        new_repository(place, chunker=CHUNKER).backup(tmp_path / "file")
        assert lengths_of(place) == cut(place, data)
    assert lengths_of(tmp_path / "one") != lengths_of(tmp_path / "two")


@pytest.mark.format("F17")
def test_what_lies_between_holes_is_cut_by_itself(tmp_path: Path) -> None:
    parts = [noise(MIB, b"1"), noise(2 * MIB, b"2")]
    with (tmp_path / "file").open("wb") as file:
        file.truncate(6 * MIB)
        for at, part in zip((MIB, 4 * MIB), parts, strict=True):
            file.seek(at)
            file.write(part)
    place = tmp_path / "repo"
    new_repository(place, chunker=CHUNKER).backup(tmp_path / "file")
    first, second = (cut(place, part) for part in parts)
    assert lengths_of(place) == [-MIB, *first, -2 * MIB, *second]


# Packs


@pytest.mark.format("F18", "F25")
def test_a_pack_is_checked_without_a_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(noise(3 * MIB))
    snapshot = new_repository(tmp_path / "repo").backup(tmp_path / "file").snapshot
    assert snapshot is not None
    packs = packs_of(tmp_path / "repo")
    assert len(packs) >= 3
    for name, data in packs.items():
        assert (tmp_path / "repo/data" / name[:2] / name).exists()
        assert name == f"{hashing.digest(data).hex()}-{snapshot.id[:8]}"
        assert data[20:36].hex() == snapshot.id


@pytest.mark.format("F18")
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("at", [0, 8, 10, 12, 13, 14, 16, 20, 40, 80, 110, -60, -1])
def test_a_pack_that_was_changed_is_refused(place: Path, which: int, at: int) -> None:
    name = list(packs_of(place))[which]
    flip(place, f"data/{name[:2]}/{name}", at)
    with pytest.raises(reader.RefusedError):
        told_by_reader(place)
    assert reopened(place).scrub_pack(PackName(name)) is not None


@pytest.mark.format("F18", "F19", "F21", "F23", "F24")
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("at", [0, 8, 10, 12, 13, 14, 16, 20, 40, 80, 110, -60, -1])
def test_a_pack_that_was_changed_and_renamed_is_refused(place: Path, which: int, at: int) -> None:
    # The name is no secret; that the pack is the repository's, its keys tell.
    name, data = list(packs_of(place).items())[which]
    forged = bytearray(data)
    forged[at] ^= 1
    new = PackName(f"{hashing.digest(forged).hex()}-{forged[20:24].hex()}")
    keys = reopened(place).keys
    with pytest.raises(reader.RefusedError):
        segments_of(new, bytes(forged), keys)
    with pytest.raises(holdfast.DamagedRepository):
        list(read_pack(new, bytes(forged), keys))
    list(read_pack(PackName(name), data, keys))
    segments_of(name, data, keys)


def segments_of(name: str, data: bytes, keys: Keys) -> list[bytes]:
    pack = reader.Pack(name, data, pack_key(keys), keys.repository)
    return [pack.segment(number) for number in range(len(pack.segments))]


def pack_key(keys: Keys) -> bytes:
    return reader.derive(keys.master, "pack")


@pytest.mark.format("F18")
def test_the_session_of_a_name_and_of_a_header_agree(place: Path) -> None:
    keys = reopened(place).keys
    name, data = next(iter(packs_of(place).items()))
    other = PackName(name[:65] + "00000000")
    with pytest.raises(reader.RefusedError, match="name of a pack"):
        reader.Pack(other, data, pack_key(keys), keys.repository)
    with pytest.raises(holdfast.DamagedRepository, match="session"):
        list(read_pack(other, data, keys))


@pytest.mark.format("F19")
def test_a_pack_of_another_repository_is_refused(place: Path) -> None:
    keys = reopened(place).keys
    twin = Keys(bytes(16), 0, keys.dedup, keys.master)
    info, pack = build_pack(Kind.DATA, [payload(b"1", twin)], twin, SESSION, bytes(32))
    with pytest.raises(reader.RefusedError, match="commitment"):
        reader.Pack(info.name, bytes(pack), pack_key(keys), keys.repository)
    with pytest.raises(holdfast.DamagedRepository):
        list(read_pack(info.name, bytes(pack), keys))


@pytest.mark.format("F19", "F20", "F21", "F22", "F23", "F24")
def test_a_pack_byte_by_byte() -> None:
    keys = Keys(bytes(16), 0, bytes(32), b"\1" * 32)
    raw = b"compressible " * 50
    frame = zstandard.compress(raw)
    compressed = Payload(frame, Codec.ZSTD, len(raw), [id_of(raw, keys)], [len(raw)])
    segments = [payload(b"first", keys), compressed]
    info, pack = build_pack(Kind.DATA, segments, keys, SESSION, b"\2" * 32)
    data = bytes(pack)
    header = data[:100]
    fixed = b"HFPACK\r\n" + bytes([1, 0, 100, 0, 1, 0, 0, 0, 0, 0, 0, 0]) + SESSION
    assert header[:36] == fixed
    about = bytes(16) + bytes(4) + bytes([1, 0]) + SESSION + header[36:68]
    both = reader.keyed(reader.derive(keys.master, "pack"), about, 64)
    assert both[32:] == header[68:]
    aead = AESGCM(both[:32])

    def context(ordinal: int, codec_: int, length: int) -> bytes:
        number, size = ordinal.to_bytes(4, "little"), length.to_bytes(4, "little")
        return header + number + bytes([1, codec_]) + size

    first = aead.decrypt(b"segm" + bytes(8), data[100:121], context(0, 0, 5))
    end = 121 + len(frame) + 16
    second = aead.decrypt(b"segm\1" + bytes(7), data[121:end], context(1, 1, len(raw)))
    assert (first, second) == (b"first", frame)
    footer = aead.decrypt(b"foot" + bytes(8), data[-40:], header)
    offset, filler = int.from_bytes(footer[:8], "little"), int.from_bytes(footer[16:], "little")
    length = int.from_bytes(footer[8:12], "little")
    assert (footer[12:16], offset + length + 40) == (b"\2\0\0\0", len(data))
    assert data[end:offset] == reader.keyed(both[:32], b"filler", filler)
    trailer = aead.decrypt(b"trlr" + bytes(8), data[offset:-40], header + b"\2\0\0\0")

    def numbers(*values: int) -> bytes:
        return b"".join(value.to_bytes(4, "little") for value in values)

    assert codec.unpack(trailer) == {
        "segments": numbers(100, 21, 5, 0, 121, len(frame) + 16, len(raw), 1),
        "blobs": id_of(b"first", keys) + id_of(raw, keys),
        "places": numbers(0, 0, 5, 1, 0, len(raw)),
        "regions": (),
        "level": 0,
    }
    digests = hashing.digest(b"first") + hashing.digest(frame) + hashing.digest(trailer)
    assert header[36:68] == hashing.keyed(b"\2" * 32, SESSION + digests)
    assert parse_pack(info.name, data, keys) == info


@pytest.mark.format("F20")
def test_different_packs_have_different_keys_even_with_the_same_random_bytes() -> None:
    keys = Keys(bytes(16), 0, bytes(32), b"\1" * 32)
    one, two = payload(b"one", keys), payload(b"two", keys)
    made = [[one], [two], [one, two], [two, one], [one, one]]
    headers = {build_pack(Kind.DATA, p, keys, SESSION, bytes(32))[0].header for p in made}
    headers.add(build_pack(Kind.DATA, [one], keys, SessionId(bytes(16)), bytes(32))[0].header)
    headers.add(build_pack(Kind.DATA, [one], keys, SESSION, b"\1" * 32)[0].header)
    headers.add(build_pack(Kind.TREE, [one], keys, SESSION, bytes(32))[0].header)
    assert len({header[68:] for header in headers}) == len(made) + 3


@dataclass(frozen=True)
class Shape:
    """How a pack of one segment differs from a good one, though it is sealed with its key."""

    header: tuple[int, int] = (0, ord("H"))  # a place below 36, and the byte there
    gap: int = 0  # bytes between header and segment
    shift: int = 0  # added to the segment's offset in the trailer
    behind: int = 0  # bytes between trailer and footer
    filler: bytes | None = None
    longer: int = 0  # steps of the padding by which the filler is too long
    told_filler: int = 0  # added to the length of the filler in the footer
    count: int = 1
    record: tuple[tuple[str, object], ...] = ()


def sealed_pack(keys: Keys, shape: Shape) -> tuple[PackName, bytes]:
    head = bytearray(b"HFPACK\r\n" + bytes([1, 0, 100, 0, 1, 0, 0, 0, 0, 0, 0, 0]) + SESSION)
    head[shape.header[0]] = shape.header[1]
    about = keys.repository + bytes(head[16:20]) + bytes(head[12:14]) + SESSION + bytes(32)
    both = reader.keyed(pack_key(keys), about, 64)
    header = bytes(head) + bytes(32) + both[32:]
    aead = AESGCM(both[:32])
    context = header + bytes(4) + bytes([head[12], 0]) + packed(4)
    body = header + bytes(shape.gap) + aead.encrypt(b"segm" + bytes(8), b"1234", context)
    record = {
        "segments": packed(100 + shape.gap + shape.shift, 20, 4, 0),
        "blobs": id_of(b"1234", keys),
        "places": packed(0, 0, 4),
        "regions": [],
        "level": 0,
    } | dict(shape.record)
    count = packed(shape.count)
    trailer = aead.encrypt(b"trlr" + bytes(8), codec.pack(record), header + count)
    plain = len(body) + len(trailer) + 40
    step = padded(padded(plain) + 1) - padded(plain)
    size = padded(plain) - plain + shape.longer * step
    good = reader.keyed(both[:32], b"filler", size)
    filler = good if shape.filler is None else shape.filler * size
    told = (len(filler) + shape.told_filler).to_bytes(8, "little")
    start = (len(body) + len(filler)).to_bytes(8, "little")
    footer = start + packed(len(trailer)) + count + told
    sealed = aead.encrypt(b"foot" + bytes(8), footer, header)
    data = body + filler + trailer + bytes(shape.behind) + sealed
    return PackName(f"{hashing.digest(data).hex()}-{SESSION.hex()[:8]}"), data


BAD_SHAPES = {
    "magic": Shape(header=(7, 0)),
    "version": Shape(header=(8, 2)),
    "length of the header": Shape(header=(10, 99)),
    "kind": Shape(header=(12, 3)),
    "no kind": Shape(header=(12, 0)),
    "mode": Shape(header=(13, 1)),
    "what is 0": Shape(header=(14, 1)),
    "a byte before the footer": Shape(behind=1),
    "two segments": Shape(count=2),
    "another place of the segment": Shape(shift=1),
    "half a place": Shape(record=(("places", packed(0, 0)),)),
    "a place too much": Shape(record=(("places", packed(0, 0, 4, 0, 4, 0)),)),
    "an id too much": Shape(record=(("blobs", bytes(64)),)),
    "a place in no segment": Shape(record=(("places", packed(1, 0, 4)),)),
    "a place beyond the segment": Shape(record=(("places", packed(0, 0, 5)),)),
    "ids that are text": Shape(record=(("blobs", "text"),)),
}
LAX_SHAPES = {
    "no segments": Shape(count=0, record=(("segments", b""), ("blobs", b""), ("places", b""))),
    "a gap": Shape(gap=1),
    "another filler": Shape(filler=b"\0"),
    "a filler that is too long": Shape(longer=1),
    "a filler of another length": Shape(told_filler=-1),
    "a place before the end": Shape(record=(("places", packed(0, 0, 3)),)),
}
"""What writers must not do, and what hurts no reader that does not look."""


@pytest.mark.format("F19", "F21", "F22", "F23", "F24")
def test_a_pack_that_was_sealed_by_hand_is_accepted(place: Path) -> None:
    keys = reopened(place).keys
    name, data = sealed_pack(keys, Shape())
    assert segments_of(name, data, keys) == [b"1234"]
    assert [bytes(content) for _, content in read_pack(name, data, keys)] == [b"1234"]


@pytest.mark.format("F22", "F23", "F24", "F25")
@pytest.mark.parametrize("case", [*BAD_SHAPES, *LAX_SHAPES])
def test_packs_of_a_bad_shape_are_refused(place: Path, case: str) -> None:
    keys = reopened(place).keys
    name, data = sealed_pack(keys, {**BAD_SHAPES, **LAX_SHAPES}[case])
    with pytest.raises(reader.RefusedError):
        segments_of(name, data, keys)
    if case in BAD_SHAPES:
        with pytest.raises(holdfast.DamagedRepository):
            list(read_pack(name, data, keys))


FRAME = zstandard.compress(bytes(100))

BAD_SEGMENTS = {
    "no frame": (b"no frame of zstd", Codec.ZSTD),
    "a frame of less": (zstandard.compress(bytes(99)), Codec.ZSTD),
    "a frame of more": (zstandard.compress(bytes(101)), Codec.ZSTD),
    "two frames": (FRAME + zstandard.compress(b""), Codec.ZSTD),
    "more than a frame": (FRAME + b"\0", Codec.ZSTD),
    "half a frame": (FRAME[:-1], Codec.ZSTD),
    "a frame that states no length": (
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100)),
        Codec.ZSTD,
    ),
    # One byte for its length, after 4 of magic and 1 of flags: it states the 100 of a frame of 99.
    "a frame that lies": (
        b"".join((zstandard.compress(bytes(99))[:5], b"d", zstandard.compress(bytes(99))[6:])),
        Codec.ZSTD,
    ),
    "raw and less": (bytes(99), Codec.RAW),
    "raw and more": (bytes(101), Codec.RAW),
    "a frame said to be raw": (FRAME, Codec.RAW),
}


@pytest.mark.format("F21")
@pytest.mark.parametrize("case", BAD_SEGMENTS)
def test_bad_segments_are_refused(tmp_path: Path, case: str) -> None:
    data, codec_ = BAD_SEGMENTS[case]
    with_segment(tmp_path, Payload(data, codec_, 100, [BlobId(bytes(100))], [100]))
    assert_both_refuse(tmp_path)


@pytest.mark.format("F21")
def test_good_segments_of_both_codecs_are_accepted(tmp_path: Path) -> None:
    for number, (data, codec_) in enumerate(((FRAME, Codec.ZSTD), (bytes(100), Codec.RAW))):
        place = tmp_path / str(number)
        with_segment(place, Payload(data, codec_, 100, [BlobId(bytes(100))], [100]))
        (told,) = assert_both_read(place).values()
        assert told[b"file"][1] == bytes(100)


@pytest.mark.format("F21", "F25")
@pytest.mark.parametrize(("size", "fits"), [(64 * MIB, True), (64 * MIB + 1, False)])
def test_a_segment_has_at_most_64_mib(tmp_path: Path, size: int, fits: bool) -> None:
    frame = zstandard.compress(bytes(size))
    with_segment(tmp_path, Payload(frame, Codec.ZSTD, size, [BlobId(bytes(size))], [size]))
    if fits:
        assert_both_read(tmp_path)
    else:
        assert_both_refuse(tmp_path)


@pytest.mark.format("F5")
def test_a_blob_that_is_not_its_ids_is_refused(tmp_path: Path) -> None:
    with_segment(tmp_path, Payload(b"another", Codec.RAW, 7, [BlobId(b"content")], [7]))
    assert_both_refuse(tmp_path)


@pytest.mark.format("F22")
def test_the_padded_sizes() -> None:
    for length in [*range(128, 5000), *(MIB + 7919 * step for step in range(2000))]:
        exponent = length.bit_length() - 1
        zeros = exponent - exponent.bit_length()
        assert padded(length) % (1 << zeros) == 0
        assert length <= padded(length) < length + (1 << zeros)
        assert padded(length) <= length * 1.12


@pytest.mark.format("F22")
def test_packs_are_of_padded_sizes() -> None:
    keys = Keys(bytes(16), 0, bytes(32), b"\1" * 32)
    fillers: list[int] = []
    for size in range(1, 20_000, 257):
        info, pack = build_pack(Kind.DATA, [payload(noise(size), keys)], keys, SESSION, bytes(32))
        found = reader.Pack(info.name, bytes(pack), pack_key(keys), keys.repository)
        assert found.segment(0) == noise(size)
        bits = len(pack).bit_length() - 1
        assert len(pack) % (1 << bits - bits.bit_length()) == 0
        fillers.append(len(pack) - size)
    assert len(set(fillers)) > 20


@pytest.mark.format("F25")
def test_what_shares_a_segment(tmp_path: Path) -> None:
    groups = [("large", 0), ("large", 1), ("small", 0), ("small", 1)]
    blobs: dict[bytes, tuple[str, int]] = {}
    store = new_store(tmp_path, pack_size=96 * MIB)
    with store.writer({}) as writer:
        for number in range(320):
            group = groups[number % 4]
            data = noise(40_000, b"%d" % number)
            blobs[writer.save_data(memoryview(data), group)] = group
            writer.save_tree(b"tree %d" % number)
        sizes = (2 * MIB, 2 * MIB + 1)
        whole = [writer.save_data(memoryview(noise(size)), groups[0]) for size in sizes]
        writer.flush()
    repository = opened(tmp_path)
    sharing: dict[tuple[str, int], set[bytes]] = {}
    kinds = Counter(repository.pack(name).kind for name in repository.packs)
    for name in repository.packs:
        for blob, pack, _, _, number, (_, _, raw, _), _, _ in repository.pack(name).places:
            sharing.setdefault((pack, number), set()).add(blob)
            assert raw <= 2 * MIB or blob in whole
    assert kinds == {1: 1, 2: 1}
    for together in sharing.values():
        assert len({blobs.get(blob) for blob in together}) == 1
        assert len(together) == 1 or not together & set(whole)
    assert max(len(together) for together in sharing.values() if together & blobs.keys()) == 52


@pytest.mark.format("F25")
def test_a_large_file_and_a_small_one_share_no_segment(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/large").write_bytes(noise(512 << 10))
    (tmp_path / "source/small").write_bytes(noise((512 << 10) - 1, b"1"))
    (tmp_path / "source/tiny").write_bytes(b"1")
    place = tmp_path / "repo"
    new_repository(place, chunker=CHUNKER).backup(tmp_path / "source")
    repository = opened(place)
    (told,) = told_by_reader(place).values()
    segments: dict[bytes, set[tuple[str, int]]] = {}
    for path, (found, content) in told.items():
        if content:
            ids = content_ids(found["payload"])
            places = [repository.places[blob][0] for blob in ids]
            segments[path.rpartition(b"/")[2]] = {(place[1], place[4]) for place in places}
    assert segments[b"small"] == segments[b"tiny"]
    assert not segments[b"large"] & segments[b"small"]


def content_ids(payload: reader.Value) -> list[bytes]:
    if isinstance(payload, bytes):
        return [payload]
    items = reader.want(reader.row(payload, 2)[1], list)
    return [reader.want(reader.row(item, 2)[0], bytes) for item in items]


@pytest.mark.format("F25")
def test_a_pack_has_at_most_128_mib(place: Path) -> None:
    name = next(iter(packs_of(place)))
    path = place / "data" / name[:2] / name
    with path.open("r+b") as file:
        file.truncate(128 * MIB + 1)
    with pytest.raises(reader.RefusedError, match="too large"):
        opened(place).pack(name)
    damage = reopened(place).scrub_pack(PackName(name))
    assert damage is not None
    assert "134217729 bytes" in damage.problem


# Index


def made_up(count: int, keys: Keys) -> PackInfo:
    """What a pack of so many blobs would be."""
    info, _ = build_pack(Kind.DATA, [payload(b"1", keys)], keys, SESSION, bytes(32))
    ids = [BlobId(noise(32, b"%d" % (number // 3))) for number in range(count)]
    blobs = [Placed(id_, number % 2, number, 1) for number, id_ in enumerate(ids)]
    segments = [Segment(100, 50, count, 0), Segment(150, 60, count, 1)]
    return PackInfo(info.name, info.header, 1 << 20, segments, blobs)


@pytest.mark.format("F26", "F27", "F28")
def test_an_index_of_several_pages(place: Path) -> None:
    keys = reopened(place).keys
    name = "index/" + "0" * 32
    info = made_up(70_000, keys)
    (place / name).write_bytes(encode_index(name, [info], keys))
    found = opened(place).index(name)
    expected = {
        (blob, info.name, info.header, info.size, segment, info.segments[segment], offset, length)
        for blob, segment, offset, length in info.blobs
    }
    assert len(found) == 70_000
    assert {place[0]: place for place in found}.keys() == {blob.id for blob in info.blobs}
    assert {(*row[:5], Segment(*row[5]), *row[6:]) for row in found} == expected
    decoded = decode_index(name, (place / name).read_bytes(), keys)
    assert decoded.ids == b"".join(row[0] for row in found)


@pytest.mark.format("F26", "F27", "F28")
def test_an_index_byte_by_byte(place: Path) -> None:
    keys = reopened(place).keys
    name = "index/" + "0" * 32
    info = made_up(65_537, keys)
    data = encode_index(name, [info], keys)
    assert data[:16] == b"HFOBJECT" + bytes([1, 0, 48, 0, 0, 0, 0, 0])
    aead = AESGCM(reader.keyed(reader.derive(keys.master, "object index"), data[16:48]))
    about = data[:52] + name.encode() + b"\0" + keys.repository
    end = 52 + int.from_bytes(data[48:52], "little")
    rows = sorted((blob, (segment, offset, length)) for blob, segment, offset, length in info.blobs)
    head = codec.unpack(aead.decrypt(b"obj\0" + bytes(8), data[52:end], about))
    assert head == {
        "packs": ((info.name, info.header, info.size),),
        "segments": packed(0, 100, 50, 65_537, 0, 0, 150, 60, 65_537, 256 + 1),
        "pages": ((65_536, rows[0][0]), (1, rows[-1][0])),
    }
    second = end + 65_536 * 44 + 16
    page_ = aead.decrypt(b"page\1" + bytes(7), data[second:], about)
    assert page_ == rows[-1][0] + packed(*rows[-1][1])
    first = aead.decrypt(b"page" + bytes(8), data[end:second], about)
    assert first[: 32 * 65_536] == b"".join(id_ for id_, _ in rows[:-1])
    assert first[32 * 65_536 :][:12] == packed(*rows[0][1])


@pytest.mark.format("F12", "F26")
@pytest.mark.parametrize("at", [0, 8, 9, 16, 48, 52, 60, -1])
def test_an_index_that_was_changed_is_refused(place: Path, at: int) -> None:
    name = names(place, "index")[0]
    flip(place, name, at)
    with pytest.raises(reader.RefusedError):
        opened(place).index(name)
    with pytest.raises(holdfast.DamagedRepository):
        decode_index(name, (place / name).read_bytes(), reopened(place).keys)


BAD_INDEXES: dict[str, dict[str, object]] = {
    "a segment of no pack": {"segments": packed(1, 100, 20, 4, 0)},
    "half a segment": {"segments": packed(0, 100, 20, 4)},
    "a place in no segment": {"place": packed(1, 0, 4)},
    "rows in no order": {"ids": [b"\2" * 32, b"\1" * 32]},
    "a page of no rows": {"pages": [[0, b"\1" * 32]]},
    "a page too little": {"pages": []},
    "a page too much": {"pages": [[1, b"\1" * 32], [1, b"\1" * 32]]},
    "a row too much": {"pages": [[2, b"\1" * 32]]},
    "no packs": {"packs": None},
    "a page of 65,537 rows": {"ids": [b"\1" * 32] * 65_537},
}


@pytest.mark.format("F27", "F28")
@pytest.mark.parametrize("case", ["nothing", *BAD_INDEXES])
def test_bad_indexes_are_refused(place: Path, case: str) -> None:
    keys = reopened(place).keys
    name = "index/" + "0" * 32
    data = index_object(name, keys, dict(BAD_INDEXES.get(case, {})))
    (place / name).write_bytes(data)
    if case == "nothing":
        assert len(opened(place).index(name)) == 1
        assert len(decode_index(name, data, keys).ids) == 32
        return
    with pytest.raises(reader.RefusedError):
        opened(place).index(name)
    with pytest.raises(holdfast.DamagedRepository):
        decode_index(name, data, keys)


@pytest.mark.format("F27")
def test_the_first_id_of_a_page_is_told(place: Path) -> None:
    name = "index/" + "0" * 32
    data = index_object(name, reopened(place).keys, {"pages": [[1, bytes(32)]]})
    (place / name).write_bytes(data)
    with pytest.raises(reader.RefusedError, match="a page of an index"):
        opened(place).index(name)


@pytest.mark.format("F27", "F29")
@pytest.mark.parametrize("case", ["nothing", "size", "header", "segment", "place"])
def test_an_index_that_differs_from_the_trailers_is_noticed(place: Path, case: str) -> None:
    store = reopened(place)
    shutil.rmtree(place / "index")
    (place / "index").mkdir()
    for number, (name, data) in enumerate(packs_of(place).items()):
        info = store.read_trailer(PackName(name), len(data))
        changed = {
            "nothing": info,
            "size": replace(info, size=info.size + 1),
            "header": replace(info, header=info.header[:-1] + b"\0"),
            "segment": replace(info, segments=[info.segments[0]._replace(raw=info.size)]),
            "place": replace(info, blobs=[b._replace(length=b.length + 1) for b in info.blobs]),
        }[case]
        index = f"index/{number:032x}"
        (place / index).write_bytes(encode_index(index, [changed], store.keys))
    if case == "nothing":
        assert_both_read(place)
    else:
        with pytest.raises(reader.RefusedError, match="no good place"):
            told_by_reader(place)


def index_object(name: str, keys: Keys, changes: dict[str, object]) -> bytes:
    """An index object of one pack and one row, but for the changes."""
    info, _ = build_pack(Kind.DATA, [payload(b"1234", keys)], keys, SESSION, bytes(32))
    ids = changes.pop("ids", [b"\1" * 32])
    assert isinstance(ids, list)
    place = changes.pop("place", packed(0, 0, 4))
    assert isinstance(place, bytes)
    head = codec.pack(
        {
            "packs": [[info.name, info.header, info.size]],
            "segments": packed(0, 100, 20, 4, 0),
            "pages": [[len(ids), ids[0]]],
        }
        | changes
    )
    header = b"HFOBJECT" + bytes([1, 0, 48, 0, 0, 0, 0, 0]) + bytes(32)
    aead = AESGCM(reader.keyed(reader.derive(keys.master, "object index"), bytes(32)))
    start = header + (len(head) + 16).to_bytes(4, "little")
    about = start + name.encode() + b"\0" + keys.repository
    rows = b"".join(ids) + place * len(ids)
    return (
        start
        + aead.encrypt(b"obj\0" + bytes(8), head, about)
        + aead.encrypt(b"page" + bytes(8), rows, about)
    )


@pytest.mark.format("F29")
def test_the_index_agrees_with_the_trailers(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(noise(5 * MIB))
    new_repository(tmp_path / "repo", chunker=CHUNKER).backup(tmp_path / "file")
    repository = opened(tmp_path / "repo")
    told = {place for places in repository.places.values() for place in places}
    trailers = {place for name in repository.packs for place in repository.pack(name).places}
    assert told == trailers
    assert len(told) > 20


@pytest.mark.format("F29")
def test_an_index_can_be_made_again_of_the_trailers(place: Path) -> None:
    expected = told_by_reader(place)
    store = reopened(place)
    infos = [
        store.read_trailer(PackName(name), len(data)) for name, data in packs_of(place).items()
    ]
    shutil.rmtree(place / "index")
    assert_both_refuse(place)
    name = "index/" + "0" * 32
    (place / "index").mkdir()
    (place / name).write_bytes(encode_index(name, infos, store.keys))
    assert assert_both_read(place) == expected


@pytest.mark.format("F29")
def test_entries_of_an_absent_pack_are_ignored(place: Path) -> None:
    expected = told_by_reader(place)
    store = reopened(place)
    infos = [
        store.read_trailer(PackName(name), len(data)) for name, data in packs_of(place).items()
    ]
    # All blobs in packs that come first, and are gone.
    for number, info in enumerate(infos):
        gone = PackInfo(
            PackName("0" * 56 + info.name[56:]), info.header, info.size, info.segments, info.blobs
        )
        name = f"index/{number:032x}"
        (place / name).write_bytes(encode_index(name, [gone], store.keys))
    assert assert_both_read(place) == expected


@pytest.mark.format("F29")
def test_of_several_places_a_good_one_is_found(place: Path) -> None:
    expected = told_by_reader(place)
    store = reopened(place)
    for name, data in packs_of(place).items():
        info = store.read_trailer(PackName(name), len(data))
        segments = [
            Payload(
                opened(place).pack(name).segment(number),
                Codec.RAW,
                segment.raw,
                [blob.id for blob in info.blobs if blob.segment == number],
                [blob.length for blob in info.blobs if blob.segment == number],
            )
            for number, segment in enumerate(info.segments)
        ]
        copy, pack = build_pack(info.kind, segments, store.keys, SESSION, bytes(32))
        store_pack(place, copy, pack, store.keys)
    assert all(len(places) == 2 for places in opened(place).places.values())
    objects_ = [f"data/{name[:2]}/{name}" for name in packs_of(place)]
    for name in objects_:
        data = (place / name).read_bytes()
        flip(place, name, 110)
        assert assert_both_read(place) == expected
        (place / name).unlink()
        assert assert_both_read(place) == expected
        (place / name).write_bytes(data)
