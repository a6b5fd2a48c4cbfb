"""Folders of SSH servers as what is backed up or restored to."""

from __future__ import annotations

import stat
from typing import Final

from holdfast.backend.drivers.objects import PIECE, Objects
from holdfast.backend.drivers.sftp import SftpDriver, entries, temporary_beside
from holdfast.backend.drivers.sftp_names import publish
from holdfast.backend.drivers.sftp_packets import CREATE, WRITE, Attributes, Refused
from holdfast.backend.drivers.sftp_session import Session
from holdfast.backend.foreign import UNSIZED, Listed, Upload
from holdfast.errors import AccessDenied
from holdfast.overrides import override

_KINDS: Final = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}


class SftpObjects(Objects):
    """A folder of a server, whatever is in it. Nothing is written through symbolic links in it."""

    def __init__(self, driver: SftpDriver) -> None:
        super().__init__(driver)
        self._sftp = driver
        self._real: set[str] = set()

    @override
    def close(self) -> None:
        """See `Objects.close`; a request that has stalled ends, too."""
        self._sftp.pool.break_off()

    @override
    def folder(self, path: str) -> list[Listed]:
        """See `Objects.folder`."""
        with self._sftp.pool.use() as session:
            found = session.folders([path])[path]
            listed = [_listed(*entry) for entry in entries(session, path, found)]
            is_there = not isinstance(found, Refused) or session.stat(path) is not None
        if not is_there:
            raise FileNotFoundError(path)
        return [self._sized(each) for each in listed]

    @override
    def status(self, path: str) -> Listed | None:
        """See `Objects.status`; symbolic links are followed."""
        with self._sftp.pool.use() as session:
            found = session.stat(path)
        return None if found is None else _listed(path, found)

    @override
    def upload(self, path: str, size: int) -> Upload:  # noqa: ARG002 - as of all stores
        """See `Objects.upload`.

        Raises:
            AccessDenied: a folder on the way is a symbolic link.
        """
        self._refuse_links(path)
        return _Upload(self._sftp, path)

    def _refuse_links(self, path: str) -> None:
        """Look at each folder between the root and a file, once if it is there."""
        at = len(self.root.rstrip("/"))
        while (at := path.find("/", at + 1)) >= 0:
            folder = path[:at]
            if folder in self._real:
                continue
            with self._sftp.pool.use() as session:
                found = session.lstat(folder)
            if found is None:
                return  # it will be made, and all below it
            if found.mode is not None and stat.S_ISLNK(found.mode):
                problem = f"{folder} is a symbolic link, through which nothing is written"
                raise AccessDenied(path, problem)
            self._real.add(folder)


class _Upload:
    """A file that has another name until it is complete."""

    def __init__(self, driver: SftpDriver, path: str) -> None:
        self.piece = PIECE
        self.is_repeatable = True
        self._driver = driver
        self._path = path
        self._temporary = temporary_beside(path)
        self._size = 0
        with driver.writing(path) as session:
            session.close(session.open(self._temporary, CREATE))

    def send(self, piece: bytes) -> None:
        """See `Upload.send`; done again it writes the same bytes to the same place."""
        with self._driver.writing(self._path, len(piece)) as session:
            session.store(self._temporary, WRITE, piece, self._size)
        self._size += len(piece)

    def finish(self) -> None:
        """See `Upload.finish`."""
        with self._driver.writing(self._path) as session:
            if not self._is_done(session):
                publish(session, self._temporary, self._path)

    def abandon(self) -> None:
        """See `Upload.abandon`."""
        self._driver.remove(self._temporary)

    def _is_done(self, session: Session) -> bool:
        """Whether it has its name already, by a request whose answer was lost."""
        if session.stat(self._temporary) is not None:
            return False
        found = session.stat(self._path)
        return found is not None and found.size == self._size


def _listed(path: str, found: Attributes) -> Listed:
    kind = "file" if found.mode is None else _KINDS.get(stat.S_IFMT(found.mode), "other")
    if kind == "file" and found.size is None:
        kind = UNSIZED
    mtime = None if found.modified is None else found.modified * 10**9
    return Listed(path, kind, found.size or 0, mtime, "")
