from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.errors import UsageError
from holdfast.filesystem import ExcludeRules, Patterns, load_pattern_file
from holdfast.filesystem.exclude import Exclusion


def test_a_pattern_file(tmp_path: Path) -> None:
    file = tmp_path / "excludes"
    file.write_bytes(
        b"\xef\xbb\xbf# a comment\n\n*.tmp  \r\n \t\n  indented\n\\#name\n!keep\nends in \\ \n"
        b"two\\\\  \nb\xffd\nlast"
    )
    assert load_pattern_file(file) == [
        "*.tmp",
        "  indented",
        "\\#name",
        "!keep",
        "ends in \\ ",
        "two\\\\",
        "b\udcffd",
        "last",
    ]


def test_an_escaped_space_belongs_to_the_name(tmp_path: Path) -> None:
    file = tmp_path / "excludes"
    file.write_bytes(b"a\\ \n")
    patterns = Patterns(load_pattern_file(file))
    assert patterns.match(b"/a ", is_dir=False)
    assert not patterns.match(b"/a", is_dir=False)


def test_a_pattern_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        load_pattern_file(tmp_path / "absent")
    assert "absent" in str(caught.value)
    with pytest.raises(UsageError, match="directory"):
        load_pattern_file(tmp_path)


def test_either_list_leaves_out() -> None:
    rules = ExcludeRules(patterns=("*.tmp", "!keep.tmp"), ipatterns=("*.BAK", "cache/"))
    deciders = Exclusion(rules).within("/home")
    assert deciders is not None
    assert deciders.file("a.tmp")
    assert deciders.file("a.bak")
    assert not deciders.file("keep.tmp")
    assert not deciders.file("Cache")
    assert deciders.directory("Cache")


def test_without_patterns_there_is_nothing_to_ask() -> None:
    assert Exclusion(ExcludeRules()).within("/home") is None
    only = Exclusion(ExcludeRules(ipatterns=("a",))).within("")
    assert only is not None
    assert only.file("A")


def test_markers() -> None:
    rules = ExcludeRules(if_present=(".nobackup", "TAG:begin:of it"), caches=True)
    assert Exclusion(rules).markers == {
        ".nobackup": b"",
        "TAG": b"begin:of it",
        "CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55",
    }
    assert Exclusion(ExcludeRules()).markers == {}


@pytest.mark.parametrize("name", ["", ":header", "a/b"])
def test_bad_markers(name: str) -> None:
    with pytest.raises(UsageError, match="exclude-if-present"):
        Exclusion(ExcludeRules(if_present=(name,)))
