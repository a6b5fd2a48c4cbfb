"""The fuzzer: what it tries in every run of the tests, and that it would find something."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest
from tests.fuzz import process
from tests.fuzz.engine import MEMORY, Fuzzer, Target, TooLarge, TooSlow, at_most, memory_taken
from tests.fuzz.mutate import mutate_text
from tests.fuzz.process import KEPT, Failed, fuzz_here, fuzz_in_child, kept_inputs
from tests.fuzz.targets import TARGETS

from holdfast import UsageError
from holdfast.model.retention import RetentionPolicy

LENGTH = 20
"""Seconds for each target at length; `make fuzz` takes as many minutes as it is told to."""


@pytest.mark.fault(7, 8, 33)
def test_a_few_inputs_for_every_target_and_all_that_ever_failed() -> None:
    told = fuzz_in_child(list(TARGETS), seed=0).splitlines()
    assert [line.split()[0] for line in told] == list(TARGETS)


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_many_inputs(name: str) -> None:
    assert fuzz_in_child([name], seed=1, seconds=LENGTH)


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"cache", "commands"}))
def test_the_first_seed_is_accepted(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    assert target.accepts(target.prepare(tmp_path), target.seeds()[0])


def test_what_is_kept_is_of_a_target_that_there_is() -> None:
    assert {folder.name for folder in KEPT.iterdir() if folder.is_dir()} <= set(TARGETS)


# It would find something


def toy(attempt: Callable[[bytes], object]) -> Target:
    return Target("toy", lambda _: attempt, lambda: [b"keep-last:3"], mutate_text)


def test_words_and_steps_of_the_code_lead_far_from_the_seeds(tmp_path: Path) -> None:
    def attempt(data: bytes) -> None:
        policy = RetentionPolicy.parse(data.decode("utf-8", "surrogateescape"))
        if policy.keep_last > 1000:
            raise LookupError("found")

    fuzzer = Fuzzer(toy(attempt), 0, tmp_path)
    with pytest.raises(LookupError, match="found"):
        fuzzer.run(lambda done: done > 2000)
    assert "unlimited" in fuzzer.coverage.words, "with which the code compares"
    assert 1 < len(fuzzer.corpus) < fuzzer.runs
    assert 0 < fuzzer.accepted < fuzzer.runs


def test_the_same_seed_tries_the_same_inputs(tmp_path: Path) -> None:
    toy_target = toy(lambda data: RetentionPolicy.parse(data.decode("utf-8", "surrogateescape")))

    def inputs_of(seed: int) -> list[bytes]:
        inputs: list[bytes] = []
        Fuzzer(toy_target, seed, tmp_path, inputs.append).run(lambda done: done >= 50)
        return inputs

    assert inputs_of(1) == inputs_of(1)
    assert inputs_of(1) != inputs_of(2)


def test_an_input_that_takes_too_long_is_found() -> None:
    def endless() -> None:
        for _ in repeat(None):
            continue

    with pytest.raises(TooSlow), at_most(0.01):
        endless()


def test_an_input_that_takes_too_much_memory_is_found(tmp_path: Path) -> None:
    def attempt(data: bytes) -> None:
        if data != b"keep-last:3":
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            # This process may have taken more before than it does now; that is not to count.
            given_back = memory_taken() - pages * resource.getpagesize()
            assert len(b"x" * (given_back + MEMORY + (50 << 20)))

    with pytest.raises(TooLarge):
        Fuzzer(toy(attempt), 0, tmp_path).run(lambda done: done > 5)


def test_the_memory_of_the_process_is_limited(tmp_path: Path) -> None:
    def attempt(data: bytes) -> None:
        if data != b"keep-last:3":
            bytes(1 << 33)

    with pytest.raises(MemoryError):
        fuzz_here(toy(attempt), 0, tmp_path, 10)
    assert (tmp_path / "target").read_text() == "toy"
    assert (tmp_path / "input").read_bytes() not in {b"", b"keep-last:3"}


def test_an_input_that_fails_is_kept_and_tried_first_ever_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(
        '#!/bin/sh\nfor folder; do :; done\nprintf toy >"$folder/target"\n'
        'printf bad >"$folder/input"\necho "what went wrong" >&2\nexit 3\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(process, "KEPT", tmp_path / "kept")
    with pytest.raises(Failed, match="what went wrong") as caught:
        fuzz_in_child(["toy"], seed=0)
    [kept] = (tmp_path / "kept/toy").iterdir()
    assert str(kept) in str(caught.value)
    assert kept_inputs("toy") == [b"bad"]

    def attempt(data: bytes) -> None:
        if data == b"bad":
            raise UsageError("refused")
        assert data == b"keep-last:3", "nothing else is tried"

    fuzzer = Fuzzer(toy(attempt), 0, tmp_path, kept=kept_inputs("toy"))
    fuzzer.run(lambda _: True)
    assert (fuzzer.runs, fuzzer.accepted) == (2, 1)
