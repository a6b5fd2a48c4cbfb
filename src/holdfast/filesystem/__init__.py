"""Local files: walking and reading them for a backup, writing them for a restore; and stores.

`handles` holds directories by descriptor; `source` and `walk` go over several roots as one tree;
`exclude` and `patterns` decide what is left out; `metadata` turns what the system says into
nodes; `extents` finds the holes of sparse files; `command` reads the output of a program; `remote`
goes over a folder of a store; and `target` writes a tree back. Failures of source files are data
here (`Problem`), not exceptions.
"""

from holdfast.filesystem.command import CommandStream
from holdfast.filesystem.events import Directory, Leave, Problem, WalkEvent
from holdfast.filesystem.exclude import ExcludeRules, load_pattern_file
from holdfast.filesystem.extents import Extent, data_extents
from holdfast.filesystem.handles import LIST, PASS, DirectoryStack
from holdfast.filesystem.metadata import (
    Owners,
    Xattrs,
    node_from_stat,
    node_type,
    read_xattrs,
    xattr_path,
)
from holdfast.filesystem.patterns import Deciders, Patterns
from holdfast.filesystem.source import LocalSource, RootPath
from holdfast.filesystem.walk import Walk

__all__ = [
    "LIST",
    "PASS",
    "CommandStream",
    "Deciders",
    "Directory",
    "DirectoryStack",
    "ExcludeRules",
    "Extent",
    "Leave",
    "LocalSource",
    "Owners",
    "Patterns",
    "Problem",
    "RootPath",
    "Walk",
    "WalkEvent",
    "Xattrs",
    "data_extents",
    "load_pattern_file",
    "node_from_stat",
    "node_type",
    "read_xattrs",
    "xattr_path",
]
