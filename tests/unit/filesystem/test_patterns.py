from __future__ import annotations

import pytest

from holdfast.errors import UsageError
from holdfast.filesystem import Patterns

FILE, DIRECTORY = False, True


@pytest.mark.parametrize(
    ("pattern", "path", "is_dir", "expected"),
    [
        # the forms that everyone uses
        ("*.tmp", b"/a/b/x.tmp", FILE, True),
        ("*.tmp", b"/a/b/x.tmp", DIRECTORY, True),
        ("*.tmp", b"/a/x.tmp/y", FILE, False),
        ("*.log.gz", b"/var/log/a.log.gz", FILE, True),
        ("*.log.gz", b"/var/log/a.gz", FILE, False),
        ("node_modules/", b"/src/node_modules", DIRECTORY, True),
        ("node_modules/", b"/src/node_modules", FILE, False),
        ("__pycache__", b"/src/__pycache__", DIRECTORY, True),
        (".DS_Store", b"/src/.DS_Store", FILE, True),
        (".DS_Store", b"/src/x.DS_Store", FILE, False),
        ("/tmp", b"/tmp", DIRECTORY, True),
        ("/tmp", b"/home/tmp", DIRECTORY, False),
        ("/var/lib/docker/", b"/var/lib/docker", DIRECTORY, True),
        ("/var/lib/docker/", b"/var/lib/docker", FILE, False),
        ("/var//lib/./docker".replace("/.", ""), b"/var/lib/docker", FILE, True),
        # anchored and floating paths
        ("/home/*/.cache", b"/home/ann/.cache", DIRECTORY, True),
        ("/home/*/.cache", b"/home/ann/x/.cache", DIRECTORY, False),
        ("/home/*/.cache", b"/x/home/ann/.cache", DIRECTORY, False),
        ("lib/*.pyc", b"/usr/lib/a.pyc", FILE, True),
        ("lib/*.pyc", b"/lib/a.pyc", FILE, True),
        ("lib/*.pyc", b"/usr/lib/b/a.pyc", FILE, False),
        ("lib/*.pyc", b"/usr/xlib/a.pyc", FILE, False),
        ("a/b/", b"/x/a/b", DIRECTORY, True),
        ("a/b/", b"/x/a/b", FILE, False),
        # any number of components
        ("/srv/**/*.log", b"/srv/a.log", FILE, True),
        ("/srv/**/*.log", b"/srv/x/y/a.log", FILE, True),
        ("/srv/**/*.log", b"/x/srv/a.log", FILE, False),
        ("/srv/**", b"/srv", DIRECTORY, False),
        ("/srv/**", b"/srv/a", FILE, True),
        ("/srv/**", b"/srv/a/b", FILE, True),
        ("/srv/**", b"/srvx/a", FILE, False),
        ("/srv/**/", b"/srv/a", FILE, False),
        ("/srv/**/", b"/srv/a/b", DIRECTORY, True),
        ("**/a", b"/a", FILE, True),
        ("/**/a", b"/x/y/a", FILE, True),
        ("/**/**/a/**/**/b", b"/x/a/b", FILE, True),
        ("a/**/b/**/c", b"/x/a/1/b/2/3/c", FILE, True),
        ("a/**/b/**/c", b"/x/a/1/bb/2/3/c", FILE, False),
        ("/a/**/b/c/**/d", b"/a/b/b/c/d", FILE, True),
        ("/x/**/a/**/b/c", b"/x/ab/a/b/c", FILE, True),
        ("/x/**/a/**/b/c", b"/x/ab/b/c", FILE, False),
        ("**", b"/a", FILE, True),
        ("**", b"/", DIRECTORY, False),
        ("/", b"/", DIRECTORY, True),
        ("/", b"/a", DIRECTORY, False),
        # wildcards of one component
        ("a*", b"/abc", FILE, True),
        ("*b*", b"/abc", FILE, True),
        ("*b*c*", b"/acb", FILE, False),
        ("a**c", b"/abc", FILE, True),
        ("*", b"/.hidden", FILE, True),
        ("*.", b"/a\nb.", FILE, True),
        ("?.txt", "/ä.txt".encode(), FILE, True),
        ("??.txt", "/ä.txt".encode(), FILE, False),
        ("?.txt", b"/\xff.txt", FILE, True),
        ("?", b"/\n", FILE, True),
        (b"\xff*", b"/\xffx", FILE, True),
        ("[a-c]x", b"/bx", FILE, True),
        ("[a-c]x", b"/dx", FILE, False),
        ("[!a-c]x", b"/dx", FILE, True),
        ("[^a-c]x", b"/bx", FILE, False),
        ("[]]", b"/]", FILE, True),
        ("[!]]", b"/]", FILE, False),
        ("[!]]", b"/x", FILE, True),
        ("[a-]", b"/-", FILE, True),
        ("[-a]", b"/-", FILE, True),
        (r"[\]-\^]", b"/^", FILE, True),
        (r"[a\-c]", b"/b", FILE, False),
        ("[äö]", "/ö".encode(), FILE, True),
        ("[[]", b"/[", FILE, True),
        ("[&&~|]", b"/&", FILE, True),
        ("/a[+-9]b/c", b"/a/b/c", FILE, False),
        ("/a[!x]b/c", b"/a/b/c", FILE, False),
        ("x[*?]", b"/x*", FILE, True),
        # characters without a meaning of their own
        ("a.b", b"/axb", FILE, False),
        ("a(b|c)+", b"/a(b|c)+", FILE, True),
        (r"\*", b"/*", FILE, True),
        (r"\*", b"/a", FILE, False),
        (r"\!a", b"/!a", FILE, True),
        (r"\#a", b"/#a", FILE, True),
        (r"a\b", b"/ab", FILE, True),
        ("a b", b"/a b", FILE, True),
        ("A", b"/a", FILE, False),
    ],
)
def test_one_pattern(pattern: str | bytes, path: bytes, is_dir: bool, expected: bool) -> None:
    assert Patterns([pattern]).match(path, is_dir=is_dir) is expected


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["*.log", "!keep.log"], b"/a/keep.log", False),
        (["*.log", "!keep.log"], b"/a/other.log", True),
        (["!keep.log", "*.log"], b"/a/keep.log", True),
        (["*.log", "!keep.log", "/a/keep.log"], b"/a/keep.log", True),
        (["*.log", "!keep.log", "/a/keep.log"], b"/b/keep.log", False),
        (["/srv/**", "!/srv/keep"], b"/srv/keep", False),
        (["/srv/**", "!/srv/keep"], b"/srv/keep/below", True),
        (["*", "!*.txt", "secret*", "!secret.*"], b"/secret.txt", False),
        (["*", "!*.txt", "secret*", "!secret.*"], b"/secrets.txt", True),
        (["a", "!b/a"], b"/b/a", False),
        (["a", "!b/a"], b"/c/a", True),
        (["!a"], b"/a", False),
        (["/", "!/"], b"/", False),
        ([], b"/a", False),
    ],
)
def test_the_last_match_decides(patterns: list[str], path: bytes, expected: bool) -> None:
    assert Patterns(patterns).match(path, is_dir=False) is expected


