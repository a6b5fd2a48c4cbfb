"""An SSH server's folder keeps every promise of a backend: OpenSSH's server does."""

from __future__ import annotations

import os
import shutil
import signal
import socketserver
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.servers.base import Place, free_port
from tests.servers.sftp import Sftp

from holdfast.backend import (
    Access,
    Backend,
    RemoteFailure,
    Sweepable,
    is_uri,
    open_backend,
    open_objects,
    put_probing,
    remove_folders,
)
from holdfast.backend.drivers import sftp_session
from holdfast.backend.drivers.sftp_packets import (
    FAILURE,
    PERMISSION_DENIED,
    UNSUPPORTED,
    Answer,
    Attributes,
    Entry,
    Refused,
    entries_of,
)
from holdfast.backend.drivers.sftp_session import Session
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
    UsageError,
)
from holdfast.overrides import override
from holdfast.testing.conformance import BackendConformance
from holdfast.testing.repositories import ManualClock, new_store

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

_SECONDS = 60.0
_MIB = 1 << 20


@pytest.fixture
def server(servers: Servers) -> Sftp:
    server = servers.get("sftp")
    assert isinstance(server, Sftp)
    return server


@pytest.fixture
def restricted(
    server: Sftp,  # noqa: ARG001 - skips where none is installed
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Sftp]:
    """A server of its own, with arguments."""
    own = Sftp(tmp_path, request.param)
    yield own
    own.stop()


@pytest.fixture
def backend(server: Sftp) -> Iterator[Backend]:
    yield from _closing(server.place())


class Eager(ManualClock):
    """Does not wait."""

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return event.is_set()


def _opened(place: Place, options: Mapping[str, object] | None = None) -> Backend:
    return open_backend(place.location, Access({**place.options, **(options or {})}), Eager())


def _closing(place: Place) -> Iterator[Backend]:
    backend = _opened(place)
    yield backend
    backend.close()


def _folder(place: Place) -> Path:
    """Where the server of this machine keeps it."""
    return Path(urlsplit(place.location).path)


def _files(place: Place) -> list[str]:
    return sorted(path.name for path in _folder(place).rglob("*") if path.is_file())


class TestSftp(BackendConformance):
    @pytest.fixture
    def backend(self, server: Sftp) -> Iterator[Backend]:
        yield from _closing(server.place())


@pytest.mark.parametrize("restricted", ["-P hardlink,fsync,statvfs,limits"], indirect=True)
class TestSftpOfAPlainServer(BackendConformance):
    """One that lacks what OpenSSH has added, but the rename that replaces.

    Nothing can be created there only if it is absent.
    """

    @pytest.fixture
    def backend(self, restricted: Sftp) -> Iterator[Backend]:
        yield from _closing(restricted.place())


