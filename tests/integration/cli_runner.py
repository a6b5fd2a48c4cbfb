"""Runs the command line in this process, which costs a tenth of what a new one does."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import holdfast
from holdfast.backend import open_backend
from holdfast.cli.run import run
from holdfast.clock import SYSTEM_CLOCK
from holdfast.primitives.chunker import PROFILES
from holdfast.primitives.kdf import KdfParams
from holdfast.store import Settings, create_store

if TYPE_CHECKING:
    import pytest

PASSWORD = "a password"

VARIABLES = tuple(
    f"{prefix}_{name}"
    for prefix in ("HOLDFAST", "RESTIC")
    for name in (
        "CONFIG",
        "DEBUG",
        "LIMIT_DOWNLOAD",
        "LIMIT_UPLOAD",
        "PASSWORD",
        "PASSWORD_COMMAND",
        "PASSWORD_FILE",
        "PROFILE",
        "REPOSITORY",
        "STORAGE_OPTIONS",
    )
)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """Standard output, which has to be exactly one JSON document."""
        found: object = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    def objects(self, name: str) -> list[dict[str, object]]:
        """A field of the document that is an array of objects."""
        found = self.document[name]
        assert isinstance(found, list)
        return found


@dataclass
class Cli:
    """The command line in an empty folder, which is the working directory, and its environment."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.patch.chdir(self.folder)
        for name in VARIABLES:
            self.patch.delenv(name, raising=False)
        self.patch.setenv("XDG_CACHE_HOME", str(self.folder / ".cache"))

    def __call__(self, *arguments: str) -> Ended:
        """Run a command."""
        loggers = logging.getLogger(), logging.getLogger("audit")
        before = [(each, each.handlers, each.level) for each in loggers]
        show = warnings.showwarning
        self.capture.readouterr()
        try:
            code = run(arguments)
        finally:
            warnings.showwarning = show
            for logger, handlers, level in before:
                for added in logger.handlers:
                    if added not in handlers:
                        added.close()
                logger.handlers = handlers
                logger.setLevel(level)
        sys.stdout.flush()
        return Ended(code, *self.capture.readouterr())

    def json(self, *arguments: str) -> Ended:
        """Run a command with ``--json``."""
        return self("--json", *arguments)

    def environment(self, **variables: str) -> None:
        """Set environment variables."""
        for name, value in variables.items():
            self.patch.setenv(name, value)

    def repository(self, name: str = "repo", *, named: bool = True) -> Path:
        """Make a repository, cheaply; named: by HOLDFAST_REPOSITORY and HOLDFAST_PASSWORD."""
        settings = Settings(PROFILES["default"], 4 << 20, 3)
        backend = open_backend(self.folder / name)
        kdf = KdfParams(memory=19 << 10, passes=1, lanes=1)
        create_store(backend, PASSWORD, settings, kdf, SYSTEM_CLOCK, None).close()
        if named:
            self.environment(HOLDFAST_REPOSITORY=name, HOLDFAST_PASSWORD=PASSWORD)
        return self.folder / name

    def tree(self) -> Path:
        """A small tree to back up."""
        top = self.folder / "data"
        (top / "sub").mkdir(parents=True)
        (top / "a.txt").write_text("alpha\n")
        (top / "b.tmp").write_text("beta\n")
        (top / "sub/c.csv").write_text("id,name\n1,Ada\n")
        (top / "link").symlink_to("a.txt")
        return top

    def library(self) -> holdfast.Repository:
        """The repository, opened by the library."""
        return holdfast.open(self.folder / "repo", password=PASSWORD, cache=False)
