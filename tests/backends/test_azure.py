"""Azure Blob Storage keeps every promise of a backend: Microsoft's emulator of it does."""

from __future__ import annotations

import base64
import gzip
import hashlib
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs

import pytest
from azure.storage.blob import (
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    generate_container_sas,
)
from tests.backends.canned import Answer, Asked, canned

from holdfast.backend import Access, Backend, open_backend, open_objects, put_probing
from holdfast.backend.drivers.azure import AzureDriver
from holdfast.backend.drivers.azure_objects import AzureObjects
from holdfast.backend.drivers.objects import PIECE
from holdfast.backend.remote import open_remote
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectUnreadable,
    StorageUnavailable,
    UsageError,
)
from holdfast.testing.conformance import BackendConformance

if TYPE_CHECKING:
    from tests.servers.base import Place
    from tests.servers.fixtures import Servers

SOURCE = Path(__file__).parents[2] / "src"
VARIABLES = (
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
)
WRONG_KEY = base64.b64encode(b"a key that is wrong, of 32 bytes").decode()
MIB = 1 << 20


class Open(Protocol):
    def __call__(self, location: str, **options: object) -> Backend: ...


@pytest.fixture
def place(servers: Servers) -> Place:
    return servers.get("azurite").place()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


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


class TestAzure(BackendConformance):
    @pytest.fixture
    def backend(self, place: Place) -> Iterator[Backend]:
        backend = open_backend(place.location, Access(place.options))
        yield backend
        backend.close()


def _connection(place: Place) -> str:
    text = place.options["connection_string"]
    assert isinstance(text, str)
    return text


def _parts(place: Place) -> dict[str, str]:
    pairs = (each.partition("=") for each in _connection(place).strip(";").split(";"))
    return {name: value for name, _, value in pairs}


def _container(place: Place) -> ContainerClient:
    name = place.location.split("/")[2]
    return ContainerClient.from_connection_string(_connection(place), name)


def _sas(place: Place, permissions: str, hours: float = 1) -> str:
    parts = _parts(place)
    now = datetime.now(UTC)
    return generate_container_sas(
        parts["AccountName"],
        place.location.split("/")[2],
        parts["AccountKey"],
        permission=ContainerSasPermissions.from_string(permissions),
        start=now - timedelta(days=2),
        expiry=now + timedelta(hours=hours),
    )


# ------------------------------------------------------------------------------------- locations


@pytest.mark.parametrize("protocol", ["az", "azure", "abfs", "abfss", "AZURE"])
def test_every_name_of_the_protocol(place: Place, protocol: str) -> None:
    location = place.location.replace("az://", f"{protocol}://")
    backend = open_backend(location, Access(place.options))
    backend.put("data/a", b"x")
    assert backend.location == location
    backend.close()
    with _container(place) as client:
        assert [blob.name for blob in client.list_blobs()] == ["prefix/data/a"]


def test_a_whole_container_without_a_prefix(place: Place) -> None:
    location = place.location.removesuffix("/prefix")
    backend = open_backend(location, Access(place.options))
    backend.put("data/a", b"x")
    assert [info.name for info in backend.list("")] == ["data/a"]
    backend.close()


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
        [sys.executable, "-W", "error", "-c", code, place.location],
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "AZURE_STORAGE_CONNECTION_STRING": _connection(place),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout, found.stderr) == ("['data/ours']\n", "")
    assert [each.name for each in backend.list("")] == ["data/theirs"]
    backend.close()


def test_a_forked_process_neither_uses_connections_nor_hangs_at_its_end() -> None:
    code = """
        import os, sys
        from holdfast.backend.drivers import driver_class
        driver = driver_class("az").at("az://container", {"connection_string": sys.argv[1]})
        child = os.fork()
        try:
            driver.size("container/data/a")
        except Exception as error:
            print(type(driver.explain("stat", "data/a", error)).__name__, flush=True)
        if child:
            print(os.waitpid(child, 0)[1])
    """
    unreachable = "AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/a"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), unreachable],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    assert sorted(found.stdout.split()) == ["0", "BackendError", "StorageUnavailable"]


# ----------------------------------------------------------------------------------- credentials