def test_ignoring_case() -> None:
    patterns = Patterns(["*.TMP", "/Home/*/Straße", "!Keep.tmp", "[A-C]"], ignore_case=True)
    assert patterns.match(b"/x/y.Tmp", is_dir=False)
    assert patterns.match("/hOME/ann/STRAßE".encode(), is_dir=True)
    assert not patterns.match(b"/x/KEEP.TMP", is_dir=False)
    assert patterns.match(b"/b", is_dir=False)
    assert patterns.could_match_below(b"/HOME")
    assert Patterns(["Ä"], ignore_case=True).match("/ä".encode(), is_dir=False)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "empty"),
        ("!", "empty"),
        ("a\0b", "NUL"),
        ("a/../b", "matches nothing"),
        ("./a", "matches nothing"),
        ("[abc", "not closed"),
        ("[]", "not closed"),
        ("[!]", "not closed"),
        ("a[b/c]d", "not closed"),
        ("[z-a]", "upside down"),
        ("[[:alpha:]]", "alpha"),
        ("a\\", "backslash"),
        ("a\\/b", "backslash"),
    ],
)
def test_bad_patterns_are_named(pattern: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        Patterns(["good", pattern])
    assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["/a/b/c"], b"/", True),
        (["/a/b/c"], b"/a", True),
        (["/a/b/c"], b"/a/b/c", True),
        (["/a/b/c"], b"/a/b/c/d/e", True),
        (["/a/b/c"], b"/x", False),
        (["/a/b/c"], b"/a/x", False),
        (["/a/b/c"], b"/a/b/cc", False),
        (["/a/*/c"], b"/a/x", True),
        (["/a/*/c"], b"/a/x/d", False),
        (["/a/**/c"], b"/a/x/y", True),
        (["/a/**/c"], b"/b", False),
        (["/a/x/", "/b"], b"/b", True),
        (["*.txt"], b"/any/where", True),
        (["a/b"], b"/any/where", True),
        (["/a", "!*.txt"], b"/b", False),
        (["/"], b"/b", True),
        ([], b"/b", False),
    ],
)
def test_what_may_match_below(patterns: list[str], path: bytes, expected: bool) -> None:
    assert Patterns(patterns).could_match_below(path) is expected


def test_patterns_and_paths_of_any_depth() -> None:
    path = b"/d" * 3000
    patterns = Patterns([path, "**/d/" * 50 + "x"])
    assert patterns.match(path, is_dir=True)
    assert patterns.match(path + b"/x", is_dir=False)
    assert patterns.could_match_below(path[:-2])


def test_no_pattern_takes_long() -> None:
    patterns = Patterns(["*a" * 30 + "b", "**/a/" * 30 + "c/b"])
    assert not patterns.match(b"/" + b"a" * 250, is_dir=False)
    assert not patterns.match(b"/a" * 1000 + b"/b", is_dir=False)


def test_truth_is_whether_anything_can_match() -> None:
    assert not Patterns([])
    assert Patterns(["a"])
    assert Patterns(["/"])
