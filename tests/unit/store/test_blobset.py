from __future__ import annotations

from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store.blobset import BlobSet
from holdfast.store.pack import HEADER_SIZE, PackInfo, Placed, Segment
from holdfast.store.table import Table

BLOBS = [BlobId(digest(bytes([number]))) for number in range(40)]
KNOWN, OTHERS = BLOBS[:30], BLOBS[30:]


def table() -> Table:
    found = Table()
    placed = [Placed(blob, 0, number * 10, number + 1) for number, blob in enumerate(KNOWN)]
    name = PackName("a" * 64 + "-" + "0" * 8)
    segments = [Segment(HEADER_SIZE, 1000, 1000, 0)]
    found.add_pack(PackInfo(name, bytes(HEADER_SIZE), 4096, segments, placed))
    return found


def test_a_blob_is_new_once_whether_the_table_knows_it_or_not() -> None:
    met = BlobSet(table())
    for number, blob in enumerate(BLOBS):
        assert [each in met for each in BLOBS] == [at < number for at in range(len(BLOBS))]
        assert met.add(blob)
        assert not met.add(blob)
    assert "text" not in met


def test_the_length_of_what_the_table_knows() -> None:
    met = BlobSet(table())
    for number, blob in enumerate(KNOWN):
        assert met.meet(blob) == met.meet(blob) == number + 1
        assert [each in met for each in KNOWN] == [at <= number for at in range(len(KNOWN))]
    assert [met.meet(blob) for blob in OTHERS] == [None] * len(OTHERS)
    assert not any(blob in met for blob in OTHERS)
