"""The tests notice mistakes: a sample of those that are put into the code, and the tool itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from tests.mutation.__main__ import PACKAGE
from tests.mutation.explained import Explained, explained
from tests.mutation.mutants import mutants_of

ROOT = Path(__file__).parents[2]
MODULES = [
    "model/labels.py",
    "model/periods.py",
    "model/snapshot.py",
    "store/config.py",
    "store/envelope.py",
    "store/epochs.py",
    "store/forgotten.py",
    "store/recovery.py",
    "store/sessions.py",
    "operations/find.py",
]
"""Those whose tests are quick."""
TESTS = [
    "tests/unit/model/test_labels.py",
    "tests/unit/model/test_retention.py",
    "tests/unit/model/test_snapshot.py",
    "tests/unit/store/test_config.py",
    "tests/unit/store/test_envelope.py",
    "tests/unit/store/test_epochs.py",
    "tests/unit/store/test_forgotten.py",
    "tests/unit/store/test_limits.py",
    "tests/unit/store/test_recovery.py",
    "tests/unit/store/test_sessions.py",
    "tests/unit/operations/test_find.py",
]
SAMPLE = 50


def run(tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.mutation", *options],
        cwd=tree,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)  # a busy machine takes long for as many runs of tests
def test_a_sample_is_killed_or_explained() -> None:
    """`make mutants` tries more of them, in more modules."""
    done = run(ROOT, "--modules", *MODULES, "--tests", *TESTS, "--sample", str(SAMPLE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f" {SAMPLE} mutants, " in done.stdout


@pytest.mark.parametrize("module", sorted({known.module for known in explained()}))
def test_what_is_explained_can_still_be_done(module: str) -> None:
    mutants = mutants_of(PACKAGE, module)
    known = [entry for entry in explained() if entry.module == module]
    assert [entry for entry in known if not any(entry.is_of(mutant) for mutant in mutants)] == []
    assert [entry for entry in known if not entry.why] == []


def test_nothing_is_explained_twice() -> None:
    keys = [entry._replace(why="") for entry in explained()]
    assert len(set(keys)) == len(keys)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a module of its own, and tests that see some of it."""
    files = {
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = ['--import-mode=importlib']\n",
        "src/holdfast/__init__.py": "",
        "src/holdfast/model/small.py": """\
            def most(left: int, right: int) -> int:
                if left > right:
                    return left
                return right


            def again(number: int) -> int:
                if number < 0:
                    number += 1
                return number


            class Unseen:
                WIDTH = 7
            """,
        "tests/test_small.py": """\
            from holdfast.model.small import again, most


            def test_most():
                assert most(1, 2) == 2
                assert most(3, 2) == 3


            def test_again():
                assert again(-1) == 0
            """,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return tmp_path


def test_survivors_are_told(tree: Path) -> None:
    done = run(tree, "--modules", "model/small.py", "--tests", "tests")
    assert done.returncode == 1, done.stdout + done.stderr
    _, _, said = done.stdout.partition("seed 0: ")
    summary, *survivors = said.splitlines()
    assert summary == "14 mutants, 9 killed, 5 survived, 0 of them explained"
    assert sorted(line for line in survivors if line.startswith("    +")) == [
        "    + WIDTH = (6)",
        "    + WIDTH = 8",
        "    + if (left >= right):",
        "    + if (number <= 0):",
        "    + if number < 1:",
    ]


def test_tests_that_fail_anyway_are_told_and_kill_nothing(tree: Path) -> None:
    test = tree / "tests/test_small.py"
    test.write_text(test.read_text().replace("== 3", "== 2"))
    done = run(tree, "--modules", "model/small.py", "--tests", "tests")
    assert "FAILED tests/test_small.py::test_most" in done.stdout
    assert "14 mutants, 6 killed, 8 survived" in done.stdout


MISTAKES = {
    "def f(a):\n    return a < 1\n": [
        "return (a <= 1)",
        "return (a >= 1)",
        "return a < 2",
        "return a < (0)",
        "return None",
    ],
    "def f(a, b):\n    a += b\n": ["a -= b"],
    "def f(a):\n    if a:\n        a.done()\n": ["if (not a):", "pass"],
    "def f(a, b):\n    while a and not b:\n        break\n": [
        "while (a or not b):",
        "while a and (b):",
        "pass",
    ],
    "def f(a):\n    raise ValueError('bad', 1)\n": ["pass"],
    "def f(a: int = 3) -> None:\n    '''text'''\n    print(f'{a + 1}')\n": [
        "def f(a: int = 4) -> None:",
        "def f(a: int = (2)) -> None:",
        "pass",
    ],
    "A: int | None = True\n": ["A: int | None = False"],
    "A = {'key': 'Words for people.', 'ä': b'x'}\n": [
        "A = {'keyX': 'Words for people.', 'ä': b'x'}",
        "A = {'key': 'Words for people.', 'ä': b'xX'}",
    ],
}


@pytest.mark.parametrize(("text", "mistakes"), MISTAKES.items())
def test_the_mistakes(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    (tmp_path / "module.py").write_text(text)
    found = mutants_of(tmp_path, "module.py")
    assert sorted(mutant.after for mutant in found) == sorted(mistakes)
    for mutant in found:
        compile(mutant.source, mutant.module, "exec")
        assert mutant.source != text
        assert mutant.before != mutant.after


def test_a_mutant_is_known_by_what_it_changes_and_where(tmp_path: Path) -> None:
    """Whatever else is in the module, the sample of a seed has the same mistakes."""
    function = "class A:\n    def f(self, b):\n        return b is None\n"
    (tmp_path / "one.py").write_text(function)
    (tmp_path / "two.py").write_text(f"'''Text.'''\n\n\n{function}")
    (one, *_), (two, *_) = mutants_of(tmp_path, "one.py"), mutants_of(tmp_path, "two.py")
    assert (one.function, one.line, two.line) == ("A.f", 3, 6)
    entry = Explained("two.py", "A.f", "return b is None", two.after, "for the test")
    assert entry.is_of(two)
    assert not entry._replace(nth=1).is_of(two)
    assert not entry.is_of(one)
    (tmp_path / "two.py").write_text(function)
    assert two.rank(1) == mutants_of(tmp_path, "two.py")[0].rank(1)
    assert two.rank(1) != two.rank(2)
    assert two.rank(1) != one.rank(1)
