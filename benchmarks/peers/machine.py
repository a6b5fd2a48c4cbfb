"""What the machine is that a run is made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> dict[str, str]:
    """Its parts that times depend on."""
    return {
        "processor": f"{_processor()}, {cores()} cores",
        "memory": f"{_memory('MemTotal') / 1e9:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def cores() -> int:
    """How many processors this program may use."""
    return len(os.sched_getaffinity(0))


def load() -> float:
    """Processes at work, as an average of the last minute."""
    return os.getloadavg()[0]


def available_memory() -> int:
    """Bytes that programs can have without anything being swapped out."""
    return _memory("MemAvailable")


def filesystem(path: Path) -> str:
    """The type of the file system that a path is on."""
    types: dict[Path, str] = {}
    for line in Path("/proc/self/mounts").read_text("utf-8", "surrogateescape").splitlines():
        _, where, kind = line.split()[:3]
        types[Path(where)] = kind
    here = path.resolve()
    return next(types[each] for each in (here, *here.parents) if each in types)


def _memory(name: str) -> int:
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
