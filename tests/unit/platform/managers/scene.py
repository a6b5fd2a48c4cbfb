"""A small repository, a workspace and a tree, for the tests of managers."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TypeAlias

from holdfast import BackupManager, BackupValidator, RecoveryManager
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.engine.repository import Repository
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import PASSWORD, new_store

State: TypeAlias = dict[str, tuple[object, ...]]


class Scene:
    """A repository with managers of it."""

    def __init__(self, folder: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self.folder = folder
        self.location = folder / "repository"
        self.workspace = Workspace(folder / "state", clock)
        new_store(LocalBackend(self.location)).close()
        self.backup = BackupManager(
            self.location, password=PASSWORD, workspace=self.workspace, cache=False
        )
        self.repository: Repository = self.backup.repository
        self.recovery = RecoveryManager.on(self.repository, self.workspace)
        self.validator = BackupValidator.on(self.repository, self.workspace)
        self.source = folder / "source"
        self.target = folder / "target"

    def tree(self) -> Path:
        """A source with files, a directory and a link."""
        (self.source / "sub").mkdir(parents=True)
        (self.source / "a.txt").write_text("a of the backup\n" * 1000)
        (self.source / "b.tmp").write_text("b")
        (self.source / "sub" / "c.csv").write_text("1,2\n")
        (self.source / "link").symlink_to("a.txt")
        return self.source

    def snapshot(self) -> str:
        """The name of what is in the source, backed up."""
        made = self.backup.create_backup(self.source)
        return f"{made['snapshot_id']}:{self.source}"

    def events(self, event: str) -> list[str]:
        """The results of operations of a kind that the audit trail tells of."""
        return [each.result for each in self.workspace.audit.entries(event=event)]

    def close(self) -> None:
        """Close the repository."""
        self.backup.close()
        self.workspace.close()


def state(root: Path) -> State:
    """What is below a directory: of each entry its kind, mode, time of change and content."""
    found: State = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = path.readlink()
            elif stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            found[str(path.relative_to(root))] = (
                kind,
                status.st_mode,
                status.st_mtime_ns,
                content,
                status.st_nlink if stat.S_ISREG(status.st_mode) else 0,
            )
    return found
