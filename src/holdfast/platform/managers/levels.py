"""How thorough a validation is: one scale, and all the words for its steps."""

from __future__ import annotations

from enum import IntEnum

from holdfast.errors import UsageError


class IntegrityLevel(IntEnum):
    """How thorough a validation is; each level does all of those before it.

    The words for a level are its name in lower case, and those of `parse`.
    """

    BASIC = 1
    """Everything that snapshots need is there, and has the size that it must have."""

    STANDARD = 2
    """And all structure and metadata are read and authentic."""

    THOROUGH = 3
    """And every pack agrees with the index, and a sample of the data is read."""

    FORENSIC = 4
    """And all data is read, and a snapshot is restored on trial and compared."""

    @classmethod
    def parse(cls, level: IntegrityLevel | str) -> IntegrityLevel:
        """A level from a word for it.

        Args:
            level: ``basic`` or ``quick``; ``standard``; ``thorough`` or ``full_check``;
                ``forensic``, ``read_data`` or ``comprehensive``. Case and ``-`` for ``_`` are
                the same.

        Raises:
            UsageError: it is none of these.
        """
        if isinstance(level, IntegrityLevel):
            return level
        found = _WORDS.get(level.strip().lower().replace("-", "_"))
        if found is None:
            raise UsageError(f"unknown level {level!r}: choose one of {', '.join(_WORDS)}")
        return found


_WORDS = {
    "basic": IntegrityLevel.BASIC,
    "quick": IntegrityLevel.BASIC,
    "standard": IntegrityLevel.STANDARD,
    "thorough": IntegrityLevel.THOROUGH,
    "full_check": IntegrityLevel.THOROUGH,
    "forensic": IntegrityLevel.FORENSIC,
    "read_data": IntegrityLevel.FORENSIC,
    "comprehensive": IntegrityLevel.FORENSIC,
}
