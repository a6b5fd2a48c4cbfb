"""What every backend must do, as tests that its author runs.

With pytest, subclass the suite and give it a fixture ``backend``, a fresh and empty storage::

    class TestMyBackend(BackendConformance):
        @pytest.fixture
        def backend(self) -> Iterator[Backend]:
            backend = MyBackend(...)
            yield backend
            backend.close()

Nothing here imports pytest: any other runner can call the methods, each with a fresh backend.
A promise that is not kept is an AssertionError.
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from holdfast.backend import get_into, put_probing
from holdfast.errors import BackendError, ObjectExists, ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.backend import Backend, Buffer

_MIB = 1 << 20
_LARGE = 20 * _MIB
_THREADS = 8

_BAD_NAMES = (
    "",
    "/",
    "/absolute",
    ".",
    "..",
    "../escape",
    "data/../../escape",
    "data//x",
    "data/",
    "data/.hidden",
    "data/.tmp-x",
    "data\\x",
    "data/x\n",
    "data/x\0",
    "data/x y",
    "data/é",
    "~",
    "C:x",
)


class BackendConformance:
    """Every promise of `Backend` that can be seen from outside; each test gets an empty storage."""

    def test_an_object_comes_back_as_it_was_put(self, backend: Backend) -> None:
        """Whatever kind of buffer it was put from."""
        data = _content("any", 1000)
        buffers: list[Buffer] = [data, bytearray(data), memoryview(b"-" + data + b"-")[1:-1]]
        for number, buffer in enumerate(buffers):
            name = f"data/3f/{number}"
            backend.put(name, buffer)
            _equal(backend.get(name), data, name)
            _equal(backend.stat(name), len(data), name)

    def test_a_get_gives_bytes(self, backend: Backend) -> None:
        """Not a view, whose memory might change."""
        backend.put("a", bytearray(b"abc"))
        for data in (backend.get("a"), backend.get("a", 1, 1)):
            _check(type(data) is bytes, f"get returned {type(data).__name__}")

    def test_what_is_put_is_copied(self, backend: Backend) -> None:
        """The caller re-uses its buffer."""
        for name, put in _puts(backend).items():
            buffer = bytearray(b"first")
            put(name, buffer)
            buffer[:] = b"other"
            _equal(backend.get(name), b"first", name)

    def test_an_empty_object(self, backend: Backend) -> None:
        """Is an object like any other."""
        for name, put in _puts(backend).items():
            put(f"data/{name}", b"")
            _equal(backend.get(f"data/{name}"), b"", name)
            _equal(backend.get(f"data/{name}", 0, 0), b"", name)
            _equal(backend.stat(f"data/{name}"), 0, name)
            _equal(_listed(backend, "data/")[f"data/{name}"], 0, name)

    def test_a_large_object(self, backend: Backend) -> None:
        """20 MiB, whole and in part."""
        data = _content("large", _LARGE)
        backend.put("data/large", data)
        _equal(backend.stat("data/large"), _LARGE, "data/large")
        _check(backend.get("data/large") == data, "a large object came back changed")
        middle = backend.get("data/large", _LARGE // 2 - 1, _MIB + 2)
        _check(middle == data[_LARGE // 2 - 1 :][: _MIB + 2], "part of it came back changed")

    def test_ranges(self, backend: Backend) -> None:
        """Every range inside the object is read exactly."""
        data = bytes(range(10))
        backend.put("a", data)
        for offset in range(len(data) + 1):
            _equal(backend.get("a", offset), data[offset:], f"get(a, {offset})")
            for length in range(len(data) - offset + 1):
                expected = data[offset : offset + length]
                _equal(backend.get("a", offset, length), expected, f"get(a, {offset}, {length})")

    def test_reading_into_memory(self, backend: Backend) -> None:
        """Fills exactly what it is given, or fails as `get` does."""
        data = bytes(range(10))
        backend.put("a", data)
        for offset in range(len(data) + 1):
            for length in range(len(data) - offset + 1):
                memory = bytearray(b"x" * (length + 2))
                get_into(backend, "a", offset, memoryview(memory)[1:-1])
                expected = b"x" + data[offset : offset + length] + b"x"
                _equal(bytes(memory), expected, f"get_into(a, {offset}, {length} bytes)")
        out = memoryview(bytearray(4))
        for offset in (7, 10, 11, -1):
            error = _raises(BackendError, lambda: get_into(backend, "a", offset, out))  # noqa: B023 - called at once
            _check(not isinstance(error, ObjectNotFound), "the object is there, only too short")
        _names(_raises(ObjectNotFound, lambda: get_into(backend, "b", 0, out)), "b")
        _raises(BackendError, lambda: get_into(backend, "../a", 0, out))

    def test_a_range_beyond_the_end_is_an_error(self, backend: Backend) -> None:
        """Fewer bytes than asked for are never returned, and nothing huge is allocated."""
        backend.put("a", bytes(10))
        for offset, length in ((0, 11), (9, 2), (10, 1), (11, 0), (11, None), (1, 1 << 60)):
            error = _raises(BackendError, lambda: backend.get("a", offset, length))  # noqa: B023 - called at once
            _equal(error.object, "a", "the error's object")
            _check(not isinstance(error, ObjectNotFound), "the object is there, only too short")

    def test_a_negative_range_is_an_error(self, backend: Backend) -> None:
        """It comes from a damaged index, never from the end of the object."""
        backend.put("a", bytes(10))
        for offset, length in ((-1, 1), (-1, None), (5, -1), (5, -5)):
            _raises(BackendError, lambda: backend.get("a", offset, length))  # noqa: B023 - called at once

    def test_overwriting(self, backend: Backend) -> None:
        """Replaces an object as a whole, by a longer or shorter one."""
        for data in (b"first", b"the second, longer", b"3", b""):
            backend.put("data/a", data)
            _equal(backend.get("data/a"), data, "data/a")
            _equal(_listed(backend, "data/"), {"data/a": len(data)}, "the listing")

    def test_a_reader_never_sees_part_of_an_object(self, backend: Backend) -> None:
        """While it is replaced again and again."""
        versions = [bytes([number]) * (_MIB // 2 + number) for number in range(2)]
        backend.put("a", versions[0])
        stop = threading.Event()

        def read() -> bool:
            while not stop.is_set():
                if backend.get("a") not in versions:
                    return False
            return True

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for number in range(50):
                    backend.put("a", versions[number % 2])
            finally:
                stop.set()
        _check(all(reader.result() for reader in readers), "a reader saw part of an object")

    def test_put_if_absent_takes_a_free_name_only(self, backend: Backend) -> None:
        """And leaves the object that has it alone; a deleted name is free again."""
        if not _is_exclusive(backend):
            return
        backend.put_if_absent("data/a", b"first")
        _equal(backend.get("data/a"), b"first", "data/a")
        error = _raises(ObjectExists, lambda: backend.put_if_absent("data/a", b"second"))
        _names(error, "data/a")
        _equal(backend.get("data/a"), b"first", "data/a")
        backend.put("data/b", b"put")
        _raises(ObjectExists, lambda: backend.put_if_absent("data/b", b"put"))
        _equal(_listed(backend, ""), {"data/a": 5, "data/b": 3}, "the listing")
        backend.delete("data/a")
        backend.put_if_absent("data/a", b"third")
        _equal(backend.get("data/a"), b"third", "data/a")

    def test_one_of_many_creators_wins(self, backend: Backend) -> None:
        """Exactly one, and the object is that one's, complete as soon as it is seen."""
        if not _is_exclusive(backend):
            return
        for turn in range(20):
            name = f"race/{turn}"
            barrier = threading.Barrier(_THREADS)

            def create(number: int, name: str = name, start: threading.Barrier = barrier) -> bool:
                start.wait()
                try:
                    backend.put_if_absent(name, bytes([number]) * 10_000)
                except ObjectExists:
                    _equal(len(backend.get(name)), 10_000, "the winner's object, read by a loser")
                    return False
                return True

            with ThreadPoolExecutor(_THREADS) as pool:
                won = list(pool.map(create, range(_THREADS)))
            _equal(won.count(True), 1, f"creators that succeeded in turn {turn}")
            _equal(backend.get(name), bytes([won.index(True)]) * 10_000, name)

    def test_many_writers_at_once(self, backend: Backend) -> None:
        """All objects are there, in folders that several writers make at the same time."""
        names = [f"data/{number % 4:02x}/{number}" for number in range(100)]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(lambda name: backend.put(name, name.encode()), names))
            read = list(pool.map(backend.get, names))
        _equal(read, [name.encode() for name in names], "what many writers put")
        _equal(set(_listed(backend, "data/")), set(names), "the listing")

    def test_what_is_put_is_listed_at_once(self, backend: Backend) -> None:
        """With its size, and what is deleted is not."""
        expected: dict[str, int] = {}
        for number in range(20):
            name = f"index/{number}"
            backend.put(name, bytes(number))
            expected[name] = number
            _equal(_listed(backend, "index/"), expected, "the listing")
        for name in list(expected):
            backend.delete(name)
            del expected[name]
            _equal(_listed(backend, "index/"), expected, "the listing")

    def test_a_listing_is_of_one_folder_and_all_below(self, backend: Backend) -> None:
        """Not of its namesakes; the empty prefix is everything."""
        names = ["config/0", "data/00/a", "data/00/b/c/d/e/f", "data/3f/a", "data-2/x", "database"]
        for name in names:
            backend.put(name, name.encode())
        for prefix in ("", "data/", "data/00/", "data/00/b/c/", "data-2/", "config/"):
            expected = {name: len(name) for name in names if name.startswith(prefix)}
            _equal(_listed(backend, prefix), expected, f"list({prefix!r})")

    def test_a_missing_folder_is_empty(self, backend: Backend) -> None:
        """Before anything was put, and afterwards."""
        _equal(_listed(backend, ""), {}, "an empty storage")
        _equal(_listed(backend, "data/"), {}, "data/")
        backend.put("data/00/a", b"")
        for prefix in ("index/", "data/01/", "data/00/a/", "dat/"):
            _equal(_listed(backend, prefix), {}, prefix)

    def test_a_listing_of_many(self, backend: Backend) -> None:
        """More than the thousand names that object stores give at a time."""
        names = {f"many/{number:04}" for number in range(1100)}
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(lambda name: backend.put(name, b"x"), names))
        _equal(set(_listed(backend, "many/")), names, "the listing")

    def test_a_listing_that_is_not_read_to_its_end(self, backend: Backend) -> None:
        """Does no harm, and neither do changes during one."""
        names = {f"data/{number:02x}/x" for number in range(20)}
        for name in names:
            backend.put(name, b"x")
        _check(next(backend.list("data/")).name in names, "the first name of a listing")
        for info in backend.list("data/"):
            backend.delete(info.name)
        _equal(_listed(backend, "data/"), {}, "the listing, after each object was deleted")

    def test_a_listing_beside_writers(self, backend: Backend) -> None:
        """Objects come and go meanwhile; those that stay are always listed."""
        backend.put("data/00/stays", b"x")
        stop = threading.Event()

        def write(number: int) -> None:
            while not stop.is_set():
                for name in [f"data/{index:02x}/{number}" for index in range(20)]:
                    backend.put(name, b"x")
                    backend.delete(name)

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write, number) for number in range(2)]
            try:
                for _ in range(100):
                    _equal(_listed(backend, "data/").get("data/00/stays"), 1, "the listing")
            finally:
                stop.set()
        for writer in writers:
            writer.result()
        _equal(_listed(backend, ""), {"data/00/stays": 1}, "the listing afterwards")

    def test_deleting(self, backend: Backend) -> None:
        """Removes one object, and nothing beside it."""
        for name in ("data/a", "data/ab", "data/b"):
            backend.put(name, b"x")
        backend.delete("data/a")
        _names(_raises(ObjectNotFound, lambda: backend.get("data/a")), "data/a")
        _equal(_listed(backend, "data/"), {"data/ab": 1, "data/b": 1}, "the listing")
        backend.put("data/a", b"again")
        _equal(backend.get("data/a"), b"again", "data/a")

    def test_a_missing_object_is_named(self, backend: Backend) -> None:
        """By each verb that wants one; a folder is not an object."""
        backend.put("data/00/there", b"x")
        for name in ("data/00/missing", "data/01/missing", "none/missing", "data/00", "data"):
            verbs: list[Callable[[str], object]] = [
                backend.get,
                backend.stat,
                lambda name: backend.get(name, 0, 1),
            ]
            for verb in verbs:
                _names(_raises(ObjectNotFound, lambda: verb(name)), name)  # noqa: B023 - called at once
            try:
                backend.delete(name)
            except ObjectNotFound as error:
                _names(error, name)
        _equal(backend.get("data/00/there"), b"x", "data/00/there")

    def test_long_names(self, backend: Backend) -> None:
        """Components of 200 characters, and every character that a name may have."""
        expected: dict[str, int] = {}
        for suffix, put in _puts(backend).items():
            for stem in ("data/" + "x" * 180, "y" * 200 + "/" + "z" * 180, "A-Z/a_z/0.9-1b2c..d"):
                name = f"{stem}-{suffix}".ljust(200, "_")
                put(name, name.encode())
                _equal(backend.get(name), name.encode(), name)
                _equal(backend.stat(name), len(name), name)
                expected[name] = len(name)
        _equal(_listed(backend, ""), expected, "the listing")

    def test_bad_names_are_refused(self, backend: Backend) -> None:
        """By every verb, with a printable message; nothing is stored."""
        for name in _BAD_NAMES:
            verbs: list[Callable[[str], object]] = [
                lambda name: backend.put(name, b"x"),
                lambda name: backend.put_if_absent(name, b"x"),
                backend.get,
                backend.stat,
                backend.delete,
            ]
            for verb in verbs:
                error = _raises(BackendError, lambda: verb(name))  # noqa: B023 - called at once
                _check(type(error) is BackendError, f"{name!r}: {type(error).__name__}")
                _check(str(error).isprintable(), f"{name!r}: message {str(error)!r}")
        for prefix in ("data", "/", "../", "/data/", "data//", "data/../"):
            _raises(BackendError, lambda: list(backend.list(prefix)))  # noqa: B023 - called at once
        _equal(_listed(backend, ""), {}, "the listing")

    def test_its_location_is_text(self, backend: Backend) -> None:
        """One printable line, for messages."""
        _check(bool(backend.location) and backend.location.isprintable(), repr(backend.location))

    def test_closing_twice_is_harmless(self, backend: Backend) -> None:
        """Used or not."""
        backend.put("a", b"x")
        backend.close()
        backend.close()


