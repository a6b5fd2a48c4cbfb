"""Repositories forged by somebody who has the key: every verb ends soon, with an error of ours.

What is sealed properly is believed no more than what it says can be checked: a size is compared
with a limit before memory is taken, an id with the content, a tree with the rules of trees.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import pytest
import zstandard
from tests.compat.making import KDF, PASSWORD
from tests.faults.hostile import MIB, VERBS, Forge, chain, judge, opened, raw, row

import holdfast
from holdfast.model import descent
from holdfast.model.snapshot import encode_snapshot
from holdfast.primitives import codec
from holdfast.primitives.crypto import TAG_SIZE, Domain
from holdfast.primitives.ids import BlobId, random_name
from holdfast.store import Writer
from holdfast.store.config import decode_plain
from holdfast.store.envelope import ObjectType, bound_to, new_sealer, open_object, seal_object
from holdfast.store.index import PLACE_ROW, SEGMENT_ROW
from holdfast.store.keys import with_checksum, without_checksum
from holdfast.store.pack import (
    SEGMENT_LIMIT,
    Codec,
    Kind,
    PackInfo,
    Payload,
    Placed,
    Segment,
)
from holdfast.store.slots import seal_slot
from holdfast.testing.layouts import directory_node, snapshot_of

DATA_VERBS = {"read", "tar", "zip", "fs"}
REPORTING = {"restore", "verify", "check all"}
SECONDS = 250
"""For a child; it takes a few, but the machine may be busy with others."""

Case: TypeAlias = Callable[[Forge], str]


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path / "repository")


def judged(forge: Forge, snapshot: str, verbs: Iterable[str] = VERBS) -> dict[str, str]:
    """What the verbs make of a snapshot, in a process with little memory and time."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.faults.hostile", forge.place, forge.sound, snapshot, *verbs],
        cwd=Path(__file__).parents[2],
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    told = json.loads(child.stdout)
    assert told["memory"] < 200 * MIB
    verdicts: dict[str, str] = told["verdicts"]
    return verdicts


# Data that is not what it claims


