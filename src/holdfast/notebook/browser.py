"""A file browser for any front end: plain HTML that unfolds, without scripts and widgets.

What it shows is read when it is made, so it also works in a saved notebook, long after the
repository was closed. So it is bounded: in depth, in entries of a directory, and in all. Where
something was left out it says how much, and what to call to see it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import Final

from holdfast.engine.connection import PathLike
from holdfast.engine.repository import Repository
from holdfast.errors import DamagedRepository
from holdfast.model.entry import Entry
from holdfast.model.record import Record
from holdfast.model.select import parse_spec
from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.present import Column, Kind, Shown, Table, count, minute, size
from holdfast.present.cell import MONO, TONES, plain
from holdfast.present.table import Tone

_BOX: Final = "font-size:13px;line-height:1.55;max-width:64em;font-variant-numeric:tabular-nums"
_HEAD: Final = "font-weight:600;font-size:14px;margin:.3em 0"
_INSIDE: Final = "margin-left:.35em;padding-left:.95em;border-left:1px solid rgba(128,128,128,.22)"
_LINE: Final = "display:flex;gap:1.2em;white-space:pre"
_NAME: Final = f"flex:1;overflow:hidden;text-overflow:ellipsis;{MONO}"
_SIZE: Final = "flex:0 0 5.5em;text-align:right"
_TIME: Final = "flex:0 0 9em;opacity:.65"
_FAINT: Final = "opacity:.65"
_SCREEN: Final = 25
"""Lines up to which everything is unfolded from the start."""

_COLUMNS: Final = (
    Column("path", Kind.PATH),
    Column("type"),
    Column("size", Kind.BYTES),
    Column("mtime", Kind.TIME),
    Column("target", Kind.PATH),
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of which some entries are shown.

    Attributes:
        path: where it is.
        entries: those that are shown, directories first.
        more: how many more it has.
        problem: why it cannot be read; "" when it can be.
        folders: the directories among the entries that were looked into, by name.
    """

    path: str
    entries: tuple[Entry, ...] = ()
    more: int = 0
    problem: str = ""
    folders: Mapping[str, Folder] = field(default_factory=dict)

    def walk(self) -> Iterator[Entry]:
        """All entries that are shown, each directory before what is in it."""
        for entry in self.entries:
            yield entry
            if entry.name in self.folders:
                yield from self.folders[entry.name].walk()

    def dict(self) -> Record:
        """Ready for JSON."""
        return {
            "path": self.path,
            "entries": [entry.dict() for entry in self.entries],
            "more": self.more,
            "problem": self.problem,
            "folders": {name: folder.dict() for name, folder in self.folders.items()},
        }


@dataclass(frozen=True, slots=True)
class Browser(Shown):
    """Some of the files of a snapshot, to look through in a notebook.

    Attributes:
        name: of the snapshot, as it was given.
        snapshot: which that is.
        root: the directory that it begins with.
    """

    name: str
    snapshot: Snapshot
    root: Folder

    def dict(self) -> Record:
        """Ready for JSON."""
        return {"snapshot": self.snapshot.dict(), "root": self.root.dict()}

    @override
    def _table(self) -> Table:
        rows = (
            (entry.path, entry.type, entry.size, entry.mtime, entry.target)
            for entry in self.root.walk()
        )
        return Table(_COLUMNS, rows, f"Files of snapshot {self.snapshot.short_id}")

    @override
    def _repr_html_(self) -> str:
        of = filter(None, (self.snapshot.host, f"{minute(self.snapshot.time)} UTC"))
        told = " · ".join((self.root.path, f"snapshot {self.snapshot.short_id}", *of))
        return (
            f'<div style="{_BOX}"><div style="{_HEAD}">{plain(told).html}</div>'
            f"{self._inside(self.root)}</div>"
        )

    @property
    def _is_small(self) -> bool:
        """Whether all of it fits on a screen."""
        return sum(1 for _ in self.root.walk()) <= _SCREEN

    def _inside(self, folder: Folder) -> str:
        lines = [
            self._directory(entry, folder.folders.get(entry.name)) if entry.is_dir else _file(entry)
            for entry in folder.entries
        ]
        if folder.problem:
            lines.append(f'<div style="{TONES[Tone.BAD]}">{plain(folder.problem).html}</div>')
        elif folder.more:
            lines.append(self._hint(f"… and {folder.more:,} more", folder.path))
        elif not folder.entries:
            lines.append(f'<div style="{_FAINT}">empty</div>')
        return f'<div style="{_INSIDE}">{"".join(lines)}</div>'

    def _directory(self, entry: Entry, folder: Folder | None) -> str:
        name = f'<span style="{MONO}">{plain(entry.name).html}/</span>'
        if folder is None:
            inside = self._hint("not looked into", entry.path)
            return _unfolding(name, f'<div style="{_INSIDE}">{inside}</div>')
        number = count(len(folder.entries) + folder.more, "entry", "entries")
        told = "cannot be read" if folder.problem else number
        tone = TONES[Tone.BAD] if folder.problem else _FAINT
        summary = f'{name} <span style="{tone}">{told}</span>'
        return _unfolding(
            summary, self._inside(folder), is_open=self._is_small or bool(folder.problem)
        )

    def _hint(self, what: str, path: str) -> str:
        """What was left out, and the call that shows it: `repr` writes any name as code."""
        call = escape(f"browse(repo, {self.name!r}, {path!r})")
        return f'<div style="{_FAINT}">{what}: <code>{call}</code></div>'


