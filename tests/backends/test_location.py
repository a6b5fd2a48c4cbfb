"""From what users write to a backend, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.backend import LocalBackend, open_backend
from holdfast.errors import UsageError

if TYPE_CHECKING:
    import os
    from pathlib import Path


def _put(location: str | os.PathLike[str]) -> None:
    backend = open_backend(location)
    assert isinstance(backend, LocalBackend)
    backend.put("a", b"x")
    backend.close()


def test_a_path(tmp_path: Path) -> None:
    _put(str(tmp_path / "text"))
    _put(tmp_path / "path")
    assert (tmp_path / "text/a").read_bytes() == b"x"
    assert (tmp_path / "path/a").read_bytes() == b"x"


def test_a_relative_path_stays_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    backend = open_backend("repository")
    monkeypatch.chdir(tmp_path / "elsewhere")
    backend.put("a", b"x")
    backend.close()
    assert (tmp_path / "repository/a").exists()
    assert backend.location == "repository"


def test_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _put("~/repository")
    assert (tmp_path / "repository/a").exists()


def test_an_unknown_home_directory() -> None:
    with pytest.raises(UsageError, match="no-such-user-here"):
        open_backend("~no-such-user-here/repository")


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "FILE://{}"])
def test_a_file_uri(tmp_path: Path, form: str) -> None:
    _put(form.format(tmp_path / "re%20po%C3%A9"))
    assert (tmp_path / "re poé/a").exists()


def test_a_path_may_hold_what_looks_like_a_uri_or_an_escape(tmp_path: Path) -> None:
    _put(tmp_path / "s3:bucket%20")
    assert (tmp_path / "s3:bucket%20/a").exists()


def test_nothing_is_made_by_opening(tmp_path: Path) -> None:
    backend = open_backend(tmp_path / "repository")
    assert list(backend.list("")) == []
    backend.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("protocol", ["rest", "rclone", "b2"])
def test_a_kind_of_storage_that_nobody_knows(protocol: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(f"{protocol}://bucket/prefix")
    for known in (protocol, "file", "s3", "sftp", "webdav"):
        assert f"{known}://" in str(caught.value)


def test_local_is_another_word_for_file(tmp_path: Path) -> None:
    _put(f"local://{tmp_path}/repository")
    assert (tmp_path / "repository/a").exists()


@pytest.mark.parametrize(
    "location",
    [
        "abfss://container@account.dfs.core.windows.net/prefix",
        "sftp://me@host:2222/path",
        "sftp://me@[fe80::1]:22/path",
        "sftp://host/people/me@example.org/secret",
        "sftp://host:22/people/me%40example.org/secret",
        "sftp://me@host:22/people/me@example.org/secret",
        "ssh://host/path",
        "memory://monkey=1/token",
        "memory://a?version=1",
    ],
)
def test_what_is_no_secret(location: str) -> None:
    backend = open_backend(location)
    assert backend.location == location.partition("?")[0]
    backend.close()


@pytest.mark.parametrize(
    "location",
    [
        "s3://me:hunter2@bucket/prefix",
        "sftp://me:hunter2@host:22/path",
        "file://me:hunter2@localhost/path",
        "sftp:me:hunter2@host:/path",
        "rest:https:/me:hunter2@host/",
        "https://host/?token=hunter2",
        "sftp://me:hunter2%40x@host/path",
        "sftp://me%3Ahunter2@host/path",
        "sftp://me:hunt/hunter2@host/path",
        "sftp://me:hunter2?x@host/path",
        "sftp://:hunter2@host/path",
        "sftp://me:12/hunter2@host/path",
        "sftp://me:/hunter2@host/path",
        "sftp://me;password=hunter2@host/path",
        "sftp://me;password=hunt/hunter2@host/path",
        "s3://hunter2@bucket/path",
        "abfs://container/path?sv=1&sig=hunter2",
        "s3://bucket/path?X-Amz-Signature=hunter2",
        "s3://bucket/path?aws_secret_access_key=hunter2",
        "s3://bucket/path?a=1;AccountKey=hunter2",
        "memory://bucket/path?%70assword=hunter2",
        "memory://bucket/path#passphrase=hunter2",
        "nonsense://bucket/path?pwd=hunter2",
    ],
)
def test_a_password_in_a_location_is_refused_and_not_repeated(location: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(location)
    assert "hunter2" not in str(caught.value)
    assert "://" not in location or "password" in str(caught.value)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "a\0b",
        "file:///a%00b",
        "file://",
        "file://relative/path",
        "file:/single/slash",
        "file:relative",
        "host:/path",
        "s3:bucket/prefix",
        "rclone:remote:path",
        "://x",
        "simplecache::memory://x",
        "memory://x::zip://y",
        "s3://buck[et/prefix",
    ],
)
def test_locations_that_make_no_sense(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        open_backend(location)
    assert list(tmp_path.iterdir()) == []
