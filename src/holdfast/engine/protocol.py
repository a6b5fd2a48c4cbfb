"""The protocol ``holdfast`` of fsspec: URLs such as ``holdfast://latest/data/sales.parquet``."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from typing import TypedDict
from weakref import WeakValueDictionary

from fsspec.spec import AbstractFileSystem, make_instance

from holdfast import environment
from holdfast.engine.connect import open as open_repository
from holdfast.engine.password import PasswordCommand
from holdfast.engine.repository import Repository
from holdfast.engine.snapshotfs import Errors, View
from holdfast.engine.snapshotfs.filesystem import REFRESH, SnapshotFileSystem
from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.primitives.hashing import keyed

_HIDDEN = ("password", "storage_options")
_KEY = secrets.token_bytes(32)
_OF_FSSPEC = frozenset(
    {
        "asynchronous",
        "batch_size",
        "listings_expiry_time",
        "loop",
        "max_paths",
        "use_listings_cache",
    }
)
"""Options that fsspec and its users give to any file system; they mean nothing here."""

_repositories: WeakValueDictionary[tuple[int, str], Repository] = WeakValueDictionary()
"""Those that are open, by process and options: each thread has file systems of its own, as fsspec
has it, and what they share costs a second to open."""


class Hidden:
    """An option that nothing shows: equal ones have equal names, in this process only.

    Attributes:
        value: the option.
        is_password: whether it must not leave this process.
    """

    __slots__ = ("is_password", "value")

    def __init__(self, value: object, *, is_password: bool) -> None:
        self.value = value
        self.is_password = is_password

    @override
    def __repr__(self) -> str:
        return f"<hidden {keyed(_KEY, repr(self.value).encode()).hex()[:16]}>"

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and self.value == other.value

    @override
    def __hash__(self) -> int:
        return hash(repr(self))

    @override
    def __reduce__(self) -> tuple[object, ...]:
        if self.is_password:
            raise UsageError(
                "a file system that was given its password cannot be sent to another process: "
                "give password_file or password_command, or set HOLDFAST_PASSWORD_FILE there"
            )
        return _hidden_options, (self.value,)


class _Guarded(type(AbstractFileSystem)):  # type: ignore[misc]  # fsspec has no types
    """Hides secrets before fsspec sees them: it keeps all options, and shows them in many ways."""

    @property
    def surroundings(cls) -> Hidden:
        """What else says which repository is meant: the environment, and the current directory."""
        names = "HOLDFAST_REPOSITORY", "RESTIC_REPOSITORY", "HOLDFAST_STORAGE_OPTIONS"
        try:
            here = os.getcwd()  # noqa: PTH109 - text is enough
        except FileNotFoundError:
            here = ""
        return Hidden((here, *map(environment.variable, names)), is_password=False)

    def __call__(cls, *args: object, **options: object) -> object:
        for name in _HIDDEN:
            value = options.get(name)
            if value is not None and not isinstance(value, Hidden):
                options[name] = Hidden(value, is_password=name == "password")
        return super().__call__(*args, **options)


class HoldfastFileSystem(SnapshotFileSystem, metaclass=_Guarded):
    """The snapshots of a repository that is opened by storage options; see `SnapshotFileSystem`.

    ::

        pd.read_parquet(
            "holdfast://latest/data/sales.parquet",
            storage_options={"repository": "/srv/repo", "password_file": "/root/password"},
        )

    Passwords and storage options are not shown by anything that fsspec makes of a file system. One
    that was given its password itself cannot be pickled; others open the repository again where
    they arrive, and so does one that a forked process has from its parent.
    """

    cachable = True
    _extra_tokenize_attributes = ("surroundings",)

    def __init__(  # noqa: PLR0913 - what a repository is opened with
        self,
        repository: str | os.PathLike[str] | None = None,
        *,
        password: Hidden | None = None,
        password_file: str | os.PathLike[str] | None = None,
        password_command: PasswordCommand | None = None,
        storage_options: Hidden | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        cache: bool = True,
        cache_size: int | None = None,
        snapshot: str | None = None,
        errors: Errors = "raise",
        refresh: float = REFRESH,
        **others: object,
    ) -> None:
        """Open a repository.

        Args:
            repository: where it is; HOLDFAST_REPOSITORY, or RESTIC_REPOSITORY, when None.
            password: the password. Without this and the next two the environment has it, as for
                the command line: HOLDFAST_PASSWORD, HOLDFAST_PASSWORD_FILE,
                HOLDFAST_PASSWORD_COMMAND, RESTIC_PASSWORD or RESTIC_PASSWORD_FILE.
            password_file: a file that holds it.
            password_command: a program that prints it.
            storage_options: for the driver of the repository's storage, such as
                ``{"endpoint": …}``; HOLDFAST_STORAGE_OPTIONS, as JSON, when None.
            cache_dir: where indexes and metadata are cached; the user's cache folder when None.
            cache: whether they are.
            cache_size: most bytes of metadata that are cached of a repository that is not on this
                machine; 1 GiB when None.
            snapshot: name of a snapshot, with ``:/path`` for a directory in it; None for all.
            errors: ``skip`` to read zeros where the repository is damaged.
            refresh: seconds after which the list of snapshots is read again.
            others: options of fsspec that mean nothing here.

        Raises:
            UsageError: an option is unknown, or there is no repository or password.
            RepositoryError, BackendError: it cannot be opened.
            SnapshotNotFound, PathNotFound: the snapshot is not there.
        """
        if unknown := others.keys() - _OF_FSSPEC:
            raise UsageError(f"holdfast:// has no option {', '.join(sorted(unknown))}")
        self._location = _location(repository)
        self._access: _Access = {
            "password_file": password_file,
            "password_command": password_command,
            "cache_dir": cache_dir,
            "cache": cache,
            "cache_size": cache_size,
        }
        self._secrets = password, storage_options
        self._surroundings = type(self).surroundings
        self._pid = os.getpid()
        self._seen = snapshot, refresh
        super().__init__(self._repository(), snapshot, errors=errors, refresh=refresh)

    @property
    @override
    def view(self) -> View:
        """What it shows; a forked process opens the repository again."""
        if self._pid != os.getpid():
            snapshot, refresh = self._seen
            self._open_view = View(self._repository(), snapshot, refresh=refresh)
            self._pid = os.getpid()
        return self._open_view

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return make_instance, (type(self), self.storage_args, self.storage_options)

    @override
    def to_dict(self, *, include_password: bool = True) -> dict[str, object]:
        """What another one can be made from; refused for one that was given secrets (UsageError).

        Args:
            include_password: without it, a password is left out, and nothing is refused for it.
        """
        hidden = {name for name in _HIDDEN if self.storage_options.get(name) is not None}
        if hidden - (set() if include_password else {"password"}):
            raise UsageError(
                f"{' and '.join(sorted(hidden))} cannot be written down: give password_file or "
                "password_command, and let the environment have what the storage's driver needs"
            )
        about: dict[str, object] = AbstractFileSystem.to_dict(
            self, include_password=include_password
        )
        return about

    def _repository(self) -> Repository:
        """The repository: one that is open in this process with the same options, or a new one."""
        key = os.getpid(), repr((self._location, self._access, self._secrets, self._surroundings))
        found = _repositories.get(key)
        if found is None:
            found = _repositories.setdefault(key, self._opened())
        return found

    def _opened(self) -> Repository:
        hidden, options = self._secrets
        access = self._access
        password = None if hidden is None else hidden.value
        if password is None and access["password_file"] is access["password_command"] is None:
            password, access = _from_environment(access)
        told = _storage_options() if options is None else options.value
        if not isinstance(told, Mapping) or not isinstance(password, str | bytes | None):
            raise UsageError("a password is text, and storage_options are a mapping")
        return open_repository(self._location, password=password, storage_options=told, **access)


class _Access(TypedDict):
    """What a repository is opened with, as far as it is no secret."""

    password_file: str | os.PathLike[str] | None
    password_command: PasswordCommand | None
    cache_dir: str | os.PathLike[str] | None
    cache: bool
    cache_size: int | None


def _hidden_options(value: object) -> Hidden:
    return Hidden(value, is_password=False)


def _location(given: str | os.PathLike[str] | None) -> str:
    found = (
        environment.first("HOLDFAST_REPOSITORY", "RESTIC_REPOSITORY") if given is None else given
    )
    if found is None:
        raise UsageError(
            "no repository is named: give the storage option repository=…, or set "
            "HOLDFAST_REPOSITORY"
        )
    return os.fspath(found)


def _from_environment(access: _Access) -> tuple[str | None, _Access]:
    """Where the environment says the password is, as the command line takes it."""
    for prefix in ("HOLDFAST", "RESTIC"):
        if password := environment.variable(f"{prefix}_PASSWORD"):
            return password, access
        if file := environment.variable(f"{prefix}_PASSWORD_FILE"):
            return None, {**access, "password_file": file}
        command = environment.variable(f"{prefix}_PASSWORD_COMMAND")
        if command and prefix != "RESTIC":
            return None, {**access, "password_command": command}
    return None, access


def _storage_options() -> object:
    try:
        return json.loads(environment.variable("HOLDFAST_STORAGE_OPTIONS") or "{}")
    except (ValueError, RecursionError):
        raise UsageError("HOLDFAST_STORAGE_OPTIONS is no JSON") from None