def frame_stating(size: int) -> bytes:
    """A zstd frame (RFC 8878, 3.1.1) of one empty block that states any content size."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + b"\x01\x00\x00"


def zeros(size: int) -> bytes:
    return zstandard.ZstdCompressor().compress(bytes(size))


def without_size(size: int) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(bytes(size))


def file_of(forge: Forge, payload: Payload, size: int) -> str:
    """A snapshot with the file ``/name``, whose one blob is in that segment."""
    forge.index(forge.pack(Kind.DATA, [payload]))
    return forge.snapshot(forge.page(row(size=size, payload=payload.ids[0])))


def claiming(frame: bytes, raw_length: int) -> Case:
    def make(forge: Forge) -> str:
        blob = forge.id_of(Kind.DATA, bytes(raw_length))
        payload = Payload(frame, Codec.ZSTD, raw_length, [blob], [raw_length])
        return file_of(forge, payload, raw_length)

    return make


def raw_claiming(raw_length: int) -> Case:
    def make(forge: Forge) -> str:
        blob = forge.id_of(Kind.DATA, bytes(5))
        return file_of(forge, Payload(bytes(5), Codec.RAW, raw_length, [blob], [5]), 5)

    return make


def another_blob(forge: Forge) -> str:
    return file_of(forge, raw(b"other", [forge.id_of(Kind.DATA, b"right")]), 5)


DATA_CASES: dict[str, Case] = {
    "a bomb that claims 5 bytes": claiming(zeros(512 * MIB), 5),
    "a bomb that states no size": claiming(without_size(512 * MIB), 5),
    "a frame stating a tebibyte": claiming(frame_stating(1 << 40), 5),
    "a frame stating 2^63 bytes": claiming(frame_stating(1 << 63), 5),
    "a frame of less than it states": claiming(frame_stating(5), 5),
    "a frame of 5 bytes that claims 64 MiB": claiming(zeros(5), SEGMENT_LIMIT),
    "a frame with something behind it": claiming(zeros(5) + zeros(5), 5),
    "no frame": claiming(b"no frame", 5),
    "a skippable frame": claiming(b"\x50\x2a\x4d\x18" + struct.pack("<I", 5) + bytes(5), 5),
    "raw bytes that claim to be more": raw_claiming(6),
    "raw bytes that claim to be 64 MiB": raw_claiming(SEGMENT_LIMIT),
    "raw bytes that claim to be fewer": raw_claiming(5 - 1),
    "an id that is another blob's": another_blob,
}


@pytest.mark.fault(33)
@pytest.mark.parametrize("case", DATA_CASES.values(), ids=DATA_CASES.keys())
def test_data_that_is_not_what_it_claims(case: Case, forge: Forge) -> None:
    told = judged(forge, case(forge))
    assert {verb for verb in VERBS if told[verb] == "DamagedRepository"} == DATA_VERBS
    assert {verb for verb in VERBS if told[verb] == "problems"} >= REPORTING


@pytest.mark.parametrize("size", [4, 6, 1 << 40, 1 << 62])
def test_a_file_that_claims_another_size_than_its_blob(size: int, forge: Forge) -> None:
    snapshot = file_of(forge, raw(b"12345", [forge.id_of(Kind.DATA, b"12345")]), size)
    told = judge(forge.place, forge.sound, snapshot, VERBS)
    assert {verb for verb in VERBS if told[verb] == "DamagedRepository"} == DATA_VERBS
    assert {told["restore"], told["verify"]} == {"problems"}


# Packs and indexes whose numbers make no sense


def relocated(forge: Forge, segment: Segment, place: tuple[int, int, int]) -> str:
    """A snapshot of a file whose blob the index has somewhere else than its pack."""
    blob = forge.id_of(Kind.DATA, b"12345")
    info = forge.pack(Kind.DATA, [raw(b"12345", [blob])])
    lie = PackInfo(info.name, info.header, info.size, [segment], [Placed(blob, *place)])
    forge.index(lie)
    return forge.snapshot(forge.page(row(size=5, payload=blob)))


MOST = (1 << 32) - 1


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("segment", "place"),
    [
        (Segment(100, 21, MOST, 0), (0, 0, 5)),
        (Segment(100, 21, SEGMENT_LIMIT + 1, 1), (0, 0, 5)),
        (Segment(100, MOST, 5, 0), (0, 0, 5)),
        (Segment(MOST, 21, 5, 0), (0, 0, 5)),
        (Segment(100, 0, 5, 0), (0, 0, 5)),
        (Segment(0, 21, 5, 0), (0, 0, 5)),
        (Segment(100, 21, 5, 2), (0, 0, 5)),
        (Segment(100, 21, SEGMENT_LIMIT, 0), (0, 0, 5)),
        (Segment(100, 21, 5, 1), (0, 0, 5)),
        (Segment(101, 21, 5, 0), (0, 0, 5)),
        (Segment(100, 21, 5, 0), (MOST, 0, 5)),
        (Segment(100, 21, 5, 0), (0, MOST, 5)),
        (Segment(100, 21, 5, 0), (0, 0, MOST)),
        (Segment(100, 21, 5, 0), (0, MOST, MOST)),
        (Segment(100, 21, 5, 0), (0, 1, 4)),
    ],
)
def test_an_index_that_lies_about_places(
    segment: Segment, place: tuple[int, int, int], forge: Forge
) -> None:
    told = judge(forge.place, forge.sound, relocated(forge, segment, place), VERBS)
    assert {told[verb] for verb in DATA_VERBS} == {"DamagedRepository"}
    assert {told[verb] for verb in (*REPORTING, "check full")} == {"problems"}


HEADS: dict[str, bytes] = {
    "10^9 packs": b"\x83\xa5packs\xdd\x3b\x9a\xca\x00",
    "10^9 keys": b"\xdf\x3b\x9a\xca\x00",
    "4 GiB of segments": b"\x83\xa8segments\xc6\xff\xff\xff\xff",
    "10^9 rows": codec.pack({"packs": [], "segments": b"", "pages": [[10**9, bytes(32)]]}),
    "-1 rows": codec.pack({"packs": [], "segments": b"", "pages": [[-1, bytes(32)]]}),
    "rows that are not there": codec.pack(
        {"packs": [], "segments": b"", "pages": [[1 << 16, bytes(32)]] * 1000}
    ),
    "a huge number": codec.pack({"packs": [["0" * 64 + "-" + "0" * 8, bytes(100), 1 << 63]]}),
    "segments of no pack": codec.pack({"packs": [], "segments": bytes(20), "pages": []}),
    "half a segment": codec.pack({"packs": [], "segments": bytes(19), "pages": []}),
    "a key twice": b"\x82\xa5packs\x90\xa5packs\x90",
    "a key that is none": b"\x81\x01\x02",
    "deep": b"\x91" * 100_000 + b"\x90",
    "a million values": b"\x91\xdd" + struct.pack(">I", 1 << 20) + b"\x90" * (1 << 20),
    "NaN": codec.pack({"packs": float("nan"), "segments": b"", "pages": []}),
    "an extension": b"\xc7\xff\x01" + bytes(255),
    "not UTF-8": b"\x81\xa1\xff\x90",
    "nothing": b"",
    "nil": b"\xc0",
    "two": b"\xc0\xc0",
}


def index_of(forge: Forge, head: bytes, pages: Iterable[bytes] = ()) -> str:
    """An index object with any head and pages, properly sealed."""
    name = f"index/{random_name()}"
    header, sealer = new_sealer(ObjectType.INDEX, forge.keys, head)
    length = (len(head) + TAG_SIZE).to_bytes(4, "little")
    context = header + length + bound_to(name, forge.keys)
    parts = [header, length, sealer.seal(Domain.OBJECT, head, context)]
    parts += [sealer.seal(Domain.PAGE, page, context) for page in pages]
    forge.backend.put(name, b"".join(parts))
    return name


def assert_reported(forge: Forge, name: str) -> None:
    """What cannot be used is named by a check and harms nothing else."""
    with opened(forge.place) as repo:
        assert [each.object for each in repo.check(read_data=True).errors] == [name]
        with repo.open_file(forge.sound, "/good") as stream:
            assert stream.read() == b"good"


@pytest.mark.fault(33)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_index_objects_of_nonsense(head: bytes, forge: Forge) -> None:
    assert_reported(forge, index_of(forge, head))


def test_the_largest_index_object(forge: Forge) -> None:
    """A million and a half blobs in one pack that is not there."""
    pages, rows = 22, 1 << 16
    header = forge.pack(Kind.DATA, [raw(b"", [])]).header
    head = codec.pack(
        {
            "packs": [["0" * 64 + "-" + "0" * 8, header, 1000]],
            "segments": SEGMENT_ROW.pack(0, 100, 100, 100, 0),
            "pages": [[rows, bytes(32)]] * pages,
        }
    )
    page = bytes(32 * rows) + PLACE_ROW.pack(0, 0, 100) * rows
    index_of(forge, head, [page] * pages)
    blob = forge.id_of(Kind.DATA, b"nowhere")
    snapshot = forge.snapshot(forge.page(row(size=7, payload=blob)))
    told = judged(forge, snapshot, ["walk", "read", "restore", "backup"])
    assert told == {
        "walk": "nothing",
        "read": "DamagedRepository",
        "restore": "problems",
        "backup": "nothing",
    }


@pytest.mark.fault(33)
def test_a_record_that_swells(forge: Forge) -> None:
    """25 million maps are 25 MB, and 1.6 GB if they are decoded."""
    maps = b"\xdd" + struct.pack(">I", 1 << 20) + b"\x80" * (1 << 20)
    index_of(forge, b"\xdc" + struct.pack(">H", 24) + maps * 24)
    assert judged(forge, forge.sound, ["walk"]) == {"walk": "nothing"}


# Trees


def wide(depth: int) -> bytes:
    """Arrays within arrays, each claiming to be as long as is allowed."""
    return b"\xdc\x3f\xff" * depth


PAGES: dict[str, bytes] = {
    **{
        f"the name {name!r}": codec.pack([0, [row(name)]])
        for name in (b"..", b".", b"", b"a/b", b"/etc/passwd", b"a\0b", b"n" * 4097, "text", None)
    },
    "two of one name": codec.pack([0, [row(b"a"), row(b"a")]]),
    "names in no order": codec.pack([0, [row(b"b"), row(b"a")]]),
    "an unknown type": codec.pack([0, [row(type=8)]]),
    "the type of nothing": codec.pack([0, [row(type=0)]]),
    "a negative size": codec.pack([0, [row(size=-1, payload=bytes(32))]]),
    "a size of 2^63": codec.pack([0, [row(size=1 << 63, payload=bytes(32))]]),
    "a number for a size": codec.pack([0, [row(size=5.0, payload=bytes(32))]]),
    "NaN for a time": codec.pack([0, [row(mtime=float("nan"))]]),
    "a short time": codec.pack([0, [row(mtime=bytes(15))]]),
    "half an id": codec.pack([0, [row(size=1, payload=bytes(31))]]),
    "an id for nothing": codec.pack([0, [row(payload=bytes(32))]]),
    "items of less than the size": codec.pack([0, [row(size=9, payload=[0, [4, 4]])]]),
    "negative zeros": codec.pack([0, [row(size=1, payload=[0, [[bytes(32), 2], -1]])]]),
    "content of level 9": codec.pack([0, [row(size=1, payload=[9, [[bytes(32), 1]]])]]),
    "content of level -1": codec.pack([0, [row(size=1, payload=[-1, [[bytes(32), 1]]])]]),
    "a link to nothing": codec.pack([0, [row(type=3, payload=b"", size=0)]]),
    "a link to NUL": codec.pack([0, [row(type=3, payload=b"\0", size=1)]]),
    "a device that is none": codec.pack([0, [row(type=6, payload=-1)]]),
    "a directory of no tree": codec.pack([0, [row(type=2)]]),
    "a tree that is missing": codec.pack([0, [row(type=2, payload=bytes(32))]]),
    "attributes of nonsense": codec.pack([0, [row(xattrs=[[b"user.a"]])]]),
    "an attribute twice": codec.pack([0, [row(xattrs=[[b"user.a", b""]] * 2)]]),
    "fields that are missing": codec.pack([0, [row()[:-1]]]),
    "too many fields": codec.pack([0, [[*row(), None]]]),
    "entries that are none": codec.pack([0, [None, 1, "x"]]),
    "4097 entries": codec.pack([0, [row(b"%05d" % n) for n in range(4097)]]),
    "4 MiB and more": codec.pack([0, [row(b"%05d" % n + bytes(b"n" * 2000)) for n in range(2048)]]),
    "level 6": codec.pack([6, [[b"a", bytes(32), 1]]]),
    "level -1": codec.pack([-1, [[b"a", bytes(32), 1]]]),
    "level true": codec.pack([True, []]),
    "pages without children": codec.pack([1, []]),
    "10^9 entries below": codec.pack([1, [[b"a", bytes(32), 10**9]]]),
    "-1 entries below": codec.pack([1, [[b"a", bytes(32), -1]]]),
    "10^9 rows": b"\x92\x00\xdd\x3b\x9a\xca\x00",
    "2^26 rows": b"\x92\x00\xdd\x04\x00\x00\x00",
    "a map": codec.pack({"level": 0}),
    "a key twice": codec.pack([0, [row(extra=None)]])[:-1] + b"\x82\xa1x\x00\xa1x\x01",
    "a deep extra": codec.pack([0, [row(extra=None)]])[:-1] + b"\x81\xa1x" + b"\x91" * 40 + b"\x90",
    "100,000 arrays in one another": b"\x91" * 100_000,
    "1000 arrays in one another": b"\x92\x00" + b"\x91" * 1000 + b"\x90",
    "long arrays in one another": wide(1000),
    "a million arrays": b"\xdc\x3f\xff" + (b"\xdc\x00\xff" + b"\x90" * 255) * 16383,
    "an extension": b"\xc7\x01\x05x",
    "nothing": b"",
    "zeros": bytes(1000),
}
TREE_VERBS = {"listdir", "walk", "find", "diff", "stats", "tar", "zip"}


def assert_refused(told: dict[str, str], *, below: bool = False) -> None:
    """Whatever needs a tree says that it is damaged; a backup reads all files anew."""
    for verb in TREE_VERBS - ({"listdir"} if below else set()):
        assert told[verb] == "DamagedRepository", verb
    for verb in ("plan", "restore", "verify", "check", "check all"):
        assert told[verb] == "problems", verb
    assert told["backup"] == "nothing"


@pytest.mark.fault(33)
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_trees_of_nonsense(page: bytes, forge: Forge, tmp_path: Path) -> None:
    told = judge(forge.place, forge.sound, forge.snapshot(forge.tree(page)), VERBS)
    assert_refused(told, below=page == PAGES["a tree that is missing"])
    assert {path.name for path in tmp_path.iterdir()} == {"repository"}


@pytest.mark.parametrize("name", ["2^26 rows", "long arrays in one another", "a million arrays"])
def test_trees_that_swell(name: str, forge: Forge) -> None:
    assert_refused(judged(forge, forge.snapshot(forge.tree(PAGES[name]))))


@pytest.mark.fault(33)
def test_a_tree_that_contains_itself(forge: Forge) -> None:
    """The index gives a tree's id to a page with that very tree; its hash gives it away."""
    poisoned = BlobId(bytes(32))
    page = codec.pack([0, [directory_node(b"again", poisoned)]])
    forge.index(forge.pack(Kind.TREE, [raw(page, [poisoned])]))
    assert_refused(judged(forge, forge.snapshot(poisoned)))


