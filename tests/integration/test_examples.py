"""Every program in `examples/` runs, in a process of its own, and finds what it says.

`demo.py` has tests of its own: tests/integration/test_demo.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.cli_runner import Cli
from tests.servers.base import INSTALLED

import holdfast
from holdfast.platform.drill import load_drill, load_playbook
from holdfast.testing.repositories import QUICK_KDF

if TYPE_CHECKING:
    from tests.servers.base import Place
    from tests.servers.fixtures import Servers

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "demo.py")

NAMES = {
    "back_up_a_command",
    "complete_backup_workflow",
    "dr_drill",
    "embed",
    "playbook",
    "progress_bar",
    "protocol_class",
    "protocols",
    "read_snapshots",
    "scheduled_automation",
    "three_two_one",
    "tiers",
}

CHEAP = f"""
from holdfast.primitives import kdf
kdf.KDF_PROFILES["default"] = kdf.{QUICK_KDF}
"""
"""Run by each Python program that starts: a new repository is quick to open. Nothing else is
other than where it is used."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-sees",
    "SLACK_WEBHOOK_URL": "https://hooks.example.com/services/T0/B0/XXXX",
    "REPOSITORY": "/srv/repository",
    "PASSWORD_FILE": "/etc/holdfast/password",
    "DATA": "/srv/data",
}
"""What the config files need."""


def run(
    program: Path, folder: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "start").mkdir()
    (folder / "start/sitecustomize.py").write_text(CHEAP)
    source = str(Path(holdfast.__file__).parents[1])
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join([str(folder / "start"), source]),
        "HOLDFAST_STATE_DIR": str(folder / "state"),
    }
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", str(program), *arguments],
        cwd=folder,
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_there_is_an_example_of_each_workflow() -> None:
    assert {program.stem for program in PROGRAMS} == NAMES


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_runs_and_leaves_nothing_behind(program: Path, tmp_path: Path) -> None:
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert "NOT SO" not in done.stdout + done.stderr
    left = {path.name for path in tmp_path.iterdir()} - {"start", ".cache", "state"}
    assert not left
    assert not (tmp_path / "state").exists(), "it has a workspace of its own"


@pytest.mark.parametrize("name", ["complete_backup_workflow", "progress_bar"])
def test_an_example_notices_what_is_not_so(name: str, tmp_path: Path) -> None:
    text = (EXAMPLES / f"{name}.py").read_text()
    wrong = tmp_path / f"{name}.py"
    broken = text.replace('"files_changed"] == 1', '"files_changed"] == 2').replace(
        "!= 100", "== 100"
    )
    assert broken != text
    wrong.write_text(broken)
    done = run(wrong, tmp_path)
    assert done.returncode == 1
    assert "NOT SO" in done.stderr


def test_r122_r123_one_backup_and_two_copies_of_it_in_real_stores(
    servers: Servers, tmp_path: Path
) -> None:
    """Amazon's and Google's protocol where their servers are installed, else the first twice."""
    amazon = "versity" if (INSTALLED / "versitygw").exists() else "moto"
    google = "fake-gcs" if (INSTALLED / "fake-gcs-server").exists() else amazon
    cloud, offsite = servers.get(amazon).place(), servers.get(google).place()
    done = run(
        EXAMPLES / "three_two_one.py",
        tmp_path,
        cloud.location,
        offsite.location,
        CLOUD_OPTIONS=options(cloud),
        OFFSITE_OPTIONS=options(offsite),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is lost" in done.stdout
    with holdfast.open(
        offsite.location,
        password="a long password",
        storage_options=offsite.options,
        cache=False,
    ) as repository:
        (found,) = repository.snapshots(tags=["3-2-1", "tertiary", "offsite"])
    assert found.original is not None


def options(place: Place) -> str:
    return json.dumps(place.options)


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capfd, monkeypatch)
    cli.environment(HOLDFAST_STATE_DIR=str(tmp_path / "state"), **ENVIRONMENT)
    return cli


def planned(cli: Cli, name: str) -> dict[str, str]:
    """The jobs that a config file asks for, with their times."""
    ended = cli.json("--config", str(EXAMPLES / "config" / name), "config", "apply", "--dry-run")
    assert ended.code == 0, ended.err
    return {str(job["name"]): str(job["cron"]) for job in ended.objects("jobs")}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("config/*.yaml")), ids=lambda path: path.stem)
def test_a_config_file_is_good_and_shows_no_secret(cli: Cli, path: Path) -> None:
    ended = cli("config", "validate", str(path))
    assert (ended.code, "good" in ended.out) == (0, True), ended.err
    shown = cli("--config", str(path), "config", "show")
    assert shown.code == 0
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in shown.out + shown.err


def test_r178_to_r187_the_complete_config_file_becomes_jobs(cli: Cli) -> None:
    assert planned(cli, "backup_config.yaml") == {
        "backup /etc": "0 2 * * *",
        "backup /home": "0 2 * * *",
        "backup /var/lib": "0 2 * * *",
        "validation": "0 3 * * 0",
        "prune": "0 4 * * 0",
        "drill": "0 2 1 */3 *",
    }


def test_r121_the_incremental_strategy_becomes_jobs(cli: Cli) -> None:
    assert planned(cli, "incremental.yaml") == {
        "incremental": "0 2 * * *",
        "full": "0 2 * * 0",
        "strategy validation": "0 3 * * 0",
        "strategy pruning": "0 4 * * 0",
    }


def test_r129_the_continuous_strategy_becomes_a_job(cli: Cli) -> None:
    assert planned(cli, "continuous.yaml") == {"continuous": "*/15 * * * *"}


def test_r125_the_tiers_become_jobs(cli: Cli) -> None:
    assert planned(cli, "tiers.yaml") == {
        "tier critical": "0 * * * *",
        "tier important": "0 2 * * *",
        "tier standard": "0 2 * * 0",
    }


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("playbooks/*.yaml")), ids=lambda path: path.stem
)
def test_a_playbook_can_be_loaded(path: Path) -> None:
    assert load_playbook(path).steps


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("drills/*.yaml")), ids=lambda path: path.stem)
def test_a_drill_can_be_loaded(path: Path) -> None:
    assert load_drill(path, allow_execute=True).validation_checks
