"""fsspec's own store in the memory of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tests.servers.base import Place, fresh

if TYPE_CHECKING:
    from pathlib import Path


class Memory:
    """``memory://``, which needs no server."""

    name: ClassVar[str] = "memory"

    def __init__(self, folder: Path) -> None:
        del self, folder  # it is made as the servers are

    def place(self) -> Place:
        """A folder that is not there yet."""
        return Place(f"memory://{fresh('folder')}/prefix", {})

    def log(self) -> str:
        """It keeps none."""
        return ""

    def stop(self) -> None:
        """Nothing runs."""
