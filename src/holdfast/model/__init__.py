"""What the bytes of a repository mean: snapshots, directories, files; and how they are read.

Frozen records and functions of their arguments. Nothing here knows where bytes are stored: all
of it works on a `BlobLoader`, and writes through a `TreeSaver`. `node`, `content`, `tree` and
`snapshot` are the records and their wire forms; `walk`, `compare`, `select` go through them;
`retention` decides which snapshots to keep, by what `policy` and `periods` know; `entry` and
`file` are what an application sees of them.
"""

from holdfast.model.compare import Change, ChangeKind, change_kind, compare
from holdfast.model.content import (
    ContentBuilder,
    blob_ids,
    iter_items,
    list_blobs,
    references,
)
from holdfast.model.descent import MAX_DEPTH, MAX_PATH
from holdfast.model.entry import Entry
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Content, Extra, Item, Node, NodeType
from holdfast.model.path import ROOT, join_path, printable, split_path
from holdfast.model.retention import RetentionDecision, RetentionGroup, RetentionPolicy
from holdfast.model.roles import BlobLoader, TreeSaver
from holdfast.model.select import (
    Filter,
    GroupKey,
    choose_parent,
    group_of,
    newest_at,
    ordered,
    parse_spec,
    parse_time,
    resolve,
)
from holdfast.model.snapshot import (
    MAX_PROBLEMS,
    Problem,
    Snapshot,
    Summary,
    decode_snapshot,
    encode_snapshot,
    is_snapshot_id,
)
from holdfast.model.tree import find_entry, load_directory, save_directory
from holdfast.model.walk import directory_tree, file_content, lookup, root_node, walk

__all__ = [
    "MAX_DEPTH",
    "MAX_PATH",
    "MAX_PROBLEMS",
    "ROOT",
    "BlobLoader",
    "Change",
    "ChangeKind",
    "Content",
    "ContentBuilder",
    "Entry",
    "Extra",
    "Filter",
    "GroupKey",
    "Item",
    "Node",
    "NodeType",
    "Problem",
    "RetentionDecision",
    "RetentionGroup",
    "RetentionPolicy",
    "Snapshot",
    "SnapshotFile",
    "Summary",
    "TreeSaver",
    "blob_ids",
    "change_kind",
    "choose_parent",
    "compare",
    "decode_snapshot",
    "directory_tree",
    "encode_snapshot",
    "file_content",
    "find_entry",
    "group_of",
    "is_snapshot_id",
    "iter_items",
    "join_path",
    "list_blobs",
    "load_directory",
    "lookup",
    "newest_at",
    "ordered",
    "parse_spec",
    "parse_time",
    "printable",
    "references",
    "resolve",
    "root_node",
    "save_directory",
    "split_path",
    "walk",
]
