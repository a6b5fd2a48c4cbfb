"""A server that answers everything alike, or as a function says, and keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, NamedTuple

from holdfast.overrides import override


class Asked(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is answered.

    Attributes:
        missing: bytes that are promised beside the body and never sent.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    missing: int = 0


class Canned(NamedTuple):
    address: str
    asked: list[Asked]


@contextmanager
def canned(told: Answer | Callable[[Asked], Answer]) -> Iterator[Canned]:
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float] = 60

        def do_all(self) -> None:
            if self.headers.get("Expect") == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, self.path, headers, body)
            asked.append(request)
            answer = told if isinstance(told, Answer) else told(request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_all  # noqa: N815 - http.server's names

        @override
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Canned(f"http://127.0.0.1:{server.server_port}", asked)
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def garbling(reply: bytes) -> Iterator[str]:
    """A server that hears a request out and says that, whatever it is."""

    class Handler(BaseHTTPRequestHandler):
        def do_all(self) -> None:
            if self.headers.get("Expect") == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.wfile.write(reply)
            self.close_connection = True

        do_GET = do_PUT = do_POST = do_all  # noqa: N815 - http.server's names

        @override
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
