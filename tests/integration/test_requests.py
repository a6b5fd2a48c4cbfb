"""How often a far storage is asked for something: bounds that an unchanged backup has to keep."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.backend import MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.platform.audit import AuditTrail
from holdfast.platform.audit.trail import MOST_UNSEEN
from holdfast.primitives.chunker import PROFILES
from holdfast.store import CacheFolder, Settings, create_store, open_store
from holdfast.testing.far import Far
from holdfast.testing.repositories import PASSWORD, QUICK_KDF

FILES = 3000

OPENING = ["list config", "list keys", "get config", "get keys"]
"""The newest config and the key slots there are, which nothing may tell but the storage."""

CHOOSING = ["list snapshots", "list labels"]

BEGINNING = ["put sessions", "list gc", "list config", "list index", "list data"]
"""F43 and F44 of the format: announce, what is condemned, the settings, the index, the packs."""

ENDING = [
    *["stat sessions", "list gc", "list config", "list data"],
    *["put_if_absent snapshots", "delete sessions"],
]
"""F46 to F48: look at all of it afresh, commit, and clear the session away."""


ANCHORING = ["put audit", "list config"]
"""F58: the anchor, and whether its keys are still those in force."""


class Place:
    """A tree of some thousand files, and a far repository that two backups have been made in."""

    def __init__(self, folder: Path) -> None:
        self.objects = MemoryBackend()
        self.machine = folder / "machine"
        self.cache = self.machine / "cache"
        self.source = folder / "source"
        for number in range(FILES):
            path = self.source / f"{number // 100}" / f"{number}"
            if number % 100 == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(b"%d" % number)
        self.machine.mkdir()  # now, as a backup notes the times of the folders above
        settings = Settings(PROFILES["default"], 16 << 20, 3)
        create_store(self.objects, PASSWORD, settings, QUICK_KDF, SYSTEM_CLOCK, None).close()
        self.ask(lambda repo: repo.backup(self.source))
        self.ask(lambda repo: repo.backup(self.source))
        self.ask(lambda repo: repo.hold("latest"))
        self.ask(lambda repo: list(repo.walk("latest")))

    def ask(
        self,
        work: Callable[[Repository], object],
        limit: int = 1 << 30,
        cache: Path | None = None,
    ) -> Far:
        far = Far(self.objects)
        kept = CacheFolder(cache or self.cache, limit)
        store = open_store(far, PASSWORD, SYSTEM_CLOCK, kept)
        with Repository(store, SYSTEM_CLOCK) as repo:
            work(repo)
        return far

    def steady(self, work: Callable[[], Far]) -> Far:
        """What some work asks for that begins right after backups of the source.

        It is done again if a directory above the source, such as that of temporary files, was
        changed meanwhile: a backup holds these, too.
        """
        for _ in range(50):
            before = [path.stat().st_mtime_ns for path in self.source.parents]
            for _ in range(2):  # the second takes in the index of the first
                self.ask(lambda repo: repo.backup(self.source))
            far = work()
            if before == [path.stat().st_mtime_ns for path in self.source.parents]:
                return far
        pytest.fail("what is above the source never stayed as it was")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("requests"))


def test_opening(place: Place) -> None:
    assert place.ask(lambda _: None).asked() == OPENING


def test_listing(place: Place) -> None:
    assert place.ask(lambda repo: repo.snapshots()).asked() == [*OPENING, *CHOOSING]


def test_browsing(place: Place) -> None:
    for work in (
        lambda repo: repo.listdir("latest", place.source / "7"),
        lambda repo: list(repo.walk("latest")),
        lambda repo: list(repo.find("17*")),
    ):
        asked = place.ask(work).asked()
        assert [each for each in asked if each not in {*OPENING, *CHOOSING}] == ["list index"]


def test_an_unchanged_backup(place: Place) -> None:
    def backup(repo: Repository) -> None:
        assert repo.backup(place.source).files_unmodified == FILES

    for number in range(3):
        far = place.steady(lambda: place.ask(backup))
        assert far.asked() == [*OPENING, *CHOOSING, *BEGINNING, *ENDING], f"backup {number}"
        assert far.bytes_read < 4096


def test_the_first_backup_after_one_that_stored_something(place: Place) -> None:
    """It takes in the index objects of that one, which were kept on this machine."""

    def backups() -> Far:
        (place.machine / "new").write_bytes(secrets.token_bytes(16))
        place.ask(lambda repo: repo.backup(place.machine / "new"))
        return place.ask(lambda repo: repo.backup(place.source))

    asked = place.steady(backups).asked()
    assert asked == [*OPENING, *CHOOSING, *BEGINNING, *ENDING]


def test_the_anchor_of_the_audit_trail(place: Place) -> None:
    """One that a look precedes, one each without, and a look again."""
    trail = AuditTrail(place.machine / "audit.log")

    def anchor() -> list[str]:
        trail.record("backup")
        asked = place.ask(lambda repo: trail.anchor(repo, quick=True)).asked()
        assert asked[: len(OPENING)] == OPENING
        return asked[len(OPENING) :]

    assert anchor() == ["list audit", *ANCHORING]
    for _ in range(MOST_UNSEEN):
        assert anchor() == ANCHORING
    drops = ["delete audit"] * (MOST_UNSEEN + 1)
    seen = anchor()
    assert [each for each in seen if each == "delete audit"] == drops
    assert seen.count("list audit") == 1
    assert len([*OPENING, *CHOOSING, *BEGINNING, *ENDING, *ANCHORING]) <= 20


def test_the_restore_of_one_small_file(place: Place) -> None:
    target = place.machine / "target"

    def restore(repo: Repository) -> None:
        repo.restore(f"latest:{place.source}", target, include="1717")

    far = place.ask(restore)
    assert far.asked() == [*OPENING, *CHOOSING, "list index", "get data"]
    assert (target / "17" / "1717").read_bytes() == b"1717"
    assert far.bytes_read < 1 << 20


def test_a_snapshot_that_is_named_in_full(place: Place) -> None:
    name = ""

    def choose(repo: Repository) -> None:
        nonlocal name
        name = repo.snapshot("latest").id

    place.ask(choose)
    far = place.ask(lambda repo: repo.snapshot(name))
    assert far.asked() == [*OPENING, "stat snapshots", "list labels"]


def test_without_a_cache_metadata_is_fetched(place: Place) -> None:
    """What the others save."""
    none = place.machine / "no cache"  # the other tests need theirs, whichever comes first
    asked = place.ask(lambda repo: list(repo.walk("latest")), 0, none).asked("get")
    assert asked.count("get snapshots") >= 2
    assert "get data" in asked
    assert not list(none.rglob("metadata"))
