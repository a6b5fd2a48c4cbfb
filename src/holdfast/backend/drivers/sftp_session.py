"""The SSH File Transfer Protocol with many requests in flight.

It is spoken here over a channel of paramiko, not by paramiko's own client: that one throws away
what the server answers to writes in flight, so a full disk would go unseen; it hides why something
failed and what the server can do; and it reads ahead in threads of its own.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from holdfast.backend.drivers.sftp_packets import (
    END_OF_FILE,
    FSYNC,
    HARDLINK,
    LIMITS,
    NO_SUCH_FILE,
    POSIX_RENAME,
    READ,
    STATVFS,
    Answer,
    Attributes,
    Entry,
    Garbled,
    Kind,
    Refused,
    Request,
    Room,
    data_of,
    entries_of,
    is_file,
    packed_int,
    packed_long,
    packed_string,
    packed_text,
)

_VERSION: Final = 3
_CHUNK: Final = 32 << 10
"""Bytes of one read or write that every server must take."""
_LONGEST_CHUNK: Final = 255 << 10
_IN_FLIGHT: Final = 4 << 20
"""Bytes asked for or sent before the answers to the first of them are waited for."""
_MOST: Final = 64
"""Requests in flight."""
_LONGEST: Final = 1 << 20
"""Bytes of an answer; a server that sends more does not speak the protocol."""
_PIECE: Final = 256 << 10


class Channel(Protocol):
    """What carries the bytes."""

    def sendall(self, data: bytes) -> None:
        """Send all of them."""

    def recv(self, size: int) -> bytes:
        """Some bytes, at most so many; none when the other side has ended."""


class Session:
    """A conversation with a server. Not safe for threads.

    After an exception other than `Refused` it must not be used any more.

    Args:
        channel: carries it; its time-outs hold.
        end: closes the channel and what it runs over.
        is_alive: whether it is still open.

    Attributes:
        extensions: names of what the server can do beyond the protocol.

    Raises:
        ConnectionError: the connection is lost; the same holds for every method.
        TimeoutError: the server is silent; the same holds for every method.
        Garbled: the server does not speak the protocol; the same holds for every method.
    """

    def __init__(
        self, channel: Channel, end: Callable[[], None], is_alive: Callable[[], bool]
    ) -> None:
        self._channel = channel
        self.end = end
        self.is_alive = is_alive
        self._received = bytearray()
        self._last = 0
        self.extensions = self._greet()
        self._read_chunk, self._write_chunk = self._limits()

    def open(self, path: str, flags: int) -> bytes:
        """Open a file; returns its handle."""
        body = packed_text(path) + packed_int(flags) + packed_int(0)
        return self._ask(Kind.OPEN, body, Kind.HANDLE).string()

    def close(self, handle: bytes) -> None:
        """Close a file; tells if what was written could not be stored."""
        self._ask(Kind.CLOSE, packed_string(handle), Kind.STATUS)

    def close_later(self, handle: bytes) -> None:
        """Close a file; what the server says to that is not waited for."""
        self._send(Request(Kind.CLOSE, packed_string(handle)))

    @contextmanager
    def reading(self, path: str) -> Iterator[bytes]:
        """The handle of a file, or of a folder where the server can open one."""
        handle = self.open(path, READ)
        try:
            yield handle
        except Refused:
            self.close_later(handle)
            raise
        self.close_later(handle)

    def store(self, path: str, flags: int, data: bytes, start: int = 0) -> None:
        """Write a file from `start` on; then its bytes are durable, as far as the server can tell.

        Every single write is known to be done.
        """
        handle = self.open(path, flags)
        try:
            self._write(handle, data, start)
            if FSYNC in self.extensions:
                self.sync(handle)
        except Refused:
            self.close_later(handle)
            raise
        self.close(handle)

    def sync(self, handle: bytes) -> None:
        """Make a file or a folder durable; only where the server has `FSYNC`."""
        self._ask(Kind.EXTENDED, packed_text(FSYNC) + packed_string(handle), Kind.STATUS)

    def look(self, handle: bytes, start: int, length: int) -> tuple[Attributes, bytes]:
        """What there is to know of a file, and its first bytes from `start`, or fewer.

        A folder has no bytes.
        """
        first = self._part(handle, start, min(length, self._read_chunk))
        requests = deque([Request(Kind.FSTAT, packed_string(handle)), first])
        attributes = Attributes(None, None, None)
        data = b""
        problem: Refused | None = None
        for request, answer in self._answers(requests, 2):
            if request is first:
                try:
                    data = data_of(answer, first)
                except Refused as error:
                    problem = error
            else:
                attributes = answer.expect(Kind.ATTRIBUTES).attributes()
        if problem is not None and is_file(attributes):
            raise problem
        return attributes, data

    def read(self, handle: bytes, start: int, end: int) -> bytes:
        """The bytes of a file from `start` to before `end`; fewer if it ends before that."""
        found = bytearray(end - start)
        size = self._read_chunk
        requests = deque(
            self._part(handle, at, min(size, end - at)) for at in range(start, end, size)
        )
        for request, answer in self._answers(requests, max(1, _IN_FLIGHT // size)):
            data = data_of(answer, request)
            if not data:
                end = min(end, request.start)
                continue
            at = request.start - start
            found[at : at + len(data)] = data
            if len(data) < request.length:
                rest = request.start + len(data)
                requests.append(self._part(handle, rest, request.length - len(data)))
        return bytes(found[: end - start])

    def stat(self, path: str) -> Attributes | None:
        """What a name leads to, through symbolic links; None when nothing is there."""
        return self._status(Kind.STAT, path)

    def lstat(self, path: str) -> Attributes | None:
        """What has a name, which may be a symbolic link; None when nothing is there."""
        return self._status(Kind.LSTAT, path)

    def _status(self, kind: Kind, path: str) -> Attributes | None:
        try:
            return self._ask(kind, packed_text(path), Kind.ATTRIBUTES).attributes()
        except Refused as error:
            if error.status == NO_SUCH_FILE:
                return None
            raise

    def folders(self, paths: Iterable[str]) -> dict[str, list[Entry] | Refused]:
        """What is right in each of some folders, or why the server does not tell; in any order."""
        found: dict[str, list[Entry] | Refused] = {}
        opening = deque(Request(Kind.OPENDIR, packed_text(path), about=path) for path in paths)
        reading: deque[Request] = deque()
        for request, answer in self._answers(opening, _MOST):
            try:
                handle = answer.expect(Kind.HANDLE).string()
            except Refused as error:
                found[request.about] = error
            else:
                reading.append(Request(Kind.READDIR, packed_string(handle), about=request.about))
        handles = [request.body for request in reading]
        found |= self._entries(reading)
        for handle in handles:
            self._send(Request(Kind.CLOSE, handle))
        return found

    def _entries(self, reading: deque[Request]) -> dict[str, list[Entry] | Refused]:
        listed: dict[str, list[Entry]] = {request.about: [] for request in reading}
        failed: dict[str, list[Entry] | Refused] = {}
        for request, answer in self._answers(reading, _MOST):
            try:
                listed[request.about] += entries_of(answer.expect(Kind.NAME))
            except Refused as error:
                if error.status != END_OF_FILE:
                    failed[request.about] = error
            else:
                reading.append(request)
        return {**listed, **failed}

    def make_folder(self, path: str) -> None:
        """Make a folder that only its owner may look into."""
        self._ask(Kind.MKDIR, packed_text(path) + packed_int(0x4) + packed_int(0o700), Kind.STATUS)

    def remove_folder(self, path: str) -> None:
        """Delete a folder in which there is nothing."""
        self._ask(Kind.RMDIR, packed_text(path), Kind.STATUS)

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._ask(Kind.REMOVE, packed_text(path), Kind.STATUS)

    def rename(self, source: str, target: str) -> None:
        """Rename a file unless the name is taken."""
        self._ask(Kind.RENAME, packed_text(source) + packed_text(target), Kind.STATUS)

    def replace(self, source: str, target: str) -> None:
        """Rename a file over whatever file has that name; only where there is `POSIX_RENAME`."""
        self._ask(
            Kind.EXTENDED,
            packed_text(POSIX_RENAME) + packed_text(source) + packed_text(target),
            Kind.STATUS,
        )

    def link(self, source: str, target: str) -> None:
        """Give a file one more name unless that is taken; only where there is `HARDLINK`."""
        self._ask(
            Kind.EXTENDED,
            packed_text(HARDLINK) + packed_text(source) + packed_text(target),
            Kind.STATUS,
        )

    def room(self, path: str) -> Room:
        """What a file system has left; only where there is `STATVFS`."""
        answer = self._ask(
            Kind.EXTENDED, packed_text(STATVFS) + packed_text(path), Kind.EXTENDED_REPLY
        )
        _, unit, _, _, blocks, all_files, _, files, _, flags, _ = answer.numbers(11)
        return Room(blocks * unit, files if all_files else None, bool(flags & 1))

    def _greet(self) -> frozenset[str]:
        self._channel.sendall(struct.pack(">IBI", 5, Kind.INIT, _VERSION))
        kind, body = self._packet()
        if kind != Kind.GREETING:
            raise Garbled(f"a packet of kind {kind} instead of a greeting")
        answer = Answer(kind, body)
        answer.number()  # its version: the lower of both is spoken
        names = []
        while not answer.is_at_end():
            names.append(answer.string().decode(errors="replace"))
            answer.string()  # its version
        return frozenset(names)

    def _limits(self) -> tuple[int, int]:
        """Bytes of one read, and of one write."""
        if LIMITS not in self.extensions:
            return _CHUNK, _CHUNK
        answer = self._ask(Kind.EXTENDED, packed_text(LIMITS), Kind.EXTENDED_REPLY)
        _, read, write, _ = answer.numbers(4)
        return min(read or _CHUNK, _LONGEST_CHUNK), min(write or _CHUNK, _LONGEST_CHUNK)

    def _write(self, handle: bytes, data: bytes, start: int) -> None:
        view = memoryview(data)
        size = self._write_chunk
        requests = deque(
            Request(
                Kind.WRITE, packed_string(handle) + packed_long(start + at), view[at : at + size]
            )
            for at in range(0, len(view), size)
        )
        for _, answer in self._answers(requests, max(1, _IN_FLIGHT // size)):
            answer.expect(Kind.STATUS)

    def _part(self, handle: bytes, start: int, length: int) -> Request:
        body = packed_string(handle) + packed_long(start) + packed_int(length)
        return Request(Kind.READ, body, start=start, length=length)

    def _ask(self, kind: int, body: bytes, expected: int) -> Answer:
        ((_, answer),) = self._answers(deque([Request(kind, body)]), 1)
        return answer.expect(expected)

    def _answers(self, requests: deque[Request], most: int) -> Iterator[tuple[Request, Answer]]:
        """Send requests, to which more may be added meanwhile, so many at a time."""
        sent: dict[int, Request] = {}
        while requests or sent:
            while requests and len(sent) < most:
                request = requests.popleft()
                sent[self._send(request)] = request
            answer = Answer(*self._packet())
            number = answer.number()
            if number in sent:  # else nobody waits for it any more
                yield sent.pop(number), answer

    def _send(self, request: Request) -> int:
        self._last = (self._last + 1) & 0xFFFFFFFF
        data = b"" if request.data is None else packed_int(len(request.data))
        size = 5 + len(request.body) + len(data) + len(request.data or b"")
        head = struct.pack(">IBI", size, request.kind, self._last) + request.body + data
        try:
            self._channel.sendall(b"".join((head, request.data or b"")))
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionError(f"connection lost: {error}") from error
        return self._last

    def _packet(self) -> tuple[int, bytes]:
        """The next packet's kind, and what follows that."""
        self._receive(4)
        (size,) = struct.unpack(">I", self._received[:4])
        if not 1 <= size <= _LONGEST:
            raise Garbled("it is no packet of the protocol")
        self._receive(4 + size)
        packet = bytes(self._received[4 : 4 + size])
        del self._received[: 4 + size]
        return packet[0], packet[1:]

    def _receive(self, size: int) -> None:
        while len(self._received) < size:
            try:
                piece = self._channel.recv(_PIECE)
            except TimeoutError:
                raise
            except OSError as error:
                raise ConnectionError(f"connection lost: {error}") from error
            if not piece:
                raise ConnectionError("connection lost")
            self._received += piece
