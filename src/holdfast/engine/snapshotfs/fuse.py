"""The kernel's questions through libfuse: the only door to mfusepy.

The public way of mfusepy, an object with a method for each operation, would cost a dict and three
conversions of the path for each question, and a round of questions for each file of a listing. So
the methods that are asked most are taken over from its class, which is why only its series 3 will
do. libfuse 3 is used where there is one; libfuse 2 does all but the attributes in listings, and the
search for holes.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import mfusepy

from holdfast.engine.snapshotfs.kernel import Attributes, Kernel
from holdfast.overrides import override

if TYPE_CHECKING:
    from ctypes import _Pointer

TIMEOUT: Final = 3600
"""Seconds for which the kernel keeps names and attributes.

Those below a snapshot never change. Folders above are listed anew each time all the same, and where
a link such as ``latest`` leads is asked each time.
"""

THREADS: Final = 8

_READ_DIR_PLUS: Final = 1
_FILL_DIR_PLUS: Final = 2
_BLOCK_SIZE: Final = 128 << 10
_SECOND: Final = 10**9
_VERSION: Final[tuple[int, int]] = (mfusepy.fuse_version_major, mfusepy.fuse_version_minor)


Listing: TypeAlias = Sequence[tuple[bytes, Attributes]]


class Ended(Exception):  # noqa: N818 - it says what is the case
    """libfuse ended before anything was mounted; it has told why on standard error."""


def serve(kernel: Kernel, directory: bytes, on_ready: Callable[[], object], others: bool) -> None:  # noqa: FBT001 - one caller
    """Mount, and answer until it is unmounted, or by SIGINT, SIGTERM or SIGHUP.

    libfuse handles these signals itself where nobody else does.

    Args:
        kernel: gives the answers.
        directory: where to mount it.
        on_ready: called in another thread when it is mounted.
        others: whether other users may look, as far as modes allow them.

    Raises:
        Ended: it could not be mounted.
    """
    operations = _Operations(kernel, on_ready)
    options: dict[str, object] = {
        "foreground": True,
        "ro": True,
        "fsname": "holdfast",
        "subtype": "holdfast",
        "use_ino": True,
        "kernel_cache": True,
        "attr_timeout": TIMEOUT,
        "entry_timeout": TIMEOUT,
        "allow_other": others,
        "default_permissions": others,
    }
    if _VERSION >= (3, 12):
        options["max_threads"] = options["max_idle_threads"] = THREADS
    try:
        _Session(operations, os.fsdecode(directory), **options)
    except RuntimeError as error:
        # Also when a signal ended it, libfuse returns a code that is not 0.
        if not operations.is_ready:
            raise Ended(str(error)) from None


class _Listings:
    """The entries of directories that are open, by the handles of these."""

    def __init__(self) -> None:
        self._known: dict[int, Listing] = {}
        self._handles = itertools.count(1)

    def begin(self, listing: Listing) -> int:
        """Keep the entries of one; returns its handle."""
        handle = next(self._handles)
        self._known[handle] = listing
        return handle

    def get(self, handle: int) -> Listing:
        """The entries of one."""
        return self._known[handle]

    def end(self, handle: int) -> None:
        """Forget one that was closed."""
        del self._known[handle]


class _Operations:
    """What mfusepy asks by its public way: what is not asked often, and all with libfuse 2."""

    use_ns = True

    def __init__(self, kernel: Kernel, on_ready: Callable[[], object]) -> None:
        self.kernel = kernel
        self.listings = _Listings()
        self.is_ready = False
        self._on_ready = on_ready
        self._threads: set[int] = set()

    def keep_thread(self) -> None:
        """Let Python remember the thread, one of libfuse's, that asks.

        Otherwise it makes and removes all that belongs to a thread with every question, which
        takes a third of the time of a short one.
        """
        thread = threading.get_ident()
        if thread not in self._threads:
            self._threads.add(thread)
            ctypes.pythonapi.PyGILState_Ensure()

    def init(self, _path: str) -> None:
        """Called by libfuse when it is mounted."""
        self.is_ready = True
        self._on_ready()

    def getattr(self, path: str, _handle: object = None) -> dict[str, int]:
        """Never called, as `_Session.fgetattr` is; but mfusepy looks whether it is there."""
        raise NotImplementedError(path)

    def readdir(self, _path: str, handle: int) -> list[tuple[str, dict[str, int], int]]:
        """Names with what libfuse 2 takes."""
        return [(".", {}, 0), ("..", {}, 0)] + [
            (_text(name), {"st_mode": each.mode, "st_ino": each.inode}, 0)
            for name, each in self.listings.get(handle)
        ]

    def opendir(self, _path: str) -> int:
        """Never called either, and so the next one."""
        raise NotImplementedError

    def releasedir(self, _path: str, _handle: int) -> int:
        """See `opendir`."""
        raise NotImplementedError

    def open(self, _path: str, _flags: int) -> int:
        """Say that nothing is to be done, so that the kernel opens and closes without asking."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def read(self, path: str, size: int, offset: int, _handle: int) -> bytes:
        """Bytes of a file."""
        return self.kernel.read(_bytes(path), offset, size)

    def readlink(self, path: str) -> str:
        """Where a link leads."""
        return _text(self.kernel.target(_bytes(path)))

    def listxattr(self, path: str) -> list[str]:
        """Names of extended attributes."""
        return [_text(name) for name in self.kernel.xattrs(_bytes(path))]

    def getxattr(self, path: str, name: str, _position: int = 0) -> bytes:
        """The value of one."""
        try:
            return self.kernel.xattrs(_bytes(path))[_bytes(name)]
        except KeyError:
            raise OSError(mfusepy.ENOATTR, os.strerror(mfusepy.ENOATTR)) from None

    if _VERSION >= (3, 8):

        def lseek(self, *_: object) -> int:
            """As `getattr`: see `_Session.lseek_fuse_3`."""
            raise NotImplementedError


