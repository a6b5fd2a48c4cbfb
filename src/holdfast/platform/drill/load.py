"""Drills from YAML files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter

from holdfast.errors import UsageError
from holdfast.platform.drill.config import DrillConfig, is_command
from holdfast.platform.drill.yaml_file import load_file

_CONFIGS: TypeAdapter[DrillConfig] = TypeAdapter(DrillConfig)


def load_drill(path: str | Path, *, allow_execute: bool = False) -> DrillConfig:
    """A drill from a YAML file with the fields of `DrillConfig`, all of which may be left out.

    Args:
        path: of the file.
        allow_execute: whether its probes may be commands.

    Raises:
        UsageError: it makes no sense, or has a command that is not allowed.
    """
    config = load_file(Path(path), _CONFIGS, [each.name for each in fields(DrillConfig)])
    commands = [name for name, probe in config.probes.items() if is_command(probe)]
    if commands and not allow_execute:
        raise UsageError(
            f"{path}: the probe for {' and '.join(commands)} is a command, which is run only with "
            "allow_execute (--allow-execute)"
        )
    return config
