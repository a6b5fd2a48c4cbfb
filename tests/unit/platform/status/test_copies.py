"""Whether the 3-2-1 rule holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast import BackendError, Repository, backup_to
from holdfast.clock import SYSTEM_CLOCK
from holdfast.platform.status import CopyPlace, Home, RuleStatus, three_two_one
from holdfast.testing.repositories import new_store

OFFICE = Home("disk", "office")
NAS = Home("nas", "office")
CLOUD = Home("cloud", "eu-west-1")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_text("x")
    return tmp_path / "data"


@pytest.fixture
def repositories() -> Iterator[list[Repository]]:
    made = [Repository(new_store(), SYSTEM_CLOCK) for _ in range(3)]
    yield made
    for each in made:
        each.close()


def at(repo: Repository, name: str, home: Home) -> CopyPlace:
    return CopyPlace(name, home, lambda: repo)


def judged(repositories: list[Repository], *homes: Home, hours: float = 24) -> RuleStatus:
    places = [at(repositories[number], f"r{number}", home) for number, home in enumerate(homes)]
    return three_two_one(OFFICE, places, max_lag=timedelta(hours=hours))


def test_r122_r123_a_backup_and_its_copy_fulfil_the_rule(
    repositories: list[Repository], source: Path
) -> None:
    repositories[0].backup([source])
    repositories[0].copy(repositories[1])
    found = judged(repositories, NAS, CLOUD)
    assert (found.ok, found.warnings, found.errors) == (True, (), ())
    (copies,) = found.sources
    assert (copies.number, copies.media, copies.offsite) == (3, ("cloud", "disk", "nas"), 1)
    assert [each.is_same for each in copies.copies] == [True, True]


def test_a_backup_to_several_is_of_one_moment(repositories: list[Repository], source: Path) -> None:
    backup_to(repositories[:2], [source])
    found = judged(repositories, NAS, CLOUD)
    assert (found.ok, found.warnings) == (True, ())


def test_x27_the_original_counts_and_what_is_missing_is_told(
    repositories: list[Repository], source: Path
) -> None:
    repositories[0].backup([source])
    (alone,) = judged(repositories, OFFICE).sources
    assert (alone.number, alone.ok) == (2, False)
    assert alone.missing == (
        "1 more copy",
        "a copy on other media than disk",
        "a copy at another place than office",
    )
    repositories[0].copy(repositories[1])
    assert judged(repositories, NAS, NAS).sources[0].missing == (
        "a copy at another place than office",
    )
    same_media = judged(repositories, OFFICE, Home("disk", "far"))
    assert same_media.sources[0].missing == ("a copy on other media than disk",)
    assert judged(repositories, CLOUD, CLOUD).warnings == (
        "all repositories are on the same kind of media: cloud",
    )
    assert judged(repositories, OFFICE).warnings == ("there are fewer than two repositories",)


def test_a_copy_that_is_too_old_or_empty_or_not_there_is_none(
    repositories: list[Repository], source: Path
) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    repositories[0].backup([source], time=now)
    repositories[1].backup([source], time=now - timedelta(hours=30))
    found = judged(repositories, NAS, CLOUD, CLOUD)
    assert [each.counts for each in found.sources[0].copies] == [True, False, False]
    assert found.sources[0].copies[1].lag == timedelta(hours=30)
    assert found.ok is False
    later = judged(repositories, NAS, CLOUD, hours=31)
    assert later.ok
    assert later.warnings[0].startswith(f"repositories hold different moments of {source}")

    def gone() -> Repository:
        raise BackendError("", "no answer")

    places = [at(repositories[0], "here", NAS), CopyPlace("far", CLOUD, gone)]
    broken = three_two_one(OFFICE, places)
    assert (broken.ok, broken.errors) == (False, (("far", "no answer"),))


def test_nothing_at_all_is_not_enough(repositories: list[Repository], source: Path) -> None:
    assert judged(repositories, NAS, CLOUD).ok is False
    backup_to(repositories[:2], [source], time=datetime(2020, 1, 1, tzinfo=UTC))
    places = [at(repositories[0], "a", NAS), at(repositories[1], "b", CLOUD)]
    assert three_two_one(OFFICE, places).ok
    old = three_two_one(OFFICE, places, since_ns=10**18 * 2)
    assert (old.ok, old.sources) == (False, ())


@pytest.mark.parametrize("again", ["/srv/a", "file:///srv/a/", "/srv/x/../a"])
def test_a_repository_that_is_named_twice_is_one_copy(
    repositories: list[Repository], source: Path, again: str
) -> None:
    repositories[0].backup([source])
    places = [at(repositories[0], "/srv/a", NAS), at(repositories[0], again, CLOUD)]
    found = three_two_one(OFFICE, places)
    assert not found.ok
    assert found.sources[0].number == 2
    assert "a repository is named twice" in found.warnings
