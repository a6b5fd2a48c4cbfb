"""Looking at one object of a repository, or one blob; secrets are never shown."""

from __future__ import annotations

import re
from typing import TypeAlias

from holdfast.errors import UsageError
from holdfast.model.entry import Entry
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, lookup
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store import Loader, Store, describe, describe_pack, find_objects

Record: TypeAlias = dict[str, object]

_FOLDERS = {
    "config": "config/",
    "key": "keys/",
    "index": "index/",
    "snapshot": "snapshots/",
    "forgotten": "forgotten/",
    "label": "labels/",
    "anchor": "audit/",
    "session": "sessions/",
    "reclaim": "gc/",
    "epoch": "epochs/",
    "pack": "data/",
}

KINDS = (*_FOLDERS, "blob", "tree")
"""What can be looked at."""

_BLOB = re.compile(r"[0-9a-f]{64}")


def cat_object(store: Store, kind: str, name: str) -> Record:
    """What an object says.

    Args:
        store: the repository.
        kind: one of `KINDS`, but for blobs and trees.
        name: the object's, or its beginning; of a config its number, and "" is the newest. Signs
            of life, and whom a reclaim waits for, go by their whole names.

    Raises:
        UsageError: none or several are of that name.
        DamagedRepository: it is damaged.
    """
    found = find_objects(store.backend, _FOLDERS[kind], name)
    exact = [info for info in found if info.name.rpartition("/")[2] == name]
    if kind == "config" and not name:
        exact = sorted(found, key=lambda info: int(info.name.rpartition("/")[2]))[-1:]
    found = exact or [info for info in found if "." in name or "." not in info.name]
    if len(found) != 1:
        many = "several objects begin" if found else "no object begins"
        raise UsageError(f"{kind} {name}: {many} so")
    where, size = found[0]
    if kind == "pack":
        return describe_pack(store.backend, store.keys, PackName(where.rpartition("/")[2]), size)
    return describe(store.backend, store.keys, where)


def parse_blob_id(text: str) -> BlobId | None:
    """A blob's id from 64 hexadecimal digits; None for anything else."""
    return BlobId(bytes.fromhex(text)) if _BLOB.fullmatch(text) else None


def cat_tree(tree: BlobId, path: bytes, loader: Loader) -> Record:
    """A directory, with the ids of what its entries hold.

    Args:
        tree: where the path begins.
        path: of the directory.
        loader: where it is.

    Raises:
        PathNotFound: there is no such path.
        UsageError: it is no directory.
        DamagedRepository: it is damaged.
    """
    node = lookup(tree, path, loader)
    if node.type != NodeType.DIRECTORY:
        raise UsageError("not a directory: `dump` gives what a file holds")
    found = directory_tree(node)
    entries = [_entry(path or ROOT, child) for child in load_directory(found, loader)]
    return {"id": found.hex(), "entries": entries}


def _entry(path: bytes, node: Node) -> Record:
    record: Record = dict(Entry.of(join_path(path, node.name), node).dict())
    record["payload"] = _payload(node.payload)
    record["extra"] = _payload(node.extra)
    return record


def _payload(value: object) -> object:
    """Ids and targets as hexadecimal digits, all else as it is."""
    match value:
        case bytes():
            return value.hex()
        case tuple():
            return [_payload(each) for each in value]
        case dict():
            return {str(key): _payload(each) for key, each in value.items()}
        case _:
            return value
