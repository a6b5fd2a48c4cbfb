"""Azurite, Microsoft's emulator of Azure storage, https://github.com/Azure/Azurite, in memory."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, ClassVar

from azure.storage.blob import ContainerClient
from tests.servers.base import (
    Place,
    Program,
    ProgramServer,
    answers_http,
    fresh,
    installed,
    on_system,
)

if TYPE_CHECKING:
    from pathlib import Path

_ACCOUNT = "holdfasttests"


class Azurite(ProgramServer):
    """Its blob service, with one account."""

    name: ClassVar[str] = "azurite"

    def __init__(self, folder: Path) -> None:
        node = on_system("node")
        script = installed("azurite", "node_modules", ".bin", "azurite-blob")

        def command(port: int) -> list[str | Path]:
            return [
                node, script, "--blobHost", "127.0.0.1", "--blobPort", str(port),
                "--inMemoryPersistence", "--disableTelemetry",
                # Drivers speak newer versions of the protocol than it knows.
                "--skipApiVersionCheck",
            ]  # fmt: skip

        key = base64.b64encode(secrets.token_bytes(32)).decode()
        environment = {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"}
        program = Program(folder, command, answers_http, environment)
        super().__init__(program)
        self._connection = (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={key};"
            f"BlobEndpoint={program.address}/{_ACCOUNT};"
        )

    def place(self) -> Place:
        """A prefix in a new container."""
        container = fresh("container")
        with ContainerClient.from_connection_string(self._connection, container) as client:
            client.create_container()
        return Place(f"az://{container}/prefix", {"connection_string": self._connection})
