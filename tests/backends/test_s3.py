"""S3 keeps every promise of a backend, on a real server and on moto's; and what is S3's own."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import pytest
from tests.backends.canned import Answer as Canned
from tests.backends.canned import Asked, canned
from tests.servers.base import Place, fresh
from tests.servers.faults import INTERNAL_ERROR, SLOW_DOWN, Answer, Break, Fault, Stall
from tests.servers.proxy import Proxy, untouched
from tests.servers.s3 import S3Server

from holdfast.backend import (
    Access,
    Backend,
    Buffer,
    Call,
    Faulty,
    NoFault,
    ObjectInfo,
    open_backend,
    open_objects,
    put_probing,
)
from holdfast.backend.drivers.objects import PIECE
from holdfast.backend.drivers.s3 import S3Driver
from holdfast.backend.drivers.s3_objects import S3Objects
from holdfast.backend.foreign import Upload
from holdfast.backend.remote import RemoteBackend, open_remote
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectTruncated,
    StorageUnavailable,
    UsageError,
)
from holdfast.overrides import override
from holdfast.testing.conformance import BackendConformance

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

MIB = 1 << 20
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


class TestS3(BackendConformance):
    @pytest.fixture
    def backend(self, s3_place: Place) -> Iterator[Backend]:
        backend = opened(s3_place)
        put_probing(backend, "probe", b"")
        backend.delete("probe")
        assert backend.capabilities().put_if_absent
        yield backend
        backend.close()

    @override
    def test_one_of_many_creators_wins(self, backend: Backend) -> None:
        """Those who come too late wait for the object: versitygw refuses them a moment before.

        Under load version 1.8.0 answers 412 and then, for that moment, 404. To a backup that is a
        storage that fails: it makes no snapshot.
        """
        super().test_one_of_many_creators_wins(Faulty(backend, Shown(backend)))


class Shown(NoFault):
    """Objects are read when they are there."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @override
    def before(self, call: Call, data: Buffer) -> Buffer:
        end = time.monotonic() + 60
        while call.verb == "get":
            try:
                self._backend.stat(call.name)
            except ObjectNotFound:
                assert time.monotonic() < end, call
            else:
                break
        return data


def test_who_is_refused_can_read_what_was_made(servers: Servers) -> None:
    """Moto's server keeps what S3 promises."""
    place = servers.get("moto").place()
    backend = opened(place)
    put_probing(backend, "probe", b"")
    assert backend.capabilities().put_if_absent
    BackendConformance().test_one_of_many_creators_wins(backend)
    backend.close()


def opened(place: Place, **options: object) -> Backend:
    return open_backend(place.location, Access({**place.options, **options}))


@contextmanager
def remote(place: Place, **options: object) -> Iterator[RemoteBackend]:
    """The storage without retries."""
    backend = open_remote(place.location, "s3", {**place.options, **options})
    yield backend
    backend.close()


class Bucket:
    """A bucket as another program sees it."""

    def __init__(self, place: Place) -> None:
        self.name, _, self.prefix = place.location.removeprefix("s3://").partition("/")
        self.client = botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=place.options["endpoint_url"],
            aws_access_key_id=place.options["key"],
            aws_secret_access_key=place.options["secret"],
        )

    def put(self, key: str, data: bytes = b"x") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def head(self, name: str) -> Mapping[str, object]:
        found: Mapping[str, object] = self.client.head_object(
            Bucket=self.name, Key=f"{self.prefix}/{name}", ChecksumMode="ENABLED"
        )
        return found


@pytest.fixture
def bucket(s3_place: Place) -> Iterator[Bucket]:
    bucket = Bucket(s3_place)
    yield bucket
    bucket.client.close()


# What others left in the bucket


def test_a_listing_is_of_the_prefix_only(s3_place: Place, bucket: Bucket) -> None:
    for key in ("prefix/data/a", "prefix-2/data/a", "data/a", "other"):
        bucket.put(key)
    with remote(s3_place) as backend:
        assert list(backend.list("")) == [ObjectInfo("data/a", 1)]


def test_markers_of_folders_are_no_objects_of_theirs(s3_place: Place, bucket: Bucket) -> None:
    for key in ("prefix/", "prefix/data/", "prefix/data/3f/"):
        bucket.put(key, b"")
    bucket.put("prefix/data/3f/a")
    with remote(s3_place) as backend:
        assert {info.name for info in backend.list("")} == {"data/", "data/3f/", "data/3f/a"}
        assert {info.name for info in backend.list("data/3f/")} == {"data/3f/a"}
        with pytest.raises(ObjectNotFound):
            backend.stat("data")


