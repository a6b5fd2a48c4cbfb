"""Connections to SSH servers, by paramiko: who they are, who we are, and how long we wait."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Final

import paramiko

from holdfast.backend.drivers.driver import TIMEOUT
from holdfast.backend.drivers.sftp_options import Target
from holdfast.backend.drivers.sftp_packets import Garbled
from holdfast.backend.drivers.sftp_session import Session
from holdfast.errors import AccessDenied, BackendError, StorageUnavailable

_log = logging.getLogger(__name__)

_CONNECT: Final = 15.0
"""Seconds until there must be a connection, and until the server must greet."""
_AUTHENTICATE: Final = 60.0
_KEEP_ALIVE: Final = 30
_UNACKNOWLEDGED: Final = 60_000
"""Milliseconds after which a connection is lost on which the other side takes nothing more."""
_WINDOW: Final = 8 << 20
"""Bytes that the server may send before we say that we took them."""
_SYSTEM_HOSTS: Final = "/etc/ssh/ssh_known_hosts"
_LOG_NAME: Final = "paramiko.holdfast"
logging.getLogger(_LOG_NAME).addHandler(logging.NullHandler())  # we tell what it would, in a line


class Server:
    """Makes connections to a server; all of them to one that has the same key."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._accepted: paramiko.PKey | None = None

    def connect(self) -> Session:
        """A new connection.

        Raises:
            AccessDenied: the server is not known, or refuses us.
            StorageUnavailable: there is no answer, or not in time.
            BackendError: it does not speak our language.
            OSError: there is no connection.
        """
        target = self._target
        for name in target.key_files:
            _check_key_file(target, name)
        client = paramiko.SSHClient()
        client.set_log_channel(_LOG_NAME)
        client.set_missing_host_key_policy(self)
        self._load_known_hosts(client)
        link = socket.create_connection((target.host, target.port), _CONNECT)
        try:
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
            self._log_in(client, link)
            return self._session(client)
        except BaseException:
            client.close()
            link.close()
            raise

    def missing_host_key(self, client: object, name: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - paramiko's signature
        """See `paramiko.MissingHostKeyPolicy`: decide on a server that is not known."""
        target = self._target
        said = f"{key.get_name()} {key.fingerprint}"
        if not target.accept_unknown:
            raise AccessDenied(
                "",
                f"{target.location}: the server is not known ({said}): compare that with what its "
                f"owner says, then add it, such as by `ssh-keyscan` or `ssh`, to "
                f"{target.known_hosts or '~/.ssh/known_hosts'}",
            )
        if self._accepted is None:
            _log.warning("%s: accepted a server that is not known: %s", target.location, said)
            self._accepted = key
        elif key != self._accepted:
            raise AccessDenied(
                "", f"{target.location}: the server has another key than before ({said})"
            )

    def _load_known_hosts(self, client: paramiko.SSHClient) -> None:
        target = self._target
        try:
            if target.known_hosts is not None:
                client.load_system_host_keys(target.known_hosts)
                return
            client.load_system_host_keys()
            if Path(_SYSTEM_HOSTS).exists():
                client.load_system_host_keys(_SYSTEM_HOSTS)
        except OSError as error:
            name = error.filename or target.known_hosts
            raise AccessDenied(
                "", f"{target.location}: {name} cannot be read: {error.strerror}"
            ) from error

    def _log_in(self, client: paramiko.SSHClient, link: socket.socket) -> None:
        target = self._target
        try:
            client.connect(
                target.host,
                target.port,
                username=target.user,
                password=target.password,
                passphrase=target.passphrase,
                key_filename=list(target.key_files),
                timeout=_CONNECT,
                banner_timeout=_CONNECT,
                auth_timeout=_AUTHENTICATE,
                channel_timeout=_AUTHENTICATE,
                allow_agent=target.use_agent,
                look_for_keys=target.use_own_keys,
                compress=target.compress,
                sock=link,
            )
        except paramiko.BadHostKeyException as error:
            raise AccessDenied(
                "",
                f"{target.location}: the server's key is not the one that is known of it, but "
                f"{error.key.get_name()} {error.key.fingerprint}: it was set up anew, or "
                "somebody is in between",
            ) from None
        except paramiko.SSHException as error:
            transport = client.get_transport()
            is_there = transport is not None and transport.is_active()
            raise self._refusal(error, is_there=is_there) from None

    def _refusal(self, error: paramiko.SSHException, *, is_there: bool) -> BackendError:
        where = self._target.location
        if isinstance(error, paramiko.PasswordRequiredException):
            return AccessDenied(
                "",
                f"{where}: a key is locked: give its passphrase by the storage option passphrase, "
                "or load the key into the SSH agent",
            )
        # What paramiko calls a failed authentication may be a connection that was lost meanwhile.
        if is_there and "timeout" not in str(error).lower():
            return AccessDenied(
                "",
                f"{where}: the server does not let us in ({error}): check the user, and give the "
                "key by the storage option key_filename or the SSH agent, or give the storage "
                "option password",
            )
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            return BackendError("", f"{where}: {error}")
        return StorageUnavailable("", f"{where} ended the connection ({error})")

    def _session(self, client: paramiko.SSHClient) -> Session:
        transport = client.get_transport()
        transport.set_keepalive(_KEEP_ALIVE)
        channel = transport.open_session(window_size=_WINDOW, timeout=_AUTHENTICATE)
        channel.settimeout(TIMEOUT)
        where = self._target.location
        try:
            channel.invoke_subsystem("sftp")
        except paramiko.SSHException as error:
            if not transport.is_active():
                raise
            raise BackendError("", f"{where}: the server offers no SFTP") from error
        try:
            return Session(channel, client.close, transport.is_active)
        except Garbled as error:
            raise BackendError(
                "",
                f"{where}: what the server sends is not SFTP; see if what its user's shell runs "
                "at the start prints something",
            ) from error


def _check_key_file(target: Target, name: str) -> None:
    try:
        Path(name).read_bytes()
    except OSError as error:
        problem = f"the key file {name} cannot be read: {error.strerror}"
        raise AccessDenied("", f"{target.location}: {problem}") from error
