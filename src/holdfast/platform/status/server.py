"""The status over HTTP: ``/metrics`` for Prometheus, ``/healthz`` for what asks if all is well."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.closing import Closing
from holdfast.errors import HoldfastError, UsageError
from holdfast.overrides import override
from holdfast.platform.status.metrics import CONTENT_TYPE, metrics
from holdfast.platform.status.result import Status

_Request: TypeAlias = socket.socket | tuple[bytes, socket.socket]

_log = logging.getLogger(__name__)

REFRESH = 60.0
"""Seconds for which an answer is given again, so that nobody can keep the store busy by asking."""

_TIMEOUT = 10
_MOST_CLIENTS = 16
_LAST_PORT = 65535


class StatusServer(Closing):
    """Answers questions about the status; a context manager.

    Args:
        address: ``HOST:PORT``; an IPv6 address stands in brackets, and port 0 is any free one.
        collect: finds the status out.
        refresh: seconds for which it is not found out again.
        clock: for these.

    Raises:
        UsageError: the address makes no sense, or cannot be listened at.
    """

    def __init__(
        self,
        address: str,
        collect: Callable[[], Status],
        refresh: float = REFRESH,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._collect, self._refresh, self._clock = collect, refresh, clock
        self._lock = threading.Lock()
        self._known: tuple[float, Status] | None = None
        host, port = _parsed(address)
        try:
            self._server = _Server((host, port), self)
        except (OSError, UnicodeError) as error:
            raise UsageError(f"{address}: {getattr(error, 'strerror', None) or error}") from None

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        text = str(host)
        return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"

    def run(self) -> None:
        """Answer until `stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """Make `run` return."""
        self._server.shutdown()

    @override
    def close(self) -> None:
        """Listen no more."""
        self._server.server_close()

    def status(self) -> Status:
        """The status, as old as the refresh allows."""
        with self._lock:
            now = self._clock.monotonic()
            if self._known is None or now - self._known[0] >= self._refresh:
                self._known = now, self._collect()
            return self._known[1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], about: StatusServer) -> None:
        self.about = about
        self._free = threading.BoundedSemaphore(_MOST_CLIENTS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    @override
    def process_request(self, request: _Request, client_address: object) -> None:
        """Answer in a thread; who comes when too many are answered is turned away."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    @override
    def process_request_thread(self, request: _Request, client_address: object) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "holdfast"
    sys_version = ""
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        if path not in {"/metrics", "/healthz"}:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics and /healthz\n")
            return
        try:
            status = self.server.about.status()
        except HoldfastError as error:
            _log.warning("the status cannot be found out: %s", error)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"see the log\n")
            return
        if path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE, metrics(status))
            return
        # How many problems, and not which: who asks is not known.
        body = {"ok": status.ok, "problems": len(status.problems)}
        code = HTTPStatus.OK if status.ok else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(code, "application/json", json.dumps(body).encode() + b"\n")

    def _answer(self, code: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base has it
        _log.debug("%s " + format, self.address_string(), *args)


def _parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port[:9]) > _LAST_PORT:
        raise UsageError(f"{address!r} is no address such as 127.0.0.1:9184")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)