def test_a_key_may_be_an_object_and_a_folder(servers: Servers) -> None:
    """Not on versitygw, which keeps objects as files."""
    place = servers.get("moto").place()
    with remote(place) as backend:
        for name in ("a", "a/b", "a/b/c"):
            backend.put(name, name.encode())
        for name in ("a", "a/b", "a/b/c"):
            assert backend.get(name) == name.encode()
            assert backend.stat(name) == len(name)
        assert {info.name for info in backend.list("a/")} == {"a/b", "a/b/c"}
        backend.delete("a/b")
        assert {info.name for info in backend.list("")} == {"a", "a/b/c"}


def test_a_whole_bucket_can_be_the_repository(s3_place: Place) -> None:
    name = s3_place.location.split("/")[2]
    for location in (f"s3://{name}", f"s3://{name}/"):
        with remote(Place(location, s3_place.options)) as backend:
            backend.put("data/a", b"x")
            assert list(backend.list("")) == [ObjectInfo("data/a", 1)]
            assert list(backend.list("data/")) == [ObjectInfo("data/a", 1)]


# Objects


def test_an_object_is_never_sent_in_parts(s3_place: Place, bucket: Bucket) -> None:
    """As s3fs does with those of 100 MiB and more."""
    with remote(s3_place) as backend:
        backend.put("data/large", bytes(101 * MIB))
    assert "-" not in str(bucket.head("data/large")["ETag"])


def test_a_range_of_an_empty_object(s3_place: Place) -> None:
    with remote(s3_place) as backend:
        backend.put("a", b"")
        assert backend.get("a", 0, 0) == b""
        with pytest.raises(ObjectTruncated, match="0 bytes"):
            backend.get("a", 0, 1)


def test_a_missing_bucket_is_no_missing_object(s3_place: Place) -> None:
    place = Place("s3://there-is-none-of-this-name/prefix", s3_place.options)
    with remote(place) as backend:
        for work in (
            lambda: backend.get("a"),
            lambda: backend.get("a", 0, 1),
            lambda: backend.stat("a"),
            lambda: backend.put("a", b""),
            lambda: list(backend.list("")),
            lambda: backend.delete("a"),
        ):
            with pytest.raises(BackendError, match="there is no bucket there-is-none") as caught:
                work()
            assert type(caught.value) is BackendError


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"key": "nobodys-key"}, "AWS_ACCESS_KEY_ID"), ({"secret": "bad"}, "AWS_SECRET_ACCESS_KEY")],
)
def test_wrong_credentials_are_told(servers: Servers, wrong: dict[str, str], words: str) -> None:
    place = servers.get("versity").place()
    with remote(place, **wrong) as backend:
        for work in (lambda: backend.get("a"), lambda: list(backend.list(""))):
            with pytest.raises(AccessDenied, match=words) as caught:
                work()
            assert str(place.options["secret"]) not in str(caught.value)
        with pytest.raises(AccessDenied):
            backend.stat("a")


def test_a_wrong_region_is_corrected(s3_place: Place) -> None:
    options = {name: value for name, value in s3_place.options.items() if name != "client_kwargs"}
    with remote(Place(s3_place.location, options), region="eu-west-3") as backend:
        backend.put("a", b"x")
        assert backend.get("a") == b"x"


# What objects are stored with


def test_packs_have_a_storage_class_and_all_are_encrypted(servers: Servers) -> None:
    """On moto, as versitygw knows neither."""
    place = servers.get("moto").place()
    with remote(place, storage_class="STANDARD_IA", sse="AES256") as backend:
        backend.put("data/3f/a", b"x")
        backend.put_probing("index/b", b"x")
        backend.put_if_absent("data/3f/c", b"x")
    bucket = Bucket(place)
    for name, expected in {"data/3f/a": "STANDARD_IA", "index/b": None}.items():
        head = bucket.head(name)
        assert head.get("StorageClass") == expected
        assert head["ServerSideEncryption"] == "AES256"
    assert bucket.head("data/3f/c")["StorageClass"] == "STANDARD_IA"
    bucket.client.close()


