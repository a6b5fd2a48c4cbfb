"""Starting up loads nothing that is not used, and is quick."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

DRIVERS = {"adlfs", "boto3", "botocore", "fsspec", "gcsfs", "paramiko", "s3fs"}
ANALYSIS = {"matplotlib", "numpy", "pandas"}
CODECS = {"blake3", "cryptography", "fastcdc", "msgpack", "pyfastcdc", "zstandard"}


def packages_loaded_by(*arguments: str) -> set[str]:
    """The top-level packages that a fresh interpreter imports when run like this."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    assert run.returncode == 0, run.stderr.replace("\n".join(lines), "")
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_the_probe_sees_what_is_loaded() -> None:
    assert "fsspec" in packages_loaded_by("-c", "import fsspec")


def test_importing_holdfast_loads_no_storage_driver() -> None:
    loaded = packages_loaded_by("-c", "import holdfast; holdfast.__version__")
    assert "holdfast" in loaded
    assert loaded & (DRIVERS | ANALYSIS) == set()


def test_asking_for_the_version_loads_neither_codecs_nor_drivers() -> None:
    loaded = packages_loaded_by("-m", "holdfast", "--version")
    assert loaded & (DRIVERS | ANALYSIS | CODECS | {"rich"}) == set()


def processor_seconds() -> float:
    """What the children that have ended used so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("program", [["-c", "import holdfast"], ["-m", "holdfast", "--version"]])
def test_start_up_takes_a_tenth_of_a_second_at_most(program: list[str]) -> None:
    # Processor time and the best of ten: other tests run beside this one.
    best = float("inf")
    for _ in range(10):
        begin = processor_seconds()
        subprocess.run(
            [sys.executable, *program], check=True, timeout=60, stdout=subprocess.DEVNULL
        )
        best = min(best, processor_seconds() - begin)
    assert best <= 0.1
