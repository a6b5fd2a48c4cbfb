"""Verifying packs before they are stored: what cannot be read back is never reported as stored.

Encoder bugs and bad memory have destroyed backups elsewhere (restic 0.16.4). A finished pack is
opened and decoded as a restore would do it, and every blob compared with its id.

That takes a few calls for every blob, in which the threads of one process only wait for one
another, so packs of many blobs go to a process of their own. Its word is taken when it is good.
When it is not, or there is none, the pack is verified here.
"""

from __future__ import annotations

import gc
import threading
from collections import deque
from typing import Final, cast

from holdfast.errors import DamagedRepository
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.child import Child, can_start, connected, receive, receive_into, send
from holdfast.primitives.crypto import Buffer
from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import PackName
from holdfast.store.keys import Keys, KeysRow
from holdfast.store.pack import SEGMENT_BUFFER, PackInfo, encode_trailer, object_name
from holdfast.store.unpack import check_name, parse_pack, verify_blobs

MANY: Final = 256
"""Blobs from which on a pack goes to the other process."""

WORTH_IT: Final = 8 << 20
"""Bytes of a pack of many blobs after which the process is started: more will follow."""

READY_WAIT: Final = 0.0
"""Seconds to wait for a process that was started: none, the pack is verified here meanwhile."""


def verify_pack(
    info: PackInfo, pack: Buffer, keys: Keys, buffers: BufferPool | None = None
) -> None:
    """Read a finished pack as a restore would, before it is stored.

    Args:
        info: what it should be.
        pack: its bytes.
        keys: of the repository.
        buffers: to decode segments into.

    Raises:
        DamagedRepository: what would be stored is not what was given.
    """
    try:
        same = parse_pack(info.name, pack, keys) == info
        problem = "" if same else "its trailer reads back differently"
        deque(verify_blobs(info, pack, keys, buffers), maxlen=0)
    except DamagedRepository as error:
        problem = error.problem
    if problem:
        raise DamagedRepository(
            object_name(info.name),
            f"{problem}, found before it was stored",
            "nothing wrong was stored: this machine's memory or a library is faulty",
        )


class Verifier:
    """Verifies packs for several threads.

    Args:
        keys: of the repository.
        buffers: to decode segments into.
    """

    def __init__(self, keys: Keys, buffers: BufferPool) -> None:
        self._keys = keys
        self._buffers = buffers
        self._lock = threading.Lock()
        self._child: Child | None = None

    def verify(self, info: PackInfo, pack: memoryview) -> None:
        """See `verify_pack`."""
        if len(info.blobs) < MANY or not self._is_good(info, pack):
            verify_pack(info, pack, self._keys, self._buffers)

    def close(self) -> None:
        """End the process, when no thread verifies any more."""
        if self._child is not None:
            self._child.close()

    def _is_good(self, info: PackInfo, pack: memoryview) -> bool:
        """Whether the other process says that it is; not so when it does not answer."""
        with self._lock:
            if self._child is None:
                if info.size < WORTH_IT or not can_start():
                    return False
                self._child = Child(__name__, self._keys.row())
            if not self._child.is_ready(READY_WAIT):
                return False
        return self._child.ask((info.name, len(pack)), pack) == (_summary(info),)


def main() -> None:
    """Verify packs until the pipe ends."""
    gc.disable()  # what a pack leaves behind has no cycles
    questions, answers = connected()
    keys = Keys.of_row(cast("KeysRow", receive(questions)))
    buffers, memory = BufferPool(SEGMENT_BUFFER), bytearray()
    while (question := receive(questions)) is not None:
        name, size = cast("tuple[PackName, int]", question)
        if size > len(memory):
            memory = bytearray(size)
        pack = memoryview(memory)[:size]
        if not receive_into(questions, pack):
            return
        send(answers, _found(name, pack, keys, buffers))


def _found(name: PackName, pack: memoryview, keys: Keys, buffers: BufferPool) -> tuple[bytes, ...]:
    """A summary of what is in a pack; nothing when anything about it is wrong."""
    try:
        check_name(name, pack)
        info = parse_pack(name, pack, keys)
        deque(verify_blobs(info, pack, keys, buffers), maxlen=0)
    except DamagedRepository:
        return ()
    return (_summary(info),)


def _summary(info: PackInfo) -> bytes:
    """A digest of all that is known of a pack."""
    trailer = encode_trailer(info.segments, info.blobs, info.level)
    size = info.size.to_bytes(8, "little")
    return digest(b"".join((info.name.encode(), info.header, size, trailer)))
