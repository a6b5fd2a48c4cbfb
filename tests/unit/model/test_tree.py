from __future__ import annotations

import pytest

from holdfast.errors import DamagedRepository
from holdfast.model.node import Node, NodeType
from holdfast.model.tree import (
    MAX_ENTRIES,
    MAX_PAGE,
    find_entry,
    load_directory,
    save_directory,
)
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import ForgedBlobs, MemoryBlobs
from holdfast.testing.layouts import directory_node, file_node, link_node, node

ID = BlobId(bytes(range(32)))


def files(count: int, step: int = 1) -> list[Node]:
    return [
        node(b"%07d" % number, NodeType.FILE, ID, number + 1) for number in range(0, count, step)
    ]


def one_of_each() -> list[Node]:
    return [
        node(b"block", NodeType.BLOCK_DEVICE, 0x801),
        node(b"char", NodeType.CHARACTER_DEVICE, 0),
        directory_node(b"dir", ID),
        node(b"empty", NodeType.FILE, None),
        node(b"fifo", NodeType.FIFO, None),
        node(b"file", NodeType.FILE, ID, 5),
        link_node(b"link", b"../\xff target"),
        link_node(b"link of 32", b"x" * 32),
        node(b"long", NodeType.FILE, (0, (7, (ID, 5), 1 << 40)), 12 + (1 << 40)),
        node(b"socket", NodeType.SOCKET, None),
        node(b"\xff\xfe\n", NodeType.FILE, ID, 1),
    ]


def test_every_type_comes_back() -> None:
    blobs = MemoryBlobs()
    nodes = one_of_each()
    tree = save_directory(list(reversed(nodes)), blobs)
    assert list(load_directory(tree, blobs)) == nodes


def test_the_numbers_of_the_types() -> None:
    assert {kind.name: int(kind) for kind in NodeType} == {
        "FILE": 1,
        "DIRECTORY": 2,
        "SYMLINK": 3,
        "FIFO": 4,
        "SOCKET": 5,
        "CHARACTER_DEVICE": 6,
        "BLOCK_DEVICE": 7,
    }


def test_the_wire_form() -> None:
    blobs = MemoryBlobs()
    [entry] = [node(b"name", NodeType.FILE, ID, 5)._replace(xattrs=((b"user.a", b"1"),))]
    tree = save_directory([entry], blobs)
    assert codec.unpack(blobs.blobs[tree]) == (0, (tuple(entry),))
    assert len(entry) == 15


@pytest.mark.parametrize(
    "time",
    [0, -1, -(1 << 63), (1 << 64) - 1, 1 << 64, -(1 << 63) - 1, (1 << 127) - 1, -(1 << 127)],
)
def test_any_time_comes_back(time: int) -> None:
    blobs = MemoryBlobs()
    nodes = [file_node(blobs, b"a", b"1"), file_node(blobs, b"b", b"2")._replace(mtime=time)]
    nodes.append(file_node(blobs, b"c", b"3")._replace(ctime=time))
    assert list(load_directory(save_directory(nodes, blobs), blobs)) == nodes


def test_a_time_beyond_128_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="128 bits"):
        save_directory([node(b"a", NodeType.FIFO, None)._replace(mtime=1 << 127)], MemoryBlobs())


def test_unknown_extra_fields_are_kept() -> None:
    blobs = MemoryBlobs()
    entry = node(b"a", NodeType.FILE, ID, 5)._replace(
        extra={"birth": 5, "streams": ({"x": b"1"},)}, filesystem=3
    )
    [read] = load_directory(save_directory([entry], blobs), blobs)
    assert read == entry


def test_an_empty_directory() -> None:
    blobs = MemoryBlobs()
    tree = save_directory([], blobs)
    assert list(load_directory(tree, blobs)) == []
    assert find_entry(tree, b"a", blobs) is None


