"""What this machine remembers of the anchors that it has put, so as not to ask for them each time.

To look at the anchors that are there costs more requests than all the rest of a small backup. The
notes stand beside the trail; without them, or where the trail contradicts them, there is a look.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_log = logging.getLogger(__name__)


class AnchorNote(NamedTuple):
    """The last anchor that was put into a repository.

    Attributes:
        trail: the trail's id.
        sequence: number of the entry that it pins.
        digest: hash of that entry.
        unseen: how many were put since the anchors that are there were looked at.
    """

    trail: str
    sequence: int
    digest: str
    unseen: int


class AnchorNotes:
    """The notes of one trail, by repository. Losing them costs a few requests.

    Args:
        trail: the trail's file; the notes are beside it.
    """

    def __init__(self, trail: Path) -> None:
        self._file = trail.with_name(f"{trail.name}.anchors")

    def last(self, repository: str) -> AnchorNote | None:
        """The note of a repository, by its id; None where there is none that makes sense."""
        match self._read().get(repository):
            case [str(trail), int(sequence), str(digest), int(unseen)]:
                return AnchorNote(trail, sequence, digest, unseen)
            case _:
                return None

    def put(self, repository: str, note: AnchorNote) -> None:
        """Note down an anchor; where that fails, the next time the anchors are looked at."""
        notes = {**self._read(), repository: list(note)}
        try:
            handle, temporary = tempfile.mkstemp(dir=self._file.parent, prefix=self._file.name)
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump(notes, file)
                Path(temporary).replace(self._file)
            except BaseException:
                with suppress(FileNotFoundError):
                    Path(temporary).unlink()
                raise
        except OSError as error:
            _log.debug("%s cannot be written: %s", self._file, error)

    def _read(self) -> dict[str, object]:
        try:
            notes = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return notes if isinstance(notes, dict) else {}
