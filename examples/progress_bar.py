"""Progress bars: a backup that is verified and a restore, shown by rich."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from holdfast import BackupManager, RecoveryManager
from holdfast.platform.workspace import Workspace


def shown(bars: Progress, description: str, seen: list[float]) -> Callable[[float], None]:
    """A callback that moves a new bar."""
    task = bars.add_task(description, total=100)

    def move(percent: float) -> None:
        seen.append(percent)
        bars.update(task, completed=percent)

    return move


def main(folder: Path) -> None:
    """Do all of it in a folder."""
    data = folder / "data"
    data.mkdir()
    for number in range(60):
        (data / f"{number:02}.bin").write_bytes(os.urandom(500_000))
    backing_up: list[float] = []
    restoring: list[float] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with (
        Workspace(folder / "state") as workspace,
        BackupManager(
            folder / "repository", password="a long password", workspace=workspace
        ) as manager,
        Progress(*columns) as bars,
    ):
        manager.init_repository()
        manager.create_backup(
            [data], progress_callback=shown(bars, "backing up", backing_up), verify=True
        )
        RecoveryManager.on(manager.repository, workspace).restore_snapshot(
            "latest",
            folder / "restored",
            verify=True,
            progress_callback=shown(bars, "restoring", restoring),
        )
    for seen in (backing_up, restoring):
        if seen != sorted(seen) or seen[-1] != 100 or not 0 <= seen[0] <= 100:
            raise SystemExit(f"NOT SO: the bar goes from left to right, to its end: {seen}")
    print(f"{len(backing_up)} and {len(restoring)} steps, from left to right")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
