"""What a config file can say, whether there is one or not.

`config` reads one: apart from this, because start-up must not pay for YAML where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Defaults from a config file; None or empty where it says nothing.

    Attributes:
        repository: location of the repository; the file may call it ``backend``.
        password_file: file that holds the password.
        password_command: program, and its arguments, that prints the password.
        storage_options: what the driver of its store is told; may hold secrets.
        limit_upload: how fast data may be sent: KiB a second, also by the time of day.
        limit_download: how fast it may be fetched.
        cache_dir: where indexes and metadata are cached.
        cache_size: most MiB of metadata that are cached of a repository.
        exclude: patterns of what backups leave out.
        profiles: defaults by name, each complete, of which a command may take one.
    """

    repository: str | None = None
    password_file: str | None = None
    password_command: str | tuple[str, ...] | None = None
    storage_options: Mapping[str, object] = field(default_factory=dict, repr=False)
    limit_upload: str | int | None = None
    limit_download: str | int | None = None
    cache_dir: str | None = None
    cache_size: int | None = None
    exclude: tuple[str, ...] = ()
    profiles: Mapping[str, Config] = field(default_factory=dict)
