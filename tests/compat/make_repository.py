"""Makes the small repository that is kept of a format version, and says what is in it.

    python -m tests.compat.make_repository tests/compat/repositories/v1

beside which it writes ``v1.json``. It is run once for a version of the format: a repository that is
there stays as it is, and must open for ever.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from tests.compat.making import described, told_by_reader

from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.model.content import ContentBuilder
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.snapshot import Problem, encode_snapshot
from holdfast.model.tree import save_directory
from holdfast.operations.ingest import Ingest
from holdfast.primitives import codec, hashing
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.kdf import KdfParams
from holdfast.store import Settings, Store, Writer, create_store
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.slots import seal_slot
from holdfast.testing.layouts import directory_node, node, snapshot_of

PASSWORD = "pässword"
OTHER_PASSWORD = b"\xff other password"
WEAKEST = KdfParams(memory=19 << 10, passes=1, lanes=1)
CHUNKER = ChunkerParams("pyfastcdc", 256, 1024, 4096)
DEAD_SESSION = "00000000000000000000000000000000"


def chunked() -> bytes:
    """The bytes of a file that is cut into many blobs."""
    noise = hashing.keyed_stream(hashing.digest(b"version 1"), b"noise", 16 << 10)
    return noise + b"".join(b"line %d\n" % number for number in range(4000)) + noise


def save_chunked(store: Store, writer: Writer) -> tuple[int, Content | None]:
    """Store them as a backup would."""
    data = chunked()

    def fill(buffer: memoryview, done: int) -> int:
        piece = data[done : done + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    builder = ContentBuilder(writer)
    seed = store.chunker_seed()
    Ingest(writer, store.settings.chunker, seed).stream(fill, ("small", 0), builder)
    return builder.finish()


def save_listed(writer: Writer) -> tuple[int, Content | None]:
    """Store a file of so many blobs that it has lists, with holes."""
    builder = ContentBuilder(writer)
    for number in range(1500):
        data = b"blob %d" % (number % 50)
        builder.add_blob(writer.save_data(memoryview(data), ("small", 0)), len(data))
        if number % 300 == 0:
            builder.add_zeros(number + 1)
    return builder.finish()


def save_nodes(store: Store, writer: Writer) -> list[Node]:
    """Store the contents and give the entries of the root."""
    small = writer.save_data(memoryview(b"some bytes"), ("small", 0))
    size, cut = save_chunked(store, writer)
    listed_size, listed = save_listed(writer)
    many = [node(b"%04d" % number, NodeType.FILE, None) for number in range(4200)]
    inner = [node(b"\xff not text \xfe", NodeType.FILE, small, 10)]
    far = node(b"far", NodeType.FILE, small, 10)
    return [
        node(b"small", NodeType.FILE, small, 10)._replace(filesystem=0),
        node(b"small too", NodeType.FILE, small, 10)._replace(filesystem=0),
        node(b"empty", NodeType.FILE, None),
        node(b"chunked", NodeType.FILE, cut, size),
        node(b"listed", NodeType.FILE, listed, listed_size),
        node(b"sparse", NodeType.FILE, (0, (1 << 20, (small, 10), 5)), (1 << 20) + 15),
        node(b"link", NodeType.SYMLINK, b"target \xff", 8),
        node(b"fifo", NodeType.FIFO, None),
        node(b"socket", NodeType.SOCKET, None),
        node(b"tty", NodeType.CHARACTER_DEVICE, 1088),
        node(b"disk", NodeType.BLOCK_DEVICE, 2049),
        node(b"attributes", NodeType.FILE, small, 10)._replace(
            mode=0o4755,
            user=None,
            group="größe",
            xattrs=((b"user.a", b"\0\xff"), (b"user.b", b"")),
            extra={"changed": True, "later": {"deep": (1, b"2", None)}},
        ),
        far._replace(mtime=-(1 << 100), ctime=1 << 64),
        node(b"early", NodeType.FILE, None)._replace(mtime=-(1 << 63), ctime=-1),
        directory_node(b"many", save_directory(many, writer)),
        directory_node(b"directory", save_directory(inner, writer)),
    ]


def fill_store(store: Store) -> None:
    """Make two snapshots and leave a marker of a dead session."""
    for number, label in ((1, "first"), (2, "second")):
        with store.writer({"host": "host", "kind": "backup"}) as writer:
            nodes = save_nodes(store, writer)
            tree = save_directory(nodes if number == 1 else nodes[:3], writer)
            snapshot = replace(
                snapshot_of(tree, number),
                id=writer.id,
                paths=("/", "/\udcff"),
                tags=("a", "größe"),
                label=label,
                how={"kind": "local", "started": 1, "forced": False},
                problems=(Problem("/\udcff", "open", "Permission denied"),),
                problem_count=1,
                extra={"later": [1, 2]},
            )
            writer.flush()
            if not writer.confirm():
                raise RuntimeError("packs have vanished")
            writer.commit(encode_snapshot(snapshot))
    name = f"snapshots/{DEAD_SESSION}"
    store.backend.put(name, seal_object(ObjectType.ABORTED, store.keys, name, codec.pack({})))
    slot = "keys/" + DEAD_SESSION
    store.backend.put(slot, seal_slot(slot, store.keys, OTHER_PASSWORD, WEAKEST, 1))


def main(place: Path) -> None:
    """Make the repository and the description."""
    if place.exists():
        raise SystemExit(f"{place} is there already, and stays as it is")
    settings = Settings(CHUNKER, 1 << 20, 19)
    fill_store(create_store(LocalBackend(place), PASSWORD, settings, WEAKEST, SYSTEM_CLOCK, None))
    text = json.dumps(described(told_by_reader(place, PASSWORD)), indent=1)
    place.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
