"""Who creates an object on moto, as it is run here, waits for others who create one."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.servers.moto_atomic import OneCreatorAtATime

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


@pytest.mark.parametrize(
    ("method", "headers", "together"),
    [
        ("PUT", {"HTTP_IF_NONE_MATCH": "*"}, False),
        ("POST", {"HTTP_IF_NONE_MATCH": "*"}, False),
        ("PUT", {}, True),
        ("GET", {"HTTP_IF_NONE_MATCH": '"etag"'}, True),
    ],
)
def test_creators_wait_for_each_other(method: str, headers: dict[str, str], together: bool) -> None:
    both = threading.Barrier(2)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001 - WSGI's signature
        content = environ["wsgi.input"].read()
        try:
            both.wait(60.0 if together else 0.5)  # for the other one to be in here, too
        except threading.BrokenBarrierError:
            return [b"alone", content]
        return [b"together", content]

    served = OneCreatorAtATime(application)

    def request(content: bytes) -> list[bytes]:
        environ = {
            "REQUEST_METHOD": method,
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.input": io.BytesIO(content),
            **headers,
        }
        return list(served(environ, lambda *_: lambda _: None))

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(request, [b"one", b"another"]))
    how = b"together" if together else b"alone"
    assert told == [[how, b"one"], [how, b"another"]]