class _Session(mfusepy.FUSE):  # type: ignore[misc]  # mfusepy has no types
    """Answers libfuse, for what is asked often without a detour."""

    operations: _Operations

    @override
    def fgetattr(self, path: bytes, buffer: _Pointer[_Status], _info: object) -> int:
        ctypes.memset(buffer, 0, ctypes.sizeof(mfusepy.c_stat))
        _fill(buffer.contents, self.operations.kernel.attributes(path))
        return 0

    @override
    def opendir(self, path: bytes, info: _Pointer[_FileInfo]) -> int:
        kernel = self.operations.kernel
        info.contents.fh = self.operations.listings.begin(kernel.entries(path))
        if _VERSION >= (3, 5) and kernel.is_fixed(path):
            info.contents.cache_readdir = info.contents.keep_cache = 1
        return 0

    @override
    def releasedir(self, _path: bytes, info: _Pointer[_FileInfo]) -> int:
        self.operations.listings.end(info.contents.fh)
        return 0

    @override
    def readdir_fuse_3(
        self,
        _path: bytes,
        buffer: int,
        add: Callable[[int, bytes, _Status | None, int, int], int],
        offset: int,
        info: _Pointer[_FileInfo],
        flags: int,
    ) -> int:
        # Only with offsets does every libfuse 3 make use of attributes.
        plus = _FILL_DIR_PLUS if flags & _READ_DIR_PLUS else 0
        status: _Status = mfusepy.c_stat()
        for number, name in enumerate((b".", b"..")[offset:], offset + 1):
            if add(buffer, name, None, number, 0):
                return 0
        start = max(offset - 2, 0)
        listing = self.operations.listings.get(info.contents.fh)
        for number in range(start, len(listing)):
            name, attributes = listing[number]
            _fill(status, attributes)
            if add(buffer, name, status, number + 3, plus):
                return 0
        return 0

    def lseek_fuse_3(self, path: bytes, offset: int, whence: int, _info: object) -> int:
        """Find data or a hole."""
        return self.operations.kernel.seek(path, offset, hole=whence == os.SEEK_HOLE)

    @override
    def read(self, path: bytes, buffer: int, size: int, offset: int, _info: object) -> int:
        self.operations.keep_thread()
        data = self.operations.kernel.read(path, offset, size)
        ctypes.memmove(buffer, data, len(data))
        return len(data)


if TYPE_CHECKING:

    class _Time(ctypes.Structure):
        tv_sec: int
        tv_nsec: int

    class _Status(ctypes.Structure):
        st_mode: int
        st_ino: int
        st_nlink: int
        st_uid: int
        st_gid: int
        st_rdev: int
        st_size: int
        st_blocks: int
        st_blksize: int
        st_atimespec: _Time
        st_mtimespec: _Time
        st_ctimespec: _Time

    class _FileInfo(ctypes.Structure):
        fh: int
        cache_readdir: int
        keep_cache: int


def _fill(status: _Status, found: Attributes) -> None:
    status.st_mode = found.mode
    status.st_ino = found.inode
    status.st_nlink = found.links
    status.st_uid = found.uid
    status.st_gid = found.gid
    status.st_rdev = found.device
    status.st_size = found.size
    status.st_blocks = found.blocks
    status.st_blksize = _BLOCK_SIZE
    seconds, rest = divmod(found.mtime, _SECOND)
    for time in (status.st_atimespec, status.st_mtimespec):
        time.tv_sec, time.tv_nsec = seconds, rest
    time = status.st_ctimespec
    time.tv_sec, time.tv_nsec = divmod(found.ctime, _SECOND)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
