"""A proxy between a client and an S3 server that counts, delays, and does harm by a plan.

It is the client's endpoint. Bytes pass as they are, the Host header too, so what the client signed
is what the server checks.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, cast
from urllib.parse import urlsplit

from tests.servers.base import Place
from tests.servers.faults import (
    Answer,
    Break,
    Fault,
    ShortListing,
    StaleListing,
    Stall,
    shortened,
    without_objects,
)

from holdfast.overrides import override

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 256 * 1024
_SECONDS = 120  # after which a server that says nothing is taken for dead
_LISTING = re.compile(r"[?&](list-type|prefix|delimiter|max-keys)=")
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "expect", "transfer-encoding"})

Plan: TypeAlias = Callable[[int, str, str], Fault | None]
"""What is done to a request: told its number from 1, its method and its path with the query."""


@dataclass
class Request:
    """One request that came to the proxy.

    Attributes:
        number: from 1, in the order in which they came.
        method: such as GET.
        path: with the query.
        fault: what was done to it.
        sent: bytes of its body that went to the server.
        received: bytes of the answer's body that went to the client.
        status: what the client was told; None when it was told nothing.
    """

    number: int
    method: str
    path: str
    fault: Fault | None = None
    sent: int = 0
    received: int = 0
    status: int | None = None


@dataclass(frozen=True)
class _Reply:
    """The answer of a server."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


class _GoneError(Exception):
    """The connection to the client was broken, as the plan wants it."""


def untouched(number: int, method: str, path: str) -> Fault | None:
    """The plan that does no harm."""
    del number, method, path
    return None


def only(number: int, fault: Fault) -> Plan:
    """The plan that harms one request."""

    def plan(now: int, method: str, path: str) -> Fault | None:
        del method, path
        return fault if now == number else None

    return plan


