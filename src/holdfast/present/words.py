"""Values as people read them: sizes, durations, times, and names that can do no harm."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_KIB = 1024
_MINUTE = 60
_FIRST_ODD_BYTE, _LAST_ODD_BYTE = 0xDC80, 0xDCFF


def escaped(text: str) -> str:
    r"""The text with everything escaped that does not print: a name may come from anybody.

    Control characters could move the cursor or set colours, others turn the direction of writing,
    and odd bytes (surrogates, as `os.fsdecode` makes them) cannot be encoded. They become
    ``\x1b``, ``\u202e`` and so on.
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
    if abs(count) < _KIB:
        return f"{count} B"
    number = float(abs(count))
    for unit in _UNITS:
        number /= _KIB
        if number < 1000 or unit == _UNITS[-1]:  # noqa: PLR2004 - as 1000 KiB is written 0.98 MiB
            break
    digits = 2 if number < 10 else 1 if number < 100 else 0  # noqa: PLR2004 - three in all
    return f"{'-' * (count < 0)}{number:.{digits}f} {unit}"


def duration(seconds: float) -> str:
    """Seconds such as ``0.3 s`` or ``2 min 5 s``."""
    if seconds < _MINUTE or not math.isfinite(seconds):
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun, such as ``1 file`` or ``3 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def minute(when: datetime) -> str:
    """A time to the minute in UTC, such as ``2026-11-22 02:31``."""
    try:
        when = when.astimezone(UTC)
    except OverflowError:  # hours from the first or the last year that there is
        return when.isoformat(" ", "minutes")
    return when.replace(tzinfo=None).isoformat(" ", "minutes")
