"""Targets: packs and index objects, of any parts that are sealed properly."""

from __future__ import annotations

import struct

import zstandard
from tests.fuzz.engine import Target
from tests.fuzz.forging import (
    KEYS,
    NAME,
    PACK,
    SESSION,
    NotForged,
    checked,
    message_of,
    record_of,
)
from tests.fuzz.mutate import mutate_msgpack

from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.crypto import TAG_SIZE, Domain, Sealer
from holdfast.primitives.hashing import digest, keyed, keyed_stream
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store.envelope import ObjectType, bound_to, new_sealer
from holdfast.store.index import IndexObject, decode_index, encode_index, encode_object
from holdfast.store.pack import (
    _HEADER,
    FOOTER,
    HEADER_SIZE,
    Codec,
    Kind,
    PackInfo,
    Payload,
    blob_key,
    build_pack,
    derive_pack_key,
    encode_trailer,
    pack_name,
    segment_context,
)
from holdfast.store.table import Table
from holdfast.store.unpack import parse_pack, read_pack


def sound_pack() -> tuple[PackInfo, memoryview]:
    blobs = [b"one", b"two and more", bytes(3000)]
    ids = [BlobId(keyed(blob_key(KEYS, Kind.DATA), blob)) for blob in blobs]
    frame = zstandard.ZstdCompressor().compress(blobs[2])
    payloads = [
        Payload(b"".join(blobs[:2]), Codec.RAW, 15, ids[:2], [3, 12]),
        Payload(frame, Codec.ZSTD, 3000, ids[2:], [3000]),
    ]
    return build_pack(Kind.DATA, payloads, KEYS, SESSION, b"e" * 32)


def pack_seed() -> bytes:
    """All that a pack is made of, as `forged_pack` takes it."""
    info, _ = sound_pack()
    frame = zstandard.ZstdCompressor().compress(bytes(3000))
    trailer = codec.unpack(encode_trailer(info.segments, info.blobs, info.level))
    return codec.pack(
        {
            "kind": int(Kind.DATA),
            "segments": [[b"onetwo and more", 0, 15], [frame, 1, 3000]],
            "filler": 5,
            "trailer": trailer,
            "footer": [None, None, None, None],
        }
    )


def forged_pack(data: bytes) -> bytes:
    """A pack of any segments, filler, trailer and footer, sealed properly (NotForged)."""
    match record_of(data):
        case {
            "kind": int(kind),
            "segments": tuple(segments),
            "filler": int(filler),
            "trailer": trailer,
            "footer": (offset, length, count, gap),
        } if 0 <= kind < 256 and 0 <= filler < 1 << 16:
            pass
        case _:
            raise NotForged
    salt = b"z" * 32
    key, commitment = derive_pack_key(KEYS, KEYS.epoch, kind, SESSION, salt)
    header = _HEADER.pack(
        b"HFPACK\r\n", 1, HEADER_SIZE, kind, 0, 0, KEYS.epoch, SESSION, salt, commitment
    )
    sealer = Sealer(key)
    parts = [header]
    for number, segment in enumerate(segments):
        match segment:
            case (bytes(payload), int(codec_), int(raw)) if (
                0 <= codec_ < 256 and 0 <= raw < 1 << 32
            ):
                context = segment_context(header, number, kind, codec_, raw)
                parts.append(sealer.seal(Domain.SEGMENT, payload, context))
            case _:
                raise NotForged
    parts.append(keyed_stream(key, b"filler", filler))
    place = sum(map(len, parts))
    said = message_of(trailer)
    numbers = [place, len(said) + TAG_SIZE, len(segments), filler]
    told = [
        ours if theirs is None else theirs
        for ours, theirs in zip(numbers, (offset, length, count, gap), strict=True)
    ]
    if not all(isinstance(each, int) for each in told):
        raise NotForged
    try:
        context = header + int(told[2]).to_bytes(4, "little")
        footer = FOOTER.pack(*told)
    except (OverflowError, struct.error) as error:
        raise NotForged from error
    parts.append(sealer.seal(Domain.TRAILER, said, context))
    parts.append(sealer.seal(Domain.FOOTER, footer, header))
    return b"".join(parts)


