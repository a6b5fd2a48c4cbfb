"""Which removed files came back among those that were added, and under what name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.operations.anomalies.sample import Sample
from holdfast.primitives.ids import BlobId

MOST_FILES = 5_000
"""Names, and contents, of removed and added files that are remembered, with about 400 bytes for
each file."""

MOST_ALIKE = 8
"""Removed files of one name, or one content, that are remembered; and added ones."""


class Seen(NamedTuple):
    """A file that was removed or added.

    Attributes:
        path: where it is.
        content: tells files of equal bytes; b"" for an empty one.
        size: in bytes.
        head: the blob that it begins with; None for an empty one.
        stored: bytes stored for each byte of its blobs; None when it is not known.
    """

    path: bytes
    content: bytes
    size: int
    head: BlobId | None
    stored: float | None

    @property
    def name(self) -> bytes:
        """The last component of the path."""
        return self.path.rpartition(b"/")[2]


class Pair(NamedTuple):
    """A file before and after: modified, or replaced by one of a like name.

    Attributes:
        path: where it is now.
        before: a blob of it that it does not have any more.
        after: one that it did not have.
        at_start: whether it begins with them.
        stored_before, stored_after: bytes stored for each byte of such blobs.
    """

    path: bytes
    before: BlobId
    after: BlobId
    at_start: bool
    stored_before: float | None
    stored_after: float | None

    @property
    def rise(self) -> float:
        """How much less it can be compressed now: 0.6 from a stored share of 0.4 to one of 1."""
        if self.stored_before is None or self.stored_after is None:
            return 0.0
        return min(self.stored_after, 1.0) - min(self.stored_before, 1.0)


@dataclass(slots=True)
class _Group:
    """Files that are alike: how many, and some of them."""

    removed: int = 0
    added: int = 0
    old: list[Seen] = field(default_factory=list)
    new: list[Seen] = field(default_factory=list)

    def add(self, seen: Seen, *, is_new: bool) -> None:
        some = self.new if is_new else self.old
        if is_new:
            self.added += 1
        else:
            self.removed += 1
        if len(some) < MOST_ALIKE:
            some.append(seen)

    def contents_of_both(self) -> set[bytes]:
        """Contents that are among the removed and the added; empty ones say nothing."""
        return ({seen.content for seen in self.old} & {seen.content for seen in self.new}) - {b""}


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of the files that were removed.

    Attributes:
        moved: are in another directory under the same name.
        renamed: have another name.
        replaced: are gone, but there is a new file of the same name, endings aside.
        gone: are gone.
        pairs: replaced files with what they were replaced by.
        factor: how many pairs there are for each of these.
        lost: some of those that are gone.
        names: some paths of renamed files.
        remade: some of the new files that have no file before them.
    """

    moved: int
    renamed: int
    replaced: int
    gone: int
    pairs: list[Pair]
    factor: float
    lost: list[Seen]
    names: list[bytes]
    remade: list[Seen]


class Files:
    """Collects removed and added files, in bounded memory."""

    def __init__(self) -> None:
        self.removed = 0
        self._by_content: Sample[_Group] = Sample(_Group, MOST_FILES)
        self._by_stem: Sample[_Group] = Sample(_Group, MOST_FILES)

    def add(self, seen: Seen, *, is_new: bool) -> None:
        """Take one file."""
        self.removed += not is_new
        if seen.content and (group := self._by_content.at(seen.content)):
            group.add(seen, is_new=is_new)
        if group := self._by_stem.at(stem(seen.name)):
            group.add(seen, is_new=is_new)

    def match(self) -> Matches:
        """Find for each removed file what became of it: the same content before the same name."""
        moved = renamed = 0
        kept: set[bytes] = set()
        names: list[bytes] = []
        for group in self._by_content.values():
            again = min(group.removed, group.added)
            if again:
                kept.add(group.old[0].content)
                renamed_here = again if _is_renamed(group) else 0
                renamed += renamed_here
                moved += again - renamed_here
                names += [group.new[0].path] * bool(renamed_here)
        factor = self._by_content.factor
        moved, renamed = round(moved * factor), round(renamed * factor)
        replaced, pairs, lost, remade = 0, list[Pair](), list[Seen](), list[Seen]()
        for group in self._by_stem.values():
            same = group.contents_of_both()
            old = [s for s in group.old if s.content not in kept and s.content not in same]
            new = [s for s in group.new if s.content not in kept and s.content not in same]
            replaced += _alike(group, len(old), len(new))
            pairs += paired(old, new)
            lost += old[len(new) :]
            remade += new[len(old) :]
        replaced = round(replaced * self._by_stem.factor)
        gone = max(0, self.removed - moved - renamed - replaced)
        return Matches(
            moved, renamed, replaced, gone, pairs, self._by_stem.factor, lost, names, remade
        )


def paired(old: Iterable[Seen], new: Iterable[Seen]) -> list[Pair]:
    """What is removed with what was added, in order of their paths."""
    return list(_paired(sorted(old), sorted(new)))


def _paired(old: list[Seen], new: list[Seen]) -> Iterator[Pair]:
    for was, now in zip(old, new, strict=False):
        if was.head is not None and now.head is not None:
            yield Pair(now.path, was.head, now.head, True, was.stored, now.stored)


def _alike(group: _Group, old: int, new: int) -> int:
    """How many of a group are replaced; when not all are remembered, as far as can be said."""
    if max(group.removed, group.added) > MOST_ALIKE:
        return min(group.removed, group.added)
    return min(old, new)


def _is_renamed(group: _Group) -> bool:
    return not {seen.name for seen in group.old} & {seen.name for seen in group.new}


def stem(name: bytes) -> bytes:
    """A name without its endings: ``a`` of ``a.tar.gz``, ``.profile`` of ``.profile.old``."""
    return name[:1] + name[1:].partition(b".")[0]


def extension(name: bytes) -> bytes:
    """The last ending in lower case, ``.gz`` of ``a.tar.gz``; b"" for none, or a number."""
    base, dot, last = name[1:].rpartition(b".")
    if not dot or (not base and name[:1] == b".") or len(last) > _LONGEST or not _has_letter(last):
        return b""
    return b"." + last.lower()


_LONGEST = 20


def _has_letter(text: bytes) -> bool:
    return any(byte > ord("9") for byte in text)
