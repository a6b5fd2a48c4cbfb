"""All that decides what a backup leaves out, and files of patterns."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from holdfast.errors import UsageError
from holdfast.filesystem.patterns import Deciders, Patterns

CACHE_TAG: Final = "CACHEDIR.TAG"
CACHE_SIGNATURE: Final = "Signature: 8a477f597d28d172789f06886806bc55"
"""How the tag of a cache directory begins; https://bford.info/cachedir/."""


@dataclass(frozen=True, slots=True)
class ExcludeRules:
    """All that decides what a backup leaves out.

    Attributes:
        patterns: entries that match are left out.
        ipatterns: the same, whatever their case; an entry is left out when either says so.
        if_present: ``NAME`` or ``NAME:HEADER``. Of a directory with an entry of that name (a
            file that begins so, when a header is given) only that entry is kept.
        caches: the same for ``CACHEDIR.TAG`` with its signature.
        larger_than: files of more bytes than this are left out.
        one_file_system: mount points below a root are kept as empty directories.
    """

    patterns: Patterns = field(default_factory=lambda: Patterns([]))
    ipatterns: Patterns = field(default_factory=lambda: Patterns([], ignore_case=True))
    if_present: tuple[str, ...] = ()
    caches: bool = False
    larger_than: int | None = None
    one_file_system: bool = False

    def markers(self) -> dict[str, bytes]:
        """Names that mark a directory's contents as left out, and how such a file must begin.

        Raises:
            UsageError: a name in `if_present` is empty or has a slash.
        """
        markers: dict[str, bytes] = {}
        for text in self.if_present:
            name, _, header = text.partition(":")
            if not name or "/" in name:
                raise UsageError(f"exclude-if-present {text!r}: this is not the name of a file")
            markers[name] = os.fsencode(header)
        if self.caches:
            markers.setdefault(CACHE_TAG, CACHE_SIGNATURE.encode())
        return markers

    def within(self, directory: str) -> Deciders | None:
        """What the patterns leave out of one directory; None when there are no patterns.

        Args:
            directory: see `Patterns.within`.
        """
        each = [p.within(directory) for p in (self.patterns, self.ipatterns) if p]
        if len(each) < 2:  # noqa: PLR2004 - there are two lists
            return each[0] if each else None
        first, second = each
        return Deciders(
            lambda name: first.file(name) or second.file(name),
            lambda name: first.directory(name) or second.directory(name),
        )


def load_pattern_file(path: str | bytes | os.PathLike[str]) -> list[str]:
    r"""Read patterns from a file, one a line.

    Blank lines and lines that begin with ``#`` are skipped, spaces at the end of a line are cut
    off unless a ``\`` stands before them.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the name may be bytes
            content = file.read()
    except OSError as error:
        problem = error.strerror or str(error)
        raise UsageError(f"exclude file {os.fsdecode(path)!r}: {problem}") from error
    lines = os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).split("\n")
    cut = (_cut_spaces(line) for line in lines)
    return [line for line in cut if line and not line.startswith("#")]


def _cut_spaces(line: str) -> str:
    cut = line.rstrip(" \t\r")
    escaped = (len(cut) - len(cut.rstrip("\\"))) % 2 and len(cut) < len(line)
    return cut + line[len(cut)] if escaped else cut
