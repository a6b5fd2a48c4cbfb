"""Google Cloud Storage, through gcsfs.

Credentials, sessions and addresses are gcsfs' own. Requests are sent from here, by Google's JSON
API (https://cloud.google.com/storage/docs/json_api): gcsfs tries failed requests again by itself,
does not tell a missing bucket from a missing object, forgets how long Google asks to wait, sends
large objects in several requests, and others between boundaries that an object may hold.

Own options, besides those of gcsfs: ``storage_class`` (of packs), ``kms_key_name``, and
``object_lock_days`` with ``object_lock_mode``: nothing but what marks running work can be changed
or deleted by anybody before so many days have passed.

Every object is sent in one request with its CRC32C, so the store refuses what was damaged on its
way, and there is never part of one.
"""

from __future__ import annotations

import io
import json
import secrets
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple
from urllib.parse import quote, unquote

from holdfast import environment
from holdfast.backend.drivers.answers import Answer
from holdfast.backend.drivers.closing import close_when_garbage
from holdfast.backend.drivers.crc32c import encoded, extended
from holdfast.backend.drivers.driver import WHOLE, Driver, Options, silence_after
from holdfast.backend.drivers.options import Lock, is_pack, one_of, texts
from holdfast.errors import AccessDenied, BackendError, StorageUnavailable, UsageError
from holdfast.overrides import override

if TYPE_CHECKING:
    import fsspec
    from aiohttp import ClientSession

