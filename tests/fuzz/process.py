"""Fuzzing in a process of its own: its memory is limited, and it may hang or die without us."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from tests.fuzz.engine import MEMORY, SECONDS, Fuzzer, Target

KEPT = Path(__file__).with_name("kept")
"""Inputs that once failed, in a folder for each target."""

ROOT = Path(__file__).parents[2]
_ADDRESSES = 4 * MEMORY
"""Bytes of addresses beyond those with which the process begins; not all are memory."""


def fuzz_here(target: Target, seed: int, folder: Path, seconds: float) -> str:
    """Fuzz in this process; returns what was done, in one line.

    Args:
        target: what is fuzzed.
        seed: of all choices.
        folder: always holds the name of the target, and the input that is tried.
        seconds: how long; 0 is as many inputs as are the target's share of a run of all tests.
    """
    end = time.monotonic() + seconds

    def is_over(done: int) -> bool:
        return time.monotonic() >= end if seconds else done >= target.share

    Path(folder, "target").write_text(target.name)
    with limited_memory(), Path(folder, "input").open("wb", buffering=0) as current:

        def tell(data: bytes) -> None:
            current.seek(0)
            current.truncate()
            current.write(data)

        work = Path(folder, "work", target.name)
        work.mkdir(parents=True)
        fuzzer = Fuzzer(target, seed, work, tell, kept=kept_inputs(target.name))
        fuzzer.run(is_over)
    return (
        f"{target.name:12} seed {seed}: {fuzzer.runs:7} inputs, {fuzzer.accepted:7} accepted, "
        f"{len(fuzzer.corpus):5} kept for {len(fuzzer.coverage):6} steps"
    )


def kept_inputs(name: str) -> list[bytes]:
    """Inputs on which a target once failed."""
    return [file.read_bytes() for file in sorted((KEPT / name).glob("*"))]


class Failed(AssertionError):  # noqa: N818 - an input did
    """An input of a target failed; the text says where it is kept and what came of it."""


def fuzz_in_child(names: Sequence[str], seed: int, seconds: float = 0) -> str:
    """Fuzz targets in a process of their own; returns what was done, in a line for each.

    Args:
        names: of the targets.
        seed: of all choices.
        seconds: how long each; 0 as for `fuzz_here`.

    Raises:
        Failed: an input failed, which is kept now.
    """
    arguments = [*names, "--seed", str(seed), "--minutes", str(seconds * len(names) / 60)]
    with tempfile.TemporaryDirectory(prefix="holdfast-fuzz-") as folder:
        try:
            child = subprocess.run(
                [sys.executable, "-m", "tests.fuzz", *arguments, "--child", folder],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # without a terminal to ask for passwords on
                capture_output=True,
                text=True,
                errors="replace",
                timeout=len(names) * (seconds + 10 * SECONDS),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(_keep(Path(folder), seed, "it hangs, and no signal reaches it")) from None
        if child.returncode:
            problem = child.stderr or f"exit status {child.returncode}"
            raise Failed(_keep(Path(folder), seed, problem))
        return child.stdout.strip()


def _keep(folder: Path, seed: int, problem: str) -> str:
    """Keep the input that was being tried; returns what to say of it."""
    if not Path(folder, "input").exists():
        return f"it did not begin\n{problem}"
    name, data = Path(folder, "target").read_text(), Path(folder, "input").read_bytes()
    place = KEPT / name / sha256(data).hexdigest()[:16]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return f"{name}, seed {seed}: failed on what is kept as {place}\n{problem}"


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Let this process take only some more memory."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    status = Path("/proc/self/status").read_text()
    size = int(status.split("VmSize:")[1].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESSES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
