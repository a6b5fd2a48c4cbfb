"""A small repository in memory whose reads take time on a clock that is turned by hand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.platform.drill import CHECKS, DRDrill, DrillConfig, DrillReport, Probe
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import ManualClock, attached, copied, new_store

DATA_CHECKS = ("integrity", "access_permissions", "data_consistency")


class TimedBackend(MemoryBackend):
    """A storage each read of which takes a time on the clock.

    Attributes:
        cost: seconds for each read.
        reads: how many there were.
    """

    def __init__(self, objects: MemoryBackend, clock: ManualClock) -> None:
        super().__init__()
        self._objects = objects._objects
        self._clock = clock
        self._turning = threading.Lock()
        self.cost = 0.0
        self.reads = 0

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._turning:
            self.reads += 1
            self._clock.advance(self.cost)
        return super().get(name, offset, length)


class Rig:
    """A repository with one snapshot, and drills of it."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.source = folder / "source"
        for name, data in files.items():
            place = self.source / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        self.backend = TimedBackend(MemoryBackend(), self.clock)
        self._store = new_store(self.backend, clock=self.clock)
        self.workspace = Workspace(folder / "state", self.clock)
        self.scratch = folder / "scratch"

    def back_up(self) -> Snapshot:
        """Make a snapshot."""
        with self.open() as repository:
            result = repository.backup([str(self.source)])
        assert result.snapshot is not None
        return result.snapshot

    def open(self) -> Repository:
        """The repository, as if it were opened anew."""
        return Repository(attached(self._store, self.backend, clock=self.clock), self.clock)

    def twin(self) -> Rig:
        """Another rig on a copy of all objects, to be damaged, with a clock of its own."""
        twin = object.__new__(Rig)
        twin.__dict__.update(self.__dict__)
        twin.clock = ManualClock(self.clock.monotonic())
        twin.workspace = Workspace(self.workspace.folder, twin.clock)
        twin.backend = TimedBackend(copied(self.backend), twin.clock)
        return twin

    def drill(self, probes: Mapping[str, Probe] | None = None) -> DRDrill:
        """What does drills of it."""
        return DRDrill(self.open, workspace=self.workspace, probes=probes)

    def config(self, **changes: object) -> DrillConfig:
        """A drill in the rig's own folder."""
        return DrillConfig.of({"test_environment": str(self.scratch), **changes})

    def report(self, **changes: object) -> DrillReport:
        """Do a drill with all checks that need no probe."""
        checks = [name for name in CHECKS if name not in {"service_availability", "api_health"}]
        return self.drill().execute_drill(self.config(**{"validation_checks": checks, **changes}))

    def packs(self) -> list[str]:
        """Names of the stored packs, those with the most data last."""
        found = sorted(self.backend.list("data/"), key=lambda info: info.size)
        return [info.name for info in found]

    def damage(self, name: str) -> None:
        """Turn over a byte in the middle of an object."""
        data = bytearray(self.backend._objects[name])
        data[len(data) // 2] ^= 1
        self.backend.put(name, data)

    def leftovers(self) -> list[str]:
        """What drills have left in their folder."""
        return sorted(each.name for each in self.scratch.iterdir())
