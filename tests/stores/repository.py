"""A repository in a store, used as programs do: by the public API, a place and its options."""

from __future__ import annotations

import os
from hashlib import shake_256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.integration.compare import Comparison
from tests.servers.base import Place
from tests.stores.worker import Task, Worker

import holdfast
from holdfast.backend import Access, Backend, open_backend
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

if TYPE_CHECKING:
    import pytest

PASSWORD = "a long password"
MIB = 1 << 20


class Site:
    """A folder of a store that a repository is in.

    Attributes:
        objects: all that is in it, through connections of its own: nothing that a repository has
            in mind is to hide what is there.
    """

    def __init__(self, place: Place, cache: Path | None = None) -> None:
        self._place = place
        self._cache = cache
        self.objects: Backend = open_backend(place.location, Access(place.options))

    def init(self, *, like: holdfast.Repository | None = None) -> holdfast.Repository:
        """A new repository, of small packs."""
        return holdfast.init(
            self._place.location,
            password=PASSWORD,
            pack_size=MIB,
            compression="off",
            like=like,
            storage_options=self._place.options,
            cache=self._cache is not None,
            cache_dir=self._cache,
        )

    def open(
        self, password: str | None = PASSWORD, recovery_key: str | None = None
    ) -> holdfast.Repository:
        """The repository, as another process finds it: without a cache."""
        return holdfast.open(
            self._place.location,
            password=password,
            recovery_key=recovery_key,
            storage_options=self._place.options,
            cache=False,
        )

    def names(self, folder: str) -> set[str]:
        """The objects in a folder."""
        return {info.name for info in self.objects.list(folder)}

    def beside(self) -> Site:
        """Another folder of the same bucket, whose name begins as that of this one does."""
        location, options = self._place
        return Site(Place(f"{location}-copy", options))

    def worker(self, cache: Path | None, *work: tuple[str, ...]) -> Worker:
        """A process of its own that does some work there."""
        location, options = self._place
        return Worker(
            Task(location, options, PASSWORD, None if cache is None else str(cache), work)
        )

    def close(self) -> None:
        """Let go of connections."""
        self.objects.close()


def make_passwords_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let repositories that are made from now on take a guess at their passwords for little.

    Each opening of an ordinary one takes a third of a second, by intention.
    """
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)


def noise(size: int, seed: str) -> bytes:
    """Bytes that nothing makes smaller, and that no other seed gives."""
    return shake_256(seed.encode()).digest(size)


def made(result: holdfast.BackupResult) -> holdfast.Snapshot:
    """The snapshot of a backup that had nothing to complain of."""
    assert result.errors == ()
    assert result.snapshot is not None
    return result.snapshot


def expect_equal(source: Path, copy: Path) -> None:
    """Two directories do not differ in content or metadata."""
    comparison = Comparison(os.fsencode(source), os.fsencode(copy))
    assert list(comparison.differences()) == []
    assert comparison.entries


def restored(repo: holdfast.Repository, snapshot: str, source: Path, target: Path) -> Path:
    """Restore what a snapshot has of a directory, and compare that; returns the target."""
    result = repo.restore(f"{snapshot}:{source.parent}", target)
    assert result.errors == ()
    expect_equal(source, target / source.name)
    return target


def expect_clean(repo: holdfast.Repository) -> None:
    """All data of all snapshots is as it should be."""
    report = repo.check(read_data=True, full=True)
    assert not report.findings, [finding.dict() for finding in report.findings]
    assert report.packs_read == report.packs


class Contents(NamedTuple):
    """What a snapshot of a source with plain files holds.

    Attributes:
        source: the directory.
        files: the files right in it.
    """

    source: Path
    files: dict[str, bytes]

    @classmethod
    def of(cls, source: Path) -> Contents:
        """All there is now."""
        return cls(source, {path.name: path.read_bytes() for path in source.iterdir()})

    def expect_in(self, repo: holdfast.Repository, snapshot: str, target: Path) -> None:
        """The snapshot gives back just that."""
        assert repo.restore(f"{snapshot}:{self.source}", target).errors == ()
        assert Contents.of(target).files == self.files


def make_tree(root: Path) -> Path:
    """A small tree with something of everything that is not easy."""
    root.mkdir()
    for maker in (_make_files, _make_names, _make_others):
        maker(root)
    return root


def _make_files(root: Path) -> None:
    (root / "deep/er/and/deeper").mkdir(parents=True)
    (root / "empty directory").mkdir()
    (root / "empty").touch()
    for number in range(40):
        (root / f"deep/er/{number}").write_bytes(noise(1 + number**2, f"small {number}"))
    large = noise(3 * MIB, "large")
    (root / "deep/er/and/deeper/large").write_bytes(large)
    (root / "shifted").write_bytes(b"a few bytes more" + large)
    (root / "twice").write_bytes(large[: 2 * MIB] + large[: 2 * MIB])
    with (root / "sparse").open("wb") as file:
        for offset in (5 * MIB, 40 * MIB):
            file.seek(offset)
            file.write(noise(100_000, f"at {offset}"))
        file.truncate(64 * MIB)


def _make_names(root: Path) -> None:
    names = [
        b"n" * 255, b"\xff\xfe not text", b"new\nline", b"control\x1b[31m\x7f", b"-rf", b"*?[x]",
        b"a\\b", b" ", b"...", "e\u0301".encode(), "\u00e9".encode(), b"%2F%41", b"a#b?c=d&e+f",
    ]  # fmt: skip
    (root / "names").mkdir()
    for number, name in enumerate(names):
        (root / "names" / os.fsdecode(name)).write_bytes(noise(number, f"name {number}"))


def _make_others(root: Path) -> None:
    others = root / "others"
    others.mkdir()
    (others / "one").write_bytes(noise(200_000, "linked"))
    for link in ("two", "three"):
        (others / link).hardlink_to(others / "one")
    for name, target in {
        "dangling": "no/such",
        "loop": "loop",
        "up": "../..",
        "odd": "\udcff",
    }.items():
        (others / name).symlink_to(target)
    os.mkfifo(others / "pipe", 0o620)
    (others / "modes").write_bytes(b"x")
    (others / "modes").chmod(0o4751)
    (others / "closed").mkdir()
    (others / "closed/inside").write_bytes(b"inside")
    (others / "closed").chmod(0o555)
    for name, time in {
        "before the epoch": -1_000_000_001,
        "far away": 4_102_444_800_123_456_789,
    }.items():
        (others / name).write_bytes(b"x")
        os.utime(others / name, ns=(time, time))


def change_tree(root: Path) -> None:
    """Change some of what `make_tree` made."""
    (root / "deep/er/0").write_bytes(b"changed")
    with (root / "deep/er/and/deeper/large").open("ab") as file:
        file.write(noise(MIB, "more"))
    (root / "deep/er/1").unlink()
    (root / "deep/er/2").rename(root / "moved")
    (root / "new").write_bytes(noise(50_000, "new"))
    (root / "empty").chmod(0o400)
