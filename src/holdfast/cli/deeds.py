"""What a command has done that the audit trail has to know of: the one place that says so."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from holdfast import HoldfastError, UsageError, WrongPassword
from holdfast.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from holdfast import Repository
    from holdfast.platform.audit import JSON, AuditTrail

_log = logging.getLogger(__name__)

EVENTS: Mapping[str, str] = {
    "init": "init",
    "create": "backup",
    "tag": "tag",
    "forget": "forget",
    "undelete": "undelete",
    "restore": "restore",
    "dump": "restore",
    "mount": "restore",
    "serve": "restore",
    "validate": "check",
    "copy": "copy",
    "rewrite": "rewrite",
    "prune": "prune",
    "key add": "key",
    "key remove": "key",
    "key passwd": "key",
    "key recovery": "key",
    "key rotate": "key",
    "repair index": "repair",
    "repair packs": "repair",
    "repair snapshots": "repair",
    "sessions": "session",
}
"""The commands that leave an entry in the audit trail, and its event."""

_NOTED = frozenset({"create", "tag", "forget", "undelete", "restore", "copy", "rewrite", "prune"})
"""Those of them that note what they have done before they tell of it."""

_READ_ONLY = frozenset({"restore", "dump", "mount", "serve", "validate"})
"""Those of them that write nothing to the repository."""

_ROUTINE = frozenset({"create"})
"""Those of them that are done so often that every request counts."""

_UNTOLD = frozenset(
    {"repository", "further_storage_option", "other_storage_option", "new_password_command"}
)
"""Arguments that entries leave out: the location is told anyway, the others may hold secrets."""


@dataclass
class _Opened:
    """A repository that was opened, and what became of it."""

    repository: Repository
    role: str
    snapshots: list[str] = field(default_factory=list)
    result: str = ""
    is_noted: bool = False


@dataclass
class Deeds:
    """Collects what a command does, and records it when the command has ended.

    Attributes:
        context: the command's, with its arguments; None until it opens a repository.
    """

    context: click.Context | None = None
    _opened: list[_Opened] = field(default_factory=list)
    _failed: list[tuple[str, str, HoldfastError]] = field(default_factory=list)

    def begin(self) -> None:
        """Note which command opens a repository."""
        self.context = click.get_current_context(silent=True)

    def opened(self, repository: Repository, role: str) -> None:
        """Note a repository that was opened; its role is the name of its flags."""
        self._opened.append(_Opened(repository, role))

    def not_opened(self, location: str, role: str, error: HoldfastError) -> None:
        """Note a repository that could not be opened."""
        self._failed.append((location, role, error))

    def note(self, location: str, snapshots: Iterable[str], result: str = "") -> None:
        """Note what was done in one of the repositories.

        Args:
            location: of the repository.
            snapshots: ids of those that were made, removed, changed or restored.
            result: where it is another than the whole command's.
        """
        for each in self._opened:
            if each.repository.location == location:
                each.snapshots += snapshots
                each.result = result or each.result
                each.is_noted = True

    def close(self) -> None:
        """Close the repositories."""
        for each in self._opened:
            each.repository.close()

    def record(self, outcome: BaseException | int | None) -> None:
        """Put down what was done, if it is of a kind that the trail has to know of.

        Args:
            outcome: how the command has ended.
        """
        if self.context is None:
            return
        verb = _verb(self.context)
        deeds = list(self._entries(verb, outcome))
        if not deeds:
            return
        from holdfast.platform.audit import AuditTrail
        from holdfast.platform.folder import default_trail

        try:
            trail = AuditTrail(default_trail())
        except UsageError as error:
            _log.warning("nothing is put down in the audit trail: %s", error)
            return
        for deed in deeds:
            trail.record(
                deed.event,
                result=deed.result,
                repository=deed.repository,
                snapshot=deed.snapshots[0] if len(deed.snapshots) == 1 else "",
                details=deed.details,
            )
        if not isinstance(outcome, BaseException):
            self._anchor(trail, verb)

    def _anchor(self, trail: AuditTrail, verb: str) -> None:
        if verb not in _READ_ONLY:
            for each in self._opened:
                if each.role in _written(verb):
                    trail.anchor(each.repository, quick=verb in _ROUTINE)

    def _entries(self, verb: str, outcome: BaseException | int | None) -> Iterator[_Deed]:
        """What there is to record of a command."""
        if self.context is None:
            return
        about: dict[str, JSON] = {"command": verb, "arguments": _arguments(self.context)}
        yield from self._of_failed(verb, about)
        was_begun = all(error is not outcome for _, _, error in self._failed)
        if was_begun and verb in EVENTS and not _changes_nothing(verb, self.context.params):
            yield from self._of_opened(verb, about, outcome)

    def _of_failed(self, verb: str, about: Mapping[str, JSON]) -> Iterator[_Deed]:
        for location, role, error in self._failed:
            told = {**about, "location": _absolute(location), "error": str(error)}
            if isinstance(error, WrongPassword):
                yield _Deed("open-failed", "denied", "", [], told)
            elif verb in EVENTS and role in _written(verb):
                yield _Deed(EVENTS[verb], "failed", "", [], told)

    def _of_opened(
        self, verb: str, about: Mapping[str, JSON], outcome: BaseException | int | None
    ) -> Iterator[_Deed]:
        for each in self._opened:
            if each.role not in _written(verb):
                continue
            told = {**about, "location": _absolute(each.repository.location)}
            if isinstance(outcome, BaseException):
                told["error"] = str(outcome) or type(outcome).__name__
            if len(each.snapshots) > 1:
                told["snapshots"] = each.snapshots
            result = each.result or _result(verb, outcome, is_noted=each.is_noted)
            yield _Deed(EVENTS[verb], result, each.repository.id, each.snapshots, told)


class _Deed(NamedTuple):
    """An entry to be made."""

    event: str
    result: str
    repository: str
    snapshots: list[str]
    details: dict[str, JSON]


def _written(verb: str) -> frozenset[str]:
    """In which roles repositories are those that a command is about; "" is that of -b."""
    return frozenset({"TO"} if verb == "copy" else {"", "OTHER"})


def _verb(context: click.Context) -> str:
    """The command's name, and that of its group: ``key add``."""
    names = []
    at: click.Context | None = context
    while at is not None and at.parent is not None:
        names.append(at.command.name or "")
        at = at.parent
    return " ".join(reversed(names))