@pytest.mark.parametrize("count", [MAX_ENTRIES, MAX_ENTRIES + 1, 30_000])
def test_large_directories(count: int) -> None:
    blobs = MemoryBlobs()
    nodes = files(count)
    tree = save_directory(nodes, blobs)
    assert (len(blobs.blobs) == 1) == (count <= MAX_ENTRIES)
    assert list(load_directory(tree, blobs)) == nodes
    blobs.loaded.clear()
    assert find_entry(tree, nodes[-2].name, blobs) == nodes[-2]
    assert len(blobs.loaded) <= 2
    for name in (b"", b"9", nodes[5].name + b"x"):
        assert find_entry(tree, name, blobs) is None


def test_pages_are_announced_and_told() -> None:
    blobs = MemoryBlobs()
    tree = save_directory(files(20_000), blobs)
    told: list[BlobId] = []
    assert sum(1 for _ in load_directory(tree, blobs, on_page=told.append)) == 20_000
    assert told == blobs.loaded
    assert set(told) == set(blobs.blobs)
    assert set(blobs.hinted) <= set(told)
    assert len(set(blobs.hinted)) == len(told) - 2


@pytest.mark.fault(40)
def test_one_more_entry_changes_few_pages() -> None:
    blobs = MemoryBlobs()
    nodes = files(100_000)
    save_directory(nodes, blobs)
    before = len(blobs.blobs)
    assert before > 50
    save_directory([*nodes, node(b"0050000-new", NodeType.FIFO, None)], blobs)
    assert len(blobs.blobs) - before <= 4


def test_several_levels_of_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.model.tree.MAX_ENTRIES", 3)
    monkeypatch.setattr("holdfast.model.tree._CUT_BITS", 1)
    monkeypatch.setattr("holdfast.model.tree.MAX_LEVEL", 20)
    blobs = MemoryBlobs()
    nodes = files(150)
    tree = save_directory(nodes, blobs)
    assert codec.unpack(blobs.blobs[tree])[0] > 3  # type: ignore[index]
    assert list(load_directory(tree, blobs)) == nodes
    for index, entry in enumerate(nodes):
        assert find_entry(tree, entry.name, blobs) == entry
        assert list(load_directory(tree, blobs, after=entry.name)) == nodes[index + 1 :]


def test_long_entries_make_more_pages() -> None:
    blobs = MemoryBlobs()
    big = ((b"user.big", bytes(60_000)),)
    nodes = [entry._replace(xattrs=big) for entry in files(200)]
    tree = save_directory(nodes, blobs)
    assert max(map(len, blobs.blobs.values())) <= MAX_PAGE
    assert len(blobs.blobs) == 4
    assert list(load_directory(tree, blobs)) == nodes


def test_an_entry_that_no_page_can_hold() -> None:
    entry = node(b"a", NodeType.FIFO, None)._replace(xattrs=((b"user.big", bytes(MAX_PAGE)),))
    with pytest.raises(ValueError, match="more than a page"):
        save_directory([entry], MemoryBlobs())


def with_size(name: bytes, size: int) -> Node:
    """An entry that takes so many bytes."""
    entry = node(name, NodeType.FIFO, None)._replace(xattrs=((b"user.big", bytes(70_000)),))
    rest = size - len(codec.pack(entry))
    return entry._replace(xattrs=((b"user.big", bytes(70_000 + rest)),))


def test_the_largest_entry_beside_another() -> None:
    """A page has 16 bytes for what is around its entries."""
    other = node(b"b", NodeType.FIFO, None)
    blobs = MemoryBlobs()
    entry = with_size(b"a", MAX_PAGE - 16)
    assert list(load_directory(save_directory([entry, other], blobs), blobs)) == [entry, other]
    with pytest.raises(ValueError, match="more than a page"):
        save_directory([with_size(b"a", MAX_PAGE - 15), other], blobs)


@pytest.mark.parametrize(("over", "entries"), [(0, [2, 1]), (1, [1, 2])])
def test_a_page_that_is_full_to_the_last_byte(over: int, entries: list[int]) -> None:
    blobs = MemoryBlobs()
    half = (MAX_PAGE - 16) // 2
    nodes = [with_size(b"a", half), with_size(b"b", MAX_PAGE - 16 - half + over)]
    nodes.append(node(b"c", NodeType.FIFO, None))
    tree = save_directory(nodes, blobs)
    match codec.unpack(blobs.blobs[tree]):
        case (1, ((b"a", bytes(), first), (bytes(), bytes(), second))):
            assert [first, second] == entries
        case other:
            pytest.fail(f"no inner node of two pages: {other}")
    assert list(load_directory(tree, blobs)) == nodes


