"""What a prune is told."""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.errors import UsageError

EXPIRE_AFTER = 1800.0
"""Seconds without a sign of life after which a session may be declared dead."""

_SIZE = re.compile(r"(?ai)([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:i?B)?")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True)
class MaxUnused:
    """How much unneeded data may stay in packs that hold needed data too.

    Attributes:
        share: of what the packs take together, 0 to 1; None when it is a size.
        size: bytes; None when it is a share, or unlimited.
    """

    share: float | None
    size: int | None

    @classmethod
    def parse(cls, given: str | int) -> MaxUnused:
        """From ``5%``, a size such as ``200M`` or a number of bytes, or ``unlimited``.

        Raises:
            UsageError: it is none of these.
        """
        text = str(given).strip()
        if text == "unlimited":
            return cls(None, None)
        if (match := _PERCENT.fullmatch(text)) and (share := float(match[1]) / 100) < 1:
            return cls(share, None)
        if match := _SIZE.fullmatch(text):
            return cls(None, int(float(match[1]) * _UNITS[match[2].upper()]))
        raise UsageError(
            f"{given!r} is neither a share such as 5%, a size such as 200M, nor `unlimited`"
        )

    def bytes(self, used: int) -> float:
        """Most unneeded bytes beside so many that are needed."""
        if self.share is not None:
            return used * self.share / (1 - self.share)
        return float("inf") if self.size is None else self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """What a prune is told.

    Attributes:
        max_unused: how much unneeded data may stay.
        max_repack_size: most bytes of needed data that are stored anew; all when None.
        recompress: store anew what was compressed at another level than the repository's.
        dry_run: only find out what would be done.
        wait: wait for the sessions that may still build upon what goes.
        expire_after: seconds of silence after which a session is declared dead.
        force: go on when nothing, or less than half, would be left.
        no_other_writers: nobody else works on the repository, says the operator; asked for on
            storages that cannot put-if-absent.
        about: what the session says of itself.
    """

    about: dict[str, object]
    max_unused: MaxUnused
    max_repack_size: int | None = None
    recompress: bool = False
    dry_run: bool = False
    wait: bool = False
    expire_after: float = EXPIRE_AFTER
    force: bool = False
    no_other_writers: bool = False
