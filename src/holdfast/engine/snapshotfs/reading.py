"""The bytes of a file of a snapshot, at any place, for several threads at once."""

from __future__ import annotations

import io
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, repeat
from typing import Literal, NamedTuple, Protocol, TypeAlias

from holdfast.errors import (
    BackendError,
    DamagedRepository,
    HoldfastError,
    ObjectUnreadable,
    UsageError,
)
from holdfast.model.content import load_stretch
from holdfast.model.node import Item, Node, NodeType
from holdfast.model.path import printable
from holdfast.model.roles import BlobLoader, view_blob
from holdfast.model.walk import file_content
from holdfast.primitives.ids import BlobId

Errors: TypeAlias = Literal["raise", "skip"]
"""What becomes of damage: an error, or zeros in its place."""

Explain: TypeAlias = Callable[[HoldfastError], HoldfastError]
"""Makes the error that is raised of one that the repository gave."""

AHEAD = 16 << 20
"""Bytes from a read to the farthest piece that is asked for ahead of its use."""

MOST_AHEAD = 64
"""Most pieces that are asked for at once."""

STREAK = 3
"""Reads that have to follow one another until more is read than was asked for. Whoever reads
through a buffer needs two for one range, and is not to pay for what lies behind it."""

NEAR = 1 << 20
"""Bytes by which such reads may be off: those of a mount do not come in order."""

_LISTS = 4
"""Lists of blobs that a reader keeps, of up to 4096 items."""

_BLOBS = 16
"""Blobs that are kept verified; each holds its segment, of about 1 MiB."""

_ZEROS = bytes(1 << 16)


class Loader(BlobLoader, Protocol):
    """Where blobs are, and where what was announced can be called off."""

    def leave_out(self, blobs: Iterable[BlobId]) -> None:
        """Begin no more to read these, which were given to `prefetch`."""


