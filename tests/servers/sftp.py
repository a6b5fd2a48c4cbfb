"""OpenSSH's server for the user who runs the tests, with keys of its own."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.servers.base import Place, Program, ProgramServer, fresh, on_system

_SFTP_SERVERS = ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/libexec", "/usr/lib/ssh")
_CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
AuthenticationMethods publickey
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
MaxStartups 1000
MaxSessions 1000
Subsystem sftp {sftp_server}
"""


class Sftp(ProgramServer):
    """An SSH server that lets in one key.

    Args:
        folder: of its own.
        arguments: more of them for its sftp-server.

    Attributes:
        known_hosts: a file that tells of its key.
    """

    name: ClassVar[str] = "sftp"

    def __init__(self, folder: Path, arguments: str = "") -> None:
        sshd = on_system("sshd", "/usr/sbin", "/usr/local/sbin")
        sftp_server = on_system("sftp-server", *_SFTP_SERVERS)
        for key in ("host_key", "user_key"):
            _make_key(folder / key)
        if os.geteuid() == 0:
            # Where its unprivileged part is shut in; a booting system makes it for its own sshd.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

        def command(port: int) -> list[str | Path]:
            configuration = folder / "configuration"
            configuration.write_text(
                _CONFIGURATION.format(
                    port=port, folder=folder, sftp_server=f"{sftp_server} {arguments}".strip()
                )
            )
            return [sshd, "-D", "-e", "-f", configuration]

        program = Program(folder, command, _greets)
        super().__init__(program)
        self._folder = folder
        self._port = program.port
        key = (folder / "host_key.pub").read_text()
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self._port} {key}")

    def place(self) -> Place:
        """A folder that is not there yet, in a new one."""
        folder = self._folder / fresh("folder")
        folder.mkdir()
        user = pwd.getpwuid(os.geteuid()).pw_name
        options: dict[str, object] = {
            "key_filename": str(self._folder / "user_key"),
            "allow_agent": False,
            "look_for_keys": False,
            "known_hosts": str(self.known_hosts),
        }
        return Place(f"sftp://{user}@127.0.0.1:{self._port}{folder}/prefix", options)


def _make_key(path: Path) -> None:
    # It comes with sshd.
    keygen = on_system("ssh-keygen")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
