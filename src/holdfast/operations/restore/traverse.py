"""Going through what is selected of a snapshot, directory by directory, down and up again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Final, Protocol

from holdfast.errors import DamagedRepository
from holdfast.filesystem.target import is_safe
from holdfast.model.descent import Descent
from holdfast.model.node import Node, NodeType
from holdfast.model.path import join_path, split_path
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, lookup
from holdfast.operations.restore.scope import Place, Scope, Selection
from holdfast.primitives.ids import BlobId

_AHEAD: Final = 64
"""Entries that are looked ahead for directories, to ask for their trees."""


@dataclass(eq=False, slots=True)
class Level:
    """A directory on the way.

    Attributes:
        parent: the directory above it; None for the root of the restore.
        place: where it is.
        node: its entry; None for the root, which is the target itself.
        tree: what is in it; None when the root stands for a single entry.
        selected: it is to be restored itself, and does not only lead to what is.
        scope: what is selected in it.
        abandoned: set it to leave the directory at once, with all that is below.
    """

    parent: Level | None
    place: Place
    node: Node | None
    tree: BlobId | None
    selected: bool
    scope: Scope
    abandoned: bool = False


class Visitor(Protocol):
    """What is done on the way. Exceptions end it."""

    def enter(self, level: Level) -> None:
        """A directory begins."""

    def entry(self, level: Level, node: Node) -> None:
        """The deepest directory has this entry, which is selected and is no directory."""

    def leave(self, level: Level) -> None:
        """A directory ends; all in it was visited unless it was abandoned."""

    def damaged(self, place: Place, error: DamagedRepository) -> None:
        """Not all of a directory can be read; what can be is visited."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is restored: a directory, whose contents go into the target, or one other entry.

    Attributes:
        path: of the directory, or of that in which the entry is.
        node: the entry or, for a directory, what describes it.
    """

    path: bytes
    node: Node

    @property
    def tree(self) -> BlobId | None:
        """The directory's tree; None for another entry."""
        return directory_tree(self.node) if self.node.type == NodeType.DIRECTORY else None


def find_subject(root: BlobId, path: bytes, loader: BlobLoader) -> Subject:
    """Look up what a path of a snapshot stands for.

    Raises:
        PathNotFound: there is no such path.
        DamagedRepository: a tree on the way is missing or damaged.
    """
    node = lookup(root, path, loader)
    names = split_path(path)
    if node.type != NodeType.DIRECTORY:
        names.pop()
    return Subject(b"/" + b"/".join(names), node)


def traverse(subject: Subject, selection: Selection, loader: BlobLoader, visitor: Visitor) -> None:
    """Visit what is selected, depth first, in order of names, in bounded memory.

    A directory comes before what is in it. Damage is told and passed over.
    """
    _Traversal(subject, selection, loader, visitor).run()


class _Traversal:
    """One pass: a `Descent` and, beside it, what is known of the directories it is in."""

    def __init__(
        self, subject: Subject, selection: Selection, loader: BlobLoader, visitor: Visitor
    ) -> None:
        self._subject = subject
        self._selection = selection
        self._loader = loader
        self._visitor = visitor
        self._levels: list[tuple[Level, int]] = []  # with the lengths of their paths
        self._descent = Descent(subject.tree, subject.path, self._read)

    def run(self) -> None:
        """All of it."""
        path = self._subject.path
        selected = self._selection.holds(path)
        scope = self._selection.scope(path, selected=selected)
        if scope is None:
            return
        root = Level(None, Place(None, path), None, self._subject.tree, selected, scope)
        self._enter(root, len(path))
        while (node := self._descent.next()) is not None:
            self._climb(len(self._descent.path))
            level = self._levels[-1][0]
            if level.abandoned or not self._is_sound(level, node):
                continue
            choice = level.scope.judge(node.name, is_directory=node.type == NodeType.DIRECTORY)
            if node.type != NodeType.DIRECTORY:
                if choice.selected:
                    self._visitor.entry(level, node)
            elif choice.descend:
                self._descend(level, node, selected=choice.selected)
        self._climb(0)

    def _is_sound(self, level: Level, node: Node) -> bool:
        """Whether a name is one: the model has checked it, but here much depends on it."""
        if is_safe(node.name):
            return True
        tree = (level.tree or b"").hex()
        self._visitor.damaged(level.place, DamagedRepository(f"tree {tree}", "a name is none"))
        return False

    def _descend(self, parent: Level, node: Node, *, selected: bool) -> None:
        path = join_path(self._descent.path, node.name)
        scope = self._selection.scope(path, selected=selected)
        if scope is None:
            return
        tree = directory_tree(node)
        place = Place(parent.place, node.name)
        if problem := self._descent.enter(tree, path):
            self._visitor.damaged(place, DamagedRepository(f"tree {tree.hex()}", problem))
            return
        self._enter(Level(parent, place, node, tree, selected, scope), len(path))

    def _enter(self, level: Level, path_length: int) -> None:
        self._levels.append((level, path_length))
        self._visitor.enter(level)

    def _climb(self, path_length: int) -> None:
        """Leave the directories in which the descent is no more."""
        while self._levels and self._levels[-1][1] > path_length:
            self._visitor.leave(self._levels.pop()[0])

    def _read(self, tree: BlobId | None, path: bytes, after: bytes) -> Iterator[Node]:
        """A directory's entries; those of an abandoned one end at once."""
        # On the way back up, directories below may not have been left yet.
        level = self._levels[bisect_left(self._levels, len(path), key=itemgetter(1))][0]
        if tree is None:
            yield self._subject.node
            return
        entries = load_directory(
            tree,
            self._loader,
            after=after,
            on_damage=lambda error: self._visitor.damaged(level.place, error),
        )
        while not level.abandoned and (some := list(islice(entries, _AHEAD))):
            below = [directory_tree(node) for node in some if node.type == NodeType.DIRECTORY]
            if below:
                self._loader.prefetch(below)
            yield from some
