"""Stores that are known by their drivers of fsspec only, as what is backed up or restored to."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from holdfast.backend import ObjectInfo, RemoteFailure, RemoteObjects, open_backend, open_objects
from holdfast.errors import BackendError
from holdfast.testing.shelf import ROOT

LARGE = 9 << 20
PATTERNS = ["a[1].bin", "sub/q?.bin", "all*"]


class Odd(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system whose listings lack sizes and begin paths in their own way."""

    protocol = "odd"
    store: dict[str, object] = {}  # noqa: RUF012 - as fsspec has it
    pseudo_dirs = [""]  # noqa: RUF012 - as above
    size_of_all: object = None

    def ls(self, path: str, detail: bool = True, **more: object) -> list[dict[str, object]]:  # noqa: FBT002 - as fsspec has it
        del detail
        found = super().ls(path, detail=True, **more)
        return [{**info, "name": f"host:1/elsewhere{info['name']}", "size": 5.0} for info in found]

    def info(self, path: str, **more: object) -> dict[str, object]:
        found: dict[str, object] = super().info(path, **more)
        return found if self.size_of_all is None else {**found, "size": None}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("odd://")))


@pytest.fixture
def odd() -> Iterator[RemoteObjects]:
    fsspec.register_implementation("odd", Odd, clobber=True)
    fs = fsspec.filesystem("odd")
    fs.pipe_file(f"/{ROOT}/a", b"content")
    folder = open_objects(f"odd://{ROOT}")
    yield folder
    folder.close()
    Odd.size_of_all = None
    fs.rm("/", recursive=True)


def test_names_and_sizes_are_found_out(odd: RemoteObjects) -> None:
    (found,) = odd.folder(odd.path(""))
    assert (found.path, found.kind, found.size) == (odd.path("a"), "file", 7)
    assert odd.read_any(found.path, 0, 7) == b"content"


def test_a_size_that_nobody_tells_is_not_zero(odd: RemoteObjects) -> None:
    Odd.size_of_all = "nobody knows"
    (found,) = odd.folder(odd.path(""))
    assert found.kind == "object of unknown size"


@pytest.fixture
def place() -> Iterator[RemoteObjects]:
    folder = open_objects(f"memory://{secrets.token_hex(8)}")
    yield folder
    folder.close()
    store = fsspec.filesystem("memory")
    if store.exists(folder.path("")):
        store.rm(folder.path(""), recursive=True)


@pytest.mark.parametrize("protocol", ["memory", "odd"])
@pytest.mark.parametrize("name", PATTERNS)
def test_a_large_file_has_its_own_name(protocol: str, name: str, odd: RemoteObjects) -> None:
    del odd
    folder = open_objects(f"{protocol}://{secrets.token_hex(8)}")
    data = secrets.token_bytes(LARGE)
    folder.write(folder.path(name), LARGE, lambda _: [data[: LARGE - 1], data[-1:]])
    store = fsspec.filesystem(protocol)
    path = folder.path(name)
    assert [key for key in store.store if key.startswith(folder.path(""))] == [path]
    assert store.store[path].getvalue() == data
    folder.close()
    store.rm(folder.path(""), recursive=True)


def test_no_folder_is_not_an_empty_one(place: RemoteObjects) -> None:
    with pytest.raises(RemoteFailure, match="no such object") as raised:
        place.folder(place.path("a"))
    assert raised.value.is_absence
    with pytest.raises(RemoteFailure, match="there is no such folder") as raised:
        place.probe()
    assert raised.value.is_absence
    fsspec.filesystem("memory").makedirs(place.path("a"))
    assert place.folder(place.path("a")) == []
    place.probe()


def test_only_a_store_that_lists_in_pages_has_them(place: RemoteObjects) -> None:
    assert not place.is_flat
    with pytest.raises(TypeError, match="pages"):
        place.page("")


def test_a_file_of_no_size_is_not_left_out_of_a_repository(odd: RemoteObjects) -> None:
    backend = open_backend(f"odd://{ROOT}")
    assert [*backend.list("")] == [ObjectInfo("a", 7)]
    Odd.size_of_all = "nobody knows"
    with pytest.raises(BackendError, match="does not tell the size"):
        list(backend.list(""))
    backend.close()
    assert not odd.is_flat
