"""A small fuzzer: it keeps what takes new steps through the code, and changes that further.

Which step is new tells Python's own tracing, of the lines of holdfast alone. Texts and numbers that
the code compares with become words of the dictionary as soon as that code is first reached.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import TYPE_CHECKING, TypeAlias

import holdfast
from holdfast import HoldfastError

if TYPE_CHECKING:
    from _typeshed import TraceFunction
    from tests.fuzz.mutate import Mutator

MIB = 1 << 20
MEMORY = 200 * MIB
"""Bytes that an input may make the process grow by."""

SECONDS = 20
"""That an input may take; nearly all take a millisecond, but the machine may be busy."""

INPUT_LIMIT = 1 << 16
"""Bytes of an input."""

_SOURCE = str(Path(holdfast.__file__).parent)
_WORD_LIMIT = 40
_NEWEST = 8
_SOUND = 0.8

Attempt: TypeAlias = Callable[[bytes], object]
"""Tries one input: returns what it was taken for, or raises a refusal."""


@dataclass(frozen=True)
class Target:
    """Something that takes input from others.

    Attributes:
        name: of the target.
        prepare: gives what tries an input; told of an empty folder to work in.
        seeds: inputs that are accepted, to begin with.
        mutator: how inputs are changed.
        refusals: what may be raised besides our own errors.
        words: for the dictionary.
        share: how many inputs are tried in every run of all tests; more of the quick ones.
    """

    name: str
    prepare: Callable[[Path], Attempt]
    seeds: Callable[[], Sequence[bytes]]
    mutator: Mutator
    refusals: tuple[type[Exception], ...] = ()
    words: Sequence[str] = ()
    share: int = 40

    def accepts(self, attempt: Attempt, data: bytes) -> bool:
        """Try an input; any other error than a refusal comes out."""
        refusals: tuple[type[Exception], ...] = (HoldfastError, *self.refusals)
        try:
            attempt(data)
        except refusals:
            return False
        return True


class TooSlow(BaseException):
    """An input takes too long; no handler of errors may swallow this."""


class TooLarge(AssertionError):  # noqa: N818 - named for what is wrong
    """An input takes too much memory."""


class Coverage:
    """Which steps from line to line of holdfast were ever taken.

    Attributes:
        words: texts and numbers that are constants of the code that was reached.
    """

    def __init__(self) -> None:
        self.words: dict[str | int, None] = {}
        self._steps: set[tuple[int, int, int]] = set()
        self._codes: dict[int, CodeType] = {}

    def __len__(self) -> int:
        return len(self._steps)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the steps that are taken."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, _event: str, _: object) -> TraceFunction | None:
        code = frame.f_code
        if not code.co_filename.startswith(_SOURCE):
            return None
        number = id(code)  # which is its own as long as it is kept; to hash it is slow
        if number not in self._codes:
            self._codes[number] = code
            self._learn(code.co_consts)
        steps, last = self._steps, 0

        def step(frame: FrameType, event: str, _: object) -> TraceFunction:
            nonlocal last
            if event == "line":
                steps.add((number, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    def _learn(self, constants: object) -> None:
        match constants:
            case tuple():
                for each in constants:
                    self._learn(each)
            case frozenset():  # in an order that is the same in every process
                for each in sorted(constants, key=repr):
                    self._learn(each)
            case str() if 0 < len(constants) <= _WORD_LIMIT:
                self.words[constants] = None
            case int() if abs(constants) < 1 << 64:
                self.words[int(constants)] = None
            case _:
                pass


@dataclass
class Fuzzer:
    """Tries one input after another.

    Attributes:
        target: on what.
        seed: of all choices.
        folder: for the target to work in; empty.
        tell: told every input before it is tried.
        kept: inputs to begin with, besides the seeds of the target.
        runs, accepted: how many inputs were tried, and not refused.
    """

    target: Target
    seed: int
    folder: Path
    tell: Callable[[bytes], object] = bytes
    corpus: list[bytes] = field(default_factory=list)
    runs: int = 0
    accepted: int = 0
    kept: Sequence[bytes] = ()
    coverage: Coverage = field(default_factory=Coverage)

    def __post_init__(self) -> None:
        self._attempt = self.target.prepare(self.folder)
        self._random = Random(f"{self.target.name} {self.seed}")  # noqa: S311 - as seeded
        self._before = memory_taken()
        self._words: list[str | int] = []
        self._sound: list[bytes] = []

    def run(self, is_over: Callable[[int], bool]) -> None:
        """Try the seeds, and more until the function says so, which is told how many inputs.

        Raises:
            TooSlow, TooLarge: an input took too much time or memory.
        """
        for seed in (*self.target.seeds(), *self.kept):
            self._try(seed)
        self._before = memory_taken()
        first = self.runs
        while not is_over(self.runs - first):
            self._try(self._changed())

    def _changed(self) -> bytes:
        draw = self._random
        # What is refused already seldom gets further by one more change.
        known = self._sound if self._sound and draw.random() < _SOUND else self.corpus
        base = draw.choice(known[-_NEWEST:] if draw.random() < 1 / 3 else known)
        other = draw.choice(self.corpus)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
            base = self.target.mutator(base, other, self._words, draw)
        return base[:INPUT_LIMIT]

    def _try(self, data: bytes) -> None:
        self.tell(data)
        known = len(self.coverage)
        with at_most(SECONDS), self.coverage.watching():
            is_accepted = self.target.accepts(self._attempt, data)
        self.accepted += is_accepted
        self.runs += 1
        if (grown := memory_taken() - self._before) > MEMORY:
            raise TooLarge(f"the process grew by {grown // MIB} MiB")
        if len(self.coverage) > known or self.runs == 1:
            self.corpus.append(data)
            if is_accepted:
                self._sound.append(data)
            self._words = [*self.target.words, *self.coverage.words]


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` in what takes longer."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)  # pytest's limit for a test, where it has one


def memory_taken() -> int:
    """Most bytes of memory that this process ever took (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10
