"""Targets: what people write into options; what it is taken for is written the same again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from tests.fuzz.engine import Attempt, Target
from tests.fuzz.mutate import mutate_text
from tests.fuzz.objects import SNAPSHOT

from holdfast.backend import Limit, open_backend
from holdfast.cli.params import group_keys, last_moment, size_in_bytes
from holdfast.engine.password import _decoded
from holdfast.errors import UsageError
from holdfast.filesystem.exclude import ExcludeRules, Exclusion
from holdfast.filesystem.patterns import Patterns
from holdfast.model.periods import Duration
from holdfast.model.record import FIRST_TIME, LAST_TIME
from holdfast.model.retention import RetentionPolicy
from holdfast.model.select import parse_spec, parse_time, resolve
from holdfast.operations.cat import parse_blob_id
from holdfast.operations.check import ReadData
from holdfast.operations.prune.options import MaxUnused
from holdfast.platform.schedule.cron import Timing, expression_of
from holdfast.platform.schedule.zone import find_zone
from holdfast.platform.status.server import _parsed as parse_address
from holdfast.primitives.ids import SnapshotId
from holdfast.settings.defaults import Config
from holdfast.settings.storage import find_storage_options

PATHS = (b"/", b"/a", b"/srv/a.tmp", b"/srv/a/b/c", b"/\xff\xfe", b"/a\nb/[x]", b"/" + b"a" * 250)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
_START = 1_790_000_000_000_000_000
_HOUR = 3_600_000_000_000

SNAPSHOTS = [
    replace(SNAPSHOT, id=SnapshotId(f"{number:032x}"), time_ns=time, utc_offset=offset)
    for number, (time, offset) in enumerate(
        [
            (FIRST_TIME, -86400),
            (LAST_TIME, 86400),
            (0, 0),
            *((_START - number**3 * _HOUR, 3600) for number in range(30)),
        ]
    )
]


def text_of(data: bytes) -> str:
    """The text, as the system gives what was typed."""
    return data.decode("utf-8", "surrogateescape")


def try_patterns(data: bytes) -> None:
    """Lines as exclude patterns, on paths and on what the patterns say themselves."""
    lines = text_of(data).split("\n")[:50]
    Exclusion(ExcludeRules(patterns=tuple(lines), ipatterns=tuple(lines[:3])))
    patterns = Patterns(lines)
    own = [b"/" + line.encode("utf-8", "surrogateescape").strip(b"/!") for line in lines[:5]]
    for path in (*PATHS, *own):
        if b"//" in path or b"\0" in path:
            continue
        found = [patterns.match(path, is_dir=is_dir) for is_dir in (False, True)]
        parent = path.rpartition(b"/")[0] or b"/"
        if any(found) and path != b"/":
            assert patterns.could_match_below(parent), f"nothing below {parent!r}, but {path!r}"


def try_retention(data: bytes) -> None:
    """A text as a retention policy, for snapshots of all times."""
    policy = RetentionPolicy.parse(text_of(data))
    assert RetentionPolicy.parse(policy.dict()) == policy
    groups = policy.apply(SNAPSHOTS, now=NOW)
    assert sum(len(group.decisions) for group in groups) == len(SNAPSHOTS)
    assert any(each.keep for group in groups for each in group.decisions)


def try_location(data: bytes) -> None:
    """A text as the place of a repository; nothing is read there."""
    text = text_of(data)
    protocol = text.partition("://")[0].lower()
    if "://" in text and protocol not in _SCHEMES:
        raise UsageError("a driver of fsspec's that is not looked at here")
    assert open_backend(text).location


_SCHEMES = frozenset({"file", "local", "memory", "s3", "az", "abfs", "gs", "gcs", "sftp", "ssh"})


def try_cron(data: bytes) -> None:
    """A text as a schedule, and the next times that it means."""
    text, _, zone = text_of(data).partition("\n")
    expression = expression_of(text)
    if expression == "manual":
        return
    assert expression_of(expression) == expression
    timing = Timing(expression, zone or "Europe/Berlin")
    first = timing.next_after(NOW)
    if first is not None:
        assert first > NOW
        following = timing.next_after(first)
        assert following is None or following > first


def _size(text: str) -> None:
    assert size_in_bytes(text) >= 0


def _duration(text: str) -> None:
    found = Duration.parse(text)
    assert Duration.parse(str(found)) == found
    for snapshot in SNAPSHOTS:
        found.before(snapshot, None)


def _blob_id(text: str) -> None:
    if (found := parse_blob_id(text)) is None:
        raise UsageError("no id of a blob")
    assert found.hex() == text


def _limit(text: str) -> None:
    assert all(Limit.parse(text).rate(minute) >= 0 for minute in (0, 1, 719, 1439))


def _password(text: str) -> None:
    assert _decoded(text.encode("utf-8", "surrogateescape")) is not None


VALUES: Mapping[str, tuple[Callable[[str], object], str]] = {
    "size": (_size, "1.5GiB"),
    "moment": (last_moment, "2026-11-21"),
    "group": (group_keys, "host,paths"),
    "duration": (_duration, "1y5m7d2h"),
    "time": (parse_time, "2026-11-21T08:30:00+01:00"),
    "spec": (parse_spec, "latest~2:/etc"),
    "snapshot": (partial(resolve, SNAPSHOTS), "latest~1"),
    "blob": (_blob_id, "ab" * 32),
    "read data": (ReadData.parse, "3/10"),
    "unused": (MaxUnused.parse, "5%"),
    "limit": (_limit, "08:00-18:00=512,4096"),
    "zone": (find_zone, "Europe/Berlin"),
    "address": (parse_address, "[::1]:9184"),
    "storage option": (lambda text: find_storage_options([text], Config()), "a.b=1.5"),
    "password": (_password, "a password\r\n"),
}
"""What reads a value, and a good one."""


def try_value(data: bytes) -> None:
    """Its kind and a value, a line each."""
    kind, _, text = text_of(data).partition("\n")
    if kind not in VALUES:
        raise UsageError("no such kind")
    VALUES[kind][0](text)


def value_seeds() -> list[bytes]:
    return [f"{kind}\n{value}".encode() for kind, (_, value) in VALUES.items()]


def prepared(attempt: Attempt) -> Callable[[Path], Attempt]:
    return lambda _: attempt


TARGETS = (
    Target(
        "patterns",
        prepared(try_patterns),
        lambda: [b"*.tmp\n!keep\n/srv/**/*.log\nlib/[!a-z]?\\*/", b"/\ncache/\n/a/b", b"**"],
        mutate_text,
        share=15,
    ),
    Target(
        "retention",
        prepared(try_retention),
        lambda: [b"keep-last:5,keep-daily:7,keep-within:1y2m3d4h,keep-tags:daily", b"gfs"],
        mutate_text,
        words=("keep-weekly:unlimited", "keep-within-hourly:9y", "standard"),
    ),
    Target(
        "location",
        prepared(try_location),
        lambda: [
            b"/srv/repo",
            b"~/repo",
            b"file:///srv/repo%20a",
            b"s3://bucket/prefix",
            b"az://container/prefix",
            b"gs://bucket/prefix",
            b"sftp://user@[::1]:2222/srv/repo",
            b"memory://x",
        ],
        mutate_text,
        words=("?token=x", "#sig=", "::s3://", "user:pass@", "file://localhost/"),
    ),
    Target(
        "cron",
        prepared(try_cron),
        lambda: [b"30 2 * * 1-5\nEurope/Berlin", b"every 15 minutes", b"@daily", b"0 0 L 2,4 *"],
        mutate_text,
    ),
    Target("value", prepared(try_value), value_seeds, mutate_text, (click.ClickException,)),
)
