"""The walk: order, what it does about symlinks, and a source that changes under it."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.errors import OutOfResources
from holdfast.filesystem import (
    Directory,
    ExcludeRules,
    Leave,
    LocalSource,
    Problem,
    Walk,
)
from holdfast.filesystem.exclude import CACHE_SIGNATURE
from holdfast.filesystem.handles import MAX_OPEN
from holdfast.model.descent import MAX_DEPTH, MAX_PATH

NOBODY = 65534


def open_descriptors() -> int:
    """How many there are: fewer, too, when a connection of an earlier test ends meanwhile."""
    return len(list(Path("/dev/fd").iterdir()))


def walk_over(*roots: Path | bytes, rules: ExcludeRules | None = None) -> Walk:
    return LocalSource(roots, rules or ExcludeRules()).walk()


def until(events: Iterator[Directory | Leave | Problem], path: Path) -> Directory:
    """Go on to the event of a directory."""
    return next(e for e in events if isinstance(e, Directory) and e.path == bytes(path))


def all_of(*roots: Path, rules: ExcludeRules | None = None) -> list[Directory | Leave | Problem]:
    with walk_over(*roots, rules=rules) as walk:
        return list(walk)


def problems(events: list[Directory | Leave | Problem]) -> list[Problem]:
    return [event for event in events if isinstance(event, Problem)]


def below(top: Path, events: list[Directory | Leave | Problem]) -> dict[str, list[str]]:
    """What is in each directory at or below the top."""
    prefix = bytes(top)
    return {
        os.fsdecode(event.path.removeprefix(prefix)): [os.fsdecode(name) for name, _ in event.files]
        for event in events
        if isinstance(event, Directory) and event.path.startswith(prefix)
    }


@contextmanager
def unprivileged(path: Path, mode: int) -> Iterator[None]:
    """The path has these permissions inside, and they bind, for root as well."""
    path.chmod(mode)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(0o755)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that everyone can reach, removed by means that have no trouble with depth."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    subprocess.run(["/bin/rm", "-rf", path], check=True)


def test_events_come_depth_first_in_the_order_of_bytes(tmp_path: Path) -> None:
    for name in ("b/z", "b/a", "B", "b-/x", "é", "a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    for name in ("dir", "b/sub", "b/Sub/deep"):
        (tmp_path / name).mkdir(parents=True)
    events = all_of(tmp_path)
    story: list[tuple[bytes, list[bytes], list[bytes]] | bytes] = []
    for event in events[len(tmp_path.parts) - 1 : -len(tmp_path.parts) + 1]:
        assert not isinstance(event, Problem)
        if isinstance(event, Directory):
            files = [name for name, _ in event.files]
            story.append((event.name, files, event.subdirectories))
            assert event.complete
        else:
            story.append(event.name)
    top = os.fsencode(tmp_path.name)
    assert story == [
        (top, [b"B", b"a", "é".encode()], [b"b", b"b-", b"dir"]),
        (b"b", [b"a", b"z"], [b"Sub", b"sub"]),
        (b"Sub", [], [b"deep"]),
        (b"deep", [], []),
        b"deep",
        b"Sub",
        (b"sub", [], []),
        b"sub",
        b"b",
        (b"b-", [b"x"], []),
        b"b-",
        (b"dir", [], []),
        b"dir",
        top,
    ]


def test_ancestors_are_entries_with_the_way_on_only(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/unrelated").touch()
    events = all_of(tmp_path / "a/b")
    first = events[0]
    assert isinstance(first, Directory)
    assert (first.path, first.name, first.files) == (b"/", b"", [])
    assert first.subdirectories == [os.fsencode(tmp_path.parts[1])]
    assert first.status.st_ino == Path("/").stat().st_ino
    above = next(e for e in events if isinstance(e, Directory) and e.path == bytes(tmp_path / "a"))
    assert (above.files, above.subdirectories) == ([], [b"b"])
    assert above.status == (tmp_path / "a").lstat()
    assert events[-1] == Leave(b"")
    assert len(events) == 2 * len((tmp_path / "a/b").parts)


def test_the_root_of_everything_can_be_walked() -> None:
    rules = ExcludeRules(patterns=("/*/",))
    with walk_over(Path("/"), rules=rules) as walk:
        (event, leave) = list(walk)
    assert isinstance(event, Directory)
    assert event.path == b"/"
    assert event.subdirectories == []
    assert leave == Leave(b"")


@pytest.mark.fault(44)
def test_symlinks_are_followed_up_to_roots_and_never_below(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "real/file").touch()
    (tmp_path / "real/loop").symlink_to(".")
    (tmp_path / "real/out").symlink_to("/")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "tofile").symlink_to("real/file")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "circle").symlink_to("circle")
    everything = {"": ["circle", "dangling", "link", "tofile"], "/real": ["file", "loop", "out"]}
    assert below(tmp_path, all_of(tmp_path)) == everything | {"/real/inner": []}
    # the root itself
    assert below(tmp_path, all_of(tmp_path / "link")) == {
        "": [],
        "/link": ["file", "loop", "out"],
        "/link/inner": [],
    }
    # on the way to a root
    assert below(tmp_path, all_of(tmp_path / "link/inner")) == {
        "": [],
        "/link": [],
        "/link/inner": [],
    }
    # roots that are links to anything but directories are links
    links = [tmp_path / name for name in ("tofile", "dangling", "circle")]
    events = all_of(*links)
    assert below(tmp_path, events) == {"": ["circle", "dangling", "tofile"]}
    listed = next(e for e in events if isinstance(e, Directory) and e.path == bytes(tmp_path))
    assert all(stat.S_ISLNK(status.st_mode) for _, status in listed.files)


def test_a_root_through_a_link_in_another_root(tmp_path: Path) -> None:
    (tmp_path / "a/real/inner").mkdir(parents=True)
    (tmp_path / "a/real/file").touch()
    (tmp_path / "a/link").symlink_to("real")
    assert below(tmp_path / "a", all_of(tmp_path / "a", tmp_path / "a/link/inner")) == {
        "": [],
        "/link": [],
        "/link/inner": [],
        "/real": ["file"],
        "/real/inner": [],
    }


def test_a_root_that_contains_itself_through_a_link_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/self").symlink_to(".")
    assert below(tmp_path / "a", all_of(tmp_path / "a", tmp_path / "a/self")) == {
        "": [],
        "/self": ["self"],
    }


def test_a_root_of_any_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(bytes(tmp_path / "socket"))
    roots = [tmp_path / "fifo", tmp_path / "file", tmp_path / "socket", Path("/dev/null")]
    events = all_of(*roots)
    assert below(tmp_path, events) == {"": ["fifo", "file", "socket"]}
    assert below(Path("/dev"), events) == {"": ["null"]}


@pytest.mark.fault(38)
def test_names_of_any_bytes(tmp_path: Path) -> None:
    top = bytes(tmp_path)
    names = [
        b"\xff\xfe",
        b"new\nline",
        b"n" * 255,
        "ü".encode() * 127,
        b" ",
        b"-rf",
        b"\\",
        b"\x01",
    ]
    for name in names:
        os.close(os.open(top + b"/" + name, os.O_CREAT))
        with walk_over(tmp_path) as walk:
            until(iter(walk), tmp_path)
            os.close(walk.open_file(name))
        (tmp_path / os.fsdecode(b"d" + name[:250])).mkdir()
    events = all_of(tmp_path)
    listed = next(e for e in events if isinstance(e, Directory) and e.path == top)
    assert [name for name, _ in listed.files] == sorted(names)
    assert listed.subdirectories == sorted(b"d" + name[:250] for name in names)
    assert problems(events) == []


@pytest.mark.fault(40)
def test_a_hundred_thousand_entries(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    directory = os.open(tmp_path / "large", os.O_RDONLY)
    for number in range(100_000):
        os.close(os.open(b"%d" % number, os.O_CREAT, dir_fd=directory))
    os.close(directory)
    (listed,) = [e for e in all_of(tmp_path / "large") if isinstance(e, Directory)][-1:]
    names = [name for name, _ in listed.files]
    assert names == sorted(b"%d" % number for number in range(100_000))


def make_chain(top: Path, name: bytes, depth: int) -> int:
    """Make directories one in another; returns a descriptor of the last."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below_here = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below_here
    return here


