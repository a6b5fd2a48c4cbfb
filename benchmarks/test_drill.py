"""Whether a drill's clock tells the truth: a real drill, measured from outside at the same time.

The outside observer has a clock of its own. It starts it before it calls the drill, reads it in
the probe, which is the last thing that the recovery time counts, and stops it when the call is
over. What it saw and what the report says must agree within `MOST`, with so much data that the
rest (the scratch directory, the report) does not count.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import holdfast
from holdfast import DRDrill, DrillConfig
from holdfast.platform.workspace import Workspace
from holdfast.primitives.hashing import keyed_stream

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FILES = 400
SIZE = 1 << 20
PASSWORD = "benchmark"
MOST = 0.05
"""By how much of it a time may be off."""


class Observer:
    """Looks at a clock of its own."""

    def __init__(self) -> None:
        self.start = self.recovered = self.end = 0.0

    def probe(self, _: Path) -> bool:
        self.recovered = perf_counter()
        return True


def test_a_drill_measures_what_is_seen_from_outside(
    tmp_path: Path, benchmark: BenchmarkFixture
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(FILES):
        data = keyed_stream(bytes(32), number.to_bytes(8, "little"), SIZE)
        (source / f"{number}.bin").write_bytes(data)
    repository = tmp_path / "repository"
    with holdfast.init(repository, password=PASSWORD, cache=False) as made:
        made.backup([str(source)])
    observer = Observer()
    config = DrillConfig(
        test_environment=str(tmp_path / "scratch"),
        validation_checks=["integrity", "service_availability"],
    )
    with Workspace(tmp_path / "state") as workspace:
        drill = DRDrill(
            repository,
            password=PASSWORD,
            workspace=workspace,
            cache=False,
            probes={"service_availability": observer.probe},
        )

        def observed() -> holdfast.DrillReport:
            observer.start = perf_counter()
            report = drill.execute_drill(config)
            observer.end = perf_counter()
            return report

        report = benchmark.pedantic(observed, rounds=1)  # type: ignore[no-untyped-call]
    assert report.status == "SUCCESS"
    recovery, whole = observer.recovered - observer.start, observer.end - observer.start
    told = report.recovery_time_minutes * 60
    print(f"\nrecovery: {told:.3f} s told, {recovery:.3f} s seen")
    print(f"all of it: {report.duration_seconds:.3f} s told, {whole:.3f} s seen")
    assert abs(told - recovery) <= MOST * recovery
    assert abs(report.duration_seconds - whole) <= MOST * whole
    assert report.bytes == FILES * SIZE
