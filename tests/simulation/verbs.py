"""What actors do: the engine's verbs, on whatever they find, with what is recorded of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from tests.simulation.ledger import Violation
from tests.simulation.world import World, is_stream, other_repository, sources

from holdfast import CopyIncomplete
from holdfast.engine.repository import Repository
from holdfast.errors import DamagedRepository, HoldfastError, SessionLost, SnapshotNotFound


@dataclass(frozen=True)
class Task:
    """What a verb works with.

    Attributes:
        world: told of what was done.
        repo: opened by the actor.
        random: of the actor.
    """

    world: World
    repo: Repository
    random: Random

    def some_snapshot(self) -> str | None:
        """The id of one that there is; None when there is none."""
        found = self.repo.snapshots()
        return self.random.choice(found).id if found else None


Verb: TypeAlias = Callable[[Task], object]
"""Does its work; what it gives is counted as done unless it is None."""

MAY_FAIL: tuple[type[HoldfastError], ...] = (SessionLost, SnapshotNotFound)
"""What may come of it when others are at work: declared dead; somebody else was quicker."""


def backup(task: Task) -> object:
    """Back up a source; the world knows of the snapshot from then on."""
    path = task.random.choice(sorted(sources()))
    if is_stream(path):
        try:
            result = task.repo.backup_stream(io.BytesIO(sources()[path][""]), path)
        except DamagedRepository as error:
            if "cannot be read twice" in str(error):  # and packs have gone that it built upon
                return None
            raise
    else:
        result = task.repo.backup(path)
    assert result.snapshot is not None
    task.world.told.add(result.snapshot.id)
    return result


def forget(task: Task) -> object:
    """Forget a snapshot."""
    if (id_ := task.some_snapshot()) is None:
        return None
    task.world.given_up.add(id_)
    return task.repo.forget([id_], force=True)


def undelete(task: Task) -> object:
    """Bring back a snapshot that was forgotten."""
    found = task.repo.forgotten()
    if not found:
        return None
    try:
        made = task.repo.undelete(task.random.choice(found).snapshot.id)
    except DamagedRepository as error:
        if error.object.startswith("forgotten/"):  # its data has been reclaimed
            return None
        raise
    task.world.told.add(made.id)
    return made


def read(task: Task) -> object:
    """Read a snapshot; whoever does not get it whole gets an error."""
    if (id_ := task.some_snapshot()) is None:
        return None
    try:
        snapshot = task.repo.snapshot(id_)
        (path,) = snapshot.paths
        for name, content in sources()[path].items():
            with task.repo.open_file(id_, f"{path}/{name}") as file:
                if file.read() != content:
                    raise Violation(f"a reader got something else for {name} of {id_}")
    except HoldfastError:
        if id_ not in task.world.given_up:
            raise
        return None
    return snapshot


def check(task: Task) -> object:
    """Look for damage; what others have in flight is none."""
    report = task.repo.check(read_data=True)
    if not report.valid and not task.world.given_up:
        raise Violation(f"check found {report.findings}")
    return report


def prune(task: Task) -> object:
    """Give space back, moving whatever shares a pack with what is not needed."""
    return task.repo.prune(
        max_unused=task.random.choice(("0", "0", "5%")),
        wait=task.random.random() < 0.8,
        expire_after=task.random.choice((1.0, 20.0, 60.0)),
        force=True,
    )


def rewrite(task: Task) -> object:
    """Make a snapshot anew under another host, perhaps in place of the old one."""
    if (id_ := task.some_snapshot()) is None:
        return None
    if is_replaced := task.random.random() < 0.5:
        task.world.given_up.add(id_)
    result = task.repo.rewrite([id_], host=f"host {task.random.random()}", forget=is_replaced)
    (done,) = result.snapshots
    if done.snapshot is None:
        return None
    task.world.told.add(done.snapshot.id)
    return result


def copy(task: Task) -> object:
    """Copy a snapshot from another repository."""
    elsewhere = other_repository()
    chosen = task.random.choice(elsewhere.snapshots()).id
    try:
        result = elsewhere.copy(task.repo, [chosen])
    except CopyIncomplete as error:
        raise error.result.failures[0].error from error
    task.world.told.update(made.snapshot.id for made in result.copied if made.snapshot)
    return result if result.copied else None


VERBS: dict[Verb, int] = {
    backup: 6,
    forget: 4,
    prune: 4,
    undelete: 2,
    rewrite: 2,
    copy: 1,
    read: 2,
    check: 1,
}
"""All of them, and how often they are chosen."""