def test_a_root_with_a_longer_path_than_the_system_takes(open_path: Path) -> None:
    name = b"n" * 200
    here = make_chain(open_path, name, 100)
    os.close(os.open(b"bottom", os.O_CREAT, dir_fd=here))
    os.close(here)
    root = bytes(open_path) + (b"/" + name) * 100
    with walk_over(root) as walk:
        events = list(walk)
    listed = next(e for e in events if isinstance(e, Directory) and e.path == root)
    assert [file for file, _ in listed.files] == [b"bottom"]


@pytest.mark.fault(39)
def test_thousands_of_levels(open_path: Path) -> None:
    name = b"n" * 200
    here = make_chain(open_path, name, 3050)
    os.close(os.open(b"bottom", os.O_CREAT, dir_fd=here))
    os.symlink(b"target", b"link", dir_fd=here)
    os.close(here)
    before = open_descriptors()
    depth = leaves = 0
    with walk_over(open_path) as walk:
        for event in walk:
            if isinstance(event, Leave):
                leaves += 1
                continue
            assert isinstance(event, Directory)
            depth += 1
            assert open_descriptors() <= before + 70
            if event.files:
                assert event.path == bytes(open_path) + (b"/" + name) * 3050
                assert [file for file, _ in event.files] == [b"bottom", b"link"]
                os.close(walk.open_file(b"bottom"))
                assert walk.readlink(b"link") == b"target"
                assert walk.xattrs(b"link") == ((), [])
                assert walk.xattrs() == ((), [])
    assert depth == leaves == 3050 + len(open_path.parts)