def test_a_data_blob_for_a_tree(forge: Forge) -> None:
    """A file's content that looks like a tree is none: ids of one kind are none of the other."""
    page = codec.pack([0, [row(b"evil")]])
    blob = forge.id_of(Kind.DATA, page)
    forge.index(forge.pack(Kind.DATA, [raw(page, [blob])]))
    tree = forge.id_of(Kind.TREE, page)
    forge.index(forge.pack(Kind.DATA, [raw(page, [tree])]))
    assert_refused(judge(forge.place, forge.sound, forge.snapshot(tree), VERBS))


@pytest.mark.fault(33)
def test_lists_of_content_that_contain_themselves(forge: Forge) -> None:
    poisoned = BlobId(bytes(32))
    listed = codec.pack([[poisoned, 1 << 40]])
    forge.index(forge.pack(Kind.TREE, [raw(listed, [poisoned])]))
    page = forge.page(row(size=1 << 40, payload=[8, [[poisoned, 1 << 40]]]))
    told = judge(forge.place, forge.sound, forge.snapshot(page), VERBS)
    assert {told[verb] for verb in (*DATA_VERBS, "stats")} == {"DamagedRepository"}
    assert {told[verb] for verb in ("restore", "check", "check all")} == {"problems"}


OF_THE_DEPTH = {
    "walk": "DamagedRepository",
    "check": "problems",
    "plan": "problems",
    "listdir": "nothing",
    "find": "DamagedRepository",
    "diff": "DamagedRepository",
    "stats": "DamagedRepository",
    "backup": "nothing",
}
"""What verbs make of directories that are nested too deep."""


