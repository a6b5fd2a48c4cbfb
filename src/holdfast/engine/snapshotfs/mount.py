"""Mounting: what has to be right before, and what is said when it is not."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from ctypes.util import find_library
from pathlib import Path
from types import ModuleType
from typing import Final

from holdfast import environment
from holdfast.backend import is_uri
from holdfast.engine.connection import Connection, PathLike
from holdfast.engine.snapshotfs.kernel import Kernel
from holdfast.errors import UsageError

DEVICE: Final = Path("/dev/fuse")
CONFIG: Final = Path("/etc/fuse.conf")

_ELSE: Final = "`holdfast serve` shows the same over HTTP and needs no FUSE"
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def mount(
    repository: Connection,
    directory: PathLike,
    snapshot: str | None = None,
    *,
    allow_other: bool = False,
    on_ready: Callable[[], object] = lambda: None,
) -> None:
    """Mount snapshots, and answer until they are unmounted; see `Mounting.mount`.

    Args:
        repository: which.
        directory: where.
        snapshot: name of a snapshot or of a place in one; None for all snapshots.
        allow_other: whether other users may look.
        on_ready: called, in another thread, when it is mounted.
    """
    place = os.path.abspath(os.fsencode(directory))  # noqa: PTH100 - bytes
    check_mount_point(place, repository.location)
    fuse = _library()
    check_permission(allow_other=allow_other)
    with closing(Kernel(repository, snapshot)) as kernel, _usual_signals():
        try:
            fuse.serve(kernel, place, on_ready, allow_other)
        except fuse.Ended as error:
            raise UsageError(
                f"{os.fsdecode(place)}: FUSE cannot mount there (code {error}; standard error "
                f"says why); {_ELSE}"
            ) from None


def check_mount_point(place: bytes, location: str) -> None:
    """Refuse what nothing can be mounted onto.

    Args:
        place: an absolute path.
        location: of the repository.

    Raises:
        UsageError: it is no empty directory, it is in the repository, or a mount is there.
    """
    shown = os.fsdecode(place)
    try:
        found = os.listdir(place)  # noqa: PTH208 - bytes
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            raise UsageError(
                f"{shown}: a mount is there whose program has ended without taking it down: "
                f"`{unmount_command(shown)}` does that"
            ) from None
        raise UsageError(f"{shown}: {error.strerror}: give a directory that is empty") from None
    if found:
        raise UsageError(f"{shown}: not empty: what is in it would be hidden, give another one")
    if not is_uri(location):
        real, own = (os.path.realpath(os.fsencode(each)) for each in (place, location))
        if real == own or real.startswith(own + b"/"):
            raise UsageError(f"{shown}: inside the repository, which is no place for a mount")


def check_permission(*, allow_other: bool) -> None:
    """Refuse where FUSE would (UsageError)."""
    if sys.platform != "linux":
        return  # libfuse says what is wrong
    if not DEVICE.exists():
        raise UsageError(
            f"there is no {DEVICE}: load the kernel's module with `modprobe fuse`, or give the "
            f"container --device {DEVICE} --cap-add SYS_ADMIN; {_ELSE}"
        )
    if os.geteuid() == 0:
        return
    if not any(map(shutil.which, ("fusermount3", "fusermount"))):
        raise UsageError(
            "the program fusermount3 is missing: install fuse3 (Debian: apt install fuse3); "
            f"{_ELSE}"
        )
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        raise UsageError(f"{DEVICE}: this user may not use it; {_ELSE}")
    if allow_other and not _may_allow_others():
        raise UsageError(f"--allow-other takes a line user_allow_other in {CONFIG}")


def unmount_command(directory: str) -> str:
    """What takes a mount down, as it is typed."""
    program = "fusermount3 -u" if sys.platform == "linux" else "umount"
    return f"{program} {shlex.quote(directory)}"


def unmount(directory: bytes) -> None:
    """Take down what a process has left mounted; nothing is said if that fails."""
    programs = [["fusermount3", "-uz"], ["fusermount", "-uz"], ["umount"]]
    found = next((each for each in programs if shutil.which(each[0])), None)
    if found is not None:
        real = os.path.realpath(directory)
        subprocess.run([*found, real], check=False, capture_output=True)  # noqa: S603 - no shell


def is_mounted(directory: bytes) -> bool:
    """Whether something is mounted there, also when nobody answers for it any more."""
    try:
        return os.path.ismount(os.path.realpath(directory))
    except OSError as error:
        return error.errno == errno.ENOTCONN


def _library() -> ModuleType:
    """The module that binds libfuse (UsageError if something is not installed)."""
    # mfusepy takes libfuse 2 where there are both, unless it is told.
    if find_library("fuse3"):
        environment.prefer("FUSE_LIBRARY_NAME", "fuse3")
    try:
        from holdfast.engine.snapshotfs import fuse
    except ImportError:
        raise UsageError(
            f"mounting takes the package mfusepy: pip install 'holdfast[mount]'; {_ELSE}"
        ) from None
    except (AttributeError, OSError) as error:
        raise UsageError(
            f"mounting takes libfuse, which cannot be used here ({error}): install fuse3 (Debian: "
            f"apt install fuse3; macOS: macFUSE); {_ELSE}"
        ) from None
    return fuse


def _may_allow_others() -> bool:
    try:
        lines = CONFIG.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    return "user_allow_other" in (line.strip() for line in lines)


@contextmanager
def _usual_signals() -> Iterator[None]:
    """Leave the signals that end a program to libfuse, which waits where Python cannot see them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # `nohup` has SIGHUP ignored
            signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
