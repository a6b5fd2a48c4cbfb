"""Where a backup comes from: this machine, its user, its files and streams."""

from __future__ import annotations

import logging
import os
import platform
import pwd
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from holdfast.engine.sources import Source, paths_of
from holdfast.errors import OutOfResources, UsageError
from holdfast.progress import Progress
from holdfast.version import __version__

if TYPE_CHECKING:
    from holdfast.model.snapshot import Snapshot
    from holdfast.operations.ingest import Fill

_log = logging.getLogger(__name__)

PROGRAM = f"holdfast {__version__}"
"""What snapshots and sessions say they were made by."""


def host_name() -> str:
    """This machine's name."""
    return os.uname().nodename


def user_name() -> str:
    """The name of the user that this process runs as; the number where there is no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def system_name() -> str:
    """Name and release of the operating system."""
    return f"{platform.system()} {platform.release()}"


def about_session(kind: str, host: str | None = None) -> dict[str, object]:
    """What a session says of itself: `kind` is the verb, `host` this machine unless given."""
    return {
        "host": host or host_name(),
        "kind": kind,
        "process": os.getpid(),
        "program": PROGRAM,
        "user": user_name(),
    }


@contextmanager
def counted(source: Source, parent: Snapshot | None, progress: Progress) -> Iterator[None]:
    """Find out what there is to do, when somebody wants to know.

    That is what the parent had, if it is of the same paths. Otherwise a second walk beside the
    work counts it, for which a file takes a twentieth of the time that backing it up does. The
    listing of a store is not made twice: there a request takes its time, and money.
    """
    from holdfast.filesystem import LocalSource

    if parent is not None and parent.paths == paths_of(source):
        had = parent.summary
        progress.expect(had.files + had.others, had.bytes_processed)
        yield
        return
    if not isinstance(source, LocalSource):
        yield
        return

    def count(stop: threading.Event) -> tuple[int, int] | None:
        from holdfast.filesystem.counter import count_aside

        try:
            return count_aside(source, stop)
        except (OSError, OutOfResources) as error:
            _log.info("how much there is to do cannot be counted: %s", error)
            return None

    with progress.counting(count):
        yield


class Readable(Protocol):
    """A stream that fills buffers."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read into a buffer; returns how many bytes, 0 at the end."""


def reading(stream: BinaryIO | Readable, progress: Progress, name: str) -> Fill:
    """A function that fills buffers from a binary stream and tells of it.

    Raises:
        Unreadable: on reading, the stream failed.
        UsageError: on reading, the stream gives text, or does not wait for its data.
    """
    from holdfast.operations.ingest import Unreadable

    read_into: Callable[[memoryview], int | None]
    read_into = getattr(stream, "readinto", None) or partial(_read_into, cast("BinaryIO", stream))

    def fill(buffer: memoryview, _: int) -> int:
        try:
            count = read_into(buffer)
        except OSError as error:
            raise Unreadable(error) from error
        if count is None:
            raise UsageError("the stream does not wait for its data: open it in blocking mode")
        progress.advance(0, count, name)
        return count

    return fill


def _read_into(stream: BinaryIO, buffer: memoryview) -> int | None:
    """What `readinto` would do, for a stream that has only `read`."""
    data: object = stream.read(len(buffer))
    if data is None:
        return None
    if not isinstance(data, bytes):
        raise UsageError("the stream gives text: open it in binary mode")
    buffer[: len(data)] = data
    return len(data)
