"""Argon2id: bounded prices, and one password however it was typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from holdfast.errors import UsageError
from holdfast.primitives.kdf import (
    KDF_PROFILES,
    MAX_LANES,
    MAX_MEMORY,
    MAX_PASSES,
    MIN_MEMORY,
    KdfParams,
    stretch,
)

QUICK = KdfParams(MIN_MEMORY, 1, 1)
SALT = bytes(range(32))


@pytest.mark.parametrize(
    ("memory", "passes", "lanes"),
    [
        (MIN_MEMORY - 1, 1, 1),
        (MAX_MEMORY + 1, 1, 1),
        (1 << 32, 1, 1),
        (0, 1, 1),
        (-1, 1, 1),
        (MIN_MEMORY, 0, 1),
        (MIN_MEMORY, MAX_PASSES + 1, 1),
        (MIN_MEMORY, 1, 0),
        (MIN_MEMORY, 1, MAX_LANES + 1),
    ],
)
def test_prices_out_of_bounds_are_refused(memory: int, passes: int, lanes: int) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        KdfParams(memory, passes, lanes)


def test_prices_on_the_bounds_are_accepted() -> None:
    KdfParams(MIN_MEMORY, 1, 1)
    KdfParams(MAX_MEMORY, MAX_PASSES, MAX_LANES)
    assert stretch("x", SALT, KdfParams(MIN_MEMORY, 1, MAX_LANES), 64)


def test_the_profiles_are_what_rfc_9106_recommends_or_more() -> None:
    assert KDF_PROFILES["default"] == KdfParams(64 << 10, 3, 4)
    assert KDF_PROFILES["strong"].memory > KDF_PROFILES["default"].memory


def test_one_password_in_two_normal_forms_is_the_same() -> None:
    composed, decomposed = "p\u00e4ss\u00e9", "pa\u0308sse\u0301"
    assert composed != decomposed
    assert stretch(composed, SALT, QUICK, 64) == stretch(decomposed, SALT, QUICK, 64)
    assert stretch(composed.encode(), SALT, QUICK, 64) == stretch(composed, SALT, QUICK, 64)


def test_bytes_are_taken_as_they_are() -> None:
    composed, decomposed = "p\u00e4ss".encode(), "pa\u0308ss".encode()
    assert stretch(composed, SALT, QUICK, 64) != stretch(decomposed, SALT, QUICK, 64)
    assert stretch(b"\xff\xfe", SALT, QUICK, 32)
    assert stretch("\udcff\udcfe", SALT, QUICK, 32) == stretch(b"\xff\xfe", SALT, QUICK, 32)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="no text"):
        stretch("\ud800", SALT, QUICK, 32)


def test_password_and_salt_and_price_count() -> None:
    found = (
        stretch("a", SALT, QUICK, 32),
        stretch("b", SALT, QUICK, 32),
        stretch("", SALT, QUICK, 32),
        stretch("a\0", SALT, QUICK, 32),
        stretch("a", SALT[::-1], QUICK, 32),
        stretch("a", SALT, KdfParams(MIN_MEMORY, 2, 1), 32),
        stretch("a", SALT, KdfParams(MIN_MEMORY + 8, 1, 1), 32),
    )
    assert len(set(map(bytes, found))) == 7


def test_too_little_memory_is_a_value_error() -> None:
    """A hostile key slot may ask for 4 GiB on a small machine."""
    program = (
        "import resource\n"
        "from holdfast.primitives.kdf import KdfParams, stretch\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try:\n"
        "    stretch('x', bytes(32), KdfParams(4 << 20, 1, 1), 64)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "4096 MiB" in run.stdout


AT_ONCE = """
import threading
from holdfast.primitives.kdf import MIN_MEMORY, KdfParams, stretch
found = []
def derive():
    for _ in range(5):
        found.append(stretch("a", bytes(32), KdfParams(MIN_MEMORY, 1, 16), 32))
threads = [threading.Thread(target=derive) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len(set(map(bytes, found))))
"""


def test_several_threads_can_derive_at_once() -> None:
    # A process of its own: threads that wait for one another in OpenSSL cannot be stopped.
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], stdout=subprocess.PIPE, timeout=60, check=True, text=True
    )
    assert done.stdout == "20 1\n"
