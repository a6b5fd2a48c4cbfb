"""Jobs as Kubernetes CronJobs that call the command line, with no workspace between.

A container has no workspace that outlives it, so the commands say all that the job is: what a
job's configuration can say and a command cannot is an error. Passwords and the variables that jobs
refer to are expected in the secret ``holdfast``.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias

from holdfast.backend import is_uri
from holdfast.errors import UsageError
from holdfast.model.retention import RetentionPolicy
from holdfast.platform.schedule.cron import meaning_of
from holdfast.platform.schedule.export.crontab import refuse_extensions
from holdfast.platform.schedule.job import Access, JobConfig, Operation
from holdfast.platform.schedule.references import replaced
from holdfast.platform.schedule.table import Job

Value: TypeAlias = "str | int | bool | Sequence[Value] | Mapping[str, Value] | None"

SECRET = "holdfast"  # noqa: S105 - its name
"""The secret whose keys become variables, and whose key of a file's name becomes that file."""

_ALL_DAYS = frozenset(range(1, 32))
_ALL_WEEKDAYS = frozenset((day, 0) for day in range(7))
_MARKED = re.compile("\0([^\0]*)\0")
_BASIC_PLANE = 0xFFFF


def kubernetes(jobs: Iterable[Job], image: str) -> Mapping[str, str]:
    """One document with a CronJob for each job.

    Args:
        jobs: which.
        image: that holds holdfast.

    Raises:
        UsageError: a job has something that a command or Kubernetes cannot say.
    """
    documents = [_yaml(_cron_job(job, image)) for job in jobs]
    return {"cronjobs.yaml": "---\n".join(documents)}


def _cron_job(job: Job, image: str) -> Mapping[str, Value]:
    refuse_extensions(job, "Kubernetes")
    config = job.config
    for name in ("before", "after", "on_failure"):
        if getattr(config.hooks, name):
            raise UsageError(f"job {config.name} ({job.id}): hooks cannot be said in a CronJob")
    if config.access is None:
        raise UsageError(f"job {config.name} ({job.id}) names no repository")
    containers = [
        _container(number, arguments, config.access, config.to, image)
        for number, arguments in enumerate(_commands(config))
    ]
    volumes = _volumes(config)
    mounts: list[Value] = [{"name": each["name"], **mount} for each, mount in volumes]
    told = [{**each, "volumeMounts": mounts} if mounts else each for each in containers]
    pod: dict[str, Value] = {"restartPolicy": "Never"}
    if told[:-1]:
        pod["initContainers"] = told[:-1]
    pod["containers"] = told[-1:]
    if volumes:
        pod["volumes"] = [each for each, _ in volumes]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"holdfast-{job.id}", "annotations": {"holdfast/job": config.name}},
        "spec": {
            "schedule": _schedule(job),
            "timeZone": job.zone,
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {
                "spec": {"backoffLimit": config.retries, "template": {"spec": pod}},
            },
        },
    }


def _schedule(job: Job) -> str:
    """The expression as Kubernetes takes it, which knows no 7 and no ``*/2`` that means "and"."""
    minute, hour, day, month, _ = job.cron.split()
    meaning = meaning_of(job.cron)
    if meaning.weekdays >= _ALL_WEEKDAYS and meaning.both:
        return f"{minute} {hour} {day} {month} *"
    weekdays = ",".join(map(str, sorted(number for number, _ in meaning.weekdays)))
    if meaning.both:
        if not meaning.days >= _ALL_DAYS:
            raise UsageError(
                f"job {job.config.name} ({job.id}): Kubernetes cannot say that a day is to fit by "
                f"month and by week, as in {job.cron!r}: write it for systemd"
            )
        day = "*"
    return f"{minute} {hour} {day} {month} {weekdays}"


def _container(
    number: int, arguments: Sequence[str], access: Access, to: Access | None, image: str
) -> dict[str, Value]:
    container: dict[str, Value] = {
        "name": f"holdfast-{number + 1}",
        "image": image,
        "args": [_argument(each) for each in arguments],
        "envFrom": [{"secretRef": {"name": SECRET, "optional": True}}],
    }
    environment = _environment(access, "") + (_environment(to, "TO_") if to else [])
    return {**container, "env": environment} if environment else container


def _environment(access: Access, prefix: str) -> list[Value]:
    said = {
        "PASSWORD": access.password,
        "PASSWORD_COMMAND": _words(access.password_command),
        "STORAGE_OPTIONS": json.dumps(access.storage_options) if access.storage_options else None,
    }
    return [
        {"name": f"HOLDFAST_{prefix}{name}", "value": _argument(value)}
        for name, value in said.items()
        if value is not None
    ]


