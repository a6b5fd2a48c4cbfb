"""A restore that is killed, or whose target is full, leaves nothing that passes for complete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.operations.restore import Overwrite, RestoreOptions, restore
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import BLOB, Entry, directory, expected, file, observed, save_tree


def tree() -> Entry:
    """The same in both processes: many small files, and some that take a while."""
    return directory(
        {
            b"%d" % outer: directory(
                {
                    **{b"%d" % inner: file(b"%d" % inner * 50) for inner in range(300)},
                    b"large": file(*[bytes([outer + 1, n]) * (BLOB // 2) for n in range(250)]),
                }
            )
            for outer in range(20)
        }
    )


CHILD = """
import sys
sys.path.insert(0, {here!r})
from holdfast.operations.restore import RestoreOptions, restore
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import save_tree
from {module} import tree
blobs = MemoryBlobs()
root = save_tree(tree(), blobs)
print("ready", flush=True)
sys.stdin.readline()
restore(root, b"/", {target!r}, blobs, RestoreOptions())
print("done", flush=True)
"""


def killed_after(milliseconds: int, target: Path) -> None:
    here = Path(__file__)
    code = CHILD.format(here=str(here.parent), module=here.stem, target=str(target))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.stdin.write(b"\n")
        child.stdin.flush()
        try:
            child.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)


def visible(target: Path) -> dict[bytes, tuple[str, int, int, bytes]]:
    return {
        path: seen
        for path, seen in observed(target).items()
        if seen[0] == "FILE" and not path.rpartition(b"/")[2].startswith(b".holdfast-")
    }


@pytest.mark.fault(4)
@pytest.mark.parametrize("milliseconds", [5, 60, 200])
def test_killed_on_the_way(tmp_path: Path, milliseconds: int) -> None:
    target = tmp_path / "target"
    target.mkdir()
    complete = expected(tree())
    killed_after(milliseconds, target)
    assert all(seen == complete[path] for path, seen in visible(target).items())
    blobs = MemoryBlobs()
    root = save_tree(tree(), blobs)
    options = RestoreOptions(overwrite=Overwrite.IF_CHANGED, verify=True)
    assert restore(root, b"/", target, blobs, options).errors == ()
    assert observed(target) == complete


@pytest.mark.fault(4)
@pytest.mark.parametrize("milliseconds", [20, 120])
def test_killed_while_it_changes_files_in_place(tmp_path: Path, milliseconds: int) -> None:
    target = tmp_path / "target"
    for outer in range(20):
        (target / str(outer)).mkdir(parents=True)
        (target / str(outer) / "large").write_bytes(b"x" * 250 * BLOB)
    complete = expected(tree())
    killed_after(milliseconds, target)
    for path, seen in visible(target).items():
        assert seen == complete[path] or seen[2] != complete[path][2]
    blobs = MemoryBlobs()
    root = save_tree(tree(), blobs)
    options = RestoreOptions(overwrite=Overwrite.IF_CHANGED)
    assert restore(root, b"/", target, blobs, options).errors == ()
    assert observed(target) == complete


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_another_file_system_is_not_deleted(small_disk: Path) -> None:
    (small_disk / "precious").write_bytes(b"!")
    (small_disk.parent / "extra").write_bytes(b"goes")
    blobs = MemoryBlobs()
    tree = save_tree(directory(), blobs)
    options = RestoreOptions(delete=True)
    result = restore(tree, b"/", small_disk.parent, blobs, options)
    assert [(problem.path, problem.operation) for problem in result.errors] == [
        (f"/{small_disk.name}", "delete")
    ]
    assert (small_disk / "precious").read_bytes() == b"!"
    assert result.deleted == 1


@pytest.mark.fault(48)
def test_a_full_target_is_reported_file_by_file(small_disk: Path) -> None:
    root = directory({b"%03d" % n: file(b"x" * 20_000) for n in range(100)})
    blobs = MemoryBlobs()
    result = restore(save_tree(root, blobs), b"/", small_disk, blobs, RestoreOptions())
    complete = expected(root)
    there = observed(small_disk)
    assert 0 < len(there) < 100
    assert all(seen == complete[path] for path, seen in there.items())
    assert len(there) + result.errors_total == 100
    assert {problem.operation for problem in result.errors} <= {"write", "create"}
