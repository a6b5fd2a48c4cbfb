"""Amazon S3, and every store that speaks it, through s3fs.

Own options, besides those of s3fs: ``endpoint`` (also AWS_S3_ENDPOINT), ``region``,
``storage_class`` (of packs), ``sse`` and ``sse_kms_key_id`` (server-side encryption), and
``object_lock_days`` with ``object_lock_mode``: nothing but what marks running work can be deleted
for good, by anybody, before so many days have passed.

Every object is sent in one request, so there is never part of one. What is sent is signed with its
SHA-256, or over TLS to Amazon itself has a CRC, so the store refuses what was damaged on its way.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from fsspec.asyn import sync

from holdfast import environment
from holdfast.backend.drivers.answers import Answer
from holdfast.backend.drivers.driver import (
    SILENT,
    WHOLE,
    Driver,
    Options,
    UnconditionalError,
    silence_after,
)
from holdfast.backend.drivers.options import Lock, is_pack, one_of, texts
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectUnreadable,
    StorageFull,
    StorageUnavailable,
    UsageError,
)
from holdfast.overrides import override

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest

_UNSPLIT = 1 << 30
"""Bytes of a part of an upload: objects are smaller, so all go in one request and are never
there in part."""
_CONNECT: Final = 10
_CLOSING: Final = 10
"""Seconds that closing connections may take."""
_CONNECTIONS: Final = 16
_MODES = {"governance": "GOVERNANCE", "compliance": "COMPLIANCE"}

_OPTIONS = frozenset(
    {
        "endpoint",
        "region",
        "storage_class",
        "sse",
        "sse_kms_key_id",
        "object_lock_days",
        "object_lock_mode",
    }
)

_EXPIRED = (AccessDenied, "the credentials have expired: get new ones and run this again")
_UNKNOWN = (AccessDenied, "the access key is not known: see AWS_ACCESS_KEY_ID")
_FULL = (StorageFull, "no space is left, or a quota is reached")
_ELSEWHERE = (BackendError, "the bucket is in another region: set AWS_DEFAULT_REGION")
_CODES: Mapping[str, tuple[type[BackendError], str]] = {
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": (AccessDenied, "the session token is wrong: see AWS_SESSION_TOKEN"),
    "InvalidAccessKeyId": _UNKNOWN,
    "XAdminUserNotFound": _UNKNOWN,  # versitygw
    "SignatureDoesNotMatch": (
        AccessDenied,
        "the secret key is wrong: see AWS_SECRET_ACCESS_KEY",
    ),
    "RequestTimeTooSkewed": (
        AccessDenied,
        "this machine's clock is wrong by more than 15 minutes: set it",
    ),
    "InvalidObjectState": (
        ObjectUnreadable,
        "it is archived: restore it from the archive tier first",
    ),
    "QuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,  # MinIO
    "PermanentRedirect": _ELSEWHERE,
    "TemporaryRedirect": _ELSEWHERE,
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "301": _ELSEWHERE,
    "307": _ELSEWHERE,
    "NotImplemented": (UnconditionalError, "it cannot do what it was asked for"),
    # These blame the request, which was spoilt or cut off on its way.
    "BadDigest": (StorageUnavailable, "what arrived is not what was sent"),
    "XAmzContentSHA256Mismatch": (StorageUnavailable, "what arrived is not what was sent"),
    "IncompleteBody": (StorageUnavailable, "not all that was sent has arrived"),
    "RequestTimeout": (StorageUnavailable, "what was sent came too slowly"),
}
"""What S3's words for errors mean, where the status that comes with them does not tell."""
_NOT_FOUND = 404
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion"})
"""What says of an object that it is not there; any other 404 is about something else, or does not
come from the store."""


