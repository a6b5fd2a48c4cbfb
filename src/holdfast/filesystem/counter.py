"""Counting what there is to back up, in a process of its own.

A second walk in a thread beside the work costs both more than either takes alone: each gives the
interpreter lock up for every name that it reads, and then waits for the other.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing
from typing import Final, NamedTuple, cast

from holdfast.filesystem.exclude import ExcludeRules
from holdfast.filesystem.source import LocalSource
from holdfast.primitives.child import Child, can_start, connected, receive, send

_MODULE: Final = "holdfast.filesystem.counter"
_LOOK_EVERY: Final = 0.01
"""Seconds between two looks whether the count is still wanted."""


class _Wanted(NamedTuple):
    """What to count: roots, and the fields of `ExcludeRules`, the texts among them as bytes."""

    roots: tuple[bytes, ...]
    patterns: tuple[bytes, ...]
    ipatterns: tuple[bytes, ...]
    if_present: tuple[bytes, ...]
    caches: bool
    larger_than: int | None
    one_file_system: bool


def count_aside(source: LocalSource, stop: threading.Event) -> tuple[int, int] | None:
    """What `LocalSource.scan_totals` finds, from another process where there is a core for it.

    Args:
        source: what is counted.
        stop: ends the count when it is set.

    Returns:
        Files and bytes; None if it was stopped.

    Raises:
        OSError: ``/`` cannot be opened.
    """
    if can_start():
        with closing(Child(_MODULE, _wanted(source))) as child:
            while child.pid is not None:
                if stop.is_set():
                    child.kill()
                elif child.is_ready(_LOOK_EVERY) and child.has_answer(_LOOK_EVERY):
                    totals = child.answer()
                    if totals is not None:
                        return cast("tuple[int, int]", totals)
    counted = source.scan_totals(stop)
    return None if stop.is_set() else counted


def main() -> None:
    """Count for the parent."""
    questions, answers = connected()
    wanted = _Wanted(*cast("_Wanted", receive(questions)))
    rules = ExcludeRules(
        patterns=tuple(map(os.fsdecode, wanted.patterns)),
        ipatterns=tuple(map(os.fsdecode, wanted.ipatterns)),
        if_present=tuple(map(os.fsdecode, wanted.if_present)),
        caches=wanted.caches,
        larger_than=wanted.larger_than,
        one_file_system=wanted.one_file_system,
    )
    stop = threading.Event()

    def watch() -> None:
        questions.read()  # which ends with the parent
        stop.set()

    threading.Thread(target=watch, name="holdfast-parent", daemon=True).start()
    totals = LocalSource(wanted.roots, rules).scan_totals(stop)
    if not stop.is_set():
        send(answers, totals)
        os._exit(0)  # the thread would keep its stream from being closed in order


def _wanted(source: LocalSource) -> _Wanted:
    rules = source.rules
    return _Wanted(
        roots=tuple(source.roots),
        patterns=tuple(map(os.fsencode, rules.patterns)),
        ipatterns=tuple(map(os.fsencode, rules.ipatterns)),
        if_present=tuple(map(os.fsencode, rules.if_present)),
        caches=rules.caches,
        larger_than=rules.larger_than,
        one_file_system=rules.one_file_system,
    )
