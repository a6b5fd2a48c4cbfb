"""A store in memory for tests of what is backed up from stores, and restored to them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.backend import Changed, Listed
from holdfast.errors import BackendError, ObjectNotFound

ROOT = "bucket/data"
"""The folder of a shelf."""


def _nothing(verb: str, path: str) -> None:
    """Let a request pass."""


def _in_order(paths: list[str]) -> list[str]:
    return sorted(paths, key=str.encode)


class Stored(NamedTuple):
    """An object: its bytes, when it was written (nanoseconds), and its tag."""

    data: bytes
    mtime: int
    tag: str


@dataclass(eq=False)
class Shelf:
    """What `holdfast.backend.RemoteObjects` works on.

    Attributes:
        is_flat: it is listed as a whole, in order.
        is_exact: it gives the version that is asked for.
        has_tags: it tells versions apart.
        objects: by path.
        requests: what it was asked, in order: a verb and a path.
        page_size: objects of a page.
        meddle: called before each request; what it raises is what the request fails with.
        sort: puts the paths of a listing in order.
    """

    is_flat: bool = True
    is_exact: bool = True
    has_tags: bool = True
    root: str = ROOT
    objects: dict[str, Stored] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    page_size: int = 3
    meddle: Callable[[str, str], None] = field(default=_nothing)
    sort: Callable[[list[str]], list[str]] = field(default=_in_order)
    location: str = f"shelf://{ROOT}"

    def __post_init__(self) -> None:
        self._versions = 0
        self._lock = threading.Lock()

    def add(self, inner: str, data: bytes, mtime: int = 10**18) -> None:
        """Write an object, by its path below the folder."""
        with self._lock:
            self._versions += 1
            tag = f"v{self._versions}" if self.has_tags else ""
            self.objects[f"{self.root}/{inner}"] = Stored(data, mtime, tag)

    def delete(self, inner: str) -> None:
        """Delete an object, by its path below the folder."""
        del self.objects[f"{self.root}/{inner}"]

    @property
    def read_paths(self) -> list[str]:
        """The paths below the folder of the objects that were read, each as often as it was."""
        start = len(self.root) + 1
        return sorted(path[start:] for verb, path in self.requests if verb == "get")

    def close(self) -> None:
        """See `Store.close`."""

    def explain(self, verb: str, path: str, error: Exception) -> BackendError | None:
        """See `Store.explain`."""
        del verb, path
        return error if isinstance(error, BackendError) else None

    def page(self, after: str) -> tuple[list[Listed], str]:
        """See `Store.page`."""
        self._ask("list", after)
        paths = self.sort([path for path in self.objects if path.startswith(f"{self.root}/")])
        start = int(after or 0)
        end = start + self.page_size
        return [self._listed(path) for path in paths[start:end]], str(end) * (end < len(paths))

    def folder(self, path: str) -> list[Listed]:
        """See `Store.folder`."""
        self._ask("list", path)
        found: dict[str, Listed] = {}
        for each in self.objects:
            if each.startswith(f"{path}/"):
                name, slash, _ = each[len(path) + 1 :].partition("/")
                below = f"{path}/{name}"
                found[below + slash] = (
                    Listed(below, "directory", 0, None, "") if slash else self._listed(each)
                )
        if not found and not self.is_flat and path not in self.objects:
            raise ObjectNotFound(path, "no such folder")
        return list(found.values())

    def status(self, path: str) -> Listed | None:
        """See `Store.status`."""
        self._ask("stat", path)
        if path in self.objects:
            return self._listed(path)
        is_folder = not self.is_flat and any(each.startswith(f"{path}/") for each in self.objects)
        return Listed(path, "directory", 0, None, "") if is_folder else None

    def probe(self) -> None:
        """See `Store.probe`."""
        self._ask("list", "")
        if not self.is_flat and not any(
            f"{path}/".startswith(f"{self.root}/") for path in self.objects
        ):
            raise ObjectNotFound("", "there is no such folder")

    def read(self, path: str, part: tuple[int, int], tag: str) -> bytes:
        """See `Store.read`."""
        self._ask("get", path)
        found = self.objects.get(path)
        if found is None:
            raise ObjectNotFound(path, "no such object")
        if self.is_exact and tag and found.tag != tag:
            raise Changed(path)
        return found.data[part[0] : part[1]]

    def upload(self, path: str, size: int) -> ShelfUpload:
        """See `Store.upload`."""
        del size
        self._ask("put", path)
        return ShelfUpload(self, path)

    def _listed(self, path: str) -> Listed:
        data, mtime, tag = self.objects[path]
        return Listed(path, "file", len(data), mtime, tag)

    def _ask(self, verb: str, path: str) -> None:
        with self._lock:
            self.requests.append((verb, path))
        self.meddle(verb, path)


class ShelfUpload:
    """An object that is being written."""

    piece = 1000
    is_repeatable = True

    def __init__(self, shelf: Shelf, path: str) -> None:
        self._shelf = shelf
        self._path = path
        self._data = b""

    def send(self, piece: bytes) -> None:
        """See `Upload.send`."""
        self._shelf.meddle("send", self._path)
        self._data += piece

    def finish(self) -> None:
        """See `Upload.finish`."""
        self._shelf.meddle("finish", self._path)
        self._shelf.add(self._path[len(self._shelf.root) + 1 :], self._data)

    def abandon(self) -> None:
        """See `Upload.abandon`."""
        with self._shelf._lock:  # noqa: SLF001 - of this module
            self._shelf.requests.append(("abandon", self._path))
