"""Closing connections that nobody has closed, without harm in the processes of a fork."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable


def close_when_garbage(
    owner: object, loop: asyncio.AbstractEventLoop, close: Callable[[], Awaitable[None]]
) -> None:
    """Have something closed in its loop when its owner is garbage, whichever thread collects it."""
    weakref.finalize(owner, _schedule, os.getpid(), loop, close)


def detach(owner: object) -> None:
    """Forget what a library wants to do when an object is garbage.

    adlfs' way refers to the object itself, which so never is garbage, and waits at the exit of a
    forked process for a loop that does not run there.
    """
    for each in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # noqa: SLF001 - adlfs keeps no other reference
        found = each.peek()
        if found is not None and found[0] is owner:
            each.detach()


def _schedule(
    process: int, loop: asyncio.AbstractEventLoop, close: Callable[[], Awaitable[None]]
) -> None:
    async def closing() -> None:
        await close()

    if process == os.getpid() and loop.is_running():
        asyncio.run_coroutine_threadsafe(closing(), loop)