def browse(
    repo: Repository,
    snapshot: str = "latest",
    path: PathLike = "/",
    *,
    depth: int = 3,
    entries: int = 100,
    total: int = 1000,
) -> Browser:
    """Look through the files of a snapshot: unfold directories, as in a file manager.

    Directories that hold nothing but one directory are gone through to where there is a choice.

    Args:
        repo: an open repository.
        snapshot: name of the snapshot, with ``:/path`` for a place in it.
        path: where in there to begin.
        depth: how many levels of directories are looked into.
        entries: how many entries of a directory are shown.
        total: how many entries are shown in all, those of upper levels first.

    Raises:
        SnapshotNotFound, PathNotFound: it is not there.
        UsageError: the path is no directory.
    """
    spec, place = parse_spec(snapshot)
    found = repo.snapshot(spec)
    inner = os.path.normpath(f"/{place}/{os.fsdecode(path)}")
    start = _down(repo, found, "/" + inner.lstrip("/"))
    looked: list[Folder] = []
    waiting = deque([(start, 1)])
    left = total
    while waiting:
        here, level = waiting.popleft()
        folder = _folder(repo, found, here, min(entries, left))
        looked.append(folder)
        left -= len(folder.entries)
        if level < depth:
            waiting.extend((each.path, level + 1) for each in folder.entries if each.is_dir)
        if not left:
            break
    return Browser(spec, found, _assembled(looked))


def _down(repo: Repository, snapshot: Snapshot, path: str) -> str:
    """The first directory from there on that holds something else than one directory."""
    while True:
        try:
            listed = repo.listdir(snapshot.id, path)
        except DamagedRepository:
            return path
        if len(listed) != 1 or not listed[0].is_dir:
            return path
        path = listed[0].path


def _folder(repo: Repository, snapshot: Snapshot, path: str, most: int) -> Folder:
    """A directory with so many of its entries; one that is damaged hides no other."""
    try:
        listed = repo.listdir(snapshot.id, path)
    except DamagedRepository as error:
        return Folder(path, problem=str(error))
    listed.sort(key=lambda entry: not entry.is_dir)
    return Folder(path, tuple(listed[:most]), max(0, len(listed) - most))


def _assembled(looked: list[Folder]) -> Folder:
    """The first of these directories with the others in it; each comes after the one it is in."""
    done: dict[str, Folder] = {}
    for folder in reversed(looked):
        inside = {each.name: done[each.path] for each in folder.entries if each.path in done}
        done[folder.path] = replace(folder, folders=inside)
    return done[looked[0].path]


def _unfolding(summary: str, inside: str, *, is_open: bool = False) -> str:
    return (
        f"<details{' open' * is_open}>"
        f'<summary style="cursor:pointer">{summary}</summary>{inside}</details>'
    )


def _file(entry: Entry) -> str:
    name = plain(entry.name).html
    if entry.target is not None:
        name += f' <span style="{_FAINT}">→ {plain(entry.target).html}</span>'
    elif entry.type != "file":
        name += f' <span style="{_FAINT}">{entry.type}</span>'
    length = size(entry.size) if entry.type == "file" else ""
    when = "" if entry.mtime is None else minute(entry.mtime)
    return (
        f'<div style="{_LINE}"><span style="{_NAME}">{name}</span>'
        f'<span style="{_SIZE}">{length}</span><span style="{_TIME}">{when}</span></div>'
    )
