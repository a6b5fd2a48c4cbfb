"""The proxy: what it lets through is what the server says, and each fault is what it is called."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import fsspec
import pytest
from tests.servers import faults
from tests.servers.base import Place, fresh
from tests.servers.faults import Answer, Break, Fault, ShortListing, StaleListing, Stall
from tests.servers.proxy import Proxy, only
from tests.servers.s3 import Moto

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

_CONTENT = bytes(range(256)) * 64
_SECONDS = 60.0
# moto gives objects to nobody who has not signed, and does not look at the signature.
_SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


class Wire:
    """A bucket, asked without a driver: through the proxy, and past it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.bucket = f"/{fresh('bucket')}"
        assert self.direct("PUT", "").status == http.client.OK

    def direct(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """Ask the server."""
        return _ask(self.proxy.target, method, self.bucket + path, body)

    def through(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """Ask the proxy."""
        return _ask(self.proxy.address, method, self.bucket + path, body)

    def harmed(self, fault: Fault, method: str, path: str, body: bytes | None = None) -> Reply:
        """Ask the proxy, which does this to the request."""
        self.proxy.forget()
        self.proxy.plan = only(1, fault)
        return self.through(method, path, body)

    def names(self, listing: bytes) -> list[str]:
        """The objects in a listing."""
        return [part.split("</Key>")[0] for part in listing.decode().split("<Key>")[1:]]


class Reply:
    """An answer, read to its end."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()


def _ask(address: str, method: str, path: str, body: bytes | None) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=_SECONDS)
    try:
        connection.request(method, path, body, _SIGNED)
        return Reply(connection.getresponse())
    finally:
        connection.close()


@pytest.fixture
def wire(servers: Servers) -> Iterator[Wire]:
    server = servers.get("moto")
    assert isinstance(server, Moto)
    with Proxy(server.address) as proxy:
        yield Wire(proxy)


def test_passes_and_counts(wire: Wire) -> None:
    wire.through("PUT", "/a", _CONTENT)
    assert wire.through("GET", "/a").body == _CONTENT
    head = wire.through("HEAD", "/a")
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(_CONTENT))
    assert wire.through("GET", "/missing").status == http.client.NOT_FOUND
    seen = [(now.number, now.method, now.sent, now.status) for now in wire.proxy.requests]
    size = len(_CONTENT)
    assert seen == [
        (1, "PUT", size, 200),
        (2, "GET", 0, 200),
        (3, "HEAD", 0, 200),
        (4, "GET", 0, 404),
    ]
    assert wire.proxy.requests[1].path == f"{wire.bucket}/a"
    assert wire.proxy.requests[1].received == size
    wire.proxy.forget()
    assert wire.proxy.requests == []


def test_chunked_bodies_pass(wire: Wire) -> None:
    connection = http.client.HTTPConnection(urlsplit(wire.proxy.address).netloc, timeout=_SECONDS)
    connection.request("PUT", f"{wire.bucket}/a", iter([b"one ", b"two"]), encode_chunked=True)
    assert connection.getresponse().read() == b""
    connection.request("GET", f"{wire.bucket}/a", headers=_SIGNED)  # on the same connection
    assert connection.getresponse().read() == b"one two"
    connection.close()


def test_each_request_waits(servers: Servers) -> None:
    server = servers.get("moto")
    assert isinstance(server, Moto)
    with Proxy(server.address, delay=0.05) as proxy:
        wire = Wire(proxy)
        start = time.monotonic()
        wire.through("PUT", "/a", b"x")
        assert time.monotonic() - start >= proxy.delay


@pytest.mark.parametrize(
    "answer",
    [
        faults.ACCESS_DENIED, faults.NO_SUCH_BUCKET, faults.CONFLICT, faults.PRECONDITION_FAILED,
        faults.TOO_MANY_REQUESTS, faults.INTERNAL_ERROR, faults.SLOW_DOWN, faults.EXPIRED_TOKEN,
        faults.CLOCK_SKEW, faults.WRONG_REGION,
    ],
    ids=lambda answer: str(answer.code),
)  # fmt: skip
def test_answers_instead_of_the_server(wire: Wire, answer: Answer) -> None:
    reply = wire.harmed(answer, "PUT", "/a", _CONTENT)
    assert reply.status == answer.status
    assert f"<Code>{answer.code}</Code>".encode() in reply.body
    assert reply.headers["Retry-After"] == ("1" if answer is faults.TOO_MANY_REQUESTS else None)
    assert wire.direct("GET", "/a").status == http.client.NOT_FOUND
    assert wire.through("PUT", "/a", _CONTENT).status == http.client.OK  # the second one


def test_an_error_to_head_has_no_body(wire: Wire) -> None:
    assert wire.harmed(faults.ACCESS_DENIED, "HEAD", "/a").body == b""
    assert wire.through("HEAD", "/a").status == http.client.NOT_FOUND


@pytest.mark.parametrize("fault", [Break.BEFORE_REQUEST, Break.IN_REQUEST])
def test_reset_before_the_server_has_it_all(wire: Wire, fault: Break) -> None:
    with pytest.raises(ConnectionError):
        wire.harmed(fault, "PUT", "/a", _CONTENT)
    half = len(_CONTENT) // 2 if fault is Break.IN_REQUEST else 0
    assert wire.proxy.requests[0].sent == half
    assert wire.proxy.requests[0].status is None
    assert wire.direct("GET", "/a").status == http.client.NOT_FOUND


def test_lost_answer(wire: Wire) -> None:
    with pytest.raises(ConnectionError):
        wire.harmed(Break.LOST_ANSWER, "PUT", "/a", _CONTENT)
    assert wire.direct("GET", "/a").body == _CONTENT
    with pytest.raises(ConnectionError):
        wire.harmed(Break.LOST_ANSWER, "DELETE", "/a")
    assert wire.direct("GET", "/a").status == http.client.NOT_FOUND


def test_reset_in_the_answer(wire: Wire) -> None:
    wire.direct("PUT", "/a", _CONTENT)
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        wire.harmed(Break.IN_ANSWER, "GET", "/a")
    assert wire.proxy.requests[0].received == len(_CONTENT) // 2


def test_short_answer(wire: Wire) -> None:
    wire.direct("PUT", "/a", _CONTENT)
    with pytest.raises(http.client.IncompleteRead) as caught:
        wire.harmed(Break.SHORT_ANSWER, "GET", "/a")
    assert caught.value.partial == _CONTENT[: len(_CONTENT) // 2]


@pytest.mark.parametrize("fault", list(Stall))
def test_stalls_until_told_to_go_on(wire: Wire, fault: Stall) -> None:
    wire.direct("PUT", "/a", _CONTENT)
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(wire.harmed(fault, "GET", "/a")))
    thread.start()
    assert wire.proxy.wait_stalled(_SECONDS)
    assert replies == []
    wire.proxy.go_on()
    thread.join(_SECONDS)
    assert [reply.body for reply in replies] == [_CONTENT]


def test_stall_ends_with_the_proxy(wire: Wire) -> None:
    failed: list[Exception] = []

    def ask() -> None:
        try:
            wire.harmed(Stall.BEFORE_REQUEST, "GET", "/a")
        except (OSError, http.client.HTTPException) as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert wire.proxy.wait_stalled(_SECONDS)
    wire.proxy.close()
    thread.join(_SECONDS)
    assert not thread.is_alive()


def test_stale_listing(wire: Wire) -> None:
    listing = "?list-type=2&prefix=p"
    wire.direct("PUT", "/p1", b"")
    assert wire.names(wire.harmed(StaleListing(), "GET", listing).body) == []
    wire.direct("PUT", "/p2", b"")
    assert wire.names(wire.harmed(StaleListing(), "GET", listing).body) == ["p1"]
    assert wire.names(wire.through("GET", listing).body) == ["p1", "p2"]


def test_short_listing(wire: Wire) -> None:
    for number in range(5):
        wire.direct("PUT", f"/{number}", b"")
    listing = "?list-type=2&max-keys=3"
    full = wire.through("GET", listing).body
    assert b"<IsTruncated>true</IsTruncated>" in full
    assert b"<NextContinuationToken>" in full
    short = wire.harmed(ShortListing(2), "GET", listing).body
    assert wire.names(short) == ["0", "1"]
    assert b"<IsTruncated>false</IsTruncated>" in short
    assert b"<KeyCount>2</KeyCount>" in short
    assert b"<NextContinuationToken>" not in short


def test_server_that_is_gone_is_a_broken_connection() -> None:
    with Proxy("http://127.0.0.1:1") as proxy, pytest.raises(ConnectionError):
        _ask(proxy.address, "GET", "/", None)


def test_signatures_hold(s3_place: Place) -> None:
    target = s3_place.options["endpoint_url"]
    assert isinstance(target, str)
    with Proxy(target) as proxy:
        place = proxy.place(s3_place)
        files, path = fsspec.url_to_fs(place.location, skip_instance_cache=True, **place.options)
        files.pipe_file(f"{path}/a b+c", _CONTENT)
        assert files.cat_file(f"{path}/a b+c", start=10, end=20) == _CONTENT[10:20]
        assert [name.removeprefix(path) for name in files.find(path)] == ["/a b+c"]
        proxy.plan = only(len(proxy.requests) + 1, faults.ACCESS_DENIED)
        with pytest.raises(PermissionError, match="Access Denied"):
            files.pipe_file(f"{path}/other", _CONTENT)
        assert {request.method for request in proxy.requests} == {"PUT", "GET"}
