"""Packets of the SSH File Transfer Protocol, version 3, and what is in them.

The protocol is draft-ietf-secsh-filexfer-02
(https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02), what ``@openssh.com`` has
added to it is in the file PROTOCOL of OpenSSH.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple


class Kind(IntEnum):
    """Kinds of packets."""

    INIT = 1
    GREETING = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRIBUTES = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


# Statuses; from FILE_EXISTS on those of later versions, which some servers send in version 3.
OK: Final = 0
END_OF_FILE: Final = 1
NO_SUCH_FILE: Final = 2
PERMISSION_DENIED: Final = 3
FAILURE: Final = 4
BAD_MESSAGE: Final = 5
NO_CONNECTION: Final = 6
CONNECTION_LOST: Final = 7
UNSUPPORTED: Final = 8
FILE_EXISTS: Final = 11
WRITE_PROTECTED: Final = 12
NO_SPACE: Final = 14
QUOTA: Final = 15
IS_A_DIRECTORY: Final = 24

# Flags to open a file with.
READ: Final = 0x01
WRITE: Final = 0x02
CREATE: Final = 0x02 | 0x08 | 0x20
"""To write a new file; fails if its name is taken."""

POSIX_RENAME: Final = "posix-rename@openssh.com"
HARDLINK: Final = "hardlink@openssh.com"
FSYNC: Final = "fsync@openssh.com"
STATVFS: Final = "statvfs@openssh.com"
LIMITS: Final = "limits@openssh.com"


class Refused(Exception):  # noqa: N818 - an answer
    """The server says that it did not do what it was asked for.

    Attributes:
        status: as the protocol numbers them.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{text or 'no reason given'} (status {status})")
        self.status = status


class Garbled(Exception):  # noqa: N818 - it is named for what is wrong
    """What the server sends is not the protocol."""


class Attributes(NamedTuple):
    """What the server tells of a file; None for what it does not.

    Attributes:
        size: bytes.
        mode: kind and permissions, as of `os.stat`.
        modified: seconds since the epoch.
    """

    size: int | None
    mode: int | None
    modified: int | None


class Entry(NamedTuple):
    """A line of a folder's listing; its symbolic links are not followed."""

    name: str
    attributes: Attributes


class Room(NamedTuple):
    """What the server tells of a file system.

    Attributes:
        free: bytes that this user may still write.
        files: files that may still be made; None where there is no such bound.
        read_only: whether it is mounted so.
    """

    free: int
    files: int | None
    read_only: bool


@dataclass(slots=True)
class Request:
    """A packet to send.

    Attributes:
        kind: what to do.
        body: what to do it with.
        data: the bytes to write.
        start: of a read: the first byte.
        length: of a read: how many.
        about: of a folder: its path.
    """

    kind: int
    body: bytes
    data: memoryview | None = None
    start: int = 0
    length: int = 0
    about: str = ""


@dataclass(slots=True)
class Answer:
    """A packet, read from front to back."""

    kind: int
    body: bytes
    position: int = 0

    def number(self) -> int:
        """A number of 32 bits."""
        found: int
        (found,) = self._unpacked(">I")
        return found

    def numbers(self, count: int) -> tuple[int, ...]:
        """Numbers of 64 bits."""
        return self._unpacked(f">{count}Q")

    def string(self) -> bytes:
        """Bytes, which their number stands before."""
        size = self.number()
        start, self.position = self.position, self.position + size
        if self.position > len(self.body):
            raise Garbled("an answer is cut off")
        return self.body[start : self.position]

    def attributes(self) -> Attributes:
        """What is told of a file."""
        flags = self.number()
        size = self.numbers(1)[0] if flags & 0x1 else None
        if flags & 0x2:
            self._unpacked(">II")  # owner and group
        mode = self.number() if flags & 0x4 else None
        modified = self._unpacked(">II")[1] if flags & 0x8 else None
        if flags & 0x80000000:
            for _ in range(2 * self.number()):
                self.string()
        return Attributes(size, mode, modified)

    def is_at_end(self) -> bool:
        """Whether nothing more follows."""
        return self.position >= len(self.body)

    def expect(self, kind: int) -> Answer:
        """This answer, if it is of that kind and tells of no failure."""
        if self.kind == Kind.STATUS:
            status = self.number()
            text = "" if self.is_at_end() else self.string().decode(errors="replace")
            if status != OK or kind != Kind.STATUS:
                raise Refused(status, text)
        elif self.kind != kind:
            raise Garbled(f"an answer of kind {self.kind} instead of {kind}")
        return self

    def _unpacked(self, form: str) -> tuple[int, ...]:
        try:
            found = struct.unpack_from(form, self.body, self.position)
        except struct.error:
            raise Garbled("an answer is cut off") from None
        self.position += struct.calcsize(form)
        return found


def is_file(attributes: Attributes) -> bool:
    """Whether it is a regular file; a server that tells no kind is believed."""
    return attributes.mode is None or stat.S_ISREG(attributes.mode)


def data_of(answer: Answer, request: Request) -> bytes:
    """The bytes that a read gave; none beyond the end of the file."""
    try:
        data = answer.expect(Kind.DATA).string()
    except Refused as error:
        if error.status == END_OF_FILE:
            return b""
        raise
    if not 1 <= len(data) <= request.length:
        raise Garbled(f"{len(data)} bytes instead of {request.length}")
    return data


def entries_of(answer: Answer) -> list[Entry]:
    """Some lines of a folder's listing."""
    found = []
    for _ in range(answer.number()):
        name = answer.string().decode("utf-8", "surrogateescape")
        answer.string()  # the same for people to read
        found.append(Entry(name, answer.attributes()))
    return found


def packed_int(number: int) -> bytes:
    """A number of 32 bits."""
    return struct.pack(">I", number)


def packed_long(number: int) -> bytes:
    """A number of 64 bits."""
    return struct.pack(">Q", number)


def packed_string(data: bytes) -> bytes:
    """Bytes, their number before them."""
    return packed_int(len(data)) + data


def packed_text(text: str) -> bytes:
    """A path or a name as the server has it."""
    return packed_string(text.encode("utf-8", "surrogateescape"))