@pytest.mark.fault(33)
@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize(
    ("depth", "verbs"),
    [
        (descent.MAX_DEPTH + 1000, list(OF_THE_DEPTH)[:4]),
        pytest.param(100_000, list(OF_THE_DEPTH), marks=pytest.mark.soak),
    ],
    ids=["sampled", "all"],
)
def test_very_many_directories_in_one_another(forge: Forge, depth: int, verbs: list[str]) -> None:
    """No recursion, and no memory for what is above; what is too deep is said to be."""
    assert depth > descent.MAX_DEPTH
    snapshot = forge.saved(lambda writer: chain(writer, depth))
    assert judged(forge, snapshot, verbs) == {verb: OF_THE_DEPTH[verb] for verb in verbs}


def test_a_restore_ends_where_it_is_too_deep(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    """At less than the real limit, since the system is slow to remove what is so deep."""
    monkeypatch.setattr(descent, "MAX_DEPTH", 1500)
    snapshot = forge.saved(lambda writer: chain(writer, 2000))
    told = judge(forge.place, forge.sound, snapshot, ["restore", "plan"])
    assert told == {"restore": "problems", "plan": "problems"}


@pytest.mark.fault(33, 47)
def test_metadata_that_no_system_takes(forge: Forge) -> None:
    def wide_time(time: int) -> bytes:
        return time.to_bytes(16, "big", signed=True)

    snapshot = forge.snapshot(
        forge.page(
            row(b"a", mtime=wide_time(1 << 126), ctime=wide_time(-(1 << 126))),
            row(b"b", type=6, payload=(1 << 64) - 1),
            row(b"c", uid=MOST, gid=MOST, mode=0o7777),
            row(b"d" * 4096),
            row(b"e", xattrs=[[b"user.=\xff%\n", b"\xff"], [b"\xff" * 300, bytes(70_000)]]),
            row(b"f", type=3, payload=b"x" * 100_000, size=100_000),
            row(b"h", user="\x1b[31m\n", group="\x00", extra={"later": [[[]]]}),
            row(b"i", mtime=(1 << 64) - 1),
            row(b"name", inode=(1 << 64) - 1, filesystem=MOST),
        )
    )
    told = judged(forge, snapshot)
    # Some file systems take more than others, and archives less.
    assert told["restore"] == told["verify"] == "problems"
    assert {told[verb] for verb in ("plan", "tar", "zip")} <= {"nothing", "problems"}
    rest = VERBS.keys() - {"restore", "verify", "plan", "tar", "zip"}
    assert {told[verb] for verb in rest} == {"nothing"}


ENDLESS = {"tar", "zip", "restore", "verify"}
"""What takes as long as the files are large."""


@pytest.mark.fault(33, 42)
def test_a_hole_of_8_exbibytes(forge: Forge) -> None:
    size = (1 << 63) - 1
    snapshot = forge.snapshot(forge.page(row(size=size, payload=[0, [size]])))
    told = judged(forge, snapshot, VERBS.keys() - ENDLESS | {"restore"})
    assert {verb for verb in told if told[verb] != "nothing"} <= {"restore"}


def test_a_file_of_two_bytes_many_times_over(forge: Forge) -> None:
    """Lists of lists of one blob: what is named 2^60 times is looked at once."""

    def make(writer: Writer) -> BlobId:
        blob, size = writer.save_data(memoryview(b"ha"), ("", 0)), 2
        for _ in range(4):
            blob, size = writer.save_tree(codec.pack([[blob, size]] * 4096)), size * 4096
        content = [4, [[blob, size]] * 1024]
        return writer.save_tree(codec.pack([0, [row(size=size * 1024, payload=content)]]))

    snapshot = forge.saved(make)
    verbs = VERBS.keys() - ENDLESS - {"read", "grep"}  # of a hole these two need nothing
    assert set(judged(forge, snapshot, verbs).values()) == {"nothing"}
    # Once something is lost, a check asks every file whether it is hurt.
    lost = forge.id_of(Kind.DATA, b"lost")
    forge.snapshot(forge.page(row(size=4, payload=lost)))
    assert judged(forge, snapshot, ["check all"]) == {"check all": "problems"}


# Small objects


RECORD = codec.unpack(encode_snapshot(snapshot_of(BlobId(bytes(32)))))
assert isinstance(RECORD, dict)

FIELDS: list[tuple[str, object]] = [
    ("version", 2),
    ("version", None),
    ("version", True),
    ("start", "yesterday"),
    ("start", 1 << 63),
    ("start", float("nan")),
    ("end", -(1 << 63) - 0.5),
    ("utc_offset", 1 << 40),
    ("host", b"host"),
    ("host", None),
    ("user", {}),
    ("paths", ["/text"]),
    ("paths", {"a": 1}),
    ("tags", "tag"),
    ("tags", [b"tag"]),
    ("tree", "0" * 32),
    ("tree", bytes(31)),
    ("tree", None),
    ("parent", "../../etc"),
    ("parent", bytes(16)),
    ("how", []),
    ("problems", [[]]),
    ("problems", [[b"/", "open", "x"]] * 10_001),
    ("problem_count", -1),
    ("summary", None),
    ("summary", {"files_new": -1}),
]

RECORDS: dict[str, bytes] = {
    **{f"{field} = {value!r:.30}": codec.pack({**RECORD, field: value}) for field, value in FIELDS},
    "no fields": codec.pack({}),
    "a number": codec.pack(7),
    "a key twice": b"\x82\xa4tree\x00\xa4tree\x00",
    "10^9 keys": b"\xdf\x3b\x9a\xca\x00",
    "deep": b"\x81\xa3how" + b"\x91" * 100_000,
    "an extension": b"\xc7\x01\x05x",
    "nothing": b"",
}


@pytest.mark.fault(33)
@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())
def test_snapshots_of_nonsense(record: bytes, forge: Forge) -> None:
    name = f"snapshots/{random_name()}"
    forge.sealed(ObjectType.SNAPSHOT, name, record)
    assert_reported(forge, name)
    with forge.open() as repo:
        assert [snapshot.id for snapshot in repo.snapshots()] == [forge.sound]
        with pytest.raises(holdfast.DamagedRepository):
            repo.snapshot(name.removeprefix("snapshots/"))


