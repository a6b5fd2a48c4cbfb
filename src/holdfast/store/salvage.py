"""What can still be read of a damaged pack: every blob that matches its id, and nothing else.

Two may say what is where in a pack: the index, and the pack's own trailer. Both are tried, because
either may be what is damaged, and because bytes that came under a wrong name have a good trailer.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectNotFound, ObjectTruncated, ObjectUnreadable
from holdfast.primitives.hashing import digest, keyed
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store.keys import Keys
from holdfast.store.pack import (
    FOOTER_SIZE,
    HEADER_SIZE,
    PACK_LIMIT,
    Kind,
    Placed,
    Segment,
    blob_key,
    object_name,
    parse_header,
)
from holdfast.store.table import Table
from holdfast.store.unpack import PackOpener, blobs_by_segment, parse_trailer, tail_range

_log = logging.getLogger(__name__)

_DIGITS = 65
"""Length of what comes before the session's digits in a pack's name."""

_SESSION = slice(20, 24)
"""Where those digits come from in a header."""


@dataclass(slots=True)
class Account:
    """What a pack holds, as the index or the pack itself says.

    Attributes:
        name: of the pack; a pack under a wrong name is opened by the name that fits its header.
        header: the pack's.
        segments: by number and place in the pack, the blobs that they hold.
    """

    name: PackName
    header: bytes
    segments: dict[tuple[int, Segment], list[Placed]] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What its blobs are."""
        return parse_header(self.header, self.name).kind

    def blobs(self) -> Iterator[tuple[int, BlobId]]:
        """All that the pack holds, each with the number of its segment."""
        return (
            (ordinal, placed.id)
            for (ordinal, _), group in self.segments.items()
            for placed in group
        )


class Salvaged(NamedTuple):
    """A blob of a damaged pack that matches its id.

    Attributes:
        id: of the blob.
        kind: what it is.
        segment: its number in the pack: what was stored together may be again.
        content: the plaintext.
    """

    id: BlobId
    kind: Kind
    segment: int
    content: memoryview


def indexed(table: Table, packs: Collection[PackName]) -> dict[PackName, Account]:
    """What the index says of some packs; one pass over all rows."""
    numbers = {table.pack_number(name): name for name in packs}
    accounts = {
        number: Account(name, table.pack(number).header)
        for number, name in numbers.items()
        if number is not None
    }
    for blob, at in table.rows():
        account = accounts.get(at.pack)
        if account is not None:
            placed = Placed(blob, at.ordinal, at.offset, at.length)
            account.segments.setdefault((at.ordinal, at.segment), []).append(placed)
    return {account.name: account for account in accounts.values()}


def own_account(backend: Backend, keys: Keys, pack: PackName) -> Account | None:
    """What a pack says of itself; None when it is missing or not even that can be read.

    Raises:
        BackendError: the storage fails, or refuses.
    """
    where = object_name(pack)
    try:
        size = backend.stat(where)
        if not HEADER_SIZE + FOOTER_SIZE < size <= PACK_LIMIT:
            return None
        header = _read(backend, where, 0, HEADER_SIZE)
        name = PackName(pack[:_DIGITS] + header[_SESSION].hex())
        opener = PackOpener(name, header, keys)
        footer = _read(backend, where, size - FOOTER_SIZE, FOOTER_SIZE)
        offset, length, count, _ = tail_range(opener, size, footer)
        trailer = opener.trailer(_read(backend, where, offset, length), count)
        info = parse_trailer(opener, header, size, trailer)
    except ObjectNotFound:
        return None
    except DamagedRepository as error:
        _log.info("%s", error)
        return None
    segments = {(n, segment): blobs for n, segment, blobs in blobs_by_segment(info)}
    return Account(name, header, segments)


def is_as_stored(backend: Backend, pack: PackName) -> bool:
    """Whether a pack's bytes match its name."""
    try:
        data = _read(backend, object_name(pack), 0, None)
    except (DamagedRepository, ObjectNotFound):
        return False
    return digest(data).hex() == pack[: _DIGITS - 1]


def lacks_keys(backend: Backend, keys: Keys, pack: PackName, accounts: Sequence[Account]) -> bool:
    """Whether a pack cannot be opened, and is of an epoch whose master is not known.

    Args:
        backend: where the pack is.
        keys: of the repository.
        pack: its name.
        accounts: what is known of it; without any, its own header says of which epoch it is.

    Raises:
        BackendError: the storage fails, or refuses.
    """
    headers = [(each.name, each.header) for each in accounts]
    try:
        headers = headers or [(pack, _read(backend, object_name(pack), 0, HEADER_SIZE))]
        epochs = {parse_header(header, name).epoch for name, header in headers}
    except (DamagedRepository, ObjectNotFound) as error:
        _log.info("%s", error)
        return False
    return not any(epoch == keys.epoch or epoch in keys.older for epoch in epochs)


def salvage(
    backend: Backend, keys: Keys, pack: PackName, accounts: Sequence[Account]
) -> Iterator[Salvaged]:
    """Every blob of a pack that can be read and matches its id, each once, as long as needed.

    Args:
        backend: where the pack is.
        keys: of the repository.
        pack: its name.
        accounts: what may be where in it.

    Raises:
        BackendError: the storage fails, or refuses.
    """
    done: set[BlobId] = set()
    for account in accounts:
        try:
            opener = PackOpener(account.name, account.header, keys)
        except DamagedRepository as error:
            _log.info("%s", error)
            continue
        key = blob_key(keys, opener.kind)
        for (ordinal, segment), blobs in account.segments.items():
            if all(placed.id in done for placed in blobs):
                continue
            raw = _open(backend, object_name(pack), opener, ordinal, segment)
            for blob, _, offset, length in blobs:
                content = raw[offset : offset + length]
                if blob not in done and len(content) == length and keyed(key, content) == blob:
                    done.add(blob)
                    yield Salvaged(blob, opener.kind, ordinal, content)


def _open(
    backend: Backend, where: str, opener: PackOpener, ordinal: int, segment: Segment
) -> memoryview:
    """A segment's blobs; nothing when it is damaged. Read twice, as a wire may spoil it once."""
    for _ in range(2):
        try:
            sealed = _read(backend, where, segment.offset, segment.stored)
            return opener.segment(ordinal, segment, sealed)
        except DamagedRepository as error:
            _log.debug("%s", error)
        except ObjectNotFound:
            break
    return memoryview(b"")


def _read(backend: Backend, where: str, offset: int, length: int | None) -> bytes:
    """A part of a pack; that the storage refuses to read it is no sign that it is damaged."""
    try:
        return backend.get(where, offset, length)
    except (ObjectTruncated, ObjectUnreadable) as error:
        raise DamagedRepository(where, error.problem) from None
