"""Objects that an executor's processes read: what they leave to the backup, and what is ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

from holdfast.backend import Access, Address, Listed, LocalBackend, MemoryBackend, RemoteObjects
from holdfast.errors import StorageUnavailable
from holdfast.operations.backup.elsewhere import SHARE, Elsewhere, _fetched
from holdfast.operations.backup.fetch import READERS, Fetcher
from holdfast.operations.ingest import Ingest
from holdfast.overrides import override
from holdfast.store import Store, Writer
from holdfast.testing.repositories import ManualClock, new_store
from holdfast.testing.shelf import Shelf


def fetcher_of(shelf: Shelf, store: Store, writer: Writer) -> tuple[RemoteObjects, Fetcher]:
    """What reads objects; the time to try one again never comes."""
    objects = RemoteObjects(shelf, ManualClock())
    ingest = Ingest(writer, store.settings.chunker, store.chunker_seed())
    return objects, Fetcher(objects, writer, ingest, 0)


def test_when_the_store_does_not_answer_the_rest_is_left_to_the_backup() -> None:
    """Not each of them after it was tried for as long as the first one."""
    shelf = Shelf(page_size=1000)
    names = [f"{number:03}" for number in range(3 * READERS)]
    for name in names:
        shelf.add(name, b"content")
    wanted, _ = shelf.page("")

    def meddle(verb: str, path: str) -> None:
        if verb == "get" and path == wanted[1].path:
            raise StorageUnavailable(path, "no answer, and none for long", 10**6)
        if verb == "get" and path != wanted[0].path:
            raise StorageUnavailable(path, "no answer")

    shelf.meddle = meddle
    store = new_store(MemoryBackend())
    with store.writer({}) as writer:
        objects, fetcher = fetcher_of(shelf, store, writer)
        with fetcher:
            found = _fetched(objects, fetcher, wanted)
    assert found[0] is not None
    assert found[0].listed == wanted[0]
    assert found[1:] == [None] * (len(wanted) - 1)
    tries = Counter(shelf.read_paths)
    assert max(tries.values()) == 1


class Interrupted(Future[object]):
    """What somebody waits for who presses Ctrl-C."""

    @override
    def result(self, timeout: float | None = None) -> object:  # noqa: ARG002 - the base's
        raise KeyboardInterrupt


class Idle(Executor):
    """Does nothing, and knows what was cancelled."""

    def __init__(self) -> None:
        self.futures: list[Interrupted] = []

    @override
    def submit(self, *_: object, **__: object) -> Future[object]:  # type: ignore[override]
        self.futures.append(Interrupted())
        return self.futures[-1]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[Store, Writer]]:
    store = new_store(LocalBackend(tmp_path / "repository"))
    with store.writer({}) as writer:
        yield store, writer


def test_an_interrupt_cancels_what_is_waited_for_too(repository: tuple[Store, Writer]) -> None:
    store, writer = repository
    _, fetcher = fetcher_of(Shelf(), store, writer)
    ingest = Ingest(writer, store.settings.chunker, store.chunker_seed())
    executor = Idle()
    source = Address("memory://place", Access())
    large = [Listed(f"place/{name}", "file", SHARE, 1, "tag") for name in "ab"]

    def wait() -> None:
        with fetcher, Elsewhere(executor, source, writer, ingest, 0, fetcher) as elsewhere:
            tickets = [elsewhere.begin(listed) for listed in large]
            elsewhere.store(tickets[0], lambda _: None)

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert [future.cancelled() for future in executor.futures] == [True, True]
