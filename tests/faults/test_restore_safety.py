"""Nothing outside the target is touched, whatever the repository holds or the target plays."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from holdfast.model import rows
from holdfast.model.node import Node, NodeType
from holdfast.operations.restore import Overwrite, RestoreOptions, RestoreResult, restore
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import (
    Entry,
    directory,
    expected,
    file,
    node_of,
    observed,
    save_tree,
    symlink,
)


def listed(path: str | Path) -> list[str]:
    return sorted(below.name for below in Path(path).iterdir())


def snapshot_of(path: Path) -> list[tuple[object, ...]]:
    """Everything about a tree that a restore could have changed, ctime and links included."""
    seen = []
    for root, names, files in os.walk(path):
        for name in ["", *names, *files]:
            status = os.lstat(Path(root, name))
            seen.append((root, name, *status[:7], status.st_mtime_ns, status.st_ctime_ns))
    return sorted(seen)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A tree beside the target that must stay as it is."""
    place = tmp_path / "outside"
    (place / "a/b").mkdir(parents=True)
    for name in ("f", "a/f", "a/b/f"):
        (place / name).write_bytes(b"precious")
        (place / name).chmod(0o600)
    (place / "script").write_bytes(b"#!")
    return place


@contextmanager
def untouched(place: Path) -> Iterator[None]:
    before = snapshot_of(place)
    yield
    assert snapshot_of(place) == before
    assert all(
        path.read_bytes() in {b"precious", b"#!"} for path in place.rglob("*") if path.is_file()
    )


def run(root: Entry, target: Path, **options: object) -> RestoreResult:
    blobs = MemoryBlobs()
    tree = save_tree(root, blobs)
    return restore(tree, b"/", target, blobs, RestoreOptions(**options))  # type: ignore[arg-type]


TREE = directory(
    {
        b"f": file(b"x", mode=0o4755),
        b"a": directory(
            {b"f": file(b"y"), b"b": directory({b"f": file(b"z"), b"g": file(b"z")}, mode=0o777)}
        ),
    }
)


@pytest.mark.fault(34)
@pytest.mark.parametrize("overwrite", list(Overwrite))
@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("planted", ["f", "a", "a/f", "a/b", "a/b/f"])
def test_planted_symlinks(
    tmp_path: Path, outside: Path, planted: str, overwrite: Overwrite, delete: bool
) -> None:
    target = tmp_path / "target"
    (target / planted).parent.mkdir(parents=True)
    (target / planted).symlink_to(outside / planted)
    with untouched(outside):
        result = run(TREE, target, overwrite=overwrite, delete=delete)
    if overwrite is Overwrite.ALWAYS:
        assert result.errors == ()
        assert observed(target) == expected(TREE)


@pytest.mark.fault(34)
@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_symlink_to_the_target_itself(tmp_path: Path, overwrite: Overwrite) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "a").symlink_to(".")
    run(TREE, target, overwrite=overwrite)
    assert (target / "f").read_bytes() == b"x"
    assert (target / "a").is_symlink() == (overwrite in {Overwrite.NEVER, Overwrite.IF_NEWER})


@pytest.mark.fault(34)
def test_planted_hard_links(tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "target"
    (target / "a").mkdir(parents=True)
    os.link(outside / "f", target / "f")
    os.link(outside / "a/f", target / "a/f")
    content = {path: path.read_bytes() for path in outside.rglob("f")}
    assert run(TREE, target).errors == ()
    assert {path: path.read_bytes() for path in outside.rglob("f")} == content
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in content)
    assert observed(target) == expected(TREE)


@pytest.mark.fault(34)
def test_a_planted_fifo_does_not_hang_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    assert run(TREE, tmp_path, overwrite=Overwrite.IF_CHANGED).errors == ()
    assert (tmp_path / "f").read_bytes() == b"x"


@pytest.mark.fault(34)
def test_a_link_and_what_a_hostile_tree_puts_behind_it(tmp_path: Path, outside: Path) -> None:
    blobs = MemoryBlobs()
    nodes = [
        node_of(b"a", symlink(os.fsencode(outside)), blobs),
        node_of(b"a", directory({b"f": file(b"evil")}), blobs),
    ]
    with untouched(outside):
        result = restore_rows(nodes, blobs, tmp_path / "target")
    assert result.errors_total == 1


@pytest.mark.fault(34)
@pytest.mark.parametrize(
    "name",
    [b"", b".", b"..", b"/etc/evil", b"../outside/f", b"a/b", b"nul\0", b"../../f", b"/"],
)
@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_hostile_names(tmp_path: Path, outside: Path, name: bytes, kind: str) -> None:
    blobs = MemoryBlobs()
    entry = {
        "file": file(b"evil"),
        "directory": directory({b"f": file(b"evil")}),
        "symlink": symlink(b"evil"),
    }[kind]
    beside = node_of(b"good", directory({b"f": file(b"x")}), blobs)
    bad = directory().but(tree=raw_tree([node_of(name, entry, blobs)], blobs))
    with untouched(outside):
        result = restore_rows([node_of(b"bad", bad, blobs), beside], blobs, tmp_path / "target")
    assert [problem.path for problem in result.errors] == ["/bad"]
    assert sorted(observed(tmp_path / "target")) == [b"bad", b"good", b"good/f"]
    assert listed(tmp_path) == ["outside", "target"]