def test_reading_from_a_name_on() -> None:
    blobs = MemoryBlobs()
    nodes = files(10_000)
    tree = save_directory(nodes, blobs)
    blobs.loaded.clear()
    assert list(load_directory(tree, blobs, after=b"0009990x")) == nodes[9991:]
    assert len(blobs.loaded) == 2
    assert list(load_directory(tree, blobs, after=b"x")) == []


def test_a_lost_page_costs_only_its_entries() -> None:
    blobs = MemoryBlobs()
    nodes = files(10_000)
    tree = save_directory(nodes, blobs)
    told: list[BlobId] = []
    list(load_directory(tree, blobs, on_page=told.append))
    del blobs.blobs[told[2]]
    with pytest.raises(DamagedRepository, match="missing"):
        list(load_directory(tree, blobs))
    errors: list[DamagedRepository] = []
    rest = list(load_directory(tree, blobs, on_damage=errors.append))
    assert [error.object for error in errors] == [f"blob {told[2].hex()}"]
    assert 0 < len(nodes) - len(rest) <= MAX_ENTRIES
    assert set(rest) < set(nodes)


GOOD = node(b"m", NodeType.FILE, ID, 5)


def replaced(**fields: object) -> Node:
    return GOOD._replace(**fields)  # type: ignore[arg-type] # what a forger would write


MALFORMED: list[Node] = [
    replaced(name=b""),
    replaced(name=b"."),
    replaced(name=b".."),
    replaced(name=b"a/b"),
    replaced(name=b"/"),
    replaced(name=b"a\0"),
    replaced(name=b"a" * 4097),
    replaced(name="text"),
    replaced(type=0),
    replaced(type=8),
    replaced(type=True),
    replaced(mode=-1),
    replaced(mode=0o10000),
    replaced(uid=-1),
    replaced(gid=1 << 32),
    replaced(uid=None),
    replaced(user=b"raw"),
    replaced(group=5),
    replaced(mtime=None),
    replaced(mtime=1.5),
    replaced(inode=-1),
    replaced(size=-5),
    replaced(size=1 << 63),
    replaced(size=0),
    replaced(payload=None),
    replaced(payload=b"short"),
    replaced(payload=5),
    replaced(payload=(0, ())),
    replaced(filesystem=-1),
    replaced(filesystem="x"),
    replaced(xattrs=None),
    replaced(xattrs=(5,)),
    replaced(xattrs=((b"a",),)),
    replaced(xattrs=((b"a", "text"),)),
    replaced(xattrs=((b"", b""),)),
    replaced(xattrs=((b"a\0", b""),)),
    replaced(xattrs=((b"b", b""), (b"a", b""))),
    replaced(xattrs=((b"a", b""), (b"a", b""))),
    replaced(extra=5),
    replaced(extra=()),
    replaced(type=NodeType.DIRECTORY, size=0, payload=None),
    replaced(type=NodeType.DIRECTORY, size=5),
    replaced(type=NodeType.DIRECTORY, size=0, payload=b"short"),
    replaced(type=NodeType.SYMLINK, size=0, payload=b""),
    replaced(type=NodeType.SYMLINK, size=3, payload=b"a\0b"),
    replaced(type=NodeType.SYMLINK, size=5, payload=b"four"),
    replaced(type=NodeType.SYMLINK, size=0, payload=None),
    replaced(type=NodeType.FIFO, size=0),
    replaced(type=NodeType.FIFO, size=1, payload=None),
    replaced(type=NodeType.SOCKET, size=0, payload=5),
    replaced(type=NodeType.BLOCK_DEVICE, size=0, payload=-1),
    replaced(type=NodeType.BLOCK_DEVICE, size=0, payload=None),
    replaced(type=NodeType.CHARACTER_DEVICE, size=1, payload=5),
]


