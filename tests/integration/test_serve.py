"""Snapshots over HTTP, asked for by clients that share no code with the server."""

from __future__ import annotations

import base64
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest

import holdfast
from holdfast.backend import open_backend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.primitives.chunker import PROFILES
from holdfast.store import Settings, create_store
from holdfast.testing.content import noise
from holdfast.testing.repositories import PASSWORD, QUICK_KDF

PATIENCE = 60
ODD = b"caf\xe9 <b>&'\" #%2F?x\x01"
MANY = 3000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - for a moment
DATA = noise(3 << 20)


@dataclass(frozen=True)
class Place:
    """A repository with one snapshot, and the path of the tree in it, quoted."""

    folder: Path
    inner: str

    def open(self) -> holdfast.Repository:
        return holdfast.open(self.folder / "repo", password=PASSWORD, cache=False)


class Answer(NamedTuple):
    """What a server has answered; names of headers in small letters."""

    code: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Asks a server, over one connection."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        with closing(http.client.HTTPConnection(self.host, timeout=PATIENCE)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            found = connection.getresponse()
            told = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, told, found.read())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("serve")
    source = folder / "source"
    (source / "many").mkdir(parents=True)
    for number in range(MANY):
        (source / f"many/file{number:05}").touch()
    (source / "large.bin").write_bytes(DATA)
    (source / "empty").touch()
    (source / "page.html").write_text("<script>fetch('/')</script>")
    (source / os.fsdecode(ODD)).write_bytes(b"odd")
    (source / "\uf7e9").write_bytes(b"private")
    (source / "link").symlink_to("large.bin")
    os.mkfifo(source / "pipe")
    os.utime(source / "large.bin", ns=(0, 1_000_000_000_000_000_000))
    settings = Settings(PROFILES["default"], 4 << 20, 3)
    backend = open_backend(folder / "repo")
    create_store(backend, PASSWORD, settings, QUICK_KDF, SYSTEM_CLOCK, None).close()
    place = Place(folder, quote(str(source)))
    with place.open() as repo:
        repo.backup(source)
    return place


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Client]:
    """Of a server that shows the tree itself."""
    with place.open() as repo, repo.serve(port=0, snapshot=f"latest:{place.inner}") as server:
        server.start()
        yield Client(server.address)


def members(answer: Answer) -> dict[str, dict[str, str]]:
    """The properties that a PROPFIND has found, by URL."""
    assert answer.code == 207
    return {
        str(each.findtext("{DAV:}href")): {
            found.tag.removeprefix("{DAV:}"): found.text or ""
            for found in each.findall("{DAV:}propstat/{DAV:}prop/*")
        }
        for each in ET.fromstring(answer.body)  # noqa: S314 - our own server's
    }


def test_a_file_comes_with_what_clients_go_by(client: Client) -> None:
    answer = client("GET", "/large.bin")
    assert (answer.code, answer.body) == (200, DATA)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["last-modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert answer.headers["accept-ranges"] == "bytes"
    assert client("GET", "/page.html").headers["content-type"] == "text/html"
    assert client("GET", "/empty").body == b""
    head = client("HEAD", "/large.bin")
    assert (head.code, head.body) == (200, b"")
    assert {**head.headers, "date": ""} == {**answer.headers, "date": ""}


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        (f"{len(DATA) - 5}-", len(DATA) - 5, len(DATA)),
        ("-5", len(DATA) - 5, len(DATA)),
        ("1000000-2500000", 1_000_000, 2_500_001),
        (f"5-{len(DATA) + 100}", 5, len(DATA)),
    ],
)
def test_a_range_is_just_that(client: Client, asked: str, begin: int, end: int) -> None:
    answer = client("GET", "/large.bin", Range=f"bytes={asked}")
    assert (answer.code, answer.body) == (206, DATA[begin:end])
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(end - begin)


def test_a_range_behind_the_end_is_refused(client: Client) -> None:
    assert client("GET", "/large.bin", Range=f"bytes={len(DATA)}-").code == 416


def test_what_a_client_has_already_is_not_sent_again(place: Place, client: Client) -> None:
    tag = client("HEAD", "/large.bin").headers["etag"]
    assert client("GET", "/large.bin", If_None_Match=tag).code == 304
    assert client("GET", "/large.bin", If_None_Match='"other"').code == 200
    ranged = client("GET", "/large.bin", Range="bytes=0-9", If_Range='"other"')
    assert (ranged.code, len(ranged.body)) == (200, len(DATA))
    with place.open() as repo, repo.serve(port=0) as server:  # by content, wherever it is
        server.start()
        path = f"/latest{place.inner}/large.bin"
        assert Client(server.address)("HEAD", path).headers["etag"] == tag


