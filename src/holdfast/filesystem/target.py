"""Changing a directory tree without ever leaving it: every step is one name in one descriptor.

Nothing here takes a path. An entry is created, replaced or removed by its name in a directory
that is held open, a symbolic link in its place is never followed, and what has no descriptor of
its own (a link, a device) is examined after it was opened and before it is changed. So neither a
name in a repository nor whatever others plant or swap in the target can lead outside it.

What exists is never written through a temporary name: new entries are made under one
(`TemporaryNames`) and renamed when they are complete, so a crash leaves no half-written file
under a name that somebody trusts.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

from holdfast.errors import UsageError
from holdfast.filesystem.events import refuse_shortage
from holdfast.filesystem.handles import LIST, PASS, DirectoryStack

ATTEMPTS: Final = 8
"""How often a directory is tried anew when somebody swaps it while it is being entered."""

NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""Create a file that is not there yet."""

_OLD_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OWNER: Final = stat.S_IRWXU
_TEMPORARY: Final = re.compile(rb"\.holdfast-[0-9a-f]{16}-([0-9]+|\xc3\xa9)")


class TargetError(Exception):
    """Something could not be done in the target: data for a report, never the end of a restore.

    Attributes:
        operation: what was tried, one word.
        message: why it failed.
        errno: the system's error number; 0 when it was not the system that refused.
    """

    def __init__(self, operation: str, problem: Exception | str) -> None:
        number = problem.errno if isinstance(problem, OSError) else None
        self.errno = number or 0
        self.operation = operation
        self.message = os.strerror(number) if number else str(problem)
        super().__init__(f"{operation}: {self.message}")


class TemporaryNames:
    """Names for entries that are not complete yet; different in every run, never used twice.

    Attributes:
        prefix: what they all begin with.

    Args:
        prefix: of names that nobody else gives, from another one; a fresh one when it is None.
        start: first number, where several give names of one prefix.
    """

    def __init__(self, prefix: bytes | None = None, start: int = 0) -> None:
        self.prefix = prefix or b".holdfast-" + secrets.token_hex(8).encode() + b"-"
        self._numbers = count(start)

    def __next__(self) -> bytes:
        """A fresh name; safe to ask for from several threads."""
        return self.prefix + b"%d" % next(self._numbers)

    def __iter__(self) -> Iterator[bytes]:
        return self


def is_temporary(name: bytes) -> bool:
    """Whether a name looks like one of `TemporaryNames`, of this run or one that crashed."""
    return _TEMPORARY.fullmatch(name) is not None


def is_safe(name: bytes) -> bool:
    """Whether a name is one component: not empty, ``.`` or ``..``, without ``/`` and NUL."""
    return name not in {b"", b".", b".."} and b"/" not in name and b"\0" not in name


def fold(name: bytes) -> str:
    """What all names become alike by that a file system may take for the same."""
    return unicodedata.normalize("NFD", os.fsdecode(name)).casefold()


def folds_names(fd: int) -> bool:
    """Whether a directory takes names for the same that differ in case or Unicode form.

    Finds out by creating an entry for a moment. A directory that takes no name with an ``é`` is
    said to fold, so that it is treated with care.

    Raises:
        TargetError: nothing can be created there.
    """
    composed = f".holdfast-{secrets.token_hex(8)}-\u00e9"
    others = (composed.upper(), unicodedata.normalize("NFD", composed))
    name = composed.encode()
    try:
        os.close(os.open(name, NEW_FILE, 0o600, dir_fd=fd))
    except OSError as error:
        if error.errno in {errno.EILSEQ, errno.EINVAL}:
            return True
        raise TargetError("create", error) from error
    try:
        return any(status_of(fd, other.encode()) is not None for other in others)
    finally:
        discard(fd, name)


