"""Stores of fsspec keep every promise of a backend."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator

import pytest
from tests.backends.canned import Answer, Asked, canned, garbling

from holdfast.backend import Access, Address, Backend, open_backend
from holdfast.backend.drivers import UnconditionalError
from holdfast.backend.drivers.crc32c import encoded, extended
from holdfast.backend.drivers.driver import WHOLE
from holdfast.backend.drivers.memory import MemoryDriver
from holdfast.backend.remote import RemoteBackend, open_remote
from holdfast.errors import BackendError, StorageUnavailable
from holdfast.overrides import override
from holdfast.store.objects import OBJECT_LIMIT
from holdfast.testing.conformance import BackendConformance


class TestMemoryOfFsspec(BackendConformance):
    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        backend = open_backend(f"memory://{secrets.token_hex(8)}/prefix")
        yield backend
        backend.close()


def _opened(driver: type[MemoryDriver]) -> RemoteBackend:
    location = f"memory://{secrets.token_hex(8)}/prefix"
    return RemoteBackend(driver.at(location, {}), Address(location, Access()))


@pytest.mark.parametrize("kind", ["accepts", "refuses"])
def test_one_wrong_answer_does_not_decide_that_nothing_can_be_created(kind: str) -> None:
    class Once(MemoryDriver):
        has_erred = False

        @override
        def create(self, path: str, data: bytes) -> None:
            if not self.has_erred and self._fs.exists(path) == (kind == "accepts"):
                self.has_erred = True
                if kind == "refuses":
                    raise UnconditionalError(path, "not implemented")
                return
            super().create(path, data)

    backend = _opened(Once)
    backend.put_probing("sessions/a", b"x")
    assert backend.capabilities().put_if_absent is True
    assert [(info.name, backend.get(info.name)) for info in backend.list("")] == [
        ("sessions/a", b"x")
    ]


def test_what_a_store_cannot_do_is_seen_twice() -> None:
    class Never(MemoryDriver):
        @override
        def create(self, path: str, data: bytes) -> None:
            created.append(path)
            self.put(path, data)

    created: list[str] = []
    backend = _opened(Never)
    backend.put_probing("sessions/a", b"x")
    assert backend.capabilities().put_if_absent is False
    assert len(set(created)) == 2
    assert [info.name for info in backend.list("")] == ["sessions/a"]


def test_a_drivers_own_error_is_not_in_ours() -> None:
    """A debugger or a report of a crash would show its text."""

    class Telling(MemoryDriver):
        @override
        def read(self, path: str, part: tuple[int, int] | None) -> bytes:
            try:
                found: bytes = self._fs.cat_file(f"{path} of a secret key")
            except FileNotFoundError:
                if part:
                    raise
                raise StorageUnavailable("a", "no answer") from None
            return found

    backend = _opened(Telling)
    for length in (None, 2):
        with pytest.raises(BackendError) as caught:
            backend.get("a", 0, length)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


STORES: dict[str, tuple[str, dict[str, object]]] = {
    "s3": ("endpoint", {"key": "key", "secret": "secret", "region": "us-east-1"}),
    "az": ("endpoint", {"account_name": "account", "account_key": "a2V5"}),
    "gs": ("endpoint_url", {"token": "anon"}),
}


@pytest.mark.parametrize("protocol", STORES)
def test_a_whole_read_has_time_for_the_largest_object(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {
        "Content-Range": "bytes 0-2/3",
        "ETag": '"1"',
        "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT",
    }

    def told(_: Asked) -> Answer:
        time.sleep(0.5)
        return Answer(206, b"abc", headers)

    monkeypatch.setattr("holdfast.backend.drivers.driver.TIMEOUT", 0.1)
    name, options = STORES[protocol]
    with canned(told) as store:
        backend = open_remote(
            f"{protocol}://bucket/prefix", protocol, {**options, name: store.address}
        )
        assert backend.get("index/a") == b"abc"
        backend.close()


def test_the_largest_object_is_that_of_a_repository() -> None:
    assert WHOLE == OBJECT_LIMIT


@pytest.mark.parametrize("protocol", STORES)
def test_an_answer_may_take_as_long_as_what_was_sent(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is between here and the store may take all at once, and pass it on slowly."""
    data = bytes(256 << 10)  # to which more time is given than the answer takes, on any machine
    stored = {
        "ETag": '"1"',
        "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT",
        "x-ms-request-server-encrypted": "true",
    }

    def told(asked: Asked) -> Answer:
        if len(asked.body) >= len(data):
            time.sleep(1.5)
        body = f'{{"crc32c": "{encoded(extended(0, data))}"}}'.encode() if protocol == "gs" else b""
        return Answer(201 if protocol == "az" else 200, body, stored)

    for module in ("driver", "s3", "azure"):
        monkeypatch.setattr(f"holdfast.backend.drivers.{module}.SILENT", 0.5, raising=False)
    name, options = STORES[protocol]
    with canned(told) as store:
        backend = open_remote(
            f"{protocol}://bucket/prefix", protocol, {**options, name: store.address}
        )
        backend.put("data/a", data)
        backend.close()
    assert len(store.asked) == 1


def _stores(address: str) -> dict[str, dict[str, object]]:
    """Locations, and options to find them at an address."""
    key = base64.b64encode(bytes(32)).decode()
    connection = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={key}"
    return {
        "s3://bucket/prefix": {"endpoint": address, "key": "k", "secret": "s", "region": "x"},
        "az://container/prefix": {"connection_string": f"{connection};BlobEndpoint={address}/a;"},
        "gs://bucket/prefix": {"endpoint_url": address, "token": "anon"},
    }


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf of it",
        b"HTTP/1.1 524 A Timeout Occurred\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.parametrize(
    "location", ["s3://bucket/prefix", "az://container/prefix", "gs://bucket/prefix"]
)
def test_an_answer_that_is_lost_or_spoilt_is_none(location: str, reply: bytes) -> None:
    """So that whoever asked looks whether it was done; see `holdfast.store.objects.holds`."""
    with garbling(reply) as address:
        options = _stores(address)[location]
        backend = open_remote(location, location.partition("://")[0], options)
        with pytest.raises(StorageUnavailable):
            backend.put("snapshots/a", b"x")
        backend.close()
