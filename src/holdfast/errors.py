"""Every error that holdfast raises on purpose, in one tree.

::

    HoldfastError
     ├── UsageError               an argument or option makes no sense
     ├── SourceError              nothing could be backed up: no source exists, the command failed
     ├── OutOfResources           this process may open no more files, or there is no memory left
     ├── SnapshotNotFound         no snapshot matches
     ├── AmbiguousSnapshot        an id prefix matches several
     ├── PathNotFound             the snapshot has no such path
     ├── RestoreIncomplete        of `Repository.restored`, where it is defined: it has the result
     ├── RepositoryError          the repository as a whole
     │    ├── RepositoryNotFound      nothing there
     │    ├── RepositoryExists        `init` where a repository is already
     │    ├── UnsupportedRepository   a newer format, an unknown feature, another program's
     │    ├── WrongPassword           no key slot opens
     │    ├── DamagedRepository       an object is missing, damaged or forged; `.object` names it
     │    ├── CopyIncomplete          of `Repository.copy`, where it is defined: it has the result
     │    └── SessionLost             this writer was declared dead; its backup must be run again
     └── BackendError             the storage failed; `.object` names what it was about
          ├── ObjectNotFound
          ├── ObjectExists
          ├── ObjectTruncated         shorter than what was asked for
          ├── ObjectUnreadable        there, but the storage cannot read this one
          ├── AccessDenied            no permission, or read-only
          ├── StorageFull             no space, or over quota
          └── StorageUnavailable      no answer, or too busy; it was tried again for a while

A source file that cannot be read is not an error of this tree: it is data in the result
(`BackupResult.errors`), so that one bad file never ends a backup and a failing repository is
never mistaken for one. Nor is a shortage of this process (`OutOfResources`): whatever else would
be left out because of it could not be known.
"""

from __future__ import annotations


class HoldfastError(Exception):
    """The root: catch this to catch everything that holdfast raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:  # type: ignore[explicit-override]  # nothing is imported here
        # Errors come back from other processes, where they cannot be made from their message.
        return _revived, (type(self), self.args), self.__dict__


class UsageError(HoldfastError):
    """An argument or option makes no sense; nothing was done."""


class SourceError(HoldfastError):
    """Nothing could be backed up, so no snapshot was made."""


class OutOfResources(HoldfastError):
    """This process may open no more files, or the system has no memory left.

    That says nothing of the file that was to be read, so it is no item in a result: what was to be
    made would miss files that are all right.
    """


class SnapshotNotFound(HoldfastError):
    """No snapshot matches what was asked for."""


class AmbiguousSnapshot(HoldfastError):
    """An id prefix matches more than one snapshot."""


class PathNotFound(HoldfastError):
    """The snapshot has no such path."""


class RepositoryError(HoldfastError):
    """Something is wrong with the repository itself."""


class RepositoryNotFound(RepositoryError):
    """There is no repository at that location."""


class RepositoryExists(RepositoryError):
    """There is a repository at that location already."""


class UnsupportedRepository(RepositoryError):
    """A newer format, a feature this version does not know, or another program's repository."""


class WrongPassword(RepositoryError):
    """No key slot of the repository opens with this password."""


class DamagedRepository(RepositoryError):
    """An object of the repository is missing, damaged or forged.

    Attributes:
        object: name of the object inside the repository, such as ``index/3f…``.
        problem: what is wrong with it, in a few words.
    """

    def __init__(self, object: str, problem: str, advice: str = "") -> None:  # noqa: A002 - the field's word
        advice = advice or "run `holdfast validate --read-data` to see which files it hurts"
        super().__init__(f"{object}: {problem}; {advice}")
        self.object = object
        self.problem = problem


class SessionLost(RepositoryError):
    """Another client declared this writer dead, so its work must not become a snapshot."""


class BackendError(HoldfastError):
    """The storage failed.

    Attributes:
        object: name of the object it was about ("" when it was about none).
    """

    def __init__(self, object: str, problem: str) -> None:  # noqa: A002 - the field's word
        super().__init__(f"{object}: {problem}" if object else problem)
        self.object = object
        self.problem = problem


class ObjectNotFound(BackendError):
    """The storage has no object of that name."""


class ObjectExists(BackendError):
    """An object of that name is there already."""


class ObjectTruncated(BackendError):
    """An object ends before the range that was asked for."""


class ObjectUnreadable(BackendError):
    """An object is there, but the storage fails to read just this one, as a bad disk does."""


class AccessDenied(BackendError):
    """The storage refuses: no permission, or read-only."""


class StorageFull(BackendError):
    """The storage has no room left, or a quota is reached."""


class StorageUnavailable(BackendError):
    """The storage does not answer, or says that it is too busy; the same may work later.

    Attributes:
        retry_after: seconds that the storage asks to wait; None when it asks nothing.
    """

    def __init__(self, object: str, problem: str, retry_after: float | None = None) -> None:  # noqa: A002 - the field's word
        super().__init__(object, problem)
        self.retry_after = retry_after


def _revived(kind: type[HoldfastError], args: tuple[object, ...]) -> HoldfastError:
    return kind.__new__(kind, *args)
