"""Use holdfast inside a program: back up with a progress line, look, restore, check."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import holdfast


def show(event: holdfast.ProgressEvent) -> None:
    """Print how far a backup is."""
    print(f"\r{event.percent:5.1f} %  {event.files} files, {event.bytes:,} bytes", end="")


def main(folder: Path) -> None:
    """Back up the folder in which this program is, and restore it into another."""
    source = Path(__file__).resolve().parent
    with holdfast.init(folder / "repository", password="a long password") as repo:
        result = repo.backup([source], tags=["example"], exclude=["*.pyc"], progress=show)
        print()
        for problem in result.errors:
            print("could not be read:", problem.path, problem.message, file=sys.stderr)
        for snapshot in repo.snapshots(tags=["example"]):
            print(snapshot.short_id, snapshot.time, *snapshot.paths)
        restored = repo.restore(f"latest:{source}", folder / "restored", verify=True)
        print(f"{restored.files_restored} files restored, {len(restored.errors)} errors")
        report = repo.check(read_data=True)
        print("no damage" if report.valid else report.findings)
    here = folder / "restored" / Path(__file__).name
    if here.read_bytes() != Path(__file__).read_bytes():
        raise SystemExit("the restored file is not as it was")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
