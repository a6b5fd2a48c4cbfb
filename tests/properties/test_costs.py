"""What costs what, against plain models: random histories of one folder, two hosts, many forgets.

The models go over every tree of every snapshot without any of the short cuts, and keep sets.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.length import examples

from holdfast import Snapshot, Usage
from holdfast.backend import Backend, MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.model.content import references
from holdfast.model.node import NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content, lookup
from holdfast.overrides import override
from holdfast.primitives.ids import BlobId
from holdfast.progress import ProgressEvent
from holdfast.store import Store
from holdfast.store.pack import share
from holdfast.testing.repositories import ManualClock, attached, copied, new_store

NAMES = st.sampled_from(["a", "b", "ä"])
PATHS = st.lists(NAMES, min_size=1, max_size=2).map("/".join)
SIZES = st.sampled_from([0, 1, 300, 3000, 9000, 40_000])


@dataclass(frozen=True)
class Item:
    """A file's content, or None for a directory, and its metadata."""

    content: bytes | None
    mode: int
    mtime: int


State = dict[str, Item]

Edit = tuple[str, str, str, int, int]
"""What is done, to which path, another path, a size and a seed."""

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "folder", "remove", "rename", "mode"]),
        PATHS,
        PATHS,
        SIZES,
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=5,
)


