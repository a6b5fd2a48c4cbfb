"""A view as WebDAV resources: the only door to WsgiDAV.

WebDAV knows folders and files, so symbolic links, pipes, sockets and devices are left out of what
programs see; the page of a folder names them. Bytes that are no UTF-8 are written as characters
U+F780 to U+F7FF in URLs, which nobody else uses; a URL that has such bytes themselves is
understood, too.
"""

from __future__ import annotations

import hmac
import logging
import mimetypes
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from wsgidav.dav_error import (
    HTTP_BAD_GATEWAY,
    HTTP_FORBIDDEN,
    HTTP_GONE,
    HTTP_NOT_FOUND,
    DAVError,
    PRECONDITION_CODE_PropfindFiniteDepth,
)
from wsgidav.dav_provider import DAVCollection, DAVNonCollection, DAVProvider
from wsgidav.dc.simple_dc import SimpleDomainController
from wsgidav.http_authenticator import HTTPAuthenticator
from wsgidav.wsgidav_app import WsgiDAVApp

from holdfast.engine.snapshotfs.listing import href, page, paths_of, text_of
from holdfast.engine.snapshotfs.reading import FileReader
from holdfast.engine.snapshotfs.view import Item, View
from holdfast.errors import HoldfastError, PathNotFound, SnapshotNotFound
from holdfast.model.node import Node, NodeType
from holdfast.model.path import printable
from holdfast.overrides import override
from holdfast.primitives import codec

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_log = logging.getLogger(__name__)

Environment: TypeAlias = dict[str, object]

METHODS: Final = ("OPTIONS", "HEAD", "GET", "PROPFIND")

_BLOCK: Final = 256 << 10
_MOST_NAMED: Final = 100
"""Properties that may be asked for; the answer has each of them for each file of a folder."""

_SECOND: Final = 10**9
# Below `latest` is soon another file; a client that has it asks by its ETag.
_FRESH: Final = ("Cache-Control", "private, no-cache")
# What a backup holds may be a page with a program in it, which must not read all the rest.
_FILE_HEADERS: Final = (
    ("Content-Security-Policy", "sandbox"),
    ("X-Content-Type-Options", "nosniff"),
    _FRESH,
)
_PAGE_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'",
    ),
    _FRESH,
)


def application(view: View, users: Mapping[str, str]) -> WsgiDAVApp:
    """The WSGI application that shows a view.

    Args:
        view: what it shows.
        users: passwords by user names; none to ask nobody.
    """
    known = {user: {"password": password} for user, password in users.items()}
    return WsgiDAVApp(
        {
            "provider_mapping": {"/": _Provider(view)},
            "simple_dc": {"user_mapping": {"*": known or True}},
            "http_authenticator": {"domain_controller": _Users},
            "middleware_stack": [
                "wsgidav.error_printer.ErrorPrinter",
                _Authenticator,
                "wsgidav.request_resolver.RequestResolver",
            ],
            "hotfixes": {"re_encode_path_info": False},  # it is done before
            "lock_storage": False,
            "property_manager": False,
            "block_size": _BLOCK,
            "suppress_version_info": True,
            "logging": {"enable": False},
            "verbose": 1,
        }
    )


class _Users(SimpleDomainController):  # type: ignore[misc]  # WsgiDAV has no types
    """Who may enter."""

    @override
    def basic_auth_user(
        self,
        realm: str,
        user_name: str,
        password: str,
        environ: Environment,  # noqa: ARG002 - WsgiDAV's signature
    ) -> bool:
        known: dict[str, str] | None = self._get_realm_entry(realm, user_name)
        right = "" if known is None else known["password"]
        # Not by ==, the time of which tells how much of a guess is right.
        return hmac.compare_digest(right.encode(), password.encode()) and known is not None


