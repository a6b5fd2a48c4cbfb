"""Packs: many blobs in one sealed object (docs/format.md, "Packs").

::

    header | segment … segment | filler | trailer | footer

A segment is about two MiB of blobs, compressed as one frame and sealed as one message. The
trailer says where every blob is, the footer where the trailer is; both are sealed. The filler
brings the length to one of few sizes, so that it tells nothing about what is inside.

Making packs is here, reading them in `unpack`; both are functions of their arguments, and storage
is the packer's and the loader's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.crypto import TAG_SIZE, Buffer, Domain, Sealer
from holdfast.primitives.hashing import digest, keyed, keyed_stream
from holdfast.primitives.ids import ID_SIZE, BlobId, PackName, SessionId
from holdfast.store.keys import Keys

PACK_LIMIT = 128 << 20
"""Largest pack in bytes that is read."""

SEGMENT_LIMIT = 64 << 20
"""Largest segment in bytes, decoded, that is read."""

SEGMENT_BUFFER = (2 << 20) + TAG_SIZE
"""Bytes of a buffer that holds nearly every segment, decoded or sealed."""

PACK_MARGIN = 8 << 20
"""Bytes by which nearly every pack ends beyond its size at most: a segment, trailer and filler."""

_MAGIC = b"HFPACK\r\n"
_VERSION = 1
_SYMMETRIC = 0
_HEADER = struct.Struct("<8sHHBBHI16s32s32s")
HEADER_SIZE = _HEADER.size
FOOTER = struct.Struct("<QIIQ")
FOOTER_SIZE = FOOTER.size + TAG_SIZE
_CONTEXT = struct.Struct("<IBBI")
TRAILER_SEGMENT = struct.Struct("<IIII")
TRAILER_BLOB = struct.Struct("<III")
TRAILER_BLOB_SIZE = ID_SIZE + TRAILER_BLOB.size
"""Bytes that a blob takes in the trailer."""


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
        level: the zstd level that it was written at.
    """

    name: PackName
    header: bytes = field(repr=False)
    size: int
    segments: Sequence[Segment] = field(repr=False)
    blobs: Sequence[Placed] = field(repr=False)
    level: int = 0

    @property
    def kind(self) -> Kind:
        """What its blobs are."""
        return parse_header(self.header, self.name).kind


class PackHeader(NamedTuple):
    """A pack's header, checked."""

    kind: Kind
    session: SessionId
    salt: bytes
    commitment: bytes
    epoch: int


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


def derive_pack_key(
    keys: Keys, epoch: int, kind: int, session: bytes, salt: bytes
) -> tuple[bytes, bytes]:
    """The key of a pack and its commitment.

    Raises:
        NoMaster: the master of that epoch is not known.
    """
    context = b"".join(
        (
            keys.repository,
            epoch.to_bytes(4, "little"),
            bytes((kind, _SYMMETRIC)),
            session,
            salt,
        )
    )
    stream = keyed_stream(keys.from_master("pack", epoch), context, 64)
    return stream[:32], stream[32:]


def segment_context(header: bytes, ordinal: int, kind: int, codec_: int, raw: int) -> bytes:
    """The bytes that bind a segment to its place and to what it is."""
    return header + _CONTEXT.pack(ordinal, kind, codec_, raw)


@dataclass(slots=True)
class Payload:
    """A segment that is encoded and not yet sealed."""

    data: Buffer = field(repr=False)
    codec: Codec
    raw: int
    ids: list[BlobId] = field(repr=False)
    lengths: list[int] = field(repr=False)


