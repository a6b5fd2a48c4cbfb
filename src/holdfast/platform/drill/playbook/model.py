"""What a playbook says: its steps, what counts as success, how to clean up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Discriminator, Field

STRICT: Mapping[str, object] = {"extra": "forbid"}

CheckName: TypeAlias = Literal[
    "integrity",
    "access_permissions",
    "data_consistency",
    "service_availability",
    "api_health",
    "restore_speed",
    "encryption_status",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateParameters:
    """What is validated: the repository, or with `checks` what was restored.

    Attributes:
        full_check: compare every pack's contents with the index.
        read_data: read all data.
        checks: names of a drill's checks.
        probes: for two of these.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    full_check: bool = False
    read_data: bool = False
    checks: tuple[CheckName, ...] = ()
    probes: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreParameters:
    """What is restored, and where to.

    Attributes:
        snapshot_id: name of the snapshot.
        target: a folder in the drill's scratch directory, whatever its path looks like.
        verify: read everything back and compare it.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    snapshot_id: str = "latest"
    target: str
    verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteParameters:
    """What is run.

    Attributes:
        command: a program and its arguments, split as a shell would; no shell sees them.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyParameters:
    """Who is told what.

    Attributes:
        channels: their names.
        message: what they are told.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    channels: tuple[str, ...] = ()
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What all steps have.

    Attributes:
        name: of the step; no two have the same.
        timeout_minutes: after which an attempt is ended.
        retry_count: how often it is tried again.
        continue_on_error: go on with the next step although this one failed.
        depends_on: names of the steps that must have succeeded before.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    name: str
    timeout_minutes: Annotated[float, Field(gt=0)] = 60.0
    retry_count: Annotated[int, Field(ge=0)] = 0
    continue_on_error: bool = False
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateStep(_Step):
    """Validates."""

    action: Literal["validate"]
    parameters: ValidateParameters = field(default_factory=ValidateParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreStep(_Step):
    """Restores."""

    action: Literal["restore"]
    parameters: RestoreParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteStep(_Step):
    """Runs a program."""

    action: Literal["execute"]
    parameters: ExecuteParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyStep(_Step):
    """Tells somebody."""

    action: Literal["notify"]
    parameters: NotifyParameters


Step: TypeAlias = ValidateStep | RestoreStep | ExecuteStep | NotifyStep
AnyStep: TypeAlias = Annotated[Step, Discriminator("action")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the playbook is for, and the objectives; as of `DrillConfig`."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    compliance_framework: str = "SOC2"
    max_rto_minutes: Annotated[float, Field(gt=0)] = 60.0
    max_rpo_minutes: Annotated[float, Field(gt=0)] = 15.0
    test_environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessCriteria:
    """What counts as success.

    Attributes:
        min_steps_completed: how many steps must be completed; all when None.
        max_failures: how many may fail.
        required_validations: names of checks and of `validate` steps that must have passed.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    min_steps_completed: Annotated[int, Field(ge=0)] | None = None
    max_failures: Annotated[int, Field(ge=0)] = 0
    required_validations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """A drill written down step by step.

    Attributes:
        name: of the playbook.
        description: what it is for.
        version: of this form: ``1.0``.
        metadata: what it is for, and the objectives.
        steps: what is done.
        success_criteria: what counts as success.
        cleanup_steps: what is done in the end, whatever happened.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    name: str
    description: str = ""
    version: Literal["1.0"] = "1.0"
    metadata: Metadata = field(default_factory=Metadata)
    steps: tuple[AnyStep, ...]
    success_criteria: SuccessCriteria = field(default_factory=SuccessCriteria)
    cleanup_steps: tuple[AnyStep, ...] = ()