def try_pack(data: bytes) -> None:
    pack = forged_pack(data)
    name = pack_name(pack, SESSION)
    try:
        info = parse_pack(name, pack, KEYS)
        blobs = list(read_pack(name, pack, KEYS))
    except DamagedRepository as error:
        raise checked(error) from None
    finally:
        _try_in_table(name, pack)
    key = blob_key(KEYS, info.kind)
    for placed, content in blobs:
        assert keyed(key, content) == placed.id
        assert len(content) == placed.length
    again = codec.unpack(encode_trailer(info.segments, info.blobs, info.level))
    assert isinstance(again, dict)


def _try_in_table(name: PackName, pack: bytes) -> None:
    """What the trailer says goes into an index, and comes out as it was."""
    try:
        info = parse_pack(name, pack, KEYS)
    except DamagedRepository:
        return
    where = f"index/{NAME}"
    if len(info.segments) < 1 << 24:
        _use(decode_index(where, encode_index(where, [info], KEYS), KEYS))


# Index objects


def index_seed() -> bytes:
    """The head and the pages of an index object, as `forged_index` takes them."""
    name = f"index/{NAME}"
    index = decode_index(name, encode_index(name, [sound_pack()[0]], KEYS), KEYS)
    head = {
        "packs": list(index.packs),
        "pages": [(index.rows, bytes(index.ids[:32]))],
        "segments": bytes(index.segments),
        "removed": [PACK],
    }
    return codec.pack({"head": head, "pages": [bytes(index.ids + index.places)]})


def forged_index(data: bytes) -> bytes:
    """An index object of any head and pages, sealed properly (NotForged)."""
    match record_of(data):
        case {"head": head, "pages": tuple(pages)} if all(isinstance(p, bytes) for p in pages):
            pass
        case _:
            raise NotForged
    said = message_of(head)
    bound = bound_to(f"index/{NAME}", KEYS)
    header, sealer = new_sealer(ObjectType.INDEX, KEYS, bound + digest(said))
    length = (len(said) + TAG_SIZE).to_bytes(4, "little")
    context = header + length + bound
    parts = [header, length, sealer.seal(Domain.OBJECT, said, context)]
    parts += [sealer.seal(Domain.PAGE, page, context) for page in pages]
    return b"".join(parts)


def try_index(data: bytes) -> None:
    name = f"index/{NAME}"
    try:
        index = decode_index(name, forged_index(data), KEYS)
    except DamagedRepository as error:
        raise checked(error) from None
    again = decode_index(name, encode_object(name, index, KEYS), KEYS)
    assert bytes(again.ids) == bytes(index.ids)
    assert bytes(again.places) == bytes(index.places)
    assert bytes(again.segments) == bytes(index.segments)
    assert list(again.packs) == list(index.packs)
    assert again.removed == index.removed
    _use(index)


def _use(index: IndexObject) -> None:
    """Look up all that an index object tells of."""
    table = Table()
    table.add_objects([index, index])
    sizes = {row.name: row.size for row in index.packs}
    for at in range(0, len(index.ids), 32):
        blob = BlobId(bytes(index.ids[at : at + 32]))
        for location in table.locate(blob):
            pack = table.pack(location.pack)
            segment = location.segment
            assert pack.name not in index.removed
            assert segment.offset + segment.stored <= sizes[pack.name]
        table.sizes(blob)
    table.flatten()
    assert sum(1 for _ in table.rows()) <= 2 * index.rows
    table.segment_columns()


TARGETS = (
    Target("pack", lambda _: try_pack, lambda: [pack_seed()], mutate_msgpack, (NotForged,)),
    Target("index", lambda _: try_index, lambda: [index_seed()], mutate_msgpack, (NotForged,)),
)
