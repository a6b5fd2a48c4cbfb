"""What a job that is a drill hands to the drill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Never, cast

from holdfast.platform.drill import DrillConfig
from holdfast.platform.schedule.job import JobConfig
from holdfast.platform.schedule.keys import Keys


def drill_config(config: JobConfig, given: Mapping[str, object]) -> DrillConfig:
    """The drill of a job.

    Args:
        config: the job, whose name and framework hold where the drill says none.
        given: its ``drill``.

    Raises:
        UsageError: a key or value makes no sense.
    """
    Keys("job: drill", given, (each.name for each in fields(DrillConfig)))
    told: dict[str, object] = {"name": config.name, **given}
    if config.compliance_framework is not None:
        told.setdefault("compliance_framework", config.compliance_framework)
    # Never: of whatever type each value is to be, which is checked when the drill is made.
    return DrillConfig(**cast("dict[str, Never]", told))
