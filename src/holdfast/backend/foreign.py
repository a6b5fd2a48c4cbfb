"""A store as what is backed up, or restored to: objects of any name and size, in folders.

Nothing here is a repository's. So that nobody can take the failure of one for that of the other,
even where both are in one bucket, everything here fails with a `RemoteFailure`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from holdfast.backend.retry import Attempts
from holdfast.errors import (
    BackendError,
    ObjectNotFound,
    ObjectUnreadable,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from holdfast.backend.access import Address
    from holdfast.clock import Clock

_Found = TypeVar("_Found")

_OF_ONE: Final = (ObjectNotFound, ObjectUnreadable)

UNSIZED: Final = "object of unknown size"
"""The kind of an object of which the store does not say how many bytes it has."""


class Listed(NamedTuple):
    """What a listing says of an object or a folder.

    Attributes:
        path: in the words of the driver, such as ``bucket/folder/name``.
        kind: ``file``, ``directory``, `UNSIZED` or what else the store calls it.
        size: bytes.
        mtime: when it was last written, nanoseconds since the epoch; None when nothing says so.
        tag: what the store tells versions of the object apart by; "" when there is no such thing.
    """

    path: str
    kind: str
    size: int
    mtime: int | None
    tag: str


class Changed(Exception):  # noqa: N818 - no error of the store
    """An object is not the one that was asked for any more, or ends before its part begins."""


class Upload(Protocol):
    """An object that is being written, piece by piece; nothing of it is there before its end.

    Attributes:
        piece: bytes of each piece but the last.
        is_repeatable: what failed may be done once more; otherwise all is to begin anew.
    """

    piece: int
    is_repeatable: bool

    def send(self, piece: bytes) -> None:
        """The next piece."""

    def finish(self) -> None:
        """Make it the object of its name."""

    def abandon(self) -> None:
        """Leave nothing of it."""


class Store(Protocol):
    """What a driver does for a folder that others filled; its errors are those of its library.

    Attributes:
        location: in the user's words, without secrets.
        root: path of the folder.
        is_flat: it is `Paged`, which takes fewer requests than `folder`.
        is_exact: `read` gives bytes of the version that was asked for, or raises `Changed`.
    """

    location: str
    root: str

    @property
    def is_flat(self) -> bool:
        """See the class."""

    @property
    def is_exact(self) -> bool:
        """See the class."""

    def close(self) -> None:
        """Let go of connections."""

    def explain(self, verb: str, path: str, error: Exception) -> BackendError | None:
        """What an error means; None if nothing was wrong in the store."""

    def folder(self, path: str) -> list[Listed]:
        """See `RemoteObjects.folder`."""

    def status(self, path: str) -> Listed | None:
        """See `RemoteObjects.status`."""

    def probe(self) -> None:
        """Raise if the store as a whole fails, or has nothing at the root."""

    def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:
        """Bytes of an object from the first to before the second number, or fewer.

        Raises:
            Changed: its tag is not this one; "" stands for any.
        """

    def upload(self, path: str, size: int) -> Upload:
        """Begin to write an object of so many bytes, over the one that is there."""


@runtime_checkable
class Paged(Protocol):
    """What a `Store` can do beside that if it lists all objects below a folder, in order."""

    def page(self, after: str) -> tuple[list[Listed], str]:
        """See `RemoteObjects.page`."""


class RemoteFailure(Exception):  # noqa: N818 - data for a report, or the cause of an error
    """A store that is a source or a target fails.

    Attributes:
        error: how.
    """

    def __init__(self, error: BackendError) -> None:
        super().__init__(error.problem)
        self.error = error

    @property
    def is_absence(self) -> bool:
        """There is no such object."""
        return isinstance(self.error, ObjectNotFound)

    @property
    def is_of_one(self) -> bool:
        """It is about one object and says nothing of others."""
        return isinstance(self.error, _OF_ONE)

    @property
    def is_of_all(self) -> bool:
        """The store does not answer any more."""
        return isinstance(self.error, StorageUnavailable)


class _Theirs(Exception):  # noqa: N818 - carries an error past handlers of others
    """What gave the content of an object has failed."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _given(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces; when they fail, that is not taken for a failure of the store."""
    each = iter(pieces)
    while True:
        try:
            piece = next(each, None)
        except Exception as error:
            raise _Theirs(error) from error
        if piece is None:
            return
        yield piece


def _once(work: Callable[[], None]) -> None:
    work()


