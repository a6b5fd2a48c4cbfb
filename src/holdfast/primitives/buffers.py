"""Memory that is used again: large buffers whose pages are not given back after each use.

A fresh MiB costs a page fault for every 4 KiB, and threads' arenas give it back as soon as it is
free: on data that hardly compresses, that was half of all processor time. A pool's buffers lie in
huge pages where the system has them, and return to the pool by themselves when the last
`memoryview` of them is gone: nobody can give one back too early.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections import deque
from contextlib import suppress
from typing import Final

_SLOTS: Final = 8
_SLAB: Final = 32 << 20
"""Most buffers that are mapped together, and bytes of more than one."""

_ALIGN: Final = mmap.PAGESIZE
_HUGE: Final[int | None] = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux only


class BufferPool:
    """Buffers of one size. Safe to use from several threads.

    The memory is given back to the system when the pool and the last of its buffers are gone.
    """

    def __init__(self, size: int) -> None:
        """Begin with none.

        Args:
            size: bytes of a buffer.
        """
        self._size = -(-size // _ALIGN) * _ALIGN
        self._type = ctypes.c_ubyte * self._size
        self._free: deque[tuple[mmap.mmap, int]] = deque()

    def take(self, size: int) -> memoryview:
        """A buffer of so many bytes, with anything in it; one larger than the pool's is a new one.

        It is taken back when nothing refers to it, or to a part of it, any more.
        """
        if size > self._size:
            return memoryview(bytearray(size))
        try:
            slab, offset = self._free.pop()
        except IndexError:
            try:
                slab, offset = self._grow()
            except OSError:  # a limit on address space
                return memoryview(bytearray(size))
        slot = self._type.from_buffer(slab, offset)
        weakref.finalize(slot, self._free.append, (slab, offset)).atexit = False
        return memoryview(slot).cast("B")[:size]

    def _grow(self) -> tuple[mmap.mmap, int]:
        """Map more; returns one of the new buffers."""
        # Private: a forked child must never write into the parent's buffers.
        count = max(1, min(_SLOTS, _SLAB // self._size))
        slab = mmap.mmap(-1, self._size * count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if _HUGE is not None:
            with suppress(OSError):  # a kernel without them
                slab.madvise(_HUGE)
        self._free.extend((slab, number * self._size) for number in range(1, count))
        return slab, 0