@pytest.mark.parametrize(
    ("name", "levels"), [(b"d", MAX_DEPTH + 5), (b"n" * 255, MAX_PATH // 256 + 5)]
)
def test_what_no_reader_would_follow_is_left_out_and_told(
    open_path: Path, name: bytes, levels: int
) -> None:
    os.close(make_chain(open_path, name, levels))
    events = all_of(open_path)
    told = [event for event in events if isinstance(event, Problem)]
    assert [(problem.operation, problem.errno) for problem in told] == [
        ("enter", errno.ENAMETOOLONG)
    ]
    entered = [event for event in events if isinstance(event, Directory)]
    assert len(entered[-1].path) <= MAX_PATH
    assert len(entered) == MAX_DEPTH or len(told[0].path) > MAX_PATH


def test_no_descriptor_is_left_when_a_walk_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    before = open_descriptors()
    with walk_over(tmp_path) as walk:
        until(iter(walk), tmp_path / "a")
    assert open_descriptors() <= before


def test_reading_entries(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(os.fsdecode(b"t\xff"))
    with walk_over(tmp_path) as walk:
        until(iter(walk), tmp_path)
        descriptor = walk.open_file(b"file")
        assert os.read(descriptor, 100) == b"content"
        os.close(descriptor)
        assert walk.readlink(b"link") == b"t\xff"
        assert walk.status(b"link") == (tmp_path / "link").lstat()


def test_xattrs_of_entries_directories_and_ancestors(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    try:
        for path in (tmp_path, tmp_path / "a", tmp_path / "a/file"):
            os.setxattr(path, "user.name", path.name.encode())
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    with walk_over(tmp_path / "a") as walk:
        events = iter(walk)
        until(events, tmp_path)
        assert walk.xattrs() == (((b"user.name", tmp_path.name.encode()),), [])
        until(events, tmp_path / "a")
        assert walk.xattrs() == (((b"user.name", b"a"),), [])
        assert walk.xattrs(b"file") == (((b"user.name", b"file"),), [])
        (tmp_path / "a/file").unlink()
        xattrs, (problem,) = walk.xattrs(b"file")
    assert xattrs == ()
    assert problem.path == bytes(tmp_path / "a/file")
    assert problem.operation == "read attributes of"
    assert problem.vanished


@pytest.mark.fault(37)
def test_a_file_replaced_after_it_was_listed(tmp_path: Path) -> None:
    names = [b"directory", b"fifo", b"gone", b"link"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    with walk_over(tmp_path) as walk:
        listed = until(iter(walk), tmp_path)
        assert [name for name, _ in listed.files] == names
        for name in names:
            (tmp_path / os.fsdecode(name)).unlink()
        (tmp_path / "link").symlink_to("/etc/passwd")
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "directory").mkdir()
        with pytest.raises(OSError, match="link") as caught:
            walk.open_file(b"link")
        assert caught.value.errno == errno.ELOOP
        with pytest.raises(FileNotFoundError) as gone:
            walk.open_file(b"gone")
        assert walk.problem(b"gone", "open", gone.value) == Problem(
            bytes(tmp_path / "gone"), "open", errno.ENOENT, os.strerror(errno.ENOENT)
        )
        for name, is_kind in [(b"fifo", stat.S_ISFIFO), (b"directory", stat.S_ISDIR)]:
            descriptor = walk.open_file(name)  # a fifo does not make it wait
            assert is_kind(os.fstat(descriptor).st_mode)
            os.close(descriptor)
        with pytest.raises(OSError, match="fifo") as caught:
            walk.readlink(b"fifo")
        assert caught.value.errno == errno.EINVAL


@pytest.mark.fault(37)
def test_a_directory_replaced_after_it_was_listed(tmp_path: Path) -> None:
    for name in ("file", "gone", "link", "stays"):
        (tmp_path / "top" / name).mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").touch()
    with walk_over(tmp_path / "top") as walk:
        events = iter(walk)
        listed = until(events, tmp_path / "top")
        assert listed.subdirectories == [b"file", b"gone", b"link", b"stays"]
        for name in ("file", "gone", "link"):
            (tmp_path / "top" / name).rmdir()
        (tmp_path / "top/link").symlink_to(tmp_path / "secret")
        (tmp_path / "top/file").touch()
        rest = list(events)
    top = bytes(tmp_path / "top")
    assert below(tmp_path / "top", rest) == {"/stays": []}
    assert [(p.path, p.operation, p.vanished) for p in problems(rest)] == [
        (top + b"/file", "enter", False),
        (top + b"/gone", "enter", False),
        (top + b"/link", "enter", False),
    ]
    assert len([event for event in rest if isinstance(event, Leave)]) == len(tmp_path.parts) + 2


def test_an_entry_that_vanishes_between_listing_and_stat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    @contextmanager
    def removing(directory: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        with real(directory) as listing:
            entries = list(listing)
        (tmp_path / "gone").unlink(missing_ok=True)
        yield iter(entries)

    for name in ("gone", "stays"):
        (tmp_path / name).touch()
    monkeypatch.setattr(os, "scandir", removing)
    events = all_of(tmp_path)
    assert below(tmp_path, events) == {"": ["stays"]}
    (problem,) = problems(events)
    assert (problem.path, problem.operation) == (bytes(tmp_path / "gone"), "stat")
    assert problem.vanished


def test_a_way_back_that_is_lost(open_path: Path) -> None:
    chain = [f"{level}" for level in range(80)]
    deepest = open_path.joinpath(*chain)
    deepest.mkdir(parents=True)
    for level in (2, 3):
        (open_path.joinpath(*chain[:level]) / "later").mkdir()
    with walk_over(open_path) as walk:
        events = iter(walk)
        until(events, deepest)
        open_path.joinpath(*chain[:4]).rename(open_path / "moved")
        open_path.joinpath(*chain[:3]).rename(open_path / "moved too")
        rest = list(events)
    (problem,) = problems(rest)
    lost = bytes(open_path.joinpath(*chain[:3]))
    assert (problem.path, problem.operation) == (lost, "return to")
    assert problem.errno == errno.ESTALE
    assert below(open_path, rest) == {"/0/1/later": []}
    assert len([e for e in rest if isinstance(e, Leave)]) == 80 + len(open_path.parts) + 1


@pytest.mark.fault(36)
@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="the system has no O_PATH")
def test_an_unreadable_directory_is_still_an_entry(open_path: Path) -> None:
    (open_path / "dark/inner").mkdir(parents=True)
    (open_path / "light").mkdir()
    with unprivileged(open_path / "dark", 0o311):
        events = all_of(open_path)
        named = all_of(open_path, open_path / "dark/inner")
    (problem,) = problems(events)
    assert (problem.path, problem.errno) == (bytes(open_path / "dark"), errno.EACCES)
    dark = next(e for e in events if isinstance(e, Directory) and e.name == b"dark")
    assert (dark.files, dark.subdirectories, dark.complete) == ([], [], False)
    assert dark.status.st_ino == (open_path / "dark").stat().st_ino
    assert below(open_path, events) == {"": [], "/dark": [], "/light": []}
    assert below(open_path, named) == {"": [], "/dark": [], "/dark/inner": [], "/light": []}


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="the system has no O_PATH")
def test_a_root_that_can_be_reached_but_not_seen(open_path: Path) -> None:
    (open_path / "dark/inner").mkdir(parents=True)
    with unprivileged(open_path / "dark", 0o311):
        events = all_of(open_path / "dark/inner")
    assert problems(events) == []
    assert below(open_path, events) == {"": [], "/dark": [], "/dark/inner": []}


def test_a_directory_whose_entries_cannot_be_examined(open_path: Path) -> None:
    (open_path / "half").mkdir()
    (open_path / "half/file").touch()
    with unprivileged(open_path / "half", 0o644):
        events = all_of(open_path)
    (problem,) = problems(events)
    assert problem.path == bytes(open_path / "half/file")
    assert (problem.operation, problem.errno) == ("stat", errno.EACCES)
    assert below(open_path, events) == {"": [], "/half": []}


def test_a_mark_that_cannot_be_read_says_nothing(open_path: Path) -> None:
    (open_path / "CACHEDIR.TAG").write_text(CACHE_SIGNATURE)
    (open_path / "file").touch()
    rules = ExcludeRules(caches=True)
    assert below(open_path, all_of(open_path, rules=rules)) == {"": ["CACHEDIR.TAG"]}
    with unprivileged(open_path / "CACHEDIR.TAG", 0):
        events = all_of(open_path, rules=rules)
    assert below(open_path, events) == {"": ["CACHEDIR.TAG", "file"]}


def test_files_of_others_are_read_all_the_same(open_path: Path) -> None:
    (open_path / "file").write_bytes(b"x")
    with unprivileged(open_path / "file", 0o644), walk_over(open_path) as walk:
        until(iter(walk), open_path)
        descriptor = walk.open_file(b"file")
        assert os.read(descriptor, 2) == b"x"
        os.close(descriptor)


@pytest.mark.fault(36)
def test_a_listing_that_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    real = os.scandir

    @contextmanager
    def breaking(directory: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        def entries() -> Iterator[os.DirEntry[str]]:
            with real(directory) as listing:
                yield next(listing)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        yield entries()

    monkeypatch.setattr(os, "scandir", breaking)
    events = all_of(tmp_path)
    (problem,) = problems(events)
    assert (problem.path, problem.operation) == (bytes(tmp_path), "list")
    assert problem.errno == errno.EIO
    listed = next(e for e in events if isinstance(e, Directory) and e.path == bytes(tmp_path))
    assert len(listed.files) == 1
    assert not listed.complete


@pytest.mark.fault(49)
def test_a_root_that_goes_away_before_the_walk(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "c").touch()
    source = LocalSource([tmp_path / "a/b", tmp_path / "c"], ExcludeRules())
    (tmp_path / "a/b").rmdir()
    (tmp_path / "a").rmdir()
    (tmp_path / "a").touch()
    (tmp_path / "c").unlink()
    with source.walk() as walk:
        events = list(walk)
    assert [(p.path, p.operation, p.errno, p.vanished) for p in problems(events)] == [
        (bytes(tmp_path / "a"), "find", errno.ENOTDIR, False),
        (bytes(tmp_path / "c"), "find", errno.ENOENT, False),
    ]


# What this process or this machine is short of


@contextmanager
def no_more_descriptors(spare: int) -> Iterator[None]:
    """Have so many descriptors left."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/dev/fd").iterdir())
    taken = [os.open("/", os.O_RDONLY) for _ in range(highest - open_descriptors() + 1)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max([highest, *taken]) + 1 + spare, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        for descriptor in taken:
            os.close(descriptor)


@pytest.mark.fault(6)
@pytest.mark.parametrize("spare", range(12))
def test_descriptors_that_run_out_end_a_walk_rather_than_shorten_it(
    open_path: Path, spare: int
) -> None:
    """Of a shortage of ours no entry is said that it cannot be read."""
    (open_path / "a/b/c").mkdir(parents=True)
    whole = below(open_path, all_of(open_path))
    told = ""
    with no_more_descriptors(spare):
        try:
            events = all_of(open_path)
        except OutOfResources as error:
            events, told = [], str(error)
    if told:
        assert "Too many open files" in told
        assert "ulimit" in told
        assert spare < 11
    else:
        assert spare > 0
        assert problems(events) == []
        assert below(open_path, events) == whole


@pytest.mark.fault(6)
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_shortage_is_no_problem_of_the_source(number: int) -> None:
    with pytest.raises(OutOfResources, match=os.strerror(number)):
        Problem.of(b"/file", "open", OSError(number, os.strerror(number)))


@pytest.mark.fault(6)
@pytest.mark.parametrize("way", ["by the child", "from the root"])
def test_a_way_back_for_which_there_are_no_descriptors_is_not_a_lost_one(
    open_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A far ancestor is opened again on the way back: what fails then is not the ancestor."""
    for number in range(MAX_OPEN + 2):
        (open_path / "/".join(f"c{depth}" for depth in range(number + 1))).mkdir()
    (open_path / "z").mkdir()
    real = os.open

    def short(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if armed and path == b".." and way == "from the root":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if armed and path in {b"..", b"c0"}:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, mode, dir_fd=dir_fd)

    armed = False
    monkeypatch.setattr(os, "open", short)
    with walk_over(open_path) as walk:
        events = iter(walk)
        next(event for event in events if isinstance(event, Leave))
        armed = True
        with pytest.raises(OutOfResources):
            list(events)


@pytest.mark.fault(6)
def test_a_mark_that_cannot_be_looked_at_for_lack_of_descriptors(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (open_path / "CACHEDIR.TAG").write_text(CACHE_SIGNATURE)
    real = os.open

    def short(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == b"CACHEDIR.TAG":
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", short)
    with pytest.raises(OutOfResources):
        all_of(open_path, rules=ExcludeRules(caches=True))
