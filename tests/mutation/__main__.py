"""``python -m tests.mutation``: put mistakes into modules; a test has to fail for each."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.mutation.explained import explained
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.trial import ROOT, SOURCE, Trial

PACKAGE: Final = ROOT / SOURCE
TESTS: Final = {
    "model": ("tests/unit/model",),
    "store": ("tests/unit/store",),
    "operations": ("tests/unit/operations",),
}
"""Where the tests of a package are, unless told otherwise."""


def main() -> int:
    """Try a sample; returns 1 when a mutant survives that is not explained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "--modules", nargs="+", default=[*TESTS], help="files, folders of src/holdfast"
    )
    parser.add_argument("--tests", nargs="+", help="files, folders with tests")
    parser.add_argument("--sample", type=int, default=100, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    options = parser.parse_args()
    modules = [found for name in options.modules for found in modules_of(name)]
    everything = [mutant for module in modules for mutant in mutants_of(PACKAGE, module)]
    sample = sorted(everything, key=lambda mutant: mutant.rank(options.seed))[: options.sample]
    tests = options.tests or tests_of(modules)
    print(
        f"{len(everything)} mutants in {len(modules)} modules; {len(sample)} are tried", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        survivors = try_all(Trial(Path(folder), modules, tests), sample)
    unexplained = [mutant for mutant in survivors if not is_explained(mutant)]
    print(
        f"seed {options.seed}: {len(sample)} mutants, {len(sample) - len(survivors)} killed,"
        f" {len(survivors)} survived, {len(survivors) - len(unexplained)} of them explained"
    )
    for mutant in unexplained:
        print(mutant.shown())
    return bool(unexplained)


def modules_of(name: str) -> list[str]:
    """The modules at a place in the package, below it.

    Raises:
        FileNotFoundError: there is none.
    """
    path = PACKAGE / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    if not files or not all(file.exists() for file in files):
        raise FileNotFoundError(path)
    return [str(file.relative_to(PACKAGE)) for file in files]


def tests_of(modules: list[str]) -> list[str]:
    """Where the tests of these modules are."""
    packages = {module.partition("/")[0] for module in modules}
    return sorted({tests for package in packages for tests in TESTS[package]})


def try_all(trial: Trial, sample: list[Mutant]) -> list[Mutant]:
    """Try them, and say how it goes; returns those that survive."""
    survivors = []
    for number, mutant in enumerate(sample, 1):
        begin = time.monotonic()
        tests = trial.tests_of(mutant)
        is_survivor = trial.is_survivor(mutant, tests)
        said = "SURVIVED" if is_survivor else "killed"
        seconds = time.monotonic() - begin
        print(
            f"{number:4} {said} ({len(tests)} tests, {seconds:.1f} s) {mutant.shown()}", flush=True
        )
        if is_survivor:
            survivors.append(mutant)
    return survivors


def is_explained(mutant: Mutant) -> bool:
    """Whether `explained.toml` has it."""
    return any(known.is_of(mutant) for known in explained())


if __name__ == "__main__":
    raise SystemExit(main())