def test_what_a_killed_writer_leaves_is_swept_and_no_object(server: Sftp) -> None:
    place = server.place()
    program = (
        "import sys, time\n"
        "from holdfast.backend import Access, open_backend\n"
        "from holdfast.backend.drivers.sftp_session import Session\n"
        "location, options = sys.argv[1], eval(sys.argv[2])\n"
        "write = Session._write\n"
        "def half(session, handle, data, start):\n"
        "    write(session, handle, data[: len(data) // 2], start)\n"
        "    print('half', flush=True)\n"
        "    time.sleep(600)\n"
        "Session._write = half\n"
        "open_backend(location, Access(options)).put('data/a', bytes(32 << 20))\n"
    )
    command = [sys.executable, "-c", program, place.location, repr(place.options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half\n"
        child.kill()

    backend = _opened(place)
    assert list(backend.list("")) == []
    assert isinstance(backend, Sweepable)
    (left,) = backend.leftovers()
    assert left.name.startswith("data/.tmp-")
    assert left.modified_ns > 0
    assert backend.sweep(left.modified_ns) == 0
    assert backend.sweep(left.modified_ns + 10**12) == 1
    assert list(backend.leftovers()) == []
    assert not list(_folder(place).glob("data/.tmp-*"))
    backend.close()


@pytest.mark.parametrize("restricted", [""], indirect=True)
def test_a_lost_connection_is_replaced(restricted: Sftp) -> None:
    backend = _opened(restricted.place())
    backend.put("a", b"x")
    _kill_connections(restricted)
    assert backend.get("a") == b"x"
    _kill_connections(restricted)
    backend.put("b", b"y")
    assert {info.name for info in backend.list("")} == {"a", "b"}
    backend.close()


@pytest.mark.parametrize("restricted", [""], indirect=True)
def test_a_forked_process_has_connections_of_its_own(restricted: Sftp) -> None:
    backend = _opened(restricted.place())
    backend.put("a", b"x")
    connections = _connections(restricted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # paramiko has threads
        child = os.fork()
    if child == 0:
        signal.alarm(int(_SECONDS))
        code = 1
        with suppress(BaseException):
            code = 0 if backend.get("a") == b"x" else 2
            backend.close()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert backend.get("a") == b"x"
    assert _connections(restricted) == connections
    backend.close()


def test_a_folder_that_was_removed_is_made_anew(server: Sftp) -> None:
    place = server.place()
    backend = _opened(place)
    for removed in ("data/00", "data", ""):
        backend.put("data/00/a", b"x")
        shutil.rmtree(_folder(place) / removed)
        backend.put("data/00/b", b"y")
        assert backend.get("data/00/b") == b"y"
    backend.close()


def test_a_folder_that_comes_while_it_is_listed(server: Sftp) -> None:
    """It was not there when it was asked for, and it is when that is looked into."""
    place = server.place()
    backend = _opened(place)
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            shutil.rmtree(_folder(place) / "gc", ignore_errors=True)
            (_folder(place) / "gc").mkdir(exist_ok=True)

    backend.put("data/b", b"x")
    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(300):
            assert list(backend.list("gc/")) == []
    finally:
        stop.set()
        thread.join()
        backend.close()


def test_a_repository_that_is_gone_is_not_empty(server: Sftp) -> None:
    """As when a server has lost what was mounted there, which may be back in a moment."""
    place = server.place()
    folder = _folder(place) / "repository"
    backend = _opened(place._replace(location=place.location + "/repository"))
    backend.put("snapshots/a", b"x")
    assert backend.get("snapshots/a") == b"x"
    folder.rename(folder.with_name("elsewhere"))
    works: list[Callable[[], object]] = [
        lambda: list(backend.list("snapshots/")),
        lambda: list(backend.list("")),
        lambda: backend.stat("snapshots/a"),
        lambda: backend.get("snapshots/a"),
        lambda: backend.delete("snapshots/a"),
    ]
    for work in works:
        with pytest.raises(BackendError, match="is not there any more") as caught:
            work()
        assert not isinstance(caught.value, ObjectNotFound)
    folder.with_name("elsewhere").rename(folder)
    assert [info.name for info in backend.list("snapshots/")] == ["snapshots/a"]
    backend.close()


def test_only_folders_that_it_made_are_removed(server: Sftp) -> None:
    place = server.place()
    (_folder(place) / "other").mkdir(parents=True)
    inside = place._replace(location=place.location + "/new/folder")
    backend = _opened(inside)
    backend.put("data/00/a", b"x")
    (_folder(inside) / "data/other").mkdir()
    backend.delete("data/00/a")
    remove_folders(backend)
    backend.close()
    found = sorted(str(path.relative_to(_folder(place))) for path in _folder(place).rglob("*"))
    assert found == ["new", "new/folder", "new/folder/data", "new/folder/data/other", "other"]

    (_folder(inside) / "data/other").rmdir()
    shutil.rmtree(_folder(place) / "new")
    backend.put("data/00/a", b"x")
    backend.delete("data/00/a")
    remove_folders(backend)
    backend.close()
    assert [path.name for path in _folder(place).iterdir()] == ["other"]


class TestListingsThatTellLittle:
    def _telling(self, monkeypatch: pytest.MonkeyPatch, change: Mapping[str, None]) -> None:
        def told(answer: Answer) -> list[Entry]:
            return [
                Entry(name, Attributes(**{**attributes._asdict(), **change}))
                for name, attributes in entries_of(answer)
            ]

        monkeypatch.setattr(sftp_session, "entries_of", told)

    def test_no_size(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        backend.put("data/a", b"xyz")
        self._telling(monkeypatch, {"size": None})
        assert [(info.name, info.size) for info in backend.list("")] == [("data/a", 3)]

    def test_no_time(self, server: Sftp, monkeypatch: pytest.MonkeyPatch) -> None:
        place = server.place()
        backend = _opened(place)
        backend.put("a", b"x")
        (_folder(place) / ".tmp-0").write_bytes(b"half")
        self._telling(monkeypatch, {"modified": None})
        assert isinstance(backend, Sweepable)
        assert backend.sweep(SYSTEM_CLOCK.now_ns() - 10**9) == 0
        assert backend.sweep(SYSTEM_CLOCK.now_ns() + 10**12) == 1
        backend.close()


def _connections(server: Sftp) -> list[str]:
    """The process that serves the connection of now, once it is the only one.

    The server may still have others, which serve connections that have ended.
    """
    parent = server._program._process.pid
    end = time.monotonic() + _SECONDS
    while len(found := Path(f"/proc/{parent}/task/{parent}/children").read_text().split()) != 1:
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def _kill_connections(server: Sftp) -> None:
    """End what serves the connections of now; the server itself goes on."""
    for child in _connections(server):
        os.kill(int(child), signal.SIGKILL)


def test_a_server_that_is_not_there_is_unavailable(server: Sftp) -> None:
    place = server.place()
    location = place.location.replace(f":{urlsplit(place.location).port}", f":{free_port()}")
    backend = _opened(place._replace(location=location))
    with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1"):
        backend.get("a")


class _Web(socketserver.BaseRequestHandler):
    @override
    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_server_of_another_kind_is_unavailable(server: Sftp) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _Web) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        place = server.place()
        port = web.server_address[1]
        location = place.location.replace(f":{urlsplit(place.location).port}", f":{port}")
        backend = _opened(place._replace(location=location))
        with pytest.raises(StorageUnavailable, match="ended the connection"):
            backend.get("a")
        web.shutdown()
        thread.join()


class TestHostKeys:
    def test_an_unknown_server_is_refused(self, server: Sftp, tmp_path: Path) -> None:
        hosts = tmp_path / "known_hosts"
        hosts.touch()
        backend = _opened(server.place(), {"known_hosts": str(hosts)})
        with pytest.raises(AccessDenied, match=r"not known \(ssh-ed25519 SHA256:.*ssh-keyscan"):
            backend.get("a")

    def test_another_key_is_refused_whatever_the_policy(self, server: Sftp, tmp_path: Path) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True
        )
        host = server.known_hosts.read_text().split()[0]
        hosts = tmp_path / "known_hosts"
        hosts.write_text(f"{host} {(tmp_path / 'key.pub').read_text()}")
        options = {"known_hosts": str(hosts), "host_key_policy": "auto_add"}
        backend = _opened(server.place(), options)
        with pytest.raises(AccessDenied, match="not the one that is known"):
            backend.get("a")

    def test_one_is_accepted_on_demand_and_told(
        self, server: Sftp, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        hosts = tmp_path / "known_hosts"
        hosts.touch()
        options = {"known_hosts": str(hosts), "host_key_policy": "auto_add"}
        backend = _opened(server.place(), options)
        backend.put("a", b"x")
        backend.close()
        assert backend.get("a") == b"x"  # by a new connection, to the same server
        backend.close()
        assert hosts.read_text() == ""
        told = [record for record in caplog.records if "not known" in record.getMessage()]
        assert len(told) == 1

    def test_a_missing_file_of_them_is_told(self, server: Sftp) -> None:
        backend = _opened(server.place(), {"known_hosts": "/nowhere/known_hosts"})
        with pytest.raises(AccessDenied, match="/nowhere/known_hosts cannot be read"):
            backend.get("a")


class TestCredentials:
    def test_a_wrong_key_is_refused(self, server: Sftp, tmp_path: Path) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True
        )
        backend = _opened(server.place(), {"key_filename": str(tmp_path / "key")})
        with pytest.raises(AccessDenied, match="key_filename"):
            backend.get("a")

    def test_a_missing_key_is_no_missing_object(self, server: Sftp, tmp_path: Path) -> None:
        backend = _opened(server.place(), {"key_filename": str(tmp_path / "key")})
        with pytest.raises(AccessDenied, match="key cannot be read"):
            backend.get("a")

    def test_a_locked_key_needs_its_passphrase(self, server: Sftp, tmp_path: Path) -> None:
        place = server.place()
        key = tmp_path / "key"
        key.write_bytes(Path(str(place.options["key_filename"])).read_bytes())
        key.chmod(0o600)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "swordfish", "-f", key], check=True)
        backend = _opened(place, {"key_filename": str(key)})
        with pytest.raises(AccessDenied, match="passphrase"):
            backend.get("a")
        backend = _opened(place, {"key_filename": str(key), "passphrase": "swordfish"})
        backend.put("a", b"x")
        backend.close()

    def test_a_password_is_in_no_message(self, server: Sftp) -> None:
        options = {"key_filename": [], "password": "hunter2hunter2"}
        backend = _opened(server.place(), options)
        with pytest.raises(AccessDenied) as caught:
            backend.get("a")
        assert "hunter2" not in str(caught.value)
        assert "password" in str(caught.value)


