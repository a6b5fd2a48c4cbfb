"""The scratch directory of a drill: nobody else may enter it, and it goes, whatever happens.

It holds a file that is locked as long as its drill lives. The lock ends with the process, however
that ends, so the next drill in the same folder can tell what a killed one left, and removes it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holdfast.errors import UsageError
from holdfast.filesystem.target import names_in
from holdfast.operations.restore import RestoreOptions
from holdfast.operations.restore.purge import Purge
from holdfast.operations.restore.result import Tally
from holdfast.operations.restore.scope import Place, Selection

_log = logging.getLogger(__name__)

PREFIX: Final = "holdfast-drill-"
MARKER: Final = "drill-at-work"


class Scratch:
    """A directory for one drill, made when it is entered and removed when it is left.

    Args:
        parent: the folder in which it is made; the system's for temporary files when None.

    Attributes:
        folder: the directory.
        problem: why it could not be removed, or "".

    Raises:
        UsageError: it cannot be made.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = Path(tempfile.gettempdir()) if parent is None else parent
        self._lock = -1
        self.folder = Path()
        self.problem = ""

    def __enter__(self) -> Self:
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            sweep(self._parent)
            while self._lock < 0:
                self._make()
        except OSError as error:
            raise UsageError(
                f"a drill cannot use {self._parent}: {error.strerror or error}"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            self.problem = _remove(self._parent, self.folder.name)
        finally:
            os.close(self._lock)
        if self.problem:
            _log.warning("%s: could not be removed: %s", self.folder, self.problem)

    @property
    def restored(self) -> Path:
        """Where data is restored to."""
        return self.folder / "restored"

    @property
    def work(self) -> Path:
        """Where checks keep what they need for themselves."""
        folder = self.folder / "work"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _make(self) -> None:
        """Make and lock it; nothing is there if another drill took it for a left-over just now."""
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._parent))
        try:
            lock = os.open(folder / MARKER, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                self._lock, self.folder, lock = lock, folder, -1
        finally:
            if lock >= 0:
                os.close(lock)


def sweep(parent: Path) -> None:
    """Remove what killed drills of this user left in a folder."""
    for entry in sorted(parent.glob(f"{PREFIX}*")):
        try:
            status = entry.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                _sweep(entry)
        except OSError as error:  # another drill is quicker, or it is nobody's business of ours
            _log.info("%s: left alone: %s", entry, error)


def _sweep(folder: Path) -> None:
    try:
        lock = os.open(folder / MARKER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        folder.rmdir()  # killed between two steps; whoever is there yet makes another
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        problem = _remove(folder.parent, folder.name)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
    if problem:
        _log.warning("%s: of a drill that was killed; it could not be removed: %s", folder, problem)
    else:
        _log.warning("%s: removed, a drill that was killed had left it", folder)


def _remove(parent: Path, name: str) -> str:
    """Remove a directory and all below it, but nothing that is mounted there.

    The file that is locked goes last: while anything is left, it shows whose it is.

    Returns:
        Why not all of it could be removed, or "".
    """
    tally = Tally()
    selection = Selection(RestoreOptions())
    scope = selection.scope(b"/", selected=True)
    if scope is None:
        return ""
    purge = Purge(selection, tally, dry_run=False)
    folder = parent / name
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        for each in names_in(descriptor):
            if each != os.fsencode(MARKER):
                purge.remove(descriptor, each, Place(None, b"/"), scope)
    finally:
        os.close(descriptor)
    problems = tally.result().errors
    if problems:
        return f"{problems[0].path}: {problems[0].message}"
    (folder / MARKER).unlink(missing_ok=True)
    folder.rmdir()
    return ""