def _commands(config: JobConfig) -> list[list[str]]:
    """The commands of a job, in order, each as arguments of holdfast."""
    if config.access is None:
        return []
    where = ["-b", config.access.backend, *_password(config.access, "-p")]
    prune = ["prune", *where, "-r", _policy(config)]
    tags = [word for tag in config.tags for word in ("-t", tag)]
    match config.operation:
        case Operation.BACKUP:
            sources = [word for source in config.sources for word in ("-s", source)]
            excluded = [word for each in config.exclude for word in ("-x", each)]
            full = ["--force"] if config.backup_type == "full" else []
            create = ["create", *where, *sources, *tags, *excluded, *full]
            return [create, prune] if config.retention_policy is not None else [create]
        case Operation.VALIDATE:
            full = ["--full-check"] if config.full_check else []
            return [["validate", *where, *full, *(["--read-data"] if config.read_data else [])]]
        case Operation.PRUNE:
            return [prune]
        case Operation.COPY:
            to = config.to
            there = [] if to is None else ["--to", to.backend, *_password(to, "--to-password-file")]
            return [["copy", *where, *there]]
        case Operation.DRILL:
            if config.drill.keys() - {"name"}:
                raise UsageError(f"job {config.name}: `drill` cannot be said in a CronJob")
            framework = config.compliance_framework
            return [["drill", *where, *([] if framework is None else ["-f", framework])]]


def _password(access: Access, flag: str) -> list[str]:
    return [] if access.password_file is None else [flag, access.password_file]


def _policy(config: JobConfig) -> str:
    rules = RetentionPolicy.parse(config.retention_policy or {}).dict()
    return ",".join(f"{name.replace('_', '-')}:{rule}" for name, rule in rules.items() if rule)


def _volumes(config: JobConfig) -> list[tuple[dict[str, Value], dict[str, Value]]]:
    """Volumes, each with where it is mounted: files of the secret, and paths of the host."""
    found: list[tuple[dict[str, Value], dict[str, Value]]] = []
    for number, access in enumerate((config.access, config.to)):
        if access is not None and access.password_file is not None:
            file = PurePosixPath(_place(access.password_file))
            volume: dict[str, Value] = {
                "name": f"password-{number + 1}",
                "secret": {"secretName": SECRET},
            }
            mount: dict[str, Value] = {
                "mountPath": str(file),
                "subPath": file.name,
                "readOnly": True,
            }
            found.append((volume, mount))
    places = [(access.backend, False) for access in (config.access, config.to) if access]
    places += [(source, True) for source in config.sources]
    for number, (place, read_only) in enumerate(places):
        if not is_uri(place):
            path = _place(place)
            found.append(
                (
                    {"name": f"host-{number + 1}", "hostPath": {"path": path}},
                    {"mountPath": path, "readOnly": read_only},
                )
            )
    # Kubernetes refuses a place that two volumes are mounted at.
    return list({str(mount["mountPath"]): (volume, mount) for volume, mount in found}.values())


def _place(path: str) -> str:
    """A path of the host (UsageError if it depends on variables, which volumes cannot)."""

    def refused(name: str) -> str:
        raise UsageError(f"a volume of a CronJob cannot depend on a variable: ${{{name}}}")

    return replaced(path, refused)


def _argument(text: str) -> str:
    """A text in which Kubernetes replaces what the job meant to be replaced, and nothing else."""
    marked = replaced(text, "\0{}\0".format)  # no argument has a NUL in it
    return _MARKED.sub(r"$(\1)", marked.replace("$", "$$"))


def _words(command: str | tuple[str, ...] | None) -> str | None:
    if command is None or isinstance(command, str):
        return command
    return shlex.join(command)


def _yaml(value: Value) -> str:
    """A document of mappings, lists and plain values; every text is in double quotes."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Value) -> list[str]:
    match value:
        case Mapping():
            return [line for name, each in value.items() for line in _entry(f"{name}:", each)]
        case list() | tuple():
            return [line for each in value for line in _item(each)]
        case _:
            return [_scalar(value)]


def _entry(head: str, value: Value) -> list[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        return [head, *(f"  {line}" for line in _lines(value))]
    return [f"{head} {_scalar(value)}"]


def _scalar(value: Value) -> str:
    """As JSON, but for letters beyond the basic plane, which YAML escapes in another way."""
    if not isinstance(value, str):
        return json.dumps(value)
    letters = (
        f"\\U{ord(each):08X}" if ord(each) > _BASIC_PLANE else json.dumps(each)[1:-1]
        for each in value
    )
    return f'"{"".join(letters)}"'


def _item(value: Value) -> list[str]:
    first, *rest = _lines(value)
    return [f"- {first}", *(f"  {line}" for line in rest)]
