"""All that decides what a backup leaves out, and files of patterns."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from holdfast.errors import UsageError
from holdfast.filesystem.patterns import Deciders, Patterns

CACHE_TAG: Final = "CACHEDIR.TAG"
CACHE_SIGNATURE: Final = "Signature: 8a477f597d28d172789f06886806bc55"
"""How the tag of a cache directory begins; https://bford.info/cachedir/."""


@dataclass(frozen=True, slots=True)
class ExcludeRules:
    """What a backup is to leave out.

    Attributes:
        patterns: entries that match are left out; `holdfast.filesystem.patterns` says how.
        ipatterns: the same, whatever their case; an entry is left out when either says so.
        if_present: ``NAME`` or ``NAME:HEADER``. Of a directory with an entry of that name (a
            file that begins so, when a header is given) only that entry is kept.
        caches: the same for ``CACHEDIR.TAG`` with its signature.
        larger_than: files of more bytes than this are left out.
        one_file_system: mount points below a root are kept as empty directories.
    """

    patterns: tuple[str, ...] = ()
    ipatterns: tuple[str, ...] = ()
    if_present: tuple[str, ...] = ()
    caches: bool = False
    larger_than: int | None = None
    one_file_system: bool = False


class Exclusion:
    """The rules, compiled.

    Attributes:
        markers: names that mark a directory's contents as left out, each with how the file must
            begin (empty when any entry of the name will do).
        larger_than: see `ExcludeRules`.
        one_file_system: see `ExcludeRules`.

    Raises:
        UsageError: a pattern makes no sense, or a name in `if_present` is none.
    """

    def __init__(self, rules: ExcludeRules) -> None:
        both = (Patterns(rules.patterns), Patterns(rules.ipatterns, ignore_case=True))
        self._patterns = [patterns for patterns in both if patterns]
        self.markers = dict(_marker(text) for text in rules.if_present)
        if rules.caches:
            self.markers.setdefault(CACHE_TAG, CACHE_SIGNATURE.encode())
        self.larger_than = rules.larger_than
        self.one_file_system = rules.one_file_system

    def within(self, directory: str) -> Deciders | None:
        """What the patterns leave out of one directory; None when there are no patterns.

        Args:
            directory: see `Patterns.within`.
        """
        each = [patterns.within(directory) for patterns in self._patterns]
        if not each:
            return None
        first, second = each[0], each[-1]
        if first is second:
            return first
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


def _marker(text: str) -> tuple[str, bytes]:
    name, _, header = text.partition(":")
    if not name or "/" in name:
        raise UsageError(f"exclude-if-present {text!r}: this is not the name of a file")
    return name, os.fsencode(header)


def _cut_spaces(line: str) -> str:
    cut = line.rstrip(" \t\r")
    escaped = (len(cut) - len(cut.rstrip("\\"))) % 2 and len(cut) < len(line)
    return cut + line[len(cut)] if escaped else cut
