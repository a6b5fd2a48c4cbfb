"""What stands beside the progress bar."""

from __future__ import annotations

from dataclasses import replace

from holdfast.cli.bar import progress_bar, told
from holdfast.cli.output import Output
from holdfast.progress import ProgressEvent

EVENT = ProgressEvent(
    percent=50.0,
    files=1200,
    files_total=2400,
    bytes=3 << 20,
    bytes_total=6 << 20,
    path="/data/odd \x1b[31m",
    elapsed=2.0,
    rate=1.5 * (1 << 20),
    seconds_left=2.0,
)


def test_files_bytes_rate_time_left_and_path() -> None:
    assert told(EVENT) == (
        "1,200 files, 3.00 MiB of 6.00 MiB, 1.50 MiB/s, 2.0 s left  /data/odd \\x1b[31m"
    )


def test_what_is_not_known_yet_is_left_out() -> None:
    early = replace(EVENT, percent=0.0, seconds_left=None, path="")
    assert told(early) == "1,200 files, 3.00 MiB, 1.50 MiB/s"


def test_nothing_is_counted_when_nobody_looks() -> None:
    with progress_bar(Output(), "working") as progress:  # standard error is no terminal here
        assert progress is None
