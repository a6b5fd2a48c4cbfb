"""What a caller asks of a backup of files, whatever number of repositories it is made to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, Unpack

from holdfast.engine.connection import PathLike, Words, words
from holdfast.model.select import GroupKey

if TYPE_CHECKING:
    from holdfast.filesystem import ExcludeRules


class TreeOptions(TypedDict, total=False):
    """The options of `Repository.backup`, which explains them."""

    exclude: Words
    iexclude: Words
    exclude_file: PathLike | Sequence[PathLike]
    exclude_if_present: Words
    exclude_caches: bool
    exclude_larger_than: int | None
    one_file_system: bool
    tags: Words
    label: str
    description: str
    host: str | None
    time: datetime | None
    protect: bool | datetime
    parent: str | None
    group_by: Sequence[GroupKey]
    force: bool
    skip_if_unchanged: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class About:
    """What a caller says of a new snapshot."""

    tags: tuple[str, ...]
    label: str
    description: str
    host: str | None
    time: datetime | None
    protect: bool | datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """How files are to be backed up; the attributes are as `TreeOptions` has them."""

    rules: ExcludeRules
    excluded: tuple[str, ...]
    about: About
    parent: str | None
    group_by: Sequence[GroupKey]
    force: bool
    skip_if_unchanged: bool
    dry_run: bool


def plan_of(**options: Unpack[TreeOptions]) -> Plan:
    """Take what a caller asks for.

    Raises:
        UsageError: a file of patterns cannot be read.
    """
    from holdfast.filesystem import ExcludeRules, load_pattern_file

    exclude, iexclude = words(options.get("exclude", ())), words(options.get("iexclude", ()))
    files = several(options.get("exclude_file", ()))
    return Plan(
        rules=ExcludeRules(
            patterns=(*(line for file in files for line in load_pattern_file(file)), *exclude),
            ipatterns=iexclude,
            if_present=words(options.get("exclude_if_present", ())),
            caches=options.get("exclude_caches", False),
            larger_than=options.get("exclude_larger_than"),
            one_file_system=options.get("one_file_system", False),
        ),
        excluded=(*exclude, *iexclude),
        about=About(
            words(options.get("tags", ())),
            options.get("label", ""),
            options.get("description", ""),
            options.get("host"),
            options.get("time"),
            options.get("protect", False),
        ),
        parent=options.get("parent"),
        group_by=options.get("group_by", ("host", "paths")),
        force=options.get("force", False),
        skip_if_unchanged=options.get("skip_if_unchanged", False),
        dry_run=options.get("dry_run", False),
    )


def several(given: PathLike | Sequence[PathLike]) -> list[PathLike]:
    """One path or several, as a list."""
    return [given] if isinstance(given, str | bytes | os.PathLike) else list(given)
