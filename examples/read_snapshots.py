"""Read files straight out of snapshots, without restoring: old versions of a table, compared."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import holdfast


def rows(repo: holdfast.Repository, snapshot: str, path: Path) -> dict[str, str]:
    """A table of two columns as a snapshot has it."""
    with repo.open_file(snapshot, path) as file:
        return dict(csv.reader(io.TextIOWrapper(file, "utf-8")))


def main(folder: Path) -> None:
    """Change a table a few times, back it up each time, and tell its history."""
    table = folder / "prices.csv"
    with holdfast.init(folder / "repository", password="a long password") as repo:
        for bread, milk in (("2.10", "1.05"), ("2.30", "1.05"), ("2.30", "1.19")):
            table.write_text(f"bread,{bread}\nmilk,{milk}\n", "utf-8")
            repo.backup(table)
        before: dict[str, str] = {}
        for snapshot in repo.snapshots():
            now = rows(repo, snapshot.id, table)
            changed = {name: price for name, price in now.items() if before.get(name) != price}
            print(f"{snapshot.time:%H:%M:%S}", changed)
            before = now
        for found in repo.find("prices.csv"):
            print(found.entry.size, "bytes in", [snapshot.short_id for snapshot in found.snapshots])
        for change in repo.diff("latest~1", "latest", metadata=False):
            print(change.kind, change.path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
