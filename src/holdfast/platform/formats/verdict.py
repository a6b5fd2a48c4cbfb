"""What can be said of a file, and how much may be spent on it."""

from __future__ import annotations

from typing import NamedTuple


class Broken(Exception):  # noqa: N818 - says what the file is
    """A file is not what its format says it should be."""


class Unread(Exception):  # noqa: N818 - says what became of the file
    """Whether a file is good cannot be said: it takes too much, or a library that is not here."""


class Verdict(NamedTuple):
    """What is said of a file.

    Attributes:
        good: whether it is; None when that cannot be said.
        reason: why not.
    """

    good: bool | None
    reason: str = ""


class Limits(NamedTuple):
    """How much may be spent on one file.

    Attributes:
        seconds: of time.
        memory: bytes of the process's address space.
        expanded: bytes that come out of what is compressed.
        text: bytes of a document that is read into memory whole.
    """

    seconds: float = 60.0
    memory: int = 2 << 30
    expanded: int = 4 << 30
    text: int = 64 << 20
