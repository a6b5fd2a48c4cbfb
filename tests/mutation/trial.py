"""Mutants are tried: the tests that call what is changed are run against it, in a copy of the tree.

Everything is done in children of a process that has loaded what the tests need but not holdfast, so
that a mutant takes no longer than its tests.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.mutation.mutants import Mutant

ROOT: Final = Path.cwd()
"""The tree that this was started in."""
SOURCE: Final = "src/holdfast"
_NOT_COPIED: Final = shutil.ignore_patterns(".*", "__pycache__", "site", "dist")
_MEMORY: Final = 8 << 30
"""Bytes of address space: a mutant may ask for memory without end."""
_PATIENCE: Final = 30.0
"""Seconds that are added to three times what the tests took without the mutant."""
_BUDGET: Final = 30.0
"""Seconds of tests that one mutant is worth; a constant may be used by very many of them."""
_BROKEN: Final = 70
"""The exit code of a child in which pytest did not run."""
_Recorded = dict[str, tuple[float, list[str]]]


@dataclass(frozen=True)
class Test:
    """A test, and what it calls.

    Attributes:
        name: pytest's name for it.
        seconds: how long it took, while it was watched.
        calls: the functions that it called, as module and qualified name, and their modules.
    """

    name: str
    seconds: float
    calls: frozenset[str]


class BaselineError(Exception):
    """The tests do not run, which is no mutant's doing."""


