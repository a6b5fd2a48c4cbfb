"""What is kept of every recovery: what it was to do, how it ended, and what undoes it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

from holdfast.errors import UsageError
from holdfast.platform.managers.recording import iso, moment
from holdfast.platform.workspace import Workspace

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What a recovery was to do.

    Attributes:
        path: what of the snapshot was to be restored, absolute.
        existed: whether the target was there before.
        include: patterns; None for everything.
        exclude: patterns; None for nothing.
        overwrite: policy on what exists.
        delete: whether what the snapshot does not have was to be removed.
        devices: whether device nodes were to be created.
        undoable: whether it was to be one that can be undone.
        began: whether writing to the target may have begun.
    """

    path: str
    existed: bool
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    overwrite: str = "always"
    delete: bool = False
    devices: bool = False
    undoable: bool = False
    began: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery.

    Attributes:
        id: 16 hexadecimal digits.
        repository: id of the repository.
        snapshot: id of the snapshot.
        target: absolute path of the directory, without symbolic links; or a URI.
        started_ns: when it began, nanoseconds since the Unix epoch.
        ended_ns: when it ended; None while it runs, or if it was killed.
        state: ``running``, ``done``, ``partial`` (some of it failed), ``failed``, ``undone``.
        safety: id of the snapshot of what was there before; None if nothing was kept.
        request: what it was to do.
        outcome: what it did, or why it failed; of one that ended, ``failed`` has the paths below
            the target that may be half changed (None when that is not known), and ``spared`` those
            that undoing it left alone.
    """

    id: str
    repository: str
    snapshot: str
    target: str
    started_ns: int
    ended_ns: int | None
    state: str
    safety: str | None
    request: Request
    outcome: dict[str, object]

    @property
    def started(self) -> datetime:
        """When it began, in UTC."""
        return moment(self.started_ns)

    @property
    def can_be_undone(self) -> bool:
        """Whether it was made so, and is not undone yet."""
        return self.request.undoable and self.state != "undone"

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes, times in ISO 8601, and those of the request."""
        return {
            "recovery": self.id,
            "repository": self.repository,
            "snapshot_id": self.snapshot,
            "target": self.target,
            "started": iso(self.started_ns),
            "ended": iso(self.ended_ns),
            "state": self.state,
            "safety": self.safety,
            "undoable": self.can_be_undone,
            "request": asdict(self.request),
            "outcome": self.outcome,
        }


class Recoveries:
    """The recoveries that a workspace knows of."""

    def __init__(self, workspace: Workspace) -> None:
        """Of that workspace."""
        self._workspace = workspace

    def begin(self, repository: str, snapshot: str, target: str, request: Request) -> Recovery:
        """Keep that a recovery begins."""
        made = Recovery(
            id=secrets.token_hex(8),
            repository=repository,
            snapshot=snapshot,
            target=target,
            started_ns=self._workspace.clock.now_ns(),
            ended_ns=None,
            state="running",
            safety=None,
            request=request,
            outcome={},
        )
        self._workspace.database.connection.execute(
            "INSERT INTO recoveries VALUES (?, ?, ?, ?, ?, NULL, 'running', NULL, ?)",
            (made.id, repository, snapshot, _shown(target), made.started_ns, _document(made)),
        )
        return made

    def store(self, recovery: Recovery) -> None:
        """Keep how a recovery stands."""
        self._workspace.database.connection.execute(
            "UPDATE recoveries SET ended_ns = ?, state = ?, safety = ?, result = ? WHERE id = ?",
            (recovery.ended_ns, recovery.state, recovery.safety, _document(recovery), recovery.id),
        )

    def end(self, recovery: Recovery) -> None:
        """Keep how a recovery ended, if that can be: what it did is done in any case.

        One that is said to run, but is not at work, can be undone as if it had been killed.
        """
        try:
            self.store(recovery)
        except (sqlite3.Error, OSError) as error:
            _log.warning("how recovery %s ended is not recorded: %s", recovery.id, error)

    def all(self, repository: str | None = None) -> list[Recovery]:
        """The recoveries, newest first; of all repositories when none is named."""
        rows = self._workspace.database.connection.execute(
            "SELECT * FROM recoveries WHERE ? IS NULL OR repository = ? "
            "ORDER BY started_ns DESC, rowid DESC",
            (repository, repository),
        )
        return [_recovery(row) for row in rows]

    def find(self, repository: str, name: str | None) -> Recovery:
        """A recovery of a repository by its id or the beginning of it.

        Args:
            repository: id of the repository.
            name: None for the newest that can be undone.

        Raises:
            UsageError: there is none, or several begin so.
        """
        known = self.all(repository)
        if name is None:
            known = [each for each in known if each.can_be_undone]
            if not known:
                raise UsageError("no recovery from this repository can be undone")
            return known[0]
        found = [each for each in known if each.id.startswith(name.lower())]
        if len(found) != 1 or not name:
            problem = "several recoveries begin so" if found else "there is no such recovery"
            raise UsageError(f"recovery {name!r}: {problem}")
        return found[0]

    @contextmanager
    def at_work(self, recovery: Recovery) -> Iterator[None]:
        """Let nobody else work on a recovery, in this process or another.

        Raises:
            UsageError: somebody does.
        """
        folder = self._workspace.folder / "recoveries"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{recovery.id}.lock"
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_ours = os.path.samestat(os.fstat(descriptor), file.stat())
            except (BlockingIOError, FileNotFoundError):  # or it was, until this moment
                is_ours = False
            if not is_ours:
                raise UsageError(f"recovery {recovery.id} is being worked on")
            yield
            file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _document(recovery: Recovery) -> str:
    return json.dumps(
        {
            "target": recovery.target,
            "request": asdict(recovery.request),
            "outcome": recovery.outcome,
        }
    )


def _shown(target: str) -> str:
    """A path as text that every program can read; the document has the very name."""
    return os.fsencode(target).decode(errors="backslashreplace")


def _recovery(row: sqlite3.Row) -> Recovery:
    about = json.loads(row["result"])
    request = about["request"]
    for name in ("include", "exclude"):
        request[name] = None if request[name] is None else tuple(request[name])
    return Recovery(
        id=row["id"],
        repository=row["repository"],
        snapshot=row["snapshot"],
        target=about["target"],
        started_ns=row["started_ns"],
        ended_ns=row["ended_ns"],
        state=row["state"],
        safety=row["safety"],
        request=Request(**request),
        outcome=about["outcome"],
    )