def open_target(path: str | bytes | os.PathLike[str], *, create: bool) -> int | None:
    """Open the root of a restore, the one place that is named by a path.

    Symbolic links in this path are the user's own and are followed.

    Args:
        path: of a directory.
        create: make it, with mode 0700, and what is missing above it.

    Returns:
        A descriptor, or None when it does not exist and is not to be created.

    Raises:
        UsageError: it cannot be opened or created, or is no directory.
        OutOfResources: this process can open no more files, or there is no memory.
    """
    try:
        if create:
            Path(os.fsdecode(path)).mkdir(0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not create:
            return None
        if isinstance(error, OSError):
            refuse_shortage(error, os.fsencode(path))
        problem = error.strerror if isinstance(error, OSError) else "this is not a path"
        raise UsageError(f"target {os.fsdecode(path)!r}: {problem}") from error


def status_of(fd: int, name: bytes) -> os.stat_result | None:
    """The status of an entry itself, a link not followed; None when there is none.

    Raises:
        TargetError: it cannot be examined.
    """
    try:
        return os.lstat(name, dir_fd=fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TargetError("examine", error) from error


def names_in(fd: int) -> list[bytes]:
    """The names in a directory, in no order.

    Raises:
        TargetError: it cannot be listed.
    """
    try:
        return [os.fsencode(name) for name in os.listdir(fd)]
    except OSError as error:
        raise TargetError("list", error) from error


def make_directory(fd: int, name: bytes) -> bool:
    """Create a directory that only its owner may enter; False when there is something already.

    Raises:
        TargetError: it cannot be created.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=fd)
    except FileExistsError:
        return False
    except OSError as error:
        raise TargetError("create", error) from error
    return True


def enter_directory(
    stack: DirectoryStack, name: bytes, *, unlock: bool = True
) -> os.stat_result | None:
    """Go down into a directory.

    Args:
        stack: where to go down.
        name: of the directory; a symbolic link is not followed.
        unlock: make sure that its owner may list and change it.

    Returns:
        The status it had before, or None when there is no directory of that name (any more).

    Raises:
        TargetError: it cannot be entered.
    """
    status = None
    try:
        try:
            before = stack.enter(name, LIST)
        except PermissionError:
            if not unlock:
                raise
            status = _unlock(stack.fd, name)
            before = stack.enter(name, LIST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise TargetError("enter", error) from error
    if unlock:
        _allow_owner(stack.fd, before)
    return status or before


def leave_directory(stack: DirectoryStack) -> None:
    """Go back up to the parent.

    Raises:
        TargetError: somebody moved it away; the stack is at the parent all the same.
    """
    try:
        stack.leave()
    except OSError as error:
        raise TargetError("enter", error) from error


def status_at(fd: int) -> os.stat_result:
    """The status of what a descriptor is open on, which a network file system may have forgotten.

    Raises:
        TargetError: it cannot be examined.
    """
    try:
        return os.fstat(fd)
    except OSError as error:
        raise TargetError("examine", error) from error


def another(fd: int) -> int:
    """Another descriptor of a directory.

    Raises:
        TargetError: there is none to be had.
    """
    try:
        return os.dup(fd)
    except OSError as error:
        raise TargetError("enter", error) from error


def stack_at(fd: int) -> DirectoryStack:
    """The way down from a directory whose descriptor stays the caller's.

    Raises:
        TargetError: it cannot be examined.
    """
    try:
        return DirectoryStack(another(fd))
    except OSError as error:
        raise TargetError("examine", error) from error


def descriptor_of(stack: DirectoryStack) -> int:
    """The deepest directory's descriptor.

    Raises:
        TargetError: somebody moved it away, so it was not found again.
    """
    try:
        return stack.fd
    except OSError as error:
        raise TargetError("enter", error) from error


def _unlock(fd: int, name: bytes) -> os.stat_result:
    """Let the owner into a directory that cannot be opened; returns its status before."""
    found = os.open(name, PASS | os.O_NOFOLLOW, dir_fd=fd)
    try:
        status = os.fstat(found)
        os.chmod(f"/proc/self/fd/{found}", stat.S_IMODE(status.st_mode) | _OWNER)  # noqa: PTH101 - of a descriptor
    finally:
        os.close(found)
    return status


def _allow_owner(fd: int, status: os.stat_result) -> None:
    if status.st_mode & _OWNER != _OWNER:
        try:
            os.fchmod(fd, stat.S_IMODE(status.st_mode) | _OWNER)
        except OSError:  # another's directory: whatever cannot be done in it will be reported
            return


def restore_mode(fd: int, status: os.stat_result) -> None:
    """Take back what `enter_directory` did to the mode of a directory.

    Raises:
        TargetError: it cannot be changed.
    """
    if status.st_mode & _OWNER != _OWNER:
        try:
            os.fchmod(fd, stat.S_IMODE(status.st_mode))
        except OSError as error:
            raise TargetError("mode", error) from error


def create_file(fd: int, name: bytes) -> int:
    """Create a file that is not there yet and open it for writing; only its owner may read it.

    Raises:
        TargetError: it cannot be created.
    """
    try:
        return os.open(name, NEW_FILE, 0o600, dir_fd=fd)
    except OSError as error:
        raise TargetError("create", error) from error


def open_file(fd: int, name: bytes, *, write: bool) -> int | None:
    """Open an existing file if it is a regular one that has no other name.

    Returns:
        A descriptor; None when it is anything else, or may not be opened so (no permission, a
        program that runs): then it can only be replaced.
    """
    try:
        found = os.open(name, _OLD_FILE | (os.O_RDWR if write else os.O_RDONLY), dir_fd=fd)
    except OSError:  # the caller replaces it, which fails and is reported if that cannot be done
        return None
    try:
        status = os.fstat(found)
    except OSError:  # the same
        os.close(found)
        return None
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return found
    os.close(found)
    return None


def move_into_place(fd: int, temporary: bytes, name: bytes) -> None:
    """Give a complete entry its name, replacing what has it unless that is a directory.

    Raises:
        TargetError: it cannot be renamed; the temporary entry is still there.
    """
    try:
        os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
    except OSError as error:
        raise TargetError("create", error) from error


def remove_file(fd: int, name: bytes) -> None:
    """Remove an entry that is no directory; none of that name is fine.

    Raises:
        TargetError: it cannot be removed.
    """
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TargetError("delete", error) from error


def remove_directory(fd: int, name: bytes) -> bool:
    """Remove an empty directory; False when it is not empty. None of that name is fine.

    Raises:
        TargetError: it cannot be removed, or is no directory.
    """
    try:
        os.rmdir(name, dir_fd=fd)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise TargetError("delete", error) from error
    return True


def discard(fd: int, temporary: bytes) -> None:
    """Remove a temporary entry if it is still there, on the way out of a failure."""
    try:
        os.unlink(temporary, dir_fd=fd)
    except OSError:  # the failure that led here is the one that is reported
        return


def discard_all(fd: int, names: TemporaryNames) -> None:
    """Remove from a directory what has a temporary name, after whoever was at work there died."""
    for name in names_in(fd):
        if name.startswith(names.prefix):
            discard(fd, name)
