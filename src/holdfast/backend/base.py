"""What holdfast asks of a storage: seven verbs, seven errors, and nothing else.

Objects are named by ``/``-separated ASCII names such as ``data/3f/3f9a…-1b2c3d4e``, whose exact
shape `holdfast.backend.names` checks: a name that does not fit is refused by every verb with a
plain `BackendError`. Objects are written whole and never changed.

The errors are `ObjectNotFound`, `ObjectExists`, `ObjectTruncated`, `ObjectUnreadable`,
`AccessDenied`, `StorageFull` and `StorageUnavailable`; anything else that goes wrong is a plain
`BackendError`. A put whose answer was lost, so that nobody knows whether it was done, is a
`StorageUnavailable`; after any other error nobody relies on it. Every backend, and every decorator
around one, must pass `holdfast.testing.conformance`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from holdfast.errors import ObjectTruncated

if TYPE_CHECKING:
    from collections.abc import Iterator

Buffer: TypeAlias = bytes | bytearray | memoryview


class ObjectInfo(NamedTuple):
    """One line of a listing.

    Attributes:
        name: full name of the object.
        size: bytes.
    """

    name: str
    size: int


class Capabilities(NamedTuple):
    """What a storage can do beyond the minimum.

    Attributes:
        put_if_absent: of several concurrent creators of one name exactly one succeeds; None as
            long as that has not shown, see `Probing`.
        local: objects are files on this machine, so a listing or a small read costs microseconds.
    """

    put_if_absent: bool | None
    local: bool


class Leftover(NamedTuple):
    """Something that a writer was killed over, or is still working on.

    Attributes:
        name: where it is; no name of an object.
        size: bytes.
        modified_ns: when it was last written, by the storage's clock, nanoseconds since the epoch.
    """

    name: str
    size: int
    modified_ns: int


@runtime_checkable
class Sweepable(Protocol):
    """What a storage can do beside the verbs if killed writers may leave something in it."""

    def leftovers(self) -> Iterator[Leftover]:
        """What lies there that is no object and that no listing shows, in any order."""

    def sweep(self, before_ns: int) -> int:
        """Delete leftovers that were last written before that moment; returns how many.

        A writer whose leftover is swept while it works fails, and nothing is lost.
        """


@runtime_checkable
class Direct(Protocol):
    """What a storage can do beside the verbs if it can read into memory that is there already."""

    def get_into(self, name: str, offset: int, out: memoryview) -> None:
        """Fill `out` with the bytes of an object from `offset`; errors as of `Backend.get`."""


@runtime_checkable
class Probing(Protocol):
    """What a storage can do beside the verbs if only trying shows whether it can put if absent."""

    def put_probing(self, name: str, data: Buffer) -> None:
        """As `Backend.put`, of a name that nobody else gives; then `capabilities` are known."""


class Backend(Protocol):
    """A storage that holds whole objects by name. Safe to use from several threads."""

    @property
    def location(self) -> str:
        """The place in the user's own words, without secrets, for messages."""

    def put(self, name: str, data: Buffer) -> None:
        """Store an object; when this returns it is durable, complete, and seen by every reader.

        An object of that name is replaced as a whole; no reader ever sees part of one.
        """

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """Store an object, as `put` does, unless the name is taken.

        Raises:
            ObjectExists: the name is taken; the object there is untouched.
        """

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read a whole object, or exactly `length` bytes of it from `offset`.

        Raises:
            ObjectNotFound: no such object.
            ObjectTruncated: the object ends before `offset + length`.
            ObjectUnreadable: it is there, but the storage fails to read just this one.
        """

    def stat(self, name: str) -> int:
        """The size of an object in bytes.

        Raises:
            ObjectNotFound: no such object.
        """

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose name begins with `prefix`, a folder ending in ``/``; in any order.

        A folder that does not exist is an empty listing; one that cannot be read is an error,
        raised at the latest when the iterator gets there. ``""`` is the folder of everything.
        Names that others left in the storage are listed as they are, whatever their shape.
        """

    def delete(self, name: str) -> None:
        """Remove an object.

        Raises:
            ObjectNotFound: no such object. A storage that would have to be asked for that, as S3
                has, may say nothing.
        """

    def capabilities(self) -> Capabilities:
        """What this storage can do."""

    def close(self) -> None:
        """Let go of connections, after the last operation; calling it again is harmless."""


def get_into(backend: Backend, name: str, offset: int, out: memoryview) -> None:
    """Fill `out` with the bytes of an object from `offset`; errors as of `Backend.get`."""
    if isinstance(backend, Direct):
        backend.get_into(name, offset, out)
    else:
        data = backend.get(name, offset, len(out))
        if len(data) != len(out):
            raise ObjectTruncated(name, f"gave {len(data)} bytes instead of {len(out)}")
        out[:] = data


def leftovers(backend: Backend) -> Iterator[Leftover]:
    """See `Sweepable.leftovers`; none in a storage in which writers cannot leave anything."""
    return backend.leftovers() if isinstance(backend, Sweepable) else iter(())


def sweep(backend: Backend, before_ns: int) -> int:
    """See `Sweepable.sweep`; nothing in a storage in which writers cannot leave anything."""
    return backend.sweep(before_ns) if isinstance(backend, Sweepable) else 0


def put_probing(backend: Backend, name: str, data: Buffer) -> None:
    """As `Backend.put`, of a name that nobody else gives; `capabilities` are known afterwards."""
    if isinstance(backend, Probing):
        backend.put_probing(name, data)
    else:
        backend.put(name, data)
