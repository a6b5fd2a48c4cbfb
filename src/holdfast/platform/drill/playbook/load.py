"""Playbooks from YAML files; what makes no sense is found here and not half-way through a drill."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import TypeAdapter

from holdfast.errors import UsageError
from holdfast.platform.drill.config import probe_problems
from holdfast.platform.drill.playbook import model
from holdfast.platform.drill.playbook.model import (
    ExecuteStep,
    Playbook,
    RestoreStep,
    Step,
    ValidateStep,
)
from holdfast.platform.drill.words import CHECKS, framework_of, suggestion
from holdfast.platform.drill.yaml_file import load_file

_PLAYBOOKS: TypeAdapter[Playbook] = TypeAdapter(Playbook)

_CLASSES: Final = (
    Playbook,
    model.Metadata,
    model.SuccessCriteria,
    model.ValidateStep,
    model.ValidateParameters,
    model.RestoreParameters,
    model.ExecuteParameters,
    model.NotifyParameters,
)


def load_playbook(path: str | Path) -> Playbook:
    """A playbook from a YAML file.

    Raises:
        UsageError: it makes no sense; the message has a line for each problem.
    """
    known = sorted({each.name for class_ in _CLASSES for each in fields(class_)})
    playbook = load_file(Path(path), _PLAYBOOKS, known)
    refuse_nonsense(playbook, str(path))
    return playbook


def refuse_nonsense(playbook: Playbook, where: str) -> None:
    """Look at a playbook as a whole.

    Raises:
        UsageError: it makes no sense; the message has a line for each problem.
    """
    problems = list(_problems(playbook))
    if problems:
        raise UsageError("\n".join([f"{where}:", *problems]))


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps, each after those that it depends on; else as they stand.

    Raises:
        UsageError: they wait for one another.
    """
    waiting, done, ordered = list(steps), set[str](), list[Step]()
    while waiting:
        ready = next((step for step in waiting if done.issuperset(step.depends_on)), None)
        if ready is None:
            raise UsageError("steps wait for one another")
        waiting.remove(ready)
        done.add(ready.name)
        ordered.append(ready)
    return ordered


def split_command(command: str) -> list[str]:
    """A program and its arguments.

    Raises:
        UsageError: there is none, or a quotation has no end.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not words or not words[0] or "\0" in command:
        raise UsageError("there is no program in it")
    return words


def target_parts(target: str) -> tuple[str, ...]:
    """The folders in the scratch directory that a target names.

    Raises:
        UsageError: it leads out of it, or nowhere.
    """
    parts = PurePosixPath("/" + target).parts[1:]
    if not parts or ".." in parts or "\0" in target:
        raise UsageError(f"{target!r} names no folder")
    return parts


def _problems(playbook: Playbook) -> Iterator[str]:
    if not playbook.steps:
        yield "steps: there are none"
    try:
        framework_of(playbook.metadata.compliance_framework)
    except UsageError as error:
        yield f"metadata.compliance_framework: {error}"
    yield from _about_names(playbook)
    yield from _about_order(playbook.steps)
    yield from _about_criteria(playbook)
    for where, steps in (("steps", playbook.steps), ("cleanup_steps", playbook.cleanup_steps)):
        for number, step in enumerate(steps):
            for problem in _about_parameters(step):
                yield f"{where}[{number}].parameters.{problem}"


def _about_names(playbook: Playbook) -> Iterator[str]:
    names = set[str]()
    for where, steps in (("steps", playbook.steps), ("cleanup_steps", playbook.cleanup_steps)):
        for number, step in enumerate(steps):
            if not step.name:
                yield f"{where}[{number}].name: it is empty"
            if step.name in names:
                yield f"{where}[{number}].name: another step is called {step.name!r} too"
            if step.name in CHECKS:
                yield f"{where}[{number}].name: {step.name!r} is the name of a check"
            names.add(step.name)
    for number, step in enumerate(playbook.cleanup_steps):
        if step.depends_on:
            yield f"cleanup_steps[{number}].depends_on: these run whatever happened, as they stand"


def _about_order(steps: Sequence[Step]) -> Iterator[str]:
    names = [step.name for step in steps]
    for number, step in enumerate(steps):
        for name in step.depends_on:
            if name not in names:
                yield (
                    f"steps[{number}].depends_on: there is no step {name!r}"
                    f"{suggestion(name, names)}"
                )
    try:
        TopologicalSorter({step.name: step.depends_on for step in steps}).prepare()
    except CycleError as error:
        yield f"steps: they wait for one another: {' -> '.join(error.args[1])}"


def _about_criteria(playbook: Playbook) -> Iterator[str]:
    criteria, count = playbook.success_criteria, len(playbook.steps)
    if criteria.min_steps_completed is not None and criteria.min_steps_completed > count:
        yield f"success_criteria.min_steps_completed: there are only {count} steps"
    evaluated = set[str]()
    for step in playbook.steps:
        if isinstance(step, ValidateStep):
            evaluated |= {step.name, *step.parameters.checks}
        elif isinstance(step, RestoreStep) and step.parameters.verify:
            evaluated.add("integrity")
    for name in criteria.required_validations:
        if name not in evaluated:
            yield (
                f"success_criteria.required_validations: no step evaluates {name!r}"
                f"{suggestion(name, sorted(evaluated))}"
            )


def _about_parameters(step: Step) -> Iterator[str]:
    try:
        if isinstance(step, ExecuteStep):
            split_command(step.parameters.command)
        elif isinstance(step, RestoreStep):
            target_parts(step.parameters.target)
    except UsageError as error:
        yield f"{'command' if isinstance(step, ExecuteStep) else 'target'}: {error}"
    if isinstance(step, ValidateStep):
        if step.parameters.checks and (step.parameters.full_check or step.parameters.read_data):
            yield "checks: of what was restored; full_check and read_data are of the repository"
        for problem in probe_problems(step.parameters.probes):
            yield f"probes: {problem}"
