"""Snapshots as files: one read-only tree under all doors.

`View` is a repository, or one snapshot of it, as a tree: what is at a path, what is in a directory,
the bytes of a file. It is safe for several threads, and its memory is bounded. The fsspec file
system, the mount and the WebDAV server are doors to it, and none of them knows of trees and blobs.

`layout` says where snapshots are in the tree, `directories` keeps what was read of directories,
`reading` gives the bytes of files.
"""

from __future__ import annotations

from holdfast.engine.snapshotfs.reading import Errors, FileReader
from holdfast.engine.snapshotfs.view import Item, View

__all__ = ["Errors", "FileReader", "Item", "View"]