class RemoteObjects:
    """A folder of a store, and all that is in it. Safe to use from several threads.

    What fails because the store is busy or out of reach is tried again for a while.

    Attributes:
        location: in the user's words, without secrets.
        root: path of the folder, without slashes around it.
        is_flat: `page` can be used, which takes fewer requests than `folder`.
        is_exact: `read` gives bytes of the version that was asked for.
        address: what another process needs to open it; None if that cannot be.
    """

    def __init__(self, store: Store, clock: Clock, address: Address | None = None) -> None:
        self._store = store
        self.address = address
        self._attempts = Attempts(clock)
        self.location = store.location
        self._top = store.root.rstrip("/")
        self.root = store.root.strip("/")
        self.is_flat = store.is_flat
        self.is_exact = store.is_exact

    def stop(self) -> None:
        """Have nothing tried again any more: what is under way is of no use."""
        self._attempts.stopped.set()

    def close(self) -> None:
        """Let go of connections."""
        self._store.close()

    def path(self, inner: str) -> str:
        """The path of something in the folder; of itself for ""."""
        return f"{self._top}/{inner}" if inner else self._top

    def inner(self, path: str) -> str | None:
        """What `path` makes a path of; None when that is not in the folder."""
        found = path.removeprefix("/" * (not self._top.startswith("/")))
        return found[len(self._top) + 1 :] if found.startswith(f"{self._top}/") else None

    def page(self, after: str) -> tuple[list[Listed], str]:
        """Some of all objects here and below, in order of the bytes of their names.

        Args:
            after: where the page before ended, as it said; "" for the first.

        Returns:
            The objects, and where the page ends; "" for the last.

        Raises:
            RemoteFailure: the store fails.
            TypeError: it is not `is_flat`.
        """
        store = self._store
        if not isinstance(store, Paged):
            raise TypeError(f"{self.location} is not listed in pages")
        return self._do("list", "", lambda: store.page(after))

    def folder(self, path: str) -> list[Listed]:
        """What is right in a folder, in any order; of a file nothing, or itself.

        Raises:
            RemoteFailure: it cannot be listed; there is no such folder (`is_absence`), where a
                store has folders without objects.
        """
        return self._do("list", path, lambda: self._store.folder(path))

    def status(self, path: str) -> Listed | None:
        """What there is of that name; None for nothing, and for a bucket as a whole.

        Raises:
            RemoteFailure: the store fails.
        """
        if self.is_flat and "/" not in path:
            return None  # requests about an object without a name mean something else
        return self._do("stat", path, lambda: self._store.status(path))

    def probe(self) -> None:
        """Find out if the store as a whole works.

        Raises:
            RemoteFailure: it does not; or there is no such folder (`is_absence`), where a store
                has folders without objects.
        """
        self._do("list", "", self._store.probe)

    def read(self, listed: Listed, start: int, end: int) -> bytes:
        """Bytes of an object, of the version that was listed if the store can tell.

        Raises:
            Changed: it is another one now, or shorter.
            RemoteFailure: it cannot be read, or is not there.
        """
        part = (start, end)
        data = self._do("get", listed.path, lambda: self._store.read(listed.path, part, listed.tag))
        if len(data) != end - start:
            raise Changed(listed.path)
        return data

    def read_any(self, path: str, start: int, end: int) -> bytes:
        """Bytes of an object as it is, or fewer if it ends before.

        Raises:
            RemoteFailure: it cannot be read, or is not there.
        """
        try:
            return self._do("get", path, lambda: self._store.read(path, (start, end), ""))
        except Changed:
            return b""  # it ends before the part begins

    def write(self, path: str, size: int, pieces: Callable[[int], Iterable[bytes]]) -> None:
        """Store an object over whatever is there; until its end there is nothing to be seen of it.

        Args:
            path: of the object.
            size: its bytes.
            pieces: gives them, in pieces of as many bytes as it is called with; what it raises
                ends the work.

        Raises:
            RemoteFailure: the store fails, or refuses.
        """
        try:
            self._attempts.run(lambda: self._write(path, size, pieces))
        except _Theirs as error:
            raise error.error from None
        except BackendError as error:
            raise RemoteFailure(error) from None

    def _write(self, path: str, size: int, pieces: Callable[[int], Iterable[bytes]]) -> None:
        upload = self._try("put", path, lambda: self._store.upload(path, size))
        attempt = self._attempts.run if upload.is_repeatable else _once
        try:
            for piece in _given(pieces(upload.piece)):
                attempt(partial(self._try, "put", path, partial(upload.send, piece)))
            attempt(lambda: self._try("put", path, upload.finish))
        except BaseException:
            with suppress(BackendError):  # what is left is no object; the first failure is told
                self._try("delete", path, upload.abandon)
            raise

    def _do(self, verb: str, path: str, work: Callable[[], _Found]) -> _Found:
        try:
            return self._attempts.run(lambda: self._try(verb, path, work))
        except BackendError as error:
            raise RemoteFailure(error) from None

    def _try(self, verb: str, path: str, work: Callable[[], _Found]) -> _Found:
        try:
            return work()
        except Changed:
            raise
        except Exception as error:
            # Without the cause: its text may hold what a driver was given as a secret.
            problem = self._store.explain(verb, path, error)
            if problem is None:
                raise
            raise problem from None
