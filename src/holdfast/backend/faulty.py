"""A decorator that fails on purpose, to prove what the layers above do then.

The plan decides by the call's number, verb or name, so "for every n, fail operation n" is one
loop (the method of SQLite's I/O error tests, https://sqlite.org/testing.html)::

    counted = Faulty(MemoryBackend(), NoFault())
    work(counted)
    for n in range(1, len(counted.calls) + 1):
        work(Faulty(MemoryBackend(), Fail(nth(n), StorageFull)))  # must raise StorageFull
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from holdfast.backend.base import put_probing
from holdfast.errors import BackendError

if TYPE_CHECKING:
    from holdfast.backend.base import Backend, Buffer, Capabilities, ObjectInfo


class Call(NamedTuple):
    """One operation on a storage.

    Attributes:
        number: 1 for the first operation of the `Faulty`.
        verb: ``put``, ``put_if_absent``, ``get``, ``stat``, ``list`` or ``delete``.
        name: the object, or the prefix of a listing.
    """

    number: int
    verb: str
    name: str


Condition: TypeAlias = Callable[[Call], bool]
"""Says which calls a plan is about."""


def nth(number: int) -> Condition:
    """Exactly the call of that number."""
    return lambda call: call.number == number


def since(number: int) -> Condition:
    """The call of that number and all later ones."""
    return lambda call: call.number >= number


class Plan(Protocol):
    """What happens around every call."""

    def before(self, call: Call, data: Buffer) -> Buffer:
        """Runs before a call: may raise; returns what is to be stored instead of `data`.

        `data` is empty unless the call is a put.
        """

    def after(self, call: Call, data: bytes) -> bytes:
        """Runs after a call that worked: may raise; returns what is handed out for `data`.

        `data` is empty unless the call is a get.
        """


class NoFault:
    """Nothing happens: for counting calls."""

    def before(self, call: Call, data: Buffer) -> Buffer:  # noqa: ARG002 - the protocol's signature
        """See `Plan.before`."""
        return data

    def after(self, call: Call, data: bytes) -> bytes:  # noqa: ARG002 - the protocol's signature
        """See `Plan.after`."""
        return data


class Fail:
    """Raises an error at some calls."""

    def __init__(
        self,
        when: Condition,
        error: Callable[[str, str], BaseException] = BackendError,
        *,
        done: bool = False,
    ) -> None:
        """Plan the failure.

        Args:
            when: the calls that fail.
            error: makes the error from the object's name and a problem: a class of
                `BackendError`, or a function that returns, say, a KeyboardInterrupt.
            done: fail after the work is done, as when only the answer is lost.
        """
        self._when = when
        self._error = error
        self._done = done

    def before(self, call: Call, data: Buffer) -> Buffer:
        """See `Plan.before`."""
        if not self._done and self._when(call):
            raise self._error(call.name, f"planned failure of call {call.number}, not done")
        return data

    def after(self, call: Call, data: bytes) -> bytes:
        """See `Plan.after`."""
        if self._done and self._when(call):
            raise self._error(call.name, f"planned failure of call {call.number}, but done")
        return data


class Damage:
    """Silently changes what some calls store (puts) or hand out (gets)."""

    def __init__(self, when: Condition, how: Callable[[bytes], bytes]) -> None:
        self._when = when
        self._how = how

    def before(self, call: Call, data: Buffer) -> Buffer:
        """See `Plan.before`."""
        return self._how(bytes(data)) if data and self._when(call) else data

    def after(self, call: Call, data: bytes) -> bytes:
        """See `Plan.after`."""
        return self._how(data) if data and self._when(call) else data


def flipped(data: bytes) -> bytes:
    """The data with one bit of its middle byte flipped."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def halved(data: bytes) -> bytes:
    """The first half of the data: a short read, or a write torn off."""
    return data[: len(data) // 2]


class Faulty:
    """A storage that does what a plan says.

    Attributes:
        calls: every operation so far, in order, the failed ones too.
    """

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self.calls: list[Call] = []
        self._backend = backend
        self._plan = plan
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._backend.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        call = self._call("put", name)
        self._backend.put(name, self._plan.before(call, data))
        self._plan.after(call, b"")

    def put_probing(self, name: str, data: Buffer) -> None:
        """See `Probing.put_probing`; a put."""
        call = self._call("put", name)
        put_probing(self._backend, name, self._plan.before(call, data))
        self._plan.after(call, b"")

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`."""
        call = self._call("put_if_absent", name)
        self._backend.put_if_absent(name, self._plan.before(call, data))
        self._plan.after(call, b"")

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        call = self._call("get", name)
        self._plan.before(call, b"")
        return self._plan.after(call, self._backend.get(name, offset, length))

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        call = self._call("stat", name)
        self._plan.before(call, b"")
        size = self._backend.stat(name)
        self._plan.after(call, b"")
        return size

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`; a failure planned for afterwards comes after the last name."""
        call = self._call("list", prefix)
        self._plan.before(call, b"")
        return self._listing(call)

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        call = self._call("delete", name)
        self._plan.before(call, b"")
        self._backend.delete(name)
        self._plan.after(call, b"")

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return self._backend.capabilities()

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()

    def _call(self, verb: str, name: str) -> Call:
        with self._lock:
            call = Call(len(self.calls) + 1, verb, name)
            self.calls.append(call)
        return call

    def _listing(self, call: Call) -> Iterator[ObjectInfo]:
        yield from self._backend.list(call.name)
        self._plan.after(call, b"")
