"""Looking through time, and adding up costs, in a repository on S3: with few requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.backend import Access, open_backend
from holdfast.engine.repository import Repository
from holdfast.testing.far import Far
from holdfast.testing.repositories import ManualClock, new_store, reopened

if TYPE_CHECKING:
    from tests.servers.base import Place

DIRECTORIES = 40
SNAPSHOTS = 3
MOST_GETS = 20
"""Far fewer than there are trees: what was stored together is read together."""


def test_history_grep_timeline_and_usage(s3_place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(DIRECTORIES):
        (source / f"{number}").mkdir(parents=True)
        (source / f"{number}/f").write_text(f"file {number}\n")
    backend = open_backend(s3_place.location, Access(s3_place.options))
    clock = ManualClock()
    with Repository(new_store(backend, clock=clock), clock) as repo:
        for number in range(SNAPSHOTS):
            (source / "0/f").write_text(f"version {number}\n")
            repo.backup(source)
            clock.advance(60)

    def asked(work: Callable[[Repository], None]) -> Far:
        far = Far(open_backend(s3_place.location, Access(s3_place.options)))
        with Repository(reopened(far, clock=clock), clock) as repo:
            work(repo)
        return far

    def look(repo: Repository) -> None:
        versions = repo.history(source / "0/f")
        assert [str(each.kind) for each in versions] == ["added", "modified", "modified"]
        lines = {each.line for each in repo.grep("^version", everywhere=True)}
        assert lines == {f"version {number}" for number in range(SNAPSHOTS)}

    def timeline(repo: Repository) -> None:
        steps = repo.timeline()
        assert [each.added for each in steps] == [DIRECTORIES, 0, 0]
        assert [each.changed for each in steps] == [0, 1, 1]

    def usage(repo: Repository) -> None:
        found = repo.usage(source)
        assert len(found.directories) == DIRECTORIES + 1
        parts = found.attributed, found.elsewhere, found.overhead.total
        assert sum(parts) == found.total_stored

    asked(look)
    for work in (timeline, usage):
        far = asked(work)
        assert len(far.asked("get")) <= MOST_GETS
        assert len(far.asked("list")) <= len(far.asked("get"))
