"""Starting up loads nothing that is not used, and is quick."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import holdfast

DRIVERS = {"adlfs", "boto3", "botocore", "fsspec", "gcsfs", "paramiko", "s3fs"}
ANALYSIS = {"matplotlib", "numpy", "pandas"}
CODECS = {"blake3", "cryptography", "fastcdc", "msgpack", "pyfastcdc", "zstandard"}
PASSWORD = "correct horse"


HEAVY = {"asyncio", "email", "http", "multiprocessing", "rich", "ssl", "tarfile", "yaml"}
HEAVY |= {"prometheus_client", "pydantic", "zipfile"}
"""What takes 5 ms or more to import, and most commands do not need."""


def modules_loaded_by(*arguments: str, repository: Path | None = None) -> set[str]:
    """The modules that a fresh interpreter imports when run like this."""
    about = {"HOLDFAST_REPOSITORY": str(repository), "HOLDFAST_PASSWORD": PASSWORD}
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | (about if repository else {}),
    )
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    assert run.returncode == 0, run.stderr.replace("\n".join(lines), "")
    return {line.rpartition("|")[2].strip() for line in lines}


def packages_of(modules: Iterable[str]) -> set[str]:
    """Their top-level packages."""
    return {module.partition(".")[0] for module in modules}


def packages_loaded_by(*arguments: str) -> set[str]:
    """The top-level packages that a fresh interpreter imports when run like this."""
    return packages_of(modules_loaded_by(*arguments))


def below(package: str, modules: Iterable[str]) -> set[str]:
    """What of a package of ours is among the modules, by the first name after its own."""
    start = f"holdfast.{package}."
    return {each[len(start) :].partition(".")[0] for each in modules if each.startswith(start)}


def test_the_probe_sees_what_is_loaded() -> None:
    assert "fsspec" in packages_loaded_by("-c", "import fsspec")


def test_importing_holdfast_loads_no_storage_driver() -> None:
    loaded = packages_loaded_by("-c", "import holdfast; holdfast.__version__")
    assert "holdfast" in loaded
    assert loaded & (DRIVERS | ANALYSIS) == set()


def test_asking_for_the_version_loads_neither_codecs_nor_drivers() -> None:
    loaded = packages_loaded_by("-m", "holdfast", "--version")
    assert loaded & (DRIVERS | ANALYSIS | CODECS | {"rich"}) == set()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("startup") / "repository"
    with holdfast.init(place, password=PASSWORD, cache=False):
        return place


def test_listing_loads_no_verb_that_it_does_not_use(repository: Path) -> None:
    loaded = modules_loaded_by("-m", "holdfast", "--no-cache", "list", repository=repository)
    assert below("operations", loaded) == {"labels"}
    assert below("model", loaded) == {"labels", "record", "select", "snapshot"}
    assert below("filesystem", loaded) == set()
    assert "holdfast.platform.audit" not in loaded
    unwanted = DRIVERS | ANALYSIS | HEAVY | {"fastcdc", "pyfastcdc"}
    assert packages_of(loaded) & unwanted == set()


def test_a_backup_loads_no_other_verb(repository: Path, tmp_path: Path) -> None:
    create = ("-m", "holdfast", "--no-cache", "create", str(tmp_path))
    loaded = modules_loaded_by(*create, repository=repository)
    assert below("operations", loaded) == {"backup", "ingest", "labels", "spread"}
    assert below("platform", loaded) == {"audit", "folder"}
    assert below("model", loaded) & {"compare", "entry", "file", "policy", "retention"} == set()
    assert packages_of(loaded) & (DRIVERS | ANALYSIS | HEAVY) == set()


def test_how_results_look_is_loaded_when_they_are_shown() -> None:
    loaded = modules_loaded_by("-c", "import holdfast; holdfast.Snapshot; holdfast.CheckReport")
    assert below("present", loaded) == {"bar", "rows", "shown", "table", "words"}
    assert packages_of(loaded) & (ANALYSIS | {"html", "IPython"}) == set()


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