def test_a_key_for_encryption_is_named(servers: Servers) -> None:
    place = servers.get("moto").place()
    with remote(place, sse_kms_key_id="a-key-of-ours") as backend:
        backend.put("a", b"x")
    bucket = Bucket(place)
    head = bucket.head("a")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "a-key-of-ours")
    bucket.client.close()


@pytest.mark.parametrize("mode", ["governance", "COMPLIANCE"])
@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_objects_are_locked(
    s3_place: Place,
    bucket: Bucket,
    mode: str,
    checksums: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But those that only mark running work."""
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", checksums)
    bucket.name = fresh("locked")
    bucket.client.create_bucket(Bucket=bucket.name, ObjectLockEnabledForBucket=True)
    place = Place(f"s3://{bucket.name}/prefix", s3_place.options)
    now = datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() / 1e9, UTC)
    with remote(place, object_lock_days=30, object_lock_mode=mode) as backend:
        backend.put_probing("probe/a", b"x")
        for name in ("data/3f/a", "snapshots/a", "index/a", "config/0"):
            backend.put_if_absent(name, b"x")
            head = bucket.head(name)
            assert head["ObjectLockMode"] == mode.upper()
            until = head["ObjectLockRetainUntilDate"]
            assert isinstance(until, datetime)
            assert timedelta(days=29.9) < until - now < timedelta(days=30.1)
        for name in ("sessions/a", "sessions/a.1", "gc/a", "probe/b"):
            backend.put(name, b"x")
            assert "ObjectLockMode" not in bucket.head(name)


@pytest.mark.parametrize(
    "options",
    [
        {"object_lock_days": "many"},
        {"object_lock_days": 0},
        {"object_lock_days": 1, "object_lock_mode": "gentle"},
        {"storage_class": ""},
        {"region": True},
        {"config_kwargs": "x"},
        {"client_kwargs": 1, "region": "x"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="storage option"):
        open_remote("s3://bucket/prefix", "s3", options)


# Checksums


def test_what_is_sent_has_a_checksum_only_where_it_is_asked_for(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = servers.get("versity").place()
    bucket = Bucket(place)
    with remote(place) as backend:
        backend.put("a", b"x")
    assert "ChecksumCRC32" not in bucket.head("a")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    with remote(place) as backend:
        backend.put("b", b"x")
    assert "ChecksumCRC32" in bucket.head("b")
    bucket.client.close()


class Plain(BaseHTTPRequestHandler):
    """A store that speaks S3 of 2014: no checksums but MD5, no chunks, no conditions."""

    protocol_version = "HTTP/1.1"
    listings: Mapping[str, bytes] = {
        "empty": b"",
        "page": b"<html><body>Welcome</body></html>",
        "unending": b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>the same</NextContinuationToken></ListBucketResult>",
    }

    def do_GET(self) -> None:
        """Answer to a listing of a folder in the way that it is named after."""
        self.answer(200, next(self.listings[name] for name in self.listings if name in self.path))

    def do_PUT(self) -> None:
        """Refuse what is new."""
        self.rfile.read(int(self.headers["Content-Length"]))
        newer = any(
            name.lower().startswith(("x-amz-checksum", "x-amz-sdk", "x-amz-trailer", "if-"))
            for name in self.headers
        )
        if newer:
            self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        else:
            self.answer(200, b"", {} if "/untagged/" in self.path else {"ETag": '"1"'})

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def plain() -> Iterator[Place]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    yield Place("s3://bucket/prefix", {"endpoint": address, "key": "key", "secret": "secret"})
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_store_that_knows_no_checksums_and_no_conditions_is_usable(plain: Place) -> None:
    with remote(plain) as backend:
        backend.put("a", b"x")
        assert backend.capabilities().put_if_absent is None
        backend.put_probing("sessions/a", b"x")
        assert backend.capabilities().put_if_absent is False
        with pytest.raises(BackendError, match="only if absent"):
            backend.put_if_absent("config/0", b"x")


def test_that_store_refuses_the_defaults_of_the_library_below(
    plain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    with remote(plain) as backend, pytest.raises(BackendError, match="cannot do what"):
        backend.put("a", b"x")


# Requests


@contextmanager
def harmed(place: Place, fault: Fault | None) -> Iterator[tuple[RemoteBackend, Proxy]]:
    """The place, with an object ``a``, behind a proxy that does something to all requests."""
    with remote(place) as backend:
        backend.put("a", bytes(1000))
    with Proxy(str(place.options["endpoint_url"])) as proxy:
        proxy.plan = lambda *_: fault
        # Who waits for an answer that comes is in no hurry: a busy server takes its time.
        is_lost = isinstance(fault, Break | Stall)
        hurried: dict[str, object] = {"config_kwargs": {"read_timeout": 0.3}} if is_lost else {}
        with remote(proxy.place(place), **hurried) as backend:
            yield backend, proxy


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR, Answer(429, "TooManyRequests")])
def test_nothing_below_tries_again(s3_place: Place, fault: Fault) -> None:
    with harmed(s3_place, fault) as (backend, proxy):
        for work in (
            lambda: backend.get("a"),
            lambda: backend.get("a", 0, 10),
            lambda: backend.stat("a"),
            lambda: backend.put("a", b""),
            lambda: list(backend.list("")),
            lambda: backend.delete("a"),
        ):
            proxy.forget()
            with pytest.raises(StorageUnavailable):
                work()
            assert len(proxy.requests) == 1


def test_each_verb_is_one_request(s3_place: Place) -> None:
    with harmed(s3_place, None) as (backend, proxy):
        for method, work in (
            ("GET", lambda: backend.get("a")),
            ("GET", lambda: backend.get("a", 10, 20)),
            ("HEAD", lambda: backend.stat("a")),
            ("PUT", lambda: backend.put("a", bytes(MIB))),
            ("GET", lambda: list(backend.list("data/"))),
            ("GET", lambda: list(backend.list(""))),
            ("DELETE", lambda: backend.delete("a")),
        ):
            proxy.forget()
            work()
            assert [request.method for request in proxy.requests] == [method]


def test_a_time_to_wait_is_passed_on(s3_place: Place) -> None:
    with harmed(s3_place, Answer(503, "SlowDown", retry_after=17)) as (backend, _):
        with pytest.raises(StorageUnavailable) as caught:
            backend.get("a")
        assert caught.value.retry_after == 17


@pytest.mark.parametrize(
    "fault",
    [*Break, Stall.BEFORE_ANSWER, Stall.IN_ANSWER],
    ids=lambda fault: fault.name.lower(),
)
def test_an_answer_that_does_not_come_whole_is_none(s3_place: Place, fault: Fault) -> None:
    with harmed(s3_place, fault) as (backend, _):
        for work in (
            lambda: backend.get("a"),
            lambda: backend.get("a", 0, 10),
            lambda: list(backend.list("")),
        ):
            with pytest.raises(StorageUnavailable):
                work()


@pytest.mark.parametrize("folder", ["empty/", "page/", "unending/"])
def test_an_answer_without_a_listing_is_no_empty_listing(plain: Place, folder: str) -> None:
    with remote(plain) as backend, pytest.raises(StorageUnavailable, match=r"listing"):
        list(backend.list(folder))


def test_an_answer_to_a_put_that_is_not_the_stores_is_none(plain: Place) -> None:
    with remote(plain) as backend:
        backend.put("data/a", b"x")
        with pytest.raises(StorageUnavailable, match="not the store's"):
            backend.put("untagged/a", b"x")


# Where the place and the credentials are from


def test_the_usual_variables_are_used(s3_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, name in KEYS.items():
        monkeypatch.setenv(variable, str(s3_place.options[name]))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_S3_ENDPOINT", str(s3_place.options["endpoint_url"]))
    with remote(Place(s3_place.location, {})) as backend:
        backend.put("a", b"x")
        assert backend.get("a") == b"x"


def test_a_profile_is_used(
    s3_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = "".join(f"{name.lower()} = {s3_place.options[key]}\n" for name, key in KEYS.items())
    (tmp_path / "credentials").write_text(f"[of-backups]\n{keys}")
    (tmp_path / "config").write_text("[profile of-backups]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    endpoint = s3_place.options["endpoint_url"]
    place = Place(s3_place.location, {"endpoint": endpoint, "profile": "of-backups"})
    with remote(place) as backend:
        backend.put("a", b"x")
        assert backend.get("a") == b"x"


def test_without_credentials_the_variables_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*KEYS, "AWS_PROFILE", "AWS_S3_ENDPOINT", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    place = Place("s3://bucket/prefix", {"endpoint": "http://127.0.0.1:9"})
    with remote(place) as backend, pytest.raises(AccessDenied, match="AWS_ACCESS_KEY_ID"):
        backend.get("a")


def test_connections_are_closed(s3_place: Place) -> None:
    """An open one would be a warning, which is an error here."""
    backend = opened(s3_place)
    backend.put("a", b"x")
    backend.close()
    del backend
    gc.collect()


def test_a_store_can_be_used_again_after_close(s3_place: Place) -> None:
    with remote(s3_place) as backend:
        put_probing(backend, "a", b"x")
        backend.close()
        with pytest.raises(ObjectExists):
            backend.put_if_absent("a", b"y")


# Objects that are no part of a repository


@contextmanager
def uploading(place: Place, **options: object) -> Iterator[S3Objects]:
    objects = S3Objects(S3Driver.at(place.location, {**place.options, **options}))
    yield objects
    objects.close()


def test_an_answer_that_is_not_the_stores_completes_no_upload(plain: Place) -> None:
    with uploading(plain) as objects:
        begun(objects, "a", b"x").finish()
        upload = begun(objects, "untagged/a", b"x")
        with pytest.raises(StorageUnavailable, match="not the store's"):
            upload.finish()


def begun(objects: S3Objects, name: str, data: bytes) -> Upload:
    """An upload of which nothing but the end is missing."""
    upload = objects.upload(f"{objects.root}/{name}", len(data))
    for start in range(0, len(data), PIECE):
        upload.send(data[start : start + PIECE])
    return upload


def test_small_and_large_objects_are_stored_alike(servers: Servers) -> None:
    place = servers.get("moto").place()
    bucket = Bucket(place)
    with uploading(place, storage_class="STANDARD_IA", sse="AES256") as objects:
        for name, size in {
            "a": 1,
            "data/a": 1,
            "large": PIECE + 1,
            "data/large": PIECE + 1,
        }.items():
            begun(objects, name, bytes(size)).finish()
            head = bucket.head(name)
            assert (head["StorageClass"], head["ServerSideEncryption"]) == ("STANDARD_IA", "AES256")
    bucket.client.close()


def test_what_is_no_repository_is_not_locked(s3_place: Place) -> None:
    with pytest.raises(UsageError, match="object_lock_days: it is for repositories only"):
        open_objects(s3_place.location, Access({**s3_place.options, "object_lock_days": 1}))


@pytest.mark.parametrize("before", [None, b"b" * (PIECE + 1)])
def test_an_upload_whose_last_answer_was_lost_is_complete(
    servers: Servers, before: bytes | None
) -> None:
    server = servers.get("versity")
    assert isinstance(server, S3Server)
    place = server.place()
    data = b"a" * (PIECE + 1)
    with Proxy(server.address) as proxy, uploading(proxy.place(place)) as objects:
        if before is not None:
            begun(objects, "a", before).finish()
        upload = begun(objects, "a", data)
        proxy.plan = lambda *_: Break.LOST_ANSWER
        with pytest.raises(Exception, match="connect") as caught:
            upload.finish()
        assert isinstance(objects.explain("put", "a", caught.value), StorageUnavailable)
        proxy.plan = untouched
        upload.finish()
        assert objects.read(f"{objects.root}/a", (0, PIECE + 1), "") == data


@pytest.mark.parametrize("tag", ['"before"', '"after"'])
def test_of_an_upload_that_is_gone_only_another_version_is_the_end(tag: str) -> None:
    """Of the same size as before is not enough."""
    tags = ['"before"', tag]

    def answer(asked: Asked) -> Canned:
        if asked.method == "HEAD":
            headers = {"ETag": tags.pop(0), "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"}
            return Canned(200, headers=headers, missing=PIECE + 1)
        if asked.method == "POST" and "uploadId" in asked.path:
            return Canned(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        body = (
            b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        )
        return Canned(200, body if asked.method == "POST" else b"", {"ETag": '"1"'})

    with canned(answer) as store:
        keys: dict[str, object] = {"endpoint": store.address, "key": "key", "secret": "secret"}
        with uploading(Place("s3://bucket/prefix", keys)) as objects:
            upload = begun(objects, "a", bytes(PIECE + 1))
            if tag == '"after"':
                upload.finish()
            else:
                with pytest.raises(Exception, match="NoSuchUpload"):
                    upload.finish()
    assert tags == []
