"""Repositories that somebody forged who has the key, and what every verb makes of them.

Run as a program it tells what the verbs make of a repository in a process of its own, whose
memory is limited: ``python -m tests.faults.hostile PLACE SNAPSHOT``.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from tests.compat.making import KDF, PASSWORD

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.model.node import Node, NodeType
from holdfast.model.snapshot import encode_snapshot
from holdfast.model.tree import save_directory
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, SessionId, SnapshotId, random_name
from holdfast.store import Writer, create_store, open_store
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.index import encode_index
from holdfast.store.pack import (
    Codec,
    Kind,
    PackInfo,
    Payload,
    blob_key,
    build_pack,
    object_name,
)
from holdfast.testing.layouts import directory_node, node, snapshot_of
from holdfast.testing.repositories import SETTINGS

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MIB = 1 << 20
MEMORY = 1 << 30
"""Bytes of memory that the child may take beyond those with which it begins."""

SESSION = SessionId(bytes(16))


class Forge:
    """A repository with one sound snapshot, and the key to add what no holdfast writes.

    Attributes:
        sound: the snapshot; it has the file ``/good``.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.backend = LocalBackend(place)
        self.store = create_store(self.backend, PASSWORD, SETTINGS, KDF, SYSTEM_CLOCK, None)
        self.keys = self.store.keys
        self.sound = self.saved(
            lambda writer: save_directory(
                [node(b"good", NodeType.FILE, writer.save_data(memoryview(b"good"), ("", 0)), 4)],
                writer,
            )
        )

    def open(self) -> Repository:
        """The repository, opened once more."""
        return opened(self.place)

    def saved(self, make: Callable[[Writer], BlobId]) -> SnapshotId:
        """A snapshot of a tree that a function saves, whatever is in it."""
        with self.store.writer({}) as writer:
            tree = make(writer)
            writer.flush()
            assert writer.confirm()
            return writer.commit(encode_snapshot(replace(snapshot_of(tree), id=writer.id)))

    def snapshot(self, tree: BlobId) -> SnapshotId:
        """A snapshot of a tree that is there already, or is not."""
        id_ = SnapshotId(random_name())
        self.sealed(
            ObjectType.SNAPSHOT,
            f"snapshots/{id_}",
            encode_snapshot(replace(snapshot_of(tree), id=id_)),
        )
        return id_

    def sealed(self, type_: ObjectType, name: str, message: bytes) -> None:
        """Store a small object with any message."""
        self.backend.put(name, seal_object(type_, self.keys, name, message))

    def id_of(self, kind: Kind, data: bytes) -> BlobId:
        return BlobId(keyed(blob_key(self.keys, kind), data))

    def pack(self, kind: Kind, payloads: Sequence[Payload]) -> PackInfo:
        """Store a pack of any segments; returns what its trailer says."""
        info, pack = build_pack(kind, payloads, self.keys, SESSION, random_name().encode())
        self.backend.put(object_name(info.name), pack)
        return info

    def index(self, *packs: PackInfo) -> str:
        """Tell of packs, whatever is in them; returns the object's name."""
        name = f"index/{random_name()}"
        self.backend.put(name, encode_index(name, packs, self.keys))
        return name

    def tree(self, data: bytes) -> BlobId:
        """Store a tree blob of any bytes; returns its id."""
        blob = self.id_of(Kind.TREE, data)
        self.index(self.pack(Kind.TREE, [raw(data, [blob])]))
        return blob

    def page(self, *rows: object, level: object = 0) -> BlobId:
        """Store a page of any rows."""
        return self.tree(codec.pack([level, rows]))

    def pages(self, pages: Sequence[bytes]) -> list[BlobId]:
        """Store many tree blobs; returns their ids."""
        with self.store.writer({}) as writer:
            ids = [writer.save_tree(data) for data in pages]
            writer.flush()
        return ids


def raw(data: bytes, ids: list[BlobId]) -> Payload:
    """A segment of one blob as it is."""
    return Payload(data, Codec.RAW, len(data), ids, [len(data)] * len(ids))


def row(name: object = b"name", **changes: object) -> list[object]:
    """An entry of an empty file with other values in some fields, as it is on the wire."""
    fields = {**node(b"", NodeType.FILE, None)._asdict(), "name": name, **changes}
    return [fields[field] for field in Node._fields]


def chain(writer: Writer, depth: int) -> BlobId:
    """Nested directories, so many."""
    tree = save_directory([], writer)
    for _ in range(depth):
        tree = save_directory([directory_node(b"d", tree)], writer)
    return tree


def opened(place: Path) -> Repository:
    return Repository(open_store(LocalBackend(place), PASSWORD, SYSTEM_CLOCK, None), SYSTEM_CLOCK)


# What the verbs make of it


class Trial(NamedTuple):
    """What a verb is tried on: a forged snapshot, a sound one, and a place to write to."""

    repo: Repository
    forged: str
    sound: str
    scratch: Path


Verb: TypeAlias = Callable[[Trial], int]
"""Returns the number of problems that it reports."""


