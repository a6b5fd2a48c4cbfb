"""Azure Blob Storage, through adlfs.

Its credentials are adlfs' ways, and the names of variables that Azure's own tools use. Requests are
sent by Azure's library, which adlfs is made of, because adlfs tries failed requests again for
minutes, sends large objects in several requests, and looks for folders where none was asked for.

Own options, besides those of adlfs: ``endpoint`` (URL of the blob service, where it is not
``https://ACCOUNT.blob.core.windows.net``), ``access_tier`` (of packs), ``encryption_scope``, and
``object_lock_days`` with ``object_lock_mode``: nothing but what marks running work can be changed
or deleted by anybody before so many days have passed.

Every object is sent in one request with its MD5, so the store refuses what was damaged on its way,
and there is never part of one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final, TypedDict
from urllib.parse import parse_qs

from holdfast import environment
from holdfast.backend.drivers.answers import Answer, answer_in
from holdfast.backend.drivers.azure_pages import following
from holdfast.backend.drivers.closing import close_when_garbage, detach
from holdfast.backend.drivers.driver import SILENT, WHOLE, Driver, Options, silence_after
from holdfast.backend.drivers.options import Lock, is_pack, one_of, texts
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectUnreadable,
    StorageUnavailable,
    UsageError,
)
from holdfast.overrides import override

if TYPE_CHECKING:
    import fsspec
    from azure.core.pipeline import PipelineRequest
    from azure.core.rest import HttpRequest
    from azure.storage.blob import BlobProperties, ImmutabilityPolicy, StandardBlobTier
    from azure.storage.blob.aio import BlobClient, BlobServiceClient

_UNSPLIT: Final = 1 << 30
"""Bytes up to which an object is sent and fetched in one request: more than any has."""
_CONNECT: Final = 10
_BEYOND: Final = 416
"""RFC 9110, section 15.5.17: the range begins after the end."""
_FORBIDDEN: Final = 403
_MISSING: Final = 404
_NO_BLOB: Final = "BlobNotFound"
_OPTIONS = frozenset(
    {"endpoint", "access_tier", "encryption_scope", "object_lock_days", "object_lock_mode"}
)
_TIERS = {tier.lower(): tier for tier in ("Hot", "Cool", "Cold", "Archive")}
_MODES = {mode.lower(): mode for mode in ("Unlocked", "Locked")}
_IDENTITIES = frozenset({"credential", "client_id", "anon"})
"""Options of adlfs that stand for a user without a key."""
_STRANGE = frozenset({"DecodeError", "HttpResponseError"})
"""What Azure's library says of an answer that is a success, but none that it knows."""
_SECRET_PARTS = frozenset({"accountkey", "sharedaccesssignature"})

_WRONG = "the account key or SAS token is wrong, or this machine's clock is: see AZURE_STORAGE_KEY"
_UNKNOWN = "failed to authenticate the request"
_WORDS: Mapping[str, tuple[type[BackendError], str]] = {
    "AccountIsDisabled": (AccessDenied, "the storage account is disabled: see its subscription"),
    "AuthenticationFailed": (AccessDenied, _WRONG),
    "BlobAlreadyExists": (ObjectExists, "the object there stays as it is"),
    "BlobArchived": (
        ObjectUnreadable,
        "it is in the archive tier: set its tier to Hot or Cool, wait until it is back (hours)",
    ),
    "BlobBeingRehydrated": (
        ObjectUnreadable,
        "it is on its way back from the archive tier, which takes hours",
    ),
    "BlobImmutableDueToPolicy": (
        AccessDenied,
        "an immutability policy or a legal hold lets nobody change or delete it yet",
    ),
    "DirectoryIsNotEmpty": (ObjectNotFound, "no such object"),  # but a folder
    "InvalidAuthenticationInfo": (AccessDenied, _WRONG),
    "KeyBasedAuthenticationNotPermitted": (
        AccessDenied,
        "the account allows no keys: use a role, and unset AZURE_STORAGE_KEY",
    ),
    "LeaseIdMissing": (AccessDenied, "somebody holds a lease on it, so nobody else may change it"),
    "Md5Mismatch": (StorageUnavailable, "it was damaged on its way to the store"),
    "PublicAccessNotPermitted": (AccessDenied, "credentials are needed: set AZURE_STORAGE_KEY"),
    "SnapshotsPresent": (BackendError, "it has snapshots of Azure's, which must be deleted first"),
}