@pytest.mark.fault(34)
@pytest.mark.parametrize(
    "name",
    [b"", b".", b"..", b"/etc/evil", b"../outside/f", b"a/b", b"nul\0"],
)
@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_hostile_names_are_stopped_at_the_target_too(
    tmp_path: Path, outside: Path, name: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the model to let one through, the target would not."""
    monkeypatch.setattr(rows, "_check_names", lambda _: None)
    blobs = MemoryBlobs()
    entry = {
        "file": file(b"evil"),
        "directory": directory({b"f": file(b"evil")}),
        "symlink": symlink(b"evil"),
    }[kind]
    nodes = [node_of(name, entry, blobs), node_of(b"good", file(b"x"), blobs)]
    with untouched(outside):
        result = restore_rows(nodes, blobs, tmp_path / "target")
    assert [(problem.path, problem.operation) for problem in result.errors] == [("/", "read")]
    assert list(observed(tmp_path / "target")) == [b"good"]
    assert listed(tmp_path) == ["outside", "target"]


def raw_tree(nodes: list[Node], blobs: MemoryBlobs) -> BlobId:
    """A directory that no honest program would store."""
    return blobs.add(codec.pack([0, nodes]))


def restore_rows(nodes: list[Node], blobs: MemoryBlobs, target: Path) -> RestoreResult:
    return restore(raw_tree(nodes, blobs), b"/", target, blobs, RestoreOptions())


@pytest.mark.fault(34)
def test_a_hard_link_of_a_symlink_is_none(tmp_path: Path, outside: Path) -> None:
    """A forged group of a link and a file: the file is written, the link stays a link."""
    root = directory(
        {
            b"a": symlink(os.fsencode(outside / "f")).but(group=1),
            b"b": file(b"mine").but(group=1),
            b"c": file(b"mine").but(group=1),
        }
    )
    with untouched(outside):
        assert run(root, tmp_path / "target").errors == ()
    assert (tmp_path / "target/b").read_bytes() == b"mine"
    assert (tmp_path / "target/b").samefile(tmp_path / "target/c")


class Racer:
    """Swaps things in the target against symlinks as fast as it can, for as long as it is asked.

    Args:
        swaps: (a path in the target, what a link in its place leads to).
    """

    def __init__(self, swaps: list[tuple[Path, Path]]) -> None:
        self._swaps = swaps
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.rounds = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for path, goal in self._swaps:
                aside = path.with_name(path.name + ".aside")
                try:
                    path.rename(aside)
                    path.symlink_to(goal)
                    self.rounds += 1
                    path.unlink()
                    aside.rename(path)
                except OSError:
                    self._clean(aside)

    @staticmethod
    def _clean(aside: Path) -> None:
        with suppress(OSError):
            aside.unlink()


@pytest.mark.fault(34)
@pytest.mark.parametrize("overwrite", [Overwrite.ALWAYS, Overwrite.IF_CHANGED])
@pytest.mark.parametrize("delete", [False, True])
def test_directories_swapped_while_it_runs(
    tmp_path: Path, outside: Path, overwrite: Overwrite, delete: bool
) -> None:
    target = tmp_path / "target"
    leaves = {b"%d" % n: file(b"evil", mode=0o777) for n in range(20)}
    below = directory({b"b": directory({**leaves, b"f": file(b"evil", mode=0o4777)}), **leaves})
    root = directory({b"a": below.but(mode=0o777), b"f": file(b"evil"), b"z": below})
    swaps = [(target / "a", outside / "a"), (target / "a/b", outside / "a/b")]
    swaps += [(target / "f", outside / "f"), (target / "z/b", outside)]
    with untouched(outside), Racer(swaps) as racer:
        rounds = 0
        while rounds < 25 or (racer.rounds < 50 and rounds < 500):
            run(root, target, overwrite=overwrite, delete=delete)
            rounds += 1
    assert racer.rounds >= 50
    result = run(root, target, delete=True, verify=True)
    assert result.errors == ()


@pytest.mark.fault(34)
def test_a_holder_swapped_before_it_is_linked(tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "target"
    names = {b"%03d" % n: file(b"mine").but(group=1) for n in range(100)}
    root = directory({b"000": names.pop(b"000"), b"d": directory(names)})
    with untouched(outside), Racer([(target / "000", outside / "f")]) as racer:
        rounds = 0
        while rounds < 20 or (racer.rounds < 50 and rounds < 500):
            run(root, target)
            rounds += 1
            assert {path.read_bytes() for path in (target / "d").iterdir()} == {b"mine"}


@pytest.mark.fault(34)
def test_deleting_while_directories_are_swapped(tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "target"
    full = directory(
        {b"x": directory({b"a": directory({b"%d" % n: file() for n in range(30)}), b"f": file()})}
    )
    swaps = [(target / "x/a", outside / "a"), (target / "x", outside)]
    with untouched(outside), Racer(swaps) as racer:
        rounds = 0
        while rounds < 25 or (racer.rounds < 50 and rounds < 500):
            run(full, target)
            run(directory(), target, delete=True)
            rounds += 1
    run(directory(), target, delete=True)
    assert listed(target) == []


@pytest.mark.fault(34, 35)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may create devices")
def test_a_device_of_a_hostile_repository(tmp_path: Path) -> None:
    device = Entry(NodeType.BLOCK_DEVICE, 0o666, device=(1 << 64) - 1)
    result = run(directory({b"disk": device, b"f": file()}), tmp_path, devices=True)
    assert [problem.path for problem in result.errors] == ["/disk"]
    assert listed(tmp_path) == ["f"]


def test_a_size_that_no_file_can_have(tmp_path: Path) -> None:
    result = run(directory({b"huge": file((1 << 63) - 1), b"f": file()}), tmp_path, verify=True)
    stored = (tmp_path / "huge").exists()
    assert [problem.path for problem in result.errors] == ([] if stored else ["/huge", "/huge"])
    assert (tmp_path / "f").exists()
