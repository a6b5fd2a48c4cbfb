from __future__ import annotations

import os

import pytest

from holdfast.filesystem import Patterns
from holdfast.operations.restore import RestoreOptions
from holdfast.operations.restore.batch import OpenDirectory
from holdfast.operations.restore.entries import Surroundings
from holdfast.operations.restore.scope import Choice, Place, Scope, Selection

ALL = Choice(selected=True, descend=True)
NOTHING = Choice(selected=False, descend=False)
PASSED = Choice(selected=False, descend=True)


def scope(path: bytes = b"/", *, selected: bool = False, **patterns: list[str]) -> Scope | None:
    compiled = {name: Patterns(texts) for name, texts in patterns.items()}
    return Selection(RestoreOptions(**compiled)).scope(path, selected=selected)  # type: ignore[arg-type]


def judged(found: Scope | None, name: bytes, *, is_directory: bool = False) -> Choice:
    assert found is not None
    return found.judge(name, is_directory=is_directory)


def test_places() -> None:
    root = Place(None, b"/data")
    leaf = Place(Place(root, b"a"), b"\xff")
    assert (root.path, root.names) == (b"/data", [])
    assert (leaf.path, leaf.names) == (b"/data/a/\xff", [b"a", b"\xff"])
    assert Place(None, b"/").below(b"x") == b"/x"
    assert leaf.below(b"x") == b"/data/a/\xff/x"


def test_without_patterns_all_is_selected() -> None:
    assert judged(scope(selected=True), b"x") == ALL
    assert judged(scope(selected=True, include=[], exclude=[]), b"x") == ALL


def test_included_directories_select_what_is_in_them() -> None:
    top = scope(include=["/a/b"])
    assert judged(top, b"a", is_directory=True) == PASSED
    assert judged(top, b"x") == PASSED
    below = scope(b"/a", include=["/a/b"])
    assert judged(below, b"b", is_directory=True) == ALL
    assert judged(scope(b"/a/b", selected=True, include=["/a/b"]), b"any") == ALL


def test_what_cannot_hold_anything_included_is_passed_over() -> None:
    assert scope(b"/z", include=["/a/b"]) is None
    assert scope(b"/z", include=["*.txt"]) is not None


def test_excluded_is_stronger_than_included() -> None:
    found = scope(include=["*.txt"], exclude=["secret*"])
    assert judged(found, b"a.txt").selected
    assert judged(found, b"secret.txt") == NOTHING
    assert judged(found, b"secret", is_directory=True) == NOTHING


@pytest.mark.parametrize(
    ("path", "include", "held"),
    [
        (b"/", ["/"], True),
        (b"/a/b", ["/a"], True),
        (b"/a/b", ["/a/b"], True),
        (b"/a/b", ["b"], True),
        (b"/a/b", ["/a/b/c"], False),
        (b"/a/b", ["*.txt"], False),
        (b"/a/b", [], True),
    ],
)
def test_whether_the_root_is_selected(path: bytes, include: list[str], held: bool) -> None:
    assert Selection(RestoreOptions(include=Patterns(include))).holds(path) is held


def open_directory(*, folds: bool) -> OpenDirectory:
    place = Place(None, b"/")
    around = Surroundings(place, Scope(None, None), is_new=True, inherits=False)
    found = OpenDirectory(around, None, None)
    found.folds = folds
    return found


@pytest.mark.fault(34)
def test_names_that_the_target_takes_for_one_are_refused() -> None:
    found = open_directory(folds=True)
    names = [b"a", b"A", b"b", "é".encode(), "E\u0301".encode(), b"\xff", b"\xfe", b"a"]
    refused = [name for name in names if found.refusal(name)]
    assert refused == [b"A", "E\u0301".encode()]


def test_elsewhere_they_are_not() -> None:
    found = open_directory(folds=False)
    assert not any(found.refusal(name) for name in (b"a", b"A", os.fsencode("\udcff")))
