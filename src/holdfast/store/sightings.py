"""How long other sessions have been silent, as this machine has seen it over several runs.

Kept in the cache folder, so that a prune that does not wait can tell next time that a session is
dead. What this file says may be wrong: a session that is expired wrongly fails its backup and
loses nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from holdfast.clock import Clock
from holdfast.primitives import codec
from holdfast.store.keys import Keys

_log = logging.getLogger(__name__)


class _Sighting(NamedTuple):
    """A sign of life as this run has seen it first, and for how long others had seen it before."""

    beats: int
    since: float
    before: float


class Sightings:
    """When each sign of life of each session was first seen."""

    def __init__(self, cache: Path | None, keys: Keys, clock: Clock) -> None:
        self._path = cache and cache / keys.repository.hex() / "sessions"
        self._clock = clock
        self._seen = self._load()
        self._here: dict[str, _Sighting] = {}

    def see(self, session: str, beats: int) -> float:
        """Note what a session shows now; returns for how many seconds it has shown the same.

        Within this run that is counted by a clock that nobody can set and that stands still while
        the machine sleeps; from run to run by the wall clock.
        """
        wall, now = self._clock.now_ns(), self._clock.monotonic()
        if self._seen.get(session, (-1, 0))[0] != beats or self._seen[session][1] > wall:
            self._seen[session] = (beats, wall)
        here = self._here.get(session)
        if here is None or here.beats != beats:
            before = 0.0 if here else (wall - self._seen[session][1]) / 1e9
            here = self._here[session] = _Sighting(beats, now, before)
        return here.before + now - here.since

    def save(self, sessions: Mapping[str, object]) -> None:
        """Keep what was seen of these sessions, the ones that there still are, for the next run."""
        if self._path is None:
            return
        seen = {name: value for name, value in self._seen.items() if name in sessions}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(codec.pack(seen))
                Path(temporary).replace(self._path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    Path(temporary).unlink()
                raise
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)

    def _load(self) -> dict[str, tuple[int, int]]:
        if self._path is None:
            return {}
        try:
            record = codec.unpack(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", self._path, error)
            return {}
        if not isinstance(record, dict):
            return {}
        seen: dict[str, tuple[int, int]] = {}
        for name, value in record.items():
            match value:
                case (int(beats), int(moment)):
                    seen[name] = (beats, moment)
                case _:
                    continue
        return seen
