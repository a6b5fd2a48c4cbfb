"""Appending an entry, after whatever a crash has left at the end of the file."""

from __future__ import annotations

import secrets
from dataclasses import replace
from itertools import chain
from pathlib import Path

from holdfast.platform.audit.chain import said_of_rest
from holdfast.platform.audit.entry import BEGINNING, JSON, TORN, TRAIL, AuditEntry, encode, hashed
from holdfast.platform.audit.lines import CANCELLED, append, appending, part, tail
from holdfast.primitives.hashing import digest_of


def append_entry(file: Path, entry: AuditEntry) -> AuditEntry:
    """Link an entry to the last one and append it, durably; returns it as it was written.

    A new file gets an entry with the trail's id first. Bytes at the end that never became a line
    are closed off, and an entry says what they were: nothing is ever removed.

    Raises:
        OSError: it cannot be written.
    """
    with appending(file) as descriptor:
        found = tail(descriptor)
        new = _Links(found.last)
        if found.last is None:
            new.add(_own(entry, TRAIL, {"trail": secrets.token_hex(16)}))
        end = b"" if found.is_ended else b"\n"
        if found.rest < found.end:
            end = b"" if found.is_ended else CANCELLED + b"\n"
            rest = digest_of(chain(part(descriptor, found.rest, found.end), [end]))
            size = found.end - found.rest + len(end)
            new.add(_own(entry, TORN, said_of_rest(size, rest.hex())))
        added = new.add(entry)
        append(descriptor, end + new.lines)
    return added


def _own(entry: AuditEntry, event: str, details: dict[str, JSON]) -> AuditEntry:
    """An entry of the trail's own, by whoever makes another one."""
    return replace(entry, event=event, result="ok", repository="", snapshot="", details=details)


class _Links:
    """Lines to append, each linked to the one before."""

    def __init__(self, last: AuditEntry | None) -> None:
        self.lines = b""
        self._sequence = 0 if last is None else last.sequence + 1
        self._previous = BEGINNING if last is None else last.hash

    def add(self, entry: AuditEntry) -> AuditEntry:
        entry = replace(entry, sequence=self._sequence, previous=self._previous, hash="")
        entry = replace(entry, hash=hashed(entry))
        self.lines += encode(entry) + b"\n"
        self._sequence += 1
        self._previous = entry.hash
        return entry