@pytest.mark.parametrize("names", [VARIABLES[0:3:2], VARIABLES[1:4:2]])
def test_account_and_key_of_the_environment(
    place: Place, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _parts(place)
    monkeypatch.setenv(names[0], parts["AccountName"])
    monkeypatch.setenv(names[1], parts["AccountKey"])
    backend = open_backend(place.location, Access({"endpoint": parts["BlobEndpoint"]}))
    backend.put("a", b"x")
    assert backend.get("a") == b"x"
    backend.close()


@pytest.mark.parametrize("lead", ["", "?"])
def test_a_sas_token_of_the_environment(
    place: Place, lead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _parts(place)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", parts["AccountName"])
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", lead + _sas(place, "racwdl"))
    backend = open_backend(place.location, Access({"endpoint": parts["BlobEndpoint"]}))
    backend.put("a", b"x")
    assert [info.name for info in backend.list("")] == ["a"]
    backend.delete("a")
    backend.close()


def test_what_is_given_goes_before_the_environment(
    place: Place, monkeypatch: pytest.MonkeyPatch, opened: Open
) -> None:
    """Otherwise adlfs would use the environment's connection string, and another account."""
    other = "AccountName=other;AccountKey=b3RoZXI=;BlobEndpoint=http://127.0.0.1:1/other"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", other)
    monkeypatch.setenv("AZURE_STORAGE_KEY", WRONG_KEY)
    parts = _parts(place)
    how = {"account_name": parts["AccountName"], "endpoint": parts["BlobEndpoint"]}
    for given in ({"account_key": parts["AccountKey"]}, {"sas_token": _sas(place, "racwdl")}):
        backend = opened(place.location, **how, **given)
        backend.put("a", b"x")
        assert backend.get("a") == b"x"


def test_it_is_not_guessed_whose_credentials_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=other;AccountKey=b3RoZXI=")
    with pytest.raises(UsageError, match="AZURE_STORAGE_CONNECTION_STRING"):
        open_backend("abfss://container@mine.dfs.core.windows.net/prefix")


def test_without_any_account() -> None:
    with pytest.raises(UsageError, match="AZURE_STORAGE_ACCOUNT"):
        open_backend("az://container/prefix")


def _verbs(backend: Backend) -> dict[str, Callable[[], object]]:
    return {
        "put": lambda: backend.put("data/a", b"x"),
        "get": lambda: backend.get("data/a"),
        "get of a range": lambda: backend.get("data/a", 0, 1),
        "stat": lambda: backend.stat("data/a"),
        "list": lambda: list(backend.list("")),
        "delete": lambda: backend.delete("data/a"),
    }


@pytest.mark.parametrize("credential", ["key", "no key", "token", "expired"])
def test_wrong_credentials_are_refused_and_never_shown(
    place: Place,
    credential: str,
    opened: Open,
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = _parts(place)
    token = _sas(place, "racwdl", hours=-1 if credential == "expired" else 1)
    if credential == "token":
        token = token.replace("sig=", "sig=wrong")
    given = {
        "key": {"account_key": WRONG_KEY},
        "no key": {"account_key": "hunter2-hunter2-hunter2"},
        "token": {"sas_token": token},
        "expired": {"sas_token": token},
    }[credential]
    how = {"account_name": parts["AccountName"], "endpoint": parts["BlobEndpoint"]}
    with caplog.at_level(logging.DEBUG):
        backend = opened(place.location, **how, **given)
        problems = []
        for work in _verbs(backend).values():
            with pytest.raises(AccessDenied) as caught:
                work()
            problems.append(caught.value)
    secrets = [WRONG_KEY, "hunter2", token, token.partition("sig=")[2].partition("&")[0]]
    said = "\n".join(f"{each!r} {each} {each.__cause__!r}" for each in problems) + caplog.text
    assert [each for each in secrets if each in said] == []
    assert all(each.__suppress_context__ for each in problems)
    assert ("has expired" in said) == (credential == "expired")
    assert credential == "expired" or "AZURE_STORAGE_KEY" in said


def test_the_permission_that_is_missing_is_named(place: Place, opened: Open) -> None:
    parts = _parts(place)
    how = {"account_name": parts["AccountName"], "endpoint": parts["BlobEndpoint"]}
    verbs = _verbs(opened(place.location, **how, sas_token=_sas(place, "rl")))
    for verb, role in (("put", "Contributor"), ("delete", "Contributor")):
        with pytest.raises(AccessDenied, match=f"Storage Blob Data {role}"):
            verbs[verb]()
    assert verbs["list"]() == []
    verbs = _verbs(opened(place.location, **how, sas_token=_sas(place, "c")))
    for verb in ("get", "get of a range", "stat", "list"):
        with pytest.raises(AccessDenied, match="Storage Blob Data Reader"):
            verbs[verb]()


def test_a_writer_who_may_only_append(place: Place, opened: Open) -> None:
    """He may create objects, and neither replace nor delete any."""
    parts = _parts(place)
    how = {"account_name": parts["AccountName"], "endpoint": parts["BlobEndpoint"]}
    owner = opened(place.location, **place.options)
    owner.put("data/a", b"old")
    writer = opened(place.location, **how, sas_token=_sas(place, "rcl"))
    with pytest.raises(AccessDenied):
        writer.put("data/a", b"new")
    with pytest.raises(AccessDenied):
        writer.delete("data/a")
    put_probing(writer, "data/b", b"probe")
    assert writer.capabilities().put_if_absent
    with pytest.raises(ObjectExists):
        writer.put_if_absent("data/a", b"new")
    writer.put_if_absent("data/c", b"new")
    assert owner.get("data/a") == b"old"


# ---------------------------------------------------------------------------------------- objects


def test_a_missing_container_is_neither_empty_nor_a_missing_object(
    place: Place, opened: Open
) -> None:
    backend = opened("az://nothing-here/prefix", **place.options)
    for verb, work in _verbs(backend).items():
        with pytest.raises(BackendError, match="no container nothing-here") as caught:
            work()
        assert type(caught.value) is BackendError, verb


def test_the_tier_is_that_of_packs_alone(place: Place, opened: Open) -> None:
    backend = opened(place.location, **place.options, access_tier="COOL")
    for name in ("data/00/a", "index/a"):
        backend.put(name, b"x")
    with _container(place) as client:
        tiers = {blob.name: blob.blob_tier for blob in client.list_blobs()}
    assert tiers == {"prefix/data/00/a": "Cool", "prefix/index/a": "Hot"}


def test_an_archived_object(place: Place, opened: Open) -> None:
    backend = opened(place.location, **place.options, access_tier="archive")
    backend.put("data/a", b"x")
    with pytest.raises(ObjectUnreadable, match="archive tier"):
        backend.get("data/a")
    with pytest.raises(ObjectUnreadable, match="archive tier"):
        backend.get("data/a", 0, 1)
    assert backend.stat("data/a") == 1


def test_folders_of_a_hierarchical_namespace_are_no_objects(place: Place, opened: Open) -> None:
    with _container(place) as client:
        for name in ("prefix/data", "prefix/data/00"):
            client.upload_blob(name, b"", metadata={"Hdi_isfolder": "true"})
    backend = opened(place.location, **place.options)
    backend.put("data/00/a", b"x")
    assert [info.name for info in backend.list("")] == ["data/00/a"]
    with pytest.raises(ObjectNotFound):
        backend.stat("data/00")
    with pytest.raises(ObjectNotFound):
        backend.get("data/00")


def test_other_peoples_objects_beside_the_folder(place: Place, opened: Open) -> None:
    with _container(place) as client:
        for name in ("prefix-2/a", "prefixed", "other/prefix/a", "prefix/data/strange name"):
            client.upload_blob(name, b"x")
    backend = opened(place.location, **place.options)
    assert [info.name for info in backend.list("")] == ["data/strange name"]


# ------------------------------------------------------------------------------ what is sent, said


def _canned_options(address: str) -> dict[str, object]:
    key = base64.b64encode(b"key").decode()
    return {"account_name": "account", "account_key": key, "endpoint": f"{address}/account"}


CREATED = Answer(201, headers={"ETag": '"1"', "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"})


def test_the_largest_object_is_one_request_with_its_md5(opened: Open) -> None:
    data = os.urandom(MIB) * 97
    with canned(CREATED) as store:
        opened("az://container/prefix", **_canned_options(store.address)).put("data/a", data)
    (asked,) = store.asked
    assert (asked.method, asked.path) == ("PUT", "/account/container/prefix/data/a")
    assert asked.body == data
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    assert asked.headers["content-md5"] == base64.b64encode(digest).decode()


def test_objects_are_locked_but_for_those_of_running_work(opened: Open) -> None:
    with canned(CREATED) as store:
        options = _canned_options(store.address)
        lock = {"object_lock_days": 30, "object_lock_mode": "LOCKED", "encryption_scope": "ours"}
        backend = opened("az://container/prefix", **options, **lock)
        for name in ("data/a", "snapshots/a", "sessions/a", "gc/a"):
            backend.put(name, b"x")
    ends = [asked.headers.get("x-ms-immutability-policy-until-date") for asked in store.asked]
    modes = [asked.headers.get("x-ms-immutability-policy-mode") for asked in store.asked]
    assert modes == ["Locked", "Locked", None, None]
    assert ends[2:] == [None, None]
    end = datetime.strptime(str(ends[0]), "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=UTC)
    assert timedelta(days=29.9) < end - datetime.now(UTC) <= timedelta(days=30)
    assert {asked.headers["x-ms-encryption-scope"] for asked in store.asked} == {"ours"}


@pytest.mark.parametrize(
    "options",
    [
        {"access_tier": "frozen"},
        {"access_tier": True},
        {"object_lock_days": "soon"},
        {"object_lock_days": 0},
        {"object_lock_mode": "GOVERNANCE"},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=name):
        open_backend("az://container", Access({**_canned_options("http://127.0.0.1:1"), **options}))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AuthorizationFailure", AccessDenied),
        (403, "AuthorizationPermissionMismatch", AccessDenied),
        (403, "AccountIsDisabled", AccessDenied),
        (401, "NoAuthenticationInformation", AccessDenied),
        (404, "BlobNotFound", ObjectNotFound),
        (404, "", BackendError),
        (404, "ContainerNotFound", BackendError),
        (409, "DirectoryIsNotEmpty", ObjectNotFound),
        (412, "LeaseIdMissing", AccessDenied),
        (409, "BlobImmutableDueToPolicy", AccessDenied),
        (409, "BlobArchived", ObjectUnreadable),
        (409, "BlobBeingRehydrated", ObjectUnreadable),
        (409, "PublicAccessNotPermitted", AccessDenied),
        (409, "ContainerBeingDeleted", BackendError),
        (400, "InvalidInput", BackendError),
        (500, "OperationTimedOut", StorageUnavailable),
        (500, "InternalError", StorageUnavailable),
        (503, "ServerBusy", StorageUnavailable),
        (429, "", StorageUnavailable),
    ],
)
def test_what_answers_mean(status: int, code: str, kind: type[BackendError], opened: Open) -> None:
    answer = Answer(status, headers={"x-ms-error-code": code, "Retry-After": "7"} if code else {})
    with canned(answer) as store:
        backend = opened("az://container/prefix", **_canned_options(store.address))
        with pytest.raises(BackendError) as caught:
            backend.get("data/a")
    assert type(caught.value) is kind
    assert len(store.asked) == 1, "Azure's library tried again by itself"
    if isinstance(caught.value, StorageUnavailable) and code:
        assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "BlobAlreadyExists", ObjectExists),
        (412, "ConditionNotMet", ObjectExists),
        (400, "Md5Mismatch", StorageUnavailable),
        (404, "ContainerNotFound", BackendError),
        (404, "ResourceNotFound", BackendError),
        (507, "", BackendError),
    ],
)
def test_what_answers_to_a_put_mean(status: int, code: str, kind: type[BackendError]) -> None:
    with canned(Answer(status, headers={"x-ms-error-code": code})) as store:
        driver = AzureDriver.at("az://container/prefix", _canned_options(store.address))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the library raises
            driver.create("container/prefix/data/a", b"x")
        driver.close()
    assert isinstance(driver.explain("put", "data/a", caught.value), kind)
    assert not isinstance(driver.explain("put", "data/a", caught.value), ObjectNotFound)
    assert store.asked[0].headers["if-none-match"] == "*"


