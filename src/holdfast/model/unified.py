r"""The difference of two texts in unified form, which `patch -p1` and `git apply` take.

It works on bytes and is exact: applying it to the first text gives the second, whatever their
encoding and line ends are, and whether or not the last line has one. Only ``\n`` ends a line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher

from holdfast.overrides import override

MOST_PAIRS = 4_000_000
"""Pairs of equal lines above which lines are not matched with each other: it would take minutes."""

_POPULAR_FROM = 200
"""Lines from which on those that are more than one in a hundred are popular."""

_NO_END = b"\n\\ No newline at end of file\n"
_PLAIN = range(0x21, 0x7F)
_ESCAPES = {0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n", 0x09: b"\\t", 0x20: b" "}


def hunks(before: bytes, after: bytes, context: int) -> Iterator[bytes]:
    """Give the lines of all hunks; none when the texts are equal.

    Args:
        before: the first text.
        after: the second text.
        context: how many equal lines to give around what differs.
    """
    first, second = _lines(before), _lines(after)
    matcher = _Matcher(first, second)
    for group in matcher.get_grouped_opcodes(context):
        ranges = group[0][1], group[-1][2], group[0][3], group[-1][4]
        yield b"@@ -%s +%s @@\n" % (_range(*ranges[:2]), _range(*ranges[2:]))
        for tag, first_begin, first_end, second_begin, second_end in group:
            if tag == "equal":
                yield from _marked(b" ", first[first_begin:first_end])
                continue
            yield from _marked(b"-", first[first_begin:first_end])
            yield from _marked(b"+", second[second_begin:second_end])


def header(path: bytes, before: int | None, after: int | None) -> bytes:
    """What stands before the hunks of a file, as git writes it.

    Args:
        path: of the file, without a slash at its beginning.
        before: permission bits; None when there was no file.
        after: likewise, when there is none.
    """
    names = quoted(b"a/" + path), quoted(b"b/" + path)
    lines = [b"diff --git %s %s\n" % names]
    if before is None and after is not None:
        lines.append(b"new file mode %s\n" % _mode(after))
    if before is not None and after is None:
        lines.append(b"deleted file mode %s\n" % _mode(before))
    return b"".join(lines)


def file_lines(path: bytes, *, was_there: bool, is_there: bool) -> bytes:
    """The two lines that name the file before its first hunk."""
    first = quoted(b"a/" + path) if was_there else b"/dev/null"
    second = quoted(b"b/" + path) if is_there else b"/dev/null"
    return b"--- %s\n+++ %s\n" % (first, second)


def empty_line(*, is_there: bool) -> bytes:
    """What stands in place of hunks for an empty file that came, or went: git's ids of nothing."""
    return b"index 0000000..e69de29\n" if is_there else b"index e69de29..0000000\n"


def quoted(name: bytes) -> bytes:
    """A name as git writes it: with odd and non-ASCII bytes it is quoted as in C; with spaces too.

    Not every program that applies patches knows where a name with spaces ends.
    """
    if all(byte in _PLAIN and byte not in _ESCAPES for byte in name):
        return name
    escaped = (
        _ESCAPES.get(byte) or (b"%c" % byte if byte in _PLAIN else b"\\%03o" % byte)
        for byte in name
    )
    return b'"' + b"".join(escaped) + b'"'


def _blocks(first: Sequence[bytes], second: Sequence[bytes]) -> list[Match]:
    """Which lines of both are the same; those that both begin and end with are put aside first."""
    shorter = min(len(first), len(second))
    head = _common(first, second, shorter)
    tail = _common(first[::-1], second[::-1], shorter - head)
    middle = first[head : len(first) - tail], second[head : len(second) - tail]
    blocks = [Match(0, 0, head)]
    if _pairs(*middle) <= MOST_PAIRS:
        found = SequenceMatcher(None, *middle).get_matching_blocks()
        blocks += [Match(a + head, b + head, size) for a, b, size in found if size]
    blocks.append(Match(len(first) - tail, len(second) - tail, tail))
    return [*blocks, Match(len(first), len(second), 0)]


class _Matcher(SequenceMatcher[bytes]):
    """Matches lines as `_blocks` does; the rest is the library's."""

    def __init__(self, first: Sequence[bytes], second: Sequence[bytes]) -> None:
        super().__init__(None, (), ())
        self._found = _blocks(first, second)

    @override
    def get_matching_blocks(self) -> list[Match]:
        """See `SequenceMatcher`."""
        return self._found


def _common(first: Sequence[bytes], second: Sequence[bytes], most: int) -> int:
    """How many lines at the beginning are the same."""
    for index in range(most):
        if first[index] != second[index]:
            return index
    return most


def _pairs(first: Sequence[bytes], second: Sequence[bytes]) -> int:
    """How many pairs of equal lines a `SequenceMatcher` looks at; it passes over popular ones."""
    counts = Counter(second)
    popular = len(second) // 100 + 1 if len(second) >= _POPULAR_FROM else len(second)
    return sum(counts[line] for line in first if counts[line] <= popular)


def _lines(text: bytes) -> list[bytes]:
    *ended, last = text.split(b"\n")
    return [line + b"\n" for line in ended] + ([last] if last else [])


def _marked(mark: bytes, lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield mark + line if line.endswith(b"\n") else mark + line + _NO_END


def _range(begin: int, end: int) -> bytes:
    """Which lines a hunk is about, counted from 1; where there are none, the one before."""
    count = end - begin
    return b"%d,%d" % (begin + 1 if count else begin, count)


def _mode(bits: int) -> bytes:
    return b"100755" if bits & 0o111 else b"100644"
