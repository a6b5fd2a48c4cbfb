"""Messages to a mail server and an HTTP server on loopback, and what is recorded of them."""

from __future__ import annotations

import io
import json
import socket
import threading
from asyncio import AbstractServer
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from aiosmtpd.controller import Controller

from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.platform.database import Database
from holdfast.platform.notify import (
    AppriseChannel,
    CallableChannel,
    Channel,
    ConsoleChannel,
    Directory,
    FileChannel,
    MailServer,
    Message,
    Notifier,
    SlackChannel,
)

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

NEWS = Message("backup-failed", "backup of /data failed", "the disk is full\nnothing was kept")


@dataclass(frozen=True)
class Letter:
    """What arrived."""

    to: tuple[str, ...]
    subject: str
    sender: str
    body: str


class Letters:
    """A mail server's box."""

    def __init__(self) -> None:
        self.got: list[Letter] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        mail = BytesParser(policy=default).parsebytes(content)
        text = mail.get_body(("plain",))
        assert text is not None
        to = tuple(envelope.rcpt_tos)
        self.got.append(Letter(to, str(mail["Subject"]), str(mail["From"]), text.get_content()))
        return "250 OK"


Post: TypeAlias = dict[str, object]


class Receiver(HTTPServer):
    """Takes posts, and answers with a status."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Post_)
        self.status = status
        self.got: list[Post] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Post_(BaseHTTPRequestHandler):  # noqa: N801 - it is one post
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.got.append(json.loads(self.rfile.read(length)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Listening(Controller):
    """A mail server at a port that it has already, so that nobody else takes it meanwhile."""

    def __init__(self, box: Letters) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        super().__init__(box, hostname="127.0.0.1", port=port, ready_timeout=60)

    @override
    def _create_server(self) -> Awaitable[AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._socket)


@pytest.fixture
def letters() -> Iterator[tuple[Letters, int]]:
    box = Letters()
    server = Listening(box)
    server.start()
    yield box, server.port
    server.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """One at which nobody listens, and that nobody else can take: connections are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        yield port


def test_r263_mail_arrives_by_smtp(letters: tuple[Letters, int]) -> None:
    box, port = letters
    server = MailServer(host="127.0.0.1", port=port, security="none", sender="backup@example.org")
    server.channel(("ops@example.org", "boss@example.org")).deliver(NEWS)
    to = sorted(address for letter in box.got for address in letter.to)
    assert to == ["boss@example.org", "ops@example.org"]
    assert "backup of /data failed" in box.got[0].subject
    assert "backup@example.org" in box.got[0].sender
    assert "nothing was kept" in box.got[0].body


def test_mail_without_a_recipient_is_refused() -> None:
    with pytest.raises(UsageError, match="not an e-mail address"):
        MailServer(host="h").channel(())
    with pytest.raises(UsageError, match="nobody"):
        MailServer(host="h").channel(("nobody",))


def test_r264_slack_gets_text_and_channel(receiver: Receiver) -> None:
    channel = SlackChannel(f"http://{receiver.address}/services/T0/B0/secret", "#backup-alerts")
    channel.deliver(NEWS)
    assert receiver.got == [{"text": f"*{NEWS.subject}*\n{NEWS.body}", "channel": "#backup-alerts"}]
    assert "secret" not in channel.name


def test_r265_webhooks_of_apprise_get_the_message(receiver: Receiver) -> None:
    AppriseChannel(f"json://{receiver.address}/hook").deliver(NEWS)
    assert receiver.got[0]["title"] == NEWS.subject
    assert receiver.got[0]["message"] == NEWS.body
    assert receiver.got[0]["type"] == "failure"


def test_r266_console_and_file(tmp_path: Path) -> None:
    console = io.StringIO()
    ConsoleChannel(console).deliver(NEWS)
    assert console.getvalue() == f"{NEWS.subject}\n{NEWS.body}\n"
    file = FileChannel(tmp_path / "messages")
    file.deliver(NEWS)
    file.deliver(NEWS)
    lines = [json.loads(line) for line in (tmp_path / "messages").read_text().splitlines()]
    assert lines == [{"event": NEWS.event, "subject": NEWS.subject, "body": NEWS.body}] * 2


def test_r266_discord_is_known_by_its_url() -> None:
    assert AppriseChannel("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js").name.startswith(
        "discord://4"
    )


def test_r268_what_fails_is_recorded_and_fails_nothing(
    receiver: Receiver, database: Database, tmp_path: Path, closed_port: int
) -> None:
    receiver.status = 500
    channels: list[Channel] = [
        SlackChannel(f"http://{receiver.address}/secret1"),
        SlackChannel(f"http://127.0.0.1:{closed_port}/secret2"),
        AppriseChannel(f"json://user:secret3@127.0.0.1:{closed_port}/x"),
        MailServer(
            host="127.0.0.1", port=closed_port, security="none", user="me", password="secret4"
        ).channel(("ops@example.org",)),
        FileChannel(tmp_path / "no such directory/file"),
        FileChannel(tmp_path / "kept"),
    ]
    notifier = Notifier(database, channels)
    deliveries = notifier.send("backup-failed", "a\nb", "text")
    assert [each.ok for each in deliveries] == [False, False, False, False, False, True]
    history = notifier.history()
    assert [each["ok"] for each in history] == [True, False, False, False, False, False]
    assert {each["subject"] for each in history} == {"a b"}
    assert all(each["problem"] for each in history[1:])
    assert "secret" not in json.dumps(history)


def test_r268_a_database_that_is_gone_fails_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.sqlite")
    database.connection.execute("DROP TABLE notifications")
    told = io.StringIO()
    assert Notifier(database, [ConsoleChannel(told)]).send("e", "s", "b")[0].ok
    assert told.getvalue() == "s\nb\n"
    database.close()


def test_r269_a_function_is_a_channel(database: Database) -> None:
    got: list[Message] = []

    def refuse(_: Message) -> None:
        raise ConnectionError("nobody there")

    notifier = Notifier(database, [CallableChannel(got.append), CallableChannel(refuse, "mine")])
    deliveries = notifier.send("drill-failed", "s", "b")
    assert got == [Message("drill-failed", "s", "b")]
    assert deliveries[1].problem == "mine: nobody there"


def test_words_mean_channels(tmp_path: Path) -> None:
    mail = MailServer(host="mail.example.org")
    own = CallableChannel(print, "own")
    directory = Directory(
        mail=mail,
        recipients=("a@example.org",),
        slack="https://chat.example.org/hook",
        slack_channel="#usual",
        named={"ops": own},
    )
    assert directory.find("ops") is own
    assert directory.find("console").name == "console"
    assert directory.find(f"file:{tmp_path}/f").name == f"file:{tmp_path}/f"
    assert directory.find("slack").name == "slack:#usual@chat.example.org"
    assert directory.find("slack:#other").name == "slack:#other@chat.example.org"
    assert directory.find("email").name == "email:a@example.org"
    assert directory.find("email:b@example.org").name == "email:b@example.org"
    assert directory.find("c@example.org").name == "email:c@example.org"
    assert directory.find("json://host/path").name.startswith("json://host")


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("pager", "no channel is called 'pager'"),
        ("slack", "Slack is not configured"),
        ("email:a@example.org", "no mail server is configured"),
        ("nonsense://secret", "no channel can be made of this 'nonsense' URL"),
    ],
)
def test_words_that_mean_nothing_are_refused(word: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        Directory().find(word)
    assert "secret" not in str(caught.value)


def test_addresses_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="https://") as caught:
        SlackChannel("ftp://secret")
    assert "secret" not in str(caught.value)
