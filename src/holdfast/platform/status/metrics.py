"""The status as metrics of Prometheus (its text format 0.0.4)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.platform.status.result import Status

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError:
    raise UsageError("metrics need prometheus-client: pip install 'holdfast[platform]'") from None

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(status: Status) -> bytes:
    """The metrics, as Prometheus reads them; the guide lists them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(status))
    return generate_latest(registry)


def write_metrics(status: Status, path: Path) -> None:
    """Write them to a file for the node exporter, which sees the old file or the whole new one.

    Raises:
        UsageError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # no `.prom`, so it is not read
    try:
        try:
            temporary.write_bytes(metrics(status))
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


class _Collector(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    @override
    def collect(self) -> Iterable[Metric]:
        yield from _of_repository(self._status)
        yield from _of_sources(self._status)
        yield from _of_work(self._status)


def _of_repository(status: Status) -> Iterator[Metric]:
    simple: list[tuple[str, str, float | None]] = [
        ("ok", "Whether nothing is wrong.", status.ok),
        ("up", "Whether the repository can be opened and listed.", status.reachable),
        ("problems", "How many things are wrong.", len(status.problems)),
        ("snapshots", "How many snapshots there are.", status.snapshots),
        ("status_timestamp_seconds", "When this was found out.", _seconds(status.time)),
        ("last_backup_timestamp_seconds", "When the newest backup began.", _seconds(status.newest)),
        (
            "added_bytes",
            "New data of the backups of the last days, as it was.",
            sum(each.added for each in status.growth),
        ),
        ("stored_bytes", "What that takes.", sum(each.stored for each in status.growth)),
    ]
    for name, text, value in simple:
        if value is not None:
            metric = GaugeMetricFamily(f"holdfast_{name}", text, labels=["repository"])
            metric.add_metric([_label(status.repository)], float(value))
            yield metric


def _of_sources(status: Status) -> Iterator[Metric]:
    labels = ["repository", "host", "paths"]
    times = _family("source_last_backup_timestamp_seconds", "When its newest backup began.", labels)
    limits = _family("source_max_age_seconds", "How old its newest backup may be.", labels)
    late = _family("source_late", "Whether it is older, or there is none.", labels)
    count = _family("source_snapshots", "How many snapshots of it there are.", labels)
    for each in status.sources:
        own = [_label(text) for text in (status.repository, each.host, " ".join(each.paths))]
        if each.time is not None:
            times.add_metric(own, each.time.timestamp())
        limits.add_metric(own, each.limit.total_seconds())
        late.add_metric(own, float(each.late))
        count.add_metric(own, each.snapshots)
    yield from (times, limits, late, count)


def _of_work(status: Status) -> Iterator[Metric]:
    repository = _label(status.repository)
    failed = _family(
        "failed_runs", "Runs of the last days, by job and state.", ["repository", "job", "state"]
    )
    counts: dict[tuple[str, str], int] = {}
    for each in status.failures:
        counts[each.name, each.state] = counts.get((each.name, each.state), 0) + 1
    for (name, state), number in counts.items():
        failed.add_metric([repository, _label(name), state], number)
    yield failed
    for word, found in (("check", status.last_check), ("drill", status.last_drill)):
        if found is not None:
            time = _family(f"last_{word}_timestamp_seconds", f"Of the last {word}.", ["repository"])
            time.add_metric([repository], found.time.timestamp())
            good = _family(f"last_{word}_ok", f"Whether that {word} was good.", ["repository"])
            good.add_metric([repository], float(found.ok))
            yield from (time, good)
    upcoming = _family("next_run_timestamp_seconds", "When a job runs.", ["repository", "job"])
    for job in {each.name: each for each in status.next_runs if each.time is not None}.values():
        upcoming.add_metric([repository, _label(job.name)], _seconds(job.time) or 0.0)
    yield upcoming


def _family(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"holdfast_{name}", text, labels=labels)


def _label(text: str) -> str:
    """Names may have bytes that are no text, which the format has no place for."""
    return text.encode("utf-8", "backslashreplace").decode()


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
