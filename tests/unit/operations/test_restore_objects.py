"""Restoring into a store: what becomes an object, and what is told of the rest."""

from __future__ import annotations

import threading

import pytest
from typing_extensions import override

from holdfast.backend import UNSIZED, Listed, RemoteObjects
from holdfast.errors import AccessDenied, BackendError, StorageUnavailable, UsageError
from holdfast.filesystem import Patterns
from holdfast.model.node import Node
from holdfast.model.tree import load_directory, save_directory
from holdfast.operations.restore import (
    Action,
    Overwrite,
    RestoreOptions,
    RestoreResult,
    restore_objects,
)
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.repositories import ManualClock
from holdfast.testing.shelf import ROOT, Shelf
from holdfast.testing.trees import BLOB, TIME, directory, fifo, file, save_tree, symlink

CONTENT = {"empty": b"", "small": b"hello", "large": bytes(range(256)) * 40, "sub/deep/x": b"x"}
TREE = directory(
    {
        b"empty": file(),
        b"small": file(b"hello"),
        b"large": file(CONTENT["large"]),
        b"link": symlink(b"small"),
        b"other": symlink(b"large"),
        b"pipe": fifo(),
        b"void": directory({b"below": directory({})}),
        b"sub": directory({b"deep": directory({b"x": file(b"x")})}),
    }
)


class Impatient(ManualClock):
    """A clock that turns itself when somebody waits."""

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return event.is_set()