HTML = {"Content-Type": "text/html"}
XML = {"Content-Type": "application/xml"}


def test_a_success_that_is_not_azures_says_nothing_of_an_object(opened: Open) -> None:
    for answer in (Answer(200), Answer(200, b"<html>", HTML), Answer(206, b"x")):
        with canned(answer) as store:
            backend = opened("az://container/prefix", **_canned_options(store.address))
            with pytest.raises(StorageUnavailable):
                backend.put("data/a", b"x")


def test_a_body_that_breaks_off(opened: Open) -> None:
    headers = {
        "Content-Range": "bytes 0-99/100",
        "ETag": '"1"',
        "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT",
    }
    with canned(Answer(206, b"x" * 50, headers, missing=50)) as store:
        backend = opened("az://container/prefix", **_canned_options(store.address))
        with pytest.raises(StorageUnavailable):
            backend.get("data/a")
        with pytest.raises(StorageUnavailable):
            backend.get("data/a", 0, 100)


NO_LISTINGS = (
    Answer(200, b"<html>Log in to the network first</html>", HTML),
    Answer(200),
    Answer(200, b"", XML),
    Answer(200, b"<?xml", XML),
    Answer(200, b"<html/>", XML),
    Answer(200, b"<EnumerationResults/>", XML),
    Answer(200, b"<a><Blobs><Blob/></Blobs></a>", XML),
)


