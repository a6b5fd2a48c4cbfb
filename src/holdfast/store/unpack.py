"""Reading packs: everything is opened and checked before a word of it is believed."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.compression import decompress
from holdfast.primitives.crypto import TAG_SIZE, Buffer, Domain, Forged, Opener
from holdfast.primitives.hashing import DIGEST_SIZE, digest, keyed, keyed_stream
from holdfast.primitives.ids import ID_SIZE, BlobId, PackName
from holdfast.store.keys import Keys, NoMaster
from holdfast.store.objects import NewerKeys
from holdfast.store.pack import (
    FOOTER,
    FOOTER_SIZE,
    HEADER_SIZE,
    PACK_LIMIT,
    SEGMENT_LIMIT,
    TRAILER_BLOB,
    TRAILER_SEGMENT,
    Codec,
    PackHeader,
    PackInfo,
    Placed,
    Segment,
    blob_key,
    derive_pack_key,
    is_possible,
    object_name,
    parse_header,
    segment_context,
)


class PackOpener:
    """Opens the segments of one pack. Safe to use from several threads."""

    def __init__(self, name: PackName, header: bytes, keys: Keys) -> None:
        """Derive the pack's key and compare its commitment.

        Raises:
            DamagedRepository: the header is damaged, or not of this repository, or the keys of
                its epoch are not known.
        """
        parsed = parse_header(header, name)
        key, commitment = _key_of(parsed, keys, object_name(name))
        if not hmac.compare_digest(commitment, parsed.commitment):
            raise DamagedRepository(object_name(name), "its header is damaged or forged")
        self.name = name
        self.kind = parsed.kind
        self._header = header[:HEADER_SIZE]
        self._key = key
        self._opener = Opener(key)

    def segment(
        self, ordinal: int, segment: Segment, sealed: Buffer, buffers: BufferPool | None = None
    ) -> memoryview:
        """The blobs of a segment, one after another, in a buffer of the pool if there is one.

        Raises:
            DamagedRepository: it does not open or decode; blobs are not verified here.
        """
        where = object_name(self.name)
        if segment.raw > SEGMENT_LIMIT:
            raise DamagedRepository(where, f"segment {ordinal} claims {segment.raw} bytes")
        if segment.codec != Codec.ZSTD and len(sealed) != segment.raw + TAG_SIZE:
            raise DamagedRepository(where, f"segment {ordinal} has a wrong length")
        context = segment_context(self._header, ordinal, self.kind, segment.codec, segment.raw)
        take = _fresh if buffers is None else buffers.take
        data = take(max(len(sealed) - TAG_SIZE, 0))
        try:
            self._opener.open_into(data, Domain.SEGMENT, ordinal, sealed, context)
            if segment.codec == Codec.ZSTD:
                data = decompress(data, segment.raw, take)
        except (Forged, ValueError) as error:
            raise DamagedRepository(
                where, f"segment {ordinal} is damaged{f' ({error})' if str(error) else ''}"
            ) from None
        return data

    def filler(self, length: int) -> bytes:
        """What a filler of that length holds."""
        return keyed_stream(self._key, b"filler", length)

    def footer(self, sealed: Buffer) -> tuple[int, int, int, int]:
        """Offset and length of the trailer, number of segments, length of the filler."""
        try:
            footer = self._opener.open(Domain.FOOTER, 0, sealed, self._header)
        except Forged:
            raise DamagedRepository(object_name(self.name), "its footer is damaged") from None
        offset, length, segments, filler = FOOTER.unpack(footer)
        return offset, length, segments, filler

    def trailer(self, sealed: Buffer, segments: int) -> bytes:
        """The trailer's plaintext."""
        context = self._header + segments.to_bytes(4, "little")
        try:
            return self._opener.open(Domain.TRAILER, 0, sealed, context)
        except Forged:
            raise DamagedRepository(object_name(self.name), "its trailer is damaged") from None


def _fresh(size: int) -> memoryview:
    return memoryview(bytearray(size))


def _key_of(header: PackHeader, keys: Keys, where: str) -> tuple[bytes, bytes]:
    if header.epoch > keys.epoch:
        raise NewerKeys(where, header.epoch, keys.config)
    try:
        return derive_pack_key(keys, header.epoch, header.kind, header.session, header.salt)
    except NoMaster as error:
        raise DamagedRepository(where, str(error)) from None


def tail_range(opener: PackOpener, size: int, footer: Buffer) -> tuple[int, int, int, int]:
    """Where the trailer is: offset, length, number of segments, length of the filler.

    Raises:
        DamagedRepository: the footer is damaged or says something impossible.
    """
    offset, length, segments, filler = opener.footer(footer)
    if offset + length + FOOTER_SIZE != size or offset < HEADER_SIZE + filler:
        raise DamagedRepository(object_name(opener.name), "its footer and its size disagree")
    return offset, length, segments, filler


