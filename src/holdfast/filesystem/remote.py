"""What a backup reads of a store: the objects of one folder, told as a tree.

Keys become paths: ``s3://bucket/data`` and the key ``data/a/b`` are ``/bucket/data/a/b``. A store
that lists all objects below a folder in order is listed so, a page at a time; others are listed
folder by folder. Not more than a page, or the folders on the way, is in memory here.

Not every key is a path. One with an empty component, ``.`` or ``..``, which no tree can hold, is a
problem that is told; nothing is renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from holdfast.backend import UNSIZED, Listed, RemoteFailure, RemoteObjects
from holdfast.errors import SourceError, UsageError
from holdfast.filesystem.events import Leave, Problem
from holdfast.filesystem.exclude import ExcludeRules, Exclusion
from holdfast.filesystem.patterns import Deciders
from holdfast.model.descent import MAX_DEPTH, MAX_PATH
from holdfast.model.rows import MAX_NAME

_FILE: Final = "file"
_DIRECTORY: Final = "directory"


class Folder(NamedTuple):
    """A folder begins; what is in it follows, until its `Leave`.

    Attributes:
        path: absolute path in the snapshot.
        name: its last component; empty for ``/``.
        complete: False when it could not be listed.
    """

    path: bytes
    name: bytes
    complete: bool = True


class Object(NamedTuple):
    """An object of the folder that was entered last and not left yet.

    Attributes:
        path: absolute path in the snapshot.
        name: its last component.
        listed: what the listing says of it.
    """

    path: bytes
    name: bytes
    listed: Listed


RemoteEvent: TypeAlias = Folder | Object | Leave | Problem


class Disordered(Exception):  # noqa: N818 - asks for another walk
    """The store does not list its objects in order: the walk is to begin anew."""


class RemoteSource:
    """A folder of a store, or one object, that is to be backed up.

    Args:
        objects: the folder.
        rules: what to leave out. What takes a look into other objects is refused.

    Attributes:
        objects: as given.
        uri: what the snapshot is a backup of.

    Raises:
        UsageError: a rule makes no sense here, or the folder's own path is none for a tree.
    """

    def __init__(self, objects: RemoteObjects, rules: ExcludeRules) -> None:
        if rules.if_present or rules.caches or rules.one_file_system:
            raise UsageError(
                "from a store, objects are left out by patterns and size: exclude-if-present, "
                "exclude-caches and one-file-system are for local paths"
            )
        self.objects = objects
        self.uri = objects.location.rstrip("/")
        self._exclusion = Exclusion(rules)
        self._is_flat = objects.is_flat
        way = objects.root.split("/")
        problem = _refusal(way)
        if problem:
            raise UsageError(f"{self.uri}: {problem}")
        self._names = [_raw(name) for name in way]

    def walk(self) -> Iterator[RemoteEvent]:
        """Everything, depth first; what is in a folder is told between its two events.

        The objects of a folder come in any order, and among its folders.

        Raises:
            Disordered: begin again; then it is listed in another way.
            SourceError: the store cannot be listed, or there is nothing at all.
        """
        try:
            yield from self._events()
        except RemoteFailure as failure:
            raise SourceError(f"{self.uri} cannot be listed: {failure}") from None
        except Disordered:
            self._is_flat = False
            raise

    def blame(self, failure: RemoteFailure) -> None:
        """Find out if the store as a whole has failed, and not only what is about one object.

        Where folders are there without objects, all may be missing because the folder that is
        backed up is: it was renamed, or what is mounted there is not any more.

        Raises:
            SourceError: it has.
        """
        may_be_all = failure.is_absence and not self.objects.is_flat
        if failure.is_of_one and not may_be_all:
            return
        try:
            if failure.is_of_all:
                raise failure
            self.objects.probe()
        except RemoteFailure as worse:
            raise SourceError(f"{self.uri} cannot be read any more: {worse}") from None

    def _events(self) -> Iterator[RemoteEvent]:
        end = ""
        if self._is_flat:
            found, end = self.objects.page("")
            while not found and end:  # stores may give pages with nothing in them
                found, end = self.objects.page(end)
        else:
            found = self._top()
        single = self._single(found)
        names = self._names[:-1] if single else self._names
        path = b""
        yield Folder(b"/", b"")
        for name in names:
            path += b"/" + name
            yield Folder(path, name)
        if single:
            yield Object(path + b"/" + self._names[-1], self._names[-1], single)
        elif self._is_flat:
            yield from _FlatWalk(self, self._exclusion, path).run(found, end)
        else:
            yield from _FolderWalk(self, self._exclusion, path).run(found)
        for name in reversed(names):
            yield Leave(name)
        yield Leave(b"")

    def _top(self) -> list[Listed]:
        """What is right in the folder; nothing when there is none: it may be an object."""
        try:
            return self.objects.folder(self.objects.path(""))
        except RemoteFailure as failure:
            if not failure.is_absence:
                raise
            return []

    def _single(self, found: Sequence[Listed]) -> Listed | None:
        """The object that is all there is to back up; None when there is a folder.

        Raises:
            SourceError: there is neither.
        """
        if any(self.objects.inner(listed.path) is not None for listed in found):
            return None
        listed = self.objects.status(self.objects.path(""))
        if listed is not None and listed.kind == _FILE:
            return listed
        if listed is not None and listed.kind != _DIRECTORY:
            raise SourceError(f"{self.uri}: {_strange(listed)}")
        if (
            listed is None and len(self._names) > 1
        ):  # a bucket may be empty; a prefix is nothing then
            raise SourceError(f"{self.uri}: there is no such folder or object: nothing to back up")
        return None


class _Level(NamedTuple):
    """A folder on the way down: its name, its path in the snapshot, and what is left out in it."""

    name: str
    path: bytes
    skip: Deciders | None

    def leaves_out(self, folder: str) -> bool:
        """Whether a folder in it is left out."""
        return self.skip is not None and self.skip.directory(folder)


class _Walk:
    """What both ways to go through a store have in common."""

    def __init__(self, source: RemoteSource, exclusion: Exclusion, path: bytes) -> None:
        self._source = source
        self._objects = source.objects
        self._exclusion = exclusion
        self._levels = [_Level("", path, exclusion.within(os.fsdecode(path)))]

    def _enter(self, name: str) -> bytes:
        path = self._levels[-1].path + b"/" + _raw(name)
        self._levels.append(_Level(name, path, self._exclusion.within(os.fsdecode(path))))
        return path

    def _leave(self) -> Leave:
        return Leave(_raw(self._levels.pop().name))

    def _object(self, name: str, listed: Listed) -> Iterator[Object]:
        """An object of the deepest folder, unless it is left out."""
        level = self._levels[-1]
        limit = self._exclusion.larger_than
        if limit is not None and listed.size > limit:
            return
        if level.skip is None or not level.skip.file(name):
            raw = _raw(name)
            yield Object(level.path + b"/" + raw, raw, listed)

    def _problem(self, inner: str, message: str, operation: str = "read") -> Problem:
        """A problem with something, by its path below the top."""
        path = self._levels[0].path + b"/" + inner.encode("utf-8", "backslashreplace")
        return Problem(path, operation, 0, message)


class _FlatWalk(_Walk):
    """Goes through the pages of a listing of all objects."""

    _left_out: Sequence[str] = ()

    def run(self, found: Sequence[Listed], end: str) -> Iterator[RemoteEvent]:
        """Everything below the top, from the first page on."""
        last = b""
        while True:
            for listed in found:
                inner = self._objects.inner(listed.path)
                if not inner:
                    continue  # what some tools put there to stand for the folder itself
                key = inner.encode("utf-8", "surrogatepass")
                if key <= last:
                    raise Disordered
                last = key
                yield from self._key(inner, listed)
            if not end:
                break
            found, end = self._objects.page(end)
        yield from self._climb(0)

    def _key(self, inner: str, listed: Listed) -> Iterator[RemoteEvent]:
        *folders, name = inner.split("/")
        if self._left_out and folders[: len(self._left_out)] == self._left_out:
            return
        problem = _refusal([*folders, name] if name else folders)
        if problem:
            yield self._problem(inner, problem)
            return
        yield from self._descend(folders)
        if len(self._levels) != len(folders) + 1:
            return
        if name:
            yield from self._object(name, listed)
        elif listed.size:
            yield self._problem(
                inner, "it is a folder's name, so its content has no place in a tree"
            )

    def _descend(self, folders: list[str]) -> Iterator[RemoteEvent]:
        """Go from the folder where the walk is to another, unless that is left out."""
        here = [level.name for level in self._levels[1:]]
        shared = 0
        while shared < min(len(here), len(folders)) and here[shared] == folders[shared]:
            shared += 1
        yield from self._climb(shared)
        for depth in range(shared, len(folders)):
            if self._levels[-1].leaves_out(folders[depth]):
                self._left_out = folders[: depth + 1]
                return
            yield Folder(self._enter(folders[depth]), _raw(folders[depth]))

    def _climb(self, depth: int) -> Iterator[Leave]:
        while len(self._levels) > depth + 1:
            yield self._leave()


class _FolderWalk(_Walk):
    """Lists folder by folder."""

    def run(self, found: Sequence[Listed]) -> Iterator[RemoteEvent]:
        """Everything below the top, from what is right in it."""
        folders: dict[str, str] = {}
        yield from self._tell(self._objects.path(""), found, folders)
        waiting = [_in_order(folders)]
        while waiting:
            below = next(waiting[-1], None)
            if below is None:
                waiting.pop()
                if waiting:
                    yield self._leave()
                continue
            name, path = below
            problem = ""
            try:
                found = self._objects.folder(path)
            except RemoteFailure as failure:
                self._source.blame(failure)
                problem = str(failure)
                found = ()
            yield Folder(self._enter(name), _raw(name), complete=not problem)
            if problem:
                yield self._problem(self._objects.inner(path) or "", problem, "list")
            folders = {}
            yield from self._tell(path, found, folders)
            waiting.append(_in_order(folders))

    def _tell(
        self, folder: str, found: Sequence[Listed], folders: dict[str, str]
    ) -> Iterator[RemoteEvent]:
        """Tell of the objects right in the deepest folder, and gather the folders to go into."""
        start = len(folder) + 1
        for listed in found:
            is_itself = listed.path == folder
            if is_itself or (listed.path == f"{folder}/" and _stands_for_folder(listed)):
                continue
            name = listed.path[start:]
            is_marker = _stands_for_folder(listed)
            problem = _refusal([name[:-1] if is_marker else name]) or self._refusal(listed)
            if problem:
                yield self._problem(self._objects.inner(listed.path) or listed.path, problem)
            elif listed.kind == _FILE and not is_marker:
                yield from self._object(name, listed)
            elif not self._levels[-1].leaves_out(name.rstrip("/")):
                folders[name.rstrip("/")] = listed.path.rstrip("/")

    def _refusal(self, listed: Listed) -> str:
        if listed.kind not in {_FILE, _DIRECTORY}:
            return _strange(listed)
        if len(self._levels) >= MAX_DEPTH or len(listed.path) > MAX_PATH:
            return "it is too deep: no snapshot can hold it"
        return ""


def _strange(listed: Listed) -> str:
    """What is wrong with an object that can only be told of."""
    if listed.kind == UNSIZED:
        return "the store does not tell how many bytes it has, so it cannot be read"
    return f"it is neither an object nor a folder, but of the kind {listed.kind!r}"


def _stands_for_folder(listed: Listed) -> bool:
    """Whether it is what some tools put into a store for a folder to be seen."""
    return listed.kind == _FILE and not listed.size and listed.path.endswith("/")


def _in_order(folders: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Names and paths of folders, by name."""
    return iter(sorted(folders.items()))


def _raw(name: str) -> bytes:
    """A component of a key as one of a path; odd bytes as a store of files may have them."""
    return name.encode("utf-8", "surrogateescape")


def _refusal(names: Sequence[str]) -> str:
    """Why components are no path; "" when they are one."""
    for name in names:
        if name in {"", ".", ".."} or "\0" in name or "/" in name:
            what = "an empty component" if not name else f"the component {name!r}"
            return f"its key has {what}, for which a tree has no place"
        try:
            raw = _raw(name)
        except UnicodeEncodeError:
            return "its key is no text that can be encoded"
        if len(raw) > MAX_NAME:
            return f"its key has a component of more than {MAX_NAME} bytes"
    return ""
