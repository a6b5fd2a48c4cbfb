"""What is said of errors that are none of ours."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from holdfast.cli.run import _message

THREAD = RuntimeError("can't start new thread")


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "Cannot allocate memory"),
        (BlockingIOError(errno.EAGAIN, "no more processes"), "no more processes"),
        (THREAD, "too many processes"),
    ],
)
def test_what_the_machine_is_short_of_is_no_mistake_of_ours(error: Exception, said: str) -> None:
    assert said in _message(error)
    assert "mistake" not in _message(error)


def test_what_is_not_known_is_a_mistake_of_ours() -> None:
    for error in (RuntimeError("odd"), OSError(errno.EIO, "odd"), RuntimeError()):
        assert "a mistake of ours" in _message(error)


@pytest.mark.fault(6)
def test_python_still_says_so_of_a_thread() -> None:
    """By the words of the interpreter itself, which another version may change."""
    before = threading.stack_size(1 << 46)  # more than there are addresses for
    try:
        with pytest.raises(RuntimeError) as raised:
            threading.Thread(target=print).start()
    finally:
        threading.stack_size(before)
    assert str(raised.value) == str(THREAD)
