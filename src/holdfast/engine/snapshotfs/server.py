"""Snapshots over HTTP: a WebDAV server, by cheroot."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from cheroot.wsgi import Server

from holdfast.closing import Closing
from holdfast.engine.connection import Connection
from holdfast.engine.snapshotfs.listing import text_of
from holdfast.engine.snapshotfs.view import View
from holdfast.engine.snapshotfs.webdav import METHODS, Environment, application
from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.version import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

_THREADS: Final = 16
_WAITING: Final = 64
_PATIENCE: Final = 60
_LAST_PORT: Final = 65535
_MOST_BODY: Final = 16 << 10
_MOST_HEADER: Final = 64 << 10

# A page on the web may not take in what a backup holds as its own programs, styles and pictures.
_HEADER: Final = ("Cross-Origin-Resource-Policy", "same-origin")


class SnapshotServer(Closing):
    """Shows snapshots until it is closed; a context manager.

    Args:
        repository: which; it has to stay open.
        address: host and port; 0 is any free one.
        snapshot: name of a snapshot or of a place in one; None for all.
        users: passwords by user names; none to ask nobody.

    Raises:
        SnapshotNotFound, PathNotFound: the snapshot is not there.
        UsageError: it cannot listen there.
    """

    def __init__(
        self,
        repository: Connection,
        address: tuple[str, int],
        snapshot: str | None,
        users: dict[str, str],
    ) -> None:
        host, port = address
        if not 0 <= port <= _LAST_PORT:
            raise UsageError(f"{port} is no port")
        if any(not user or ":" in user for user in users):
            raise UsageError("a user's name may not be empty or have a colon")
        if not users and not _is_here(host):
            raise UsageError(
                f"{host or 'all'}: not this machine only, so everybody there could read the "
                "backups: give a password (--serve-password-file, HOLDFAST_SERVE_PASSWORD), or "
                "listen at 127.0.0.1"
            )
        self._view = View(repository, snapshot)
        door = _Door(application(self._view, users), is_open=not users)
        self._server = _Server((host, port), door)
        try:
            self._server.prepare()
        except (OSError, UnicodeError) as error:
            self._view.close()
            raise UsageError(f"cannot listen at {host}:{port}: {error}") from None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where it listens, as a URL."""
        host, port = cast("tuple[str, int]", self._server.bind_addr[:2])
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def run(self) -> None:
        """Answer until `close` is called in another thread, or an interrupt comes."""
        self._server.serve()

    def start(self) -> None:
        """Answer in a thread."""
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()

    @override
    def close(self) -> None:
        """Answer no more."""
        self._server.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._view.close()


class _Server(Server):
    """Listens, and tells of trouble by our log."""

    def __init__(self, address: tuple[str, int], door: WSGIApplication) -> None:
        super().__init__(
            address,
            door,
            numthreads=_THREADS,
            server_name=f"holdfast/{__version__}",
            request_queue_size=_WAITING,
            timeout=_PATIENCE,
        )
        self.max_request_body_size = _MOST_BODY
        self.max_request_header_size = _MOST_HEADER

    @staticmethod
    @override
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        try:
            socket_.bind(bind_addr)
        except BaseException:
            socket_.close()  # which cheroot leaves to others
            raise
        return socket_

    @override
    def error_log(self, msg: str = "", level: int = 0, traceback: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - cheroot's signature
        _log.debug("%s", msg, exc_info=traceback)  # connections that break; damage is told already


class _Broken(Exception):  # noqa: N818 - what it says is what happened
    """Something failed in the middle of an answer; only the end of the connection can tell it."""


class _Door:
    """Lets requests in that read, and that are meant for us.

    Without a password, a page on the web could have a browser here ask for it, under a name of its
    own that leads to 127.0.0.1. So the host that was asked for has to be this machine.
    """

    def __init__(self, inner: WSGIApplication, *, is_open: bool) -> None:
        self._inner = inner
        self._is_open = is_open

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", "")).encode("latin-1")
        if environ["REQUEST_METHOD"] not in METHODS:
            return _refuse(start, "405 Method Not Allowed", "these are backups: read only")
        if self._is_open and not _is_here(_asked(environ)):
            return _refuse(start, "421 Misdirected Request", "ask for 127.0.0.1 or localhost")
        if b"\0" in path or b".." in path.split(b"/"):
            return _refuse(start, "404 Not Found", "no such name")
        environ["PATH_INFO"] = text_of(path)
        return self._answer(environ, start)

    def _answer(self, environ: Environment, start: StartResponse) -> Iterator[bytes]:
        has_begun = False

        def begin(
            status: str, headers: list[tuple[str, str]], _problem: object = None, /
        ) -> object:
            nonlocal has_begun
            if has_begun:
                raise _Broken(status)
            has_begun = True
            return start(status, [*headers, _HEADER])

        yield from self._inner(environ, cast("StartResponse", begin))


def _refuse(start: StartResponse, status: str, text: str) -> list[bytes]:
    body = text.encode() + b"\n"
    start(
        status,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Allow", ", ".join(METHODS)),
            _HEADER,
        ],
    )
    return [body]


def _asked(environ: WSGIEnvironment) -> str:
    """The host that was asked for; "" when that is nonsense."""
    try:
        return urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname or ""
    except ValueError:
        return ""


def _is_here(host: str) -> bool:
    """Whether that is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
