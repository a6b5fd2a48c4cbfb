"""A drill that is written down step by step, in a file: playbooks/shop.yaml."""

from __future__ import annotations

import tempfile
from pathlib import Path

from holdfast import BackupManager, DRDrill, UsageError
from holdfast.platform.drill import load_playbook
from holdfast.platform.workspace import Workspace

PLAYBOOKS = Path(__file__).parent / "playbooks"
MESSAGES: list[str] = []


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def tell(event: str, subject: str, body: str) -> None:
    """Where messages go: a mail server, a chat, or as here a list."""
    MESSAGES.append(f"{event}: {subject}: {body}")


def main(folder: Path) -> None:
    """Do all of it in a folder."""
    password_file = folder / "password.txt"
    password_file.write_text("a long password\n")
    password_file.chmod(0o600)
    shop = folder / "shop"
    shop.mkdir()
    prices = shop / "prices.json"
    prices.write_text('{"bread": 2.3, "milk": 1.19}\n')
    place = str(folder / "repository"), str(password_file)
    with Workspace(folder / "state") as workspace:
        with BackupManager(*place, workspace=workspace) as manager:
            manager.init_repository()
            manager.create_backup([shop], tags=["production"])
        drill = DRDrill(*place, workspace=workspace, notify=tell)

        print("1. playbooks that run programs are refused, unless that is allowed")
        quarterly = load_playbook(PLAYBOOKS / "quarterly.yaml")
        try:
            drill.execute_quarterly_drill(quarterly)
        except UsageError as error:
            expect(str(error), is_so="allow_execute" in str(error))
        else:
            raise SystemExit("NOT SO: it was refused")

        print("2. a drill by the playbook")
        held = drill.run_playbook(PLAYBOOKS / "shop.yaml", allow_execute=True)
        for step in held.steps:
            print(f"  {step.name}: {step.state}, {step.output.strip() or step.message}")
        expect(f"status {held.status}", is_so=held.status == "SUCCESS")
        expect(
            f"recovered in {held.recovery_time_minutes:.2f} minutes",
            is_so=held.rto_compliant is True,
        )
        expect(MESSAGES[0], is_so=MESSAGES[0].endswith("The shop was recovered."))

        print("3. the same after somebody backed up nonsense")
        prices.write_text("{bread: what?")
        with BackupManager(*place, workspace=workspace) as manager:
            manager.create_backup([shop], tags=["production"])
        failed = drill.run_playbook(PLAYBOOKS / "shop.yaml", allow_execute=True)
        for step in failed.steps:
            print(f"  {step.name}: {step.state}")
        expect(f"status {failed.status}", is_so=failed.status == "FAILED")
        states = {step.name: step.state for step in failed.steps}
        expect("nobody is told that it went well", is_so=states["Tell the team"] == "skipped")
        expect("what cleans up has run all the same", is_so=failed.steps[-1].state == "completed")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