CONDEMNED: dict[str, object] = {
    "nothing": None,
    "no packs": {},
    "a number of packs": {"packs": 10**9},
    "bytes": {"packs": [bytes(64)]},
    "a way out": {"packs": ["../../config/0"]},
    "text": {"packs": "all"},
    "an array": ["0" * 64 + "-" + "0" * 8],
}


@pytest.mark.fault(33)
@pytest.mark.parametrize("record", CONDEMNED.values(), ids=CONDEMNED.keys())
def test_announcements_of_nonsense(record: dict[str, object], forge: Forge, tmp_path: Path) -> None:
    """What a reclaim will delete is not known then, so nobody may build upon anything."""
    name = f"gc/{random_name()}"
    forge.sealed(ObjectType.CONDEMNED, name, codec.pack(record))
    assert_reported(forge, name)
    with forge.open() as repo, pytest.raises(holdfast.DamagedRepository, match=name):
        repo.backup(tmp_path)


SETTINGS: dict[str, dict[str, object]] = {
    "packs of 2^60 bytes": {"pack_size": 1 << 60},
    "packs of nothing": {"pack_size": 0},
    "packs of -1": {"pack_size": -1},
    "text for a size": {"pack_size": "16 MiB"},
    "level 23": {"compression": 23},
    "level -(10^9)": {"compression": -(10**9)},
    "no chunker": {"chunker": None},
    "an unknown chunker": {"chunker": {"name": "evil", "min": 256, "avg": 1024, "max": 4096}},
    "chunks of 2^62": {"chunker": {"name": "pyfastcdc", "min": 64, "avg": 256, "max": 1 << 62}},
    "chunks of 0": {"chunker": {"name": "pyfastcdc", "min": 0, "avg": 0, "max": 0}},
    "chunks of -1": {"chunker": {"name": "pyfastcdc", "min": -1, "avg": -1, "max": -1}},
    "chunks upside down": {"chunker": {"name": "pyfastcdc", "min": 4096, "avg": 1024, "max": 2048}},
    "another plain part": {"plain": b""},
    "no plain part": {"plain": None},
}