class _How(TypedDict):
    max_single_put_size: int
    max_single_get_size: int
    retry_total: int
    connection_timeout: int
    read_timeout: int


class Stored(TypedDict):
    """What a blob is stored with, in the words of Azure's library."""

    standard_blob_tier: StandardBlobTier | None
    encryption_scope: str | None


class _Locked(Stored):
    immutability_policy: ImmutabilityPolicy | None


class AzureDriver(Driver):
    """A folder of a container."""

    extra = "azure"
    gone = frozenset({"ContainerNotFound", "ContainerBeingDeleted"})
    names: ClassVar[Mapping[str, str]] = {"azure": "abfs", "az": "abfs", "abfss": "abfs"}
    credentials = (
        "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or "
        "AZURE_STORAGE_SAS_TOKEN, or log in with `az login`"
    )
    advice: ClassVar[Mapping[str, str]] = {
        "put": ": the role Storage Blob Data Contributor, or a SAS token with c and w, is needed",
        "get": ": the role Storage Blob Data Reader, or a SAS token with r, is needed",
        "stat": ": the role Storage Blob Data Reader, or a SAS token with r, is needed",
        "list": ": the role Storage Blob Data Reader, or a SAS token with l, is needed",
        "delete": ": the role Storage Blob Data Contributor, or a SAS token with d, is needed",
    }

    _client: BlobServiceClient

    def __init__(self, location: str, protocol: str, path: str, options: Options) -> None:
        own = texts(options, _OPTIONS)
        self._tier = one_of(own, "access_tier", _TIERS)
        self._lock = Lock(own)
        self._mode = one_of(own, "object_lock_mode", _MODES) or "Unlocked"
        self._scope = own.get("encryption_scope")
        rest = {name: value for name, value in options.items() if name not in _OPTIONS}
        super().__init__(location, protocol, path, _identified(rest, own.get("endpoint")))

    @override
    def _connect(self, protocol: str, options: Options) -> fsspec.AbstractFileSystem:
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415 - an optional library

        text = options.get("connection_string")
        parts = _parts(text) if isinstance(text, str) else {}
        self._expires = _expiry(parts.get("sharedaccesssignature", ""))
        for name in _SECRET_PARTS & parts.keys():
            self._hide(parts[name])
        fs = super()._connect(protocol, options)
        how: _How = {
            "max_single_put_size": _UNSPLIT,
            "max_single_get_size": _UNSPLIT,
            "retry_total": 0,  # that is done above, for all stores alike
            "connection_timeout": _CONNECT,
            "read_timeout": SILENT,
        }
        if isinstance(text, str):
            self._client = BlobServiceClient.from_connection_string(text, **how)
        else:
            self._client = BlobServiceClient(fs.account_url, fs.credential, **how)
        detach(fs)
        for each in (self._client, fs.service_client, fs.credential):
            if each is not None:
                close_when_garbage(self, fs.loop, each.close)
        return fs

    @override
    def put(self, path: str, data: bytes) -> None:
        """See `Driver.put`."""
        self._upload(path, data, self._how(path), overwrite=True)

    @override
    def create(self, path: str, data: bytes) -> None:
        """See `Driver.create`."""
        try:
            self._upload(path, data, self._how(path), overwrite=False)
        except Exception as error:
            # Who may create but not replace is refused before the condition is looked at.
            told = answer_in(error)
            if told is not None and told.status == _FORBIDDEN and self._is_there(path):
                raise FileExistsError(path) from None
            raise

    @override
    def read(self, path: str, part: tuple[int, int] | None) -> bytes:
        """See `Driver.read`."""
        offset, length = (None, None) if part is None else (part[0], part[1] - part[0])

        async def download() -> bytes:
            found = await self._blob(path).download_blob(offset, length)
            if _is_folder(found.properties):
                raise FileNotFoundError(path)
            return await found.readall()

        try:
            return self._wait(download, WHOLE if length is None else length)
        except Exception as error:
            told = answer_in(error)
            if part is not None and told is not None and told.status == _BEYOND:
                return b""
            raise

    @override
    def size(self, path: str) -> int | None:
        """See `Driver.size`."""
        try:
            found = self._wait(self._blob(path).get_blob_properties)
        except Exception as error:
            told = answer_in(error)
            if told is not None and told.code == _NO_BLOB:
                return None
            raise
        return None if _is_folder(found) else found.size

    @override
    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """See `Driver.files`."""
        container, _, key = folder.partition("/")
        # Folders of a hierarchical namespace are listed too; their metadata tells.
        pages = (
            self._client.get_container_client(container)
            .list_blobs(name_starts_with=key and key + "/", include=["metadata"])
            .by_page()
        )

        async def next_page() -> list[BlobProperties] | None:
            page = await following(pages, self.location)
            return None if page is None else [blob async for blob in page]

        # Each page is a request, with its own time.
        while (page := self._wait(next_page)) is not None:
            for blob in page:
                if not _is_folder(blob):
                    yield f"{container}/{blob.name}", blob.size

    @override
    def modified(self, path: str) -> datetime | None:
        """See `Driver.modified`."""
        return self._wait(self._blob(path).get_blob_properties).last_modified

    @override
    def remove(self, path: str) -> None:
        """See `Driver.remove`."""
        self._wait(self._blob(path).delete_blob)

    @override
    def close(self) -> None:
        """See `Driver.close`."""
        for each in (self._client, self._fs.service_client, self._fs.credential):
            if each is not None:
                self._wait(each.close)

    def _blob(self, path: str) -> BlobClient:
        container, _, key = path.partition("/")
        return self._client.get_blob_client(container, key)

    def put_other(self, path: str, data: bytes) -> None:
        """As `put`, but an object that is no part of a repository."""
        self._upload(path, data, self.how_others(), overwrite=True)

    def how_others(self) -> Stored:
        """What objects are stored with that are no part of a repository.

        Raises:
            UsageError: they would be locked.
        """
        self._lock.check_others()
        return Stored(standard_blob_tier=self._known_tier(), encryption_scope=self._scope)

    def _upload(self, path: str, data: bytes, how: _Locked | Stored, *, overwrite: bool) -> None:
        blob = self._blob(path)

        async def upload() -> None:
            await blob.upload_blob(
                data,
                overwrite=overwrite,
                validate_content=True,
                raw_request_hook=_in_pieces,
                read_timeout=silence_after(len(data)),
                **how,
            )

        self._wait(upload, len(data))

    def _how(self, path: str) -> _Locked:
        """What an object of a repository is stored with."""
        name = path[len(self.root) :].lstrip("/")
        return _Locked(
            standard_blob_tier=self._known_tier() if is_pack(name) else None,
            encryption_scope=self._scope,
            immutability_policy=self._policy_of(name),
        )

    def _known_tier(self) -> StandardBlobTier | None:
        from azure.storage.blob import StandardBlobTier  # noqa: PLC0415 - an optional library

        return StandardBlobTier(self._tier) if self._tier else None

    def _policy_of(self, name: str) -> ImmutabilityPolicy | None:
        from azure.storage.blob import ImmutabilityPolicy  # noqa: PLC0415 - an optional library

        until = self._lock.until(name)
        if until is None:
            return None
        return ImmutabilityPolicy(expiry_time=until, policy_mode=self._mode)

    # Errors

    @override
    def redacted(self, text: str) -> str:
        """See `Driver.redacted`; only the first line, the others are for Azure's support."""
        return super().redacted(text.partition("\n")[0])

    @override
    def _answered(self, verb: str, name: str, told: Answer, text: str) -> BackendError:
        if told.status in {401, 403} and self._expires is not None and self._expires < _now():
            return AccessDenied(name, f"{self.location}: the SAS token has expired: make a new one")
        if _UNKNOWN in text:  # which the emulator says by another code than Azure
            return AccessDenied(name, f"{self.location}: {_WRONG}")
        if told.code in _WORDS:
            kind, problem = _WORDS[told.code]
            return kind(name, problem if kind is ObjectExists else f"{self.location}: {problem}")
        if told.status == _MISSING and told.code not in {*self.gone, _NO_BLOB}:
            # Something that is not the blob service, whose word on an object counts nothing.
            return BackendError(name, f"{self.location}: {text}")
        return super()._answered(verb, name, told, text)

    @override
    def _unanswered(self, verb: str, name: str, error: Exception, text: str) -> BackendError:
        if type(error).__name__ == "AzureSigningError":
            return AccessDenied(name, f"{self.location}: {_WRONG}")
        if type(error).__name__ in _STRANGE:
            return StorageUnavailable(name, f"{self.location}: an answer is not Azure's ({text})")
        return super()._unanswered(verb, name, error, text)

    @override
    def _no_bucket(self, name: str) -> BackendError:
        container = self.root.partition("/")[0]
        problem = f"there is no container {container}: create it first"
        return BackendError(name, f"{self.location}: {problem}")


