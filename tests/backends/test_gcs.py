"""Google Cloud Storage keeps every promise of a backend: an emulator of it does."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.request import urlopen

import google_crc32c
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.backends.canned import Answer, Asked, canned

from holdfast.backend import Access, Backend, open_backend, open_objects
from holdfast.backend.drivers.gcs import GcsDriver, GoogleError
from holdfast.backend.drivers.gcs_objects import GcsObjects
from holdfast.backend.drivers.objects import PIECE
from holdfast.backend.remote import open_remote
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
    UsageError,
)
from holdfast.testing.conformance import BackendConformance

if TYPE_CHECKING:
    from tests.servers.base import Place
    from tests.servers.fixtures import Servers

SOURCE = Path(__file__).parents[2] / "src"
MIB = 1 << 20


class Open(Protocol):
    def __call__(self, location: str, **options: object) -> Backend: ...


@pytest.fixture
def place(servers: Servers) -> Place:
    return servers.get("fake-gcs").place()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens stores without anything that tries again, and closes them."""
    backends: list[Backend] = []

    def open_one(location: str, **options: object) -> Backend:
        backend = open_remote(location, location.partition("://")[0], options)
        backends.append(backend)
        return backend

    yield open_one
    for backend in backends:
        backend.close()


class TestGoogle(BackendConformance):
    @pytest.fixture
    def backend(self, place: Place) -> Iterator[Backend]:
        backend = open_backend(place.location, Access(place.options))
        yield backend
        backend.close()


def _about(place: Place, name: str) -> Mapping[str, object]:
    bucket = place.location.split("/")[2]
    address = f"{place.options['endpoint_url']}/storage/v1/b/{bucket}/o/prefix%2F{name}"
    with urlopen(address) as answer:  # noqa: S310 - the test server's http address
        found: Mapping[str, object] = json.loads(answer.read())
    return found


def _verbs(backend: Backend) -> dict[str, Callable[[], object]]:
    return {
        "put": lambda: backend.put("data/a", b"x"),
        "get": lambda: backend.get("data/a"),
        "get of a range": lambda: backend.get("data/a", 0, 1),
        "stat": lambda: backend.stat("data/a"),
        "list": lambda: list(backend.list("")),
        "delete": lambda: backend.delete("data/a"),
    }


# ------------------------------------------------------------------------------------- locations


@pytest.mark.parametrize("protocol", ["gs", "gcs", "GS"])
@pytest.mark.parametrize("prefix", ["", "/prefix", "/strange #1 %2F?/é"])
def test_every_name_of_the_protocol_and_any_prefix(
    place: Place, protocol: str, prefix: str
) -> None:
    location = f"{protocol}://{place.location.split('/')[2]}{prefix}"
    backend = open_backend(location, Access(place.options))
    backend.put("data/a", b"x")
    assert [info.name for info in backend.list("")] == ["data/a"]
    assert backend.get("data/a") == b"x"
    backend.close()


def test_the_emulator_of_the_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", str(place.options["endpoint_url"]))
    backend = open_backend(place.location)
    backend.put("data/a", b"x")
    assert backend.get("data/a") == b"x"
    backend.close()


def test_a_location_without_a_bucket() -> None:
    with pytest.raises(UsageError, match="bucket"):
        open_backend("gs:///prefix", Access({"token": "anon"}))


