"""What a backup compares with, and how a snapshot says which kind it is."""

from __future__ import annotations

from enum import StrEnum

from holdfast.errors import UsageError
from holdfast.model.snapshot import Snapshot

PREFIX = "type:"
"""What the tag begins with by which a snapshot says how it was made."""


class BackupType(StrEnum):
    """What a backup compares with.

    Every snapshot is complete, so none needs another to be restored: the kinds differ only in
    what is read. A snapshot of this manager says which it is by a tag such as ``type:full``.
    """

    FULL = "full"
    """With nothing: every file is read again. What is stored already is not stored twice."""

    INCREMENTAL = "incremental"
    """With the latest snapshot of the same host and sources."""

    DIFFERENTIAL = "differential"
    """With the latest full one of the same host and sources."""

    @property
    def tag(self) -> str:
        """The tag of snapshots of this kind."""
        return PREFIX + self.value

    @classmethod
    def parse(cls, word: BackupType | str) -> BackupType:
        """From its name in any case (UsageError for another word)."""
        try:
            return cls(word.lower())
        except ValueError:
            raise UsageError(
                f"unknown backup type {word!r}: choose one of {', '.join(cls)}"
            ) from None

    @classmethod
    def of(cls, snapshot: Snapshot) -> BackupType | None:
        """How a snapshot was made; None when it does not say."""
        return next((kind for kind in cls if kind.tag in snapshot.tags), None)
