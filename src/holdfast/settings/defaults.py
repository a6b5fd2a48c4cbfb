"""What a config file can say, whether there is one or not.

`config` reads one: apart from this, because start-up must not pay for YAML where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Defaults from a config file; None or empty where it says nothing.

    Attributes:
        repository: location of the repository; the file may call it ``backend``.
        password_file: file that holds the password.
        password_command: program, and its arguments, that prints the password.
        cache_dir: where indexes are cached.
        exclude: patterns of what backups leave out.
    """

    repository: str | None = None
    password_file: str | None = None
    password_command: str | tuple[str, ...] | None = None
    cache_dir: str | None = None
    exclude: tuple[str, ...] = ()