def _identified(options: Options, endpoint: str | None) -> dict[str, object]:
    """Options for adlfs with the credentials that count: given ones before the environment's.

    adlfs alone would let a connection string of the environment replace an account that is given.

    Raises:
        UsageError: no account is known, or it is not clear whose credentials count.
    """
    found = dict(options)
    told = environment.variable("AZURE_STORAGE_CONNECTION_STRING")
    given = found.keys() & (_IDENTITIES | {"account_key", "sas_token"})
    if not given and "connection_string" not in found and told and _is_of(told, options):
        found["connection_string"] = told
    if "connection_string" in found:
        return found
    account = found.get("account_name") or environment.first(
        "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"
    )
    if not account:
        raise UsageError(f"no storage account is known: set {AzureDriver.credentials}")
    found["account_name"] = account
    address = endpoint or _address(account, found.pop("account_host", None))
    credential = _key_or_token(found, given)
    if credential is not None:
        found["connection_string"] = f"AccountName={account};BlobEndpoint={address};{credential}"
    elif told:
        raise UsageError(
            "AZURE_STORAGE_CONNECTION_STRING would be used instead of what is given: unset it"
        )
    else:
        found["account_host"] = address.removeprefix("https://")
    return found


def _key_or_token(options: dict[str, object], given: set[str]) -> str | None:
    """What goes into a connection string; None for an identity that has neither key nor token."""
    key, token = options.pop("account_key", None), options.pop("sas_token", None)
    if not given:
        key = environment.first("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY")
        token = environment.variable("AZURE_STORAGE_SAS_TOKEN")
    if key:
        return f"AccountKey={key}"
    if token:
        return f"SharedAccessSignature={str(token).lstrip('?')}"
    return None


