"""What is made of the errors of drivers and of the libraries below them, and what is not told."""

from __future__ import annotations

import errno
import logging
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from aiohttp.http_exceptions import BadStatusLine, ContentLengthError
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from s3fs.errors import translate_boto_error

from holdfast.backend import open_backend
from holdfast.backend.drivers import UnconditionalError, driver_class
from holdfast.backend.drivers.answers import Answer, answer_in, is_transport
from holdfast.backend.drivers.s3 import S3Driver
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectUnreadable,
    StorageFull,
    StorageUnavailable,
    UsageError,
)

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEXAMPLETOKEN"
PLACE = "s3://bucket/prefix"


@pytest.fixture(scope="module")
def driver() -> S3Driver:
    options = {"key": "AKIAIOSFODNN7EXAMPLE", "secret": SECRET, "client_kwargs": {"token": TOKEN}}
    return S3Driver.at(PLACE, options)


def refusal(status: int, code: str, message: str = "a message", **headers: str) -> ClientError:
    """What botocore raises for an answer of S3."""
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(response, "PutObject")


ANSWERS: list[tuple[int, str, type[BackendError], str]] = [
    (400, "ExpiredToken", AccessDenied, "have expired"),
    (403, "ExpiredToken", AccessDenied, "have expired"),
    (400, "TokenRefreshRequired", AccessDenied, "have expired"),
    (400, "InvalidToken", AccessDenied, "AWS_SESSION_TOKEN"),
    (403, "InvalidAccessKeyId", AccessDenied, "AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", AccessDenied, "AWS_SECRET_ACCESS_KEY"),
    (403, "RequestTimeTooSkewed", AccessDenied, "clock"),
    (403, "AccessDenied", AccessDenied, "s3:PutObject"),
    (403, "403", AccessDenied, "s3:PutObject"),
    (401, "Unauthorized", AccessDenied, "refuses"),
    (403, "InvalidObjectState", ObjectUnreadable, "archive"),
    (403, "QuotaExceeded", StorageFull, "quota"),
    (507, "XMinioStorageFull", StorageFull, "no space"),
    (507, "InsufficientStorage", StorageFull, "no space"),
    (404, "NoSuchBucket", BackendError, "no bucket bucket"),
    (404, "NoSuchKey", ObjectNotFound, "no such object"),
    (404, "404", BackendError, "a message"),
    (404, "Gone", BackendError, "a message"),
    (412, "PreconditionFailed", ObjectExists, "stays as it is"),
    (409, "ConditionalRequestConflict", StorageUnavailable, "a message"),
    (409, "OperationAborted", StorageUnavailable, "a message"),
    (429, "TooManyRequests", StorageUnavailable, "a message"),
    (500, "InternalError", StorageUnavailable, "a message"),
    (502, "502", StorageUnavailable, "a message"),
    (503, "SlowDown", StorageUnavailable, "a message"),
    (503, "ServiceUnavailable", StorageUnavailable, "a message"),
    (504, "504", StorageUnavailable, "a message"),
    (520, "520", StorageUnavailable, "a message"),
    (524, "524", StorageUnavailable, "a message"),
    (505, "505", BackendError, "a message"),
    (511, "511", BackendError, "a message"),
    (400, "BadDigest", StorageUnavailable, "what was sent"),
    (400, "XAmzContentSHA256Mismatch", StorageUnavailable, "what was sent"),
    (400, "IncompleteBody", StorageUnavailable, "arrived"),
    (400, "RequestTimeout", StorageUnavailable, "slowly"),
    (501, "NotImplemented", UnconditionalError, "cannot do"),
    (301, "PermanentRedirect", BackendError, "AWS_DEFAULT_REGION"),
    (307, "TemporaryRedirect", BackendError, "AWS_DEFAULT_REGION"),
    (400, "AuthorizationHeaderMalformed", BackendError, "AWS_DEFAULT_REGION"),
    (400, "InvalidArgument", BackendError, "a message"),
    (405, "MethodNotAllowed", BackendError, "a message"),
]


@pytest.mark.parametrize(("status", "code", "kind", "words"), ANSWERS)
def test_what_s3_says_is_told_in_our_errors(
    driver: S3Driver, status: int, code: str, kind: type[BackendError], words: str
) -> None:
    """Whether s3fs has made another error of it, or not."""
    raw = refusal(status, code)
    for error in (raw, translate_boto_error(raw)):
        found = driver.explain("put", "data/3f/a", error)
        assert type(found) is kind
        assert found.object == "data/3f/a"
        assert words in str(found)


@pytest.mark.parametrize(
    ("verb", "permission"),
    [
        ("put", "s3:PutObject"),
        ("get", "s3:GetObject"),
        ("stat", "s3:ListBucket"),
        ("list", "s3:ListBucket"),
        ("delete", "s3:DeleteObject"),
    ],
)
def test_the_missing_permission_is_named(driver: S3Driver, verb: str, permission: str) -> None:
    found = driver.explain(verb, "a", translate_boto_error(refusal(403, "AccessDenied")))
    assert isinstance(found, AccessDenied)
    assert permission in str(found)
    assert PLACE in str(found)