class S3Driver(Driver):
    """A folder of a bucket."""

    extra = "s3"
    credentials = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of the AWS tools"
    advice: ClassVar[Mapping[str, str]] = {
        "put": ": the permission s3:PutObject is needed",
        "get": ": the permission s3:GetObject is needed",
        "stat": ": the permissions s3:GetObject and s3:ListBucket are needed",
        "list": ": the permission s3:ListBucket is needed",
        "delete": ": the permission s3:DeleteObject is needed",
    }

    def __init__(self, location: str, protocol: str, path: str, options: Options) -> None:
        own = texts(options, _OPTIONS)
        rest = {name: value for name, value in options.items() if name not in _OPTIONS}
        self._all: dict[str, object] = {}
        if "sse" in own or "sse_kms_key_id" in own:
            self._all["ServerSideEncryption"] = own.get("sse", "aws:kms")
        if "sse_kms_key_id" in own:
            self._all["SSEKMSKeyId"] = own["sse_kms_key_id"]
        self._packs = {"StorageClass": own["storage_class"]} if "storage_class" in own else {}
        self._lock = Lock(own)
        self._lock_mode = one_of(own, "object_lock_mode", _MODES) or "GOVERNANCE"
        endpoint = own.get("endpoint") or environment.variable("AWS_S3_ENDPOINT")
        if endpoint:
            rest.setdefault("endpoint_url", endpoint)
        if "region" in own:
            rest["client_kwargs"] = {"region_name": own["region"], **_named(rest, "client_kwargs")}
        rest["config_kwargs"] = {
            "connect_timeout": _CONNECT,
            "read_timeout": SILENT,
            "max_pool_connections": _CONNECTIONS,
            "retries": {"max_attempts": 0},  # that is done above, for all stores alike
            **_checksums(is_amazon="endpoint_url" not in rest),
            **_named(rest, "config_kwargs"),
        }
        super().__init__(location, protocol, path, rest)
        self._fs.retries = 1

    @override
    def put(self, path: str, data: bytes) -> None:
        """See `Driver.put`."""
        self._store(path, data)

    @override
    def create(self, path: str, data: bytes) -> None:
        """See `Driver.create`."""
        self._store(path, data, mode="create")

    @override
    def read(self, path: str, part: tuple[int, int] | None) -> bytes:
        """See `Driver.read`."""
        if part is not None:
            return super().read(path, part)
        # With more it would ask for the size first.
        found: bytes = self._run("cat_file", path, max_concurrency=1, size=WHOLE)
        return found

    @override
    def size(self, path: str) -> int | None:
        """See `Driver.size`."""
        bucket, key, _ = self._fs.split_path(path)
        with suppress(FileNotFoundError):
            # `info` would go on and look for a folder of that name.
            head: Mapping[str, object] = self._run("call_s3", "head_object", Bucket=bucket, Key=key)
            return int(str(head["ContentLength"]))
        # An answer to HEAD cannot say what is missing, the object or the bucket; this can.
        page = self._run("call_s3", "list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1)
        return next((size for name, size in _entries(page) if name == key), None)

    @override
    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """See `Driver.files`."""
        # `find` asks twice more about a folder that is empty, and all pages would share one
        # request's time.
        bucket, key, _ = self._fs.split_path(folder)
        prefix = key and key + "/"
        what: dict[str, str] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            page: Mapping[str, object] = self._run("call_s3", "list_objects_v2", what)
            yield from (
                (f"{bucket}/{name}", size) for name, size in _entries(page) if name != prefix
            )
            if not page["IsTruncated"]:
                return
            token = page.get("NextContinuationToken")
            if not isinstance(token, str) or what.get("ContinuationToken") == token:
                raise StorageUnavailable("", f"{self.location}: a listing breaks off")
            what["ContinuationToken"] = token

    @override
    def close(self) -> None:
        """See `Driver.close`."""
        client = self._fs._s3  # noqa: SLF001 - s3fs closes it only when it is garbage
        if client is not None:
            sync(self._fs.loop, client.close, timeout=_CLOSING)

    def how_others(self) -> dict[str, object]:
        """What objects are stored with that are no part of a repository.

        Raises:
            UsageError: they would be locked.
        """
        self._lock.check_others()
        return {**self._all, **self._packs}

    def _store(self, path: str, data: bytes, **named: str) -> None:
        how = self._how(path, data)
        self.give_time()
        answer: object = self._run("pipe_file", path, data, size=len(data), **named, **how)
        self.check_tag(answer)

    def give_time(self) -> None:
        """Have requests wait for their answers the longer the more they send."""

        async def give() -> None:
            client = await self._fs.set_session()  # the one that there is, or else a new one
            client.meta.events.register("request-created.s3", _wait_longer, unique_id=_wait_longer)

        self._wait(give)

    def check_tag(self, answer: object) -> str:
        """The tag of what an answer says to be stored.

        Raises:
            StorageUnavailable: it has none. Something between here and the store may say yes to
                anything.
        """
        match answer:
            case {"ETag": str(tag)} if tag:
                return tag
            case _:
                raise StorageUnavailable("", f"{self.location}: an answer is not the store's")

    def _how(self, path: str, data: bytes) -> dict[str, object]:
        """What an object is stored with."""
        name = path[len(self.root) :].lstrip("/")
        how = {**self._all, **(self._packs if is_pack(name) else {}), "chunksize": _UNSPLIT}
        until = self._lock.until(name)
        if until is not None:
            how |= {"ObjectLockMode": self._lock_mode, "ObjectLockRetainUntilDate": until}
            # Whatever is locked must have a checksum in a header that all stores know.
            digest = hashlib.md5(data, usedforsecurity=False).digest()
            how["ContentMD5"] = base64.b64encode(digest).decode()
        return how

    @override
    def _answered(self, verb: str, name: str, told: Answer, text: str) -> BackendError:
        if told.code in _CODES:
            kind, problem = _CODES[told.code]
            return kind(name, f"{self.location}: {problem}")
        if told.status == _NOT_FOUND and told.code not in _MISSING | self.gone:
            return BackendError(name, f"{self.location}: {text}")
        return super()._answered(verb, name, told, text)


def _wait_longer(request: AWSRequest, **_: object) -> None:
    if isinstance(request.data, io.BytesIO):
        request.context["read_timeout"] = silence_after(request.data.getbuffer().nbytes)


def _checksums(*, is_amazon: bool) -> dict[str, object]:
    """When checksums are sent beside the signature, and looked at in answers.

    By default botocore sends a CRC, over TLS behind the data in chunks, which many stores other
    than Amazon's refuse; without it the SHA-256 of what is sent is signed, which all know. What is
    read has seals of our own.
    """
    found: dict[str, object] = {"response_checksum_validation": "when_required"}
    if not is_amazon and environment.variable("AWS_REQUEST_CHECKSUM_CALCULATION") is None:
        found["request_checksum_calculation"] = "when_required"
    return found


def _entries(page: Mapping[str, object]) -> Iterable[tuple[str, int]]:
    """Key and size of the objects on a page of a listing.

    Raises:
        StorageUnavailable: it is none. An answer that is empty or cut off must not pass for the
            listing of an empty folder.
    """
    match page:
        case {"IsTruncated": bool(), "Contents": list(contents)}:
            return [(each["Key"], each["Size"]) for each in contents]
        case {"IsTruncated": bool()}:
            return []
        case _:
            raise StorageUnavailable("", "an answer is no listing")


def _named(options: Mapping[str, object], name: str) -> dict[str, object]:
    value = options.get(name, {})
    if not isinstance(value, Mapping):
        raise UsageError(f"storage option {name}: a mapping is needed")
    return {str(key): each for key, each in value.items()}
