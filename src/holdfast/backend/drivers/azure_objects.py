"""Containers of Azure Blob Storage as others filled them.

The tag of a blob is its etag, which no two versions share. Large blobs are sent as blocks, of which
nothing is seen before the list of them is committed.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, ClassVar, Final, cast

from holdfast.backend.drivers.answers import answer_in
from holdfast.backend.drivers.azure import AzureDriver, _in_pieces, _is_folder
from holdfast.backend.drivers.azure_pages import following
from holdfast.backend.drivers.driver import silence_after
from holdfast.backend.drivers.objects import PIECE, Objects, Whole, nanoseconds
from holdfast.backend.foreign import Changed, Listed, Upload
from holdfast.overrides import override

if TYPE_CHECKING:
    from azure.core.async_paging import AsyncPageIterator
    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import BlobClient, ContainerClient

_MOST_BLOCKS: Final = 50_000
_FAILED: Final = 412
_BEYOND: Final = 416
_NO_BLOB: Final = "BlobNotFound"


class AzureObjects(Objects):
    """A folder of a container; its listing costs a request for each 5,000 blobs below it."""

    is_flat: ClassVar[bool] = True
    is_exact: ClassVar[bool] = True

    def __init__(self, driver: AzureDriver) -> None:
        super().__init__(driver)
        driver.how_others()  # refuses early what cannot be
        self._azure = driver
        self._container, _, key = driver.root.partition("/")
        self._prefix = key and key + "/"

    def page(self, after: str) -> tuple[list[Listed], str]:
        """See `Paged.page`; empty folders of a hierarchical namespace are left out."""
        return self._page(after, None)

    @override
    def folder(self, path: str) -> list[Listed]:
        """See `Objects.folder`."""
        from azure.storage.blob.aio import BlobPrefix  # noqa: PLC0415 - an optional library

        key = path.partition("/")[2]
        blobs = self._client().walk_blobs(key and key + "/", include=["metadata"])
        found: list[Listed] = []

        async def next_blob() -> BlobProperties | BlobPrefix | None:
            return await following(blobs, self.location)

        while (blob := self._azure._wait(next_blob)) is not None:  # noqa: SLF001 - the other half of a driver
            if isinstance(blob, BlobPrefix):
                name = f"{self._container}/{blob.name[:-1]}"
                found.append(Listed(name, "directory", 0, None, ""))
            elif not _is_folder(blob) or blob.size:
                found.append(self._listed(blob))
        return found

    @override
    def status(self, path: str) -> Listed | None:
        """See `Objects.status`; there are no folders."""
        try:
            found = self._azure._wait(self._blob(path).get_blob_properties)  # noqa: SLF001 - as above
        except Exception as error:
            told = answer_in(error)
            if told is not None and told.code == _NO_BLOB:
                return None
            raise
        return None if _is_folder(found) else self._listed(found)

    @override
    def probe(self) -> None:
        """See `Objects.probe`."""
        self._page("", 1)

    @override
    def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:
        """See `Objects.read`."""
        from azure.core import MatchConditions  # noqa: PLC0415 - an optional library

        start, end = part

        async def download() -> bytes:
            # As it is stored, also if its content is said to be compressed.
            if tag:
                found = await self._blob(path).download_blob(
                    start,
                    end - start,
                    etag=tag,
                    match_condition=MatchConditions.IfNotModified,
                    decompress=False,
                )
            else:
                found = await self._blob(path).download_blob(start, end - start, decompress=False)
            return await found.readall()

        try:
            return self._azure._wait(download, end - start)  # noqa: SLF001 - as above
        except Exception as error:
            told = answer_in(error)
            if told is not None and told.status in {_FAILED, _BEYOND}:
                raise Changed(path) from None
            raise

    @override
    def upload(self, path: str, size: int) -> Upload:
        """See `Objects.upload`."""
        return _Small(self._azure, path) if size <= PIECE else _Blocks(self._azure, path, size)

    def _client(self) -> ContainerClient:
        return self._azure._client.get_container_client(self._container)  # noqa: SLF001 - as above

    def _blob(self, path: str) -> BlobClient:
        return self._azure._blob(path)  # noqa: SLF001 - as above

    def _page(self, after: str, most: int | None) -> tuple[list[Listed], str]:
        blobs = self._client().list_blobs(self._prefix, include=["metadata"], results_per_page=most)
        pages = cast("AsyncPageIterator[BlobProperties]", blobs.by_page(after or None))

        async def page() -> tuple[list[BlobProperties], str]:
            blobs = await following(pages, self.location)
            found = [] if blobs is None else [blob async for blob in blobs]
            return found, str(pages.continuation_token or "")

        found, end = self._azure._wait(page)  # noqa: SLF001 - as above
        return [
            self._listed(blob) for blob in found if not _is_folder(blob) or blob.name.endswith("/")
        ], end

    def _listed(self, blob: BlobProperties) -> Listed:
        return Listed(
            f"{self._container}/{blob.name}",
            "file",
            blob.size,
            nanoseconds(blob.last_modified),
            str(blob.etag).strip('"'),
        )


class _Small(Whole):
    """A small blob, stored as all that are no part of a repository."""

    def __init__(self, driver: AzureDriver, path: str) -> None:
        super().__init__(driver, path)
        self._azure = driver

    @override
    def finish(self) -> None:
        """See `Upload.finish`."""
        self._azure.put_other(self._path, self._data)


class _Blocks:
    """A large blob."""

    def __init__(self, driver: AzureDriver, path: str, size: int) -> None:
        self.piece = max(PIECE, -(-size // _MOST_BLOCKS))
        self.is_repeatable = True
        self._driver = driver
        self._blob = driver._blob(path)  # noqa: SLF001 - the other half of a driver
        self._how = driver.how_others()
        # Of two that write the same blob, neither must take the other's blocks for its own.
        self._mark = secrets.token_hex(8)
        self._ids: list[str] = []

    def send(self, piece: bytes) -> None:
        """See `Upload.send`."""
        number = f"holdfast-{self._mark}-{len(self._ids):08}"  # all have to be of one length
        name = base64.b64encode(number.encode()).decode()

        async def stage() -> None:
            await self._blob.stage_block(
                name,
                piece,
                len(piece),
                validate_content=True,
                encryption_scope=self._how["encryption_scope"],
                raw_request_hook=_in_pieces,
                read_timeout=silence_after(len(piece)),
            )

        self._driver._wait(stage, len(piece))  # noqa: SLF001 - as above
        self._ids.append(name)

    def finish(self) -> None:
        """See `Upload.finish`."""
        from azure.storage.blob import BlobBlock  # noqa: PLC0415 - an optional library

        async def commit() -> None:
            blocks = [BlobBlock(each) for each in self._ids]
            await self._blob.commit_block_list(blocks, **self._how)

        self._driver._wait(commit)  # noqa: SLF001 - as above

    def abandon(self) -> None:
        """See `Upload.abandon`; blocks of no list are deleted after a week."""