@pytest.mark.parametrize("entry", MALFORMED)
def test_malformed_entries_are_neither_written_nor_read(entry: Node) -> None:
    with pytest.raises(ValueError, match=r"^(an? |items|extended attributes)"):
        save_directory([entry], MemoryBlobs())
    blobs = MemoryBlobs()
    tree = blobs.add(codec.pack([0, [entry]]))
    with pytest.raises(DamagedRepository) as caught:
        list(load_directory(tree, blobs))
    assert caught.value.object == f"tree {tree.hex()}"
    with pytest.raises(DamagedRepository):
        find_entry(tree, b"a", blobs)


@pytest.mark.parametrize("entry", [entry for entry in MALFORMED if entry.mtime == GOOD.mtime])
def test_a_time_beyond_64_bits_hides_nothing_else(entry: Node) -> None:
    wide = (1 << 64).to_bytes(16, "big", signed=True)
    blobs = MemoryBlobs()
    tree = blobs.add(codec.pack([0, [replaced(name=b"a", mtime=wide)]]))
    assert [read.mtime for read in load_directory(tree, blobs)] == [1 << 64]
    tree = blobs.add(codec.pack([0, [(*entry[:7], wide, *entry[8:])]]))
    with pytest.raises(DamagedRepository):
        list(load_directory(tree, blobs))


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("mode", 0o7777),
        ("uid", (1 << 32) - 1),
        ("gid", (1 << 32) - 1),
        ("inode", (1 << 64) - 1),
        ("filesystem", (1 << 32) - 1),
    ],
)
def test_the_least_and_the_most_that_a_field_takes(field: str, most: int) -> None:
    blobs = MemoryBlobs()
    for number in (0, most):
        entry = replaced(**{field: number})
        assert list(load_directory(save_directory([entry], blobs), blobs)) == [entry]
    least: dict[str, object] = dict.fromkeys(("mode", "uid", "gid", "inode"), 0)
    for number in (-1, most + 1):
        with pytest.raises(ValueError, match=f"entry's {field} is out of range"):
            save_directory([replaced(**{field: number})], blobs)
        with pytest.raises(ValueError, match=f"entry's {field} is out of range"):
            save_directory([replaced(**(least | {field: number}))], blobs)


def test_the_largest_file() -> None:
    blobs = MemoryBlobs()
    entry = replaced(size=(1 << 63) - 1)
    assert list(load_directory(save_directory([entry], blobs), blobs)) == [entry]
    for size in (-1, 1 << 63):
        with pytest.raises(ValueError, match="entry's size is out of range"):
            save_directory([replaced(inode=0, size=size)], blobs)


@pytest.mark.parametrize("number", [0, 1, (1 << 64) - 1])
def test_any_device_comes_back(number: int) -> None:
    blobs = MemoryBlobs()
    entry = node(b"a", NodeType.BLOCK_DEVICE, number)
    assert list(load_directory(save_directory([entry], blobs), blobs)) == [entry]


def test_the_number_of_a_device_has_64_bits() -> None:
    with pytest.raises(ValueError, match="payload"):
        save_directory([node(b"a", NodeType.BLOCK_DEVICE, 1 << 64)], MemoryBlobs())


def test_a_name_must_not_occur_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        save_directory([GOOD, GOOD], MemoryBlobs())


@pytest.mark.parametrize("names", [(b"", b"a"), (b"a", b"b/c"), (b"..", b"a"), (b".", b"a\0")])
def test_one_name_that_none_may_have(names: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match=r"^a name "):
        save_directory([replaced(name=name) for name in names], MemoryBlobs())


@pytest.mark.parametrize("names", [(b"a", b"a"), (b"b", b"a"), (b"a", b"c", b"b")])
def test_names_must_be_in_order(names: tuple[bytes, ...]) -> None:
    blobs = MemoryBlobs()
    tree = blobs.add(codec.pack([0, [replaced(name=name) for name in names]]))
    with pytest.raises(DamagedRepository, match="ascending"):
        list(load_directory(tree, blobs))


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