def test_what_another_process_stores_is_listed_at_once(place: Place) -> None:
    code = (
        "import sys; from holdfast.backend import open_backend; "
        "backend = open_backend(sys.argv[1]); print([each.name for each in backend.list('')]); "
        "backend.put('data/theirs', b'x'); backend.delete('data/ours'); backend.close()"
    )
    backend = open_backend(place.location, Access(place.options))
    backend.put("data/ours", b"x")
    assert [each.name for each in backend.list("")] == ["data/ours"]
    found = subprocess.run(
        [sys.executable, "-c", code, place.location],
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "STORAGE_EMULATOR_HOST": str(place.options["endpoint_url"]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout, found.stderr) == ("['data/ours']\n", "")
    assert [each.name for each in backend.list("")] == ["data/theirs"]
    backend.close()


# ----------------------------------------------------------------------------------- credentials


def test_without_credentials_nobody_is_asked() -> None:
    """Although gcsfs would go on as nobody."""
    with pytest.raises(UsageError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        open_backend("gs://bucket/prefix")


def test_a_key_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(UsageError, match=r"/nowhere/key\.json"):
        open_backend("gs://bucket/prefix")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with pytest.raises(UsageError, match=r"no file /nowhere/key\.json"):
        open_backend("gs://bucket/prefix", Access({"token": "/nowhere/key.json"}))


def _service_account(folder: Path, address: str) -> Path:
    """A key file of a service account that gets its tokens at an address."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    about = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "hunter2",
        "private_key": pem.decode(),
        "client_email": "backup@project.iam.gserviceaccount.com",
        "token_uri": address,
    }
    path = folder / "key.json"
    path.write_text(json.dumps(about))
    return path


TOKEN = Answer(
    200,
    json.dumps({"access_token": "ya29.hunter2", "expires_in": 3600}).encode(),
    {"Content-Type": "application/json"},
)


def test_a_key_file_gets_a_token_that_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Open
) -> None:
    with canned(TOKEN) as tokens, canned(Answer(200, b"content")) as store:
        path = _service_account(tmp_path, tokens.address)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        backend = opened("gs://bucket/prefix", endpoint_url=store.address)
        assert backend.get("data/a") == b"content"
        assert backend.get("data/b") == b"content"
    assert [asked.headers["authorization"] for asked in store.asked] == ["Bearer ya29.hunter2"] * 2
    assert len(tokens.asked) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(400, b'{"error": "invalid_grant"}'), AccessDenied),
        (Answer(401, b'{"error": "unauthorized_client"}'), AccessDenied),
    ],
)
def test_a_key_that_is_refused(
    answer: Answer,
    kind: type[BackendError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Open,
) -> None:
    with canned(answer) as tokens, canned(Answer(200, b"content")) as store:
        path = _service_account(tmp_path, tokens.address)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        backend = opened("gs://bucket/prefix", endpoint_url=store.address)
        with pytest.raises(kind, match="GOOGLE_APPLICATION_CREDENTIALS"):
            backend.get("data/a")
    assert store.asked == []


def test_a_token_that_cannot_be_had_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Open
) -> None:
    with canned(Answer(503, b'{"error": "internal_failure"}')) as tokens:
        path = _service_account(tmp_path, tokens.address)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        with pytest.raises(StorageUnavailable, match="no new token"):
            opened("gs://bucket/prefix", endpoint_url=tokens.address).get("data/a")


def test_tokens_are_never_shown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    opened: Open,
) -> None:
    refused = Answer(403, b'{"error": {"message": "token ya29.hunter2 is refused"}}')
    with canned(TOKEN) as tokens, canned(refused) as store, caplog.at_level(logging.DEBUG):
        path = _service_account(tmp_path, tokens.address)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        backend = opened("gs://bucket/prefix", endpoint_url=store.address)
        problems = []
        for work in _verbs(backend).values():
            with pytest.raises(AccessDenied) as caught:
                work()
            problems.append(caught.value)
    said = "\n".join(f"{each!r} {each} {each.__cause__!r}" for each in problems) + caplog.text
    assert "hunter2" not in said
    assert "PRIVATE KEY" not in said


def test_a_raw_token_that_is_wrong_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which gcsfs asks Google, whom nobody can reach through this proxy."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with pytest.raises(UsageError, match="no usable credentials") as caught:
        open_backend("gs://bucket/prefix", Access({"token": "ya29.hunter2/hunter2+="}))
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r}"


# ---------------------------------------------------------------------------------------- objects


def test_a_missing_bucket_is_neither_empty_nor_a_missing_object(place: Place, opened: Open) -> None:
    backend = opened("gs://nothing-here/prefix", **place.options)
    for verb, work in _verbs(backend).items():
        with pytest.raises(BackendError, match="no bucket nothing-here") as caught:
            work()
        assert type(caught.value) is BackendError, verb


def test_the_class_is_that_of_packs_alone(place: Place, opened: Open) -> None:
    backend = opened(place.location, **place.options, storage_class="nearline")
    for name in ("data/a", "index/a"):
        backend.put(name, b"x")
    classes = [_about(place, name)["storageClass"] for name in ("data%2Fa", "index%2Fa")]
    assert classes == ["NEARLINE", "STANDARD"]


def test_what_looks_like_a_boundary_is_stored(place: Place, opened: Open) -> None:
    """Where gcsfs ends an object at the boundary that it always uses."""
    data = b"before\r\n--==0==\r\nContent-Type: text/plain\r\n\r\nafter\n--==0==--\n"
    backend = opened(place.location, **place.options)
    backend.put("data/a", data)
    assert backend.get("data/a") == data


def test_markers_of_folders_are_no_objects(place: Place, opened: Open) -> None:
    driver = GcsDriver.at(place.location, place.options)
    for name in ("", "data/", "data/00/"):
        driver.put(f"{driver.root}/{name}", b"")
    driver.put(f"{driver.root}-2/a", b"")
    driver.close()
    backend = opened(place.location, **place.options)
    backend.put("data/00/a", b"x")
    assert [info.name for info in backend.list("")] == ["data/00/a"]


# ------------------------------------------------------------------------------ what is sent, said


def _stored(data: bytes) -> Answer:
    checksum = base64.b64encode(int(google_crc32c.value(data)).to_bytes(4, "big")).decode()
    return Answer(200, json.dumps({"crc32c": checksum}).encode())


def _sent(asked: Asked) -> tuple[Mapping[str, object], bytes]:
    """What an upload says of its object, and the object."""
    boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
    before, about, data, after = asked.body.split(b"--" + boundary)
    assert (before, after) == (b"", b"--\r\n")
    said: Mapping[str, object] = json.loads(about.partition(b"\r\n\r\n")[2])
    return said, data.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def test_the_largest_object_is_one_request_with_its_checksum(
    opened: Open,
) -> None:
    data = os.urandom(MIB) * 97
    with canned(_stored(data)) as store:
        opened("gs://bucket/prefix", token="anon", endpoint_url=store.address).put("data/a", data)
    (asked,) = store.asked
    about, content = _sent(asked)
    assert content == data
    checksum = json.loads(_stored(data).body)["crc32c"]
    assert about == {"name": "prefix/data/a", "crc32c": checksum}


def test_an_object_that_was_damaged_on_its_way(opened: Open) -> None:
    with canned(_stored(b"another")) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        with pytest.raises(StorageUnavailable, match="damaged"):
            backend.put("data/a", b"x")


def test_objects_are_locked_but_for_those_of_running_work(opened: Open) -> None:
    with canned(_stored(b"x")) as store:
        lock = {"object_lock_days": 30, "object_lock_mode": "LOCKED", "kms_key_name": "projects/p"}
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address, **lock)
        for name in ("data/a", "snapshots/a", "sessions/a", "gc/a"):
            backend.put(name, b"x")
    found = [_sent(asked)[0].get("retention") for asked in store.asked]
    assert found[2:] == [None, None]
    assert found[0] == found[1]
    assert isinstance(found[0], dict)
    assert found[0]["mode"] == "Locked"
    end = datetime.fromisoformat(found[0]["retainUntilTime"])
    assert timedelta(days=29.9) < end - datetime.now(UTC) <= timedelta(days=30)
    assert all("kmsKeyName=projects" in asked.path for asked in store.asked)


@pytest.mark.parametrize(
    "options", [{"storage_class": "frozen"}, {"object_lock_days": -1}, {"object_lock_mode": "x"}]
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=name):
        open_backend("gs://bucket", Access({"token": "anon", **options}))


def _told(status: int, message: str, reason: str = "") -> Answer:
    error = {"code": status, "message": message, "errors": [{"reason": reason}]}
    return Answer(status, json.dumps({"error": error}).encode(), {"Retry-After": "7"})


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        (_told(401, "Invalid Credentials", "authError"), AccessDenied, 1),
        (_told(403, "x does not have storage.objects.get access", "forbidden"), AccessDenied, 1),
        (_told(403, "Billing is off", "accountDisabled"), AccessDenied, 1),
        (_told(403, "Slow down", "rateLimitExceeded"), StorageUnavailable, 1),
        (_told(403, "Slow down", "userRateLimitExceeded"), StorageUnavailable, 1),
        (_told(404, "No such object: bucket/prefix/data/a", "notFound"), ObjectNotFound, 1),
        (Answer(404, b"No such object: bucket/prefix/data/a"), ObjectNotFound, 1),
        (_told(404, "The specified bucket does not exist.", "notFound"), BackendError, 1),
        (Answer(404, b"Not Found"), BackendError, 2),
        (_told(412, "At least one condition does not hold", "conditionNotMet"), ObjectExists, 1),
        (_told(400, "Invalid argument", "invalid"), BackendError, 1),
        (_told(408, "Too slow"), StorageUnavailable, 1),
        (_told(429, "The rate of changes of the object is too high"), StorageUnavailable, 1),
        (_told(500, "Backend Error", "backendError"), StorageUnavailable, 1),
        (_told(502, "Bad Gateway"), StorageUnavailable, 1),
        (_told(503, "Backend Error", "backendError"), StorageUnavailable, 1),
        (Answer(507, b""), StorageFull, 1),
    ],
)
def test_what_answers_mean(
    answer: Answer, kind: type[BackendError], requests: int, opened: Open
) -> None:
    with canned(answer) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        with pytest.raises(BackendError) as caught:
            backend.get("data/a")
    assert type(caught.value) is kind
    assert len(store.asked) == requests
    if isinstance(caught.value, StorageUnavailable):
        assert caught.value.retry_after == 7


@pytest.mark.parametrize("verb", ["get", "stat", "delete"])
@pytest.mark.parametrize("listed", ["data/a", "data/a-2", ""])
def test_a_404_of_something_else_says_nothing_of_an_object(
    verb: str, listed: str, opened: Open
) -> None:
    """Unless the store, asked by a listing, does not know the object either."""
    items = [{"name": f"prefix/{listed}", "size": "1"}] if listed else []
    page = Answer(200, json.dumps({"kind": "storage#objects", "items": items}).encode())

    def told(asked: Asked) -> Answer:
        return page if "prefix=" in asked.path else Answer(404, b"Not Found")

    with canned(told) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        with pytest.raises(BackendError) as caught:
            _verbs(backend)[verb]()
    assert isinstance(caught.value, ObjectNotFound) == (listed != "data/a")
    assert len(store.asked) == 2


def test_the_permission_that_is_missing_is_named(opened: Open) -> None:
    needed = {
        "put": "create",
        "get": "get",
        "get of a range": "get",
        "stat": "get",
        "list": "list",
        "delete": "delete",
    }
    with canned(_told(403, "refused", "forbidden")) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        for verb, work in _verbs(backend).items():
            with pytest.raises(AccessDenied, match=rf"storage\.objects\.{needed[verb]} "):
                work()


def test_an_object_under_retention(opened: Open) -> None:
    with canned(_told(403, "Object is under retention", "retentionPolicyNotMet")) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        with pytest.raises(AccessDenied, match="retention lets nobody"):
            backend.delete("data/a")


def test_a_body_that_breaks_off(opened: Open) -> None:
    with canned(Answer(206, b"x" * 50, missing=50)) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        with pytest.raises(StorageUnavailable):
            backend.get("data/a")
        with pytest.raises(StorageUnavailable):
            backend.get("data/a", 0, 100)


NO_LISTINGS = (
    *(b"<html>Log in first</html>", b"", b"[]", b"{}", b'{"kind": 1}', b"[" * 200_000),
    b'{"kind": "storage#objects", "items": [[]]}',
    b'{"kind": "storage#objects", "items": [{"name": "prefix/a"}]}',
    b'{"kind": "storage#objects", "items": [{"name": "prefix/a", "size": "many"}]}',
    b'{"kind": "storage#objects", "items": [{"name": 1, "size": "1"}]}',
)


@pytest.mark.parametrize("body", NO_LISTINGS, ids=lambda body: body[:60].decode())
def test_an_answer_of_something_else_is_no_empty_listing(body: bytes, opened: Open) -> None:
    with canned(Answer(200, body)) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        with pytest.raises(StorageUnavailable, match=r"is not Google's|is no listing"):
            list(backend.list(""))


def test_a_listing_that_goes_round_in_circles(opened: Open) -> None:
    page = b'{"kind": "storage#objects", "nextPageToken": "again"}'
    with canned(Answer(200, page)) as store:
        backend = opened("gs://bucket/prefix", token="anon", endpoint_url=store.address)
        with pytest.raises(StorageUnavailable, match="circles"):
            list(backend.list(""))


def test_a_store_that_does_not_answer(opened: Open) -> None:
    backend = opened("gs://bucket/prefix", token="anon", endpoint_url="http://127.0.0.1:1")
    with pytest.raises(StorageUnavailable, match="does not answer"):
        backend.get("data/a")


# -------------------------------------------------------------- objects that are no repository's


class Uploads:
    """A store that takes one resumable upload after the other.

    Attributes:
        meddle: changes answers.
        content: what has arrived of the last upload.
    """

    def __init__(self) -> None:
        self.meddle: Callable[[Asked, Answer], Answer] = lambda _, answer: answer
        self.content = b""

    def __call__(self, asked: Asked) -> Answer:
        return self.meddle(asked, self._answer(asked))

    def _answer(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.content = b""
            address = f"http://{asked.headers['host']}/session?upload_id=x"
            return Answer(200, headers={"Location": address})
        if asked.method == "DELETE":
            return Answer(499)
        self.content += asked.body
        size = int(asked.headers["content-range"].rpartition("/")[2])
        if len(self.content) == size:
            return _stored(self.content)
        return Answer(308, headers={"Range": f"bytes=0-{len(self.content) - 1}"})


LARGE = os.urandom(MIB) * 20


@contextmanager
def _uploading(store: str, **options: object) -> Iterator[GcsObjects]:
    told = {"token": "anon", "endpoint_url": store, **options}
    objects = GcsObjects(GcsDriver.at("gs://bucket/prefix", told))
    yield objects
    objects.close()


def _upload(objects: GcsObjects, data: bytes, path: str = "bucket/prefix/a") -> None:
    upload = objects.upload(path, len(data))
    for start in range(0, len(data), PIECE):
        upload.send(data[start : start + PIECE])
    upload.finish()


def test_a_large_object_is_stored_when_every_piece_has_arrived() -> None:
    uploads = Uploads()
    with canned(uploads) as store, _uploading(store.address, requester_pays="payer") as objects:
        _upload(objects, LARGE)
    assert uploads.content == LARGE
    assert [asked.method for asked in store.asked] == ["POST", "PUT", "PUT", "PUT"]
    assert all("userProject=payer" in asked.path for asked in store.asked)
    checksum = json.loads(_stored(LARGE).body)["crc32c"]
    hashes = [asked.headers.get("x-goog-hash") for asked in store.asked]
    assert hashes == [None, None, None, f"crc32c={checksum}"]


@pytest.mark.parametrize(
    ("piece", "answer"),
    [
        (0, Answer(200)),
        (0, Answer(308)),
        (0, Answer(308, headers={"Range": f"bytes=0-{PIECE // 2}"})),
        (1, Answer(308, headers={"Range": f"bytes=0-{PIECE - 1}"})),
        (0, Answer(204)),
        (1, _told(410, "the session is no more")),
        (2, Answer(308)),
        (2, Answer(308, headers={"Range": f"bytes=0-{len(LARGE) - 1}"})),
        (2, _told(400, "the CRC32C is another")),
        (2, _stored(b"another")),
        (2, Answer(200)),
        (2, _told(503, "Backend Error")),
    ],
)
def test_a_large_object_of_which_something_is_missing_is_not_stored(
    piece: int, answer: Answer
) -> None:
    uploads = Uploads()

    def lose(asked: Asked, right: Answer) -> Answer:
        start = f"bytes {piece * PIECE}-"
        return answer if asked.headers.get("content-range", "").startswith(start) else right

    uploads.meddle = lose
    with canned(uploads) as store, _uploading(store.address) as objects:
        try:
            _upload(objects, LARGE)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be tried again
            problem = objects.explain("put", "a", error)
        else:
            problem = None
    assert isinstance(problem, StorageUnavailable)
    assert len(store.asked) == piece + 2


def test_an_upload_of_which_a_piece_is_lost_begins_anew() -> None:
    uploads = Uploads()
    lost = [Answer(308, headers={"Range": "bytes=0-99"})]

    def lose(asked: Asked, right: Answer) -> Answer:
        return lost.pop() if lost and asked.method == "PUT" else right

    uploads.meddle = lose
    with canned(uploads) as store:
        options = {"token": "anon", "endpoint_url": store.address}
        folder = open_objects("gs://bucket/prefix", Access(options))
        folder.write(
            folder.path("a"),
            len(LARGE),
            lambda size: (LARGE[start : start + size] for start in range(0, len(LARGE), size)),
        )
        folder.close()
    methods = [asked.method for asked in store.asked]
    assert methods == ["POST", "PUT", "DELETE", "POST", "PUT", "PUT", "PUT"]
    assert uploads.content == LARGE


def test_an_upload_that_does_not_begin() -> None:
    with (
        canned(Answer(200)) as store,
        _uploading(store.address) as objects,
        pytest.raises(StorageUnavailable, match="begins no upload"),
    ):
        objects.upload("bucket/prefix/a", len(LARGE))
    with canned(_told(404, "Not Found")) as store, _uploading(store.address) as objects:
        with pytest.raises(Exception, match="Not Found") as caught:
            objects.upload("bucket/prefix/a", len(LARGE))
        assert "there is no bucket" in str(objects.explain("put", "a", caught.value))


@pytest.mark.parametrize("path", ["bucket/prefix/a", "bucket/prefix/data/a"])
def test_small_and_large_objects_are_stored_alike(path: str) -> None:
    how = {"storage_class": "nearline", "kms_key_name": "projects/p"}
    with canned(_stored(b"x")) as store, _uploading(store.address, **how) as objects:
        _upload(objects, b"x", path)
    (small,) = store.asked
    with canned(Uploads()) as store, _uploading(store.address, **how) as objects:
        _upload(objects, LARGE, path)
    large = store.asked[0]
    for about in (_sent(small)[0], json.loads(large.body)):
        assert (about["name"], about["storageClass"]) == (path.partition("/")[2], "NEARLINE")
    assert all("kmsKeyName=projects" in asked.path for asked in (small, large))


def test_what_is_no_repository_is_not_locked() -> None:
    with pytest.raises(UsageError, match="object_lock_days: it is for repositories only"):
        open_objects("gs://bucket/prefix", Access({"token": "anon", "object_lock_days": 1}))


def test_what_is_said_to_be_compressed_is_read_as_it_is_stored(place: Place) -> None:
    data = gzip.compress(b"content" * 1000)
    bucket, _, prefix = place.location.partition("://")[2].partition("/")
    address = f"{place.options['endpoint_url']}/upload/storage/v1/b/{bucket}/o"
    query = f"uploadType=media&contentEncoding=gzip&name={prefix}/a"
    urlopen(f"{address}?{query}", data).close()  # noqa: S310 - the test server's http address
    objects = open_objects(place.location, Access(place.options))
    (listed,), _ = objects.page("")
    assert listed.size == len(data)
    assert objects.read(listed, 0, listed.size) == data
    assert objects.read(listed, 3, 9) == data[3:9]
    assert objects.read_any(listed.path, 0, len(data)) == data
    objects.close()


def test_a_refusal_that_comes_compressed() -> None:
    """As it may, to whom takes objects that are."""
    error = {"error": {"message": "slow down", "errors": [{"reason": "rateLimitExceeded"}]}}
    headers = {"Content-Encoding": "gzip"}
    answer = Answer(403, gzip.compress(json.dumps(error).encode()), headers)
    with canned(answer) as store, _uploading(store.address) as objects:
        with pytest.raises(GoogleError) as caught:
            objects.read("bucket/prefix/a", (0, 3), "")
        found = objects.explain("get", "bucket/prefix/a", caught.value)
    assert isinstance(found, StorageUnavailable)
    assert store.asked[0].headers["accept-encoding"] == "gzip"
