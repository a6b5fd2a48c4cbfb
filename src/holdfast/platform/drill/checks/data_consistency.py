"""``data_consistency``: restored files of known formats are what their format says they should be.

That the bytes are those of the snapshot says nothing of whether what was backed up made sense: a
database that was copied while it was written to is restored as broken as it was. Files come from
anywhere, so a process of its own with little memory and time reads them: see
`holdfast.platform.formats`.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdfast.filesystem import Patterns
from holdfast.platform.drill.checks.context import CheckContext, Restored
from holdfast.platform.drill.report import CheckOutcome, DrillError, bounded
from holdfast.platform.formats import FormatReader, format_of

NAME = "data_consistency"

HEAD: Final = 512
"""Bytes that tell a format."""

_NAMED: Final = 20


@dataclass(slots=True)
class _Tally:
    """What was found so far."""

    read: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)
    others: int = 0
    errors: list[DrillError] = field(default_factory=list)


def check_data_consistency(context: CheckContext) -> CheckOutcome:
    """Read every file whose format is known."""
    restored = context.restored
    if restored is None:
        return CheckOutcome(NAME, None, "nothing was restored")
    tally = _Tally()
    with FormatReader(context.work) as reader:
        for path, place, head in _files(restored, Patterns(context.ignore), tally):
            context.deadline.check()
            if head is None:
                tally.unread.append(f"{path}: it cannot be read by this user")
                continue
            name = format_of(place.name, head)
            if name is None:
                tally.others += 1
                continue
            verdict = reader.read(place, name, context.deadline.left)
            if verdict.good is None:
                tally.unread.append(f"{path}: {verdict.reason}")
                continue
            tally.read[name] += 1
            if not verdict.good:
                tally.errors.append(DrillError(path, NAME, f"no good {name}: {verdict.reason}"))
    return _outcome(tally)


def _outcome(tally: _Tally) -> CheckOutcome:
    count = tally.read.total()
    told = f"{count:,} files of {len(tally.read)} formats read"
    if tally.unread:
        told += f", {len(tally.unread):,} could not be evaluated"
    if not count:
        told = f"of no file could it be evaluated; {tally.others:,} are of no format that is known"
    outcome = CheckOutcome(
        NAME,
        False if tally.errors else None if tally.unread or not count else True,
        told,
        {
            "read": dict(sorted(tally.read.items())),
            "of_other_formats": tally.others,
            "not_evaluated": len(tally.unread),
            "not_evaluated_files": tally.unread[:_NAMED],
        },
    )
    return bounded(outcome, tally.errors)


def _files(
    restored: Restored, ignore: Patterns, tally: _Tally
) -> Iterator[tuple[str, Path, bytes | None]]:
    """The regular files: path in the snapshot, where it is, how it begins, None if unreadable."""
    base = "/" + restored.path.strip("/")

    def closed(error: OSError) -> None:
        inner = os.path.relpath(error.filename, restored.folder)
        here = os.path.normpath(f"{base}/{inner}")
        tally.unread.append(f"{here}: it cannot be listed: {error.strerror}")

    for folder, directories, names in os.walk(restored.folder, onerror=closed):
        inner = os.path.relpath(folder, restored.folder)
        here = os.path.normpath(f"{base}/{inner}")
        directories[:] = sorted(
            each for each in directories if not _matches(ignore, here, each, is_dir=True)
        )
        for name in sorted(names):
            place = Path(folder) / name
            if _matches(ignore, here, name, is_dir=False):
                continue
            if _may_be_file(place):
                yield str(Path(here) / name), place, _head(place)


def _matches(patterns: Patterns, folder: str, name: str, *, is_dir: bool) -> bool:
    return bool(patterns) and patterns.match(
        os.fsencode(f"{folder.rstrip('/')}/{name}"), is_dir=is_dir
    )


def _may_be_file(place: Path) -> bool:
    """Whether it is a regular file, or nobody can say."""
    try:
        return stat.S_ISREG(place.lstat().st_mode)
    except OSError:
        return True


def _head(place: Path) -> bytes | None:
    """How a file begins; None if it cannot be read by us."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, HEAD)
    finally:
        os.close(descriptor)
