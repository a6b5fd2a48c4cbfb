"""The two S3 servers: versitygw, which is a real one, and moto, which is always there."""

from __future__ import annotations

import secrets
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import botocore.session
from tests.servers.base import Place, Program, ProgramServer, answers_http, fresh, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REGION = "us-east-1"

# It reads its description of S3, a megabyte, anew for each client. Once is enough for all tests.
botocore.session.create_loader = cache(botocore.session.create_loader)


class S3Server(ProgramServer):
    """An S3 server with one account, who may do everything."""

    def __init__(
        self,
        folder: Path,
        command: Callable[[int], Sequence[str | Path]],
        environment: Mapping[str, str],
        account: tuple[str, str],
    ) -> None:
        self._key, self._secret = account
        program = Program(folder, command, answers_http, environment)
        super().__init__(program)
        self.address = program.address

    def place(self) -> Place:
        """A prefix in a new bucket."""
        bucket = fresh("bucket")
        client = botocore.session.get_session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.address,
            aws_access_key_id=self._key,
            aws_secret_access_key=self._secret,
        )
        client.create_bucket(Bucket=bucket)
        client.close()
        options: dict[str, object] = {
            "endpoint_url": self.address,
            "key": self._key,
            "secret": self._secret,
            "client_kwargs": {"region_name": REGION},
        }
        return Place(f"s3://{bucket}/prefix", options)


class Versity(S3Server):
    """versitygw, https://github.com/versity/versitygw, over a folder."""

    name: ClassVar[str] = "versity"

    def __init__(self, folder: Path) -> None:
        program = installed("versitygw")
        for part in ("objects", "attributes"):
            (folder / part).mkdir()

        def command(port: int) -> list[str | Path]:
            return [
                program, "--port", f"127.0.0.1:{port}", "--region", REGION, "--keep-alive",
                # Not in extended attributes, which not every file system has.
                "posix", "--sidecar", folder / "attributes", folder / "objects",
            ]  # fmt: skip

        key, secret = fresh("key"), secrets.token_urlsafe(30)
        environment = {"ROOT_ACCESS_KEY": key, "ROOT_SECRET_KEY": secret}
        super().__init__(folder, command, environment, (key, secret))


class Moto(S3Server):
    """moto's server, https://docs.getmoto.org, in memory; it lets everybody do everything."""

    name: ClassVar[str] = "moto"

    def __init__(self, folder: Path) -> None:
        def command(port: int) -> list[str | Path]:
            return [sys.executable, "-P", Path(__file__).with_name("moto_atomic.py"), str(port)]

        super().__init__(folder, command, {}, ("any-key", "any-secret"))
