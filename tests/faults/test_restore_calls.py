"""For every n: the n-th request that a restore makes of the operating system fails.

What fails is in the result, and what is in no error is restored exactly; the same restore again
completes it and leaves nothing that was temporary.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pytest

from holdfast.errors import HoldfastError
from holdfast.operations.restore import Overwrite, RestoreOptions, RestoreResult, restore
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import (
    BLOB,
    Entry,
    directory,
    expected,
    fifo,
    file,
    observed,
    save_tree,
    symlink,
)

if TYPE_CHECKING:
    from tests.length import Stride

P = ParamSpec("P")
R = TypeVar("R")

CALLS = (
    *("chmod", "chown", "fchmod", "fchown", "fstat", "ftruncate", "getxattr", "link", "listdir"),
    *("listxattr", "lseek", "lstat", "mkdir", "mkfifo", "open", "pread", "pwrite", "read"),
    *("readlink", "readv", "removexattr", "rename", "rmdir", "scandir", "setxattr", "stat"),
    *("symlink", "unlink", "utime"),
)
"""What is asked of the system to restore something; giving descriptors back is not among it."""


class PowerCut(BaseException):
    """The process is gone: no handler may do anything about it."""


class System:
    """Counts requests, and fails some of them.

    Attributes:
        count: how many there were since it was armed.
    """

    def __init__(self) -> None:
        self.count = 0
        self._is_armed = False
        self._fails: Callable[[int], BaseException | None] = lambda _: None
        self._lock = threading.Lock()

    def counted(self, call: Callable[P, R]) -> Callable[P, R]:
        """The same request, which fails when it is its turn."""

        def ask(*arguments: P.args, **options: P.kwargs) -> R:
            with self._lock:
                self.count += self._is_armed
                error = self._fails(self.count) if self._is_armed else None
            if error is not None:
                raise error
            return call(*arguments, **options)

        return ask

    @contextmanager
    def armed(self, fails: Callable[[int], BaseException | None]) -> Iterator[None]:
        """Fail what is to fail as long as the context lasts."""
        self.count, self._fails, self._is_armed = 0, fails, True
        try:
            yield
        finally:
            self._is_armed = False


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    found = System()
    for name in CALLS:
        monkeypatch.setattr(os, name, found.counted(getattr(os, name)))
    return found


def tree() -> Entry:
    return directory(
        {
            b"small": file(b"a small file"),
            b"empty": file(),
            b"large": file(b"x" * BLOB, BLOB, b"y" * BLOB),
            b"link": symlink(b"small"),
            b"pipe": fifo(),
            b"sub": directory({b"one": file(b"one", mode=0o600), b"two": file(b"two" * 100)}),
        }
    )


def once(number: int, code: int) -> Callable[[int], BaseException | None]:
    return lambda count: OSError(code, os.strerror(code)) if count == number else None


def crash(number: int) -> Callable[[int], BaseException | None]:
    return lambda count: PowerCut() if count >= number else None


FAILURES: dict[str, Callable[[int], Callable[[int], BaseException | None]]] = {
    "fails": lambda number: once(number, errno.EIO),
    "is not allowed": lambda number: once(number, errno.EACCES),
    "finds no room": lambda number: once(number, errno.ENOSPC),
    "is the last": crash,
}


def occupied(target: Path) -> None:
    """What is there already: some of it has to be replaced, some removed."""
    target.mkdir()
    (target / "small").write_bytes(b"another file")
    (target / "sub").write_bytes(b"no directory")
    (target / "large").write_bytes(b"x" * BLOB * 2)
    (target / "extra").mkdir()
    (target / "extra/file").write_bytes(b"not in the snapshot")


@pytest.mark.fault(4, 48)
@pytest.mark.parametrize("is_occupied", [False, True], ids=["new", "occupied"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_restore_is_right_or_says_so_whatever_request_fails(
    system: System, tmp_path: Path, failure: str, is_occupied: bool, stride: Stride
) -> None:
    target = tmp_path / "target"
    complete = expected(tree())
    blobs = MemoryBlobs()
    root = save_tree(tree(), blobs)
    failed = 0

    def run() -> RestoreResult:
        options = RestoreOptions(delete=is_occupied, overwrite=Overwrite.ALWAYS)
        return restore(root, b"/", target, blobs, options)

    for number in stride(range(1, 2000), 9, list(FAILURES).index(failure)):
        shutil.rmtree(target, ignore_errors=True)
        if is_occupied:
            occupied(target)
        before = set(threading.enumerate())
        result = None
        with system.armed(FAILURES[failure](number)):
            try:
                result = run()
            except (HoldfastError, PowerCut):
                failed += 1
        assert set(threading.enumerate()) <= before
        is_over = system.count < number
        if result is not None:
            failed += bool(result.errors)
            assert result.errors or observed(target) == complete, number
            wrong = {problem.path.strip("/") for problem in result.errors}
            assert_only(target, complete, wrong, number)
        assert run().errors == ()
        left = observed(target)
        if not is_occupied:
            left = {path: seen for path, seen in left.items() if path in complete or is_ours(path)}
        assert left == complete, number
        if is_over:
            break
    else:
        raise AssertionError("it never ends")
    assert number > 20
    assert failed


def is_ours(path: bytes) -> bool:
    return path.rpartition(b"/")[2].startswith(b".holdfast-")


def assert_only(
    target: Path, complete: dict[bytes, tuple[str, int, int, bytes]], wrong: set[str], number: int
) -> None:
    """What is not as it is to be is told of, itself or what it is in."""
    there = observed(target) if target.exists() else {}
    for path, seen in complete.items():
        name = os.fsdecode(path).strip("/")
        if there.get(path) != seen:
            above = {name, *(str(each) for each in Path(name).parents), ""}
            below = {each for each in wrong if each.startswith(f"{name}/")}
            assert wrong & above or below, (number, name, wrong)