def scan(root: Path) -> State:
    """What is below a directory, by means that share nothing with holdfast."""
    found: State = {}
    for folder, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(folder, name)
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            inner = str(path.relative_to(root))
            found[inner] = Item(content, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
    return found


def blobs(tree: BlobId, loader: BlobLoader) -> Iterator[tuple[bytes, bytes]]:
    """Every (directory's path, blob) that a tree needs, in the order of attribution."""

    def visit(tree: BlobId, path: bytes) -> Iterator[tuple[bytes, bytes]]:
        pages: list[BlobId] = []
        nodes = list(load_directory(tree, loader, on_page=pages.append))
        for node in nodes:
            if node.type == NodeType.FILE:
                yield from ((path, blob) for _, blob in references(file_content(node), loader))
        yield from ((path, page) for page in pages)
        for node in nodes:
            if node.type == NodeType.DIRECTORY:
                yield from visit(directory_tree(node), path + b"/" + node.name)

    return visit(tree, b"")


def stored_in(store: Store) -> tuple[dict[bytes, int], Counter[bytes]]:
    """What each blob takes, in the first of its packs, and what all its copies take."""
    first: dict[bytes, int] = {}
    every: Counter[bytes] = Counter()
    packs = store.list_packs().packs
    table = store.catalog.refresh()
    for blob, at in table.rows():
        if table.pack(at.pack).name in packs:
            size = share(at.segment.stored, at.segment.raw, at.offset, at.length)
            first.setdefault(blob, size)
            every[blob] += size
    return first, every


def total(backend: Backend) -> int:
    return sum(info.size for info in backend.list(""))


def expect_sums(usage: Usage, backend: Backend) -> None:
    """The law: all that is stored is attributed, once."""
    assert usage.total_stored == total(backend)
    assert usage.attributed + usage.elsewhere + usage.overhead.total == usage.total_stored
    assert usage.directories[0].attributed == usage.attributed
    assert sum(each.own for each in usage.directories) == usage.attributed
    assert sum(each.attributed for each in usage.snapshots) == usage.attributed
    overhead = usage.overhead
    lines = {each.name: getattr(overhead, each.name) for each in fields(overhead)}
    assert all(size >= 0 for size in (usage.elsewhere, *lines.values())), lines
    for each in usage.directories:
        below = [
            other.attributed
            for other in usage.directories
            if other.depth == each.depth + 1 and other.path.startswith(each.path.rstrip("/") + "/")
        ]
        assert each.attributed == each.own + sum(below)


class Costs(RuleBasedStateMachine):
    """A folder that changes, a repository that two hosts back it up to, and what is known of it."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="holdfast-costs-"))
        self.source = self.place / "source"
        self.source.mkdir()
        self.clock = ManualClock()
        self.backend = MemoryBackend()
        self.states: dict[str, State] = {}

    @initialize()
    def make(self) -> None:
        self.store = new_store(self.backend, clock=self.clock)
        self.repo = Repository(self.store, self.clock)

    @override
    def teardown(self) -> None:
        shutil.rmtree(self.place)

    # The folder changes

    def _free(self, path: str) -> Path:
        place = self.source / path
        for parent in [*reversed(place.parents)]:
            if parent.is_relative_to(self.source) and parent.is_file():
                parent.unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        self._remove(place)
        return place

    @staticmethod
    def _remove(place: Path) -> None:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _change(self, edits: list[Edit]) -> None:
        for deed, path, new, size, seed in edits:
            place = self.source / path
            if deed == "write":
                self._write(path, size, seed)
            elif deed == "folder":
                self._free(path).mkdir()
            elif deed == "remove" and place.parent.is_dir():
                self._remove(place)
            elif deed == "rename":
                self._rename(path, new)
            elif deed == "mode" and place.is_file():
                place.chmod(0o600 if seed % 2 else 0o755)

    def _write(self, path: str, size: int, seed: int) -> None:
        """Few seeds, so that files share content; half of it can be compressed."""
        made = random.Random(seed)  # noqa: S311 - repeatable
        text = bytes(made.randrange(1, 9) for _ in range(size // 2))
        self._free(path).write_bytes(made.randbytes(size - len(text)) + text)

    def _rename(self, path: str, new: str) -> None:
        place = self.source / path
        if place.exists() and not (self.source / new).is_relative_to(place):
            target = self._free(new)
            if place.exists():
                place.rename(target)

    # The repository is used

    @rule(edits=EDITS, host=st.sampled_from(["one", "two"]))
    def back_up(self, edits: list[Edit], host: str) -> None:
        self._change(edits)
        self.clock.advance(1)
        state = scan(self.source)
        snapshot = self.repo.backup(self.source, host=host).snapshot
        assert snapshot is not None
        self.states[snapshot.id] = state

    @rule(edits=EDITS)
    def back_up_twice_at_once(self, edits: list[Edit]) -> None:
        """Two writers that know nothing of each other store the same blobs."""
        self._change(edits)
        self.clock.advance(1)
        state = scan(self.source)
        other = Repository(attached(self.store, self.backend, clock=self.clock), self.clock)
        begun: list[ProgressEvent] = []

        def begin_another(event: ProgressEvent) -> None:
            if not begun:
                begun.append(event)
                second = other.backup(self.source, host="two", force=True).snapshot
                assert second is not None
                self.states[second.id] = state

        first = self.repo.backup(
            self.source, host="one", force=True, progress=begin_another
        ).snapshot
        assert first is not None
        self.states[first.id] = state

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(list(self.states)))
        self.repo.forget([gone], force=True)
        del self.states[gone]

    @precondition(lambda self: self.states)
    @rule(max_unused=st.sampled_from([0, "20%", "unlimited"]))
    def prune(self, max_unused: int | str) -> None:
        self.clock.advance(1)
        self.repo.prune(max_unused=max_unused, force=True)

    # What is told of it

    def _needed(self, loader: BlobLoader) -> dict[str, list[tuple[bytes, bytes]]]:
        return {each.id: list(blobs(each.tree, loader)) for each in self.repo.snapshots()}

    @precondition(lambda self: self.states)
    @rule(data=st.data(), depth=st.integers(0, 4))
    def add_up(self, data: st.DataObject, depth: int) -> None:
        """Some of the snapshots, or all of them; the folder, or everything."""
        names = st.lists(st.sampled_from(list(self.states)), min_size=1, unique=True)
        chosen = data.draw(st.none() | names)
        path = data.draw(st.sampled_from(["/", str(self.source)]))
        usage = self.repo.usage(path, snapshots=chosen, depth=depth)
        expect_sums(usage, self.backend)
        first, every = stored_in(self.store)
        with self.store.loader() as loader:
            needed = self._needed(loader)
            snapshots = [s for s in self.repo.snapshots() if chosen is None or s.id in chosen]
            self._expect_freed(usage, snapshots, needed, first)
            self._expect_owners(usage, snapshots, path, depth, first, loader)
        all_needed = {blob for each in needed.values() for _, blob in each}
        twice = {blob: every[blob] - first[blob] for blob in all_needed}
        assert usage.overhead.duplicates == sum(twice.values())
        assert usage.overhead.unneeded == sum(every.values()) - sum(
            every[blob] for blob in all_needed
        )
        assert usage.missing == usage.overhead.unknown == usage.overhead.condemned == 0

    @staticmethod
    def _expect_freed(
        usage: Usage,
        snapshots: list[Snapshot],
        needed: dict[str, list[tuple[bytes, bytes]]],
        stored: dict[bytes, int],
    ) -> None:
        sets = {id_: {blob for _, blob in each} for id_, each in needed.items()}

        def freed(gone: set[str]) -> int:
            others = set().union(*(sets[id_] for id_ in sets if id_ not in gone))
            return sum(stored[each] for each in set().union(*(sets[id_] for id_ in gone)) - others)

        assert [each.snapshot.id for each in usage.snapshots] == [each.id for each in snapshots]
        assert [each.freed for each in usage.snapshots] == [freed({s.id}) for s in snapshots]
        assert usage.freed == freed({each.id for each in snapshots})

    def _expect_owners(
        self,
        usage: Usage,
        snapshots: list[Snapshot],
        path: str,
        depth: int,
        stored: dict[bytes, int],
        loader: BlobLoader,
    ) -> None:
        owned: Counter[str] = Counter()
        by_snapshot: Counter[str] = Counter()
        seen: set[bytes] = set()
        top = path.rstrip("/")
        for snapshot in snapshots:
            node = lookup(snapshot.tree, os.fsencode(path), loader)
            for place, blob in blobs(directory_tree(node), loader):
                if blob not in seen:
                    seen.add(blob)
                    owner = top + "".join(f"/{each}" for each in _names(place)[:depth])
                    owned[owner or "/"] += stored[blob]
                    by_snapshot[snapshot.id] += stored[blob]
        assert {each.path: each.own for each in usage.directories if each.own} == {
            path: size for path, size in owned.items() if size
        }
        assert [each.attributed for each in usage.snapshots] == [
            by_snapshot[each.id] for each in snapshots
        ]
        newest = [self.states[each.id] for each in {s.host: s for s in snapshots}.values()]
        for each in usage.directories:
            if Path(each.path).is_relative_to(self.source):
                inner = Path(each.path).relative_to(self.source)
                held = [
                    len(item.content)
                    for state in newest
                    for name, item in state.items()
                    if item.content is not None and inner in Path(name).parents
                ]
                assert (each.files, each.size) == (len(held), sum(held)), each.path

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        """What a snapshot is said to free is what a prune without it frees."""
        gone = data.draw(st.sampled_from(list(self.states)))
        first, every = stored_in(self.store)
        usage = self.repo.usage(snapshots=[gone])
        with self.store.loader() as loader:
            needed = {blob for each in self._needed(loader).values() for _, blob in each}
        before = self.repo.prune(dry_run=True)
        backend = copied(self.backend)
        store = attached(self.store, backend, clock=self.clock)
        repo = Repository(store, self.clock)
        repo.forget([gone], force=True)
        after = repo.prune(dry_run=True)
        if first == every:  # of several copies a prune may keep another one
            # A prune rounds up the share of each blob.
            assert abs(before.used - after.used - usage.freed) <= len(first)
        self.clock.advance(1)
        repo.prune(max_unused=0, force=True)
        left = set(stored_in(store)[0])
        assert sum(first[each] for each in needed - left) == usage.freed
        assert left <= needed
        expect_sums(repo.usage(), backend)

    @rule()
    def look_back(self) -> None:
        """The timeline is what comparing dictionaries, and sets of blobs, gives."""
        steps = self.repo.timeline()
        assert [each.snapshot.id for each in steps] == [s.id for s in self.repo.snapshots()]
        latest: dict[str, str] = {}
        seen: set[bytes] = set()
        with self.store.loader() as loader:
            needed = self._needed(loader)
        table = self.store.catalog.refresh()
        way = len(self.source.parts) - 1
        for step in steps:
            id_, host = step.snapshot.id, step.snapshot.host
            assert (step.previous.id if step.previous else None) == latest.get(host)
            before = self.states[latest[host]] if host in latest else {}
            latest[host] = id_
            after = self.states[id_]
            old, new = files(before), files(after)
            both = old.keys() & new.keys()
            changed = {path for path in both if old[path] != new[path]}
            assert step.added == len(new.keys() - old.keys())
            assert step.removed == len(old.keys() - new.keys())
            assert step.changed == len(changed)
            assert step.metadata == sum(before[each] != after[each] for each in both - changed)
            come, gone = (new.keys() - old.keys()) | changed, (old.keys() - new.keys()) | changed
            assert step.bytes_added == sum(len(new[path]) for path in come)
            assert step.bytes_removed == sum(len(old[path]) for path in gone)
            old_folders, new_folders = before.keys() - old.keys(), after.keys() - new.keys()
            first = way if step.previous is None else 0
            assert step.directories_added == len(new_folders - old_folders) + first
            assert step.directories_removed == len(old_folders - new_folders)
            sizes = [table.sizes(BlobId(blob)) for blob in {b for _, b in needed[id_]} - seen]
            seen |= {blob for _, blob in needed[id_]}
            assert step.new_bytes == sum(raw for raw, _ in filter(None, sizes))
            assert step.new_stored == sum(stored for _, stored in filter(None, sizes))


def _names(path: bytes) -> list[str]:
    return [os.fsdecode(each) for each in path.split(b"/") if each]


def files(state: State) -> dict[str, bytes]:
    return {path: item.content for path, item in state.items() if item.content is not None}


Costs.TestCase.settings = settings(
    max_examples=examples(25), stateful_step_count=20, suppress_health_check=list(HealthCheck)
)
TestCosts = Costs.TestCase


# Comparing with live files

DEEDS = st.sampled_from(
    ["nothing", "flip", "flip", "rewrite", "grow", "chmod", "touch", "remove", "folder", "link"]
)
KINDS = {
    "flip": "bit-rot",
    "rewrite": "content",
    "grow": "content",
    "chmod": "metadata",
    "touch": "metadata",
    "remove": "missing",
    "folder": "type",
    "link": "type",
}


def flip(path: Path, at: int) -> None:
    """Change a bit, and leave the time of the file as it was."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def do(deed: str, path: Path, at: int) -> None:
    """Do something to a file, and say with its time whether somebody did."""
    data, time = path.read_bytes(), path.stat().st_mtime_ns
    match deed:
        case "flip":
            flip(path, at)
        case "rewrite":
            path.write_bytes(bytes(each ^ 1 for each in data))
            os.utime(path, ns=(0, time + 1))
        case "grow":
            path.write_bytes(data + b"more")
            os.utime(path, ns=(0, time))
        case "chmod":
            path.chmod(0o640)
        case "touch":
            os.utime(path, ns=(0, time - 5))
        case "remove" | "folder" | "link":
            replace(path, deed)
        case _:
            assert deed == "nothing"


def replace(path: Path, deed: str) -> None:
    path.unlink()
    if deed == "folder":
        path.mkdir()
    elif deed == "link":
        path.symlink_to("nowhere")


def make(folder: Path, sizes: list[int], seed: int, *, sparse: bool) -> list[Path]:
    """Files in two directories, perhaps with a hole each."""
    (folder / "sub").mkdir(parents=True)
    paths = [folder / ("sub" if n % 2 else ".") / f"file{n}" for n in range(len(sizes))]
    made = random.Random(seed)  # noqa: S311 - repeatable
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(made.randbytes(size))
        if sparse:
            with path.open("r+b") as file:
                file.truncate(size + 200_000)
                file.seek(size + 150_000)
                file.write(b"x")
        path.chmod(0o600)
    return paths


@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(
    deeds=st.lists(
        st.tuples(st.sampled_from([1, 100, 5000, 40_000]), DEEDS, st.integers(0, 1 << 20)),
        min_size=1,
        max_size=6,
    ),
    sparse=st.booleans(),
    elsewhere=st.booleans(),
)
def test_a_comparison_tells_what_was_done(
    deeds: list[tuple[int, str, int]], *, sparse: bool, elsewhere: bool
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, live = Path(place, "live"), Path(place, "live")
        paths = make(folder, [size for size, _, _ in deeds], deeds[0][2], sparse=sparse)
        clock = ManualClock()
        repo = Repository(new_store(clock=clock), clock)
        repo.backup(folder)
        if elsewhere:
            live = Path(place, "copy")
            repo.restore(f"latest:{folder}", live)
        times = {each: each.stat() for each in (live, live / "sub")}
        expected: dict[str, tuple[str, int | None]] = {str(folder / "new"): ("new", None)}
        (live / "new").write_text("new")
        for path, (_, deed, at) in zip(paths, deeds, strict=True):
            mine = live / path.relative_to(folder)
            offset = at % mine.stat().st_size
            do(deed, mine, offset)
            if deed in KINDS:
                inner = str(path)
                expected[inner] = KINDS[deed], offset if deed == "flip" else None
        for each, status in times.items():
            os.utime(each, ns=(status.st_atime_ns, status.st_mtime_ns))
        found = repo.compare(*([f"latest:{folder}", live] if elsewhere else ["latest"]))
        assert {each.path: (str(each.kind), each.offset) for each in found} == expected
        kinds = Counter(kind for kind, _ in expected.values())
        counts = found.counts.dict()
        assert all(counts[kind.replace("-", "_")] == kinds[kind] for kind in kinds)
        assert counts["total"] == len(expected)
        quick = repo.compare(f"latest:{folder}", live, read_data=False)
        rest = {path: kind for path, kind in expected.items() if kind[0] != "bit-rot"}
        assert {each.path: (str(each.kind), each.offset) for each in quick} == rest