def build_pack(  # noqa: PLR0913, PLR0917 - what a pack is made of, bundled nowhere else
    kind: Kind,
    payloads: Sequence[Payload],
    keys: Keys,
    session: SessionId,
    entropy: bytes,
    level: int = 0,
    buffers: BufferPool | None = None,
) -> tuple[PackInfo, memoryview]:
    """Seal segments into a pack.

    Args:
        kind: what the blobs are.
        payloads: the segments in order, at least one.
        keys: of the repository.
        session: the writer's.
        entropy: 32 fresh random bytes.
        level: the zstd level of the payloads, for the record.
        buffers: where the pack is made.

    Returns:
        What is where, and the bytes to store under the pack's name.
    """
    segments, blobs = _layout(payloads)
    trailer = encode_trailer(segments, blobs, level)
    digests = b"".join(digest(payload.data) for payload in payloads)
    salt = keyed(entropy, session + digests + digest(trailer))
    key, commitment = derive_pack_key(keys, keys.epoch, kind, session, salt)
    header = _HEADER.pack(
        _MAGIC, _VERSION, HEADER_SIZE, kind, _SYMMETRIC, 0, keys.epoch, session, salt, commitment
    )
    end = segments[-1].offset + segments[-1].stored
    tail = len(trailer) + TAG_SIZE + FOOTER_SIZE
    size = padded(end + tail)
    filler = size - end - tail
    view = memoryview(bytearray(size)) if buffers is None else buffers.take(size)
    view[:HEADER_SIZE] = header
    sealer = Sealer(key)
    for segment, payload in zip(segments, payloads, strict=True):
        out = view[segment.offset : segment.offset + segment.stored]
        ordinal = sealer.next_ordinal(Domain.SEGMENT)
        context = segment_context(header, ordinal, kind, payload.codec, payload.raw)
        sealer.seal_into(out, Domain.SEGMENT, payload.data, context)
    view[end : end + filler] = keyed_stream(key, b"filler", filler)
    place = end + filler
    context = header + len(segments).to_bytes(4, "little")
    sealer.seal_into(view[place : size - FOOTER_SIZE], Domain.TRAILER, trailer, context)
    footer = FOOTER.pack(place, len(trailer) + TAG_SIZE, len(segments), filler)
    sealer.seal_into(view[size - FOOTER_SIZE :], Domain.FOOTER, footer, header)
    return PackInfo(pack_name(view, session), header, size, segments, blobs, level), view


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


def encode_trailer(segments: Sequence[Segment], blobs: Sequence[Placed], level: int) -> bytes:
    """The plaintext of a trailer."""
    return codec.pack(
        {
            "blobs": b"".join(blob.id for blob in blobs),
            "level": level,
            "places": b"".join(TRAILER_BLOB.pack(*blob[1:]) for blob in blobs),
            "regions": [],
            "segments": b"".join(TRAILER_SEGMENT.pack(*segment) for segment in segments),
        }
    )


def parse_header(header: bytes, name: PackName) -> PackHeader:
    """A pack's header.

    A version or mode that is not ours is damage too: the config would have told of it.

    Raises:
        DamagedRepository: not a header, or another session's than the name says.
    """
    where = object_name(name)
    if len(header) < HEADER_SIZE:
        raise DamagedRepository(where, "too short")
    magic, version, size, kind, mode, zero, epoch, session, salt, commitment = _HEADER.unpack_from(
        header
    )
    if magic != _MAGIC:
        raise DamagedRepository(where, "not a pack")
    ours = (_VERSION, HEADER_SIZE, _SYMMETRIC, 0)
    if (version, size, mode, zero) != ours or kind not in (Kind.DATA, Kind.TREE):
        raise DamagedRepository(where, "its header is damaged")
    if not name.endswith("-" + session.hex()[:8]):
        raise DamagedRepository(where, "its header is another session's")
    return PackHeader(Kind(kind), SessionId(session), salt, commitment, epoch)


def is_possible(segment: Segment, size: int) -> bool:
    """Whether a pack of so many bytes can have that segment."""
    return (
        segment.offset >= HEADER_SIZE
        and TAG_SIZE <= segment.stored <= size - segment.offset
        and segment.raw <= SEGMENT_LIMIT
        and segment.codec in (Codec.RAW, Codec.ZSTD)
    )


def share(stored: int, raw: int, offset: int, length: int) -> int:
    """The bytes that a blob takes of its segment, as it is stored.

    In proportion to its length, and rounded so that the shares of all blobs of a segment add up to
    its stored length exactly.

    Args:
        stored: bytes of the segment as it is stored.
        raw: bytes of it decoded.
        offset: where the blob begins in it, decoded.
        length: of the blob.
    """
    if not raw:
        return 0
    start, end = min(offset, raw), min(offset + length, raw)
    return stored * end // raw - stored * start // raw


def blob_key(keys: Keys, kind: Kind) -> bytes:
    """The key of the ids of this kind of blob."""
    return keys.from_dedup("tree id" if kind is Kind.TREE else "data id")