_CONNECT: Final = 10
_FAILED: Final = 300
"""RFC 9110, section 15: from this status on an answer is no success."""
_UNKNOWN: Final = 401
_FORBIDDEN: Final = 403
_MISSING: Final = 404
_BEYOND: Final = 416
"""RFC 9110, section 15.5.17: the range begins after the end."""
_SAID: Final = 300
"""Bytes of an answer that is not Google's which are shown."""
_MOST: Final = 1 << 16
_NO_BUCKET: Final = "NoSuchBucket"
_NO_OBJECT: Final = "NoSuchObject"
"""Any other 404 may be of something between here and the store."""
_OPTIONS = frozenset({"storage_class", "kms_key_name", "object_lock_days", "object_lock_mode"})
_CLASSES = {name.lower(): name for name in ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")}
_MODES = {mode.lower(): mode for mode in ("Unlocked", "Locked")}

_WORDS: Mapping[str, str] = {
    "accountDisabled": "the project's billing account is disabled",
    "objectUnderActiveHold": "a hold lets nobody change or delete it",
    "retentionPolicyNotMet": "its retention lets nobody change or delete it yet",
}
_TOO_OFTEN = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
"""Reasons that come with a status that is too coarse."""


class GoogleError(Exception):
    """An answer that is no success, with what `holdfast.backend.drivers.answers` looks for."""

    def __init__(self, status: int, reason: str, text: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.reason = reason
        self.text = text
        self.headers = headers


class _Request(NamedTuple):
    method: str
    address: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    data: bytes = b""
    fine: Collection[int] = ()  # what else than 2xx is no failure; a redirection is not followed


class _Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class GcsDriver(Driver):
    """A folder of a bucket."""

    extra = "gcs"
    names: ClassVar[Mapping[str, str]] = {"gcs": "gs"}
    gone = frozenset({_NO_BUCKET})
    credentials = (
        "GOOGLE_APPLICATION_CREDENTIALS to a key file, or log in with "
        "`gcloud auth application-default login`"
    )
    advice: ClassVar[Mapping[str, str]] = {
        "put": ": the permission storage.objects.create is needed, and storage.objects.delete to "
        "replace what is there",
        "get": ": the permission storage.objects.get is needed",
        "stat": ": the permission storage.objects.get is needed",
        "list": ": the permission storage.objects.list is needed",
        "delete": ": the permission storage.objects.delete is needed",
    }

    def __init__(self, location: str, protocol: str, path: str, options: Options) -> None:
        own = texts(options, _OPTIONS)
        self._session: ClientSession | None = None
        self._class = one_of(own, "storage_class", _CLASSES)
        self._key_name = own.get("kms_key_name")
        self._lock = Lock(own)
        self._mode = one_of(own, "object_lock_mode", _MODES) or "Unlocked"
        rest = {name: value for name, value in options.items() if name not in _OPTIONS}
        # Without a token gcsfs goes on as nobody when it finds no credentials.
        emulator = environment.variable("STORAGE_EMULATOR_HOST") not in {None, "default"}
        rest.setdefault("token", "anon" if emulator else "google_default")
        super().__init__(location, protocol, path, rest)
        if not path.partition("/")[0]:
            raise UsageError(f"{location} names no bucket")

    @override
    def _connect(self, _protocol: str, options: Options) -> fsspec.AbstractFileSystem:
        # Not what fsspec gives by this protocol: that asks by gRPC what kind of bucket it is, and
        # where nobody answers that, for a minute before each request.
        from gcsfs.core import GCSFileSystem  # noqa: PLC0415 - an optional library
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - as above

        token = options.get("token")
        if isinstance(token, str) and token.endswith(".json") and not Path(token).is_file():
            raise UsageError(f"storage option token: there is no file {token}")
        try:
            return GCSFileSystem(skip_instance_cache=True, use_listings_cache=False, **options)
        except (TypeError, KeyError, ValueError) as error:
            text = self.redacted(str(error))
            raise UsageError(f"{self.location}: a storage option makes no sense: {text}") from None
        except (GoogleAuthError, OSError) as error:
            text = self.redacted(str(error))
            raise UsageError(
                f"{self.location}: no usable credentials ({text}): set {self.credentials}"
            ) from None

    @override
    def put(self, path: str, data: bytes) -> None:
        """See `Driver.put`."""
        self._upload(path, data, self._how(path))

    @override
    def create(self, path: str, data: bytes) -> None:
        """See `Driver.create`."""
        try:
            self._upload(path, data, self._how(path), {"ifGenerationMatch": "0"})
        except GoogleError as error:
            # Who may create but not replace is refused before the condition is looked at.
            if error.status == _FORBIDDEN and self._is_there(path):
                raise FileExistsError(path) from None
            raise

    @override
    def read(self, path: str, part: tuple[int, int] | None) -> bytes:
        """See `Driver.read`."""
        headers = {"Accept-Encoding": "identity"}
        if part is not None:
            headers["Range"] = f"bytes={part[0]}-{part[1] - 1}"
        request = _Request("GET", self._object(path), {"alt": "media"}, headers)
        try:
            return self._ask(request, WHOLE if part is None else part[1] - part[0])
        except GoogleError as error:
            if part is not None and error.status == _BEYOND:
                return b""
            raise

    @override
    def size(self, path: str) -> int | None:
        """See `Driver.size`."""
        try:
            found = self._ask(_Request("GET", self._object(path), {"fields": "size"}))
        except GoogleError as error:
            if error.status == _MISSING and error.reason == _NO_OBJECT:
                return None
            raise
        return int(str(_read(found)["size"]))

    @override
    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """See `Driver.files`."""
        bucket, _, key = folder.partition("/")
        params = {"prefix": key and key + "/", "fields": "items(name,size),nextPageToken,kind"}
        while True:
            page = _read(self._ask(_Request("GET", self._objects(bucket), params)))
            for name, size in _entries(page):
                if not name.endswith("/"):  # which marks a folder
                    yield f"{bucket}/{name}", size
            token = page.get("nextPageToken")
            if not token:
                return
            if token == params.get("pageToken"):
                raise StorageUnavailable("", f"{self.location}: a listing goes round in circles")
            params["pageToken"] = str(token)

    @override
    def modified(self, path: str) -> datetime | None:
        """See `Driver.modified`."""
        found = _read(self._ask(_Request("GET", self._object(path), {"fields": "updated"})))
        return datetime.fromisoformat(str(found["updated"]))

    @override
    def remove(self, path: str) -> None:
        """See `Driver.remove`."""
        self._ask(_Request("DELETE", self._object(path)))

    @override
    def close(self) -> None:
        """See `Driver.close`."""
        for each in (self._session, self._fs.session):
            if each is not None:
                self._wait(each.close)

    def put_other(self, path: str, data: bytes) -> None:
        """As `put`, but an object that is no part of a repository."""
        self._upload(path, data, self.how_others())

    def how_others(self) -> dict[str, object]:
        """What objects are stored with that are no part of a repository.

        Raises:
            UsageError: they would be locked.
        """
        self._lock.check_others()
        return {"storageClass": self._class} if self._class else {}

    def encryption(self) -> dict[str, str]:
        """Parameters that say by which key an object is encrypted."""
        return {"kmsKeyName": self._key_name} if self._key_name else {}

    def _upload(
        self,
        path: str,
        data: bytes,
        how: Mapping[str, object],
        condition: Mapping[str, str] | None = None,
    ) -> None:
        bucket, _, key = path.partition("/")
        checksum = encoded(extended(0, data))
        about = {"name": key, "crc32c": checksum, **how}
        boundary = secrets.token_hex(16)
        body = b"".join(
            (
                f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode(),
                json.dumps(about).encode(),
                f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n".encode(),
                data,
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        params = {"uploadType": "multipart", "fields": "crc32c", **self.encryption()}
        params |= condition or {}
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        address = self._objects(bucket, "upload/")
        self.check(self._ask(_Request("POST", address, params, headers, body), len(data)), checksum)

    def check(self, answer: bytes, checksum: str) -> None:
        """See that what an answer says to be stored is what was sent.

        Raises:
            StorageUnavailable: it is not.
        """
        if _read(answer).get("crc32c") != checksum:
            raise StorageUnavailable("", f"{self.location}: an object was damaged on its way")

    def _how(self, path: str) -> dict[str, object]:
        """What an object is stored with."""
        name = path[len(self.root) :].lstrip("/")
        how: dict[str, object] = {}
        if self._class and is_pack(name):
            how["storageClass"] = self._class
        until = self._lock.until(name)
        if until is not None:
            end = until.strftime("%Y-%m-%dT%H:%M:%SZ")
            how["retention"] = {"mode": self._mode, "retainUntilTime": end}
        return how

    # Requests

    def _objects(self, bucket: str, before: str = "") -> str:
        """The address of all objects of a bucket."""
        host = str(self._fs.base).removesuffix("storage/v1/")
        return f"{host}{before}storage/v1/b/{quote(bucket, safe='')}/o"

    def _object(self, path: str) -> str:
        bucket, _, key = path.partition("/")
        return f"{self._objects(bucket)}/{quote(key, safe='')}"

    def _ask(self, request: _Request, size: int = 0) -> bytes:
        """Send a request that moves so many bytes; the body of its answer.

        Raises:
            GoogleError: it was no success.
        """
        return self._answer(request, size).body

    def _answer(self, request: _Request, size: int = 0) -> _Reply:
        try:
            return self._exchange(request, size)
        except GoogleError as error:
            if error.status != _MISSING:
                raise
            raise GoogleError(_MISSING, self._missing(request, error), error.text, {}) from None

    def _exchange(self, request: _Request, size: int = 0) -> _Reply:
        """As `_ask`, of an address that may have neither bucket nor object in it."""
        headers = dict(request.headers)
        # In this thread, because it may have to ask for a new token.
        self._fs.credentials.apply(headers)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self._secrets:
            self._hide(token)
        signed = request._replace(headers=headers)
        return self._wait(lambda: self._send(signed), size)

    def _opened(self) -> ClientSession:
        """The session, which the loop's thread makes: gcsfs closes its own in any thread."""
        from aiohttp import ClientSession  # noqa: PLC0415 - an optional library

        if self._session is None:
            told = {"trust_env": True, **self._fs.session_kwargs}
            self._session = ClientSession(**told)
            close_when_garbage(self, self._fs.loop, self._session.close)
        return self._session

    async def _send(self, request: _Request) -> _Reply:
        from aiohttp import ClientTimeout  # noqa: PLC0415 - an optional library

        async with self._opened().request(
            request.method,
            request.address,
            params=self._fs._get_params(request.params),  # noqa: SLF001 - with who pays
            headers=request.headers,
            data=io.BytesIO(request.data) if request.data else None,
            timeout=ClientTimeout(
                total=None, sock_connect=_CONNECT, sock_read=silence_after(len(request.data))
            ),
            allow_redirects=not request.fine,
            auto_decompress=request.params.get("alt") != "media",  # an object is read as stored
        ) as answer:
            body: bytes = await answer.read()
            if answer.status >= _FAILED and answer.status not in request.fine:
                raise GoogleError(answer.status, *_said(body), answer.headers)
            return _Reply(answer.status, answer.headers, body)

    def _missing(self, request: _Request, error: GoogleError) -> str:
        """What was not found, if the store says so; asks it once more where that was not said."""
        address, _, quoted = request.address.partition("/o/")
        text = error.text.lower()
        if not quoted or "bucket does not exist" in text:
            return _NO_BUCKET
        if "no such object" in text:
            return _NO_OBJECT
        key = unquote(quoted)
        params = {"prefix": key, "maxResults": "1", "fields": "items(name,size),kind"}
        try:
            page = _read(self._ask(_Request("GET", address + "/o", params)))
        except GoogleError as second:
            return _NO_BUCKET if second.status == _MISSING else error.reason
        return error.reason if any(name == key for name, _ in _entries(page)) else _NO_OBJECT

    # Errors

    @override
    def explain(self, verb: str, name: str, error: Exception) -> BackendError | None:
        """See `Driver.explain`."""
        if getattr(error.__cause__, "retryable", False):  # of google.auth, asked for a token
            text = self.redacted(str(error.__cause__))
            return StorageUnavailable(name, f"{self.location}: no new token ({text})")
        return super().explain(verb, name, error)

    @override
    def _answered(self, verb: str, name: str, told: Answer, text: str) -> BackendError:
        if told.code in _TOO_OFTEN:
            return StorageUnavailable(name, f"{self.location}: {text}", told.retry_after)
        if told.code in _WORDS:
            return AccessDenied(name, f"{self.location}: {_WORDS[told.code]}")
        if told.status == _UNKNOWN:
            problem = f"the credentials are wrong or have expired ({text}): set {self.credentials}"
            return AccessDenied(name, f"{self.location}: {problem}")
        if told.status == _MISSING and told.code not in {*self.gone, _NO_OBJECT}:
            return BackendError(name, f"{self.location}: {text}")
        return super()._answered(verb, name, told, text)


def _said(body: bytes) -> tuple[str, str]:
    """Google's word for what went wrong, and its sentence about it."""
    with suppress(zlib.error):  # it may be compressed if an object might have been
        body = zlib.decompressobj(wbits=31).decompress(body, _MOST)
    text = body[:_SAID].decode(errors="replace")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return "", text
    match told:
        case {"error": {"message": str(message), "errors": [{"reason": str(reason)}, *_]}}:
            return reason, message
        case {"error": {"message": str(message)}}:
            return "", message
        case _:
            return "", text


def _read(body: bytes) -> Mapping[str, object]:
    """An answer in JSON.

    Raises:
        StorageUnavailable: it is none, so something between here and the store has answered.
    """
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        raise StorageUnavailable("", "an answer is not Google's")
    return found


def _entries(page: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """Name and size of the objects on a page of a listing.

    Raises:
        StorageUnavailable: it is none. What something else has answered must not pass for the
            listing of an empty folder.
    """
    match page:
        case {"kind": "storage#objects", "items": list(items)}:
            for item in items:
                match item:
                    case {"name": str(name), "size": str(size)} if size.isdecimal():
                        yield name, int(size)
                    case _:
                        raise StorageUnavailable("", "an answer is no listing")
        case {"kind": "storage#objects"}:
            return
        case _:
            raise StorageUnavailable("", "an answer is no listing")
