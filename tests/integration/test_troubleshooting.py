"""Each message on the page about trouble is what the library says, word for word.

R209, R394. Every problem is provoked here, by the means by which it comes about.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from tests.servers.faults import ACCESS_DENIED, SLOW_DOWN, Answer
from tests.servers.proxy import Proxy

import holdfast
from holdfast import BackupValidator, DRDrill, DrillConfig, HoldfastError, RecoveryManager
from holdfast.backend import Access, Retrying, open_backend
from holdfast.platform.workspace import Workspace
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import PASSWORD, QUICK_KDF

if TYPE_CHECKING:
    from tests.servers.base import Place
    from tests.servers.fixtures import Servers

PAGE = Path(__file__).parents[2] / "docs/guide/troubleshooting.md"

UNKNOWN_KEY = Answer(403, "InvalidAccessKeyId", "The AWS Access Key Id does not exist.")
WRONG_SECRET = Answer(403, "SignatureDoesNotMatch", "The request signature does not match.")

LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import holdfast
import holdfast.engine.connect, holdfast.engine.repository

pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
try:
    holdfast.open(sys.argv[1], password=sys.argv[2], cache=False)
except holdfast.HoldfastError as error:
    print(error)
"""


def messages() -> dict[str, list[str]]:
    """The messages of the page, by the heading that they stand under."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = re.findall(r"^```text\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    return found


class Trouble:
    """A repository, what it needs, and an S3 store that answers as it is told."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self.folder = folder
        self.servers = servers
        self.workspace = Workspace(folder / "state")
        self.location = folder / "repository"
        self.data = folder / "data"
        self.data.mkdir()
        (self.data / "a.txt").write_text("alpha\n" * 100)
        self.repository = holdfast.init(self.location, password=PASSWORD, cache=False)
        self.repository.backup(self.data)

    def close(self) -> None:
        self.repository.close()
        self.workspace.close()

    def at_store(self, answer: Answer, use: Callable[[Place], object]) -> str:
        """What is said of a store that answers so to everything."""
        place = self.servers.get("moto").place()
        with Proxy(str(place.options["endpoint_url"])) as proxy:
            proxy.plan = lambda *_: answer
            return said(lambda: use(proxy.place(place)))


def opened(place: Place) -> object:
    return holdfast.open(place.location, password=PASSWORD, storage_options=place.options)


def listed_once(place: Place) -> object:
    """List a store, without trying again."""
    with closing(open_backend(place.location, Access(place.options))) as store:
        return list((store.backend if isinstance(store, Retrying) else store).list(""))


def said(fails: Callable[[], object]) -> str:
    with pytest.raises(HoldfastError) as failure:
        fails()
    return str(failure.value)


def no_repository(trouble: Trouble) -> list[str]:
    return [said(lambda: holdfast.open(trouble.folder / "nowhere", password=PASSWORD))]


def slow(trouble: Trouble) -> list[str]:
    return [trouble.at_store(SLOW_DOWN, listed_once)]


def no_memory(trouble: Trouble) -> list[str]:
    strong = trouble.folder / "strong"
    holdfast.init(strong, password=PASSWORD, kdf="strong").close()
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, str(strong), PASSWORD],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [done.stdout.strip()]


def denied(trouble: Trouble) -> list[str]:
    return [trouble.at_store(ACCESS_DENIED, opened)]


def not_authenticated(trouble: Trouble) -> list[str]:
    wrong = said(lambda: holdfast.open(trouble.location, password="not the password"))
    refused = [trouble.at_store(answer, opened) for answer in (UNKNOWN_KEY, WRONG_SECRET)]
    return [wrong, *refused]


def no_snapshot(trouble: Trouble) -> list[str]:
    recovery = RecoveryManager.on(trouble.repository, trouble.workspace)
    validator = BackupValidator.on(trouble.repository, trouble.workspace)
    texts = {
        said(lambda: recovery.restore_snapshot("abc123", trouble.folder / "out")),
        said(lambda: validator.validate_snapshot("abc123")),
    }
    assert len(texts) == 1
    return list(texts)


def not_as_it_was(trouble: Trouble) -> list[str]:
    recovery = RecoveryManager.on(trouble.repository, trouble.workspace)
    target, name = trouble.folder / "out", f"latest:{trouble.data}"
    recovery.restore_snapshot(name, target)
    (target / "a.txt").write_text("alphA\n" * 100)
    found = recovery.verify_restore(target, name)
    assert found["valid"] is False
    errors = found["errors"] if isinstance(found["errors"], list) else []
    return [str(each["message"]) for each in errors if "content" in each["message"]]


def too_long(trouble: Trouble) -> list[str]:
    drill = DRDrill(trouble.location, password=PASSWORD, workspace=trouble.workspace, cache=False)
    held = drill.execute_drill(DrillConfig(max_duration_minutes=1e-6))
    assert held.status == "FAILED"
    return [error.message for error in held.errors]


Provocation: TypeAlias = Callable[[Trouble], list[str]]

PROVOCATIONS: dict[str, Provocation] = {
    "The repository does not exist": no_repository,
    "A backup is slow": slow,
    "It runs out of memory": no_memory,
    "Access denied": denied,
    "Authentication failed": not_authenticated,
    "The snapshot is not found": no_snapshot,
    "What was restored is not as it was": not_as_it_was,
    "A drill takes too long": too_long,
}


@pytest.fixture
def trouble(tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trouble]:
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)
    trouble = Trouble(tmp_path, servers)
    yield trouble
    trouble.close()


def test_r394_the_page_has_the_eight_problems() -> None:
    assert list(messages()) == list(PROVOCATIONS)


@pytest.mark.parametrize("problem", PROVOCATIONS)
def test_r209_a_problem_has_the_message_that_the_page_says(problem: str, trouble: Trouble) -> None:
    written = messages()[problem]
    heard = PROVOCATIONS[problem](trouble)
    assert len(heard) == len(written)
    for pattern, message in zip(written, heard, strict=True):
        regex = ".+".join(map(re.escape, pattern.split("…")))
        assert re.fullmatch(regex, message), f"{message!r} is not {pattern!r}"
