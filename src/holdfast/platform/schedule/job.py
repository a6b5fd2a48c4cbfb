"""What a job does: its configuration, read strictly, and kept without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from holdfast.errors import UsageError
from holdfast.model.retention import RetentionPolicy
from holdfast.platform.schedule.keys import Keys
from holdfast.platform.schedule.references import check_references, refuse_secrets

RETRIES = 2
"""How often a run that failed is tried again, unless the job says otherwise."""

RETRY_DELAY = 60
"""Seconds until the first of these; each further one waits twice as long as the one before."""

MOST_DELAY = 3600
"""No wait for a further try is longer: seconds."""

HOOK_TIMEOUT = 300
"""Seconds that a hook may take, unless the job says otherwise."""

KEYS = frozenset(
    {
        *("name", "sources", "backend", "password_file", "tags", "retention_policy"),
        *("notification", "action", "operation", "full_check", "compliance_framework", "protocol"),
        *("password", "password_command", "storage_options", "exclude", "backup_type", "read_data"),
        *("to", "to_password", "to_password_file", "to_password_command", "to_storage_options"),
        *("drill", "max_rpo_minutes", "priority", "retries", "retry_delay", "hooks"),
        *("time_zone", "enabled"),
    }
)
"""Every key of a job's configuration; the guide tells them."""

_FILLED_IN = frozenset(
    {
        *("backend", "password", "password_file", "password_command", "storage_options"),
        *("to", "to_password", "to_password_file", "to_password_command", "to_storage_options"),
        *("sources", "tags", "exclude", "drill"),
    }
)
"""The keys in whose values ``${VAR}`` is replaced when the job runs."""

_HOOK_KEYS = ("before", "after", "on_failure", "timeout")
_NOTIFICATION_KEYS = ("email", "channels", "on_success", "on_failure")
_YEAR = 366 * 24 * 60


class Operation(StrEnum):
    """What a job does."""

    BACKUP = "backup"
    VALIDATE = "validate"
    DRILL = "drill"
    PRUNE = "prune"
    COPY = "copy"


