"""Folders of any other store as what is backed up or restored to."""

from __future__ import annotations

from holdfast.backend.drivers.objects import PIECE, Objects, Renamed
from holdfast.backend.drivers.other import OtherDriver, can_rename, end, replace
from holdfast.backend.foreign import Upload
from holdfast.overrides import override


class OtherObjects(Objects):
    """A folder of a store that is known by its driver of fsspec only."""

    def __init__(self, driver: OtherDriver) -> None:
        super().__init__(driver)
        self._other = driver

    @override
    def upload(self, path: str, size: int) -> Upload:
        """See `Objects.upload`."""
        return super().upload(path, size) if size <= PIECE else _Large(self._other, path)


class _Large(Renamed):
    """A large file, which has a connection of its own while it is written."""

    def __init__(self, driver: OtherDriver, path: str) -> None:
        self._connection = driver.connect()
        try:
            super().__init__(self._connection, path)
        except BaseException:
            end(self._connection)
            raise

    @override
    def finish(self) -> None:
        """See `Upload.finish`."""
        super().finish()
        end(self._connection)

    @override
    def abandon(self) -> None:
        """See `Upload.abandon`."""
        try:
            super().abandon()
        finally:
            end(self._connection)

    @override
    def _rename(self) -> None:
        if can_rename(self._connection):
            replace(self._connection, self._temporary, self._path)
        else:
            super()._rename()