def test_an_answer_of_something_else_is_no_empty_listing(opened: Open) -> None:
    for answer in NO_LISTINGS:
        with canned(answer) as store:
            backend = opened("az://container/prefix", **_canned_options(store.address))
            with pytest.raises(StorageUnavailable):
                list(backend.list(""))


def test_a_store_that_does_not_answer(opened: Open) -> None:
    backend = opened("az://container/prefix", **_canned_options("http://127.0.0.1:1"))
    with pytest.raises(StorageUnavailable, match="does not answer"):
        backend.get("data/a")


# -------------------------------------------------------------- objects that are no repository's


def _uploaded(data: bytes, path: str, **how: object) -> list[Asked]:
    """The requests of an upload."""
    with canned(CREATED) as store:
        driver = AzureDriver.at("az://container/prefix", {**_canned_options(store.address), **how})
        objects = AzureObjects(driver)
        upload = objects.upload(path, len(data))
        for start in range(0, len(data), PIECE):
            upload.send(data[start : start + PIECE])
        upload.finish()
        objects.close()
    return store.asked


@pytest.mark.parametrize("path", ["container/prefix/a", "container/prefix/data/a"])
def test_small_and_large_blobs_are_stored_alike(path: str) -> None:
    how = {"access_tier": "cool", "encryption_scope": "ours"}
    (small,) = _uploaded(b"x", path, **how)
    *pieces, end = _uploaded(bytes(PIECE + 1), path, **how)
    assert [asked.headers["x-ms-access-tier"] for asked in (small, end)] == ["Cool", "Cool"]
    scopes = {asked.headers["x-ms-encryption-scope"] for asked in (small, *pieces, end)}
    assert (len(pieces), scopes) == (2, {"ours"})


