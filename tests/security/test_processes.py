"""What others on the machine can see of the processes that have secrets, and what they leave."""

from __future__ import annotations

import base64
import http.client
import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
from tests.security.secrets import MARKS, NEW_PASSWORD, PASSWORD, Secrets

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.primitives.child import Child
from holdfast.primitives.chunker import PROFILES
from holdfast.store import Settings, create_store
from holdfast.testing.repositories import QUICK_KDF

PATIENCE = 60.0
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="there is no /proc to see a process in"
)


@dataclass
class Shop:
    """A repository whose passwords are in files, and a process that shows it over HTTP."""

    folder: Path
    environment: dict[str, str]

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        """A process that shows the repository over HTTP; killed if it has not ended."""
        command = [sys.executable, "-m", "holdfast", "--debug", "serve", "-b", "repo", "-p", "pw"]
        with subprocess.Popen(
            [*command, "--port", "0", "--serve-password-file", "new"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            try:
                yield running
            finally:
                if running.returncode is None:
                    running.kill()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    settings = Settings(PROFILES["default"], 16 << 20, 3)
    backend = LocalBackend(tmp_path / "repo")
    create_store(backend, PASSWORD, settings, QUICK_KDF, SYSTEM_CLOCK, None).close()
    with holdfast.open(tmp_path / "repo", password=PASSWORD, cache=False) as repo:
        repo.backup_stream(io.BytesIO(b"hello"), "hello")
    for name, password in (("pw", PASSWORD), ("new", NEW_PASSWORD)):
        (tmp_path / name).write_text(password)
        (tmp_path / name).chmod(0o600)
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(holdfast.__file__).parents[1])}
    return Shop(tmp_path, {**kept, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"})


def address_of(server: subprocess.Popen[str]) -> str:
    """Where it serves, once it does."""
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("http://"):
            return line.partition(";")[0]
    raise AssertionError("it has ended")


def seen_of(process: int) -> bytes:
    """What another user, or the same one, sees of a process: its arguments and environment."""
    place = Path(f"/proc/{process}")
    return (place / "cmdline").read_bytes() + (place / "environ").read_bytes()


@needs_proc
def test_a_server_shows_its_passwords_to_nobody(shop: Shop) -> None:
    with shop.serving() as running:
        address = address_of(running)
        seen = seen_of(running.pid)
        for password, status in (("wrong", 401), (NEW_PASSWORD, 200)):
            client = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
            with closing(client):
                token = base64.b64encode(f"holdfast:{password}".encode()).decode()
                client.request("GET", "/", headers={"Authorization": f"Basic {token}"})
                assert client.getresponse().status == status
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=PATIENCE)
    assert b"holdfast" in seen
    assert Secrets().found_in(seen + said.encode()) == set()


HELPER = """
import os
from holdfast.primitives.child import connected, receive, send

def main():
    questions, answers = connected()
    receive(questions)
    import resource
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    send(answers, (sorted(os.environ.items()), limits))
"""


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], int]:
    """The environment of a helper whose parent has secrets in its own; how large a core may be."""
    for prefix in ("HOLDFAST", "HOLDFAST_TO", "HOLDFAST_NEW", "HOLDFAST_SERVE", "RESTIC"):
        monkeypatch.setenv(f"{prefix}_PASSWORD", PASSWORD)
    for prefix in ("HOLDFAST", "HOLDFAST_SOURCE"):
        monkeypatch.setenv(f"{prefix}_STORAGE_OPTIONS", f'{{"secret": "{PASSWORD}"}}')
    monkeypatch.setenv("HOLDFAST_STATE_DIR", "state")
    (tmp_path / "asked.py").write_text(HELPER)
    monkeypatch.syspath_prepend(tmp_path)
    child = Child("asked", b"first")
    assert child.is_ready(PATIENCE)
    told, (soft, _) = cast("tuple[list[tuple[str, str]], tuple[int, int]]", child.answer())
    child.close()
    return dict(told), soft


def test_a_helper_gets_no_password_by_its_environment(answer: tuple[dict[str, str], int]) -> None:
    environment, _ = answer
    assert environment["HOLDFAST_STATE_DIR"] == "state", "what is harmless is passed on"
    assert environment["PATH"] == os.environ["PATH"]
    assert MARKS["the password"] not in str(environment)
    assert not [name for name in environment if name.endswith(("PASSWORD", "STORAGE_OPTIONS"))]


@pytest.mark.usefixtures("core_dumps")
def test_a_helper_leaves_no_core_dump(answer: tuple[dict[str, str], int]) -> None:
    assert answer[1] == 0


@pytest.fixture
def core_dumps() -> Iterator[None]:
    """Whatever this process starts may leave a core dump."""
    soft, most = resource.getrlimit(resource.RLIMIT_CORE)
    if most == 0:
        pytest.skip("this system allows no core dumps at all")
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, most))


@pytest.mark.usefixtures("core_dumps")
def test_a_command_that_crashes_leaves_no_core_dump(shop: Shop) -> None:
    crash = "import os; os.abort()"
    other = subprocess.Popen([sys.executable, "-c", crash], cwd=shop.folder)
    _, status = os.waitpid(other.pid, 0)
    if not os.WCOREDUMP(status):
        pytest.skip("this system dumps no core of any process")
    other.returncode = status
    with shop.serving() as running:
        assert address_of(running)
        running.send_signal(signal.SIGABRT)
        _, status = os.waitpid(running.pid, 0)
        running.returncode = status
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