class Trial:
    """A copy of the tree, in which mutants are tried.

    Args:
        folder: where the copy goes.
        modules: the modules that will be changed, below the package.
        tests: files and folders with tests, below the root.
    """

    def __init__(self, folder: Path, modules: Iterable[str], tests: Sequence[str]) -> None:
        self._folder = folder
        self._copy = folder / "tree"
        shutil.copytree(ROOT, self._copy, ignore=_NOT_COPIED)
        self._modules = frozenset(modules)
        self._files = tests
        self._written = 0
        self._tests = self._record()

    def _record(self) -> list[Test]:
        """Run the tests once, and see what they call; one that fails is told, and not used.

        Raises:
            BaselineError: none of them passes.
        """
        into = self._folder / "recorded"
        watched = {str(self._copy / SOURCE / module): module for module in self._modules}
        code = self._run(self._files, Recorder(watched, into), limit=None)
        if code:
            print(self._said())
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            raise BaselineError(f"pytest ended with {code}")
        recorded: _Recorded
        recorded, loaded = json.loads(into.read_text())
        for name in loaded:
            with suppress(ImportError):  # what was never a module of its own
                importlib.import_module(name)
        return [
            Test(name, seconds, frozenset(calls)) for name, (seconds, calls) in recorded.items()
        ]

    def tests_of(self, mutant: Mutant) -> list[Test]:
        """The tests that call the function: first those of its module, quick ones before slow ones.

        For what is outside of functions these are all that call anything in the module, or import
        it. Together they take no longer than `_BUDGET`.
        """
        if mutant.where == mutant.function:
            name = f"holdfast.{mutant.module.removesuffix('.py').replace('/', '.')} "
            chosen = [
                test
                for test in self._tests
                if mutant.module in test.calls or name in self._text(_file(test.name))
            ]
        else:
            function = f"{mutant.module}:{mutant.function}"
            chosen = [test for test in self._tests if function in test.calls] or self._near(mutant)
        own = f"test_{Path(mutant.module).stem}.py"
        chosen.sort(key=lambda test: (own not in test.name, test.seconds))
        ends = accumulate(test.seconds for test in chosen)
        return [test for test, end in zip(chosen, ends, strict=True) if end <= _BUDGET]

    def _near(self, mutant: Mutant) -> list[Test]:
        """The tests that call what is beside a function that only another process calls."""
        folder = mutant.module.rpartition("/")[0] + "/"
        return [test for test in self._tests if any(call.startswith(folder) for call in test.calls)]

    @cache  # noqa: B019 - there is one trial in a process
    def _text(self, file: str) -> str:
        return (self._copy / file).read_text(encoding="utf-8")

    def is_survivor(self, mutant: Mutant, tests: Sequence[Test]) -> bool:
        """Whether no test fails, and all of them end in time.

        Raises:
            BaselineError: the tests did not run; this is a defect here.
        """
        if not tests:
            return True
        path = self._copy / SOURCE / mutant.module
        original = path.read_bytes()
        before = path.stat()
        self._written += 1
        compile(mutant.source, mutant.module, "exec")  # else every test would fail
        path.write_text(mutant.source)
        # Python goes by time and size when it asks whether compiled code is current.
        os.utime(path, (before.st_atime, before.st_mtime + self._written))
        files = list(dict.fromkeys(_file(test.name) for test in tests))
        limit = _PATIENCE + 3 * sum(test.seconds for test in tests)
        try:
            code = self._run(["-x", *files], Chosen([test.name for test in tests]), limit)
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if code in (_BROKEN, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise BaselineError(f"{mutant.shown()}\n{self._said()}")
        return code == pytest.ExitCode.OK

    def _said(self) -> str:
        return (self._folder / "said").read_text()[-4000:]

    def _run(self, arguments: Sequence[str], plugin: object, limit: float | None) -> int:
        """Run pytest in a child; returns its exit code, or a negative one when it was ended."""
        options = [
            *("-q", "-rfE", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # what is loaded already
            *("--hypothesis-profile=mutants", f"--basetemp={self._folder / 'base'}", "--timeout=0"),
        ]
        process = multiprocessing.get_context("fork").Process(
            target=_child,
            args=(self._copy, self._folder / "said", [*options, *arguments], plugin),
        )
        process.start()
        assert process.pid is not None
        process.join(limit)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started
        process.join()
        assert process.exitcode is not None
        return process.exitcode


def _child(tree: Path, said: Path, arguments: list[str], plugin: object) -> None:
    """What a child does: pytest in the copy of the tree, as if nothing of holdfast were loaded."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    os.chdir(tree)
    sys.path[:] = [str(tree / "src"), str(tree), *(p for p in sys.path if Path(p) != ROOT and p)]
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_"))]:
        del os.environ[name]
    os.environ["PYTHONPATH"] = str(tree / "src")
    _quick_hypothesis()
    code = _BROKEN
    try:
        code = pytest.main(arguments, plugins=[plugin])
    except BaseException:  # noqa: BLE001 - the process ends here, and says why
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)  # no thread that a mutant has left behind is waited for


def _quick_hypothesis() -> None:
    """One failing example is enough; the smallest one would take long."""
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "mutants",
        phases=phases,
        max_examples=40,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


@dataclass(eq=False)
class Recorder:
    """A plugin of pytest that notes which functions each test calls, in any of its threads.

    What is called while a file is loaded, or by a fixture of a whole file, counts for all tests of
    the file.

    Attributes:
        watched: the paths of the modules that are of interest, and their names.
        into: the file that gets the notes, and the names of what the tests have loaded besides
            the code in its folder.
    """

    watched: dict[str, str]
    into: Path
    _calls: set[str] = field(default_factory=set)
    _of_files: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _not_passed: set[str] = field(default_factory=set)
    _of_tests: dict[str, tuple[float, set[str]]] = field(default_factory=dict)

    def pytest_configure(self) -> None:
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> None:
        code = frame.f_code
        if module := self.watched.get(code.co_filename):
            self._calls |= {module, f"{module}:{code.co_qualname}"}

    @contextmanager
    def _apart(self) -> Iterator[set[str]]:
        """What is called inside, and is not noted for what is around it."""
        around, self._calls = self._calls, set()
        try:
            yield self._calls
        finally:
            self._calls = around

    @contextmanager
    def _for_file(self, node: str) -> Iterator[None]:
        with self._apart() as calls:
            yield
        self._of_files[_file(node)] |= calls

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        with self._for_file(collector.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        with self._for_file(request.node.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        begin = time.monotonic()
        with self._apart() as calls:
            done = yield
        self._of_tests[item.nodeid] = (time.monotonic() - begin, calls)
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._not_passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        sys.settrace(None)
        threading.settrace(None)
        recorded = {
            name: (seconds, sorted(calls | self._of_files[""] | self._of_files[_file(name)]))
            for name, (seconds, calls) in self._of_tests.items()
            if name not in self._not_passed
        }
        mine = str(self.into.parent)
        loaded = [
            name
            for name, module in sys.modules.items()
            if (file := getattr(module, "__file__", None)) and not file.startswith(mine)
        ]
        self.into.write_text(json.dumps([recorded, loaded]))


@dataclass(frozen=True, eq=False)
class Chosen:
    """A plugin of pytest that runs some tests, in an order.

    Attributes:
        names: pytest's names of them.
    """

    names: list[str]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        places = {name: place for place, name in enumerate(self.names)}
        items[:] = sorted(
            (item for item in items if item.nodeid in places),
            key=lambda item: places[item.nodeid],
        )


def _file(name: str) -> str:
    """The file that a test is in."""
    return name.partition("::")[0]
