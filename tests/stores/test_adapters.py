"""Storage adapters on real servers (rows R89, R90, R94)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.stores.repository import make_passwords_cheap

from holdfast import BackupManager, RecoveryManager, S3StorageAdapter
from holdfast.platform.workspace import Workspace

if TYPE_CHECKING:
    import pytest
    from tests.servers.base import Place


def adapter_at(place: Place, **other: object) -> S3StorageAdapter:
    """An adapter of a place of a server, whose options it gives by name."""
    bucket, _, prefix = place.location.removeprefix("s3://").partition("/")
    return S3StorageAdapter(bucket, prefix, storage_options={**place.options, **other})


def test_r90_r94_s3(
    s3_place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    make_passwords_cheap(monkeypatch)
    adapter = adapter_at(s3_place)
    assert adapter.test_connection() is True
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    workspace = Workspace(tmp_path / "state")
    with BackupManager(adapter, password="secret", workspace=workspace, cache=False) as manager:
        manager.init_repository()
        manager.create_backup([source])
        assert adapter.test_connection() is True
    with RecoveryManager(adapter, password="secret", workspace=workspace, cache=False) as recovery:
        recovery.restore_snapshot(f"latest:{source}", tmp_path / "target", verify=True)
    assert (tmp_path / "target" / "file").read_text() == "content"
    missing = S3StorageAdapter("no-such-bucket", storage_options=s3_place.options)
    assert missing.test_connection() is False
    if "moto" not in request.node.name:  # which lets everybody in
        assert adapter_at(s3_place, secret="wrong", key="nobody").test_connection() is False
