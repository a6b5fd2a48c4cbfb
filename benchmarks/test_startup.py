"""How long short answers take, from the start of the interpreter to its end.

`holdfast --version` is to take 0.1 s or less.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "pass"],
        ["-c", "import holdfast"],
        ["-m", "holdfast", "--version"],
        ["-m", "holdfast", "--help"],
        ["-m", "holdfast", "list", "--help"],
    ],
    ids=" ".join,
)
def test_startup(benchmark: BenchmarkFixture, arguments: list[str]) -> None:
    benchmark.group = "start-up"

    def start() -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    benchmark(start)