def test_a_folder_is_found_with_its_properties(client: Client) -> None:
    found = members(client("PROPFIND", "/", Depth="1"))
    assert found["/large.bin"]["getcontentlength"] == str(len(DATA))
    assert found["/large.bin"]["getlastmodified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert {"/", "/many/", "/empty"} <= set(found)
    assert not {"/link", "/pipe"} & set(found), "WebDAV has no such things"
    assert list(members(client("PROPFIND", "/many", Depth="0"))) == ["/many/"]
    assert len(members(client("PROPFIND", "/many/", Depth="1"))) == MANY + 1


def test_a_folder_and_all_below_is_refused(client: Client) -> None:
    for answer in (client("PROPFIND", "/"), client("PROPFIND", "/", Depth="infinity")):
        assert (answer.code, b"propfind-finite-depth" in answer.body) == (403, True)


def test_odd_names_are_found_by_their_urls(client: Client) -> None:
    found = members(client("PROPFIND", "/", Depth="1"))
    bodies = {client("GET", url).body for url in found if not url.endswith("/")}
    assert {b"odd", b"private", b"", DATA} <= bodies
    assert client("GET", "/" + quote(ODD)).body == b"odd"
    names = {each["displayname"] for each in found.values()}
    assert "caf\\xe9 <b>&'\" #%2F?x\\x01" in names


def test_a_browser_is_shown_a_page_without_traps(client: Client) -> None:
    answer = client("GET", "/")
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<b>" not in page
    assert "script-src" in answer.headers["content-security-policy"] or (
        "default-src 'none'" in answer.headers["content-security-policy"]
    )
    links = re.findall(r'href="([^"]*)"', page)
    assert b"odd" in {client("GET", unescape(url)).body for url in links if url[-1] != "/"}
    assert "link → large.bin" in page
    assert "pipe (pipe)" in page
    moved = client("GET", "/many")
    assert (moved.code, moved.headers["location"]) == (301, "/many/")
    assert client("GET", "/many/").body.count(b"<tr>") == MANY + 2
    assert client("HEAD", "/many/").body == b""
    assert client("GET", "/page.html").headers["content-security-policy"] == "sandbox"


@pytest.mark.parametrize(
    "method",
    ["PUT", "DELETE", "POST", "MKCOL", "COPY", "MOVE", "PROPPATCH", "LOCK", "UNLOCK", "PATCH"],
)
def test_nothing_can_be_written(client: Client, method: str) -> None:
    answer = client(method, "/new", b"data", Destination="/other")
    assert (answer.code, answer.headers["allow"]) == (405, "OPTIONS, HEAD, GET, PROPFIND")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/empty/below", "/%00", "/%ff", "/../../etc/passwd", "/link", "/%2e%2e/%2e%2e"],
)
def test_what_is_not_there(client: Client, path: str) -> None:
    assert client("GET", path).code in {400, 403, 404}


