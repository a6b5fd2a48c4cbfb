"""What an SSH server is used with: its address, and what it is told by storage options.

Options: ``username``, ``port``, ``password``, ``passphrase``, ``key_filename``, ``allow_agent``,
``look_for_keys`` and ``compress`` as of paramiko's `SSHClient.connect`; ``known_hosts``, the file
of the servers' keys; and ``host_key_policy``: ``reject`` servers that are not in it, or
``auto_add`` them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from holdfast.backend.drivers.driver import Options
from holdfast.errors import UsageError

_PORT: Final = 22
_LAST_PORT: Final = 0xFFFF
_OPTIONS = frozenset(
    {
        "username",
        "port",
        "password",
        "passphrase",
        "key_filename",
        "allow_agent",
        "look_for_keys",
        "compress",
        "known_hosts",
        "host_key_policy",
    }
)
SECRETS = frozenset({"password", "passphrase"})


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and what to be let in by.

    Attributes:
        location: for messages.
        host: name or address.
        port: of TCP.
        user: None for the name of the user who runs this.
        password: also for keys of which no passphrase is given.
        passphrase: of the key files.
        key_files: to try first.
        use_agent: try the keys that the SSH agent holds.
        use_own_keys: try the keys in ``~/.ssh``.
        known_hosts: file of the servers' keys; None for ``~/.ssh/known_hosts`` and the system's.
        accept_unknown: believe a server that is not in there.
        compress: what is sent.
    """

    location: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    key_files: Sequence[str] = ()
    use_agent: bool = True
    use_own_keys: bool = True
    known_hosts: str | None = None
    accept_unknown: bool = False
    compress: bool = False


def target_of(location: str, options: Options) -> Target:
    """The server, and what to be let in by.

    Raises:
        UsageError: the location names none, or an option makes no sense.
    """
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise UsageError(f"storage option {unknown[0]}: there are {', '.join(sorted(_OPTIONS))}")
    parts = split_location(location)
    read = _Reader(options)
    return Target(
        location=location,
        host=parts.hostname or "",
        port=read.number("port", _PORT),
        user=read.text("username"),
        password=read.text("password"),
        passphrase=read.text("passphrase"),
        key_files=read.paths("key_filename"),
        use_agent=read.flag("allow_agent", default=True),
        use_own_keys=read.flag("look_for_keys", default=True),
        known_hosts=read.path("known_hosts"),
        accept_unknown=read.choice("host_key_policy", "reject", "auto_add"),
        compress=read.flag("compress", default=False),
    )


def split_location(location: str) -> SplitResult:
    """The parts of a location.

    Raises:
        UsageError: it names no server.
    """
    try:
        parts = urlsplit(location)
        if parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise UsageError(f"{location}: write sftp://user@host:port/folder")


class _Reader:
    """Reads options, which a command line gives as texts."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def text(self, name: str) -> str | None:
        value = self._options.get(name)
        if value is None or (isinstance(value, str) and value):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)  # a password of digits
        raise UsageError(f"storage option {name}: a text is needed")

    def number(self, name: str, default: int) -> int:
        text = self.text(name) or str(default)
        if not text.isdecimal() or not 0 < int(text) <= _LAST_PORT:
            raise UsageError(f"storage option {name}: it is a number up to {_LAST_PORT}")
        return int(text)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._options.get(name, default)
        if not isinstance(value, bool):
            raise UsageError(f"storage option {name}: it is true or false")
        return value

    def path(self, name: str) -> str | None:
        text = self.text(name)
        return None if text is None else str(Path(text).expanduser())

    def paths(self, name: str) -> list[str]:
        value = self._options.get(name)
        if isinstance(value, list | tuple):
            return [str(Path(str(each)).expanduser()) for each in value]
        path = self.path(name)
        return [] if path is None else [path]

    def choice(self, name: str, first: str, second: str) -> bool:
        """Whether it is the second of both."""
        value = self._options.get(name, first)
        if value not in {first, second}:
            raise UsageError(f"storage option {name}: it is {first} or {second}")
        return value == second