class Bench:
    """A tree in memory and a shelf that it is restored to."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.tree = save_tree(TREE, self.blobs)
        self.shelf = Shelf()

    def restore(self, path: bytes = b"/", options: RestoreOptions | None = None) -> RestoreResult:
        target = RemoteObjects(self.shelf, ManualClock())
        return restore_objects(
            self.tree, path, target, self.blobs, options or RestoreOptions(), Progress(None)
        )

    def contents(self) -> dict[str, bytes]:
        start = len(ROOT) + 1
        return {path[start:]: found.data for path, found in self.shelf.objects.items()}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_files_become_objects_and_the_rest_is_counted(bench: Bench) -> None:
    result = bench.restore()
    assert bench.contents() == CONTENT
    assert result.errors == ()
    assert (result.files_restored, result.bytes_written) == (4, sum(map(len, CONTENT.values())))
    assert result.left_out == {
        "symlink": 2, "fifo": 1, "empty directory": 1, "mode, owner and times of a file": 4,
    }  # fmt: skip


def test_a_part_of_a_snapshot(bench: Bench) -> None:
    bench.restore(b"/sub")
    assert bench.contents() == {"deep/x": b"x"}
    bench.restore(b"/small")
    assert bench.contents() == {"deep/x": b"x", "small": b"hello"}


def test_patterns(bench: Bench) -> None:
    options = RestoreOptions(include=Patterns(["sub", "small"]), exclude=Patterns(["x"]))
    result = bench.restore(options=options)
    assert bench.contents() == {"small": b"hello"}
    assert "symlink" not in result.left_out


def test_a_dry_run_writes_nothing(bench: Bench) -> None:
    actions: list[Action] = []
    result = bench.restore(options=RestoreOptions(dry_run=True, on_action=actions.append))
    assert bench.contents() == {}
    assert result.files_restored == 4
    assert result.bytes_written == 0
    assert "/small" in [action.path for action in actions]


def test_what_exists_stays_if_the_policy_says_so(bench: Bench) -> None:
    bench.shelf.add("small", b"mine", TIME + 1)
    bench.shelf.add("sub/deep/x", b"older", TIME - 1)
    result = bench.restore(options=RestoreOptions(overwrite=Overwrite.IF_NEWER, verify=True))
    assert bench.contents() == CONTENT | {"small": b"mine"}
    assert (result.files_skipped, result.errors) == (1, ())
    bench.shelf.add("large", b"mine")
    result = bench.restore(options=RestoreOptions(overwrite=Overwrite.NEVER, verify=True))
    assert bench.contents()["large"] == b"mine"
    assert (result.files_skipped, result.errors) == (4, ())
    bench.restore()
    assert bench.contents() == CONTENT


def test_what_has_no_time_or_size_is_protected(bench: Bench) -> None:
    class Vague(Shelf):
        @override
        def status(self, path: str) -> Listed | None:
            found = super().status(path)
            return found and found._replace(kind=UNSIZED, size=0, mtime=None)

    bench.shelf = Vague()
    bench.shelf.add("small", b"mine", 0)
    for policy in (Overwrite.IF_NEWER, Overwrite.NEVER):
        assert bench.restore(options=RestoreOptions(overwrite=policy)).files_skipped > 0
        assert bench.contents() == CONTENT | {"small": b"mine"}
    errors = bench.restore(b"/small", RestoreOptions(verify=True)).errors
    assert [error.message for error in errors] == ["the store does not tell how many bytes it has"]


def tagged(bench: Bench, name: bytes, tag: str) -> None:
    """Have a file be one that was an object of that tag."""
    nodes = [
        Node._make(node)._replace(extra={"tag": tag}) if node.name == name else node
        for node in load_directory(bench.tree, bench.blobs)
    ]
    bench.tree = save_directory(nodes, bench.blobs)


def test_an_object_of_the_same_size_and_tag_is_not_written_again(bench: Bench) -> None:
    tagged(bench, b"small", "v1")
    bench.shelf.add("small", b"HELLO")
    bench.shelf.add("large", b"other")
    result = bench.restore(options=RestoreOptions(overwrite=Overwrite.IF_CHANGED))
    assert bench.contents() == CONTENT | {"small": b"HELLO"}
    assert result.files_skipped == 1


def test_a_name_that_is_no_text_is_an_error(bench: Bench) -> None:
    bench.tree = save_tree(directory({b"\xff": file(b"1"), b"good": file(b"2")}), bench.blobs)
    result = bench.restore()
    assert bench.contents() == {"good": b"2"}
    assert [error.message for error in result.errors] == [
        "its path is not UTF-8, so it cannot be the key of an object"
    ]


def test_what_the_target_refuses_is_an_error_and_the_rest_is_restored(bench: Bench) -> None:
    def refuse(verb: str, path: str) -> None:
        if verb == "send" and path.endswith("/large"):
            raise AccessDenied(path, "read-only")

    bench.shelf.meddle = refuse
    result = bench.restore()
    assert bench.contents() == {key: data for key, data in CONTENT.items() if key != "large"}
    assert [(e.path, e.operation, e.message) for e in result.errors] == [
        ("/large", "write", "read-only")
    ]
    assert ("abandon", f"{ROOT}/large") in bench.shelf.requests


@pytest.mark.parametrize("step", ["put", "send", "finish"])
def test_a_busy_target_is_tried_again(bench: Bench, step: str) -> None:
    failed: set[str] = set()

    def meddle(verb: str, path: str) -> None:
        if verb == step and path not in failed:
            failed.add(path)
            raise StorageUnavailable(path, "busy")

    bench.shelf.meddle = meddle
    target = RemoteObjects(bench.shelf, Impatient())
    result = restore_objects(
        bench.tree, b"/", target, bench.blobs, RestoreOptions(verify=True), Progress(None)
    )
    assert bench.contents() == CONTENT
    assert result.errors == ()
    assert failed


def test_a_target_that_does_not_answer_any_more_ends_the_restore(bench: Bench) -> None:
    def meddle(verb: str, path: str) -> None:
        if verb == "finish":
            raise StorageUnavailable(path, "no answer", 10**6)

    bench.shelf.meddle = meddle
    with pytest.raises(StorageUnavailable, match="no answer"):
        bench.restore()
    assert bench.contents() == {}


def test_damage_is_an_error_and_leaves_no_half_object(bench: Bench) -> None:
    lost = bench.blobs.add(CONTENT["large"][5 * BLOB : 6 * BLOB])
    del bench.blobs.blobs[lost]
    result = bench.restore()
    assert bench.contents() == {key: data for key, data in CONTENT.items() if key != "large"}
    assert [(error.path, error.operation) for error in result.errors] == [("/large", "read")]


def test_a_failing_repository_is_no_failure_of_the_target(bench: Bench) -> None:
    class Failing(MemoryBlobs):
        @override
        def load(self, blob: BlobId) -> bytes:
            if len(self.blobs[blob]) == BLOB:
                raise StorageUnavailable("data/1", "the repository is away")
            return super().load(blob)

    bench.blobs = Failing()
    bench.tree = save_tree(TREE, bench.blobs)
    with pytest.raises(StorageUnavailable, match="the repository is away"):
        bench.restore()
    assert "large" not in bench.contents()


def test_verification_finds_what_differs(bench: Bench) -> None:
    def spoil(verb: str, path: str) -> None:
        if verb == "stat" and path.endswith("/small"):
            bench.shelf.add("small", b"jello")
        if verb == "stat" and path.endswith("/empty"):
            bench.shelf.delete("empty")
        if verb == "stat" and path.endswith("/x"):
            bench.shelf.add("sub/deep/x", b"longer")

    bench.shelf.meddle = spoil
    result = bench.restore(options=RestoreOptions(verify=True))
    assert sorted((error.path, error.message) for error in result.errors) == [
        ("/empty", "the object is missing"),
        ("/small", "its bytes from 0 to 5 differ"),
        ("/sub/deep/x", "it has 6 bytes instead of 1"),
    ]


@pytest.mark.parametrize(
    "options",
    [RestoreOptions(delete=True), RestoreOptions(sparse=True), RestoreOptions(devices=True)],
)
def test_options_for_directories_are_refused(bench: Bench, options: RestoreOptions) -> None:
    with pytest.raises(UsageError, match="make no sense"):
        bench.restore(options=options)
    assert bench.shelf.requests == []


def test_a_target_that_is_not_there_is_told_at_once(bench: Bench) -> None:
    def missing(verb: str, path: str) -> None:
        raise BackendError(path, f"there is no bucket to {verb}")

    bench.shelf.meddle = missing
    with pytest.raises(UsageError, match="there is no bucket"):
        bench.restore()


def test_a_target_that_does_not_answer_is_no_mistake_of_the_user(bench: Bench) -> None:
    def silent(verb: str, path: str) -> None:
        if verb == "list":
            raise StorageUnavailable(path, "no answer", 10**6)

    bench.shelf.meddle = silent
    with pytest.raises(StorageUnavailable, match="no answer"):
        bench.restore()


def test_a_folder_that_is_not_there_is_made(bench: Bench) -> None:
    bench.shelf.is_flat = False
    assert bench.restore().errors == ()
    assert bench.contents() == CONTENT


def test_whoever_may_only_write_can_restore(bench: Bench) -> None:
    def refuse(verb: str, path: str) -> None:
        if verb == "list":
            raise AccessDenied(path, "no listing for you")

    bench.shelf.meddle = refuse
    assert bench.restore().errors == ()
    assert bench.contents() == CONTENT
