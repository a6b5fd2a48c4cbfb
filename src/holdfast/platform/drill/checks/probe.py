"""``service_availability`` and ``api_health``: a probe that somebody gives says whether it is."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from holdfast.overrides import override
from holdfast.platform.drill.checks.context import CheckContext
from holdfast.platform.drill.deadline import Deadline, OutOfTime
from holdfast.platform.drill.process import run_command
from holdfast.platform.drill.report import CheckOutcome, DrillError, bounded

PATIENCE: Final = 60.0
"""Seconds that a service may take to answer."""

_OK: Final = range(200, 300)


def check_probe(name: str, context: CheckContext) -> CheckOutcome:
    """Ask the probe of that name."""
    probe, restored = context.probes.get(name), context.restored
    if probe is None or restored is None:
        return CheckOutcome(name, None, "no probe was given")
    context.deadline.check()
    if isinstance(probe, str):
        problem, summary = _ask_url(probe, context.deadline), f"GET {probe}"
    elif callable(probe):
        problem = _ask_function(probe, restored.folder)
        summary = f"function {getattr(probe, '__name__', type(probe).__name__)}"
    else:
        problem = _ask_command(probe, restored.folder, context.deadline)
        summary = f"command {probe[0]}"
    errors = [DrillError("", name, problem)] if problem else []
    return bounded(CheckOutcome(name, not errors, summary), errors)


def _ask_function(probe: Callable[[Path], object], folder: Path) -> str:
    try:
        return "" if probe(folder) else "the probe says no"
    except Exception as error:  # noqa: BLE001 - somebody else's code: whatever it raises is a no
        return f"the probe failed: {type(error).__name__}: {error}"


def _ask_command(probe: Sequence[str], folder: Path, deadline: Deadline) -> str:
    limit = Deadline(deadline.clock, PATIENCE / 60, f"no answer in {PATIENCE:g} s", deadline)
    try:
        ended = run_command(probe, limit, folder, {"HOLDFAST_RESTORED": str(folder)})
    except OutOfTime as error:
        deadline.check()  # if it was the drill's time that ended, that is what counts
        return str(error)
    if not ended.problem:
        return ""
    return ended.problem + f": {ended.output[-500:]}" * bool(ended.output)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection is an answer like any other: it is not followed to somewhere else."""

    @override
    def redirect_request(self, *_: object) -> None:
        return None


def _ask_url(url: str, deadline: Deadline) -> str:
    """Ask in a thread: a time-out of a socket is one of each read, however small."""
    seconds = max(0.1, min(PATIENCE, deadline.left))
    answers: SimpleQueue[str] = SimpleQueue()
    asking = Thread(target=lambda: answers.put(_answer(url, seconds)), daemon=True)
    asking.start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        deadline.check()  # if it was the drill's time that ended, that is what counts
        return f"no answer in {seconds:g} s"


def _answer(url: str, seconds: float) -> str:
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(url, timeout=seconds) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        with error:
            status = error.code
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer: {getattr(error, 'reason', None) or error}"
    return "" if status in _OK else f"it answers with status {status}"
