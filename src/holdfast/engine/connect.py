"""Making and opening repositories: from what a user says to a `Repository`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from holdfast import environment
from holdfast.backend import Access, Limit, open_backend
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.engine.origin import host_name, user_name
from holdfast.engine.password import PasswordCommand, find_password
from holdfast.engine.repository import Repository
from holdfast.engine.shielding import shielded
from holdfast.errors import UsageError
from holdfast.primitives.chunker import PROFILES, ChunkerParams
from holdfast.primitives.compression import LEVELS, MAX_LEVEL, MIN_LEVEL
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.store import (
    MAX_PACK_SIZE,
    METADATA_LIMIT,
    MIN_PACK_SIZE,
    CacheFolder,
    Maker,
    Password,
    Settings,
    Store,
    create_store,
    decode_recovery,
    open_recovered,
    open_store,
)

_log = logging.getLogger(__name__)

DEFAULT_PACK_SIZE = 16 << 20
"""Bytes at which a pack is closed."""

MIB = 1 << 20


@shielded
def init(  # noqa: PLR0913 - the public API's options
    location: str | os.PathLike[str],
    *,
    password: Password | None = None,
    password_file: str | os.PathLike[str] | None = None,
    password_command: PasswordCommand | None = None,
    encryption: str = "AES256",
    compression: str | int | None = None,
    pack_size: int | None = None,
    chunker: str | ChunkerParams | None = None,
    like: Repository | None = None,
    kdf: str = "default",
    cache_dir: str | os.PathLike[str] | None = None,
    cache: bool = True,
    cache_size: int | None = None,
    storage_options: Mapping[str, object] | None = None,
    limit_upload: int | str | None = None,
    limit_download: int | str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Repository:
    """Make a repository.

    Args:
        location: a folder that is empty or does not exist yet, or the URI of one in a store, such
            as ``s3://bucket/prefix``.
        password: the password; give this or one of the next two.
        password_file: a file that holds it.
        password_command: a program that prints it.
        encryption: ``AES256``; there is no other.
        compression: ``auto`` (zstd level 3), ``max`` (19), ``off``, or a level from 0 to 22;
            ``auto`` when None.
        pack_size: bytes at which a pack is closed, 1 to 96 MiB; 16 MiB when None.
        chunker: ``default``, ``database`` (small scattered changes), ``large`` (above 10 TB),
            ``fastcdc`` (the package of that name), or exact parameters; ``default`` when None.
        like: a repository whose dedup secret and chunker this one shares, so that what is copied
            between them, or backed up to both, is stored once in each and nothing is cut anew.
            Compression and pack size are its own too, unless given.
        kdf: the price of a guess at the password: ``default`` (64 MiB) or ``strong`` (256 MiB).
        cache_dir: where indexes and metadata are cached; the user's cache folder when None.
        cache: whether they are.
        cache_size: most bytes of metadata that are cached of a repository that is not on this
            machine; 1 GiB when None.
        storage_options: for the storage's driver, such as ``{"endpoint": …}``; never shown.
        limit_upload: KiB a second that may be sent, also by the time of day:
            ``"08:00-18:00=512,4096"``.
        limit_download: KiB a second that may be fetched, likewise.
        clock: for times.

    Raises:
        RepositoryExists: there is one already.
        UsageError: an argument makes no sense.
        BackendError: the location cannot be written.
    """
    secret = find_password(password, password_file, password_command)
    if encryption.upper().replace("-", "") not in {"AES256", "AES256GCM"}:
        raise UsageError(f"unknown encryption {encryption!r}: there is AES256 only")
    if kdf not in KDF_PROFILES:
        raise UsageError(f"unknown key derivation {kdf!r}: choose {' or '.join(KDF_PROFILES)}")
    other = None if like is None else like._store  # noqa: SLF001 - between two connections
    settings = _settings(compression, pack_size, chunker, other)
    folder = _cache_folder(cache_dir, cache_size) if cache else None
    access = access_by(storage_options, limit_upload, limit_download)
    backend = open_backend(location, access, clock)
    maker = Maker(host_name(), user_name())
    store = create_store(
        backend, secret, settings, KDF_PROFILES[kdf], clock, folder, other, maker=maker
    )
    return Repository(store, clock)


def _settings(
    compression: str | int | None,
    pack_size: int | None,
    chunker: str | ChunkerParams | None,
    like: Store | None,
) -> Settings:
    """The settings of a new repository: what was given, else those of the one it is like."""
    usual = Settings(PROFILES["default"], DEFAULT_PACK_SIZE, LEVELS["auto"])
    base = usual if like is None else like.settings
    if chunker is not None and like is not None:
        raise UsageError("a repository that is like another cuts files as that one does")
    size = base.pack_size if pack_size is None else pack_size
    if not MIN_PACK_SIZE <= size <= MAX_PACK_SIZE:
        raise UsageError(
            f"a pack size of {size} bytes is out of bounds: "
            f"{MIN_PACK_SIZE // MIB} to {MAX_PACK_SIZE // MIB} MiB"
        )
    return Settings(
        base.chunker if chunker is None else _chunker(chunker),
        size,
        base.compression if compression is None else compression_level(compression),
    )


@shielded
def open(  # noqa: A001, PLR0913 - read as holdfast.open, with all its options
    location: str | os.PathLike[str],
    *,
    password: Password | None = None,
    password_file: str | os.PathLike[str] | None = None,
    password_command: PasswordCommand | None = None,
    recovery_key: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache: bool = True,
    cache_size: int | None = None,
    storage_options: Mapping[str, object] | None = None,
    limit_upload: int | str | None = None,
    limit_download: int | str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Repository:
    """Open a repository; reading never writes to it.

    Args:
        location: where it is.
        password: the password; give this or one of the next three.
        password_file: a file that holds it.
        password_command: a program that prints it.
        recovery_key: the text of the recovery key, which also does when every key slot is lost.
            If the config is lost too, the repository can be read only, until
            `Repository.restore_access` puts it back.
        cache_dir: where indexes and metadata are cached; the user's cache folder when None.
        cache: whether they are.
        cache_size: most bytes of metadata that are cached of a repository that is not on this
            machine; 1 GiB when None.
        storage_options: for the storage's driver, such as ``{"endpoint": …}``; never shown.
        limit_upload: KiB a second that may be sent, also by the time of day:
            ``"08:00-18:00=512,4096"``.
        limit_download: KiB a second that may be fetched, likewise.
        clock: for times.

    Raises:
        RepositoryNotFound: nothing is there.
        WrongPassword: the password opens no key slot, or the recovery key is not that of this
            repository or from before a rotation of the keys.
        UsageError: the recovery key is mistyped.
        DamagedRepository: what it takes to open it is damaged.
        UnsupportedRepository: a newer version's, or another program's.
    """
    folder = _cache_folder(cache_dir, cache_size) if cache else None
    access = access_by(storage_options, limit_upload, limit_download)
    if recovery_key is not None:
        if any(each is not None for each in (password, password_file, password_command)):
            raise UsageError("give either a password or the recovery key")
        recovery = decode_recovery(recovery_key)
        backend = open_backend(location, access, clock)
        return Repository(open_recovered(backend, recovery, clock, folder), clock)
    secret = find_password(password, password_file, password_command)
    backend = open_backend(location, access, clock)
    return Repository(open_store(backend, secret, clock, folder), clock)


def access_by(
    options: Mapping[str, object] | None, upload: int | str | None, download: int | str | None
) -> Access:
    """How a store is used (UsageError for a limit that is none)."""
    return Access(
        dict(options or {}),
        None if upload is None else Limit.parse(upload),
        None if download is None else Limit.parse(download),
    )


def compression_level(compression: str | int) -> int:
    """The zstd level of a named mode or a number (UsageError for anything else)."""
    if isinstance(compression, str):
        named = LEVELS.get(compression)
        if named is not None:
            return named
        if not compression.isdecimal():
            names = ", ".join(LEVELS)
            raise UsageError(
                f"unknown compression {compression!r}: {names} or {MIN_LEVEL} to {MAX_LEVEL}"
            )
        compression = int(compression)
    if not MIN_LEVEL <= compression <= MAX_LEVEL:
        raise UsageError(f"compression level {compression} is not in {MIN_LEVEL} to {MAX_LEVEL}")
    return compression


def _chunker(chunker: str | ChunkerParams) -> ChunkerParams:
    if isinstance(chunker, ChunkerParams):
        return chunker
    if chunker in PROFILES:
        return PROFILES[chunker]
    raise UsageError(f"unknown chunker {chunker!r}: choose one of {', '.join(PROFILES)}")


def _cache_folder(given: str | os.PathLike[str] | None, size: int | None) -> CacheFolder | None:
    limit = METADATA_LIMIT if size is None else size
    if limit < 0:
        raise UsageError(f"a cache of {limit} bytes makes no sense")
    if given is not None:
        return CacheFolder(Path(given), limit)
    base = environment.variable("XDG_CACHE_HOME")
    try:
        home = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:
        _log.warning("indexes are not cached: there is no home directory, nor XDG_CACHE_HOME")
        return None
    return CacheFolder(home / "holdfast", limit)
