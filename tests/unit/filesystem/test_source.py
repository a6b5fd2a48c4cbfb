"""The source: which roots there are, what is left out, and totals."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from holdfast.errors import UsageError
from holdfast.filesystem import Directory, ExcludeRules, LocalSource, Problem

CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# made by a program\n"


def make(top: Path, *names: str) -> None:
    """Make files, and directories where the name ends in a slash."""
    for name in names:
        path = top / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())


def found(top: Path, rules: ExcludeRules, *roots: str) -> list[str]:
    """Paths below the top that are walked; directories end in a slash."""
    paths: list[bytes] = []
    with LocalSource([top / root for root in roots] or [top], rules).walk() as walk:
        for event in walk:
            assert not isinstance(event, Problem), event
            if isinstance(event, Directory):
                paths.append(event.path.rstrip(b"/") + b"/")
                paths += [paths[-1] + name for name, _ in event.files]
    prefix = bytes(top) + b"/"
    assert len(set(paths)) == len(paths)
    return sorted(os.fsdecode(p.removeprefix(prefix)) for p in paths if p.startswith(prefix))[1:]


def excluding(*patterns: str) -> ExcludeRules:
    return ExcludeRules(patterns=patterns)


def test_roots_are_absolute_normal_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/b/", "c")
    monkeypatch.chdir(tmp_path / "a")
    source = LocalSource(
        ["b", b"b/", tmp_path / "a" / "b", "../c", f"/{tmp_path}/a/../c", "."], ExcludeRules()
    )
    top = bytes(tmp_path)
    assert source.roots == [top + b"/a", top + b"/a/b", top + b"/c"]
    assert source.problems == []


@pytest.mark.fault(49)
def test_missing_roots_are_problems(tmp_path: Path) -> None:
    make(tmp_path, "here", "file")
    roots = [tmp_path / "here", tmp_path / "absent", tmp_path / "file" / "x"]
    source = LocalSource(roots, ExcludeRules())
    assert source.roots == [bytes(tmp_path / "here")]
    top = bytes(tmp_path)
    assert [(p.path, p.operation, p.errno, p.vanished) for p in source.problems] == [
        (top + b"/absent", "find", errno.ENOENT, False),
        (top + b"/file/x", "find", errno.ENOTDIR, False),
    ]
    assert source.problems[0].message == os.strerror(errno.ENOENT)


def test_the_way_to_a_missing_root_is_no_entry(tmp_path: Path) -> None:
    make(tmp_path, "here", "other/")
    with LocalSource([tmp_path / "here", tmp_path / "other/absent"], ExcludeRules()).walk() as walk:
        paths = {event.path for event in walk if isinstance(event, Directory)}
    assert bytes(tmp_path) in paths
    assert bytes(tmp_path / "other") not in paths


@pytest.mark.parametrize("roots", [[], [""], [b""], ["a\0b"]])
def test_roots_that_make_no_sense(roots: list[str | bytes]) -> None:
    with pytest.raises(UsageError):
        LocalSource(roots, ExcludeRules())


def test_a_bad_marker_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exclude-if-present"):
        LocalSource([tmp_path], ExcludeRules(if_present=("a/b",)))


def test_a_bad_pattern_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not closed"):
        LocalSource([tmp_path], excluding("[a"))


def test_a_removed_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "gone/")
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="current directory"):
        LocalSource(["a"], ExcludeRules())


def test_overlapping_roots_are_one_tree(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c", "a/d", "e/f", "e/g", "h")
    assert found(tmp_path, ExcludeRules(), "a/b", "a", "e/f", "a/b/c") == [
        "a/", "a/b/", "a/b/c", "a/d", "e/", "e/f",
    ]  # fmt: skip


def test_patterns_apply_below_roots(tmp_path: Path) -> None:
    make(tmp_path, "a.tmp", "b/c.tmp", "b/d", "b/cache/x", "cache", "x/y/z", "x/z", "k/x.tmp")
    rules = excluding("*.tmp", "cache/", f"{tmp_path}/x/y", "!k/*.tmp")
    assert found(tmp_path, rules) == ["b/", "b/d", "cache", "k/", "k/x.tmp", "x/", "x/z"]


def test_an_excluded_directory_is_not_entered(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c")
    assert found(tmp_path, excluding("a/", "!c")) == []
    assert found(tmp_path, excluding("a/**", "!c")) == ["a/"]


def test_what_is_named_is_taken(tmp_path: Path) -> None:
    make(tmp_path, "x.tmp", "docker/keep/y.tmp", "docker/keep/z", "docker/drop", "big")
    rules = ExcludeRules(patterns=("*.tmp", "docker/", "/tmp/"), larger_than=1)
    assert found(tmp_path, rules, "x.tmp", "docker/keep", "big") == [
        "big", "docker/", "docker/keep/", "x.tmp",
    ]  # fmt: skip
    rules = excluding("*.tmp", "docker/")
    assert found(tmp_path, rules, ".", "docker/keep") == [
        "big", "docker/", "docker/keep/", "docker/keep/z",
    ]  # fmt: skip


def test_marked_directories_keep_only_the_mark(tmp_path: Path) -> None:
    make(tmp_path, "a/.nobackup", "a/x", "a/b/y", "c/TAG", "c/z", "d/TAG", "d/z", "e/.nobackup/x")
    (tmp_path / "c/TAG").write_bytes(b"header and more")
    rules = ExcludeRules(if_present=(".nobackup", "TAG:header"))
    assert found(tmp_path, rules) == [
        "a/", "a/.nobackup", "c/", "c/TAG", "d/", "d/TAG", "d/z", "e/", "e/.nobackup/",
        "e/.nobackup/x",
    ]  # fmt: skip


def test_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    real = os.open

    def noting(path: bytes, flags: int, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return real(path, flags, dir_fd=dir_fd)

    make(tmp_path, "yes/x", "no/CACHEDIR.TAG", "no/x", "link/x", "fifo/x", "dir/CACHEDIR.TAG/x")
    (tmp_path / "yes/CACHEDIR.TAG").write_bytes(CACHE_TAG)
    (tmp_path / "link/CACHEDIR.TAG").symlink_to("../yes/CACHEDIR.TAG")
    os.mkfifo(tmp_path / "fifo/CACHEDIR.TAG")
    rules = ExcludeRules(caches=True)
    kept = {"no/x", "link/x", "fifo/x", "dir/CACHEDIR.TAG/x"}
    monkeypatch.setattr(os, "open", noting)
    paths = found(tmp_path, rules)
    assert opened.count(b"CACHEDIR.TAG") == 2 + 1  # the two files; the directory, to walk it
    assert kept <= set(paths)
    assert "yes/x" not in paths
    assert "yes/CACHEDIR.TAG" in paths
    assert "yes/x" in found(tmp_path, ExcludeRules())


def test_an_excluded_mark_still_counts(tmp_path: Path) -> None:
    make(tmp_path, "a/.nobackup", "a/x")
    rules = ExcludeRules(patterns=(".nobackup",), if_present=(".nobackup",))
    assert found(tmp_path, rules) == ["a/"]


def test_large_files(tmp_path: Path) -> None:
    (tmp_path / "ten").write_bytes(b"x" * 10)
    (tmp_path / "eleven").write_bytes(b"x" * 11)
    (tmp_path / "link").symlink_to("x" * 12)
    assert found(tmp_path, ExcludeRules(larger_than=10)) == ["link", "ten"]


@pytest.mark.fault(45)
def test_one_file_system() -> None:
    mounts = [path for path in ("/dev/pts", "/dev/shm", "/dev/mqueue") if os.path.ismount(path)]
    if not mounts or os.path.ismount("/dev/full"):
        pytest.skip("nothing is mounted below /dev")
    inside = os.fsencode(mounts[0])
    listed: dict[bool, Directory] = {}
    for one in (False, True):
        with LocalSource(["/dev"], ExcludeRules(one_file_system=one)).walk() as walk:
            events = [event for event in walk if isinstance(event, Directory)]
        listed[one] = next(event for event in events if event.path == inside)
        assert any(event.path == b"/dev" and event.files for event in events)
    assert (listed[True].files, listed[True].subdirectories) == ([], [])
    assert listed[True].complete
    with LocalSource(["/dev", inside], ExcludeRules(one_file_system=True)).walk() as walk:
        named = next(e for e in walk if isinstance(e, Directory) and e.path == inside)
    # What is in it comes and goes with the terminals and semaphores of others.
    stays = {name for name, _ in listed[False].files} & set(os.listdir(inside))  # noqa: PTH208 - of bytes
    assert stays <= {name for name, _ in named.files}


def test_totals(tmp_path: Path) -> None:
    make(tmp_path, "a/b", "a/c.tmp", "d")
    (tmp_path / "link").symlink_to("somewhere")
    source = LocalSource([tmp_path], excluding("*.tmp"))
    assert source.scan_totals(threading.Event()) == (3, len("a/b") + len("d"))


def test_totals_stop_when_told(tmp_path: Path) -> None:
    make(tmp_path, "a/b")
    stop = threading.Event()
    stop.set()
    assert LocalSource([tmp_path], ExcludeRules()).scan_totals(stop) == (0, 0)


def test_totals_beside_a_walk(tmp_path: Path) -> None:
    make(tmp_path, *(f"{directory}/{file}" for directory in range(50) for file in range(20)))
    source = LocalSource([tmp_path], ExcludeRules())
    totals: list[tuple[int, int]] = []
    thread = threading.Thread(
        target=lambda: totals.append(source.scan_totals(threading.Event())), daemon=True
    )
    with source.walk() as walk:
        events = iter(walk)
        first = next(events)
        thread.start()
        files = sum(len(event.files) for event in events if isinstance(event, Directory))
    thread.join()
    assert isinstance(first, Directory)
    assert totals[0][0] == files == 1000