@dataclass
class Proxy:
    """A proxy on a free port of the loopback interface; a context manager.

    Attributes:
        target: HTTP address of the server.
        plan: what is done to each request; may be replaced at any time.
        delay: seconds that each request waits before it is sent on.
        requests: all that came since the start or the last `forget`.
    """

    target: str
    plan: Plan = untouched
    delay: float = 0.0
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _go_on: threading.Event = field(default_factory=threading.Event)
    _stalled: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _listings: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._server = _ProxyServer(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="proxy"
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """What clients take for the server."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def place(self, place: Place) -> Place:
        """The same place on the server, seen through this proxy."""
        return Place(place.location, {**place.options, "endpoint_url": self.address})

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.requests.clear()

    def wait_stalled(self, seconds: float) -> bool:
        """Wait until a request is stalled, each counted once; whether one is."""
        return self._stalled.acquire(timeout=seconds)

    def go_on(self) -> None:
        """Let the stalled requests go on, and those that would be stalled later."""
        self._go_on.set()

    def close(self) -> None:
        """Break all connections and end all threads.

        Raises:
            ExceptionGroup: the proxy itself failed.
        """
        self._go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.break_connections()
        self._server.server_close()
        if self._server.failures:
            raise ExceptionGroup("the proxy failed", self._server.failures)

    # What the handlers of requests call.

    def _came(self, method: str, path: str) -> Request:
        with self._lock:
            request = Request(len(self.requests) + 1, method, path)
            request.fault = self.plan(request.number, method, path)
            self.requests.append(request)
        return request

    def _stall(self) -> None:
        self._stalled.release()
        self._go_on.wait()

    def _listing(self, path: str, body: bytes) -> bytes:
        """Keep the answer to a listing; returns the one before it."""
        with self._lock:
            before = self._listings.get(path, without_objects(body))
            self._listings[path] = body
        return before


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        proxy = cast("_ProxyServer", self.server).proxy
        request = proxy._came(self.command, self.path)
        try:
            self._carry(proxy, request)
        except _GoneError:
            self._reset(self.connection)
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    @override
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's word
        """Say nothing: `Proxy.requests` tells all."""

    def _carry(self, proxy: Proxy, request: Request) -> None:
        fault = request.fault
        if fault is Break.BEFORE_REQUEST:
            raise _GoneError
        if proxy.delay:
            time.sleep(proxy.delay)
        if isinstance(fault, Answer):
            for _ in self._body():
                pass
            self._tell(request, _Reply(fault.status, fault.code, fault.headers(), fault.body()))
            return
        if fault is Stall.BEFORE_REQUEST:
            proxy._stall()
        reply = self._ask(proxy, request)
        if fault is Break.LOST_ANSWER:
            raise _GoneError
        if fault is Stall.BEFORE_ANSWER:
            proxy._stall()
        self._tell(request, self._listing(proxy, request, reply))

    def _ask(self, proxy: Proxy, request: Request) -> _Reply:
        """Send the request on; the whole answer."""
        server = urlsplit(proxy.target)
        upstream = http.client.HTTPConnection(server.netloc, timeout=_SECONDS)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _OF_THE_CONNECTION:
                    upstream.putheader(name, value)
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            if chunked:
                upstream.putheader("Transfer-Encoding", "chunked")
            upstream.putheader("Connection", "close")
            upstream.endheaders()
            self._send_body(upstream, request, chunked=chunked)
            answer = upstream.getresponse()
            return _Reply(answer.status, answer.reason, answer.getheaders(), answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise _GoneError from error  # to the client we are the server, which broke off
        finally:
            upstream.close()

    def _send_body(
        self, upstream: http.client.HTTPConnection, request: Request, *, chunked: bool
    ) -> None:
        breaks = request.fault is Break.IN_REQUEST
        half = int(self.headers.get("Content-Length", "0")) // 2
        for block in self._body():
            part = block[: half - request.sent] if breaks else block
            upstream.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            request.sent += len(part)
            if breaks and request.sent >= half:
                if upstream.sock is not None:
                    self._reset(upstream.sock)
                raise _GoneError
        if breaks:  # it has no body
            raise _GoneError
        if chunked:
            upstream.send(b"0\r\n\r\n")

    def _body(self) -> Iterator[bytes]:
        """The body of the client's request, block by block."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            block = self.rfile.read(min(left, _BLOCK))
            if not block:
                raise _GoneError  # the client has gone
            left -= len(block)
            yield block

    def _listing(self, proxy: Proxy, request: Request, reply: _Reply) -> _Reply:
        """The answer as the client is to see it, if it is a listing."""
        is_listing = request.method == "GET" and _LISTING.search(request.path)
        if reply.status != http.client.OK or not is_listing:
            return reply
        before = proxy._listing(request.path, reply.body)
        if isinstance(request.fault, StaleListing):
            return _Reply(reply.status, reply.reason, reply.headers, before)
        if isinstance(request.fault, ShortListing):
            body = shortened(reply.body, request.fault.keep)
            return _Reply(reply.status, reply.reason, reply.headers, body)
        return reply

    def _tell(self, request: Request, reply: _Reply) -> None:
        request.status = reply.status
        self.send_response_only(reply.status, reply.reason)
        length = str(len(reply.body))
        for name, value in reply.headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in _OF_THE_CONNECTION | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self._tell_body(request, reply.body)

    def _tell_body(self, request: Request, body: bytes) -> None:
        parts = {Break.IN_ANSWER, Break.SHORT_ANSWER, Stall.IN_ANSWER}
        half = len(body) // 2 if request.fault in parts else len(body)
        self.wfile.write(body[:half])
        request.received = half
        if request.fault is Break.IN_ANSWER:
            raise _GoneError
        if request.fault is Break.SHORT_ANSWER:
            self.close_connection = True  # in good order, as if this were all
        elif request.fault is Stall.IN_ANSWER:
            cast("_ProxyServer", self.server).proxy._stall()
            self.wfile.write(body[half:])
            request.received = len(body)

    def _reset(self, connection: socket.socket) -> None:
        # Closed with this set, a connection is reset instead of ended (socket(7), SO_LINGER).
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if connection is self.connection:
            self.rfile.close()  # it holds the connection open
        connection.close()


class _ProxyServer(ThreadingHTTPServer):
    """Listens, and has a thread for each connection."""

    daemon_threads = False  # `server_close` waits for them

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.failures: list[Exception] = []
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def break_connections(self) -> None:
        """End what is still connected; the threads end then."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):  # closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)

    @override
    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._open.add(request)
        try:
            _Handler(request, client_address, self)
        finally:
            self._open.discard(request)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what is wrong with the proxy; that a client goes away is not."""
        del request, client_address
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, (OSError, _GoneError)):
            self.failures.append(error)
