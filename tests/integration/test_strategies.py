"""Types of backup as jobs of a plan, by the rows of the requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holdfast
from holdfast import BackupScheduler, BackupType
from holdfast.platform.workspace import Workspace
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import PASSWORD, QUICK_KDF

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PLAN = {"full": "0 1 * * 0", "incremental": "0 2 * * *", "differential": "0 3 * * *"}


def test_r124_full_weekly_incremental_and_differential_daily_log_every_quarter_of_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)
    password, repository, data = tmp_path / "password", tmp_path / "repository", tmp_path / "data"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    data.mkdir()
    (data / "wal").mkdir()
    (data / "table").write_text("1\n")
    (data / "wal/000001").write_text("insert 1\n")
    holdfast.init(repository, password=PASSWORD).close()
    access = {"backend": str(repository), "password_file": str(password)}
    with (
        Workspace(tmp_path / "state") as workspace,
        BackupScheduler(workspace=workspace) as scheduler,
    ):
        for word, cron in PLAN.items():
            config = {**access, "name": word, "sources": [str(data)], "backup_type": word}
            scheduler.add_job(cron, config)
        log = {**access, "name": "log", "sources": [str(data / "wal")], "tags": ["log"]}
        scheduler.add_job("every 15 minutes", log)
        runs = [scheduler.run_job(name) for name in (*PLAN, "log")]
    assert [run["state"] for run in runs] == ["done"] * 4
    with holdfast.open(repository, password=PASSWORD, cache=False) as repo:
        *typed, logged = repo.snapshots()
        assert [BackupType.of(each) for each in typed] == [*map(BackupType.parse, PLAN)]
        assert [each.parent for each in typed] == [None, typed[0].id, typed[0].id]
        assert logged.paths == (str(data / "wal"),)
        for each in typed:  # none of them needs another one to be restored
            done = repo.restore(f"{each.id}:{data}", tmp_path / each.id, verify=True)
            assert (done.files_restored, done.errors_total) == (2, 0)