def test_no_two_uploads_have_blocks_of_the_same_names() -> None:
    found = [
        [
            base64.b64decode(parse_qs(asked.path)["blockid"][0])
            for asked in _uploaded(bytes(PIECE + 1), "container/prefix/a")[:-1]
        ]
        for _ in range(2)
    ]
    names = [name for names in found for name in names]
    assert len(set(names)) == 4
    assert len({len(name) for name in names}) == 1


def test_what_is_no_repository_is_not_locked() -> None:
    options = {**_canned_options("http://127.0.0.1:1"), "object_lock_days": 1}
    with pytest.raises(UsageError, match="object_lock_days: it is for repositories only"):
        open_objects("az://container/prefix", Access(options))


def test_what_is_said_to_be_compressed_is_read_as_it_is_stored(place: Place) -> None:
    data = gzip.compress(b"content" * 1000)
    with _container(place) as container:
        name = place.location.partition("://")[2].partition("/")[2] + "/a"
        container.upload_blob(name, data, content_settings=ContentSettings(content_encoding="gzip"))
    objects = open_objects(place.location, Access(place.options))
    (listed,), _ = objects.page("")
    assert objects.read(listed, 0, listed.size) == data
    assert objects.read(listed, 3, 9) == data[3:9]
    assert objects.read_any(listed.path, 0, len(data)) == data
    objects.close()


def test_an_answer_of_something_else_is_no_empty_folder() -> None:
    for answer in NO_LISTINGS:
        with canned(answer) as store:
            driver = AzureDriver.at("az://container/prefix", _canned_options(store.address))
            objects = AzureObjects(driver)
            works = (
                partial(objects.page, ""),
                partial(objects.folder, objects.root),
                objects.probe,
            )
            for work in works:
                with pytest.raises(StorageUnavailable):
                    work()
            objects.close()
