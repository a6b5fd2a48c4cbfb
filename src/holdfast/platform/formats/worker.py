"""The process that reads files of known formats: it may run out of time or memory, or crash.

Each question is a line of JSON on standard input, each answer one on standard output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from holdfast.platform.formats.archives import read_compressed, read_tar, read_zip
from holdfast.platform.formats.databases import read_sqlite
from holdfast.platform.formats.documents import (
    read_csv,
    read_json,
    read_json_lines,
    read_toml,
    read_yaml,
)
from holdfast.platform.formats.optional import read_image, read_parquet
from holdfast.platform.formats.verdict import Broken, Limits, Unread, Verdict

Reading: TypeAlias = Callable[[Path], None]

REASON: Final = 500
"""Most characters of a reason: it may quote the file."""


def main() -> None:
    """Answer until the questions end; the arguments are a folder to work in, and the limits."""
    work, limits = Path(sys.argv[1]), Limits(*json.loads(sys.argv[2]))
    for kind, most in ((resource.RLIMIT_AS, limits.memory), (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):  # macOS knows no bound of memory
            resource.setrlimit(kind, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends this process, whatever it is doing
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        path, name, seconds = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        verdict = _judge(Path(path), name, limits, work)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps([verdict.good, verdict.reason[:REASON]]), file=answers, flush=True)


def _judge(path: Path, name: str, limits: Limits, work: Path) -> Verdict:
    try:
        _reading(name, limits, work)(path)
    except Broken as error:
        return Verdict(good=False, reason=str(error))
    except Unread as error:
        return Verdict(None, str(error))
    except MemoryError:
        return Verdict(None, "it takes more memory than it may")
    except Exception as error:  # noqa: BLE001 - a library's own mistake says nothing of the file
        return Verdict(None, f"{type(error).__name__}: {error}")
    return Verdict(good=True)


def _reading(name: str, limits: Limits, work: Path) -> Reading:
    readings: dict[str, Reading] = {
        "bzip2": partial(read_compressed, limits=limits, kind="bz2"),
        "csv": partial(read_csv, limits=limits),
        "gzip": partial(read_compressed, limits=limits, kind="gz"),
        "image": read_image,
        "json": partial(read_json, limits=limits),
        "jsonl": partial(read_json_lines, limits=limits),
        "parquet": read_parquet,
        "sqlite": partial(read_sqlite, work=work),
        "tar": partial(read_tar, limits=limits),
        "tar.bz2": partial(read_tar, limits=limits, kind="bz2"),
        "tar.gz": partial(read_tar, limits=limits, kind="gz"),
        "tar.xz": partial(read_tar, limits=limits, kind="xz"),
        "toml": partial(read_toml, limits=limits),
        "xz": partial(read_compressed, limits=limits, kind="xz"),
        "yaml": partial(read_yaml, limits=limits),
        "zip": partial(read_zip, limits=limits),
    }
    return readings[name]
