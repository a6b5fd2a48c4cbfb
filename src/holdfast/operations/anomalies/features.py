"""What changed from one snapshot to the next, as a few numbers.

One pass over `holdfast.model.compare`, whose work follows the changes. Memory is bounded whatever
their number: files are counted exactly, and of those that have to be compared with one another a
part is remembered that is chosen by their names (`sample`); counts from it are then estimates.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import NamedTuple, Protocol

from holdfast.errors import DamagedRepository
from holdfast.model.compare import Change, ChangeKind, compare
from holdfast.model.content import blob_ids
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import file_content
from holdfast.operations.anomalies.pairs import Files, Matches, Pair, Seen, extension, paired
from holdfast.operations.anomalies.sample import Tally
from holdfast.operations.anomalies.suspects import INCOMPRESSIBLE, Pool, Suspects
from holdfast.primitives import codec, hashing
from holdfast.primitives.ids import BlobId

EXAMPLES = 5
"""Paths that are kept to show."""

SMALLEST = 512
"""Bytes of a file from which on its content is judged."""

MOST_BLOBS = 64
"""Blobs of a file that are looked at: its first 16 MiB or so."""

NOTE_SIZE = 64 << 10
"""Largest file in bytes that may be a ransom note."""

MOST_NAMES = 4096
"""Extensions, and small new files, of which is counted how often they come."""


class StoredSizes(Protocol):
    """Knows how large blobs are."""

    def sizes(self, blob: BlobId) -> tuple[int, int] | None:
        """(bytes as they were, bytes that they take in the repository); None when it is missing."""


class Takeover(NamedTuple):
    """An extension that new files have and nothing that they replace had."""

    extension: str = ""
    files: int = 0


class Note(NamedTuple):
    """The same small new file in many directories that were there before."""

    name: str = ""
    directories: int = 0
    changed: int = 0


NO_TAKEOVER = Takeover()
NO_NOTE = Note()


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of one snapshot beside the one before it.

    Attributes:
        snapshot, previous: the two; previous is None for the first of its group.
        added, removed, modified, attributes: files; the last are those of which mode, owner or
            extended attributes changed.
        bytes_added, bytes_removed: sizes of files that were added or modified, or removed or so.
        moved, renamed, replaced, gone: what became of the removed ones, see `Matches`.
        truncated: files that are empty now.
        hardened: files that were orderly and look random now.
        examined: files that this was judged by; 0 when there was no reason to look.
        is_read: whether their bytes were read; else it is what the index says of compression.
        stored_before, stored_after: bytes stored for each byte of what files were rewritten from
            and to; None when that is not known.
        takeover: the extension that takes over.
        note: the file that appears all over.
        extensions: endings of what was added or modified.
        examples: some paths, by the name of the number that they belong to.
        damage: why the two cannot be compared; "" when they could.
    """

    snapshot: Snapshot
    previous: Snapshot | None = None
    added: int = 0
    removed: int = 0
    modified: int = 0
    attributes: int = 0
    bytes_added: int = 0
    bytes_removed: int = 0
    moved: int = 0
    renamed: int = 0
    replaced: int = 0
    gone: int = 0
    truncated: int = 0
    hardened: int = 0
    examined: int = 0
    is_read: bool = False
    stored_before: float | None = None
    stored_after: float | None = None
    takeover: Takeover = NO_TAKEOVER
    note: Note = NO_NOTE
    extensions: frozenset[bytes] = frozenset()
    examples: dict[str, tuple[str, ...]] = field(default_factory=dict)
    damage: str = ""

    @property
    def before(self) -> int:
        """How many files there were."""
        known = 0 if self.previous is None else self.previous.summary.files
        return max(known, self.removed + self.modified)

    @property
    def rewritten(self) -> int:
        """Files that were there and have other content or another content's name now."""
        return self.modified + self.replaced + self.gone


