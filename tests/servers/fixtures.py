"""Fixtures: places in real stores. `tests/conftest.py` gives them to all tests.

A server starts when a test first asks for it, one for each process that runs tests, and runs until
that process ends. A test that fails shows what the server said meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module

import pytest
from tests.servers.base import NotInstalledError, Place, Server, give_up

_MODULES = {
    "versity": ("tests.servers.s3", "Versity"),
    "moto": ("tests.servers.s3", "Moto"),
    "azurite": ("tests.servers.azurite", "Azurite"),
    "fake-gcs": ("tests.servers.fake_gcs", "FakeGcs"),
    "sftp": ("tests.servers.sftp", "Sftp"),
    "memory": ("tests.servers.memory", "Memory"),
}
NAMES = tuple(_MODULES)
S3_NAMES = ("versity", "moto")
_SHOWN = 20_000  # characters of a log


class Servers:
    """The servers of this process, by name."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._running: dict[str, Server] = {}

    def get(self, name: str) -> Server:
        """A server, which is started if it does not run.

        One that is not installed skips the test, or fails it if HOLDFAST_TEST_SERVERS is
        ``required``.
        """
        if name not in self._running:
            self._running[name] = self._start(name)
        return self._running[name]

    def stop(self) -> None:
        """Stop all of them."""
        for server in self._running.values():
            server.stop()

    def _start(self, name: str) -> Server:
        module, what = _MODULES[name]
        make = getattr(import_module(module), what)  # drivers are slow to import
        try:
            server: Server = make(self._folders.mktemp(name))
        except NotInstalledError as error:
            give_up(error)
        return server


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """All servers, each started when it is asked for."""
    running = Servers(tmp_path_factory)
    yield running
    running.stop()


@pytest.fixture(params=NAMES)
def place(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Place]:
    """A fresh place in each kind of store in turn."""
    yield from _place(servers, request.param)


@pytest.fixture(params=S3_NAMES)
def s3_place(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Place]:
    """A fresh place on each S3 server in turn."""
    yield from _place(servers, request.param)


def _place(servers: Servers, name: str) -> Iterator[Place]:
    server = servers.get(name)
    before = len(server.log())
    yield server.place()
    # pytest shows it with a test that has failed.
    sys.stdout.write(server.log()[before:][-_SHOWN:])
