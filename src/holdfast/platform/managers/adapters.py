"""Storage adapters: a store, said with named arguments where a repository's location is asked for.

    BackupManager(S3StorageAdapter("bucket", "backups", region="eu-central-1"), "password.txt")

An adapter is a location and the options of its driver, and holds nothing open.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeAlias, Union

from holdfast.backend import Access, Backend, Retrying, open_backend
from holdfast.errors import BackendError, UsageError
from holdfast.overrides import override

_log = logging.getLogger(__name__)


class StorageAdapter:
    """A place for a repository, whatever its kind.

    Attributes:
        uri: location, as `holdfast.open` takes it.
        storage_options: for the driver; may hold secrets, so they are never shown.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, object] | None = None) -> None:
        given = storage_options or {}
        self.uri = uri
        self.storage_options = {key: value for key, value in given.items() if value is not None}

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uri}>"

    def test_connection(self) -> bool:
        """Whether the store answers, at the first try, and lets its folder be listed.

        Nothing is stored: that a repository is there, or can be made, is another question, which
        `holdfast.test_storage` answers.

        Raises:
            UsageError: the location or an option makes no sense, or the driver is not installed.
        """
        try:
            with closing(open_backend(self.uri, Access(self.storage_options))) as store:
                self._try(store.backend if isinstance(store, Retrying) else store)
        except BackendError as error:
            _log.warning("%s cannot be used: %s", self.uri, error)
            return False
        return True

    def _try(self, store: Backend) -> None:
        """Do the least that shows whether it can be used (BackendError if it cannot)."""
        next(iter(store.list("")), None)


class S3StorageAdapter(StorageAdapter):
    """A folder of a bucket of Amazon S3, or of a store that speaks its protocol.

    Args:
        bucket: its name.
        prefix: the folder in it; all of the bucket when "".
        region: the bucket's, such as ``eu-central-1``.
        endpoint: URL of the store, when it is not Amazon's.
        access_key: id of an access key; else the environment and the files of AWS's tools count.
        secret_key: the secret that goes with it.
        session_token: of temporary credentials.
        profile: of the files of AWS's tools.
        storage_options: any other option of the driver.

    Raises:
        UsageError: the bucket has no name that a bucket can have.
    """

    def __init__(  # noqa: PLR0913 - what a store may ask for
        self,
        bucket: str,
        prefix: str = "",
        region: str | None = None,
        *,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        profile: str | None = None,
        storage_options: Mapping[str, object] | None = None,
    ) -> None:
        told = {
            "region": region,
            "endpoint": endpoint,
            "key": access_key,
            "secret": secret_key,
            "token": session_token,
            "profile": profile,
        }
        super().__init__(_uri("s3", bucket, prefix), {**told, **(storage_options or {})})


class AzureStorageAdapter(StorageAdapter):
    """A folder of a container of Azure Blob Storage.

    Args:
        container: its name.
        prefix: the folder in it; all of the container when "".
        account_name: the storage account; else the environment names it.
        account_key: its key.
        sas_token: in place of a key.
        connection_string: in place of all three.
        endpoint: URL of the blob service, when it is not Azure's usual one.
        storage_options: any other option of the driver.

    Raises:
        UsageError: the container has no name that a container can have.
    """

    def __init__(  # noqa: PLR0913 - what a store may ask for
        self,
        container: str,
        prefix: str = "",
        account_name: str | None = None,
        *,
        account_key: str | None = None,
        sas_token: str | None = None,
        connection_string: str | None = None,
        endpoint: str | None = None,
        storage_options: Mapping[str, object] | None = None,
    ) -> None:
        told = {
            "account_name": account_name,
            "account_key": account_key,
            "sas_token": sas_token,
            "connection_string": connection_string,
            "endpoint": endpoint,
        }
        super().__init__(_uri("azure", container, prefix), {**told, **(storage_options or {})})


class GCSStorageAdapter(StorageAdapter):
    """A folder of a bucket of Google Cloud Storage.

    Args:
        bucket: its name.
        prefix: the folder in it; all of the bucket when "".
        project: the project, where the credentials do not say it.
        token: a key file, or what else gcsfs takes; else Google's usual places count.
        endpoint: URL of the store, when it is not Google's.
        storage_options: any other option of the driver.

    Raises:
        UsageError: the bucket has no name that a bucket can have.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        project: str | None = None,
        *,
        token: str | None = None,
        endpoint: str | None = None,
        storage_options: Mapping[str, object] | None = None,
    ) -> None:
        told = {"project": project, "token": token, "endpoint_url": endpoint}
        super().__init__(_uri("gs", bucket, prefix), {**told, **(storage_options or {})})


class LocalStorageAdapter(StorageAdapter):
    """A directory, on this machine or mounted from another.

    Args:
        path: of the directory; one that does not exist yet is made by the first backup.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        super().__init__(str(self.path))

    @override
    def _try(self, store: Backend) -> None:
        """Also find out whether the directory could be made, if it is not there."""
        super()._try(store)
        there = next(each for each in (self.path, *self.path.parents) if os.path.lexists(each))
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise BackendError("", f"{there} is no directory that can be written")


Place: TypeAlias = Union[str, "os.PathLike[str]", StorageAdapter]
"""Where a repository is: a path, a URI, or an adapter."""


def _uri(scheme: str, bucket: str, prefix: str) -> str:
    if not bucket or "/" in bucket:
        raise UsageError(f"{bucket!r} is no name of a bucket or container: a prefix goes apart")
    folder = prefix.strip("/")
    return f"{scheme}://{bucket}/{folder}" if folder else f"{scheme}://{bucket}"
