from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.model.roles import view_blob, view_blobs
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import MemoryBlobs

MISSING = BlobId(bytes(32))


class Views(MemoryBlobs):
    """A loader that need not copy; it reads from the last to the first."""

    def view(self, blob: BlobId) -> memoryview:
        return memoryview(self.blobs[blob])

    def views(self, blobs: Sequence[BlobId]) -> Iterator[tuple[int, memoryview | None]]:
        for position in reversed(range(len(blobs))):
            data = self.blobs.get(blobs[position])
            yield position, None if data is None else memoryview(data)


def seen(blobs: MemoryBlobs, wanted: Sequence[BlobId]) -> list[tuple[int, bytes | None]]:
    return [
        (position, None if view is None else bytes(view))
        for position, view in view_blobs(blobs, wanted)
    ]


def test_any_loader_gives_views() -> None:
    blobs = MemoryBlobs()
    wanted = [blobs.add(b"one"), MISSING, blobs.add(b"two")]
    assert bytes(view_blob(blobs, wanted[0])) == b"one"
    assert seen(blobs, wanted) == [(0, b"one"), (1, None), (2, b"two")]
    assert blobs.hinted == wanted


def test_a_loader_that_need_not_copy_is_asked_for_its_own_views() -> None:
    blobs = Views()
    wanted = [blobs.add(b"one"), MISSING, blobs.add(b"two")]
    assert bytes(view_blob(blobs, wanted[0])) == b"one"
    assert seen(blobs, wanted) == [(2, b"two"), (1, None), (0, b"one")]
    assert (blobs.loaded, blobs.hinted) == ([], [])
