"""Folders of any other store as what is backed up or restored to."""

from __future__ import annotations

from holdfast.backend.drivers.objects import PIECE, Objects, Renamed
from holdfast.backend.drivers.other import OtherDriver
from holdfast.backend.foreign import Upload
from holdfast.overrides import override


class OtherObjects(Objects):
    """A folder of a store that is known by its driver of fsspec only."""

    def __init__(self, driver: OtherDriver) -> None:
        super().__init__(driver)
        self._other = driver

    @override
    def upload(self, path: str, size: int) -> Upload:
        """See `Objects.upload`; a large file has a connection of its own while it is written."""
        return super().upload(path, size) if size <= PIECE else Renamed(self._other.connect(), path)
