"""Opening repositories for the platform; what fails is kept in the audit trail."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from holdfast.closing import Closing
from holdfast.engine.connect import open as open_by_location
from holdfast.errors import AccessDenied, HoldfastError, UsageError, WrongPassword
from holdfast.overrides import override
from holdfast.platform.managers.adapters import Place, StorageAdapter
from holdfast.platform.workspace import Workspace

if TYPE_CHECKING:
    from holdfast.engine.password import PasswordCommand
    from holdfast.engine.repository import Repository
    from holdfast.platform.audit import AuditTrail
    from holdfast.store import Password


class How(TypedDict, total=False):
    """What a repository is opened with besides its place; `holdfast.open` explains them."""

    password: Password | None
    password_command: PasswordCommand | None
    storage_options: Mapping[str, object] | None
    cache_dir: str | os.PathLike[str] | None
    cache: bool
    cache_size: int | None
    limit_upload: int | str | None
    limit_download: int | str | None


class InitOptions(TypedDict, total=False):
    """What a repository is made with; `holdfast.init` explains them."""

    encryption: str
    compression: str | int | None
    pack_size: int | None
    chunker: str | None
    kdf: str


def open_repository(
    backend: Place,
    password_file: str | os.PathLike[str] | None = None,
    *,
    workspace: Workspace | None = None,
    **how: Unpack[How],
) -> Repository:
    """Open a repository; a failure to do so is recorded as ``open-failed``.

    Args:
        backend: where it is: a path, a URI, or a storage adapter.
        password_file: a file that holds the password; or it is one of the options.
        workspace: whose audit trail and clock are used; the user's own when None.
        **how: as of `holdfast.open`; storage options count more than those of an adapter.

    Raises:
        UsageError: an argument makes no sense; nothing was tried, so nothing is recorded.
        RepositoryError, BackendError: it cannot be opened.
    """
    workspace = workspace or Workspace()
    location, options = place_of(backend, how)
    try:
        return open_by_location(
            location, password_file=password_file, clock=workspace.clock, **options
        )
    except UsageError:
        raise
    except HoldfastError as error:
        # A location that was refused may hold a secret, but then it is a UsageError.
        denied = isinstance(error, WrongPassword | AccessDenied)
        workspace.audit.record(
            "open-failed",
            result="denied" if denied else "failed",
            details={"location": location, "error": type(error).__name__, "message": str(error)},
        )
        raise


def place_of(backend: Place, how: How) -> tuple[str, How]:
    """The location of a repository, and how it is opened with an adapter's options in it."""
    if not isinstance(backend, StorageAdapter):
        return os.fspath(backend), how
    options = {**backend.storage_options, **(how.get("storage_options") or {})}
    return backend.uri, {**how, "storage_options": options}


class Manager(Closing):
    """What managers have in common: one repository, opened when it is first needed.

    Safe to use from several threads; a context manager, which closes the repository.

    Args:
        backend: where the repository is: a path, a URI, or a storage adapter.
        password_file: a file that holds the password; or give another option that says it.
        workspace: where operations are recorded, and whose clock is used; the user's own when
            None.
        **how: as of `holdfast.open`: ``password``, ``password_command``,
            ``storage_options``, ``cache_dir``, ``cache``, ``cache_size``, ``limit_upload``,
            ``limit_download``.
    """

    def __init__(
        self,
        backend: Place,
        password_file: str | os.PathLike[str] | None = None,
        *,
        workspace: Workspace | None = None,
        **how: Unpack[How],
    ) -> None:
        self.workspace = workspace or Workspace()
        self._backend = backend
        self._password_file = password_file
        self._how = how
        self._lock = threading.Lock()
        self._repository: Repository | None = None
        self._is_ours = True
        self._is_audited = True

    @classmethod
    def on(
        cls,
        repository: Repository,
        workspace: Workspace | None = None,
        *,
        is_audited: bool = True,
    ) -> Self:
        """A manager of a repository that is open already, and that whoever opened it closes.

        Args:
            repository: it.
            workspace: as of the constructor.
            is_audited: whether operations go into the audit trail; False for a caller that puts
                them there itself.
        """
        manager = cls(repository.location, workspace=workspace)
        manager._repository = repository
        manager._is_ours = False
        manager._is_audited = is_audited
        return manager

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {place_of(self._backend, {})[0]}>"

    @property
    def repository(self) -> Repository:
        """The open repository.

        Raises:
            UsageError, RepositoryError, BackendError: it cannot be opened.
        """
        with self._lock:
            if self._repository is None:
                self._repository = open_repository(
                    self._backend, self._password_file, workspace=self.workspace, **self._how
                )
            return self._repository

    @property
    def trail(self) -> AuditTrail | None:
        """Where operations are recorded; None when whoever has them done does that."""
        return self.workspace.audit if self._is_audited else None

    @override
    def close(self) -> None:
        """Close the repository, after all work in other threads; it is opened again if needed."""
        with self._lock:
            if self._repository is not None and self._is_ours:
                self._repository.close()
                self._repository = None
