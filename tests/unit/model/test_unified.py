from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from holdfast.model.node import Node
from holdfast.model.patch import LARGEST, Patch, patch_of
from holdfast.model.unified import hunks, quoted
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import file_node, link_node

NAMES = ["plain", "with space", "ümlaut", 'quote"d', "back\\slash", "tab\there", "sub/dir/file"]


def patch_between(
    before: bytes | None, after: bytes | None, name: bytes = b"f", context: int = 3
) -> Patch | None:
    blobs = MemoryBlobs()
    first, second = (
        None if data is None else file_node(blobs, b"f", data) for data in (before, after)
    )
    return patch_of(b"/" + name, name, (first, second), blobs, context)


def test_what_a_patch_looks_like() -> None:
    patch = patch_between(b"one\ntwo\nthree\n", b"one\n2\nthree")
    assert patch is not None
    assert patch.text == (
        "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n one\n-two\n-three\n+2\n+three\n"
        "\\ No newline at end of file\n"
    )
    assert (patch.kind, patch.encoding, patch.data) == ("text", "utf-8", patch.text.encode())


def test_added_removed_and_equal_files() -> None:
    added, removed = patch_between(None, b"x\n"), patch_between(b"x\n", None)
    assert added is not None
    assert removed is not None
    assert "new file mode 100644\n--- /dev/null\n+++ b/f\n@@ -0,0 +1,1 @@\n+x\n" in added.text
    assert "deleted file mode 100644\n--- a/f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n" in removed.text
    assert patch_between(b"x", b"x") is None
    assert patch_between(None, None) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain[]!~", b"plain[]!~"),
        (b"with space", b'"with space"'),
        (b'a"b\\c\nd\te', b'"a\\"b\\\\c\\nd\\te"'),
        (b"\x00\x1f\x7f\xff\x0b", b'"\\000\\037\\177\\377\\013"'),
    ],
)
def test_how_names_are_quoted(name: bytes, shown: bytes) -> None:
    assert quoted(name) == shown


def test_lines_that_occur_often_are_no_reason_to_give_up() -> None:
    """Blank lines: of them alone there are more pairs than are looked at."""
    before = [b"%d\n" % number if number % 2 else b"\n" for number in range(5000)]
    after = list(before)
    for number in (1, 2501, 4999):
        after[number] = b"changed\n"
    patch = patch_between(b"".join(before), b"".join(after))
    assert patch is not None
    assert [line for line in patch.text.splitlines() if line.startswith(("+c", "-"))] == [
        "--- a/f", "-1", "+changed", "-2501", "+changed", "-4999", "+changed",
    ]  # fmt: skip


def test_what_is_no_text_is_only_named() -> None:
    binary = patch_between(b"\0", b"text")
    assert binary is not None
    assert (binary.kind, binary.text) == ("binary", "Binary files a/f and b/f differ\n")
    assert LARGEST == 4 << 20
    limit = patch_between(b"", b"x" * LARGEST)
    assert limit is not None
    assert limit.kind == "text"
    large = patch_between(b"", b"x" * (LARGEST + 1))
    assert large is not None
    assert (large.kind, large.text) == ("large", "Large files a/f and b/f differ\n")
    latin = patch_between(b"\xe4\n", b"\xf6\n")
    assert latin is not None
    assert latin.encoding == "latin-1"
    assert latin.data.endswith(b"-\xe4\n+\xf6\n")


def test_a_damaged_file_is_told() -> None:
    blobs = MemoryBlobs()
    first, second = file_node(blobs, b"f", b"a"), file_node(blobs, b"f", b"b")
    blobs.blobs.clear()
    patch = patch_of(b"/f", b"f", (first, second), blobs, 3)
    assert patch is not None
    assert (patch.kind, patch.text) == ("damaged", "Files a/f and b/f differ\n")
    assert patch.problem.endswith("missing")
    assert patch.dict() == {
        "path": "/f",
        "kind": "damaged",
        "text": patch.text,
        "encoding": "utf-8",
        "problem": patch.problem,
    }


def test_what_is_no_file_counts_as_nothing() -> None:
    blobs = MemoryBlobs()
    link: Node = link_node(b"f", b"target")
    patch = patch_of(b"/f", b"f", (link, file_node(blobs, b"f", b"x\n")), blobs, 3)
    assert patch is not None
    assert "--- /dev/null" in patch.text
    assert patch_of(b"/f", b"f", (link, None), blobs, 3) is None


@pytest.mark.parametrize(("before", "after"), [(60_000, 60_000), (1, 60_000), (60_000, 3)])
def test_texts_that_are_hard_to_compare_take_seconds_at_most(before: int, after: int) -> None:
    start = time.thread_time()  # of this thread: others may keep it waiting
    first = b"".join(b"%d\n" % (number * 7919 % 197) for number in range(before))
    second = b"".join(b"%d\n" % (number * 104_729 % 193) for number in range(after))
    assert next(hunks(first, second, 3)).startswith(b"@@")
    assert time.thread_time() - start < 10


CHANGES = [
    (b"one\ntwo\nthree\n", b"one\n2\nthree\n"),
    (b"no end", b"no end\n"),
    (b"a\r\nb\r\n", b"a\r\nc\r\n"),
    (b"", b"was empty"),
    (b"\xff\xfe odd\n", b"\xff\xfd odd\n"),
    (None, b"new\n"),
    (None, b""),
    (b"gone\n", None),
    (b"", None),
    (b"@@ -1 +1 @@\n--- a\n+++ b\n", b"@@ -1 +1 @@\n-- a\n++ b\n"),
    (b"".join(b"%d\n" % n for n in range(100)), b"".join(b"%d\n" % n for n in range(100) if n % 9)),
]


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch program")
@pytest.mark.parametrize("context", [0, 3])
def test_the_patch_program_makes_the_second_files_of_the_first(
    tmp_path: Path, context: int
) -> None:
    whole = b""
    for number, (before, after) in enumerate(CHANGES):
        for name in NAMES:
            place = tmp_path / f"{name}{number}"
            place.parent.mkdir(parents=True, exist_ok=True)
            if before is not None:
                place.write_bytes(before)
            found = patch_between(before, after, f"{name}{number}".encode(), context)
            assert found is not None
            whole += found.data
    whole += b"Binary files a/x and b/x differ\n"
    (tmp_path / "the.patch").write_bytes(whole)
    run = subprocess.run(
        ["patch", "-p1", "--binary", "--batch", "-i", "the.patch"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    for number, (_, after) in enumerate(CHANGES):
        for name in NAMES:
            place = tmp_path / f"{name}{number}"
            assert (place.read_bytes() if place.exists() else None) == after, place
