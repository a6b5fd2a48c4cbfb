"""Row by row: storage adapters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast import (
    AzureStorageAdapter,
    BackupManager,
    GCSStorageAdapter,
    LocalStorageAdapter,
    S3StorageAdapter,
    UsageError,
)
from holdfast.backend import LocalBackend
from holdfast.platform.managers import StorageAdapter, open_repository
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import PASSWORD, new_store

NOBODY = "http://127.0.0.1:9"


def test_r89_r90_s3() -> None:
    adapter = S3StorageAdapter("bucket", "a/prefix/", "eu-central-1", endpoint=NOBODY)
    assert adapter.uri == "s3://bucket/a/prefix"
    assert adapter.storage_options == {"region": "eu-central-1", "endpoint": NOBODY}
    assert S3StorageAdapter("bucket").uri == "s3://bucket"


def test_r89_r91_azure() -> None:
    adapter = AzureStorageAdapter("container", "prefix", "account", account_key="c2VjcmV0")
    assert adapter.uri == "azure://container/prefix"
    assert adapter.storage_options == {"account_name": "account", "account_key": "c2VjcmV0"}
    assert "c2VjcmV0" not in repr(adapter)


def test_r89_r92_gcs() -> None:
    adapter = GCSStorageAdapter("bucket", "prefix", project="project", token="anon")
    assert adapter.uri == "gs://bucket/prefix"
    assert adapter.storage_options == {"project": "project", "token": "anon"}


@pytest.mark.parametrize("bucket", ["", "bucket/prefix"])
def test_names_that_are_none_are_refused(bucket: str) -> None:
    with pytest.raises(UsageError):
        S3StorageAdapter(bucket)


def test_r93_local(tmp_path: Path) -> None:
    adapter = LocalStorageAdapter(tmp_path / "repository")
    new_store(LocalBackend(adapter.path)).close()
    workspace = Workspace(tmp_path / "state")
    with BackupManager(adapter, password=PASSWORD, workspace=workspace, cache=False) as manager:
        assert manager.get_status()["usable"] is True
    with open_repository(adapter, password=PASSWORD, workspace=workspace, cache=False) as found:
        assert found.location == adapter.uri


def test_r94_local_connections(tmp_path: Path) -> None:
    assert LocalStorageAdapter(tmp_path).test_connection()
    assert LocalStorageAdapter(tmp_path / "not" / "yet").test_connection()
    assert list(tmp_path.iterdir()) == [], "nothing is made"
    (tmp_path / "file").write_text("")
    assert not LocalStorageAdapter(tmp_path / "file").test_connection()
    assert not LocalStorageAdapter(tmp_path / "file" / "below").test_connection()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_r94_a_local_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert not LocalStorageAdapter(tmp_path / "new").test_connection()


def test_r94_a_store_that_nobody_answers_at() -> None:
    adapter = S3StorageAdapter("bucket", endpoint=NOBODY, access_key="a", secret_key="b")
    assert adapter.test_connection() is False


def test_r94_nonsense_is_an_error() -> None:
    with pytest.raises(UsageError):
        StorageAdapter("nothing://bucket/prefix").test_connection()
    with pytest.raises(UsageError):
        S3StorageAdapter("b", storage_options={"object_lock_days": "many"}).test_connection()
