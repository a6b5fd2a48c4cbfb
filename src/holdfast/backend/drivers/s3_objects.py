"""Buckets of S3 as others filled them, by requests that name bucket and key.

A path of s3fs cannot name every key: what follows ``?versionId=`` in it is taken for a version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from fsspec.asyn import sync

from holdfast.backend.drivers.answers import answer_in
from holdfast.backend.drivers.driver import SLOWEST, TIMEOUT
from holdfast.backend.drivers.objects import PIECE, Objects, nanoseconds
from holdfast.backend.drivers.s3 import S3Driver
from holdfast.backend.foreign import Changed, Listed, Upload
from holdfast.errors import StorageUnavailable
from holdfast.overrides import override

_MOST_PARTS: Final = 10_000
_REFUSED: Final = 403
_FAILED: Final = 412
_NO_RANGE: Final = 416


class S3Objects(Objects):
    """A folder of a bucket; its listing costs a request for each thousand objects below it."""

    is_flat: ClassVar[bool] = True
    is_exact: ClassVar[bool] = True

    def __init__(self, driver: S3Driver) -> None:
        super().__init__(driver)
        self.s3 = driver
        self._how = driver.how_others()
        self._bucket, _, key = driver.root.partition("/")
        self._prefix = key and key + "/"

    def page(self, after: str) -> tuple[list[Listed], str]:
        """See `Paged.page`."""
        what = {"Bucket": self._bucket, "Prefix": self._prefix}
        if after:
            what["ContinuationToken"] = after
        page: Mapping[str, object] = self._run("call_s3", "list_objects_v2", what)
        match page:
            case {"IsTruncated": False}:
                end = ""
            case {"IsTruncated": True, "NextContinuationToken": str(end)} if end not in {"", after}:
                pass
            case _:
                raise StorageUnavailable("", f"{self.driver.location}: a listing breaks off")
        contents = page.get("Contents", [])
        found = contents if isinstance(contents, list) else []
        return [self._listed(str(each["Key"]), each, "Size") for each in found], end

    @override
    def status(self, path: str) -> Listed | None:
        """See `Objects.status`; there are no folders."""
        key = path.removeprefix(f"{self._bucket}/")
        try:
            head: Mapping[str, object] = self._run(
                "call_s3", "head_object", Bucket=self._bucket, Key=key
            )
        except FileNotFoundError as error:
            self.driver._refuse_gone(error)  # noqa: SLF001 - the other half of a driver
            return None
        return self._listed(key, head, "ContentLength")

    @override
    def probe(self) -> None:
        """See `Objects.probe`."""
        self._run("call_s3", "list_objects_v2", Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    @override
    def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:
        """See `Objects.read`."""
        start, end = part
        what: dict[str, object] = {
            "Bucket": self._bucket,
            "Key": path.removeprefix(f"{self._bucket}/"),
        }
        what["Range"] = f"bytes={start}-{end - 1}"
        if tag:
            what["IfMatch"] = tag
        seconds = TIMEOUT + (end - start) / SLOWEST

        async def get() -> tuple[bytes, str]:
            answer = await self._fs._call_s3(  # noqa: SLF001 - s3fs itself would lose the tag
                "get_object", **what
            )
            async with answer["Body"] as body:
                return await body.read(), str(answer.get("ETag", ""))

        try:
            data, found = sync(self._fs.loop, get, timeout=seconds)
        except Exception as error:
            told = answer_in(error)
            if told is not None and told.status in {_FAILED, _NO_RANGE}:
                raise Changed(path) from None
            raise
        if tag and found != tag:  # not every server heeds the condition
            raise Changed(path)
        return bytes(data)

    @override
    def upload(self, path: str, size: int) -> Upload:
        """See `Objects.upload`."""
        return _Parts(self, path.removeprefix(f"{self._bucket}/"), size)

    def send(self, method: str, key: str, size: int = 0, **named: object) -> Mapping[str, object]:
        """A request about one key."""
        self.s3.give_time()
        answer: Mapping[str, object] = self._run(
            "call_s3", method, self._how, Bucket=self._bucket, Key=key, size=size, **named
        )
        return answer

    def _listed(self, key: str, info: Mapping[str, object], size: str) -> Listed:
        return Listed(
            f"{self._bucket}/{key}",
            "file",
            int(str(info[size])),
            nanoseconds(info.get("LastModified")),
            str(info.get("ETag", "")),
        )


class _Parts:
    """An object that is being sent: in one request, or in parts when it is large."""

    def __init__(self, objects: S3Objects, key: str, size: int) -> None:
        self._objects = objects
        self._key = key
        self._size = size
        self._data = b""
        self._parts: list[dict[str, object]] = []
        self._upload: object = None
        self._before: tuple[int, str, int | None] | None = None
        self.is_repeatable = True
        self.piece = max(PIECE, -(-size // _MOST_PARTS))
        if size > PIECE:
            self._before = self._version()
            self._upload = objects.send("create_multipart_upload", key)["UploadId"]

    def send(self, piece: bytes) -> None:
        """See `Upload.send`."""
        if self._upload is None:
            self._data = piece
            return
        number = len(self._parts) + 1
        answer = self._objects.send(
            "upload_part", self._key, len(piece), UploadId=self._upload, PartNumber=number,
            Body=piece,
        )  # fmt: skip
        self._parts.append({"PartNumber": number, "ETag": self._objects.s3.check_tag(answer)})

    def finish(self) -> None:
        """See `Upload.finish`."""
        if self._upload is None:
            answer = self._objects.send("put_object", self._key, len(self._data), Body=self._data)
            self._objects.s3.check_tag(answer)
            return
        try:
            answer = self._objects.send(
                "complete_multipart_upload", self._key, UploadId=self._upload,
                MultipartUpload={"Parts": self._parts},
            )  # fmt: skip
            self._objects.s3.check_tag(answer)
        except Exception as error:
            told = answer_in(error)
            if told is None or told.code != "NoSuchUpload" or not self._is_there():
                raise

    def abandon(self) -> None:
        """See `Upload.abandon`."""
        if self._upload is not None:
            self._objects.send("abort_multipart_upload", self._key, UploadId=self._upload)

    def _is_there(self) -> bool:
        """Whether an earlier request, whose answer was lost, has completed it."""
        found = self._version()
        if found is None or self._before is None:
            return False
        return found != self._before and found[0] == self._size

    def _version(self) -> tuple[int, str, int | None] | None:
        """What tells the object that is there from others; None if we may not know.

        The tag alone would not do: that of the same content is the same.
        """
        bucket = self._objects.driver.root.partition("/")[0]
        try:
            found = self._objects.status(f"{bucket}/{self._key}")
        except Exception as error:
            told = answer_in(error)
            if told is not None and told.status == _REFUSED:
                return None  # who may write need not be allowed to read
            raise
        return (-1, "", None) if found is None else (found.size, found.tag, found.mtime)