class Nothing(io.RawIOBase):
    """Takes what is written, as a pipe does, and keeps nothing of it."""

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: ReadableBuffer) -> int:
        return memoryview(data).nbytes


class Shown(Protocol):
    def dict(self) -> dict[str, object]: ...


def shown(items: Iterable[Shown]) -> int:
    """Go through what a verb gives and show it; none of it is a problem."""
    for item in items:
        json.dumps(item.dict())
    return 0


def read(trial: Trial) -> int:
    """Read the beginning and the end of ``/name``."""
    with trial.repo.open_file(trial.forged, "/name") as stream:
        stream.read(MIB)
        stream.seek(max(stream.seek(0, io.SEEK_END) - 1, 0))
        stream.read()
    return 0


def listed(trial: Trial) -> int:
    """Go through it as a file system, and read what is there."""
    files = trial.repo.fs(trial.forged)
    for path, info in files.find("/", withdirs=True, detail=True).items():
        if info["type"] == "file":
            files.cat_file(path, 0, MIB)
    return 0


def dumped(trial: Trial, archive: Literal["tar", "zip"]) -> int:
    with io.BufferedWriter(Nothing()) as output:
        return len(trial.repo.dump(trial.forged, "/", output, archive=archive).skipped)


def restored(trial: Trial) -> int:
    target = trial.scratch / "restored"
    problems = trial.repo.restore(trial.forged, target).errors_total
    # Recursion would not remove directories that are nested deep.
    trial.repo.restore(trial.sound, target, delete=True)
    return problems


def planned(trial: Trial) -> int:
    target = trial.scratch / "planned"
    return trial.repo.restore(trial.forged, target, dry_run=True).errors_total


def verified(trial: Trial) -> int:
    return trial.repo.verify_restore(trial.forged, trial.scratch).errors_total


def backed_up(trial: Trial) -> int:
    """A backup that begins with the forged snapshot as its parent."""
    result = trial.repo.backup(Path(__file__).parent, parent=trial.forged)
    assert result.snapshot is not None
    return 0


VERBS: dict[str, Verb] = {
    "listdir": lambda trial: shown(trial.repo.listdir(trial.forged)),
    "walk": lambda trial: shown(trial.repo.walk(trial.forged)),
    "read": read,
    "find": lambda trial: shown(trial.repo.find("*", snapshots=[trial.forged])),
    "diff": lambda trial: shown(trial.repo.diff(trial.sound, trial.forged)),
    "stats": lambda trial: trial.repo.stats([trial.forged]).missing,
    "history": lambda trial: shown(
        trial.repo.history("/name", snapshots=[trial.sound, trial.forged])
    ),
    "grep": lambda trial: shown(trial.repo.grep("x", snapshots=[trial.forged])),
    "timeline": lambda trial: shown(trial.repo.timeline()),
    "usage": lambda trial: shown([trial.repo.usage(snapshots=[trial.forged])]),
    "compare": lambda trial: shown(trial.repo.compare(trial.forged, trial.scratch)),
    "anomalies": lambda trial: shown(trial.repo.anomalies(snapshots=[trial.forged])),
    "fs": listed,
    "tar": lambda trial: dumped(trial, "tar"),
    "zip": lambda trial: dumped(trial, "zip"),
    "plan": planned,
    "restore": restored,
    "verify": verified,
    "check": lambda trial: len(trial.repo.check([trial.forged]).errors),
    "check full": lambda trial: len(trial.repo.check(full=True).errors),
    "check all": lambda trial: len(trial.repo.check(read_data=True, full=True).errors),
    "backup": backed_up,
}


def verdict(verb: str, trial: Trial) -> str:
    """What a verb makes of a forged snapshot; any other error than ours is not caught."""
    try:
        problems = VERBS[verb](trial)
    except holdfast.HoldfastError as error:
        refusal = error
    else:
        return "problems" if problems else "nothing"
    assert str(refusal).isprintable()
    return type(refusal).__name__


def judge(place: Path, sound: str, forged: str, verbs: Iterable[str]) -> dict[str, str]:
    """What every verb makes of a forged snapshot; the sound one must be readable all the same."""
    verdicts = {}
    with tempfile.TemporaryDirectory() as scratch, opened(place) as repo:
        trial = Trial(repo, forged, sound, Path(scratch))
        for verb in verbs:
            verdicts[verb] = verdict(verb, trial)
            with repo.open_file(sound, "/good") as stream:
                assert stream.read() == b"good"
    return verdicts


def taken(field: str) -> int:
    """Bytes of memory that this process has taken, of one kind (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0]) << 10


def main() -> None:
    place, sound, forged, *verbs = sys.argv[1:]
    before = taken("VmHWM")
    limit = taken("VmSize") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    verdicts = judge(Path(place), sound, forged, verbs)
    sys.stdout.write(json.dumps({"verdicts": verdicts, "memory": taken("VmHWM") - before}))


if __name__ == "__main__":
    main()
