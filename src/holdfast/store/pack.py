"""Packs: many blobs in one sealed object (docs/format.md, "Packs").

::

    header | segment … segment | filler | trailer | footer

A segment is about one MiB of blobs, compressed as one frame and sealed as one message. The
trailer says where every blob is, the footer where the trailer is; both are sealed. The filler
brings the length to one of few sizes, so that it tells nothing about what is inside.

Everything here is a function of its arguments; storage is the packer's and the loader's.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from holdfast.errors import DamagedRepository, UnsupportedRepository
from holdfast.primitives import codec
from holdfast.primitives.compression import decompress
from holdfast.primitives.crypto import TAG_SIZE, Buffer, Domain, Forged, Opener, Sealer
from holdfast.primitives.hashing import DIGEST_SIZE, digest, keyed, keyed_stream
from holdfast.primitives.ids import ID_SIZE, BlobId, PackName, SessionId
from holdfast.store.keys import Keys

PACK_LIMIT = 128 << 20
"""Largest pack in bytes that is read."""

SEGMENT_LIMIT = 64 << 20
"""Largest segment in bytes, decoded, that is read."""

_MAGIC = b"HFPACK\r\n"
_VERSION = 1
_SYMMETRIC = 0
_HEADER = struct.Struct("<8sHHBBHI16s32s32s")
HEADER_SIZE = _HEADER.size
_FOOTER = struct.Struct("<QIIQ")
FOOTER_SIZE = _FOOTER.size + TAG_SIZE
_CONTEXT = struct.Struct("<IBBI")
_SEGMENT_ROW = struct.Struct("<IIII")
_BLOB_ROW = struct.Struct("<III")


class Kind(IntEnum):
    """What the blobs of a pack are. Each kind has its own key for ids."""

    DATA = 1
    TREE = 2


class Codec(IntEnum):
    """How a segment's blobs are encoded."""

    RAW = 0
    ZSTD = 1


class Segment(NamedTuple):
    """Where a segment is in its pack.

    Attributes:
        offset: of its sealed message, bytes from the pack's beginning.
        stored: length of the sealed message in bytes.
        raw: length of its blobs in bytes, one after another, decoded.
        codec: a `Codec` value.
    """

    offset: int
    stored: int
    raw: int
    codec: int


class Placed(NamedTuple):
    """Where a blob is in its pack: `length` bytes at `offset` of a segment, decoded."""

    id: BlobId
    segment: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class PackInfo:
    """What a pack's trailer says.

    Attributes:
        name: the pack's name.
        header: its first bytes, as they are.
        size: bytes in all.
        segments, blobs: what is where, in the order of the pack.
    """

    name: PackName
    header: bytes = field(repr=False)
    size: int
    segments: Sequence[Segment] = field(repr=False)
    blobs: Sequence[Placed] = field(repr=False)

    @property
    def kind(self) -> Kind:
        """What its blobs are."""
        return parse_header(self.header, self.name).kind


class PackHeader(NamedTuple):
    """A pack's header, checked."""

    kind: Kind
    epoch: int
    session: SessionId
    salt: bytes
    commitment: bytes


def object_name(pack: PackName) -> str:
    """Where a pack is stored."""
    return f"data/{pack[:2]}/{pack}"


def pack_name(content: Buffer, session: SessionId) -> PackName:
    """The name of a pack: the BLAKE3 of its bytes and the first digits of its session."""
    return PackName(f"{digest(content).hex()}-{session.hex()[:8]}")


def padded(length: int) -> int:
    """The PADMÉ size for a length (Nikitin et al., PoPETs 2019, algorithm 1): at most 12 % more.

    For packs of megabytes it adds about 1 %.
    """
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def _derive(keys: Keys, kind: int, epoch: int, session: bytes, salt: bytes) -> tuple[bytes, bytes]:
    context = b"".join(
        (keys.repository, epoch.to_bytes(4, "little"), bytes((kind, _SYMMETRIC)), session, salt)
    )
    stream = keyed_stream(keys.from_master(epoch, "pack"), context, 64)
    return stream[:32], stream[32:]


def _segment_context(header: bytes, ordinal: int, kind: int, codec_: int, raw: int) -> bytes:
    return header + _CONTEXT.pack(ordinal, kind, codec_, raw)


@dataclass(slots=True)
class Payload:
    """A segment that is encoded and not yet sealed."""

    data: bytes = field(repr=False)
    codec: Codec
    raw: int
    ids: list[BlobId] = field(repr=False)
    lengths: list[int] = field(repr=False)


