"""The HTML report in a real browser: what is drawn, and that it fetches nothing."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

from PIL import Image
from tests.servers.base import NotInstalledError, give_up, on_system
from tests.unit.platform.compliance.test_reports import GOOD, Morning

from holdfast.platform.compliance import ComplianceReporter
from holdfast.platform.drill.history import keep
from holdfast.platform.workspace import Workspace

GREEN, RED, BLUE, GREY = (46, 125, 50), (198, 40, 40), (21, 101, 192), (110, 119, 129)


def test_the_report_in_a_browser(tmp_path: Path) -> None:
    try:
        browser = on_system("chromium")
    except NotInstalledError as error:
        give_up(error)
    with Workspace(tmp_path / "state", Morning()) as workspace:
        before = GOOD.time.replace(month=10)
        keep(workspace, replace(GOOD, drill_id="1", time=before), "drill")
        keep(workspace, GOOD, "drill")
        drill = replace(GOOD, validation_results={"integrity": True, "encryption_status": None})
        reporter = ComplianceReporter(tmp_path / "out", workspace=workspace)
        file = Path(str(reporter.generate_report(drill, "SOC2", "html")["report_file"]))
    picture = tmp_path / "picture.png"
    ended = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1100,2400",
            f"--screenshot={picture}", file.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    with Image.open(picture) as image:
        colours = Counter(image.convert("RGB").get_flattened_data())
    # Badges, bars of phases and of past drills; a badge of a word is some 60 by 20 pixels.
    assert colours[GREEN] > 5000
    assert colours[RED] > 1500
    assert colours[BLUE] > 5000
    assert colours[GREY] > 1500