def parse_trailer(opener: PackOpener, header: bytes, size: int, trailer: bytes) -> PackInfo:
    """What is where in a pack, checked for sense.

    Raises:
        DamagedRepository: something impossible.
    """
    where = object_name(opener.name)
    try:
        record = codec.unpack(trailer)
    except ValueError as error:
        raise DamagedRepository(where, f"its trailer: {error}") from None
    match record:
        case {
            "segments": bytes(rows),
            "blobs": bytes(ids),
            "places": bytes(places),
            "level": int(level),
        } if (
            len(rows) % TRAILER_SEGMENT.size == 0
            and len(ids) % ID_SIZE == 0
            and len(ids) // ID_SIZE * TRAILER_BLOB.size == len(places)
        ):
            pass
        case _:
            raise DamagedRepository(where, "its trailer lacks fields")
    segments = [Segment(*row) for row in TRAILER_SEGMENT.iter_unpack(rows)]
    blobs = [
        Placed(BlobId(ids[i * ID_SIZE : (i + 1) * ID_SIZE]), *row)
        for i, row in enumerate(TRAILER_BLOB.iter_unpack(places))
    ]
    check_places(where, size, segments, blobs)
    return PackInfo(opener.name, header[:HEADER_SIZE], size, segments, blobs, level)


def check_places(
    where: str, size: int, segments: Sequence[Segment], blobs: Sequence[Placed]
) -> None:
    """Refuse segments outside their pack and blobs outside their segment.

    Raises:
        DamagedRepository: naming `where`.
    """
    for segment in segments:
        if not is_possible(segment, size):
            raise DamagedRepository(where, f"an impossible segment {tuple(segment)}")
    for blob in blobs:
        if blob.segment >= len(segments) or (
            blob.offset + blob.length > segments[blob.segment].raw
        ):
            raise DamagedRepository(where, f"an impossible place for blob {blob.id.hex()}")


def blobs_by_segment(info: PackInfo) -> Iterator[tuple[int, Segment, list[Placed]]]:
    """The segments of a pack in order, each with its blobs."""
    groups: list[list[Placed]] = [[] for _ in info.segments]
    for blob in info.blobs:
        groups[blob.segment].append(blob)
    for ordinal, segment in enumerate(info.segments):
        yield ordinal, segment, groups[ordinal]


def read_pack(
    name: PackName, data: Buffer, keys: Keys, buffers: BufferPool | None = None
) -> Iterator[tuple[Placed, memoryview]]:
    """Every blob of a whole pack, each verified against its id, after the pack's own name was.

    Raises:
        DamagedRepository: at the first thing that is wrong; what was yielded before is good.
    """
    check_name(name, data)
    info = parse_pack(name, data, keys)
    yield from verify_blobs(info, data, keys, buffers)


def check_name(name: PackName, data: Buffer) -> None:
    """Refuse a pack whose bytes are not those that it is named after.

    Raises:
        DamagedRepository: they are not.
    """
    session_digits = name[2 * DIGEST_SIZE + 1 :]
    if f"{digest(data).hex()}-{session_digits}" != name:
        raise DamagedRepository(object_name(name), "its bytes do not match its name")


def parse_pack(name: PackName, data: Buffer, keys: Keys) -> PackInfo:
    """What is where in a whole pack, by its own trailer.

    Raises:
        DamagedRepository: header, trailer or footer are damaged.
    """
    if not HEADER_SIZE + FOOTER_SIZE < len(data) <= PACK_LIMIT:
        raise DamagedRepository(object_name(name), f"an impossible size of {len(data)} bytes")
    view = memoryview(data)
    header = bytes(view[:HEADER_SIZE])
    opener = PackOpener(name, header, keys)
    offset, length, count, _ = tail_range(opener, len(data), view[-FOOTER_SIZE:])
    trailer = opener.trailer(view[offset : offset + length], count)
    info = parse_trailer(opener, header, len(data), trailer)
    if len(info.segments) != count:
        raise DamagedRepository(object_name(name), "its footer and its trailer disagree")
    return info


def verify_blobs(
    info: PackInfo, data: Buffer, keys: Keys, buffers: BufferPool | None = None
) -> Iterator[tuple[Placed, memoryview]]:
    """Open every segment of a whole pack and yield every blob once it matches its id.

    Args:
        info: what is where.
        data: the pack.
        keys: of the repository.
        buffers: to decode segments into.

    Raises:
        DamagedRepository: at the first that does not.
    """
    view = memoryview(data)
    opener = PackOpener(info.name, info.header, keys)
    key = blob_key(keys, opener.kind)
    for ordinal, segment, blobs in blobs_by_segment(info):
        sealed = view[segment.offset : segment.offset + segment.stored]
        raw = opener.segment(ordinal, segment, sealed, buffers)
        for blob in blobs:
            content = raw[blob.offset : blob.offset + blob.length]
            if keyed(key, content) != blob.id:
                raise DamagedRepository(
                    object_name(info.name), f"blob {blob.id.hex()} does not match its id"
                )
            yield blob, content
