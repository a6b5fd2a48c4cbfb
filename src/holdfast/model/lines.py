r"""Finding the lines of a file that match a pattern, in bounded memory, whatever the file is.

A line ends at ``\n``, ``\r\n`` or the end of the file. A pattern is matched against the bytes of
one line, without its end, so nothing ever matches across lines. A line longer than
`Bounds.longest` is searched in pieces of that length, each with the last `Bounds.overlap` bytes of
the one before, as if each were a line; it is given once, for the first piece that matches.

Most files have no match, and most lines of others have none either. So a window of lines is first
searched as a whole, for some text that every match has, or with the pattern rewritten so that it
cannot match across lines; only lines with a hit are looked at alone. Patterns that cannot be
rewritten are tried line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository, UsageError
from holdfast.model.path import printable

Piece: TypeAlias = bytes | memoryview | int
"""Some bytes of a file, or how many bytes of zeros."""


class Bounds(NamedTuple):
    """How much is held and shown.

    Attributes:
        longest: bytes of the longest line that is searched whole.
        overlap: bytes that the pieces of a longer one share.
        shown: most bytes of a line that are given.
        probe: bytes at the beginning of a file that decide whether it is binary.
    """

    longest: int = 256 << 10
    overlap: int = 8 << 10
    shown: int = 4 << 10
    probe: int = 8 << 10


BOUNDS = Bounds()


class Line(NamedTuple):
    """A line that matches.

    Attributes:
        number: of the line, from 1; 0 when the file is binary and has a match somewhere.
        text: the line, or some of it around the first match; bytes that are not UTF-8 are
            replaced.
        spans: begin and end of every match in `text`, those of no characters left out.
        cut: whether the text is not the whole line.
    """

    number: int
    text: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    cut: bool = False


class LinePattern:
    """What to look for in lines.

    Args:
        pattern: a regular expression of the module `re`, for bytes; text means its UTF-8.
        fixed: it is to be found as it is.
        ignore_case: whether ASCII letters of both cases are equal.

    Raises:
        UsageError: it is no regular expression, or has a line break.
    """

    def __init__(
        self, pattern: str | bytes, *, fixed: bool = False, ignore_case: bool = False
    ) -> None:
        raw = pattern.encode("utf-8", "surrogateescape") if isinstance(pattern, str) else pattern
        if b"\n" in raw:
            raise UsageError("a pattern with a line break matches nothing: lines are searched")
        flags = re.MULTILINE | (re.IGNORECASE if ignore_case else re.NOFLAG)
        escaped = re.escape(raw)
        is_literal = fixed or escaped == raw
        try:
            self.regex = re.compile(escaped if is_literal else raw, flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise UsageError(f"{printable(raw)} is no regular expression: {error}") from None
        quick = escaped if is_literal else within_lines(raw)
        self._quick = None if quick is None else re.compile(quick, flags)
        self._folds = ignore_case
        needed = raw if is_literal else b"" if quick is None else needed_text(raw)
        self._needed = needed.lower() if ignore_case else needed

    def could_match(self, data: bytes, bounds: Bounds = BOUNDS) -> bool:
        """Whether a file may have a match; False is certain, and found out quickly."""
        if len(data) > bounds.longest:
            return True  # pieces of long lines match where a whole line does not
        return self.first(self.prepared(data.replace(b"\r\n", b"\n")), 0) >= 0

    def prepared(self, lines: bytes) -> bytes:
        """Some lines in the form that `first` takes."""
        return lines.lower() if self._needed and self._folds else lines

    def first(self, lines: bytes, start: int) -> int:
        """Where in prepared lines the first one with a match can be, from a line's beginning on.

        Returns:
            A position in that line or at its end; -1 when no line matches.
        """
        if self._needed:
            return lines.find(self._needed, start)
        if self._quick is None:
            return start
        hit = self._quick.search(lines, start)
        return -1 if hit is None else hit.start()


_TOKEN = re.compile(
    rb"""\[ (?: (?P<negated>\^) (?P<first>[]-]?+) | (?!\^) \]?+ )
        (?P<others> (?: [^\\\[\]\x00-\x1f] | \\[wdS] | \\[^\w\x00-\x1f] )*+ ) \]
    | \\[sDW]
    | [^\\\[\](){}*+?\x00-\x1f] | \\[wdSbBt] | \\[^\w\x00-\x1f]
    | \( (?: \?: | (?!\?) ) | \)
    | (?: [*+?] | \{[0-9]+(?:,[0-9]*)?\} ) \?? (?![+*?{])""",
    re.VERBOSE,
)
"""What cannot match a line break, or can be made so; possessive quantifiers, atomic groups and
lookarounds are not among it, as what they match depends on what follows the line."""

_TEXT = re.compile(rb"[^\\.^$|()\[*+?{]|\\[^\w]")
_QUANTIFIER = re.compile(rb"[*+?{]")

_WIDE = {rb"\s": rb"[^\S\n]", rb"\D": rb"[^\d\n]", rb"\W": rb"[^\w\n]"}


def within_lines(pattern: bytes) -> bytes | None:
    """The pattern rewritten so that it finds in many lines what it finds in each of them alone.

    Returns:
        The expression, for use with `re.MULTILINE`; None for one that is not understood.
    """
    parts: list[bytes] = []
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            return None
        position = token.end()
        if token["negated"] is not None:
            parts.append(rb"[^\n" + re.escape(token["first"]) + token["others"] + b"]")
        else:
            parts.append(_WIDE.get(token[0], token[0]))
    return b"".join(parts)


def needed_text(pattern: bytes) -> bytes:
    """The longest text that every match has, of a pattern that `within_lines` understands.

    Returns:
        At least two bytes; none if there are no such, or it has alternatives.
    """
    best = run = b""
    depth = 0
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text == b"|":
            return b""
        depth += text.startswith(b"(") - (text == b")")
        plain = text[-1:] if _TEXT.fullmatch(text) else b""
        if plain and not depth and not _QUANTIFIER.match(pattern, token.end()):
            run += plain
            best = max(best, run, key=len)
        else:
            run = b""
    return best if len(best) > 1 else b""


def search_lines(
    pieces: Iterable[Piece], pattern: LinePattern, *, text: bool = False, bounds: Bounds = BOUNDS
) -> Iterator[Line]:
    """Give every line of a file that matches, in order.

    A file is binary when there is a byte 0 among its first `Bounds.probe`; of it one `Line` of
    number 0 is given if it has a match, and the rest is not read.

    Args:
        pieces: the file from its beginning to its end.
        pattern: what to look for.
        text: take it for text, whatever it is.
        bounds: see `Bounds`.

    Raises:
        DamagedRepository: a piece cannot be had; the lines that end before it were given.
    """
    search = _Search(pattern, bounds)
    is_binary: bool | None = False if text else None
    for window in _windows(pieces, bounds):
        if is_binary is None:
            is_binary = b"\0" in window[: bounds.probe]
        for line in search.feed(window):
            if is_binary:
                yield Line(0)
                return
            yield line
    for line in search.finish():
        yield Line(0) if is_binary else line
        if is_binary:
            return


def _windows(pieces: Iterable[Piece], bounds: Bounds) -> Iterator[bytes]:
    """The file in parts of `Bounds.longest`, the last one aside.

    Raises:
        DamagedRepository: a piece cannot be had; after those before it were given.
    """
    waiting: list[bytes | memoryview] = []
    length = 0
    try:
        for piece in pieces:
            data = bytes(_shortened(piece, bounds)) if isinstance(piece, int) else piece
            waiting.append(data)
            length += len(data)
            if length < bounds.longest:
                continue
            joined = b"".join(waiting)
            whole = length - length % bounds.longest
            for start in range(0, whole, bounds.longest):
                yield joined[start : start + bounds.longest]
            waiting, length = [joined[whole:]], length - whole
    except DamagedRepository:
        yield b"".join(waiting)
        raise
    if length:
        yield b"".join(waiting)


def _shortened(zeros: int, bounds: Bounds) -> int:
    """How many zeros do for a run of them: what is searched inside it is always the same piece.

    The pieces behind it begin where they would have begun.
    """
    step = bounds.longest - bounds.overlap
    return zeros - max(0, zeros - 2 * bounds.longest) // step * step


class _Search:
    """How far the search of a file has come."""

    def __init__(self, pattern: LinePattern, bounds: Bounds) -> None:
        self._pattern = pattern
        self._bounds = bounds
        self._number = 1
        self._held = b""
        self._is_long = False
        self._is_given = False

    def feed(self, window: bytes) -> Iterator[Line]:
        """Search on in the next bytes, at most `Bounds.longest`."""
        lines = self._held + window if self._held else window
        if self._is_long:
            end = lines.find(b"\n")
            if end < 0:
                yield from self._search_on(lines)
                return
            yield from self._end_long(lines[:end].removesuffix(b"\r"))
            lines = lines[end + 1 :]
        end = lines.rfind(b"\n") + 1
        yield from self._search_whole(lines[:end])
        self._held = lines[end:]
        if len(self._held) > self._bounds.longest + 1:
            self._is_long = True
            yield from self._search_on(self._held)

    def finish(self) -> Iterator[Line]:
        """Search the last line, if it has no end."""
        if self._is_long:
            yield from self._end_long(self._held)
        else:
            yield from self._search_whole(self._held)

    def _search_whole(self, lines: bytes) -> Iterator[Line]:
        """Search some lines, at most twice `Bounds.longest`, of which one may be too long."""
        if b"\r\n" in lines:
            lines = lines.replace(b"\r\n", b"\n")
        middle = self._bounds.longest
        if len(lines) > middle:
            begin = lines.rfind(b"\n", 0, middle) + 1
            end = lines.find(b"\n", middle)
            end = len(lines) if end < 0 else end
            if end - begin > middle:
                yield from self._search_short(lines[:begin])
                yield from self._end_long(lines[begin:end])
                lines = lines[end + 1 :]
        yield from self._search_short(lines)

    def _search_short(self, lines: bytes) -> Iterator[Line]:
        prepared = self._pattern.prepared(lines)
        position = counted = 0
        while position < len(lines):
            at = self._pattern.first(prepared, position)
            begin = position if at < 0 else max(lines.rfind(b"\n", position, at) + 1, position)
            if at < 0 or begin == len(lines):
                break
            end = lines.find(b"\n", at)
            end = len(lines) if end < 0 else end
            self._number += lines.count(b"\n", counted, begin)
            counted = begin
            found = self._matching(lines[begin:end], cut=False)
            if found is not None:
                yield found
            position = end + 1
        self._number += lines.count(b"\n", counted)

    def _search_on(self, line: bytes, *, is_whole: bool = False) -> Iterator[Line]:
        """Search what is there of a line that is too long, and hold what may be its last piece.

        As long as its end is not there, its last byte may become a part of that.
        """
        start = 0
        most = self._bounds.longest + (not is_whole)
        while not self._is_given and len(line) - start > most:
            piece = line[start : start + self._bounds.longest]
            yield from self._give(self._matching(piece, cut=True))
            start += self._bounds.longest - self._bounds.overlap
        self._held = b"" if self._is_given else line[start:]

    def _end_long(self, line: bytes) -> Iterator[Line]:
        """Search the end of a line that is too long."""
        yield from self._search_on(line, is_whole=True)
        if not self._is_given:
            yield from self._give(self._matching(self._held, cut=True))
        self._held = b""
        self._is_long = self._is_given = False
        self._number += 1

    def _give(self, line: Line | None) -> Iterator[Line]:
        if line is not None:
            self._is_given = True
            yield line

    def _matching(self, line: bytes, *, cut: bool) -> Line | None:
        """What is given of a line, or a piece of one; None when it does not match."""
        regex = self._pattern.regex
        first = regex.search(line)
        if first is None:
            return None
        begin, end = 0, len(line)
        if len(line) > self._bounds.shown:
            begin = max(0, min(first.start() - self._bounds.shown // 4, end - self._bounds.shown))
            end = begin + self._bounds.shown
        shown = line[begin:end]
        spans: list[tuple[int, int]] = []
        for match in regex.finditer(line, first.start()):
            if match.start() >= end:
                break
            if match.end() > match.start():
                spans.append((match.start() - begin, min(match.end(), end) - begin))
        is_cut = cut or len(shown) < len(line)
        return Line(self._number, _text(shown), _characters(shown, spans), is_cut)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _characters(line: bytes, spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Positions of bytes as positions of characters."""
    if line.isascii():
        return tuple(spans)
    found = ((len(_text(line[:begin])), len(_text(line[:end]))) for begin, end in spans)
    return tuple((begin, end) for begin, end in found if begin < end)
