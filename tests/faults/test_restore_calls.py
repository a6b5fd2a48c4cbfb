"""For every n: the n-th request that a restore makes of the operating system fails.

What fails is in the result, and what is in no error is restored exactly; the same restore again
completes it and leaves nothing that was temporary.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.faults.moments import Moments

from holdfast.errors import HoldfastError
from holdfast.operations.restore import Overwrite, RestoreOptions, RestoreResult, restore
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.power import PowerCut
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

GIVING_BACK = frozenset({"close"})
"""What asks the system for nothing: Linux has let go of a descriptor even if it says otherwise."""

Failing = Callable[[int], None]
"""Given the number of a call, it may raise what that is to raise."""


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


def once(number: int, code: int) -> Failing:
    def fail(count: int) -> None:
        if count == number:
            raise OSError(code, os.strerror(code))

    return fail


def crash(number: int) -> Failing:
    def fail(count: int) -> None:
        if count >= number:
            raise PowerCut

    return fail


FAILURES: dict[str, Callable[[int], Failing]] = {
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
    tmp_path: Path, failure: str, is_occupied: bool, stride: Stride
) -> None:
    target = tmp_path / "target"
    complete = expected(tree())
    blobs = MemoryBlobs()
    root = save_tree(tree(), blobs)
    failed = 0

    def run() -> RestoreResult:
        options = RestoreOptions(delete=is_occupied, overwrite=Overwrite.ALWAYS, verify=is_occupied)
        return restore(root, b"/", target, blobs, options)

    for number in stride(range(1, 2000), 9, list(FAILURES).index(failure)):
        shutil.rmtree(target, ignore_errors=True)
        if is_occupied:
            occupied(target)
        before = set(threading.enumerate())
        result = None
        with Moments(FAILURES[failure](number), but=GIVING_BACK) as system:
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
