"""Buckets of Google Cloud Storage as others filled them, by requests that name bucket and object.

The tag of an object is its generation, a number that no two versions share. Large objects are sent
by resumable uploads (https://cloud.google.com/storage/docs/resumable-uploads): there is nothing of
one before its last piece.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar, Final

from holdfast.backend.drivers.crc32c import encoded, extended
from holdfast.backend.drivers.gcs import (
    _NO_OBJECT,
    GcsDriver,
    GoogleError,
    _read,
    _Reply,
    _Request,
)
from holdfast.backend.drivers.objects import PIECE, Objects, Whole, nanoseconds
from holdfast.backend.foreign import Changed, Listed, Upload
from holdfast.errors import StorageUnavailable
from holdfast.overrides import override

_FIELDS: Final = "name,size,timeCreated,generation"
_MISSING: Final = 404
_BEYOND: Final = 416
_STORED: Final = (200, 201)
_MORE: Final = 308
"""More of an upload is to come."""
_LOST: Final = frozenset({400, 404, 410})
"""An upload is not known any more, or what has arrived is not what was sent."""
_ENDED: Final = (404, 410, 499)
"""An upload is no more."""


class GcsObjects(Objects):
    """A folder of a bucket; its listing costs a request for each thousand objects below it."""

    is_flat: ClassVar[bool] = True
    is_exact: ClassVar[bool] = True

    def __init__(self, driver: GcsDriver) -> None:
        super().__init__(driver)
        driver.how_others()  # refuses early what cannot be
        self.gcs = driver
        self._bucket, _, key = driver.root.partition("/")
        self._prefix = key and key + "/"

    def page(self, after: str) -> tuple[list[Listed], str]:
        """See `Paged.page`."""
        found, _, end = self._list(self._prefix, {"pageToken": after} if after else {})
        if end and end == after:
            raise StorageUnavailable("", f"{self.location}: a listing goes round in circles")
        return found, end

    @override
    def folder(self, path: str) -> list[Listed]:
        """See `Objects.folder`."""
        key = path.partition("/")[2]
        found: list[Listed] = []
        more = {"delimiter": "/"}
        while True:
            files, folders, end = self._list(key and key + "/", more)
            found += files
            found += [
                Listed(f"{self._bucket}/{name[:-1]}", "directory", 0, None, "") for name in folders
            ]
            if not end:
                return found
            if end == more.get("pageToken"):
                raise StorageUnavailable("", f"{self.location}: a listing goes round in circles")
            more["pageToken"] = end

    @override
    def status(self, path: str) -> Listed | None:
        """See `Objects.status`; there are no folders."""
        try:
            found = _read(self._ask(_Request("GET", self._address(path), {"fields": _FIELDS})))
        except GoogleError as error:
            if error.status == _MISSING and error.reason == _NO_OBJECT:
                return None
            raise
        return self._listed(found)

    @override
    def probe(self) -> None:
        """See `Objects.probe`."""
        self._list(self._prefix, {"maxResults": "1"})

    @override
    def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:
        """See `Objects.read`."""
        start, end = part
        # Google decompresses for whom does not take what is compressed, and then gives no range.
        headers = {"Accept-Encoding": "gzip", "Range": f"bytes={start}-{end - 1}"}
        params = {"alt": "media", **({"generation": tag} if tag else {})}
        try:
            return self._ask(_Request("GET", self._address(path), params, headers), end - start)
        except GoogleError as error:
            was_replaced = tag and error.status == _MISSING and error.reason not in self.gcs.gone
            if was_replaced or error.status == _BEYOND:
                raise Changed(path) from None
            raise

    @override
    def upload(self, path: str, size: int) -> Upload:
        """See `Objects.upload`."""
        return _Small(self.gcs, path) if size <= PIECE else _Resumable(self.gcs, path, size)

    def _ask(self, request: _Request, size: int = 0) -> bytes:
        return self.gcs._ask(request, size)  # noqa: SLF001 - the other half of a driver

    def _address(self, path: str) -> str:
        return self.gcs._object(path)  # noqa: SLF001 - as above

    def _list(self, prefix: str, more: Mapping[str, str]) -> tuple[list[Listed], list[str], str]:
        """Objects and folders of one page, and where it ends."""
        fields = f"items({_FIELDS}),prefixes,nextPageToken,kind"
        address = self.gcs._objects(self._bucket)  # noqa: SLF001 - as above
        page = _read(
            self._ask(_Request("GET", address, {"prefix": prefix, "fields": fields, **more}))
        )
        if page.get("kind") != "storage#objects":
            raise StorageUnavailable("", f"{self.location}: an answer is no listing")
        items, folders = page.get("items", []), page.get("prefixes", [])
        found = [self._listed(item) for item in items] if isinstance(items, list) else []
        names = [str(name) for name in folders] if isinstance(folders, list) else []
        return found, names, str(page.get("nextPageToken") or "")

    def _listed(self, item: Mapping[str, object]) -> Listed:
        return Listed(
            f"{self._bucket}/{item['name']}",
            "file",
            int(str(item.get("size", 0))),
            nanoseconds(item.get("timeCreated")),
            str(item["generation"]),
        )


class _Small(Whole):
    """A small object, stored as all that are no part of a repository."""

    def __init__(self, driver: GcsDriver, path: str) -> None:
        super().__init__(driver, path)
        self._gcs = driver

    @override
    def finish(self) -> None:
        """See `Upload.finish`."""
        self._gcs.put_other(self._path, self._data)


class _Resumable:
    """A large object.

    The store says after each piece how much of the object it has; only by that anything counts.
    """

    def __init__(self, driver: GcsDriver, path: str, size: int) -> None:
        self.piece = PIECE
        self.is_repeatable = False  # after a failure it is not known what has arrived
        self._driver = driver
        self._size = size
        self._sent = 0
        self._checksum = 0
        bucket, _, key = path.partition("/")
        address = driver._objects(bucket, "upload/")  # noqa: SLF001 - the other half of a driver
        params = {"uploadType": "resumable", "fields": "crc32c", **driver.encryption()}
        about = json.dumps({"name": key, **driver.how_others()}).encode()
        headers = {"Content-Type": "application/json"}
        reply = driver._answer(_Request("POST", address, params, headers, about))  # noqa: SLF001 - as above
        self._session = reply.headers.get("Location", "")
        if not self._session:
            raise StorageUnavailable("", f"{driver.location}: an answer begins no upload")

    def send(self, piece: bytes) -> None:
        """See `Upload.send`."""
        end = self._sent + len(piece)
        self._checksum = extended(self._checksum, piece)
        headers = {"Content-Range": f"bytes {self._sent}-{end - 1}/{self._size}"}
        if end < self._size:
            reply = self._put(headers, piece)
            if (reply.status, reply.headers.get("Range")) != (_MORE, f"bytes=0-{end - 1}"):
                raise StorageUnavailable("", f"{self._driver.location}: part of a piece is missing")
        else:
            checksum = encoded(self._checksum)
            # By the header the store itself refuses what was damaged.
            reply = self._put({**headers, "x-goog-hash": f"crc32c={checksum}"}, piece)
            if reply.status not in _STORED:
                raise StorageUnavailable("", f"{self._driver.location}: the last piece is missing")
            self._driver.check(reply.body, checksum)
        self._sent = end

    def finish(self) -> None:
        """See `Upload.finish`; the last piece was the end."""
        if self._sent != self._size:
            raise ValueError(f"{self._sent} bytes instead of {self._size}")

    def abandon(self) -> None:
        """See `Upload.abandon`; a session that is left alone ends after a week."""
        self._driver._exchange(_Request("DELETE", self._session, fine=_ENDED))  # noqa: SLF001 - as above

    def _put(self, headers: Mapping[str, str], piece: bytes) -> _Reply:
        request = _Request("PUT", self._session, {}, headers, piece, (_MORE,))
        try:
            return self._driver._exchange(request, len(piece))  # noqa: SLF001 - as above
        except GoogleError as error:
            if error.status in _LOST:
                text = f"an upload is to begin anew ({error.text})"
                raise StorageUnavailable("", f"{self._driver.location}: {text}") from None
            raise
