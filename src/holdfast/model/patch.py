"""The difference of one file between two trees as a patch."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.file import SnapshotFile
from holdfast.model.lines import BOUNDS
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.unified import empty_line, file_lines, header, hunks, quoted
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns

Record: TypeAlias = dict[str, object]

LARGEST = 4 << 20
"""Bytes of the largest file whose lines are compared."""


class PatchKind(StrEnum):
    """What a patch is.

    Attributes:
        TEXT: it can be applied.
        BINARY: a file has a byte 0 among its first 8 KiB: the patch only says so.
        LARGE: a file is larger than `LARGEST`, likewise.
        DAMAGED: a file cannot be read, likewise; `Patch.problem` says what is wrong.
    """

    TEXT = "text"
    BINARY = "binary"
    LARGE = "large"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Patch(Row):
    """The difference of one file.

    Attributes:
        path: of the file (in the second snapshot, when two different places are compared).
        kind: whether it can be applied, or why not.
        text: the difference in unified form with a header as git writes it, which `patch -p1` and
            `git apply` take; a single line if it is no text. Names that are not plain ASCII are
            quoted as in C.
        encoding: ``utf-8``, or ``latin-1`` for text that is not UTF-8. `data` are the very bytes.
        problem: of a damaged file; else "".
    """

    path: str
    kind: PatchKind
    text: str
    encoding: str = "utf-8"
    problem: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH, kind=Kind.TEXT, text=Kind.TEXT, problem=Kind.TEXT
    )

    @property
    def data(self) -> bytes:
        """What is to be written into a file for `patch` to apply."""
        return self.text.encode(self.encoding)

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {
            "path": self.path,
            "kind": str(self.kind),
            "text": self.text,
            "encoding": self.encoding,
            "problem": self.problem,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        return self.path, str(self.kind), self.text, self.problem


def patch_of(
    path: bytes,
    name: bytes,
    nodes: tuple[Node | None, Node | None],
    loader: BlobLoader,
    context: int,
) -> Patch | None:
    """The patch that makes the second file of the first.

    Args:
        path: of the file.
        name: what the patch calls it, without a slash at its beginning.
        nodes: what is there before and after; whatever is no regular file counts as nothing.
        loader: where the files are.
        context: how many equal lines to give around what differs.

    Returns:
        None if there is nothing that differs.
    """
    before, after = (
        node if node is not None and node.type == NodeType.FILE else None for node in nodes
    )
    if before == after or (before and after and before.payload == after.payload):
        return None
    text = os.fsdecode(path)
    if max(node.size for node in (before, after) if node is not None) > LARGEST:
        return Patch(text, PatchKind.LARGE, _differ(b"Large files", name))
    try:
        first, second = (
            b"" if node is None else _content(node, loader) for node in (before, after)
        )
    except DamagedRepository as error:
        problem = f"{error.object}: {error.problem}"
        return Patch(text, PatchKind.DAMAGED, _differ(b"Files", name), problem=problem)
    if b"\0" in first[: BOUNDS.probe] + second[: BOUNDS.probe]:
        return Patch(text, PatchKind.BINARY, _differ(b"Binary files", name))
    changes = b"".join(hunks(first, second, context))
    modes = tuple(None if node is None else node.mode for node in (before, after))
    if changes:
        changes = (
            file_lines(name, was_there=before is not None, is_there=after is not None) + changes
        )
    elif before is not None and after is not None:
        return None  # the same bytes in other pieces
    else:
        changes = empty_line(is_there=after is not None)
    return _patch(text, header(name, *modes) + changes)


def _content(node: Node, loader: BlobLoader) -> bytes:
    return io.BufferedReader(SnapshotFile(node, loader), LARGEST).read()


def _differ(what: bytes, name: bytes) -> str:
    """A line that no program takes for a part of a patch."""
    line = b"%s %s and %s differ\n" % (what, quoted(b"a/" + name), quoted(b"b/" + name))
    return line.decode("ascii")


def _patch(path: str, data: bytes) -> Patch:
    try:
        return Patch(path, PatchKind.TEXT, data.decode("utf-8"))
    except UnicodeDecodeError:
        return Patch(path, PatchKind.TEXT, data.decode("latin-1"), "latin-1")
