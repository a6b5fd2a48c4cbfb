"""Data by what it is worth: a config file with tiers becomes jobs, and the jobs make backups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import holdfast
from holdfast import BackupScheduler, environment
from holdfast.platform.workspace import Workspace

CONFIG = Path(__file__).parent / "config/tiers.yaml"
FOLDERS = ("database", "financial", "applications", "config", "logs", "temp")
CRONS = {"tier critical": "0 * * * *", "tier important": "0 2 * * *", "tier standard": "0 2 * * 0"}


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def command(folder: Path, *arguments: str) -> dict[str, object]:
    """What a command tells, as JSON, when the config file's variables are set."""
    variables = {
        "DATA": str(folder / "data"),
        "REPOSITORY": str(folder / "repository"),
        "PASSWORD_FILE": str(folder / "password.txt"),
        "HOLDFAST_STATE_DIR": str(folder / "state"),
        "PYTHONPATH": environment.variable("PYTHONPATH") or "",
        "PATH": environment.variable("PATH") or os.defpath,
        "HOME": str(folder),
    }
    print(f"  $ holdfast --config {CONFIG.name} {' '.join(arguments)}")
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "--json", "--config", str(CONFIG), *arguments],
        env=variables,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def main(folder: Path) -> None:
    """Do all of it in a folder."""
    password_file = folder / "password.txt"
    password_file.write_text("a long password\n")
    password_file.chmod(0o600)
    for name in FOLDERS:
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "file.txt").write_text(f"what is in {name}\n")

    print("1. the config file becomes jobs")
    command(folder, "init")
    command(folder, "config", "apply")
    with BackupScheduler(workspace=Workspace(folder / "state")) as scheduler:
        jobs = {str(job["name"]): job for job in scheduler.list_jobs()}
        for name, cron in CRONS.items():
            expect(f"{name} runs at {cron}", is_so=jobs[name]["cron"] == cron)

        print("2. each job runs once")
        for name in CRONS:
            run = scheduler.run_job(name)
            told = run["result"] if isinstance(run["result"], dict) else {}
            expect(f"{name}: {run['state']}, {told.get('summary')}", is_so=run["state"] == "done")

    print("3. what the repository holds")
    with holdfast.open(folder / "repository", password_file=password_file, cache=False) as repo:
        for tier in ("critical", "important", "standard"):
            (found,) = repo.snapshots(tags=[tier])
            paths = [Path(path).name for path in found.paths]
            expect(f"{tier}: {', '.join(paths)}", is_so=len(paths) == 2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