def test_other_names_for_this_machine_are_refused(client: Client) -> None:
    for host in (
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.0.2.1", "[::1"
    ):  # fmt: skip
        assert client("GET", "/", Host=host).code == 421
    for host in ("localhost:99", "127.0.0.1", "[::1]:80"):
        assert client("GET", "/", Host=host).code == 200


@pytest.mark.parametrize("path", ["/", "/large.bin", "/none", "/many"])
def test_pages_elsewhere_cannot_take_anything_in(client: Client, path: str) -> None:
    for host in ("127.0.0.1", "evil.example"):
        answer = client("GET", path, Host=host)
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_what_a_browser_keeps_it_asks_for_again(client: Client) -> None:
    for path in ("/", "/large.bin"):
        assert client("GET", path).headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(("count", "code"), [(100, 207), (101, 403), (5000, 413)])
def test_a_question_may_not_name_too_many_properties(client: Client, count: int, code: int) -> None:
    named = b"".join(b"<x%d/>" % number for number in range(count))
    body = b'<D:propfind xmlns:D="DAV:"><D:prop>' + named + b"</D:prop></D:propfind>"
    assert client("PROPFIND", "/large.bin", body, Depth="1").code == code


@pytest.mark.parametrize(
    "body", [b"<", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>']
)
def test_a_question_that_makes_no_sense_is_refused(client: Client, body: bytes) -> None:
    assert client("PROPFIND", "/", body, Depth="1").code == 400


def test_many_clients_at_once(client: Client) -> None:
    def get(number: int) -> bool:
        begin = number * 70_000
        answer = client("GET", "/large.bin", Range=f"bytes={begin}-{begin + 300_000}")
        return answer.body == DATA[begin : begin + 300_001]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(get, range(40)))


def test_a_repository_is_shown_as_its_snapshots(place: Place) -> None:
    with place.open() as repo, repo.serve(port=0) as server:
        server.start()
        client = Client(server.address)
        found = set(members(client("PROPFIND", "/", Depth="1")))
        assert found == {"/", "/latest/", "/ids/", "/times/", "/hosts/", "/tags/"}
        made = repo.snapshot("latest").id[:8]
        assert f'href="/ids/{made}/"' in client("GET", "/ids/").body.decode()
        assert client("GET", f"/ids/{made}{place.inner}/large.bin").body == DATA


def test_a_password_is_asked_for(place: Place) -> None:
    with place.open() as repo, repo.serve(port=0, user="anna", password="pässword") as server:
        server.start()
        client = Client(server.address)
        assert client("GET", "/").headers["www-authenticate"].startswith("Digest ")
        for secret, code in (("pässword", 200), ("wrong", 401), ("", 401)):
            basic = base64.b64encode(f"anna:{secret}".encode()).decode()
            assert client("GET", "/", Authorization=f"Basic {basic}").code == code
        assert client("GET", "/", Host="example.com").code == 401
        nobody = base64.b64encode(b"nobody:").decode()
        latin = base64.b64encode("anna:pässword".encode("latin-1")).decode()
        digest = 'Digest username="anna", realm="/", nonce="x", uri='
        for given in (
            "Basic", "Basic !", "Basic bm9jb2xvbg==", f"Basic {nobody}", f"Basic {latin}", "Digest",
            f'{digest}"/", response="ä"', f'{digest}"//[", response="a"', "Bearer x",
        ):  # fmt: skip
            assert client("GET", "/", Authorization=given).code == 401


def test_others_are_served_with_a_password_only(place: Place) -> None:
    with place.open() as repo:
        for host in (EVERYWHERE, "::", "", "192.0.2.1", "example.com"):
            with pytest.raises(holdfast.UsageError, match="give a password"):
                repo.serve(host, 0)
        with repo.serve(EVERYWHERE, 0, password="secret") as server:
            assert server.address.startswith(f"http://{EVERYWHERE}:")
        with repo.serve(port=0) as server, pytest.raises(holdfast.UsageError, match="in use"):
            repo.serve(port=urlsplit(server.address).port or 0)
        for password in ("", b"\xff", "\udcff"):
            with pytest.raises(holdfast.UsageError, match="password"):
                repo.serve(port=0, password=password)
        for user in ("", "a:b"):
            with pytest.raises(holdfast.UsageError, match="user's name"):
                repo.serve(port=0, user=user, password="secret")
        with pytest.raises(holdfast.UsageError, match="no port"):
            repo.serve(port=65536)
        with pytest.raises(holdfast.PathNotFound):
            repo.serve(port=0, snapshot="latest:/nowhere")


def damage_the_end_of_the_large_file(pack: Path, location: Path, inner: str) -> None:
    """Leave its first segment of 2 MiB whole; which of them is first in the pack, is chance."""
    whole = pack.read_bytes()
    pack.chmod(0o600)
    for begin in (len(whole) * 17 // 20, len(whole) * 3 // 20):
        pack.write_bytes(whole[:begin] + bytes(1000) + whole[begin + 1000 :])
        with (
            suppress(holdfast.DamagedRepository),
            holdfast.open(location, password=PASSWORD, cache=False) as repo,
            repo.open_file("latest", f"{inner}/large.bin") as file,
        ):
            assert file.read(1 << 20) == DATA[: 1 << 20]
            return
    pytest.fail("the beginning of the file cannot be read")


def test_damage_ends_the_answer_and_is_logged(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run(["cp", "-r", place.folder / "repo", tmp_path / "repo"], check=True)
    packs = [each for each in (tmp_path / "repo/data").rglob("*") if each.is_file()]
    largest = max(packs, key=lambda each: each.stat().st_size)
    damage_the_end_of_the_large_file(largest, tmp_path / "repo", unquote(place.inner))
    with (
        closing(holdfast.open(tmp_path / "repo", password=PASSWORD, cache=False)) as repo,
        repo.serve(port=0, snapshot=f"latest:{place.inner}") as server,
    ):
        server.start()
        client = Client(server.address)
        with pytest.raises(http.client.IncompleteRead) as broken:
            client("GET", "/large.bin")
        assert DATA.startswith(broken.value.partial)
        assert client("GET", "/empty").code == 200
    assert largest.name in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    ("verb", "number"),
    [("serve", signal.SIGINT), ("webdav", signal.SIGTERM), ("serve", signal.SIGHUP)],
)
def test_the_command_serves_until_it_is_interrupted(
    place: Place, verb: str, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast", verb, "--port", "0", "-s", f"latest:{place.inner}"],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
            "HOLDFAST_REPOSITORY": str(place.folder / "repo"),
            "HOLDFAST_PASSWORD": PASSWORD,
            "HOLDFAST_SERVE_PASSWORD": "secret",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    client = Client(process.stdout.readline().partition(";")[0])
    basic = base64.b64encode(b"holdfast:secret").decode()
    assert client("GET", "/large.bin", Authorization=f"Basic {basic}").body == DATA
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "ended\n", "")