def build_pack(
    kind: Kind, payloads: Sequence[Payload], keys: Keys, session: SessionId, entropy: bytes
) -> tuple[PackInfo, bytearray]:
    """Seal segments into a pack.

    Args:
        kind: what the blobs are.
        payloads: the segments in order, at least one.
        keys: of the repository.
        session: the writer's.
        entropy: 32 fresh random bytes.

    Returns:
        What is where, and the bytes to store under the pack's name.
    """
    segments, blobs = _layout(payloads)
    trailer = _encode_trailer(segments, blobs)
    digests = b"".join(digest(payload.data) for payload in payloads)
    salt = keyed(entropy, session + digests + digest(trailer))
    key, commitment = _derive(keys, kind, keys.epoch, session, salt)
    header = _HEADER.pack(
        _MAGIC, _VERSION, HEADER_SIZE, kind, _SYMMETRIC, 0, keys.epoch, session, salt, commitment
    )
    end = segments[-1].offset + segments[-1].stored
    tail = len(trailer) + TAG_SIZE + FOOTER_SIZE
    size = padded(end + tail)
    filler = size - end - tail
    pack = bytearray(size)
    view = memoryview(pack)
    view[:HEADER_SIZE] = header
    sealer = Sealer(key)
    for segment, payload in zip(segments, payloads, strict=True):
        out = view[segment.offset : segment.offset + segment.stored]
        ordinal = sealer.next_ordinal(Domain.SEGMENT)
        context = _segment_context(header, ordinal, kind, payload.codec, payload.raw)
        sealer.seal_into(out, Domain.SEGMENT, payload.data, context)
    view[end : end + filler] = keyed_stream(key, b"filler", filler)
    place = end + filler
    context = header + len(segments).to_bytes(4, "little")
    sealer.seal_into(view[place : size - FOOTER_SIZE], Domain.TRAILER, trailer, context)
    footer = _FOOTER.pack(place, len(trailer) + TAG_SIZE, len(segments), filler)
    sealer.seal_into(view[size - FOOTER_SIZE :], Domain.FOOTER, footer, header)
    view.release()
    return PackInfo(pack_name(pack, session), header, size, segments, blobs), pack


def _layout(payloads: Sequence[Payload]) -> tuple[list[Segment], list[Placed]]:
    segments: list[Segment] = []
    blobs: list[Placed] = []
    place = HEADER_SIZE
    for number, payload in enumerate(payloads):
        stored = len(payload.data) + TAG_SIZE
        segments.append(Segment(place, stored, payload.raw, payload.codec))
        place += stored
        offset = 0
        for blob, length in zip(payload.ids, payload.lengths, strict=True):
            blobs.append(Placed(blob, number, offset, length))
            offset += length
    return segments, blobs


def _encode_trailer(segments: Sequence[Segment], blobs: Sequence[Placed]) -> bytes:
    return codec.pack(
        {
            "blobs": b"".join(blob.id for blob in blobs),
            "places": b"".join(_BLOB_ROW.pack(*blob[1:]) for blob in blobs),
            "regions": [],
            "segments": b"".join(_SEGMENT_ROW.pack(*segment) for segment in segments),
        }
    )


def parse_header(header: bytes, name: PackName) -> PackHeader:
    """A pack's header.

    Raises:
        DamagedRepository: not a header, or another session's than the name says.
        UnsupportedRepository: of a newer version.
    """
    where = object_name(name)
    if len(header) < HEADER_SIZE:
        raise DamagedRepository(where, "too short")
    magic, version, size, kind, mode, _, epoch, session, salt, commitment = _HEADER.unpack_from(
        header
    )
    if magic != _MAGIC:
        raise DamagedRepository(where, "not a pack")
    if version != _VERSION or mode != _SYMMETRIC or size != HEADER_SIZE:
        raise UnsupportedRepository(f"{where}: a pack of version {version}, mode {mode}")
    if kind not in (Kind.DATA, Kind.TREE):
        raise DamagedRepository(where, f"unknown kind {kind}")
    if not name.endswith("-" + session.hex()[:8]):
        raise DamagedRepository(where, "its header is another session's")
    return PackHeader(Kind(kind), epoch, SessionId(session), salt, commitment)


