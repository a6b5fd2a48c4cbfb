"""What a drill is to do, and what it is measured by."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Final, TypeAlias, cast

from holdfast.errors import UsageError
from holdfast.platform.drill.words import CHECKS, PROBED, framework_of, suggestion

Probe: TypeAlias = str | Sequence[str] | Callable[[Path], object]
"""Says whether a service answers: a URL, a command as a list of arguments, or a function that is
called with the folder of the restored data and returns whether it does."""

_LISTS: Final = ("validation_checks", "notification_channels", "consistency_ignore")
_NUMBERS: Final = ("max_rto_minutes", "max_rpo_minutes", "max_duration_minutes")

MAX_DURATION = 240.0
"""Minutes after which a drill that was told nothing else ends."""


def _generated_name() -> str:
    return f"drill-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillConfig:
    """A drill: what is restored, what is checked, and the objectives.

    Attributes:
        name: what the drill is called; generated when none is given.
        description: what it is for.
        snapshot_id: name of a snapshot, as everywhere; ``:/path`` behind it restores a part.
        test_environment: a path (one that begins with ``/``, ``~`` or ``.``) is the folder in
            which the scratch directory is made; any other word is only a name for reports, and
            the system's folder for temporary files is used.
        validation_checks: names of checks; see the guide.
        max_rto_minutes: the recovery time objective.
        max_rpo_minutes: the recovery point objective: how old the data may be.
        compliance_framework: ``SOC2``, ``HIPAA``, ``GDPR``, ``ISO27001`` or ``NIST``.
        notification_channels: names of who is told of the result.
        max_duration_minutes: after these the drill is ended, and has failed.
        consistency_ignore: patterns (as for excludes) of restored paths that `data_consistency`
            does not look at, because they are not meant to be of the format they seem to have.
        probes: for ``service_availability`` and ``api_health``, what finds out.

    Raises:
        UsageError: a value makes no sense; the message names all of them.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = {"extra": "forbid"}

    name: str = field(default_factory=_generated_name)
    description: str = ""
    snapshot_id: str = "latest"
    test_environment: str = ""
    validation_checks: Sequence[str] = ("integrity", "restore_speed", "data_consistency")
    max_rto_minutes: float = 60.0
    max_rpo_minutes: float = 15.0
    compliance_framework: str = "SOC2"
    notification_channels: Sequence[str] = ()
    max_duration_minutes: float = MAX_DURATION
    consistency_ignore: Sequence[str] = ()
    probes: Mapping[str, Probe] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        problems = _wrong_types(self) or _problems(self)
        if problems:
            raise UsageError(f"drill {self.name!r}: " + "; ".join(problems))
        for name in _LISTS:
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "compliance_framework", framework_of(self.compliance_framework))
        name = self.name.encode("utf-8", "backslashreplace").decode()  # which may be no text
        object.__setattr__(self, "name", name or _generated_name())

    @classmethod
    def of(cls, record: Mapping[str, object]) -> DrillConfig:
        """From plain values, such as `dict` gives.

        Raises:
            UsageError: one of them makes no sense, or there is no such field.
        """
        names = [each.name for each in fields(cls)]
        for key in record:
            if key not in names:
                raise UsageError(f"drill: unknown key {key!r}{suggestion(key, names)}")
        values = cast("dict[str, str]", dict(record))  # what they really are is looked at at once
        return cls(**values)  # type: ignore[arg-type]

    @property
    def scratch_parent(self) -> Path | None:
        """The folder in which the scratch directory is made; None for the system's."""
        if not self.test_environment.startswith(("/", "~", ".")):
            return None
        try:
            return Path(self.test_environment).expanduser().absolute()
        except RuntimeError:
            raise UsageError(f"{self.test_environment}: no home directory is known") from None

    def dict(self) -> dict[str, object]:
        """Ready for JSON; a probe that is a function is named only."""
        record = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in _LISTS:
            record[name] = list(record[name])
        record["probes"] = {name: _plain(probe) for name, probe in self.probes.items()}
        return record


def is_command(probe: Probe) -> bool:
    """Whether a probe runs a program."""
    return not isinstance(probe, str) and not callable(probe)


def _plain(probe: Probe) -> object:
    if isinstance(probe, str):
        return probe
    return f"function {getattr(probe, '__name__', '')}" if callable(probe) else list(probe)


def _wrong_types(config: DrillConfig) -> list[str]:
    """Which fields are of a wrong type: most come from files."""
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    found = [f"{name} is to be a list of texts" for name in _LISTS if not _is_list(values[name])]
    found += [f"{name} is to be a number" for name in _NUMBERS if not _is_number(values[name])]
    if not isinstance(values["probes"], Mapping):
        found.append("probes is to be a mapping")
    rest = values.keys() - {*_LISTS, *_NUMBERS, "probes"}
    return found + [
        f"{name} is to be a text" for name in sorted(rest) if not isinstance(values[name], str)
    ]


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _problems(config: DrillConfig) -> list[str]:
    """What makes no sense."""
    found = [
        f"{name} is to be more than 0, not {getattr(config, name)}"
        for name in _NUMBERS
        if not 0 < getattr(config, name) < float("inf")
    ]
    found += [
        f"unknown check {each!r}{suggestion(each, CHECKS)}"
        for each in config.validation_checks
        if each not in CHECKS
    ]
    if not config.validation_checks:
        found.append("validation_checks is empty: a drill without checks shows nothing")
    if not config.snapshot_id:
        found.append("snapshot_id is empty")
    try:
        framework_of(config.compliance_framework)
    except UsageError as error:
        found.append(str(error))
    return found + probe_problems(config.probes)


def probe_problems(probes: Mapping[str, Probe]) -> list[str]:
    """What is wrong with probes, in words."""
    found = []
    for name, probe in probes.items():
        if name not in PROBED:
            found.append(f"there is no probe {name!r}{suggestion(name, sorted(PROBED))}")
        elif isinstance(probe, str):
            if not probe.startswith(("http://", "https://")):
                found.append(f"probe {name}: {probe!r} is no URL; a command is a list of words")
        elif not callable(probe) and not (_is_list(probe) and probe and probe[0]):
            found.append(f"probe {name}: a command is a list of words, the program first")
    return found
