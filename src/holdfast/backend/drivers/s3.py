"""Amazon S3, and every store that speaks it, through s3fs.

Own options, besides those of s3fs: ``endpoint`` (also AWS_S3_ENDPOINT), ``region``,
``storage_class`` (of packs), ``sse`` and ``sse_kms_key_id`` (server-side encryption), and
``object_lock_days`` with ``object_lock_mode``: nothing but what marks running work can be deleted
for good, by anybody, before so many days have passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from holdfast import environment
from holdfast.backend.drivers.answers import Answer
from holdfast.backend.drivers.driver import Driver, Options
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import AccessDenied, BackendError, ObjectUnreadable, UsageError
from holdfast.overrides import override

_DAY: Final = timedelta(days=1)
_UNSPLIT = 1 << 30
"""Bytes of a part of an upload: objects are smaller, so all go in one request and are never
there in part."""
_CONNECT: Final = 10
_SILENT: Final = 60
"""Seconds without a byte after which a request is given up."""
_CONNECTIONS: Final = 16
_PASSING = ("sessions/", "gc/")
"""Folders of objects that must be deleted soon, so are never locked."""

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

_WORDS: Mapping[str, str] = {
    "ExpiredToken": "the credentials have expired: get new ones and run this again",
    "InvalidAccessKeyId": "the access key is not known: see AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong: see AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "this machine's clock is wrong by more than 15 minutes: set it",
}


_ELSEWHERE = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "301", "307"}
)


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
        own = {name: _text(name, options[name]) for name in _OPTIONS if name in options}
        rest = {name: value for name, value in options.items() if name not in _OPTIONS}
        self._all: dict[str, object] = {}
        if "sse" in own:
            self._all["ServerSideEncryption"] = own["sse"]
        if "sse_kms_key_id" in own:
            self._all |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": own["sse_kms_key_id"]}
        self._packs = {"StorageClass": own["storage_class"]} if "storage_class" in own else {}
        self._lock_days = _days(own.get("object_lock_days"))
        self._lock_mode = own.get("object_lock_mode", "GOVERNANCE").upper()
        endpoint = own.get("endpoint") or environment.variable("AWS_S3_ENDPOINT")
        if endpoint:
            rest.setdefault("endpoint_url", endpoint)
        if "region" in own:
            rest["client_kwargs"] = {"region_name": own["region"], **_named(rest, "client_kwargs")}
        rest["config_kwargs"] = {
            "connect_timeout": _CONNECT,
            "read_timeout": _SILENT,
            "max_pool_connections": _CONNECTIONS,
            "retries": {"max_attempts": 0},  # that is done above, for all stores alike
            **_named(rest, "config_kwargs"),
        }
        super().__init__(location, protocol, path, rest)
        self._fs.retries = 1

    @override
    def put(self, path: str, data: bytes) -> None:
        """See `Driver.put`."""
        self._run("pipe_file", path, data, size=len(data), **self._how(path))

    @override
    def create(self, path: str, data: bytes) -> None:
        """See `Driver.create`."""
        self._run("pipe_file", path, data, mode="create", size=len(data), **self._how(path))

    @override
    def read(self, path: str, part: tuple[int, int] | None) -> bytes:
        """See `Driver.read`."""
        if part is not None:
            return super().read(path, part)
        # With more it would ask for the size first.
        found: bytes = self._run("cat_file", path, max_concurrency=1)
        return found

    @override
    def size(self, path: str) -> int | None:
        """See `Driver.size`."""
        bucket, _, key = path.partition("/")
        try:
            # `info` would go on and look for a folder of that name.
            head: Mapping[str, object] = self._run("call_s3", "head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return None
        size = head["ContentLength"]
        return size if isinstance(size, int) else None

    @override
    def files(self, folder: str) -> Iterable[tuple[str, int]]:
        """See `Driver.files`."""
        # `find` asks twice more about a folder that is empty.
        found: Iterable[Mapping[str, object]] = self._run("lsdir", folder, delimiter="")
        return [
            (str(info["name"]), size)
            for info in found
            if info.get("type") == "file" and isinstance(size := info.get("size"), int)
        ]

    def _how(self, path: str) -> dict[str, object]:
        """What an object is stored with."""
        name = path[len(self.root) :].lstrip("/")
        how = {**self._all, **(self._packs if name.startswith("data/") else {})}
        if self._lock_days and not name.startswith(_PASSING):
            until = datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() / 1e9, UTC)
            how["ObjectLockMode"] = self._lock_mode
            how["ObjectLockRetainUntilDate"] = until + self._lock_days * _DAY
        how["chunksize"] = _UNSPLIT
        return how

    @override
    def _answered(self, verb: str, name: str, told: Answer, text: str) -> BackendError:
        if told.code in _WORDS:
            return AccessDenied(name, f"{self.location}: {_WORDS[told.code]}")
        if told.code == "InvalidObjectState":
            return ObjectUnreadable(name, "it is archived: restore it from the archive tier first")
        if told.code in _ELSEWHERE:
            problem = "the bucket is in another region: set AWS_DEFAULT_REGION"
            return BackendError(name, f"{self.location}: {problem}")
        return super()._answered(verb, name, told, text)


def _text(name: str, value: object) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
        return str(value)
    raise UsageError(f"storage option {name}: a text is needed")


def _days(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or not int(text):
        raise UsageError(f"storage option object_lock_days: {text!r} is no number of days")
    return int(text)


def _named(options: Mapping[str, object], name: str) -> dict[str, object]:
    value = options.get(name, {})
    if not isinstance(value, Mapping):
        raise UsageError(f"storage option {name}: a mapping is needed")
    return {str(key): each for key, each in value.items()}
