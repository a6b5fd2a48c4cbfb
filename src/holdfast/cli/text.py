"""Text for people: sizes, times, tables, and names that can do a terminal no harm."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_KIB = 1024
_MINUTE = 60
_FIRST_ODD_BYTE, _LAST_ODD_BYTE = 0xDC80, 0xDCFF


def escaped(text: str) -> str:
    r"""The text with everything escaped that does not print: a name may come from anybody.

    Control characters could move the cursor or set colours, and odd bytes (surrogates, as
    `os.fsdecode` makes them) cannot be encoded. Both become ``\x1b``, ``\u202e`` and so on.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    code = ord(character)
    if _FIRST_ODD_BYTE <= code <= _LAST_ODD_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def size(count: int) -> str:
    """A number of bytes in binary units, such as ``1.5 MiB``."""
    if count < _KIB:
        return f"{count} B"
    number = float(count)
    for unit in _UNITS:
        number /= _KIB
        if number < 1000 or unit == _UNITS[-1]:  # noqa: PLR2004 - as 1000 KiB is written 0.98 MiB
            break
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"  # noqa: PLR2004 - three digits


def duration(seconds: float) -> str:
    """Seconds such as ``0.3 s`` or ``2 min 5 s``."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def moment(when: datetime | None) -> str:
    """A time in the local zone, to the second; ``-`` when there is none that can be shown."""
    if when is None:
        return "-"
    try:
        return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return f"{when:%Y-%m-%d %H:%M:%S}Z"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun, such as ``1 file`` or ``3 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def print_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> None:
    """Print columns, aligned with spaces.

    Args:
        heads: what stands above the columns.
        rows: the cells; they are escaped here.
        numbers: columns to align at their right.
    """
    cells = [heads, *([escaped(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(cell))
            aligned.append(space + cell if number in numbers else cell + space)
        print("  ".join(aligned).rstrip())


def _width(text: str) -> int:
    """How many columns of a terminal it takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    marks = sum(unicodedata.combining(each) != 0 for each in text)
    return len(text) + wide - marks