class _Authenticator(HTTPAuthenticator):  # type: ignore[misc]  # WsgiDAV has no types
    """Asks for a password, also who gives something that makes no sense."""

    @override
    def handle_basic_auth_request(
        self, environ: Environment, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            return cast(
                "Iterable[bytes]", super().handle_basic_auth_request(environ, start_response)
            )
        except ValueError:  # no base64, no UTF-8, no colon
            return cast("Iterable[bytes]", self.send_basic_auth_response(environ, start_response))

    @override
    def handle_digest_auth_request(
        self, environ: Environment, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            return cast(
                "Iterable[bytes]", super().handle_digest_auth_request(environ, start_response)
            )
        except (TypeError, ValueError):  # a digest that is no ASCII, an impossible URL
            return cast("Iterable[bytes]", self.send_digest_auth_response(environ, start_response))


class _Provider(DAVProvider):  # type: ignore[misc]  # WsgiDAV has no types
    """Finds what is at a URL."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    @override
    def is_readonly(self) -> bool:
        return True

    @override
    def get_resource_inst(self, path: str, environ: Environment) -> _Folder | _File:
        item = self._find(path)
        if item.node.type == NodeType.DIRECTORY:
            return _Folder(item, environ)
        if item.node.type == NodeType.FILE:
            return _File(item, environ)
        raise DAVError(HTTP_FORBIDDEN, f"{printable(item.path)}: neither a file nor a folder")

    def _find(self, text: str) -> Item:
        for path in paths_of(text):
            with _errors(path):
                try:
                    return self.view.item(path)
                except PathNotFound:
                    continue
        raise DAVError(HTTP_NOT_FOUND, text)

    @override
    def exists(self, path: str, environ: Environment) -> bool:  # noqa: ARG002 - WsgiDAV's signature
        try:
            self._find(path)
        except DAVError:
            return False
        return True

    @override
    def custom_request_handler(
        self,
        environ: Environment,
        start_response: StartResponse,
        default_handler: Callable[[Environment, StartResponse], Iterable[bytes]],
    ) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "PROPFIND" and environ.get("HTTP_DEPTH", "infinity") == "infinity":
            raise DAVError(HTTP_FORBIDDEN, err_condition=PRECONDITION_CODE_PropfindFiniteDepth)
        if method in {"GET", "HEAD"}:
            path = cast("str", environ["PATH_INFO"])
            found = self.get_resource_inst(path, environ)
            if isinstance(found, _Folder):
                return found.page(start_response, has_slash=path.endswith("/"), method=str(method))
        return default_handler(environ, start_response)


class _Resource:
    """What folders and files have in common."""

    item: Item
    is_collection: bool

    def get_href(self) -> str:
        """The URL."""
        return href(self.item)

    def get_properties(
        self, mode: str, *, name_list: Sequence[str] | None = None
    ) -> list[tuple[str, object]]:
        """Names and values of properties."""
        if name_list is not None and len(name_list) > _MOST_NAMED:
            raise DAVError(HTTP_FORBIDDEN, f"more than {_MOST_NAMED} properties")
        found: list[tuple[str, object]] = super().get_properties(mode, name_list=name_list)  # type: ignore[misc]  # of WsgiDAV's class beside it
        return found

    def get_display_name(self) -> str:
        """The name, as text that is valid in XML."""
        return printable(self.item.path.rpartition(b"/")[2])

    def get_last_modified(self) -> int:
        """Seconds since 1970."""
        return max(self.item.node.mtime // _SECOND, 0)


class _Folder(_Resource, DAVCollection):  # type: ignore[misc]  # WsgiDAV has no types
    """A directory."""

    def __init__(self, item: Item, environ: Environment) -> None:
        super().__init__(text_of(item.path), environ)
        self.item = item

    @override
    def get_member_names(self) -> list[str]:
        return [member.name for member in self.get_member_list()]

    @override
    def get_member_list(self) -> list[_Folder | _File]:
        return [
            (_File if item.node.type == NodeType.FILE else _Folder)(item, self.environ)
            for item in self._items()
            if item.node.type in {NodeType.FILE, NodeType.DIRECTORY}
        ]

    def page(self, start: StartResponse, *, has_slash: bool, method: str) -> Sequence[bytes]:
        """The page that shows it in a browser."""
        if not has_slash:
            start("301 Moved Permanently", [("Location", self.get_href()), ("Content-Length", "0")])
            return [b""]
        body = page(self.item, self._items()).encode("utf-8", "replace")
        start("200 OK", [*_PAGE_HEADERS, ("Content-Length", str(len(body)))])
        return [b"" if method == "HEAD" else body]

    def _items(self) -> Sequence[Item]:
        with _errors(self.item.path):
            return cast("_Provider", self.provider).view.items(self.item.path)


class _File(_Resource, DAVNonCollection):  # type: ignore[misc]  # WsgiDAV has no types
    """A regular file."""

    def __init__(self, item: Item, environ: Environment) -> None:
        super().__init__(text_of(item.path), environ)
        self.item = item

    @override
    def get_content_length(self) -> int:
        return self.item.node.size

    @override
    def get_content_type(self) -> str:
        kind, encoding = mimetypes.guess_type(self.item.path.decode("ascii", "replace"))
        return kind if kind and not encoding else "application/octet-stream"

    @override
    def support_etag(self) -> bool:
        return True

    @override
    def get_etag(self) -> str:
        return _identity(self.item.node)

    @override
    def support_ranges(self) -> bool:
        return True

    @override
    def finalize_headers(
        self,
        environ: object,  # noqa: ARG002 - WsgiDAV's signature
        response_headers: list[tuple[str, str]],
    ) -> None:
        response_headers += _FILE_HEADERS

    @override
    def get_content(self) -> _Stream:
        with _errors(self.item.path):
            reader = cast("_Provider", self.provider).view.reader(self.item)
        return _Stream(reader, self.item.path)


class _Stream:
    """The bytes of a file, as WsgiDAV reads them."""

    def __init__(self, reader: FileReader, path: bytes) -> None:
        self._reader, self._path = reader, path
        self._position = 0

    def seek(self, position: int) -> None:
        """Read from there on."""
        self._position = position

    def read(self, count: int) -> bytes:
        """At most so many bytes; none at the end."""
        with _errors(self._path):
            data = self._reader.read_at(self._position, count)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Let go."""
        self._reader.close()


@contextmanager
def _errors(path: bytes) -> Iterator[None]:
    try:
        yield
    except PathNotFound:
        raise DAVError(HTTP_NOT_FOUND, printable(path)) from None
    except SnapshotNotFound as error:
        _log.warning("%s: %s", printable(path), error)
        raise DAVError(HTTP_GONE, str(error)) from None
    except HoldfastError as error:
        _log.error("%s: %s", printable(path), error)
        raise DAVError(HTTP_BAD_GATEWAY, str(error)) from None


def _identity(node: Node) -> str:
    """A text that is another one for any other content."""
    return blake2b(codec.pack((node.size, node.payload)), digest_size=16).hexdigest()
