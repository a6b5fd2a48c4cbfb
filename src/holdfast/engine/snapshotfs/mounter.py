"""A mount that another process answers for, and what that process does.

A thread that waits for a file of a mount, in a page of memory that is mapped to it, may hold
Python's lock, without which the same process cannot answer. So whoever wants to look into a mount
has it answered by another. It ends with its input, however this process ends.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.connection import Connection, PathLike
from holdfast.engine.snapshotfs.mount import check_mount_point, is_mounted, mount, unmount
from holdfast.errors import HoldfastError, UsageError
from holdfast.primitives.child import Child, connected, receive, send
from holdfast.store import hand_over, take_over

_log = logging.getLogger(__name__)

_MODULE: Final = "holdfast.engine.snapshotfs.mounter"
_FAILED: Final = "the process that was to answer for the mount has ended"


_PATIENCE: Final = 60.0
"""Seconds that the process may take to start, on a machine that is busy."""


@contextmanager
def mounted(repository: Connection, directory: PathLike, snapshot: str | None) -> Iterator[Path]:
    """Mount as long as the context lasts.

    Args:
        repository: which.
        directory: where.
        snapshot: name of a snapshot or of a place in one; None for all snapshots.

    Raises:
        UsageError: it cannot be mounted.
    """
    place = os.path.abspath(os.fsencode(directory))  # noqa: PTH100 - bytes
    check_mount_point(place, repository.location)
    handed = hand_over(repository._store)  # noqa: SLF001 - one package
    reading, writing = os.pipe()
    try:
        first = (handed, place, None if snapshot is None else os.fsencode(snapshot))
        child = Child(_MODULE, first, (writing,))
    finally:
        os.close(writing)
        threading.Thread(target=_tell, args=(reading,), daemon=True).start()
    try:
        problem = child.answer() if child.is_ready(_PATIENCE) else None
        if problem != "":
            raise UsageError(str(problem or f"{os.fsdecode(place)}: {_FAILED}"))
        yield Path(os.fsdecode(place))
    finally:
        child.close()
        if is_mounted(place):  # it was killed
            unmount(place)


def _tell(descriptor: int) -> None:
    """Log what the process logs."""
    with os.fdopen(descriptor, encoding="utf-8", errors="backslashreplace") as lines:
        for line in lines:
            _log.error("%s", line.rstrip("\n"))


def main() -> None:
    """Mount, and answer until the pipe ends or it is unmounted."""
    log = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", errors="backslashreplace")
    logging.basicConfig(stream=log, level=logging.WARNING, format="%(message)s")
    questions, answers = connected()
    handed, place, name = cast("tuple[bytes, bytes, bytes | None]", receive(questions))

    def ready() -> None:
        send(answers, "")
        threading.Thread(target=_end_with, args=(questions,), daemon=True).start()

    try:
        with Connection(take_over(handed, SYSTEM_CLOCK), SYSTEM_CLOCK) as repository:
            mount(repository, place, None if name is None else os.fsdecode(name), on_ready=ready)
    except HoldfastError as error:
        send(answers, str(error))


def _end_with(pipe: io.BufferedReader) -> None:
    pipe.read()
    os.kill(os.getpid(), signal.SIGTERM)  # libfuse handles it
