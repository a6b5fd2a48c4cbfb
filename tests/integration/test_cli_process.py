"""What only a process of its own can show: signals, pipes, terminals, users, start-up."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.primitives.chunker import PROFILES
from holdfast.store import Settings, create_store
from holdfast.testing.repositories import QUICK_KDF

PASSWORD = "a password"
PATIENCE = 60


@dataclass
class Place:
    """A folder with a repository `repo`, and the environment of the commands that run there."""

    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "holdfast", *arguments]

    def run(
        self, *arguments: str, stdin: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def objects(self, kind: str) -> list[Path]:
        return [path for path in (self.folder / "repo" / kind).glob("*") if path.is_file()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    kept = {
        name: value
        for name in ("PATH", "PYTHONPATH")
        if (value := os.environ.get(name)) is not None
    }
    if "PYTHONPATH" in kept:
        kept["PYTHONPATH"] = str(Path(holdfast.__file__).parents[1])
    more = {
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "HOLDFAST_REPOSITORY": "repo",
        "HOLDFAST_PASSWORD": PASSWORD,
    }
    backend = LocalBackend(tmp_path / "repo")
    settings = Settings(PROFILES["default"], 16 << 20, 3)
    create_store(backend, PASSWORD, settings, QUICK_KDF, SYSTEM_CLOCK, None).close()
    return Place(tmp_path, kept | more)


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not happened():
        assert time.perf_counter() < deadline, "it never happened"
        select.select([], [], [], 0.01)


# Signals


@pytest.mark.fault(6)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_backup_ends_clean(place: Place, number: signal.Signals) -> None:
    running = place.start("create", "--stdin", "endless")
    assert running.stdin is not None
    running.stdin.write(os.urandom(1 << 20))
    running.stdin.flush()
    wait_until(lambda: place.objects("sessions"))
    running.send_signal(number)
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert err.decode().strip().splitlines()[-1] == "holdfast: error: interrupted"
    assert b"Traceback" not in err
    assert place.objects("sessions") == []
    assert place.objects("snapshots") == []
    assert place.run("validate", "--read-data").returncode == 0


@pytest.mark.fault(6)
def test_an_interrupted_backup_of_files_ends_clean(place: Place) -> None:
    data = place.folder / "data"
    data.mkdir()
    for number in range(40):
        (data / str(number)).write_bytes(os.urandom(1 << 20))
    with subprocess.Popen(
        # So slowly that it is at work still whenever it is looked at.
        place.command("--limit-upload", "100", "--json", "create", "--force", "data"),
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        wait_until(lambda: place.objects("sessions"))
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130, err
    error = json.loads(out)["error"]
    assert (error["type"], error["exit_code"]) == ("Interrupted", 130)
    assert place.objects("sessions") == []
    assert place.objects("snapshots") == []


@pytest.mark.fault(6)
def test_an_interrupted_command_is_ended_too(place: Place) -> None:
    pid = place.folder / "pid"
    script = f"echo $$ > {pid}.new && mv {pid}.new {pid}; exec sleep 1000"
    running = place.start("create", "--command", "x", "--", "sh", "-c", script)
    wait_until(lambda: pid.exists() and place.objects("sessions"))
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    wait_until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())
    assert place.objects("sessions") == []


# Pipes and full disks


def test_a_reader_that_goes_away_is_no_reason_to_complain(place: Place) -> None:
    (place.folder / "data").mkdir()
    (place.folder / "data/large").write_bytes(os.urandom(4 << 20))
    assert place.run("create", "data").returncode == 0
    path = str(place.folder / "data/large")
    running = place.start("dump", "latest", path)
    assert running.stdout is not None
    running.stdout.read(10)
    running.stdout.close()
    running.stdout = None
    _, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, err) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("dump", "latest", "/data"), ("list",), ("--json", "list")])
def test_a_full_disk_is_told_in_one_line(place: Place, arguments: tuple[str, ...]) -> None:
    assert place.run("create", "--stdin", "data", stdin=b"x" * 100).returncode == 0
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            place.command(*arguments),
            cwd=place.folder,
            env=place.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"holdfast: error: standard output: No space left on device\n"


def test_names_are_shown_where_the_terminal_has_no_letters_for_them(place: Place) -> None:
    (place.folder / "data").mkdir()
    (place.folder / "data/größe").touch()
    Path(os.fsdecode(os.fsencode(place.folder) + b"/data/odd\xff")).touch()
    assert place.run("create", "data").returncode == 0
    shown = place.run("find", "*", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0
    assert b"gr\\xf6\\xdfe" in shown.stdout
    assert b"odd\\xff" in shown.stdout


# Terminals


def on_terminal(place: Place, *arguments: str, typed: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a command on a terminal of its own; type each answer when a question ends with ``: ``."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(place.folder)
        command = place.command(*arguments)
        os.execve(command[0], command, place.environment)  # noqa: S606 - the child of the fork
    shown = b""
    answers: Iterator[str] = iter(typed)
    while True:
        try:
            got = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not got:
            break
        shown += got
        if shown.endswith(b": "):
            os.write(terminal, next(answers).encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def test_a_new_password_is_asked_for_twice_and_never_shown(place: Place) -> None:
    del place.environment["HOLDFAST_PASSWORD"]
    code, shown = on_terminal(place, "init", "-b", "new", typed=("secret", "secret"))
    assert code == 0, shown
    assert "secret" not in shown
    holdfast.open(place.folder / "new", password="secret", cache=False).close()
    code, shown = on_terminal(place, "list", "-b", "new", typed=("secret",))
    assert (code, "0 snapshots" in shown) == (0, True)
    code, shown = on_terminal(place, "list", "-b", "new", typed=("wrong",))
    assert code == 12


def test_a_password_typed_differently_is_asked_for_again(place: Place) -> None:
    del place.environment["HOLDFAST_PASSWORD"]
    typed = ("one", "two", "three", "three")
    code, shown = on_terminal(place, "init", "-b", "new", typed=typed)
    assert code == 0, shown
    holdfast.open(place.folder / "new", password="three", cache=False).close()


def test_long_work_shows_a_progress_bar_on_a_terminal_only(place: Place) -> None:
    slow = ("create", "--command", "name", "--", "sh", "-c", "printf x; sleep 2; printf y")
    place.environment |= {"TERM": "xterm", "COLUMNS": "200"}
    code, shown = on_terminal(place, *slow)
    assert code == 0
    assert "backing up" in shown
    assert "/s" in shown
    code, shown = on_terminal(place, "-q", *slow)
    assert (code, shown) == (0, "")
    assert place.run(*slow).stderr == b""


def test_archives_are_not_written_to_a_terminal(place: Place) -> None:
    (place.folder / "data").mkdir()
    (place.folder / "data/text").write_text("plain\n")
    assert place.run("create", "data").returncode == 0
    path = str(place.folder / "data")
    code, shown = on_terminal(place, "dump", "latest", path)
    assert code == 1
    assert "binary data" in shown
    assert on_terminal(place, "dump", "latest", path + "/text") == (0, "plain\r\n")


# Users


# Root reads everything, unless it gives these capabilities up.
OBEYING = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def cannot_obey() -> bool:
    """Whether this user reads everything and cannot help it."""
    if os.geteuid() != 0:
        return False
    if shutil.which("setpriv") is None:
        return True
    return subprocess.run([*OBEYING, "true"], check=False, capture_output=True).returncode != 0


@pytest.mark.fault(36)
@pytest.mark.skipif(cannot_obey(), reason="root reads everything here, and has no setpriv")
def test_what_may_not_be_read_makes_the_backup_incomplete(place: Place) -> None:
    data = place.folder / "data"
    (data / "closed").mkdir(parents=True)
    (data / "open").write_text("open")
    (data / "closed").chmod(0)
    obeying = OBEYING if os.geteuid() == 0 else []
    done = subprocess.run(
        [*obeying, *place.command("--json", "create", "data")],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    assert document["snapshot_id"]
    assert {error["path"] for error in document["errors"]} == {str(data / "closed")}
    assert b"Permission denied" in done.stderr


# Start-up


def modules_loaded_by(place: Place, *arguments: str) -> set[str]:
    """Names of the modules that a command loads."""
    script = (
        "import sys; from holdfast.cli.main import main; code = main();"
        " print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_the_version_loads_nothing_but_itself(place: Place) -> None:
    loaded = modules_loaded_by(place, "--version")
    ours = {name for name in loaded if name.startswith("holdfast")}
    assert ours == {
        "holdfast",
        "holdfast.errors",
        "holdfast.version",
        "holdfast.cli",
        "holdfast.cli.main",
    }
    assert not loaded & {"click", "rich", "logging", "yaml", "importlib.metadata"}


def test_help_loads_no_engine(place: Place) -> None:
    loaded = modules_loaded_by(place, "--help")
    assert "click" in loaded
    assert not loaded & {"rich", "holdfast.engine", "holdfast.store", "cryptography", "fsspec"}


def test_a_command_loads_no_other_command_and_nothing_to_draw_with(place: Place) -> None:
    loaded = modules_loaded_by(place, "-q", "list")
    commands = {name for name in loaded if name.startswith("holdfast.cli.commands.")}
    assert commands == {"holdfast.cli.commands.list"}
    assert "rich" not in loaded


@pytest.mark.parametrize(
    "program",
    [["-m", "holdfast"], ["-c", "from holdfast.cli.main import main; raise SystemExit(main())"]],
)
def test_the_version_is_told(place: Place, program: list[str]) -> None:
    for arguments in (["--version"], ["-v", "--version"]):
        done = subprocess.run(
            [sys.executable, *program, *arguments],
            env=place.environment,
            cwd=place.folder,
            capture_output=True,
            check=True,
            timeout=PATIENCE,
            text=True,
        )
        assert done.stdout == f"holdfast {holdfast.__version__}\n"
