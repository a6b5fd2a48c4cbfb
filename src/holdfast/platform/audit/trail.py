"""The audit trail of a machine: what was done, in a file that only grows."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.errors import AccessDenied, BackendError, RepositoryError, UsageError
from holdfast.platform.audit.chain import AuditVerification, ChainVerifier
from holdfast.platform.audit.entry import (
    JSON,
    RESULTS,
    TORN,
    TRAIL,
    AuditEntry,
    BadEntry,
    canonical,
    decode,
    iso,
)
from holdfast.platform.audit.lines import (
    LINE_LIMIT,
    entries_from_behind,
    part,
    read_lines,
    reading,
    tail,
)
from holdfast.platform.audit.notes import AnchorNote, AnchorNotes
from holdfast.platform.audit.redact import redacted
from holdfast.platform.audit.writing import append_entry
from holdfast.present import LazyRows, lazy_rows_of
from holdfast.primitives.hashing import digest_of
from holdfast.version import __version__

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.store import AuditAnchor

_log = logging.getLogger(__name__)
_audit = logging.getLogger("audit")

PROGRAM = f"holdfast {__version__}"

MOST_UNSEEN = 16
"""Anchors that are put into a repository without a look at those that are there."""


class AuditTrail:
    """A file of entries, each of which holds the hash of the one before.

    Safe to share between threads; any number of processes may append to one file.

    Args:
        file: made with its folder when something is first recorded, for its owner only.
        clock: what time it is.
        required: raise where an entry cannot be written. Otherwise that is a warning in the log: a
            full disk for the trail does not make a backup that was made a failed one.
    """

    def __init__(
        self, file: str | os.PathLike[str], clock: Clock = SYSTEM_CLOCK, *, required: bool = False
    ) -> None:
        self.file = Path(file).absolute()
        self.clock = clock
        self.required = required

    def record(
        self,
        event: str,
        *,
        result: str = "ok",
        repository: str = "",
        snapshot: str = "",
        details: Mapping[str, JSON] | None = None,
    ) -> AuditEntry:
        """Append an entry, durably, and tell the logger named ``audit`` of it.

        Args:
            event: what was done, such as ``backup``.
            result: ``ok``, ``partial``, ``failed`` or ``denied``.
            repository: its id.
            snapshot: its id.
            details: what else is known. Values that look like secrets are masked.

        Returns:
            The entry; with no hash and the sequence -1 if it could not be written.

        Raises:
            UsageError: there is no such result, or the event is one of the trail's own.
            OSError: it cannot be written, and the trail is required.
        """
        if result not in RESULTS:
            raise UsageError(f"{result!r} is no result of an event: {', '.join(RESULTS)}")
        if event in (TRAIL, TORN):
            raise UsageError(f"{event!r} is an event of the trail itself")
        entry = AuditEntry(
            sequence=-1,
            time=iso(self.clock.now_ns()),
            event=event,
            result=result,
            user=_login_name(),
            uid=os.geteuid(),
            host=os.uname().nodename,
            program=PROGRAM,
            repository=repository,
            snapshot=snapshot,
            details=_bounded(details or {}),
            previous="",
        )
        try:
            entry = append_entry(self.file, entry)
        except OSError as error:
            if self.required:
                raise
            _log.warning(
                "%s: the audit trail cannot be written, and lacks %s: %s",
                self.file, event, error.strerror or error,
            )  # fmt: skip
        _audit.info("%s", _as_line(entry))
        return entry

    def head(self) -> AuditEntry | None:
        """The last entry; None if nothing was recorded yet.

        Raises:
            OSError: the file cannot be read.
        """
        with reading(self.file) as stream:
            return None if stream is None else tail(stream.fileno()).last

    def entries(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        repository: str | None = None,
        event: str | None = None,
    ) -> LazyRows[AuditEntry]:
        """The entries that match, oldest first; lines that are none are passed over.

        What they say is only as good as the chain: `verify` looks at that.

        Args:
            since: the earliest time.
            until: the latest time.
            repository: its id, or how that begins.
            event: what was done.

        Raises:
            OSError: the file cannot be read.
        """

        def search() -> Iterator[AuditEntry]:
            for entry in self._entries():
                if (
                    (since is None or entry.when >= since)
                    and (until is None or entry.when <= until)
                    and (repository is None or entry.repository.startswith(repository))
                    and (event is None or entry.event == event)
                ):
                    yield entry

        return lazy_rows_of(AuditEntry, search, f"Audit trail {self.file}")

    def _entries(self) -> Iterator[AuditEntry]:
        """All of them."""
        for line in read_lines(self.file):
            with suppress(BadEntry):
                yield decode(line.data)

    def verify(self, anchors: Iterable[AuditAnchor] = ()) -> AuditVerification:
        """Look at every line: whether anything was edited, put in, taken out, moved or cut off.

        Whoever may write the file can cut off its end, or write all of it anew, so that only
        anchors show it.

        Args:
            anchors: what repositories have of this and other trails (`Repository.audit_anchors`).

        Raises:
            OSError: the file cannot be read.
        """
        chain = ChainVerifier(anchors, (os.uname().nodename, str(self.file)), self._digest)
        for line in read_lines(self.file):
            chain.take(line)
        return chain.finish()

    def anchor(self, repository: Repository, *, quick: bool = False) -> AuditAnchor | None:
        """Put into a repository how far the trail has come.

        Anchors of before, which say less, are removed where that is allowed. One that says
        something else than the trail stays, and is told of as a warning in the log: the trail was
        cut off or rewritten.

        Args:
            repository: an open one.
            quick: do not look at the anchors of before, which costs more requests than all the
                rest of an unchanged backup; unless this machine remembers none there, has put 16
                since a look, or remembers one with which the trail does not agree.

        Returns:
            The anchor that is there now. None if nothing was recorded yet, and where it could not
            be put: nobody's work fails for that, and the next one makes up for it.
        """
        try:
            return self._anchor(repository, quick=quick)
        except AccessDenied as error:
            _log.debug("%s: the audit trail is not anchored: %s", repository.location, error)
        except (BackendError, RepositoryError, UsageError) as error:
            _log.warning("%s: the audit trail is not anchored: %s", repository.location, error)
        except OSError as error:
            _log.warning("%s: the audit trail cannot be read: %s", self.file, error.strerror)
        return None

    def _anchor(self, repository: Repository, *, quick: bool) -> AuditAnchor | None:
        head, trail = self.head(), self.id
        if head is None:
            return None
        if not trail:
            raise UsageError(
                f"{self.file} does not begin with its id: run `holdfast audit verify`, and keep "
                "the file elsewhere to begin a new one"
            )
        notes = AnchorNotes(self.file)
        last = notes.last(repository.id)
        if quick and last is not None and self._continues(last, trail, head.sequence):
            unseen = last.unseen + 1
            anchor = repository.anchor_audit(trail, head.sequence, head.hash, place=str(self.file))
        else:
            unseen = 0
            anchor = self._anchor_in_place(repository, trail, head)
        notes.put(repository.id, AnchorNote(trail, anchor.sequence, anchor.digest, unseen))
        return anchor

    def _continues(self, last: AnchorNote, trail: str, sequence: int) -> bool:
        """Whether the trail has only grown since an anchor, which needs no look at the others."""
        return (
            last.trail == trail
            and last.sequence < sequence
            and last.unseen < MOST_UNSEEN
            and self._has(last)
        )

    def _anchor_in_place(self, repository: Repository, trail: str, head: AuditEntry) -> AuditAnchor:
        """Put an anchor in the place of those that are there."""
        anchors = repository.audit_anchors(trail)
        newest = next(anchors, None)
        if newest is not None and newest.sequence >= head.sequence and self._has(newest):
            return newest  # put by a process beside us
        anchor = repository.anchor_audit(trail, head.sequence, head.hash, place=str(self.file))
        if newest is not None:
            self._drop(chain([newest], anchors), repository)
        return anchor

    def _drop(self, anchors: Iterable[AuditAnchor], repository: Repository) -> None:
        """Remove anchors that say less than the newest one, as far as that is allowed."""
        for each in anchors:
            if not self._has(each):
                _log.warning(
                    "%s: this is not the audit trail that was anchored in %s: it was cut off or "
                    "rewritten; run `holdfast audit verify`",
                    self.file,
                    repository.location,
                )
                return
            try:
                repository.drop_audit_anchor(each)
            except AccessDenied as error:
                _log.debug("the anchors of before stay: %s", error)
                return

    def _has(self, anchor: AuditAnchor | AnchorNote) -> bool:
        """Whether the trail has the entry that an anchor tells of."""
        with reading(self.file) as stream:
            if stream is not None:
                for entry in entries_from_behind(stream.fileno()):
                    if entry.sequence <= anchor.sequence:
                        return (entry.sequence, entry.hash) == (anchor.sequence, anchor.digest)
        return False

    @property
    def id(self) -> str:
        """32 hexadecimal digits; "" if nothing was recorded yet."""
        first = next(self.entries(), None)
        return "" if first is None else str(first.details.get("trail", ""))

    def _digest(self, start: int, end: int) -> str:
        with reading(self.file) as stream:
            return "" if stream is None else digest_of(part(stream.fileno(), start, end)).hex()


def _bounded(details: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Details without secrets; of what is too long for a line only its size."""
    safe = {name: redacted(each, name) for name, each in details.items()}
    size = len(canonical(safe))
    return safe if size <= LINE_LIMIT // 2 else {"omitted": f"details of {size} bytes"}


def _as_line(entry: AuditEntry) -> str:
    """An entry as the log has it."""
    record = {name: value for name, value in entry.dict().items() if value not in ("", {})}
    return canonical(record).decode("ascii")


def _login_name() -> str:
    """Who logged in, which stays the same through `sudo`; the process's user if nobody did."""
    uid = os.geteuid()
    try:
        found = int(Path("/proc/self/loginuid").read_text("ascii"))
    except (OSError, ValueError):
        found = _NOBODY
    if found != _NOBODY:
        uid = found
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


_NOBODY = 0xFFFF_FFFF
"""The login uid of a process that nobody's login started (proc_pid_loginuid(5))."""
