"""The rules: each looks for one kind of thing, and says what it saw."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from typing import Final, TypeAlias

from holdfast.operations.anomalies.features import Features
from holdfast.operations.anomalies.finding import Finding, graded
from holdfast.operations.anomalies.limits import (
    FEWEST_HARDENED,
    SPAN,
    Past,
    most_gone,
    most_hardened,
)
from holdfast.operations.anomalies.result import AnomalyKind

Rule: TypeAlias = Callable[[Features, Past], Finding | None]

FEWEST_FILES = 20
"""Files that a rule about shares of all files takes at least: small trees change as a whole."""

BURST = 0.2
"""Share of all files that may be rewritten in any case."""

TRUNCATED = 0.1
"""Share of all files that may become empty in any case."""

RENAMED = 0.2
"""Share of all files that may get other names in any case."""

ATTRIBUTES = 0.5
"""Share of all files that may get another mode or owner in any case."""

UNREADABLE = 0.01
FEWEST_UNREADABLE = 5
"""Share of all files, and number, that cannot be read in any case."""

NOTE_DIRECTORIES = 5
NOTE_SHARE = 0.5
"""Directories that get the same new file, and their share of all in which something changed, from
which on it is taken for a note."""

TAKEOVER_SHARE = 0.5
"""For each file with a new extension, how many must be missing, for it to have taken over."""

HALF = 0.5
"""A snapshot shrinks when it has less than that of what it had."""

FEWEST_BYTES = 1 << 20
GROWTH_BYTES = 100 << 20
"""Bytes that a snapshot must have before it can shrink, and that it may grow in any case."""

GROWTH_FILES = 200
"""Files that may be added in any case."""

LONG = 600.0
LONGER = 4.0
"""Seconds that a backup may take in any case, and how many times the usual."""

_WAS_EMPTY: Final = 5


def entropy(now: Features, past: Past) -> Finding | None:
    """Files that were orderly look random: encrypted. They are compared with what they were."""
    recent = past.changes[-(SPAN - 1) :]
    total = now.hardened + sum(each.hardened for each in recent)
    limit = most_hardened(now)
    if not now.hardened or total < limit:
        return None
    began = max((len(recent) - at for at, each in enumerate(recent) if each.hardened), default=0)
    how = (
        f"{now.examined} files were read, before and after"
        if now.is_read
        else "told from how well they compress; their bytes were not read"
    )
    evidence = [f"{now.hardened:,} of {now.before:,} files, {how}"]
    if began:
        evidence.append(f"{total:,} with those of the {began} snapshots before")
    if now.stored_before is not None and now.stored_after is not None:
        evidence.append(
            f"what was modified took {now.stored_before:.0%} of its size in the repository, "
            f"and now takes {now.stored_after:.0%}"
        )
    return Finding(
        AnomalyKind.ENTROPY,
        graded(0.6, 0.95, total, limit),
        f"{now.hardened:,} files that were orderly now look random, as encrypted files do",
        tuple(evidence),
        total,
        (0, limit),
        now.examples.get("hardened", ()),
        began,
    )


def empty(now: Features, _: Past) -> Finding | None:
    """Nothing is there any more: a mount that failed, a wrong path."""
    files = now.snapshot.summary.files
    if files or now.before < _WAS_EMPTY or now.removed < now.before:
        return None
    return Finding(
        AnomalyKind.EMPTY,
        0.95,
        f"the snapshot is empty: all {now.before:,} files are missing",
        ("perhaps what is backed up was not mounted, or its path is wrong", *_excludes(now)),
        files,
        (1, inf),
        now.examples.get("removed", ()),
    )


def deletion(now: Features, past: Past) -> Finding | None:
    """Many files are gone, and neither renamed, moved nor replaced."""
    limit = past.limit(lambda each: each.gone, most_gone(now))
    if not past.is_enough or now.gone < limit or not now.snapshot.summary.files:
        return None
    changed = _excludes(now)
    low, high = (0.3, 0.49) if changed else (0.55, 0.9)
    return Finding(
        AnomalyKind.DELETION,
        graded(low, high, now.gone, limit),
        f"{now.gone:,} of {now.before:,} files are gone",
        (
            f"{now.removed:,} were removed: {now.moved + now.renamed:,} of these are elsewhere",
            _usual("be gone", limit),
            *changed,
        ),
        now.gone,
        (0, limit),
        now.examples.get("gone", ()),
    )


def truncation(now: Features, past: Past) -> Finding | None:
    """Files are there, with nothing in them."""
    floor = max(FEWEST_HARDENED, TRUNCATED * now.before)
    limit = past.limit(lambda each: each.truncated, floor)
    if now.truncated < limit:
        return None
    return Finding(
        AnomalyKind.TRUNCATION,
        graded(0.6, 0.95, now.truncated, limit),
        f"{now.truncated:,} of {now.before:,} files are empty now that were not",
        (_usual("become empty", limit),),
        now.truncated,
        (0, limit),
        now.examples.get("truncated", ()),
    )


def errors(now: Features, past: Past) -> Finding | None:
    """More of the source than usual could not be read."""
    problems = now.snapshot.problem_count
    floor = max(FEWEST_UNREADABLE, UNREADABLE * now.before)
    limit = past.limit(lambda each: each.snapshot.problem_count, floor)
    if not past.is_enough or problems < limit:
        return None
    some = now.snapshot.problems[:3]
    return Finding(
        AnomalyKind.ERRORS,
        graded(0.55, 0.9, problems, limit),
        f"{problems:,} items could not be read",
        (
            _usual("be unreadable", limit),
            *(f"{each.operation} failed: {each.message}" for each in some[:1]),
        ),
        problems,
        (0, limit),
        tuple(each.path for each in some),
    )


def note(now: Features, _: Past) -> Finding | None:
    """The same small file in most of the directories in which something changed."""
    found = now.note
    limit = max(NOTE_DIRECTORIES, NOTE_SHARE * found.changed)
    if found.directories < limit:
        return None
    return Finding(
        AnomalyKind.NOTE,
        graded(0.5, 0.8, found.directories, limit / 2),
        f"the same new file {found.name!r} is in {found.directories:,} directories",
        (f"something changed in {found.changed:,} directories that were there before",),
        found.directories,
        (0, limit),
        tuple(path for path in now.examples.get("added", ()) if path.endswith(f"/{found.name}")),
    )


def extension(now: Features, past: Past) -> Finding | None:
    """Files are replaced by, or renamed to, files of one extension that was not there."""
    ending, files = now.takeover
    missing = now.replaced + now.renamed + now.gone
    known = any(os.fsencode(ending) in each.extensions for each in past.changes)
    if files < FEWEST_HARDENED or known or missing < TAKEOVER_SHARE * files:
        return None
    return Finding(
        AnomalyKind.EXTENSION,
        graded(0.3, 0.49, files, FEWEST_HARDENED),
        f"{files:,} new files end in {ending!r}, and as many others are missing",
        (
            f"{now.replaced:,} files were replaced, {now.renamed:,} renamed, {now.gone:,} are gone",
            f"no file ended in {ending!r} in what changed before",
        ),
        files,
        (0, FEWEST_HARDENED),
        tuple(path for path in now.examples.get("added", ()) if path.lower().endswith(ending)),
    )


def rename(now: Features, past: Past) -> Finding | None:
    """Many files have other names, and the same content."""
    limit = past.limit(lambda each: each.renamed, max(FEWEST_FILES, RENAMED * now.before))
    if now.renamed < limit:
        return None
    return Finding(
        AnomalyKind.RENAME,
        graded(0.3, 0.49, now.renamed, limit),
        f"{now.renamed:,} of {now.before:,} files have other names",
        ("their content is what it was", _usual("be renamed", limit)),
        now.renamed,
        (0, limit),
        now.examples.get("renamed", ()),
    )


def burst(now: Features, past: Past) -> Finding | None:
    """Many more files than usual were rewritten."""
    floor = max(FEWEST_FILES, BURST * now.before)
    limit = past.limit(lambda each: each.rewritten, floor)
    if not past.is_enough or now.rewritten < limit:
        return None
    return Finding(
        AnomalyKind.BURST,
        graded(0.3, 0.49, now.rewritten, limit),
        f"{now.rewritten:,} of {now.before:,} files were modified, replaced or removed",
        (
            f"{now.modified:,} modified, {now.replaced:,} replaced, {now.gone:,} gone",
            _usual("change", limit),
        ),
        now.rewritten,
        (0, limit),
        now.examples.get("modified", ()),
    )


def shrink(now: Features, past: Past) -> Finding | None:
    """Much fewer bytes than before and than usual."""
    was = 0 if now.previous is None else now.previous.summary.bytes_processed
    limit = HALF * min(was, past.typical(lambda each: each.summary.bytes_processed))
    size = now.snapshot.summary.bytes_processed
    if not past.is_enough or was < FEWEST_BYTES or size >= limit or not now.snapshot.summary.files:
        return None
    return Finding(
        AnomalyKind.SHRINK,
        0.49 - 0.19 * size / limit,
        f"the snapshot has {size:,} bytes, the one before had {was:,}",
        (f"at least {limit:,.0f} were expected, half of what is usual", *_excludes(now)),
        size,
        (limit, inf),
        now.examples.get("gone", ()),
    )


def metadata(now: Features, past: Past) -> Finding | None:
    """Mode, owner or attributes of many files changed, and nothing else of them."""
    floor = max(2 * FEWEST_FILES, ATTRIBUTES * now.before)
    limit = past.limit(lambda each: each.attributes, floor)
    if not past.is_enough or now.attributes < limit:
        return None
    return Finding(
        AnomalyKind.METADATA,
        graded(0.25, 0.45, now.attributes, limit),
        f"{now.attributes:,} of {now.before:,} files have another mode, owner or attribute",
        (_usual("get these", limit),),
        now.attributes,
        (0, limit),
        now.examples.get("attributes", ()),
    )


def growth(now: Features, past: Past) -> Finding | None:
    """Much more was added than usual, and than there was."""
    had = 0 if now.previous is None else now.previous.summary.bytes_processed
    files = past.limit(lambda each: each.added, max(GROWTH_FILES, now.before))
    size = past.limit(lambda each: each.bytes_added, max(GROWTH_BYTES, had))
    if not past.is_enough or (now.added < files and now.bytes_added < size):
        return None
    is_files = now.added >= files
    value, limit = (now.added, files) if is_files else (now.bytes_added, size)
    return Finding(
        AnomalyKind.GROWTH,
        graded(0.2, 0.4, value, limit),
        f"{now.added:,} files were added, and {now.bytes_added:,} bytes with what was modified",
        (f"there were {now.before:,} files of {had:,} bytes", _usual("be added", limit)),
        value,
        (0, limit),
        now.examples.get("added", ()),
    )


def duration(now: Features, past: Past) -> Finding | None:
    """The backup took much longer than usual."""
    seconds = now.snapshot.duration
    usual = past.typical(lambda each: each.duration)
    limit = past.limit(lambda each: each.snapshot.duration, max(LONG, LONGER * usual))
    if not past.is_enough or seconds < limit:
        return None
    return Finding(
        AnomalyKind.DURATION,
        graded(0.2, 0.4, seconds, limit),
        f"the backup took {seconds:,.0f} seconds",
        (f"the median is {usual:,.0f}; {limit:,.0f} were to be expected at most",),
        seconds,
        (0, limit),
    )


RULES: tuple[Rule, ...] = (
    entropy,
    empty,
    deletion,
    truncation,
    errors,
    note,
    extension,
    rename,
    burst,
    shrink,
    metadata,
    growth,
    duration,
)
"""All of them."""


def _usual(what: str, limit: float) -> str:
    return f"fewer than {limit:,.0f} were expected to {what}"


def _excludes(now: Features) -> tuple[str, ...]:
    """That other patterns are left out now, which explains what is missing."""
    if now.previous is None or set(now.previous.excluded) == set(now.snapshot.excluded):
        return ()
    return ("the patterns of what is left out were changed",)