class PackOpener:
    """Opens the segments of one pack. Safe to use from several threads."""

    def __init__(self, name: PackName, header: bytes, keys: Keys) -> None:
        """Derive the pack's key and compare its commitment.

        Raises:
            DamagedRepository: the header is damaged, or not of this repository.
        """
        parsed = parse_header(header, name)
        key, commitment = _derive(keys, parsed.kind, parsed.epoch, parsed.session, parsed.salt)
        if not hmac.compare_digest(commitment, parsed.commitment):
            raise DamagedRepository(object_name(name), "its header is damaged or forged")
        self.name = name
        self.kind = parsed.kind
        self._header = header[:HEADER_SIZE]
        self._key = key
        self._opener = Opener(key)

    def segment(self, ordinal: int, segment: Segment, sealed: Buffer) -> bytes:
        """The blobs of a segment, one after another.

        Raises:
            DamagedRepository: it does not open or decode; blobs are not verified here.
        """
        where = object_name(self.name)
        if segment.raw > SEGMENT_LIMIT:
            raise DamagedRepository(where, f"segment {ordinal} claims {segment.raw} bytes")
        context = _segment_context(self._header, ordinal, self.kind, segment.codec, segment.raw)
        try:
            data = self._opener.open(Domain.SEGMENT, ordinal, sealed, context)
            if segment.codec == Codec.ZSTD:
                data = decompress(data, segment.raw)
        except (Forged, ValueError) as error:
            raise DamagedRepository(
                where, f"segment {ordinal} is damaged{f' ({error})' if str(error) else ''}"
            ) from None
        if len(data) != segment.raw:
            raise DamagedRepository(where, f"segment {ordinal} has a wrong length")
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
        offset, length, segments, filler = _FOOTER.unpack(footer)
        return offset, length, segments, filler

    def trailer(self, sealed: Buffer, segments: int) -> bytes:
        """The trailer's plaintext."""
        context = self._header + segments.to_bytes(4, "little")
        try:
            return self._opener.open(Domain.TRAILER, 0, sealed, context)
        except Forged:
            raise DamagedRepository(object_name(self.name), "its trailer is damaged") from None


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
        case {"segments": bytes(rows), "blobs": bytes(ids), "places": bytes(places)} if (
            len(rows) % _SEGMENT_ROW.size == 0
            and len(ids) % ID_SIZE == 0
            and len(ids) // ID_SIZE * _BLOB_ROW.size == len(places)
        ):
            pass
        case _:
            raise DamagedRepository(where, "its trailer lacks fields")
    segments = [Segment(*row) for row in _SEGMENT_ROW.iter_unpack(rows)]
    blobs = [
        Placed(BlobId(ids[i * ID_SIZE : (i + 1) * ID_SIZE]), *row)
        for i, row in enumerate(_BLOB_ROW.iter_unpack(places))
    ]
    check_places(where, size, segments, blobs)
    return PackInfo(opener.name, header[:HEADER_SIZE], size, segments, blobs)


def check_places(
    where: str, size: int, segments: Sequence[Segment], blobs: Sequence[Placed]
) -> None:
    """Refuse segments outside their pack and blobs outside their segment.

    Raises:
        DamagedRepository: naming `where`.
    """
    for segment in segments:
        if not (
            HEADER_SIZE <= segment.offset
            and TAG_SIZE <= segment.stored <= size - segment.offset
            and segment.raw <= SEGMENT_LIMIT
            and segment.codec in (Codec.RAW, Codec.ZSTD)
        ):
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


def blob_key(keys: Keys, kind: Kind) -> bytes:
    """The key of the ids of this kind of blob."""
    return keys.from_dedup("tree id" if kind is Kind.TREE else "data id")


def read_pack(name: PackName, data: bytes, keys: Keys) -> Iterator[tuple[Placed, memoryview]]:
    """Every blob of a whole pack, each verified against its id, after the pack's own name was.

    Raises:
        DamagedRepository: at the first thing that is wrong; what was yielded before is good.
    """
    where = object_name(name)
    session_digits = name[2 * DIGEST_SIZE + 1 :]
    if f"{digest(data).hex()}-{session_digits}" != name:
        raise DamagedRepository(where, "its bytes do not match its name")
    info = parse_pack(name, data, keys)
    yield from verify_blobs(info, data, keys)


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


def verify_blobs(info: PackInfo, data: Buffer, keys: Keys) -> Iterator[tuple[Placed, memoryview]]:
    """Open every segment of a whole pack and yield every blob once it matches its id.

    Raises:
        DamagedRepository: at the first that does not.
    """
    view = memoryview(data)
    opener = PackOpener(info.name, info.header, keys)
    key = blob_key(keys, opener.kind)
    for ordinal, segment, blobs in blobs_by_segment(info):
        raw = opener.segment(
            ordinal, segment, view[segment.offset : segment.offset + segment.stored]
        )
        window = memoryview(raw)
        for blob in blobs:
            content = window[blob.offset : blob.offset + blob.length]
            if keyed(key, content) != blob.id:
                raise DamagedRepository(
                    object_name(info.name), f"blob {blob.id.hex()} does not match its id"
                )
            yield blob, content