def _changes_nothing(verb: str, params: Mapping[str, object]) -> bool:
    """Whether a command was only asked what it would do, or to list something."""
    return bool(
        params.get("dry_run")
        or (verb.startswith("repair ") and not params.get("apply"))
        or (verb == "undelete" and not params.get("snapshot"))
        or (verb == "sessions" and params.get("expire") is None)
    )


def _result(verb: str, outcome: BaseException | int | None, *, is_noted: bool) -> str:
    if isinstance(outcome, BrokenPipeError) and verb not in _NOTED:
        return "partial"  # how much of it was done, or found, nobody wanted to hear
    if isinstance(outcome, BrokenPipeError) and is_noted:
        return "ok"  # it was done; only nobody wanted to hear of it
    if isinstance(outcome, BaseException):
        return "failed"
    if not outcome:
        return "ok"
    return "failed" if verb == "validate" and outcome == ExitCode.DAMAGED else "partial"


def _absolute(location: str) -> str:
    """A location that means the same wherever it is read."""
    return location if "://" in location else os.path.abspath(location)  # noqa: PTH100 - as text


def _arguments(context: click.Context) -> dict[str, JSON]:
    """What was typed, without what may hold a secret."""
    untold = _UNTOLD | ({"path"} if context.params.get("command") else set())
    return {
        name: _plain(value)
        for name, value in context.params.items()
        if name not in untold and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def _plain(value: object) -> JSON:
    match value:
        case str() | int() | float() | None:
            return value
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return str(value)
