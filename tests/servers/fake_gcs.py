"""fake-gcs-server, https://github.com/fsouza/fake-gcs-server, in memory."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, ClassVar

from tests.servers.base import Place, Program, ProgramServer, answers_http, fresh, installed

if TYPE_CHECKING:
    from pathlib import Path

_PROJECT = "holdfast-tests"


class FakeGcs(ProgramServer):
    """A Google Cloud Storage that asks nobody who he is."""

    name: ClassVar[str] = "fake-gcs"

    def __init__(self, folder: Path) -> None:
        program = installed("fake-gcs-server")

        def command(port: int) -> list[str | Path]:
            address = f"127.0.0.1:{port}"
            return [
                program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
                "-backend", "memory", "-public-host", address, "-external-url", f"http://{address}",
            ]  # fmt: skip

        started = Program(folder, command, answers_http)
        super().__init__(started)
        self._address = started.address

    def place(self) -> Place:
        """A prefix in a new bucket."""
        bucket = fresh("bucket")
        request = urllib.request.Request(  # noqa: S310 - our own http address
            f"{self._address}/storage/v1/b?project={_PROJECT}",
            json.dumps({"name": bucket}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            answer.read()
        options: dict[str, object] = {
            "endpoint_url": self._address,
            "token": "anon",
            "project": _PROJECT,
        }
        return Place(f"gs://{bucket}/prefix", options)