def _address(account: object, host: object) -> str:
    return f"https://{host or f'{account}.blob.core.windows.net'}"


def _is_of(connection_string: str, options: Options) -> bool:
    """Whether it is of the account that the options name, if they name one."""
    account = options.get("account_name")
    return account is None or _parts(connection_string).get("accountname") in {account, None}


def _parts(connection_string: str) -> dict[str, str]:
    """What a connection string is made of, by names in lower case."""
    pairs = (each.partition("=") for each in connection_string.split(";"))
    return {name.strip().lower(): value for name, _, value in pairs if value}


def _expiry(token: str) -> datetime | None:
    """When a SAS token ends; None when it does not say so, as one of a stored policy."""
    try:
        end = datetime.fromisoformat(parse_qs(token)["se"][0])
    except (KeyError, ValueError):
        return None
    return end if end.tzinfo else end.replace(tzinfo=UTC)


def _now() -> datetime:
    return datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() // 10**9, UTC)


def _is_folder(blob: BlobProperties) -> bool:
    """Whether it is a folder of an account with a hierarchical namespace, or a marker of one."""
    metadata = {name.lower(): value for name, value in (blob.metadata or {}).items()}
    return metadata.get("hdi_isfolder") == "true" or str(blob.name).endswith("/")


def _in_pieces(request: PipelineRequest[HttpRequest]) -> None:
    """Have a body sent piece by piece: as a whole it would keep all other requests waiting."""
    body = request.http_request.body
    if isinstance(body, bytes):
        request.http_request.body = io.BytesIO(body)
