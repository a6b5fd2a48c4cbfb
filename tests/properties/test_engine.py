"""The whole engine against a model: whatever is done, every snapshot restores exactly."""

from __future__ import annotations

import os
import random
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.length import examples

from holdfast.backend import MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.overrides import override
from holdfast.testing.repositories import new_store, reopened


@dataclass(frozen=True)
class Item:
    """What a path is: a file's content, a link's target, or None for a directory."""

    content: bytes | None
    target: str | None
    mode: int
    mtime: int


State = dict[str, Item]

NAMES = st.sampled_from(["a", "b", "a b", "ä", "deep", "x" * 40, ".hidden"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
SIZES = st.sampled_from([0, 1, 255, 256, 257, 1000, 4096, 4097, 9000, 30_000])
MODES = st.sampled_from([0o600, 0o644, 0o755, 0o400, 0o7777])
TIMES = st.integers(-(10**18), 4 * 10**18)


def scan(root: Path) -> State:
    """What is below a directory, by means that share nothing with holdfast."""
    found: State = {}
    for folder, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(folder, name)
            status = path.lstat()
            mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns
            inner = str(path.relative_to(root))
            if path.is_symlink():
                found[inner] = Item(None, str(path.readlink()), mode, mtime)
            elif path.is_dir():
                found[inner] = Item(None, None, mode, mtime)
            else:
                found[inner] = Item(path.read_bytes(), None, mode, mtime)
    return found


class Engine(RuleBasedStateMachine):
    """A source that changes, and one or two handles of a repository that backs it up."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="holdfast-engine-"))
        self.source = self.place / "source"
        self.source.mkdir()
        self.backend = MemoryBackend()
        self.handles: list[Repository] = []
        self.snapshots: dict[str, State] = {}
        self.number = 0

    @initialize(cached=st.booleans())
    def make(self, *, cached: bool) -> None:
        self.cache = self.place / "cache" if cached else None
        store = new_store(self.backend, cache=self.cache)
        self.handles.append(Repository(store, SYSTEM_CLOCK))

    @override
    def teardown(self) -> None:
        shutil.rmtree(self.place)

    # The source changes

    def _free(self, path: str) -> Path:
        """A path with directories above it, and nothing at it."""
        place = self.source / path
        for parent in [*reversed(place.parents)]:
            if parent.is_relative_to(self.source) and (parent.is_symlink() or parent.is_file()):
                parent.unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        self._remove(place)
        return place

    def _is_plain(self, path: str) -> bool:
        """Whether something is at a path, reached without a link."""
        place = self.source / path
        above = [parent for parent in place.parents if parent.is_relative_to(self.source)]
        return os.path.lexists(place) and not any(parent.is_symlink() for parent in above)

    @staticmethod
    def _remove(place: Path) -> None:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    @rule(path=PATHS, size=SIZES, seed=st.integers(0, 5), mode=MODES)
    def write(self, path: str, size: int, seed: int, mode: int) -> None:
        """Few seeds, so that files share content."""
        place = self._free(path)
        place.write_bytes(random.Random(seed).randbytes(size))  # noqa: S311 - repeatable
        place.chmod(mode)

    @rule(path=PATHS, text=st.text(max_size=10))
    def append(self, path: str, text: str) -> None:
        place = self.source / path
        if self._is_plain(path) and place.is_file() and not place.is_symlink():
            mode = place.stat().st_mode
            place.chmod(0o600)
            with place.open("ab") as file:
                file.write(text.encode("utf-8", "replace"))
            place.chmod(stat.S_IMODE(mode))

    @rule(path=PATHS, data=st.binary(min_size=1, max_size=1), at=st.integers(0, 30_000))
    def change_in_place(self, path: str, data: bytes, at: int) -> None:
        """The size stays, and so does the mtime, as a careless program may set it."""
        place = self.source / path
        if not self._is_plain(path) or place.is_symlink() or not place.is_file():
            return
        status = place.stat()
        if status.st_size:
            place.chmod(0o600)
            with place.open("r+b") as file:
                file.seek(at % status.st_size)
                file.write(data)
            place.chmod(stat.S_IMODE(status.st_mode))
            os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))

    @rule(path=PATHS, size=st.integers(1, 300_000))
    def sparse(self, path: str, size: int) -> None:
        with self._free(path).open("wb") as file:
            file.truncate(size)
            file.seek(size // 2)
            file.write(b"in the middle")

    @rule(path=PATHS, to=st.sampled_from(["a", "../x", "/no/such/place", ".", "nowhere"]))
    def link(self, path: str, to: str) -> None:
        self._free(path).symlink_to(to)

    @rule(path=PATHS, mode=st.sampled_from([0o755, 0o700, 0o1777]))
    def directory(self, path: str, mode: int) -> None:
        place = self._free(path)
        place.mkdir()
        place.chmod(mode)

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        if self._is_plain(path):
            self._remove(self.source / path)

    @rule(path=PATHS, new=PATHS)
    def rename(self, path: str, new: str) -> None:
        place = self.source / path
        if self._is_plain(path) and not (self.source / new).is_relative_to(place):
            target = self._free(new)
            if self._is_plain(path):
                place.rename(target)

    @rule(path=PATHS, mtime=TIMES)
    def touch(self, path: str, mtime: int) -> None:
        place = self.source / path
        if self._is_plain(path):
            os.utime(place, ns=(mtime, mtime), follow_symlinks=False)

    # The repository is used

    def _handle(self, number: int) -> Repository:
        return self.handles[number % len(self.handles)]

    @rule(handle=st.integers(0, 1), force=st.booleans())
    def backup(self, handle: int, *, force: bool) -> None:
        expected = scan(self.source)
        result = self._handle(handle).backup(self.source, force=force)
        assert result.errors == ()
        assert result.snapshot is not None
        self.snapshots[result.snapshot.id] = expected
        files = [item for item in expected.values() if item.content is not None]
        assert result.bytes_processed == sum(len(item.content or b"") for item in files)
        assert result.files_new + result.files_changed + result.files_unmodified == len(files)

    @rule(handle=st.integers(0, 1))
    def backup_again(self, handle: int) -> None:
        """Nothing has changed, but perhaps directories above the source, which others use."""
        self.backup(handle, force=False)
        expected = scan(self.source)
        result = self._handle(handle).backup(self.source)
        assert result.snapshot is not None
        self.snapshots[result.snapshot.id] = expected
        assert result.data_added < 2000

    @rule(handle=st.integers(0, 1))
    def rehearse(self, handle: int) -> None:
        before = dict(self.backend._objects)
        assert self._handle(handle).backup(self.source, dry_run=True).snapshot is None
        assert self.backend._objects == before

    @precondition(lambda self: len(self.handles) < 2)
    @rule()
    def open_another(self) -> None:
        self.handles.append(Repository(reopened(self.backend, cache=self.cache), SYSTEM_CLOCK))

    @rule()
    def reopen(self) -> None:
        self.handles[:] = [Repository(reopened(self.backend, cache=self.cache), SYSTEM_CLOCK)]

    @precondition(lambda self: self.snapshots)
    @rule(handle=st.integers(0, 1), data=st.data())
    def restore(self, handle: int, data: st.DataObject) -> None:
        """Into an empty directory, or over what another restore left."""
        snapshot = data.draw(st.sampled_from(sorted(self.snapshots)))
        target = self.place / f"target{data.draw(st.integers(0, 1))}"
        inner = f"{snapshot}:{self.source}"
        result = self._handle(handle).restore(inner, target, delete=True, verify=True)
        assert result.errors == ()
        assert scan(target) == self.snapshots[snapshot]

    @precondition(lambda self: self.snapshots)
    @rule(handle=st.integers(0, 1), data=st.data())
    def read(self, handle: int, data: st.DataObject) -> None:
        snapshot = data.draw(st.sampled_from(sorted(self.snapshots)))
        repository = self._handle(handle)
        found = {}
        for entry in repository.walk(snapshot, self.source):
            inner = str(Path(entry.path).relative_to(self.source))
            content = None
            if entry.type == "file":
                with repository.open_file(snapshot, entry.path) as stream:
                    content = stream.read()
            found[inner] = content
        expected = self.snapshots[snapshot]
        assert found == {path: item.content for path, item in expected.items()}

    @precondition(lambda self: len(self.snapshots) >= 2)
    @rule(handle=st.integers(0, 1), data=st.data())
    def compare(self, handle: int, data: st.DataObject) -> None:
        pair = st.sampled_from(sorted(self.snapshots))
        first, second = data.draw(pair), data.draw(pair)
        before, after = self.snapshots[first], self.snapshots[second]
        diff = self._handle(handle).diff(f"{first}:{self.source}", f"{second}:{self.source}")
        named = {change.path.strip("/") for change in diff}
        differ = {path for path in before | after if before.get(path) != after.get(path)}
        gone = {path for path in differ if (path in before) != (path in after)}
        assert named <= differ | gone
        for path in differ - named:  # it is in a directory that came or went as a whole
            assert any(str(parent) in named for parent in Path(path).parents), path

    @rule(handle=st.integers(0, 1), full=st.booleans(), read_data=st.booleans())
    def check(self, handle: int, *, full: bool, read_data: bool) -> None:
        report = self._handle(handle).check(full=full, read_data=read_data)
        assert report.findings == ()
        assert report.snapshots == len(self.snapshots)

    @invariant()
    def every_handle_lists_every_snapshot(self) -> None:
        for repository in self.handles:
            assert {snapshot.id for snapshot in repository.snapshots()} == set(self.snapshots)


Engine.TestCase.settings = settings(
    max_examples=examples(25), stateful_step_count=25, suppress_health_check=list(HealthCheck)
)
TestEngine = Engine.TestCase