class TestRefusals:
    @pytest.mark.parametrize("restricted", ["-R"], indirect=True)
    def test_a_server_that_lets_nothing_be_written(self, restricted: Sftp) -> None:
        place = restricted.place()
        (_folder(place)).mkdir()
        (_folder(place) / "a").write_bytes(b"x")
        backend = _opened(place)
        assert backend.get("a") == b"x"
        changes: list[Callable[[], None]] = [
            lambda: backend.put("b", b"y"),
            lambda: backend.delete("a"),
        ]
        for change in changes:
            with pytest.raises(AccessDenied):
                change()
        backend.close()
        assert _files(place) == ["a"]

    @pytest.mark.parametrize("restricted", ["-P opendir"], indirect=True)
    def test_a_folder_that_cannot_be_listed_is_not_empty(self, restricted: Sftp) -> None:
        backend = _opened(restricted.place())
        assert list(backend.list("")) == []  # there is no folder
        backend.put("data/a", b"x")
        for prefix in ("", "data/"):
            with pytest.raises(AccessDenied):
                list(backend.list(prefix))
        backend.close()

    @pytest.mark.parametrize("restricted", ["-P hardlink"], indirect=True)
    def test_a_server_without_hard_links_creates_nothing_only_if_absent(
        self, restricted: Sftp
    ) -> None:
        # Its rename refuses names that are taken, but it may look first and then replace.
        place = restricted.place()
        backend = _opened(place)
        put_probing(backend, "a", b"first")
        assert backend.capabilities().put_if_absent is False
        with pytest.raises(BackendError):
            backend.put_if_absent("b", b"x")
        assert {info.name for info in backend.list("")} == {"a"}
        backend.close()
        assert _files(place) == ["a"]

    @pytest.mark.parametrize("status", [FAILURE, PERMISSION_DENIED, UNSUPPORTED])
    def test_a_file_system_without_hard_links(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        def failing(_session: Session, _source: str, _target: str) -> None:
            raise Refused(status, "")

        monkeypatch.setattr(Session, "link", failing)
        put_probing(backend, "a", b"x")
        assert backend.capabilities().put_if_absent is False
        assert backend.get("a") == b"x"

    @pytest.mark.parametrize("status", [FAILURE, PERMISSION_DENIED])
    def test_a_link_that_fails_once_does_not_mean_that_there_are_none(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        put_probing(backend, "a", b"x")
        link = Session.link
        failures = [Refused(status, "")]

        def failing(session: Session, source: str, target: str) -> None:
            if failures:
                raise failures.pop()
            link(session, source, target)

        monkeypatch.setattr(Session, "link", failing)
        backend.put_if_absent("b", b"y")
        assert backend.get("b") == b"y"
        assert failures == []

    def test_what_may_not_be_durable_is_not_there(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_probing(backend, "snapshots/a", b"x")
        sync = Session.sync
        link = Session.link
        linked = []

        def linking(session: Session, source: str, target: str) -> None:
            link(session, source, target)
            linked.append(target)

        def failing(session: Session, handle: bytes) -> None:
            if linked:
                raise Refused(FAILURE, "the disk fails")
            sync(session, handle)

        with monkeypatch.context() as patch:
            patch.setattr(Session, "link", linking)
            patch.setattr(Session, "sync", failing)
            with pytest.raises(BackendError, match="the disk fails"):
                backend.put_if_absent("snapshots/b", b"y")
        assert [info.name for info in backend.list("snapshots/")] == ["snapshots/a"]

    @pytest.mark.parametrize("restricted", ["-P hardlink"], indirect=True)
    def test_a_commit_whose_name_may_not_outlast_a_power_cut_has_failed(
        self, restricted: Sftp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without hard links the name cannot be taken back: it may be another's by then."""
        backend = _opened(restricted.place())
        store = new_store(backend)
        sync, replace = Session.sync, Session.replace
        replaced: list[str] = []

        def replacing(session: Session, source: str, target: str) -> None:
            replace(session, source, target)
            replaced.append(target)

        def failing(session: Session, handle: bytes) -> None:
            if any("/snapshots/" in name for name in replaced):
                raise Refused(FAILURE, "the disk fails")
            sync(session, handle)

        with store.writer({}) as writer, monkeypatch.context() as patch:
            writer.flush()
            assert writer.confirm()
            patch.setattr(Session, "replace", replacing)
            patch.setattr(Session, "sync", failing)
            with pytest.raises(BackendError, match="the disk fails"):
                writer.commit(b"snapshot")
        folders = {info.name.partition("/")[0] for info in backend.list("")}
        assert {"snapshots", "sessions"} <= folders  # it may still come to be
        backend.close()

    def test_a_name_of_a_lost_answer_is_durable_when_it_is_found(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_probing(backend, "snapshots/a", b"x")
        sync = Session.sync
        link = Session.link
        linked: list[str] = []
        synced = []

        def losing(session: Session, source: str, target: str) -> None:
            link(session, source, target)
            linked.append(target)
            raise ConnectionError("the answer is lost")

        def noting(session: Session, handle: bytes) -> None:
            synced.append(len(linked))
            sync(session, handle)

        monkeypatch.setattr(Session, "link", losing)
        monkeypatch.setattr(Session, "sync", noting)
        with pytest.raises(ObjectExists):
            backend.put_if_absent("snapshots/b", b"y")
        assert len(linked) == 1
        assert synced.count(1) == 2  # of the second temporary file, and then of the folder

    @pytest.mark.parametrize("restricted", ["-P posix-rename,hardlink"], indirect=True)
    def test_a_lost_answer_where_nothing_can_be_replaced(
        self, restricted: Sftp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Session.rename
        renamed = []

        def losing(session: Session, source: str, target: str) -> None:
            rename(session, source, target)
            renamed.append(target)
            if len(renamed) == 1:
                raise ConnectionError("the answer is lost")

        monkeypatch.setattr(Session, "rename", losing)
        place = restricted.place()
        backend = _opened(place)
        data = os.urandom(9 * _MIB)
        backend.put("a", data)
        assert len(renamed) == 1
        with pytest.raises(BackendError, match="posix-rename"):
            backend.put("a", data[:-1] + bytes([data[-1] ^ 1]))
        assert backend.get("a") == data
        backend.close()
        assert _files(place) == ["a"]

    @pytest.mark.parametrize("restricted", ["-P posix-rename,hardlink"], indirect=True)
    def test_a_server_that_cannot_replace_never_loses_what_is_there(self, restricted: Sftp) -> None:
        place = restricted.place()
        backend = _opened(place)
        put_probing(backend, "a", b"first")
        with pytest.raises(BackendError, match="posix-rename"):
            backend.put("a", b"second")
        assert backend.get("a") == b"first"
        backend.close()
        assert _files(place) == ["a"]

    def test_a_full_disk(self, server: Sftp) -> None:
        place = server.place()
        _folder(place).mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(_folder(place))]
        if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            pytest.skip("needs the right to mount")
        try:
            backend = _opened(place)
            backend.put("a", bytes(_MIB // 2))
            for name in ("b", "c"):
                with pytest.raises(StorageFull):
                    backend.put(name, bytes(_MIB))
            backend.put("d", bytes(_MIB // 4))  # nothing is left of the others
            assert {info.name for info in backend.list("")} == {"a", "d"}
            assert [path.name for path in _folder(place).glob(".tmp-*")] == []
            backend.close()
        finally:
            subprocess.run(["umount", "-l", str(_folder(place))], check=True)


def test_its_folders_are_for_their_owner(server: Sftp) -> None:
    place = server.place()
    backend = _opened(place)
    backend.put("data/00/a", b"x")
    backend.close()
    for folder in ("", "data", "data/00"):
        assert stat.S_IMODE((_folder(place) / folder).stat().st_mode) == 0o700


def test_a_path_with_escapes(server: Sftp) -> None:
    place = server.place()
    place = place._replace(location=place.location + "%20%C3%A9")
    backend = _opened(place)
    backend.put("a", b"x")
    backend.close()
    assert Path(urlsplit(place.location).path.replace("%20%C3%A9", " é"), "a").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"pasword": "hunter2"}, "pasword"),
        ({"allow_agent": "perhaps"}, "allow_agent"),
        ({"host_key_policy": "warning"}, "reject or auto_add"),
        ({"port": 70000}, "port"),
        ({"password": ["hunter2"]}, "password"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        open_backend("sftp://host/folder", Access(options))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "location", ["sftp://host", "sftp:///folder", "sftp://host:x/f", "sftp://host/f?x=1"]
)
def test_locations_that_make_no_sense(location: str) -> None:
    assert is_uri(location)
    with pytest.raises(UsageError, match="sftp://user@host"):
        open_backend(location)


def test_a_folder_that_others_filled(server: Sftp) -> None:
    place = server.place()
    folder = _folder(place)
    (folder / "sub").mkdir(parents=True)
    (folder / "a b").write_bytes(b"hello")
    os.utime(folder / "a b", (1_000_000, 2_000_000))
    (folder / "link").symlink_to("a b")
    objects = open_objects(place.location, Access(place.options), Eager())
    listed = {each.path.rpartition("/")[2]: each for each in objects.folder(objects.path(""))}
    assert {name: each.kind for name, each in listed.items()} == {
        "a b": "file",
        "link": "link",
        "sub": "directory",
    }
    assert (listed["a b"].size, listed["a b"].mtime) == (5, 2_000_000 * 10**9)
    assert objects.read(listed["a b"], 1, 3) == b"el"
    assert objects.status(objects.path("missing")) is None
    with pytest.raises(RemoteFailure) as missing:
        objects.folder(objects.path("missing"))
    assert missing.value.is_absence

    large = os.urandom(40 * _MIB)
    for name, data in (("new/large", large), ("new/small", b"x"), ("new/empty", b"")):
        objects.write(objects.path(name), len(data), partial(_cut, data))
        assert (folder / name).read_bytes() == data
    with pytest.raises(ZeroDivisionError):
        objects.write(objects.path("new/broken"), 40 * _MIB, _broken)
    objects.close()
    assert sorted(path.name for path in (folder / "new").iterdir()) == ["empty", "large", "small"]


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, max(1, len(data)), size):
        yield data[start : start + size]


def _broken(size: int) -> Iterator[bytes]:
    yield bytes(size)
    raise ZeroDivisionError


def test_a_missing_object_of_a_missing_repository(backend: Backend) -> None:
    with pytest.raises(ObjectNotFound):
        backend.get("config/0")
    assert list(backend.list("")) == []