def _puts(backend: Backend) -> dict[str, Callable[[str, Buffer], None]]:
    """The verbs that store an object under a free name."""
    puts: dict[str, Callable[[str, Buffer], None]] = {"put": backend.put}
    if _is_exclusive(backend):
        puts["put_if_absent"] = backend.put_if_absent
    return puts


def _content(seed: str, size: int) -> bytes:
    """Bytes that look random but are the same in every run."""
    return hashlib.shake_128(seed.encode()).digest(size)


def _listed(backend: Backend, prefix: str) -> dict[str, int]:
    infos = list(backend.list(prefix))
    listed = {info.name: info.size for info in infos}
    _equal(len(infos), len(listed), f"names in list({prefix!r}) that differ")
    return listed


def _is_exclusive(backend: Backend) -> bool:
    """Whether objects can be created only where there are none, found out if need be."""
    if backend.capabilities().put_if_absent is None:
        put_probing(backend, "probe/0", b"probe")
        backend.delete("probe/0")
    known = backend.capabilities().put_if_absent
    _check(known is not None, "put_probing left open what the storage can do")
    return bool(known)


def _check(condition: bool, problem: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise AssertionError(problem)


def _equal(actual: object, expected: object, what: str) -> None:
    _check(actual == expected, f"{what}: {actual!r:.200} instead of {expected!r:.200}")


def _raises(kind: type[BackendError], call: Callable[[], object]) -> BackendError:
    try:
        result = call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} expected, but it returned {result!r:.200}")


def _names(error: BackendError, name: str) -> None:
    _equal(error.object, name, "the error's object")
    _check(name in str(error), f"{str(error)!r} does not name {name}")
