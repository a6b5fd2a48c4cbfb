"""The servers themselves: they start, keep objects, and go."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import fsspec
import pytest
from tests.servers.base import NotInstalledError, Place, Program, ServerFailedError, free_port
from tests.servers.fixtures import NAMES, Servers
from tests.servers.s3 import Moto

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 60.0


class _Files(Protocol):
    """What is used of fsspec."""

    def makedirs(self, path: str, *, exist_ok: bool) -> None: ...
    def pipe_file(self, path: str, value: bytes) -> None: ...
    def cat_file(self, path: str) -> bytes: ...
    def find(self, path: str) -> list[str]: ...


def opened(place: Place) -> tuple[_Files, str]:
    """The file system of a place, and the path in it."""
    options = dict(place.options)
    options.pop("known_hosts", None)  # for holdfast's driver; fsspec's takes any server
    if place.location.startswith("gs:"):
        # The registered one asks Google before each operation what kind of bucket it is.
        from gcsfs.core import GCSFileSystem  # noqa: PLC0415 - slow to import

        return GCSFileSystem(skip_instance_cache=True, **options), place.location[5:]
    files, path = fsspec.url_to_fs(place.location, skip_instance_cache=True, **options)
    return files, path


def listens(port: int) -> bool:
    """Whether something on this port takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_place_keeps_an_object(place: Place) -> None:
    files, path = opened(place)
    assert list(files.find(path)) == []
    if place.location.startswith("sftp:"):
        files.makedirs(f"{path}/data", exist_ok=True)
    content = bytes(range(256)) * 512
    files.pipe_file(f"{path}/data/one", content)
    assert files.cat_file(f"{path}/data/one") == content
    assert [name.removeprefix(path) for name in files.find(path)] == ["/data/one"]


@pytest.mark.parametrize("name", NAMES)
def test_places_differ(servers: Servers, name: str) -> None:
    one, other = servers.get(name).place(), servers.get(name).place()
    assert one.location != other.location
    assert urlsplit(one.location).scheme == urlsplit(other.location).scheme


def test_s3_place_is_on_an_s3_server(s3_place: Place) -> None:
    assert s3_place.location.startswith("s3://")
    address = s3_place.options["endpoint_url"]
    assert isinstance(address, str)
    port = urlsplit(address).port
    assert port is not None
    assert listens(port)


def test_server_is_gone_after_stop(tmp_path: Path) -> None:
    server = Moto(tmp_path)
    port = urlsplit(server.address).port
    assert port is not None
    assert listens(port)
    assert "GET / " in server.log()
    server.stop()
    assert not listens(port)
    server.stop()


def test_connections_of_sshd_end_with_it(servers: Servers, tmp_path: Path) -> None:
    servers.get("sftp")  # skips where it is not installed
    from tests.servers.sftp import Sftp  # noqa: PLC0415 - beside the others' late imports

    server = Sftp(tmp_path)
    port = urlsplit(server.place().location).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=_SECONDS) as connection:
        assert connection.recv(8).startswith(b"SSH-2.0")  # by a process of this connection
        server.stop()
        while connection.recv(4096):
            pass
    assert not listens(port or 0)


def test_server_dies_with_who_started_it(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from tests.servers.s3 import Moto\n"
        "print(Moto(pathlib.Path(sys.argv[1])).address, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True, check=False
    )
    port = urlsplit(ended.stdout.strip()).port
    assert port is not None
    end = time.monotonic() + _SECONDS
    while listens(port):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_program_that_ends_tells_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerFailedError, match="no such thing"):
        Program(tmp_path, lambda _: ["sh", "-c", "echo no such thing >&2; exit 1"], lambda _: False)


def test_program_is_tried_again_on_another_port(tmp_path: Path) -> None:
    tried: list[int] = []

    def command(port: int) -> list[str]:
        tried.append(port)
        return ["sh", "-c", "exit 1" if len(tried) == 1 else "exec sleep 600"]

    program = Program(tmp_path, command, lambda _: len(tried) > 1)
    program.stop()
    assert program.port == tried[1]


@pytest.mark.parametrize(
    ("required", "outcome"), [("", pytest.skip.Exception), ("required", pytest.fail.Exception)]
)
def test_missing_server_skips_or_fails(
    required: str,
    outcome: type[BaseException],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tests.servers.base.INSTALLED", tmp_path)
    monkeypatch.setenv("HOLDFAST_TEST_SERVERS", required)
    with pytest.raises(outcome, match="make test-servers"):
        Servers(tmp_path_factory).get("versity")


def test_not_installed_says_what_to_do() -> None:
    assert str(NotInstalledError("sshd")) == "sshd is not installed: run `make test-servers`"


def test_free_ports_are_free() -> None:
    assert not listens(free_port())
