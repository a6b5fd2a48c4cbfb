"""What holdfast writes, the independent reader reads: F30 to F38 of docs/format.md."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.compat import reader
from tests.compat.making import (
    as_record,
    assert_both_read,
    commit,
    entry,
    finish,
    new_repository,
    new_store,
    noise,
    opened,
    page,
    reopened,
    save,
    told_by_holdfast,
    told_by_reader,
    walk,
)

from holdfast.model.content import ContentBuilder
from holdfast.model.node import Node, NodeType
from holdfast.model.tree import load_directory, save_directory
from holdfast.primitives import hashing
from holdfast.primitives.ids import BlobId
from holdfast.store import Writer
from holdfast.testing.layouts import directory_node, node

NOBODY = 65534
FAR = 1 << 100
"""Nanoseconds: file systems do give such times."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with what there is in a file system, but devices."""
    source = tmp_path / "source"
    (source / "empty directory").mkdir(parents=True)
    (source / "empty").write_bytes(b"")
    (source / "small").write_bytes(b"some bytes")
    (source / "small too").hardlink_to(source / "small")
    (source / "large").write_bytes(noise(5 << 20) + bytes(3 << 20))
    (source / "not text \udcfe\udcff").write_bytes(b"1")
    (source / "link").symlink_to("no such target \udcff")
    os.mkfifo(source / "fifo")
    with (source / "sparse").open("wb") as file:
        file.write(noise(100_000))
        file.seek(9 << 20)
        file.write(b"the end")
        file.truncate(20 << 20)
    with (source / "hole").open("wb") as file:
        file.truncate(1 << 20)
    os.utime(source / "small", ns=(0, -1_500_000_000_123_456_789))
    here = os.open(source, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{here}/socket")  # the path itself may be too long for one
    os.close(here)
    return source


@pytest.mark.format("F5", "F30", "F31", "F32", "F33", "F40")
def test_a_backup_of_every_kind_of_entry(source: Path, tmp_path: Path) -> None:
    new_repository(tmp_path / "repo").backup(source)
    (told,) = assert_both_read(tmp_path / "repo").values()
    root = bytes(source)[1:]
    found = {path[len(root) + 1 :]: told[path] for path in told if path.startswith(root + b"/")}
    # On the way from `/` there is only the way.
    assert told.keys() - {root + b"/" + name for name in found} == {
        bytes(folder)[1:] for folder in (source, *source.parents[:-1])
    }
    assert set(found) == {bytes(path)[len(root) + 2 :] for path in source.iterdir()}
    for name, (record, content) in found.items():
        path = source / os.fsdecode(name)
        status = path.lstat()
        if record["type"] == NodeType.FILE:
            assert content == path.read_bytes()
            assert record["size"] == len(content)
        assert [record[field] for field in ("mode", "mtime", "ctime", "inode", "uid", "gid")] == [
            stat.S_IMODE(status.st_mode),
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            status.st_uid,
            status.st_gid,
        ]
    assert found[b"link"][0]["payload"] == b"no such target \xff"
    assert found[b"empty"][0]["payload"] is None
    assert found[b"hole"][0]["payload"] == [0, [1 << 20]]
    assert isinstance(found[b"large"][0]["payload"], list)


def all_nodes(writer: Writer) -> list[Node]:
    """One of each kind, with values that no test machine need have."""
    blob = save(writer, b"content")
    other = save(writer, b"other")
    items = (0, ((blob, 7), 1 << 20, (other, 5), (blob, 7), 3))
    return [
        node(b"file", NodeType.FILE, blob, 7),
        node(b"empty", NodeType.FILE, None),
        node(b"holes", NodeType.FILE, items, (1 << 20) + 22),
        node(b"link", NodeType.SYMLINK, b"\xff/..", 4),
        node(b"fifo", NodeType.FIFO, None),
        node(b"socket", NodeType.SOCKET, None),
        node(b"tty", NodeType.CHARACTER_DEVICE, os.makedev(4, 64)),
        node(b"disk", NodeType.BLOCK_DEVICE, (1 << 64) - 1),
        node(b"\x01\xff" * 2048, NodeType.FILE, None),
        directory_node(b"directory", save_directory([], writer)),
        node(b"early", NodeType.FILE, None)._replace(mtime=-(1 << 63), ctime=-FAR),
        node(b"late", NodeType.FILE, None)._replace(mtime=(1 << 64) - 1, ctime=1 << 64),
        node(b"most", NodeType.FILE, None)._replace(
            mode=0o7777,
            uid=(1 << 32) - 1,
            gid=(1 << 32) - 1,
            inode=(1 << 64) - 1,
            filesystem=(1 << 32) - 1,
            user=None,
            group="größe",
            xattrs=((b"\xff", b""), (b"\xff\x01", b"value\0")),
            extra={"changed": True, "later": (1.5, {"a": None}), "incomplete": True},
        ),
    ]


@pytest.mark.format("F30", "F31", "F32", "F33", "F35", "F36", "F37")
def test_every_kind_of_node(tmp_path: Path) -> None:
    nodes: list[Node] = []

    def make(writer: Writer) -> BlobId:
        nodes.extend(all_nodes(writer))
        return save_directory(nodes, writer)

    commit(new_store(tmp_path), make)
    (told,) = assert_both_read(tmp_path).values()
    assert {name: found for name, (found, _) in told.items()} == {
        each.name: as_record(each) for each in nodes
    }
    assert told[b"holes"][1] == b"content" + bytes(1 << 20) + b"othercontent\0\0\0"


@pytest.mark.format("F33")
def test_only_files_have_content(tmp_path: Path) -> None:
    commit(new_store(tmp_path), lambda writer: save_directory(all_nodes(writer), writer))
    repository = opened(tmp_path)
    (told,) = told_by_reader(tmp_path).values()
    others = [found for found, _ in told.values() if found["type"] != NodeType.FILE]
    assert len(others) == 6
    for found in others:
        with pytest.raises(reader.RefusedError, match="only a file"):
            list(repository.content(found))


@pytest.mark.format("F35")
def test_times_beyond_64_bits_are_bytes_on_the_wire(tmp_path: Path) -> None:
    times = [-FAR, -(1 << 63) - 1, -(1 << 63), -1, (1 << 64) - 1, 1 << 64, (1 << 127) - 1]
    nodes = [
        node(b"%d" % at, NodeType.FILE, None)._replace(mtime=time) for at, time in enumerate(times)
    ]
    id_ = commit(new_store(tmp_path), lambda writer: save_directory(nodes, writer))
    (told,) = assert_both_read(tmp_path).values()
    assert [found["mtime"] for found, _ in told.values()] == times
    repository = opened(tmp_path)
    tree = repository.snapshots()[id_]["tree"]
    assert isinstance(tree, bytes)
    _, rows = reader.row(reader.unpack(repository.blob(tree, reader.TREES)), 2)
    wire = [reader.row(row, 15)[7] for row in reader.want(rows, list)]
    assert wire == [
        time if -(1 << 63) <= time < 1 << 64 else time.to_bytes(16, "big", signed=True)
        for time in times
    ]


@pytest.mark.format("F30", "F38")
def test_a_large_directory_has_pages(tmp_path: Path) -> None:
    files = [node(b"%06d" % number, NodeType.FILE, None) for number in range(30_000)]
    id_ = commit(new_store(tmp_path), lambda writer: save_directory(files, writer))
    assert len(told_by_holdfast(tmp_path)[id_]) == 30_000
    repository = opened(tmp_path)
    tree = repository.snapshots()[id_]["tree"]
    assert [found["name"] for _, found in walk(repository, tree)] == [file.name for file in files]
    starts = page_starts(repository, tree)
    assert len(starts) > 10
    key = reader.derive(reopened(tmp_path).keys.dedup, "tree pages")
    expected = [0]
    for number, file in enumerate(files):
        bits = int.from_bytes(hashing.keyed(key, file.name)[:8], "little")
        if number and (bits & 0x3FF == 0 or number - expected[-1] == 4096):
            expected.append(number)
    assert list(starts.values()) == expected


def page_starts(repository: reader.Repository, tree: reader.Value) -> dict[bytes, int]:
    """The first name of every page of a directory with one inner page, and its number in it."""
    assert isinstance(tree, bytes)
    level, rows = reader.row(reader.unpack(repository.blob(tree, reader.TREES)), 2)
    assert level == 1
    starts: dict[bytes, int] = {}
    number = 0
    for row in reader.want(rows, list):
        first, _, count = reader.row(row, 3)
        starts[reader.want(first, bytes)] = number
        number += reader.want(count, int)
    return starts


@pytest.mark.format("F38")
def test_equal_trees_have_equal_ids_and_a_change_costs_few_pages(
    tmp_path: Path,
) -> None:
    files = [node(b"%05d" % number, NodeType.FILE, None) for number in range(20_000)]
    store = new_store(tmp_path)
    with store.writer({}) as writer:
        first = save_directory(files, writer)
        stored = writer.blobs
        assert save_directory(files[::-1], writer) == first
        assert writer.blobs == stored > 10
        assert save_directory(files[:9999] + files[10_000:], writer) != first
        assert writer.blobs <= stored + 3


def content_of_many(writer: Writer, count: int) -> tuple[int, object]:
    """A file of so many blobs, a few of them holes."""
    builder = ContentBuilder(writer)
    for number in range(count):
        data = b"%d" % (number % 300)
        builder.add_blob(save(writer, data), len(data))
        if number % 700 == 0:
            builder.add_zeros(number + 1)
    return builder.finish()


@pytest.mark.format("F31", "F38")
@pytest.mark.parametrize(("count", "level"), [(0, 0), (1022, 0), (1023, 1), (20_000, 1)])
def test_a_file_of_many_blobs_has_lists(tmp_path: Path, count: int, level: int) -> None:
    expected = b"".join(
        b"%d" % (number % 300) + (bytes(number + 1) if number % 700 == 0 else b"")
        for number in range(count)
    )

    def make(writer: Writer) -> BlobId:
        size, content = content_of_many(writer, count)
        return page(writer, 0, [entry(b"file", 1, content, size)])

    commit(new_store(tmp_path), make)
    ((_, (found, content)),) = assert_both_read(tmp_path).popitem()[1].items()
    assert content == expected
    if count:
        assert reader.row(found["payload"], 2)[0] == level
    repository = opened(tmp_path)
    if level:
        lists = [
            reader.want(reader.unpack(repository.blob(reader.want(blob, bytes), 2)), list)
            for blob, _ in (
                reader.row(item, 2)
                for item in reader.want(reader.row(found["payload"], 2)[1], list)
            )
        ]
        check_cuts(lists)


def check_cuts(lists: list[list[reader.Value]]) -> None:
    for items in lists:
        for at, item in enumerate(items[:-1], 1):
            assert not ends_list(item, at)
    for items in lists[:-1]:
        assert ends_list(items[-1], len(items))


def ends_list(item: reader.Value, count: int) -> bool:
    """Whether a list ends after that item, the count of the list's items so far included."""
    if count == 4096 or isinstance(item, int):
        return count == 4096
    blob, _ = reader.row(item, 2)
    return count >= 256 and not int.from_bytes(reader.want(blob, bytes)[:4], "little") & 0x3FF


@pytest.mark.format("F36")
def test_hard_links_are_entries_of_one_inode_and_file_system(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one").write_bytes(b"1")
    os.link(tmp_path / "a/one", tmp_path / "two")
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "fifo", tmp_path / "a/fifo")
    (tmp_path / "alone").write_bytes(b"2")
    new_repository(tmp_path / "repo").backup([tmp_path / n for n in ("a", "two", "fifo", "alone")])
    (told,) = assert_both_read(tmp_path / "repo").values()
    groups: dict[object, set[bytes]] = {}
    for path, (found, _) in told.items():
        if found["filesystem"] is not None:
            key = (found["filesystem"], found["inode"])
            groups.setdefault(key, set()).add(path.removeprefix(os.fsencode(tmp_path)[1:] + b"/"))
    assert sorted(map(sorted, groups.values())) == [[b"a/fifo", b"fifo"], [b"a/one", b"two"]]


@pytest.mark.format("F37")
def test_a_file_that_changed_while_it_was_read_says_so(tmp_path: Path) -> None:
    # Attributes of the kernel claim a page and give fewer bytes, so they seem to shrink.
    attribute = Path("/sys/kernel/uevent_seqnum")
    if not attribute.exists() or attribute.stat().st_size == len(attribute.read_bytes()):
        pytest.skip("needs a file that is shorter than it says")
    new_repository(tmp_path).backup(attribute)
    (told,) = assert_both_read(tmp_path).values()
    found, content = told[b"sys/kernel/uevent_seqnum"]
    assert found["extra"] == {"changed": True}
    assert found["size"] == len(content) > 0


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that everyone can reach."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@contextmanager
def unprivileged(repository: Path) -> Iterator[None]:
    """Without the powers of root, if we have them; the repository is given to whoever we are."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(repository, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.format("F37")
def test_a_directory_that_could_not_be_listed_says_so(open_path: Path) -> None:
    locked = open_path / "source/locked"
    locked.mkdir(parents=True)
    (locked / "file").write_bytes(b"1")
    locked.chmod(0)
    (open_path / "repo").mkdir()
    with unprivileged(open_path / "repo"):
        result = new_repository(open_path / "repo").backup(open_path / "source")
    locked.chmod(0o755)
    assert {error.path for error in result.errors} == {str(locked)}
    (told,) = assert_both_read(open_path / "repo").values()
    assert told[bytes(locked)[1:]][0]["extra"] == {"incomplete": True}
    assert bytes(locked / "file")[1:] not in told


@pytest.mark.format("F37")
def test_unknown_fields_of_extra_are_kept(tmp_path: Path) -> None:
    extra: dict[str, object] = {"changed": True, "later": {"and": (b"more", 1.5)}}
    kept = node(b"file", NodeType.FILE, None)._replace(extra=extra)
    store = new_store(tmp_path)
    with store.writer({}) as writer:
        tree = save_directory([kept], writer)
        finish(writer, tree)
    with store.loader() as loader, store.writer({}) as writer:
        assert save_directory(list(load_directory(tree, loader)), writer) == tree
