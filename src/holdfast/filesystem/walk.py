"""The walk itself: directories as events, in order, each open while it is looked at."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from types import TracebackType
from typing import Final, Self

from holdfast.filesystem.events import (
    ENTER,
    FIND,
    Directory,
    Leave,
    Problem,
    WalkEvent,
    refuse_shortage,
)
from holdfast.filesystem.exclude import Exclusion
from holdfast.filesystem.handles import LIST, PASS, DirectoryStack
from holdfast.filesystem.metadata import Xattrs, read_xattrs, xattr_path
from holdfast.model.descent import MAX_DEPTH, MAX_PATH

_LONGEST_NAME: Final = 256  # bytes with the slash, on every file system that Linux has
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_ATIME: Final[int] = getattr(os, "O_NOATIME", 0)  # Linux only
_ENCODING: Final = sys.getfilesystemencoding()


@dataclass(slots=True, eq=False)
class _Way:
    """A place on the way to roots: whether it is one itself, and the places below, by name."""

    is_root: bool = False
    onward: dict[bytes, _Way] = field(default_factory=dict)


_NO_WAY: Final = _Way()


@dataclass(slots=True)
class _Child:
    """A directory that is still to be walked.

    Attributes:
        name: its path component.
        flags: how to open it.
        is_listed: it lies at or below a root; otherwise only the way through it is walked.
        way: to the roots at and below it.
    """

    name: bytes
    flags: int = LIST
    is_listed: bool = True
    way: _Way = _NO_WAY


@dataclass(slots=True)
class _Frame:
    """A directory that is being walked.

    Attributes:
        name: its path component.
        device: of the file system that a backup of one file system stays on.
        is_readable: it was opened for reading.
        children: the directories to walk in it, the next one last.
    """

    name: bytes
    device: int
    is_readable: bool
    children: list[_Child] = field(default_factory=list)


@dataclass(slots=True)
class _Listing:
    """What is found in a directory, as it is gathered."""

    files: list[tuple[bytes, os.stat_result]] = field(default_factory=list)
    children: list[_Child] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    is_complete: bool = True


class Walk:
    """One walk over the roots of a source; iterate once, inside ``with``.

    Events come depth first, children in the order of the bytes of their names. The methods that
    take a name speak of entries of the directory whose `Directory` event came last, until the
    next event is asked for.

    Args:
        roots: absolute paths, each once.
        exclusion: what to leave out.

    Raises:
        OSError: ``/`` cannot be opened.
        OutOfResources: of this and of every method: this process can open no more files, or there
            is no memory left.
    """

    def __init__(self, roots: Iterable[bytes], exclusion: Exclusion) -> None:
        self._exclusion = exclusion
        self._frames: list[_Frame] = []
        self._here = bytearray()  # the path of the last frame, without the root's slash
        way = _ways(roots)
        self._top = _Child(b"", LIST if way.is_root else PASS, way.is_root, way)
        try:
            self._stack = DirectoryStack(os.open(b"/", self._top.flags))
        except OSError as error:
            refuse_shortage(error, b"/")
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[WalkEvent]:
        yield from self._events_in(self._top, os.fstat(self._stack.fd), self._top.flags)
        while self._frames:
            frame = self._frames[-1]
            if frame.children:
                yield from self._enter(frame.children.pop())
                continue
            yield Leave(frame.name)
            self._frames.pop()
            del self._here[-1 - len(frame.name) :]
            if self._frames:
                yield from self._return()

    def open_file(self, name: bytes) -> int:
        """Open a file for reading, without waiting and without following a symlink.

        What is opened may not be what was listed: the caller looks at its ``fstat``.

        Returns:
            A descriptor, which the caller closes.

        Raises:
            OSError: it cannot be opened, ELOOP when it is a symlink now.
        """
        directory = self._stack.fd
        if _NO_ATIME:
            try:
                return os.open(name, _OPEN | _NO_ATIME, dir_fd=directory)
            except OSError as error:
                if error.errno != errno.EPERM:  # only the owner may leave the time of reading alone
                    raise
        return os.open(name, _OPEN, dir_fd=directory)

    def status(self, name: bytes) -> os.stat_result:
        """The status of an entry as it is now, of a symlink itself.

        Raises:
            OSError: it is not there any more.
        """
        return os.stat(name, dir_fd=self._stack.fd, follow_symlinks=False)

    def readlink(self, name: bytes) -> bytes:
        """The target of a symlink.

        Raises:
            OSError: it cannot be read, EINVAL when it is no symlink any more.
        """
        return os.readlink(name, dir_fd=self._stack.fd)

    def xattrs(self, name: bytes | None = None) -> tuple[Xattrs, list[Problem]]:
        """Extended attributes of an entry, or of the directory itself.

        Returns:
            Those that could be read, and a problem for each that could not.
        """
        directory = self._stack.fd
        if name is not None:
            xattrs, errors = read_xattrs(xattr_path(directory, name))
        elif self._frames[-1].is_readable:
            xattrs, errors = read_xattrs(directory)
        else:
            xattrs, errors = read_xattrs(xattr_path(directory, b"."))
        return xattrs, [self.problem(name or b"", "read attributes of", error) for error in errors]

    def problem(self, name: bytes, operation: str, error: OSError) -> Problem:
        """A problem with an entry of the directory, or with itself when the name is empty."""
        return Problem.of(self._path_of(name) if name else self._path(), operation, error)

    def _path(self) -> bytes:
        return bytes(self._here) or b"/"

    def _path_of(self, name: bytes) -> bytes:
        return bytes(self._here) + b"/" + name

    def _enter(self, child: _Child) -> Iterator[WalkEvent]:
        if self._is_too_deep(child.name):
            too_deep = OSError(errno.ENAMETOOLONG, "too deep: no snapshot can hold it")
            yield self.problem(child.name, ENTER, too_deep)
            return
        flags = child.flags
        try:
            status = self._stack.enter(child.name, flags)
        except OSError as error:
            yield self.problem(child.name, ENTER, error)
            flags = PASS | (flags & os.O_NOFOLLOW)
            try:
                status = self._stack.enter(child.name, flags)
            except OSError as again:  # it is not there any more, as the first error told
                refuse_shortage(again, self._path_of(child.name))
                return
        yield from self._events_in(child, status, flags)

    def _is_too_deep(self, name: bytes) -> bool:
        """Whether a directory is beyond what any reader of a snapshot would follow."""
        depth = len(self._frames)
        if depth * _LONGEST_NAME < MAX_PATH:
            return False
        return depth >= MAX_DEPTH or len(self._path_of(name)) > MAX_PATH

    def _events_in(self, child: _Child, status: os.stat_result, flags: int) -> Iterator[WalkEvent]:
        is_readable = flags == child.flags != PASS
        is_start = child.way.is_root or not self._frames
        device = status.st_dev if is_start else self._frames[-1].device
        frame = _Frame(child.name, device, is_readable)
        if self._frames:
            self._here += b"/" + child.name
        self._frames.append(frame)
        path = self._path()
        listing = _Listing(is_complete=flags == child.flags)
        stays = not self._exclusion.one_file_system or status.st_dev == device
        if child.is_listed and is_readable and stays:
            self._list(path, listing)
        if child.way.onward:
            self._add_ways(child.way.onward, listing)
        listing.files.sort(key=itemgetter(0))
        listing.children.sort(key=attrgetter("name"))
        names = [below.name for below in listing.children]
        frame.children = listing.children[::-1]
        yield from listing.problems
        yield Directory(path, child.name, status, listing.files, names, listing.is_complete)

    def _return(self) -> Iterator[Problem]:
        """Go back to the parent, which may have been moved away meanwhile."""
        try:
            self._stack.leave()
        except OSError as error:
            refuse_shortage(error, self._path())
            parent = self._frames[-1]
            if parent.children:
                parent.children.clear()
                yield self.problem(b"", "return to", error)

    def _list(self, path: bytes, listing: _Listing) -> None:
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(self._stack.fd) as entries:
                found.extend(entries)  # keeps what came before an error
        except OSError as error:
            listing.problems.append(Problem.of(path, "list", error))
            listing.is_complete = False
        if self._exclusion.markers:
            found = self._unmarked(found)
        self._sort_out(found, path, listing)
        limit = self._exclusion.larger_than
        if limit is not None:
            listing.files = [
                file
                for file in listing.files
                if file[1].st_size <= limit or not stat.S_ISREG(file[1].st_mode)
            ]

    def _sort_out(self, found: list[os.DirEntry[str]], path: bytes, listing: _Listing) -> None:
        """Tell directories from others, without what the patterns leave out."""
        files, children = listing.files, listing.children
        skip = self._exclusion.within(os.fsdecode(path.rstrip(b"/")))
        for entry in found:
            name = entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if skip is None or not skip.directory(name):
                        children.append(_Child(name.encode(_ENCODING, "surrogateescape")))
                elif skip is None or not skip.file(name):
                    status = entry.stat(follow_symlinks=False)
                    files.append((name.encode(_ENCODING, "surrogateescape"), status))
            except OSError as error:
                listing.problems.append(self.problem(os.fsencode(name), "stat", error))

    def _unmarked(self, found: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        """The entries of a directory, or only its markers if it has any."""
        markers = [entry for entry in found if entry.name in self._exclusion.markers]
        return [entry for entry in markers if self._is_marker(entry)] or found

    def _is_marker(self, entry: os.DirEntry[str]) -> bool:
        """Whether it says so; what is no file, or cannot be read, does not."""
        header = self._exclusion.markers[entry.name]
        if not header:
            return True
        try:
            if not entry.is_file(follow_symlinks=False):
                return False
            descriptor = self.open_file(os.fsencode(entry.name))
            try:
                return os.read(descriptor, len(header)) == header
            finally:
                os.close(descriptor)
        except OSError as error:
            refuse_shortage(error, self._path_of(os.fsencode(entry.name)))
            return False

    def _add_ways(self, onward: dict[bytes, _Way], listing: _Listing) -> None:
        """Put the places on the way to roots into a listing, whatever it says of them."""
        listed = {child.name for child in listing.children}
        listing.files = [file for file in listing.files if file[0] not in onward]
        listing.children = [child for child in listing.children if child.name not in onward]
        for name, way in onward.items():
            if name in listed:
                listing.children.append(_Child(name, LIST, is_listed=True, way=way))
                continue
            try:
                self._add_way(name, way, listing)
            except OSError as error:
                listing.problems.append(self.problem(name, FIND, error))

    def _add_way(self, name: bytes, way: _Way, listing: _Listing) -> None:
        directory = self._stack.fd
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode) and _is_directory(name, directory):
            flags = LIST & ~os.O_NOFOLLOW if way.is_root else PASS
            listing.children.append(_Child(name, flags, way.is_root, way))
        elif stat.S_ISDIR(status.st_mode):
            listing.children.append(_Child(name, LIST if way.is_root else PASS, way.is_root, way))
        elif way.is_root:
            listing.files.append((name, status))
        else:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _is_directory(name: bytes, directory: int) -> bool:
    """Whether a symlink leads to a directory."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory).st_mode)
    except OSError:  # it leads nowhere, or in a circle
        return False


def _ways(roots: Iterable[bytes]) -> _Way:
    top = _Way()
    for root in roots:
        way = top
        for name in root.split(b"/"):
            if name:
                way = way.onward.setdefault(name, _Way())
        way.is_root = True
    return top