PAGES: list[object] = [
    None,
    5,
    [],
    [0],
    [0, None],
    [0, {}],
    [None, []],
    [False, []],
    [-1, []],
    [6, [[b"a", ID, 1]]],
    [1, []],
    [1, [[b"a", ID]]],
    [1, [[b"a", b"id", 1]]],
    [1, [["a", ID, 1]]],
    [1, [[b"a", ID, 0]]],
    [1, [[b"a", ID, -1]]],
    [1, [[b"a", ID, True]]],
    [1, [[b"b", ID, 1], [b"a", ID, 1]]],
    [1, [[b"a", ID, 1], [b"a", ID, 1]]],
    [1, [None]],
    [0, [None]],
    [0, [GOOD[:14]]],
    [0, [(*GOOD, None)]],
    [0, [GOOD, None]],
    [0, [replaced(mtime=bytes(16))]],
    [0, [replaced(mtime=bytes(15))]],
    [0, [replaced(ctime=b"\x01" + bytes(16))]],
    [0, [replaced(payload=nested(100))]],
    [0, [replaced(extra={"deep": nested(40)})]],
    [0, [None] * (MAX_ENTRIES + 1)],
    nested(500),
]


@pytest.mark.parametrize("page", PAGES)
def test_malformed_pages_are_refused(page: object) -> None:
    blobs = MemoryBlobs()
    tree = blobs.add(codec.pack(page))
    with pytest.raises(DamagedRepository) as caught:
        list(load_directory(tree, blobs))
    assert caught.value.object == f"tree {tree.hex()}"


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x92\0", bytes(MAX_PAGE + 1), b"\xdf\xff\xff\xff", b"\x91" * 9999]
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    blobs = MemoryBlobs()
    tree = blobs.add(data)
    with pytest.raises(DamagedRepository) as caught:
        list(load_directory(tree, blobs))
    assert caught.value.object == f"tree {tree.hex()}"


@pytest.mark.parametrize(
    "child",
    [
        [b"0000000", 9],
        [b"0000000", 11],
        [b"000000", 10],
        [b"0000001", 10],
    ],
)
def test_a_page_must_be_what_its_parent_says(child: list[object]) -> None:
    blobs = MemoryBlobs()
    leaf = save_directory(files(10), blobs)
    tree = blobs.add(codec.pack([1, [[child[0], leaf, child[1]]]]))
    with pytest.raises(DamagedRepository) as caught:
        list(load_directory(tree, blobs))
    assert caught.value.object == f"tree {leaf.hex()}"


def test_pages_must_not_overlap() -> None:
    blobs = MemoryBlobs()
    leaf = save_directory(files(10), blobs)
    more = save_directory(files(20)[5:], blobs)
    rows = [[b"0000000", leaf, 10], [b"0000005", more, 15]]
    tree = blobs.add(codec.pack([1, rows]))
    with pytest.raises(DamagedRepository, match="does not cover"):
        list(load_directory(tree, blobs))
    deeper = blobs.add(codec.pack([2, [[b"0000000", leaf, 10]]]))
    with pytest.raises(DamagedRepository, match="level"):
        list(load_directory(deeper, blobs))


def test_an_inner_node_that_names_itself_ends() -> None:
    cycle = ForgedBlobs(lambda blob: codec.pack([3, [[b"a", blob, 1]]]))
    with pytest.raises(DamagedRepository, match="level"):
        list(load_directory(ID, cycle))


def test_an_empty_leaf_below_an_inner_node_is_refused() -> None:
    blobs = MemoryBlobs()
    leaf = save_directory([], blobs)
    tree = blobs.add(codec.pack([1, [[b"a", leaf, 1]]]))
    with pytest.raises(DamagedRepository):
        list(load_directory(tree, blobs))


def test_user_names_that_are_no_text_are_escaped() -> None:
    blobs = MemoryBlobs()
    tree = save_directory([replaced(user="a\udcff")], blobs)
    assert next(load_directory(tree, blobs)).user == "a\\udcff"