def features(
    previous: Snapshot,
    snapshot: Snapshot,
    loader: BlobLoader,
    sizes: StoredSizes,
    *,
    read_data: bool = True,
) -> Features:
    """Find out what changed from one snapshot to the next; damage is data.

    Memory: about 400 bytes for each changed file, and at most 10 MB when each name and content
    is there once; six times that if all are there many times.

    Args:
        previous: the one before.
        snapshot: the one in question.
        loader: where trees and data are.
        sizes: of blobs, from the index.
        read_data: whether pieces of at most 200 files are read when they are suspected.
    """
    seen = _Pass(loader, sizes)
    try:
        for change in compare(previous.tree, snapshot.tree, loader):
            seen.take(change)
        return seen.result(previous, snapshot, read_data=read_data)
    except DamagedRepository as error:
        return Features(snapshot, previous, damage=str(error))


class _Pass:
    """Takes the changes one by one."""

    def __init__(self, loader: BlobLoader, sizes: StoredSizes) -> None:
        self._loader = loader
        self._sizes = sizes
        self._added = self._modified = self._attributes = self._truncated = self._directories = 0
        self._bytes_added = self._bytes_removed = 0
        self._new_hard_bytes = 0
        self._stored = [0, 0, 0, 0]  # raw and stored bytes before, raw and stored bytes after
        self._files = Files()
        self._suspects = Suspects()
        self._extensions: Tally[bytes] = Tally(MOST_NAMES)
        self._old_extensions: Tally[bytes] = Tally(MOST_NAMES)
        self._notes: Tally[tuple[bytes, bytes]] = Tally(MOST_NAMES)
        self._examples: defaultdict[str, list[bytes]] = defaultdict(list)
        self._new_directory: bytes | None = None

    def take(self, change: Change) -> None:
        """Count a change."""
        before, after = _file(change.before), _file(change.after)
        if change.kind == ChangeKind.METADATA:
            self._take_metadata(change)
        elif before is not None and after is not None:
            self._take_modified(change.path, before, after)
        elif before is not None:
            self._take_removed(change.path, before)
        elif after is not None:
            self._take_added(change.path, after)
        elif change.after is not None and change.after.type == NodeType.DIRECTORY:
            self._enter_new(change.path)

    def _enter_new(self, path: bytes) -> None:
        if not self._is_in_new_directory(path):
            self._new_directory = path + b"/"

    def _is_in_new_directory(self, path: bytes) -> bool:
        return self._new_directory is not None and path.startswith(self._new_directory)

    def _take_metadata(self, change: Change) -> None:
        before, after = _file(change.before), _file(change.after)
        if before is None or after is None:
            self._directories += 1
        elif _owner(before) != _owner(after):
            self._attributes += 1
            self._show("attributes", change.path)

    def _take_modified(self, path: bytes, before: Node, after: Node) -> None:
        self._modified += 1
        self._bytes_removed += before.size
        self._bytes_added += after.size
        self._show("modified", path)
        ending = extension(after.name)
        self._extensions.add(ending)
        self._old_extensions.add(ending)
        if before.size and not after.size:
            self._truncated += 1
            self._show("truncated", path)
        if min(before.size, after.size) < SMALLEST:
            return
        was, now = self._blobs(before), self._blobs(after)
        old, new = _without(was, now), _without(now, was)
        if not old or not new:
            return
        at_start = old[0] == was[0] and new[0] == now[0]
        shares = self._share(old, 0), self._share(new, 2)
        self._suspects.add(Pair(path, old[0], new[0], at_start, *shares))

    def _take_removed(self, path: bytes, node: Node) -> None:
        self._bytes_removed += node.size
        self._old_extensions.add(extension(node.name))
        self._files.add(self._seen(path, node), is_new=False)
        self._show("removed", path)

    def _take_added(self, path: bytes, node: Node) -> None:
        self._added += 1
        self._bytes_added += node.size
        self._extensions.add(extension(node.name))
        self._show("added", path)
        seen = self._seen(path, node)
        self._files.add(seen, is_new=True)
        if seen.stored is not None and seen.stored >= INCOMPRESSIBLE:
            self._new_hard_bytes += node.size
        if 0 < node.size <= NOTE_SIZE and not self._is_in_new_directory(path):
            self._notes.add((node.name, seen.content))

    def _seen(self, path: bytes, node: Node) -> Seen:
        blobs = self._blobs(node)
        payload = node.payload
        content = payload if isinstance(payload, bytes) else hashing.digest(codec.pack(payload))
        if not node.size:
            content = b""
        head = blobs[0] if blobs and node.size >= SMALLEST else None
        return Seen(path, content, node.size, head, self._share(blobs))

    def _blobs(self, node: Node) -> list[BlobId]:
        return list(islice(blob_ids(file_content(node), self._loader), MOST_BLOBS))

    def _share(self, blobs: Iterable[BlobId], total: int | None = None) -> float | None:
        """Bytes stored for each byte of some blobs, which are added to the totals at `total`."""
        known = [size for blob in blobs if (size := self._sizes.sizes(blob)) is not None]
        raw, stored = (sum(size[part] for size in known) for part in (0, 1))
        if total is not None:
            self._stored[total] += raw
            self._stored[total + 1] += stored
        return stored / raw if raw else None

    def _show(self, what: str, path: bytes) -> None:
        if len(self._examples[what]) < EXAMPLES:
            self._examples[what].append(path)

    def result(self, previous: Snapshot, snapshot: Snapshot, *, read_data: bool) -> Features:
        """What all of it comes to."""
        matches = self._files.match()
        self._examples["gone"] = [seen.path for seen in matches.lost[:EXAMPLES]]
        self._examples["renamed"] = matches.names[:EXAMPLES]
        takeover = self._takeover()
        hardened, examined = self._hardened(matches, takeover, previous, read_data=read_data)
        before, after = (
            self._stored[at + 1] / self._stored[at] if self._stored[at] else None for at in (0, 2)
        )
        return Features(
            snapshot,
            previous,
            added=self._added,
            removed=self._files.removed,
            modified=self._modified,
            attributes=self._attributes,
            bytes_added=self._bytes_added,
            bytes_removed=self._bytes_removed,
            moved=matches.moved,
            renamed=matches.renamed,
            replaced=matches.replaced,
            gone=matches.gone,
            truncated=self._truncated,
            hardened=hardened,
            examined=examined,
            is_read=read_data,
            stored_before=before,
            stored_after=after,
            takeover=takeover,
            note=self._note(),
            extensions=self._extensions.frequent(MOST_NAMES // 16),
            examples={
                what: tuple(os.fsdecode(path) for path in sorted(paths))
                for what, paths in self._examples.items()
            },
        )

    def _takeover(self) -> Takeover:
        """The most frequent extension of new files that nothing before them had."""
        for ending, files in self._extensions.most():
            if ending and not self._old_extensions[ending]:
                return Takeover(os.fsdecode(ending), files)
        return NO_TAKEOVER

    def _note(self) -> Note:
        for (name, _), directories in self._notes.most():
            return Note(os.fsdecode(name), directories, max(self._directories, directories))
        return NO_NOTE

    def _hardened(
        self, matches: Matches, takeover: Takeover, previous: Snapshot, *, read_data: bool
    ) -> tuple[int, int]:
        """How many files became random, and how many that was judged by."""
        ending = os.fsencode(takeover.extension)
        new = [seen for seen in matches.remade if ending and extension(seen.name) == ending]
        named = Pool(matches.pairs + paired(matches.lost, new), matches.factor)
        if read_data:
            verdict = self._suspects.by_reading(named, previous.summary.files, self._loader)
        else:  # small files share a segment, and how well it compresses
            diluted = self._new_hard_bytes > self._stored[2]
            verdict = self._suspects.by_index(named, diluted=diluted)
        self._examples["hardened"] = list(verdict.paths[:EXAMPLES])
        return verdict.files, verdict.examined


_owner = attrgetter("mode", "uid", "gid", "user", "group", "xattrs")


def _file(node: Node | None) -> Node | None:
    return node if node is not None and node.type == NodeType.FILE else None


def _without(blobs: list[BlobId], others: list[BlobId]) -> list[BlobId]:
    known = frozenset(others)
    return [blob for blob in blobs if blob not in known]