@pytest.mark.fault(33)
@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS.keys())
def test_absurd_settings(changes: dict[str, object], forge: Forge) -> None:
    config = decode_plain("config/0", forge.backend.get("config/0"))
    record = codec.unpack(open_object(ObjectType.CONFIG, forge.keys, "config/0", config.sealed))
    assert isinstance(record, dict)
    plain = struct.pack("<8sI", b"HFCONFIG", len(config.raw)) + config.raw
    message = codec.pack({**record, **changes})
    sealed = seal_object(ObjectType.CONFIG, forge.keys, "config/1", message)
    forge.backend.put("config/1", with_checksum(plain + sealed))
    with pytest.raises((holdfast.DamagedRepository, holdfast.UnsupportedRepository)):
        forge.open()


PLAIN: dict[str, bytes] = {
    "version 2": codec.pack({"version": 2}),
    "text": codec.pack("config"),
    "10^9 features": b"\x81\xa4read\xdd\x3b\x9a\xca\x00",
    "deep": b"\x91" * 100_000,
    "nothing": b"",
}


@pytest.mark.fault(33)
@pytest.mark.parametrize("plain", PLAIN.values(), ids=PLAIN.keys())
def test_configs_of_nonsense(plain: bytes, forge: Forge) -> None:
    """Whoever can write to the storage can forge these even without the key."""
    for size in (len(plain), MOST):
        data = struct.pack("<8sI", b"HFCONFIG", size) + plain
        forge.backend.put("config/1", with_checksum(data))
        with pytest.raises((holdfast.DamagedRepository, holdfast.UnsupportedRepository)):
            forge.open()


SLOT_MEMORY, SLOT_PASSES, SLOT_LANES = 12, 16, 20


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (SLOT_MEMORY, MOST),
        (SLOT_MEMORY, (4 << 20) + 1),
        (SLOT_MEMORY, 0),
        (SLOT_PASSES, MOST),
        (SLOT_PASSES, 0),
        (SLOT_LANES, MOST),
        (SLOT_LANES, 0),
    ],
)
def test_key_slots_that_ask_for_too_much(offset: int, value: int, forge: Forge) -> None:
    """They are refused before anything is derived, and keep nobody out who has another slot."""
    (slot,) = forge.backend.list("keys/")
    good = forge.backend.get(slot.name)
    data = bytearray(without_checksum(slot.name, good, len(good)))
    data[offset : offset + 4] = value.to_bytes(4, "little")
    forge.backend.put(slot.name, with_checksum(bytes(data)))
    with pytest.raises(holdfast.DamagedRepository, match="out of bounds"):
        forge.open()
    forge.backend.put(
        "keys/" + "f" * 32, seal_slot("keys/" + "f" * 32, forge.keys, PASSWORD, KDF, 0)
    )
    assert_reported(forge, slot.name)