class Priority(IntEnum):
    """Which of several jobs that are due goes first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Access:
    """How a repository is opened.

    Attributes:
        backend: where it is.
        password: a reference ``${VAR}``.
        password_file, password_command: where the password comes from.
        storage_options: for its store's driver.
    """

    backend: str
    password: str | None = None
    password_file: str | None = None
    password_command: str | tuple[str, ...] | None = None
    storage_options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Programs that are run around a job, each a list of arguments.

    Attributes:
        before: run first; if it fails, the job is not run.
        after: run last, whatever became of the rest.
        on_failure: run when the job failed.
        timeout: seconds that each may take.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    on_failure: tuple[str, ...] = ()
    timeout: int = HOOK_TIMEOUT


@dataclass(frozen=True, slots=True)
class Notification:
    """Whom to tell about runs.

    Attributes:
        to: words for channels, such as addresses; nobody in particular when empty.
        on_success, on_failure: of which runs.
    """

    to: tuple[str, ...] = ()
    on_success: bool = False
    on_failure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """What a job does, checked.

    Attributes:
        name: for people.
        operation: what it does.
        access: the repository; None for that of the scheduler's backup manager.
        to: of a copy, the repository that is copied to.
        sources, tags, exclude, backup_type: of a backup.
        retention_policy: of a prune; of a backup, by what it prunes afterwards.
        full_check, read_data: of a validation.
        drill: of a drill, its configuration.
        compliance_framework, protocol: what the job is for.
        max_rpo_minutes: how old the newest snapshot may get; None for any age.
        priority, retries, retry_delay: see `Priority`, `RETRIES`, `RETRY_DELAY`.
        hooks, notification: see there.
    """

    name: str
    operation: Operation
    access: Access | None
    to: Access | None = None
    sources: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    backup_type: str | None = None
    retention_policy: str | Mapping[str, object] | None = None
    full_check: bool = False
    read_data: bool = False
    drill: Mapping[str, object] = field(default_factory=dict)
    compliance_framework: str | None = None
    protocol: str | None = None
    max_rpo_minutes: int | None = None
    priority: Priority = Priority.NORMAL
    retries: int = RETRIES
    retry_delay: int = RETRY_DELAY
    hooks: Hooks = Hooks()
    notification: Notification = Notification()

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> JobConfig:
        """Read a configuration.

        Raises:
            UsageError: an unknown key, a value of the wrong kind, something that the operation
                needs is missing, or a secret in place of its name.
        """
        keys = Keys("job", values, KEYS)
        refuse_secrets(values)
        check_references([each for name, each in values.items() if name in _FILLED_IN])
        operation = _operation(keys)
        number, delay = keys.number("retries", 0, 100), keys.number("retry_delay", 0, 86_400)
        config = cls(
            name=keys.text("name") or f"{operation} of {keys.text('backend') or 'the repository'}",
            operation=operation,
            access=_access(keys, "backend", ""),
            to=_access(keys, "to", "to_"),
            sources=keys.words("sources"),
            tags=keys.words("tags"),
            exclude=keys.words("exclude"),
            backup_type=keys.text("backup_type"),
            retention_policy=_policy(values.get("retention_policy")),
            full_check=keys.flag("full_check", default=False),
            read_data=keys.flag("read_data", default=False),
            drill=keys.mapping("drill"),
            compliance_framework=keys.text("compliance_framework"),
            protocol=keys.text("protocol"),
            max_rpo_minutes=keys.number("max_rpo_minutes", 1, 100 * _YEAR),
            priority=_priority(values.get("priority")),
            retries=RETRIES if number is None else number,
            retry_delay=RETRY_DELAY if delay is None else delay,
            hooks=_hooks(keys.mapping("hooks")),
            notification=_notification(keys.mapping("notification")),
        )
        _check(config)
        return config

    def delay(self, attempt: int) -> int | None:
        """Seconds after which a run of this attempt is tried again; None when it is not."""
        if attempt < 1 or attempt > self.retries:
            return None
        return min(self.retry_delay << min(attempt - 1, 20), MOST_DELAY)


_NEEDED = {
    Operation.BACKUP: ("sources", "what to back up"),
    Operation.PRUNE: ("retention_policy", "which snapshots stay"),
    Operation.COPY: ("to", "the repository that is copied to"),
}


def _check(config: JobConfig) -> None:
    name, meaning = _NEEDED.get(config.operation, ("operation", ""))
    if not getattr(config, name):
        raise UsageError(f"job: a {config.operation} needs {name}: {meaning}")
    if config.retention_policy is not None:
        RetentionPolicy.parse(config.retention_policy)


def _operation(keys: Keys) -> Operation:
    said = [keys.text("operation"), keys.text("action")]
    given = {each.lower().replace("validation", "validate") for each in said if each is not None}
    if len(given) > 1:
        raise UsageError("job: operation and action mean the same: give one")
    word = given.pop() if given else Operation.BACKUP
    try:
        return Operation(word)
    except ValueError:
        raise keys.refused("operation", f"is none of {', '.join(Operation)}: {word!r}") from None


def _access(keys: Keys, place: str, prefix: str) -> Access | None:
    backend = keys.text(place)
    names = [f"{prefix}{each}" for each in ("password", "password_file", "password_command")]
    if sum(map(keys.has, names)) > 1:
        raise UsageError(f"job: give one of {', '.join(names)}")
    if backend is None:
        if any(map(keys.has, [*names, f"{prefix}storage_options"])):
            raise UsageError(f"job: {place} is missing: what the password is for")
        return None
    if not any(map(keys.has, names)):
        raise UsageError(
            f"job: the password of {place} is missing, and nobody can be asked when it runs: give "
            f"one of {', '.join(names)}"
        )
    command = keys.words(names[2]) if keys.has(names[2]) else None
    return Access(
        backend,
        keys.text(names[0]),
        keys.text(names[1]),
        command[0] if command is not None and len(command) == 1 else command,
        keys.mapping(f"{prefix}storage_options"),
    )


def _policy(value: object) -> str | Mapping[str, object] | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, RetentionPolicy):
        return value.dict()
    if not isinstance(value, Mapping):
        raise UsageError(
            "job: retention_policy is to be a mapping such as keep_daily: 7, or a text"
        )
    return {str(name): each for name, each in value.items()}


def _priority(value: object) -> Priority:
    if value is None:
        return Priority.NORMAL
    try:
        if isinstance(value, str):
            return Priority[value.upper()]
        return next(each for each in Priority if each == value)
    except (KeyError, StopIteration):
        names = ", ".join(each.name.lower() for each in Priority)
        raise UsageError(f"job: priority is to be one of {names}, or 0 to 3") from None


def _hooks(values: Mapping[str, object]) -> Hooks:
    keys = Keys("job: hooks", values, _HOOK_KEYS)
    for name in _HOOK_KEYS[:3]:
        if isinstance(values.get(name), str):
            raise keys.refused(name, "is to be a list: the program, and each argument apart")
    return Hooks(
        keys.words("before"),
        keys.words("after"),
        keys.words("on_failure"),
        keys.number("timeout", 1, 86_400) or HOOK_TIMEOUT,
    )


def _notification(values: Mapping[str, object]) -> Notification:
    keys = Keys("job: notification", values, _NOTIFICATION_KEYS)
    return Notification(
        keys.words("email") + keys.words("channels"),
        keys.flag("on_success", default=False),
        keys.flag("on_failure", default=True),
    )