ADDRESS = "http://127.0.0.1:9/bucket"
LOST: list[Exception] = [
    ConnectionClosedError(endpoint_url=ADDRESS),
    ConnectTimeoutError(endpoint_url=ADDRESS, error="x"),
    ReadTimeoutError(endpoint_url=ADDRESS, error="x"),
    EndpointConnectionError(endpoint_url=ADDRESS, error="x"),
    ResponseParserError("not XML"),
    aiohttp.ClientPayloadError("not all of it"),
    aiohttp.ServerDisconnectedError(),
    TimeoutError(),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    BrokenPipeError(),
    OSError(errno.EHOSTUNREACH, "no route"),
    ssl.SSLError(1, "[SSL: BAD_RECORD_MAC]"),
    aiohttp.ClientOSError(None, "cannot write"),
    BadStatusLine("not HTTP"),
]


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_an_answer_that_did_not_come_is_waited_for(driver: S3Driver, error: Exception) -> None:
    assert answer_in(error) is None
    assert is_transport(error)
    assert isinstance(driver.explain("get", "a", error), StorageUnavailable)


def test_the_status_of_a_garbled_answer_is_not_the_stores() -> None:
    """Errors of aiohttp have the status 400."""
    error = aiohttp.ClientPayloadError("not all of it")
    error.__cause__ = ContentLengthError("too short")
    outer = ConnectionClosedError(endpoint_url=ADDRESS)
    outer.__context__ = error
    for each in (error, outer):
        assert answer_in(each) is None
        assert is_transport(each)


def test_an_answer_to_another_request_is_not_taken_for_this_ones(driver: S3Driver) -> None:
    """That one is ours, and is dealt with when the next request fails."""

    def next_request() -> None:
        raise ConnectionClosedError(endpoint_url=ADDRESS)

    try:
        try:
            raise translate_boto_error(refusal(412, "PreconditionFailed"))
        except OSError as first:
            ours = driver.explain("put", "a", first)
            assert isinstance(ours, ObjectExists)
            raise ours from None
    except ObjectExists:
        with pytest.raises(ConnectionClosedError) as second:
            next_request()
        found = driver.explain("get", "a", second.value)
    assert isinstance(found, StorageUnavailable)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        (
            {
                "retry-after": "Wed, 21 Oct 2126 07:28:00 GMT",
                "date": "Wed, 21 Oct 2126 07:27:30 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Wed, 99 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_the_time_that_a_store_asks_for(
    driver: S3Driver, headers: dict[str, str], seconds: float | None
) -> None:
    error = translate_boto_error(refusal(503, "SlowDown", **headers))
    assert answer_in(error) == Answer(503, "SlowDown", seconds)
    found = driver.explain("get", "a", error)
    assert isinstance(found, StorageUnavailable)
    assert found.retry_after == seconds


def test_missing_credentials_name_where_they_may_be_set(driver: S3Driver) -> None:
    for error in (NoCredentialsError(),):
        found = driver.explain("get", "a", error)
        assert isinstance(found, AccessDenied)
        assert "AWS_ACCESS_KEY_ID" in str(found)
    found = driver.explain("get", "a", ProfileNotFound(profile="nobodys"))
    assert isinstance(found, BackendError)
    assert "nobodys" in str(found)


def test_errors_of_a_program_are_not_the_storages(driver: S3Driver) -> None:
    for error in (AssertionError("x"), MemoryError()):
        assert driver.explain("get", "a", error) is None


def test_our_errors_stay(driver: S3Driver) -> None:
    error = StorageFull("a", "full")
    assert driver.explain("get", "a", error) is error


LEAKS = [
    f"the key {SECRET} is wrong",
    f"token={TOKEN}",
    "GET /b?X-Amz-Signature=0123456789abcdef&X-Amz-Credential=AKIAX failed",
    "https://account.blob/x?sv=1&sig=SECRETSIGNATURE%3D&se=2",
    "AccountKey=SECRETSIGNATURE;EndpointSuffix=core",
    "password: SECRETSIGNATURE",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_secret_is_told_or_logged(
    driver: S3Driver, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        errors = [OSError(text), refusal(403, "AccessDenied", text), refusal(400, "X", text)]
        told = [str(driver.explain("get", "a", error)) for error in errors]
    for each in (*told, caplog.text):
        for secret in (SECRET, TOKEN, "0123456789abcdef", "SECRETSIGNATURE"):
            assert secret not in each
        assert "***" in each


def test_a_message_is_never_endless(driver: S3Driver) -> None:
    assert len(driver.redacted("x" * 10_000)) <= 500


def test_an_option_that_makes_no_sense_is_told_without_its_value() -> None:
    with pytest.raises(UsageError) as caught:
        S3Driver.at(PLACE, {"key": "a", "username": "b", "secret": SECRET})
    assert SECRET not in str(caught.value)


def test_kinds_of_stores() -> None:
    assert driver_class("s3") is driver_class("s3a") is S3Driver
    backend = open_backend("s3a://bucket/prefix")
    assert backend.location == "s3a://bucket/prefix"
    backend.close()


def test_a_date_that_a_store_asks_to_wait_for(driver: S3Driver) -> None:
    until = datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() // 10**9, UTC) + timedelta(seconds=100)
    error = translate_boto_error(
        refusal(503, "SlowDown", **{"retry-after": format_datetime(until, usegmt=True)})
    )
    found = driver.explain("get", "a", error)
    assert isinstance(found, StorageUnavailable)
    assert found.retry_after is not None
    assert 50 < found.retry_after <= 100
