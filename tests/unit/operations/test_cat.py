"""The insides of a repository: which object a name means, and what a directory holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.backend import MemoryBackend
from holdfast.errors import UsageError
from holdfast.model.node import NodeType
from holdfast.model.record import Record
from holdfast.model.tree import save_directory
from holdfast.operations.cat import cat_object, cat_tree
from holdfast.store import Store
from holdfast.store.config import encode_config
from holdfast.testing.layouts import node
from holdfast.testing.repositories import SETTINGS, new_store


def put_config(store: Store, number: int) -> None:
    """A config whose level of compression is its number."""
    settings = replace(SETTINGS, compression=number)
    store.backend.put(f"config/{number}", encode_config(number, store.keys, settings, 0, None))


def test_a_whole_name_is_that_object_whatever_others_begin_so() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    backend.delete("config/0")
    for number in (1, 9, 10):
        put_config(store, number)
    levels = [cat_object(store, "config", name)["compression"] for name in ("1", "9", "10", "")]
    assert levels == [1, 9, 10, 10]
    with pytest.raises(UsageError, match="no object begins so"):
        cat_object(store, "config", "2")
    backend.delete("config/1")
    put_config(store, 11)
    with pytest.raises(UsageError, match="several objects begin so"):
        cat_object(store, "config", "1")


def test_a_directory_with_what_its_entries_hold() -> None:
    store = new_store()
    with store.writer({}) as writer:
        blob = writer.save_data(memoryview(b"text"), ("small", 0))
        inner = save_directory([node(b"file", NodeType.FILE, blob, 4)], writer)
        entries = [
            node(b"link", NodeType.SYMLINK, b"there", 5),
            node(b"sub", NodeType.DIRECTORY, inner),
        ]
        tree = save_directory(entries, writer)
        writer.flush()
    with store.loader() as loader:
        top, below = cat_tree(tree, b"/", loader), cat_tree(tree, b"/sub", loader)
        with pytest.raises(UsageError, match="not a directory"):
            cat_tree(tree, b"/link", loader)
    assert (top["id"], below["id"]) == (tree.hex(), inner.hex())
    assert payloads(top) == {"/link": b"there".hex(), "/sub": inner.hex()}
    assert payloads(below) == {"/sub/file": blob.hex()}


def payloads(directory: Record) -> dict[object, object]:
    entries = directory["entries"]
    assert isinstance(entries, list)
    return {entry["path"]: entry["payload"] for entry in entries}