class Blobs:
    """Verified blobs, of which the last ones are kept. Safe to use from several threads.

    Without it, who reads a large blob in small parts would pay for all of it each time.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self._left: deque[Collection[BlobId]] = deque()
        self._lock = threading.Lock()
        self._kept: OrderedDict[BlobId, memoryview] = OrderedDict()

    def view(self, blob: BlobId) -> memoryview:
        """The bytes of a blob, as `BlobLoader.load` gives them."""
        with self._lock:
            found = self._kept.get(blob)
            if found is not None:
                self._kept.move_to_end(blob)
                return found
        self._call_off()
        found = view_blob(self.loader, blob)
        with self._lock:
            self._kept[blob] = found
            if len(self._kept) > _BLOBS:
                self._kept.popitem(last=False)
        return found

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """See `BlobLoader.prefetch`."""
        self._call_off()
        self.loader.prefetch(blobs)

    def leave_out(self, blobs: Collection[BlobId]) -> None:
        """Call off what was announced, when the next blob is read or announced.

        It takes no lock: whatever holds one may be interrupted to collect garbage, and with it a
        file that was not closed.
        """
        if blobs:
            self._left.append(blobs)

    def _call_off(self) -> None:
        while self._left:
            with suppress(IndexError):  # another thread was faster
                self.loader.leave_out(self._left.popleft())

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()


class _Stretch(NamedTuple):
    """Neighbouring items of the file: where each begins, and where the last one ends."""

    begins: Sequence[int]
    items: Sequence[Item]
    damage: HoldfastError | None

    @property
    def end(self) -> int:
        return self.begins[-1]


class _Piece(NamedTuple):
    """A part of the file that is one blob, zeros, or lost."""

    begin: int
    item: Item
    damage: HoldfastError | None

    @property
    def length(self) -> int:
        return self.item if isinstance(self.item, int) else self.item[1]

    @property
    def end(self) -> int:
        return self.begin + self.length


class FileReader:
    """Reads one file at any place. Safe to use from several threads at once.

    Whoever reads in order gets what follows read ahead.

    Attributes:
        size: of the file in bytes.
    """

    def __init__(
        self,
        node: Node,
        blobs: Blobs,
        errors: Errors = "raise",
        *,
        check: Callable[[], object] = lambda: None,
        explain: Explain = lambda error: error,
    ) -> None:
        """Open a file.

        Args:
            node: the file.
            blobs: where its bytes are.
            errors: ``skip`` to read zeros where the repository is damaged.
            check: called before each read; raises when nothing can be read any more.
            explain: makes the error that is raised of damage.

        Raises:
            UsageError: it is no regular file, or `errors` is neither of the two.
        """
        if node.type != NodeType.FILE:
            raise UsageError(f"{printable(node.name)}: not a regular file")
        if errors not in {"raise", "skip"}:
            raise UsageError(f"errors={errors!r} makes no sense: choose 'raise' or 'skip'")
        self.size = node.size
        self._content = file_content(node)
        self._blobs = blobs
        self._skips = errors == "skip"
        self._check = check
        self._explain = explain
        self._lock = threading.Lock()
        self._stretches: list[_Stretch] = []
        self._skipped: dict[int, int] = {}
        self._next = self._run = self._streak = 0
        self._told = 0
        self._asked: dict[BlobId, None] = {}  # ahead of its use
        self._announced: dict[BlobId, None] = {}
        self._is_closed = False

    @property
    def skipped(self) -> Sequence[tuple[int, int]]:
        """Offset and length of what was damaged and was read as zeros, in order."""
        with self._lock:
            return sorted(self._skipped.items())

    def close(self) -> None:
        """Let go of memory; nothing can be read any more."""
        with self._lock:
            self._is_closed = True
            self._stretches.clear()
        self._blobs.leave_out(self._taken_back())

    def leave(self) -> None:
        """Call off what is read ahead, for now; whoever reads on gets it anew."""
        self._blobs.loader.leave_out(self._taken_back())

    def _taken_back(self) -> dict[BlobId, None]:
        with self._lock:
            left = self._asked | self._announced
            self._asked, self._announced = {}, {}
            self._streak = self._run = self._told = 0
        return left

    def read_at(self, offset: int, length: int) -> bytes:
        """So many bytes of the file from a place on; fewer only at its end.

        Raises:
            DamagedRepository: a blob is missing or damaged; `.object` names it or its pack.
            SnapshotNotFound: the snapshot was forgotten, and its data has been removed.
            BackendError: the storage fails.
            ValueError: the reader is closed, or the offset is negative.
        """
        end, far = self._begin(offset, length)
        output = io.BytesIO()
        for part, count in self._parts(offset, end, far):
            if part is None:
                _write_zeros(output, count)
            elif count == end - offset:
                return bytes(part)
            else:
                output.write(part)
        return output.getvalue()

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """As `read_at`, into memory that there is; returns how many bytes."""
        end, far = self._begin(offset, len(buffer))
        done = 0
        for part, count in self._parts(offset, end, far):
            buffer[done : done + count] = bytes(count) if part is None else part
            done += count
        return done

    def announce(self, offset: int, length: int) -> None:
        """Begin to read a part of the file that will be asked for soon."""
        self._ask(offset, min(offset + length, self.size), self._announced)

    def _begin(self, offset: int, length: int) -> tuple[int, int]:
        """Where a read ends, and how far it is worth to read ahead."""
        if self._is_closed:
            raise ValueError("I/O operation on closed file")
        if offset < 0:
            raise ValueError("a negative offset")
        self._check()
        end = min(offset + max(length, 0), self.size)
        with self._lock:
            near = NEAR if self._streak >= STREAK else 0
            if abs(offset - self._next) <= near:
                self._streak += 1
                self._run += end - offset
                self._next = max(self._next, end)
            else:
                self._streak, self._run, self._next = 0, 0, end
                self._told = 0
                left, self._asked = self._asked, {}
                self._blobs.leave_out(left)
            window = min(AHEAD, 2 * self._run) if self._streak >= STREAK else 0
        return end, min(end + window, self.size)

    def _parts(self, offset: int, end: int, far: int) -> Iterator[tuple[memoryview | None, int]]:
        """The bytes between two places, part by part, each with its length; None is zeros.

        What follows is read ahead, at most up to a third place.
        """
        for piece in self._pieces(offset, end):
            begin = max(self._told, piece.end)
            if begin < far and begin - piece.end < AHEAD // 2:
                self._told = self._ask(begin, min(piece.end + AHEAD, far), self._asked)
            data = self._load(piece)
            start, stop = max(offset - piece.begin, 0), min(end - piece.begin, piece.length)
            yield (None if data is None else data[start:stop]), stop - start

    def _ask(self, begin: int, end: int, asked: dict[BlobId, None]) -> int:
        """Begin to read what is between two places; returns how far that was done."""
        ahead: dict[BlobId, None] = {}
        told = begin
        with suppress(BackendError):  # of a list of blobs; the read itself will tell
            for piece in self._pieces(begin, end):
                if len(ahead) == MOST_AHEAD:
                    break
                if not isinstance(piece.item, int):
                    ahead[piece.item[0]] = None
                told = piece.end
        self._blobs.prefetch(ahead)
        with self._lock:
            asked.update(ahead)
        return told

    def _load(self, piece: _Piece) -> memoryview | None:
        """The bytes of a piece; None for zeros."""
        if isinstance(piece.item, int):
            if piece.damage is not None:
                self._skip(piece, piece.damage)
            return None
        try:
            return self._blob(*piece.item)
        except (DamagedRepository, ObjectUnreadable) as error:
            self._skip(piece, error)
            return None

    def _blob(self, blob: BlobId, length: int) -> memoryview:
        self._asked.pop(blob, None)
        self._announced.pop(blob, None)
        data = self._blobs.view(blob)
        if len(data) != length:
            raise DamagedRepository(
                f"blob {blob.hex()}", f"{len(data)} bytes where {length} belong"
            )
        return data

    def _skip(self, piece: _Piece, error: HoldfastError) -> None:
        """Go on without a piece, or say what is wrong with it."""
        told = self._explain(error)
        if not self._skips or told is not error:
            raise told from (None if told is error else error)
        with self._lock:
            self._skipped[piece.begin] = piece.length

    def _pieces(self, offset: int, end: int) -> Iterator[_Piece]:
        """The pieces that hold the bytes between two places, in order."""
        while offset < end:
            stretch = self._stretch(offset)
            first = bisect_right(stretch.begins, offset) - 1
            for index in range(first, len(stretch.items)):
                yield _Piece(stretch.begins[index], stretch.items[index], stretch.damage)
                offset = stretch.begins[index + 1]
                if offset >= end:
                    return

    def _stretch(self, offset: int) -> _Stretch:
        with self._lock:
            for known in self._stretches:
                if known.begins[0] <= offset < known.end:
                    return known
        begin, items, damage = load_stretch(self._content, self.size, self._blobs.loader, offset)
        lengths = (item if isinstance(item, int) else item[1] for item in items)
        found = _Stretch(list(accumulate(lengths, initial=begin)), items, damage)
        if damage is None:
            with self._lock:
                self._stretches.insert(0, found)
                del self._stretches[_LISTS:]
        return found


def _write_zeros(output: io.BytesIO, count: int) -> None:
    whole, rest = divmod(count, len(_ZEROS))
    output.writelines(repeat(_ZEROS, whole))
    output.write(_ZEROS[:rest])
