from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

from holdfast.model.entry import Entry
from holdfast.model.node import Node, NodeType
from holdfast.primitives.ids import BlobId
from holdfast.testing.layouts import directory_node, link_node, node

ID = BlobId(bytes(32))
FILE = node(b"a\xff", NodeType.FILE, ID, 5)


def test_a_file() -> None:
    entry = Entry.of(
        b"/x/a\xff", FILE._replace(mode=0o4755, filesystem=2, xattrs=((b"user.a", b""),))
    )
    assert os.fsencode(entry.path) == b"/x/a\xff"
    assert os.fsencode(entry.name) == b"a\xff"
    assert (entry.type, entry.size, entry.user, entry.group) == ("file", 5, "anna", "users")
    assert entry.mode_text == "-rwsr-xr-x"
    assert entry.links == (2, 42)
    assert entry.xattrs == ("user.a",)
    assert entry.mtime == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert entry.target is None
    assert entry.device is None
    assert not entry.is_dir


@pytest.mark.parametrize(
    ("entry", "kind", "mode"),
    [
        (directory_node(b"d", ID), "dir", "drwxr-xr-x"),
        (link_node(b"l", b"target\xff"), "symlink", "lrw-r--r--"),
        (node(b"p", NodeType.FIFO, None), "fifo", "prw-r--r--"),
        (node(b"s", NodeType.SOCKET, None), "socket", "srw-r--r--"),
        (node(b"c", NodeType.CHARACTER_DEVICE, os.makedev(4, 64)), "chardev", "crw-r--r--"),
        (node(b"b", NodeType.BLOCK_DEVICE, os.makedev(8, 1)), "blockdev", "brw-r--r--"),
    ],
)
def test_other_types(entry: Node, kind: str, mode: str) -> None:
    seen = Entry.of(b"/" + entry.name, entry)
    assert seen.type == kind
    assert seen.mode_text == mode
    assert seen.is_dir == (kind == "dir")
    assert seen.device == {"chardev": (4, 64), "blockdev": (8, 1)}.get(kind)
    assert seen.target == ("target\udcff" if kind == "symlink" else None)
    assert json.loads(json.dumps(seen.dict()))["type"] == kind


@pytest.mark.parametrize("time", [-1, -(10**18), 1 << 64, -(1 << 100), (1 << 127) - 1])
def test_no_time_is_too_odd_to_show(time: int) -> None:
    entry = Entry.of(b"/a", FILE._replace(mtime=time))
    assert entry.mtime_ns == time
    assert entry.dict()["mtime_ns"] == time
    shown = entry.dict()["mtime"]
    assert (shown is None) == (entry.mtime is None) == (abs(time) > 1 << 70)
