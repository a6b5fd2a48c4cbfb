"""The file of a trail: whole lines, appended by one at a time of all threads and processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from holdfast.platform.audit.entry import AuditEntry, BadEntry, decode

LINE_LIMIT = 1 << 20
"""Longest line in bytes that is written, and that is read as one."""

CANCELLED = b"\x18"
"""What ends a line that was begun and never got whole: the control character CAN."""

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Line:
    """A line of the file, without its end.

    Attributes:
        number: from 1.
        start: where in the file it begins.
        data: its bytes; those of one that is longer than `LINE_LIMIT` only in part.
        is_ended: whether a line feed follows.
    """

    number: int
    start: int
    data: bytes
    is_ended: bool


@dataclass(frozen=True)
class Tail:
    """What an append goes on from.

    Attributes:
        last: the last entry that is whole; None in an empty file.
        rest: where what follows that entry begins.
        end: size of the file.
        is_ended: whether the file ends with a line feed, or is empty.
    """

    last: AuditEntry | None
    rest: int
    end: int
    is_ended: bool


@contextmanager
def appending(file: Path) -> Iterator[int]:
    """A descriptor of the file, which is this caller's alone; the file is made if it is absent.

    Raises:
        OSError: it cannot be made or opened.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_size == 0:
            _sync_folder(file.parent)
        yield descriptor
    finally:
        os.close(descriptor)


def append(descriptor: int, data: bytes) -> None:
    """Write at the end of the file, durably (OSError if not all of it is there)."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def tail(descriptor: int) -> Tail:
    """Find the last whole entry, from behind."""
    end = os.fstat(descriptor).st_size
    is_ended = end == 0 or os.pread(descriptor, 1, end - 1) == b"\n"
    rest = end
    for start, line in _lines_from_behind(descriptor, end):
        try:
            return Tail(decode(line), rest, end, is_ended)
        except BadEntry:
            rest = start
    return Tail(None, 0, end, is_ended)


def entries_from_behind(descriptor: int) -> Iterator[AuditEntry]:
    """The entries from the last to the first."""
    for _, line in _lines_from_behind(descriptor, os.fstat(descriptor).st_size):
        with contextlib.suppress(BadEntry):
            yield decode(line)


def part(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a part of the file, in blocks."""
    while start < end:
        block = os.pread(descriptor, min(_BLOCK, end - start), start)
        if not block:
            return
        start += len(block)
        yield block


@contextmanager
def reading(file: Path) -> Iterator[BinaryIO | None]:
    """The file, while nobody is in the middle of a line; None if there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        stream = file.open("rb")
    except FileNotFoundError:
        yield None
        return
    with stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        yield stream


def read_lines(file: Path) -> Iterator[Line]:
    """The lines that the file has now; none if there is no file.

    Raises:
        OSError: it cannot be read.
    """
    with reading(file) as stream:
        if stream is None:
            return
        end = os.fstat(stream.fileno()).st_size
        fcntl.flock(stream, fcntl.LOCK_UN)  # what is there now stays
        start = number = 0
        while start < end:
            data = stream.readline(min(end - start, LINE_LIMIT + 1))
            if not data:
                return
            number += 1
            yield Line(number, start, data.removesuffix(b"\n"), data.endswith(b"\n"))
            start += len(data)


def _lines_from_behind(descriptor: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Where each line begins, and the line without its end; from the last to the first."""
    held = b""
    while end > 0:
        start = max(end - _BLOCK, 0)
        held = os.pread(descriptor, end - start, start) + held
        end = start
        while held:
            cut = held.rfind(b"\n", 0, len(held) - 1) + 1
            if cut == 0 and end > 0 and len(held) <= LINE_LIMIT:
                break  # more of it is before
            yield end + cut, held[cut:].removesuffix(b"\n")
            held = held[:cut]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
